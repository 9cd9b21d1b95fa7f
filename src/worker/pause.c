/* pause.c: see pause.h. */
#include "worker/pause.h"

enum {
  WAIT_MS = 2, /* in one turn */
  LEAST_US = 100000,
  MOST_US = 2 * 1000000, /* requests and changes of the group wait, too */
};

static void begin(freshet_pause* pause, int64_t now_us) {
  if (pause->patience_us == 0) pause->patience_us = LEAST_US;
  pause->until_us = now_us + pause->patience_us;
  pause->is_on = true;
}

static void end(freshet_pause* pause, int64_t patience_us) {
  pause->is_on = false;
  pause->patience_us = patience_us < MOST_US ? patience_us : MOST_US;
}

static freshet_status wait(freshet_commit* commit, freshet_error* error) {
  if (freshet_commit_is_running(commit)) return freshet_commit_await(commit, WAIT_MS, error);
  freshet_status status = freshet_items_await(commit->derived->items, WAIT_MS, error);
  freshet_turn_waited(commit->turn, FRESHET_TURN_ITEMS, (int64_t)WAIT_MS * 1000);
  return status;
}

/* What was learned before the pause may be in the next transaction already, which nothing has committed yet. */
static bool may_begin_pass(const freshet_commit* commit) {
  return !freshet_commit_is_running(commit) && !freshet_commit_is_held_up(commit) &&
         freshet_items_are_settled(commit->derived->items) &&
         !freshet_outbox_holds(commit->ports->outbox, FRESHET_TOPIC_ITEM_DELTAS);
}

freshet_status freshet_pause_turn(freshet_pause* pause, bool* is_on, freshet_error* error) {
  freshet_commit* commit = pause->commit;
  const int64_t now_us = freshet_clock_monotonic_us(commit->ports->clock);
  *is_on = false;
  if (commit->is_stale) pause->is_on = commit->wants_pass = false;
  if (commit->wants_pass) begin(pause, now_us);
  commit->wants_pass = false;
  if (!pause->is_on) return FRESHET_OK;
  freshet_status status = may_begin_pass(commit) ? FRESHET_OK : wait(commit, error);
  if (status != FRESHET_OK) return status;
  if (may_begin_pass(commit)) {
    freshet_items* items = commit->derived->items;
    freshet_items_begin(items, freshet_held_items(commit->held, freshet_items_partitions(items)));
    end(pause, LEAST_US);
  } else if (now_us >= pause->until_us) {
    end(pause, 2 * pause->patience_us);
  }
  *is_on = pause->is_on;
  return FRESHET_OK;
}
