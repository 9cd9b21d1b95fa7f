/*
 * model_focus.c: of which choices the blend weights learn most.
 *
 * The softmax is a matter of all choices, and most choices are hopeless: nothing that is known foretells them, so no weights
 * would bring them into a list. Their gradients are the longest ones. They would teach the weights how the mass of the items
 * differs from the rest, at the cost of the first ten places. So the gradient of the blend weights is multiplied by p^.2,
 * where p is the probability that the model gives to the choice among all items. Then the weights follow the gradient of
 * (1 - p^.2) / .2 in place of -log p (Zhang and Sabuncu, 2018: generalised cross entropy).
 *
 * p is not the probability within the step, which is large for every item that is seldom drawn. The odds of the step are
 * multiplied by the expected share of the draws instead. The factors follow -log p: with p^.2 they would be worse.
 * It owns nothing, and must not know how lists are made.
 */
#include "core/model_internal.h"

static const float power = .2F;
static const float favour_power = .3F; /* more, of FAVOUR: what is favoured changes the first places most */
static const float least = 1e-6F;      /* of a probability */

/* p of the positive. rest: the probability of all others within the step. */
static float chance_of(const freshet_model* model, const candidates* s, float rest) {
  _Alignas(64) float q[FRESHET_LANES] = {s->log_q[0]};
  model->kernels->exp(q, FRESHET_LANES);
  const float within = rest < 1 ? 1 - rest : 0, draws = (float)s->negatives / (float)model->count;
  const float odds = within / (rest + least) * q[0] * draws;
  return odds / (1 + odds) + least;
}

void freshet_model_focus(freshet_model* model, const candidates* s, float weight) {
  _Alignas(64) float focus[FRESHET_LANES] = {chance_of(model, s, -s->gradients[0] / weight)};
  for (int l = 1; l < FRESHET_LANES; l++) focus[l] = focus[0];
  model->kernels->log(focus, FRESHET_LANES);
  for (int l = 0; l < FRESHET_LANES; l++) focus[l] *= l == 0 ? power : favour_power;
  model->kernels->exp(focus, FRESHET_LANES);
  model->blend_gradient[FAVOUR] *= focus[1];
  for (int i = 0; i < BLEND_PADDED; i++) model->blend_gradient[i] *= focus[0];
}
