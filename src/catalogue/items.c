#include "catalogue/items.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "catalogue/texts.h"

enum {
  POLL_RECORDS = 512,
  CHECKPOINT_WAIT_MS = 1000,
  LOAD_WAIT_MS = 100,
  LOAD_STALL_MS = 90000, /* a broker that gives nothing for so long while there is more is an error; longer
                            than any transaction may stay open */
  EXPIRY_ITEMS_PER_MS = 10000,
  STORE_RECORDS = 4096, /* records between two store writes while loading */
};

/* The row of the store for what belongs to no single item; in <app>.items the number of a share (i32 LE)
 * follows, see freshet_items_checkpoint. Item keys have another length. */
static const freshet_slice globals_key = {"\0global", 7};
/* In front of an item key (u64 LE): the key of its learned state in <app>.items. */
static const freshet_slice learned_key = {"\0item", 5};
enum { STATE_KEY_MAX = 16 };

/* What is known about an item beside the model. */
typedef struct listing {
  bool announced;
  bool available;
  bool unwritten; /* learned state changed since its last checkpoint */
  int64_t expires_at_ms;
  int64_t gone_ms; /* since when it is not listed */
} listing;

struct freshet_items {
  freshet_stream_config config;
  freshet_ports ports;
  freshet_model* model;
  freshet_ranker* ranker;
  listing* listings; /* [listing_count] by slot */
  size_t listing_count;
  freshet_facets* facets;
  size_t listed; /* items that may be recommended now */
  int32_t catalogue_partitions;
  char worker_name[64];            /* of this incarnation: its own deltas come back under this name */
  freshet_generations generations; /* of their encoders */
  freshet_texts* texts;
  freshet_serving* serving; /* not owned */
  freshet_buffer bytes;
  int64_t next_expiry_ms; /* nothing expires before, INT64_MAX: ever */
  int64_t next_expiry_check_ms;
  uint64_t delistings;
  uint32_t new_items[FRESHET_NEW_ITEMS_MAX]; /* [new_count] */
  size_t new_count;
  int64_t next_new_ms;
  int64_t applied_ms; /* time of the record that is being applied; 0: unknown */
  int64_t next_store_ms;
  int64_t next_checkpoint_ms;
  int64_t own_end; /* in the delta log, after the last own record: everything own has come back when reading
                      has passed it */
  bool bootstrapping;       /* reading checkpoints: the store is empty */
  int32_t state_partitions; /* of <app>.items, 0 until they are open */
  bool store_all;           /* the state did not come from the store: the first store writes every row */
  int64_t* checkpoints; /* [catalogue_partitions] while loading: deltas from here on may be missing from the
                           checkpoint of the share, -1: none */
  int64_t globals_at;   /* while loading: the position of the globals read so far */
  freshet_record records[POLL_RECORDS];
};

static listing* listing_of(freshet_items* items, uint32_t slot) {
  if (slot >= items->listing_count) {
    size_t count = items->listing_count == 0 ? 1024 : items->listing_count;
    while (count <= slot) count *= 2;
    items->listings = realloc(items->listings, count * sizeof *items->listings);
    FRESHET_ASSERT(items->listings != NULL);
    for (size_t i = items->listing_count; i < count; i++) items->listings[i] = (listing){0};
    items->listing_count = count;
  }
  return &items->listings[slot];
}

/* When the item leaves the lists by itself: it expires, or grows too old; INT64_MAX: never. */
static int64_t end_of(const freshet_items* items, uint32_t slot) {
  int64_t expires_ms = items->listings[slot].expires_at_ms;
  int64_t too_old_ms = freshet_rules_ends_ms(items->config.rules, items->facets, slot);
  if (expires_ms == 0) expires_ms = INT64_MAX;
  return too_old_ms != 0 && too_old_ms < expires_ms ? too_old_ms : expires_ms;
}

static void apply_listing(freshet_items* items, uint32_t slot) {
  listing* l = listing_of(items, slot);
  int64_t now_ms = freshet_clock_now_ms(items->ports.clock);
  int64_t end_ms = end_of(items, slot);
  bool offered = l->announced && l->available;
  bool listed = offered && end_ms > now_ms;
  if (listed && end_ms < items->next_expiry_ms) items->next_expiry_ms = end_ms;
  if (freshet_model_is_listed(items->model, slot) == listed) return;
  freshet_model_set_listed(items->model, slot, listed);
  items->listed += listed ? 1 : (size_t)-1;
  if (listed) return;
  items->delistings++;
  l->gone_ms = offered ? end_ms : items->applied_ms > 0 ? items->applied_ms : now_ms;
}

/* Looks through all items when one expires, which takes about 3 ns each; a large catalogue is given a pause
 * between, of at most 3 % of the time. */
static void delist_expired(freshet_items* items) {
  int64_t now_ms = freshet_clock_now_ms(items->ports.clock);
  if (now_ms < items->next_expiry_ms || now_ms < items->next_expiry_check_ms) return;
  items->next_expiry_check_ms = now_ms + (int64_t)(items->listing_count / EXPIRY_ITEMS_PER_MS);
  items->next_expiry_ms = INT64_MAX;
  size_t count = freshet_model_item_count(items->model);
  for (size_t slot = 0; slot < count && slot < items->listing_count; slot++) {
    if (end_of(items, (uint32_t)slot) != INT64_MAX) apply_listing(items, (uint32_t)slot);
  }
}

