/*
 * model_state.c: the learned state of one item, and what belongs to no single item, as stored bytes; and a hash
 * of everything learned.
 *
 * item     u8 version, i64 folded_to, u32 dim, u32 N in sixteenths, u64 event and f32 [3] of the popularities,
 *          then its additive part (model_bytes.c), u16 neighbours, for each: u64 key, cf, cs (u16 counts, see
 *          model_counts.h; f32 before version 5), u32 dislikes in sixteenths (not in version 1), u32 repeats in sixteenths, u64 sum of their codes (from version 3 on),
 *          u32 the clock of the list of neighbours, f32 steps that its counts hold (from version 4 on)
 * globals  u8 version, i64 folded_to, u64 events, f64 [3] popularity totals, the blend (model_bytes.c),
 *          u32 recent events, u64 key [recent], oldest first, i64 dislikes in sixteenths (not in version 1),
 *          i64 choices, i64 repeats, both in sixteenths, i64 sum of their codes (from version 3 on)
 */
#include <stdlib.h>

#include <xxhash.h>

#include "core/model_bytes.h"

enum {
  VERSION = 5,
  VERSION_FIRST = 1,
  VERSION_DISLIKES = 2,
  VERSION_REPEATS = 3,
  VERSION_CLOCK = 4,
  VERSION_COUNTS = 5
};

void freshet_model_write_item(const freshet_model* model, uint32_t slot, int64_t folded_to,
                              freshet_buffer* out) {
  FRESHET_ASSERT(slot < model->count);
  const item* it = &model->items[slot];
  uint32_t dim = model->config.dim;
  _Alignas(64) float start[2 * DIM_MAX];
  float part[DIM_MAX];
  freshet_model_start_factors(model, it->key, start, start + dim);
  freshet_model_text_part(model, slot, part);
  for (uint32_t i = 0; i < 2 * dim; i++) start[i] += part[i % dim];
  PUT(out, uint8_t, VERSION);
  freshet_put(out, &folded_to, sizeof folded_to);
  freshet_put(out, &dim, sizeof dim);
  freshet_put(out, &model->counts[slot], sizeof *model->counts);
  freshet_put(out, &it->popular_at, sizeof it->popular_at);
  freshet_put(out, it->popular, sizeof it->popular);
  freshet_gains all = {it->bias, it->factor_squares, it->context_squares, it->bias_squares};
  freshet_put_gains(model, slot, &all, start, start + dim, out);
  freshet_put(out, &it->near.count, sizeof it->near.count);
  for (uint32_t e = 0; e < it->near.count; e++) {
    freshet_put(out, &model->items[it->near.entries[e].item].key, sizeof(uint64_t));
    freshet_put(out, &it->near.entries[e].follows, sizeof(uint16_t));
    freshet_put(out, &it->near.entries[e].together, sizeof(uint16_t));
  }
  freshet_put(out, &it->dislikes, sizeof it->dislikes);
  freshet_put(out, &it->repeats, sizeof it->repeats);
  freshet_put(out, &it->repeat_spans, sizeof it->repeat_spans);
  freshet_put(out, &it->near.steps, sizeof it->near.steps);
  freshet_put(out, &it->near.held, sizeof it->near.held);
}

bool freshet_model_row_is_blank(freshet_slice row) {
  static const size_t head =
      sizeof(uint8_t) + sizeof(int64_t) + sizeof(uint32_t); /* version, folded_to, dim */
  FRESHET_ASSERT(row.size >= head);
  bool is_blank =
      true; /* without rows of factors and neighbours all that follows is numbers, 0 at the start */
  for (size_t i = head; i < row.size && is_blank; i++) is_blank = row.data[i] == 0;
  return is_blank;
}

static uint8_t take_version(freshet_byte_reader* in) {
  uint8_t version = freshet_take_u8(in);
  if (version < VERSION_FIRST || version > VERSION) in->bad = true;
  return version;
}

bool freshet_model_row_is_later(freshet_slice row) {
  return row.size > 0 && (uint8_t)row.data[0] > VERSION;
}

/* The bytes cannot be read. */
static freshet_status refuse(freshet_slice bytes, const char* name, freshet_error* error) {
  if (!freshet_model_row_is_later(bytes)) return freshet_malformed(error, name);
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                           "%s: a later version of Freshet has written it; update this process, and do not "
                           "run `freshet repair` of this version",
                           name);
}

