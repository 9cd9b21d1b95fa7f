/*
 * commit.c: the state clock: when a commit is due, what goes into the transaction, what follows its outcome,
 * and the way back after an abort. Only this file writes rows of users to the store.
 */
#include <stdlib.h>

#include "worker/restore.h"
#include "worker/worker_internal.h"

enum {
  OUTCOME_WAIT_MS = 1000,
  URGENT_COMMIT_US =
      100000,             /* what was withdrawn, and who is erased, waits for that instead of the interval */
  ECHO_WAIT_MS = 100,     /* for own deltas to come back before item rows are stored */
  ABORTS_MAX = 20,        /* in a row, before giving up */
  KEPT_BYTES = 8 << 20,   /* of records that wait for it */
  DELTA_BYTES = 16 << 20, /* one record of item deltas; its topic allows 64 MiB */
};

/* ---- what has changed ---- */

/* A row of the changelog; value NULL: a tombstone. The store gets it too once the commit has ended. */
static void keep_row(freshet_worker* worker, int32_t partition, freshet_slice key,
                     const freshet_buffer* value) {
  const freshet_output row = {
      .topic = FRESHET_TOPIC_USERS,
      .partition = partition,
      .key = key,
      .has_value = value != NULL,
      .value = value == NULL ? (freshet_slice){NULL, 0} : freshet_buffer_slice(value)};
  freshet_outbox_add(worker->ports.outbox, &row, FRESHET_WITH_COMMIT, NULL);
}

static freshet_status keep_users(freshet_worker* worker, freshet_error* error) {
  freshet_user_row* const* rows;
  freshet_buffer* bytes = &worker->row_bytes;
  size_t count = freshet_users_changed(worker->users, &rows);
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    bytes->size = 0;
    if (rows[i]->exists) status = freshet_users_encode(worker->users, rows[i], bytes, error);
    keep_row(worker, rows[i]->partition, freshet_user_row_id(rows[i]), rows[i]->exists ? bytes : NULL);
  }
  return status;
}

static void keep_dedup(freshet_worker* worker) {
  uint8_t key[FRESHET_DEDUP_KEY_SIZE];
  freshet_slice key_slice = {(const char*)key, sizeof key};
  freshet_buffer* chunk = &worker->row_bytes;
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPIC_EVENTS) {
    for (chunk->size = 0; freshet_dedup_take_chunk(held->dedup, key, chunk); chunk->size = 0)
      keep_row(worker, held->partition, key_slice, chunk);
    while (freshet_dedup_take_expired(held->dedup, key)) keep_row(worker, held->partition, key_slice, NULL);
  }
}

/* ---- the transaction ---- */

static freshet_status write_everything(freshet_worker* worker, freshet_error* error) {
  freshet_status status = keep_users(worker, error);
  keep_dedup(worker);
  if (status == FRESHET_OK) status = freshet_worker_write_hand_over(worker, error);
  if (status == FRESHET_OK) status = freshet_learned_write_delta(freshet_items_learned(worker->items), error);
  return status;
}

/* Everything before it is done with: applied, or answered. */
static int64_t done_offset(const freshet_worker* worker, const freshet_held_partition* held) {
  return held->topic == FRESHET_TOPIC_REQUESTS && held->next >= 0
             ? freshet_answers_position(worker->answers, held->partition, held->next)
             : held->next;
}

/* One offset of everything that is held; the caller frees. Every transaction carries the offsets, moved or not:
 * by them the broker tells whether this worker is still a member of the group. A worker that was removed from
 * the group without knowing it could otherwise write old rows over those of the new owner. */
static freshet_partition* list_offsets(const freshet_worker* worker, freshet_held_offset which,
                                       size_t* count) {
  size_t listed;
  freshet_partition* offsets = freshet_held_list(worker->held, FRESHET_TOPICS, which, &listed);
  *count = 0;
  for (size_t i = 0; i < listed; i++) {
    /* Below 0 nothing has been read yet, from a beginning that only the broker knows. */
    if (offsets[i].offset >= 0) offsets[(*count)++] = offsets[i];
  }
  return offsets;
}

static freshet_status start_transaction_commit(freshet_worker* worker, freshet_error* error) {
  size_t count;
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPICS) held->committing = done_offset(worker, held);
  freshet_partition* offsets = list_offsets(worker, FRESHET_HELD_COMMITTING, &count);
  freshet_status status = freshet_outbox_start_commit(worker->ports.outbox, offsets, count, error);
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