static int by_age(const void* a, const void* b, void* context) {
  const freshet_items* items = context;
  int64_t x = freshet_facets_created_ms(items->facets, *(const uint32_t*)a);
  int64_t y = freshet_facets_created_ms(items->facets, *(const uint32_t*)b);
  return x > y ? -1 : x < y;
}

static void find_new(freshet_items* items) {
  int64_t now_ms = freshet_clock_now_ms(items->ports.clock);
  size_t known = freshet_model_item_count(items->model), count = 0;
  items->new_count = 0;
  if (items->config.rules->new_share <= 0) return;
  uint32_t* found = malloc((known + 1) * sizeof *found);
  FRESHET_ASSERT(found != NULL);
  for (uint32_t slot = 0; slot < known; slot++) {
    bool is_new = freshet_model_is_listed(items->model, slot) &&
                  freshet_rules_is_new(items->config.rules, items->facets, slot, now_ms);
    if (is_new) found[count++] = slot;
  }
  qsort_r(found, count, sizeof *found, by_age, items);
  items->new_count = count < FRESHET_NEW_ITEMS_MAX ? count : FRESHET_NEW_ITEMS_MAX;
  memcpy(items->new_items, found, items->new_count * sizeof *found);
  free(found);
}

/* One slot under the rules. */
static void apply_rules(freshet_items* items, uint32_t slot) {
  freshet_model_set_adjustment(items->model, slot,
                               freshet_rules_adjustment(items->config.rules, items->facets, slot));
  apply_listing(items, slot);
}

void freshet_items_apply_rules(freshet_items* items) {
  size_t count = freshet_model_item_count(items->model);
  for (uint32_t slot = 0; slot < count; slot++) {
    listing_of(items, slot);
    apply_rules(items, slot);
  }
  find_new(items);
}

const freshet_rules* freshet_items_rules(const freshet_items* items) {
  return items->config.rules;
}

uint32_t freshet_items_find_key(const freshet_items* items, uint64_t key) {
  return freshet_model_find_key(items->model, key);
}

const uint32_t* freshet_items_new(const freshet_items* items, size_t* count) {
  *count = items->new_count;
  return items->new_items;
}

/* ---- the catalogue ---- */

static freshet_status withdraw(freshet_items* items, freshet_slice key, freshet_error* error) {
  uint32_t slot = freshet_model_find(items->model, key);
  if (slot == FRESHET_NO_ITEM) return FRESHET_OK;
  listing* l = listing_of(items, slot);
  *l = (listing){.unwritten = l->unwritten, .gone_ms = l->gone_ms};
  freshet_facets_set(items->facets, slot, NULL);
  freshet_model_set_adjustment(items->model, slot, 0);
  apply_listing(items, slot);
  return freshet_texts_announced(items->texts, slot, -1, NULL, error);
}

/* Applies the bytes of an Item record. Bad records are skipped here (*is_valid tells): the worker that owns
 * the partition reads them through the group too and sends them to the dead letters. */
static freshet_status announce(freshet_items* items, int32_t partition, freshet_slice key,
                               freshet_slice value, bool* is_valid, freshet_error* error) {
  freshet_item item;
  uint32_t slot;
  *is_valid = freshet_decode_item(items->ports.codec, value, &item, NULL) == FRESHET_OK &&
              freshet_item_validate(&item, key, NULL) == FRESHET_OK;
  if (!*is_valid) return FRESHET_OK;
  freshet_error refused = {0};
  if (freshet_model_intern(items->model, item.item_id, &slot, &refused) != FRESHET_OK) {
    freshet_count(&items->ports.metrics->items_refused, 1);
    freshet_log_fact(items->ports.logger, FRESHET_WARN, "item.refused", "item=\"%.*s\" reason=\"%s\"",
                     (int)item.item_id.size, item.item_id.data, refused.message);
    return FRESHET_OK;
  }
  listing* l = listing_of(items, slot);
  l->announced = true;
  l->available = item.available;
  l->expires_at_ms = item.expires_at_ms;
  freshet_facets_set(items->facets, slot, &item);
  apply_rules(items, slot);
  return freshet_texts_announced(items->texts, slot, partition, &item, error);
}

/* ---- reading the logs ---- */

/* The partition goes in front, so that a restart knows the owner. */
static void put_catalogue_row(freshet_items* items, const freshet_record* record) {
  items->bytes.size = 0;
  freshet_buffer_append(&items->bytes, &record->partition, sizeof record->partition);
  freshet_buffer_append(&items->bytes, record->value.data, record->value.size);
  freshet_store_put(items->ports.store, FRESHET_FAMILY_CATALOGUE, 0, record->key,
                    freshet_buffer_slice(&items->bytes));
}

