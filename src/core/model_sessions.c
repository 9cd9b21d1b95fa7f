/*
 * model_sessions.c: what a session tells beyond its items one by one.
 *
 * Items of one session belong together; an item of an earlier session of the same user often does not. So while a session
 * goes on, a choice makes pairs with the items of this session only. The first choice of a session has none of these. It
 * makes pairs with earlier items, always in a stream without sessions, and the more seldom the longer sessions are:
 * with the chance 2 (1 - p), where p is the part of the choices that go on with a session. p is a running mean.
 *
 * The feature AGREED finds items that go with several items of this session, as those of the sessions that are most like
 * it do. TOGETHER_NOW adds up how often an item was chosen with each of them, so one strong pair is worth as much as
 * several weak ones. AGREED adds up the roots instead:
 *
 *   AGREED = log(1 + (sum a_k sqrt(cs(k,j) / sqrt((N_k+1)(N_j+1))))^2 / .01)
 *
 * with the a_k of TOGETHER_NOW, which sum to 1. With one item both features are equal, so AGREED begins with two. Its weight
 * is at least 0 and starts at 0. It owns nothing, and must not know how lists are made or ranked.
 */
#include "core/model_sessions.h"

static const double mean_rate = .002;
static const float agreed_rate = .006F;

void freshet_model_init_sessions(freshet_model* model) {
  for (int i = AGREED_STAGE; i < ORDER; i++) {
    model->blend_squares[i] = freshet_grid(FRESHET_BLEND_SQUARES_START);
    model->blend_rates[i] = agreed_rate;
  }
}

/* ---- which pairs count ---- */

void freshet_model_note_session(freshet_model* model, const context* c) {
  const double so_far = model->blend[GOES_ON], goes_on = c->session > 0;
  if (c->count > 0) model->blend[GOES_ON] = freshet_grid(so_far + mean_rate * (goes_on - so_far));
}

uint32_t freshet_model_pairs_with(const freshet_model* model, const context* c) {
  enum { STREAM = 0x7373, PARTS = 1 << 16 }; /* other numbers than those of other draws */
  if (c->session > 0) return c->session;
  const uint64_t draw = freshet_random(model->config.seed ^ STREAM, model->events) % PARTS;
  return (double)draw < 2 * (1 - model->blend[GOES_ON]) * PARTS ? c->count : 0;
}

/* ---- what the items of a session agree on ---- */

/* Where the weight of AGREED is; -1: there is no such feature yet. */
static int agreed_weight(const context* c) {
  return c->session < 2 ? -1 : AGREED_STAGE + (int)c->stage;
}

float freshet_model_agreed_theta(const freshet_model* model, const context* c) {
  const int at = agreed_weight(c);
  return at >= 0 && model->blend[at] > 0 ? (float)model->blend[at] : 0;
}

void freshet_model_agreed_feature(const freshet_model* model, candidates* s) {
  float* out = s->features + (size_t)AGREED * s->padded;
  for (size_t i = 0; i < s->padded; i++)
    out[i] = 1 + s->agreed[1 + i] * s->agreed[1 + i] / sqrtf(s->counts[i] + 1);
  model->kernels->log(out, s->padded);
}

void freshet_model_agreed_gradient(freshet_model* model, const context* c, float gradient) {
  const int at = agreed_weight(c);
  if (at >= 0) model->blend_gradient[at] = gradient;
}

void freshet_model_bound_agreed(freshet_model* model) {
  for (int i = AGREED_STAGE; i < ORDER; i++) {
    if (model->blend[i] < 0) model->blend[i] = 0;
  }
}

void freshet_model_add_agreed(const freshet_model* model, const context* c, freshet_gathered* met,
                              const float* roots, float* values) {
  const size_t count = met->count, padded = (count + FRESHET_LANES - 1) / FRESHET_LANES * FRESHET_LANES;
  float* agreed = met->agreed;
  if (c->theta[AGREED] <= 0) return;
  for (size_t i = 0; i < padded; i++) agreed[i] = 1 + agreed[i] * agreed[i] * roots[i];
  model->kernels->log(agreed, padded);
  for (size_t i = 0; i < count; i++) values[i] += c->theta[AGREED] * agreed[i];
}

void freshet_model_agreed_parts(const freshet_model* model, const context* c, uint32_t slot,
                                float parts[FRESHET_HISTORY]) {
  _Alignas(64) float logs[FRESHET_LANES];
  float sum = 0;
  for (uint32_t k = 0; k < c->count; k++) {
    const neighbours* near = &model->items[c->items[k]].near;
    const size_t e = model->kernels->find_entry(near->tags, near->entries, near->count, slot);
    parts[k] = e < near->count
                   ? c->agreed[k] * freshet_root_about(freshet_count_value(near->entries[e].together))
                   : 0;
    sum += parts[k];
  }
  for (int l = 0; l < FRESHET_LANES; l++) logs[l] = 1 + sum * sum * model->roots[slot];
  model->kernels->log(logs, FRESHET_LANES);
  for (uint32_t k = 0; k < c->count && sum > 0; k++) parts[k] *= c->theta[AGREED] * logs[0] / sum;
}
