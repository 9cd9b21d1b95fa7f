/*
 * commit.c: the state clock: when a commit is due, what goes into the transaction, what follows its outcome,
 * and how it ends. Only this file writes rows of users to the store. The way back after an abort is in commit_load.c.
 */
#include "worker/commit_internal.h"

#include <stdlib.h>

#include "worker/changed_rows.h"
#include "worker/list_commit.h"
#include "worker/restore.h"

enum {
  OUTCOME_WAIT_MS = 1000,
  LET_GO_WAIT_MS = 100,
  URGENT_US = 100000,      /* the interval while a withdrawal or an erasure waits for a commit */
  LET_GO_US = 3000000,     /* from the start of a commit until it is abandoned, when partitions are to go */
  LAST_CHANCE_US = 500000, /* and at least for so long */
  ECHO_WAIT_MS = 100,      /* for own deltas to come back before item rows are stored */
  ABORTS_MAX = 20,         /* in a row, before giving up */
  AHEAD_PART = 4,          /* of it, at most, rows that go into a commit before it is due */
  KEPT_BYTES = 8 << 20,    /* of records that wait for it, before events wait */
  ROWS_AHEAD = 32,         /* of users, in a turn, before a commit is due */
  ITEMS_PER_ROW = 8,       /* of the delta, are prepared in the time that a record takes */
};

void freshet_commit_free(freshet_commit* commit) {
  freshet_buffer_free(&commit->bytes);
}

/* ---- the transaction ---- */

static freshet_status keep_users(freshet_commit* commit, size_t first, size_t most, freshet_error* error) {
  return freshet_changed_rows_keep_users(commit->ports->outbox, commit->derived->users, first, most,
                                         &commit->bytes, error);
}

/* What has been learned. May be called several times before a commit: each time writes what has changed since. */
static freshet_status write_users(freshet_commit* commit, freshet_error* error) {
  freshet_status status = keep_users(commit, 0, SIZE_MAX, error);
  commit->ahead = 0;
  freshet_changed_rows_keep_dedup(commit->ports->outbox, commit->held, &commit->bytes);
  return status;
}

static freshet_status write_items(freshet_commit* commit, freshet_error* error) {
  return freshet_learned_write_delta(freshet_items_learned(commit->derived->items), error);
}

/* One offset of everything that is held; the caller frees. Every transaction carries the offsets, moved or not:
 * by them the broker tells whether this worker is still a member of the group. A worker that was removed from
 * the group without knowing it could otherwise write old rows over those of the new owner. */
static freshet_partition* list_offsets(const freshet_commit* commit, freshet_held_offset which,
                                       size_t* count) {
  size_t listed;
  freshet_partition* offsets = freshet_held_list(commit->held, FRESHET_TOPICS, which, &listed);
  *count = 0;
  for (size_t i = 0; i < listed; i++) {
    /* Below 0 nothing has been read yet, from a beginning that only the broker knows. */
    if (offsets[i].offset >= 0) offsets[(*count)++] = offsets[i];
  }
  return offsets;
}

static freshet_status start_transaction_commit(freshet_commit* commit, freshet_error* error) {
  size_t count;
  freshet_partition* offsets = list_offsets(commit, FRESHET_HELD_COMMITTING, &count);
  freshet_status status = freshet_outbox_start_commit(commit->ports->outbox, offsets, count, error);
  free(offsets);
  return status;
}

static void store_row(void* context, const freshet_output* row) {
  freshet_store* store = context;
  if (row->has_value) {
    freshet_store_put(store, FRESHET_FAMILY_USERS, row->partition, row->key, row->value);
  } else {
    freshet_forget_user_row(store, row->partition, row->key);
  }
}

/* After the transaction: its rows, in one batch with the positions that they reflect. The store may write it beside the
 * loop: until that has ended, the rows of users stay in memory as those of the commit under way. */