typedef struct item_head {
  uint8_t version;
  int64_t folded_to;
  uint32_t count;
  uint64_t popular_at;
  float popular[HALF_LIVES];
} item_head;

static item_head take_item_head(const freshet_model* model, freshet_byte_reader* in) {
  item_head head = {.version = take_version(in)};
  head.folded_to = freshet_take_i64(in);
  if (freshet_take_u32(in) != model->config.dim) in->bad = true;
  head.count = freshet_take_u32(in);
  head.popular_at = freshet_take_u64(in);
  for (int h = 0; h < HALF_LIVES; h++) head.popular[h] = freshet_take_count_f32(in);
  return head;
}

/* Counts that earlier versions do not have. */
typedef struct item_tail {
  uint32_t dislikes, repeats;
  uint64_t repeat_spans;
  uint32_t pair_steps;
  float pair_held;
} item_tail;

static item_tail take_item_tail(freshet_byte_reader* in, uint8_t version) {
  item_tail tail = {0};
  if (version >= VERSION_DISLIKES) tail.dislikes = freshet_take_u32(in);
  if (version < VERSION_REPEATS) return tail;
  tail.repeats = freshet_take_u32(in);
  tail.repeat_spans = freshet_take_u64(in);
  if (tail.repeat_spans > (uint64_t)tail.repeats * UINT8_MAX) in->bad = true;
  if (version < VERSION_CLOCK) return tail;
  tail.pair_steps = freshet_take_u32(in);
  tail.pair_held = freshet_take_count_f32(in);
  if (tail.pair_steps > PAIR_STEPS_MAX || (tail.pair_steps > 0 && tail.pair_held < 1)) in->bad = true;
  return tail;
}

static uint16_t take_count(freshet_byte_reader* in, uint8_t version) {
  return version >= VERSION_COUNTS ? freshet_take_u16(in) : freshet_count_pack(freshet_take_count_f32(in));
}

/* slot FRESHET_NO_ITEM: only looks. A neighbour that is parked is left out. */
static void take_neighbours(freshet_model* model, freshet_byte_reader* in, uint8_t version, uint32_t slot) {
  uint32_t count = freshet_take_u16(in);
  if (count > NEIGHBOURS_MAX) in->bad = true; /* more than the setting was in any process */
  for (uint32_t e = 0; e < count && !in->bad; e++) {
    uint64_t key = freshet_take_u64(in);
    freshet_neighbour entry = {0};
    entry.follows = take_count(in, version);
    entry.together = take_count(in, version);
    if (key == 0) in->bad = true;
    if (in->bad || slot == FRESHET_NO_ITEM) continue;
    entry.item = freshet_model_named_slot(model, key);
    if (entry.item != FRESHET_NO_ITEM) freshet_model_neighbours_put(model, slot, &entry);
  }
}

static void reset_item(freshet_model* model, uint32_t slot) {
  item* it = &model->items[slot];
  uint32_t dim = model->config.dim;
  float* v = freshet_model_factor(model, slot);
  float* m = freshet_model_context_factor(model, slot);
  float part[DIM_MAX];
  freshet_model_start_factors(model, it->key, v, m);
  freshet_model_text_part(model, slot, part);
  for (uint32_t i = 0; i < dim; i++) {
    v[i] += part[i];
    if (m != NULL) m[i] += part[i];
  }
  it->bias = it->factor_squares = it->context_squares = it->bias_squares = 0;
  it->near.count = 0;
  it->near.steps = 0;
  it->near.held = 0;
  it->near.smallest = UNKNOWN_SMALLEST;
}

freshet_status freshet_model_check_item(freshet_model* model, freshet_slice bytes, uint64_t* last_chosen,
                                        freshet_error* error) {
  freshet_byte_reader look = freshet_read_slice(bytes);
  const item_head head = take_item_head(model, &look);
  freshet_take_gains(model, &look, FRESHET_NO_ITEM);
  take_neighbours(model, &look, head.version, FRESHET_NO_ITEM);
  take_item_tail(&look, head.version);
  *last_chosen = head.popular_at;
  if (look.bad || look.left != 0)
    return refuse(bytes, "state of an item, or one of another model.dim", error);
  return FRESHET_OK;
}

