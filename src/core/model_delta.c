/*
 * model_delta.c: what has been learned since the last commit, as the bytes of a delta. model_fold.c reads them.
 *
 * delta.items    u64 key [n]
 * delta.values   u32 dim, in a coarse take FRESHET_SHORT_MARK, then for each item its additive part (model_bytes.c)
 * delta.trace    u64 events before it, u8 index bytes (2 or 4), then for each event: index of the item,
 *                u16 weight in sixteenths (TRACE_DISLIKE more: a dislike; TRACE_AGAIN more: a repeat), u8 context
 *                items (+ 64, if `follows` fades faster: see model_order.c), of a repeat u8 code of the time
 *                since the choice before, indices of the context items (newest first).
 *                Earlier versions thinned: + 128 in the context items, u8 picks after them (see model_thin.h), and
 *                indices of the items that count.
 *                A sampled trace (model_thin.h): u8 index bytes (2 or 3) + 64. Of each event: index of the item,
 *                u8 context items (+ 128, if the chosen item's list hears; + 64, if weight and fading are those of the
 *                event before; otherwise u16 weight and u8 fading follow), of a repeat u8 code, what
 *                the lists of the context items hear, a bit each in whole bytes, indices of all items of the context, or of
 *                those that hear, if the chosen item's list does not
 * delta.globals  the blend (model_bytes.c)
 *
 * A take has three steps. It starts: what has gathered is set apart, and what is learned from then on gathers elsewhere. The
 * gains of each item are written, in any order: a few at a time, and those of an item that is about to change before it
 * does. Then parts are put together. So a take needs no long time of the loop, and yet says what was true when it started.
 */
#include <stdlib.h>

#include "core/grow.h"
#include "core/model_bytes.h"
#include "core/prefetch.h"
#include "core/table.h"

enum {
  INDEX_GUESS = 4, /* bytes of an index, before it is known how many items a part has */
  ITEMS_AHEAD = 6, /* whose rows are fetched while others are written */
};

/* ---- gains ---- */

/* An item that no event names and of which nothing is given is not in the delta. */
static void put_short_gains_of(freshet_model* model, delta_take* take, uint32_t place, const float* rows) {
  const pending_item* old = &take->of->items[place];
  const uint32_t dim = model->config.dim;
  const freshet_gains before = {old->bias, old->factor_squares, old->context_squares, old->bias_squares};
  const uint64_t seed = model->items[old->slot].key ^ take->of->trace_start;
  const freshet_row_times times =
      freshet_model_given_times(freshet_gain_sizes(model, old->slot, &before, rows, rows + dim),
                                take->threshold, freshet_random(seed, 0));
  take->starts[place] = take->gains.size;
  const bool is_given = freshet_put_short_gains(model, old->slot, &before, rows, rows + dim, times,
                                                freshet_random(seed, 1), &take->gains);
  take->sizes[place] = (uint32_t)(take->gains.size - take->starts[place]);
  take->is_written[place] = !is_given && !old->is_named;
}

static void put_gains_of(freshet_model* model, delta_take* take, uint32_t place) {
  const pending_item* old = &take->of->items[place];
  const uint32_t dim = model->config.dim;
  item* it = &model->items[old->slot];
  const float* rows = take->of->rows + (size_t)place * 2 * dim;
  freshet_model_note_changed(model, old->slot); /* rounding and averaging change it once more */
  it->bias_squares =
      freshet_grid_sum(old->bias_squares + take->share * (it->bias_squares - old->bias_squares));
  if (take->is_coarse) {
    put_short_gains_of(model, take, place, rows);
  } else {
    const freshet_gains gain = {it->bias - old->bias, it->factor_squares - old->factor_squares,
                                it->context_squares - old->context_squares,
                                it->bias_squares - old->bias_squares};
    take->starts[place] = take->gains.size;
    freshet_put_gains(model, old->slot, &gain, rows, rows + dim, &take->gains);
    take->sizes[place] = (uint32_t)(take->gains.size - take->starts[place]);
  }
  it->pending = 0;
}

void freshet_model_leave_take(freshet_model* model, uint32_t slot) {
  uint32_t place;
  if (freshet_model_gathered_of(model, slot, &place) != NULL) put_gains_of(model, &model->take, place);
}

