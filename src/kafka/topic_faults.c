/*
 * topic_faults.c: holds the topics of a cluster against what Freshet needs of them, and lists every difference.
 *
 * It owns nothing after a call. Settings that the cluster does not tell are no fault. It must not change a topic.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/questions.h"
#include "kafka/topic_specs.h"
#include "stream/clock.h"
#include "stream/store.h"

enum {
  LIST_SIZE = 256,
  NOTHING_FITS = 1000, /* bytes: the head of a batch takes half of it */
  ASK_MS = 5000,
  SMALL_BYTES = 1 << 30,         /* a partition of less may be full before its worker is back */
  DELTAS_LEAST_MS = 3600 * 1000, /* the owners of items fold deltas within minutes */
  REQUESTS_LEAST_MS = 60 * 1000, /* nobody waits longer for an answer */
};

typedef struct checking {
  const freshet_kafka_config* config;
  const freshet_kafka_topic_info* info; /* [FRESHET_TOPICS] */
  freshet_kafka_faults* faults;
} checking;

static void __attribute__((format(printf, 3, 4)))
add(checking* c, freshet_status status, const char* format, ...) {
  if (c->faults->count == FRESHET_KAFKA_FAULTS_MAX) return;
  freshet_kafka_fault* fault = &c->faults->list[c->faults->count++];
  fault->status = status;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(fault->text, sizeof fault->text, format, arguments);
  va_end(arguments);
}

/* ---- what stops a worker ---- */

static void check_missing(checking* c) {
  char missing[LIST_SIZE] = "";
  size_t size = 0;
  bool requests = c->info[FRESHET_TOPIC_REQUESTS].partitions > 0;
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    const char* name = c->config->topics[topic];
    if (name == NULL || c->info[topic].partitions > 0) continue;
    if (c->info[topic].is_denied) {
      add(c, FRESHET_UNAVAILABLE, "topic %s: access is denied; this user needs the right Describe on it",
          name);
      continue;
    }
    if (freshet_topic_specs[topic].optional && !(topic == FRESHET_TOPIC_REPLIES && requests)) continue;
    if (size < sizeof missing) size += (size_t)snprintf(missing + size, sizeof missing - size, " %s", name);
  }
  if (size > 0)
    add(c, FRESHET_NOT_FOUND, "topics that do not exist:%s; `freshet topics create` makes them", missing);
}

static void check_partitions(checking* c, freshet_topic topic) {
  const freshet_topic_spec* spec = &freshet_topic_specs[topic];
  int32_t partitions = c->info[topic].partitions, events = c->info[FRESHET_TOPIC_EVENTS].partitions;
  if (spec->partitions == FRESHET_PARTITIONS_SHARED && events > 0 && partitions != events) {
    int32_t most = partitions > events ? partitions : events;
    add(c, FRESHET_CONFLICT,
        "topic %s has %d partitions, but %s has %d: both are partitioned by user and need the same count; "
        "`freshet topics grow --partitions %d` makes them equal and moves the users",
        c->config->topics[topic], (int)partitions, c->config->topics[FRESHET_TOPIC_EVENTS], (int)events,
        (int)most);
  }
  if (spec->partitions == FRESHET_PARTITIONS_ONE && partitions != 1) {
    add(c, FRESHET_OK,
        "topic %s has %d partitions, of which only the first is used: all workers must read it in the same "
        "order",
        c->config->topics[topic], (int)partitions);
  }
}

/* ---- what loses records ---- */

/* Each record counts, and has to stay until it has been read. */
static bool is_read_in_order(freshet_topic topic) {
  return topic == FRESHET_TOPIC_EVENTS || topic == FRESHET_TOPIC_REQUESTS ||
         topic == FRESHET_TOPIC_ITEM_DELTAS;
}

