/*
 * pause.h: the moment at which a pass over the rows of items begins (catalogue/learned.h). For that, nothing must be
 * learned while a commit is under way and its delta comes back. So nothing is read from events and requests meanwhile, and
 * changes of the group wait; lists that are due go on. It takes as long as a commit does, a few tens of milliseconds, once
 * in state.items_interval_s.
 *
 * It owns how long events may wait. When a commit takes longer, events are read again and the next commit is the next
 * chance; each time it may take twice as long, so that a slow cluster gets its rows too.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_PAUSE_H
#define FRESHET_WORKER_PAUSE_H

#include "worker/commit.h"

typedef struct freshet_pause {
  freshet_commit* commit; /* borrowed */
  /* Its own; zero at first. */
  bool is_on;
  int64_t until_us, patience_us;
} freshet_pause;

/* In each turn, before records are read: goes on with the pause. *is_on: no events may be read in this turn. */
freshet_status freshet_pause_turn(freshet_pause* pause, bool* is_on, freshet_error* error);

#endif
