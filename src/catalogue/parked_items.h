/*
 * parked_items.h: items without a slot. What has been learned about them is in the store and not in memory: nobody
 * announces them any more, and others need the room (model.max_items). An item that comes back gets its state again.
 *
 * The object owns the set of their keys. Which items are parked is the business of learned.h; the rows are those that it
 * keeps in the family FRESHET_FAMILY_ITEMS.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_CATALOGUE_PARKED_ITEMS_H
#define FRESHET_CATALOGUE_PARKED_ITEMS_H

#include "freshet/model.h"
#include "stream/store.h"

typedef struct freshet_parked_items freshet_parked_items;

/* The store is not owned. */
freshet_parked_items* freshet_parked_items_create(freshet_store* store);
void freshet_parked_items_destroy(freshet_parked_items* parked); /* NULL is allowed */

/* The item of the key, which is not 0, is parked. Its row is in the store before anybody asks for it. */
void freshet_parked_items_add(freshet_parked_items* parked, uint64_t key);
/* How many keys have been added. Those that got a slot again are among them. */
size_t freshet_parked_items_count(const freshet_parked_items* parked);

/* For freshet_model_set_parked; valid as long as the object. */
freshet_model_parked freshet_parked_items_for_model(freshet_parked_items* parked);
/* FRESHET_OK, or why a state could not be fetched: then the model lacks it, and the worker must stop. */
freshet_status freshet_parked_items_failure(const freshet_parked_items* parked, freshet_error* error);

/* Visits the keys whose rows no checkpoint of this process holds yet, at most `most` of them, from place *from (0 at first)
 * on, and moves *from. *is_all: there are no more. A visit that sets *is_written marks the key. Ends at the first status
 * that is no FRESHET_OK, and returns it. */
typedef freshet_status (*freshet_parked_items_visit)(void* context, uint64_t key, bool* is_written,
                                                     freshet_error* error);
freshet_status freshet_parked_items_unwritten(freshet_parked_items* parked, size_t* from, size_t most,
                                              freshet_parked_items_visit visit, void* context, bool* is_all,
                                              freshet_error* error);
/* Appends the row of a key of any item. Errors: those of freshet_store_get. */
freshet_status freshet_parked_items_row(freshet_parked_items* parked, uint64_t key, freshet_buffer* out,
                                        freshet_error* error);

#endif
