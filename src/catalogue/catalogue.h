/*
 * catalogue.h: what the topic `items` says. Every worker reads all of it and keeps the Item records, as they
 * were published, in its store. A restart reads the rows back and then only the tail of the log.
 *
 * The object owns nothing but scratch: a record changes the store, the listing (listing.h) and the texts
 * (texts.h). What has been learned about items is none of its business (learned.h).
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_CATALOGUE_CATALOGUE_H
#define FRESHET_CATALOGUE_CATALOGUE_H

#include "catalogue/item_logs.h"
#include "catalogue/listing.h"
#include "catalogue/texts.h"

typedef struct freshet_catalogue freshet_catalogue;

/* Nothing is owned. */
freshet_catalogue* freshet_catalogue_create(const freshet_ports* ports, freshet_model* model,
                                            freshet_listing* listing, freshet_texts* texts);
void freshet_catalogue_destroy(freshet_catalogue* catalogue); /* NULL is allowed */

/* Opens the partitions of `items`, takes the rows of the store, or none when they may miss a tombstone, and
 * reads to the end of the log. */
freshet_status freshet_catalogue_load(freshet_catalogue* catalogue, freshet_item_logs* logs,
                                      freshet_error* error);

/* A record of `items`. One that cannot be used changes nothing: the worker that owns its partition sends it to
 * the dead letters. */
freshet_status freshet_catalogue_apply(freshet_catalogue* catalogue, const freshet_record* record,
                                       freshet_error* error);

/* Applies the records that could not be read yet, once their schemas may have come from the registry; and those of items
 * that were refused, once there is room. */
freshet_status freshet_catalogue_turn(freshet_catalogue* catalogue, freshet_error* error);

/* How many partitions `items` has. */
int32_t freshet_catalogue_partitions(const freshet_catalogue* catalogue);

/* The announced item as its record says. False: there is none. The views hold until the next call, and until
 * the next call on the codec. */
bool freshet_catalogue_find(freshet_catalogue* catalogue, freshet_slice item_id, freshet_item* item);

/* Puts into the store's batch that the rows are up to date as of now, though nothing may have been announced
 * for long: a restart need not read everything again. */
void freshet_catalogue_confirm(freshet_catalogue* catalogue, const freshet_item_logs* logs, int64_t now_ms);

#endif