/* After the commit: its rows, in one batch with the positions that they reflect. */
static freshet_status store_changes(freshet_worker* worker, freshet_error* error) {
  freshet_store* store = worker->ports.store;
  freshet_outbox_each_committed(worker->ports.outbox, FRESHET_TOPIC_USERS, store_row, store);
  int64_t now_ms = freshet_clock_now_ms(worker->ports.clock);
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPICS) {
    held->committed = held->committing;
    if (held->topic != FRESHET_TOPIC_EVENTS) continue;
    int64_t end = freshet_outbox_written_end(worker->ports.outbox, FRESHET_TOPIC_USERS, held->partition);
    if (end >= 0) freshet_store_set_position(store, FRESHET_TOPIC_USERS, held->partition, end, now_ms);
  }
  return freshet_store_write(store, error);
}

freshet_status freshet_worker_store_items(freshet_worker* worker, freshet_error* error) {
  freshet_store* store = worker->ports.store;
  bool stored;
  freshet_status status = freshet_items_store(worker->items, worker->stopping, ECHO_WAIT_MS, &stored, error);
  if (status != FRESHET_OK || !stored) return status;
  status = freshet_store_write(store, error);
  if (status != FRESHET_OK) return status;
  size_t count;
  freshet_partition* offsets = list_offsets(worker, FRESHET_HELD_COMMITTED, &count);
  const bool* owned = freshet_held_items(worker->held, freshet_items_partitions(worker->items));
  freshet_error cause = {0};
  status = freshet_items_checkpoint(worker->items, owned, offsets, count, &cause);
  free(offsets);
  if (status == FRESHET_OK || status == FRESHET_ABORTED) return FRESHET_OK;
  return freshet_error_set(error, status, FRESHET_STOP, "checkpoint: %s", cause.message);
}

static bool nothing_changed(freshet_worker* worker) {
  freshet_user_row* const* rows;
  if (freshet_outbox_is_open(worker->ports.outbox) || freshet_outbox_kept(worker->ports.outbox) > 0)
    return false;
  if (freshet_worker_hands_over(worker)) return false;
  if (freshet_users_changed(worker->users, &rows) > 0) return false;
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPICS) {
    if (done_offset(worker, held) != held->committed) return false;
  }
  return true;
}

static void schedule(freshet_worker* worker) {
  freshet_clock* clock = worker->ports.clock;
  worker->next_commit_us = freshet_clock_monotonic_us(clock) + worker->config.commit_interval_ms * 1000;
}

/* An aborted transaction: everything since the last commit is done again. Anything else stops. */
static freshet_status failed(freshet_worker* worker, freshet_status status, const freshet_error* cause,
                             freshet_error* error) {
  if (status != FRESHET_ABORTED) {
    return freshet_error_set(error, status, FRESHET_STOP, "commit: %s", cause->message);
  }
  freshet_log_fact(worker->ports.logger, FRESHET_WARN, "commit.aborted", "reason=\"%s\"", cause->message);
  return freshet_worker_roll_back(worker, error);
}

/* Everything that has changed goes into the transaction; what changes from now on belongs to the next. */
static freshet_status start(freshet_worker* worker, freshet_error* error) {
  freshet_error cause = {0};
  worker->commit_start_us = freshet_clock_monotonic_us(worker->ports.clock);
  freshet_status status = write_everything(worker, &cause);
  if (status == FRESHET_OK) status = start_transaction_commit(worker, &cause);
  if (status != FRESHET_OK) return failed(worker, status, &cause, error);
  freshet_users_start_commit(worker->users);
  freshet_erasures_start_commit(worker->erasures);
  return FRESHET_OK;
}

static freshet_status end(freshet_worker* worker, freshet_error* error) {
  freshet_clock* clock = worker->ports.clock;
  worker->aborts_in_a_row = 0;
  freshet_status status = store_changes(worker, error);
  freshet_users_end_commit(worker->users);
  if (status == FRESHET_OK) freshet_erasures_end_commit(worker->erasures);
  freshet_users_trim(worker->users);
  freshet_learned_committed(freshet_items_learned(worker->items));
  freshet_outbox_tidy(worker->ports.outbox);
  schedule(worker);
  freshet_count(&worker->ports.metrics->commits, 1);
  freshet_gauge(&worker->ports.metrics->last_commit_ms, (uint64_t)freshet_clock_now_ms(clock));
  freshet_histogram_observe(&worker->ports.metrics->commit,
                            freshet_clock_monotonic_us(clock) - worker->commit_start_us);
  return status;
}

/* Ends the commit under way if its outcome comes within wait_ms. */
static freshet_status try_to_end(freshet_worker* worker, int wait_ms, freshet_error* error) {
  freshet_error cause = {0};
  freshet_status status = freshet_outbox_outcome(worker->ports.outbox, wait_ms, &cause);
  if (status == FRESHET_TIMEOUT) return FRESHET_OK;
  if (status == FRESHET_OK) return end(worker, error);
  return failed(worker, status, &cause, error);
}

