/*
 * model_learn.c: one step of learning: sampled softmax with a correction for how the negatives were drawn,
 * row-wise Adagrad for the factors, and the counts that follow from the trace.
 *
 * Sources: log q correction (Bengio and Senecal, 2008; Yi et al., RecSys 2019); Adagrad (Duchi et al., 2011),
 * one accumulator per row.
 */
#include <stdlib.h>
#include <string.h>

#include "core/grow.h"
#include "core/model_doubt.h"
#include "core/model_favour.h"
#include "core/model_internal.h"
#include "core/model_sessions.h"

/* The accumulator starts above 0. Otherwise the first step of a new item has full length even for a small
 * gradient, and random negatives push the item far from the place that its text gave it. */
static const freshet_row_rates row_rates = {
    .factor = .05F, .factor_first = .01F, .bias = .2F, .bias_memory = .99, .bias_limit = 64};
static const float rate_context = .05F, rate_user = .15F;
static const float share_of_frequent = .475F, share_of_recent = .475F, share_of_uniform = .05F;
static const float gradient_limit = 1e12F;

/* ---- features of the candidates ---- */

/* Called before the candidates are drawn, so that the lists arrive from memory meanwhile. Rivals are drawn from the
 * first list. */
static void prefetch_lists(const freshet_model* model, const context* c) {
  if (c->count > 0) {
    const neighbours* near = &model->items[c->items[0]].near;
    freshet_prefetch_list(near->entries, near->count * sizeof *near->entries);
  }
  for (uint32_t k = 0; k < c->count; k++) {
    const item* from = &model->items[c->items[k]];
    freshet_prefetch(from->near.tags, from->near.count * sizeof(freshet_tags) / FRESHET_TAGS);
    if (model->text_lists != NULL)
      freshet_prefetch(&model->text_lists[c->items[k]], sizeof *model->text_lists);
  }
}

/* Sums of the bonus features, by candidate; places[k] is where the positive stands in the list of k. */
static void scan_neighbours(freshet_model* model, const context* c, candidates* s,
                            size_t places[FRESHET_HISTORY]) {
  freshet_scan_list lists[FRESHET_HISTORY];
  const freshet_text_list* texts[FRESHET_HISTORY];
  float text_weights[FRESHET_HISTORY];
  memset(s->sums, 0, (1 + s->padded) * sizeof s->sums[0]);
  memset(s->agreed, 0, (1 + s->padded) * sizeof s->agreed[0]);
  memset(s->taken, 0, (1 + s->padded) * sizeof s->taken[0]);
  for (uint32_t k = 0; k < c->count; k++) {
    const neighbours* near = &model->items[c->items[k]].near;
    const float* a = c->feature_weight[k];
    if (near->smallest < near->count) freshet_prefetch(near->entries + near->smallest, 1);
    lists[k] = (freshet_scan_list){.weights = {a[FOLLOWS], a[TOGETHER_NOW], a[TOGETHER_BEFORE], 0},
                                   .agreed = c->agreed[k],
                                   .doubt = c->doubts[k]};
    lists[k].tags = near->tags, lists[k].entries = near->entries, lists[k].count = near->count;
    texts[k] = freshet_model_near_text(model, c->items[k]);
    text_weights[k] = a[SIMILAR_TEXT];
  }
  model->kernels->scan(lists, c->count, &model->marks, model->roots, s->sums, s->agreed, s->taken);
  if (model->text_lists != NULL)
    model->kernels->scan_texts(texts, text_weights, c->count, &model->marks, s->sums);
  freshet_model_favour_candidates(model, c, s);
  for (uint32_t k = 0; k < c->count; k++) places[k] = lists[k].place;
}

/* Called after the scan, which would push the list out of the cache. */
static void prefetch_own_list(const neighbours* own) {
  freshet_prefetch_list(own->tags, own->count * (sizeof *own->entries + sizeof *own->tags / FRESHET_TAGS));
}

