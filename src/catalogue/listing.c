/*
 * listing.c: see listing.h. One small row for each slot; expiry looks at all rows, but only when one of them
 * is known to end.
 */
#include "catalogue/listing.h"

#include <stdlib.h>

#include "core/table.h"

enum {
  EXPIRY_ITEMS_PER_MS = 10000, /* a look at all items takes about 3 ns each, so it takes 3 % of the time */
  EXPIRY_SLICE_ITEMS = 65536,  /* looked at in one turn */
  NEW_INTERVAL_MS = 1000,
  SET_BACK_MS = 1000, /* less is how clocks are usually corrected */
};

/* What is known about an item beside the model. */
typedef struct item_listing {
  bool announced;
  bool available;
  int64_t expires_at_ms; /* 0: never */
  int64_t gone_ms;       /* since when it is not listed */
} item_listing;

struct freshet_listing {
  freshet_model* model;
  const freshet_rules* rules;
  freshet_clock* clock;
  freshet_facets* facets;
  freshet_owners* owners;
  item_listing* items; /* [capacity] by slot */
  size_t capacity;
  size_t announced, listed;
  uint64_t delistings;
  uint64_t checksum;            /* the sum of the keys of listed items */
  int64_t next_expiry_ms;       /* nothing expires before; INT64_MAX: nothing ever does */
  int64_t next_expiry_check_ms; /* monotonic */
  int64_t clock_ms;             /* the wall clock was so far ahead of the monotonic one since the last look */
  bool is_sweeping;             /* items expire: those before `swept` have been looked at */
  uint32_t swept;
  uint32_t new_items[FRESHET_NEW_ITEMS_MAX]; /* [new_count] */
  size_t new_count;
  int64_t next_new_ms;
};

static int64_t now_ms(const freshet_listing* listing) {
  return freshet_clock_now_ms(listing->clock);
}

static int64_t clock_ahead_ms(const freshet_listing* listing) {
  return now_ms(listing) - freshet_clock_monotonic_ms(listing->clock);
}

/* Items have been judged by the wall clock as it is now. */
static void note_clock(freshet_listing* listing) {
  const int64_t ahead_ms = clock_ahead_ms(listing);
  if (ahead_ms > listing->clock_ms) listing->clock_ms = ahead_ms;
}

/* A wall clock that was ahead has let items expire that are listed again once it is right. */
static bool is_set_back(freshet_listing* listing) {
  const int64_t before_ms = listing->clock_ms;
  listing->clock_ms = clock_ahead_ms(listing);
  return listing->clock_ms < before_ms - SET_BACK_MS;
}

freshet_listing* freshet_listing_create(freshet_model* model, const freshet_rules* rules,
                                        freshet_clock* clock) {
  freshet_listing* listing = calloc(1, sizeof *listing);
  FRESHET_ASSERT(listing != NULL);
  listing->model = model;
  listing->rules = rules;
  listing->clock = clock;
  listing->facets = freshet_facets_create();
  listing->owners = freshet_owners_create();
  listing->next_expiry_ms = INT64_MAX;
  listing->clock_ms = INT64_MIN / 2;
  return listing;
}

void freshet_listing_destroy(freshet_listing* listing) {
  if (listing == NULL) return;
  freshet_facets_destroy(listing->facets);
  freshet_owners_destroy(listing->owners);
  freshet_table_free(listing->items);
  free(listing);
}

static item_listing* item_of(freshet_listing* listing, uint32_t slot) {
  listing->items =
      freshet_table_reach(listing->items, &listing->capacity, (size_t)slot + 1, sizeof *listing->items);
  return &listing->items[slot];
}

/* When the item leaves the lists by itself, because it expires or grows too old. INT64_MAX: never. */
static int64_t end_of(const freshet_listing* listing, uint32_t slot) {
  int64_t expires_ms = listing->items[slot].expires_at_ms;
  int64_t too_old_ms = freshet_rules_ends_ms(listing->rules, listing->facets, slot);
  if (expires_ms == 0) expires_ms = INT64_MAX;
  return too_old_ms != 0 && too_old_ms < expires_ms ? too_old_ms : expires_ms;
}

