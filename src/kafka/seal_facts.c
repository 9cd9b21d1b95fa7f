/*
 * seal_facts.c: see seal_facts.h. It owns the table while it is used. It must not know what a record of state holds.
 */
#include "kafka/seal_facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/grow.h"
#include "kafka/seal.h"
#include "stream/clock.h"
#include "stream/read_to.h"

enum { READ_RECORDS = 256, READ_WAIT_MS = 50, STALL_MS = 30000, SETTLE_MS = 10000, NUMBER_SIZE = 24 };

static const char key_head[] = "log/";

typedef struct known_log {
  freshet_topic topic;
  int32_t partition;
  freshet_seal_fact fact;
} known_log;

struct freshet_seal_facts {
  const freshet_kafka_config* config; /* while they are read, for names of topics */
  known_log* known;                   /* [count] */
  size_t count, capacity;
};

static const freshet_seal_fact unknown = {.sealed = INT64_MAX};
static const freshet_seal_fact all_sealed = {.sealed = 0};

/* ---- as text ---- */

/* "log/TOPIC/PARTITION"; names of topics hold no slash. */
static bool parse_key(const freshet_kafka_config* config, freshet_slice key, freshet_topic* topic,
                      int32_t* partition) {
  const size_t head = strlen(key_head);
  if (key.size <= head || memcmp(key.data, key_head, head) != 0) return false;
  char* text = strndup(key.data + head, key.size - head);
  FRESHET_ASSERT(text != NULL);
  char *slash = strchr(text, '/'), *end = NULL;
  long number = slash == NULL ? -1 : strtol(slash + 1, &end, 10);
  bool is_right = slash != NULL && end != slash + 1 && *end == '\0' && number >= 0 && number < INT32_MAX;
  if (is_right) {
    *slash = '\0';
    *topic = FRESHET_TOPICS;
    for (int t = 0; t < FRESHET_TOPICS; t++) {
      if (config->topics[t] != NULL && strcmp(config->topics[t], text) == 0) *topic = (freshet_topic)t;
    }
    *partition = (int32_t)number;
    is_right = *topic != FRESHET_TOPICS;
  }
  free(text);
  return is_right;
}

static void parse_skipped(const char* at, freshet_seal_fact* fact) {
  freshet_skipped_record one;
  int used;
  size_t capacity = 0;
  while (fact->skipped_count < FRESHET_SKIPPED_MAX &&
         sscanf(at, " %" SCNd64 ":%" SCNx64 "%n", &one.offset, &one.sum, &used) == 2) {
    fact->skipped = freshet_grow(fact->skipped, &capacity, fact->skipped_count + 1, sizeof *fact->skipped);
    fact->skipped[fact->skipped_count++] = one;
    at += used;
  }
}

/* Words of later versions may follow. */
static bool parse_value(freshet_slice value, freshet_seal_fact* fact) {
  char* text = strndup(value.data == NULL ? "" : value.data, value.size);
  FRESHET_ASSERT(text != NULL);
  *fact = (freshet_seal_fact){0};
  bool is_right = sscanf(text, "sealed %" SCNd64 " looked %" SCNd64, &fact->sealed, &fact->looked) == 2;
  const char* skip = is_right ? strstr(text, " skip ") : NULL;
  if (skip != NULL) parse_skipped(skip + strlen(" skip"), fact);
  free(text);
  return is_right;
}

void freshet_seal_fact_write(const freshet_seal_fact* fact, const char* topic_name, int32_t partition,
                             freshet_buffer* key, freshet_buffer* value, freshet_output* output) {
  char text[4 * NUMBER_SIZE];
  key->size = value->size = 0;
  freshet_buffer_append(key, key_head, strlen(key_head));
  freshet_buffer_append(key, topic_name, strlen(topic_name));
  int size = snprintf(text, sizeof text, "/%d", (int)partition);
  freshet_buffer_append(key, text, (size_t)size);
  size = snprintf(text, sizeof text, "sealed %" PRId64 " looked %" PRId64 "%s", fact->sealed, fact->looked,
                  fact->skipped_count > 0 ? " skip" : "");
  freshet_buffer_append(value, text, (size_t)size);
  for (size_t i = 0; i < fact->skipped_count; i++) {
    size =
        snprintf(text, sizeof text, " %" PRId64 ":%" PRIx64, fact->skipped[i].offset, fact->skipped[i].sum);
    freshet_buffer_append(value, text, (size_t)size);
  }
  *output = (freshet_output){.topic = FRESHET_TOPIC_APP_GENERATIONS,
                             .partition = 0,
                             .key = freshet_buffer_slice(key),
                             .has_value = true,
                             .value = freshet_buffer_slice(value)};
}

