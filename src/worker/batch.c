#include <stdlib.h>

#include "core/grow.h"
#include "worker/worker_internal.h"

static void append(freshet_buffer* buffer, freshet_slice bytes, size_t* at, size_t* size) {
  *at = buffer->size;
  *size = bytes.size;
  freshet_buffer_append(buffer, bytes.data, bytes.size);
}

void freshet_worker_bury(freshet_worker* worker, const freshet_record* record, const char* stage,
                         const freshet_error* cause) {
  worker->dead_letters = freshet_grow(worker->dead_letters, &worker->dead_letter_capacity,
                                      worker->dead_letter_count + 1, sizeof *worker->dead_letters);
  dead_letter* letter = &worker->dead_letters[worker->dead_letter_count++];
  *letter = (dead_letter){.topic = record->topic,
                          .partition = record->partition,
                          .offset = record->offset,
                          .has_key = record->has_key,
                          .has_value = record->has_value,
                          .stage = stage};
  freshet_buffer* bytes = &worker->dead_letter_bytes;
  append(bytes, record->key, &letter->key_at, &letter->key_size);
  append(bytes, record->value, &letter->value_at, &letter->value_size);
  append(bytes, freshet_slice_of(cause->message), &letter->reason_at, &letter->reason_size);
  freshet_count(&worker->ports.metrics->dead_letters, 1);
  freshet_log_fact(worker->ports.logger, FRESHET_DEBUG, "record.dead",
                   "topic=%d partition=%d offset=%lld reason=\"%s\"", (int)record->topic, record->partition,
                   (long long)record->offset, cause->message);
}

void freshet_worker_touch(freshet_worker* worker, freshet_user_row* row) {
  if (row->touched) return;
  worker->touched = freshet_grow(worker->touched, &worker->touched_capacity, worker->touched_count + 1,
                                 sizeof *worker->touched);
  row->touched = true;
  worker->touched[worker->touched_count++] = row;
}

/* Drops what would go to the dead letters under this key: they are read by people and other programs. Their
 * bytes stay in memory until the commit, and go no further. */
static void forget_dead_letters(freshet_worker* worker, freshet_slice key) {
  const char* bytes = (const char*)worker->dead_letter_bytes.data;
  size_t kept = 0;
  for (size_t i = 0; i < worker->dead_letter_count; i++) {
    const dead_letter* letter = &worker->dead_letters[i];
    bool is_theirs = letter->topic != FRESHET_TOPIC_ITEMS && letter->has_key &&
                     freshet_slice_equal((freshet_slice){bytes + letter->key_at, letter->key_size}, key);
    if (!is_theirs) worker->dead_letters[kept++] = *letter;
  }
  worker->dead_letter_count = kept;
}

/* A tombstone on `events`: the user is forgotten, here, in the changelog and in the lists. */
static freshet_status erase(freshet_worker* worker, const freshet_record* record, freshet_error* error) {
  freshet_user_row* row;
  freshet_status status = freshet_users_get(worker->users, record->partition, record->key, &row, error);
  if (status != FRESHET_OK) return status;
  freshet_erasures_applied(worker->erasures, record->partition, record->key, row->exists);
  freshet_withdrawals_replace(worker->withdrawals, row, NULL, 0);
  freshet_users_erase(worker->users, row);
  forget_dead_letters(worker, record->key);
  freshet_count(&worker->ports.metrics->users_erased, 1);
  freshet_output tombstone = {
      .topic = freshet_held_list_topic(worker->held, record->partition), .partition = -1, .key = record->key};
  status = freshet_worker_output(worker, &tombstone, error);
  if (status != FRESHET_OK || tombstone.topic == FRESHET_TOPIC_SHADOW) return status;
  tombstone.topic = FRESHET_TOPIC_SHADOW; /* lists from before this generation served */
  return freshet_worker_output(worker, &tombstone, error);
}

/* model.weight.* by type. */
static freshet_observation observe(const freshet_worker* worker, const freshet_event* event, uint32_t slot) {
  bool low = event->type == FRESHET_RATING && event->rating < worker->config.positive_rating;
  return (freshet_observation){.item = slot,
                               .positive = !low,
                               .weight = worker->config.weights[event->type],
                               .time_ms = event->occurred_at_ms};
}

