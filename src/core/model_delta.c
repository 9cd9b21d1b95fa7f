/*
 * model_delta.c: learning as bytes: the delta log, stored items and globals, and the hash.
 *
 * All integers and floats are little-endian (as the machines are that this is built for). A row of factors is
 * a sequence of whole multiples of 2^-20, 16 bits each where all fit, else 32.
 *
 * delta.items    u64 key [n]
 * delta.values   u32 dim, then for each item: f64 bias, f64 factor squares, f64 context squares,
 *                f64 bias squares, u8 flags (V_THERE, V_WIDE, M_THERE, M_WIDE), v row, m row
 * delta.trace    u64 events before it, u8 index bytes (2 or 4), then for each event: index of the item,
 *                u16 weight in sixteenths, u8 context items, their indices (newest first)
 * delta.globals  u32 count, f64 gain of each blend weight [count], f64 gain of its accumulator [count]
 * item           u8 version, i64 folded_to, u32 dim, u32 N in sixteenths, u64 event and f32 [3] of the
 *                popularities, then as in delta.values, u16 neighbours, for each: u64 key, f32 cf, f32 cs
 * globals        u8 version, i64 folded_to, u64 events, f64 [3] popularity totals, as delta.globals,
 *                u32 recent events, u64 key [recent], oldest first
 */
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "core/model_internal.h"

enum {
  VERSION = 1,
  V_THERE = 1,
  V_WIDE = 2,
  M_THERE = 4,
  M_WIDE = 8,
  FLAGS = 15,
  DELTA_ITEMS_MAX = 1 << 24,
};

static const double scalar_limit = 0x1p19;
static const int32_t factor_limit = 1 << 23; /* 8, in units */

/* ---- writing and reading bytes ---- */

#define PUT(out, type, value) put(out, &(type){value}, sizeof(type))
static void put(freshet_buffer* out, const void* bytes, size_t size) {
  freshet_buffer_append(out, bytes, size);
}

/* Reads never leave the bytes: once something is missing, `bad` stays set and zeros are read. */
typedef struct reader {
  const char* at;
  size_t left;
  bool bad;
} reader;

static void take(reader* in, void* value, size_t size) {
  if (in->bad || in->left < size) {
    in->bad = true;
    memset(value, 0, size);
    return;
  }
  memcpy(value, in->at, size);
  in->at += size;
  in->left -= size;
}

static uint8_t take_u8(reader* in) {
  uint8_t x;
  take(in, &x, sizeof x);
  return x;
}
static uint16_t take_u16(reader* in) {
  uint16_t x;
  take(in, &x, sizeof x);
  return x;
}
static uint32_t take_u32(reader* in) {
  uint32_t x;
  take(in, &x, sizeof x);
  return x;
}
static uint64_t take_u64(reader* in) {
  uint64_t x;
  take(in, &x, sizeof x);
  return x;
}
static int64_t take_i64(reader* in) {
  return (int64_t)take_u64(in);
}
/* A number within limits, or bad. */
static double take_f64(reader* in) {
  double x;
  take(in, &x, sizeof x);
  if (!(x >= -scalar_limit && x <= scalar_limit)) in->bad = true;
  return in->bad ? 0 : x;
}
static float take_count_f32(reader* in) {
  float x;
  take(in, &x, sizeof x);
  if (!(x >= 0 && x <= 1e30F)) in->bad = true;
  return in->bad ? 0 : x;
}

static freshet_status malformed(freshet_error* error, const char* what) {
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                           "malformed %s: damaged, or written by a newer version", what);
}

/* ---- additive part ---- */

typedef struct gains {
  double bias, factor_squares, context_squares, bias_squares;
} gains;

static int32_t units_of(float now, float before) {
  return (int32_t)((now - before) * (1 / FRESHET_FACTOR_STEP));
}

/* Writes now - before of a row and returns its flags: there, wide. */
static unsigned put_row(freshet_buffer* out, const float* now, const float* before, uint32_t dim) {
  int32_t low = 0, high = 0;
  for (uint32_t i = 0; i < dim; i++) {
    int32_t units = units_of(now[i], before[i]);
    low = units < low ? units : low;
    high = units > high ? units : high;
  }
  if (low == 0 && high == 0) return 0;
  bool wide = low < INT16_MIN || high > INT16_MAX;
  size_t size = wide ? sizeof(int32_t) : sizeof(int16_t);
  uint8_t* at = freshet_buffer_reserve(out, dim * size);
  for (uint32_t i = 0; i < dim; i++) {
    int32_t units = units_of(now[i], before[i]);
    memcpy(at + i * size, &units, size);
  }
  out->size += dim * size;
  return wide ? 3 : 1;
}