/* Brings the flag of the model in line with what is known of the item. at_ms: see freshet_listing_announce. */
static void update(freshet_listing* listing, uint32_t slot, int64_t at_ms) {
  item_listing* item = item_of(listing, slot);
  int64_t now = now_ms(listing), end_ms = end_of(listing, slot);
  bool is_offered = item->announced && item->available;
  note_clock(listing); /* it may be ahead for a moment, in which many items are loaded */
  bool is_listed = is_offered && end_ms > now;
  if (is_listed && end_ms < listing->next_expiry_ms) listing->next_expiry_ms = end_ms;
  if (freshet_model_is_listed(listing->model, slot) == is_listed) return;
  freshet_model_set_listed(listing->model, slot, is_listed);
  const uint64_t key = freshet_model_item_key(listing->model, slot);
  if (is_listed) {
    listing->listed++;
    listing->checksum += key;
    return;
  }
  listing->listed--;
  listing->checksum -= key;
  listing->delistings++;
  item->gone_ms = is_offered ? end_ms : at_ms > 0 ? at_ms : now;
}

static void apply_rules(freshet_listing* listing, uint32_t slot, int64_t at_ms) {
  freshet_model_set_adjustment(listing->model, slot,
                               freshet_rules_adjustment(listing->rules, listing->facets, slot));
  update(listing, slot, at_ms);
}

void freshet_listing_announce(freshet_listing* listing, uint32_t slot, const freshet_item* item,
                              int64_t at_ms) {
  item_listing* own = item_of(listing, slot);
  listing->announced += !own->announced;
  own->announced = true;
  own->available = item->available;
  own->expires_at_ms = item->expires_at_ms;
  freshet_facets_set(listing->facets, slot, item);
  freshet_owners_set(listing->owners, slot, freshet_owner_of(item));
  apply_rules(listing, slot, at_ms);
}

void freshet_listing_withdraw(freshet_listing* listing, uint32_t slot, int64_t at_ms) {
  item_listing* own = item_of(listing, slot);
  listing->announced -= own->announced;
  *own = (item_listing){.gone_ms = own->gone_ms};
  freshet_facets_set(listing->facets, slot, NULL);
  freshet_owners_set(listing->owners, slot, 0);
  freshet_model_set_adjustment(listing->model, slot, 0);
  update(listing, slot, at_ms);
}

/* ---- in every turn ---- */

/* Looks at all items when one expires or the clock is set back, a slice in each turn. After that it waits for a time in
 * proportion to the catalogue. */
static void look_at_expiry(freshet_listing* listing) {
  int64_t turned_ms = freshet_clock_monotonic_ms(listing->clock);
  size_t count = freshet_model_item_count(listing->model);
  bool has_expired = now_ms(listing) >= listing->next_expiry_ms && turned_ms >= listing->next_expiry_check_ms;
  bool begins = is_set_back(listing) || (has_expired && !listing->is_sweeping);
  if (!listing->is_sweeping && !begins) return;
  if (begins) {
    listing->is_sweeping = true;
    listing->swept = 0;
    listing->next_expiry_ms = INT64_MAX; /* what is left finds the next one */
  }
  uint32_t end = listing->swept + EXPIRY_SLICE_ITEMS;
  for (; listing->swept < end && listing->swept < count && listing->swept < listing->capacity;
       listing->swept++) {
    if (end_of(listing, listing->swept) != INT64_MAX) update(listing, listing->swept, 0);
  }
  if (listing->swept == end) return;
  listing->is_sweeping = false;
  listing->next_expiry_check_ms = turned_ms + (int64_t)(listing->capacity / EXPIRY_ITEMS_PER_MS);
}

