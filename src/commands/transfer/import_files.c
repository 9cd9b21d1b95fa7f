/*
 * import_files.c: see import_files.h. One pass over the files serves both: without a sink it only checks. What is
 * learned goes through a model of this configuration, so that it is known to fit before anything is written.
 */
#include "commands/transfer/import_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "app/engine.h"
#include "catalogue/learned.h"
#include "catalogue/text_generations.h"
#include "commands/progress.h"

enum { PATH_SIZE = 4096 };

typedef struct importing {
  const freshet_import_files* files;
  const freshet_transfer_file* file; /* being read */
  freshet_sink* sink;                /* NULL: only checks */
  freshet_codec* codec;
  freshet_model* model;
  uint64_t fingerprint; /* of the file's schema */
  freshet_buffer key, value;
  freshet_import_position position;
  void* position_context;
  uint64_t users_hash, done;
  int64_t now_ms;
  freshet_progress* progress;
} importing;

static freshet_status send(importing* in, freshet_topic topic, int32_t partition, freshet_slice key,
                           freshet_error* error) {
  if (in->sink == NULL) return FRESHET_OK;
  const freshet_output output = {.topic = topic,
                                 .partition = partition,
                                 .key = key,
                                 .has_value = true,
                                 .value = freshet_buffer_slice(&in->value)};
  return freshet_sink_write(in->sink, &output, error);
}

/* ---- users ---- */

/* Lists get their versions from the offsets of `events`. In another log these begin again. */
static void adapt_user(const importing* in, freshet_user_state* user) {
  if (in->files->forgets_versions) user->newest_offset = user->listed_offset = -1;
  if (in->files->publishes) user->refresh_since_ms = in->now_ms;
}

static freshet_status take_user(importing* in, freshet_slice* bytes, freshet_error* error) {
  freshet_user_state user;
  freshet_status status = freshet_take_user_state(in->codec, in->fingerprint, bytes, &user, error);
  if (status == FRESHET_OK && (user.user_id.size == 0 || user.user_id.data[0] == '\0'))
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "a user without an id");
  in->value.size = 0;
  if (status == FRESHET_OK) status = freshet_encode_user_state(in->codec, &user, &in->value, error);
  if (status != FRESHET_OK) return status;
  in->users_hash += XXH3_64bits(in->value.data, in->value.size);
  adapt_user(in, &user);
  in->value.size = 0;
  status = freshet_encode_user_state(in->codec, &user, &in->value, error);
  if (status == FRESHET_OK) status = send(in, FRESHET_TOPIC_USERS, in->file->partition, user.user_id, error);
  return status;
}

static freshet_status take_chunk(importing* in, freshet_slice* bytes, freshet_error* error) {
  freshet_transfer_chunk chunk;
  freshet_status status = freshet_take_chunk(bytes, &chunk, error);
  if (status != FRESHET_OK) return status;
  in->value.size = 0;
  freshet_buffer_append(&in->value, chunk.ids.data, chunk.ids.size);
  return send(in, FRESHET_TOPIC_USERS, in->file->partition, chunk.key, error);
}

/* ---- items ---- */

static freshet_status take_item(importing* in, freshet_slice* bytes, freshet_error* error) {
  freshet_item item;
  freshet_status status = freshet_take_item(in->codec, in->fingerprint, bytes, &item, error);
  if (status != FRESHET_OK || !in->files->sends_items) return status;
  in->value.size = 0;
  status = freshet_encode_item(in->codec, &item, &in->value, error);
  if (status == FRESHET_OK) status = send(in, FRESHET_TOPIC_ITEMS, -1, item.item_id, error);
  return status;
}

static freshet_status send_state(importing* in, const freshet_item_state* state, freshet_slice key,
                                 freshet_error* error) {
  in->value.size = 0;
  freshet_status status = freshet_encode_item_state(in->codec, state, &in->value, error);
  if (status == FRESHET_OK) status = send(in, FRESHET_TOPIC_ITEM_STATES, -1, key, error);
  return status;
}

/* Every share of the checkpoints has a copy of them, see catalogue/learned_checkpoint.c. */
static freshet_status take_globals(importing* in, const freshet_transfer_learned* row, freshet_error* error) {
  const freshet_item_state state = {.learned = row->learned};
  freshet_status status = freshet_model_read_globals(in->model, row->learned, error);
  for (int32_t share = 0; status == FRESHET_OK && share < in->files->item_shares; share++) {
    char key[FRESHET_LEARNED_KEY_SIZE];
    status = send_state(in, &state, freshet_learned_globals_key(share, key), error);
  }
  return status;
}

static freshet_status take_learned(importing* in, freshet_slice* bytes, freshet_error* error) {
  char key[FRESHET_LEARNED_KEY_SIZE];
  uint32_t slot;
  freshet_transfer_learned row;
  freshet_status status = freshet_take_learned(bytes, &row, error);
  if (status != FRESHET_OK) return status;
  if (row.item_key == 0) return take_globals(in, &row, error);
  status = freshet_model_intern_key(in->model, row.item_key, &slot, error);
  if (status == FRESHET_OK) status = freshet_model_read_item(in->model, slot, row.learned, error);
  const freshet_item_state state = {.item_id = row.item_id, .learned = row.learned};
  if (status == FRESHET_OK)
    status = send_state(in, &state, freshet_learned_item_key(row.item_key, key), error);
  return status;
}

/* ---- texts ---- */

