/*
 * model_user_text.c: the text of a user's last items, as a part of the user while there are few events.
 *
 * It is a place z in the space of factors, like an item's start, that is added to h with a weight that falls
 * to nothing with the user's events. It takes part in ranking only: what is learned stays a function of the
 * log alone, whenever a text is encoded.
 */
#include <stdlib.h>
#include <string.h>

#include "core/model_internal.h"

static const float user_text_weight = 1; /* of a user without events: as an item chosen a moment ago */

static bool is_cold(const freshet_user* user) {
  return user->recent_count > 0 && user->positives < FRESHET_USER_TEXT_EVENTS;
}

bool freshet_user_wants_text(const freshet_model* model, const freshet_user* user) {
  return model->config.user_texts == FRESHET_USER_TEXT_ENCODED && is_cold(user);
}

void freshet_user_set_text(freshet_user* user, const freshet_model* model, const float* vector,
                           const float* start) {
  uint32_t dim = model->config.dim;
  float top = vector == NULL ? freshet_model_text_top(start, dim)
                             : freshet_model_text_top(vector, model->config.text_dim);
  FRESHET_ASSERT(vector != NULL || start != NULL);
  if (!isfinite(top)) return;
  if (user->text == NULL) user->text = freshet_model_floats(dim);
  memset(user->text, 0, dim * sizeof *user->text);
  if (start != NULL) {
    memcpy(user->text, start, dim * sizeof *user->text);
  } else if (top > 0) {
    int8_t bytes[TEXT_DIM_MAX];
    float unit[TEXT_DIM_MAX] __attribute__((aligned(64))) = {0};
    float scale = freshet_model_text_quantise(vector, model->config.text_dim, top, bytes);
    for (uint32_t k = 0; k < model->config.text_dim; k++) unit[k] = (float)bytes[k] * scale;
    freshet_model_project_text(model, unit, user->text);
  }
}

/* The mean of the starts of the recent items that have a text: the projection of the mean of their
 * vectors. */
static void add_pooled(const freshet_model* model, const context* c, float weight, float* h) {
  float weights[FRESHET_HISTORY];
  uint32_t count = 0;
  for (uint32_t k = 0; k < c->count; k++) {
    weights[k] = c->disliked[k] > 0 ? 0 : weight;
    count += weights[k] > 0 && model->text_scales[c->items[k]] != 0;
  }
  for (uint32_t k = 0; k < c->count; k++) weights[k] /= (float)(count == 0 ? 1 : count);
  for (uint32_t k = 0; k < c->count; k++) {
    float part[DIM_MAX];
    if (weights[k] == 0) continue;
    freshet_model_text_part(model, c->items[k], part);
    for (uint32_t i = 0; i < model->config.dim; i++) h[i] += weights[k] * part[i];
  }
}

void freshet_model_add_user_text(const freshet_model* model, const freshet_user* user, const context* c,
                                 float* h) {
  if (model->config.user_texts == FRESHET_USER_TEXT_OFF || model->text_padded == 0 || !is_cold(user)) return;
  float left = 1 - (float)user->positives / FRESHET_USER_TEXT_EVENTS;
  if (model->config.user_texts == FRESHET_USER_TEXT_POOLED) {
    add_pooled(model, c, user_text_weight * left, h);
  } else if (user->text != NULL) {
    model->kernels->add_scaled(h, user_text_weight * left, user->text, model->config.dim);
  }
}
