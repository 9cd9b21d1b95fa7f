/*
 * sizes.c: asks for max.message.bytes of our topics through the admin API, one question at a time, and keeps the answers.
 */
#include "kafka/sizes.h"

#include <stdlib.h>
#include <string.h>

#include "kafka/questions.h"

enum {
  AGAIN_MS = 60000, /* an operator may raise a limit while we run */
  ANSWER_MS = 5000,
  LOOK_MS = 200,               /* between two looks whether to wait on, and whether to tell it */
  FRAME_BYTES = 512,           /* head of a batch and of its record, with room */
  SMALL_BATCH = 64 * 1024,     /* less is told */
  LEARNED_LEAST = 64 * 1024,   /* a smaller record was refused for what was beside it in its batch */
  CLIENT_LIMIT_USUAL = 1000000 /* librdkafka's default */
};

static void ask(freshet_kafka_sizes* sizes, const freshet_kafka_client* client) {
  rd_kafka_ConfigResource_t* resources[FRESHET_TOPICS];
  size_t count = 0;
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    if (client->config->topics[topic] != NULL)
      resources[count++] =
          rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, client->config->topics[topic]);
  }
  rd_kafka_AdminOptions_t* options =
      rd_kafka_AdminOptions_new(client->handle, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  rd_kafka_AdminOptions_set_request_timeout(options, ANSWER_MS, NULL, 0);
  sizes->answers = rd_kafka_queue_new(client->handle);
  rd_kafka_DescribeConfigs(client->handle, resources, count, options, sizes->answers);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_ConfigResource_destroy_array(resources, count);
}

void freshet_kafka_sizes_open(freshet_kafka_sizes* sizes, const freshet_kafka_client* client) {
  char text[32];
  size_t size = sizeof text;
  sizes->client_limit = CLIENT_LIMIT_USUAL;
  if (rd_kafka_conf_get(rd_kafka_conf(client->handle), "message.max.bytes", text, &size) == RD_KAFKA_CONF_OK)
    sizes->client_limit = strtoul(text, NULL, 10);
  sizes->next_question_ms = freshet_monotonic_ms() + AGAIN_MS;
  ask(sizes, client);
}

void freshet_kafka_sizes_close(freshet_kafka_sizes* sizes) {
  if (sizes->answers != NULL) rd_kafka_queue_destroy(sizes->answers);
  sizes->answers = NULL;
}

size_t freshet_kafka_sizes_limit(const freshet_kafka_sizes* sizes, freshet_topic topic) {
  size_t limit = atomic_load_explicit(&sizes->limits[topic], memory_order_relaxed);
  if (limit == 0 || limit > sizes->client_limit) limit = sizes->client_limit;
  return limit > FRAME_BYTES ? limit - FRAME_BYTES : 0;
}

size_t freshet_kafka_sizes_batch(const freshet_kafka_sizes* sizes, const freshet_kafka_config* config) {
  size_t least = FRESHET_KAFKA_BATCH_USUAL;
  const char* name = "";
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    const size_t most = atomic_load(&sizes->limits[topic]);
    /* Requests are only read. Events are forwarded and erased, and the demo writes items. */
    if (topic == FRESHET_TOPIC_REQUESTS || most == 0 || most >= least) continue;
    least = most;
    name = config->topics[topic];
  }
  if (least < SMALL_BATCH) {
    freshet_log_fact(
        config->logger, FRESHET_INFO, "kafka.small_batches",
        "topic=%s bytes=%zu message=\"all records are sent in batches of at most so many bytes: a larger "
        "max.message.bytes of the topic lets the process write faster\"",
        name, least);
  }
  return least;
}

void freshet_kafka_sizes_refused(freshet_kafka_sizes* sizes, freshet_topic topic, size_t bytes) {
  size_t limit = freshet_kafka_sizes_limit(sizes, topic);
  if (bytes > LEARNED_LEAST && bytes <= limit) atomic_store(&sizes->limits[topic], bytes - 1 + FRAME_BYTES);
}

static void read_topic(freshet_kafka_sizes* sizes, const freshet_kafka_client* client,
                       const rd_kafka_ConfigResource_t* resource) {
  size_t count = 0;
  freshet_topic topic = freshet_kafka_config_topic(client->config, rd_kafka_ConfigResource_name(resource));
  const rd_kafka_ConfigEntry_t** entries = rd_kafka_ConfigResource_configs(resource, &count);
  if (rd_kafka_ConfigResource_error(resource) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  for (size_t i = 0; i < count && topic < FRESHET_TOPICS; i++) {
    const char* value = rd_kafka_ConfigEntry_value(entries[i]);
    if (value != NULL && strcmp(rd_kafka_ConfigEntry_name(entries[i]), "max.message.bytes") == 0)
      atomic_store(&sizes->limits[topic], strtoul(value, NULL, 10));
  }
}

static void read_answer(freshet_kafka_sizes* sizes, const freshet_kafka_client* client,
                        rd_kafka_event_t* event) {
  if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  const rd_kafka_DescribeConfigs_result_t* result = rd_kafka_event_DescribeConfigs_result(event);
  size_t count = 0;
  const rd_kafka_ConfigResource_t** resources = rd_kafka_DescribeConfigs_result_resources(result, &count);
  for (size_t i = 0; i < count; i++) read_topic(sizes, client, resources[i]);
}

static void take_answer(freshet_kafka_sizes* sizes, const freshet_kafka_client* client, int within_ms) {
  if (sizes->answers == NULL) return;
  rd_kafka_event_t* event = rd_kafka_queue_poll(sizes->answers, within_ms);
  if (event == NULL) return;
  read_answer(sizes, client, event);
  rd_kafka_event_destroy(event);
  freshet_kafka_sizes_close(sizes);
}

/* Nobody answers: the cluster is there, and has no controller. */
static bool is_in_vain(const freshet_kafka_client* client) {
  const struct rd_kafka_metadata* metadata;
  if (rd_kafka_metadata(client->handle, 0, NULL, &metadata, LOOK_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return false;
  const bool has_controller = freshet_kafka_has_controller(client, metadata);
  rd_kafka_metadata_destroy(metadata);
  return !has_controller;
}

void freshet_kafka_sizes_await(freshet_kafka_sizes* sizes, freshet_kafka_client* client) {
  freshet_kafka_wait wait = freshet_kafka_wait_for(client, "the size limits of topics");
  for (int waited_ms = 0; sizes->answers != NULL && waited_ms < ANSWER_MS; waited_ms += LOOK_MS) {
    take_answer(sizes, client, LOOK_MS);
    if (sizes->answers == NULL) return;
    if (is_in_vain(client)) return;
    freshet_kafka_wait_tell(&wait, RD_KAFKA_RESP_ERR__TIMED_OUT);
  }
}

void freshet_kafka_sizes_poll(freshet_kafka_sizes* sizes, const freshet_kafka_client* client) {
  take_answer(sizes, client, 0);
  int64_t now_ms = freshet_monotonic_ms();
  if (sizes->answers != NULL || now_ms < sizes->next_question_ms) return;
  sizes->next_question_ms = now_ms + AGAIN_MS;
  ask(sizes, client);
}