static void put_gains(const freshet_model* model, uint32_t slot, const gains* gain, const float* v_before,
                      const float* m_before, freshet_buffer* out) {
  uint32_t dim = model->config.dim;
  put(out, gain, sizeof *gain);
  size_t flags_at = out->size;
  PUT(out, uint8_t, 0);
  unsigned v = put_row(out, freshet_model_factor(model, slot), v_before, dim);
  unsigned m = put_row(out, freshet_model_context_factor(model, slot), m_before, dim);
  out->data[flags_at] = (uint8_t)(v * V_THERE + m * M_THERE);
}

/* The factor on its grid, within what keeps sums exact. */
static void add_units(float* x, int32_t units) {
  float sum = *x + (float)units * FRESHET_FACTOR_STEP;
  *x = sum > 7.5F ? 7.5F : sum < -7.5F ? -7.5F : sum;
}

/* Reads a row and adds it to x and, unless NULL, to before. x NULL: only looks whether it is well-formed. */
static void take_row(reader* in, unsigned flags, uint32_t dim, float* x, float* before) {
  if ((flags & V_THERE) == 0) {
    if ((flags & V_WIDE) != 0) in->bad = true;
    return;
  }
  for (uint32_t i = 0; i < dim && !in->bad; i++) {
    int32_t units = (flags & V_WIDE) != 0 ? (int32_t)take_u32(in) : (int16_t)take_u16(in);
    if (units < -factor_limit || units > factor_limit) in->bad = true;
    if (in->bad || x == NULL) continue;
    add_units(&x[i], units);
    if (before != NULL) add_units(&before[i], units);
  }
}

/* The same for all that is additive of an item; slot FRESHET_NO_ITEM: only looks. */
static void take_gains(freshet_model* model, reader* in, uint32_t slot) {
  uint32_t dim = model->config.dim;
  gains gain = {take_f64(in), take_f64(in), take_f64(in), take_f64(in)};
  unsigned flags = take_u8(in);
  if ((flags & ~(unsigned)FLAGS) != 0) in->bad = true;
  bool known = slot != FRESHET_NO_ITEM;
  uint32_t pending = known ? model->items[slot].pending : 0;
  float* before = pending == 0 ? NULL : model->pending_rows + (size_t)(pending - 1) * 2 * dim;
  take_row(in, flags, dim, known ? freshet_model_factor(model, slot) : NULL, before);
  take_row(in, flags / M_THERE, dim, known ? freshet_model_context_factor(model, slot) : NULL,
           before == NULL ? NULL : before + dim);
  if (!known) return;
  item* it = &model->items[slot];
  it->bias = freshet_grid(freshet_clamp(it->bias + gain.bias, -1000, 1000));
  it->factor_squares =
      freshet_grid_sum(freshet_clamp(it->factor_squares + gain.factor_squares, -scalar_limit, scalar_limit));
  it->context_squares = freshet_grid_sum(
      freshet_clamp(it->context_squares + gain.context_squares, -scalar_limit, scalar_limit));
  it->bias_squares =
      freshet_grid_sum(freshet_clamp(it->bias_squares + gain.bias_squares, -scalar_limit, scalar_limit));
  if (pending == 0) return;
  pending_item* old = &model->pending[pending - 1];
  old->bias += gain.bias;
  old->factor_squares += gain.factor_squares;
  old->context_squares += gain.context_squares;
  old->bias_squares += gain.bias_squares;
}

static void put_blend(freshet_buffer* out, const double* now, const double* now_squares, const double* before,
                      const double* before_squares) {
  PUT(out, uint32_t, BLEND_WEIGHTS);
  for (int i = 0; i < BLEND_WEIGHTS; i++) PUT(out, double, now[i] - before[i]);
  for (int i = 0; i < BLEND_WEIGHTS; i++) PUT(out, double, now_squares[i] - before_squares[i]);
}

static void add_blend(double* x, double* before, double gain) {
  *x = freshet_grid(freshet_clamp(*x + gain, -1000, 1000));
  if (before != NULL) *before = freshet_grid(freshet_clamp(*before + gain, -1000, 1000));
}

