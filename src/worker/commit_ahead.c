/*
 * commit_ahead.c: what goes into the next commit before it starts. Rows of the state are kept a few at a time. Where lists wait
 * for their commit, they are written into its transaction ahead, and the commit starts when their partitions are open.
 *
 * It must not know when a commit is due (commit.c).
 */
#include "worker/commit_internal.h"

#include "worker/changed_rows.h"

enum {
  AHEAD_PART = 4,  /* of what is kept, at most, rows that go into a commit before it is due */
  ROWS_AHEAD = 32, /* of users, in a turn, before a commit is due */
};

freshet_status freshet_commit_keep_ahead(freshet_commit* commit, freshet_error* error) {
  const bool is_fast = commit->config->delivery == FRESHET_DELIVERY_FAST;
  freshet_outbox* outbox = is_fast ? commit->ports->outbox : commit->ports->state_outbox;
  const int64_t since_us = freshet_clock_monotonic_us(commit->ports->clock) - commit->state_us;
  const int64_t interval_us = commit->config->commit_interval_ms * 1000;
  freshet_users* users = commit->derived->users;
  freshet_user_row* const* rows;
  if (outbox == NULL || since_us < interval_us / 2) return FRESHET_OK;
  /* What is kept makes events wait, so a commit of the state under way takes no rows for the next one, and others only a
   * share. Nor does one of a state that owes lists. */
  const bool is_running = commit->is_apart || (commit->has_state && freshet_commit_is_exclusive(commit));
  if (is_running || freshet_commit_is_patient(commit) || (!is_fast && !commit->was_clear) ||
      freshet_commit_kept_bytes(commit) >= FRESHET_COMMIT_KEPT_BYTES / AHEAD_PART)
    return FRESHET_OK;
  if (commit->ahead >= freshet_users_changed(users, &rows)) return FRESHET_OK;
  freshet_status status =
      freshet_changed_rows_keep_users(outbox, users, commit->ahead, ROWS_AHEAD, &commit->bytes, error);
  commit->ahead += ROWS_AHEAD;
  freshet_turn_lap(commit->turn, FRESHET_TURN_COMMIT);
  return status;
}

/* Does the next commit follow the last one at once? Another one waits for nobody, and is written when it starts. */
static bool follows(const freshet_commit* commit, int64_t now_us) {
  return freshet_commit_holds_lists(commit) || now_us - commit->ended_us < freshet_commit_interval_us(commit);
}

/* Lists of all partitions may come one after the other for as long as there are partitions. */
static bool opens_partitions(const freshet_commit* commit, int64_t now_us) {
  return freshet_outbox_is_open(commit->ports->outbox)
             ? now_us - commit->opened_us < freshet_commit_interval_us(commit)
             : follows(commit, now_us);
}

static freshet_status write_state(freshet_commit* commit, freshet_error* error) {
  freshet_outbox* outbox = commit->ports->outbox;
  freshet_status status = FRESHET_OK;
  if (freshet_outbox_may_write_ahead(outbox, FRESHET_TOPIC_USERS))
    status = freshet_commit_write_users(commit, outbox, error);
  if (status == FRESHET_OK && freshet_outbox_may_write_ahead(outbox, FRESHET_TOPIC_ITEM_DELTAS))
    status = freshet_learned_write_delta(freshet_items_learned(commit->derived->items), outbox, error);
  return status;
}

freshet_status freshet_commit_write_ahead(freshet_commit* commit, freshet_error* error) {
  freshet_outbox* outbox = commit->ports->outbox;
  freshet_error cause = {0};
  freshet_status status = FRESHET_OK;
  const int64_t now_us = freshet_clock_monotonic_us(commit->ports->clock);
  const bool was_open = freshet_outbox_is_open(outbox);
  if (commit->config->delivery == FRESHET_DELIVERY_FAST || !opens_partitions(commit, now_us))
    return FRESHET_OK;
  /* A state that owes lists is committed together with them. Any other one has a transaction of its own. */
  const bool is_together = !commit->is_apart && (commit->ports->state_outbox == NULL || !commit->was_clear);
  if (is_together && freshet_commit_is_state_due(commit, now_us + freshet_commit_interval_us(commit)))
    status = write_state(commit, &cause);
  if (status == FRESHET_OK) status = freshet_outbox_write_ahead(outbox, &cause);
  if (!was_open) commit->opened_us = now_us;
  freshet_turn_lap(commit->turn, FRESHET_TURN_COMMIT);
  return status == FRESHET_OK ? status : freshet_commit_undo(commit, status, &cause, error);
}

bool freshet_commit_is_opening(const freshet_commit* commit, int wait_ms) {
  return commit->config->delivery != FRESHET_DELIVERY_FAST && !freshet_commit_holds_lists(commit) &&
         !freshet_outbox_is_at_rest(commit->ports->outbox, wait_ms);
}
