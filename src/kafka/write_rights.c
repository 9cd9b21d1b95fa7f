/*
 * write_rights.c: see write_rights.h. A compacted topic takes no record without a key, and no topic takes one that is
 * larger than its max.message.bytes. Brokers check rights before either.
 */
#include "kafka/write_rights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/client.h"

enum { ANSWERS_MS = 3000, LARGEST_TRIAL = 4 << 20, ROOM = 1024, POLL_MS = 20 };

typedef struct trying {
  freshet_kafka_client client;
  size_t waiting; /* trials without an answer */
} trying;

static const char* name_of(const freshet_kafka_client* client, const freshet_write_trial* trial) {
  return client->config->topics[trial->topic];
}

static void judge(const freshet_kafka_client* client, freshet_write_trial* trial, rd_kafka_resp_err_t code) {
  char right[FRESHET_KAFKA_RIGHT_SIZE];
  const char* name = name_of(client, trial);
  switch (code) {
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
      trial->right = FRESHET_WRITE_GRANTED;
      return;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      trial->right = FRESHET_WRITE_DENIED;
      snprintf(trial->why, sizeof trial->why, "topic %s: access is denied%s; grant Write on it", name,
               freshet_kafka_right(client, code, name, right));
      return;
    default:
      snprintf(trial->why, sizeof trial->why, "topic %s: %s", name, rd_kafka_err2str(code));
  }
}

static void on_delivered(rd_kafka_t* handle, const rd_kafka_message_t* message, void* opaque) {
  (void)handle;
  freshet_kafka_client* client = opaque;
  ((trying*)client->owner)->waiting--;
  judge(client, message->_private, message->err);
}

static void send_trial(trying* t, freshet_write_trial* trial, const freshet_kafka_topic_info* info) {
  const bool is_bounded = info->max_message_bytes > 0 && info->max_message_bytes <= LARGEST_TRIAL;
  snprintf(trial->why, sizeof trial->why, "topic %s: it cannot be tried without writing to it",
           name_of(&t->client, trial));
  if (!info->policy_known || (!info->compacted && !is_bounded)) return;
  const size_t size = info->compacted ? 1 : (size_t)info->max_message_bytes + ROOM;
  char* bytes = malloc(size);
  FRESHET_ASSERT(bytes != NULL);
  memset(bytes, 'x', size);
  int code =
      rd_kafka_produce(t->client.topics[trial->topic], 0, RD_KAFKA_MSG_F_COPY, bytes, size, NULL, 0, trial);
  free(bytes);
  if (code == 0) t->waiting++;
}

/* The settings, with what lets a record leave that is too large for its topic; the caller frees. */
static freshet_kafka_property* properties_of(const freshet_kafka_config* config, size_t* count) {
  static const freshet_kafka_property more[] = {{"compression.codec", "none"},
                                                {"message.max.bytes", "8388608"}};
  enum { MORE = sizeof more / sizeof more[0] };
  freshet_kafka_property* properties = calloc(config->property_count + MORE, sizeof *properties);
  FRESHET_ASSERT(properties != NULL);
  memcpy(properties, config->properties, config->property_count * sizeof *properties);
  memcpy(properties + config->property_count, more, sizeof more);
  *count = config->property_count + MORE;
  return properties;
}

void freshet_kafka_write_rights(const freshet_kafka_config* config,
                                const freshet_kafka_topic_info info[FRESHET_TOPICS],
                                freshet_write_trial* trials, size_t count) {
  freshet_kafka_config with = *config;
  freshet_kafka_property* properties = properties_of(config, &with.property_count);
  trying t = {0};
  freshet_error error = {0};
  with.properties = properties;
  const freshet_kafka_callbacks callbacks = {.delivered = on_delivered};
  freshet_status status =
      freshet_kafka_client_open(&t.client, &with, FRESHET_KAFKA_PUBLISHER, callbacks, &t, &error);
  for (size_t i = 0; i < count; i++) {
    trials[i].right = FRESHET_WRITE_UNKNOWN;
    if (status == FRESHET_OK)
      send_trial(&t, &trials[i], &info[trials[i].topic]);
    else
      snprintf(trials[i].why, sizeof trials[i].why, "%.300s", error.message);
  }
  const int64_t deadline_ms = freshet_monotonic_ms() + ANSWERS_MS;
  while (status == FRESHET_OK && t.waiting > 0 && freshet_monotonic_ms() < deadline_ms)
    rd_kafka_poll(t.client.handle, POLL_MS);
  if (status == FRESHET_OK) {
    rd_kafka_purge(t.client.handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(t.client.handle, 0); /* reports of what was purged, while the trials are there */
  }
  freshet_kafka_client_close(&t.client, 0);
  free(properties);
}