/* apply false: only looks. Returns how many weights there are: what an older version wrote has fewer, and
 * says nothing of the last ones. */
static uint32_t take_blend(freshet_model* model, reader* in, bool apply) {
  const uint32_t weights = take_u32(in);
  if (weights > BLEND_WEIGHTS) in->bad = true;
  for (uint32_t i = 0; !in->bad && i < 2 * weights; i++) {
    double gain = take_f64(in);
    if (!apply || in->bad) continue;
    if (i < weights) {
      add_blend(&model->blend[i], &model->pending_blend[i], gain);
    } else {
      add_blend(&model->blend_squares[i - weights], &model->pending_blend_squares[i - weights], gain);
    }
  }
  return weights;
}

/* ---- taking a delta ---- */

/* Writes the index of an item in the delta, and returns where the next one goes. */
static uint8_t* write_index(const freshet_model* model, uint32_t slot, size_t size, uint8_t* at) {
  uint32_t index = model->items[slot].pending - 1;
  memcpy(at, &index, sizeof index); /* what is too much is written over by what follows */
  return at + size;
}

static void put_trace(freshet_model* model, freshet_buffer* out) {
  bool narrow = model->pending_count <= UINT16_MAX;
  const size_t size = narrow ? sizeof(uint16_t) : sizeof(uint32_t);
  const uint32_t* before = model->trace_items;
  PUT(out, uint64_t, model->trace_start);
  PUT(out, uint8_t, narrow ? 2 : 4);
  for (size_t i = 0; i < model->trace_count; i++) {
    const trace_event* event = &model->trace[i];
    uint8_t* start = freshet_buffer_reserve(out, (1 + event->context + 1) * sizeof(uint32_t) + 3);
    uint8_t* at = write_index(model, event->item, size, start);
    memcpy(at, &event->weight, sizeof event->weight);
    at[sizeof event->weight] = (uint8_t)event->context;
    at += sizeof event->weight + 1;
    for (uint32_t k = 0; k < event->context; k++) at = write_index(model, *before++, size, at);
    out->size += (size_t)(at - start);
  }
}

static freshet_slice as_slice(const freshet_buffer* buffer) {
  return freshet_buffer_slice(buffer);
}

size_t freshet_model_delta_size(const freshet_model* model) {
  size_t row = sizeof(uint64_t) + 4 * sizeof(double) + 1 + 2 * model->config.dim * sizeof(int16_t);
  return model->pending_count * row + model->trace_count * (sizeof(uint16_t) * (2 + FRESHET_HISTORY));
}

/* This worker's share of the events of all workers in the last few commits. Without other workers it is 1. */
static double share_of_events(freshet_model* model) {
  model->own_events = model->own_events / 2 + model->trace_count;
  model->others_events = model->others_events / 2 + model->folded_events;
  model->folded_events = 0;
  if (model->others_events == 0) return 1;
  return (double)model->own_events / (double)(model->own_events + model->others_events);
}

/* Values that forget: blend weights, and means of squared gradients. Between two commits each worker moves them
 * from one start to about one place. The sum of all moves would go past that place, further with each worker. So a
 * worker gives its share of its own move, and the sum of all workers is a mean. Its own values follow, because
 * all workers have to agree. */
static void average_blend(freshet_model* model, double share) {
  for (int i = 0; i < BLEND_WEIGHTS; i++) {
    const double weight = model->pending_blend[i], squares = model->pending_blend_squares[i];
    model->blend[i] = freshet_grid(weight + share * (model->blend[i] - weight));
    model->blend_squares[i] = freshet_grid(squares + share * (model->blend_squares[i] - squares));
  }
}

