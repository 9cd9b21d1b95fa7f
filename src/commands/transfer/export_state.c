/*
 * export_state.c: see export_state.h. First everything is read once, which may take long. Then what has come since is
 * read again and again, until a reading ends at a point at which nothing was written meanwhile.
 */
#include "commands/transfer/export_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cluster.h"
#include "app/engine.h"
#include "app/schemas.h"
#include "commands/progress.h"
#include "kafka/still_point.h"
#include "rocksdb/rocksdb.h"
#include "stream/read_to.h"
#include "users/user_records.h"

enum {
  POLL_RECORDS = 2048,
  POLL_WAIT_MS = 20,
  SLICE_US = 100000, /* of reading items, between two looks at what is there */
  STALL_MS = 90000,  /* longer than any transaction may stay open */
  WRITE_BYTES = 4 << 20,
  POINT_MS = 60000, /* for finding a moment without a commit */
  PAUSE_US = 7000,
  CACHE_BYTES = 16 << 20,
};

typedef struct gathering {
  freshet_export_state state; /* first: it is what the caller holds */
  const freshet_config* config;
  freshet_schemas* schemas;
  freshet_kafka_property* properties;
  freshet_kafka_config kafka;
  freshet_logger logger;
  freshet_worker_metrics metrics;
  freshet_serving serving;
  freshet_stream_config worker;
  freshet_ports ports;
  freshet_kafka_still_point* point;
  freshet_record* records; /* [POLL_RECORDS] */
  freshet_partition*
      places;              /* [place_count] ends of the topics of the state; users come first, [partitions] */
  freshet_partition* seen; /* [place_count] */
  size_t place_count;
  size_t unwritten; /* bytes in the store's batch */
  uint64_t applied; /* records of the changelog */
  freshet_progress* progress;
} gathering;

/* ---- opening ---- */

static void fill_kafka(gathering* g) {
  const freshet_config* config = g->config;
  size_t count;
  g->logger = freshet_cluster_logger("export");
  g->properties = freshet_cluster_properties(config, NULL, 0, &count);
  g->kafka = (freshet_kafka_config){.properties = g->properties,
                                    .property_count = count,
                                    .app_id = config->app.id,
                                    .client_id = "freshet-export",
                                    .logger = &g->logger};
  memcpy(g->kafka.topics, config->topics.names, sizeof g->kafka.topics);
}

static freshet_status open_ports(gathering* g, const char* folder, freshet_error* error) {
  freshet_ports* ports = &g->ports;
  const freshet_rocksdb_config rocksdb = {.folder = folder,
                                          .app_id = g->config->app.id,
                                          .block_cache_bytes = CACHE_BYTES,
                                          .memtable_bytes = CACHE_BYTES};
  ports->clock = freshet_clock_system();
  ports->logger = &g->logger;
  ports->metrics = &g->metrics;
  freshet_status status = freshet_schemas_open_for("export", g->config, &g->schemas, error);
  if (status != FRESHET_OK) return status;
  const freshet_codec_config codec = freshet_schemas_codec(g->schemas);
  status = freshet_codec_create(&codec, &g->state.codec, error);
  ports->codec = g->state.codec;
  if (status == FRESHET_OK) status = freshet_rocksdb_create(&rocksdb, &g->state.store, error);
  ports->store = g->state.store;
  if (status == FRESHET_OK) status = freshet_kafka_reader_create(&g->kafka, &ports->reader, error);
  if (status == FRESHET_OK) status = freshet_kafka_reader_create(&g->kafka, &ports->changelog, error);
  if (status == FRESHET_OK) status = freshet_kafka_still_point_open(&g->kafka, &g->point, error);
  if (status == FRESHET_OK)
    freshet_kafka_still_point_cluster(g->point, g->state.cluster, sizeof g->state.cluster);
  return status;
}

/* ---- places ---- */

static size_t add_places(freshet_partition* places, size_t at, freshet_topic topic, int32_t count) {
  for (int32_t p = 0; p < count; p++)
    places[at++] = (freshet_partition){.topic = topic, .partition = p, .offset = -1};
  return at;
}

