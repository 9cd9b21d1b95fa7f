/*
 * peers.h: where the other instances of the application are: which client id holds which partition of
 * `events`.
 *
 * An instance's client.id is the URL under which it can be reached (http.advertise), so the group's own
 * metadata says who serves whom, and nothing else has to be kept. It is asked on a thread of its own, and
 * only when somebody wants to know.
 */
#ifndef FRESHET_KAFKA_PEERS_H
#define FRESHET_KAFKA_PEERS_H

#include "kafka/kafka.h"

typedef struct freshet_kafka_peers freshet_kafka_peers;

/* The config is borrowed. The thread starts with the first question. */
freshet_kafka_peers* freshet_kafka_peers_create(const freshet_kafka_config* config);
/* NULL is allowed. Waits for the question under way, at most a few seconds. */
void freshet_kafka_peers_destroy(freshet_kafka_peers* peers);

/* The URL of whoever holds the partition (-1: of the instance that comes after this one, when all are sorted by their
 * URLs; the first comes after the last), as of at most some seconds ago; "" when it is not known (yet), the
 * holder has none, or it does not fit. Any thread; never waits, but a later call may know more. */
void freshet_kafka_peers_find(freshet_kafka_peers* peers, int32_t partition, char* url, size_t size);

#endif
