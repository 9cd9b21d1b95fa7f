/*
 * helper.h: one job at a time on a thread beside the caller's. It takes work off the loop that may end later, such as
 * the write of a large batch. It owns the thread. It must not know what a job does.
 *
 * Thread rule: one thread makes all calls. What the job reads and writes belongs to the job from start until await has
 * returned true; the helper orders the memory of both threads.
 */
#ifndef FRESHET_STREAM_HELPER_H
#define FRESHET_STREAM_HELPER_H

#include <stdbool.h>

typedef struct freshet_helper freshet_helper;

/* name: of the thread, as `top -H` shows it; at most 15 bytes. NULL when there is no memory or no thread. */
freshet_helper* freshet_helper_create(const char* name);
/* Ends the thread after the job that is under way. NULL is allowed. */
void freshet_helper_destroy(freshet_helper* helper);

/* The job runs on the helper's thread. None may be under way. */
void freshet_helper_start(freshet_helper* helper, void (*job)(void* context), void* context);
/* True: no job is under way, at once or within wait_ms (below 0: however long it takes). */
bool freshet_helper_await(freshet_helper* helper, int wait_ms);

#endif
