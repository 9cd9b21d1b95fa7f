/*
 * app_generations.h: the groups of other generations of an app: who is there, how far they are, and their end.
 * Everything asks the cluster and waits for the answer; from any thread.
 */
#ifndef FRESHET_KAFKA_GENERATIONS_H
#define FRESHET_KAFKA_GENERATIONS_H

#include "kafka/kafka.h"

/* How many members the group has now; one that has died counts until its session ends. Errors:
 * FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_generation_members(const freshet_kafka_config* config, const char* group,
                                                size_t* members, freshet_error* error);
/* The transactional id of a process of this generation, without the number of its producer (transactor.h). */
void freshet_kafka_transactional_id(const char* generation, const char* instance_id, char* out, size_t size);
/* Takes over a transactional id, as the next run of its process would: what its producers have left open is aborted.
 * Errors: FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_fence(const freshet_kafka_config* config, const char* transactional_id,
                                   freshet_error* error);
/* Takes over the transactional ids of all members of the group, as their next incarnations would: what they
 * have left open is aborted, and what they have committed is their last word. One that is alive after all
 * stops at its next commit. *fenced false: there are members without a name (app.instance_id = -), which
 * cannot be fenced; they are gone when their session ends. Errors: FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_generation_fence(const freshet_kafka_config* config, const char* group,
                                              bool* fenced, freshet_error* error);
/* What the group has committed of a topic: offsets [partitions], -1: nothing; the end of the partition when only
 * markers of transactions or aborted records lie between. Errors: FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_generation_offsets(const freshet_kafka_config* config, const char* group,
                                                freshet_topic topic, int32_t partitions, int64_t* offsets,
                                                freshet_error* error);
/* Deletes the topics and the group of config->app_id; what is not there is fine. Errors: FRESHET_UNAVAILABLE,
 * FRESHET_CONFLICT when the group has members. */
freshet_status freshet_kafka_generation_drop(const freshet_kafka_config* config, const freshet_topic* topics,
                                             size_t topic_count, freshet_error* error);

#endif
