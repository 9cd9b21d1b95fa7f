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

/* Why this topic may not be written to; NULL: it may. Static, for people. Allowed are topics whose names begin with one
 * of the config's prefixes, but none that belongs to the cluster or to a Freshet app: ours, and those that are named
 * like state, or compacted as state is. The cluster is asked about a name that has not been met for a while, for at most
 * a tenth of the time. */
const char* freshet_reply_topics_refusal(freshet_reply_topics* topics, const char* name);
/* Sends a copy to a topic that is not refused. False: it is, or there is no room. */
bool freshet_reply_topics_send(freshet_reply_topics* topics, const char* name, const freshet_output* output);
/* Serves delivery reports. */
void freshet_reply_topics_poll(freshet_reply_topics* topics);

#endif
