/*
 * item_rows.h: the Item records in the store, as they were published, by item id. A row begins with the number of
 * the record's partition (i32 LE), so that a restart knows which worker owns the item.
 *
 * Functions without state. What a record means is not known here.
 */
#ifndef FRESHET_CATALOGUE_ITEM_ROWS_H
#define FRESHET_CATALOGUE_ITEM_ROWS_H

#include "codec/codec.h"
#include "stream/store.h"

/* Puts the value of a record of `items` into the store's batch. scratch is overwritten. */
void freshet_item_row_put(freshet_store* store, const freshet_record* record, freshet_buffer* scratch);

/* Takes a row apart. *record points into it. False: it is too short to be one. */
bool freshet_item_row_parse(freshet_slice row, int32_t* partition, freshet_slice* record);

/* Sets the error for a row of the store that cannot be one that we wrote, and returns its status, FRESHET_DAMAGED
 * (verdict FRESHET_STOP). what: the kind of row. */
freshet_status freshet_damaged_row(freshet_error* error, const char* what);

/* The item as its row says. False: there is no row, or none that can be read. The views of *item point into
 * scratch and hold until the next call on the codec. */
bool freshet_item_row_find(freshet_store* store, freshet_codec* codec, freshet_slice item_id,
                           freshet_buffer* scratch, freshet_item* item);

#endif
