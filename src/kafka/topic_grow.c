/*
 * topic_grow.c: adds partitions to the topics that are co-partitioned by user.
 *
 * It owns a short-lived client. It must not know what lies in the partitions.
 */
#include "kafka/questions.h"
#include "kafka/topic_specs.h"

enum { GROW_MS = 15000, RETRY_MS = 200, REASON_SIZE = 256 };

static freshet_status take_answer(const char* name, rd_kafka_event_t* event, freshet_error* error) {
  if (event == NULL)
    return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "grow topic %s: no answer", name);
  rd_kafka_resp_err_t code = rd_kafka_event_error(event);
  const char* reason = rd_kafka_event_error_string(event);
  size_t count = 0;
  const rd_kafka_topic_result_t** results =
      code != RD_KAFKA_RESP_ERR_NO_ERROR
          ? NULL
          : rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count);
  for (size_t i = 0; i < count && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
    code = rd_kafka_topic_result_error(results[i]);
    reason = rd_kafka_topic_result_error_string(results[i]);
  }
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "grow topic %s: %s", name,
                           reason != NULL ? reason : rd_kafka_err2str(code));
}

static freshet_status grow(freshet_kafka_client* client, freshet_topic topic, int32_t partitions,
                           freshet_error* error) {
  const char* name = client->config->topics[topic];
  char reason[REASON_SIZE];
  rd_kafka_NewPartitions_t* wanted =
      rd_kafka_NewPartitions_new(name, (size_t)partitions, reason, sizeof reason);
  if (wanted == NULL)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "grow topic %s: %s", name, reason);
  rd_kafka_queue_t* queue = rd_kafka_queue_new(client->handle);
  rd_kafka_AdminOptions_t* options =
      rd_kafka_AdminOptions_new(client->handle, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS);
  rd_kafka_AdminOptions_set_operation_timeout(options, GROW_MS, NULL, 0);
  rd_kafka_AdminOptions_set_request_timeout(options, 2 * GROW_MS, NULL, 0);
  rd_kafka_CreatePartitions(client->handle, &wanted, 1, options, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 3 * GROW_MS);
  freshet_status status = take_answer(name, event, error);
  if (event != NULL) rd_kafka_event_destroy(event);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_queue_destroy(queue);
  rd_kafka_NewPartitions_destroy(wanted);
  return status;
}

/* Brokers hear of new partitions a moment after the controller. */
static freshet_status await_shown(freshet_kafka_client* client, freshet_topic topic, int32_t partitions,
                                  freshet_error* error) {
  int64_t deadline_ms = freshet_monotonic_ms() + GROW_MS;
  for (;;) {
    int32_t count = 0;
    freshet_kafka_client_partitions(client, topic, GROW_MS, &count);
    if (count >= partitions) return FRESHET_OK;
    if (freshet_monotonic_ms() > deadline_ms)
      return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP,
                               "topic %s does not show %d partitions after %d s; do it again",
                               client->config->topics[topic], (int)partitions, GROW_MS / 1000);
    freshet_kafka_sleep_ms(RETRY_MS);
  }
}

freshet_status freshet_kafka_topics_grow(const freshet_kafka_config* config, int32_t partitions,
                                         freshet_error* error) {
  static const freshet_topic shared[] = {FRESHET_TOPIC_USERS, FRESHET_TOPIC_REQUESTS, FRESHET_TOPIC_EVENTS};
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_kafka_client client = {0};
  freshet_status status = freshet_kafka_topics_list(config, info, error);
  if (status == FRESHET_OK)
    status = freshet_kafka_client_open(&client, config, FRESHET_KAFKA_OBSERVER, (freshet_kafka_callbacks){0},
                                       NULL, error);
  for (size_t i = 0; status == FRESHET_OK && i < sizeof shared / sizeof shared[0]; i++) {
    freshet_topic topic = shared[i];
    FRESHET_ASSERT(freshet_topic_specs[topic].partitions == FRESHET_PARTITIONS_SHARED);
    if (info[topic].partitions == 0 || info[topic].partitions >= partitions) continue;
    status = grow(&client, topic, partitions, error);
    if (status == FRESHET_OK) status = await_shown(&client, topic, partitions, error);
  }
  freshet_kafka_client_close(&client, 0);
  return status;
}