/* A bad record changes nothing, neither here nor after a restart. */
static freshet_status apply_catalogue_record(freshet_items* items, const freshet_record* record,
                                             freshet_error* error) {
  freshet_store* store = items->ports.store;
  freshet_status status;
  freshet_count(&items->ports.metrics->item_records, 1);
  items->applied_ms = record->timestamp_ms;
  if (record->has_value) {
    bool is_valid;
    status = announce(items, record->partition, record->key, record->value, &is_valid, error);
    if (is_valid) put_catalogue_row(items, record);
  } else {
    status = withdraw(items, record->key, error);
    freshet_store_remove(store, FRESHET_FAMILY_CATALOGUE, 0, record->key);
  }
  freshet_store_set_position(store, FRESHET_TOPIC_ITEMS, record->partition, record->offset + 1,
                             freshet_clock_now_ms(items->ports.clock));
  return status;
}

static freshet_status apply_delta_record(freshet_items* items, const freshet_record* record,
                                         freshet_error* error) {
  if (!record->has_value) return FRESHET_OK;
  freshet_model_delta delta;
  freshet_slice worker;
  freshet_status status =
      freshet_decode_item_delta(items->ports.codec, record->value, &worker, &delta, error);
  if (status == FRESHET_OK && freshet_slice_equal(worker, freshet_slice_of(items->worker_name)))
    return FRESHET_OK;
  if (status == FRESHET_OK) status = freshet_model_fold(items->model, &delta, record->offset, error);
  freshet_count(&items->ports.metrics->item_deltas_folded, 1);
  return status;
}

static freshet_status apply_checkpoint(freshet_items* items, int32_t share, const freshet_item_state* state,
                                       freshet_error* error) {
  if (share >= 0 && share < items->catalogue_partitions) items->checkpoints[share] = state->folded_to;
  if (state->folded_to < items->globals_at) return FRESHET_OK;
  items->globals_at = state->folded_to;
  return freshet_model_read_globals(items->model, state->learned, error);
}

static bool takes_number(freshet_slice key, freshet_slice prefix, void* number, size_t size) {
  bool matches = key.size == prefix.size + size && memcmp(key.data, prefix.data, prefix.size) == 0;
  if (matches) memcpy(number, key.data + prefix.size, size);
  return matches;
}

static freshet_status apply_item_state(freshet_items* items, const freshet_record* record,
                                       freshet_error* error) {
  bool is_text;
  freshet_status status = freshet_texts_apply(items->texts, record, &is_text, error);
  if (status != FRESHET_OK || is_text) return status;
  if (!record->has_value || !items->bootstrapping) return FRESHET_OK; /* the deltas say the same */
  freshet_item_state state;
  int32_t share;
  uint64_t item_key;
  uint32_t slot;
  status = freshet_decode_item_state(items->ports.codec, record->value, &state, error);
  if (status != FRESHET_OK) return status;
  if (takes_number(record->key, globals_key, &share, sizeof share))
    return apply_checkpoint(items, share, &state, error);
  if (!takes_number(record->key, learned_key, &item_key, sizeof item_key)) return FRESHET_OK;
  status = freshet_model_intern_key(items->model, item_key, &slot, error);
  return status != FRESHET_OK ? status : freshet_model_read_item(items->model, slot, state.learned, error);
}

static freshet_status apply(freshet_items* items, const freshet_record* record, freshet_error* error) {
  switch (record->topic) {
    case FRESHET_TOPIC_ITEMS:
      return apply_catalogue_record(items, record, error);
    case FRESHET_TOPIC_ITEM_DELTAS:
      return apply_delta_record(items, record, error);
    case FRESHET_TOPIC_ITEM_STATES:
      freshet_store_set_position(items->ports.store, record->topic, record->partition, record->offset + 1,
                                 freshet_clock_now_ms(items->ports.clock));
      return apply_item_state(items, record, error);
    case FRESHET_TOPIC_GENERATIONS:
      return freshet_serving_apply(items->serving, items->ports.codec, record, error);
    default:
      return FRESHET_OK;
  }
}

static freshet_status poll_once(freshet_items* items, int timeout_ms, size_t* count, freshet_error* error) {
  freshet_reader* reader = items->ports.reader;
  freshet_status status = freshet_reader_poll(reader, timeout_ms, items->records, POLL_RECORDS, count, error);
  for (size_t i = 0; status == FRESHET_OK && i < *count; i++)
    status = apply(items, &items->records[i], error);
  return status;
}

/* Reads until the position of every partition of the topic has reached its end as of now. The partitions stay
 * open. */
static freshet_status catch_up(freshet_items* items, freshet_topic topic, int32_t partitions,
                               freshet_error* error) {
  freshet_reader* reader = items->ports.reader;
  freshet_clock* clock = items->ports.clock;
  size_t unwritten = 0;
  for (int32_t p = 0; p < partitions; p++) {
    int64_t first, end, heard_us = freshet_clock_monotonic_us(clock);
    freshet_status status = freshet_reader_range(reader, topic, p, &first, &end, error);
    while (status == FRESHET_OK && freshet_reader_position(reader, topic, p) < end) {
      size_t count = 0;
      int64_t before = freshet_reader_position(reader, topic, p);
      status = poll_once(items, LOAD_WAIT_MS, &count, error);
      if (count > 0 || freshet_reader_position(reader, topic, p) != before)
        heard_us = freshet_clock_monotonic_us(clock);
      if (freshet_clock_monotonic_us(clock) - heard_us > (int64_t)LOAD_STALL_MS * 1000) {
        return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP,
                                 "item tables: nothing came for %d s, with %lld of %lld read",
                                 LOAD_STALL_MS / 1000, (long long)freshet_reader_position(reader, topic, p),
                                 (long long)end);
      }
      unwritten += count;
      if (status == FRESHET_OK && unwritten >= STORE_RECORDS && topic == FRESHET_TOPIC_ITEMS) {
        unwritten = 0;
        status = freshet_store_write(items->ports.store, error);
      }
    }
    if (status != FRESHET_OK) return status;
  }
  return freshet_store_write(items->ports.store, error);
}

