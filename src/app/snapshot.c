/* snapshot.c: see snapshot.h. */
#include "app/snapshot.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cluster.h"
#include "app/engine.h"
#include "app/schemas.h"
#include "app/text_encoder.h"
#include "rocksdb/rocksdb.h"
#include "worker/derived.h"
#include "worker/restore.h"

enum { FOLDER_SIZE = 512, BLOCK_CACHE = 32 << 20, MEMTABLES = 32 << 20, REMOVE_FILES = 16 };

struct freshet_snapshot {
  char folder[FOLDER_SIZE]; /* "": not made yet */
  freshet_kafka_property* properties;
  freshet_kafka_config kafka;
  freshet_schemas* schemas;
  freshet_stream_config config;
  freshet_worker_metrics metrics;
  freshet_sink sink; /* takes nothing */
  freshet_ports ports;
  freshet_serving serving;
  freshet_held* held;
  freshet_derived* derived;
  freshet_pick picks[FRESHET_SNAPSHOT_K_MAX];
};

static int remove_file(const char* path, const struct stat* about, int kind, struct FTW* at) {
  (void)about, (void)kind, (void)at;
  return remove(path);
}

/* ---- reading ---- */

static freshet_status make_store(freshet_snapshot* s, const freshet_config* config, freshet_error* error) {
  const char* temporary = getenv("TMPDIR");
  snprintf(s->folder, sizeof s->folder, "%s/freshet-snapshot-XXXXXX",
           temporary == NULL || temporary[0] == '\0' ? "/tmp" : temporary);
  if (mkdtemp(s->folder) == NULL) {
    freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "%s cannot be made: set TMPDIR to a folder with room",
                      s->folder);
    s->folder[0] = '\0';
    return FRESHET_IO;
  }
  const freshet_rocksdb_config store = {.folder = s->folder,
                                        .app_id = config->app.id,
                                        .block_cache_bytes = BLOCK_CACHE,
                                        .memtable_bytes = MEMTABLES};
  return freshet_rocksdb_create(&store, &s->ports.store, error);
}

static const char* topic_name(freshet_sink* self, freshet_topic topic) {
  const freshet_snapshot* s = (const freshet_snapshot*)((char*)self - offsetof(freshet_snapshot, sink));
  return s->kafka.topics[topic] != NULL ? s->kafka.topics[topic] : "";
}
static void destroy_nothing(freshet_sink* self) {
  (void)self;
}
static const freshet_sink_vtable no_sink = {.topic_name = topic_name, .destroy = destroy_nothing};

static freshet_status open_ports(freshet_snapshot* s, const freshet_config* config,
                                 const freshet_logger* logger, freshet_error* error) {
  freshet_ports* ports = &s->ports;
  ports->clock = freshet_clock_system();
  ports->logger = logger;
  ports->metrics = &s->metrics;
  s->sink.vtable = &no_sink;
  s->config = freshet_engine_worker_config(config);
  ports->outbox = freshet_outbox_create(&s->sink, s->config.delivery);
  freshet_status status = freshet_schemas_open_for("snapshot", config, &s->schemas, error);
  if (status != FRESHET_OK) return status;
  const freshet_codec_config codec = freshet_schemas_codec(s->schemas);
  status = freshet_codec_create(&codec, &ports->codec, error);
  if (status == FRESHET_OK) status = freshet_command_encoder_create(config, &ports->encoder, error);
  if (status == FRESHET_OK) status = make_store(s, config, error);
  if (status == FRESHET_OK) status = freshet_kafka_reader_create(&s->kafka, &ports->reader, error);
  if (status == FRESHET_OK) status = freshet_kafka_reader_create(&s->kafka, &ports->changelog, error);
  return status;
}

static freshet_status read_users(freshet_snapshot* s, int32_t partitions, freshet_error* error) {
  int32_t* all = calloc((size_t)partitions, sizeof *all);
  FRESHET_ASSERT(all != NULL);
  for (int32_t p = 0; p < partitions; p++) all[p] = p;
  freshet_status status = freshet_restore_users(&s->ports, all, (size_t)partitions, error);
  free(all);
  return status;
}

