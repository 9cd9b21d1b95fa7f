/*
 * exploration.h: which items a request that explores may be shown by chance: those about which little is known, of
 * all that may be shown to the user. It owns nothing but a counter; the draw itself is core/select.h.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_LISTS_EXPLORATION_H
#define FRESHET_LISTS_EXPLORATION_H

#include "catalogue/items.h"
#include "codec/arena.h"
#include "lists/ranking.h"
#include "stream/clock.h"

typedef struct freshet_exploration {
  const freshet_items* items; /* borrowed */
  freshet_clock* clock;       /* borrowed */
  uint64_t draws;             /* for requests without an id */
} freshet_exploration;

/* Fills the task's pool, share and seed. The task must have its user, filter and exclusions already. The pool is in
 * the arena. A request id makes the draw repeatable. */
void freshet_exploration_prepare(freshet_exploration* exploration, const freshet_request* request,
                                 freshet_arena* arena, freshet_ranking_task* task);

#endif
