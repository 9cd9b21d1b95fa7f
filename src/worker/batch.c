/*
 * batch.c: applies one record: decodes, validates, skips duplicates, learns, and notes which user was
 * touched. It must not publish or commit.
 */
#include "worker/batch.h"

#include "core/observe.h"
#include "stream/dead_letters.h"
#include "users/dedup.h"
#include "users/user_id.h"

enum {
  UNANNOUNCED_AHEAD = 4096,
  TURN_US = 8000,                     /* on a core: records of a turn */
  CREDIBLE_AHEAD_MS = 60 * 60 * 1000, /* of our clock; a broker of Kafka 4 takes no more either */
};

/* A tombstone whose producer has another partitioner: it goes on to the partition where its user lives. Only the app
 * generation that serves sends it, so one that learns history erases nobody who has come back since. */
static freshet_status forward_tombstone(const freshet_batch* batch, const freshet_record* record,
                                        freshet_error* error) {
  int32_t home =
      freshet_partition_by(batch->config->partitioner, record->key, batch->derived->user_partitions);
  if (home < 0 || home == record->partition ||
      freshet_held_list_topic(batch->held, record->partition) != FRESHET_TOPIC_RECOMMENDATIONS)
    return FRESHET_OK;
  freshet_output tombstone = {.topic = FRESHET_TOPIC_EVENTS, .partition = home, .key = record->key};
  return freshet_outbox_add(batch->ports->outbox, &tombstone, FRESHET_NOW, error);
}

/* A tombstone on `events`: the user is forgotten, here, in the changelog and in the lists. */
static freshet_status erase(const freshet_batch* batch, const freshet_record* record, freshet_error* error) {
  freshet_user_row* row;
  freshet_status status =
      freshet_users_get(batch->derived->users, record->partition, record->key, &row, error);
  if (status != FRESHET_OK) return status;
  freshet_erasures_applied(batch->erasures, record->partition, record->key, row->exists);
  freshet_carriers_replace(batch->derived->carriers, row, NULL, 0);
  freshet_users_erase(batch->derived->users, row);
  freshet_dead_letters_forget(batch->ports->outbox, record->key);
  freshet_count(&batch->ports->metrics->users_erased, 1);
  status = forward_tombstone(batch, record, error);
  if (status != FRESHET_OK) return status;
  freshet_output tombstone = {
      .topic = freshet_held_list_topic(batch->held, record->partition), .partition = -1, .key = record->key};
  status = freshet_outbox_add(batch->ports->outbox, &tombstone, FRESHET_BY_DELIVERY, error);
  if (status != FRESHET_OK || tombstone.topic == FRESHET_TOPIC_SHADOW) return status;
  tombstone.topic = FRESHET_TOPIC_SHADOW; /* where lists went before this generation served */
  return freshet_outbox_add(batch->ports->outbox, &tombstone, FRESHET_BY_DELIVERY, error);
}

/* What the model is told of an event, by the settings. */
static freshet_observation observe(const freshet_batch* batch, const freshet_event* event, uint32_t slot) {
  freshet_event_values values = {.positive_rating = batch->config->positive_rating,
                                 .rating_min = batch->config->limits.rating_min,
                                 .goal = batch->config->goal};
  memcpy(values.weights, batch->config->weights, sizeof values.weights);
  return freshet_observe(&values, event, slot);
}

/* An impression: the user was shown the item. One that is not known here has no slot, and gets none: a user could name a
 * million. An item is found by its key, as its id is not known after a restart until an event or an Item record names it. */
static void show(const freshet_batch* batch, freshet_user_row* row, const freshet_event* event) {
  const freshet_model* model = freshet_items_model(batch->derived->items);
  const uint32_t slot = freshet_model_find_key(model, freshet_id_key(event->item_id));
  if (slot == FRESHET_NO_ITEM) {
    freshet_count(&batch->ports->metrics->impressions_unknown, 1);
  } else {
    freshet_model_show(model, row->user, slot, event->place, event->occurred_at_ms);
  }
}