/* Finds the places of the context items in the list of the chosen item. */
static void locate_context(freshet_model* model, const context* c, const neighbours* near,
                           size_t own_places[FRESHET_HISTORY]) {
  size_t places[256];
  for (uint32_t k = 0; k < c->count; k++) {
    places[k + 1] = NO_PLACE;
    freshet_marks_add(&model->marks, c->items[k], (uint8_t)(k + 1));
  }
  model->kernels->locate(near->tags, near->entries, near->count, &model->marks, places);
  freshet_marks_clear(&model->marks, c->items, c->count);
  memcpy(own_places, places + 1, c->count * sizeof *places);
}

static float* feature(candidates* s, int f) {
  return s->features + (size_t)f * s->padded;
}

/* Reads each item's row once, and notes that it will change. */
static void read_items(freshet_model* model, const context* c, candidates* s) {
  float *popular = feature(s, POPULAR), *taste = feature(s, TASTE);
  const size_t n16 = s->padded;
  for (uint32_t i = 0; i < s->count; i++) {
    const uint32_t slot = s->items[i], level = model->levels[slot];
    freshet_prefetch_row(freshet_model_factor(model, slot), model->config.dim);
    freshet_model_touch(model, slot);
    const item* it = &model->items[slot];
    s->counts[i] = (float)model->counts[slot] * (1.0F / WEIGHT_UNITS);
    s->ages[i] = freshet_model_popularity_age(model, it);
    for (size_t h = 0; h < HALF_LIVES; h++) popular[h * n16 + i] = it->popular[h];
    s->level[i] = (uint8_t)level;
    s->starts[i] = c->psi[level];
    s->text_thetas[i] = c->text_theta[level];
    s->bias[i] = it->bias;
    s->factor_squares[i] = it->factor_squares;
    s->bias_squares[i] = it->bias_squares;
  }
  for (size_t i = s->count; i < n16; i++) {
    s->counts[i] = s->ages[i] = s->times[i] = s->starts[i] = s->text_thetas[i] = taste[i] = 0;
    for (size_t h = 0; h < HALF_LIVES; h++) popular[h * n16 + i] = 0;
    s->bias[i] = s->factor_squares[i] = s->bias_squares[i] = 0;
  }
}

/* log q without the terms that are the same for all: it is log(n (.475 share + .475 recent share + .05 /
 * n)). */
static void set_features(const freshet_model* model, const float* h, candidates* s) {
  freshet_draw_shares draws = {share_of_frequent, share_of_recent, share_of_uniform, 0};
  float scales[HALF_LIVES], *taste = feature(s, TASTE);
  if (model->total_count > 0) {
    draws.per_count = (float)((double)model->count * WEIGHT_UNITS / (double)model->total_count);
  }
  for (int f = 0; f < HALF_LIVES; f++) scales[f] = freshet_model_popularity_scale(model, f);
  model->kernels->features((const float(*)[FRESHET_SUMS])(s->sums + 1), s->counts, s->ages,
                           freshet_model_popularity_rates, scales, &draws, s->chances, s->features, s->log_q,
                           s->padded);
  model->kernels->dots(model->factors, s->items, s->count, h, model->config.dim, taste);
  for (size_t i = 0; i < s->padded; i++) taste[i] += (float)s->bias[i];
  freshet_model_agreed_feature(model, s);
}

/* ---- gradients ---- */

static void set_gradients(freshet_model* model, const context* c, float weight, candidates* s) {
  const float* taste = feature(s, TASTE);
  float *g = s->gradients, *taste_g = s->gradients + s->padded;
  model->kernels->logits(s->features, ALL_FEATURES, c->theta, s->starts, s->text_thetas, s->log_q, g,
                         s->padded);
  for (size_t i = 0; i < s->padded; i++) taste_g[i] = taste[i] - s->log_q[i];
  freshet_model_compare_shown(model, s);
  model->kernels->softmaxes(s->gradients, s->times, weight, s->padded);
  g[0] -= weight;
  taste_g[0] -= weight;
}

