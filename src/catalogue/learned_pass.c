/*
 * learned_pass.c: a pass writes what has been learned to the store, and maybe to <app>.items, a few rows in a turn
 * (learned.h). It begins at a moment at which the model is exactly the fold of the log up to a position. What changes
 * afterwards is written before its first change. So all rows of a pass say what was true at that moment, and the store
 * gets its position last. After a crash in the middle the store has some rows of the new position, and the old position.
 * The deltas in between are folded once more then, and a row skips those that it reflects.
 *
 * Checkpoints are read from the rows of the store, which nobody changes until the next pass.
 */
#include <stdlib.h>

#include "catalogue/learned_internal.h"

enum { TURNS_A_WRITE = 32 /* of the store, which may happen on this thread */ };

static void watch(void* context, uint32_t slot) {
  freshet_learned* learned = context;
  freshet_learned_pass* pass = &learned->pass;
  if (slot >= pass->slots || !pass->waits[slot]) return;
  pass->waits[slot] = false;
  pass->rows += freshet_learned_put_row(learned, slot, pass->folded_to, &pass->row);
}

bool freshet_learned_is_settled(const freshet_learned* learned, const freshet_item_logs* logs) {
  return freshet_item_logs_position(logs, FRESHET_TOPIC_ITEM_DELTAS, 0) >= learned->own_end &&
         freshet_model_delta_size(learned->model) == 0 && !freshet_model_is_taking(learned->model);
}

/* Of all slots, which have to be written. */
static void collect(freshet_learned* learned) {
  freshet_learned_pass* pass = &learned->pass;
  const uint32_t* changed;
  const size_t count = freshet_model_drain_changed(learned->model, &changed);
  pass->slots = freshet_model_item_count(learned->model);
  free(pass->waits);
  pass->waits = calloc(pass->slots + 1, sizeof *pass->waits);
  FRESHET_ASSERT(pass->waits != NULL);
  if (learned->stores_all) {
    memset(pass->waits, true, pass->slots);
  } else {
    for (size_t i = 0; i < count; i++) pass->waits[changed[i]] = true;
  }
}

void freshet_learned_begin(freshet_learned* learned, const freshet_item_logs* logs, const bool* owned) {
  freshet_learned_pass* pass = &learned->pass;
  FRESHET_ASSERT(pass->stage == FRESHET_PASS_NONE && freshet_learned_is_settled(learned, logs));
  const int64_t now_ms = freshet_clock_monotonic_ms(learned->ports.clock);
  collect(learned);
  pass->stage = FRESHET_PASS_STORE;
  pass->folded_to = freshet_item_logs_position(logs, FRESHET_TOPIC_ITEM_DELTAS, 0);
  pass->mark = learned->mark;
  pass->next = pass->rows = 0;
  pass->globals.size = 0;
  freshet_model_write_globals(learned->model, pass->folded_to, &pass->globals);
  pass->checkpoints = now_ms >= learned->next_checkpoint_ms && pass->folded_to != learned->checkpointed_to;
  memcpy(pass->owned, owned, (size_t)learned->shares * sizeof *owned);
  pass->started_ms = now_ms;
  learned->next_store_ms = now_ms + learned->store_interval_ms;
  const freshet_model_watch own = {.context = learned, .before_change = watch};
  freshet_model_watch_changes(learned->model, &own);
}

void freshet_learned_end_pass(freshet_learned* learned) {
  freshet_learned_pass* pass = &learned->pass;
  freshet_model_watch_changes(learned->model, NULL);
  pass->stage = FRESHET_PASS_NONE;
  pass->slots = 0;
}

/* ---- to the store ---- */

static void put_position(freshet_learned* learned) {
  freshet_learned_pass* pass = &learned->pass;
  freshet_model_watch_changes(learned->model, NULL);
  freshet_learned_put_globals(learned, freshet_buffer_slice(&pass->globals), pass->folded_to, &pass->mark);
  learned->stores_all = false;
  pass->stage = FRESHET_PASS_PUT;
}

/* Is it enough for one write of the store? */
static bool is_full(const freshet_learned* learned) {
  return learned->pass.put >= TURNS_A_WRITE * learned->rows_a_turn;
}

static void put_some_rows(freshet_learned* learned) {
  freshet_learned_pass* pass = &learned->pass;
  for (size_t rows = 0; rows < learned->rows_a_turn && !is_full(learned); rows++) {
    const bool* waiting =
        memchr(pass->waits + pass->next, true, (pass->slots - pass->next) * sizeof *pass->waits);
    if (waiting == NULL) {
      put_position(learned);
      return;
    }
    pass->next = (size_t)(waiting - pass->waits);
    watch(learned, (uint32_t)pass->next++);
    pass->put++;
  }
}

void freshet_learned_store_starts(freshet_learned* learned) {
  learned->pass.put = 0;
  if (learned->pass.stage == FRESHET_PASS_PUT) learned->pass.stage = FRESHET_PASS_WRITING;
}

void freshet_learned_store_ended(freshet_learned* learned) {
  freshet_learned_pass* pass = &learned->pass;
  if (pass->stage != FRESHET_PASS_WRITING) return;
  freshet_log_fact(learned->ports.logger, FRESHET_INFO, "items.stored",
                   "folded_to=%lld rows=%zu took_ms=%lld", (long long)pass->folded_to, pass->rows,
                   (long long)(freshet_clock_monotonic_ms(learned->ports.clock) - pass->started_ms));
  pass->next = pass->next_parked = 0;
  pass->stage = FRESHET_PASS_CHECKPOINT;
  if (!pass->checkpoints) freshet_learned_end_pass(learned);
}

/* ---- to <app>.items ---- */

static freshet_status checkpoint_some(freshet_learned* learned, freshet_error* error) {
  freshet_learned_pass* pass = &learned->pass;
  bool is_all;
  freshet_status status = freshet_learned_checkpoint(learned, learned->rows_a_turn, &is_all, error);
  if (status != FRESHET_OK || !is_all) return status;
  learned->checkpointed_to = pass->folded_to;
  learned->next_checkpoint_ms = pass->started_ms + learned->checkpoint_interval_ms;
  freshet_log_fact(learned->ports.logger, FRESHET_INFO, "items.checkpoint", "folded_to=%lld",
                   (long long)pass->folded_to);
  freshet_learned_end_pass(learned);
  return FRESHET_OK;
}

bool freshet_learned_is_busy(const freshet_learned* learned) {
  const freshet_learned_pass* pass = &learned->pass;
  if (pass->stage == FRESHET_PASS_STORE) return !is_full(learned);
  return pass->stage == FRESHET_PASS_CHECKPOINT &&
         freshet_outbox_may_write(learned->ports.outbox, FRESHET_TOPIC_ITEM_STATES);
}

void freshet_learned_drop_checkpoint(freshet_learned* learned) {
  learned->pass.checkpoints = false;
  learned->checkpointed_to = -1; /* other shares may come */
  if (learned->pass.stage == FRESHET_PASS_CHECKPOINT) freshet_learned_end_pass(learned);
}

freshet_status freshet_learned_turn(freshet_learned* learned, bool* has_put, freshet_error* error) {
  *has_put = false;
  if (!freshet_learned_is_busy(learned)) return FRESHET_OK;
  freshet_status status = freshet_parked_items_failure(learned->parked, error);
  if (status != FRESHET_OK) return status;
  if (learned->pass.stage == FRESHET_PASS_CHECKPOINT) return checkpoint_some(learned, error);
  put_some_rows(learned);
  *has_put = learned->pass.stage == FRESHET_PASS_PUT;
  return FRESHET_OK;
}
