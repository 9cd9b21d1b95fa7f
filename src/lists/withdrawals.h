/*
 * withdrawals.h: lists that carry an item which may not be shown any more are made anew at once, whether
 * their user is in memory or not, whether the item went while we were running or away.
 *
 * Each user's state holds what its last list carries. Besides, there is one number for each item: how many
 * users' lists carry it (4 bytes an item, and nothing for a user who is not in memory). When an item goes
 * that somebody carries, the users in memory are looked through, and if not all carriers were among them, the
 * store, a slice at a turn, so that live events go on; whoever carries it is marked as owed a list.
 *
 * Such a list comes without an event, so after a crash no event would bring it again. Therefore the mark is
 * committed first and the list published then, and so are lists that are made anew because something new is
 * listed or the rules have changed: of every user, the list that was published last is the one in the
 * committed state, or a list is owed there.
 */
#ifndef FRESHET_LISTS_WITHDRAWALS_H
#define FRESHET_LISTS_WITHDRAWALS_H

#include "catalogue/items.h"
#include "users/users.h"

typedef struct freshet_worker freshet_worker;
typedef struct freshet_withdrawals freshet_withdrawals;

/* Nothing is owned. */
freshet_withdrawals* freshet_withdrawals_create(freshet_worker* worker);
void freshet_withdrawals_destroy(freshet_withdrawals* withdrawals);

/* A user of a partition that is being taken over. */
void freshet_withdrawals_load(freshet_withdrawals* withdrawals, const freshet_user_state* state);
/* The row's last list is now this one [count]; 0: there is none any more. Returns whether it differs. */
bool freshet_withdrawals_replace(freshet_withdrawals* withdrawals, freshet_user_row* row,
                                 const uint32_t* slots, size_t count);
/* Has the next turn something to do at once? */
bool freshet_withdrawals_due(const freshet_withdrawals* withdrawals);
/* Looks for carriers of what has gone since the last turn. */
freshet_status freshet_withdrawals_turn(freshet_withdrawals* withdrawals, freshet_error* error);

#endif
