/*
 * erase_receipt.c: looks through the topics for records of an erased user, and finds out until when the
 * topics keep them. It owns what it has counted. It must not change anything.
 */
#include "commands/erase_receipt.h"

#include <stdlib.h>
#include <string.h>

#include "commands/scan.h"

static const freshet_topic searched[FRESHET_ERASE_TRACES] = {
    FRESHET_TOPIC_USERS,        FRESHET_TOPIC_RECOMMENDATIONS, FRESHET_TOPIC_SHADOW, FRESHET_TOPIC_REPLIES,
    FRESHET_TOPIC_DEAD_LETTERS, FRESHET_TOPIC_REQUESTS,        FRESHET_TOPIC_EVENTS};

/* What a partition has of the user. */
typedef enum finding { NOTHING = 0, ERASED, ALIVE } finding;

typedef struct search {
  freshet_reader* log;
  freshet_slice user;
  freshet_erase_trace* trace;
  uint8_t* last;   /* [partitions] finding: of the last record */
  bool* has_value; /* [partitions] of any record */
} search;

static bool is_of_user(const search* s, const freshet_record* record) {
  if (s->trace->topic != FRESHET_TOPIC_REPLIES)
    return record->has_key && freshet_slice_equal(record->key, s->user);
  return record->has_value &&
         memmem(record->value.data, record->value.size, s->user.data, s->user.size) != NULL;
}

static freshet_status look_at(void* context, const freshet_record* record, freshet_error* error) {
  (void)error;
  search* s = context;
  if (!is_of_user(s, record)) return FRESHET_OK;
  s->last[record->partition] = record->has_value ? ALIVE : ERASED;
  if (!record->has_value) return FRESHET_OK;
  s->has_value[record->partition] = true;
  s->trace->records++;
  if (record->timestamp_ms > s->trace->newest_ms) s->trace->newest_ms = record->timestamp_ms;
  return FRESHET_OK;
}

static void add_place(freshet_erase_places* places, int32_t partition) {
  if (places->count < FRESHET_ERASE_PARTITIONS_MAX) places->partitions[places->count] = partition;
  places->count++;
}

static freshet_status look_through(search* s, int32_t partitions, freshet_error* error) {
  freshet_erase_trace* trace = s->trace;
  const freshet_scan scan = {
      .reader = s->log, .topic = trace->topic, .name = trace->name, .take = look_at, .context = s};
  s->last = calloc((size_t)partitions, sizeof *s->last);
  s->has_value = calloc((size_t)partitions, sizeof *s->has_value);
  FRESHET_ASSERT(s->last != NULL && s->has_value != NULL);
  freshet_status status = freshet_scan_topic(&scan, error);
  for (int32_t p = 0; status == FRESHET_OK && p < partitions; p++) {
    if (s->last[p] == ALIVE) add_place(&trace->alive, p);
    if (s->has_value[p]) add_place(&trace->found, p);
  }
  trace->erased = trace->alive.count == 0;
  free(s->last);
  free(s->has_value);
  return status;
}

/* After max.compaction.lag.ms, counted from their time, records are compacted away; after retention.ms they
 * are deleted. At that moment both are due; the broker's cleaner and the end of a segment may take longer. */
static void set_bound(freshet_erase_trace* trace, const freshet_kafka_topic_info* info) {
  int64_t bound_ms = info->compacted ? info->compaction_lag_ms : info->retention_ms;
  trace->exists = true;
  trace->policy_known = info->policy_known;
  trace->compacted = info->compacted;
  trace->is_bounded = info->policy_known && bound_ms >= 0;
  trace->until_ms = trace->newest_ms + bound_ms;
}

freshet_status freshet_erase_look(const freshet_kafka_config* kafka, freshet_slice user,
                                  freshet_erase_trace traces[FRESHET_ERASE_TRACES], freshet_error* error) {
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  search s = {.user = user};
  freshet_status status = freshet_kafka_topics_list(kafka, info, error);
  if (status == FRESHET_OK) status = freshet_kafka_reader_create(kafka, &s.log, error);
  for (int i = 0; i < FRESHET_ERASE_TRACES; i++) {
    freshet_topic topic = searched[i];
    traces[i] = (freshet_erase_trace){.topic = topic, .name = kafka->topics[topic], .erased = true};
    s.trace = &traces[i];
    if (status != FRESHET_OK || info[topic].partitions == 0) continue;
    status = look_through(&s, info[topic].partitions, error);
    set_bound(&traces[i], &info[topic]);
  }
  freshet_reader_destroy(s.log);
  return status;
}
