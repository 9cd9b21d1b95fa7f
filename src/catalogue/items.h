/*
 * items.h: the item tables that every worker holds whole. They consist of what is announced (catalogue.h,
 * listing.h), what has been learned (learned.h), and text vectors (texts.h). This object owns all of them, and the
 * model and the ranker that they fill; it creates them in order and hands each record to the one it is for.
 *
 * It knows nothing of users, lists and partitions of `events`.
 *
 * Thread rule: the worker's, but for the const calls of model and listing, see there.
 */
#ifndef FRESHET_CATALOGUE_ITEMS_H
#define FRESHET_CATALOGUE_ITEMS_H

#include "catalogue/learned.h"
#include "catalogue/listing.h"
#include "catalogue/texts.h"
#include "stream/ports.h"
#include "stream/serving.h"
#include "stream/stream_config.h"

typedef struct freshet_items freshet_items;

/* Creates the model and fills it from the store and the log, up to the log's end at the moment of the call.
 * The facts about generations of the application come by the same log; *serving (not owned) is kept up to date
 * with them. Errors: those of log and store. */
freshet_status freshet_items_create(const freshet_stream_config* config, const freshet_ports* ports,
                                    freshet_serving* serving, freshet_items** items, freshet_error* error);
void freshet_items_destroy(freshet_items* items); /* NULL is allowed */

freshet_model* freshet_items_model(const freshet_items* items);
freshet_listing* freshet_items_listing(const freshet_items* items);
freshet_texts* freshet_items_texts(const freshet_items* items);
/* What has been learned: its commits and its rows in the store. */
freshet_learned* freshet_items_learned(const freshet_items* items);
/* The ranker over the listed items, brought up to date by this call. */
freshet_status freshet_items_ranker(freshet_items* items, freshet_ranker** ranker, freshet_error* error);

/* Applies what other workers and producers have written since the last call; does not wait. When much has been written,
 * a call stops after slice_us, but not before a few records are applied. Then freshet_items_are_behind, and the next call
 * goes on. Puts changes of the catalogue into the store's batch. */
freshet_status freshet_items_poll(freshet_items* items, int64_t slice_us, freshet_error* error);
bool freshet_items_are_behind(const freshet_items* items);

/* Vectors of another encoder serve from now on: the tables must be loaded again. */
bool freshet_items_outdated(const freshet_items* items);

/* Items that are not announced take more room than model.max_items leaves to them: the tables should be loaded again,
 * after freshet_items_store. */
bool freshet_items_are_crowded(const freshet_items* items);

/* Waits for everything that has been learned about items, and said about generations of the application, up to
 * now. So a new owner of a partition knows what the last one has learned from it. */
freshet_status freshet_items_catch_up(freshet_items* items, freshet_error* error);

/* Partitions of `items`. */
int32_t freshet_items_partitions(const freshet_items* items);
/* The announced item as its record says; false: there is none. The views hold until the next call, and until the
 * next call on the codec. */
bool freshet_items_record(freshet_items* items, freshet_slice item_id, freshet_item* item);

/* freshet_learned_is_settled, _begin, _turn and _store over the logs of these tables. */
bool freshet_items_are_settled(const freshet_items* items);
void freshet_items_begin(freshet_items* items, const bool* owned);
freshet_status freshet_items_turn(freshet_items* items, freshet_error* error);
freshet_status freshet_items_store(freshet_items* items, int wait_ms, bool* stored, freshet_error* error);
/* Waits at most wait_ms for something that other workers have written, or this one, and applies it. */
freshet_status freshet_items_await(freshet_items* items, int wait_ms, freshet_error* error);

/* Puts neighbours by text into the store (it writes), so that freshet_items_create need not find them
 * again. */
freshet_status freshet_items_store_links(freshet_items* items, freshet_error* error);

#endif
