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

/* A few choices at a time: most of what one takes is the time of the exp. */
void freshet_model_popularity_add(freshet_model* model, uint32_t slot, const trace_choice* choices,
                                  size_t count) {
  enum { TOGETHER = 16 };
  float decay[TOGETHER * HALF_LIVES] __attribute__((aligned(64)));
  item* it = &model->items[slot];
  for (size_t at = 0; at < count; at += TOGETHER) {
    const size_t some = count - at < TOGETHER ? count - at : TOGETHER;
    const size_t padded = (some * HALF_LIVES + FRESHET_LANES - 1) / FRESHET_LANES * FRESHET_LANES;
    memset(decay, 0, padded * sizeof *decay);
    for (size_t i = 0; i < some; i++) {
      const uint64_t event = choices[at + i].event;
      const uint64_t age = event > it->popular_at ? event - it->popular_at : 0;
      for (size_t h = 0; h < HALF_LIVES; h++)
        decay[i * HALF_LIVES + h] = (float)age * freshet_model_popularity_rates[h];
      it->popular_at += age;
    }
    model->kernels->exp(decay, padded);
    for (size_t i = 0; i < some; i++) {
      const float weight = (float)choices[at + i].weight_units * (1.0F / WEIGHT_UNITS);
      for (size_t h = 0; h < HALF_LIVES; h++)
        it->popular[h] = it->popular[h] * decay[i * HALF_LIVES + h] + weight;
    }
  }
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
