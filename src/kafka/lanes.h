/*
 * lanes.h: hands records to the idempotent producer no faster than it can send them. librdkafka 2.0.2 keeps at most
 * five unacknowledged messages of a partition on their way. While more of them wait, its thread asks again and again
 * without a pause. That costs a whole core, just when the machine is busy and the broker slow.
 *
 * A lane is a partition of a topic. It owns copies of the records that wait until the lane's earlier ones are
 * acknowledged, and a thread that serves delivery reports while any record waits. It must not know what a record is.
 *
 * Thread rule: publish from one thread; delivered from the producer's delivery reports, on any thread.
 */
#ifndef FRESHET_KAFKA_LANES_H
#define FRESHET_KAFKA_LANES_H

#include "kafka/client.h"

typedef struct freshet_lanes freshet_lanes;

/* A record that waited is given up, because the producer refused it or gave up one before it in its lane: as if its
 * delivery report had said so. Called under a lock: must not call back. `mark` as given to publish. */
typedef void (*freshet_lanes_refused)(void* context, int mark, rd_kafka_resp_err_t code);

/* producer: borrowed; its topics and their partitions are those of the metadata. */
freshet_lanes* freshet_lanes_create(freshet_kafka_client* producer, const struct rd_kafka_metadata* metadata,
                                    freshet_lanes_refused refused, void* context);
/* Before the producer is closed: what waits is dropped, and so is what comes later. NULL is allowed. */
void freshet_lanes_stop(freshet_lanes* lanes);
/* After the producer is closed. NULL is allowed. */
void freshet_lanes_destroy(freshet_lanes* lanes);

/* Hands over a copy of the record, now or once its lane is free. mark: 0 or 1, given back with its delivery report.
 * RD_KAFKA_RESP_ERR__QUEUE_FULL: try again after the producer was polled. */
rd_kafka_resp_err_t freshet_lanes_publish(freshet_lanes* lanes, const freshet_output* output, int mark);
/* To be called for every delivery report, once, with the report's opaque pointer and what freshet_kafka_delivered says.
 * Returns the record's mark. */
int freshet_lanes_delivered(freshet_lanes* lanes, void* opaque, rd_kafka_resp_err_t code);
/* Records that wait here. Any thread. NULL is allowed: none. */
size_t freshet_lanes_waiting(freshet_lanes* lanes);

#endif
