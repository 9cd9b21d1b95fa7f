/*
 * backfill_facts.c: reads the facts about app generations from their topic and writes new ones in a
 * transaction. It owns the reader, the writer and the facts. Which fact is right to write is the actions'
 * matter.
 */
#include <stdio.h>
#include <stdlib.h>

#include "commands/backfill/backfill.h"
#include "kafka/app_generations.h"
#include "stream/clock.h"

enum { POLL_MS = 50, STALL_MS = 30000, NAME_SIZE = 512 };

static int64_t now_ms(void) {
  freshet_clock* clock = freshet_clock_system();
  return freshet_clock_now_ms(clock);
}

freshet_status freshet_backfill_poll(freshet_backfill* backfill, int timeout_ms, freshet_error* error) {
  size_t count = 0;
  freshet_reader* log = backfill->log;
  freshet_status status =
      freshet_reader_poll(log, timeout_ms, backfill->records, FRESHET_BACKFILL_RECORDS, &count, error);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    if (backfill->records[i].topic == FRESHET_TOPIC_APP_GENERATIONS)
      status = freshet_serving_apply(&backfill->facts, backfill->codec, &backfill->records[i], error);
  }
  return status;
}

freshet_status freshet_backfill_catch_up(freshet_backfill* backfill, freshet_error* error) {
  freshet_reader* log = backfill->log;
  int64_t first, end, since_ms = now_ms();
  freshet_status status = freshet_reader_range(log, FRESHET_TOPIC_APP_GENERATIONS, 0, &first, &end, error);
  while (status == FRESHET_OK && freshet_reader_position(log, FRESHET_TOPIC_APP_GENERATIONS, 0) < end) {
    status = freshet_backfill_poll(backfill, POLL_MS, error);
    if (now_ms() - since_ms > STALL_MS)
      return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP, "topic %s gave nothing for %d s",
                               backfill->kafka.topics[FRESHET_TOPIC_APP_GENERATIONS], STALL_MS / 1000);
  }
  return status;
}

static freshet_status read_facts(freshet_backfill* backfill, freshet_error* error) {
  freshet_reader* log = backfill->log;
  int32_t partitions;
  freshet_status status = freshet_reader_partitions(log, FRESHET_TOPIC_EVENTS, &backfill->partitions, error);
  if (status == FRESHET_OK)
    status = freshet_reader_partitions(log, FRESHET_TOPIC_APP_GENERATIONS, &partitions, error);
  if (status == FRESHET_OK)
    status = freshet_reader_open(log, FRESHET_TOPIC_APP_GENERATIONS, 0, FRESHET_OFFSET_BEGINNING, error);
  if (status == FRESHET_OK) status = freshet_backfill_catch_up(backfill, error);
  return status;
}

freshet_status freshet_backfill_open(const freshet_config* config, freshet_backfill** out,
                                     freshet_error* error) {
  freshet_backfill* backfill = calloc(1, sizeof *backfill);
  FRESHET_ASSERT(backfill != NULL);
  backfill->config = config;
  backfill->facts = (freshet_serving){.own = config->app.id, .base = config->app.base};
  backfill->properties = calloc(config->kafka.count + 1, sizeof *backfill->properties);
  FRESHET_ASSERT(backfill->properties != NULL);
  for (size_t i = 0; i < config->kafka.count; i++) {
    backfill->properties[i] =
        (freshet_kafka_property){config->kafka.properties[i].name, config->kafka.properties[i].value};
  }
  backfill->kafka = (freshet_kafka_config){
      .properties = backfill->properties, .property_count = config->kafka.count, .app_id = config->app.id};
  memcpy(backfill->kafka.topics, config->topics.names, sizeof backfill->kafka.topics);
  freshet_status status = freshet_schemas_open_for("backfill", config, &backfill->schemas, error);
  if (status == FRESHET_OK) {
    const freshet_codec_config codec = freshet_schemas_codec(backfill->schemas);
    status = freshet_codec_create(&codec, &backfill->codec, error);
  }
  if (status == FRESHET_OK) status = freshet_kafka_reader_create(&backfill->kafka, &backfill->log, error);
  if (status == FRESHET_OK) status = read_facts(backfill, error);
  if (status != FRESHET_OK) {
    freshet_backfill_close(backfill);
    return status;
  }
  *out = backfill;
  return FRESHET_OK;
}

