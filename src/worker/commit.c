/*
 * commit.c: the state clock: when a commit is due, what goes into the transaction, what follows its outcome,
 * and how it ends. Only this file writes rows of users to the store. The way back after an abort is in
 * commit_load.c, and what happens when partitions go in commit_let_go.c.
 */
#include "worker/commit_internal.h"

#include <stdlib.h>

#include "worker/changed_rows.h"
#include "worker/list_commit.h"
#include "worker/restore.h"

enum {
  OUTCOME_WAIT_MS = 1000,
  URGENT_US = 100000,    /* the interval while a withdrawal or an erasure waits for a commit */
  ECHO_WAIT_MS = 100,    /* for own deltas to come back before item rows are stored */
  ABORTS_MAX = 20,       /* in a row, before giving up */
  CUT_US = 50000,        /* so long a commit waits for lists that the last turns have left */
  FAR_INTERVALS = 5,     /* far behind, the state is committed so many times less often ... */
  FAR_MORE_US = 4000000, /* ... but not so much later ... */
  FAR_PART = 4,          /* ... nor with more than such a part of the users that a commit may hold */
};

void freshet_commit_free(freshet_commit* commit) {
  freshet_buffer_free(&commit->bytes);
}

/* ---- the transaction ---- */

/* What has been learned. May be called several times before a commit: each time writes what has changed since. */
freshet_status freshet_commit_write_users(freshet_commit* commit, freshet_outbox* outbox,
                                          freshet_error* error) {
  freshet_outbox* other = commit->ports->state_outbox;
  if (other != NULL && other != outbox) freshet_outbox_move_kept(outbox, other); /* what was kept ahead */
  freshet_status status =
      freshet_changed_rows_keep_users(outbox, commit->derived->users, 0, SIZE_MAX, &commit->bytes, error);
  commit->ahead = 0;
  freshet_changed_rows_keep_dedup(outbox, commit->held, &commit->bytes);
  return status;
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

freshet_status freshet_commit_send(freshet_commit* commit, freshet_outbox* outbox, freshet_error* error) {
  size_t count;
  freshet_partition* offsets = list_offsets(commit, FRESHET_HELD_COMMITTING, &count);
  freshet_status status = freshet_outbox_start_commit(outbox, offsets, count, error);
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
void freshet_commit_store_changes(freshet_commit* commit, const freshet_outbox* outbox) {
  freshet_store* store = commit->ports->store;
  freshet_outbox_each_committed(outbox, FRESHET_TOPIC_USERS, store_row, store);
  int64_t now_ms = freshet_clock_now_ms(commit->ports->clock);
  FRESHET_HELD_EACH(held, commit->held, FRESHET_TOPICS) {
    freshet_held_end_commit(held);
    if (held->topic != FRESHET_TOPIC_EVENTS) continue;
    int64_t end = freshet_outbox_written_end(outbox, FRESHET_TOPIC_USERS, held->partition);
    if (end >= 0) freshet_store_set_position(store, FRESHET_TOPIC_USERS, held->partition, end, now_ms);
  }
  freshet_learned_store_starts(freshet_items_learned(commit->derived->items));
  freshet_store_start_write(store);
}

freshet_status freshet_commit_store_items(freshet_commit* commit, freshet_error* error) {
  bool stored;
  freshet_status status = freshet_items_store(commit->derived->items, ECHO_WAIT_MS, &stored, error);
  if (status != FRESHET_OK || !stored) return status;
  status = freshet_store_write(commit->ports->store, error);
  freshet_turn_lap(commit->turn, FRESHET_TURN_ROWS);
  return status;
}

bool freshet_commit_is_idle(freshet_commit* commit) {
  freshet_user_row* const* rows;
  if (freshet_outbox_is_open(commit->ports->outbox) || freshet_outbox_kept(commit->ports->outbox) > 0)
    return false;
  if (commit->is_apart || freshet_handover_due(commit->handover)) return false;
  if (freshet_users_changed(commit->derived->users, &rows) > 0) return false;
  FRESHET_HELD_EACH(held, commit->held, FRESHET_TOPICS) {
    if (freshet_list_commit_done_offset(commit->derived, held) != held->committed) return false;
  }
  return true;
}

void freshet_commit_schedule(freshet_commit* commit, int64_t from_us) {
  commit->next_us = from_us + freshet_commit_interval_us(commit);
}

static freshet_status try_to_end(freshet_commit* commit, int wait_ms, int64_t idle_us, freshet_error* error);

/* Ends what may be under way while another commit fails: a commit of lists, or the store's part of one of the state. */
static freshet_status end_others(freshet_commit* commit, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && freshet_outbox_is_committing(commit->ports->outbox))
    status = try_to_end(commit, OUTCOME_WAIT_MS, 0, error);
  while (status == FRESHET_OK && commit->is_apart_storing)
    status = freshet_state_commit_turn(commit, true, OUTCOME_WAIT_MS, 0, error);
  return status;
}

freshet_status freshet_commit_failed(freshet_commit* commit, freshet_status status,
                                     const freshet_error* cause, freshet_error* error) {
  if (status != FRESHET_ABORTED) {
    return freshet_error_set(error, status, FRESHET_STOP, "commit: %s", cause->message);
  }
  freshet_log_fact(commit->ports->logger, FRESHET_WARN, "commit.aborted", "reason=\"%s\"", cause->message);
  if (++commit->aborts_in_a_row > ABORTS_MAX)
    return freshet_error_set(error, FRESHET_ABORTED, FRESHET_STOP,
                             "%d transactions in a row were aborted, the last one because of: %s", ABORTS_MAX,
                             cause->message);
  const uint64_t aborts = freshet_metric(&commit->ports->metrics->aborts);
  status = end_others(commit, error);
  const bool has_rolled_back = freshet_metric(&commit->ports->metrics->aborts) != aborts;
  return status == FRESHET_OK && !has_rolled_back ? freshet_commit_roll_back(commit, error) : status;
}

void freshet_commit_start_state(freshet_commit* commit, int64_t now_us) {
  commit->state_us = now_us;
  freshet_learned_start_delta(freshet_items_learned(commit->derived->items));
  freshet_users_start_commit(commit->derived->users);
  freshet_erasures_start_commit(commit->erasures);
}

freshet_status freshet_commit_check(const freshet_commit* commit, freshet_error* error) {
  freshet_status status = freshet_foreign_events_check(commit->foreign, error);
  /* A row that could not be read may have been taken for one that is not there. */
  if (status == FRESHET_OK) status = freshet_store_check(commit->ports->store, error);
  return status;
}

freshet_status freshet_commit_start(freshet_commit* commit, bool has_state, freshet_error* error) {
  freshet_error cause = {0};
  commit->start_us = freshet_clock_monotonic_us(commit->ports->clock);
  commit->has_state = has_state;
  if (has_state) commit->was_clear = freshet_list_commit_is_clear(commit->derived);
  freshet_status status = freshet_commit_check(commit, error);
  if (status != FRESHET_OK) return status;
  if (has_state) status = freshet_handover_write(commit->handover, &cause);
  if (has_state && status == FRESHET_OK)
    status = freshet_commit_write_users(commit, commit->ports->outbox, &cause);
  if (status == FRESHET_OK) status = freshet_outbox_seal(commit->ports->outbox, &cause);
  if (status != FRESHET_OK) return freshet_commit_failed(commit, status, &cause, error);
  freshet_list_commit_note(commit->derived, has_state);
  if (has_state) freshet_commit_start_state(commit, commit->start_us);
  freshet_turn_lap(commit->turn, FRESHET_TURN_COMMIT);
  return FRESHET_OK;
}

freshet_status freshet_commit_write_rows(const freshet_commit* commit, freshet_outbox* outbox, bool has_state,
                                         size_t rows, int wait_ms, bool* is_all, freshet_error* error) {
  freshet_status status = freshet_outbox_write_sealed(outbox, rows, wait_ms, is_all, error);
  if (status != FRESHET_OK || !*is_all || !has_state) return status;
  return freshet_learned_write_some(freshet_items_learned(commit->derived->items), outbox,
                                    FRESHET_COMMIT_ITEMS_PER_ROW * rows, is_all, error);
}

/* With the last piece, the cluster starts to commit. */
static freshet_status write_piece(freshet_commit* commit, size_t rows, int wait_ms, freshet_error* error) {
  bool is_all;
  freshet_status status = freshet_commit_write_rows(commit, commit->ports->outbox, commit->has_state, rows,
                                                    wait_ms, &is_all, error);
  return status == FRESHET_OK && is_all ? freshet_commit_send(commit, commit->ports->outbox, error) : status;
}

freshet_status freshet_commit_write_on(freshet_commit* commit, bool all, int wait_ms, freshet_error* error) {
  freshet_outbox* outbox = commit->ports->outbox;
  freshet_error cause = {0};
  freshet_status status;
  bool goes_on;
  const size_t rows = all ? SIZE_MAX / FRESHET_COMMIT_ITEMS_PER_ROW : commit->config->commit_rows_a_turn;
  if (commit->config->delivery == FRESHET_DELIVERY_FAST) freshet_outbox_start_writing(outbox);
  do {
    status = write_piece(commit, rows, wait_ms, &cause);
    goes_on = all && freshet_outbox_is_sealed(outbox) && !freshet_outbox_is_writing(outbox);
  } while (goes_on && status == FRESHET_OK);
  freshet_turn_lap(commit->turn, FRESHET_TURN_COMMIT);
  return status == FRESHET_OK ? status : freshet_commit_failed(commit, status, &cause, error);
}

void freshet_commit_end_state(freshet_commit* commit, freshet_outbox* outbox, freshet_status status) {
  freshet_users_end_commit(commit->derived->users);
  if (status == FRESHET_OK) freshet_erasures_end_commit(commit->erasures);
  freshet_users_trim(commit->derived->users);
  freshet_learned* learned = freshet_items_learned(commit->derived->items);
  freshet_learned_committed(learned, outbox);
  if (status == FRESHET_OK) freshet_learned_store_ended(learned);
  commit->aborts_in_a_row = 0; /* commits of lists alone may go on while the state is refused for ever */
  freshet_outbox_tidy(outbox);
}

void freshet_commit_ended(freshet_commit* commit, int64_t start_us) {
  freshet_clock* clock = commit->ports->clock;
  commit->ended_us = freshet_clock_monotonic_us(clock);
  freshet_count(&commit->ports->metrics->commits, 1);
  freshet_gauge(&commit->ports->metrics->last_commit_ms, (uint64_t)freshet_clock_now_ms(clock));
  freshet_histogram_observe(&commit->ports->metrics->commit, commit->ended_us - start_us);
}

static void end(freshet_commit* commit, freshet_status status) {
  commit->is_storing = false;
  commit->ends++;
  if (commit->has_state) freshet_commit_end_state(commit, commit->ports->outbox, status);
  freshet_outbox_tidy(commit->ports->outbox);
  freshet_commit_schedule(commit, commit->start_us);
  freshet_turn_lap(commit->turn, FRESHET_TURN_STORE);
  freshet_commit_ended(commit, commit->start_us);
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
    freshet_status status = freshet_commit_write_on(commit, true, wait_ms, error);
    if (status != FRESHET_OK || !freshet_outbox_is_committing(commit->ports->outbox)) return status;
  }
  if (!commit->is_storing) {
    freshet_status status = freshet_outbox_outcome(commit->ports->outbox, wait_ms, &cause);
    freshet_turn_waited(commit->turn, FRESHET_TURN_OUTCOME, idle_us);
    if (status == FRESHET_TIMEOUT) return FRESHET_OK;
    if (status != FRESHET_OK) return freshet_commit_failed(commit, status, &cause, error);
    if (!commit->has_state) return end_lists(commit);
    freshet_commit_store_changes(commit, commit->ports->outbox);
    commit->is_storing = true;
  }
  freshet_status status = freshet_store_end_write(commit->ports->store, wait_ms, &cause);
  freshet_turn_waited(commit->turn, FRESHET_TURN_STORE, idle_us);
  if (status == FRESHET_TIMEOUT) return FRESHET_OK;
  end(commit, status);
  return status == FRESHET_OK ? status : freshet_error_set(error, status, cause.verdict, "%s", cause.message);
}

