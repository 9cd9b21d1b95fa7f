/*
 * topic_admin.c: makes, lists and checks the topics that Freshet works with.
 *
 * It owns the table of what each topic needs: partitions, cleanup policy, sizes. It must not know how a worker
 * uses a topic, and it changes no topic that exists.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/questions.h"
#include "kafka/topic_specs.h"

enum { ASK_MS = 5000, CREATE_MS = 15000, RETRY_MS = 200, LIST_SIZE = 256 };
/* What one record of a topic may need in bytes: a commit that is refused for its size is refused for ever. Deltas are
 * cut to the limit of their topic, and one event may need so much. A producer's record may have several ids of
 * FRESHET_ID_MAX bytes; a list has many items with their reasons. */
enum { STATE_BYTES_LEAST = 128 << 10, LIST_BYTES_LEAST = 64 << 10, RECORD_BYTES_LEAST = 8 << 10 };

/* Changelogs are compacted eagerly, since a restore reads whatever has not been compacted yet; an erased user
 * is physically gone after a week at most (max.compaction.lag.ms). Deltas need to live only until the items'
 * owners have folded them into item states, a matter of minutes; a week lets a stopped cluster of workers
 * come back. A dead letter is larger than the record that it holds. Events are kept for ever, until an
 * operator decides otherwise: retention goes by the time of the event, so history that is replayed would
 * vanish at once, and a backfill reads from the beginning. */
#define WEEK_MS "604800000"
#define COMPACT_SOON                      \
  {"min.cleanable.dirty.ratio", "0.2"}, { \
    "max.compaction.lag.ms", WEEK_MS      \
  }
#define SMALL_SEGMENTS \
  { "segment.bytes", "67108864" }
const freshet_topic_spec freshet_topic_specs[FRESHET_TOPICS] = {
    [FRESHET_TOPIC_EVENTS] = {FRESHET_PARTITIONS_SHARED,
                              false,
                              false,
                              "delete",
                              RECORD_BYTES_LEAST,
                              {{"retention.ms", "-1"}, {0}}},
    [FRESHET_TOPIC_ITEMS] =
        {FRESHET_PARTITIONS_ANY, false, false, "compact", RECORD_BYTES_LEAST, {COMPACT_SOON, {0}}},
    [FRESHET_TOPIC_REQUESTS] = {FRESHET_PARTITIONS_SHARED, true, false, "delete", RECORD_BYTES_LEAST, {{0}}},
    [FRESHET_TOPIC_RECOMMENDATIONS] =
        {FRESHET_PARTITIONS_ANY, false, false, "compact", LIST_BYTES_LEAST, {COMPACT_SOON, {0}}},
    [FRESHET_TOPIC_REPLIES] = {FRESHET_PARTITIONS_ANY,
                               true,
                               false,
                               "delete",
                               LIST_BYTES_LEAST,
                               {{"retention.ms", "86400000"}, {0}}},
    [FRESHET_TOPIC_DEAD_LETTERS] = {FRESHET_PARTITIONS_ANY,
                                    false,
                                    false,
                                    "delete",
                                    RECORD_BYTES_LEAST,
                                    {{"max.message.bytes", "2097152"}, {0}}},
    [FRESHET_TOPIC_USERS] = {FRESHET_PARTITIONS_SHARED,
                             false,
                             true,
                             "compact",
                             STATE_BYTES_LEAST,
                             {COMPACT_SOON, SMALL_SEGMENTS, {0}}},
    [FRESHET_TOPIC_ITEM_STATES] = {FRESHET_PARTITIONS_ANY,
                                   false,
                                   true,
                                   "compact",
                                   STATE_BYTES_LEAST,
                                   {COMPACT_SOON, SMALL_SEGMENTS, {0}}},
    [FRESHET_TOPIC_ITEM_DELTAS] = {FRESHET_PARTITIONS_ONE,
                                   false,
                                   true,
                                   "delete",
                                   STATE_BYTES_LEAST,
                                   {{"retention.ms", WEEK_MS}, SMALL_SEGMENTS, {0}}},
    [FRESHET_TOPIC_APP_GENERATIONS] =
        {FRESHET_PARTITIONS_ONE, false, true, "compact", RECORD_BYTES_LEAST, {{0}}},
    [FRESHET_TOPIC_SHADOW] =
        {FRESHET_PARTITIONS_ANY, false, false, "compact", LIST_BYTES_LEAST, {COMPACT_SOON, {0}}},
};

bool freshet_kafka_topic_is_single(freshet_topic topic) {
  return freshet_topic_specs[topic].partitions == FRESHET_PARTITIONS_ONE;
}

const char* freshet_kafka_topic_policy(freshet_topic topic) {
  return freshet_topic_specs[topic].policy;
}

/* ---- Asking ---- */

