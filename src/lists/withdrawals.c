#include "lists/withdrawals.h"

#include <stdlib.h>

#include "worker/worker_internal.h"

enum {
  SLICE_ROWS = 256,      /* of the store, looked at in one turn */
  MARKED_MAX = 4096,     /* users that wait for their list: beyond, the search waits */
  SWEEP_PAUSE_US = 50000 /* between two looks through all users in memory */
};

struct freshet_withdrawals {
  freshet_worker* worker;
  uint32_t*
      carried; /* [capacity] users whose last list carries the item; more after a partition has left us */
  size_t capacity;
  uint64_t seen_delistings; /* freshet_listing_delistings as of the last look */
  bool wanted;              /* something carried has gone since the search began */
  int64_t next_sweep_us;

  /* The search in the store. */
  bool searching;
  int32_t partition;
  freshet_buffer after; /* key of the last row looked at */
  size_t looked_at;     /* in this turn */
  freshet_status status;
  freshet_error* error;
};

freshet_withdrawals* freshet_withdrawals_create(freshet_worker* worker) {
  freshet_withdrawals* w = calloc(1, sizeof *w);
  FRESHET_ASSERT(w != NULL);
  w->worker = worker;
  w->seen_delistings = freshet_listing_delistings(freshet_items_listing(worker->items));
  return w;
}

void freshet_withdrawals_destroy(freshet_withdrawals* w) {
  if (w == NULL) return;
  free(w->carried);
  freshet_buffer_free(&w->after);
  free(w);
}

/* ---- who carries what ---- */

static uint32_t* carriers_of(freshet_withdrawals* w, uint32_t slot) {
  size_t capacity = w->capacity == 0 ? 1024 : w->capacity;
  while (capacity <= slot) capacity *= 2;
  if (capacity != w->capacity) {
    w->carried = realloc(w->carried, capacity * sizeof *w->carried);
    FRESHET_ASSERT(w->carried != NULL);
    memset(w->carried + w->capacity, 0, (capacity - w->capacity) * sizeof *w->carried);
    w->capacity = capacity;
  }
  return &w->carried[slot];
}

void freshet_withdrawals_load(freshet_withdrawals* w, const freshet_user_state* state) {
  freshet_model* model = freshet_items_model(w->worker->items);
  for (size_t i = 0; i < state->listed_count; i++) {
    uint32_t slot;
    if (freshet_model_intern_key(model, state->listed[i], &slot, NULL) != FRESHET_OK) continue;
    ++*carriers_of(w, slot);
    if (!freshet_model_is_listed(model, slot)) w->wanted = true; /* it went while nobody was looking */
  }
}

bool freshet_withdrawals_replace(freshet_withdrawals* w, freshet_user_row* row, const uint32_t* slots,
                                 size_t count) {
  bool is_same =
      row->listed_count == count && (count == 0 || memcmp(row->listed, slots, count * sizeof *slots) == 0);
  if (is_same) return false;
  for (uint32_t i = 0; i < row->listed_count; i++) {
    uint32_t* carriers = carriers_of(w, row->listed[i]);
    if (*carriers > 0) --*carriers;
  }
  for (size_t i = 0; i < count; i++) ++*carriers_of(w, slots[i]);
  freshet_users_set_listed(row, slots, count);
  return true;
}

/* ---- the search ---- */

/* Marks the row if its list carries something that has gone; returns how many such items. */
static size_t look_at(freshet_withdrawals* w, freshet_user_row* row) {
  const freshet_model* model = freshet_items_model(w->worker->items);
  size_t gone = 0;
  int64_t since_ms = INT64_MAX;
  for (uint32_t i = 0; row->exists && i < row->listed_count; i++) {
    if (freshet_model_is_listed(model, row->listed[i])) continue;
    int64_t gone_ms = freshet_listing_gone_ms(freshet_items_listing(w->worker->items), row->listed[i]);
    since_ms = gone_ms < since_ms ? gone_ms : since_ms;
    gone++;
  }
  if (gone > 0) freshet_worker_mark_stale(w->worker, row, since_ms);
  return gone;
}

typedef struct memory_look {
  freshet_withdrawals* withdrawals;
  size_t found;
} memory_look;

static void look_in_memory(void* context, freshet_user_row* row) {
  memory_look* look = context;
  look->found += look_at(look->withdrawals, row);
}