static void store_changes(freshet_commit* commit) {
  freshet_store* store = commit->ports->store;
  freshet_outbox_each_committed(commit->ports->outbox, FRESHET_TOPIC_USERS, store_row, store);
  int64_t now_ms = freshet_clock_now_ms(commit->ports->clock);
  FRESHET_HELD_EACH(held, commit->held, FRESHET_TOPICS) {
    freshet_held_end_commit(held);
    if (held->topic != FRESHET_TOPIC_EVENTS) continue;
    int64_t end = freshet_outbox_written_end(commit->ports->outbox, FRESHET_TOPIC_USERS, held->partition);
    if (end >= 0) freshet_store_set_position(store, FRESHET_TOPIC_USERS, held->partition, end, now_ms);
  }
  freshet_learned_store_starts(freshet_items_learned(commit->derived->items));
  freshet_store_start_write(store);
  commit->is_storing = true;
}

freshet_status freshet_commit_store_items(freshet_commit* commit, freshet_error* error) {
  bool stored;
  freshet_status status = freshet_items_store(commit->derived->items, ECHO_WAIT_MS, &stored, error);
  if (status != FRESHET_OK || !stored) return status;
  status = freshet_store_write(commit->ports->store, error);
  freshet_turn_lap(commit->turn, FRESHET_TURN_ROWS);
  return status;
}

static bool nothing_changed(freshet_commit* commit) {
  freshet_user_row* const* rows;
  if (freshet_outbox_is_open(commit->ports->outbox) || freshet_outbox_kept(commit->ports->outbox) > 0)
    return false;
  if (freshet_handover_due(commit->handover)) return false;
  if (freshet_users_changed(commit->derived->users, &rows) > 0) return false;
  FRESHET_HELD_EACH(held, commit->held, FRESHET_TOPICS) {
    if (freshet_list_commit_done_offset(commit->derived, held) != held->committed) return false;
  }
  return true;
}

void freshet_commit_schedule(freshet_commit* commit, int64_t from_us) {
  commit->next_us = from_us + freshet_commit_interval_us(commit);
}

/* After an aborted transaction everything since the last commit is done again. Any other status stops. */
static freshet_status failed(freshet_commit* commit, freshet_status status, const freshet_error* cause,
                             freshet_error* error) {
  if (status != FRESHET_ABORTED) {
    return freshet_error_set(error, status, FRESHET_STOP, "commit: %s", cause->message);
  }
  freshet_log_fact(commit->ports->logger, FRESHET_WARN, "commit.aborted", "reason=\"%s\"", cause->message);
  if (++commit->aborts_in_a_row > ABORTS_MAX)
    return freshet_error_set(error, FRESHET_ABORTED, FRESHET_STOP,
                             "%d transactions in a row were aborted, the last one because of: %s", ABORTS_MAX,
                             cause->message);
  return freshet_commit_roll_back(commit, error);
}

/* What a commit of state has set apart. */
static void start_state(freshet_commit* commit) {
  commit->state_us = commit->start_us;
  freshet_learned_start_delta(freshet_items_learned(commit->derived->items));
  freshet_users_start_commit(commit->derived->users);
  freshet_erasures_start_commit(commit->erasures);
}

/* Everything that has changed is set apart for the transaction; what changes from now on belongs to the next. has_state: else lists
 * and replies alone. */
static freshet_status start(freshet_commit* commit, bool has_state, freshet_error* error) {
  freshet_error cause = {0};
  commit->start_us = freshet_clock_monotonic_us(commit->ports->clock);
  commit->has_state = has_state;
  if (has_state) commit->was_clear = freshet_list_commit_is_clear(commit->derived);
  freshet_status status = freshet_foreign_events_check(commit->foreign, error);
  /* A row that could not be read may have been taken for one that is not there. */
  if (status == FRESHET_OK) status = freshet_store_check(commit->ports->store, error);
  if (status != FRESHET_OK) return status;
  if (has_state) status = freshet_handover_write(commit->handover, &cause);
  if (has_state && status == FRESHET_OK) status = write_users(commit, &cause);
  if (status == FRESHET_OK) status = freshet_outbox_seal(commit->ports->outbox, &cause);
  if (status != FRESHET_OK) return failed(commit, status, &cause, error);
  freshet_list_commit_note(commit->derived, has_state);
  if (has_state) start_state(commit);
  freshet_turn_lap(commit->turn, FRESHET_TURN_COMMIT);
  return FRESHET_OK;
}

