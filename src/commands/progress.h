/*
 * progress.h: a progress bar on a terminal, a line every few seconds elsewhere. On standard error, so that
 * output stays clean. Thread rule: one thread.
 */
#ifndef FRESHET_COMMANDS_PROGRESS_H
#define FRESHET_COMMANDS_PROGRESS_H

#include <stdint.h>

typedef struct freshet_progress freshet_progress;

/* total 0: it is not known; then only counts and rates are shown. */
freshet_progress* freshet_progress_create(const char* label, uint64_t total);
/* Shows how far the work is. It draws a few times a second at most, however often it is called. */
void freshet_progress_show(freshet_progress* progress, uint64_t done);
/* Draws the last state, ends the line and frees. */
void freshet_progress_end(freshet_progress* progress, uint64_t done);

#endif
