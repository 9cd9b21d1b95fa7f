/*
 * embed_status.c: reads all text generations of an application from its topics, counts their vectors, prints
 * them, and drops one by tombstones. It owns the readers while it runs. It must not touch a state folder.
 */
#include "commands/embed_status.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/schemas.h"
#include "catalogue/item_text.h"
#include "catalogue/text_generations.h"
#include "codec/codec.h"
#include "commands/scan.h"
#include "kafka/kafka.h"
#include "stream/clock.h"

enum { SETTLE_MS = 30000 };

typedef struct item_status {
  uint64_t hash; /* hash of the text that its vector is made of; 0: no text */
  bool listed;
} item_status;

typedef struct generation_status {
  freshet_text_generation generation;
  uint64_t* hashes; /* [capacity] by slot: of the text that the vector stands for; 0: none */
} generation_status;

typedef struct status_reader {
  freshet_codec* codec;
  freshet_schemas* schemas;
  freshet_kafka_property* properties;
  freshet_kafka_config kafka;
  freshet_reader* log;
  freshet_model* names; /* only for its table of ids */
  item_status* items;   /* [capacity] by slot */
  size_t capacity;
  generation_status* generations; /* [generation_count] */
  size_t generation_count;
  freshet_text_generation serving;
  int64_t switches;
  bool has_serving;
  int64_t now_ms;
  freshet_buffer text;
} status_reader;

static freshet_status open_reader(status_reader* reader, const freshet_config* config, freshet_error* error) {
  reader->properties = calloc(config->kafka.count + 1, sizeof *reader->properties);
  FRESHET_ASSERT(reader->properties != NULL);
  for (size_t i = 0; i < config->kafka.count; i++) {
    reader->properties[i] =
        (freshet_kafka_property){config->kafka.properties[i].name, config->kafka.properties[i].value};
  }
  reader->kafka = (freshet_kafka_config){
      .properties = reader->properties, .property_count = config->kafka.count, .app_id = config->app.id};
  memcpy(reader->kafka.topics, config->topics.names, sizeof reader->kafka.topics);
  freshet_clock* clock = freshet_clock_system();
  reader->now_ms = freshet_clock_now_ms(clock);
  reader->capacity = (size_t)config->model.max_items;
  reader->items = calloc(reader->capacity, sizeof *reader->items);
  FRESHET_ASSERT(reader->items != NULL);
  freshet_model_config names = freshet_model_defaults();
  names.max_items = (uint32_t)config->model.max_items;
  names.dim = 16;
  freshet_status status = freshet_model_create(&names, &reader->names, error);
  if (status == FRESHET_OK) status = freshet_schemas_open_for("embed", config, &reader->schemas, error);
  if (status == FRESHET_OK) {
    const freshet_codec_config codec = freshet_schemas_codec(reader->schemas);
    status = freshet_codec_create(&codec, &reader->codec, error);
  }
  if (status == FRESHET_OK) status = freshet_kafka_reader_create(&reader->kafka, &reader->log, error);
  return status;
}

static void close_reader(status_reader* reader) {
  freshet_reader_destroy(reader->log);
  freshet_codec_destroy(reader->codec);
  freshet_schemas_close(reader->schemas);
  freshet_model_destroy(reader->names);
  for (size_t g = 0; g < reader->generation_count; g++) free(reader->generations[g].hashes);
  free(reader->generations);
  free(reader->items);
  free(reader->properties);
  freshet_buffer_free(&reader->text);
}

static void take_item(status_reader* reader, const freshet_record* record) {
  freshet_item item;
  uint32_t slot;
  if (!record->has_value) {
    slot = freshet_model_find(reader->names, record->key);
    if (slot != FRESHET_NO_ITEM) reader->items[slot] = (item_status){0};
    return;
  }
  if (freshet_decode_item(reader->codec, record->value, &item, NULL) != FRESHET_OK ||
      freshet_item_validate(&item, record->key, NULL) != FRESHET_OK ||
      freshet_model_intern(reader->names, item.item_id, &slot, NULL) != FRESHET_OK) {
    return;
  }
  bool expired = item.expires_at_ms != 0 && item.expires_at_ms <= reader->now_ms;
  reader->items[slot] = (item_status){.hash = freshet_item_text_hash(&item, &reader->text),
                                      .listed = item.available && !expired};
}