/* With the last piece, the cluster starts to commit. */
static freshet_status write_piece(freshet_commit* commit, size_t rows, int wait_ms, freshet_error* error) {
  freshet_learned* learned = freshet_items_learned(commit->derived->items);
  bool is_all;
  freshet_status status = freshet_outbox_write_sealed(commit->ports->outbox, rows, wait_ms, &is_all, error);
  if (status != FRESHET_OK || !is_all) return status;
  if (commit->has_state) status = freshet_learned_write_some(learned, ITEMS_PER_ROW * rows, &is_all, error);
  return status == FRESHET_OK && is_all ? start_transaction_commit(commit, error) : status;
}

/* Writes a piece of what is set apart into the transaction, or all of it. If lists do not wait for the commit, the sink may write
 * its records beside the loop; then they are waited for, at most wait_ms. */
static freshet_status write_on(freshet_commit* commit, bool all, int wait_ms, freshet_error* error) {
  freshet_outbox* outbox = commit->ports->outbox;
  freshet_error cause = {0};
  freshet_status status;
  bool goes_on;
  const size_t rows = all ? SIZE_MAX / ITEMS_PER_ROW : commit->config->commit_rows_a_turn;
  if (commit->config->delivery == FRESHET_DELIVERY_FAST) freshet_outbox_start_writing(outbox);
  do {
    status = write_piece(commit, rows, wait_ms, &cause);
    goes_on = all && freshet_outbox_is_sealed(outbox) && !freshet_outbox_is_writing(outbox);
  } while (goes_on && status == FRESHET_OK);
  freshet_turn_lap(commit->turn, FRESHET_TURN_COMMIT);
  return status == FRESHET_OK ? status : failed(commit, status, &cause, error);
}

/* The store has answered. */
static void end_state(freshet_commit* commit, freshet_status status) {
  freshet_users_end_commit(commit->derived->users);
  if (status == FRESHET_OK) freshet_erasures_end_commit(commit->erasures);
  freshet_users_trim(commit->derived->users);
  freshet_learned* learned = freshet_items_learned(commit->derived->items);
  freshet_learned_committed(learned);
  if (status == FRESHET_OK) freshet_learned_store_ended(learned);
}

static void end(freshet_commit* commit, freshet_status status) {
  freshet_clock* clock = commit->ports->clock;
  commit->is_storing = false;
  commit->aborts_in_a_row = 0;
  if (commit->has_state) end_state(commit, status);
  freshet_outbox_tidy(commit->ports->outbox);
  freshet_commit_schedule(commit, commit->start_us);
  freshet_turn_lap(commit->turn, FRESHET_TURN_STORE);
  freshet_count(&commit->ports->metrics->commits, 1);
  freshet_gauge(&commit->ports->metrics->last_commit_ms, (uint64_t)freshet_clock_now_ms(clock));
  freshet_histogram_observe(&commit->ports->metrics->commit,
                            freshet_clock_monotonic_us(clock) - commit->start_us);
}

/* The store has no part in it. */
static freshet_status end_lists(freshet_commit* commit) {
  FRESHET_HELD_EACH(held, commit->held, FRESHET_TOPICS) freshet_held_end_commit(held);
  end(commit, FRESHET_OK);
  return FRESHET_OK;
}

/* Ends the commit under way if its outcome comes within wait_ms. idle_us: so much of the wait is no part of a turn. */
static freshet_status try_to_end(freshet_commit* commit, int wait_ms, int64_t idle_us, freshet_error* error) {
  freshet_error cause = {0};
  if (freshet_commit_is_being_written(commit)) {
    freshet_status status = write_on(commit, true, wait_ms, error);
    if (status != FRESHET_OK || !freshet_outbox_is_committing(commit->ports->outbox)) return status;
  }
  if (!commit->is_storing) {
    freshet_status status = freshet_outbox_outcome(commit->ports->outbox, wait_ms, &cause);
    freshet_turn_waited(commit->turn, FRESHET_TURN_OUTCOME, idle_us);
    if (status == FRESHET_TIMEOUT) return FRESHET_OK;
    if (status != FRESHET_OK) return failed(commit, status, &cause, error);
    if (!commit->has_state) return end_lists(commit);
    store_changes(commit);
  }
  freshet_status status = freshet_store_end_write(commit->ports->store, wait_ms, &cause);
  freshet_turn_waited(commit->turn, FRESHET_TURN_STORE, idle_us);
  if (status == FRESHET_TIMEOUT) return FRESHET_OK;
  end(commit, status);
  return status == FRESHET_OK ? status : freshet_error_set(error, status, cause.verdict, "%s", cause.message);
}