/* How far the store reflects a log, and whether it can be read on from there: the log still has it. */
typedef struct stored_position {
  bool usable;
  int64_t offset;
  int64_t time_ms; /* when it was stored */
} stored_position;

static freshet_status get_position(freshet_items* items, freshet_topic topic, int32_t partition,
                                   stored_position* stored, freshet_error* error) {
  freshet_store* store = items->ports.store;
  freshet_reader* reader = items->ports.reader;
  int64_t first, end;
  *stored = (stored_position){0};
  freshet_status status = freshet_reader_range(reader, topic, partition, &first, &end, error);
  if (status != FRESHET_OK) return status;
  stored->usable = freshet_store_position(store, topic, partition, &stored->offset, &stored->time_ms, NULL) ==
                       FRESHET_OK &&
                   first <= stored->offset && stored->offset <= end;
  return FRESHET_OK;
}

static freshet_status open_at_stored(freshet_items* items, freshet_topic topic, int32_t partition,
                                     bool from_beginning, freshet_error* error) {
  freshet_reader* reader = items->ports.reader;
  stored_position stored;
  freshet_status status = get_position(items, topic, partition, &stored, error);
  if (status != FRESHET_OK) return status;
  return freshet_reader_open(reader, topic, partition,
                             stored.usable && !from_beginning ? stored.offset : FRESHET_OFFSET_BEGINNING,
                             error);
}

/* ---- loading ---- */

typedef struct load_context {
  freshet_items* items;
  freshet_error* error;
  freshet_status status;
} load_context;

static bool load_catalogue_row(void* context, freshet_slice key, freshet_slice value) {
  load_context* load = context;
  int32_t partition;
  FRESHET_ASSERT(value.size >= sizeof partition);
  memcpy(&partition, value.data, sizeof partition);
  freshet_slice record = {value.data + sizeof partition, value.size - sizeof partition};
  bool is_valid;
  load->status = announce(load->items, partition, key, record, &is_valid, load->error);
  return load->status == FRESHET_OK;
}

static bool load_learned_row(void* context, freshet_slice key, freshet_slice value) {
  load_context* load = context;
  freshet_model* model = load->items->model;
  if (freshet_slice_equal(key, globals_key)) {
    load->status = freshet_model_read_globals(model, value, load->error);
    return load->status == FRESHET_OK;
  }
  uint64_t item_key;
  uint32_t slot;
  FRESHET_ASSERT(key.size == sizeof item_key);
  memcpy(&item_key, key.data, sizeof item_key);
  load->status = freshet_model_intern_key(model, item_key, &slot, load->error);
  if (load->status == FRESHET_OK) load->status = freshet_model_read_item(model, slot, value, load->error);
  return load->status == FRESHET_OK;
}

static freshet_status load_rows(freshet_items* items, freshet_family family, int32_t partition,
                                freshet_store_visit visit, freshet_error* error) {
  freshet_store* store = items->ports.store;
  load_context load = {items, error, FRESHET_OK};
  freshet_status status =
      freshet_store_scan(store, family, partition, (freshet_slice){NULL, 0}, visit, &load, error);
  return status == FRESHET_OK ? load.status : status;
}

/* Where the fold of the deltas starts for a worker with an empty store, or one that was away for so long that
 * deltas have expired: at the oldest of the checkpoints that it has just read. */
static int64_t oldest_checkpoint(const freshet_items* items) {
  int64_t oldest = items->catalogue_partitions == 0 ? -1 : INT64_MAX;
  for (int32_t p = 0; p < items->catalogue_partitions; p++) {
    if (items->checkpoints[p] < oldest) oldest = items->checkpoints[p];
  }
  return oldest < 0 ? FRESHET_OFFSET_BEGINNING : oldest;
}

/* The rows of all partitions lie together, so if one of them cannot be read on from, all start again. */
static freshet_status load_catalogue(freshet_items* items, freshet_error* error) {
  freshet_reader* reader = items->ports.reader;
  freshet_store* store = items->ports.store;
  int64_t now_ms = freshet_clock_now_ms(items->ports.clock);
  bool afresh = false;
  freshet_status status =
      freshet_reader_partitions(reader, FRESHET_TOPIC_ITEMS, &items->catalogue_partitions, error);
  for (int32_t p = 0; status == FRESHET_OK && p < items->catalogue_partitions; p++) {
    stored_position stored;
    status = get_position(items, FRESHET_TOPIC_ITEMS, p, &stored, error);
    if (!stored.usable || now_ms - stored.time_ms >= FRESHET_LONGEST_ABSENCE_MS) afresh = true;
  }
  if (status != FRESHET_OK) return status;
  if (afresh) {
    freshet_store_clear(store, FRESHET_FAMILY_CATALOGUE, 0);
  } else {
    status = load_rows(items, FRESHET_FAMILY_CATALOGUE, 0, load_catalogue_row, error);
  }
  for (int32_t p = 0; status == FRESHET_OK && p < items->catalogue_partitions; p++) {
    status = open_at_stored(items, FRESHET_TOPIC_ITEMS, p, afresh, error);
  }
  return status == FRESHET_OK ? catch_up(items, FRESHET_TOPIC_ITEMS, items->catalogue_partitions, error)
                              : status;
}

