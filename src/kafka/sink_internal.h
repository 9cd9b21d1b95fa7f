/*
 * sink_internal.h: the sink on Kafka, shared by sink.c (lists), sink_transactions.c (transactions up to their commit) and
 * sink_commit.c (the thread that commits). Seen by nobody else. Thread rule: the worker's thread, except where it says "the committer's".
 */
#ifndef FRESHET_KAFKA_SINK_INTERNAL_H
#define FRESHET_KAFKA_SINK_INTERNAL_H

#include <pthread.h>

#include "kafka/ends.h"
#include "kafka/lanes.h"
#include "kafka/questions.h"
#include "kafka/reader.h"
#include "kafka/reply_topics.h"
#include "kafka/sizes.h"
#include "kafka/transactor.h"
#include "stream/helper.h"

enum { FRESHET_SINK_ROOM_MS = 10 }; /* how long to wait at a time for room or for acknowledgements */

/* A commit runs on a thread of its own, so that lists go on meanwhile. Between commit and outcome that thread
 * alone uses the transactor of the commit, and its ends. */
typedef struct committer {
  pthread_t thread;
  bool started;
  pthread_mutex_t lock; /* guards the rest */
  pthread_cond_t changed;
  enum { IDLE = 0, ASKED, ENDED } phase;
  freshet_kafka_transactor* transactor; /* of the commit under way */
  bool is_written;                      /* all records of that commit are acknowledged */
  freshet_kafka_transactor* left_open;  /* abandoned together with the commit, to be ended; NULL: none */
  _Atomic bool leaving;                 /* the sink is being destroyed: stop trying */
  _Atomic bool abandoned;               /* nobody will ask how the commit has ended */
  unsigned era;                         /* of the published records that must be acknowledged first */
  freshet_input_offsets input;
  freshet_helper* sender; /* sends them while the records travel; NULL: not started */
  freshet_status sent;    /* how that ended; the sender's while it is at work, like the next one */
  freshet_error send_error;
  freshet_status status; /* of the commit that has ended, or of what ended an abandoned one */
  freshet_error error;
} committer;

/* Records published between two commits. Delivery reports come on whatever thread polls the publisher. */
typedef struct published {
  _Atomic size_t waiting; /* not acknowledged yet */
  _Atomic size_t lost;    /* given up by librdkafka, not told yet */
} published;

/* Writes records into the open transaction beside the worker. From the start of its job to its end, the transactor of that
 * transaction and its ends are its thread's. */
typedef struct writer {
  freshet_helper* helper; /* NULL: there is none */
  bool is_at_work;        /* nobody has been told yet how the job has ended */
  freshet_sink_job job;
  void* context;
  freshet_status status; /* how it has ended; the thread's while it is at work, like the next one */
  freshet_error error;
} writer;

typedef struct kafka_sink {
  freshet_sink base;
  freshet_kafka_config config; /* as given, with a batch.size that all topics take */
  freshet_kafka_property* properties;
  char batch[24];
  freshet_kafka_client publisher;
  freshet_lanes* lanes; /* of the publisher; its marks are eras; NULL: records go straight to it */
  /* They take turns (transactor.h); all but the first are open only where config->alternates. */
  freshet_kafka_transactor transactors[FRESHET_KAFKA_TRANSACTORS];
  freshet_kafka_transactor* transactor;         /* of the next commit; NULL: not transactional */
  bool has_begun;                               /* its transaction is open */
  freshet_ends ends[FRESHET_KAFKA_TRANSACTORS]; /* of the transaction of each that is under way */
  freshet_ends committed;                       /* of the last committed one */
  freshet_source* source;
  freshet_reply_topics* reply_topics;
  freshet_kafka_sizes sizes;
  published eras[2]; /* the current one, and the one of the commit under way */
  unsigned era;
  _Atomic int lost_code;
  _Atomic int
      too_large; /* a topic that has refused a record for its size, not told yet; FRESHET_TOPICS: none */
  _Atomic int missing; /* a topic that is not there any more; FRESHET_TOPICS: none */
  committer committer;
  writer writer;
} kafka_sink;

static inline kafka_sink* freshet_sink_of(freshet_sink* self) {
  return (kafka_sink*)self;
}

/* ---- sink.c ---- */
freshet_status freshet_sink_lists_lost(const kafka_sink* sink, size_t lost, freshet_status status,
                                       freshet_error* error);
