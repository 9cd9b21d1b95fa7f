/* withdrawals.c: see withdrawals.h. One search at a time; what goes meanwhile makes the next one. */
#include "lists/withdrawals.h"

#include <stdlib.h>

enum {
  SLICE_ROWS = 256,      /* of the store, looked at in one turn */
  MARKED_MAX = 4096,     /* users that wait for their list: beyond, the search waits */
  SWEEP_PAUSE_US = 50000 /* between two looks through all users in memory */
};

struct freshet_withdrawals {
  freshet_lists lists;
  freshet_carriers* carriers;
  freshet_refresh* refresh;
  uint64_t seen_delistings; /* freshet_listing_delistings as of the last look */
  bool is_wanted;           /* something carried has gone since the search began */
  int64_t next_sweep_us;

  /* The search in the store. */
  bool is_searching;
  int32_t partition;
  freshet_buffer after; /* key of the last row looked at */
  size_t looked_at;     /* in this turn */
  freshet_status status;
  freshet_error* error;
};

freshet_withdrawals* freshet_withdrawals_create(const freshet_lists* lists, freshet_carriers* carriers,
                                                freshet_refresh* refresh) {
  freshet_withdrawals* w = calloc(1, sizeof *w);
  FRESHET_ASSERT(w != NULL);
  w->lists = *lists;
  w->carriers = carriers;
  w->refresh = refresh;
  w->seen_delistings = freshet_listing_delistings(freshet_items_listing(lists->items));
  return w;
}

void freshet_withdrawals_destroy(freshet_withdrawals* w) {
  if (w == NULL) return;
  freshet_buffer_free(&w->after);
  free(w);
}

/* ---- partitions that have come ---- */

/* No item has left the lists since those of this partition were committed. */
static bool has_kept_listing(const freshet_withdrawals* w, const freshet_held_partition* held) {
  return held->has_kept_listing &&
         held->delistings == freshet_listing_delistings(freshet_items_listing(w->lists.items));
}

void freshet_withdrawals_expect(const freshet_withdrawals* w, freshet_held_partition* held) {
  const freshet_listing* listing = freshet_items_listing(w->lists.items);
  held->has_kept_listing = held->listed.listing == freshet_listing_checksum(listing);
  held->delistings = freshet_listing_delistings(listing);
}

void freshet_withdrawals_end_replay(freshet_withdrawals* w, const freshet_held_partition* held) {
  /* Known lists with something that has gone were passed over until now. */
  if (!has_kept_listing(w, held) || freshet_carriers_gone(w->carriers) > 0) w->is_wanted = true;
}

uint64_t freshet_withdrawals_listing(const freshet_withdrawals* w, const freshet_held_partition* held) {
  const freshet_listing* listing = freshet_items_listing(w->lists.items);
  const bool is_searched = !w->is_wanted && !w->is_searching &&
                           w->seen_delistings == freshet_listing_delistings(listing) &&
                           freshet_owed_count(freshet_refresh_queue(w->refresh), FRESHET_OWED_WITHDRAWN) == 0;
  const bool is_surveyed =
      freshet_carriers_expected_count(w->carriers) == 0 && !freshet_held_is_replaying(held);
  const bool is_known = is_searched && (is_surveyed || has_kept_listing(w, held));
  return is_known ? freshet_listing_checksum(listing) : 0;
}

/* ---- the search ---- */

bool freshet_withdrawals_is_full(const freshet_withdrawals* w) {
  return freshet_owed_count(freshet_refresh_queue(w->refresh), FRESHET_OWED_WITHDRAWN) >= MARKED_MAX;
}

/* May a list that carries nobody knows what carry something that has gone? */
static bool may_carry_gone(const freshet_withdrawals* w, const freshet_user_row* row) {
  const freshet_held_partition* held = freshet_held_find(w->lists.held, FRESHET_TOPIC_EVENTS, row->partition);
  return held != NULL && !has_kept_listing(w, held);
}

/* Marks the row if its list carries something that has gone; returns how many such items. */
static size_t look_at(freshet_withdrawals* w, freshet_user_row* row) {
  /* The row may be older than the list that is committed: it is looked at again at the end of the replay. */
  if (freshet_held_replays(w->lists.held, row->partition)) return 0;
  if (row->is_list_unknown) {
    if (!row->exists || !may_carry_gone(w, row)) return 0;
    freshet_refresh_withdraw(w->refresh, row, freshet_clock_now_ms(w->lists.ports->clock));
    return 1;
  }
  const freshet_model* model = freshet_items_model(w->lists.items);
  size_t gone = 0;
  int64_t since_ms = INT64_MAX;
  for (uint32_t i = 0; row->exists && i < row->listed_count; i++) {
    if (freshet_model_is_listed(model, row->listed[i])) continue;
    int64_t gone_ms = freshet_listing_gone_ms(freshet_items_listing(w->lists.items), row->listed[i]);
    since_ms = gone_ms < since_ms ? gone_ms : since_ms;
    gone++;
  }
  if (gone > 0) freshet_refresh_withdraw(w->refresh, row, since_ms);
  return gone;
}

