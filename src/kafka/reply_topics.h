/*
 * reply_topics.h: topics that requests name for their replies, with a producer of their own: whatever becomes
 * of such a record, lists and commits do not wait for it. Private to src/kafka. One thread.
 */
#ifndef FRESHET_KAFKA_REPLY_TOPICS_H
#define FRESHET_KAFKA_REPLY_TOPICS_H

#include "kafka/client.h"

typedef struct freshet_reply_topics freshet_reply_topics;

freshet_reply_topics* freshet_reply_topics_create(const freshet_kafka_config* config);
void freshet_reply_topics_destroy(freshet_reply_topics* topics);

/* Sends a copy. False: the topic is one of ours or of the cluster, does not exist, or there is no room. The
 * cluster is asked about a name that has not been met for a while, for at most a tenth of the time. */
bool freshet_reply_topics_send(freshet_reply_topics* topics, const char* name, const freshet_output* output);
/* Serves delivery reports. */
void freshet_reply_topics_poll(freshet_reply_topics* topics);

#endif