freshet_status freshet_model_read_item(freshet_model* model, uint32_t slot, freshet_slice bytes,
                                       freshet_error* error) {
  FRESHET_ASSERT(slot < model->count && model->items[slot].pending == 0);
  uint64_t last_chosen;
  freshet_status status = freshet_model_check_item(model, bytes, &last_chosen, error);
  if (status != FRESHET_OK) return status;
  freshet_byte_reader in = freshet_read_slice(bytes);
  item_head head = take_item_head(model, &in);
  freshet_model_note_changed(model, slot);
  reset_item(model, slot);
  freshet_take_gains(model, &in, slot);
  take_neighbours(model, &in, head.version, slot); /* may move model->items */
  freshet_model_count_set(model, slot, head.count);
  item* it = &model->items[slot];
  it->folded_to = model->is_of_other_log ? 0 : head.folded_to;
  it->popular_at = head.popular_at;
  memcpy(it->popular, head.popular, sizeof it->popular);
  const item_tail tail = take_item_tail(&in, head.version);
  it->dislikes = tail.dislikes;
  if (it->dislikes > 0) freshet_model_own_context_factor(model, slot);
  it->repeats = tail.repeats;
  it->repeat_spans = tail.repeat_spans;
  if (head.version >= VERSION_CLOCK) {
    it->near.steps = tail.pair_steps;
    it->near.held = tail.pair_held;
  } else {
    freshet_model_neighbours_age(&it->near, head.count / WEIGHT_UNITS * 2);
  }
  return FRESHET_OK;
}

void freshet_model_write_globals(const freshet_model* model, int64_t folded_to, freshet_buffer* out) {
  static const double zeros[BLEND_PADDED];
  uint32_t recent = model->events < RECENT_EVENTS ? (uint32_t)model->events : RECENT_EVENTS;
  PUT(out, uint8_t, VERSION);
  freshet_put(out, &folded_to, sizeof folded_to);
  freshet_put(out, &model->events, sizeof model->events);
  freshet_put(out, model->popular_totals, sizeof model->popular_totals);
  freshet_put_blend(out, model->blend, model->blend_squares, zeros, zeros);
  freshet_put(out, &recent, sizeof recent);
  for (uint64_t e = model->events - recent; e < model->events; e++) {
    uint32_t slot = model->recent[e % RECENT_EVENTS];
    PUT(out, uint64_t, slot == FRESHET_NO_ITEM ? 0 : model->items[slot].key);
  }
  freshet_put(out, &model->total_dislikes, sizeof model->total_dislikes);
  freshet_put(out, &model->total_watched, sizeof model->total_watched);
  freshet_put(out, &model->total_repeats, sizeof model->total_repeats);
  freshet_put(out, &model->total_repeat_spans, sizeof model->total_repeat_spans);
}

static int64_t take_total(freshet_byte_reader* in) {
  const int64_t total = freshet_take_i64(in);
  if (total < 0 || total > INT64_MAX / 2) in->bad = true;
  return total;
}

/* Sums that earlier versions do not have. */
static void take_totals(freshet_model* model, freshet_byte_reader* in, uint8_t version, bool apply) {
  const int64_t dislikes = version >= VERSION_DISLIKES ? take_total(in) : 0;
  const int64_t watched = version >= VERSION_REPEATS ? take_total(in) : 0;
  const int64_t repeats = version >= VERSION_REPEATS ? take_total(in) : 0;
  const int64_t spans = version >= VERSION_REPEATS ? take_total(in) : 0;
  if (repeats > watched || spans / UINT8_MAX > repeats) in->bad = true;
  if (!apply) return;
  model->total_dislikes = dislikes;
  model->total_watched = watched;
  model->total_repeats = repeats;
  model->total_repeat_spans = spans;
}

