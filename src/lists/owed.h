/*
 * owed.h: the queue of users who are owed a list, each with the reason. It owns the entries, and it knows which of
 * them may not be served before a commit has ended. Entries hold ids, since rows may leave memory meanwhile.
 *
 * It knows nothing of rows, lists and the store. How many users are served in a turn, and whether one is still owed
 * something, decides refresh.c.
 *
 * Some lists are owed without an event: after a crash, no event would bring such a list again. So the debt becomes
 * part of the user's state first, and the list is published when a commit with that state has ended. This holds for
 * WITHDRAWN from the beginning, and for OUTDATED from freshet_owed_mark on.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_LISTS_OWED_H
#define FRESHET_LISTS_OWED_H

#include "stream/outbox.h"
#include "users/users.h"

typedef struct freshet_owed freshet_owed;

typedef struct freshet_owed_user {
  int32_t partition; /* of `events` */
  freshet_slice id;  /* holds until the entry is dropped */
  int64_t since_ms;
} freshet_owed_user;

/* The outbox, which counts commits, is not owned. */
freshet_owed* freshet_owed_create(const freshet_outbox* outbox);
void freshet_owed_destroy(freshet_owed* owed); /* NULL is allowed */

/* Adds a user behind all others with this reason. The id is copied. A user may be in the queue more than once; the
 * caller prevents that by the bits of freshet_user_row.owed. */
void freshet_owed_add(freshet_owed* owed, freshet_owed_reason reason, int32_t partition,
                      freshet_slice user_id, int64_t since_ms);

/* The user with this reason who has waited longest and may be served now. NULL: there is none. */
const freshet_owed_user* freshet_owed_first(const freshet_owed* owed, freshet_owed_reason reason);
/* Drops what freshet_owed_first has returned. */
void freshet_owed_drop_first(freshet_owed* owed, freshet_owed_reason reason);

/* The user with the reason OUTDATED who has waited longest and is not marked. NULL: there is none. */
const freshet_owed_user* freshet_owed_first_unmarked(const freshet_owed* owed);
/* Ends its waiting: the user's debt has just become part of its state (is_owed), so it may be served after the next
 * commit; or it is not owed anything any more, and is dropped. */
void freshet_owed_mark(freshet_owed* owed, bool is_owed, int64_t since_ms);

/* How many users wait for this reason, marked ones included. */
size_t freshet_owed_count(const freshet_owed* owed, freshet_owed_reason reason);
/* Does nobody wait, but for users with the reason OUTDATED who are not marked? */
bool freshet_owed_is_clear(const freshet_owed* owed);
/* Is somebody owed a list for a withdrawal whose debt is part of no commit yet? */
bool freshet_owed_needs_commit(const freshet_owed* owed);

/* Drops the users of a partition (-1: of all) with this reason. */
void freshet_owed_forget(freshet_owed* owed, freshet_owed_reason reason, int32_t partition);

#endif