/* ---- reading ---- */

static known_log* find(const freshet_seal_facts* facts, freshet_topic topic, int32_t partition) {
  for (size_t i = 0; facts != NULL && i < facts->count; i++) {
    known_log* log = &facts->known[i];
    if (log->topic == topic && (partition < 0 || log->partition == partition)) return log;
  }
  return NULL;
}

static void take(freshet_seal_facts* facts, const freshet_record* record) {
  freshet_topic topic;
  int32_t partition;
  freshet_seal_fact fact;
  if (!record->is_sealed || !record->has_value ||
      !parse_key(facts->config, record->key, &topic, &partition) || !parse_value(record->value, &fact))
    return;
  known_log* log = find(facts, topic, partition);
  if (log == NULL) {
    facts->known = freshet_grow(facts->known, &facts->capacity, facts->count + 1, sizeof *facts->known);
    log = &facts->known[facts->count++];
    *log = (known_log){.topic = topic, .partition = partition};
  }
  free(log->fact.skipped);
  log->fact = fact;
}

static freshet_status take_all(void* context, const freshet_record* records, size_t count,
                               freshet_error* error) {
  (void)error;
  for (size_t i = 0; i < count; i++) take(context, &records[i]);
  return FRESHET_OK;
}

static freshet_status read_from(freshet_seal_facts* facts, freshet_reader* reader, freshet_error* error) {
  freshet_partition end = {.topic = FRESHET_TOPIC_APP_GENERATIONS, .partition = 0};
  int64_t first;
  freshet_status status = freshet_reader_range(reader, end.topic, 0, &first, &end.offset, error);
  if (status != FRESHET_OK || first >= end.offset) return status;
  freshet_record* records = calloc(READ_RECORDS, sizeof *records);
  FRESHET_ASSERT(records != NULL);
  const freshet_reading reading = {.reader = reader,
                                   .clock = freshet_clock_system(),
                                   .logger = facts->config->logger,
                                   .stop = {facts->config->stopping, facts->config->stopping_context},
                                   .name = "facts about the logs of state",
                                   .wait_ms = READ_WAIT_MS,
                                   .stall_ms = STALL_MS,
                                   .records = records,
                                   .capacity = READ_RECORDS,
                                   .apply = take_all,
                                   .context = facts};
  status = freshet_reader_open(reader, end.topic, 0, FRESHET_OFFSET_BEGINNING, error);
  if (status == FRESHET_OK) status = freshet_read_to(&reading, &end, 1, error);
  free(records);
  return status;
}

freshet_status freshet_seal_facts_read(const freshet_kafka_config* config, freshet_seal_facts** out,
                                       freshet_error* error) {
  freshet_seal_facts* facts = calloc(1, sizeof *facts);
  FRESHET_ASSERT(facts != NULL);
  freshet_kafka_config plain = *config;
  freshet_reader* reader = NULL;
  freshet_status status = FRESHET_OK;
  plain.reads_strangers = true; /* a reader that asks for no facts */
  facts->config = &plain;
  if (config->topics[FRESHET_TOPIC_APP_GENERATIONS] != NULL) {
    freshet_error cause = {0};
    status = freshet_kafka_reader_create(&plain, &reader, &cause);
    if (status == FRESHET_OK) status = read_from(facts, reader, &cause);
    if (status == FRESHET_NOT_FOUND) status = FRESHET_OK;
    if (status != FRESHET_OK) freshet_error_set(error, status, cause.verdict, "%s", cause.message);
    freshet_reader_destroy(reader);
  }
  facts->config = NULL;
  if (status != FRESHET_OK) {
    freshet_seal_facts_destroy(facts);
    return status;
  }
  *out = facts;
  return FRESHET_OK;
}

void freshet_seal_facts_destroy(freshet_seal_facts* facts) {
  if (facts == NULL) return;
  for (size_t i = 0; i < facts->count; i++) free(facts->known[i].fact.skipped);
  free(facts->known);
  free(facts);
}