freshet_status freshet_commit_await(freshet_commit* commit, int wait_ms, freshet_error* error) {
  if (!freshet_commit_is_running(commit)) return FRESHET_OK;
  return try_to_end(commit, wait_ms, (int64_t)wait_ms * 1000, error);
}

freshet_status freshet_commit_finish(freshet_commit* commit, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && freshet_commit_is_running(commit))
    status = try_to_end(commit, OUTCOME_WAIT_MS, 0, error);
  return status;
}

freshet_status freshet_commit_now(freshet_commit* commit, freshet_error* error) {
  freshet_status status = freshet_commit_finish(commit, error);
  if (status == FRESHET_OK && !nothing_changed(commit)) status = start(commit, true, error);
  if (status == FRESHET_OK) status = freshet_commit_finish(commit, error);
  return status;
}

/* The transaction of the next commit has failed before that commit was started. */
static freshet_status undo(freshet_commit* commit, freshet_status status, const freshet_error* cause,
                           freshet_error* error) {
  freshet_status ended = freshet_commit_finish(commit, error);
  return ended == FRESHET_OK ? failed(commit, status, cause, error) : ended;
}

static bool overlay_is_full(const freshet_commit* commit) {
  freshet_user_row* const* rows;
  return freshet_users_changed(commit->derived->users, &rows) >= commit->config->overlay_users ||
         freshet_outbox_kept_bytes(commit->ports->outbox) >= KEPT_BYTES ||
         freshet_model_delta_size(freshet_items_model(commit->derived->items)) >= FRESHET_COMMIT_DELTA_BYTES;
}

/* Is the next commit one of state, as far as is known at this time? */
static bool is_state_due(const freshet_commit* commit, int64_t at_us) {
  return !commit->was_clear || at_us - commit->state_us >= commit->config->commit_interval_ms * 1000 ||
         overlay_is_full(commit) || freshet_erasures_due(commit->erasures);
}

/* Where lists wait for their commit, what changes goes into its transaction while the last one is under way. So a
 * commit has little left to write when it starts. */
static freshet_status write_ahead(freshet_commit* commit, freshet_error* error) {
  freshet_outbox* outbox = commit->ports->outbox;
  freshet_error cause = {0};
  freshet_status status = FRESHET_OK;
  if (commit->config->delivery == FRESHET_DELIVERY_FAST) return FRESHET_OK;
  const int64_t next_us =
      freshet_clock_monotonic_us(commit->ports->clock) + freshet_commit_interval_us(commit);
  const bool has_state = is_state_due(commit, next_us);
  if (has_state && freshet_outbox_may_write_ahead(outbox, FRESHET_TOPIC_USERS))
    status = write_users(commit, &cause);
  if (has_state && status == FRESHET_OK && freshet_outbox_may_write_ahead(outbox, FRESHET_TOPIC_ITEM_DELTAS))
    status = write_items(commit, &cause);
  if (status == FRESHET_OK) status = freshet_outbox_write_ahead(outbox, &cause);
  freshet_turn_lap(commit->turn, FRESHET_TURN_COMMIT);
  return status == FRESHET_OK ? status : undo(commit, status, &cause, error);
}

bool freshet_commit_has_room(const freshet_commit* commit) {
  return freshet_outbox_kept_bytes(commit->ports->outbox) < KEPT_BYTES / 2;
}

/* Before a commit is due, rows that have waited longest go into it, a few in each turn: then it has little left to do when it
 * starts. Each row once: one that changes later is written once more. */