/* Gradients of th, tb, ts, psi, tau and AGREED: they follow g. */
static void set_blend_gradient(freshet_model* model, const context* c, candidates* s) {
  float* out = model->blend_gradient;
  const float *text = feature(s, SIMILAR_TEXT), *g = s->gradients;
  float gradients[ALL_FEATURES];
  model->kernels->dots(s->features, NULL, ALL_FEATURES, g, s->padded, gradients);
  for (int f = 0; f < FEATURES; f++) out[TH + f] = c->rests[f] ? fminf(gradients[f], 0) : gradients[f];
  freshet_model_agreed_gradient(model, c, gradients[AGREED]);
  freshet_model_doubt_gradient(model, c, s);
  freshet_model_favour_gradient(model, c, s);
  for (uint32_t i = 0; i < s->count; i++) {
    out[PSI + s->level[i]] += g[i];
    out[TAU + s->level[i]] += g[i] * text[i];
  }
  for (int level = 0; level < COUNT_LEVELS; level++) {
    if (c->text_theta[level] <= 0) out[TAU + level] = 0;
  }
  memcpy(out + TB + c->user_level * FEATURES, out + TH, FEATURES * sizeof *out);
  memcpy(out + TS + c->stage * FEATURES, out + TH, FEATURES * sizeof *out);
}

/* ---- the step ---- */

/* The step of the compared items. size: h . h; slope becomes the gradient of h, computed from the factors
 * before the step. */
static void step_items(freshet_model* model, candidates* s, const float* h, float size, float* slope) {
  const freshet_model_kernels* kernels = model->kernels;
  uint32_t dim = model->config.dim;
  size_t n16 = s->padded;
  float norm = size / (float)dim, *g = s->gradients;
  _Alignas(64) float bias_steps[CANDIDATES_PADDED];
  for (size_t i = 0; i < n16; i++) g[i] = (g[i] + g[n16 + i]) * .5F;
  kernels->adapt(g, norm, &row_rates, s->factor_squares, s->bias_squares, s->bias, s->steps, bias_steps, n16);
  memset(slope, 0, dim * sizeof *slope);
  kernels->descend_rows(model->factors, s->items, s->count, g, s->steps, h, slope, dim);
  for (uint32_t i = 0; i < s->count; i++) {
    item* it = &model->items[s->items[i]];
    it->factor_squares = s->factor_squares[i];
    it->bias_squares = s->bias_squares[i];
    it->bias = s->bias[i];
  }
}

static float root_of(float squares) {
  return sqrtf((squares > 0 ? squares : 0) + FRESHET_SQUARES_LEAST);
}

static void step_user(freshet_model* model, freshet_user* user, const context* c, const float* slope) {
  const freshet_model_kernels* kernels = model->kernels;
  uint32_t dim = model->config.dim;
  float norm = kernels->dot(slope, slope, dim) / (float)dim, rates[FRESHET_HISTORY], pulls[FRESHET_HISTORY];
  for (uint32_t k = 0; k < c->count; k++) {
    item* it = &model->items[c->items[k]];
    float w = c->weight[k];
    freshet_model_touch(model, c->items[k]);
    it->context_squares = freshet_grid_sum(it->context_squares + (double)(w * w * norm));
    rates[k] = (float)it->context_squares;
  }
  for (uint32_t k = 0; k < c->count; k++) rates[k] = rate_context * c->weight[k] / root_of(rates[k]);
  for (uint32_t k = 0; k < c->count; k++) {
    float* m = freshet_model_own_context_factor(model, c->items[k]);
    pulls[k] = c->weight[k] * kernels->descend(m, rates[k], slope, dim);
    model->blend_gradient[LP + c->place[k]] += pulls[k];
    model->blend_gradient[LG + c->bucket[k]] += pulls[k];
  }
  if (c->is_weighed) freshet_model_step_worth(model, c, pulls);
  user->accumulator += norm;
  kernels->add_scaled(user->vector, -rate_user / root_of(user->accumulator), slope, dim);
}

static void step_weights(freshet_model* model, size_t from, size_t to) {
  model->kernels->blend(model->blend + from, model->blend_squares + from, model->blend_gradient + from,
                        freshet_model_paced_rates(model) + from, to - from);
}

static void step_blend(freshet_model* model) {
  step_weights(model, 0, freshet_model_repeats(model) ? AGAIN_PADDED : BLEND_NEW_PADDED);
  step_weights(model, AGREED_STAGE, BLEND_PADDED);
  freshet_model_bound_thetas(model->blend + TH);
  freshet_model_bound_agreed(model);
  freshet_model_bound_doubt(model);
  freshet_model_bound_favour(model);
}