/* Learns from the event. If its item finds no slot, only the user's counts change. */
static void learn(const freshet_batch* batch, freshet_user_row* row, const freshet_event* event) {
  freshet_worker_metrics* metrics = batch->ports->metrics;
  freshet_model* model = freshet_items_model(batch->derived->items);
  uint32_t slot;
  if (freshet_is_impression(event)) show(batch, row, event);
  if (!freshet_observes(event)) return;
  /* Ids that nobody announces may take a quarter more, until items are parked (freshet_commit_make_room). */
  const uint32_t most = freshet_model_get_config(model)->max_items;
  if (freshet_model_intern_within(model, event->item_id, most + most / 4 + UNANNOUNCED_AHEAD, &slot, NULL) !=
      FRESHET_OK) {
    freshet_count(&metrics->items_refused, 1);
    return;
  }
  if (!freshet_listing_is_announced(freshet_items_listing(batch->derived->items), slot))
    freshet_count(&metrics->events_unannounced, 1);
  freshet_observation observation = observe(batch, event, slot);
  if (freshet_model_learn(model, row->user, &observation, NULL) != FRESHET_OK) {
    freshet_count(&metrics->learn_refused, 1);
  }
  freshet_count(&metrics->weights_clipped, freshet_model_take_clipped(model));
  freshet_user_mark_how(row->user, slot, freshet_seen_how(event));
}

/* An event that lay in its user's earlier partition when `events` was grown, or whose producer had not heard of it yet.
 * It goes on to the user's home before the commit that moves past it. Should it go twice, the dedup window knows it.
 * A transaction would leave its marker at the end of `events`, where it looks like something unread. */
static freshet_status forward_event(const freshet_batch* batch, const freshet_record* record, int32_t home,
                                    freshet_error* error) {
  if (freshet_held_list_topic(batch->held, record->partition) != FRESHET_TOPIC_RECOMMENDATIONS)
    return FRESHET_OK; /* the generation that serves does it */
  const freshet_output event = {.topic = FRESHET_TOPIC_EVENTS,
                                .partition = home,
                                .key = record->key,
                                .has_value = true,
                                .value = record->value,
                                .timestamp_ms = record->timestamp_ms};
  freshet_count(&batch->ports->metrics->events_forwarded, 1);
  return freshet_outbox_add(batch->ports->outbox, &event, FRESHET_NOW, error);
}

/* *foreign: the event is not where its user lives; it goes there, or becomes a dead letter. */
static freshet_status check_home(const freshet_batch* batch, const freshet_record* record, bool* foreign,
                                 freshet_error* error) {
  const freshet_homes homes = freshet_derived_homes(batch->derived);
  int32_t home = record->partition;
  bool known = false;
  freshet_error cause = {0};
  freshet_status status = FRESHET_OK;
  if (homes.partitioner == FRESHET_PARTITIONER_ANY)
    status = freshet_users_knows(homes.users, record->partition, record->key, &known, error);
  if (status == FRESHET_OK && !known) status = freshet_homes_find(&homes, record->key, &home, error);
  if (status != FRESHET_OK) return status;
  if (home < 0) home = record->partition;
  if (home != record->partition && freshet_foreign_events_is_old(batch->foreign, record)) {
    *foreign = true;
    return forward_event(batch, record, home, error);
  }
  *foreign = freshet_foreign_events_note(batch->foreign, record, home, &cause);
  if (*foreign)
    freshet_dead_letters_add(batch->ports->outbox, batch->ports, record, "TRANSFORMATION", &cause);
  return FRESHET_OK;
}

/* A user who has an event already is owed no list because of an impression: it says nothing new of taste, and the next
 * list learns from it. */
static bool owes_list(const freshet_user_row* row, const freshet_event* event) {
  return row->newest_offset < 0 || !freshet_is_impression(event);
}

/* The list for this event, or for a later one of the user, is committed. What it carries is not known, as it would be made from
 * other knowledge of items now. */
static void pass_list(const freshet_batch* batch, freshet_user_row* row) {
  row->listed_offset = row->newest_offset;
  row->refresh_since_ms = row->withdrawn_ms = row->record_time_ms = 0;
  freshet_user_row_set_owed(row, FRESHET_OWED_WITHDRAWN, false);
  freshet_user_row_set_owed(row, FRESHET_OWED_OUTDATED, false);
  freshet_carriers_forget(batch->derived->carriers, row);
}

