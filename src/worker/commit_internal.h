/*
 * commit_internal.h: what commit.c, commit_load.c, commit_let_go.c and commit_state.c share. Seen by nobody else.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_COMMIT_INTERNAL_H
#define FRESHET_WORKER_COMMIT_INTERNAL_H

#include "worker/commit.h"

/* The interval counts from the start of a commit to that of the next one, or from a look that found nothing. */
void freshet_commit_schedule(freshet_commit* commit, int64_t from_us);
enum { FRESHET_COMMIT_KEPT_BYTES = 8 << 20 /* of records that wait for a commit, before events wait */ };
enum { FRESHET_COMMIT_ITEMS_PER_ROW = 8 /* of the delta, are prepared in the time that a record takes */ };

/* Is a commit under way that others wait for: of lists, or of lists and state together? */
static inline bool freshet_commit_is_exclusive(const freshet_commit* commit) {
  return commit->is_storing || freshet_outbox_is_sealed(commit->ports->outbox) ||
         freshet_outbox_is_committing(commit->ports->outbox);
}
/* Has nothing to commit changed, and is no commit of the state under way? */
bool freshet_commit_is_idle(freshet_commit* commit);
/* Everything that has changed is set apart for the transaction; what changes from now on belongs to the next. has_state:
 * else lists and replies alone. */
freshet_status freshet_commit_start(freshet_commit* commit, bool has_state, freshet_error* error);
/* Writes a piece of what is set apart into the transaction, or all of it. If lists do not wait for the commit, the sink may
 * write its records beside the loop; then they are waited for, at most wait_ms. */
freshet_status freshet_commit_write_on(freshet_commit* commit, bool all, int wait_ms, freshet_error* error);
/* Goes on with what is under way, after waiting at most wait_ms: a commit that others wait for comes first. */
freshet_status freshet_commit_go_on(freshet_commit* commit, int wait_ms, freshet_error* error);
/* What must be true before a commit starts. */
freshet_status freshet_commit_check(const freshet_commit* commit, freshet_error* error);
/* Keeps rows of all users and dedup windows that have changed, for the next commit of this outbox. */
freshet_status freshet_commit_write_users(freshet_commit* commit, freshet_outbox* outbox,
                                          freshet_error* error);
/* What a commit of state has set apart. */
void freshet_commit_start_state(freshet_commit* commit, int64_t now_us);
/* All records are written: sends the offsets and ends the transaction. */
freshet_status freshet_commit_send(freshet_commit* commit, freshet_outbox* outbox, freshet_error* error);
/* After the transaction: its rows go to the store. */
void freshet_commit_store_changes(freshet_commit* commit, const freshet_outbox* outbox);
/* The store has answered. */
void freshet_commit_end_state(freshet_commit* commit, freshet_outbox* outbox, freshet_status status);
/* Figures. */
void freshet_commit_ended(freshet_commit* commit, int64_t start_us);
/* Writes a piece of what is set apart into the transaction of this outbox: rows, and then, with has_state, the delta of items.
 * *is_all: nothing is left. */
freshet_status freshet_commit_write_rows(const freshet_commit* commit, freshet_outbox* outbox, bool has_state,
                                         size_t rows, int wait_ms, bool* is_all, freshet_error* error);
/* After an aborted transaction everything since the last commit is done again, once other commits under way have ended. Any other
 * status stops. */
freshet_status freshet_commit_failed(freshet_commit* commit, freshet_status status,
                                     const freshet_error* cause, freshet_error* error);

/* The transaction of the next commit has failed before that commit was started. */
freshet_status freshet_commit_undo(freshet_commit* commit, freshet_status status, const freshet_error* cause,
                                   freshet_error* error);
/* Of records that wait for a commit, about. */
size_t freshet_commit_kept_bytes(const freshet_commit* commit);
/* Far behind, nobody waits for the commit. A row that several events change goes out once for all of them. */
bool freshet_commit_is_patient(const freshet_commit* commit);
/* Is the next commit one of state, as far as is known at this time? */
bool freshet_commit_is_state_due(const freshet_commit* commit, int64_t at_us);

/* Right after a commit that was waited for: all rows of items go to the store at once. */
freshet_status freshet_commit_store_items(freshet_commit* commit, freshet_error* error);

/* ---- commit_ahead.c ---- */

/* Before a commit is due, rows that have waited longest go into it, a few in each turn: then it has little left to do when it
 * starts. Each row once: one that changes later is written once more. */
freshet_status freshet_commit_keep_ahead(freshet_commit* commit, freshet_error* error);
/* Where lists wait for their commit, what changes goes into its transaction while the last one is under way, and until it
 * starts. So a commit has little left to write then. */
freshet_status freshet_commit_write_ahead(freshet_commit* commit, freshet_error* error);

/* ---- commit_state.c ---- */

/* May the state be set apart now, if a commit of lists alone may start (list_commit.h)? Not where something else than users and
 * what is learned belongs to it, or where the last committed state owes lists; not for a pass over the rows of items. */
bool freshet_state_commit_may_start(const freshet_commit* commit);
/* Sets the state apart. A commit of lists has to start in the same turn, if lists wait. Errors, here and below: those of
 * freshet_commit_turn. */
freshet_status freshet_state_commit_start(freshet_commit* commit, freshet_error* error);
/* Goes on with the commit under way, if there is one: writes a piece, or all; sends the offsets; takes the outcome, and the
 * store's, each after waiting at most wait_ms. idle_us: so much of a wait is no part of a turn. */
freshet_status freshet_state_commit_turn(freshet_commit* commit, bool all, int wait_ms, int64_t idle_us,
                                         freshet_error* error);
/* Have the offsets been sent, and is there no outcome yet? No other commit may start. */
bool freshet_state_commit_is_ending(const freshet_commit* commit);
/* Its partitions are lost: forgets what is set apart, if the offsets have not been sent. What is in memory has to be made
 * again. */
void freshet_state_commit_drop(freshet_commit* commit);

#endif