static void list_places(gathering* g, const freshet_kafka_topic_info* info) {
  const int32_t users = info[FRESHET_TOPIC_USERS].partitions;
  const int32_t states = info[FRESHET_TOPIC_ITEM_STATES].partitions;
  const int32_t events = info[FRESHET_TOPIC_EVENTS].partitions;
  const int32_t items = info[FRESHET_TOPIC_ITEMS].partitions;
  const int32_t requests = info[FRESHET_TOPIC_REQUESTS].partitions;
  g->places = calloc((size_t)(users + states + 1), sizeof *g->places);
  g->seen = calloc((size_t)(users + states + 1), sizeof *g->seen);
  g->state.positions = calloc((size_t)(events + items + requests + 1), sizeof *g->state.positions);
  FRESHET_ASSERT(g->places != NULL && g->seen != NULL && g->state.positions != NULL);
  size_t at = add_places(g->places, 0, FRESHET_TOPIC_USERS, users);
  at = add_places(g->places, at, FRESHET_TOPIC_ITEM_STATES, states);
  g->place_count = add_places(g->places, at, FRESHET_TOPIC_ITEM_DELTAS, 1);
  at = add_places(g->state.positions, 0, FRESHET_TOPIC_EVENTS, events);
  at = add_places(g->state.positions, at, FRESHET_TOPIC_ITEMS, items);
  g->state.position_count = add_places(g->state.positions, at, FRESHET_TOPIC_REQUESTS, requests);
  g->state.partitions = users;
}

/* ---- users ---- */

static freshet_status apply_users(void* context, const freshet_record* records, size_t count,
                                  freshet_error* error) {
  gathering* g = context;
  freshet_store* store = g->state.store;
  const freshet_user_records reading = {g->state.codec, &g->logger, &g->metrics,
                                        g->kafka.topics[FRESHET_TOPIC_USERS]};
  for (size_t i = 0; i < count; i++) {
    const freshet_record* r = &records[i];
    bool is_usable;
    freshet_status status = freshet_user_record_judge(&reading, r, &is_usable, error);
    if (status != FRESHET_OK) return status;
    if (!is_usable) continue;
    if (r->has_value)
      freshet_store_put(store, FRESHET_FAMILY_USERS, r->partition, r->key, r->value);
    else
      freshet_store_remove(store, FRESHET_FAMILY_USERS, r->partition, r->key);
    g->unwritten += r->key.size + r->value.size;
  }
  g->applied += count;
  if (g->progress != NULL) freshet_progress_show(g->progress, g->applied);
  if (g->unwritten < WRITE_BYTES) return FRESHET_OK;
  g->unwritten = 0;
  return freshet_store_write(store, error);
}

static freshet_status follow_users(gathering* g, freshet_error* error) {
  const freshet_reading reading = {.reader = g->ports.changelog,
                                   .clock = g->ports.clock,
                                   .logger = &g->logger,
                                   .name = "read the users",
                                   .wait_ms = POLL_WAIT_MS,
                                   .stall_ms = STALL_MS,
                                   .records = g->records,
                                   .capacity = POLL_RECORDS,
                                   .apply = apply_users,
                                   .context = g};
  return freshet_read_to(&reading, g->places, (size_t)g->state.partitions, error);
}

/* ---- items ---- */

static bool items_are_there(const gathering* g) {
  for (size_t i = (size_t)g->state.partitions; i < g->place_count; i++) {
    const freshet_partition* place = &g->places[i];
    if (freshet_reader_position(g->ports.reader, place->topic, place->partition) < place->offset)
      return false;
  }
  return true;
}

/* An open transaction may hold the reader up, as in every reading of committed records. */
static freshet_status follow_items(gathering* g, freshet_error* error) {
  const int64_t start_us = freshet_clock_monotonic_us(g->ports.clock);
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && !items_are_there(g)) {
    status = freshet_items_poll(g->state.items, SLICE_US, error);
    if (freshet_clock_monotonic_us(g->ports.clock) - start_us > STALL_MS * INT64_C(1000))
      return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP,
                               "topics of the items give nothing for %d s: is a transaction open?",
                               STALL_MS / 1000);
    if (status == FRESHET_OK && !freshet_items_are_behind(g->state.items)) usleep(1000);
  }
  return status;
}

/* ---- the point ---- */

static bool is_still(const gathering* g) {
  for (size_t i = 0; i < g->place_count; i++) {
    if (g->seen[i].offset != g->places[i].offset) return false;
  }
  return true;
}

/* Reads to the ends as of now; *found: then nothing had been written meanwhile, and the positions belong to it. */
static freshet_status try_point(gathering* g, bool* found, freshet_error* error) {
  freshet_status status = freshet_kafka_still_point_ends(g->point, g->places, g->place_count, error);
  if (status == FRESHET_OK) status = follow_users(g, error);
  if (status == FRESHET_OK) status = follow_items(g, error);
  if (status == FRESHET_OK)
    status =
        freshet_kafka_still_point_committed(g->point, g->state.positions, g->state.position_count, error);
  memcpy(g->seen, g->places, g->place_count * sizeof *g->seen);
  if (status == FRESHET_OK) status = freshet_kafka_still_point_ends(g->point, g->seen, g->place_count, error);
  *found = status == FRESHET_OK && is_still(g);
  return status;
}

