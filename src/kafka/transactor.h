/*
 * transactor.h: the steps of a transaction, each tried again while that may help. Owns nothing but the wait: the
 * client belongs to the sink. Not for two threads at a time.
 *
 * A producer cannot begin a transaction while the broker still writes the markers of its last one: librdkafka tries
 * again after 20 ms. So a process whose transactions follow each other at once has three transactional producers that
 * take turns: one commits, the next one writes, and the broker ends the last transaction of the third. The next
 * transaction may write to a topic as soon as all records that the last one has there are acknowledged, and its commit
 * starts when the last one is committed. So the order of records and of commits is one.
 */
#ifndef FRESHET_KAFKA_TRANSACTOR_H
#define FRESHET_KAFKA_TRANSACTOR_H

#include "kafka/lanes.h"

/* For how long records and transactions are still tried after we were asked to stop. */
enum { FRESHET_KAFKA_LAST_TRY_MS = 10000 };

enum { FRESHET_KAFKA_TRANSACTORS = 3, FRESHET_KAFKA_TRANSACTIONAL_ID_SIZE = 1024 };
/* The producer of a second sink of the process, after those that take turns. */
enum { FRESHET_KAFKA_SECOND_TRANSACTOR = FRESHET_KAFKA_TRANSACTORS };

typedef enum freshet_transaction_step {
  FRESHET_STEP_INIT,
  FRESHET_STEP_BEGIN,
  FRESHET_STEP_SEND_OFFSETS,
  FRESHET_STEP_COMMIT,
  FRESHET_STEP_ABORT,
} freshet_transaction_step;

/* What FRESHET_STEP_SEND_OFFSETS sends. */
typedef struct freshet_input_offsets {
  rd_kafka_topic_partition_list_t* list; /* NULL: none to send */
  rd_kafka_consumer_group_metadata_t* group;
} freshet_input_offsets;

/* Positions of partitions, each with the mark of what was read last and the layout of the state. source NULL: the
 * positions are those of a group without members, and have no marks. Free it with the next function. */
freshet_input_offsets freshet_input_offsets_of(const freshet_kafka_config* config, freshet_source* source,
                                               const freshet_partition* partitions, size_t count);
void freshet_input_offsets_free(freshet_input_offsets* input);

typedef struct freshet_kafka_transactor {
  freshet_kafka_client client; /* handle NULL: it is not open */
  freshet_lanes* lanes;        /* gather its records; marks are topics; NULL: it is not open */
  freshet_kafka_config config; /* that of the sink, under its own transactional id */
  char transactional_id[FRESHET_KAFKA_TRANSACTIONAL_ID_SIZE];
  freshet_source* source; /* borrowed: the member that this process is; NULL: none */
  int64_t
      proven_ms;    /* monotonic, when its client was made or has committed last: nobody had fenced it then */
  int64_t begun_ms; /* monotonic, of the transaction under way */
  _Atomic size_t waiting[FRESHET_TOPICS]; /* records of it that are not acknowledged */
  _Atomic bool has_failed; /* a record of it was given up, so it cannot be committed any more */
  _Atomic int refused;     /* librdkafka's code for a record of it that it has not taken; 0: none */
  _Atomic int refused_topic, refused_partition;
  _Atomic size_t refused_bytes;
  _Atomic bool
      lacks_records;      /* one that librdkafka takes for written may be lost (freshet_kafka_delivered) */
  _Atomic bool is_fenced; /* by all that is known: a new producer is needed before the next transaction */
  const _Atomic bool* leaving;   /* set: stop trying */
  const _Atomic bool* abandoned; /* set: leave the transaction as it is; a new producer ends it */
} freshet_kafka_transactor;

/* Gives it the configuration and the id of producer `index`: config->transactional_id with ".1", ".2", ".3" or ".4". Each
 * has its number, so that no id is the beginning of another one's: "w" and "w.2" may both be names of processes. */
void freshet_kafka_transactor_name(freshet_kafka_transactor* transactor, const freshet_kafka_config* config,
                                   int index);

/* Takes one step, again and again while that may help. input: for FRESHET_STEP_SEND_OFFSETS, else NULL.
 * FRESHET_ABORTED: the transaction must be aborted, which has not happened yet, or it is abandoned. That includes each
 * objection of the group coordinator to our offsets, FENCED_INSTANCE_ID too: a static member that was out of reach for a
 * while and has not joined again yet gets the same answer as one that was replaced. The consumer finds out which it is. */
freshet_status freshet_kafka_transactor_take(freshet_kafka_transactor* transactor,
                                             freshet_transaction_step step,
                                             const freshet_input_offsets* input, freshet_error* error);

/* Says why the client has ended for good. After a fence it may wait for a heartbeat. FRESHET_ABORTED: it was fenced without a fault of this process, and a new
 * producer may go on. */
freshet_status freshet_kafka_transactor_fatal(const freshet_kafka_transactor* transactor,
                                              freshet_error* error);

#endif
