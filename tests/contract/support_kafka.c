#include "support_kafka.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_S = 60, BATCH = 512 };

freshet_error last_error;

freshet_error* fresh_error(void) {
  freshet_error_clear(&last_error);
  return &last_error;
}

static const char* const base_names[FRESHET_TOPICS] = {
    "events", "items",  "requests", "recommendations", "replies", "letters",
    "users",  "states", "deltas",   "generations",     "shadow"};

bool cluster_has_real(void) {
  return getenv("FRESHET_TEST_BOOTSTRAP") != NULL;
}

static void print_fact(void* context, freshet_log_level level, const char* event, const char* fields) {
  (void)context;
  if (level >= FRESHET_WARN) fprintf(stderr, "  %s %s\n", event, fields);
}
static const freshet_logger logger = {print_fact, NULL};

void cluster_property(cluster* c, const char* name, const char* value) {
  assert_true(c->config.property_count < PROPERTIES_MAX);
  c->properties[c->config.property_count++] = (freshet_kafka_property){name, value};
}

void cluster_start(cluster* c, bool real) {
  static int number;
  memset(c, 0, sizeof *c);
  number++;
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    snprintf(c->names[topic], sizeof c->names[topic], "t%ld-%d-%s", (long)getpid(), number,
             base_names[topic]);
    c->config.topics[topic] = c->names[topic];
  }
  snprintf(c->app_id, sizeof c->app_id, "t%ld-%d", (long)getpid(), number);
  snprintf(c->transactional_id, sizeof c->transactional_id, "t%ld-%d-tx", (long)getpid(), number);
  c->config.app_id = c->app_id;
  c->config.transactional_id = c->transactional_id;
  c->config.writes_beside = true;
  c->config.logger = &logger;
  c->config.properties = c->properties;
  if (real) {
    cluster_property(c, "bootstrap.servers", getenv("FRESHET_TEST_BOOTSTRAP"));
    bool created[FRESHET_TOPICS];
    assert_status(FRESHET_OK, freshet_kafka_topics_create(&c->config, PARTITIONS, 1, created, fresh_error()));
  } else {
    assert_status(FRESHET_OK,
                  freshet_kafka_embedded_create(c->config.topics, PARTITIONS, &c->embedded, fresh_error()));
    cluster_property(c, "bootstrap.servers", freshet_kafka_embedded_bootstrap(c->embedded));
  }
}

void cluster_stop(cluster* c) {
  freshet_kafka_embedded_destroy(c->embedded);
}

static freshet_status on_assigned(void* context, const freshet_partition* partitions, size_t count,
                                  freshet_error* error) {
  (void)error;
  group_log* log = context;
  log->assigned++;
  for (size_t i = 0; i < count; i++) {
    assert_false(log->owned[partitions[i].topic][partitions[i].partition]);
    log->owned[partitions[i].topic][partitions[i].partition] = true;
    log->start[partitions[i].topic][partitions[i].partition] = partitions[i].offset;
  }
  return FRESHET_OK;
}

static freshet_status on_revoked(void* context, const freshet_partition* partitions, size_t count, bool lost,
                                 freshet_error* error) {
  (void)error;
  group_log* log = context;
  log->revoked++;
  if (lost) log->lost++;
  if (log->on_revoked != NULL) log->on_revoked(log->context);
  for (size_t i = 0; i < count; i++) {
    assert_true(log->owned[partitions[i].topic][partitions[i].partition]);
    log->owned[partitions[i].topic][partitions[i].partition] = false;
  }
  return FRESHET_OK;
}

freshet_source* open_source(cluster* c, group_log* log, const char* instance_id) {
  static const freshet_topic topics[] = {FRESHET_TOPIC_EVENTS, FRESHET_TOPIC_REQUESTS};
  c->config.instance_id = instance_id;
  freshet_source* source;
  assert_status(FRESHET_OK, freshet_kafka_source_create(&c->config, topics, 2, &source, fresh_error()));
  freshet_kafka_source_set_handler(source, (freshet_source_handler){on_assigned, on_revoked, log});
  return source;
}

freshet_sink* open_sink(cluster* c, freshet_source* source) {
  freshet_sink* sink;
  assert_status(FRESHET_OK, freshet_kafka_sink_create(&c->config, source, &sink, fresh_error()));
  return sink;
}

freshet_reader* open_log(cluster* c) {
  freshet_reader* log;
  assert_status(FRESHET_OK, freshet_kafka_reader_create(&c->config, &log, fresh_error()));
  return log;
}