/* How many places in lists are taken by items that have gone. */
static size_t places_of_gone(const freshet_withdrawals* w) {
  const freshet_model* model = freshet_items_model(w->worker->items);
  size_t count = freshet_model_item_count(model), places = 0;
  for (uint32_t slot = 0; slot < count && slot < w->capacity; slot++) {
    if (w->carried[slot] > 0 && !freshet_model_is_listed(model, slot)) places += w->carried[slot];
  }
  return places;
}

static bool look_in_store(void* context, freshet_slice key, freshet_slice value) {
  freshet_withdrawals* w = context;
  freshet_model* model = freshet_items_model(w->worker->items);
  w->after.size = 0;
  freshet_buffer_append(&w->after, key.data, key.size);
  if (key.size > 0 && key.data[0] == '\0') return true; /* not a user */
  freshet_user_state state;
  w->status = freshet_decode_user_state(w->worker->ports.codec, value, &state, w->error);
  if (w->status != FRESHET_OK) return false;
  for (size_t i = 0; i < state.listed_count; i++) {
    uint32_t slot;
    if (freshet_model_intern_key(model, state.listed[i], &slot, NULL) != FRESHET_OK) continue;
    if (freshet_model_is_listed(model, slot)) continue;
    freshet_user_row* row; /* what is in memory may be newer */
    w->status = freshet_users_get(w->worker->users, w->partition, key, &row, w->error);
    if (w->status == FRESHET_OK) look_at(w, row);
    break;
  }
  return w->status == FRESHET_OK && ++w->looked_at < SLICE_ROWS;
}

/* The least partition of events that is held, from `least` on; -1: none. */
static int32_t next_partition(const freshet_worker* worker, int32_t least) {
  int32_t next = -1;
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPIC_EVENTS) {
    if (held->partition >= least && (next < 0 || held->partition < next)) next = held->partition;
  }
  return next;
}

static void begin_search(freshet_withdrawals* w) {
  memory_look look = {w, 0};
  w->wanted = false;
  freshet_users_each(w->worker->users, look_in_memory, &look);
  w->searching = look.found < places_of_gone(w);
  w->partition = next_partition(w->worker, 0);
  w->after.size = 0;
}

static freshet_status go_on_searching(freshet_withdrawals* w, freshet_error* error) {
  freshet_store* store = w->worker->ports.store;
  if (freshet_worker_stale_count(w->worker) >= MARKED_MAX) return FRESHET_OK;
  w->looked_at = 0;
  w->status = FRESHET_OK;
  w->error = error;
  /* A partition that has left us meanwhile is its next owner's. */
  if (w->partition >= 0 && freshet_held_find(w->worker->held, FRESHET_TOPIC_EVENTS, w->partition) == NULL)
    w->after.size = 0;
  w->partition = next_partition(w->worker, w->partition);
  if (w->partition < 0) {
    w->searching = false;
    return FRESHET_OK;
  }
  freshet_status status = freshet_store_scan_after(store, FRESHET_FAMILY_USERS, w->partition,
                                                   freshet_buffer_slice(&w->after), look_in_store, w, error);
  if (status == FRESHET_OK) status = w->status;
  if (status == FRESHET_OK && w->looked_at < SLICE_ROWS) { /* this partition is done */
    w->after.size = 0;
    w->partition++;
  }
  return status;
}

bool freshet_withdrawals_due(const freshet_withdrawals* w) {
  return w->searching && freshet_worker_stale_count(w->worker) < MARKED_MAX;
}

freshet_status freshet_withdrawals_turn(freshet_withdrawals* w, freshet_error* error) {
  freshet_clock* clock = w->worker->ports.clock;
  if (freshet_listing_delistings(freshet_items_listing(w->worker->items)) != w->seen_delistings) {
    w->seen_delistings = freshet_listing_delistings(freshet_items_listing(w->worker->items));
    w->wanted = true;
  }
  if (w->searching) return go_on_searching(w, error);
  int64_t now_us = freshet_clock_monotonic_us(clock);
  if (!w->wanted || now_us < w->next_sweep_us) return FRESHET_OK;
  w->next_sweep_us = now_us + SWEEP_PAUSE_US;
  if (places_of_gone(w) == 0) {
    w->wanted = false; /* nobody carries what has gone */
    return FRESHET_OK;
  }
  begin_search(w);
  return FRESHET_OK;
}
