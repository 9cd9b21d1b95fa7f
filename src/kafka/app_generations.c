/*
 * app_generations.c: the consumer groups of other generations of an app, by librdkafka's admin calls.
 *
 * It counts the members of a group, fences them, reads their committed offsets, and deletes a group with its
 * topics. It owns a short-lived client for each question. It must not know why a generation is promoted or
 * dropped: src/commands/backfill decides that.
 */
#include "kafka/app_generations.h"

#include <stdio.h>

#include "kafka/group.h"
#include "kafka/members.h"
#include "kafka/questions.h"
#include "kafka/transactor.h"

enum { DROP_MS = 15000, DESCRIBE_MS = 5000 };

static freshet_status open_client(freshet_kafka_client* client, const freshet_kafka_config* config,
                                  freshet_kafka_role role, freshet_error* error) {
  *client = (freshet_kafka_client){0};
  return freshet_kafka_client_open(client, config, role, (freshet_kafka_callbacks){0}, NULL, error);
}

freshet_status freshet_kafka_generation_members(const freshet_kafka_config* config, const char* generation,
                                                size_t* members, freshet_error* error) {
  freshet_kafka_client client;
  freshet_status status = open_client(&client, config, FRESHET_KAFKA_OBSERVER, error);
  if (status == FRESHET_OK) status = freshet_kafka_client_members(&client, generation, members, error);
  freshet_kafka_client_close(&client, 0);
  return status;
}

freshet_status freshet_kafka_generation_offsets(const freshet_kafka_config* config, const char* generation,
                                                freshet_topic topic, int32_t partitions, int64_t* offsets,
                                                freshet_error* error) {
  freshet_kafka_config theirs = *config;
  freshet_kafka_group* group = NULL;
  theirs.app_id = generation;
  freshet_status status = freshet_kafka_group_open(&theirs, topic, &group, error);
  for (int32_t p = 0; status == FRESHET_OK && p < partitions; p++) {
    offsets[p] = -1;
    if (p >= freshet_kafka_group_partitions(group)) continue;
    freshet_kafka_group_offset o = freshet_kafka_group_offset_of(group, p);
    offsets[p] = o.is_caught_up ? o.end : o.committed;
  }
  freshet_kafka_group_close(group);
  return status;
}

/* No app's id has a '#', so an id of one app is never that of another. */
void freshet_kafka_transactional_id(const char* generation, const char* instance_id, char* out, size_t size) {
  snprintf(out, size, "%s#%s", generation, instance_id);
}

/* A producer with the id of another one, gone again at once: the broker has fenced the other one by then. */
freshet_status freshet_kafka_fence(const freshet_kafka_config* config, const char* transactional_id,
                                   freshet_error* error) {
  freshet_kafka_config theirs = *config;
  theirs.transactional_id = transactional_id;
  freshet_status status = FRESHET_OK;
  for (int second = 0; status == FRESHET_OK && second <= 1; second++) { /* theirs may have had all of them */
    theirs.is_second = second == 1;
    theirs.alternates = !theirs.is_second;
    freshet_sink* sink = NULL;
    status = freshet_kafka_sink_create(&theirs, NULL, &sink, error);
    freshet_sink_destroy(sink);
  }
  return status;
}

static freshet_status fence_member(const freshet_kafka_config* config, const char* generation,
                                   freshet_slice name, freshet_error* error) {
  char id[FRESHET_KAFKA_TRANSACTIONAL_ID_SIZE], instance_id[FRESHET_KAFKA_TRANSACTIONAL_ID_SIZE];
  snprintf(instance_id, sizeof instance_id, "%.*s", (int)name.size, name.data);
  freshet_kafka_transactional_id(generation, instance_id, id, sizeof id);
  return freshet_kafka_fence(config, id, error);
}

/* Taking over the members of a generation, one after another. */
typedef struct takeover {
  const freshet_kafka_config* config;
  const char* generation;
  bool fenced; /* all that have a name */
  freshet_status status;
  freshet_error* error;
} takeover;

static void take_over(void* context, const freshet_kafka_member* member) {
  takeover* t = context;
  if (member->name.size == 0) {
    t->fenced = false;
  } else if (t->status == FRESHET_OK) {
    t->status = fence_member(t->config, t->generation, member->name, t->error);
  }
}

