#include "commands/replay_output.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/codec.h"
#include "kafka/kafka.h"

enum { SETTLE_STEP_MS = 1000 };

/* A replay wants throughput and flat memory, the service latency. [kafka] overrides these. */
static const freshet_kafka_property tuning[] = {
    {"linger.ms", "20"},
    {"batch.size", "1000000"},
    {"batch.num.messages", "20000"},
    {"queue.buffering.max.messages", "100000"},
    {"queue.buffering.max.kbytes", "32768"},
    {"delivery.report.only.error", "true"},
};
enum { TUNINGS = sizeof tuning / sizeof tuning[0] };

struct freshet_replay_output {
  freshet_replay_output_config config;
  freshet_kafka_property* properties;
  freshet_kafka_config kafka;
  freshet_logger logger;
  freshet_schema_lookup lookup;
  freshet_codec* codec;
  freshet_sink* sink;
  freshet_buffer value;
};

static void write_log(void* context, freshet_log_level level, const char* event, const char* fields) {
  (void)context;
  if (level >= FRESHET_WARN) fprintf(stderr, "freshet replay: %s %s\n", event, fields);
}

static void fill_kafka(freshet_replay_output* output) {
  const freshet_config* config = output->config.config;
  output->properties = calloc(TUNINGS + config->kafka.count, sizeof *output->properties);
  FRESHET_ASSERT(output->properties != NULL);
  memcpy(output->properties, tuning, sizeof tuning);
  for (size_t i = 0; i < config->kafka.count; i++) {
    output->properties[TUNINGS + i] =
        (freshet_kafka_property){config->kafka.properties[i].name, config->kafka.properties[i].value};
  }
  output->logger.write = write_log;
  output->kafka = (freshet_kafka_config){
      .properties = output->properties,
      .property_count = TUNINGS + config->kafka.count,
      .app_id = config->app.id,
      .client_id = "freshet-replay",
      .logger = &output->logger,
      .stopping = output->config.stopping,
      .stopping_context = output->config.stopping_context,
  };
  output->kafka.topics[FRESHET_TOPIC_EVENTS] = config->topics.names[FRESHET_TOPIC_EVENTS];
  output->kafka.topics[FRESHET_TOPIC_ITEMS] = config->topics.names[FRESHET_TOPIC_ITEMS];
}

static freshet_status open_codec(freshet_replay_output* output, freshet_error* error) {
  const freshet_config* config = output->config.config;
  if (config->registry.ids[0] != '\0') {
    freshet_status status = freshet_schema_map_create(config->registry.ids, &output->lookup, error);
    if (status != FRESHET_OK) return status;
  }
  freshet_codec_config codec = {.lookup = output->lookup,
                                .output = (freshet_framing)config->registry.framing};
  return freshet_codec_create(&codec, &output->codec, error);
}

/* Before anything is published: a producer would only learn it much later. */
static freshet_status check_topics(const freshet_replay_output* output, freshet_error* error) {
  static const freshet_topic needed[] = {FRESHET_TOPIC_EVENTS, FRESHET_TOPIC_ITEMS};
  freshet_log* log = NULL;
  freshet_status status = freshet_kafka_log_create(&output->kafka, &log, error);
  for (size_t i = 0; status == FRESHET_OK && i < sizeof needed / sizeof needed[0]; i++) {
    int32_t partitions;
    status = log->vtable->partitions(log, needed[i], &partitions, error);
  }
  if (log != NULL) log->vtable->destroy(log);
  return status;
}

freshet_status freshet_replay_output_open(const freshet_replay_output_config* config,
                                          freshet_replay_output** out, freshet_error* error) {
  *out = NULL;
  freshet_replay_output* output = calloc(1, sizeof *output);
  FRESHET_ASSERT(output != NULL);
  output->config = *config;
  fill_kafka(output);
  freshet_status status = open_codec(output, error);
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
  if (output->sink != NULL) output->sink->vtable->destroy(output->sink);
  freshet_codec_destroy(output->codec);
  if (output->lookup.context != NULL) freshet_schema_map_destroy(&output->lookup);
  freshet_buffer_free(&output->value);
  free(output->properties);
  free(output);
}

static freshet_status publish(freshet_replay_output* output, freshet_topic topic, freshet_slice key,
                              int64_t time_ms, freshet_error* error) {
  freshet_output record = {.topic = topic,
                           .partition = -1,
                           .key = key,
                           .has_value = true,
                           .value = freshet_buffer_slice(&output->value),
                           .timestamp_ms = time_ms};
  return output->sink->vtable->publish(output->sink, &record, error);
}

freshet_status freshet_replay_output_event(freshet_replay_output* output, const freshet_event* event,
                                           freshet_error* error) {
  output->value.size = 0;
  freshet_status status = freshet_encode_event(output->codec, event, &output->value, error);
  if (status != FRESHET_OK) return status;
  return publish(output, FRESHET_TOPIC_EVENTS, event->user_id, event->occurred_at_ms, error);
}

freshet_status freshet_replay_output_item(freshet_replay_output* output, const freshet_item* item,
                                          freshet_error* error) {
  output->value.size = 0;
  freshet_status status = freshet_encode_item(output->codec, item, &output->value, error);
  return status == FRESHET_OK ? publish(output, FRESHET_TOPIC_ITEMS, item->item_id, 0, error) : status;
}

void freshet_replay_output_poll(freshet_replay_output* output) {
  output->sink->vtable->poll(output->sink);
}

/* A record is given up by librdkafka after message.timeout.ms, so this ends. */
freshet_status freshet_replay_output_settle(freshet_replay_output* output, freshet_error* error) {
  freshet_status status;
  do {
    freshet_error_clear(error);
    status = output->sink->vtable->settle(output->sink, SETTLE_STEP_MS, error);
  } while (status == FRESHET_TIMEOUT);
  return status;
}
