/*
 * progress.h: how far a command is: a bar on a terminal, a line every few seconds elsewhere. On standard error, so
 * that output stays clean. All commands show it in one style. It must not know what is counted.
 *
 * Thread rule: one thread.
 */
#ifndef FRESHET_COMMANDS_PROGRESS_H
#define FRESHET_COMMANDS_PROGRESS_H

#include <stdint.h>

typedef struct freshet_progress freshet_progress;

/* label: borrowed. total 0: not known, only counts and rates are shown. */
freshet_progress* freshet_progress_create(const char* label, uint64_t total);
/* Shows how far things are; draws a few times a second at most, however often it is called. */
void freshet_progress_show(freshet_progress* progress, uint64_t done);
/* The same where the share of all is known instead of the total: 0 to 1, 0 when not known. note: what is done just
 * now, such as a time of events; "" or NULL: nothing. */
void freshet_progress_show_share(freshet_progress* progress, uint64_t done, double share, const char* note);
/* Takes the bar away, so that a message can be printed. */
void freshet_progress_clear(const freshet_progress* progress);
/* Draws the last state, ends the line and frees. */
void freshet_progress_end(freshet_progress* progress, uint64_t done);
/* Takes the bar away and frees. NULL is allowed. */
void freshet_progress_destroy(freshet_progress* progress);

#endif
