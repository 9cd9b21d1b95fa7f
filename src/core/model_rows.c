/*
 * model_rows.c: where the factors of an item start, and the rows of m.
 *
 * m is read and learned only of items that somebody has chosen or disliked, and in a large catalogue these are few. So an
 * item gets its row of m then; before, m is its start, which follows from the key and the text. To compute a start takes
 * microseconds: only what no user has in the history, as a rule, is without a row.
 */
#include <string.h>

#include "core/model_internal.h"

enum { LEAST_ROWS = 256 };

void freshet_model_start_factors(const freshet_model* model, uint64_t key, float* v, float* m) {
  float* rows[2] = {v, m};
  for (uint64_t r = 0; r < 2; r++) {
    for (uint64_t i = 0; rows[r] != NULL && i < model->config.dim; i++) {
      const float random = .05F * freshet_gauss(freshet_random(key, 2 * i + r));
      rows[r][i] = (random + FRESHET_FACTOR_ROUND) - FRESHET_FACTOR_ROUND;
    }
  }
}

static void context_start(const freshet_model* model, uint32_t slot, float* m) {
  float part[DIM_MAX];
  freshet_model_start_factors(model, model->items[slot].key, NULL, m);
  freshet_model_text_part(model, slot, part);
  for (uint32_t i = 0; i < model->config.dim; i++) m[i] += part[i];
}

void freshet_model_read_context_factor(const freshet_model* model, uint32_t slot, float* m) {
  const float* row = freshet_model_context_factor(model, slot);
  if (row == NULL) {
    context_start(model, slot, m);
  } else {
    memcpy(m, row, model->config.dim * sizeof *m);
  }
}

float* freshet_model_own_context_factor(freshet_model* model, uint32_t slot) {
  const uint32_t dim = model->config.dim;
  float* before = freshet_model_rows_before(model, slot);
  float* m = freshet_model_context_factor(model, slot);
  if (m != NULL) return m;
  if (model->context_count == model->context_capacity) {
    const uint32_t more = model->context_capacity + model->context_capacity / 4 + LEAST_ROWS;
    model->context_capacity = more < model->capacity ? more : model->capacity;
    model->context_factors = freshet_model_table(model->context_factors, model->context_capacity,
                                                 dim * sizeof *model->context_factors);
  }
  model->context_rows[slot] = ++model->context_count;
  m = freshet_model_context_factor(model, slot);
  context_start(model, slot, m);
  if (before != NULL) memcpy(before + dim, m, dim * sizeof *m);
  return m;
}