/* How long a record has to stay at least, in ms; 0: as long as anybody likes. */
static int64_t least_retention_ms(freshet_topic topic) {
  if (topic == FRESHET_TOPIC_EVENTS) return FRESHET_LONGEST_ABSENCE_MS;
  if (topic == FRESHET_TOPIC_REQUESTS) return REQUESTS_LEAST_MS;
  return topic == FRESHET_TOPIC_ITEM_DELTAS ? DELTAS_LEAST_MS : 0;
}

static void check_policy(checking* c, freshet_topic topic) {
  const freshet_topic_spec* spec = &freshet_topic_specs[topic];
  const freshet_kafka_topic_info* info = &c->info[topic];
  const char* name = c->config->topics[topic];
  bool compacts = strcmp(spec->policy, "compact") == 0;
  if (spec->ours && (info->compacted != compacts || info->deletes == compacts)) {
    add(c, FRESHET_CONFLICT, "topic %s needs cleanup.policy=%s, or state would be lost", name, spec->policy);
  } else if (!compacts && info->compacted) {
    add(c, FRESHET_OK,
        "topic %s is compacted: of each key only the newest record stays, so history is lost; set "
        "cleanup.policy=delete and retention.ms=-1",
        name);
  } else if (compacts && info->deletes && (info->compacted || info->retention_ms >= 0)) {
    add(c, FRESHET_OK,
        "topic %s has cleanup.policy=%s: records that still hold expire after "
        "retention.ms; set cleanup.policy=compact",
        name, info->compacted ? "compact,delete" : "delete");
  }
  if (is_read_in_order(topic) && info->retention_bytes >= 0 && info->retention_bytes < SMALL_BYTES) {
    add(c, FRESHET_OK,
        "topic %s keeps %lld bytes of each partition: records may be deleted before they are read; set "
        "retention.bytes=-1",
        name, (long long)info->retention_bytes);
  }
  if (compacts && info->compacted && info->delete_retention_ms >= 0 &&
      info->delete_retention_ms < FRESHET_LONGEST_ABSENCE_MS) {
    add(c, FRESHET_OK,
        "topic %s forgets tombstones after %lld ms: a process that was away longer would bring back what was "
        "deleted; set delete.retention.ms to %d or more",
        name, (long long)info->delete_retention_ms, FRESHET_LONGEST_ABSENCE_MS);
  }
  if (info->deletes && info->retention_ms >= 0 && info->retention_ms < least_retention_ms(topic)) {
    add(c, FRESHET_OK,
        "topic %s keeps records for %lld ms: %s may expire before a process that was away has read them; set "
        "retention.ms to %lld or more",
        name, (long long)info->retention_ms, topic == FRESHET_TOPIC_ITEM_DELTAS ? "deltas" : "records",
        (long long)least_retention_ms(topic));
  }
  if (topic == FRESHET_TOPIC_EVENTS && info->oldest_ms >= 0) {
    add(c, FRESHET_OK,
        "topic %s refuses records that are older than %lld ms, so that history cannot be replayed; remove "
        "message.timestamp.before.max.ms",
        name, (long long)info->oldest_ms);
  }
}

static void check_size(checking* c, freshet_topic topic) {
  int64_t least = freshet_topic_specs[topic].least_bytes, most = c->info[topic].max_message_bytes;
  if (most <= 0 || most >= least) return; /* not told, or no limit */
  const bool fits_none = freshet_topic_specs[topic].ours && most < NOTHING_FITS;
  add(c, fits_none ? FRESHET_CONFLICT : FRESHET_OK,
      "topic %s has max.message.bytes=%lld: %s may need %lld, and is refused for ever then; set it to "
      "1048588",
      c->config->topics[topic], (long long)most, freshet_topic_specs[topic].ours ? "a commit" : "a record",
      (long long)least);
}

