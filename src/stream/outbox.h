/*
 * outbox.h: everything that the stream processor writes to Kafka goes through here, and so does the transaction.
 * It owns the records that wait for the next commit, and knows whether a transaction is open and how many have
 * been committed. It must not know what a record means, nor when a commit is due (worker/commit.c).
 *
 * Thread rule: the worker's. While sealed records are written beside it, these records and their scratch belong to the sink's
 * thread.
 */
#ifndef FRESHET_STREAM_OUTBOX_H
#define FRESHET_STREAM_OUTBOX_H

#include "stream/sink.h"
#include "stream/stream_config.h"

/* When a record leaves. */
typedef enum freshet_when {
  /* At once, outside of transactions. */
  FRESHET_NOW = 0,
  /* Lists and replies: at once, or with the commit, as `delivery` says. */
  FRESHET_BY_DELIVERY,
  /* Into the open transaction at once; opens one if there is none. Only when freshet_outbox_may_write says so of its
   * topic, or for a commit whose records are sealed. For what is too large to be kept. */
  FRESHET_IN_TRANSACTION,
  /* Kept here, and written into the transaction when the next commit starts, or ahead of it. */
  FRESHET_WITH_COMMIT,
} freshet_when;

typedef struct freshet_outbox freshet_outbox;

/* The sink is not owned, and outlives the outbox. */
freshet_outbox* freshet_outbox_create(freshet_sink* sink, freshet_delivery delivery);
void freshet_outbox_destroy(freshet_outbox* outbox);

/* Copies key, value and the values of headers; names of headers are borrowed, and have to be static. Errors:
 * those of the sink; none for FRESHET_WITH_COMMIT. */
freshet_status freshet_outbox_add(freshet_outbox* outbox, const freshet_output* output, freshet_when when,
                                  freshet_error* error);
/* To a topic that is not one of ours, at once; see freshet_sink.publish_to. False: it cannot be written to. */
bool freshet_outbox_add_foreign(freshet_outbox* outbox, const char* topic, const freshet_output* output);

/* Why nothing may go to that topic, and how large a record of a topic may be: see freshet_sink. */
const char* freshet_outbox_refusal_of(const freshet_outbox* outbox, const char* topic);
size_t freshet_outbox_limit(const freshet_outbox* outbox, freshet_topic topic);

/* Serves delivery reports, without waiting. */
void freshet_outbox_poll(freshet_outbox* outbox);
/* The configured name of a topic. */
const char* freshet_outbox_topic_name(const freshet_outbox* outbox, freshet_topic topic);

/* ---- what is kept for the next commit ---- */

size_t freshet_outbox_kept(const freshet_outbox* outbox);       /* records */
size_t freshet_outbox_kept_bytes(const freshet_outbox* outbox); /* about */
/* Does the next transaction hold lists and replies alone, or nothing, as far as is known? Not where one of them is a tombstone:
 * that comes of an erasure, which changes the state. */
bool freshet_outbox_has_lists_alone(const freshet_outbox* outbox);
/* Forgets the kept records that `drop` says true of. Views hold during the call. */
void freshet_outbox_forget(freshet_outbox* outbox, bool (*drop)(void* context, const freshet_output* output),
                           void* context);

/* What is kept in `from` is kept here instead, after what is kept already. */
void freshet_outbox_move_kept(freshet_outbox* outbox, freshet_outbox* from);

/* ---- the transaction: commit.c and the checkpoint of the item tables ---- */

/* Something has been written into the transaction of the next commit. */
bool freshet_outbox_is_open(const freshet_outbox* outbox);
bool freshet_outbox_is_committing(const freshet_outbox* outbox);

/* Are records of a topic in the open transaction? Nobody knows yet whether they will count. */
bool freshet_outbox_holds(const freshet_outbox* outbox, freshet_topic topic);

/* Whether records of a topic may go into the transaction of the next commit already; see freshet_sink.may_write. Not from a
 * seal to the start of its commit. */
