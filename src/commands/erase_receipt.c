/*
 * erase_receipt.c: looks through the topics for records of an erased user, and finds out until when the
 * topics keep them. It owns what it has counted. It must not change anything.
 */
#include "commands/erase_receipt.h"

#include <string.h>

#include "commands/scan.h"
#include "stream/partitioner.h"

static const freshet_topic places[FRESHET_ERASE_TRACES] = {
    FRESHET_TOPIC_USERS,        FRESHET_TOPIC_RECOMMENDATIONS, FRESHET_TOPIC_SHADOW, FRESHET_TOPIC_REPLIES,
    FRESHET_TOPIC_DEAD_LETTERS, FRESHET_TOPIC_REQUESTS,        FRESHET_TOPIC_EVENTS};

typedef struct search {
  freshet_reader* log;
  freshet_slice user;
  freshet_erase_trace* trace;
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
  s->trace->erased = !record->has_value;
  if (!record->has_value) return FRESHET_OK;
  s->trace->records++;
  if (record->timestamp_ms > s->trace->newest_ms) s->trace->newest_ms = record->timestamp_ms;
  return FRESHET_OK;
}

/* The partitions of `replies` follow request ids. Co-partitioned topics follow the user's partition, which
 * producers may have chosen in another way. Freshet itself writes by murmur2. */
static freshet_status look_for(search* s, int32_t partition, int32_t partitions, freshet_error* error) {
  freshet_topic topic = s->trace->topic;
  freshet_scan scan = {.reader = s->log,
                       .topic = topic,
                       .name = s->trace->name,
                       .from = FRESHET_OFFSET_BEGINNING,
                       .to = FRESHET_SCAN_TO_END,
                       .take = look_at,
                       .context = s};
  if (topic == FRESHET_TOPIC_REPLIES) return freshet_scan_topic(&scan, error);
  bool by_user =
      topic == FRESHET_TOPIC_EVENTS || topic == FRESHET_TOPIC_REQUESTS || topic == FRESHET_TOPIC_USERS;
  scan.partition = by_user ? partition : freshet_partition_of(s->user, partitions);
  return freshet_scan_partition(&scan, error);
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

freshet_status freshet_erase_look(const freshet_kafka_config* kafka, freshet_slice user, int32_t partition,
                                  freshet_erase_trace traces[FRESHET_ERASE_TRACES], freshet_error* error) {
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  search s = {.user = user};
  freshet_status status = freshet_kafka_topics_list(kafka, info, error);
  if (status == FRESHET_OK) status = freshet_kafka_reader_create(kafka, &s.log, error);
  for (int i = 0; i < FRESHET_ERASE_TRACES; i++) {
    freshet_topic topic = places[i];
    traces[i] = (freshet_erase_trace){.topic = topic, .name = kafka->topics[topic], .erased = true};
    s.trace = &traces[i];
    if (status != FRESHET_OK || info[topic].partitions == 0) continue;
    status = look_for(&s, partition, info[topic].partitions, error);
    set_bound(&traces[i], &info[topic]);
  }
  freshet_reader_destroy(s.log);
  return status;
}