/* A few items before their gains are written, their rows are on the way from memory. */
static void fetch_item(const freshet_model* model, const gathered* g, size_t place) {
  if (place >= g->count) return;
  const uint32_t slot = g->items[place].slot;
  freshet_prefetch(&model->items[slot], sizeof model->items[slot]);
  freshet_prefetch_row(freshet_model_factor(model, slot), model->config.dim);
  freshet_prefetch_row(g->rows + place * 2 * model->config.dim, 2 * model->config.dim);
  const float* m = freshet_model_context_factor(model, slot);
  if (m != NULL) freshet_prefetch_row(m, model->config.dim);
}

bool freshet_model_prepare_take(freshet_model* model, size_t most) {
  delta_take* take = &model->take;
  if (take->of == NULL) return true;
  for (; most > 0 && take->ready < take->of->count; most--, take->ready++) {
    fetch_item(model, take->of, take->ready + ITEMS_AHEAD);
    if (take->sizes[take->ready] == 0) put_gains_of(model, take, take->ready);
  }
  return take->ready == take->of->count;
}

/* ---- parts ---- */

/* Adds an item to the part, unless it is in it. */
static void add_item(freshet_model* model, delta_take* take, uint32_t place) {
  if (take->indices[place] > 0) return;
  freshet_buffer* values = &model->delta_values;
  freshet_put(&model->delta_items, &model->items[take->of->items[place].slot].key, sizeof(uint64_t));
  if (take->is_written[place] && take->is_coarse) {
    freshet_put_no_short_gains(values);
  } else if (take->is_written[place]) {
    freshet_put_no_gains(values);
  } else {
    freshet_buffer_append(values, take->gains.data + take->starts[place], take->sizes[place]);
  }
  take->is_written[place] = true;
  take->items[take->item_count++] = place;
  take->indices[place] = (uint32_t)take->item_count;
}

static bool is_full(const freshet_model* model, size_t trace, size_t most) {
  return model->take.item_count > 0 && trace + model->delta_items.size + model->delta_values.size >= most;
}

/* Adds the items of events until the part is full. Returns where its events end. */
static size_t add_events(freshet_model* model, delta_take* take, size_t most) {
  const gathered* g = take->of;
  size_t event = take->next_event, named = take->next_context, trace = 0;
  for (; event < g->trace_count; event++) {
    const trace_event* e = &g->trace[event];
    if (is_full(model, trace, most)) break;
    add_item(model, take, e->item);
    for (uint32_t k = 0; k < e->kept; k++) add_item(model, take, g->trace_items[named++]);
    trace += (1 + e->kept) * INDEX_GUESS + sizeof e->weight + 3;
  }
  if (event < g->trace_count) return event;
  for (; take->next_item < g->count; take->next_item++) {
    if (is_full(model, trace, most)) break;
    if (!take->is_written[take->next_item]) add_item(model, take, (uint32_t)take->next_item);
  }
  return event;
}

/* Writes the index of an item in the part, and returns where the next one goes. */
static uint8_t* write_index(const delta_take* take, uint32_t place, size_t size, uint8_t* at) {
  const uint32_t index = take->indices[place] - 1;
  memcpy(at, &index, sizeof index); /* the surplus bytes are overwritten by the next index */
  return at + size;
}

/* What is written before the indices of a sampled event's context. The form of its head: see above. */
static uint8_t* write_sampled(const trace_event* event, const trace_event* before, uint8_t* at) {
  const bool as_before = before != NULL && before->weight == event->weight && before->fades == event->fades;
  *at++ = (uint8_t)(event->context + (as_before ? TRACE_AS_BEFORE : 0) +
                    (event->chosen_hears ? TRACE_CHOSEN_HEARS : 0));
  if (!as_before) {
    memcpy(at, &event->weight, sizeof event->weight);
    at += sizeof event->weight;
    *at++ = event->fades;
  }
  if ((event->weight & TRACE_AGAIN) != 0) *at++ = event->span_code;
  for (unsigned k = 0; k < event->context; k += 8) *at++ = (uint8_t)(event->hear >> k);
  return at;
}

static uint8_t* write_whole(const trace_event* event, uint8_t* at) {
  memcpy(at, &event->weight, sizeof event->weight);
  at += sizeof event->weight;
  *at++ = (uint8_t)(event->context + (event->fades ? TRACE_FADES : 0));
  if ((event->weight & TRACE_AGAIN) != 0) *at++ = event->span_code;
  return at;
}

/* Earlier versions know no index of 3 bytes; nor do they know a sampled trace. */
static uint8_t index_bytes_of(const delta_take* take) {
  if (take->item_count <= UINT16_MAX) return 2;
  return take->is_coarse ? 3 : 4;
}