freshet_status freshet_worker_end_commit(freshet_worker* worker, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && freshet_outbox_is_committing(worker->ports.outbox))
    status = try_to_end(worker, OUTCOME_WAIT_MS, error);
  return status;
}

freshet_status freshet_worker_commit(freshet_worker* worker, freshet_error* error) {
  freshet_status status = freshet_worker_end_commit(worker, error);
  if (status == FRESHET_OK && !nothing_changed(worker)) status = start(worker, error);
  return status == FRESHET_OK ? freshet_worker_end_commit(worker, error) : status;
}

static bool overlay_is_full(const freshet_worker* worker) {
  freshet_user_row* const* rows;
  return freshet_users_changed(worker->users, &rows) >= worker->config.overlay_users ||
         freshet_outbox_kept_bytes(worker->ports.outbox) >= KEPT_BYTES ||
         freshet_model_delta_size(freshet_items_model(worker->items)) >= DELTA_BYTES;
}

freshet_status freshet_worker_turn_state(freshet_worker* worker, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  bool full = overlay_is_full(worker);
  if (freshet_outbox_is_committing(worker->ports.outbox)) status = try_to_end(worker, 0, error);
  if (status == FRESHET_OK && full)
    status = freshet_worker_end_commit(worker, error); /* only then is there room */
  if (status != FRESHET_OK || freshet_outbox_is_committing(worker->ports.outbox)) return status;
  int64_t now_us = freshet_clock_monotonic_us(worker->ports.clock);
  bool is_urgent = (freshet_owed_needs_commit(freshet_refresh_queue(worker->refresh)) ||
                    freshet_erasures_due(worker->erasures)) &&
                   now_us - worker->commit_start_us >= URGENT_COMMIT_US;
  if (!full && !is_urgent && now_us < worker->next_commit_us) return FRESHET_OK;
  if (nothing_changed(worker)) { /* but for the catalogue, which is not part of transactions */
    schedule(worker);
    return freshet_store_write(worker->ports.store, error);
  }
  /* With lists inside the transaction the next batch needs its outcome; item rows need a moment without
   * learning. */
  if (worker->config.delivery == FRESHET_DELIVERY_FAST &&
      !freshet_learned_store_is_due(freshet_items_learned(worker->items))) {
    return start(worker, error);
  }
  status = freshet_worker_commit(worker, error);
  return status == FRESHET_OK ? freshet_worker_store_items(worker, error) : status;
}

/* All that is in memory anew, as of the last commit. */
static freshet_status load_again(freshet_worker* worker, freshet_error* error) {
  freshet_erasures_roll_back(worker->erasures);
  freshet_status status = freshet_items_store_links(worker->items, error);
  freshet_worker_unload(worker);
  if (status == FRESHET_OK) status = freshet_worker_load(worker, error);
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPIC_EVENTS) {
    held->releasing = held->taking = held->taken = 0;
    held->to_take = 0;
    if (status == FRESHET_OK) status = freshet_worker_load_partition(worker, held, error);
  }
  if (status == FRESHET_OK) freshet_worker_await_texts(worker);
  schedule(worker);
  return status;
}

freshet_status freshet_worker_reload(freshet_worker* worker, freshet_error* error) {
  freshet_status status = freshet_worker_commit(worker, error);
  if (status == FRESHET_OK) status = freshet_store_write(worker->ports.store, error);
  return status == FRESHET_OK ? load_again(worker, error) : status;
}

freshet_status freshet_worker_roll_back(freshet_worker* worker, freshet_error* error) {
  freshet_count(&worker->ports.metrics->aborts, 1);
  if (++worker->aborts_in_a_row > ABORTS_MAX) {
    return freshet_error_set(error, FRESHET_ABORTED, FRESHET_STOP, "%d transactions in a row were aborted",
                             ABORTS_MAX);
  }
  freshet_status status = FRESHET_OK;
  status = freshet_outbox_abort(worker->ports.outbox, error);
  if (status != FRESHET_OK) return status;
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPICS) {
    held->next = held->committing = held->committed;
    held->awaits_schema = false; /* it is read again now, and waits again if it has to */
  }
  freshet_gauge(&worker->ports.metrics->partitions_awaiting_schema, 0);
  freshet_answers_forget(worker->answers, -1);
  status = load_again(worker, error);
  size_t count;
  freshet_partition* targets =
      freshet_held_list(worker->held, FRESHET_TOPICS, FRESHET_HELD_COMMITTED, &count);
  if (status == FRESHET_OK) status = freshet_source_seek(worker->ports.source, targets, count, error);
  free(targets);
  return status;
}