void freshet_model_take_delta(freshet_model* model, freshet_model_delta* delta) {
  *delta = (freshet_model_delta){0};
  if (model->pending_count == 0) return;
  const double share = share_of_events(model);
  average_blend(model, share);
  freshet_buffer *keys = &model->delta_items, *values = &model->delta_values;
  freshet_buffer *trace = &model->delta_trace, *globals = &model->delta_globals;
  uint32_t dim = model->config.dim;
  keys->size = values->size = trace->size = globals->size = 0;
  put_trace(model, trace);
  PUT(values, uint32_t, dim);
  for (uint32_t i = 0; i < model->pending_count; i++) {
    const pending_item* old = &model->pending[i];
    item* it = &model->items[old->slot];
    const float* rows = model->pending_rows + (size_t)i * 2 * dim;
    it->bias_squares = freshet_grid_sum(old->bias_squares + share * (it->bias_squares - old->bias_squares));
    gains gain = {it->bias - old->bias, it->factor_squares - old->factor_squares,
                  it->context_squares - old->context_squares, it->bias_squares - old->bias_squares};
    put(keys, &it->key, sizeof it->key);
    put_gains(model, old->slot, &gain, rows, rows + dim, values);
    it->pending = 0;
  }
  put_blend(globals, model->blend, model->blend_squares, model->pending_blend, model->pending_blend_squares);
  memcpy(model->pending_blend, model->blend, sizeof model->blend);
  memcpy(model->pending_blend_squares, model->blend_squares, sizeof model->blend_squares);
  *delta = (freshet_model_delta){model->trace_count, as_slice(keys), as_slice(values), as_slice(trace),
                                 as_slice(globals)};
  model->pending_count = 0;
  model->trace_count = 0;
  model->trace_item_count = 0;
}

/* ---- folding ---- */

static reader read_slice(freshet_slice bytes) {
  return (reader){bytes.data, bytes.size, false};
}

static uint32_t take_index(reader* in, unsigned bytes, uint32_t bound) {
  uint32_t index = bytes == 2 ? take_u16(in) : take_u32(in);
  if (index >= bound) in->bad = true;
  return in->bad ? 0 : index;
}

/* Walks the trace; slots NULL: only looks. */
static void take_trace(freshet_model* model, const freshet_model_delta* delta, reader* in,
                       const uint32_t* slots, int64_t offset) {
  uint32_t items = (uint32_t)(delta->items.size / sizeof(uint64_t));
  uint64_t start = take_u64(in);
  unsigned bytes = take_u8(in);
  if ((bytes != 2 && bytes != 4) || start > UINT64_MAX / 2) in->bad = true;
  for (uint64_t e = 0; e < delta->events && !in->bad; e++) {
    uint32_t before[FRESHET_HISTORY] = {0};
    uint32_t chosen = take_index(in, bytes, items);
    uint32_t weight = take_u16(in);
    uint32_t count = take_u8(in);
    if (weight == 0 || weight > WEIGHT_UNITS_MAX || count > FRESHET_HISTORY) in->bad = true;
    for (uint32_t k = 0; k < count && !in->bad; k++) before[k] = take_index(in, bytes, items);
    if (in->bad || slots == NULL) continue;
    for (uint32_t k = 0; k < count; k++) before[k] = slots[before[k]];
    replay_event event = {slots[chosen], weight, count, before, NULL, NULL, start + e, offset};
    freshet_model_replay(model, &event);
  }
}

/* Looks through the whole delta before anything changes. */
static freshet_status check_delta(freshet_model* model, const freshet_model_delta* delta,
                                  freshet_error* error) {
  size_t items = delta->items.size / sizeof(uint64_t);
  if (delta->items.size % sizeof(uint64_t) != 0 || items > DELTA_ITEMS_MAX) {
    return malformed(error, "dictionary of an item delta");
  }
  reader keys = read_slice(delta->items), values = read_slice(delta->values);
  size_t unknown = 0;
  for (size_t i = 0; i < items; i++) {
    uint64_t key = take_u64(&keys);
    if (key == 0) return malformed(error, "key in an item delta");
    unknown += freshet_model_table_find(model, key) == FRESHET_NO_ITEM;
  }
  if (take_u32(&values) != model->config.dim) {
    return malformed(error, "item delta: its factors have another dimension (model.dim)");
  }
  for (size_t i = 0; i < items && !values.bad; i++) take_gains(model, &values, FRESHET_NO_ITEM);
  if (values.bad || values.left != 0) return malformed(error, "values of an item delta");
  reader trace = read_slice(delta->trace), globals = read_slice(delta->globals);
  take_trace(model, delta, &trace, NULL, 0);
  if (trace.bad || trace.left != 0) return malformed(error, "trace of an item delta");
  take_blend(model, &globals, false);
  if (globals.bad || globals.left != 0) return malformed(error, "globals of an item delta");
  if (unknown > model->config.max_items - model->count) {
    return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP,
                             "an item delta brings %zu more items than model.max_items allows", unknown);
  }
  return FRESHET_OK;
}