static freshet_status take_vector(importing* in, freshet_slice* bytes, freshet_error* error) {
  freshet_item_state state;
  freshet_status status = freshet_take_item_state(in->codec, in->fingerprint, bytes, &state, error);
  if (status != FRESHET_OK) return status;
  const freshet_text_generation generation =
      freshet_text_generation_of(state.encoder, (uint32_t)state.embedding_dim);
  in->key.size = 0;
  freshet_text_generation_key(generation.tag, state.item_id, &in->key);
  return send_state(in, &state, freshet_buffer_slice(&in->key), error);
}

static freshet_status take_encoder(importing* in, freshet_slice* bytes, freshet_error* error) {
  freshet_text_generation_fact fact;
  freshet_status status = freshet_take_text_generation_fact(in->codec, in->fingerprint, bytes, &fact, error);
  in->value.size = 0;
  if (status == FRESHET_OK) status = freshet_encode_text_generation_fact(in->codec, &fact, &in->value, error);
  if (status == FRESHET_OK)
    status = send(in, FRESHET_TOPIC_ITEM_STATES, -1, freshet_text_generation_serving_key(), error);
  return status;
}

/* ---- positions ---- */

static freshet_status take_position(importing* in, freshet_slice* bytes, freshet_error* error) {
  freshet_transfer_position position;
  freshet_status status = freshet_take_position(bytes, &position, error);
  freshet_topic topic = status == FRESHET_OK ? freshet_transfer_topic(position.topic) : FRESHET_TOPICS;
  if (topic < FRESHET_TOPICS && in->position != NULL)
    in->position(in->position_context, topic, (int32_t)position.partition, position.offset);
  return status;
}

/* ---- files ---- */

static freshet_status take_datum(void* context, freshet_slice* bytes, freshet_error* error) {
  static freshet_status (*const takes[FRESHET_TRANSFER_KINDS])(importing*, freshet_slice*, freshet_error*) = {
      [FRESHET_TRANSFER_USERS] = take_user,         [FRESHET_TRANSFER_DEDUP] = take_chunk,
      [FRESHET_TRANSFER_ITEMS] = take_item,         [FRESHET_TRANSFER_LEARNED] = take_learned,
      [FRESHET_TRANSFER_VECTORS] = take_vector,     [FRESHET_TRANSFER_ENCODER] = take_encoder,
      [FRESHET_TRANSFER_POSITIONS] = take_position,
  };
  importing* in = context;
  freshet_progress_show(in->progress, ++in->done);
  return takes[in->file->kind](in, bytes, error);
}

/* An export of another version may have a schema of its own, which is resolved to ours. */
static freshet_status take_schema(void* context, const char* json, freshet_error* error) {
  importing* in = context;
  const freshet_transfer_spec* spec = &freshet_transfer_specs[in->file->kind];
  if (spec->record != NULL) return freshet_codec_add_schema(in->codec, json, &in->fingerprint, error);
  if (strcmp(json, spec->json) == 0) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "it has another schema than %s of this version", spec->plural);
}

static freshet_status read_files(importing* in, freshet_error* error) {
  const freshet_manifest* manifest = in->files->manifest;
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < manifest->file_count; i++) {
    char path[PATH_SIZE];
    in->file = manifest->files[i];
    snprintf(path, sizeof path, "%s/%s", in->files->folder, in->file->name);
    const freshet_container_reading reading = {
        .path = path, .sums = &in->file->sums, .schema = take_schema, .take = take_datum, .context = in};
    status = freshet_container_read(&reading, error);
  }
  return status;
}

static freshet_status judge_hash(const importing* in, freshet_error* error) {
  const uint64_t expected = in->files->manifest->state_hash;
  const uint64_t hash = in->users_hash ^ freshet_model_hash(in->model);
  if (hash == expected) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "the files give the state hash %016" PRIx64 ", and the export had %016" PRIx64
                           ": a setting of [model] differs from that of the export, or this version reads it "
                           "otherwise",
                           hash, expected);
}

static freshet_status pass(importing* in, const char* label, freshet_error* error) {
  const freshet_config* config = in->files->config;
  const freshet_stream_config worker = freshet_engine_worker_config(config);
  uint64_t total = 0;
  for (int kind = 0; kind < FRESHET_TRANSFER_KINDS; kind++)
    total += freshet_manifest_records(in->files->manifest, (freshet_transfer_kind)kind);
  in->now_ms = freshet_clock_now_ms(freshet_clock_system());
  in->progress = freshet_progress_create(label, total);
  freshet_status status = freshet_codec_create(&(freshet_codec_config){0}, &in->codec, error);
  if (status == FRESHET_OK) status = freshet_model_create(&worker.model, &in->model, error);
  if (status == FRESHET_OK) status = read_files(in, error);
  freshet_progress_destroy(in->progress);
  if (status == FRESHET_OK) status = judge_hash(in, error);
  freshet_model_destroy(in->model);
  freshet_codec_destroy(in->codec);
  freshet_buffer_free(&in->key);
  freshet_buffer_free(&in->value);
  return status;
}

freshet_status freshet_import_files_check(const freshet_import_files* files, freshet_import_position position,
                                          void* context, freshet_error* error) {
  importing in = {.files = files, .position = position, .position_context = context};
  return pass(&in, "checking records", error);
}

freshet_status freshet_import_files_send(const freshet_import_files* files, freshet_sink* sink,
                                         freshet_error* error) {
  importing in = {.files = files, .sink = sink};
  return pass(&in, "importing records", error);
}
