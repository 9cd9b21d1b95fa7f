/*
 * export_files.c: see export_files.h. Rows are decoded and encoded again, so that every file has one schema, whichever
 * version of Freshet has written a row.
 */
#include "commands/transfer/export_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "catalogue/item_rows.h"
#include "catalogue/text_generations.h"
#include "commands/progress.h"

enum { PATH_SIZE = 4096 };

typedef struct writing {
  freshet_export_state* state;
  const char* folder;
  freshet_manifest* manifest;
  freshet_container_writer* users;  /* of the partition being written */
  freshet_container_writer* chunks; /* the same */
  freshet_container_writer* rows;   /* of anything else */
  freshet_buffer bytes, row;
  uint64_t users_hash; /* a sum, so that no order matters */
  freshet_progress* progress;
  uint64_t written;
  freshet_status status;
  freshet_error* error;
} writing;

static freshet_status open_file(writing* w, freshet_transfer_kind kind, int32_t partition,
                                freshet_container_writer** writer) {
  char path[PATH_SIZE];
  freshet_transfer_file* file = freshet_manifest_add(w->manifest, kind, partition);
  snprintf(path, sizeof path, "%s/%s", w->folder, file->name);
  return freshet_container_create(path, freshet_transfer_schema(kind), &file->sums, writer, w->error);
}

static freshet_status close_file(writing* w, freshet_container_writer** writer) {
  freshet_status status = freshet_container_finish(*writer, w->status == FRESHET_OK ? w->error : NULL);
  *writer = NULL;
  return w->status != FRESHET_OK ? w->status : status;
}

static bool add(writing* w, freshet_container_writer* writer, freshet_slice datum) {
  w->status = freshet_container_add(writer, datum, w->error);
  freshet_progress_show(w->progress, ++w->written);
  return w->status == FRESHET_OK;
}

/* The row of a user or of text vectors after it was encoded again. */
static bool add_framed(writing* w, freshet_container_writer* writer) {
  return w->status == FRESHET_OK &&
         add(w, writer, freshet_single_object_datum(freshet_buffer_slice(&w->bytes)));
}

/* ---- users ---- */

static bool add_chunk(writing* w, freshet_slice key, freshet_slice value) {
  const freshet_transfer_chunk chunk = {.key = key, .ids = value};
  w->bytes.size = 0;
  freshet_put_chunk(&w->bytes, &chunk);
  return add(w, w->chunks, freshet_buffer_slice(&w->bytes));
}

static bool visit_user(void* context, freshet_slice key, freshet_slice value) {
  writing* w = context;
  freshet_user_state user;
  if (key.size > 0 && key.data[0] == '\0') return add_chunk(w, key, value);
  w->bytes.size = 0;
  w->status = freshet_decode_user_state(w->state->codec, value, &user, w->error);
  if (w->status == FRESHET_OK)
    w->status = freshet_encode_user_state(w->state->codec, &user, &w->bytes, w->error);
  w->users_hash += XXH3_64bits(w->bytes.data, w->bytes.size);
  return add_framed(w, w->users);
}

static freshet_status write_partition(writing* w, int32_t partition) {
  w->status = open_file(w, FRESHET_TRANSFER_USERS, partition, &w->users);
  if (w->status == FRESHET_OK) w->status = open_file(w, FRESHET_TRANSFER_DEDUP, partition, &w->chunks);
  if (w->status == FRESHET_OK) {
    freshet_status status = freshet_store_scan(w->state->store, FRESHET_FAMILY_USERS, partition,
                                               (freshet_slice){NULL, 0}, visit_user, w, w->error);
    if (w->status == FRESHET_OK) w->status = status;
  }
  w->status = close_file(w, &w->users);
  w->status = close_file(w, &w->chunks);
  return w->status;
}

/* ---- items ---- */

/* The frame is put off, whatever the settings say that is written to topics. */
static bool visit_item(void* context, freshet_slice key, freshet_slice value) {
  writing* w = context;
  int32_t partition;
  freshet_slice record;
  freshet_item item;
  (void)key;
  if (!freshet_item_row_parse(value, &partition, &record)) {
    w->status = freshet_damaged_row(w->error, "the catalogue");
    return false;
  }
  w->bytes.size = 0;
  w->status = freshet_decode_item(w->state->codec, record, &item, w->error);
  if (w->status == FRESHET_OK)
    w->status = freshet_encode_item_datum(w->state->codec, &item, &w->bytes, w->error);
  return w->status == FRESHET_OK && add(w, w->rows, freshet_buffer_slice(&w->bytes));
}

static freshet_status write_items(writing* w) {
  w->status = open_file(w, FRESHET_TRANSFER_ITEMS, 0, &w->rows);
  if (w->status == FRESHET_OK) {
    freshet_status status = freshet_store_scan(w->state->store, FRESHET_FAMILY_CATALOGUE, 0,
                                               (freshet_slice){NULL, 0}, visit_item, w, w->error);
    if (w->status == FRESHET_OK) w->status = status;
  }
  return w->status = close_file(w, &w->rows);
}

/* ---- what is learned ---- */