static freshet_status keep_ahead(freshet_commit* commit, freshet_error* error) {
  const int64_t since_us = freshet_clock_monotonic_us(commit->ports->clock) - commit->start_us;
  const int64_t interval_us = commit->config->commit_interval_ms * 1000;
  freshet_user_row* const* rows;
  if (commit->config->delivery != FRESHET_DELIVERY_FAST || since_us < interval_us / 2) return FRESHET_OK;
  /* What is kept makes events wait, so a commit under way takes no rows for the next one, and others only a share. */
  if (freshet_commit_is_running(commit) ||
      freshet_outbox_kept_bytes(commit->ports->outbox) >= KEPT_BYTES / AHEAD_PART)
    return FRESHET_OK;
  if (commit->ahead >= freshet_users_changed(commit->derived->users, &rows)) return FRESHET_OK;
  freshet_status status = keep_users(commit, commit->ahead, ROWS_AHEAD, error);
  commit->ahead += ROWS_AHEAD;
  freshet_turn_lap(commit->turn, FRESHET_TURN_COMMIT);
  return status;
}

bool freshet_commit_is_held_up(const freshet_commit* commit) {
  return !freshet_commit_is_running(commit) && !freshet_outbox_is_ready(commit->ports->outbox);
}

/* What changes now has to wait before it can be committed. */
static bool has_to_wait(const freshet_commit* commit) {
  return freshet_commit_is_running(commit) || freshet_commit_is_held_up(commit);
}

bool freshet_commit_is_congested(const freshet_commit* commit) {
  return has_to_wait(commit) && overlay_is_full(commit);
}

bool freshet_commit_takes_lists(const freshet_commit* commit) {
  return commit->config->delivery == FRESHET_DELIVERY_FAST ||
         freshet_outbox_kept_bytes(commit->ports->outbox) < KEPT_BYTES || !has_to_wait(commit);
}

/* Nothing has to be committed, but rows of items may wait for the store: they are part of no transaction. */
static freshet_status store_idle(freshet_commit* commit, int64_t now_us, freshet_error* error) {
  freshet_learned* learned = freshet_items_learned(commit->derived->items);
  commit->next_us = now_us + commit->config->commit_interval_ms * 1000;
  freshet_learned_store_starts(learned);
  freshet_status status = freshet_store_write(commit->ports->store, error);
  if (status == FRESHET_OK) freshet_learned_store_ended(learned);
  return status;
}

static bool needs_state(const freshet_commit* commit, int64_t now_us) {
  return commit->config->delivery == FRESHET_DELIVERY_FAST || is_state_due(commit, now_us) ||
         freshet_handover_due(commit->handover) || !freshet_list_commit_may_start(commit->derived);
}

static freshet_status start_and_write(freshet_commit* commit, bool has_state, bool all,
                                      freshet_error* error) {
  freshet_status status = start(commit, has_state, error);
  const bool is_started = status == FRESHET_OK && freshet_commit_is_being_written(commit);
  return is_started ? write_on(commit, all, 0, error) : status;
}

/* The next commit is one of lists alone, if there are any. */
static freshet_status start_lists(freshet_commit* commit, freshet_error* error) {
  if (!freshet_list_commit_is_due(commit->derived)) {
    commit->next_us = commit->state_us + commit->config->commit_interval_ms * 1000;
    return FRESHET_OK;
  }
  return start_and_write(commit, false, true, error);
}

/* Ends the commit under way if it can, and starts the next one if it is due. */
static freshet_status end_and_start(freshet_commit* commit, bool is_behind, freshet_error* error) {
  /* In pieces, as long as lists are made meanwhile: nobody waits for the commit, or for what it keeps from being learned. */
  const bool all = is_behind || commit->config->delivery != FRESHET_DELIVERY_FAST;
  freshet_status status = FRESHET_OK;
  if (freshet_commit_is_being_written(commit)) return write_on(commit, all, 0, error);
  if (freshet_commit_is_running(commit)) status = try_to_end(commit, 0, 0, error);
  if (status != FRESHET_OK || freshet_commit_is_running(commit)) return status;
  int64_t now_us = freshet_clock_monotonic_us(commit->ports->clock);
  bool is_due = now_us - commit->start_us >= freshet_commit_interval_us(commit) ||
                freshet_handover_due(commit->handover);
  bool is_urgent = (freshet_owed_needs_commit(freshet_refresh_queue(commit->derived->refresh)) ||
                    freshet_erasures_due(commit->erasures)) &&
                   now_us - commit->start_us >= URGENT_US;
  const bool is_full = overlay_is_full(commit) || !freshet_commit_has_room(commit);
  if (!is_full && !is_urgent && !is_due) return FRESHET_OK;
  if (!needs_state(commit, now_us)) return start_lists(commit, error);
  const bool is_idle = nothing_changed(commit);
  if (is_idle && now_us < commit->next_us) return FRESHET_OK;
  commit->wants_pass = freshet_learned_store_is_due(freshet_items_learned(commit->derived->items));
  if (is_idle) return store_idle(commit, now_us, error);
  return start_and_write(commit, true, all, error);
}