static freshet_status read_state(freshet_snapshot* s, freshet_error* error) {
  int32_t partitions;
  freshet_status status =
      freshet_reader_partitions(s->ports.reader, FRESHET_TOPIC_EVENTS, &partitions, error);
  if (status != FRESHET_OK) return status;
  s->held = freshet_held_create(NULL, &s->serving);
  const freshet_derived given = {.config = &s->config,
                                 .ports = &s->ports,
                                 .held = s->held,
                                 .serving = &s->serving,
                                 .user_partitions = partitions};
  s->derived = freshet_derived_create(&given, NULL, NULL, NULL);
  status = freshet_derived_load(s->derived, error);
  if (status == FRESHET_OK) status = freshet_items_catch_up(s->derived->items, error);
  if (status == FRESHET_OK) status = read_users(s, partitions, error);
  return status;
}

freshet_status freshet_snapshot_open(const freshet_config* config, const freshet_logger* logger,
                                     freshet_snapshot** out, freshet_error* error) {
  freshet_snapshot* s = calloc(1, sizeof *s);
  size_t count;
  FRESHET_ASSERT(s != NULL);
  s->properties = freshet_cluster_properties(config, NULL, 0, &count);
  s->kafka = (freshet_kafka_config){
      .properties = s->properties, .property_count = count, .app_id = config->app.id, .logger = logger};
  memcpy(s->kafka.topics, config->topics.names, sizeof s->kafka.topics);
  s->serving = (freshet_serving){.own = config->app.id, .base = config->app.base};
  freshet_status status = open_ports(s, config, logger, error);
  if (status == FRESHET_OK) status = read_state(s, error);
  if (status != FRESHET_OK) {
    freshet_snapshot_close(s);
    return status;
  }
  *out = s;
  return FRESHET_OK;
}

void freshet_snapshot_close(freshet_snapshot* s) {
  if (s == NULL) return;
  freshet_derived_destroy(s->derived);
  freshet_serving_reset(&s->serving);
  freshet_held_destroy(s->held);
  freshet_reader_destroy(s->ports.changelog);
  freshet_reader_destroy(s->ports.reader);
  freshet_outbox_destroy(s->ports.outbox);
  freshet_encoder_destroy(s->ports.encoder);
  freshet_store_destroy(s->ports.store);
  freshet_codec_destroy(s->ports.codec);
  freshet_schemas_close(s->schemas);
  if (s->folder[0] != '\0') nftw(s->folder, remove_file, REMOVE_FILES, FTW_DEPTH | FTW_PHYS);
  free(s->properties);
  free(s);
}

/* ---- lists ---- */

/* The user without an item, as a copy whose arrays are its own. What the vector has learned from the item stays. */
static freshet_user copy_without(const freshet_user* known, uint32_t slot) {
  freshet_user user = *known;
  user.recent_count = user.seen_count = 0;
  for (uint32_t i = 0; i < known->recent_count; i++) {
    if (known->recent[i].item != slot) user.recent[user.recent_count++] = known->recent[i];
  }
  user.seen = calloc((size_t)known->seen_count + 1, sizeof *user.seen);
  user.seen_how = calloc((size_t)known->seen_count + 1, sizeof *user.seen_how);
  FRESHET_ASSERT(user.seen != NULL && user.seen_how != NULL);
  for (uint32_t i = 0; i < known->seen_count; i++) {
    if (known->seen[i] == slot) continue;
    user.seen[user.seen_count] = known->seen[i];
    user.seen_how[user.seen_count++] = known->seen_how[i];
  }
  return user;
}

freshet_status freshet_snapshot_make(freshet_snapshot* s, const freshet_snapshot_wish* wish,
                                     freshet_snapshot_list* list, freshet_error* error) {
  const freshet_model* model = freshet_items_model(s->derived->items);
  freshet_user_row* row;
  list->is_known = false;
  list->count = 0;
  freshet_users_trim(s->derived->users);
  freshet_status status = freshet_users_get(s->derived->users, wish->partition, wish->user_id, &row, error);
  if (status != FRESHET_OK || !row->exists) return status;
  list->is_known = true;
  freshet_user_texts_see_to(s->derived->user_texts, row);
  uint32_t slot = wish->without.size == 0 ? FRESHET_NO_ITEM : freshet_model_find(model, wish->without);
  freshet_user user = copy_without(row->user, slot);
  freshet_ranking_task task = {
      .user = &user, .time_ms = wish->time_ms, .k = wish->k, .seed = row->hash, .picks = s->picks};
  status = freshet_ranking_run(s->derived->ranking, &task, 1, false, error);
  for (size_t i = 0; status == FRESHET_OK && i < task.count; i++)
    list->items[list->count++] = freshet_id_key(freshet_model_item_id(model, s->picks[i].item));
  free(user.seen);
  free(user.seen_how);
  return status;
}
