/* foreign_events.c: see foreign_events.h. */
#include "worker/foreign_events.h"

#include <stdio.h>

enum {
  EVIDENCE = 10000, /* events that are looked at although none was foreign */
  ADVICE_SIZE = 256,
};

/* In the order in which they are likely: librdkafka's default first. */
static const freshet_partitioner likely[] = {FRESHET_PARTITIONER_CRC32, FRESHET_PARTITIONER_MURMUR2,
                                             FRESHET_PARTITIONER_FNV1A};
enum { LIKELY = sizeof likely / sizeof likely[0] };

bool freshet_foreign_events_note(freshet_foreign_events* events, const freshet_record* record, int32_t home,
                                 freshet_error* cause) {
  bool is_foreign = home != record->partition;
  if (!is_foreign && events->foreign == 0 && events->seen >= EVIDENCE) return false;
  events->seen++;
  if (is_foreign) events->foreign++;
  for (size_t i = 0; i < LIKELY; i++) {
    bool fits = freshet_partition_by(likely[i], record->key, events->partitions) == record->partition;
    events->fit[likely[i]] += fits;
    events->foreign_fit[likely[i]] += fits && is_foreign;
  }
  if (!is_foreign) return false;
  events->is_unchecked = true;
  freshet_count(&events->ports->metrics->events_foreign, 1);
  freshet_error_set(cause, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                    "the event is in partition %d, but its user lives in partition %d (events.partitioner = "
                    "%s): its producer has another partitioner",
                    (int)record->partition, (int)home, freshet_partitioner_name(events->partitioner));
  return true;
}

bool freshet_foreign_events_is_old(const freshet_foreign_events* events, const freshet_record* record) {
  return events->previous > 0 && events->previous < events->partitions &&
         freshet_partition_by(events->partitioner, record->key, events->previous) == record->partition;
}

freshet_status freshet_foreign_events_check(freshet_foreign_events* events, freshet_error* error) {
  int32_t partitions = events->partitions;
  if (!events->is_unchecked) return FRESHET_OK;
  freshet_status status =
      freshet_reader_partitions(events->ports->reader, FRESHET_TOPIC_EVENTS, &partitions, error);
  if (status != FRESHET_OK) return status;
  events->is_unchecked = false;
  if (partitions == events->partitions) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                           "topic %s has %d partitions now, and had %d: stop all processes, then `freshet "
                           "topics grow --partitions %d` (a dry run without --execute) moves the users",
                           freshet_outbox_topic_name(events->ports->outbox, FRESHET_TOPIC_EVENTS),
                           (int)partitions, (int)events->partitions, (int)partitions);
}

static freshet_partitioner all_of(const uint64_t fit[FRESHET_PARTITIONERS], uint64_t count) {
  for (size_t i = 0; i < LIKELY && count > 0; i++) {
    if (fit[likely[i]] == count) return likely[i];
  }
  return FRESHET_PARTITIONER_ANY;
}

freshet_partitioner freshet_foreign_events_fit(const freshet_foreign_events* events) {
  return all_of(events->fit, events->seen);
}

freshet_partitioner freshet_foreign_events_origin(const freshet_foreign_events* events) {
  return all_of(events->foreign_fit, events->foreign);
}

static void advise(const freshet_foreign_events* events, char advice[ADVICE_SIZE]) {
  freshet_partitioner fit = freshet_foreign_events_fit(events);
  freshet_partitioner origin = freshet_foreign_events_origin(events);
  if (events->partitioner == FRESHET_PARTITIONER_ANY) {
    snprintf(advice, ADVICE_SIZE, "let each user's events come in one partition");
  } else if (fit != FRESHET_PARTITIONER_ANY) {
    snprintf(advice, ADVICE_SIZE, "set events.partitioner = %s", freshet_partitioner_name(fit));
  } else if (origin != FRESHET_PARTITIONER_ANY) {
    snprintf(advice, ADVICE_SIZE,
             "producers differ: give those that use %s partitioner = %s (librdkafka), as the others",
             freshet_partitioner_name(origin), freshet_partitioner_property(events->partitioner));
  } else {
    snprintf(advice, ADVICE_SIZE,
             "no partitioner fits all of them; if producers choose the partition, set events.partitioner = "
             "any");
  }
}

void freshet_foreign_events_turn(freshet_foreign_events* events) {
  if (!freshet_told_is_due(&events->told, events->foreign, events->ports->clock)) return;
  freshet_partitioner origin = freshet_foreign_events_origin(events);
  char advice[ADVICE_SIZE];
  advise(events, advice);
  freshet_log_fact(events->ports->logger, FRESHET_WARN, "events.foreign",
                   "topic=%s count=%llu of=%llu partitioner=%s fits=%s message=\"events in another partition "
                   "than that of their user are dead letters\" do=\"%s\"",
                   freshet_outbox_topic_name(events->ports->outbox, FRESHET_TOPIC_EVENTS),
                   (unsigned long long)events->foreign, (unsigned long long)events->seen,
                   freshet_partitioner_name(events->partitioner),
                   origin == FRESHET_PARTITIONER_ANY ? "none" : freshet_partitioner_name(origin), advice);
}