static freshet_status find_point(gathering* g, freshet_error* error) {
  const int64_t start_us = freshet_clock_monotonic_us(g->ports.clock);
  bool found = false;
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && !found) {
    freshet_error why = {0};
    status = try_point(g, &found, &why);
    const bool is_over = freshet_clock_monotonic_us(g->ports.clock) - start_us > POINT_MS * INT64_C(1000);
    /* A broker that is slow for a moment, or a transaction that is, is no reason to read everything again. */
    if (status == FRESHET_UNAVAILABLE && !is_over) status = FRESHET_OK;
    if (status != FRESHET_OK) return freshet_error_set(error, status, FRESHET_STOP, "%s", why.message);
    if (found) break;
    if (is_over)
      return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP,
                               "no moment without a commit within %d s: raise state.commit_interval_ms for "
                               "the time of the export, "
                               "or stop the app",
                               POINT_MS / 1000);
    usleep(PAUSE_US);
  }
  return status;
}

/* ---- all ---- */

static freshet_status check_topics(gathering* g, freshet_kafka_topic_info* info, freshet_error* error) {
  static const freshet_topic needed[] = {FRESHET_TOPIC_EVENTS, FRESHET_TOPIC_ITEMS, FRESHET_TOPIC_USERS,
                                         FRESHET_TOPIC_ITEM_STATES, FRESHET_TOPIC_ITEM_DELTAS};
  freshet_status status = freshet_kafka_topics_list(&g->kafka, info, error);
  for (size_t i = 0; status == FRESHET_OK && i < sizeof needed / sizeof needed[0]; i++) {
    if (info[needed[i]].partitions > 0) continue;
    status = freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP,
                               "topic %s does not exist: is app.id = %s the app whose state is wanted?",
                               g->kafka.topics[needed[i]], g->config->app.id);
  }
  return status;
}

static freshet_status open_users(gathering* g, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (int32_t p = 0; status == FRESHET_OK && p < g->state.partitions; p++)
    status = freshet_reader_open(g->ports.changelog, FRESHET_TOPIC_USERS, p, FRESHET_OFFSET_BEGINNING, error);
  return status;
}

/* What takes long, before the point is looked for. */
static freshet_status read_once(gathering* g, freshet_error* error) {
  freshet_status status = open_users(g, error);
  g->progress = freshet_progress_create("reading rows of users", 0);
  if (status == FRESHET_OK)
    status = freshet_kafka_still_point_ends(g->point, g->places, g->place_count, error);
  if (status == FRESHET_OK) status = follow_users(g, error);
  freshet_progress_destroy(g->progress);
  g->progress = NULL;
  if (status == FRESHET_OK)
    status = freshet_items_create(&g->worker, &g->ports, &g->serving, &g->state.items, error);
  return status;
}

static freshet_status gather(gathering* g, const char* folder, freshet_error* error) {
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  fill_kafka(g);
  freshet_status status = check_topics(g, info, error);
  if (status != FRESHET_OK) return status;
  list_places(g, info);
  status = open_ports(g, folder, error);
  if (status == FRESHET_OK) status = read_once(g, error);
  if (status == FRESHET_OK) status = find_point(g, error);
  if (status == FRESHET_OK) status = freshet_store_write(g->state.store, error);
  if (status != FRESHET_OK || g->metrics.items_awaiting_schema == 0) return status;
  return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP,
                           "%llu records of %s wait for the schema registry: they would be missing",
                           (unsigned long long)g->metrics.items_awaiting_schema,
                           g->kafka.topics[FRESHET_TOPIC_ITEMS]);
}

freshet_status freshet_export_state_open(const freshet_config* config, const char* folder,
                                         freshet_export_state** out, freshet_error* error) {
  gathering* g = calloc(1, sizeof *g);
  FRESHET_ASSERT(g != NULL);
  g->config = config;
  g->worker = freshet_engine_worker_config(config);
  g->worker.model.max_items = FRESHET_ITEMS_MAX; /* whatever has been learned goes along: nothing is parked */
  g->records = calloc(POLL_RECORDS, sizeof *g->records);
  FRESHET_ASSERT(g->records != NULL);
  *out = &g->state;
  return gather(g, folder, error);
}

void freshet_export_state_close(freshet_export_state* state) {
  if (state == NULL) return;
  gathering* g = (gathering*)state;
  freshet_items_destroy(state->items);
  freshet_serving_reset(&g->serving);
  freshet_kafka_still_point_close(g->point);
  freshet_reader_destroy(g->ports.reader);
  freshet_reader_destroy(g->ports.changelog);
  freshet_store_destroy(state->store);
  freshet_codec_destroy(state->codec);
  freshet_schemas_close(g->schemas);
  free(state->positions);
  free(g->places);
  free(g->seen);
  free(g->records);
  free(g->properties);
  free(g);
}
