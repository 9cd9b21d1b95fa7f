/*
 * model_similar.c: queries of nobody in particular: items like some given ones, and the most popular items.
 *
 * A user's score has parts that belong to the item alone: its popularity, its bias, its level. They would fill every
 * list of similar items with the bestsellers of the moment. So this query leaves them out, and divides what
 * followed an item by the popularity of what followed, as co-occurrence is divided anyway.
 */
#include <math.h>
#include <string.h>

#include "core/model_query.h"

/* Each speed of popularity counts at least so much: learning may have found that it does not help predictions, or that it
 * counts against a faster one. A list of popular items has no other features that would make up for that. */
static const float popular_floor = .05F;

static void clear(const freshet_model* model, freshet_model_scratch* scratch) {
  scratch->user = NULL;
  memset(scratch->factor, 0, model->config.dim * sizeof *scratch->factor);
  memset(scratch->opinion, 0, model->config.dim * sizeof *scratch->opinion);
  memset(scratch->vector, 0, freshet_model_row_dim(model) * sizeof *scratch->vector);
}

/* Adds the directions of the items' factors to the query. An item without events and text has none: its factors are
 * random. */
static void add_audience(const freshet_model* model, context* c, float* vector) {
  const uint32_t dim = model->config.dim;
  for (uint32_t k = 0; k < c->count; k++) {
    const uint32_t slot = c->items[k];
    const float* v = freshet_model_factor(model, slot);
    const float norm = sqrtf(model->kernels->dot(v, v, dim));
    const bool is_known =
        model->counts[slot] > 0 || (model->text_lists != NULL && model->text_lists[slot].is_known);
    c->audience[k] = is_known && norm > 0 ? c->theta[TASTE] * c->weight[k] / norm : 0;
    model->kernels->add_scaled(vector, c->audience[k], v, dim);
  }
}

void freshet_model_query_similar(const freshet_model* model, const uint32_t* items, size_t count,
                                 const freshet_wanted_text* text, freshet_model_scratch* scratch,
                                 freshet_rank_query* query) {
  context* c = &scratch->context;
  freshet_user chooser = {0};
  for (size_t i = 0; i < count && i < FRESHET_SIMILAR_MAX; i++)
    chooser.recent[chooser.recent_count++] = (freshet_interaction){.item = items[i], .weight = 1};
  chooser.positives = chooser.recent_count;
  freshet_model_context(model, &chooser, 0, c);
  clear(model, scratch);
  c->is_similar = true;
  c->theta[AGREED] = 0;
  for (uint32_t k = 0; k < c->count; k++) {
    const float chosen = (float)model->counts[c->items[k]] * (1.0F / WEIGHT_UNITS);
    c->feature_weight[k][FOLLOWS] *= sqrtf(chosen + 5); /* it was divided by the whole of it */
  }
  for (int level = 0; level < COUNT_LEVELS; level++) {
    if (c->text_theta[level] < freshet_model_wanted_text_floor)
      c->text_theta[level] = freshet_model_wanted_text_floor;
  }
  add_audience(model, c, scratch->vector);
  freshet_model_finish_query(model, text, scratch, query);
}

void freshet_model_query_impersonal(const freshet_model* model, bool popular, freshet_model_scratch* scratch,
                                    freshet_rank_query* query) {
  context* c = &scratch->context;
  float* columns = scratch->vector + model->config.dim;
  *c = (context){0};
  clear(model, scratch);
  freshet_model_set_thetas(model, 0, c);
  for (int h = 0; popular && h < HALF_LIVES; h++) {
    const float theta = c->theta[POPULAR + h];
    columns[COLUMN_POPULAR + h] = theta > popular_floor ? theta : popular_floor;
  }
  *query = (freshet_rank_query){.vector = scratch->vector};
}

void freshet_model_item_popularity(const freshet_model* model, uint32_t slot,
                                   float times[FRESHET_POPULARITIES]) {
  _Static_assert((int)FRESHET_POPULARITIES == (int)HALF_LIVES, "one for each half-life");
  _Alignas(64) float decay[FRESHET_LANES] = {0};
  FRESHET_ASSERT(slot < model->count);
  const item* it = &model->items[slot];
  for (int h = 0; h < HALF_LIVES; h++)
    decay[h] = freshet_model_popularity_age(model, it) * freshet_model_popularity_rates[h];
  model->kernels->exp(decay, FRESHET_LANES);
  for (int h = 0; h < HALF_LIVES; h++)
    times[h] = it->popular[h] * decay[h] * freshet_model_popularity_scale(model, h);
}