static void note_owed(const freshet_batch* batch, const freshet_held_partition* held, freshet_user_row* row,
                      const freshet_record* record, const freshet_event* event, int64_t time_ms) {
  if (row->touched || freshet_user_row_owes(row, FRESHET_OWED_EVENT))
    freshet_count(&batch->ports->metrics->lists_coalesced, 1);
  /* An operator may have gone back in the topic. An older event that is learned then must not make the version of the
   * list older. */
  if (record->offset > row->newest_offset) {
    row->newest_offset = record->offset;
    row->newest_occurred_at_ms = event->occurred_at_ms;
  }
  /* A replay or a backlog says nothing about how fresh lists are now. */
  row->record_time_ms = time_ms >= held->since_ms ? time_ms : 0;
  if (row->refresh_since_ms == 0) row->refresh_since_ms = freshet_clock_now_ms(batch->ports->clock);
  if (record->offset < held->listed.offset) {
    pass_list(batch, row);
  } else {
    freshet_refresh_touch(batch->derived->refresh, row);
  }
}

static bool is_id(const freshet_record* record) {
  return record->has_key && freshet_is_user_id(record->key);
}

/* When the record was written. Its own time comes from its producer: one that is too far ahead of our clock counts as the
 * latest credible time. Otherwise a single producer with a wrong clock would age all ids out of the dedup window. */
static int64_t written_ms(const freshet_batch* batch, const freshet_held_partition* held,
                          const freshet_record* record) {
  const int64_t credible_ms = freshet_clock_now_ms(batch->ports->clock) + CREDIBLE_AHEAD_MS;
  const int64_t newest_ms = held->dedup == NULL ? 0 : freshet_dedup_newest_ms(held->dedup);
  const int64_t most_ms = newest_ms > credible_ms ? newest_ms : credible_ms;
  return record->timestamp_ms < most_ms ? record->timestamp_ms : most_ms;
}

/* No user can have a key such as one that ends with a NUL. The sender of the erasure must hear of that. */
static freshet_status take_erasure(const freshet_batch* batch, const freshet_record* record,
                                   freshet_error* error) {
  freshet_error cause = {0};
  if (freshet_id_validate("the key of an erasure", record->key, &cause) == FRESHET_OK)
    return erase(batch, record, error);
  freshet_dead_letters_add(batch->ports->outbox, batch->ports, record, "KEY_CONVERTER", &cause);
  return FRESHET_OK;
}

static freshet_status apply_event(const freshet_batch* batch, freshet_held_partition* held,
                                  const freshet_record* record, freshet_error* error) {
  freshet_event event;
  freshet_error cause = {0};
  if (!is_id(record)) {
    freshet_error_set(&cause, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                      "the record's key must be a user id of 1 to %d bytes", FRESHET_ID_MAX);
    freshet_dead_letters_add(batch->ports->outbox, batch->ports, record, "KEY_CONVERTER", &cause);
    return FRESHET_OK;
  }
  if (!record->has_value) return take_erasure(batch, record, error);
  freshet_status decoded = freshet_decode_event(batch->ports->codec, record->value, &event, &cause);
  if (decoded == FRESHET_UNAVAILABLE) {
    freshet_awaited_schemas_add(batch->awaited_schemas, held, record, &cause);
    return FRESHET_OK;
  }
  if (decoded != FRESHET_OK) {
    freshet_dead_letters_add(batch->ports->outbox, batch->ports, record, "VALUE_CONVERTER", &cause);
    return FRESHET_OK;
  }
  const uint64_t event_key = freshet_id_key(event.event_id);
  freshet_dedup_announce(held->dedup, event_key);
  if (freshet_event_validate(&event, record->key, record->timestamp_ms, &batch->config->limits, &cause) !=
      FRESHET_OK) {
    freshet_dead_letters_add(batch->ports->outbox, batch->ports, record, "TRANSFORMATION", &cause);
    return FRESHET_OK;
  }
  bool is_foreign = false;
  freshet_status status = check_home(batch, record, &is_foreign, error);
  if (status != FRESHET_OK || is_foreign) return status;
  const int64_t time_ms = written_ms(batch, held, record);
  if (!freshet_dedup_add(held->dedup, event_key, time_ms)) {
    freshet_count(&batch->ports->metrics->events_duplicate, 1);
    freshet_conflicting_ids_skipped(batch->ids, event_key, &event);
    return FRESHET_OK;
  }
  freshet_conflicting_ids_learned(batch->ids, event_key, &event);
  freshet_user_row* row;
  status = freshet_users_get(batch->derived->users, record->partition, event.user_id, &row, error);
  if (status != FRESHET_OK) return status;
  learn(batch, row, &event);
  row->exists = true;
  row->events++;
  row->event_checksum += event_key;
  freshet_users_change(batch->derived->users, row);
  if (owes_list(row, &event)) note_owed(batch, held, row, record, &event, time_ms);
  freshet_count(&batch->ports->metrics->events[event.type], 1);
  return FRESHET_OK;
}

