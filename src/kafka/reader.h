/*
 * reader.h: the polling that source and log share. A reader turns what librdkafka has queued into records
 * without copying, and sees to it that each open partition is returned in offset order, once. Private to
 * src/kafka.
 */
#ifndef FRESHET_KAFKA_READER_H
#define FRESHET_KAFKA_READER_H

#include "kafka/client.h"
#include "kafka/log_check.h"
#include "kafka/seal_facts.h"
#include "stream/mark.h"

/* Where a partition stands. next: everything before it has been returned, transaction markers and aborted
 * records included. after: the offset after the last record returned, or where reading started
 * (-1: the beginning). */
typedef struct freshet_kafka_cursor {
  bool open;
  int64_t next;
  int64_t after;
  freshet_mark mark; /* of the last record returned, or given by whoever opened the partition */
  bool out_of_range; /* a group member's: the log does not hold `next`; seeking clears it */
} freshet_kafka_cursor;

typedef struct freshet_kafka_reader {
  freshet_kafka_client client;
  rd_kafka_queue_t* queue;
  struct {
    freshet_kafka_cursor* cursors; /* [count] by partition */
    int32_t count;
  } topics[FRESHET_TOPICS];
  rd_kafka_message_t** held; /* [held_count]: what the records of the last poll point into */
  size_t held_count;
  size_t held_capacity;
  char** framed; /* [framed_count]: values that were put together for them */
  size_t framed_count, framed_capacity;
  const freshet_seal_facts* facts; /* about the logs of state; borrowed. NULL: nothing is known */
  int64_t refilled_ms;             /* when the fetchers were last woken */
  _Atomic bool woken;              /* by another thread: poll returns at once */
  bool interrupted;                /* set by a callback: poll returns early */
  bool is_member; /* a position that is out of range makes poll set `strayed`, and is no error */
  bool strayed;   /* set by poll: a cursor is out of range */
  bool missing;   /* set by poll: the cluster has said that it does not know a topic, which may pass */
} freshet_kafka_reader;

freshet_status freshet_kafka_reader_open(freshet_kafka_reader* reader, const freshet_kafka_config* config,
                                         freshet_kafka_role role, freshet_kafka_callbacks callbacks,
                                         void* owner, freshet_error* error);
void freshet_kafka_reader_close(freshet_kafka_reader* reader, int flags);

/* See source.h. Returns early, maybe without records, once `interrupted` is set. */
freshet_status freshet_kafka_reader_poll(freshet_kafka_reader* reader, int timeout_ms, freshet_record* out,
                                         size_t capacity, size_t* count, freshet_error* error);
/* From any thread, while the reader is open. */
void freshet_kafka_reader_wake(freshet_kafka_reader* reader);
/* Ends the life of the records of the last poll. */
void freshet_kafka_reader_release(freshet_kafka_reader* reader);

/* offset: where reading starts, -1 when that is the beginning. */
void freshet_kafka_reader_start(freshet_kafka_reader* reader, freshet_topic topic, int32_t partition,
                                int64_t offset);
void freshet_kafka_reader_stop(freshet_kafka_reader* reader, freshet_topic topic, int32_t partition);
/* NULL when the partition is not open. */
freshet_kafka_cursor* freshet_kafka_reader_cursor(const freshet_kafka_reader* reader, freshet_topic topic,
                                                  int32_t partition);

/* All partitions that are open, with where reading is, [*count]; the caller frees. */
freshet_log_place* freshet_kafka_reader_places(const freshet_kafka_reader* reader, size_t* count);
/* The mark of the last record before an offset that the source has returned, if it knows one. */
freshet_mark freshet_kafka_source_mark(freshet_source* source, freshet_topic topic, int32_t partition,
                                       int64_t offset);
/* The id that the group knows the source by since its last assignment; "" before. */
const char* freshet_kafka_source_member(freshet_source* source);
/* When the group gave it partitions first under its member id, by freshet_monotonic_ms; 0: not yet. From any thread. */
int64_t freshet_kafka_source_joined_ms(freshet_source* source);
/* The consumer behind a source, for its group metadata. */
rd_kafka_t* freshet_kafka_source_consumer(freshet_source* source);

#endif
