/*
 * layout_check.h: are partitions that the group assigns known to the state? Private to src/kafka; the rest of
 * layout_check.c is declared in kafka.h. It must not move users.
 */
#ifndef FRESHET_KAFKA_LAYOUT_CHECK_H
#define FRESHET_KAFKA_LAYOUT_CHECK_H

#include "kafka/client.h"

/* Errors: FRESHET_CONFLICT when partitions of `events` were added while this process is running. */
freshet_status freshet_kafka_layout_judge(const freshet_kafka_config* config,
                                          const rd_kafka_topic_partition_list_t* assigned,
                                          freshet_error* error);

#endif
