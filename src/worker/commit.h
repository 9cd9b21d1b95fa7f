/*
 * commit.h: the state clock. About once a second everything that has changed goes into one Kafka transaction together
 * with the offsets of the input, and into the store once the transaction has committed. So the store is always a prefix
 * of what the log holds. What a commit holds is set apart in one turn. It is written in that one and the next ones, and the
 * commit ends in a later one; learning and lists go on meanwhile.
 *
 * It owns when a commit is due, and what an abort brings about: everything is thrown away and loaded again, by the same
 * path as at a start. It must not know how a record is applied. Of what an event changes, only this unit writes the
 * store.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_COMMIT_H
#define FRESHET_WORKER_COMMIT_H

#include "worker/awaited_schemas.h"
#include "worker/derived.h"
#include "worker/erasures.h"
#include "worker/foreign_events.h"
#include "worker/handover.h"
#include "worker/texts_first.h"
#include "worker/turn.h"

/* Of item deltas in one commit, about: when so much has gathered, the next one starts. */
enum { FRESHET_COMMIT_DELTA_BYTES = 16 << 20 };

typedef struct freshet_commit {
  /* Borrowed. */
  const freshet_stream_config* config;
  const freshet_ports* ports;
  freshet_held* held;
  freshet_derived* derived;
  freshet_erasures* erasures;
  freshet_foreign_events* foreign;
  freshet_texts_first* texts_first;
  freshet_awaited_schemas* awaited_schemas;
  const freshet_handover* handover;
  freshet_turn* turn;
  /* Its own; zero at first. */
  int64_t start_us;      /* of the last commit */
  int64_t ended_us;      /* when the last one has ended */
  int64_t opened_us;     /* when the transaction of the next one was opened ahead */
  int64_t state_us;      /* of the last commit that was not of lists alone (list_commit.h) */
  bool has_state;        /* the last commit was not of lists alone */
  bool was_clear;        /* the last commit of state owed no list to anybody */
  bool is_storing;       /* the transaction has committed, and the store takes its rows */
  bool is_apart;         /* a commit of the state is under way beside those of lists (commit_state.c) */
  bool is_apart_storing; /* ... and its transaction has committed, and the store takes its rows */
  uint64_t ends;         /* transactions that have ended well */
  int64_t next_us;       /* when the next one is due */
  size_t ahead;          /* rows of changed users that have been looked at for the next one */
  bool wants_pass; /* rows of items should go to the store once this commit has ended; pause.h takes it up */
  unsigned aborts_in_a_row;
  int64_t room_us;       /* when items were last parked */
  int64_t room_pause_us; /* how long to wait until that may happen again */
  bool is_stale;        /* a commit was abandoned: what is in memory may be more, or less, than the log has */
  freshet_buffer bytes; /* scratch; freed by freshet_commit_free */
} freshet_commit;

void freshet_commit_free(freshet_commit* commit);

/* From the start of a commit to that of the next one. */
static inline int64_t freshet_commit_interval_us(const freshet_commit* commit) {
  const bool is_fast = commit->config->delivery == FRESHET_DELIVERY_FAST;
  return (is_fast ? commit->config->commit_interval_ms : commit->config->lists_interval_ms) * 1000;
}

/* In every turn: starts a commit when it is due, goes on writing it, and ends the one under way when its outcome is there.
 * is_behind: more events have come than a turn takes, so a commit is written at once. Errors, verdict
 * FRESHET_STOP: those of outbox and store, and when too many transactions in a row were aborted. An abort alone is no
 * error. The same holds for the other functions. */
freshet_status freshet_commit_turn(freshet_commit* commit, bool is_behind, freshet_error* error);

/* Has the time passed that has to be between two commits? */
static inline bool freshet_commit_interval_is_over(const freshet_commit* commit) {
  return freshet_clock_monotonic_us(commit->ports->clock) - commit->start_us >=
         freshet_commit_interval_us(commit);
}
/* With delivery = committed: is something of the next commit on its way, after waiting at most about wait_ms? It opens partitions
 * for the transaction. Lists that come meanwhile can be part of the commit, so it starts later. */
bool freshet_commit_is_opening(const freshet_commit* commit, int wait_ms);

/* Has it records that are not written yet? A turn writes a piece of them, or asks whether the sink has written them. */
static inline bool freshet_commit_is_being_written(const freshet_commit* commit) {
  return freshet_outbox_is_sealed(commit->ports->outbox);
}
/* Is a commit under way? It is from the start of its transaction until the store has its rows. */
static inline bool freshet_commit_is_running(const freshet_commit* commit) {
  return commit->is_storing || commit->is_apart || freshet_commit_is_being_written(commit) ||
         freshet_outbox_is_committing(commit->ports->outbox);
}
/* Is one under way that the next commit of lists waits for? */
static inline bool freshet_commit_holds_lists(const freshet_commit* commit) {
  const freshet_outbox* other = commit->ports->state_outbox;
  return commit->is_storing || freshet_commit_is_being_written(commit) ||
         freshet_outbox_is_committing(commit->ports->outbox) ||
         (other != NULL && freshet_outbox_is_committing(other));
}
/* Is there nothing to commit with? So it is after a commit was abandoned, until the cluster has ended it. Changes gather
 * meanwhile, and freshet_commit_turn waits for nothing. */
bool freshet_commit_is_held_up(const freshet_commit* commit);
/* ... or is one under way, and so much has changed already that little more should be taken in? */
bool freshet_commit_is_congested(const freshet_commit* commit);
/* May lists be made? Not while those that wait for a commit without an outcome fill what is kept. */
bool freshet_commit_takes_lists(const freshet_commit* commit);
/* May work that nobody waits for add records to the next commit? At half of what is kept the next commit starts, as soon as
 * the one under way has ended. */
bool freshet_commit_has_room(const freshet_commit* commit);
/* Waits for the commit under way that holds lists, if there is one, at most about wait_ms, and ends it if it is over then. If none is
 * and the next one is due, waits until its partitions are open. */
freshet_status freshet_commit_await(freshet_commit* commit, int wait_ms, freshet_error* error);
/* Commits everything applied so far and waits for it. */
freshet_status freshet_commit_now(freshet_commit* commit, freshet_error* error);
/* Waits for the commit under way, if there is one. */
freshet_status freshet_commit_finish(freshet_commit* commit, freshet_error* error);
/* When partitions go: commits what is open, unless they are lost, and waits for the cluster only so long that the group
 * is not held up. A commit that takes longer is abandoned and is_stale is set: then every partition has to go, and
 * nothing but freshet_commit_recover is allowed. */
freshet_status freshet_commit_let_go(freshet_commit* commit, bool lost, freshet_error* error);
/* When partitions come: makes what is in memory again, from store and log, if it is stale. */
freshet_status freshet_commit_recover(freshet_commit* commit, freshet_error* error);
/* Commits for the last time, and stores what a start would otherwise have to find again. */
freshet_status freshet_commit_last(freshet_commit* commit, freshet_error* error);

/* Commits, throws away what is in memory, and loads it again: other text vectors serve from now on. */
freshet_status freshet_commit_reload(freshet_commit* commit, freshet_error* error);
/* When items that nobody announces any more take too much room, commits, and loads again without them (parked_items.h).
 * It pauses the lists for the time of a start, so it takes at most a twentieth of the time; less when it does not last. */
freshet_status freshet_commit_make_room(freshet_commit* commit, freshet_error* error);
/* Back to the committed state, after an abort or when partitions were lost. */
freshet_status freshet_commit_roll_back(freshet_commit* commit, freshet_error* error);

#endif
