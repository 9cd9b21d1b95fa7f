/*
 * items.h: the item tables that every worker holds whole: the catalogue (what `items` says) and what has been
 * learned (the fold of <app>.item-deltas). Both are read from the log outside of the group; both are stored
 * with the position they reflect, so a restart reads only the tail.
 *
 * What is stored of the learned state is always a fold of the log up to a position, never an own delta that
 * has not come back: freshet_items_store only acts at a moment when everything own has.
 */
#ifndef FRESHET_CATALOGUE_ITEMS_H
#define FRESHET_CATALOGUE_ITEMS_H

#include "catalogue/texts.h"
#include "core/facets.h"
#include "stream/serving.h"

typedef struct freshet_items freshet_items;

/* Creates the model and fills it from the store and the log, up to the log's end at the moment of the call.
 * The facts about generations come by the same log; *serving (not owned) is kept up to date with them. */
freshet_status freshet_items_create(const freshet_stream_config* config, const freshet_ports* ports,
                                    freshet_serving* serving, freshet_items** items, freshet_error* error);
void freshet_items_destroy(freshet_items* items);

freshet_model* freshet_items_model(const freshet_items* items);
/* The ranker over the listed items, brought up to date by this call. */
freshet_status freshet_items_ranker(freshet_items* items, freshet_ranker** ranker, freshet_error* error);

/* Applies what other workers and producers have written since; does not wait. Puts catalogue changes into the
 * store at the next write. */
freshet_status freshet_items_poll(freshet_items* items, freshet_error* error);

/* Their text vectors. */
freshet_texts* freshet_items_texts(const freshet_items* items);

/* Vectors of another encoder serve from now on: the tables are to be loaded again. */
bool freshet_items_outdated(const freshet_items* items);

/* Waits for everything that has been learned about items, and said about generations, up to now: what the
 * last owner of a partition has learned from it is known before the next one goes on. */
freshet_status freshet_items_catch_up(freshet_items* items, freshet_error* error);

/* Partitions of `items`. */
int32_t freshet_items_partitions(const freshet_items* items);
/* The announced item as its record says; false: there is none. The views hold until the next call on the
 * codec. */
bool freshet_items_record(freshet_items* items, freshet_slice item_id, freshet_item* item);
/* Is the item announced? */
bool freshet_items_announced(const freshet_items* items, uint32_t slot);

/* The rules are others than before: config->rules points to them. */
void freshet_items_apply_rules(freshet_items* items);
const freshet_rules* freshet_items_rules(const freshet_items* items);
/* The newest listed items that are new by the rules, at most FRESHET_NEW_ITEMS_MAX; as of a second ago. */
enum { FRESHET_NEW_ITEMS_MAX = 512 };
const uint32_t* freshet_items_new(const freshet_items* items, size_t* count);

/* FRESHET_NO_ITEM: there is none of this key (freshet_id_key). */
uint32_t freshet_items_find_key(const freshet_items* items, uint64_t key);

/* Grows with each item that was listed and is not any more. */
uint64_t freshet_items_delistings(const freshet_items* items);
/* Since when an item that is not listed is not: as its record or its expiry says. */
int64_t freshet_items_gone_ms(const freshet_items* items, uint32_t slot);

/* Categories, attributes and ages of the items that are announced, by slot. */
const freshet_facets* freshet_items_facets(const freshet_items* items);

/* What has been learned since the last commit, into the open transaction. *wrote tells whether there was
 * anything. */
freshet_status freshet_items_write_delta(freshet_items* items, bool* wrote, freshet_error* error);

/* Right after every commit. */
void freshet_items_committed(freshet_items* items);

/* Is it time to store? Then nothing must be learned between the start of a commit and freshet_items_store. */
bool freshet_items_store_due(const freshet_items* items);
/* Right after a commit, with nothing learned since it was started: when it is due (or `now`), puts changed
 * rows and the position into the store's batch, which the caller writes, provided that all own deltas have
 * come back within wait_ms; *stored tells. */
freshet_status freshet_items_store(freshet_items* items, bool now, int wait_ms, bool* stored,
                                   freshet_error* error);

/* Right after freshet_items_store said true: writes rows that changed since their last checkpoint to
 * <app>.items, in a transaction of its own. A worker writes the share of items of each partition of `items`
 * that it holds (`owned`, a bitmap). offsets: what has been committed of all that it holds; they go with the
 * transaction again, so that who is no longer a member of the group cannot overwrite what its successor
 * writes. FRESHET_ABORTED: nothing was written, and nothing is lost; the next one makes up for it. */
freshet_status freshet_items_checkpoint(freshet_items* items, const bool* owned,
                                        const freshet_partition* offsets, size_t count, freshet_error* error);

/* Puts neighbours by text into the store (it writes), so that freshet_items_create need not find them again.
 */
freshet_status freshet_items_store_links(freshet_items* items, freshet_error* error);

/* How many items are listed now. */
size_t freshet_items_listed(const freshet_items* items);

#endif