static int newest_first(const void* a, const void* b, void* context) {
  const freshet_listing* listing = context;
  int64_t x = freshet_facets_created_ms(listing->facets, *(const uint32_t*)a);
  int64_t y = freshet_facets_created_ms(listing->facets, *(const uint32_t*)b);
  return x > y ? -1 : x < y;
}

static void find_new(freshet_listing* listing) {
  int64_t now = now_ms(listing);
  size_t known = freshet_model_item_count(listing->model), count = 0;
  listing->new_count = 0;
  if (listing->rules->new_share <= 0) return;
  uint32_t* found = malloc((known + 1) * sizeof *found);
  FRESHET_ASSERT(found != NULL);
  for (uint32_t slot = 0; slot < known; slot++) {
    bool is_new = freshet_model_is_listed(listing->model, slot) &&
                  freshet_rules_is_new(listing->rules, listing->facets, slot, now);
    if (is_new) found[count++] = slot;
  }
  qsort_r(found, count, sizeof *found, newest_first, listing);
  listing->new_count = count < FRESHET_NEW_ITEMS_MAX ? count : FRESHET_NEW_ITEMS_MAX;
  memcpy(listing->new_items, found, listing->new_count * sizeof *found);
  free(found);
}

void freshet_listing_apply_rules(freshet_listing* listing) {
  size_t count = freshet_model_item_count(listing->model);
  for (uint32_t slot = 0; slot < count; slot++) {
    item_of(listing, slot);
    apply_rules(listing, slot, 0);
  }
  find_new(listing);
}

void freshet_listing_turn(freshet_listing* listing) {
  look_at_expiry(listing);
  int64_t turned_ms = freshet_clock_monotonic_ms(listing->clock);
  if (turned_ms < listing->next_new_ms) return;
  listing->next_new_ms = turned_ms + NEW_INTERVAL_MS;
  find_new(listing);
}

/* ---- what is known ---- */

const freshet_rules* freshet_listing_rules(const freshet_listing* listing) {
  return listing->rules;
}

const freshet_facets* freshet_listing_facets(const freshet_listing* listing) {
  return listing->facets;
}

const uint32_t* freshet_listing_owned(const freshet_listing* listing, uint64_t owner, size_t* count) {
  return freshet_owners_slots(listing->owners, listing->rules->exclude_own ? owner : 0, count);
}

freshet_listing_state freshet_listing_state_of(const freshet_listing* listing, uint32_t slot) {
  const bool is_known = slot < listing->capacity;
  const item_listing* item = is_known ? &listing->items[slot] : NULL;
  if (!is_known || !item->announced) return FRESHET_ITEM_NOT_ANNOUNCED;
  if (!item->available) return FRESHET_ITEM_UNAVAILABLE;
  if (freshet_model_is_listed(listing->model, slot)) return FRESHET_ITEM_LISTED;
  return item->expires_at_ms != 0 && item->expires_at_ms <= now_ms(listing) ? FRESHET_ITEM_EXPIRED
                                                                            : FRESHET_ITEM_TOO_OLD;
}

bool freshet_listing_is_announced(const freshet_listing* listing, uint32_t slot) {
  return slot < listing->capacity && listing->items[slot].announced;
}

int64_t freshet_listing_gone_ms(const freshet_listing* listing, uint32_t slot) {
  int64_t gone_ms = slot < listing->capacity ? listing->items[slot].gone_ms : 0;
  return gone_ms > 0 ? gone_ms : now_ms(listing);
}

size_t freshet_listing_announced(const freshet_listing* listing) {
  return listing->announced;
}

size_t freshet_listing_count(const freshet_listing* listing) {
  return listing->listed;
}

uint64_t freshet_listing_delistings(const freshet_listing* listing) {
  return listing->delistings;
}

uint64_t freshet_listing_checksum(const freshet_listing* listing) {
  return listing->checksum == 0 ? 1 : listing->checksum;
}

const uint32_t* freshet_listing_new(const freshet_listing* listing, size_t* count) {
  *count = listing->new_count;
  return listing->new_items;
}
