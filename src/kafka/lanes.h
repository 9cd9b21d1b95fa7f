/*
 * lanes.h: hands records to a producer no faster than it can send them. librdkafka 2.0.2 keeps at most five
 * unacknowledged messages of a partition on their way. While more of them wait, its thread asks again and again without a
 * pause. That costs a whole core, just when the machine is busy and the broker slow.
 *
 * A lane is a partition of a topic. It owns copies of the records that wait until the lane's earlier ones are
 * acknowledged. They leave together, as one batch, so a partition never has more than one large request on its way. It
 * must not know what a record is.
 *
 * Each request costs the broker and us more than the records in it. Lists are gathered while a turn of the worker makes them,
 * and leave with freshet_lanes_release at its end, a request for each partition. While the broker is slow, the next ones wait for
 * the acknowledgement: then requests become fewer and larger. A thread serves delivery reports while released records wait.
 * Records of a transaction are gathered in the same way, without a thread: the caller serves the delivery reports, and calls
 * freshet_lanes_turn. A command has no turns: its records go straight to the producer while it can send them.
 *
 * Thread rule: publish and release from one thread at a time; turn from any; delivered from the producer's delivery
 * reports, on any thread.
 */
#ifndef FRESHET_KAFKA_LANES_H
#define FRESHET_KAFKA_LANES_H

#include "kafka/client.h"

typedef struct freshet_lanes freshet_lanes;

enum { FRESHET_LANES_MARKS = FRESHET_TOPICS };

/* A record that waited is given up, because the producer refused it or gave up one before it in its lane: as if its
 * delivery report had said so. Called under a lock: must not call back. `mark` as given to publish. */
typedef void (*freshet_lanes_refused)(void* context, const freshet_output* output, int mark,
                                      rd_kafka_resp_err_t code);

typedef enum freshet_lanes_mode {
  FRESHET_LANES_AT_ONCE = 0, /* records that can be sent do not wait for a release */
  FRESHET_LANES_BY_TURN,     /* they do, but no longer than some milliseconds while others come */
  FRESHET_LANES_GATHER,      /* they do, and the caller serves the delivery reports */
} freshet_lanes_mode;

/* producer: borrowed; its topics and their partitions are those of the metadata. */
freshet_lanes* freshet_lanes_create(freshet_kafka_client* producer, const struct rd_kafka_metadata* metadata,
                                    freshet_lanes_mode mode, freshet_lanes_refused refused, void* context);
/* Before the producer is closed: ends the thread, and drops what waits without a word. NULL is allowed. */
void freshet_lanes_stop(freshet_lanes* lanes);
/* After the producer is closed. NULL is allowed. */
void freshet_lanes_destroy(freshet_lanes* lanes);

/* Hands over a copy of the record, now or once its lane is free. mark: 0 .. FRESHET_LANES_MARKS - 1, given back
 * with its delivery report.
 * RD_KAFKA_RESP_ERR__QUEUE_FULL: try again after the producer was polled. */
rd_kafka_resp_err_t freshet_lanes_publish(freshet_lanes* lanes, const freshet_output* output, int mark);
/* The gathered records leave, each lane as soon as it is free. Records that come while others of their lane wait follow them;
 * the next ones are gathered again. Many MB leave without being released. NULL is allowed. */
void freshet_lanes_release(freshet_lanes* lanes);
/* A transaction begins. */
void freshet_lanes_begin(freshet_lanes* lanes);
/* As freshet_lanes_release, but lists and replies only of lanes of which nothing has left since freshet_lanes_begin: the first
 * batch opens a partition for the transaction, and the rest waits for freshet_lanes_release. NULL is allowed. */
void freshet_lanes_open(freshet_lanes* lanes);
/* Is everything acknowledged that has been released? Any thread. NULL is allowed: it is. */
bool freshet_lanes_are_at_rest(freshet_lanes* lanes);
/* Hands over the next batches, of lanes that have become free. NULL is allowed. */
void freshet_lanes_turn(freshet_lanes* lanes);
/* Gives up what waits, as if the producer had refused it with this code. NULL is allowed. */
void freshet_lanes_drop(freshet_lanes* lanes, rd_kafka_resp_err_t code);
/* To be called for every delivery report, once, with the report's opaque pointer and what freshet_kafka_delivered says.
 * Returns the record's mark. */
int freshet_lanes_delivered(freshet_lanes* lanes, void* opaque, rd_kafka_resp_err_t code);
/* Records that wait here. Any thread. NULL is allowed: none. */
size_t freshet_lanes_waiting(freshet_lanes* lanes);

#endif
