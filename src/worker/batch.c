/*
 * batch.c: applies one record: decodes, validates, skips duplicates, learns, and notes which user was
 * touched. It must not publish or commit.
 */
#include <stdlib.h>

#include "core/grow.h"
#include "core/observe.h"
#include "users/user_id.h"
#include "worker/worker_internal.h"

/* A tombstone on `events`: the user is forgotten, here, in the changelog and in the lists. */
static freshet_status erase(freshet_worker* worker, const freshet_record* record, freshet_error* error) {
  freshet_user_row* row;
  freshet_status status = freshet_users_get(worker->users, record->partition, record->key, &row, error);
  if (status != FRESHET_OK) return status;
  freshet_erasures_applied(worker->erasures, record->partition, record->key, row->exists);
  freshet_carriers_replace(worker->carriers, row, NULL, 0);
  freshet_users_erase(worker->users, row);
  freshet_dead_letters_forget(worker->ports.outbox, record->key);
  freshet_count(&worker->ports.metrics->users_erased, 1);
  freshet_output tombstone = {
      .topic = freshet_held_list_topic(worker->held, record->partition), .partition = -1, .key = record->key};
  status = freshet_outbox_add(worker->ports.outbox, &tombstone, FRESHET_BY_DELIVERY, error);
  if (status != FRESHET_OK || tombstone.topic == FRESHET_TOPIC_SHADOW) return status;
  tombstone.topic = FRESHET_TOPIC_SHADOW; /* lists from before this generation served */
  return freshet_outbox_add(worker->ports.outbox, &tombstone, FRESHET_BY_DELIVERY, error);
}

static freshet_observation observe(const freshet_worker* worker, const freshet_event* event, uint32_t slot) {
  freshet_event_values values = {.positive_rating = worker->config.positive_rating,
                                 .rating_min = worker->config.limits.rating_min};
  memcpy(values.weights, worker->config.weights, sizeof values.weights);
  return freshet_observe(&values, event, slot);
}

/* The item's part of an event. An item without a slot leaves no trace beyond the user's counts. */
static void learn(freshet_worker* worker, freshet_user_row* row, const freshet_event* event) {
  freshet_worker_metrics* metrics = worker->ports.metrics;
  freshet_model* model = freshet_items_model(worker->items);
  uint32_t slot;
  if (!freshet_observes(event)) return;
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
  freshet_user_mark_how(row->user, slot, freshet_seen_how(event));
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
    freshet_dead_letters_add(worker->ports.outbox, &worker->ports, record, "KEY_CONVERTER", &cause);
    return FRESHET_OK;
  }
  if (!record->has_value) return erase(worker, record, error);
  freshet_status decoded = freshet_decode_event(worker->ports.codec, record->value, &event, &cause);
  if (decoded == FRESHET_UNAVAILABLE) return freshet_worker_await_schema(worker, held, record, &cause);
  if (decoded != FRESHET_OK) {
    freshet_dead_letters_add(worker->ports.outbox, &worker->ports, record, "VALUE_CONVERTER", &cause);
    return FRESHET_OK;
  }
  if (freshet_event_validate(&event, record->key, record->timestamp_ms, &worker->config.limits, &cause) !=
      FRESHET_OK) {
    freshet_dead_letters_add(worker->ports.outbox, &worker->ports, record, "TRANSFORMATION", &cause);
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
  if (row->touched || freshet_user_row_owes(row, FRESHET_OWED_EVENT))
    freshet_count(&worker->ports.metrics->lists_coalesced, 1);
  row->exists = true;
  row->events++;
  row->event_checksum += event_key;
  /* An operator may have gone back in the topic: an older event that is learned then makes no older
   * version. */
  if (record->offset > row->newest_offset) {
    row->newest_offset = record->offset;
    row->newest_occurred_at_ms = event.occurred_at_ms;
  }
  /* A replay or a backlog says nothing about how fresh lists are now. */
  row->record_time_ms = record->timestamp_ms >= held->since_ms ? record->timestamp_ms : 0;
  if (row->refresh_since_ms == 0) row->refresh_since_ms = freshet_clock_now_ms(worker->ports.clock);
  freshet_users_change(worker->users, row);
  freshet_refresh_touch(worker->refresh, row);
  freshet_count(&worker->ports.metrics->events[event.type], 1);
  return FRESHET_OK;
}

/* The catalogue itself is read by every worker (items.c); who holds the partition answers for what cannot be
 * read. */
static freshet_status check_item(freshet_worker* worker, freshet_held_partition* held,
                                 const freshet_record* record, freshet_error* error) {
  freshet_item item;
  freshet_error cause = {0};
  if (!record->has_value) {
    return is_id(record) ? freshet_texts_forget(freshet_items_texts(worker->items), record->key, error)
                         : FRESHET_OK;
  }
  freshet_status decoded = freshet_decode_item(worker->ports.codec, record->value, &item, &cause);
  if (decoded == FRESHET_UNAVAILABLE) return freshet_worker_await_schema(worker, held, record, &cause);
  if (decoded != FRESHET_OK) {
    freshet_dead_letters_add(worker->ports.outbox, &worker->ports, record, "VALUE_CONVERTER", &cause);
  } else if (freshet_item_validate(&item, record->key, &cause) != FRESHET_OK) {
    freshet_dead_letters_add(worker->ports.outbox, &worker->ports, record, "TRANSFORMATION", &cause);
  }
  return FRESHET_OK;
}

static freshet_status take_request(freshet_worker* worker, freshet_held_partition* held,
                                   const freshet_record* record) {
  freshet_error cause = {0};
  freshet_status status = freshet_answers_take(worker->answers, record, &cause);
  return status == FRESHET_UNAVAILABLE ? freshet_worker_await_schema(worker, held, record, &cause) : status;
}

freshet_status freshet_worker_apply(freshet_worker* worker, const freshet_record* record,
                                    freshet_error* error) {
  freshet_held_partition* held = freshet_held_find(worker->held, record->topic, record->partition);
  FRESHET_ASSERT(held != NULL);
  if (record->topic == FRESHET_TOPIC_EVENTS && worker->awaits_texts) return FRESHET_OK; /* comes again */
  if (held->awaits_schema) return FRESHET_OK;                                           /* this too */
  freshet_status status = FRESHET_OK;
  if (record->topic == FRESHET_TOPIC_EVENTS) status = apply_event(worker, held, record, error);
  if (record->topic == FRESHET_TOPIC_ITEMS) status = check_item(worker, held, record, error);
  if (record->topic == FRESHET_TOPIC_REQUESTS) status = take_request(worker, held, record);
  if (status != FRESHET_OK || held->awaits_schema) return status;
  held->next = record->offset + 1;
  held->reached_ms = record->timestamp_ms;
  return FRESHET_OK;
}
