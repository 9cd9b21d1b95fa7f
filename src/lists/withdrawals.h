/*
 * withdrawals.h: lists that carry an item which may not be shown any more are made again at once. This holds whether
 * their user is in memory or not, and whether the item went while we were running or away.
 *
 * When an item goes that somebody carries (carriers.h), the users in memory are looked through. If not all carriers
 * were among them, so is the store, a slice in each turn, so that live events go on. Each carrier is owed a list
 * (refresh.h). The object owns the state of the search.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_LISTS_WITHDRAWALS_H
#define FRESHET_LISTS_WITHDRAWALS_H

#include "lists/carriers.h"
#include "lists/refresh.h"

typedef struct freshet_withdrawals freshet_withdrawals;

/* Nothing is owned. */
freshet_withdrawals* freshet_withdrawals_create(const freshet_lists* lists, freshet_carriers* carriers,
                                                freshet_refresh* refresh);
void freshet_withdrawals_destroy(freshet_withdrawals* withdrawals); /* NULL is allowed */

/* A partition of events has come. Are the items that its users' last lists may carry still listed, all of them? */
void freshet_withdrawals_expect(const freshet_withdrawals* withdrawals, freshet_held_partition* held);
/* All of its events whose lists are committed have been learned again: what these lists carry is not known. If an item has
 * gone that they may carry, they are made again. */
void freshet_withdrawals_end_replay(freshet_withdrawals* withdrawals, const freshet_held_partition* held);
/* The checksum of what is listed, if no user's last list in this partition carries anything that is not, or another list is
 * part of the next commit; 0: nobody knows, or there is one. */
uint64_t freshet_withdrawals_listing(const freshet_withdrawals* withdrawals,
                                     const freshet_held_partition* held);
/* Owes the user a list if the last one carries something that has gone: for who looks through rows anyhow (survey.h). */
void freshet_withdrawals_look_at(freshet_withdrawals* withdrawals, freshet_user_row* row);
/* Do so many users wait for such a list that nobody looks for more? */
bool freshet_withdrawals_is_full(const freshet_withdrawals* withdrawals);
/* Has the next turn something to do at once? */
bool freshet_withdrawals_due(const freshet_withdrawals* withdrawals);
/* Looks for carriers of what has gone since the last turn. */
freshet_status freshet_withdrawals_turn(freshet_withdrawals* withdrawals, freshet_error* error);

#endif