/* Brokers of which each may be away, and records that two of them have. */
static void check_in_sync(checking* c, freshet_topic topic) {
  const freshet_kafka_topic_info* info = &c->info[topic];
  const char* name = c->config->topics[topic];
  const int in_sync = (int)info->min_in_sync, replicas = (int)info->replication;
  if (in_sync > replicas) {
    add(c, FRESHET_OK,
        "topic %s has min.insync.replicas=%d, but %d replica%s: brokers before Kafka 3.7 write nothing to it "
        "then; "
        "set min.insync.replicas to %d, or give it more replicas",
        name, in_sync, replicas, replicas == 1 ? "" : "s", replicas > 2 ? replicas - 1 : 1);
  } else if (in_sync == replicas && replicas > 1) {
    add(c, FRESHET_OK,
        "topic %s has min.insync.replicas=%d, and as many replicas: nothing can be written to it while one "
        "broker is away; %s",
        name, in_sync, replicas == 2 ? "give it 3 replicas" : "set it to one less");
  } else if (replicas > 2 && in_sync == 1) {
    add(c, FRESHET_OK,
        "topic %s has min.insync.replicas=1: one broker may acknowledge a record alone and lose it; set it "
        "to 2",
        name);
  }
  if (info->is_unclean && replicas > 1) {
    add(c, FRESHET_OK,
        "topic %s has unclean.leader.election.enable=true: records that were acknowledged may vanish when a "
        "broker dies; set it to false",
        name);
  }
}

static void check_replicas(checking* c, freshet_topic topic) {
  const freshet_kafka_topic_info* info = &c->info[topic];
  if (info->brokers > 2 && info->replication == 1) {
    add(c, FRESHET_OK,
        "topic %s has one replica though the cluster has %d brokers: with that broker its records are lost; "
        "give it 3 replicas",
        c->config->topics[topic], (int)info->brokers);
  }
  if (info->policy_known) check_in_sync(c, topic);
}

/* ---- history that is about to expire ---- */

/* For each partition, the first offset whose record is not older than time_ms, else below 0; or the beginning or the end of the
 * log. One question to each broker, however many partitions there are. False: the cluster did not say. */
static bool ask_offsets(const freshet_kafka_client* client, const char* name, int32_t partitions,
                        int64_t time_ms, int64_t* offsets) {
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(partitions);
  for (int32_t p = 0; p < partitions; p++) rd_kafka_topic_partition_list_add(list, name, p)->offset = time_ms;
  rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(client->handle, list, ASK_MS);
  for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
    code = list->elems[i].err;
    offsets[list->elems[i].partition] = list->elems[i].offset;
  }
  rd_kafka_topic_partition_list_destroy(list);
  return code == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void check_history(checking* c, freshet_kafka_client* client) {
  const freshet_kafka_topic_info* info = &c->info[FRESHET_TOPIC_EVENTS];
  const char* name = c->config->topics[FRESHET_TOPIC_EVENTS];
  if (!info->policy_known || !info->deletes || info->retention_ms < 0) return;
  int64_t oldest_ms = freshet_clock_now_ms(freshet_clock_system()) - info->retention_ms, expiring = 0;
  const size_t count = (size_t)info->partitions;
  int64_t* offsets = calloc(3 * count + 1, sizeof *offsets);
  FRESHET_ASSERT(offsets != NULL);
  int64_t *first = offsets, *end = offsets + count, *at = offsets + 2 * count;
  if (ask_offsets(client, name, info->partitions, RD_KAFKA_OFFSET_BEGINNING, first) &&
      ask_offsets(client, name, info->partitions, oldest_ms, at) &&
      ask_offsets(client, name, info->partitions, RD_KAFKA_OFFSET_END, end)) {
    for (size_t p = 0; p < count; p++) {
      const int64_t until = at[p] < 0 ? end[p] : at[p];
      if (until > first[p]) expiring += until - first[p];
    }
  }
  free(offsets);
  if (expiring == 0) return;
  add(c, FRESHET_OK,
      "topic %s keeps records for %lld days, but %lld of its records are older and are about to be deleted; "
      "set retention.ms=-1 to keep the history",
      name, (long long)(info->retention_ms / 86400000), (long long)expiring);
}

/* ---- state that has been deleted ---- */

