/*
 * learned.c: see learned.h. This file folds deltas, reads the rows of the store and puts them; learned_pass.c says when;
 * learned_checkpoint.c writes and reads checkpoints.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "catalogue/item_rows.h"
#include "catalogue/learned_internal.h"
#include "core/grow.h"
#include "core/table.h"

enum {
  RECORD_BYTES = 1000000, /* of a delta's record: brokers take 1 MiB, if nobody has changed that */
  BEFORE_ALL = -1,        /* an offset */
  NO_POSITION = -1,       /* in the store: its rows reflect nothing yet */
  MARK_PLACE = 1, /* in the store: as a partition of the deltas, which have one, the mark of the position */
  HEAD_BYTES = 96 << 10, /* of it: globals, names and the last event, whose items may be many and wide */
};

/* The row of the store for what belongs to no single item. Item keys have another length. */
static const freshet_slice globals_key = {"\0global", 7};

freshet_learned* freshet_learned_create(const freshet_ports* ports, freshet_model* model,
                                        int64_t store_interval_ms, int64_t checkpoint_interval_ms,
                                        size_t rows_a_turn) {
  freshet_learned* learned = calloc(1, sizeof *learned);
  FRESHET_ASSERT(learned != NULL);
  learned->ports = *ports;
  learned->model = model;
  learned->checkpointed_to = -1;
  learned->mark = learned->log = FRESHET_NO_MARK;
  learned->parked = freshet_parked_items_create(ports->store);
  const freshet_model_parked parked = freshet_parked_items_for_model(learned->parked);
  freshet_model_set_parked(model, &parked);
  learned->store_interval_ms = store_interval_ms;
  learned->checkpoint_interval_ms = checkpoint_interval_ms;
  learned->rows_a_turn = rows_a_turn;
  uint64_t incarnation[2];
  ssize_t size = getrandom(incarnation, sizeof incarnation, 0);
  FRESHET_ASSERT(size == (ssize_t)sizeof incarnation);
  snprintf(learned->worker_name, sizeof learned->worker_name, "%016llx%016llx",
           (unsigned long long)incarnation[0], (unsigned long long)incarnation[1]);
  return learned;
}

void freshet_learned_destroy(freshet_learned* learned) {
  if (learned == NULL) return;
  freshet_model_watch_changes(learned->model, NULL);
  freshet_buffer_free(&learned->bytes);
  freshet_buffer_free(&learned->pass.globals);
  freshet_buffer_free(&learned->pass.row);
  free(learned->pass.waits);
  free(learned->pass.owned);
  freshet_parked_items_destroy(learned->parked);
  freshet_learned_free_checkpoints(learned);
  free(learned->parked_by);
  freshet_table_free(learned->counted_by);
  freshet_table_free(learned->is_unwritten);
  free(learned);
}

/* ---- deltas ---- */

static bool is_reflected(const freshet_learned* learned, const freshet_record* record) {
  return record->offset < learned->reflected_end && record->timestamp_ms <= learned->reflected_ms;
}

static freshet_status fold(freshet_learned* learned, const freshet_record* record, freshet_error* error) {
  freshet_model_delta delta;
  freshet_slice worker;
  freshet_status status =
      freshet_decode_item_delta(learned->ports.codec, record->value, &worker, &delta, error);
  if (status == FRESHET_OK && freshet_slice_equal(worker, freshet_slice_of(learned->worker_name)))
    return FRESHET_OK;
  if (status == FRESHET_OK) status = freshet_model_fold(learned->model, &delta, record->offset, error);
  freshet_count(&learned->ports.metrics->item_deltas_folded, 1);
  if (status != FRESHET_OK) return status;
  return freshet_parked_items_failure(learned->parked, error);
}

freshet_status freshet_learned_apply_delta(freshet_learned* learned, const freshet_record* record,
                                           freshet_error* error) {
  const freshet_mark mark = freshet_mark_of(record->offset, record->timestamp_ms, record->key, record->value);
  /* Also of a record that is no delta: a start that finds it in the log takes it, too. */
  if (learned->log_end == 0 && learned->log.offset < 0) learned->log = mark;
  if (!record->has_value || is_reflected(learned, record)) return FRESHET_OK;
  freshet_status status = fold(learned, record, error);
  if (status == FRESHET_OK) learned->mark = mark;
  return status;
}

