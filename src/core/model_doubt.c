/*
 * model_doubt.c: which counts of pairs tell something.
 *
 * Two items may have come together by chance. A list holds many such items, and a longer list holds more. Their counts are
 * small, and they are no larger than what chance brings. So of the count cs(k,j)
 *
 *   ce(k,j) = max(0, cs - DOUBT cs b / (cs + b) - CHANCE e),   e = held_k PAIR_GAIN (N_j + 1) / (N + 1000)
 *
 * is the evidence. The second summand is what is doubtful of a count of its size; b is the share of back steps
 * (model_order.c). The third one is what chance brings: the steps that the list of k holds, times the mean of what a step adds
 * to a list, times the share of j in all N choices. How much of both is taken away is learned from the stream, as in some
 * streams nearly every pair has a reason, and in others most pairs have none. Without evidence a count is at its end, and has
 * no gradient. It owns nothing, and must not know how lists are made.
 */
#include "core/model_doubt.h"

static const double mean_rate = .002;
static const float weight_rate = .006F;
static const float least_half = 0x1p-20F; /* it divides */
static const double doubt_start = 1, doubt_most = 2, chance_most = 4;
/* Choices that nobody made: while a stream is short, the share of an item in it is not known. */
static const double choices_before = 1000;

void freshet_model_init_doubt(freshet_model* model) {
  for (int i = DOUBT; i <= CHANCE; i++) {
    model->blend_squares[i] = freshet_grid(FRESHET_BLEND_SQUARES_START);
    model->blend_rates[i] = weight_rate;
  }
}

static double bounded_doubt(const freshet_model* model) {
  return freshet_within(model->blend[DOUBT], -doubt_start, doubt_most - doubt_start);
}

static double bounded_chance(const freshet_model* model) {
  return freshet_within(model->blend[CHANCE], 0, chance_most);
}

/* A fold adds what several workers have moved: the sum may be out of bounds until this worker learns. */
float freshet_model_doubt(const freshet_model* model) {
  return (float)(doubt_start + bounded_doubt(model));
}

float freshet_model_chance(const freshet_model* model) {
  return (float)bounded_chance(model);
}

void freshet_model_bound_doubt(freshet_model* model) {
  model->blend[DOUBT] = bounded_doubt(model);
  model->blend[CHANCE] = bounded_chance(model);
}

void freshet_model_set_doubts(const freshet_model* model, uint32_t order_code, context* c) {
  const double choices = (double)model->total_count / WEIGHT_UNITS + choices_before;
  const double gain = model->blend[PAIR_GAIN] > 0 ? model->blend[PAIR_GAIN] : 0;
  const float a_step = (float)(gain / choices);
  for (uint32_t k = 0; k < c->count; k++)
    c->doubts[k] = (freshet_doubt){.half = least_half + freshet_model_back_share(order_code),
                                   .expected = model->items[c->items[k]].near.held * a_step,
                                   .doubt = freshet_model_doubt(model),
                                   .chance = freshet_model_chance(model)};
}

/* A feature is log(1 + sum root): what is taken from its sum lowers it by root / (1 + sum root) for each unit. */
void freshet_model_doubt_gradient(freshet_model* model, const context* c, const candidates* s) {
  float doubt = 0, chance = 0;
  for (uint32_t i = 0; i < s->count; i++) {
    const float *sums = s->sums[1 + i], *taken = s->taken[1 + i], under = sqrtf(s->counts[i] + 1);
    const float now = s->gradients[i] * c->theta[TOGETHER_NOW] / (under + sums[TOGETHER_NOW]);
    const float before = s->gradients[i] * c->theta[TOGETHER_BEFORE] / (under + sums[TOGETHER_BEFORE]);
    doubt -= now * taken[0] + before * taken[1];
    chance -= now * taken[2] + before * taken[3];
  }
  model->blend_gradient[DOUBT] = doubt;
  model->blend_gradient[CHANCE] = chance;
}

void freshet_model_note_pairs(freshet_model* model, const context* c, uint32_t pairs, float weight) {
  double gain = 0;
  double* so_far = &model->blend[PAIR_GAIN];
  for (uint32_t k = 0; k < pairs; k++) gain += (double)(weight * model->together_decay[c->place[k]]);
  if (pairs > 0) *so_far = freshet_grid(*so_far + mean_rate * (gain - *so_far));
}