/* FRESHET_NOT_FOUND after a record was given up because its topic is not there any more: it would be so for ever. */
freshet_status freshet_sink_check_topics(kafka_sink* sink, freshet_error* error);
/* Adds the topic that has refused a record for its size to the error of a commit. */
void freshet_sink_name_limit(kafka_sink* sink, freshet_error* error);
/* What a record that was given up says of its topic: how large a record may be, or that the topic is gone. */
void freshet_sink_learn(kafka_sink* sink, const freshet_kafka_client* client,
                        const rd_kafka_message_t* message);
/* Enqueues, waiting for room. lanes NULL: straight to the producer, without a mark. */
rd_kafka_resp_err_t freshet_sink_produce(freshet_kafka_client* client, freshet_lanes* lanes,
                                         const freshet_output* output, int mark);
/* The error for a record that the producer has not taken. */
freshet_status freshet_sink_refused(kafka_sink* sink, const freshet_kafka_client* client,
                                    const freshet_output* output, rd_kafka_resp_err_t code,
                                    freshet_error* error);
/* Makes the client know its topics, and makes its lanes. lanes NULL: there will be none. */
freshet_status freshet_sink_open_lanes(freshet_kafka_client* client, freshet_lanes_mode mode,
                                       freshet_lanes_refused give_up, void* context, freshet_lanes** lanes,
                                       freshet_error* error);
/* What is not acknowledged is given up. */
void freshet_sink_close_producer(freshet_kafka_client* client);
/* The code of a refused record is that of the fatal error, or RD_KAFKA_RESP_ERR__FATAL. */
static inline bool freshet_sink_is_fatal(const freshet_kafka_client* client) {
  return rd_kafka_fatal_error(client->handle, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* ---- sink_transactions.c ---- */
freshet_status freshet_sink_open_transactors(kafka_sink* sink, const freshet_kafka_config* config,
                                             freshet_error* error);
/* Leaves an open transaction to the broker. One that was never opened is fine. */
void freshet_sink_close_transactor(freshet_kafka_transactor* transactor);
/* For the thread that may use the transactor. Ends its open transaction; by a new producer where the old one has
 * failed. */
freshet_status freshet_sink_abort_open(kafka_sink* sink, freshet_kafka_transactor* transactor,
                                       freshet_error* error);
/* For the thread that may use the transactor. A new producer with the same id, which aborts what the old one left
 * open. */
freshet_status freshet_sink_reopen(kafka_sink* sink, freshet_kafka_transactor* transactor, const char* reason,
                                   freshet_error* error);

/* FRESHET_INVALID: librdkafka has not taken a record of the transaction, and would commit without it. */
freshet_status freshet_transactions_refused(const freshet_kafka_transactor* t, freshet_error* error);
/* See sink.h: begin, is_written, is_at_rest, write, start_writing, end_writing and abort of the port. */
freshet_status freshet_transactions_begin(freshet_sink* self, freshet_error* error);
bool freshet_transactions_are_written(freshet_sink* self);
bool freshet_transactions_are_at_rest(freshet_sink* self, int wait_ms);
freshet_status freshet_transactions_write(freshet_sink* self, const freshet_output* output,
                                          freshet_error* error);
bool freshet_transactions_start_writing(freshet_sink* self, freshet_sink_job job, void* context);
freshet_status freshet_transactions_end_writing(freshet_sink* self, int wait_ms, freshet_error* error);
freshet_status freshet_transactions_abort(freshet_sink* self, freshet_error* error);

/* ---- sink_commit.c ---- */
freshet_status freshet_committer_start(kafka_sink* sink, freshet_error* error);
/* Waits for the thread. Nothing happens where none was started. */
void freshet_committer_end(committer* c);
/* Is no abandoned commit left? */
bool freshet_committer_is_ready(freshet_sink* self);
/* Waits until an abandoned commit is over. Errors: that which ended it; FRESHET_ABORTED after some seconds. */
freshet_status freshet_committer_await_abandoned(committer* c, freshet_error* error);
/* Whether the thread has the transactor for itself. */
bool freshet_committer_uses(kafka_sink* sink, const freshet_kafka_transactor* transactor);
/* See sink.h: may_write of the port. */
bool freshet_committer_may_write(freshet_sink* self, freshet_topic topic);
/* See sink.h: commit, outcome and abandon of the port. */
freshet_status freshet_committer_commit(freshet_sink* self, const freshet_partition* partitions, size_t count,
                                        freshet_error* error);
freshet_status freshet_committer_outcome(freshet_sink* self, int wait_ms, freshet_error* error);
void freshet_committer_abandon(freshet_sink* self);

#endif
