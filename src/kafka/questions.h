/*
 * questions.h: questions to the cluster, each asked until there is an answer. Private to src/kafka.
 *
 * It owns the rules of waiting: one attempt is bounded, the metadata are refreshed before the next one, the log
 * tells once per 30 s what is waited for, and a request to stop ends the wait. It must not know why somebody
 * asks.
 */
#ifndef FRESHET_KAFKA_QUESTIONS_H
#define FRESHET_KAFKA_QUESTIONS_H

#include "kafka/client.h"

/* A wait for one answer. Made by freshet_kafka_wait_for; lives on the stack. */
typedef struct freshet_kafka_wait {
  freshet_kafka_client* client;
  const char* what; /* completes "waiting for ..."; borrowed */
  int64_t since_ms, told_ms;
  int ask_ms; /* bound of the next attempt: short at first, so that a dead leader is soon given up */
} freshet_kafka_wait;

freshet_kafka_wait freshet_kafka_wait_for(freshet_kafka_client* client, const char* what);
/* After an attempt that has failed. FRESHET_OK: ask again, leaders are known anew as far as the cluster tells.
 * Errors: FRESHET_UNAVAILABLE when the process is asked to stop, or (nobody to ask) patience is over. */
freshet_status freshet_kafka_wait_again(freshet_kafka_wait* wait, rd_kafka_resp_err_t code,
                                        freshet_error* error);

/* Tells the log what is waited for, when it is time; for a wait that has other rules. */
void freshet_kafka_wait_tell(freshet_kafka_wait* wait, rd_kafka_resp_err_t code);

/* Learns the leaders of the client's topics, unless it did so a moment ago. A client that has been idle may still
 * believe in a leader that has died, and would wait for it. Takes at most a second. */
void freshet_kafka_client_refresh(freshet_kafka_client* client);

/* True when waiting for the cluster should end: asked to stop, or (nobody to ask) patience is over. */
bool freshet_kafka_wait_ended(const freshet_kafka_config* config, int64_t since_ms);
/* For work that must be finished even when asked to stop, but not for ever: true once last_try_ms have passed
 * since the config first said stop. *stopping_since_ms starts as 0. */
bool freshet_kafka_last_try_over(const freshet_kafka_config* config, int last_try_ms,
                                 int64_t* stopping_since_ms);

/* Has a member of the group compare the topics with its share, now and not after topic.metadata.refresh.interval.ms. The
 * group takes new partitions only from an answer about all topics. Returns how many partitions this answer has of `topic`;
 * 0: no answer within a second, or the topic is not in it. */
int32_t freshet_kafka_client_look_again(const freshet_kafka_client* client, freshet_topic topic);
/* Asks the cluster about one of the client's topics, once. */
rd_kafka_resp_err_t freshet_kafka_client_partitions(const freshet_kafka_client* client, freshet_topic topic,
                                                    int timeout_ms, int32_t* count);
/* One of topics [count], which is not empty, of which the cluster knows nothing, asked again and again for 10 s: one that
 * has just been made, or a broker that has just started, is unknown for a moment. NULL: all are there, the cluster does not
 * answer, or the process is asked to stop. Asks for every topic there is, because only such an answer makes librdkafka look at its subscription
 * again at once. */
const char* freshet_kafka_topics_missing(const freshet_kafka_client* client, const freshet_topic* topics,
                                         size_t count);
/* The first offset of a partition and its end, once. The end is that of committed records when the client
 * reads only these, else the high watermark. Takes at most twice timeout_ms. */
rd_kafka_resp_err_t freshet_kafka_client_range(const freshet_kafka_client* client, freshet_topic topic,
                                               int32_t partition, int timeout_ms, int64_t* first,
                                               int64_t* end);
/* Is there a controller? Questions about configurations go to it. The embedded cluster has none. */
bool freshet_kafka_has_controller(const freshet_kafka_client* client,
                                  const struct rd_kafka_metadata* metadata);
/* Waits for what the cluster says of the client's topics; afterwards the client knows them. The caller frees
 * *metadata with rd_kafka_metadata_destroy. Errors: FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_client_metadata(freshet_kafka_client* client,
                                             const struct rd_kafka_metadata** metadata, freshet_error* error);

/* Fills in the offsets that the group of the client has committed, below 0 where there is none. Under read_committed the
 * broker answers only when no transaction has undecided offsets, so what a predecessor left open is settled first.
 * Errors: FRESHET_UNAVAILABLE, and those of freshet_kafka_client_fatal. */
freshet_status freshet_kafka_client_committed(freshet_kafka_client* client,
                                              rd_kafka_topic_partition_list_t* list, freshet_error* error);

#endif