/* <app>.items: text vectors, and the checkpoints of what has been learned, which only matter to an empty
 * store: then the deltas are read on from *start.
 *
 * Rows and the position of their checkpoint lie in several partitions. Another worker may commit a checkpoint
 * while we read, so that its position is seen, but not the rows in partitions that had been read before. So
 * everything is read on once more: by then the rows of all positions seen so far are there, and of a later
 * position we do not want to know. Rows may be newer than the start: each knows what it includes. */
static freshet_status load_states(freshet_items* items, int64_t* start, freshet_error* error) {
  freshet_reader* reader = items->ports.reader;
  items->checkpoints = calloc((size_t)items->catalogue_partitions + 1, sizeof *items->checkpoints);
  FRESHET_ASSERT(items->checkpoints != NULL);
  for (int32_t p = 0; p < items->catalogue_partitions; p++) items->checkpoints[p] = -1;
  items->globals_at = -1;
  freshet_status status =
      freshet_reader_partitions(reader, FRESHET_TOPIC_ITEM_STATES, &items->state_partitions, error);
  for (int32_t p = 0; status == FRESHET_OK && p < items->state_partitions; p++) {
    status = open_at_stored(items, FRESHET_TOPIC_ITEM_STATES, p, items->bootstrapping, error);
  }
  if (status == FRESHET_OK)
    status = catch_up(items, FRESHET_TOPIC_ITEM_STATES, items->state_partitions, error);
  if (status != FRESHET_OK || !items->bootstrapping) return status;
  *start = oldest_checkpoint(items);
  return catch_up(items, FRESHET_TOPIC_ITEM_STATES, items->state_partitions, error);
}

/* A few small records, so that they are always read from the beginning. */
static freshet_status load_serving(freshet_items* items, freshet_error* error) {
  freshet_reader* reader = items->ports.reader;
  freshet_serving_reset(items->serving);
  if (items->serving->own == NULL) return FRESHET_OK;
  freshet_status status =
      freshet_reader_open(reader, FRESHET_TOPIC_GENERATIONS, 0, FRESHET_OFFSET_BEGINNING, error);
  return status == FRESHET_OK ? catch_up(items, FRESHET_TOPIC_GENERATIONS, 1, error) : status;
}

static freshet_status load(freshet_items* items, freshet_error* error) {
  freshet_reader* reader = items->ports.reader;
  freshet_store* store = items->ports.store;
  stored_position stored;
  freshet_status status = load_catalogue(items, error);
  if (status == FRESHET_OK) status = get_position(items, FRESHET_TOPIC_ITEM_DELTAS, 0, &stored, error);
  if (status != FRESHET_OK) return status;
  if (stored.usable) {
    status = load_rows(items, FRESHET_FAMILY_ITEMS, 0, load_learned_row, error);
  } else {
    freshet_store_clear(store, FRESHET_FAMILY_ITEMS, 0);
  }
  items->bootstrapping = items->store_all = !stored.usable;
  int64_t start = stored.offset;
  if (status == FRESHET_OK) status = load_states(items, &start, error);
  items->bootstrapping = false;
  if (status == FRESHET_OK) status = freshet_reader_open(reader, FRESHET_TOPIC_ITEM_DELTAS, 0, start, error);
  if (status == FRESHET_OK) status = catch_up(items, FRESHET_TOPIC_ITEM_DELTAS, 1, error);
  return status == FRESHET_OK ? load_serving(items, error) : status;
}

static bool load_links_row(void* context, freshet_slice key, freshet_slice value) {
  freshet_model* model = ((load_context*)context)->items->model;
  uint64_t item_key;
  FRESHET_ASSERT(key.size == sizeof item_key);
  memcpy(&item_key, key.data, sizeof item_key);
  uint32_t slot = freshet_model_find_key(model, item_key);
  if (slot != FRESHET_NO_ITEM) freshet_model_read_links(model, slot, value);
  return true;
}

static freshet_status load_links(freshet_items* items, freshet_error* error) {
  if (items->config.model.text_dim == 0) return FRESHET_OK;
  freshet_status status = load_rows(items, FRESHET_FAMILY_ITEMS, FRESHET_ITEMS_LINKS, load_links_row, error);
  freshet_model_keep_links(items->model);
  return status;
}

static int compare_ids(const void* context, uint32_t a, uint32_t b) {
  const freshet_model* model = context;
  return freshet_slice_compare(freshet_model_item_id(model, a), freshet_model_item_id(model, b));
}