/* Compaction never moves the beginning of a log. Retention does, and whoever deletes records by hand. */
static void check_changelog(checking* c, freshet_kafka_client* client) {
  const freshet_kafka_topic_info* info = &c->info[FRESHET_TOPIC_USERS];
  const char* name = c->config->topics[FRESHET_TOPIC_USERS];
  int64_t deleted = 0;
  int32_t partitions = 0;
  int64_t* first = calloc((size_t)info->partitions + 1, sizeof *first);
  FRESHET_ASSERT(first != NULL);
  const bool is_known =
      name != NULL && ask_offsets(client, name, info->partitions, RD_KAFKA_OFFSET_BEGINNING, first);
  for (int32_t p = 0; is_known && p < info->partitions; p++) {
    if (first[p] <= 0) continue;
    deleted += first[p];
    partitions++;
  }
  free(first);
  if (partitions == 0) return;
  add(c, FRESHET_OK,
      "topic %s has lost its first records, %lld in %d partitions (retention, or deleted by hand): a process "
      "without its state folder does not know users whose only row was there; keep the folders, or `freshet "
      "offsets --start-over` learns all events again",
      name, (long long)deleted, (int)partitions);
}

/* Does the state know of all partitions? */
static freshet_status check_layout(checking* c, freshet_error* error) {
  freshet_layout layout;
  freshet_error cause = {0};
  freshet_status status = freshet_kafka_layout_check(c->config, &layout, &cause);
  if (status == FRESHET_CONFLICT) {
    add(c, status, "%s", cause.message);
    return FRESHET_OK;
  }
  if (status == FRESHET_OK) return status;
  return freshet_error_set(error, status, FRESHET_STOP, "%s", cause.message);
}

freshet_status freshet_kafka_topics_faults(const freshet_kafka_config* config,
                                           freshet_kafka_topic_info info[FRESHET_TOPICS],
                                           freshet_kafka_faults* faults, freshet_error* error) {
  faults->count = 0;
  freshet_status status = freshet_kafka_topics_list(config, info, error);
  if (status != FRESHET_OK) return status;
  checking c = {config, info, faults};
  check_missing(&c);
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    if (config->topics[topic] == NULL || info[topic].partitions == 0) continue;
    check_partitions(&c, topic);
    if (info[topic].policy_known) check_policy(&c, topic);
    if (info[topic].policy_known) check_size(&c, topic);
    check_replicas(&c, topic);
  }
  if (config->topics[FRESHET_TOPIC_EVENTS] == NULL || info[FRESHET_TOPIC_EVENTS].partitions == 0)
    return FRESHET_OK;
  freshet_kafka_client client = {0};
  status = freshet_kafka_client_open(&client, config, FRESHET_KAFKA_OBSERVER, (freshet_kafka_callbacks){0},
                                     NULL, error);
  if (status == FRESHET_OK) check_history(&c, &client);
  /* Not in each look of a process that runs: it asks about each partition, and what is lost stays lost. */
  if (status == FRESHET_OK && config->app_id != NULL) check_changelog(&c, &client);
  freshet_kafka_client_close(&client, 0);
  if (status == FRESHET_OK && config->app_id != NULL) status = check_layout(&c, error);
  return status;
}

freshet_status freshet_kafka_topics_check(const freshet_kafka_config* config,
                                          freshet_kafka_topic_info info[FRESHET_TOPICS],
                                          freshet_kafka_faults* faults, freshet_error* error) {
  freshet_status status = freshet_kafka_topics_faults(config, info, faults, error);
  for (size_t i = 0; i < faults->count; i++) {
    const freshet_kafka_fault* fault = &faults->list[i];
    freshet_log_fact(config->logger, fault->status == FRESHET_OK ? FRESHET_WARN : FRESHET_ERROR,
                     "topics.fault", "message=\"%s\"", fault->text);
    if (status == FRESHET_OK && fault->status != FRESHET_OK)
      status = freshet_error_set(error, fault->status, FRESHET_STOP, "%s", fault->text);
  }
  return status;
}
