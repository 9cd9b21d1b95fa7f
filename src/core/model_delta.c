/*
 * model_delta.c: what has been learned since the last commit, as the bytes of a delta. model_fold.c reads them.
 *
 * delta.items    u64 key [n]
 * delta.values   u32 dim, then for each item its additive part (model_bytes.c)
 * delta.trace    u64 events before it, u8 index bytes (2 or 4), then for each event: index of the item,
 *                u16 weight in sixteenths (TRACE_DISLIKE more: a dislike), u8 context items (+ 128 and u8 picks,
 *                if it is thinned: see model_thin.h), indices of the context items that count (newest first)
 * delta.globals  the blend (model_bytes.c)
 */
#include "core/model_bytes.h"

/* Writes the index of an item in the delta, and returns where the next one goes. */
static uint8_t* write_index(const freshet_model* model, uint32_t slot, size_t size, uint8_t* at) {
  uint32_t index = model->items[slot].pending - 1;
  memcpy(at, &index, sizeof index); /* the surplus bytes are overwritten by the next index */
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
    uint8_t* start = freshet_buffer_reserve(out, (1 + event->kept + 1) * sizeof(uint32_t) + 4);
    uint8_t* at = write_index(model, event->item, size, start);
    memcpy(at, &event->weight, sizeof event->weight);
    at += sizeof event->weight;
    *at++ = (uint8_t)(event->context + (event->is_thinned ? TRACE_THINNED : 0));
    if (event->is_thinned) *at++ = event->picks;
    for (uint32_t k = 0; k < event->kept; k++) at = write_index(model, *before++, size, at);
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
  const bool is_coarse = model->thins; /* as the events since the last take */
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
    freshet_gains gain = {it->bias - old->bias, it->factor_squares - old->factor_squares,
                          it->context_squares - old->context_squares, it->bias_squares - old->bias_squares};
    freshet_put(keys, &it->key, sizeof it->key);
    if (is_coarse) freshet_model_coarsen(model, old->slot, rows, rows + dim);
    freshet_put_gains(model, old->slot, &gain, rows, rows + dim, is_coarse, values);
    it->pending = 0;
  }
  freshet_put_blend(globals, model->blend, model->blend_squares, model->pending_blend,
                    model->pending_blend_squares);
  memcpy(model->pending_blend, model->blend, sizeof model->blend);
  memcpy(model->pending_blend_squares, model->blend_squares, sizeof model->blend_squares);
  *delta = (freshet_model_delta){model->trace_count, as_slice(keys), as_slice(values), as_slice(trace),
                                 as_slice(globals)};
  model->pending_count = 0;
  model->trace_count = 0;
  model->trace_item_count = 0;
}