freshet_status freshet_items_create(const freshet_stream_config* config, const freshet_ports* ports,
                                    freshet_serving* serving, freshet_items** out, freshet_error* error) {
  freshet_items* items = calloc(1, sizeof *items);
  FRESHET_ASSERT(items != NULL);
  items->serving = serving;
  items->config = *config;
  items->ports = *ports;
  items->facets = freshet_facets_create();
  items->next_expiry_ms = INT64_MAX;
  uint64_t incarnation[2];
  FRESHET_ASSERT(getrandom(incarnation, sizeof incarnation, 0) == (ssize_t)sizeof incarnation);
  snprintf(items->worker_name, sizeof items->worker_name, "%016llx%016llx",
           (unsigned long long)incarnation[0], (unsigned long long)incarnation[1]);
  freshet_status status = freshet_generations_load(&items->generations, ports, error);
  items->config.model.text_dim = items->generations.serving.dim;
  items->config.model.links_apart = true; /* links.c */
  if (status == FRESHET_OK) status = freshet_model_create(&items->config.model, &items->model, error);
  if (status == FRESHET_OK) {
    freshet_ranker_config ranker = {.dim = freshet_model_row_dim(items->model),
                                    .capacity = 1024,
                                    .compare = compare_ids,
                                    .context = items->model};
    status = freshet_ranker_create(&ranker, &items->ranker, error);
  }
  if (status == FRESHET_OK) {
    items->texts = freshet_texts_create(config, ports, &items->generations, items->model);
    status = load(items, error);
  }
  if (status == FRESHET_OK) status = load_links(items, error);
  if (status != FRESHET_OK) {
    freshet_items_destroy(items);
    return status;
  }
  items->next_store_ms = freshet_clock_now_ms(ports->clock) + config->items_interval_ms;
  items->next_checkpoint_ms = freshet_clock_now_ms(ports->clock) + config->checkpoint_interval_ms;
  *out = items;
  return FRESHET_OK;
}

void freshet_items_destroy(freshet_items* items) {
  if (items == NULL) return;
  freshet_reader* reader = items->ports.reader;
  for (int32_t p = 0; p < items->catalogue_partitions; p++)
    freshet_reader_shut(reader, FRESHET_TOPIC_ITEMS, p, NULL);
  for (int32_t p = 0; p < items->state_partitions; p++)
    freshet_reader_shut(reader, FRESHET_TOPIC_ITEM_STATES, p, NULL);
  freshet_reader_shut(reader, FRESHET_TOPIC_ITEM_DELTAS, 0, NULL);
  freshet_reader_shut(reader, FRESHET_TOPIC_GENERATIONS, 0, NULL);
  freshet_texts_destroy(items->texts);
  freshet_ranker_destroy(items->ranker);
  freshet_facets_destroy(items->facets);
  freshet_model_destroy(items->model);
  freshet_buffer_free(&items->bytes);
  free(items->checkpoints);
  free(items->listings);
  free(items);
}

freshet_model* freshet_items_model(const freshet_items* items) {
  return items->model;
}

freshet_status freshet_items_ranker(freshet_items* items, freshet_ranker** ranker, freshet_error* error) {
  *ranker = items->ranker;
  return freshet_model_sync_ranker(items->model, items->ranker, error);
}

freshet_status freshet_items_poll(freshet_items* items, freshet_error* error) {
  size_t count;
  freshet_status status;
  do {
    status = poll_once(items, 0, &count, error);
  } while (status == FRESHET_OK && count == POLL_RECORDS);
  delist_expired(items);
  int64_t now_ms = freshet_clock_now_ms(items->ports.clock);
  if (now_ms >= items->next_new_ms) {
    items->next_new_ms = now_ms + 1000;
    find_new(items);
  }
  return status;
}

freshet_texts* freshet_items_texts(const freshet_items* items) {
  return items->texts;
}

bool freshet_items_outdated(const freshet_items* items) {
  return items->generations.outdated;
}

freshet_status freshet_items_catch_up(freshet_items* items, freshet_error* error) {
  freshet_status status = catch_up(items, FRESHET_TOPIC_ITEM_DELTAS, 1, error);
  if (status != FRESHET_OK || items->serving->own == NULL) return status;
  return catch_up(items, FRESHET_TOPIC_GENERATIONS, 1, error);
}

int32_t freshet_items_partitions(const freshet_items* items) {
  return items->catalogue_partitions;
}

size_t freshet_items_listed(const freshet_items* items) {
  return items->listed;
}

bool freshet_items_announced(const freshet_items* items, uint32_t slot) {
  return slot < items->listing_count && items->listings[slot].announced;
}

bool freshet_items_record(freshet_items* items, freshet_slice item_id, freshet_item* item) {
  freshet_store* store = items->ports.store;
  int32_t partition;
  items->bytes.size = 0;
  if (freshet_store_get(store, FRESHET_FAMILY_CATALOGUE, 0, item_id, &items->bytes, NULL) != FRESHET_OK ||
      items->bytes.size < sizeof partition) {
    return false;
  }
  freshet_slice record = {(const char*)items->bytes.data + sizeof partition,
                          items->bytes.size - sizeof partition};
  return freshet_decode_item(items->ports.codec, record, item, NULL) == FRESHET_OK;
}

uint64_t freshet_items_delistings(const freshet_items* items) {
  return items->delistings;
}

int64_t freshet_items_gone_ms(const freshet_items* items, uint32_t slot) {
  int64_t gone_ms = slot < items->listing_count ? items->listings[slot].gone_ms : 0;
  return gone_ms > 0 ? gone_ms : freshet_clock_now_ms(items->ports.clock);
}