/* apply false: only looks. */
static void take_globals(freshet_model* model, freshet_byte_reader* in, bool apply) {
  const uint8_t version = take_version(in);
  int64_t folded_to = freshet_take_i64(in);
  uint64_t events = freshet_take_u64(in);
  double totals[HALF_LIVES];
  for (int h = 0; h < HALF_LIVES; h++) totals[h] = freshet_take_f64(in);
  if (apply) {
    memset(model->blend, 0, sizeof model->blend);
    memset(model->blend_squares, 0, sizeof model->blend_squares);
    memcpy(model->popular_totals, totals, sizeof totals);
    memset(model->recent, 0xff, sizeof model->recent);
    model->folded_to = folded_to;
    model->events = events;
  }
  const uint32_t weights = freshet_take_blend(model, in, apply);
  for (uint32_t i = weights; apply && i < BLEND_WEIGHTS; i++) {
    model->blend_squares[i] = freshet_grid(FRESHET_BLEND_SQUARES_START);
  }
  if (apply && weights <= AGAIN) freshet_model_init_habits(model);
  if (apply && weights <= WORTH) freshet_model_init_worth(model);
  uint32_t recent = freshet_take_u32(in);
  if (recent > RECENT_EVENTS || recent > events) in->bad = true;
  for (uint32_t i = 0; i < recent && !in->bad; i++) {
    uint64_t key = freshet_take_u64(in);
    if (!apply || key == 0) continue;
    model->recent[(events - recent + i) % RECENT_EVENTS] = freshet_model_named_slot(model, key);
  }
  take_totals(model, in, version, apply);
}

freshet_status freshet_model_read_globals(freshet_model* model, freshet_slice bytes, freshet_error* error) {
  FRESHET_ASSERT(freshet_model_delta_size(model) == 0 && !freshet_model_is_taking(model));
  freshet_byte_reader look = freshet_read_slice(bytes);
  take_globals(model, &look, false);
  if (look.bad || look.left != 0) return refuse(bytes, "stored globals of the model", error);
  freshet_byte_reader in = freshet_read_slice(bytes);
  take_globals(model, &in, true);
  memcpy(model->pending_blend, model->blend, sizeof model->blend);
  memcpy(model->pending_blend_squares, model->blend_squares, sizeof model->blend_squares);
  return FRESHET_OK;
}

bool freshet_model_fit_log(freshet_model* model, int64_t end) {
  int64_t furthest = model->folded_to;
  for (uint32_t slot = 0; slot < model->count; slot++) {
    if (model->items[slot].folded_to > furthest) furthest = model->items[slot].folded_to;
  }
  if (furthest <= end) return false;
  model->is_of_other_log = true;
  model->folded_to = 0;
  for (uint32_t slot = 0; slot < model->count; slot++) model->items[slot].folded_to = 0;
  return true;
}

void freshet_model_renumber(freshet_model* model, uint32_t slot) {
  if (slot == FRESHET_NO_ITEM) {
    model->folded_to = 0;
  } else {
    model->items[slot].folded_to = 0;
  }
}

void freshet_model_renumber_row(freshet_buffer* row) {
  static const int64_t nothing = 0;
  FRESHET_ASSERT(row->size >= sizeof(uint8_t) + sizeof nothing); /* version, folded_to */
  memcpy((uint8_t*)row->data + sizeof(uint8_t), &nothing, sizeof nothing);
}

typedef struct keyed {
  uint64_t key;
  uint32_t slot;
} keyed;

static int compare_keys(const void* a, const void* b) {
  uint64_t x = ((const keyed*)a)->key, y = ((const keyed*)b)->key;
  return (x > y) - (x < y);
}

static bool is_learned(const freshet_model* model, uint32_t slot) {
  const item* it = &model->items[slot];
  return model->counts[slot] > 0 || it->dislikes > 0 || it->factor_squares != 0 || it->context_squares != 0 ||
         it->near.count > 0;
}

uint64_t freshet_model_hash(const freshet_model* model) {
  keyed* order = malloc((model->count + 1) * sizeof *order);
  FRESHET_ASSERT(order != NULL);
  for (uint32_t i = 0; i < model->count; i++) order[i] = (keyed){model->items[i].key, i};
  qsort(order, model->count, sizeof *order, compare_keys);
  freshet_buffer bytes = {0};
  uint64_t hash = model->config.seed;
  for (uint32_t i = 0; i < model->count; i++) {
    if (!is_learned(model, order[i].slot)) continue;
    bytes.size = 0;
    freshet_buffer_append(&bytes, &order[i].key, sizeof order[i].key);
    freshet_model_write_item(model, order[i].slot, 0, &bytes);
    hash = XXH3_64bits_withSeed(bytes.data, bytes.size, hash);
  }
  bytes.size = 0;
  freshet_model_write_globals(model, 0, &bytes);
  hash = XXH3_64bits_withSeed(bytes.data, bytes.size, hash);
  freshet_buffer_free(&bytes);
  free(order);
  return hash;
}
