/*
 * replay_output.c: publishes the records of a replay through an idempotent producer, and remembers the ends
 * of partitions for checkpoints. It owns the producer and the codec's buffers. It must not know where a
 * record came from.
 */
#include "commands/replay/replay_output.h"

#include <stdlib.h>

#include "app/cluster.h"
#include "commands/replay/replay_landed.h"
#include "stream/clock.h"

enum { SETTLE_STEP_MS = 1000 };

/* A replay wants throughput and flat memory, the service latency. [kafka] overrides these. One request at a time for a
 * broker: a request that overtakes a refused one would hide that its records are lost (freshet_kafka_delivered), and
 * there are no reports to tell. */
static const freshet_kafka_property tuning[] = {
    {"linger.ms", "20"},
    {"compression.codec", "lz4"},
    {"batch.size", "1000000"},
    {"batch.num.messages", "20000"},
    {"queue.buffering.max.messages", "100000"},
    {"queue.buffering.max.kbytes", "32768"},
    {"delivery.report.only.error", "true"},
    {"max.in.flight", "1"},
};
enum { TUNINGS = sizeof tuning / sizeof tuning[0] };

struct freshet_replay_output {
  freshet_replay_output_config config;
  freshet_kafka_property* properties;
  freshet_kafka_config kafka;
  freshet_logger logger;
  freshet_codec* codec;
  freshet_sink* sink;
  freshet_reader* log;           /* of the same topics: their ends, what has been published */
  freshet_replay_landed* landed; /* NULL: nothing is to be recalled */
  freshet_buffer value;
  uint64_t sent;
  int64_t oldest_ms;  /* the events topic does not keep what is older */
  int64_t room_bytes; /* nor more than this; INT64_MAX: no bound */
};

static void fill_kafka(freshet_replay_output* output) {
  const freshet_config* config = output->config.config;
  size_t count;
  output->properties = freshet_cluster_properties(config, tuning, TUNINGS, &count);
  output->logger = freshet_cluster_logger("replay");
  output->kafka = (freshet_kafka_config){
      .properties = output->properties,
      .property_count = count,
      .app_id = config->app.id,
      .partitioner = (freshet_partitioner)config->events.partitioner,
      .client_id = "freshet-replay",
      .logger = &output->logger,
      .stopping = output->config.stopping,
      .stopping_context = output->config.stopping_context,
  };
  output->kafka.topics[FRESHET_TOPIC_EVENTS] = config->topics.names[FRESHET_TOPIC_EVENTS];
  output->kafka.topics[FRESHET_TOPIC_ITEMS] = config->topics.names[FRESHET_TOPIC_ITEMS];
}

/* Kafka deletes by the time of a record, so history that is older than the retention goes at once. */
static freshet_status check_policy(freshet_replay_output* output, freshet_error* error) {
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_status status = freshet_kafka_topics_list(&output->kafka, info, error);
  const freshet_kafka_topic_info* events = &info[FRESHET_TOPIC_EVENTS];
  output->oldest_ms = INT64_MIN;
  output->room_bytes = INT64_MAX;
  if (status != FRESHET_OK || output->config.accepts_loss || !events->policy_known) return status;
  if (events->compacted) {
    return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                             "topic %s is compacted: of each user only the newest event would stay; set "
                             "cleanup.policy=delete and retention.ms=-1, or publish with --accept-loss",
                             output->kafka.topics[FRESHET_TOPIC_EVENTS]);
  }
  if (events->retention_ms >= 0)
    output->oldest_ms = freshet_clock_now_ms(freshet_clock_system()) - events->retention_ms;
  if (events->retention_bytes >= 0 && events->retention_bytes < INT64_MAX / INT32_MAX)
    output->room_bytes = events->retention_bytes * events->partitions;
  return FRESHET_OK;
}

/* Before anything is published: a producer would only learn it much later. */
static freshet_status check_topics(freshet_replay_output* output, freshet_error* error) {
  static const freshet_topic needed[] = {FRESHET_TOPIC_EVENTS, FRESHET_TOPIC_ITEMS};
  freshet_status status = freshet_kafka_reader_create(&output->kafka, &output->log, error);
  for (size_t i = 0; status == FRESHET_OK && i < sizeof needed / sizeof needed[0]; i++) {
    int32_t partitions;
    status = freshet_reader_partitions(output->log, needed[i], &partitions, error);
  }
  if (status == FRESHET_OK) status = check_policy(output, error);
  return status;
}

freshet_status freshet_replay_output_open(const freshet_replay_output_config* config,
                                          freshet_replay_output** out, freshet_error* error) {
  *out = NULL;
  freshet_replay_output* output = calloc(1, sizeof *output);
  FRESHET_ASSERT(output != NULL);
  output->config = *config;
  fill_kafka(output);
  freshet_status status = freshet_codec_create(config->codec, &output->codec, error);
  if (status == FRESHET_OK) status = check_topics(output, error);
  if (status == FRESHET_OK) status = freshet_kafka_sink_create(&output->kafka, NULL, &output->sink, error);
  if (status != FRESHET_OK) {
    freshet_replay_output_close(output);
    return status;
  }
  *out = output;
  return FRESHET_OK;
}