void freshet_withdrawals_look_at(freshet_withdrawals* w, freshet_user_row* row) {
  look_at(w, row);
}

typedef struct memory_look {
  freshet_withdrawals* withdrawals;
  size_t found;
} memory_look;

static void look_in_memory(void* context, freshet_user_row* row) {
  memory_look* look = context;
  look->found += look_at(look->withdrawals, row);
}

static bool carries_gone(freshet_model* model, const freshet_user_state* state) {
  if (freshet_users_is_list_unknown(state)) return true;
  for (size_t i = 0; i < state->listed_count; i++) {
    uint32_t slot;
    if (freshet_model_intern_key(model, state->listed[i], &slot, NULL) != FRESHET_OK) continue;
    if (!freshet_model_is_listed(model, slot)) return true;
  }
  return false;
}

static bool look_in_store(void* context, freshet_slice key, freshet_slice value) {
  freshet_withdrawals* w = context;
  freshet_model* model = freshet_items_model(w->lists.items);
  w->after.size = 0;
  freshet_buffer_append(&w->after, key.data, key.size);
  if (key.size > 0 && key.data[0] == '\0') return true; /* not a user */
  freshet_user_state state;
  w->status = freshet_decode_user_state(w->lists.ports->codec, value, &state, w->error);
  if (w->status != FRESHET_OK) return false;
  if (carries_gone(model, &state)) {
    freshet_user_row* row; /* what is in memory may be newer */
    w->status = freshet_users_get(w->lists.users, w->partition, key, &row, w->error);
    if (w->status == FRESHET_OK) look_at(w, row);
  }
  return w->status == FRESHET_OK && ++w->looked_at < SLICE_ROWS;
}

/* The least partition of events that is held, from `least` on; -1: none. */
static int32_t next_partition(const freshet_held* held, int32_t least) {
  int32_t next = -1;
  FRESHET_HELD_EACH(each, held, FRESHET_TOPIC_EVENTS) {
    if (each->partition >= least && (next < 0 || each->partition < next)) next = each->partition;
  }
  return next;
}

/* While users are counted, some who were found in memory may not be among the numbers, and stand for nobody in the
 * store. Users who are not counted yet are looked at when they are (survey.h). */
static void begin_search(freshet_withdrawals* w) {
  memory_look look = {w, 0};
  size_t gone = freshet_carriers_gone(w->carriers) + freshet_carriers_unknown(w->carriers);
  w->is_wanted = false;
  freshet_users_each(w->lists.users, look_in_memory, &look);
  w->is_searching = look.found < gone || (gone > 0 && freshet_carriers_expected_count(w->carriers) > 0);
  w->partition = next_partition(w->lists.held, 0);
  w->after.size = 0;
}

static freshet_status go_on_searching(freshet_withdrawals* w, freshet_error* error) {
  freshet_store* store = w->lists.ports->store;
  if (freshet_withdrawals_is_full(w)) return FRESHET_OK;
  w->looked_at = 0;
  w->status = FRESHET_OK;
  w->error = error;
  /* A partition that has left us meanwhile is its next owner's. */
  if (w->partition >= 0 && freshet_held_find(w->lists.held, FRESHET_TOPIC_EVENTS, w->partition) == NULL)
    w->after.size = 0;
  w->partition = next_partition(w->lists.held, w->partition);
  if (w->partition < 0) {
    w->is_searching = false;
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
  return w->is_searching && !freshet_withdrawals_is_full(w);
}

freshet_status freshet_withdrawals_turn(freshet_withdrawals* w, freshet_error* error) {
  freshet_clock* clock = w->lists.ports->clock;
  if (freshet_listing_delistings(freshet_items_listing(w->lists.items)) != w->seen_delistings) {
    w->seen_delistings = freshet_listing_delistings(freshet_items_listing(w->lists.items));
    w->is_wanted = true;
  }
  if (w->is_searching) return go_on_searching(w, error);
  int64_t now_us = freshet_clock_monotonic_us(clock);
  if (!w->is_wanted || now_us < w->next_sweep_us) return FRESHET_OK;
  w->next_sweep_us = now_us + SWEEP_PAUSE_US;
  if (freshet_carriers_gone(w->carriers) == 0 && freshet_carriers_unknown(w->carriers) == 0 &&
      freshet_carriers_expected_count(w->carriers) == 0) {
    w->is_wanted = false; /* nobody carries what has gone */
    return FRESHET_OK;
  }
  begin_search(w);
  return FRESHET_OK;
}