static void read_metadata(const freshet_kafka_client* client, const struct rd_kafka_metadata* metadata,
                          freshet_kafka_topic_info* info) {
  for (int i = 0; i < metadata->topic_cnt; i++) {
    const struct rd_kafka_metadata_topic* t = &metadata->topics[i];
    freshet_topic topic = freshet_kafka_config_topic(client->config, t->topic);
    if (topic == FRESHET_TOPICS) continue;
    info[topic].is_denied = t->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    if (t->err != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    info[topic].brokers = metadata->broker_cnt;
    info[topic].partitions = t->partition_cnt;
    info[topic].replication = t->partition_cnt > 0 ? t->partitions[0].replica_cnt : 0;
  }
}

/* Kafka's "never" is -1 or the largest number. */
static int64_t read_bound(const char* value) {
  long long bound = strtoll(value, NULL, 10);
  return bound < 0 || bound == LLONG_MAX ? -1 : bound;
}

static void read_policy(const freshet_kafka_client* client, const rd_kafka_ConfigResource_t* resource,
                        freshet_kafka_topic_info* info) {
  if (rd_kafka_ConfigResource_error(resource) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  freshet_topic topic = freshet_kafka_config_topic(client->config, rd_kafka_ConfigResource_name(resource));
  size_t count = 0;
  const rd_kafka_ConfigEntry_t** entries = rd_kafka_ConfigResource_configs(resource, &count);
  if (topic < FRESHET_TOPICS) {
    info[topic].retention_bytes = -1; /* a cluster that does not tell it has no bound */
    info[topic].oldest_ms = -1;
  }
  for (size_t i = 0; i < count && topic < FRESHET_TOPICS; i++) {
    const char* value = rd_kafka_ConfigEntry_value(entries[i]);
    const char* name = rd_kafka_ConfigEntry_name(entries[i]);
    if (value == NULL) continue;
    if (strcmp(name, "retention.ms") == 0) info[topic].retention_ms = read_bound(value);
    if (strcmp(name, "retention.bytes") == 0) info[topic].retention_bytes = read_bound(value);
    if (strcmp(name, "max.compaction.lag.ms") == 0) info[topic].compaction_lag_ms = read_bound(value);
    if (strcmp(name, "delete.retention.ms") == 0) info[topic].delete_retention_ms = read_bound(value);
    if (strcmp(name, "max.message.bytes") == 0) info[topic].max_message_bytes = read_bound(value);
    if (strcmp(name, "min.insync.replicas") == 0) info[topic].min_in_sync = (int32_t)read_bound(value);
    if (strcmp(name, "message.timestamp.before.max.ms") == 0) info[topic].oldest_ms = read_bound(value);
    if (strcmp(name, "unclean.leader.election.enable") == 0)
      info[topic].is_unclean = strcmp(value, "true") == 0;
    if (strcmp(name, "cleanup.policy") != 0) continue;
    info[topic].policy_known = true;
    info[topic].compacted = strstr(value, "compact") != NULL;
    info[topic].deletes = strstr(value, "delete") != NULL;
  }
}

/* Best effort: who may not read configurations, or asks a cluster that has none, goes without. */
static void ask_policies(const freshet_kafka_client* client, freshet_kafka_topic_info* info) {
  rd_kafka_ConfigResource_t* resources[FRESHET_TOPICS];
  size_t count = 0;
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    if (info[topic].partitions == 0) continue;
    resources[count++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, client->config->topics[topic]);
  }
  if (count == 0) return;
  rd_kafka_queue_t* queue = rd_kafka_queue_new(client->handle);
  rd_kafka_AdminOptions_t* options =
      rd_kafka_AdminOptions_new(client->handle, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  rd_kafka_AdminOptions_set_request_timeout(options, ASK_MS, NULL, 0);
  rd_kafka_DescribeConfigs(client->handle, resources, count, options, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 2 * ASK_MS);
  if (event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    size_t answers = 0;
    const rd_kafka_ConfigResource_t** answer =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &answers);
    for (size_t i = 0; i < answers; i++) read_policy(client, answer[i], info);
  }
  if (event != NULL) rd_kafka_event_destroy(event);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_queue_destroy(queue);
  rd_kafka_ConfigResource_destroy_array(resources, count);
}

static freshet_status ask(freshet_kafka_client* client, freshet_kafka_topic_info* info,
                          freshet_error* error) {
  const struct rd_kafka_metadata* metadata = NULL;
  freshet_status status = freshet_kafka_client_metadata(client, &metadata, error);
  if (status != FRESHET_OK) return status;
  read_metadata(client, metadata, info);
  if (freshet_kafka_has_controller(client, metadata)) ask_policies(client, info);
  rd_kafka_metadata_destroy(metadata);
  return FRESHET_OK;
}

freshet_status freshet_kafka_topics_list(const freshet_kafka_config* config,
                                         freshet_kafka_topic_info info[FRESHET_TOPICS],
                                         freshet_error* error) {
  memset(info, 0, FRESHET_TOPICS * sizeof *info);
  freshet_kafka_client client = {0};
  freshet_status status = freshet_kafka_client_open(&client, config, FRESHET_KAFKA_OBSERVER,
                                                    (freshet_kafka_callbacks){0}, NULL, error);
  if (status == FRESHET_OK) status = ask(&client, info, error);
  freshet_kafka_client_close(&client, 0);
  return status;
}

/* ---- Creating ---- */

static freshet_status new_topic(const freshet_kafka_config* config, freshet_topic topic, int32_t partitions,
                                int32_t replication, rd_kafka_NewTopic_t** out, freshet_error* error) {
  const freshet_topic_spec* spec = &freshet_topic_specs[topic];
  char reason[LIST_SIZE];
  *out = rd_kafka_NewTopic_new(config->topics[topic],
                               spec->partitions == FRESHET_PARTITIONS_ONE ? 1 : partitions, replication,
                               reason, sizeof reason);
  if (*out == NULL) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "topic %s: %s", config->topics[topic],
                             reason);
  }
  rd_kafka_NewTopic_set_config(*out, "cleanup.policy", spec->policy);
  for (const freshet_kafka_property* p = spec->extra; p->name != NULL; p++) {
    rd_kafka_NewTopic_set_config(*out, p->name, p->value);
  }
  return FRESHET_OK;
}