freshet_status freshet_kafka_generation_fence(const freshet_kafka_config* config, const char* generation,
                                              bool* fenced, freshet_error* error) {
  freshet_kafka_client client;
  freshet_status status = open_client(&client, config, FRESHET_KAFKA_OBSERVER, error);
  if (status != FRESHET_OK) return status;
  takeover t = {config, generation, true, FRESHET_OK, error};
  rd_kafka_resp_err_t code = freshet_kafka_client_describe(&client, generation, DESCRIBE_MS, take_over, &t);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    t.status = freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP,
                                 "the cluster does not say which processes are in group %s: %s", generation,
                                 rd_kafka_err2str(code));
  freshet_kafka_client_close(&client, 0);
  *fenced = t.fenced;
  return t.status;
}

/* Waits for the answer to an administrative request; per thing, `missing` is as good as done. */
static freshet_status take_answer(rd_kafka_queue_t* queue, rd_kafka_resp_err_t missing,
                                  freshet_error* error) {
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 2 * DROP_MS);
  if (event == NULL) return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "drop: no answer");
  rd_kafka_resp_err_t code = rd_kafka_event_error(event);
  const char* what = rd_kafka_event_error_string(event);
  size_t count = 0;
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR && rd_kafka_event_DeleteTopics_result(event) != NULL) {
    const rd_kafka_topic_result_t** topics =
        rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
    for (size_t i = 0; i < count && (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == missing); i++) {
      code = rd_kafka_topic_result_error(topics[i]);
      what = rd_kafka_topic_result_name(topics[i]);
    }
  } else if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const rd_kafka_group_result_t** groups =
        rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &count);
    const rd_kafka_error_t* failure = count == 1 ? rd_kafka_group_result_error(groups[0]) : NULL;
    if (failure != NULL) code = rd_kafka_error_code(failure);
    what = "group";
  }
  freshet_status status = FRESHET_OK;
  if (code == RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP) {
    status = freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP, "drop: the group still has members");
  } else if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != missing) {
    status = freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "drop %s: %s", what,
                               rd_kafka_err2str(code));
  }
  rd_kafka_event_destroy(event);
  return status;
}

static rd_kafka_AdminOptions_t* options_for(rd_kafka_t* handle, rd_kafka_admin_op_t operation) {
  rd_kafka_AdminOptions_t* options = rd_kafka_AdminOptions_new(handle, operation);
  rd_kafka_AdminOptions_set_request_timeout(options, DROP_MS, NULL, 0);
  return options;
}

/* The group first: it is what tells that somebody is still at work. */
freshet_status freshet_kafka_generation_drop(const freshet_kafka_config* config, const freshet_topic* topics,
                                             size_t topic_count, freshet_error* error) {
  freshet_kafka_client client;
  rd_kafka_DeleteTopic_t* deleted[FRESHET_TOPICS];
  freshet_status status = open_client(&client, config, FRESHET_KAFKA_OBSERVER, error);
  if (status != FRESHET_OK) return status;
  rd_kafka_queue_t* queue = rd_kafka_queue_new(client.handle);
  rd_kafka_AdminOptions_t* options = options_for(client.handle, RD_KAFKA_ADMIN_OP_DELETEGROUPS);
  rd_kafka_DeleteGroup_t* group = rd_kafka_DeleteGroup_new(config->app_id);
  rd_kafka_DeleteGroups(client.handle, &group, 1, options, queue);
  status = take_answer(queue, RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND, error);
  rd_kafka_DeleteGroup_destroy(group);
  rd_kafka_AdminOptions_destroy(options);
  if (status == FRESHET_OK) {
    options = options_for(client.handle, RD_KAFKA_ADMIN_OP_DELETETOPICS);
    for (size_t i = 0; i < topic_count; i++) deleted[i] = rd_kafka_DeleteTopic_new(config->topics[topics[i]]);
    rd_kafka_DeleteTopics(client.handle, deleted, topic_count, options, queue);
    status = take_answer(queue, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, error);
    rd_kafka_DeleteTopic_destroy_array(deleted, topic_count);
    rd_kafka_AdminOptions_destroy(options);
  }
  rd_kafka_queue_destroy(queue);
  freshet_kafka_client_close(&client, 0);
  return status;
}