static generation_status* find_generation(status_reader* reader, const freshet_text_generation* wanted) {
  for (size_t g = 0; g < reader->generation_count; g++) {
    if (reader->generations[g].generation.tag == wanted->tag) return &reader->generations[g];
  }
  reader->generations =
      realloc(reader->generations, (reader->generation_count + 1) * sizeof *reader->generations);
  FRESHET_ASSERT(reader->generations != NULL);
  generation_status* made = &reader->generations[reader->generation_count++];
  *made = (generation_status){*wanted, calloc(reader->capacity, sizeof *made->hashes)};
  FRESHET_ASSERT(made->hashes != NULL);
  return made;
}

static void take_vector(status_reader* reader, const freshet_record* record, int32_t tag, freshet_slice id) {
  freshet_item_state state;
  uint32_t slot;
  if (freshet_model_intern(reader->names, id, &slot, NULL) != FRESHET_OK) return;
  if (!record->has_value) {
    for (size_t g = 0; g < reader->generation_count; g++) {
      if (reader->generations[g].generation.tag == tag) reader->generations[g].hashes[slot] = 0;
    }
    return;
  }
  if (freshet_decode_item_state(reader->codec, record->value, &state, NULL) != FRESHET_OK) return;
  freshet_text_generation of = freshet_text_generation_of(state.encoder, (uint32_t)state.embedding_dim);
  find_generation(reader, &of)->hashes[slot] = state.text_hash;
}

static void take_state(status_reader* reader, const freshet_record* record) {
  int32_t tag;
  freshet_slice id;
  freshet_text_generation_fact fact;
  if (freshet_text_generation_parse_key(record->key, &tag, &id)) {
    take_vector(reader, record, tag, id);
  } else if (freshet_slice_equal(record->key, freshet_text_generation_serving_key()) && record->has_value &&
             freshet_decode_text_generation_fact(reader->codec, record->value, &fact, NULL) == FRESHET_OK) {
    reader->serving = freshet_text_generation_of(fact.encoder, fact.dim);
    reader->switches = fact.switches;
    reader->has_serving = true;
  }
}

static freshet_status take_record(void* context, const freshet_record* record, freshet_error* error) {
  (void)error;
  if (record->topic == FRESHET_TOPIC_ITEMS) take_item(context, record);
  if (record->topic == FRESHET_TOPIC_ITEM_STATES) take_state(context, record);
  return FRESHET_OK;
}

static freshet_status read_topic(status_reader* reader, freshet_topic topic, freshet_error* error) {
  const freshet_scan scan = {.reader = reader->log,
                             .topic = topic,
                             .name = reader->kafka.topics[topic],
                             .take = take_record,
                             .context = reader};
  return freshet_scan_topic(&scan, error);
}

static size_t count_vectors(const status_reader* reader, const generation_status* g) {
  size_t vectors = 0;
  for (size_t slot = 0; slot < freshet_model_item_count(reader->names); slot++)
    vectors += g->hashes[slot] != 0;
  return vectors;
}

static void print_generation(const status_reader* reader, const generation_status* g, const char* role) {
  size_t vectors = count_vectors(reader, g), all = 0, covered = 0;
  for (size_t slot = 0; slot < freshet_model_item_count(reader->names); slot++) {
    const item_status* item = &reader->items[slot];
    if (!item->listed || item->hash == 0) continue;
    all++;
    covered += g->hashes[slot] == item->hash;
  }
  printf("%-48s %5u %9zu %9zu/%zu %8.2f %%  %s\n", g->generation.name, g->generation.dim, vectors, covered,
         all, all == 0 ? 100.0 : 100.0 * (double)covered / (double)all, role);
}

