/*
 * commit_internal.h: what commit.c and commit_load.c share. Seen by nobody else.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_COMMIT_INTERNAL_H
#define FRESHET_WORKER_COMMIT_INTERNAL_H

#include "worker/commit.h"

/* The interval counts from the start of a commit to that of the next one, or from a look that found nothing. */
void freshet_commit_schedule(freshet_commit* commit, int64_t from_us);
/* Right after a commit that was waited for: all rows of items go to the store at once. */
freshet_status freshet_commit_store_items(freshet_commit* commit, freshet_error* error);

#endif
