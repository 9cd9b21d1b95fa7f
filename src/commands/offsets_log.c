/*
 * offsets_log.c: `freshet offsets --accept-new-log` and `--start-over`.
 *
 * It prints the plan and carries it out only when asked to. It owns the groups that it opens. It changes nothing
 * while the app is running.
 */
#include "commands/offsets_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands/stopped.h"
#include "kafka/app_generations.h"
#include "kafka/seal_facts.h"
#include "stream/clock.h"

enum { RETRY_MS = 500, DELETED_MS = 30000 };

static int64_t now_ms(void) {
  return freshet_clock_monotonic_us(freshet_clock_system()) / 1000;
}

/* ---- accept the new log ---- */

/* Where to go on in a partition; -1: as before. Without an offset the topic was made again, or nothing was read. Of old
 * requests nobody waits for an answer. */
static int64_t target_of(freshet_topic topic, const freshet_kafka_group_offset* o) {
  bool is_lost = topic != FRESHET_TOPIC_REQUESTS && o->committed < 0;
  return o->is_other_log || is_lost ? o->first : -1;
}

static freshet_status accept_topic(const freshet_kafka_config* kafka, freshet_topic topic, bool execute,
                                   size_t* changes, freshet_error* error) {
  freshet_kafka_group* group = NULL;
  freshet_status status = freshet_kafka_group_open(kafka, topic, &group, error);
  if (status != FRESHET_OK) return status;
  int32_t count = freshet_kafka_group_partitions(group);
  int64_t* targets = calloc((size_t)count + 1, sizeof *targets);
  FRESHET_ASSERT(targets != NULL);
  size_t moved = 0;
  for (int32_t p = 0; p < count; p++) {
    freshet_kafka_group_offset o = freshet_kafka_group_offset_of(group, p);
    targets[p] = target_of(topic, &o);
    if (targets[p] < 0) continue;
    moved++;
    printf("%s [%d]: %s; reading begins at %" PRId64 ", %" PRId64 " records\n", kafka->topics[topic], (int)p,
           o.is_other_log ? "another log" : "no committed offset", targets[p], o.end - o.first);
  }
  if (execute && moved > 0) {
    status = freshet_await_stopped(kafka, kafka->app_id, error);
    if (status == FRESHET_OK) status = freshet_kafka_group_move(group, targets, error);
  }
  *changes += moved;
  free(targets);
  freshet_kafka_group_close(group);
  return status;
}

freshet_status freshet_offsets_accept_new_log(const freshet_kafka_config* kafka, bool execute,
                                              freshet_error* error) {
  static const freshet_topic topics[] = {FRESHET_TOPIC_EVENTS, FRESHET_TOPIC_ITEMS, FRESHET_TOPIC_REQUESTS};
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  size_t changes = 0;
  freshet_status status = freshet_kafka_topics_list(kafka, info, error);
  for (size_t i = 0; status == FRESHET_OK && i < sizeof topics / sizeof topics[0]; i++) {
    if (info[topics[i]].partitions > 0) status = accept_topic(kafka, topics[i], execute, &changes, error);
  }
  if (status != FRESHET_OK) return status;
  if (changes == 0) {
    printf("nothing to do: the topics hold the logs that were read\n");
  } else if (execute) {
    printf("accepted: `freshet run` learns the new log on top of what is known\n");
  } else {
    printf(
        "dry run: nothing was changed; --execute does it. What is known stays; the new log is learned on "
        "top\n");
  }
  return FRESHET_OK;
}

/* ---- start over ---- */

static const freshet_topic state_topics[] = {FRESHET_TOPIC_USERS, FRESHET_TOPIC_ITEM_STATES,
                                             FRESHET_TOPIC_ITEM_DELTAS};
enum { STATE_TOPICS = sizeof state_topics / sizeof state_topics[0] };

/* Kafka deletes a topic a moment after it has said so. */
static freshet_status await_deleted(const freshet_kafka_config* kafka, freshet_error* error) {
  int64_t deadline_ms = now_ms() + DELETED_MS;
  for (;;) {
    freshet_kafka_topic_info info[FRESHET_TOPICS];
    int32_t left = 0;
    freshet_status status = freshet_kafka_topics_list(kafka, info, error);
    for (size_t i = 0; status == FRESHET_OK && i < STATE_TOPICS; i++)
      left += info[state_topics[i]].partitions;
    if (status != FRESHET_OK || left == 0) return status;
    if (now_ms() > deadline_ms)
      return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP,
                               "the state topics are not deleted after %d s; do it again", DELETED_MS / 1000);
    usleep(RETRY_MS * 1000);
  }
}

static freshet_status forget(const freshet_kafka_config* kafka, const freshet_kafka_topic_info* info,
                             freshet_error* error) {
  int32_t replication = info[FRESHET_TOPIC_USERS].replication;
  bool created[FRESHET_TOPICS];
  freshet_status status = freshet_kafka_generation_drop(kafka, state_topics, STATE_TOPICS, error);
  if (status == FRESHET_OK) status = await_deleted(kafka, error);
  if (status != FRESHET_OK) return status;
  status = freshet_kafka_topics_create(kafka, info[FRESHET_TOPIC_EVENTS].partitions,
                                       replication > 0 ? replication : -1, created, error);
  if (status == FRESHET_OK) status = freshet_seal_facts_begin(kafka, created, error);
  return status;
}

freshet_status freshet_offsets_start_over(const freshet_kafka_config* kafka, bool execute,
                                          freshet_error* error) {
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_kafka_group* group = NULL;
  freshet_status status = freshet_kafka_topics_list(kafka, info, error);
  if (status == FRESHET_OK) status = freshet_kafka_group_open(kafka, FRESHET_TOPIC_EVENTS, &group, error);
  if (status != FRESHET_OK) return status;
  printf("forgets all that group %s has learned: deletes the group and makes these topics anew:\n",
         kafka->app_id);
  for (size_t i = 0; i < STATE_TOPICS; i++) printf("  %s\n", kafka->topics[state_topics[i]]);
  printf("then `freshet run` learns %s from its beginning. Remove the folders under state.folder, too\n",
         kafka->topics[FRESHET_TOPIC_EVENTS]);
  if (!execute) printf("dry run: nothing was changed; --execute does it\n");
  if (execute) status = freshet_await_stopped(kafka, kafka->app_id, error);
  freshet_kafka_group_close(group);
  if (execute && status == FRESHET_OK) status = forget(kafka, info, error);
  if (execute && status == FRESHET_OK) printf("done\n");
  return status;
}