static bool add_learned(writing* w, uint64_t item_key, freshet_slice item_id) {
  const freshet_transfer_learned learned = {
      .item_key = item_key, .item_id = item_id, .learned = freshet_buffer_slice(&w->row)};
  w->bytes.size = 0;
  freshet_put_learned(&w->bytes, &learned);
  return add(w, w->rows, freshet_buffer_slice(&w->bytes));
}

/* Folded up to nothing: in another log of deltas, everything comes after. */
static freshet_status write_learned(writing* w) {
  const freshet_model* model = freshet_items_model(w->state->items);
  bool goes_on = true;
  w->status = open_file(w, FRESHET_TRANSFER_LEARNED, 0, &w->rows);
  if (w->status == FRESHET_OK) {
    w->row.size = 0;
    freshet_model_write_globals(model, 0, &w->row);
    goes_on = add_learned(w, 0, (freshet_slice){NULL, 0});
  }
  for (uint32_t slot = 0; w->status == FRESHET_OK && goes_on && slot < freshet_model_item_count(model);
       slot++) {
    w->row.size = 0;
    freshet_model_write_item(model, slot, 0, &w->row);
    goes_on = add_learned(w, freshet_model_item_key(model, slot), freshet_model_item_id(model, slot));
  }
  return w->status = close_file(w, &w->rows);
}

/* ---- texts ---- */

static bool visit_vector(void* context, freshet_slice key, freshet_slice value) {
  writing* w = context;
  freshet_item_state state;
  (void)key;
  w->bytes.size = 0;
  w->status = freshet_decode_item_state(w->state->codec, value, &state, w->error);
  if (w->status == FRESHET_OK)
    w->status = freshet_encode_item_state(w->state->codec, &state, &w->bytes, w->error);
  return add_framed(w, w->rows);
}

static void write_generation(void* context, int32_t tag) {
  writing* w = context;
  if (w->status != FRESHET_OK) return;
  freshet_status status = freshet_store_scan(w->state->store, FRESHET_FAMILY_ITEMS, tag,
                                             (freshet_slice){NULL, 0}, visit_vector, w, w->error);
  if (w->status == FRESHET_OK) w->status = status;
}

static freshet_status write_vectors(writing* w) {
  const freshet_ports ports = {.store = w->state->store, .codec = w->state->codec};
  w->status = open_file(w, FRESHET_TRANSFER_VECTORS, 0, &w->rows);
  if (w->status == FRESHET_OK) {
    freshet_status status = freshet_text_generations_each(&ports, write_generation, w, w->error);
    if (w->status == FRESHET_OK) w->status = status;
  }
  return w->status = close_file(w, &w->rows);
}

static freshet_status write_encoder(writing* w) {
  freshet_text_generation_fact fact;
  w->row.size = w->bytes.size = 0;
  w->status = open_file(w, FRESHET_TRANSFER_ENCODER, 0, &w->rows);
  bool is_known = w->status == FRESHET_OK &&
                  freshet_store_get(w->state->store, FRESHET_FAMILY_ITEMS, FRESHET_ITEMS_FACTS,
                                    freshet_text_generation_serving_key(), &w->row, NULL) == FRESHET_OK;
  if (is_known)
    w->status =
        freshet_decode_text_generation_fact(w->state->codec, freshet_buffer_slice(&w->row), &fact, w->error);
  if (is_known && w->status == FRESHET_OK)
    w->status = freshet_encode_text_generation_fact(w->state->codec, &fact, &w->bytes, w->error);
  if (is_known) add_framed(w, w->rows);
  return w->status = close_file(w, &w->rows);
}

/* ---- positions ---- */

static freshet_status write_positions(writing* w) {
  w->status = open_file(w, FRESHET_TRANSFER_POSITIONS, 0, &w->rows);
  for (size_t i = 0; w->status == FRESHET_OK && i < w->state->position_count; i++) {
    const freshet_partition* place = &w->state->positions[i];
    if (place->offset < 0) continue;
    const freshet_transfer_position position = {
        .topic = freshet_slice_of(freshet_transfer_topic_name(place->topic)),
        .partition = place->partition,
        .offset = place->offset};
    w->bytes.size = 0;
    freshet_put_position(&w->bytes, &position);
    add(w, w->rows, freshet_buffer_slice(&w->bytes));
  }
  return w->status = close_file(w, &w->rows);
}

freshet_status freshet_export_files_write(freshet_export_state* state, const char* folder,
                                          freshet_manifest* manifest, freshet_error* error) {
  writing w = {.state = state, .folder = folder, .manifest = manifest, .error = error};
  w.progress = freshet_progress_create("writing records", 0);
  freshet_status status = FRESHET_OK;
  for (int32_t p = 0; status == FRESHET_OK && p < state->partitions; p++) status = write_partition(&w, p);
  if (status == FRESHET_OK) status = write_items(&w);
  if (status == FRESHET_OK) status = write_learned(&w);
  if (status == FRESHET_OK) status = write_vectors(&w);
  if (status == FRESHET_OK) status = write_encoder(&w);
  if (status == FRESHET_OK) status = write_positions(&w);
  freshet_progress_destroy(w.progress);
  freshet_buffer_free(&w.bytes);
  freshet_buffer_free(&w.row);
  manifest->state_hash = w.users_hash ^ freshet_model_hash(freshet_items_model(state->items));
  return status;
}
