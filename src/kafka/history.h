/*
 * history.h: what a topic held between two times, from all of its partitions in the order of the records' own
 * times. Each partition is read from the first record that is not older than the beginning up to the first
 * one that is not older than the end (or, without an end, to what was there when it was opened), and of these
 * only those whose time is not before the beginning. The order is a merge: the oldest of the records that
 * come next in their partitions goes first, the lower partition among equals. So it is the same in every
 * reading.
 *
 * Thread rule: one thread.
 */
#ifndef FRESHET_KAFKA_HISTORY_H
#define FRESHET_KAFKA_HISTORY_H

#include "kafka/kafka.h"

typedef struct freshet_kafka_history freshet_kafka_history;

typedef struct freshet_kafka_history_config {
  const freshet_kafka_config* kafka; /* whose topics do not matter */
  const char* topic;
  int64_t since_ms;  /* INT64_MIN: from the beginning */
  int64_t until_ms;  /* INT64_MAX: to the end as of now */
  const char* place; /* where another reading has come to, by freshet_kafka_history_place; "": begin */
} freshet_kafka_history_config;

/* Waits for the cluster. The topic's name and what `kafka` points to must outlive the history. Errors:
 * FRESHET_NOT_FOUND (no such topic), FRESHET_INVALID (a place that is none), FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_history_open(const freshet_kafka_history_config* config,
                                          freshet_kafka_history** history, freshet_error* error);
void freshet_kafka_history_close(freshet_kafka_history* history); /* NULL is allowed */

/* The next record, whose topic is FRESHET_TOPIC_EVENTS whatever it is called; it holds until the next call.
 * *more is false at the end. Waits for the cluster as long as it takes. Errors: FRESHET_ABORTED when asked to
 * stop; FRESHET_CONFLICT when records have been deleted before they were read. */
freshet_status freshet_kafka_history_next(freshet_kafka_history* history, freshet_record* record, bool* more,
                                          freshet_error* error);

/* Appends where reading stands, after the record that was returned last, as a text without spaces: opened
 * with it, another reading goes on right there and ends at the same end. */
void freshet_kafka_history_place(const freshet_kafka_history* history, freshet_buffer* text);
/* Share of the offsets in the range that have been read, 0 to 1. */
double freshet_kafka_history_progress(const freshet_kafka_history* history);

#endif
