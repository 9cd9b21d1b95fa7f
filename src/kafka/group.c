/*
 * group.c: committed offsets of the app's consumer group, read and moved.
 *
 * It owns a client and a reader for the time between open and close. Every question is bounded and asked again
 * until the configuration says stop. It must not know when a move is allowed: `freshet offsets` decides that.
 */
#include "kafka/group.h"

#include <stdlib.h>
#include <string.h>

#include "kafka/log_check.h"
#include "kafka/members.h"
#include "kafka/questions.h"

enum { MOVE_MS = 5000, CHECK_MS = 5000, LOOK_MS = 1500, LOOK_STEP_MS = 50, LOOK_RECORDS = 16 };

struct freshet_kafka_group {
  const freshet_kafka_config* config;
  freshet_topic topic;
  freshet_kafka_client client;
  freshet_reader* log;                 /* for the watermarks */
  freshet_kafka_group_offset* offsets; /* [count] */
  int32_t count;
  freshet_layout layout; /* as committed */
};

static const char* topic_name(const freshet_kafka_group* group) {
  return group->config->topics[group->topic];
}

/* One question about all partitions; `list` goes in with what is asked and comes out with the answers. */
typedef rd_kafka_resp_err_t (*question)(rd_kafka_t* handle, rd_kafka_topic_partition_list_t* list,
                                        int timeout_ms);

static rd_kafka_topic_partition_list_t* make_list(const freshet_kafka_group* group, const int64_t* offsets,
                                                  int64_t same) {
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(group->count);
  for (int32_t p = 0; p < group->count; p++) {
    if (offsets != NULL && offsets[p] < 0) continue;
    rd_kafka_topic_partition_list_add(list, topic_name(group), p)->offset =
        offsets == NULL ? same : offsets[p];
  }
  return list;
}

/* Asks until there is an answer. answers: [count]; marks: [count], what committed offsets carry, or NULL */
static freshet_status ask(freshet_kafka_group* group, question ask_once, int64_t about, const char* what,
                          int64_t* answers, freshet_mark* marks, freshet_error* error) {
  freshet_kafka_wait wait = freshet_kafka_wait_for(&group->client, what);
  for (;;) {
    rd_kafka_topic_partition_list_t* list = make_list(group, NULL, about);
    rd_kafka_resp_err_t code = ask_once(group->client.handle, list, wait.ask_ms);
    for (int i = 0; i < list->cnt; i++) {
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = list->elems[i].err;
      answers[list->elems[i].partition] = list->elems[i].offset;
      if (marks == NULL) continue;
      marks[list->elems[i].partition] =
          freshet_mark_read(list->elems[i].metadata, list->elems[i].metadata_size);
      freshet_layout layout = freshet_layout_read(list->elems[i].metadata, list->elems[i].metadata_size);
      if (layout.partitions > 0) group->layout = layout;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
    freshet_error cause = {0};
    if (freshet_kafka_wait_again(&wait, code, &cause) != FRESHET_OK) {
      return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "group %s, topic %s: %s",
                               group->config->app_id, topic_name(group), cause.message);
    }
  }
}

/* Markers of transactions and aborted records lie in the log, but no reader of committed records ever gets them. So
 * only reading tells whether something is left. A transaction that is still open counts as something. */
static freshet_status look_behind(freshet_kafka_group* group, int32_t partition, freshet_error* error) {
  freshet_kafka_group_offset* o = &group->offsets[partition];
  int64_t from = o->committed > o->first ? o->committed : o->first;
  o->is_caught_up = o->committed >= 0 && from >= o->end;
  if (o->committed < 0 || from >= o->end) return FRESHET_OK;
  freshet_record records[LOOK_RECORDS];
  size_t count = 0;
  int64_t deadline_ms = freshet_monotonic_ms() + LOOK_MS;
  freshet_status status = freshet_reader_open(group->log, group->topic, partition, from, error);
  while (status == FRESHET_OK && count == 0 && freshet_monotonic_ms() < deadline_ms &&
         freshet_reader_position(group->log, group->topic, partition) < o->end)
    status = freshet_reader_poll(group->log, LOOK_STEP_MS, records, LOOK_RECORDS, &count, error);
  o->is_caught_up = status == FRESHET_OK && count == 0 &&
                    freshet_reader_position(group->log, group->topic, partition) >= o->end;
  freshet_status shut = freshet_reader_shut(group->log, group->topic, partition, NULL);
  if (status == FRESHET_OK) status = shut;
  return status;
}

/* Holds committed offsets against the log. What cannot be judged in time is taken for right. */
static freshet_status judge_log(freshet_kafka_group* group, const freshet_mark* marks, freshet_error* error) {
  freshet_log_check* check = NULL;
  freshet_status status = freshet_log_check_create(group->config, &check, error);
  if (status != FRESHET_OK) return status;
  freshet_log_place* places = calloc((size_t)group->count + 1, sizeof *places);
  FRESHET_ASSERT(places != NULL);
  for (int32_t p = 0; p < group->count; p++)
    places[p] = (freshet_log_place){
        .topic = group->topic, .partition = p, .next = group->offsets[p].committed, .mark = marks[p]};
  freshet_log_check_places(check, places, (size_t)group->count, CHECK_MS);
  for (int32_t p = 0; p < group->count; p++)
    group->offsets[p].is_other_log = places[p].verdict == FRESHET_LOG_OTHER;
  free(places);
  freshet_log_check_destroy(check);
  return FRESHET_OK;
}

