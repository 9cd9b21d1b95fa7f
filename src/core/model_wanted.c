/*
 * model_wanted.c: a text that a list should suit: where it lies in the space of factors, and the items whose
 * texts are most like it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/model_internal.h"

freshet_wanted_text* freshet_wanted_text_create(const freshet_model* model) {
  freshet_wanted_text* text = aligned_alloc(64, (sizeof *text + 63) / 64 * 64);
  FRESHET_ASSERT(text != NULL);
  memset(text, 0, sizeof *text);
  text->start = freshet_model_floats(model->config.dim);
  text->unit = freshet_model_floats(model->text_padded + 1);
  text->bytes = aligned_alloc(64, model->text_padded + 64);
  FRESHET_ASSERT(text->bytes != NULL);
  return text;
}

void freshet_wanted_text_destroy(freshet_wanted_text* text) {
  if (text == NULL) return;
  free(text->start);
  free(text->unit);
  free(text->bytes);
  free(text->dots);
  free(text);
}

/* A heap with the least cosine at its root. */
static void sift_down(freshet_wanted_text* text, uint32_t at) {
  for (;;) {
    uint32_t least = at, left = 2 * at + 1, right = left + 1;
    if (left < text->count && text->likeness[left] < text->likeness[least]) least = left;
    if (right < text->count && text->likeness[right] < text->likeness[least]) least = right;
    if (least == at) return;
    float likeness = text->likeness[at];
    uint32_t slot = text->items[at];
    text->likeness[at] = text->likeness[least];
    text->items[at] = text->items[least];
    text->likeness[least] = likeness;
    text->items[least] = slot;
    at = least;
  }
}

static void enter(freshet_wanted_text* text, uint32_t slot, float cosine) {
  if (text->count < FRESHET_TEXT_MATCHES) {
    text->items[text->count] = slot;
    text->likeness[text->count++] = cosine;
    if (text->count < FRESHET_TEXT_MATCHES) return;
    for (uint32_t at = text->count / 2; at-- > 0;) sift_down(text, at);
  } else if (cosine > text->likeness[0]) {
    text->items[0] = slot;
    text->likeness[0] = cosine;
    sift_down(text, 0);
  }
}

static void find_matches(freshet_wanted_text* text, const freshet_model* model, float scale,
                         const uint64_t* allowed, size_t allowed_slots) {
  if (text->capacity < model->count) {
    free(text->dots);
    text->capacity = model->capacity;
    text->dots = calloc(text->capacity, sizeof *text->dots);
    FRESHET_ASSERT(text->dots != NULL);
  }
  model->kernels->dots_i8(model->text_vectors, model->count, text->bytes, model->text_padded, text->dots);
  for (uint32_t slot = 0; slot < model->count; slot++) {
    if (text->dots[slot] <= 0 || !model->items[slot].listed) continue;
    bool is_allowed = allowed == NULL || (slot < allowed_slots && (allowed[slot / 64] >> slot % 64 & 1) != 0);
    if (is_allowed) enter(text, slot, (float)text->dots[slot] * (scale * model->text_scales[slot]));
  }
  /* What the feature f4 makes of a single recent item of that likeness. */
  for (uint32_t i = 0; i < text->count; i++) {
    float square = text->likeness[i] * text->likeness[i];
    text->bonus[i] = 1 + square * square / freshet_model_text_unit;
  }
  for (uint32_t i = text->count; i % FRESHET_LANES != 0; i++) text->bonus[i] = 1;
  model->kernels->log(text->bonus, (text->count + FRESHET_LANES - 1) / FRESHET_LANES * FRESHET_LANES);
}

void freshet_model_project_text(const freshet_model* model, const float* unit, float* start) {
  for (uint32_t i = 0; i < model->config.dim; i++) {
    const float* row = model->projection + (size_t)i * model->text_padded;
    start[i] = model->kernels->dot(row, unit, model->text_padded);
  }
}

freshet_status freshet_wanted_text_set(freshet_wanted_text* text, const freshet_model* model,
                                       const float* vector, const float* start, float weight,
                                       const uint64_t* allowed, size_t allowed_slots, freshet_error* error) {
  uint32_t dim = model->config.dim;
  float top = freshet_model_text_top(vector, model->config.text_dim);
  FRESHET_ASSERT(vector == NULL || model->text_padded > 0);
  text->count = 0;
  text->weight = weight;
  memset(text->start, 0, dim * sizeof *text->start);
  if (!isfinite(top) || !isfinite(freshet_model_text_top(start, dim)))
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                             "the vector of a text is not finite");
  if (start != NULL) memcpy(text->start, start, dim * sizeof *text->start);
  if (vector == NULL || top == 0) return FRESHET_OK;
  float scale = freshet_model_text_quantise(vector, model->config.text_dim, top, text->bytes);
  memset(text->bytes + model->config.text_dim, 0, model->text_padded - model->config.text_dim);
  for (uint32_t k = 0; k < model->text_padded; k++) text->unit[k] = (float)text->bytes[k] * scale;
  if (start == NULL) freshet_model_project_text(model, text->unit, text->start);
  find_matches(text, model, scale, allowed, allowed_slots);
  return FRESHET_OK;
}

float freshet_model_text_likeness(const freshet_model* model, uint32_t a, uint32_t b) {
  const size_t padded = model->text_padded;
  FRESHET_ASSERT(a < model->count && b < model->count);
  if (padded == 0) return 0;
  const int32_t dot =
      model->kernels->dot_i8(model->text_vectors + a * padded, model->text_vectors + b * padded, padded);
  return (float)dot * (model->text_scales[a] * model->text_scales[b]);
}

float freshet_model_item_weight(const freshet_model* model, uint32_t slot) {
  FRESHET_ASSERT(slot < model->count);
  return (float)model->counts[slot] * (1.0F / WEIGHT_UNITS);
}
