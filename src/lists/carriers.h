/*
 * carriers.h: how many users' last lists carry each item. It owns one number for each slot (4 bytes), and nothing for
 * a user: what the list of one carries is in its row. It tells whether anybody has to be looked for when an item
 * leaves the catalogue; it does not look (withdrawals.h).
 *
 * The numbers may be too high: users of a partition that has left this process are still counted. Those of a partition
 * that has come are counted bit by bit, in the order of their ids, while lists are made and replaced (survey.h). Meanwhile
 * the numbers are right for the users that have been counted: those up to the last id, and those of later ids whose
 * list was replaced.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_LISTS_CARRIERS_H
#define FRESHET_LISTS_CARRIERS_H

#include "codec/codec.h"
#include "users/users.h"

typedef struct freshet_carriers freshet_carriers;

/* The model is not owned. */
freshet_carriers* freshet_carriers_create(freshet_model* model);
void freshet_carriers_destroy(freshet_carriers* carriers); /* NULL is allowed */

/* A partition has come: its users are to be counted. None of its lists has been replaced yet. */
void freshet_carriers_expect(freshet_carriers* carriers, int32_t partition);
/* How many partitions have users to be counted. */
size_t freshet_carriers_expected_count(const freshet_carriers* carriers);
/* One of them, and the id after which its users come; it holds until the next call. There must be one. */
void freshet_carriers_next(const freshet_carriers* carriers, int32_t* partition, freshet_slice* after);
/* Counts the next user of that partition, as the store has it. True: its list carries an item that is not listed, or nobody
 * knows what it carries. */
bool freshet_carriers_count(freshet_carriers* carriers, int32_t partition, freshet_slice user_id,
                            const freshet_user_state* state);
/* All users of the partition are counted. Nothing happens when it was not expected. */
void freshet_carriers_complete(freshet_carriers* carriers, int32_t partition);
/* The partition has left. */
void freshet_carriers_leave(freshet_carriers* carriers, int32_t partition);
/* The row's last list is now this one [count]; 0: there is none any more. Returns whether it differs. */
bool freshet_carriers_replace(freshet_carriers* carriers, freshet_user_row* row, const uint32_t* slots,
                              size_t count);
/* The row's last list is one that carries nobody knows what. */
void freshet_carriers_forget(freshet_carriers* carriers, freshet_user_row* row);
/* How many lists are. */
size_t freshet_carriers_unknown(const freshet_carriers* carriers);
/* How many places in lists are taken by items that are not listed. */
size_t freshet_carriers_gone(const freshet_carriers* carriers);

#endif