/* ---- what follows from the trace ---- */

typedef struct own_event {
  uint32_t item;
  uint32_t weight_units;
  bool is_dislike; /* it has no context then */
  bool is_again;
  uint8_t span_code;
  uint32_t order_code;
  uint32_t context_count;
  const uint32_t* context_items;
  /* [context_count] of the item in their lists, and of them in its list, before the event */
  const size_t *places, *own_places;
} own_event;

/* The step from the newest item to the chosen one. */
static void note_order(freshet_model* model, const own_event* event, const context* c) {
  if (c->count == 0 || c->items[0] == event->item) return;
  const neighbours *from = &model->items[c->items[0]].near, *to = &model->items[event->item].near;
  const size_t at = event->places[0], back_at = event->own_places[0];
  if (at < from->count && back_at < to->count)
    freshet_model_note_order(
        model, c->session > 0,
        freshet_count_value(from->entries[at].follows) * freshet_model_neighbours_scale(from),
        freshet_count_value(to->entries[back_at].follows) * freshet_model_neighbours_scale(to));
}

/* An own event: the step has found most places of the entries already. */
static void replay_own(freshet_model* model, const own_event* event, const freshet_kept* kept) {
  const neighbours* own = &model->items[event->item].near;
  for (uint32_t i = 0; i < kept->count; i++) {
    const uint32_t k = kept->place[i], other = event->context_items[k];
    if (other == event->item) continue;
    const size_t place = event->own_places[k];
    const bool is_evicted = place < own->count && own->entries[place].item != other;
    trace_pair pair = {event->weight_units, k, kept->times[i], kept->is_sampled, event->order_code, true};
    if (kept->chosen_hears)
      freshet_model_replay_pair(model, event->item, other, &pair, is_evicted ? NO_PLACE : place);
    pair.is_back = false;
    if ((kept->hear >> k & 1) != 0)
      freshet_model_replay_pair(model, other, event->item, &pair, event->places[k]);
  }
  const trace_choice choice = {model->events, (uint16_t)event->weight_units, event->is_again,
                               event->span_code};
  freshet_model_count_add(model, event->item, event->weight_units);
  freshet_model_replay_choices(model, event->item, &choice, 1);
  freshet_model_replay_event(model, event->item, &choice);
}

static bool hears(const freshet_model* model, uint32_t slot, uint64_t random) {
  const unsigned stride = freshet_list_stride(model->items[slot].near.steps);
  return (random >> (64 - FRESHET_STRIDE_MAX)) >> (FRESHET_STRIDE_MAX - stride) == 0;
}

/* Which pairs of an own event count. */
static freshet_kept keep_pairs(const freshet_model* model, const own_event* event) {
  enum { STREAM = 0x6865 }; /* other numbers than those of the draws */
  if (!model->thins) return freshet_keep_all(event->context_count);
  const uint64_t seed = freshet_random(model->config.seed ^ STREAM, model->events);
  uint32_t hear = 0;
  for (uint32_t k = 0; k < event->context_count; k++)
    hear |= (uint32_t)hears(model, event->context_items[k], freshet_random(seed, 1 + k)) << k;
  return freshet_keep_heard(event->context_count, hears(model, event->item, freshet_random(seed, 0)), hear);
}

/* The item and its context have been touched. */
static void record_trace(freshet_model* model, const own_event* event, const freshet_kept* kept) {
  gathered* g = freshet_model_gathering(model);
  if (g->trace_count == 0) g->trace_start = model->events;
  g->trace = freshet_grow(g->trace, &g->trace_capacity, g->trace_count + 1, sizeof *g->trace);
  g->trace_items = freshet_grow(g->trace_items, &g->trace_item_capacity, g->trace_item_count + kept->count,
                                sizeof *g->trace_items);
  const uint32_t back_code = event->order_code % BACK_CODES;
  const unsigned kind = event->is_dislike ? TRACE_DISLIKE : event->is_again ? TRACE_AGAIN : 0;
  g->trace[g->trace_count++] =
      (trace_event){.item = freshet_model_place_of(model, event->item),
                    .weight = (uint16_t)(event->weight_units | kind | back_code << TRACE_BACK_SHIFT),
                    .context = (uint8_t)event->context_count,
                    .kept = (uint8_t)kept->count,
                    .chosen_hears = kept->chosen_hears,
                    .hear = kept->hear,
                    .fades = event->order_code >= ORDER_FADES,
                    .span_code = event->span_code};
  g->items[freshet_model_place_of(model, event->item)].is_named = true;
  for (uint32_t i = 0; i < kept->count; i++) {
    const uint32_t place = freshet_model_place_of(model, event->context_items[kept->place[i]]);
    g->trace_items[g->trace_item_count++] = place;
    g->items[place].is_named = true;
  }
}

