/*
 * embedded.h: a broker inside this process, librdkafka's mock cluster, for the demo and for tests of the
 * plumbing. It listens on 127.0.0.1, keeps everything in memory (per partition the newest 5 MB or 100,000
 * records) and accepts transactions without giving them a meaning: open records are visible, aborted ones
 * stay, offsets sent with a transaction are not kept.
 */
#ifndef FRESHET_KAFKA_EMBEDDED_H
#define FRESHET_KAFKA_EMBEDDED_H

#include <stdint.h>

#include "freshet/status.h"
#include "stream/source.h"

typedef struct freshet_kafka_embedded freshet_kafka_embedded;

/* Starts the broker with all topics whose name is not NULL; item deltas get one partition, the others
 * `partitions`. */
freshet_status freshet_kafka_embedded_create(const char* const topics[FRESHET_TOPICS], int32_t partitions,
                                             freshet_kafka_embedded** embedded, freshet_error* error);
/* Value for bootstrap.servers. Owned by the broker. */
const char* freshet_kafka_embedded_bootstrap(const freshet_kafka_embedded* embedded);
/* Takes the network away, and gives it back: clients see a broker that is gone, nothing is lost. */
void freshet_kafka_embedded_set_reachable(freshet_kafka_embedded* embedded, bool reachable);
/* Answers every request that much later from now on. */
void freshet_kafka_embedded_answer_late(freshet_kafka_embedded* embedded, int ms);
/* Refuses the next request to write, as a broker does that does not know yet that it leads the partition. */
void freshet_kafka_embedded_refuse_write(freshet_kafka_embedded* embedded);
/* After all of its clients. NULL is allowed. */
void freshet_kafka_embedded_destroy(freshet_kafka_embedded* embedded);

#endif