static freshet_status write_part(freshet_learned* learned, freshet_outbox* outbox,
                                 const freshet_model_delta* delta, freshet_error* error) {
  learned->bytes.size = 0;
  freshet_status status = freshet_encode_item_delta(
      learned->ports.codec, freshet_slice_of(learned->worker_name), delta, &learned->bytes, error);
  if (status != FRESHET_OK) return status;
  freshet_output output = {.topic = FRESHET_TOPIC_ITEM_DELTAS,
                           .partition = 0,
                           .has_value = true,
                           .value = freshet_buffer_slice(&learned->bytes)};
  return freshet_outbox_add(outbox, &output, FRESHET_IN_TRANSACTION, error);
}

static freshet_status write_record(freshet_learned* learned, freshet_outbox* outbox, freshet_error* error) {
  const size_t limit = freshet_outbox_limit(outbox, FRESHET_TOPIC_ITEM_DELTAS);
  const size_t most = limit < RECORD_BYTES ? limit : RECORD_BYTES;
  freshet_model_delta part;
  if (!freshet_model_take_part(learned->model, most > HEAD_BYTES ? most - HEAD_BYTES : 1, &part))
    return FRESHET_OK;
  return write_part(learned, outbox, &part, error);
}

void freshet_learned_start_delta(freshet_learned* learned) {
  freshet_model_start_take(learned->model);
}

freshet_status freshet_learned_write_some(freshet_learned* learned, freshet_outbox* outbox, size_t most,
                                          bool* is_all, freshet_error* error) {
  const bool is_prepared = freshet_model_prepare_take(learned->model, most);
  freshet_status status = is_prepared ? write_record(learned, outbox, error) : FRESHET_OK;
  *is_all = !freshet_model_is_taking(learned->model);
  return status;
}

freshet_status freshet_learned_write_delta(freshet_learned* learned, freshet_outbox* outbox,
                                           freshet_error* error) {
  freshet_status status = FRESHET_OK;
  freshet_model_start_take(learned->model);
  while (status == FRESHET_OK && freshet_model_is_taking(learned->model))
    status = write_record(learned, outbox, error);
  return status;
}

void freshet_learned_committed(freshet_learned* learned, const freshet_outbox* outbox) {
  int64_t end = freshet_outbox_written_end(outbox, FRESHET_TOPIC_ITEM_DELTAS, 0);
  if (end > learned->own_end) learned->own_end = end;
}

/* ---- rows of the store ---- */

void freshet_learned_note_unwritten(freshet_learned* learned, uint32_t slot) {
  learned->is_unwritten = freshet_table_reach(learned->is_unwritten, &learned->unwritten_capacity,
                                              (size_t)slot + 1, sizeof *learned->is_unwritten);
  learned->is_unwritten[slot] = true;
}

/* In a large catalogue most items have taught nothing. Their rows would be most of what a restart reads. Where the store has
 * no rows yet, nothing is there that such a row would have to replace. */
static bool needs_row(const freshet_learned* learned, freshet_slice row) {
  const bool has_rows = !learned->stores_all || learned->is_renumbered;
  return has_rows || !freshet_model_row_is_blank(row);
}

bool freshet_learned_put_row(freshet_learned* learned, uint32_t slot, int64_t folded_to,
                             freshet_buffer* scratch) {
  freshet_store* store = learned->ports.store;
  uint64_t key = freshet_model_item_key(learned->model, slot);
  scratch->size = 0;
  freshet_model_write_item(learned->model, slot, folded_to, scratch);
  if (!needs_row(learned, freshet_buffer_slice(scratch))) return false;
  freshet_store_put(store, FRESHET_FAMILY_ITEMS, 0, (freshet_slice){(const char*)&key, sizeof key},
                    freshet_buffer_slice(scratch));
  freshet_learned_note_unwritten(learned, slot);
  return true;
}

void freshet_learned_put_globals(freshet_learned* learned, freshet_slice globals, int64_t folded_to,
                                 const freshet_mark* mark) {
  freshet_store* store = learned->ports.store;
  freshet_store_set_position(store, FRESHET_TOPIC_ITEM_DELTAS, MARK_PLACE, mark->offset,
                             freshet_mark_number(mark));
  freshet_store_put(store, FRESHET_FAMILY_ITEMS, 0, globals_key, globals);
  freshet_store_set_position(store, FRESHET_TOPIC_ITEM_DELTAS, 0, folded_to,
                             freshet_clock_now_ms(learned->ports.clock));
}

static bool has_to_be_put(const freshet_learned* learned, size_t slot) {
  return learned->stores_all || (slot < learned->pass.slots && learned->pass.waits[slot]);
}