freshet_status freshet_commit_await(freshet_commit* commit, int wait_ms, freshet_error* error) {
  const int64_t idle_us = (int64_t)wait_ms * 1000;
  if (freshet_commit_is_exclusive(commit)) return try_to_end(commit, wait_ms, idle_us, error);
  if (freshet_state_commit_is_ending(commit))
    return freshet_state_commit_turn(commit, false, wait_ms, idle_us, error);
  if (!freshet_commit_interval_is_over(commit) || !freshet_commit_is_opening(commit, 0)) return FRESHET_OK;
  freshet_commit_is_opening(commit, wait_ms);
  freshet_turn_waited(commit->turn, FRESHET_TURN_OUTCOME, idle_us);
  return FRESHET_OK;
}

freshet_status freshet_commit_go_on(freshet_commit* commit, int wait_ms, freshet_error* error) {
  return freshet_commit_is_exclusive(commit) ? try_to_end(commit, wait_ms, 0, error)
                                             : freshet_state_commit_turn(commit, true, wait_ms, 0, error);
}

freshet_status freshet_commit_finish(freshet_commit* commit, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && freshet_commit_is_running(commit))
    status = freshet_commit_go_on(commit, OUTCOME_WAIT_MS, error);
  return status;
}

freshet_status freshet_commit_now(freshet_commit* commit, freshet_error* error) {
  freshet_status status = freshet_commit_finish(commit, error);
  if (status == FRESHET_OK && !freshet_commit_is_idle(commit))
    status = freshet_commit_start(commit, true, error);
  if (status == FRESHET_OK) status = freshet_commit_finish(commit, error);
  return status;
}

