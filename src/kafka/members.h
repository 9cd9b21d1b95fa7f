/*
 * members.h: the members of a consumer group, as the cluster tells them. Private to src/kafka.
 *
 * It must not use the admin calls of librdkafka that go to a coordinator (rd_kafka_DescribeConsumerGroups): in version
 * 2.0.2 such a call ends the process by an assertion when it is given up before the coordinator has been found.
 */
#ifndef FRESHET_KAFKA_MEMBERS_H
#define FRESHET_KAFKA_MEMBERS_H

#include "kafka/client.h"
#include "stream/source.h"

typedef struct freshet_kafka_member {
  const char* client_id;
  freshet_slice name; /* app.instance_id of a static member; empty: it is dynamic */
  freshet_slice
      uuid; /* the end of its member id, which no other run has; empty: the broker makes other ids */
  freshet_slice assignment; /* for freshet_kafka_member_partitions */
} freshet_kafka_member;

/* Asks about a group, once, and calls `seen` for each of its members. A group that does not exist has none. A broker
 * that is down makes the answer late, not wrong: it comes when timeout_ms have passed. */
rd_kafka_resp_err_t freshet_kafka_client_describe(
    const freshet_kafka_client* client, const char* group, int timeout_ms,
    void (*seen)(void* context, const freshet_kafka_member* member), void* context);

/* How many members a group has, those that died less than a session ago among them. Waits for the cluster,
 * but for no transaction. Errors: FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_client_members(freshet_kafka_client* client, const char* group, size_t* members,
                                            freshet_error* error);

/* Calls `seen` for each partition of the topic in an assignment of Kafka's consumer protocol. Bytes that are none
 * hold no partitions from there on. */
void freshet_kafka_member_partitions(freshet_slice assignment, const char* topic,
                                     void (*seen)(void* context, int32_t partition), void* context);

/* The name in the id that a broker has made for a static member (name, "-" and a UUID of 36 characters); empty for
 * a dynamic member, whose id begins with its client id instead. */
freshet_slice freshet_kafka_member_name(const char* member_id, const char* client_id);

#endif