static freshet_status read_created(const freshet_kafka_config* config, rd_kafka_event_t* event, bool* created,
                                   freshet_error* error) {
  if (event == NULL)
    return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "create topics: no answer");
  if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "create topics: %s",
                             rd_kafka_event_error_string(event));
  }
  size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; i < count; i++) {
    const char* name = rd_kafka_topic_result_name(results[i]);
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      freshet_topic topic = freshet_kafka_config_topic(config, name);
      if (topic < FRESHET_TOPICS) created[topic] = true;
    } else if (code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
      status = freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "create topic %s: %s", name,
                                 rd_kafka_topic_result_error_string(results[i]));
    }
  }
  return status;
}

/* The controller has made them, but brokers hear of it a moment later, and `freshet run` may be next. */
static freshet_status await_created(freshet_kafka_client* client, freshet_error* error) {
  int64_t deadline_ms = freshet_monotonic_ms() + CREATE_MS;
  bool missing = true;
  while (missing && freshet_monotonic_ms() < deadline_ms) {
    freshet_kafka_topic_info info[FRESHET_TOPICS] = {0};
    freshet_status status = ask(client, info, error);
    if (status != FRESHET_OK) return status;
    missing = false;
    for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
      missing = missing || (client->config->topics[topic] != NULL && info[topic].partitions == 0);
    }
    if (missing) freshet_kafka_sleep_ms(RETRY_MS);
  }
  return FRESHET_OK;
}

freshet_status freshet_kafka_topics_create(const freshet_kafka_config* config, int32_t partitions,
                                           int32_t replication, bool created[FRESHET_TOPICS],
                                           freshet_error* error) {
  memset(created, 0, FRESHET_TOPICS * sizeof *created);
  freshet_kafka_topic_info info[FRESHET_TOPICS] = {0};
  rd_kafka_NewTopic_t* topics[FRESHET_TOPICS];
  size_t count = 0;
  freshet_kafka_client client = {0};
  freshet_status status = freshet_kafka_client_open(&client, config, FRESHET_KAFKA_OBSERVER,
                                                    (freshet_kafka_callbacks){0}, NULL, error);
  if (status == FRESHET_OK) status = ask(&client, info, error);
  for (int topic = 0; topic < FRESHET_TOPICS && status == FRESHET_OK; topic++) {
    if (config->topics[topic] == NULL || info[topic].partitions > 0) continue;
    status = new_topic(config, topic, partitions, replication, &topics[count], error);
    if (status == FRESHET_OK) count++;
  }
  if (status == FRESHET_OK && count > 0) {
    rd_kafka_queue_t* queue = rd_kafka_queue_new(client.handle);
    rd_kafka_AdminOptions_t* options =
        rd_kafka_AdminOptions_new(client.handle, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_operation_timeout(options, CREATE_MS, NULL, 0);
    rd_kafka_AdminOptions_set_request_timeout(options, 2 * CREATE_MS, NULL, 0);
    rd_kafka_CreateTopics(client.handle, topics, count, options, queue);
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 3 * CREATE_MS);
    status = read_created(config, event, created, error);
    if (status == FRESHET_OK) status = await_created(&client, error);
    if (event != NULL) rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
  }
  rd_kafka_NewTopic_destroy_array(topics, count);
  freshet_kafka_client_close(&client, 0);
  return status;
}