/* ---- history ---- */

/* Inserts the event by its time. An item is in the history once, with its newest time. Its strongest dislike stays until the
 * item is chosen. */
static void append_history(freshet_user* user, const freshet_observation* seen) {
  float dislike = seen->positive ? 0 : seen->dislike < 1 ? seen->dislike : 1;
  freshet_interaction entry = {seen->item, dislike > 0 ? -dislike : seen->weight, seen->time_ms,
                               seen->signal};
  uint32_t old = 0;
  while (old < user->recent_count && user->recent[old].item != seen->item) old++;
  if (old < user->recent_count) {
    freshet_interaction* last = &user->recent[old];
    if (!seen->positive && last->weight < 0) last->weight = entry.weight = fminf(entry.weight, last->weight);
    if (last->time_ms > seen->time_ms) return;
    memmove(user->recent + old, user->recent + old + 1, (user->recent_count - old - 1) * sizeof entry);
    user->recent_count--;
  }
  uint32_t at = 0;
  while (at < user->recent_count && user->recent[at].time_ms > seen->time_ms) at++;
  if (at == FRESHET_HISTORY) return;
  if (user->recent_count < FRESHET_HISTORY) user->recent_count++;
  memmove(user->recent + at + 1, user->recent + at, (user->recent_count - at - 1) * sizeof entry);
  user->recent[at] = entry;
}

static freshet_status learn_positive(freshet_model* model, freshet_user* user,
                                     const freshet_observation* seen, freshet_error* error) {
  candidates* s = model->step;
  size_t places[FRESHET_HISTORY], own_places[FRESHET_HISTORY];
  uint32_t own[FRESHET_HABIT_DRAWS + FRESHET_RIVALS_MAX + FRESHET_SHOWN_DRAWS];
  context c;
  freshet_model_context(model, user, seen->time_ms, &c);
  const uint32_t weight_units = freshet_model_choice_units(model, &c, seen);
  const float weight = (float)weight_units * (1.0F / WEIGHT_UNITS);
  prefetch_lists(model, &c);
  freshet_model_user_factor(model, user, &c, model->user_factor);
  float size = model->kernels->dot(model->user_factor, model->user_factor, model->config.dim);
  if (!(size < gradient_limit) || !isfinite(user->accumulator)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                             "the user's vector is out of bounds: nothing is learned from this event");
  }
  const uint32_t own_count = freshet_model_draw_habits(model, user, own);
  const uint32_t rival_count = freshet_model_draw_rivals(model, user, &c, own + own_count);
  const uint32_t shown_count =
      freshet_model_draw_shown(model, user, seen->time_ms, own_count, own + own_count + rival_count, s);
  freshet_model_draw(model, seen->item, model->config.negatives - rival_count, own,
                     own_count + rival_count + shown_count, s);
  freshet_model_meet_habits(model, user, seen->time_ms, own_count, s);
  freshet_model_meet_rivals(model, user, &c, rival_count, s);
  freshet_model_meet_shown(model, s);
  read_items(model, &c, s); /* before the scan, which pushes their rows out of the cache */
  scan_neighbours(model, &c, s, places);
  freshet_marks_clear(&model->marks, s->items, s->count);
  prefetch_own_list(&model->items[seen->item].near);
  set_features(model, model->user_factor, s);
  freshet_model_apply_habits(s);
  freshet_model_apply_shown(model, s);
  set_gradients(model, &c, weight, s);
  set_blend_gradient(model, &c, s);
  freshet_model_habit_gradient(model, s);
  freshet_model_focus(model, s, weight);
  freshet_model_shown_gradient(model, s);
  freshet_model_like_gradient(model, &c, seen->item, 0, 1);
  step_items(model, s, model->user_factor, size, model->slope);
  step_user(model, user, &c, model->slope);
  step_blend(model);
  locate_context(model, &c, &model->items[seen->item].near, own_places);
  own_event event = {.item = seen->item,
                     .weight_units = weight_units,
                     .context_count = freshet_model_pairs_with(model, &c),
                     .context_items = c.items,
                     .places = places,
                     .own_places = own_places};
  note_order(model, &event, &c);
  freshet_model_note_session(model, &c);
  freshet_model_note_root(model, seen->item);
  freshet_model_note_pairs(model, &c, event.context_count, weight);
  event.order_code = freshet_model_order_code(model, c.session > 0);
  event.is_again = freshet_model_chooses_again(user, seen->item, seen->time_ms, &event.span_code);
  const freshet_kept kept = keep_pairs(model, &event);
  record_trace(model, &event, &kept);
  model->has_learned = true;
  replay_own(model, &event, &kept);
  return FRESHET_OK;
}

