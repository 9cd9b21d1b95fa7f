/*
 * log_check.h: is a log still the one that has been read? Private to src/kafka.
 *
 * It looks at the range of a partition and at the record that its mark is of. It owns one client, which reads single
 * records. It must not decide what follows: the source ends the process, `freshet offsets` shows a table.
 *
 * Thread rule: one thread at a time.
 */
#ifndef FRESHET_KAFKA_LOG_CHECK_H
#define FRESHET_KAFKA_LOG_CHECK_H

#include "kafka/client.h"
#include "stream/mark.h"

typedef enum freshet_log_verdict {
  FRESHET_LOG_UNKNOWN = 0, /* the cluster did not say within the time */
  FRESHET_LOG_SAME, /* or nothing contradicts it: the record of the mark has expired, or the topic compacts */
  FRESHET_LOG_EXPIRED, /* the same, but records from `next` to `first` are gone */
  FRESHET_LOG_OTHER,   /* deleted and made again, or truncated */
} freshet_log_verdict;

typedef struct freshet_log_place {
  freshet_topic topic;
  int32_t partition;
  int64_t next;   /* where reading goes on; -1: nowhere yet, any log is right */
  int64_t listed; /* events before it have been read: their lists are committed; 0 or less: not known */
  /* Of the last record read: one before `next`, or a later one where reading goes on further back. */
  freshet_mark mark;
  /* filled in */
  freshet_log_verdict verdict;
  int64_t first, end; /* what the partition holds; -1: not known */
  char reason[192];   /* of FRESHET_LOG_OTHER */
} freshet_log_place;

typedef struct freshet_log_check freshet_log_check;

/* The config is borrowed. Errors: FRESHET_INVALID for a property that librdkafka refuses. */
freshet_status freshet_log_check_create(const freshet_kafka_config* config, freshet_log_check** check,
                                        freshet_error* error);
void freshet_log_check_destroy(freshet_log_check* check); /* NULL is allowed */

/* Judges all places within about timeout_ms. */
void freshet_log_check_places(freshet_log_check* check, freshet_log_place* places, size_t count,
                              int timeout_ms);
/* Does a message of the place's partition tell what its log has at `offset`, or has no more? Records before it are left over
 * from an earlier look. An end at the offset itself says only that this broker does not show the record yet, as a new
 * leader or a follower may. */
bool freshet_log_check_is_answer(const rd_kafka_message_t* message, int64_t offset);
/* How many partitions the topic has now; 0: the cluster did not say. */
int32_t freshet_log_check_partitions(freshet_log_check* check, freshet_topic topic, int timeout_ms);
/* The message to end with: names the partition, why, and the commands to choose from. */
freshet_status freshet_log_check_refuse(const freshet_log_check* check, const freshet_log_place* place,
                                        freshet_error* error);

#endif