void freshet_backfill_close(freshet_backfill* backfill) {
  if (backfill == NULL) return;
  freshet_reader_destroy(backfill->log);
  freshet_codec_destroy(backfill->codec);
  freshet_schemas_close(backfill->schemas);
  freshet_serving_reset(&backfill->facts);
  freshet_buffer_free(&backfill->bytes);
  free(backfill->properties);
  free(backfill);
}

bool freshet_backfill_knows(const freshet_backfill* backfill, const char* generation) {
  for (size_t i = 0; i < backfill->facts.known_count; i++) {
    if (strcmp(backfill->facts.known[i], generation) == 0) return true;
  }
  return strcmp(backfill->facts.base, generation) == 0;
}

typedef freshet_status (*write_record)(freshet_sink* sink, const freshet_output* output,
                                       freshet_error* error);

static freshet_status write_all(freshet_backfill* backfill, freshet_sink* sink, write_record write,
                                freshet_serving_key kind, const freshet_app_generation_fact* facts,
                                size_t count, bool remove, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    char key[FRESHET_SERVING_KEY_SIZE];
    freshet_output output;
    freshet_app_generation_fact fact = facts[i];
    fact.at_ms = now_ms();
    status =
        freshet_serving_record(backfill->codec, kind, &fact, remove, key, &backfill->bytes, &output, error);
    if (status == FRESHET_OK) status = write(sink, &output, error);
  }
  return status;
}

static freshet_status commit(freshet_sink* sink, freshet_error* error) {
  freshet_status status = freshet_sink_commit(sink, NULL, 0, error);
  if (status == FRESHET_OK) status = freshet_sink_await_outcome(sink, error);
  return status;
}

/* The fact that an app generation is known has a key of its own and says the same from every writer. So
 * several generations may be started at the same moment. All other facts need one order: their writer takes
 * the one transactional id for it, and an earlier writer is fenced. */
freshet_status freshet_backfill_write(freshet_backfill* backfill, freshet_serving_key kind,
                                      const freshet_app_generation_fact* facts, size_t count, bool remove,
                                      freshet_error* error) {
  bool is_ordered = kind != FRESHET_SERVING_KNOWN;
  char transactional_id[NAME_SIZE];
  snprintf(transactional_id, sizeof transactional_id, "%s.generations", backfill->config->app.base);
  freshet_kafka_config kafka = backfill->kafka;
  kafka.transactional_id = is_ordered ? transactional_id : NULL;
  freshet_sink* sink = NULL;
  freshet_status status = freshet_kafka_sink_create(&kafka, NULL, &sink, error);
  if (status == FRESHET_OK && is_ordered) status = freshet_sink_begin(sink, error);
  if (status == FRESHET_OK)
    status = write_all(backfill, sink, is_ordered ? sink->vtable->write : sink->vtable->publish, kind, facts,
                       count, remove, error);
  if (status == FRESHET_OK)
    status = is_ordered ? commit(sink, error) : freshet_sink_settle(sink, STALL_MS, error);
  freshet_sink_destroy(sink);
  return status;
}

freshet_status freshet_backfill_find(freshet_backfill* backfill, const char* generation,
                                     freshet_backfill_place* place, freshet_error* error) {
  freshet_reader* log = backfill->log;
  int64_t* offsets = calloc((size_t)backfill->partitions, sizeof *offsets);
  FRESHET_ASSERT(offsets != NULL);
  *place = (freshet_backfill_place){0};
  freshet_status status =
      freshet_kafka_generation_members(&backfill->kafka, generation, &place->members, error);
  if (status == FRESHET_OK)
    status = freshet_kafka_generation_offsets(&backfill->kafka, generation, FRESHET_TOPIC_EVENTS,
                                              backfill->partitions, offsets, error);
  for (int32_t p = 0; status == FRESHET_OK && p < backfill->partitions; p++) {
    int64_t first, end;
    status = freshet_reader_range(log, FRESHET_TOPIC_EVENTS, p, &first, &end, error);
    int64_t next = offsets[p] < first ? first : offsets[p];
    place->total += end - first;
    place->learned += next - first;
    place->behind += end > next ? end - next : 0;
  }
  free(offsets);
  return status;
}
