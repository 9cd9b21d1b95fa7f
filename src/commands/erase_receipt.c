#include "commands/erase_receipt.h"

#include <stdlib.h>

#include "worker/clock.h"
#include "worker/partitioner.h"

enum { POLL_RECORDS = 1024, POLL_WAIT_MS = 100, STALL_MS = 30000 };

static const freshet_topic places[FRESHET_ERASE_TRACES] = {
    FRESHET_TOPIC_USERS,        FRESHET_TOPIC_RECOMMENDATIONS, FRESHET_TOPIC_SHADOW, FRESHET_TOPIC_REPLIES,
    FRESHET_TOPIC_DEAD_LETTERS, FRESHET_TOPIC_REQUESTS,        FRESHET_TOPIC_EVENTS};

typedef struct search {
  freshet_log* log;
  freshet_slice user;
  freshet_erase_trace* trace;
  freshet_record records[POLL_RECORDS];
} search;

static bool is_of_user(const search* s, const freshet_record* record) {
  if (s->trace->topic != FRESHET_TOPIC_REPLIES)
    return record->has_key && freshet_slice_equal(record->key, s->user);
  return record->has_value &&
         memmem(record->value.data, record->value.size, s->user.data, s->user.size) != NULL;
}

static void look_at(search* s, const freshet_record* record) {
  if (!is_of_user(s, record)) return;
  s->trace->erased = !record->has_value;
  if (!record->has_value) return;
  s->trace->records++;
  if (record->timestamp_ms > s->trace->newest_ms) s->trace->newest_ms = record->timestamp_ms;
}

static freshet_status look_through(search* s, int32_t partition, freshet_error* error) {
  freshet_log* log = s->log;
  freshet_topic topic = s->trace->topic;
  freshet_clock* clock = freshet_clock_system();
  int64_t first, end, heard_us = clock->monotonic_us(clock);
  freshet_status status = log->vtable->range(log, topic, partition, &first, &end, error);
  if (status == FRESHET_OK)
    status = log->vtable->open(log, topic, partition, FRESHET_OFFSET_BEGINNING, error);
  while (status == FRESHET_OK && log->vtable->position(log, topic, partition) < end) {
    size_t count = 0;
    int64_t before = log->vtable->position(log, topic, partition);
    status = log->vtable->poll(log, POLL_WAIT_MS, s->records, POLL_RECORDS, &count, error);
    for (size_t i = 0; status == FRESHET_OK && i < count; i++) look_at(s, &s->records[i]);
    if (count > 0 || log->vtable->position(log, topic, partition) != before)
      heard_us = clock->monotonic_us(clock);
    if (clock->monotonic_us(clock) - heard_us > (int64_t)STALL_MS * 1000) {
      status = freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP, "topic %s gave nothing for %d s",
                                 s->trace->name, STALL_MS / 1000);
    }
  }
  freshet_status closed = log->vtable->shut(log, topic, partition, NULL);
  return status != FRESHET_OK ? status : closed;
}

/* The partitions of `replies` are those of request ids. Co-partitioned topics go by the user's partition,
 * which producers may have chosen otherwise; what Freshet writes goes by murmur2. */
static freshet_status look_for(search* s, int32_t partition, int32_t partitions, freshet_error* error) {
  freshet_topic topic = s->trace->topic;
  if (topic == FRESHET_TOPIC_REPLIES) {
    freshet_status status = FRESHET_OK;
    for (int32_t p = 0; status == FRESHET_OK && p < partitions; p++) status = look_through(s, p, error);
    return status;
  }
  bool by_user =
      topic == FRESHET_TOPIC_EVENTS || topic == FRESHET_TOPIC_REQUESTS || topic == FRESHET_TOPIC_USERS;
  return look_through(s, by_user ? partition : freshet_partition_of(s->user, partitions), error);
}

/* By max.compaction.lag.ms the records are compacted away, counted from their time; by retention.ms deleted.
 * Both are due then; the broker's cleaner and the end of a segment may add to it. */
static void set_bound(freshet_erase_trace* trace, const freshet_kafka_topic_info* info) {
  int64_t bound_ms = info->compacted ? info->compaction_lag_ms : info->retention_ms;
  trace->exists = true;
  trace->policy_known = info->policy_known;
  trace->compacted = info->compacted;
  trace->is_bounded = info->policy_known && bound_ms >= 0;
  trace->until_ms = trace->newest_ms + bound_ms;
}

freshet_status freshet_erase_look(const freshet_kafka_config* kafka, freshet_slice user, int32_t partition,
                                  freshet_erase_trace traces[FRESHET_ERASE_TRACES], freshet_error* error) {
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  search* s = calloc(1, sizeof *s);
  FRESHET_ASSERT(s != NULL);
  s->user = user;
  freshet_status status = freshet_kafka_topics_list(kafka, info, error);
  if (status == FRESHET_OK) status = freshet_kafka_log_create(kafka, &s->log, error);
  for (int i = 0; i < FRESHET_ERASE_TRACES; i++) {
    freshet_topic topic = places[i];
    traces[i] = (freshet_erase_trace){.topic = topic, .name = kafka->topics[topic], .erased = true};
    s->trace = &traces[i];
    if (status != FRESHET_OK || info[topic].partitions == 0) continue;
    status = look_for(s, partition, info[topic].partitions, error);
    set_bound(&traces[i], &info[topic]);
  }
  if (s->log != NULL) s->log->vtable->destroy(s->log);
  free(s);
  return status;
}