/* How much the user dislikes the item already, as far as that is kept. What is older than the choice of the item, or than a
 * full history, would never be kept, so it counts as known. */
static float known_dislike(const freshet_user* user, const freshet_observation* seen) {
  if (freshet_user_hides(user, seen->item)) return 1;
  for (uint32_t k = 0; k < user->recent_count; k++) {
    const freshet_interaction* past = &user->recent[k];
    if (past->item == seen->item) return past->weight < 0 ? -past->weight : past->time_ms > seen->time_ms;
  }
  return user->recent_count == FRESHET_HISTORY && user->recent[FRESHET_HISTORY - 1].time_ms > seen->time_ms;
}

/* Counts the dislike and learns how dislikes are foreseen. Vectors stay: as negatives, dislikes make them
 * worse. What the user has said before does not count again: else one user could push an item down for all. */
static void learn_dislike(freshet_model* model, const freshet_user* user, const freshet_observation* seen) {
  const float told = seen->dislike < 1 ? seen->dislike : 1, known = known_dislike(user, seen);
  const uint32_t told_units = freshet_model_dislike_units(told),
                 known_units = freshet_model_dislike_units(known);
  context c;
  if (told_units <= known_units) return;
  freshet_model_touch(model, seen->item);
  freshet_model_context(model, user, seen->time_ms, &c);
  freshet_model_like_gradient(model, &c, seen->item, told - known, told - known);
  step_blend(model);
  own_event event = {.item = seen->item, .weight_units = told_units - known_units, .is_dislike = true};
  record_trace(model, &event, &(freshet_kept){0});
  model->has_learned = true;
  freshet_model_replay_dislike(model, seen->item, event.weight_units, INT64_MAX);
}

freshet_status freshet_model_learn(freshet_model* model, freshet_user* user,
                                   const freshet_observation* observation, freshet_error* error) {
  FRESHET_ASSERT(observation->item < model->count);
  freshet_status status = FRESHET_OK;
  const bool is_target = observation->positive && !observation->is_hint;
  if (is_target && model->config.learning) {
    freshet_model_settle_links(model);
    status = learn_positive(model, user, observation, error);
    freshet_model_note_price(model, observation->signal);
  }
  if (!observation->positive && observation->dislike > 0 && model->config.learning)
    learn_dislike(model, user, observation);
  freshet_user_count_visit(user, observation->time_ms);
  if (is_target) freshet_model_count_habit(model, user, observation->item, observation->time_ms);
  freshet_user_drop_shown(user, observation->item);
  if (observation->positive) {
    user->positives++;
    freshet_user_unhide(user, observation->item);
  } else if (observation->dislike > 0) {
    freshet_user_drop_habit(user, observation->item);
  }
  append_history(user, observation);
  freshet_user_mark_seen(user, observation->item, model->config.seen_limit);
  return status;
}

uint64_t freshet_model_events(const freshet_model* model) {
  return model->events;
}
