/*
 * carriers.h: how many users' last lists carry each item. It owns one number for each slot (4 bytes), and nothing for
 * a user: what the list of one carries is in its row. It tells whether anybody has to be looked for when an item
 * leaves the catalogue; it does not look (withdrawals.h).
 *
 * The numbers may be too high: users of a partition that has left this process are still counted.
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

/* Counts the list of a user of a partition that is being taken over. True: it carries an item that is not listed. */
bool freshet_carriers_load(freshet_carriers* carriers, const freshet_user_state* state);
/* The row's last list is now this one [count]; 0: there is none any more. Returns whether it differs. */
bool freshet_carriers_replace(freshet_carriers* carriers, freshet_user_row* row, const uint32_t* slots,
                              size_t count);
/* How many places in lists are taken by items that are not listed. */
size_t freshet_carriers_gone(const freshet_carriers* carriers);

#endif
