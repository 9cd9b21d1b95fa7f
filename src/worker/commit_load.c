/*
 * commit_load.c: what is in memory is thrown away, and made again as of the last commit: after an abort, when other text
 * vectors serve, and when parked items make room. It must not know what a transaction holds.
 */
#include <stdlib.h>

#include "worker/commit_internal.h"

enum {
  ROOM_SHARE = 20, /* of the time between two times that items are parked, the second takes one part */
  ROOM_PAUSE_US = 1000000,
  ROOM_PAUSE_MAX_US = 600 * 1000000,
};

/* Throws away what is in memory, and makes it again as of the last commit. */
static freshet_status load_again(freshet_commit* commit, freshet_error* error) {
  freshet_erasures_roll_back(commit->erasures);
  freshet_status status = freshet_items_store_links(commit->derived->items, error);
  freshet_derived_unload(commit->derived);
  commit->ahead = 0;
  commit->was_clear = false;
  if (status == FRESHET_OK) status = freshet_derived_load(commit->derived, error);
  FRESHET_HELD_EACH(held, commit->held, FRESHET_TOPIC_EVENTS) {
    freshet_held_forget_hand_over(held);
    if (status == FRESHET_OK) status = freshet_derived_load_partition(commit->derived, held, error);
  }
  if (status == FRESHET_OK) freshet_texts_first_begin(commit->texts_first);
  freshet_commit_schedule(commit, freshet_clock_monotonic_us(commit->ports->clock));
  return status;
}

freshet_status freshet_commit_reload(freshet_commit* commit, freshet_error* error) {
  freshet_status status = freshet_commit_now(commit, error);
  if (status == FRESHET_OK) status = freshet_store_write(commit->ports->store, error);
  if (status == FRESHET_OK) status = load_again(commit, error);
  return status;
}

freshet_status freshet_commit_make_room(freshet_commit* commit, freshet_error* error) {
  const int64_t start_us = freshet_clock_monotonic_us(commit->ports->clock);
  const int64_t since_us = start_us - commit->room_us;
  if (!freshet_items_are_crowded(commit->derived->items)) return FRESHET_OK;
  if (commit->room_us != 0 && since_us < commit->room_pause_us) return FRESHET_OK;
  freshet_status status = freshet_commit_now(commit, error);
  /* The rows of items that are parked must hold all that has been learned. */
  if (status == FRESHET_OK) status = freshet_commit_store_items(commit, error);
  if (status == FRESHET_OK) status = freshet_store_write(commit->ports->store, error);
  if (status == FRESHET_OK) status = load_again(commit, error);
  if (status != FRESHET_OK) return status;
  const int64_t end_us = freshet_clock_monotonic_us(commit->ports->clock);
  int64_t pause_us = ROOM_SHARE * (end_us - start_us);
  if (pause_us < ROOM_PAUSE_US) pause_us = ROOM_PAUSE_US;
  const bool was_short = commit->room_us != 0 && since_us < 2 * commit->room_pause_us;
  if (was_short && pause_us < 2 * commit->room_pause_us) pause_us = 2 * commit->room_pause_us;
  commit->room_pause_us = pause_us < ROOM_PAUSE_MAX_US ? pause_us : ROOM_PAUSE_MAX_US;
  commit->room_us = end_us;
  const freshet_items* items = commit->derived->items;
  freshet_log_fact(
      commit->ports->logger, FRESHET_INFO, "items.parked", "parked=%zu known=%zu announced=%zu took_ms=%lld",
      freshet_learned_parked(freshet_items_learned(items)),
      freshet_model_item_count(freshet_items_model(items)),
      freshet_listing_announced(freshet_items_listing(items)), (long long)((end_us - start_us) / 1000));
  return FRESHET_OK;
}

freshet_status freshet_commit_roll_back(freshet_commit* commit, freshet_error* error) {
  freshet_count(&commit->ports->metrics->aborts, 1);
  freshet_status status = freshet_outbox_abort(commit->ports->outbox, error);
  if (status == FRESHET_OK && commit->ports->state_outbox != NULL)
    status = freshet_outbox_abort(commit->ports->state_outbox, error);
  if (status != FRESHET_OK) return status;
  commit->is_apart = false;
  FRESHET_HELD_EACH(held, commit->held, FRESHET_TOPICS) freshet_held_roll_back(held);
  freshet_awaited_schemas_forget(commit->awaited_schemas);
  freshet_answers_forget(commit->derived->answers, -1);
  status = load_again(commit, error);
  size_t count;
  freshet_partition* targets =
      freshet_held_list(commit->held, FRESHET_TOPICS, FRESHET_HELD_COMMITTED, &count);
  if (status == FRESHET_OK) status = freshet_source_seek(commit->ports->source, targets, count, error);
  free(targets);
  return status;
}

freshet_status freshet_commit_recover(freshet_commit* commit, freshet_error* error) {
  if (!commit->is_stale) return FRESHET_OK;
  freshet_status status = freshet_commit_roll_back(commit, error);
  commit->is_stale = false;
  return status;
}
