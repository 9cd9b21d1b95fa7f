/*
 * model_delta.c: what has been learned since the last commit, as the bytes of a delta. model_fold.c reads them.
 *
 * delta.items    u64 key [n]
 * delta.values   u32 dim, then for each item its additive part (model_bytes.c)
 * delta.trace    u64 events before it, u8 index bytes (2 or 4), then for each event: index of the item,
 *                u16 weight in sixteenths (TRACE_DISLIKE more: a dislike; TRACE_AGAIN more: a repeat), u8 context
 *                items (+ 64, if `follows` fades faster: see model_order.c; + 128 and u8 picks, if it is thinned:
 *                see model_thin.h), of a repeat u8 code of the time
 *                since the choice before, indices of the context items that count (newest first)
 * delta.globals  the blend (model_bytes.c)
 */
#include <stdlib.h>

#include "core/model_bytes.h"
#include "core/prefetch.h"

/* ---- parts ---- */

enum {
  INDEX_GUESS = 4, /* bytes of an index, before it is known how many items a part has */
  ITEMS_AHEAD = 6, /* whose rows are fetched while others are written */
};

/* A delta is cut into parts that are deltas of their own. A part has events in their order and all items that these
 * name, then items that no event names. An item that is in several parts has its gains in the first. */
typedef struct delta_cut {
  uint32_t* places; /* [pending_count] 1 + the item's index in this part; 0: it is not in it */
  uint32_t* items;  /* [item_count] of this part: places in model->pending */
  bool* is_written; /* [pending_count] its gains are in an earlier part, or in this one */
  size_t item_count, next_item;
  size_t next_event, next_context; /* of the trace, and of its items */
  uint64_t passed; /* events of the trace in earlier parts that are events of the model's time */
  double share;    /* of this worker */
  bool is_coarse;
} delta_cut;

static delta_cut start_cut(const freshet_model* model, double share, bool is_coarse) {
  const size_t count = model->pending_count;
  delta_cut cut = {.share = share, .is_coarse = is_coarse};
  cut.places = calloc(count, sizeof *cut.places);
  cut.items = calloc(count, sizeof *cut.items);
  cut.is_written = calloc(count, sizeof *cut.is_written);
  FRESHET_ASSERT(cut.places != NULL && cut.items != NULL && cut.is_written != NULL);
  return cut;
}

static void end_cut(delta_cut* cut) {
  free(cut->places);
  free(cut->items);
  free(cut->is_written);
}

static void put_gains(freshet_model* model, const delta_cut* cut, uint32_t place) {
  const pending_item* old = &model->pending[place];
  const uint32_t dim = model->config.dim;
  item* it = &model->items[old->slot];
  const float* rows = model->pending_rows + (size_t)place * 2 * dim;
  freshet_buffer* values = &model->delta_values;
  if (cut->is_written[place]) {
    freshet_put_no_gains(values);
    return;
  }
  freshet_model_note_changed(model, old->slot); /* rounding and averaging change it once more */
  it->bias_squares =
      freshet_grid_sum(old->bias_squares + cut->share * (it->bias_squares - old->bias_squares));
  const freshet_gains gain = {it->bias - old->bias, it->factor_squares - old->factor_squares,
                              it->context_squares - old->context_squares,
                              it->bias_squares - old->bias_squares};
  if (cut->is_coarse) freshet_model_coarsen(model, old->slot, rows, rows + dim);
  freshet_put_gains(model, old->slot, &gain, rows, rows + dim, cut->is_coarse, values);
}

/* Adds an item to the part, unless it is in it. */
static void add_item(freshet_model* model, delta_cut* cut, uint32_t place) {
  if (cut->places[place] > 0) return;
  const item* it = &model->items[model->pending[place].slot];
  freshet_put(&model->delta_items, &it->key, sizeof it->key);
  put_gains(model, cut, place);
  cut->is_written[place] = true;
  cut->items[cut->item_count++] = place;
  cut->places[place] = (uint32_t)cut->item_count;
}

static uint32_t place_of(const freshet_model* model, uint32_t slot) {
  return model->items[slot].pending - 1;
}

static bool is_full(const freshet_model* model, const delta_cut* cut, size_t trace, size_t most) {
  return cut->item_count > 0 && trace + model->delta_items.size + model->delta_values.size >= most;
}

/* A few items before their gains are written, their rows are on the way from memory. */
static void fetch_item(const freshet_model* model, size_t place) {
  if (place >= model->pending_count) return;
  const uint32_t slot = model->pending[place].slot;
  freshet_prefetch(&model->items[slot], sizeof model->items[slot]);
  freshet_prefetch_row(freshet_model_factor(model, slot), model->config.dim);
  freshet_prefetch_row(model->pending_rows + place * 2 * model->config.dim, model->config.dim);
}

/* The same for an item that the trace names a little later. */
static void fetch_named(const freshet_model* model, size_t named) {
  const size_t near = named + ITEMS_AHEAD, far = near + ITEMS_AHEAD, count = model->trace_item_count;
  if (far < count) freshet_prefetch(&model->items[model->trace_items[far]], sizeof *model->items);
  if (near < count) fetch_item(model, place_of(model, model->trace_items[near]));
}