/* Rows that wait in a pass have not changed, so they say as well what is true now. */
static void put_changed_rows(freshet_learned* learned, int64_t folded_to) {
  FRESHET_ASSERT(!freshet_model_is_taking(learned->model));
  const uint32_t* slots;
  const size_t count = freshet_model_drain_changed(learned->model, &slots);
  const size_t all = learned->stores_all ? freshet_model_item_count(learned->model) : learned->pass.slots;
  for (size_t slot = 0; slot < all; slot++) {
    if (has_to_be_put(learned, slot))
      freshet_learned_put_row(learned, (uint32_t)slot, folded_to, &learned->bytes);
  }
  for (size_t i = 0; i < count && !learned->stores_all; i++)
    freshet_learned_put_row(learned, slots[i], folded_to, &learned->bytes);
  learned->stores_all = false;
  learned->bytes.size = 0;
  freshet_model_write_globals(learned->model, folded_to, &learned->bytes);
  freshet_learned_put_globals(learned, freshet_buffer_slice(&learned->bytes), folded_to, &learned->mark);
}

/* Reads on until every own delta has come back. False: not within the time. */
static bool own_deltas_are_back(const freshet_learned* learned, freshet_item_logs* logs, int wait_ms,
                                freshet_status* status, freshet_error* error) {
  freshet_clock* clock = learned->ports.clock;
  int64_t deadline_us = freshet_clock_monotonic_us(clock) + (int64_t)wait_ms * 1000;
  *status = FRESHET_OK;
  while (freshet_item_logs_position(logs, FRESHET_TOPIC_ITEM_DELTAS, 0) < learned->own_end) {
    bool is_all;
    *status = freshet_item_logs_poll(logs, 1, &is_all, error);
    if (*status != FRESHET_OK || freshet_clock_monotonic_us(clock) > deadline_us) return false;
  }
  return true;
}

bool freshet_learned_store_is_due(const freshet_learned* learned) {
  return learned->pass.stage == FRESHET_PASS_NONE &&
         freshet_clock_monotonic_ms(learned->ports.clock) >= learned->next_store_ms;
}

freshet_status freshet_learned_store(freshet_learned* learned, freshet_item_logs* logs, int wait_ms,
                                     bool* stored, freshet_error* error) {
  freshet_status status;
  *stored = false;
  if (!own_deltas_are_back(learned, logs, wait_ms, &status, error)) return status;
  status = freshet_parked_items_failure(learned->parked, error);
  if (status != FRESHET_OK) return status;
  put_changed_rows(learned, freshet_item_logs_position(logs, FRESHET_TOPIC_ITEM_DELTAS, 0));
  freshet_learned_end_pass(learned);
  learned->next_store_ms = freshet_clock_monotonic_ms(learned->ports.clock) + learned->store_interval_ms;
  *stored = true;
  return FRESHET_OK;
}

/* ---- loading ---- */

bool freshet_learned_lacks_room(const freshet_learned* learned, uint64_t key) {
  return freshet_model_find_key(learned->model, key) == FRESHET_NO_ITEM &&
         freshet_model_item_count(learned->model) >= freshet_model_get_config(learned->model)->max_items;
}

/* An item that nobody announces, but of which something has been learned. */
typedef struct unannounced_item {
  uint64_t key, last_chosen;
} unannounced_item;

typedef struct load_context {
  freshet_learned* learned;
  unannounced_item* found; /* [count] */
  size_t count, capacity;
  freshet_error* error;
  freshet_status status;
} load_context;

/* False: it is no row of an item. */
static bool takes_item_key(load_context* load, freshet_slice key, uint64_t* item_key) {
  if (key.size == sizeof *item_key) {
    memcpy(item_key, key.data, sizeof *item_key);
    return true;
  }
  if (!freshet_slice_equal(key, globals_key))
    load->status = freshet_damaged_row(load->error, "what has been learned about items");
  return false;
}

static bool find_unannounced(void* context, freshet_slice key, freshet_slice value) {
  load_context* load = context;
  freshet_model* model = load->learned->model;
  unannounced_item found;
  if (!takes_item_key(load, key, &found.key)) return load->status == FRESHET_OK;
  if (freshet_model_find_key(model, found.key) != FRESHET_NO_ITEM) return true;
  load->status = freshet_model_check_item(model, value, &found.last_chosen, load->error);
  if (load->status != FRESHET_OK) return false;
  load->found = freshet_grow(load->found, &load->capacity, load->count + 1, sizeof *load->found);
  load->found[load->count++] = found;
  return true;
}

