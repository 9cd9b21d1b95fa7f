/*
 * model_favour.c: how far what is chosen often is favoured among what goes together.
 *
 * A count of pairs is divided by the roots of both counts, as in a cosine. So among the items that go with the user's earlier
 * items, one that is seldom chosen is as good as one that is chosen often. In some streams this is right. In others the user
 * has a few themes, and chooses what is popular in them. A weight of popularity cannot say so: it would also raise what is
 * popular in other themes. So the sum of TOGETHER_BEFORE is multiplied by u^2,
 *
 *   u = 1 + la (r / r_j - 1),  r_j = 1 / sqrt(N_j + 1)
 *
 * with r the mean of r_j over the choices, a running mean. If la is 0 the sum is that of cosines. If it is 1, the sum of pairs
 * is multiplied by sqrt(N_j + 1). What has no pair has no sum, and is not favoured. Where the feature counts little, there is
 * little to say about it: la is FAVOUR, which is learned from the stream, times t^2 / (1 + t^2) with t the weight of the feature.
 * It owns nothing, and must not know how lists are made or ranked.
 */
#include "core/model_favour.h"

static const double mean_rate = .002;
static const float weight_rate = .006F;

void freshet_model_init_favour(freshet_model* model) {
  model->blend_squares[FAVOUR] = freshet_grid(FRESHET_BLEND_SQUARES_START);
  model->blend_rates[FAVOUR] = weight_rate;
}

/* Deltas of other workers may bring anything: the values may be out of bounds until this worker learns. */
static double bounded(const freshet_model* model, int at) {
  return freshet_within(model->blend[at], 0, 1);
}

float freshet_model_favour(const freshet_model* model) {
  return (float)bounded(model, FAVOUR);
}

void freshet_model_bound_favour(freshet_model* model) {
  model->blend[FAVOUR] = bounded(model, FAVOUR);
}

static float mean_root(const freshet_model* model) {
  return (float)bounded(model, CHOSEN_ROOT);
}

static float share_of(const context* c) {
  const float squared = c->theta[TOGETHER_BEFORE] * c->theta[TOGETHER_BEFORE];
  return squared / (1 + squared);
}

/* la */
static float acting_favour(const freshet_model* model, const context* c) {
  return freshet_model_favour(model) * share_of(c);
}

/* root: r; own: r_j */
static float squared_u(float favour, float root, float own) {
  const float u = 1 + favour * (root / own - 1);
  return u * u;
}

float freshet_model_favour_of(const freshet_model* model, const context* c, uint32_t slot) {
  return squared_u(acting_favour(model, c), mean_root(model), model->roots[slot]);
}

void freshet_model_favour_candidates(const freshet_model* model, const context* c, candidates* s) {
  const float favour = acting_favour(model, c), root = mean_root(model);
  for (uint32_t i = 0; i < s->count; i++) {
    const float over = root * sqrtf(s->counts[i] + 1) - 1, u = 1 + favour * over;
    float *sum = &s->sums[1 + i][TOGETHER_BEFORE], *taken = s->taken[1 + i];
    s->favoured[i] = *sum * 2 * u * over;
    *sum *= u * u;
    taken[1] *= u * u;
    taken[3] *= u * u;
  }
}

/* The feature is log(1 + sum r_j). */
void freshet_model_favour_gradient(freshet_model* model, const context* c, const candidates* s) {
  float gradient = 0;
  for (uint32_t i = 0; i < s->count; i++)
    gradient +=
        s->gradients[i] * s->favoured[i] / (sqrtf(s->counts[i] + 1) + s->sums[1 + i][TOGETHER_BEFORE]);
  model->blend_gradient[FAVOUR] = c->theta[TOGETHER_BEFORE] * share_of(c) * gradient;
}

void freshet_model_note_root(freshet_model* model, uint32_t slot) {
  double* so_far = &model->blend[CHOSEN_ROOT];
  *so_far = freshet_grid(*so_far + mean_rate * ((double)model->roots[slot] - *so_far));
}

void freshet_model_favour_met(const freshet_model* model, const context* c, freshet_gathered* met,
                              const float* roots) {
  const float favour = acting_favour(model, c), root = mean_root(model);
  for (uint32_t i = 0; favour > 0 && i < met->count; i++)
    met->sums[i][TOGETHER_BEFORE] *= squared_u(favour, root, roots[i]);
}