bool freshet_outbox_may_write(const freshet_outbox* outbox, freshet_topic topic);
/* Whether they should: the transaction has none of the topic yet. The first records of a partition cost a transaction
 * more than all that follow, but each batch is another request. Lists and replies always should: of these the sink lets the first
 * ones of each partition leave, and gathers the rest. */
bool freshet_outbox_may_write_ahead(const freshet_outbox* outbox, freshet_topic topic);
/* Writes what is kept of the topics that should be written ahead, apart from dead letters, and opens the transaction if
 * need be. Then the start of that commit has less to write. After an error: freshet_outbox_abort, as soon as no commit is
 * under way. */
freshet_status freshet_outbox_write_ahead(freshet_outbox* outbox, freshet_error* error);

/* Opens the transaction if it is not open, and sets apart what is kept: it belongs to this commit, and what is kept from now
 * on to the next one. Not while a commit is under way. After an error, here and below: freshet_outbox_abort. */
freshet_status freshet_outbox_seal(freshet_outbox* outbox, freshet_error* error);
bool freshet_outbox_is_sealed(const freshet_outbox* outbox);
/* Lets the sink write all that is left of them beside the worker, if it has a thread for that; see freshet_sink.start_writing. Until
 * freshet_outbox_write_sealed has told that none is left, they are on their way. */
void freshet_outbox_start_writing(freshet_outbox* outbox);
bool freshet_outbox_is_writing(const freshet_outbox* outbox); /* beside the worker */
/* Writes up to `most` of these records. *is_all: none is left. If they are on their way, waits for them instead, at most
 * wait_ms (below 0: however long it takes). */
freshet_status freshet_outbox_write_sealed(freshet_outbox* outbox, size_t most, int wait_ms, bool* is_all,
                                           freshet_error* error);
/* Starts to commit with these offsets; see freshet_sink.commit. Seals first, and writes what is left, if that has not been
 * done. */
freshet_status freshet_outbox_start_commit(freshet_outbox* outbox, const freshet_partition* offsets,
                                           size_t count, freshet_error* error);
/* The outcome of the started commit; see freshet_sink.outcome. FRESHET_TIMEOUT: not yet. Any other status: the
 * commit is not under way any more. */
freshet_status freshet_outbox_outcome(freshet_outbox* outbox, int wait_ms, freshet_error* error);
/* Aborts the open transaction, if there is one, and forgets what is kept: everything since the last commit is
 * done again. Not while a commit is under way. */
freshet_status freshet_outbox_abort(freshet_outbox* outbox, freshet_error* error);

/* Is nothing of the open transaction on its way, after waiting at most about wait_ms? See freshet_sink.is_at_rest. */
bool freshet_outbox_is_at_rest(const freshet_outbox* outbox, int wait_ms);
/* Is every record of the open transaction acknowledged? See freshet_sink.is_written. */
bool freshet_outbox_is_written(const freshet_outbox* outbox);

/* Lets go of the commit under way, whose outcome nobody will know, and of the transaction of the next one, as far as there
 * are any; forgets what is kept. See freshet_sink.abandon. */
void freshet_outbox_abandon(freshet_outbox* outbox);
/* Can a commit be started? Not while what was abandoned is not over; see freshet_sink.is_ready. */
bool freshet_outbox_is_ready(const freshet_outbox* outbox);

/* The records of a topic that were kept for the commit that has ended last, in the order in which they were
 * added, until freshet_outbox_tidy or the next start. */
void freshet_outbox_each_committed(const freshet_outbox* outbox, freshet_topic topic,
                                   void (*visit)(void* context, const freshet_output* output), void* context);
/* They have been stored. */
void freshet_outbox_tidy(freshet_outbox* outbox);
/* See freshet_sink.written_end. */
int64_t freshet_outbox_written_end(const freshet_outbox* outbox, freshet_topic topic, int32_t partition);

/* How many commits have been sealed, and the number of the last one that has ended well. What changes now
 * belongs to commit `started` + 1. */
uint64_t freshet_outbox_commits_started(const freshet_outbox* outbox);
uint64_t freshet_outbox_commits_ended(const freshet_outbox* outbox);

#endif
