/*
 * model_popularity.c: how often an item was chosen lately, at three speeds. A count that halves every H
 * events is kept as its value at the item's last event; the decay since then is applied when it is read, so
 * that an event costs the same whatever the size of the catalogue.
 */
#include <string.h>

#include "core/model_internal.h"

#define LOG_HALF -.6931472F

const float freshet_model_popularity_rates[HALF_LIVES] = {LOG_HALF / 300, LOG_HALF / 3000, LOG_HALF / 30000};

void freshet_model_popularity_init(freshet_model* model) {
  float decay[FRESHET_LANES] __attribute__((aligned(64))) = {0};
  memcpy(decay, freshet_model_popularity_rates, sizeof freshet_model_popularity_rates);
  model->kernels->exp(decay, FRESHET_LANES);
  for (int h = 0; h < HALF_LIVES; h++) model->decay_per_event[h] = decay[h];
}

void freshet_model_popularity_add(freshet_model* model, uint32_t slot, uint64_t event, float weight) {
  item* it = &model->items[slot];
  uint64_t age = event > it->popular_at ? event - it->popular_at : 0;
  float decay[FRESHET_LANES] __attribute__((aligned(64))) = {0};
  for (int h = 0; h < HALF_LIVES; h++) decay[h] = (float)age * freshet_model_popularity_rates[h];
  model->kernels->exp(decay, FRESHET_LANES);
  for (int h = 0; h < HALF_LIVES; h++) it->popular[h] = it->popular[h] * decay[h] + weight;
  if (event > it->popular_at) it->popular_at = event;
}

float freshet_model_popularity_scale(const freshet_model* model, int h) {
  double total = model->popular_totals[h];
  return total > 0 ? (float)(model->count / total) : 0;
}

void freshet_model_popularity_features(const freshet_model* model, const uint32_t* slots, size_t count,
                                       float* out, size_t stride) {
  size_t padded = (count + FRESHET_LANES - 1) / FRESHET_LANES * FRESHET_LANES;
  for (int h = 0; h < HALF_LIVES; h++) {
    float* row = out + (size_t)h * stride;
    float scale = freshet_model_popularity_scale(model, h);
    memset(row, 0, padded * sizeof *row);
    for (size_t i = 0; i < count; i++) {
      row[i] =
          freshet_model_popularity_age(model, &model->items[slots[i]]) * freshet_model_popularity_rates[h];
    }
    model->kernels->exp(row, padded);
    for (size_t i = 0; i < count; i++) row[i] *= model->items[slots[i]].popular[h];
    for (size_t i = 0; i < padded; i++) row[i] = .5F + scale * row[i];
    model->kernels->log(row, padded);
  }
}