freshet_status freshet_commit_undo(freshet_commit* commit, freshet_status status, const freshet_error* cause,
                                   freshet_error* error) {
  freshet_status ended = freshet_commit_finish(commit, error);
  return ended == FRESHET_OK ? freshet_commit_failed(commit, status, cause, error) : ended;
}

size_t freshet_commit_kept_bytes(const freshet_commit* commit) {
  const freshet_outbox* other = commit->ports->state_outbox;
  return freshet_outbox_kept_bytes(commit->ports->outbox) +
         (other == NULL ? 0 : freshet_outbox_kept_bytes(other));
}

static bool overlay_is_full(const freshet_commit* commit) {
  freshet_user_row* const* rows;
  return freshet_users_changed(commit->derived->users, &rows) >= commit->config->overlay_users ||
         freshet_commit_kept_bytes(commit) >= FRESHET_COMMIT_KEPT_BYTES ||
         freshet_model_delta_size(freshet_items_model(commit->derived->items)) >= FRESHET_COMMIT_DELTA_BYTES;
}

bool freshet_commit_is_patient(const freshet_commit* commit) {
  freshet_user_row* const* rows;
  return commit->config->delivery == FRESHET_DELIVERY_FAST &&
         freshet_held_lag(commit->held) > commit->config->far_behind &&
         freshet_users_changed(commit->derived->users, &rows) < commit->config->overlay_users / FAR_PART;
}

