/*
 * commit_let_go.c: what becomes of commits when partitions go, or the process stops: they are ended in the time that the
 * group leaves for it, or abandoned. It must not know what a transaction holds.
 */
#include "worker/commit_internal.h"

enum {
  LET_GO_WAIT_MS = 100,
  LET_GO_US = 3000000,     /* from the start of a commit until it is abandoned, when partitions are to go */
  LAST_CHANCE_US = 500000, /* and at least for so long */
};

static bool awaits_cluster(const freshet_commit* commit) {
  return freshet_outbox_is_committing(commit->ports->outbox) ||
         (commit->is_apart && !commit->is_apart_storing);
}

/* Waits for the commit under way, but not for ever: a coordinator may have died. */
static freshet_status finish_or_abandon(freshet_commit* commit, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  int64_t now_us = freshet_clock_monotonic_us(commit->ports->clock);
  int64_t until_us = commit->start_us + LET_GO_US;
  if (until_us < now_us + LAST_CHANCE_US) until_us = now_us + LAST_CHANCE_US;
  if (freshet_commit_is_being_written(commit)) status = freshet_commit_write_on(commit, true, -1, error);
  while (status == FRESHET_OK && awaits_cluster(commit) && now_us < until_us) {
    status = freshet_commit_go_on(commit, LET_GO_WAIT_MS, error);
    now_us = freshet_clock_monotonic_us(commit->ports->clock);
  }
  /* The store is on this machine, so its end is waited for. */
  while (status == FRESHET_OK && (commit->is_storing || commit->is_apart_storing))
    status = commit->is_storing ? freshet_commit_go_on(commit, LET_GO_WAIT_MS, error)
                                : freshet_state_commit_turn(commit, true, LET_GO_WAIT_MS, 0, error);
  if (status != FRESHET_OK || !freshet_commit_is_running(commit)) return status;
  freshet_log_fact(commit->ports->logger, FRESHET_WARN, "commit.abandoned", "since_ms=%lld",
                   (long long)(now_us - commit->start_us) / 1000);
  freshet_outbox_abandon(commit->ports->outbox);
  if (commit->ports->state_outbox != NULL) freshet_outbox_abandon(commit->ports->state_outbox);
  commit->is_apart = false;
  freshet_users_end_commit(commit->derived->users); /* they are forgotten anyhow */
  commit->is_stale = true;
  return FRESHET_OK;
}

freshet_status freshet_commit_let_go(freshet_commit* commit, bool lost, freshet_error* error) {
  if (lost && freshet_commit_is_being_written(commit)) {
    freshet_users_end_commit(commit->derived->users); /* another member by now, which must not commit this */
    return FRESHET_OK;
  }
  if (lost) freshet_state_commit_drop(commit);
  freshet_status status = finish_or_abandon(commit, error);
  if (status == FRESHET_OK && !commit->is_stale && freshet_commit_is_held_up(commit)) {
    commit->is_stale = true; /* nothing can be committed, so whoever gets the partitions learns it again */
    return FRESHET_OK;
  }
  if (lost || commit->is_stale || status != FRESHET_OK || freshet_commit_is_idle(commit)) return status;
  status = freshet_commit_start(commit, true, error);
  if (status == FRESHET_OK) status = finish_or_abandon(commit, error);
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
