/*
 * commit_state.c: with delivery = committed, the state is committed through a transaction of its own, which is written while
 * commits of lists go on. The state is set apart as of one turn. The lists of that moment are committed first, by a commit of
 * lists. Once all rows are acknowledged and no commit of lists is under way, the offsets of the state are sent and the
 * transaction ends; lists wait for that alone. It never writes to the topics of lists and replies, so their readers never wait
 * for it.
 *
 * It owns the steps of such a commit. It must not know when one is due (commit.c).
 */
#include "worker/commit_internal.h"

bool freshet_state_commit_may_start(const freshet_commit* commit) {
  return commit->ports->state_outbox != NULL && !commit->is_apart && commit->was_clear &&
         !freshet_erasures_due(commit->erasures) &&
         !freshet_learned_store_is_due(freshet_items_learned(commit->derived->items));
}

freshet_status freshet_state_commit_start(freshet_commit* commit, freshet_error* error) {
  freshet_error cause = {0};
  freshet_outbox* outbox = commit->ports->state_outbox;
  freshet_status status = freshet_commit_check(commit, error);
  if (status != FRESHET_OK) return status;
  status = freshet_commit_write_users(commit, outbox, &cause);
  if (status == FRESHET_OK) status = freshet_outbox_seal(outbox, &cause);
  if (status != FRESHET_OK) return freshet_commit_failed(commit, status, &cause, error);
  FRESHET_HELD_EACH(held, commit->held, FRESHET_TOPICS) freshet_held_set_apart(held);
  freshet_commit_start_state(commit, freshet_clock_monotonic_us(commit->ports->clock));
  commit->is_apart = true;
  freshet_outbox_start_writing(outbox);
  freshet_turn_lap(commit->turn, FRESHET_TURN_COMMIT);
  return FRESHET_OK;
}

bool freshet_state_commit_is_ending(const freshet_commit* commit) {
  return commit->is_apart && freshet_outbox_is_committing(commit->ports->state_outbox);
}

void freshet_state_commit_drop(freshet_commit* commit) {
  if (!commit->is_apart || commit->is_apart_storing || freshet_state_commit_is_ending(commit)) return;
  commit->is_apart = false;
  freshet_users_end_commit(commit->derived->users);
}

/* Requests are answered by commits of lists alone. */
static freshet_status send_offsets(freshet_commit* commit, freshet_error* error) {
  FRESHET_HELD_EACH(held, commit->held, FRESHET_TOPICS) {
    if (held->topic != FRESHET_TOPIC_REQUESTS) freshet_held_start_apart(held);
  }
  return freshet_commit_send(commit, commit->ports->state_outbox, error);
}

/* A piece of what is set apart. With the last one acknowledged, and between two commits of lists, the transaction ends. */
static freshet_status write_piece(freshet_commit* commit, size_t rows, bool waits, int wait_ms,
                                  freshet_error* error) {
  freshet_outbox* outbox = commit->ports->state_outbox;
  bool is_all;
  freshet_status status = freshet_commit_write_rows(commit, outbox, true, rows, wait_ms, &is_all, error);
  if (status != FRESHET_OK || !is_all) return status;
  if (freshet_commit_is_exclusive(commit) || (!waits && !freshet_outbox_is_written(outbox)))
    return FRESHET_OK;
  return send_offsets(commit, error);
}

static freshet_status write_on(freshet_commit* commit, bool all, int wait_ms, freshet_error* error) {
  freshet_outbox* outbox = commit->ports->state_outbox;
  const size_t rows = all ? SIZE_MAX / FRESHET_COMMIT_ITEMS_PER_ROW : commit->config->commit_rows_a_turn;
  freshet_status status;
  bool goes_on;
  do {
    status = write_piece(commit, rows, all, wait_ms, error);
    goes_on = all && freshet_outbox_is_sealed(outbox) && !freshet_outbox_is_writing(outbox) &&
              !freshet_commit_is_exclusive(commit);
  } while (goes_on && status == FRESHET_OK);
  freshet_outbox_poll(outbox); /* they leave now, and the reports of earlier ones come */
  freshet_turn_lap(commit->turn, FRESHET_TURN_COMMIT);
  return status;
}

static freshet_status end_storing(freshet_commit* commit, int wait_ms, int64_t idle_us,
                                  freshet_error* error) {
  freshet_error cause = {0};
  freshet_status status = freshet_store_end_write(commit->ports->store, wait_ms, &cause);
  freshet_turn_waited(commit->turn, FRESHET_TURN_STORE, idle_us);
  if (status == FRESHET_TIMEOUT) return FRESHET_OK;
  commit->is_apart = commit->is_apart_storing = false;
  freshet_commit_end_state(commit, commit->ports->state_outbox, status);
  freshet_commit_ended(commit, commit->state_us);
  return status == FRESHET_OK ? status : freshet_error_set(error, status, cause.verdict, "%s", cause.message);
}

freshet_status freshet_state_commit_turn(freshet_commit* commit, bool all, int wait_ms, int64_t idle_us,
                                         freshet_error* error) {
  freshet_outbox* outbox = commit->ports->state_outbox;
  freshet_error cause = {0};
  freshet_status status = FRESHET_OK;
  if (!commit->is_apart) return FRESHET_OK;
  if (freshet_outbox_is_sealed(outbox)) {
    status = write_on(commit, all, wait_ms, &cause);
    if (status != FRESHET_OK) return freshet_commit_failed(commit, status, &cause, error);
    if (!freshet_outbox_is_committing(outbox)) return FRESHET_OK;
  }
  if (freshet_outbox_is_committing(outbox)) {
    freshet_outbox_poll(outbox);
    status = freshet_outbox_outcome(outbox, wait_ms, &cause);
    freshet_turn_waited(commit->turn, FRESHET_TURN_OUTCOME, idle_us);
    if (status == FRESHET_TIMEOUT) return FRESHET_OK;
    if (status != FRESHET_OK) return freshet_commit_failed(commit, status, &cause, error);
    freshet_commit_store_changes(commit, outbox);
    commit->is_apart_storing = true;
    commit->ends++;
  }
  return end_storing(commit, wait_ms, idle_us, error);
}
