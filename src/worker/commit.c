#include <stdio.h>
#include <stdlib.h>

#include "core/grow.h"
#include "worker/restore.h"
#include "worker/worker_internal.h"

enum {
  OUTCOME_WAIT_MS = 1000,
  URGENT_COMMIT_US =
      100000,         /* what was withdrawn, and who is erased, waits for that instead of the interval */
  ECHO_WAIT_MS = 100, /* for own deltas to come back before item rows are stored */
  ABORTS_MAX = 20,    /* in a row, before giving up */
  SCRATCH_KEPT = 8 << 20,
  DELTA_BYTES = 16 << 20, /* one record of item deltas; its topic allows 64 MiB */
};

/* ---- what has changed ---- */

static user_change* add_change(freshet_worker* worker, int32_t partition, freshet_slice key) {
  worker->changes = freshet_grow(worker->changes, &worker->change_capacity, worker->change_count + 1,
                                 sizeof *worker->changes);
  user_change* change = &worker->changes[worker->change_count++];
  *change = (user_change){.partition = partition, .key_at = worker->change_bytes.size, .key_size = key.size};
  freshet_buffer_append(&worker->change_bytes, key.data, key.size);
  change->value_at = worker->change_bytes.size;
  return change;
}

static freshet_status collect_rows(freshet_worker* worker, freshet_error* error) {
  freshet_user_row* const* rows;
  size_t count = freshet_users_changed(worker->users, &rows);
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    user_change* change = add_change(worker, rows[i]->partition, freshet_user_row_id(rows[i]));
    change->has_value = rows[i]->exists;
    if (rows[i]->exists) status = freshet_users_encode(worker->users, rows[i], &worker->change_bytes, error);
    change->value_size = worker->change_bytes.size - change->value_at;
  }
  return status;
}

static void collect_dedup(freshet_worker* worker) {
  uint8_t key[FRESHET_DEDUP_KEY_SIZE];
  freshet_slice key_slice = {(const char*)key, sizeof key};
  freshet_buffer chunk = {0};
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPIC_EVENTS) {
    for (chunk.size = 0; freshet_dedup_take_chunk(held->dedup, key, &chunk); chunk.size = 0) {
      user_change* change = add_change(worker, held->partition, key_slice);
      freshet_buffer_append(&worker->change_bytes, chunk.data, chunk.size);
      change->has_value = true;
      change->value_size = chunk.size;
    }
    while (freshet_dedup_take_expired(held->dedup, key)) add_change(worker, held->partition, key_slice);
  }
  freshet_buffer_free(&chunk);
}

static freshet_slice change_key(const freshet_worker* worker, const user_change* change) {
  return (freshet_slice){(const char*)worker->change_bytes.data + change->key_at, change->key_size};
}

static freshet_slice change_value(const freshet_worker* worker, const user_change* change) {
  return (freshet_slice){(const char*)worker->change_bytes.data + change->value_at, change->value_size};
}

static freshet_status write_changes(freshet_worker* worker, freshet_error* error) {
  freshet_sink* sink = worker->ports.sink;
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < worker->change_count; i++) {
    const user_change* change = &worker->changes[i];
    freshet_output output = {.topic = FRESHET_TOPIC_USERS,
                             .partition = change->partition,
                             .key = change_key(worker, change),
                             .has_value = change->has_value,
                             .value = change_value(worker, change)};
    status = freshet_sink_write(sink, &output, error);
  }
  return status;
}

/* ---- dead letters ---- */

/* Headers as Kafka Connect writes them, so that existing tools for dead letters work. */
static freshet_status write_dead_letter(freshet_worker* worker, const dead_letter* letter,
                                        freshet_error* error) {
  const char* bytes = (const char*)worker->dead_letter_bytes.data;
  freshet_sink* sink = worker->ports.sink;
  char partition[16], offset[24];
  snprintf(partition, sizeof partition, "%d", letter->partition);
  snprintf(offset, sizeof offset, "%lld", (long long)letter->offset);
  freshet_header headers[] = {
      {"__connect.errors.topic", freshet_slice_of(freshet_sink_topic_name(sink, letter->topic))},
      {"__connect.errors.partition", freshet_slice_of(partition)},
      {"__connect.errors.offset", freshet_slice_of(offset)},
      {"__connect.errors.connector.name", freshet_slice_of("freshet")},
      {"__connect.errors.task.id", freshet_slice_of("0")},
      {"__connect.errors.stage", freshet_slice_of(letter->stage)},
      {"__connect.errors.class.name", freshet_slice_of("freshet")},
      {"__connect.errors.exception.class.name", freshet_slice_of("freshet.InvalidRecord")},
      {"__connect.errors.exception.message", {bytes + letter->reason_at, letter->reason_size}},
  };
  freshet_output output = {.topic = FRESHET_TOPIC_DEAD_LETTERS,
                           .partition = -1,
                           .key = {letter->has_key ? bytes + letter->key_at : NULL, letter->key_size},
                           .has_value = letter->has_value,
                           .value = {bytes + letter->value_at, letter->value_size},
                           .headers = headers,
                           .header_count = sizeof headers / sizeof headers[0]};
  return freshet_sink_write(sink, &output, error);
}

static void forget_dead_letters(freshet_worker* worker) {
  worker->dead_letter_count = 0;
  worker->dead_letter_bytes.size = 0;
}

/* ---- the transaction ---- */

