/*
 * group.h: where the app's consumer group stands in a topic, and how it is moved while nobody is in it.
 *
 * Thread rule: one thread.
 */
#ifndef FRESHET_KAFKA_GROUP_H
#define FRESHET_KAFKA_GROUP_H

#include "kafka/kafka.h"

typedef struct freshet_kafka_group freshet_kafka_group;

typedef struct freshet_kafka_group_offset {
  int64_t committed;  /* the next to be read; -1: none */
  int64_t first, end; /* what the partition holds */
  bool is_caught_up;  /* behind `committed` are no records, only what transactions leave */
  bool is_other_log;  /* it is not the log of which `committed` was read: made again, or truncated */
} freshet_kafka_group_offset;

/* The group is config->app_id. Waits for the cluster, and for transactions of the group that are still open.
 * Errors: FRESHET_NOT_FOUND (no such topic), FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_group_open(const freshet_kafka_config* config, freshet_topic topic,
                                        freshet_kafka_group** group, freshet_error* error);
void freshet_kafka_group_close(freshet_kafka_group* group); /* NULL is allowed */

int32_t freshet_kafka_group_partitions(const freshet_kafka_group* group);
/* As of the opening; partition below that count. */
freshet_kafka_group_offset freshet_kafka_group_offset_of(const freshet_kafka_group* group, int32_t partition);
/* How many members it has now, those that died less than a session ago among them. */
freshet_status freshet_kafka_group_members(freshet_kafka_group* group, size_t* members, freshet_error* error);
/* The first offset of each partition whose record is not older than time_ms, else its end.
 * offsets: [partitions] */
freshet_status freshet_kafka_group_offsets_at(freshet_kafka_group* group, int64_t time_ms, int64_t* offsets,
                                              freshet_error* error);
/* Commits these offsets, [partitions]; a negative one is left as it is. The broker refuses it when somebody has joined meanwhile. Errors:
 * FRESHET_CONFLICT then; FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_group_move(freshet_kafka_group* group, const int64_t* offsets,
                                        freshet_error* error);

#endif
