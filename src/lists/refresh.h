/*
 * refresh.h: which users get a list now. After each batch, users with an event in it join the queue of users who are owed a
 * list (owed.h). Each turn serves the queue for a few milliseconds, the users who have waited longest first. While events
 * lag, users with events wait for a while, so that several events of a user make one list.
 *
 * It owns the queue and what belongs to the batch. It does not know how a list is made (publisher.h), nor when a
 * commit takes place.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_LISTS_REFRESH_H
#define FRESHET_LISTS_REFRESH_H

#include "lists/carriers.h"
#include "lists/lists.h"
#include "lists/owed.h"

typedef struct freshet_refresh freshet_refresh;

/* Nothing is owned. */
freshet_refresh* freshet_refresh_create(const freshet_lists* lists, freshet_carriers* carriers);
void freshet_refresh_destroy(freshet_refresh* refresh); /* NULL is allowed */

/* The queue, for whoever asks how many wait in it. */
freshet_owed* freshet_refresh_queue(const freshet_refresh* refresh);

/* The user has had an event in this batch. */
void freshet_refresh_touch(freshet_refresh* refresh, freshet_user_row* row);
/* After each batch: publishes lists that are due, for about 5 ms on a core, or 10 ms while freshet_refresh_is_urgent. The
 * others are left for the next turn. lagging: more events wait than a poll returns. makes_lists: else users only join the
 * queue, so that no row of the batch is kept beyond this call. */
freshet_status freshet_refresh_turn(freshet_refresh* refresh, bool lagging, bool makes_lists,
                                    freshet_error* error);
/* Will the next turn publish lists? What has been learned should be brought to the ranker before (freshet_ranking_sync): else
 * the first of them does it, and leaves no time for others. */
bool freshet_refresh_is_due(const freshet_refresh* refresh, bool lagging);
/* Does the state owe no list to anybody, as far as is known? */
bool freshet_refresh_is_clear(const freshet_refresh* refresh);
/* The last turn has left lists that are due. */
bool freshet_refresh_is_cut(const freshet_refresh* refresh);
/* A user with an event has waited for nearly as long as ranking.max_delay_ms allows: fewer events should be read. */
bool freshet_refresh_is_urgent(const freshet_refresh* refresh);

/* Owes a list for an event that the last one has not learned from. */
void freshet_refresh_owe(freshet_refresh* refresh, freshet_user_row* row);
/* Owes a list because the last one carries something withdrawn, since then. */
void freshet_refresh_withdraw(freshet_refresh* refresh, freshet_user_row* row, int64_t since_ms);
/* Owes a list because the last one misses something that is known by now, to this user or to all users in memory.
 * Such lists come at a bounded rate, since nobody waits for them. */
void freshet_refresh_outdate(freshet_refresh* refresh, freshet_user_row* row);
void freshet_refresh_outdate_all(freshet_refresh* refresh);
/* The same for users in memory with an item like one of these [count] among their newest. The slots are of items that
 * have just got their text. */
void freshet_refresh_outdate_alike(freshet_refresh* refresh, const uint32_t* slots, size_t count);
/* Owes a list to every user of the partition, since this app generation takes it over: at once to those that the store
 * does not have yet, and in the next turns to the others. held->to_take counts them, and 1 more until all are found. */
void freshet_refresh_take_over(freshet_refresh* refresh, freshet_held_partition* held);
/* The last turn has left users to look at, of a partition that is taken over or after a backlog. */
bool freshet_refresh_is_sweeping(const freshet_refresh* refresh);

/* Forgets what is owed to users of a partition that is not held any more. */
void freshet_refresh_forget(freshet_refresh* refresh, int32_t partition);

#endif
