/*
 * still_point.h: a moment in which nothing is being written to some topics: the ends of many partitions in one question,
 * and what the group has committed. Whoever reads the topics to these ends and finds the same ends afterwards has seen
 * whole transactions only (src/commands/transfer).
 *
 * It must not know what the topics hold. Thread rule: one thread.
 */
#ifndef FRESHET_KAFKA_STILL_POINT_H
#define FRESHET_KAFKA_STILL_POINT_H

#include "kafka/kafka.h"

typedef struct freshet_kafka_still_point freshet_kafka_still_point;

/* The config must outlive it. Errors: FRESHET_INVALID for a property that librdkafka refuses. */
freshet_status freshet_kafka_still_point_open(const freshet_kafka_config* config,
                                              freshet_kafka_still_point** point, freshet_error* error);
void freshet_kafka_still_point_close(freshet_kafka_still_point* point); /* NULL is allowed */

/* Sets each place's offset to the end of its log, records of open transactions and markers included. Waits for the
 * cluster. Errors: FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_still_point_ends(freshet_kafka_still_point* point, freshet_partition* places,
                                              size_t count, freshet_error* error);
/* Sets each place's offset to what the group of config->app_id has committed; -1: nothing. Waits for the cluster, and
 * for transactions of the group whose outcome is not known yet. Errors: FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_still_point_committed(freshet_kafka_still_point* point,
                                                   freshet_partition* places, size_t count,
                                                   freshet_error* error);
/* Sets each place's offset to its first record that is not older than time_ms; -1: there is none. Errors:
 * FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_still_point_since(freshet_kafka_still_point* point, int64_t time_ms,
                                               freshet_partition* places, size_t count, freshet_error* error);
/* The id that the cluster has given itself; "" when it tells none. */
void freshet_kafka_still_point_cluster(freshet_kafka_still_point* point, char* id, size_t size);

#endif