/* The item's part of an event. An item without a slot leaves no trace beyond the user's counts. */
static void learn(freshet_worker* worker, freshet_user_row* row, const freshet_event* event) {
  freshet_worker_metrics* metrics = worker->ports.metrics;
  freshet_model* model = freshet_items_model(worker->items);
  uint32_t slot;
  if (freshet_model_intern(model, event->item_id, &slot, NULL) != FRESHET_OK) {
    freshet_count(&metrics->items_refused, 1);
    return;
  }
  if (!freshet_listing_is_announced(freshet_items_listing(worker->items), slot))
    freshet_count(&metrics->events_unannounced, 1);
  freshet_observation observation = observe(worker, event, slot);
  if (freshet_model_learn(model, row->user, &observation, NULL) != FRESHET_OK) {
    freshet_count(&metrics->learn_refused, 1);
  }
  freshet_user_mark_how(row->user, slot, event->type);
}

static bool is_id(const freshet_record* record) {
  return record->has_key && freshet_is_user_id(record->key);
}

static freshet_status apply_event(freshet_worker* worker, freshet_held_partition* held,
                                  const freshet_record* record, freshet_error* error) {
  freshet_event event;
  freshet_error cause = {0};
  if (!is_id(record)) {
    freshet_error_set(&cause, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                      "the record's key must be a user id of 1 to %d bytes", FRESHET_ID_MAX);
    freshet_worker_bury(worker, record, "KEY_CONVERTER", &cause);
    return FRESHET_OK;
  }
  if (!record->has_value) return erase(worker, record, error);
  if (freshet_decode_event(worker->ports.codec, record->value, &event, &cause) != FRESHET_OK) {
    freshet_worker_bury(worker, record, "VALUE_CONVERTER", &cause);
    return FRESHET_OK;
  }
  if (freshet_event_validate(&event, record->key, record->timestamp_ms, &worker->config.limits, &cause) !=
      FRESHET_OK) {
    freshet_worker_bury(worker, record, "TRANSFORMATION", &cause);
    return FRESHET_OK;
  }
  uint64_t event_key = freshet_id_key(event.event_id);
  if (!freshet_dedup_add(held->dedup, event_key, record->timestamp_ms)) {
    freshet_count(&worker->ports.metrics->events_duplicate, 1);
    return FRESHET_OK;
  }
  freshet_user_row* row;
  freshet_status status = freshet_users_get(worker->users, record->partition, event.user_id, &row, error);
  if (status != FRESHET_OK) return status;
  learn(worker, row, &event);
  if (row->touched || row->queued) freshet_count(&worker->ports.metrics->lists_coalesced, 1);
  row->exists = true;
  row->events++;
  row->event_checksum += event_key;
  /* An operator may have gone back in the topic: an older event that is learned then makes no older
   * version. */
  if (record->offset > row->newest_offset) {
    row->newest_offset = record->offset;
    row->newest_occurred_at_ms = event.occurred_at_ms;
  }
  row->record_time_ms = record->timestamp_ms;
  if (row->refresh_since_ms == 0) row->refresh_since_ms = freshet_clock_now_ms(worker->ports.clock);
  freshet_users_change(worker->users, row);
  freshet_worker_touch(worker, row);
  freshet_count(&worker->ports.metrics->events[event.type], 1);
  return FRESHET_OK;
}

/* The catalogue itself is read by every worker (items.c); who holds the partition answers for what cannot be
 * read. */
static freshet_status check_item(freshet_worker* worker, const freshet_record* record, freshet_error* error) {
  freshet_item item;
  freshet_error cause = {0};
  if (!record->has_value) {
    return is_id(record) ? freshet_texts_forget(freshet_items_texts(worker->items), record->key, error)
                         : FRESHET_OK;
  }
  if (freshet_decode_item(worker->ports.codec, record->value, &item, &cause) != FRESHET_OK) {
    freshet_worker_bury(worker, record, "VALUE_CONVERTER", &cause);
  } else if (freshet_item_validate(&item, record->key, &cause) != FRESHET_OK) {
    freshet_worker_bury(worker, record, "TRANSFORMATION", &cause);
  }
  return FRESHET_OK;
}

freshet_status freshet_worker_apply(freshet_worker* worker, const freshet_record* record,
                                    freshet_error* error) {
  freshet_held_partition* held = freshet_held_find(worker->held, record->topic, record->partition);
  FRESHET_ASSERT(held != NULL);
  if (record->topic == FRESHET_TOPIC_EVENTS && worker->awaits_texts) return FRESHET_OK; /* comes again */
  freshet_status status = FRESHET_OK;
  if (record->topic == FRESHET_TOPIC_EVENTS) status = apply_event(worker, held, record, error);
  if (record->topic == FRESHET_TOPIC_ITEMS) status = check_item(worker, record, error);
  if (record->topic == FRESHET_TOPIC_REQUESTS) status = freshet_answers_take(worker->answers, record, error);
  if (status == FRESHET_OK) held->next = record->offset + 1;
  return status;
}
