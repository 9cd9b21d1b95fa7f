/*
 * model_liking.c: what users disliked: the part of a score that pushes away.
 *
 * score = (what is chosen next) + .45 w0 l_j - .54 w1 d_j. l_j says how rarely the item is disliked, compared with
 * all items. d_j is the inner product of v_j with the recent items that this user disliked. The weights w
 * learn by logistic regression from whether an item that a user met was disliked: w0 l_j - w1 d_j + w2 is then
 * a log odds. While nobody has disliked anything, all of it is 0 and costs nothing.
 * It owns dislike counts and these weights. It must not know lists or rankers.
 */
#include <string.h>

#include "core/model_internal.h"

static const float like_starts[LIKE_WEIGHTS] = {[LIKE_ODDS] = 2, [LIKE_DISLIKED] = .4F};
static const float like_most = 4;
/* .43 of a score whose weights follow the plain softmax: P(chosen) P(liked) alone would be about .25, and showing a disliked
 * item is worse. Weights that learn by p^.2 make scores 1 / (1 - .2) times as large (model_focus.c). What others dislike counts
 * less, as disliked items attract little by their neighbours. */
static const float aversion = .54F, aversion_of_others = .45F;
static const float opinion_decay = .97F;
static const float prior_events = 20; /* an item's share starts as if it had so many events like all items' */

float freshet_model_like_weight(const freshet_model* model, int i) {
  float w = like_starts[i] + (float)model->blend[LIKE + i];
  float least = i == LIKE_START ? -like_most : 0;
  return w < least ? least : w > like_most ? like_most : w;
}

static float log_of(const freshet_model* model, float x) {
  _Alignas(64) float lanes[FRESHET_LANES];
  for (int l = 0; l < FRESHET_LANES; l++) lanes[l] = x;
  model->kernels->log(lanes, FRESHET_LANES);
  return lanes[0];
}

/* p: the share of events that are no dislikes. */
static float like_share(const freshet_model* model) {
  double likes = (double)model->total_count, dislikes = (double)model->total_dislikes;
  return (float)((likes + WEIGHT_UNITS) / (likes + dislikes + WEIGHT_UNITS));
}

float freshet_model_like_odds(const freshet_model* model, uint32_t slot) {
  if (model->total_dislikes == 0) return 0;
  const float units = 1.0F / WEIGHT_UNITS, share = like_share(model);
  float likes = (float)model->counts[slot] * units, dislikes = (float)model->items[slot].dislikes * units;
  float own = (likes + prior_events * share) / (likes + dislikes + prior_events);
  return log_of(model, own / share);
}

float freshet_model_like_scale(const freshet_model* model) {
  return model->total_dislikes == 0 ? 0 : aversion_of_others * freshet_model_like_weight(model, LIKE_ODDS);
}

/* y [dim] += scale times the sum of the factors of the items that the user disliked. */
static void add_disliked(const freshet_model* model, const context* c, float scale, float* y) {
  float weights[FRESHET_HISTORY], decay = scale;
  uint32_t items[FRESHET_HISTORY], count = 0;
  for (uint32_t k = 0; k < c->count; k++, decay *= opinion_decay) {
    items[count] = c->items[k];
    weights[count] = decay * c->disliked[k];
    count += c->disliked[k] > 0;
  }
  if (count > 0) model->kernels->add_rows(model->factors, items, count, weights, y, model->config.dim);
}

void freshet_model_opinion(const freshet_model* model, const context* c, float* opinion) {
  memset(opinion, 0, model->config.dim * sizeof *opinion);
  add_disliked(model, c, -aversion * freshet_model_like_weight(model, LIKE_DISLIKED), opinion);
}

void freshet_model_like_gradient(freshet_model* model, const context* c, uint32_t slot, float dislike,
                                 float weight) {
  const uint32_t dim = model->config.dim;
  if (model->total_dislikes == 0 && dislike == 0) return;
  memset(model->slope, 0, dim * sizeof *model->slope);
  add_disliked(model, c, 1, model->slope);
  const float likeness = model->kernels->dot(model->slope, freshet_model_factor(model, slot), dim);
  const float share = like_share(model);
  const float x[LIKE_WEIGHTS] = {
      [LIKE_ODDS] = freshet_model_like_odds(model, slot), [LIKE_DISLIKED] = -likeness, [LIKE_START] = 1};
  float odds = log_of(model, share / (1 - share + 1e-3F));
  for (int i = 0; i < LIKE_WEIGHTS; i++) odds += freshet_model_like_weight(model, i) * x[i];
  _Alignas(64) float lanes[FRESHET_LANES] = {-odds};
  model->kernels->exp(lanes, FRESHET_LANES);
  float error = (1 / (1 + lanes[0]) - (dislike > 0 ? 0 : 1)) * weight;
  for (int i = 0; i < LIKE_WEIGHTS; i++) model->blend_gradient[LIKE + i] = error * x[i];
}

uint32_t freshet_model_dislike_units(float dislike) {
  const uint32_t units = (uint32_t)(dislike * WEIGHT_UNITS + .5F);
  return dislike > 0 && units == 0 ? 1 : units;
}

void freshet_model_dislike_add(freshet_model* model, uint32_t slot, uint32_t units) {
  item* it = &model->items[slot];
  freshet_model_note_changed(model, slot);
  it->dislikes = it->dislikes > UINT32_MAX - units ? UINT32_MAX : it->dislikes + units;
  freshet_model_own_context_factor(model, slot);
  freshet_model_note_stale(model, slot);
}
