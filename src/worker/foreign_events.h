/*
 * foreign_events.h: events in another partition than that of their user. Their producer has another partitioner than
 * events.partitioner says. Such an event is not learned, since its user would be split in two: it becomes a dead
 * letter, is counted, and a log line names the partitioner that would fit.
 *
 * It owns the counts by which partitioners are told apart. It must not know what is learned. Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_FOREIGN_EVENTS_H
#define FRESHET_WORKER_FOREIGN_EVENTS_H

#include "stream/partitioner.h"
#include "stream/ports.h"
#include "worker/told.h"

/* Zero, but for the first four members: nothing has come yet. */
typedef struct freshet_foreign_events {
  const freshet_ports* ports;
  freshet_partitioner partitioner;
  int32_t partitions; /* of `events` */
  int32_t previous;   /* before it was grown; 0: it was not */
  bool is_unchecked;  /* events have come to another partition since the count was looked at */
  uint64_t seen, foreign;
  uint64_t fit[FRESHET_PARTITIONERS];         /* of `seen`, that are where this partitioner puts them */
  uint64_t foreign_fit[FRESHET_PARTITIONERS]; /* of `foreign` */
  freshet_told told;                          /* of `foreign` */
} freshet_foreign_events;

/* Takes note of an event whose user lives in `home`; true: the event is in another partition. `cause` then says so. */
bool freshet_foreign_events_note(freshet_foreign_events* events, const freshet_record* record, int32_t home,
                                 freshet_error* cause);
/* Is the event one of the time before `events` was grown, in its user's partition of then? */
bool freshet_foreign_events_is_old(const freshet_foreign_events* events, const freshet_record* record);
/* Before a commit: are there more partitions now, so that foreign events are right where they are? Asks only when
 * some have come. Errors: FRESHET_CONFLICT then; those of the reader. */
freshet_status freshet_foreign_events_check(freshet_foreign_events* events, freshet_error* error);
/* Logs what has come, twice a minute at most. */
void freshet_foreign_events_turn(freshet_foreign_events* events);

/* The partitioner that puts all events where they are; FRESHET_PARTITIONER_ANY: none does. */
freshet_partitioner freshet_foreign_events_fit(const freshet_foreign_events* events);
/* The partitioner of all foreign events; FRESHET_PARTITIONER_ANY: there is none. */
freshet_partitioner freshet_foreign_events_origin(const freshet_foreign_events* events);

#endif