const freshet_facets* freshet_items_facets(const freshet_items* items) {
  return items->facets;
}

/* ---- writing ---- */

freshet_status freshet_items_write_delta(freshet_items* items, bool* wrote, freshet_error* error) {
  freshet_model_delta delta;
  freshet_model_take_delta(items->model, &delta);
  *wrote = delta.events > 0 || delta.items.size > 0;
  if (!*wrote) return FRESHET_OK;
  items->bytes.size = 0;
  freshet_status status = freshet_encode_item_delta(items->ports.codec, freshet_slice_of(items->worker_name),
                                                    &delta, &items->bytes, error);
  if (status != FRESHET_OK) return status;
  freshet_output output = {.topic = FRESHET_TOPIC_ITEM_DELTAS,
                           .partition = 0,
                           .has_value = true,
                           .value = freshet_buffer_slice(&items->bytes)};
  return freshet_sink_write(items->ports.sink, &output, error);
}

/* Reads on until every own delta has come back. False: not within the time. */
static bool own_deltas_are_back(freshet_items* items, int wait_ms, freshet_status* status,
                                freshet_error* error) {
  freshet_reader* reader = items->ports.reader;
  freshet_clock* clock = items->ports.clock;
  int64_t deadline_us = freshet_clock_monotonic_us(clock) + (int64_t)wait_ms * 1000;
  *status = FRESHET_OK;
  while (freshet_reader_position(reader, FRESHET_TOPIC_ITEM_DELTAS, 0) < items->own_end) {
    size_t count;
    *status = poll_once(items, 1, &count, error);
    if (*status != FRESHET_OK || freshet_clock_monotonic_us(clock) > deadline_us) return false;
  }
  return true;
}

static void put_learned_row(freshet_items* items, uint32_t slot, int64_t folded_to) {
  freshet_store* store = items->ports.store;
  uint64_t key = freshet_model_item_key(items->model, slot);
  items->bytes.size = 0;
  freshet_model_write_item(items->model, slot, folded_to, &items->bytes);
  freshet_store_put(store, FRESHET_FAMILY_ITEMS, 0, (freshet_slice){(const char*)&key, sizeof key},
                    freshet_buffer_slice(&items->bytes));
  listing_of(items, slot)->unwritten = true;
}

void freshet_items_committed(freshet_items* items) {
  int64_t end = freshet_sink_written_end(items->ports.sink, FRESHET_TOPIC_ITEM_DELTAS, 0);
  if (end > items->own_end) items->own_end = end;
}

bool freshet_items_store_due(const freshet_items* items) {
  return freshet_clock_now_ms(items->ports.clock) >= items->next_store_ms;
}

/* Nothing has been announced for long, and we were there: a restart need not read everything again. */
static void confirm_catalogue(freshet_items* items, int64_t now_ms) {
  freshet_reader* reader = items->ports.reader;
  freshet_store* store = items->ports.store;
  for (int32_t p = 0; p < items->catalogue_partitions; p++) {
    int64_t position = freshet_reader_position(reader, FRESHET_TOPIC_ITEMS, p);
    if (position >= 0) freshet_store_set_position(store, FRESHET_TOPIC_ITEMS, p, position, now_ms);
  }
}

freshet_status freshet_items_store(freshet_items* items, bool now, int wait_ms, bool* stored,
                                   freshet_error* error) {
  freshet_store* store = items->ports.store;
  int64_t now_ms = freshet_clock_now_ms(items->ports.clock);
  freshet_status status;
  *stored = false;
  if (!now && !freshet_items_store_due(items)) return FRESHET_OK;
  if (!own_deltas_are_back(items, wait_ms, &status, error)) return status; /* the next commit tries again */
  int64_t folded_to = freshet_reader_position(items->ports.reader, FRESHET_TOPIC_ITEM_DELTAS, 0);
  const uint32_t* slots;
  size_t count = freshet_model_drain_changed(items->model, &slots);
  if (items->store_all) {
    count = freshet_model_item_count(items->model);
    for (size_t slot = 0; slot < count; slot++) put_learned_row(items, (uint32_t)slot, folded_to);
    items->store_all = false;
  } else {
    for (size_t i = 0; i < count; i++) put_learned_row(items, slots[i], folded_to);
  }
  items->bytes.size = 0;
  freshet_model_write_globals(items->model, folded_to, &items->bytes);
  freshet_store_put(store, FRESHET_FAMILY_ITEMS, 0, globals_key, freshet_buffer_slice(&items->bytes));
  freshet_store_set_position(store, FRESHET_TOPIC_ITEM_DELTAS, 0, folded_to, now_ms);
  confirm_catalogue(items, now_ms);
  items->next_store_ms = now_ms + items->config.items_interval_ms;
  *stored = true;
  return FRESHET_OK;
}