/* Adds the items of events until the part is full. Returns where its events end. */
static size_t add_events(freshet_model* model, delta_cut* cut, size_t most) {
  size_t event = cut->next_event, named = cut->next_context, trace = 0;
  for (; event < model->trace_count; event++) {
    const trace_event* e = &model->trace[event];
    if (is_full(model, cut, trace, most)) break;
    add_item(model, cut, place_of(model, e->item));
    for (uint32_t k = 0; k < e->kept; k++) {
      fetch_named(model, named);
      add_item(model, cut, place_of(model, model->trace_items[named++]));
    }
    trace += (1 + e->kept) * INDEX_GUESS + sizeof e->weight + 3;
  }
  if (event < model->trace_count) return event;
  for (; cut->next_item < model->pending_count; cut->next_item++) {
    if (is_full(model, cut, trace, most)) break;
    fetch_item(model, cut->next_item + ITEMS_AHEAD);
    if (!cut->is_written[cut->next_item]) add_item(model, cut, (uint32_t)cut->next_item);
  }
  return event;
}

/* Writes the index of an item in the part, and returns where the next one goes. */
static uint8_t* write_index(const freshet_model* model, const delta_cut* cut, uint32_t slot, size_t size,
                            uint8_t* at) {
  uint32_t index = cut->places[place_of(model, slot)] - 1;
  memcpy(at, &index, sizeof index); /* the surplus bytes are overwritten by the next index */
  return at + size;
}

static void put_trace(freshet_model* model, delta_cut* cut, size_t end, freshet_buffer* out) {
  bool narrow = cut->item_count <= UINT16_MAX;
  const size_t size = narrow ? sizeof(uint16_t) : sizeof(uint32_t);
  PUT(out, uint64_t, model->trace_start + cut->passed);
  PUT(out, uint8_t, narrow ? 2 : 4);
  for (; cut->next_event < end; cut->next_event++) {
    const trace_event* event = &model->trace[cut->next_event];
    uint8_t* start = freshet_buffer_reserve(out, (1 + event->kept + 1) * sizeof(uint32_t) + 5);
    uint8_t* at = write_index(model, cut, event->item, size, start);
    memcpy(at, &event->weight, sizeof event->weight);
    at += sizeof event->weight;
    *at++ = (uint8_t)(event->context + (event->is_thinned ? TRACE_THINNED : 0) +
                      (event->fades ? TRACE_FADES : 0));
    if (event->is_thinned) *at++ = event->picks;
    if ((event->weight & TRACE_AGAIN) != 0) *at++ = event->span_code;
    for (uint32_t k = 0; k < event->kept; k++)
      at = write_index(model, cut, model->trace_items[cut->next_context++], size, at);
    out->size += (size_t)(at - start);
    cut->passed += (event->weight & TRACE_DISLIKE) == 0;
  }
}

static freshet_slice as_slice(const freshet_buffer* buffer) {
  return freshet_buffer_slice(buffer);
}

size_t freshet_model_delta_size(const freshet_model* model) {
  size_t row = sizeof(uint64_t) + 4 * sizeof(double) + 1 + 2 * model->config.dim * sizeof(int16_t);
  return model->pending_count * row + model->trace_count * (sizeof(uint16_t) * (2 + FRESHET_HISTORY));
}

void freshet_model_expect_fleet(freshet_model* model, uint64_t own_events, uint64_t others_events) {
  model->thins = model->thins_always = freshet_fleet_thins(own_events, others_events);
}

/* This worker's share of the events of all workers in the last few commits. Without other workers it is 1. */
static double share_of_events(freshet_model* model) {
  model->own_events = model->own_events / 2 + model->trace_count;
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

/* The next part; its slices point into the model. */
static freshet_model_delta take_part(freshet_model* model, delta_cut* cut, size_t most) {
  freshet_buffer *keys = &model->delta_items, *values = &model->delta_values;
  freshet_buffer *trace = &model->delta_trace, *globals = &model->delta_globals;
  keys->size = values->size = trace->size = globals->size = 0;
  PUT(values, uint32_t, model->config.dim);
  const size_t first = cut->next_event;
  put_trace(model, cut, add_events(model, cut, most), trace);
  freshet_put_blend(globals, model->blend, model->blend_squares, model->pending_blend,
                    model->pending_blend_squares);
  memcpy(model->pending_blend, model->blend, sizeof model->blend);
  memcpy(model->pending_blend_squares, model->blend_squares, sizeof model->blend_squares);
  for (size_t i = 0; i < cut->item_count; i++) cut->places[cut->items[i]] = 0;
  cut->item_count = 0;
  return (freshet_model_delta){cut->next_event - first, as_slice(keys), as_slice(values), as_slice(trace),
                               as_slice(globals)};
}

freshet_status freshet_model_take_deltas(freshet_model* model, size_t most,
                                         freshet_status (*take)(void* context,
                                                                const freshet_model_delta* delta,
                                                                freshet_error* error),
                                         void* owner, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (model->pending_count == 0) return FRESHET_OK;
  const bool is_coarse = model->thins; /* as the events since the last take */
  const double share = share_of_events(model);
  average_blend(model, share);
  delta_cut cut = start_cut(model, share, is_coarse);
  while (cut.next_event < model->trace_count || cut.next_item < model->pending_count) {
    const freshet_model_delta part = take_part(model, &cut, most);
    if (status == FRESHET_OK) status = take(owner, &part, error);
  }
  end_cut(&cut);
  for (uint32_t i = 0; i < model->pending_count; i++) model->items[model->pending[i].slot].pending = 0;
  model->pending_count = 0;
  model->trace_count = 0;
  model->trace_item_count = 0;
  return status;
}

static freshet_status keep_delta(void* kept, const freshet_model_delta* delta, freshet_error* error) {
  (void)error;
  *(freshet_model_delta*)kept = *delta;
  return FRESHET_OK;
}

void freshet_model_take_delta(freshet_model* model, freshet_model_delta* delta) {
  *delta = (freshet_model_delta){0};
  freshet_model_take_deltas(model, SIZE_MAX, keep_delta, delta, NULL);
}