freshet_status freshet_model_fold(freshet_model* model, const freshet_model_delta* delta, int64_t offset,
                                  freshet_error* error) {
  if (delta->items.size == 0 && delta->events == 0) return FRESHET_OK;
  freshet_status status = check_delta(model, delta, error);
  if (status != FRESHET_OK) return status;
  uint32_t items = (uint32_t)(delta->items.size / sizeof(uint64_t));
  uint32_t* slots = malloc((items + 1) * sizeof *slots);
  FRESHET_ASSERT(slots != NULL);
  reader keys = read_slice(delta->items), values = read_slice(delta->values);
  reader trace = read_slice(delta->trace), globals = read_slice(delta->globals);
  take_u32(&values);
  for (uint32_t i = 0; i < items; i++) {
    FRESHET_ASSERT(freshet_model_intern_key(model, take_u64(&keys), &slots[i], NULL) == FRESHET_OK);
    bool known = model->items[slots[i]].folded_to > offset;
    take_gains(model, &values, known ? FRESHET_NO_ITEM : slots[i]);
    freshet_model_note_changed(model, slots[i]);
  }
  take_trace(model, delta, &trace, slots, offset);
  take_blend(model, &globals, model->folded_to <= offset);
  if (model->has_learned) model->folded_events += delta->events;
  free(slots);
  return FRESHET_OK;
}

/* ---- stored state ---- */

void freshet_model_write_item(const freshet_model* model, uint32_t slot, int64_t folded_to,
                              freshet_buffer* out) {
  FRESHET_ASSERT(slot < model->count);
  const item* it = &model->items[slot];
  uint32_t dim = model->config.dim;
  float start[2 * DIM_MAX];
  freshet_model_start_factors(model, it->key, start, start + dim);
  for (uint32_t i = 0; model->text_factors != NULL && i < 2 * dim; i++) {
    start[i] += model->text_factors[(size_t)slot * dim + i % dim];
  }
  PUT(out, uint8_t, VERSION);
  put(out, &folded_to, sizeof folded_to);
  put(out, &dim, sizeof dim);
  put(out, &model->counts[slot], sizeof *model->counts);
  put(out, &it->popular_at, sizeof it->popular_at);
  put(out, it->popular, sizeof it->popular);
  gains all = {it->bias, it->factor_squares, it->context_squares, it->bias_squares};
  put_gains(model, slot, &all, start, start + dim, out);
  put(out, &it->near.count, sizeof it->near.count);
  for (uint32_t e = 0; e < it->near.count; e++) {
    put(out, &model->items[it->near.entries[e].item].key, sizeof(uint64_t));
    put(out, &it->near.entries[e].follows, sizeof(float));
    put(out, &it->near.entries[e].together, sizeof(float));
  }
}

typedef struct item_head {
  int64_t folded_to;
  uint32_t count;
  uint64_t popular_at;
  float popular[HALF_LIVES];
} item_head;

static item_head take_item_head(const freshet_model* model, reader* in) {
  item_head head = {0};
  if (take_u8(in) != VERSION) in->bad = true;
  head.folded_to = take_i64(in);
  if (take_u32(in) != model->config.dim) in->bad = true;
  head.count = take_u32(in);
  head.popular_at = take_u64(in);
  for (int h = 0; h < HALF_LIVES; h++) head.popular[h] = take_count_f32(in);
  return head;
}

/* slot FRESHET_NO_ITEM: only looks. A neighbour for whom there is no room is left out. */
static void take_neighbours(freshet_model* model, reader* in, uint32_t slot) {
  uint32_t count = take_u16(in);
  if (count > model->config.neighbours) in->bad = true;
  for (uint32_t e = 0; e < count && !in->bad; e++) {
    uint64_t key = take_u64(in);
    float follows = take_count_f32(in);
    float together = take_count_f32(in);
    uint32_t other;
    if (key == 0) in->bad = true;
    if (in->bad || slot == FRESHET_NO_ITEM) continue;
    if (freshet_model_intern_key(model, key, &other, NULL) == FRESHET_OK) {
      freshet_model_neighbours_add(model, slot, other, UNKNOWN_PLACE, follows, together);
    }
  }
}

static void reset_item(freshet_model* model, uint32_t slot) {
  item* it = &model->items[slot];
  uint32_t dim = model->config.dim;
  float* v = freshet_model_factor(model, slot);
  float* m = freshet_model_context_factor(model, slot);
  freshet_model_start_factors(model, it->key, v, m);
  for (uint32_t i = 0; model->text_factors != NULL && i < dim; i++) {
    v[i] += model->text_factors[(size_t)slot * dim + i];
    m[i] += model->text_factors[(size_t)slot * dim + i];
  }
  it->bias = it->factor_squares = it->context_squares = it->bias_squares = 0;
  it->near.count = 0;
  it->near.smallest = UNKNOWN_SMALLEST;
}