static void put_trace(delta_take* take, size_t end, freshet_buffer* out) {
  enum { HEAD_MOST = 8 }; /* bytes beside the indices */
  const gathered* g = take->of;
  const uint8_t size = index_bytes_of(take);
  const trace_event* before = NULL;
  PUT(out, uint64_t, g->trace_start + take->passed);
  PUT(out, uint8_t, (uint8_t)(size + (take->is_coarse ? TRACE_SAMPLED : 0)));
  for (; take->next_event < end; take->next_event++) {
    const trace_event* event = &g->trace[take->next_event];
    uint8_t* start = freshet_buffer_reserve(out, (1 + event->kept + 1) * sizeof(uint32_t) + HEAD_MOST);
    uint8_t* at = write_index(take, event->item, size, start);
    at = take->is_coarse ? write_sampled(event, before, at) : write_whole(event, at);
    for (uint32_t k = 0; k < event->kept; k++)
      at = write_index(take, g->trace_items[take->next_context++], size, at);
    out->size += (size_t)(at - start);
    take->passed += (event->weight & TRACE_DISLIKE) == 0;
    before = event;
  }
}

/* All gains of the globals are in the first part. */
static void put_globals(freshet_model* model, delta_take* take) {
  freshet_buffer* out = &model->delta_globals;
  if (!take->is_given) return; /* they are there since the start */
  out->size = 0;
  freshet_put_blend(out, model->blend, model->blend_squares, model->blend, model->blend_squares);
}

static freshet_slice as_slice(const freshet_buffer* buffer) {
  return freshet_buffer_slice(buffer);
}

size_t freshet_model_delta_size(const freshet_model* model) {
  const gathered* g = &model->gathered[model->gathers >> GATHERS_SHIFT];
  size_t row = sizeof(uint64_t) + 4 * sizeof(double) + 1 + 2 * model->config.dim * sizeof(int16_t);
  return g->count * row + g->trace_count * (sizeof(uint16_t) * (2 + FRESHET_HISTORY));
}

size_t freshet_model_delta_memory(const freshet_model* model) {
  const delta_take* take = &model->take;
  size_t size = model->delta_items.capacity + model->delta_values.capacity + model->delta_trace.capacity +
                model->delta_globals.capacity + take->gains.capacity +
                take->capacity * (3 * sizeof(uint32_t) + sizeof(size_t) + sizeof(bool));
  for (int i = 0; i < 2; i++) {
    const gathered* g = &model->gathered[i];
    size += g->capacity * (sizeof *g->items + 2 * model->config.dim * sizeof(float)) +
            g->trace_capacity * sizeof *g->trace + g->trace_item_capacity * sizeof *g->trace_items;
  }
  return size;
}

void freshet_model_free_deltas(freshet_model* model) {
  for (int i = 0; i < 2; i++) {
    freshet_table_free(model->gathered[i].items);
    freshet_table_free(model->gathered[i].rows);
    free(model->gathered[i].trace);
    free(model->gathered[i].trace_items);
  }
  delta_take* take = &model->take;
  void* owned[] = {take->sizes, take->starts, take->indices, take->items, take->is_written};
  for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
  freshet_buffer* buffers[] = {&take->gains, &model->delta_items, &model->delta_values, &model->delta_trace,
                               &model->delta_globals};
  for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) freshet_buffer_free(buffers[i]);
}

void freshet_model_expect_fleet(freshet_model* model, uint64_t own_events, uint64_t others_events) {
  FRESHET_ASSERT(freshet_model_gathering(model)->count ==
                 0); /* a take is sampled as a whole, or not at all */
  model->thins = model->thins_always = freshet_fleet_thins(own_events, others_events);
}

/* This worker's share of the events of all workers in the last few commits. Without other workers it is 1. */
static double share_of_events(freshet_model* model, const gathered* g) {
  model->own_events = model->own_events / 2 + g->trace_count;
  model->others_events = model->others_events / 2 + model->folded_events;
  model->folded_events = 0;
  model->thins = freshet_fleet_thins(model->own_events, model->others_events) || model->thins_always;
  if (model->others_events == 0) return 1;
  return (double)model->own_events / (double)(model->own_events + model->others_events);
}