/* ---- what follows ---- */

freshet_seal_fact freshet_seal_facts_of(const freshet_seal_facts* facts, freshet_topic topic,
                                        int32_t partition) {
  const known_log* log = find(facts, topic, partition);
  if (log != NULL) return log->fact;
  return find(facts, topic, -1) != NULL ? all_sealed : unknown;
}

const char* freshet_seal_fact_refusal(const freshet_seal_fact* fact, const freshet_record* record) {
  if (record->stranger != NULL) return record->stranger;
  if (record->is_sealed || record->offset < fact->sealed) return NULL;
  return "it has no seal, so this app has not written it";
}

bool freshet_seal_fact_skips(const freshet_seal_fact* fact, const freshet_record* record) {
  for (size_t i = 0; i < fact->skipped_count; i++) {
    if (fact->skipped[i].offset == record->offset)
      return fact->skipped[i].sum == freshet_seal_sum(record->key, record->has_value, record->value);
  }
  return false;
}

/* ---- of new topics ---- */

static freshet_status is_empty(freshet_reader* reader, freshet_topic topic, bool* empty,
                               freshet_error* error) {
  int32_t partitions = 0;
  freshet_status status = freshet_reader_partitions(reader, topic, &partitions, error);
  *empty = status == FRESHET_OK;
  for (int32_t p = 0; status == FRESHET_OK && *empty && p < partitions; p++) {
    int64_t first, end = 0;
    status = freshet_reader_range(reader, topic, p, &first, &end, error);
    *empty = end == 0;
  }
  return status;
}

/* Which topics get a fact. Decided before any is written, for that makes their own topic one that is not empty. */
static freshet_status choose(const freshet_kafka_config* config, const freshet_seal_facts* facts,
                             const bool created[FRESHET_TOPICS], bool chosen[FRESHET_TOPICS],
                             freshet_error* error) {
  freshet_kafka_config plain = *config;
  freshet_reader* reader = NULL;
  plain.reads_strangers = true;
  freshet_status status = freshet_kafka_reader_create(&plain, &reader, error);
  for (int t = 0; status == FRESHET_OK && t < FRESHET_TOPICS; t++) {
    chosen[t] = created[t] && freshet_seal_is_of((freshet_topic)t);
    if (chosen[t] || !freshet_seal_is_of((freshet_topic)t) || config->topics[t] == NULL ||
        find(facts, (freshet_topic)t, -1) != NULL)
      continue;
    status = is_empty(reader, (freshet_topic)t, &chosen[t], error);
  }
  freshet_reader_destroy(reader);
  return status;
}

static freshet_status publish(const freshet_kafka_config* config, const bool chosen[FRESHET_TOPICS],
                              freshet_error* error) {
  freshet_kafka_config plain = *config;
  freshet_sink* sink = NULL;
  freshet_buffer key = {0}, value = {0};
  plain.transactional_id = NULL;
  freshet_status status = freshet_kafka_sink_create(&plain, NULL, &sink, error);
  for (int t = 0; status == FRESHET_OK && t < FRESHET_TOPICS; t++) {
    freshet_output output;
    if (!chosen[t]) continue;
    freshet_seal_fact_write(&all_sealed, config->topics[t], 0, &key, &value, &output);
    status = freshet_sink_publish(sink, &output, error);
  }
  if (status == FRESHET_OK) status = freshet_sink_settle(sink, SETTLE_MS, error);
  freshet_sink_destroy(sink);
  freshet_buffer_free(&key);
  freshet_buffer_free(&value);
  return status;
}

freshet_status freshet_seal_facts_begin(const freshet_kafka_config* config,
                                        const bool created[FRESHET_TOPICS], freshet_error* error) {
  bool chosen[FRESHET_TOPICS] = {false}, any = false;
  freshet_seal_facts* facts = NULL;
  if (config->topics[FRESHET_TOPIC_APP_GENERATIONS] == NULL) return FRESHET_OK;
  freshet_status status = freshet_seal_facts_read(config, &facts, error);
  if (status == FRESHET_OK) status = choose(config, facts, created, chosen, error);
  for (int t = 0; t < FRESHET_TOPICS; t++) any = any || chosen[t];
  if (status == FRESHET_OK && any) status = publish(config, chosen, error);
  freshet_seal_facts_destroy(facts);
  return status;
}
