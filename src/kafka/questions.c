/*
 * questions.c: asks the cluster until it answers, and tells the log what it waits for.
 *
 * It owns nothing after a call. Every attempt is bounded: a leader that has died is known as the leader until
 * the metadata are refreshed, and librdkafka would wait for it. It must not know why somebody asks.
 */
#include "kafka/questions.h"

#include <stdio.h>
#include <string.h>

enum {
  ASK_FIRST_MS = 250, /* doubled with each attempt */
  ASK_MS = 5000,
  STOP_ASK_MS = 2000, /* a request to stop is seen between two attempts */
  REFRESH_MS = 1000,
  LEADERS_MS = 1000, /* for so long leaders are believed */
  RETRY_MS = 50,
  TELL_FIRST_MS = 3000, /* shorter waits are no news */
  TELL_MS = 30000,
  MISSING_WAIT_MS = 10000,
  MISSING_ASK_MS = 2000,
  MISSING_RETRY_MS = 200,
};

/* ---- waiting ---- */

bool freshet_kafka_wait_ended(const freshet_kafka_config* config, int64_t since_ms) {
  if (config->stopping != NULL) return config->stopping(config->stopping_context);
  return freshet_monotonic_ms() - since_ms > FRESHET_KAFKA_PATIENCE_MS;
}

bool freshet_kafka_last_try_over(const freshet_kafka_config* config, int last_try_ms,
                                 int64_t* stopping_since_ms) {
  if (config->stopping == NULL || !config->stopping(config->stopping_context)) return false;
  int64_t now = freshet_monotonic_ms();
  if (*stopping_since_ms == 0) *stopping_since_ms = now;
  return now - *stopping_since_ms > last_try_ms;
}

freshet_kafka_wait freshet_kafka_wait_for(freshet_kafka_client* client, const char* what) {
  return (freshet_kafka_wait){
      .client = client, .what = what, .since_ms = freshet_monotonic_ms(), .ask_ms = ASK_FIRST_MS};
}

/* What the client has been told of its connections, else the answer to the question itself. */
static freshet_kafka_reason reason_of(freshet_kafka_wait* wait, rd_kafka_resp_err_t code) {
  if (!wait->client->polls_as_consumer) rd_kafka_poll(wait->client->handle, 0); /* brings the reasons */
  freshet_kafka_reason reason = freshet_kafka_client_reason(wait->client);
  bool of_connection = code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
                       code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || reason.is_security;
  if (reason.code != RD_KAFKA_RESP_ERR_NO_ERROR && of_connection) return reason;
  reason = (freshet_kafka_reason){.code = code};
  snprintf(reason.text, sizeof reason.text, "%s", rd_kafka_err2str(code));
  return reason;
}

static void tell(freshet_kafka_wait* wait, const freshet_kafka_reason* reason) {
  int64_t now_ms = freshet_monotonic_ms();
  bool is_due =
      wait->told_ms == 0 ? now_ms - wait->since_ms >= TELL_FIRST_MS : now_ms - wait->told_ms >= TELL_MS;
  if (!is_due) return;
  wait->told_ms = now_ms;
  freshet_log_fact(wait->client->config->logger, FRESHET_WARN, "kafka.waiting",
                   "client=%s for=\"%s\" since_s=%lld error=%s message=\"%s\"", wait->client->role_name,
                   wait->what, (long long)(now_ms - wait->since_ms) / 1000, rd_kafka_err2name(reason->code),
                   reason->text);
}

void freshet_kafka_wait_tell(freshet_kafka_wait* wait, rd_kafka_resp_err_t code) {
  freshet_kafka_reason reason = reason_of(wait, code);
  tell(wait, &reason);
}

/* Whatever the answer is, librdkafka has taken over the leaders in it. */
static void refresh(freshet_kafka_client* client) {
  const struct rd_kafka_metadata* metadata = NULL;
  if (rd_kafka_metadata(client->handle, 0, NULL, &metadata, REFRESH_MS) == RD_KAFKA_RESP_ERR_NO_ERROR)
    rd_kafka_metadata_destroy(metadata);
  client->refreshed_ms = freshet_monotonic_ms();
}

void freshet_kafka_client_refresh(freshet_kafka_client* client) {
  if (client->refreshed_ms == 0 || freshet_monotonic_ms() - client->refreshed_ms >= LEADERS_MS)
    refresh(client);
}

freshet_status freshet_kafka_wait_again(freshet_kafka_wait* wait, rd_kafka_resp_err_t code,
                                        freshet_error* error) {
  const freshet_kafka_config* config = wait->client->config;
  freshet_kafka_reason reason = reason_of(wait, code);
  bool is_hopeless =
      reason.is_security && config->stopping == NULL; /* a service waits for the broker's side */
  if (is_hopeless || freshet_kafka_wait_ended(config, wait->since_ms)) {
    return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "%s%s: %s (%s)",
                             config->stopping != NULL ? "stopped while waiting for " : "", wait->what,
                             reason.text, rd_kafka_err2name(reason.code));
  }
  tell(wait, &reason);
  int most_ms = config->stopping != NULL ? STOP_ASK_MS : ASK_MS;
  wait->ask_ms = 2 * wait->ask_ms < most_ms ? 2 * wait->ask_ms : most_ms;
  refresh(wait->client);
  freshet_kafka_sleep_ms(RETRY_MS);
  return FRESHET_OK;
}

/* ---- topics ---- */