static void still_in_time(time_t since) {
  if (time(NULL) - since > WAIT_S) fail_msg("nothing more came within %d s", WAIT_S);
}

void join(freshet_source* source, group_log* log) {
  time_t since = time(NULL);
  int before = log->assigned;
  freshet_record records[1];
  size_t count = 0;
  while (log->assigned == before) {
    assert_status(FRESHET_OK, freshet_source_poll(source, 100, records, 1, &count, fresh_error()));
    if (log->assigned != before) assert_int_equal(count, 0);
    still_in_time(since);
  }
}

freshet_output output_of(freshet_topic topic, int32_t partition, const char* key, const char* value) {
  return (freshet_output){.topic = topic,
                          .partition = partition,
                          .key = freshet_slice_of(key),
                          .has_value = value != NULL,
                          .value = freshet_slice_of(value)};
}

void publish(freshet_sink* sink, freshet_topic topic, int32_t partition, const char* key, const char* value) {
  freshet_output output = output_of(topic, partition, key, value);
  assert_status(FRESHET_OK, freshet_sink_publish(sink, &output, fresh_error()));
}

void publish_numbers(freshet_sink* sink, freshet_topic topic, int32_t partition, int from, int to) {
  for (int i = from; i < to; i++) {
    char text[16];
    snprintf(text, sizeof text, "%d", i);
    publish(sink, topic, partition, text, text);
  }
}

void settle(freshet_sink* sink) {
  assert_status(FRESHET_OK, freshet_sink_settle(sink, WAIT_S * 1000, fresh_error()));
}

void begin(freshet_sink* sink) {
  assert_status(FRESHET_OK, freshet_sink_begin(sink, fresh_error()));
}

void write_one(freshet_sink* sink, freshet_topic topic, int32_t partition, const char* key,
               const char* value) {
  freshet_output output = output_of(topic, partition, key, value);
  assert_status(FRESHET_OK, freshet_sink_write(sink, &output, fresh_error()));
}

freshet_status commit(freshet_sink* sink, const freshet_partition* offsets, size_t count) {
  freshet_status status = freshet_sink_commit(sink, offsets, count, fresh_error());
  time_t since = time(NULL);
  if (status != FRESHET_OK) return status;
  while ((status = freshet_sink_outcome(sink, 50, fresh_error())) == FRESHET_TIMEOUT) still_in_time(since);
  return status;
}

void commit_at(freshet_sink* sink, freshet_topic topic, int32_t partition, int64_t offset) {
  freshet_partition at = {.topic = topic, .partition = partition, .offset = offset};
  assert_status(FRESHET_OK, commit(sink, &at, offset < 0 ? 0 : 1));
}

void expect_numbers(freshet_source* source, int32_t partition, int first, int wanted) {
  time_t since = time(NULL);
  freshet_record* records = calloc(BATCH, sizeof *records);
  for (int got = 0; got < wanted;) {
    size_t capacity = wanted - got < BATCH ? (size_t)(wanted - got) : BATCH, count;
    assert_status(FRESHET_OK, freshet_source_poll(source, 100, records, capacity, &count, fresh_error()));
    for (size_t i = 0; i < count; i++, got++) {
      assert_int_equal(records[i].partition, partition);
      char text[16] = "";
      memcpy(text, records[i].value.data, records[i].value.size < 15 ? records[i].value.size : 15);
      if (atoi(text) != first + got)
        fail_msg("record %s at offset %lld where %d was due", text, (long long)records[i].offset,
                 first + got);
    }
    still_in_time(since);
  }
  free(records);
}

int read_until(freshet_reader* log, freshet_topic topic, int32_t partition, int64_t from, int64_t position) {
  assert_status(FRESHET_OK, freshet_reader_open(log, topic, partition, from, fresh_error()));
  time_t since = time(NULL);
  freshet_record* records = calloc(BATCH, sizeof *records);
  int total = 0;
  int64_t last = -1;
  while (freshet_reader_position(log, topic, partition) < position) {
    size_t count;
    assert_status(FRESHET_OK, freshet_reader_poll(log, 50, records, BATCH, &count, fresh_error()));
    for (size_t i = 0; i < count; i++) {
      assert_true(records[i].offset > last);
      last = records[i].offset;
    }
    total += (int)count;
    still_in_time(since);
  }
  free(records);
  assert_status(FRESHET_OK, freshet_reader_shut(log, topic, partition, fresh_error()));
  return total;
}