freshet_status freshet_model_read_item(freshet_model* model, uint32_t slot, freshet_slice bytes,
                                       freshet_error* error) {
  FRESHET_ASSERT(slot < model->count && model->items[slot].pending == 0);
  reader look = read_slice(bytes);
  take_item_head(model, &look);
  take_gains(model, &look, FRESHET_NO_ITEM);
  take_neighbours(model, &look, FRESHET_NO_ITEM);
  if (look.bad || look.left != 0) return malformed(error, "state of an item, or one of another model.dim");
  reader in = read_slice(bytes);
  item_head head = take_item_head(model, &in);
  reset_item(model, slot);
  take_gains(model, &in, slot);
  take_neighbours(model, &in, slot); /* may move model->items */
  freshet_model_count_set(model, slot, head.count);
  item* it = &model->items[slot];
  it->folded_to = head.folded_to;
  it->popular_at = head.popular_at;
  memcpy(it->popular, head.popular, sizeof it->popular);
  freshet_model_note_changed(model, slot);
  return FRESHET_OK;
}

void freshet_model_write_globals(const freshet_model* model, int64_t folded_to, freshet_buffer* out) {
  static const double zeros[BLEND_PADDED];
  uint32_t recent = model->events < RECENT_EVENTS ? (uint32_t)model->events : RECENT_EVENTS;
  PUT(out, uint8_t, VERSION);
  put(out, &folded_to, sizeof folded_to);
  put(out, &model->events, sizeof model->events);
  put(out, model->popular_totals, sizeof model->popular_totals);
  put_blend(out, model->blend, model->blend_squares, zeros, zeros);
  put(out, &recent, sizeof recent);
  for (uint64_t e = model->events - recent; e < model->events; e++) {
    uint32_t slot = model->recent[e % RECENT_EVENTS];
    PUT(out, uint64_t, slot == FRESHET_NO_ITEM ? 0 : model->items[slot].key);
  }
}

/* apply false: only looks. */
static void take_globals(freshet_model* model, reader* in, bool apply) {
  if (take_u8(in) != VERSION) in->bad = true;
  int64_t folded_to = take_i64(in);
  uint64_t events = take_u64(in);
  double totals[HALF_LIVES];
  for (int h = 0; h < HALF_LIVES; h++) totals[h] = take_f64(in);
  if (apply) {
    memset(model->blend, 0, sizeof model->blend);
    memset(model->blend_squares, 0, sizeof model->blend_squares);
    memcpy(model->popular_totals, totals, sizeof totals);
    memset(model->recent, 0xff, sizeof model->recent);
    model->folded_to = folded_to;
    model->events = events;
  }
  const uint32_t weights = take_blend(model, in, apply);
  for (uint32_t i = weights; apply && i < BLEND_WEIGHTS; i++) {
    model->blend_squares[i] = freshet_grid(FRESHET_BLEND_SQUARES_START);
  }
  uint32_t recent = take_u32(in);
  if (recent > RECENT_EVENTS || recent > events) in->bad = true;
  for (uint32_t i = 0; i < recent && !in->bad; i++) {
    uint64_t key = take_u64(in);
    uint32_t slot = FRESHET_NO_ITEM;
    if (!apply || key == 0) continue;
    if (freshet_model_intern_key(model, key, &slot, NULL) != FRESHET_OK) slot = FRESHET_NO_ITEM;
    model->recent[(events - recent + i) % RECENT_EVENTS] = slot;
  }
}

freshet_status freshet_model_read_globals(freshet_model* model, freshet_slice bytes, freshet_error* error) {
  FRESHET_ASSERT(model->pending_count == 0);
  reader look = read_slice(bytes);
  take_globals(model, &look, false);
  if (look.bad || look.left != 0) return malformed(error, "stored globals of the model");
  reader in = read_slice(bytes);
  take_globals(model, &in, true);
  memcpy(model->pending_blend, model->blend, sizeof model->blend);
  memcpy(model->pending_blend_squares, model->blend_squares, sizeof model->blend_squares);
  return FRESHET_OK;
}

/* ---- hash ---- */

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
  return model->counts[slot] > 0 || it->factor_squares != 0 || it->context_squares != 0 || it->near.count > 0;
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