int32_t freshet_kafka_client_look_again(const freshet_kafka_client* client, freshet_topic topic) {
  const struct rd_kafka_metadata* metadata = NULL;
  const char* name = client->config->topics[topic];
  int32_t partitions = 0;
  if (rd_kafka_metadata(client->handle, 1, NULL, &metadata, REFRESH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return 0;
  for (int i = 0; i < metadata->topic_cnt; i++) {
    if (strcmp(metadata->topics[i].topic, name) == 0) partitions = metadata->topics[i].partition_cnt;
  }
  rd_kafka_metadata_destroy(metadata);
  return partitions;
}

rd_kafka_resp_err_t freshet_kafka_client_partitions(const freshet_kafka_client* client, freshet_topic topic,
                                                    int timeout_ms, int32_t* count) {
  const struct rd_kafka_metadata* metadata = NULL;
  rd_kafka_resp_err_t code =
      rd_kafka_metadata(client->handle, 0, client->topics[topic], &metadata, timeout_ms);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return code;
  code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
  *count = code == RD_KAFKA_RESP_ERR_NO_ERROR ? metadata->topics[0].partition_cnt : 0;
  rd_kafka_metadata_destroy(metadata);
  return code;
}

/* timestamp: RD_KAFKA_OFFSET_BEGINNING or RD_KAFKA_OFFSET_END. rd_kafka_query_watermark_offsets would wait for
 * a leader that has died, whatever time it is given. */
static rd_kafka_resp_err_t ask_offset(const freshet_kafka_client* client, freshet_topic topic,
                                      int32_t partition, int64_t timestamp, int timeout_ms, int64_t* offset) {
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_t* asked =
      rd_kafka_topic_partition_list_add(list, client->config->topics[topic], partition);
  asked->offset = timestamp;
  rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(client->handle, list, timeout_ms);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = asked->err;
  *offset = asked->offset;
  rd_kafka_topic_partition_list_destroy(list);
  return code;
}

rd_kafka_resp_err_t freshet_kafka_client_range(const freshet_kafka_client* client, freshet_topic topic,
                                               int32_t partition, int timeout_ms, int64_t* first,
                                               int64_t* end) {
  rd_kafka_resp_err_t code =
      ask_offset(client, topic, partition, RD_KAFKA_OFFSET_BEGINNING, timeout_ms, first);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return code;
  return ask_offset(client, topic, partition, RD_KAFKA_OFFSET_END, timeout_ms, end);
}

bool freshet_kafka_has_controller(const freshet_kafka_client* client,
                                  const struct rd_kafka_metadata* metadata) {
  const int32_t controller = rd_kafka_controllerid(client->handle, 0);
  for (int i = 0; i < metadata->broker_cnt; i++) {
    if (metadata->brokers[i].id == controller) return true;
  }
  return false;
}

freshet_status freshet_kafka_client_metadata(freshet_kafka_client* client,
                                             const struct rd_kafka_metadata** metadata,
                                             freshet_error* error) {
  freshet_kafka_wait wait = freshet_kafka_wait_for(client, "the Kafka cluster");
  for (;;) {
    rd_kafka_resp_err_t code = rd_kafka_metadata(client->handle, 0, NULL, metadata, wait.ask_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
    freshet_status status = freshet_kafka_wait_again(&wait, code, error);
    if (status != FRESHET_OK) return status;
  }
}

static bool has_topic(const struct rd_kafka_metadata* metadata, const char* name) {
  for (int i = 0; i < metadata->topic_cnt; i++) {
    if (metadata->topics[i].err == RD_KAFKA_RESP_ERR_NO_ERROR && strcmp(metadata->topics[i].topic, name) == 0)
      return true;
  }
  return false;
}

static const char* missing_topic(const freshet_kafka_client* client, const freshet_topic* topics,
                                 size_t count, int timeout_ms, rd_kafka_resp_err_t* code) {
  const struct rd_kafka_metadata* metadata = NULL;
  const char* missing = NULL;
  *code = rd_kafka_metadata(client->handle, 1, NULL, &metadata, timeout_ms);
  if (*code != RD_KAFKA_RESP_ERR_NO_ERROR) return client->config->topics[topics[0]];
  for (size_t i = 0; i < count && missing == NULL; i++) {
    const char* name = client->config->topics[topics[i]];
    if (!has_topic(metadata, name)) missing = name;
  }
  rd_kafka_metadata_destroy(metadata);
  return missing;
}

const char* freshet_kafka_topics_missing(const freshet_kafka_client* client, const freshet_topic* topics,
                                         size_t count) {
  const freshet_kafka_config* config = client->config;
  const int64_t since_ms = freshet_monotonic_ms();
  rd_kafka_resp_err_t code;
  const char* missing;
  while ((missing = missing_topic(client, topics, count, MISSING_ASK_MS, &code)) != NULL) {
    if (freshet_monotonic_ms() - since_ms > MISSING_WAIT_MS)
      return code == RD_KAFKA_RESP_ERR_NO_ERROR ? missing : NULL;
    if (config->stopping != NULL && freshet_kafka_wait_ended(config, since_ms)) return NULL;
    freshet_kafka_sleep_ms(MISSING_RETRY_MS);
  }
  return NULL;
}

freshet_status freshet_kafka_client_committed(freshet_kafka_client* client,
                                              rd_kafka_topic_partition_list_t* list, freshet_error* error) {
  freshet_kafka_wait wait = freshet_kafka_wait_for(client, "committed offsets");
  for (;;) {
    rd_kafka_resp_err_t code = rd_kafka_committed(client->handle, list, wait.ask_ms);
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) code = list->elems[i].err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
    if (rd_kafka_fatal_error(client->handle, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR)
      return freshet_kafka_client_fatal(client, error);
    freshet_status status = freshet_kafka_wait_again(&wait, code, error);
    if (status != FRESHET_OK) return status;
  }
}