static void print_all(status_reader* reader, const freshet_encoder* encoder) {
  freshet_text_generation own = {0};
  if (reader->has_serving) find_generation(reader, &reader->serving);
  if (encoder != NULL) {
    own = freshet_text_generation_of(freshet_slice_of(encoder->name), encoder->dim);
    find_generation(reader, &own);
  }
  printf("%-48s %5s %9s %13s %10s\n", "encoder", "dim", "vectors", "listed items", "coverage");
  for (size_t i = 0; i < reader->generation_count; i++) {
    const generation_status* g = &reader->generations[i];
    bool serves = reader->has_serving && g->generation.tag == reader->serving.tag;
    bool is_own = g->generation.tag == own.tag;
    if (!serves && !is_own && count_vectors(reader, g) == 0) continue; /* dropped */
    print_generation(reader, g, serves ? "serves" : is_own ? "configured, being filled" : "kept");
  }
  printf("cutovers so far: %lld\n", (long long)reader->switches);
}

/* Everything that was read: the catalogue and the vectors of all text generations. */
static freshet_status read_everything(status_reader* reader, const freshet_config* config,
                                      freshet_error* error) {
  freshet_status status = open_reader(reader, config, error);
  if (status == FRESHET_OK) status = read_topic(reader, FRESHET_TOPIC_ITEMS, error);
  if (status == FRESHET_OK) status = read_topic(reader, FRESHET_TOPIC_ITEM_STATES, error);
  return status;
}

freshet_status freshet_embed_print_status(const freshet_config* config, const freshet_encoder* encoder,
                                          freshet_error* error) {
  status_reader* reader = calloc(1, sizeof *reader);
  FRESHET_ASSERT(reader != NULL);
  freshet_status status = read_everything(reader, config, error);
  if (status == FRESHET_OK) print_all(reader, encoder);
  close_reader(reader);
  free(reader);
  return status;
}

/* ---- dropping ---- */

static freshet_status find_droppable(const status_reader* reader, const freshet_encoder* encoder,
                                     const char* name, const generation_status** found,
                                     freshet_error* error) {
  if (reader->has_serving && strcmp(reader->serving.name, name) == 0) {
    return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                             "%s serves: change text.encoder and wait for the cutover first", name);
  }
  if (encoder != NULL && strcmp(encoder->name, name) == 0) {
    return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                             "%s is the configured encoder, a service would fill it again", name);
  }
  for (size_t g = 0; g < reader->generation_count; g++) {
    *found = &reader->generations[g];
    if (strcmp((*found)->generation.name, name) == 0) return FRESHET_OK;
  }
  return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP,
                           "no vectors of an encoder %s; `freshet embed --status` lists those there are",
                           name);
}

static freshet_status send_tombstones(const status_reader* reader, const generation_status* g,
                                      size_t* dropped, freshet_error* error) {
  freshet_sink* sink = NULL;
  freshet_buffer key = {0};
  freshet_status status = freshet_kafka_sink_create(&reader->kafka, NULL, &sink, error);
  size_t count = freshet_model_item_count(reader->names);
  for (uint32_t slot = 0; status == FRESHET_OK && slot < count; slot++) {
    if (g->hashes[slot] == 0) continue;
    key.size = 0;
    freshet_text_generation_key(g->generation.tag, freshet_model_item_id(reader->names, slot), &key);
    freshet_output tombstone = {
        .topic = FRESHET_TOPIC_ITEM_STATES, .partition = -1, .key = freshet_buffer_slice(&key)};
    status = freshet_sink_publish(sink, &tombstone, error);
    ++*dropped;
  }
  if (status == FRESHET_OK) status = freshet_sink_settle(sink, SETTLE_MS, error);
  freshet_sink_destroy(sink);
  freshet_buffer_free(&key);
  return status;
}

freshet_status freshet_embed_drop(const freshet_config* config, const freshet_encoder* encoder,
                                  const char* name, freshet_error* error) {
  status_reader* reader = calloc(1, sizeof *reader);
  FRESHET_ASSERT(reader != NULL);
  const generation_status* g = NULL;
  size_t dropped = 0;
  freshet_status status = read_everything(reader, config, error);
  if (status == FRESHET_OK) status = find_droppable(reader, encoder, name, &g, error);
  if (status == FRESHET_OK) status = send_tombstones(reader, g, &dropped, error);
  if (status == FRESHET_OK) printf("%s: %zu vectors dropped\n", name, dropped);
  close_reader(reader);
  free(reader);
  return status;
}
