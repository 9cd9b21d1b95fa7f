/*
 * sweeps.h: goes through the users of a partition in the store, a slice in each turn, in the order of their ids. It owns
 * where it is. It must not know what is looked for (refresh.c).
 *
 * A user whose row changes in the store meanwhile is seen as it was or as it is then, or, where the row is new, perhaps not
 * at all.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_LISTS_SWEEPS_H
#define FRESHET_LISTS_SWEEPS_H

#include "stream/ports.h"
#include "users/users.h"

typedef struct freshet_sweeps freshet_sweeps;

/* A user's row, as the store has it. The slices hold during the call. Any status but FRESHET_OK ends the turn. */
typedef freshet_status (*freshet_sweeps_visit)(void* context, freshet_owed_reason reason, int32_t partition,
                                               freshet_slice user_id, freshet_slice row,
                                               freshet_error* error);
/* All users of the partition have been seen. */
typedef void (*freshet_sweeps_done)(void* context, freshet_owed_reason reason, int32_t partition);

typedef struct freshet_sweeps_handler {
  void* context;
  freshet_sweeps_visit visit;
  freshet_sweeps_done done;
} freshet_sweeps_handler;

/* most: rows of a turn, at least 1. The ports are not owned. */
freshet_sweeps* freshet_sweeps_create(const freshet_ports* ports, size_t most,
                                      const freshet_sweeps_handler* handler);
void freshet_sweeps_destroy(freshet_sweeps* sweeps); /* NULL is allowed */

/* From the first user on. If a sweep of the partition for this reason is under way, it begins again. */
void freshet_sweeps_begin(freshet_sweeps* sweeps, freshet_owed_reason reason, int32_t partition);
/* The same, but one that is under way goes on first: however often it is called, all users are seen. */
void freshet_sweeps_repeat(freshet_sweeps* sweeps, freshet_owed_reason reason, int32_t partition);
/* The partition has left. */
void freshet_sweeps_forget(freshet_sweeps* sweeps, int32_t partition);
/* Has a turn something to do? reasons: bits 1 << reason of the sweeps that may go on now, here and below. */
bool freshet_sweeps_are_due(const freshet_sweeps* sweeps, unsigned reasons);
/* One slice of one sweep, for slice_us and `most` rows. The visitor must neither begin a sweep nor forget one. Errors: of
 * the store and the visitor; the row that the visitor has refused comes again. */
freshet_status freshet_sweeps_turn(freshet_sweeps* sweeps, unsigned reasons, int64_t slice_us,
                                   freshet_error* error);

#endif