freshet_status freshet_items_store_links(freshet_items* items, freshet_error* error) {
  freshet_store* store = items->ports.store;
  if (items->config.model.text_dim == 0) return FRESHET_OK;
  freshet_status status = FRESHET_OK;
  freshet_store_clear(store, FRESHET_FAMILY_ITEMS, FRESHET_ITEMS_LINKS);
  for (uint32_t slot = 0; status == FRESHET_OK && slot < freshet_model_item_count(items->model); slot++) {
    uint64_t key = freshet_model_item_key(items->model, slot);
    items->bytes.size = 0;
    if (slot % STORE_RECORDS == STORE_RECORDS - 1) status = freshet_store_write(store, error);
    if (!freshet_model_write_links(items->model, slot, &items->bytes)) continue;
    freshet_store_put(store, FRESHET_FAMILY_ITEMS, FRESHET_ITEMS_LINKS,
                      (freshet_slice){(const char*)&key, sizeof key}, freshet_buffer_slice(&items->bytes));
  }
  return status == FRESHET_OK ? freshet_store_write(store, error) : status;
}

static freshet_status write_item_state(freshet_items* items, freshet_slice key,
                                       const freshet_item_state* state, freshet_error* error) {
  freshet_buffer value = {0};
  freshet_status status = freshet_encode_item_state(items->ports.codec, state, &value, error);
  if (status == FRESHET_OK) {
    freshet_output output = {.topic = FRESHET_TOPIC_ITEM_STATES,
                             .partition = -1,
                             .key = key,
                             .has_value = true,
                             .value = freshet_buffer_slice(&value)};
    status = freshet_sink_write(items->ports.sink, &output, error);
  }
  freshet_buffer_free(&value);
  return status;
}

/* The items are cut into as many shares as `items` has partitions, by key and not by partition: the key of an
 * item never changes, and it is known even of items that nobody has announced. */
static bool is_owned(const freshet_items* items, uint32_t slot, const bool* owned) {
  return owned[freshet_model_item_key(items->model, slot) % (uint64_t)items->catalogue_partitions];
}

/* number in little-endian order, as everything that is stored. */
static freshet_slice state_key(char out[STATE_KEY_MAX], freshet_slice prefix, const void* number,
                               size_t size) {
  memcpy(out, prefix.data, prefix.size);
  memcpy(out + prefix.size, number, size);
  return (freshet_slice){out, prefix.size + size};
}

static freshet_status write_checkpoint(freshet_items* items, const bool* owned, int64_t folded_to,
                                       freshet_error* error) {
  char key[STATE_KEY_MAX];
  freshet_status status = FRESHET_OK;
  size_t count = freshet_model_item_count(items->model);
  for (uint32_t slot = 0; status == FRESHET_OK && slot < count; slot++) {
    if (!listing_of(items, slot)->unwritten || !is_owned(items, slot, owned)) continue;
    uint64_t item_key = freshet_model_item_key(items->model, slot);
    items->bytes.size = 0;
    freshet_model_write_item(items->model, slot, folded_to, &items->bytes);
    freshet_item_state state = {.item_id = freshet_model_item_id(items->model, slot),
                                .folded_to = folded_to,
                                .learned = freshet_buffer_slice(&items->bytes)};
    status = write_item_state(items, state_key(key, learned_key, &item_key, sizeof item_key), &state, error);
  }
  items->bytes.size = 0;
  freshet_model_write_globals(items->model, folded_to, &items->bytes);
  for (int32_t share = 0; status == FRESHET_OK && share < items->catalogue_partitions; share++) {
    if (!owned[share]) continue;
    freshet_item_state state = {.folded_to = folded_to, .learned = freshet_buffer_slice(&items->bytes)};
    status = write_item_state(items, state_key(key, globals_key, &share, sizeof share), &state, error);
  }
  return status;
}

static freshet_status wait_for_outcome(freshet_sink* sink, freshet_error* error) {
  freshet_error cause = {0};
  freshet_status status;
  do {
    freshet_error_clear(&cause);
    status = freshet_sink_outcome(sink, CHECKPOINT_WAIT_MS, &cause);
  } while (status == FRESHET_TIMEOUT);
  if (status == FRESHET_OK) return FRESHET_OK;
  return freshet_error_set(error, status, cause.verdict, "%s", cause.message);
}

freshet_status freshet_items_checkpoint(freshet_items* items, const bool* owned,
                                        const freshet_partition* offsets, size_t count,
                                        freshet_error* error) {
  freshet_sink* sink = items->ports.sink;
  int64_t now_ms = freshet_clock_now_ms(items->ports.clock);
  if (now_ms < items->next_checkpoint_ms) return FRESHET_OK;
  int64_t folded_to = freshet_reader_position(items->ports.reader, FRESHET_TOPIC_ITEM_DELTAS, 0);
  freshet_status status = freshet_sink_begin(sink, error);
  if (status == FRESHET_OK) status = write_checkpoint(items, owned, folded_to, error);
  if (status == FRESHET_OK) status = freshet_sink_commit(sink, offsets, count, error);
  if (status == FRESHET_OK) status = wait_for_outcome(sink, error);
  if (status != FRESHET_OK) return status;
  for (uint32_t slot = 0; slot < freshet_model_item_count(items->model); slot++) {
    if (is_owned(items, slot, owned)) listing_of(items, slot)->unwritten = false;
  }
  items->next_checkpoint_ms = now_ms + items->config.checkpoint_interval_ms;
  freshet_log_fact(items->ports.logger, FRESHET_INFO, "items.checkpoint", "folded_to=%lld",
                   (long long)folded_to);
  return FRESHET_OK;
}
