/*
 * link_rows.h: rows of the store that hold which texts are alike (neighbours by text), by item key. Finding them
 * takes minutes for a large catalogue, so a restart reads them back.
 *
 * Functions without state. The model makes the rows and tells which of them still hold.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_CATALOGUE_LINK_ROWS_H
#define FRESHET_CATALOGUE_LINK_ROWS_H

#include "freshet/model.h"
#include "stream/store.h"

/* Takes the rows for a model that has compared no texts yet. */
freshet_status freshet_link_rows_load(freshet_store* store, freshet_model* model, freshet_error* error);

/* Replaces all rows; writes the store. */
freshet_status freshet_link_rows_store(freshet_store* store, const freshet_model* model,
                                       freshet_error* error);

#endif