/* Weights that run away stay within bounds, and are counted. */
static double bounded_blend(freshet_model* model, int i, double weight) {
  const double bound = freshet_blend_bound(i), within = freshet_clamp(weight, -bound, bound);
  model->clipped += within < weight || within > weight;
  return freshet_grid(within);
}

/* Values that forget: blend weights, and means of squared gradients. Between two commits each worker moves them
 * from one start to about one place. The sum of all moves would go past that place, further with each worker. So a
 * worker gives its share of its own move, and the sum of all workers is a mean. Its own values follow, because
 * all workers have to agree. */
static void average_blend(freshet_model* model, double share) {
  for (int i = 0; i < BLEND_WEIGHTS; i++) {
    const double weight = model->pending_blend[i], squares = model->pending_blend_squares[i];
    model->blend[i] = bounded_blend(model, i, weight + share * (model->blend[i] - weight));
    model->blend_squares[i] = freshet_grid(squares + share * (model->blend_squares[i] - squares));
  }
}

/* ---- a take ---- */

static void make_room(delta_take* take, size_t count) {
  if (count > take->capacity) {
    size_t capacity[5];
    for (size_t i = 0; i < 5; i++) capacity[i] = take->capacity;
    take->sizes = freshet_grow(take->sizes, &capacity[0], count, sizeof *take->sizes);
    take->starts = freshet_grow(take->starts, &capacity[1], count, sizeof *take->starts);
    take->indices = freshet_grow(take->indices, &capacity[2], count, sizeof *take->indices);
    take->items = freshet_grow(take->items, &capacity[3], count, sizeof *take->items);
    take->is_written = freshet_grow(take->is_written, &capacity[4], count, sizeof *take->is_written);
    take->capacity = capacity[0];
  }
  memset(take->sizes, 0, count * sizeof *take->sizes);
  memset(take->indices, 0, count * sizeof *take->indices);
  memset(take->is_written, 0, count * sizeof *take->is_written);
}

void freshet_model_start_take(freshet_model* model) {
  delta_take* take = &model->take;
  gathered* g = freshet_model_gathering(model);
  if (take->of != NULL || g->count == 0) return;
  take->is_coarse = model->thins; /* as the events since the last take */
  take->share = share_of_events(model, g);
  take->threshold = take->is_coarse ? freshet_model_given_threshold(model, g) : 0;
  average_blend(model, take->share);
  model->delta_globals.size = 0;
  freshet_put_blend(&model->delta_globals, model->blend, model->blend_squares, model->pending_blend,
                    model->pending_blend_squares);
  memcpy(model->pending_blend, model->blend, sizeof model->blend);
  memcpy(model->pending_blend_squares, model->blend_squares, sizeof model->blend_squares);
  make_room(take, g->count);
  take->of = g;
  take->is_given = false;
  take->ready = 0;
  take->gains.size = take->item_count = take->next_item = take->next_event = take->next_context = 0;
  take->passed = 0;
  model->gathers ^= GATHERS_SECOND;
}

static void end_take(delta_take* take) {
  take->of->count = 0;
  take->of->trace_count = take->of->trace_item_count = 0;
  take->of = NULL;
}

bool freshet_model_take_part(freshet_model* model, size_t most, freshet_model_delta* part) {
  delta_take* take = &model->take;
  *part = (freshet_model_delta){0};
  if (take->of == NULL) return false;
  freshet_model_prepare_take(model, SIZE_MAX);
  freshet_buffer *keys = &model->delta_items, *values = &model->delta_values, *trace = &model->delta_trace;
  keys->size = values->size = trace->size = 0;
  PUT(values, uint32_t, model->config.dim);
  if (take->is_coarse) PUT(values, double, FRESHET_SHORT_MARK);
  const size_t first = take->next_event;
  put_trace(take, add_events(model, take, most), trace);
  put_globals(model, take);
  take->is_given = true;
  *part = (freshet_model_delta){take->next_event - first, as_slice(keys), as_slice(values), as_slice(trace),
                                as_slice(&model->delta_globals)};
  for (size_t i = 0; i < take->item_count; i++) take->indices[take->items[i]] = 0;
  take->item_count = 0;
  if (take->next_event == take->of->trace_count && take->next_item == take->of->count) end_take(take);
  return true;
}

bool freshet_model_is_taking(const freshet_model* model) {
  return model->take.of != NULL;
}

void freshet_model_take_delta(freshet_model* model, freshet_model_delta* delta) {
  freshet_model_start_take(model);
  freshet_model_take_part(model, SIZE_MAX, delta);
}
