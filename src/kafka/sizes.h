/*
 * sizes.h: how large a record each topic takes: max.message.bytes of the topic, and message.max.bytes of our producers.
 * A record that is too large would abort its transaction again and again, so the writer asks here first.
 *
 * Private to src/kafka. `limit` and `poll` belong to one thread; `refused` may come from another.
 */
#ifndef FRESHET_KAFKA_SIZES_H
#define FRESHET_KAFKA_SIZES_H

#include "kafka/client.h"

enum { FRESHET_KAFKA_BATCH_USUAL = 1000000 /* librdkafka's batch.size, in bytes */ };

typedef struct freshet_kafka_sizes {
  _Atomic size_t limits[FRESHET_TOPICS]; /* bytes; 0: the topic's own is not known */
  size_t client_limit;                   /* bytes */
  rd_kafka_queue_t* answers;             /* NULL: no question is out */
  int64_t next_question_ms;              /* monotonic */
} freshet_kafka_sizes;

/* client: the producer with the least limit of its own. Asks the cluster, and does not wait for its answer. */
void freshet_kafka_sizes_open(freshet_kafka_sizes* sizes, const freshet_kafka_client* client);
/* Waits for the answer to the question of `open`, about 5 s at most, and logs a long wait: no record may be written before the
 * limits are known. */
void freshet_kafka_sizes_await(freshet_kafka_sizes* sizes, freshet_kafka_client* client);
/* Before the client is closed. A zeroed one is fine. */
void freshet_kafka_sizes_close(freshet_kafka_sizes* sizes);

/* Bytes of key, value and headers together that the topic takes in one record, whether they compress or not. */
size_t freshet_kafka_sizes_limit(const freshet_kafka_sizes* sizes, freshet_topic topic);
/* The least limit of the topics that a sink writes, as far as the cluster has told, in bytes: a broker holds a batch as a
 * whole against it. Logs one below 64 KiB. FRESHET_KAFKA_BATCH_USUAL when it is not less. */
size_t freshet_kafka_sizes_batch(const freshet_kafka_sizes* sizes, const freshet_kafka_config* config);
/* Asks the cluster now and then, without waiting for its answer. Best effort: a cluster may not tell. */
void freshet_kafka_sizes_poll(freshet_kafka_sizes* sizes, const freshet_kafka_client* client);
/* The broker has refused a record of this many bytes: learns from it where the cluster does not tell. */
void freshet_kafka_sizes_refused(freshet_kafka_sizes* sizes, freshet_topic topic, size_t bytes);

#endif