static int latest_first(const void* a, const void* b) {
  const unannounced_item *x = a, *y = b;
  if (x->last_chosen != y->last_chosen) return x->last_chosen > y->last_chosen ? -1 : 1;
  return (x->key > y->key) - (x->key < y->key);
}

/* Announced items have their slots already. The others get theirs as far as max_items goes. When it does not, they leave
 * a quarter of it free, so that the tables need not be made again soon: those that were chosen latest stay in memory. */
static void give_slots(load_context* load) {
  freshet_learned* learned = load->learned;
  const size_t most = freshet_model_get_config(learned->model)->max_items;
  const size_t announced = freshet_model_item_count(learned->model);
  size_t stay = load->count;
  if (load->count > 0 && announced + load->count > most) {
    const size_t target = most - most / 4;
    stay = announced >= target ? 0 : target - announced;
    qsort(load->found, load->count, sizeof *load->found, latest_first);
  }
  for (size_t i = stay; i < load->count; i++) freshet_parked_items_add(learned->parked, load->found[i].key);
  for (size_t i = 0; i < stay; i++) {
    uint32_t slot;
    FRESHET_ASSERT(freshet_model_intern_key(learned->model, load->found[i].key, &slot, NULL) == FRESHET_OK);
  }
}

static bool load_row(void* context, freshet_slice key, freshet_slice value) {
  load_context* load = context;
  freshet_model* model = load->learned->model;
  uint64_t item_key;
  if (freshet_slice_equal(key, globals_key)) {
    load->status = freshet_model_read_globals(model, value, load->error);
  } else if (takes_item_key(load, key, &item_key)) {
    const uint32_t slot = freshet_model_find_key(model, item_key);
    if (slot != FRESHET_NO_ITEM) load->status = freshet_model_read_item(model, slot, value, load->error);
  }
  return load->status == FRESHET_OK;
}

/* The first scan decides which items get slots: lists of neighbours name items whose rows come later. */
static freshet_status load_rows(freshet_learned* learned, freshet_error* error) {
  freshet_store* store = learned->ports.store;
  const freshet_slice all = {NULL, 0};
  load_context load = {.learned = learned, .error = error};
  freshet_status status =
      freshet_store_scan(store, FRESHET_FAMILY_ITEMS, 0, all, find_unannounced, &load, error);
  if (status == FRESHET_OK) status = load.status;
  if (status == FRESHET_OK) {
    give_slots(&load);
    status = freshet_store_scan(store, FRESHET_FAMILY_ITEMS, 0, all, load_row, &load, error);
  }
  if (status == FRESHET_OK) status = load.status;
  free(load.found);
  return status;
}

size_t freshet_learned_parked(const freshet_learned* learned) {
  return freshet_parked_items_count(learned->parked);
}

static const char* name_of_deltas(const freshet_learned* learned) {
  return freshet_outbox_topic_name(learned->ports.outbox, FRESHET_TOPIC_ITEM_DELTAS);
}

static freshet_status renumber_parked_row(void* context, uint64_t item_key, bool* is_written,
                                          freshet_error* error) {
  freshet_learned* learned = context;
  (void)is_written; /* checkpoints have it to write */
  return freshet_learned_renumber_parked(learned, item_key, error);
}

/* The new log may soon be longer than the position that the store has. So the store counts by the new log before anything
 * is read of it. Checkpoints do after the first pass. */
static freshet_status renumber(freshet_learned* learned, int64_t first, freshet_error* error) {
  size_t from = 0;
  bool is_all;
  freshet_status status =
      freshet_store_write(learned->ports.store, error); /* rows of parked items are in it */
  if (status == FRESHET_OK)
    status = freshet_parked_items_unwritten(learned->parked, &from, SIZE_MAX, renumber_parked_row, learned,
                                            &is_all, error);
  if (status != FRESHET_OK) return status;
  learned->stores_all = true;
  learned->is_renumbered = true;
  put_changed_rows(learned, first);
  return freshet_store_write(learned->ports.store, error);
}

/* Is the delta that was folded last no longer where it was? Then the topic was made again, and is longer than before. A
 * delta that has expired says nothing. No other one leaves the log from its middle. */
static freshet_status compare_mark(freshet_learned* learned, freshet_item_logs* logs,
                                   const freshet_stored_position* stored, int64_t first, bool* is_other,
                                   freshet_error* error) {
  int64_t offset, number;
  *is_other = false;
  if (!stored->is_usable ||
      freshet_store_position(learned->ports.store, FRESHET_TOPIC_ITEM_DELTAS, MARK_PLACE, &offset, &number,
                             NULL) != FRESHET_OK ||
      offset < first || offset >= stored->offset)
    return FRESHET_OK;
  freshet_status status =
      freshet_item_logs_mark_at(logs, FRESHET_TOPIC_ITEM_DELTAS, 0, offset, &learned->mark, error);
  *is_other = status == FRESHET_OK &&
              (learned->mark.offset != offset || freshet_mark_number(&learned->mark) != number);
  return status;
}