static freshet_status write_everything(freshet_worker* worker, freshet_error* error) {
  freshet_sink* sink = worker->ports.sink;
  freshet_status status = FRESHET_OK;
  if (!worker->in_transaction) status = freshet_sink_begin(sink, error);
  if (status != FRESHET_OK) return status;
  worker->in_transaction = true;
  status = collect_rows(worker, error);
  collect_dedup(worker);
  if (status == FRESHET_OK) status = write_changes(worker, error);
  for (size_t i = 0; status == FRESHET_OK && i < worker->dead_letter_count; i++) {
    status = write_dead_letter(worker, &worker->dead_letters[i], error);
  }
  if (status == FRESHET_OK) status = freshet_worker_write_hand_over(worker, error);
  if (status == FRESHET_OK) status = freshet_texts_write(freshet_items_texts(worker->items), error);
  if (status != FRESHET_OK) return status;
  return freshet_learned_write_delta(freshet_items_learned(worker->items), error);
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
  freshet_status status = freshet_sink_commit(worker->ports.sink, offsets, count, error);
  free(offsets);
  return status;
}

/* After the commit: the same rows, in one batch with the positions that they reflect. */
static freshet_status store_changes(freshet_worker* worker, freshet_error* error) {
  freshet_store* store = worker->ports.store;
  for (size_t i = 0; i < worker->change_count; i++) {
    const user_change* change = &worker->changes[i];
    freshet_slice key = change_key(worker, change);
    if (change->has_value) {
      freshet_store_put(store, FRESHET_FAMILY_USERS, change->partition, key, change_value(worker, change));
    } else {
      freshet_forget_user_row(store, change->partition, key);
    }
  }
  int64_t now_ms = freshet_clock_now_ms(worker->ports.clock);
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPICS) {
    held->committed = held->committing;
    if (held->topic != FRESHET_TOPIC_EVENTS) continue;
    int64_t end = freshet_sink_written_end(worker->ports.sink, FRESHET_TOPIC_USERS, held->partition);
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

static void tidy(freshet_worker* worker) {
  worker->change_count = 0;
  worker->change_bytes.size = 0;
  if (worker->change_bytes.capacity > SCRATCH_KEPT) freshet_buffer_free(&worker->change_bytes);
}

static bool nothing_changed(freshet_worker* worker) {
  freshet_user_row* const* rows;
  if (worker->in_transaction || worker->dead_letter_count > 0) return false;
  if (freshet_texts_unwritten(freshet_items_texts(worker->items)) > 0) return false;
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
  forget_dead_letters(worker);
  worker->committing = true;
  worker->commits_started++;
  return FRESHET_OK;
}

static freshet_status end(freshet_worker* worker, freshet_error* error) {
  freshet_clock* clock = worker->ports.clock;
  worker->committing = false;
  worker->in_transaction = false;
  worker->aborts_in_a_row = 0;
  worker->commits_ended = worker->commits_started;
  freshet_status status = store_changes(worker, error);
  freshet_users_end_commit(worker->users);
  if (status == FRESHET_OK) freshet_erasures_end_commit(worker->erasures);
  freshet_users_trim(worker->users);
  freshet_learned_committed(freshet_items_learned(worker->items));
  tidy(worker);
  schedule(worker);
  freshet_count(&worker->ports.metrics->commits, 1);
  freshet_gauge(&worker->ports.metrics->last_commit_ms, (uint64_t)freshet_clock_now_ms(clock));
  freshet_histogram_observe(&worker->ports.metrics->commit,
                            freshet_clock_monotonic_us(clock) - worker->commit_start_us);
  return status;
}

/* Ends the commit under way if its outcome comes within wait_ms. */
static freshet_status try_to_end(freshet_worker* worker, int wait_ms, freshet_error* error) {
  freshet_sink* sink = worker->ports.sink;
  freshet_error cause = {0};
  freshet_status status = freshet_sink_outcome(sink, wait_ms, &cause);
  if (status == FRESHET_TIMEOUT) return FRESHET_OK;
  if (status == FRESHET_OK) return end(worker, error);
  worker->committing = false;
  worker->in_transaction = false;
  return failed(worker, status, &cause, error);
}

freshet_status freshet_worker_end_commit(freshet_worker* worker, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && worker->committing) status = try_to_end(worker, OUTCOME_WAIT_MS, error);
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
         worker->dead_letter_bytes.size >= SCRATCH_KEPT ||
         freshet_texts_unwritten(freshet_items_texts(worker->items)) >= DELTA_BYTES ||
         freshet_model_delta_size(freshet_items_model(worker->items)) >= DELTA_BYTES;
}

freshet_status freshet_worker_turn_state(freshet_worker* worker, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  bool full = overlay_is_full(worker);
  if (worker->committing) status = try_to_end(worker, 0, error);
  if (status == FRESHET_OK && full)
    status = freshet_worker_end_commit(worker, error); /* only then is there room */
  if (status != FRESHET_OK || worker->committing) return status;
  int64_t now_us = freshet_clock_monotonic_us(worker->ports.clock);
  bool is_urgent = (freshet_worker_stale_unmarked(worker) || freshet_erasures_due(worker->erasures)) &&
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
  tidy(worker);
  forget_dead_letters(worker);
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
  FRESHET_ASSERT(!worker->committing);
  if (worker->in_transaction) status = freshet_sink_abort(worker->ports.sink, error);
  worker->in_transaction = false;
  if (status != FRESHET_OK) return status;
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPICS) held->next = held->committing = held->committed;
  freshet_answers_forget(worker->answers, -1);
  status = load_again(worker, error);
  size_t count;
  freshet_partition* targets =
      freshet_held_list(worker->held, FRESHET_TOPICS, FRESHET_HELD_COMMITTED, &count);
  if (status == FRESHET_OK) status = freshet_source_seek(worker->ports.source, targets, count, error);
  free(targets);
  return status;
}