/* Rows of items go to the store and into the transaction of the next commit, a few in each turn. */
static freshet_status write_item_rows(freshet_commit* commit, freshet_error* error) {
  freshet_error cause = {0};
  freshet_status status = freshet_items_turn(commit->derived->items, &cause);
  freshet_turn_lap(commit->turn, FRESHET_TURN_ROWS);
  return status == FRESHET_OK ? status : undo(commit, status, &cause, error);
}

freshet_status freshet_commit_turn(freshet_commit* commit, bool is_behind, freshet_error* error) {
  if (freshet_commit_is_held_up(commit)) return FRESHET_OK;
  freshet_status status = end_and_start(commit, is_behind, error);
  if (status == FRESHET_OK) status = keep_ahead(commit, error);
  if (status == FRESHET_OK) status = write_ahead(commit, error);
  if (status == FRESHET_OK) status = write_item_rows(commit, error);
  return status;
}

/* Waits for the commit under way, but not for ever: a coordinator may have died. */
static freshet_status finish_or_abandon(freshet_commit* commit, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  int64_t now_us = freshet_clock_monotonic_us(commit->ports->clock);
  int64_t until_us = commit->start_us + LET_GO_US;
  if (until_us < now_us + LAST_CHANCE_US) until_us = now_us + LAST_CHANCE_US;
  if (freshet_commit_is_being_written(commit)) status = write_on(commit, true, -1, error);
  while (status == FRESHET_OK && freshet_outbox_is_committing(commit->ports->outbox) && now_us < until_us) {
    status = try_to_end(commit, LET_GO_WAIT_MS, 0, error);
    now_us = freshet_clock_monotonic_us(commit->ports->clock);
  }
  /* The store is on this machine, so its end is waited for. */
  if (status == FRESHET_OK && commit->is_storing) status = freshet_commit_finish(commit, error);
  if (status != FRESHET_OK || !freshet_commit_is_running(commit)) return status;
  freshet_log_fact(commit->ports->logger, FRESHET_WARN, "commit.abandoned", "since_ms=%lld",
                   (long long)(now_us - commit->start_us) / 1000);
  freshet_outbox_abandon(commit->ports->outbox);
  freshet_users_end_commit(commit->derived->users); /* they are forgotten anyhow */
  commit->is_stale = true;
  return FRESHET_OK;
}

freshet_status freshet_commit_let_go(freshet_commit* commit, bool lost, freshet_error* error) {
  if (lost && freshet_commit_is_being_written(commit)) {
    freshet_users_end_commit(commit->derived->users); /* another member by now, which must not commit this */
    return FRESHET_OK;
  }
  freshet_status status = finish_or_abandon(commit, error);
  if (status == FRESHET_OK && !commit->is_stale && freshet_commit_is_held_up(commit)) {
    commit->is_stale = true; /* nothing can be committed, so whoever gets the partitions learns it again */
    return FRESHET_OK;
  }
  if (lost || commit->is_stale || status != FRESHET_OK || nothing_changed(commit)) return status;
  status = start(commit, true, error);
  if (status == FRESHET_OK) status = finish_or_abandon(commit, error);
  return status;
}

freshet_status freshet_commit_recover(freshet_commit* commit, freshet_error* error) {
  if (!commit->is_stale) return FRESHET_OK;
  freshet_status status = freshet_commit_roll_back(commit, error);
  commit->is_stale = false;
  return status;
}

freshet_status freshet_commit_last(freshet_commit* commit, freshet_error* error) {
  if (commit->is_stale || freshet_commit_is_held_up(commit))
    return FRESHET_OK; /* the log has all that counts */
  freshet_status status = freshet_commit_now(commit, error);
  if (status == FRESHET_OK) status = freshet_commit_store_items(commit, error);
  if (status == FRESHET_OK) status = freshet_items_store_links(commit->derived->items, error);
  return status;
}