static void tell_replaced(const freshet_learned* learned, int64_t from, int64_t end) {
  freshet_log_fact(
      learned->ports.logger, FRESHET_ERROR, "deltas.replaced",
      "topic=%s from=%lld end=%lld message=\"the topic was made again: it is read from its beginning, "
      "and what was learned about items stays\"",
      name_of_deltas(learned), (long long)from, (long long)end);
}

/* Kafka may have less than the fold was to go on with: the deltas expired during a long absence, the topic was made again,
 * or its end was cut off. A start that waited for them would never succeed. Records that are there and that are not later
 * than the rows of the store are in these rows: then the log was cut. */
static freshet_status fit_to_log(freshet_learned* learned, freshet_item_logs* logs,
                                 const freshet_stored_position* stored, int64_t* start,
                                 freshet_error* error) {
  int64_t first, end;
  bool is_other;
  freshet_status status = freshet_item_logs_range(logs, FRESHET_TOPIC_ITEM_DELTAS, 0, &first, &end, error);
  if (status == FRESHET_OK) status = compare_mark(learned, logs, stored, first, &is_other, error);
  if (status != FRESHET_OK) return status;
  const int64_t from = *start == FRESHET_OFFSET_BEGINNING ? 0 : *start;
  if (freshet_model_fit_log(learned->model, is_other ? BEFORE_ALL : end)) {
    learned->mark = FRESHET_NO_MARK;
    tell_replaced(learned, from, end);
    *start = FRESHET_OFFSET_BEGINNING;
    learned->reflected_end = stored->is_beyond ? end : 0;
    learned->reflected_ms = stored->time_ms;
    status = renumber(learned, first, error);
  } else if (learned->has_other) {
    tell_replaced(learned, from, end);
    *start = FRESHET_OFFSET_BEGINNING;
    learned->is_renumbered = true;
  } else if (from < first) {
    freshet_log_fact(
        learned->ports.logger, FRESHET_ERROR, "deltas.lost",
        "topic=%s from=%lld to=%lld message=\"Kafka deleted them before they were read: what they taught "
        "about items is lost\"",
        name_of_deltas(learned), (long long)from, (long long)first);
    *start = first;
  }
  return status;
}

freshet_status freshet_learned_load(freshet_learned* learned, freshet_item_logs* logs, int32_t shares,
                                    freshet_error* error) {
  freshet_store* store = learned->ports.store;
  freshet_clock* clock = learned->ports.clock;
  freshet_stored_position stored;
  learned->shares = shares;
  learned->pass.owned = calloc((size_t)shares + 1, sizeof *learned->pass.owned);
  FRESHET_ASSERT(learned->pass.owned != NULL);
  freshet_status status = freshet_item_logs_stored(logs, FRESHET_TOPIC_ITEM_DELTAS, 0, &stored, error);
  if (status != FRESHET_OK) return status;
  const bool has_rows = stored.is_usable || stored.is_beyond;
  if (has_rows) {
    status = load_rows(learned, error);
  } else {
    freshet_store_clear(store, FRESHET_FAMILY_ITEMS, 0);
    freshet_store_set_position(store, FRESHET_TOPIC_ITEM_DELTAS, 0, NO_POSITION,
                               0); /* not until rows are in it */
  }
  learned->stores_all = !has_rows;
  int64_t start = stored.offset;
  if (status == FRESHET_OK) status = freshet_learned_load_states(learned, logs, !has_rows, &start, error);
  if (status == FRESHET_OK) status = fit_to_log(learned, logs, &stored, &start, error);
  if (status == FRESHET_OK) status = freshet_item_logs_open(logs, FRESHET_TOPIC_ITEM_DELTAS, 0, start, error);
  if (status == FRESHET_OK) status = freshet_item_logs_catch_up(logs, FRESHET_TOPIC_ITEM_DELTAS, 1, error);
  const int64_t now_ms = freshet_clock_monotonic_ms(clock);
  learned->next_store_ms = learned->is_renumbered ? now_ms : now_ms + learned->store_interval_ms;
  learned->next_checkpoint_ms = learned->is_renumbered ? now_ms : now_ms + learned->checkpoint_interval_ms;
  return status;
}