/* Every worker reads the catalogue itself (catalogue/catalogue.h). The worker that holds the partition is responsible
 * for records that cannot be read, and for the text vectors of a withdrawn item. */
static freshet_status check_item(const freshet_batch* batch, freshet_held_partition* held,
                                 const freshet_record* record, freshet_error* error) {
  freshet_item item;
  freshet_error cause = {0};
  if (!record->has_value) {
    return is_id(record)
               ? freshet_texts_forget(freshet_items_texts(batch->derived->items), record->key, error)
               : FRESHET_OK;
  }
  freshet_status decoded = freshet_decode_item(batch->ports->codec, record->value, &item, &cause);
  if (decoded == FRESHET_UNAVAILABLE) {
    freshet_awaited_schemas_add(batch->awaited_schemas, held, record, &cause);
  } else if (decoded != FRESHET_OK) {
    freshet_dead_letters_add(batch->ports->outbox, batch->ports, record, "VALUE_CONVERTER", &cause);
  } else if (freshet_item_validate(&item, record->key, &cause) != FRESHET_OK) {
    freshet_dead_letters_add(batch->ports->outbox, batch->ports, record, "TRANSFORMATION", &cause);
  }
  return FRESHET_OK;
}

static freshet_status take_request(const freshet_batch* batch, freshet_held_partition* held,
                                   const freshet_record* record) {
  freshet_error cause = {0};
  freshet_status status = freshet_answers_take(batch->derived->answers, record, &cause);
  if (status != FRESHET_UNAVAILABLE) return status;
  freshet_awaited_schemas_add(batch->awaited_schemas, held, record, &cause);
  return FRESHET_OK;
}

freshet_status freshet_batch_apply(const freshet_batch* batch, const freshet_record* record,
                                   freshet_error* error) {
  freshet_held_partition* held = freshet_held_find(batch->held, record->topic, record->partition);
  FRESHET_ASSERT(held != NULL); /* the source returns records of assigned partitions only */
  if (record->topic == FRESHET_TOPIC_EVENTS && batch->texts_first->is_waiting)
    return FRESHET_OK;                        /* it comes again */
  if (held->awaits_schema) return FRESHET_OK; /* so does it */
  freshet_status status = FRESHET_OK;
  if (record->topic == FRESHET_TOPIC_EVENTS) status = apply_event(batch, held, record, error);
  if (record->topic == FRESHET_TOPIC_ITEMS) status = check_item(batch, held, record, error);
  if (record->topic == FRESHET_TOPIC_REQUESTS) status = take_request(batch, held, record);
  if (status != FRESHET_OK || held->awaits_schema) return status;
  const bool was_replaying = freshet_held_is_replaying(held);
  freshet_held_advance(held, record->offset + 1, written_ms(batch, held, record));
  if (was_replaying && !freshet_held_is_replaying(held))
    freshet_withdrawals_end_replay(batch->derived->withdrawals, held);
  return FRESHET_OK;
}

size_t freshet_batch_fit(size_t most, size_t count, int64_t cpu_us, bool is_urgent) {
  if (cpu_us > TURN_US || is_urgent) return most > FRESHET_BATCH_LEAST ? most / 2 : most;
  return cpu_us < TURN_US / 2 && count == most && most < FRESHET_BATCH_MOST ? 2 * most : most;
}