static bool is_due(const freshet_commit* commit, int64_t now_us) {
  const int64_t interval_us = freshet_commit_interval_us(commit), more_us = (FAR_INTERVALS - 1) * interval_us;
  const int64_t passed_us = now_us - commit->start_us;
  if (freshet_handover_due(commit->handover)) return true;
  if (passed_us < interval_us) return false;
  return passed_us >= interval_us + (more_us < FAR_MORE_US ? more_us : FAR_MORE_US) ||
         !freshet_commit_is_patient(commit);
}

bool freshet_commit_is_state_due(const freshet_commit* commit, int64_t at_us) {
  return !commit->was_clear || at_us - commit->state_us >= commit->config->commit_interval_ms * 1000 ||
         overlay_is_full(commit) || freshet_erasures_due(commit->erasures);
}

bool freshet_commit_has_room(const freshet_commit* commit) {
  return freshet_commit_kept_bytes(commit) < FRESHET_COMMIT_KEPT_BYTES / 2;
}

bool freshet_commit_is_held_up(const freshet_commit* commit) {
  const freshet_outbox* other = commit->ports->state_outbox;
  return !freshet_commit_is_running(commit) && !(freshet_outbox_is_ready(commit->ports->outbox) &&
                                                 (other == NULL || freshet_outbox_is_ready(other)));
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
         freshet_outbox_kept_bytes(commit->ports->outbox) < FRESHET_COMMIT_KEPT_BYTES || !has_to_wait(commit);
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

/* May the next commit hold lists alone, whatever is due? */
static bool may_hold_lists(const freshet_commit* commit) {
  return commit->config->delivery != FRESHET_DELIVERY_FAST && commit->was_clear &&
         !freshet_handover_due(commit->handover) && freshet_list_commit_may_start(commit->derived);
}

/* Lists that a turn has left come with the next ones. To wait for them costs less than a commit of lists and state together. */
static bool is_short_of_lists(const freshet_commit* commit, int64_t now_us) {
  return commit->ports->state_outbox != NULL && commit->was_clear &&
         freshet_refresh_is_cut(commit->derived->refresh) &&
         freshet_outbox_has_lists_alone(commit->ports->outbox) && !freshet_handover_due(commit->handover) &&
         now_us - commit->start_us < freshet_commit_interval_us(commit) + CUT_US;
}

static freshet_status start_and_write(freshet_commit* commit, bool has_state, bool all,
                                      freshet_error* error) {
  freshet_status status = freshet_commit_start(commit, has_state, error);
  const bool is_started = status == FRESHET_OK && freshet_commit_is_being_written(commit);
  return is_started ? freshet_commit_write_on(commit, all, 0, error) : status;
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
  if (freshet_commit_is_being_written(commit)) return freshet_commit_write_on(commit, all, 0, error);
  if (freshet_commit_is_exclusive(commit)) status = try_to_end(commit, 0, 0, error);
  if (status == FRESHET_OK) status = freshet_state_commit_turn(commit, false, 0, 0, error);
  if (status == FRESHET_OK) status = freshet_commit_write_ahead(commit, error);
  if (status != FRESHET_OK || freshet_commit_is_exclusive(commit) || freshet_state_commit_is_ending(commit))
    return status;
  int64_t now_us = freshet_clock_monotonic_us(commit->ports->clock);
  bool is_urgent = (freshet_owed_needs_commit(freshet_refresh_queue(commit->derived->refresh)) ||
                    freshet_erasures_due(commit->erasures)) &&
                   now_us - commit->start_us >= URGENT_US;
  const bool is_full = overlay_is_full(commit) || !freshet_commit_has_room(commit);
  if (!is_full && !is_urgent && !is_due(commit, now_us)) return FRESHET_OK;
  const bool may_be_lists = may_hold_lists(commit);
  if (may_be_lists && !is_behind && !is_full && freshet_commit_is_opening(commit, 0)) return FRESHET_OK;
  if (may_be_lists && (commit->is_apart || !freshet_commit_is_state_due(commit, now_us)))
    return start_lists(commit, error);
  if (commit->is_apart) return FRESHET_OK; /* the next commit of state waits for it */
  if (!may_be_lists && !is_behind && !is_full && is_short_of_lists(commit, now_us)) return FRESHET_OK;
  const bool is_idle = freshet_commit_is_idle(commit);
  if (is_idle && now_us < commit->next_us) return FRESHET_OK;
  commit->wants_pass = freshet_learned_store_is_due(freshet_items_learned(commit->derived->items));
  if (is_idle) return store_idle(commit, now_us, error);
  if (may_be_lists && freshet_state_commit_may_start(commit)) {
    status = freshet_state_commit_start(commit, error);
    return status == FRESHET_OK && commit->is_apart ? start_lists(commit, error) : status;
  }
  return start_and_write(commit, true, all, error);
}

/* Rows of items go to the store and into the transaction of the next commit, a few in each turn. */
static freshet_status write_item_rows(freshet_commit* commit, freshet_error* error) {
  freshet_error cause = {0};
  freshet_status status = freshet_items_turn(commit->derived->items, &cause);
  freshet_turn_lap(commit->turn, FRESHET_TURN_ROWS);
  return status == FRESHET_OK ? status : freshet_commit_undo(commit, status, &cause, error);
}

freshet_status freshet_commit_turn(freshet_commit* commit, bool is_behind, freshet_error* error) {
  if (freshet_commit_is_held_up(commit)) return FRESHET_OK;
  freshet_status status = end_and_start(commit, is_behind, error);
  if (status == FRESHET_OK) status = freshet_commit_keep_ahead(commit, error);
  if (status == FRESHET_OK) status = write_item_rows(commit, error);
  return status;
}