static freshet_status read_offsets(freshet_kafka_group* group, freshet_error* error) {
  int64_t* committed = calloc((size_t)group->count + 1, sizeof *committed);
  freshet_mark* marks = calloc((size_t)group->count + 1, sizeof *marks);
  FRESHET_ASSERT(committed != NULL && marks != NULL);
  freshet_status status =
      ask(group, rd_kafka_committed, RD_KAFKA_OFFSET_INVALID, "committed offsets", committed, marks, error);
  for (int32_t p = 0; status == FRESHET_OK && p < group->count; p++) {
    freshet_kafka_group_offset* o = &group->offsets[p];
    o->committed = committed[p] >= 0 ? committed[p] : -1;
    status = freshet_reader_range(group->log, group->topic, p, &o->first, &o->end, error);
    if (status == FRESHET_OK) status = look_behind(group, p, error);
  }
  if (status == FRESHET_OK) status = judge_log(group, marks, error);
  free(committed);
  free(marks);
  return status;
}

freshet_status freshet_kafka_group_open(const freshet_kafka_config* config, freshet_topic topic,
                                        freshet_kafka_group** out, freshet_error* error) {
  freshet_kafka_group* group = calloc(1, sizeof *group);
  FRESHET_ASSERT(group != NULL);
  group->config = config;
  group->topic = topic;
  freshet_status status = freshet_kafka_reader_create(config, &group->log, error);
  if (status == FRESHET_OK) status = freshet_reader_partitions(group->log, topic, &group->count, error);
  if (status == FRESHET_OK) {
    group->offsets = calloc((size_t)group->count + 1, sizeof *group->offsets);
    FRESHET_ASSERT(group->offsets != NULL);
    status = freshet_kafka_client_open(&group->client, config, FRESHET_KAFKA_READER,
                                       (freshet_kafka_callbacks){0}, group, error);
  }
  if (status == FRESHET_OK) status = read_offsets(group, error);
  if (status != FRESHET_OK) {
    freshet_kafka_group_close(group);
    return status;
  }
  *out = group;
  return FRESHET_OK;
}

void freshet_kafka_group_close(freshet_kafka_group* group) {
  if (group == NULL) return;
  freshet_reader_destroy(group->log);
  freshet_kafka_client_close(&group->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  free(group->offsets);
  free(group);
}

int32_t freshet_kafka_group_partitions(const freshet_kafka_group* group) {
  return group->count;
}

freshet_kafka_group_offset freshet_kafka_group_offset_of(const freshet_kafka_group* group,
                                                         int32_t partition) {
  return group->offsets[partition];
}

freshet_status freshet_kafka_group_members(freshet_kafka_group* group, size_t* members,
                                           freshet_error* error) {
  return freshet_kafka_client_members(&group->client, group->config->app_id, members, error);
}

freshet_status freshet_kafka_group_offsets_at(freshet_kafka_group* group, int64_t time_ms, int64_t* offsets,
                                              freshet_error* error) {
  freshet_status status =
      ask(group, rd_kafka_offsets_for_times, time_ms, "offsets of a time", offsets, NULL, error);
  for (int32_t p = 0; status == FRESHET_OK && p < group->count; p++) {
    if (offsets[p] < 0) offsets[p] = group->offsets[p].end;
  }
  return status;
}

static freshet_status judge(const freshet_kafka_group* group, rd_kafka_event_t* event, freshet_error* error) {
  rd_kafka_resp_err_t code = event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(event);
  const rd_kafka_group_result_t** results = NULL;
  size_t count = 0;
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    results = rd_kafka_AlterConsumerGroupOffsets_result_groups(
        rd_kafka_event_AlterConsumerGroupOffsets_result(event), &count);
  }
  for (size_t i = 0; i < count && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
    const rd_kafka_error_t* failure = rd_kafka_group_result_error(results[i]);
    if (failure != NULL) code = rd_kafka_error_code(failure);
    const rd_kafka_topic_partition_list_t* list = rd_kafka_group_result_partitions(results[i]);
    for (int p = 0; list != NULL && p < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; p++) {
      code = list->elems[p].err;
    }
  }
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
  bool is_active =
      code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID || code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION;
  return freshet_error_set(error, is_active ? FRESHET_CONFLICT : FRESHET_UNAVAILABLE, FRESHET_STOP,
                           "move group %s: %s", group->config->app_id,
                           is_active ? "somebody has joined it" : rd_kafka_err2str(code));
}

freshet_status freshet_kafka_group_move(freshet_kafka_group* group, const int64_t* offsets,
                                        freshet_error* error) {
  rd_kafka_t* handle = group->client.handle;
  rd_kafka_topic_partition_list_t* list = make_list(group, offsets, 0);
  char layout[FRESHET_LAYOUT_TEXT_SIZE];
  freshet_layout_write(&group->layout, layout);
  for (int i = 0; i < list->cnt && layout[0] != '\0'; i++) {
    list->elems[i].metadata = strdup(layout); /* the list's from now on */
    list->elems[i].metadata_size = strlen(layout);
  }
  rd_kafka_AlterConsumerGroupOffsets_t* change =
      rd_kafka_AlterConsumerGroupOffsets_new(group->config->app_id, list);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_queue_t* queue = rd_kafka_queue_new(handle);
  rd_kafka_AdminOptions_t* options =
      rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS);
  rd_kafka_AdminOptions_set_request_timeout(options, MOVE_MS, NULL, 0);
  rd_kafka_AlterConsumerGroupOffsets(handle, &change, 1, options, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 2 * MOVE_MS);
  freshet_status status = judge(group, event, error);
  if (event != NULL) rd_kafka_event_destroy(event);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_queue_destroy(queue);
  rd_kafka_AlterConsumerGroupOffsets_destroy(change);
  return status;
}
