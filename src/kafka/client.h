/*
 * client.h: what every librdkafka handle of this module shares: configuration in three layers, logging, topic
 * handles, translation of errors. Private to src/kafka.
 */
#ifndef FRESHET_KAFKA_CLIENT_H
#define FRESHET_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/monotonic.h"
#include "kafka/kafka.h"

enum { FRESHET_KAFKA_REASON_SIZE = 320 };

typedef enum freshet_kafka_role {
  FRESHET_KAFKA_MEMBER = 0, /* consumer in the group */
  FRESHET_KAFKA_READER,     /* consumer of chosen partitions */
  FRESHET_KAFKA_OBSERVER,   /* consumer that only asks questions, read_uncommitted */
  FRESHET_KAFKA_AUDITOR,    /* an observer that may also ask for the group's offsets; it is no member */
  FRESHET_KAFKA_PUBLISHER,  /* idempotent producer */
  FRESHET_KAFKA_TRANSACTOR, /* transactional producer */
} freshet_kafka_role;

/* Why a client has trouble, in librdkafka's words. */
typedef struct freshet_kafka_reason {
  rd_kafka_resp_err_t code; /* RD_KAFKA_RESP_ERR_NO_ERROR: nothing has been told */
  bool
      is_security; /* a mistake in the settings that waiting does not mend: password, certificate, protocol */
  char text[FRESHET_KAFKA_REASON_SIZE];
} freshet_kafka_reason;

/* Must not move once created: librdkafka keeps its address. */
typedef struct freshet_kafka_client {
  rd_kafka_t* handle;
  rd_kafka_topic_t* topics[FRESHET_TOPICS]; /* NULL where the config has no name */
  const freshet_kafka_config* config;
  const char* role_name;
  void* owner;                       /* for the callbacks below */
  int64_t refreshed_ms;              /* monotonic; when the leaders were last asked for; of whoever asks */
  _Atomic int64_t trouble_logged_ms; /* monotonic */
  bool polls_as_consumer;            /* its errors come with the records; set by whoever polls it so */
  pthread_mutex_t lock;              /* guards the rest; initialised while there is a handle */
  freshet_kafka_reason reason;
  const char* certificate; /* what is wrong with the broker's, static; NULL: nothing */
} freshet_kafka_client;

typedef struct freshet_kafka_callbacks {
  void (*rebalance)(rd_kafka_t* handle, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* partitions,
                    void* client);
  void (*delivered)(rd_kafka_t* handle, const rd_kafka_message_t* message, void* client);
} freshet_kafka_callbacks;

/* Creates the handle; the config's properties override the role's defaults and may not name what the role
 * fixes. Zero *client before. */
freshet_status freshet_kafka_client_open(freshet_kafka_client* client, const freshet_kafka_config* config,
                                         freshet_kafka_role role, freshet_kafka_callbacks callbacks,
                                         void* owner, freshet_error* error);
/* flags: of rd_kafka_destroy_flags. A client that was never opened is fine. */
void freshet_kafka_client_close(freshet_kafka_client* client, int flags);

/* Has the setting this value, wherever it comes from? */
bool freshet_kafka_client_is(const freshet_kafka_client* client, const char* name, const char* value);
/* Which of the topics a librdkafka topic handle is; FRESHET_TOPICS when none. */
freshet_topic freshet_kafka_client_topic(const freshet_kafka_client* client, const rd_kafka_topic_t* handle);
/* Same, by name. */
freshet_topic freshet_kafka_config_topic(const freshet_kafka_config* config, const char* name);

/* The last reason that librdkafka has told, a mistake in the security settings before anything else. Any
 * thread. */
freshet_kafka_reason freshet_kafka_client_reason(freshet_kafka_client* client);
/* Logs trouble that passes by itself, at most once per 30 s; a mistake in the security settings at once. */
void freshet_kafka_client_trouble(freshet_kafka_client* client, rd_kafka_resp_err_t code, const char* reason);
enum { FRESHET_KAFKA_RIGHT_SIZE = 320 };
/* When access is denied: which right on what is missing; when a time is refused: whose clock is wrong; as the end of a
 * sentence. Else "". */
const char* freshet_kafka_right(const freshet_kafka_client* client, rd_kafka_resp_err_t code,
                                const char* topic, char out[FRESHET_KAFKA_RIGHT_SIZE]);
/* The handle's fatal error as ours: FRESHET_FENCED when another instance took over. */
freshet_status freshet_kafka_client_fatal(const freshet_kafka_client* client, freshet_error* error);
bool freshet_kafka_code_fenced(rd_kafka_resp_err_t code);
bool freshet_kafka_code_missing(rd_kafka_resp_err_t code); /* no such topic or partition */
/* Hands a copy to a producer, without waiting. opaque: what its delivery report brings back. */
rd_kafka_resp_err_t freshet_kafka_enqueue(freshet_kafka_client* client, rd_kafka_topic_t* topic,
                                          const freshet_output* output, void* opaque);
/* What became of a record, by its delivery report. librdkafka takes a record for acknowledged as soon as the broker has
 * accepted a later one of its partition, and knows no offset for it. That proves nothing where the broker has never seen
 * this producer: a new leader refuses a first request, accepts the second one, which was on its way already, and the
 * records of the first are lost. OUT_OF_ORDER_SEQUENCE_NUMBER: such a record. Needs acks=all. */
rd_kafka_resp_err_t freshet_kafka_delivered(const rd_kafka_message_t* message);
void freshet_kafka_sleep_ms(int ms);

#endif