void freshet_replay_output_close(freshet_replay_output* output) {
  if (output == NULL) return;
  freshet_sink_destroy(output->sink);
  freshet_reader_destroy(output->log);
  freshet_replay_landed_destroy(output->landed);
  freshet_codec_destroy(output->codec);
  freshet_buffer_free(&output->value);
  free(output->properties);
  free(output);
}

static freshet_status publish(freshet_replay_output* output, freshet_topic topic, freshet_slice key,
                              bool has_value, int64_t time_ms, freshet_error* error) {
  freshet_output record = {.topic = topic,
                           .partition = -1,
                           .key = key,
                           .has_value = has_value,
                           .value = freshet_buffer_slice(&output->value),
                           .timestamp_ms = time_ms};
  if (topic == FRESHET_TOPIC_EVENTS && has_value && output->landed != NULL &&
      freshet_replay_landed_take(output->landed, key, record.value)) {
    return FRESHET_OK;
  }
  output->sent++;
  return freshet_sink_publish(output->sink, &record, error);
}

freshet_status freshet_replay_output_event(freshet_replay_output* output, const freshet_event* event,
                                           int64_t time_ms, freshet_error* error) {
  if (time_ms < output->oldest_ms) {
    return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                             "event %.*s is older than topic %s keeps records (retention.ms): Kafka would "
                             "delete it at once; set retention.ms=-1, or publish with --accept-loss",
                             (int)event->event_id.size, event->event_id.data,
                             output->kafka.topics[FRESHET_TOPIC_EVENTS]);
  }
  output->value.size = 0;
  freshet_status status = freshet_encode_event(output->codec, event, &output->value, error);
  if (status != FRESHET_OK) return status;
  if (output->room_bytes < (int64_t)output->value.size)
    return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                             "the events are larger than what topic %s keeps (retention.bytes of each "
                             "partition): Kafka would delete the first ones; set retention.bytes=-1, or "
                             "publish with --accept-loss",
                             output->kafka.topics[FRESHET_TOPIC_EVENTS]);
  if (output->room_bytes != INT64_MAX) output->room_bytes -= (int64_t)output->value.size;
  return publish(output, FRESHET_TOPIC_EVENTS, event->user_id, true, time_ms, error);
}

freshet_status freshet_replay_output_item(freshet_replay_output* output, const freshet_item* item,
                                          int64_t time_ms, freshet_error* error) {
  output->value.size = 0;
  freshet_status status = freshet_encode_item(output->codec, item, &output->value, error);
  if (status != FRESHET_OK) return status;
  return publish(output, FRESHET_TOPIC_ITEMS, item->item_id, true, time_ms, error);
}

freshet_status freshet_replay_output_tombstone(freshet_replay_output* output, bool is_event,
                                               freshet_slice key, int64_t time_ms, freshet_error* error) {
  output->value.size = 0;
  return publish(output, is_event ? FRESHET_TOPIC_EVENTS : FRESHET_TOPIC_ITEMS, key, false, time_ms, error);
}

/* ---- after a crash ---- */

freshet_status freshet_replay_output_mark(freshet_replay_output* output, freshet_buffer* mark,
                                          freshet_error* error) {
  return freshet_replay_landed_mark(output->log, FRESHET_TOPIC_EVENTS, mark, error);
}

freshet_status freshet_replay_output_recall(freshet_replay_output* output, const char* mark, bool* whole,
                                            freshet_error* error) {
  FRESHET_ASSERT(output->landed == NULL);
  return freshet_replay_landed_read(output->log, FRESHET_TOPIC_EVENTS, mark, &output->landed, whole, error);
}

bool freshet_replay_output_recalls(const freshet_replay_output* output) {
  return output->landed != NULL && freshet_replay_landed_left(output->landed) > 0;
}

void freshet_replay_output_forget(freshet_replay_output* output) {
  freshet_replay_landed_destroy(output->landed);
  output->landed = NULL;
}

/* ---- waiting ---- */

uint64_t freshet_replay_output_sent(const freshet_replay_output* output) {
  return output->sent;
}

void freshet_replay_output_poll(freshet_replay_output* output) {
  freshet_sink_poll(output->sink);
}

/* A record is given up by librdkafka after message.timeout.ms, so this ends. */
freshet_status freshet_replay_output_settle(freshet_replay_output* output, freshet_error* error) {
  freshet_status status;
  do {
    freshet_error_clear(error);
    status = freshet_sink_settle(output->sink, SETTLE_STEP_MS, error);
  } while (status == FRESHET_TIMEOUT);
  return status;
}
