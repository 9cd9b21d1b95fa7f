/*
 * model_popularity.c: how often an item was chosen lately, at three speeds. A count that halves every H
 * events is kept as its value at the item's last event; the decay since then is applied when it is read, so
 * that an event costs the same whatever the size of the catalogue.
 */
#include <string.h>

#include "core/model_internal.h"

static const float half_lives[HALF_LIVES] = {300, 3000, 30000};
static const float log_half = -.6931472F;

void freshet_model_popularity_init(freshet_model* model) {
  float decay[FRESHET_LANES] __attribute__((aligned(64))) = {0};
  for (int h = 0; h < HALF_LIVES; h++) decay[h] = log_half / half_lives[h];
  model->kernels->exp(decay, FRESHET_LANES);
  for (int h = 0; h < HALF_LIVES; h++) model->decay_per_event[h] = decay[h];
}

void freshet_model_popularity_at(const freshet_model* model, const uint32_t* slots, size_t count, float* out,
                                 size_t stride) {
  size_t padded = (count + FRESHET_LANES - 1) / FRESHET_LANES * FRESHET_LANES;
  for (size_t i = 0; i < padded; i++) {
    uint64_t last = i < count ? model->items[slots[i]].popular_at : model->events;
    out[i] = model->events > last ? (float)(int64_t)(model->events - last) : 0; /* first the age */
  }
  for (int h = HALF_LIVES - 1; h >= 0; h--) {
    float* row = out + (size_t)h * stride;
    float rate = log_half / half_lives[h];
    for (size_t i = 0; i < padded; i++) row[i] = out[i] * rate;
    model->kernels->exp(row, padded);
    for (size_t i = 0; i < count; i++) row[i] *= model->items[slots[i]].popular[h];
  }
}

void freshet_model_popularity_add(freshet_model* model, uint32_t slot, uint64_t event, float weight) {
  item* it = &model->items[slot];
  uint64_t age = event > it->popular_at ? event - it->popular_at : 0;
  float decay[FRESHET_LANES] __attribute__((aligned(64))) = {0};
  for (int h = 0; h < HALF_LIVES; h++) decay[h] = (float)age * (log_half / half_lives[h]);
  model->kernels->exp(decay, FRESHET_LANES);
  for (int h = 0; h < HALF_LIVES; h++) it->popular[h] = it->popular[h] * decay[h] + weight;
  if (event > it->popular_at) it->popular_at = event;
}

void freshet_model_popularity_features(const freshet_model* model, const uint32_t* slots, size_t count,
                                       float* out, size_t stride) {
  size_t padded = (count + FRESHET_LANES - 1) / FRESHET_LANES * FRESHET_LANES;
  freshet_model_popularity_at(model, slots, count, out, stride);
  for (int h = 0; h < HALF_LIVES; h++) {
    double total = model->popular_totals[h];
    float scale = total > 0 ? (float)(model->count / total) : 0;
    float* row = out + (size_t)h * stride;
    for (size_t i = 0; i < padded; i++) row[i] = .5F + scale * row[i];
    model->kernels->log(row, padded);
  }
}
