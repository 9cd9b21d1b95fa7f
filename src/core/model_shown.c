/*
 * model_shown.c: items that a user was shown and did not choose: the part of a score that says so.
 *
 * A showing is open for ten minutes, or until the user chooses something. Then the item was passed over, as far as users
 * look at that place of a list at all. Passes lower the item's score for this user by learned weights, by the time since
 * then; they rest while the item is shown again. When a user chooses an item of an open showing, the model compares it with
 * the items that were shown beside it:
 *
 *   P(item i) = e_i exp(a z_i - w_i f_i) / sum over the items j shown of e_j exp(a z_j - w_j f_j)
 *
 * z is the score without passes, f = log(1 + passes), w its weight, and e_i says how far users look at i's place. e, w and a
 * learn from the gradient of log P. a is there because the list was made by scores, too. If the chosen item was
 * not shown, the weights follow the gradient of the softmax, as other weights do. A weight is never below 0: no item gains
 * because it was passed over. While nobody is shown anything, all of it is 0 and costs nothing.
 * It owns showings and these weights. It must not know lists or rankers.
 */
#include <stdlib.h>
#include <string.h>

#include "core/model_internal.h"

static const uint32_t open_s = 600;
static const float pass_decay = .9F; /* of earlier passes with each further one: their sum stays below 10 */
static const float weight_most = 4, unseen_most = 4, scale_most = 2;
static const float weight_rate = .012F, place_rate = .006F;
static const double fall = .0003; /* of a weight, with each step: one that tells nothing goes away */
static const float weight_starts[SHOWN_GAPS] = {.1F, .3F, .2F, .1F};

/* Groups of places, after the first place; the last one is of an unknown place. */
enum { PLACE_UNKNOWN = SHOWN_PLACES };
static const int32_t place_starts[PLACE_UNKNOWN] = {0, 1, 2, 3, 5, 10, 20, 50};
/* log of 1 / log2(2 + place), in the middle of the group */
static const float place_logs[SHOWN_PLACES + 1] = {0,      -.46F, -.69F,  -.9F, -1.1F,
                                                   -1.35F, -1.6F, -1.85F, -1.1F};

void freshet_model_init_shown(freshet_model* model) {
  for (int i = SHOWN; i < SHOWN_END; i++) {
    model->blend_squares[i] = freshet_grid(FRESHET_BLEND_SQUARES_START);
    model->blend_rates[i] = i < SHOWN_PLACE ? weight_rate : place_rate;
  }
}

static float between(float x, float least, float most) {
  return x < least ? least : x > most ? most : x;
}

float freshet_model_shown_weight(const freshet_model* model, int gap) {
  return between(weight_starts[gap] + (float)model->blend[SHOWN + gap], 0, weight_most);
}

/* log e */
static float place_log(const freshet_model* model, int place) {
  const float learned = place == 0 ? 0 : (float)model->blend[SHOWN_PLACE + place - 1];
  return between(place_logs[place] + learned, -unseen_most, 0);
}

void freshet_model_shown_examined(const freshet_model* model, float* examined) {
  _Alignas(64) float lanes[FRESHET_LANES] = {0};
  _Static_assert((int)SHOWN_PLACES < (int)FRESHET_LANES, "one vector of the kernel");
  for (int p = 0; p <= SHOWN_PLACES; p++) lanes[p] = place_log(model, p);
  model->kernels->exp(lanes, FRESHET_LANES);
  memcpy(examined, lanes, (SHOWN_PLACES + 1) * sizeof *examined);
}

/* A list-maker has chosen the items of a list by their scores already, so scores tell less about them. */
static float score_scale(const freshet_model* model) {
  return between(1 + (float)model->blend[SHOWN_SCALE], 0, scale_most);
}

/* ---- the showings of a user ---- */

static uint8_t place_group(int32_t place) {
  uint8_t group = 0;
  if (place < 0) return PLACE_UNKNOWN;
  while (group + 1 < PLACE_UNKNOWN && place >= place_starts[group + 1]) group++;
  return group;
}

static freshet_shown* find_shown(const freshet_user* user, uint32_t slot) {
  for (uint32_t i = 0; i < user->shown_count; i++) {
    if (user->shown[i].item == slot) return &user->shown[i];
  }
  return NULL;
}

static bool is_open(const freshet_user* user, const freshet_shown* shown, uint32_t now_s) {
  return shown->choices == user->positives && freshet_span_between(shown->shown_s, now_s) < open_s;
}

/* How often the item was passed over, when the showing has ended. */
static float passes_after(const freshet_shown* shown, const float* examined) {
  return pass_decay * shown->passes + examined[shown->place];
}

/* Room for one more; of the most that there may be, the oldest is given out. */
static freshet_shown* add_shown(freshet_user* user) {
  if (user->shown_count == FRESHET_SHOWN_MAX) {
    freshet_shown* oldest = &user->shown[0];
    for (uint32_t i = 1; i < FRESHET_SHOWN_MAX; i++) {
      if (user->shown[i].shown_s < oldest->shown_s) oldest = &user->shown[i];
    }
    return oldest;
  }
  if (user->shown_count == user->shown_capacity) {
    user->shown_capacity = user->shown_capacity == 0 ? 16 : user->shown_capacity * 2;
    user->shown = realloc(user->shown, user->shown_capacity * sizeof *user->shown);
    FRESHET_ASSERT(user->shown != NULL);
  }
  return &user->shown[user->shown_count++];
}

/* An impression may come after the choice that it led to. */
static bool is_answered(const freshet_user* user, uint32_t slot, int64_t time_ms) {
  for (uint32_t i = 0; i < user->recent_count; i++) {
    if (user->recent[i].item == slot) return user->recent[i].time_ms >= time_ms;
  }
  return false;
}

void freshet_model_show(const freshet_model* model, freshet_user* user, uint32_t slot, int32_t place,
                        int64_t time_ms) {
  freshet_shown now = {.item = slot,
                       .shown_s = freshet_seconds_of(time_ms),
                       .choices = user->positives,
                       .place = place_group(place)};
  float examined[SHOWN_PLACES + 1];
  FRESHET_ASSERT(slot < model->count);
  if (is_answered(user, slot, time_ms)) return;
  freshet_shown* before = find_shown(user, slot);
  if (before != NULL && is_open(user, before, now.shown_s)) {
    if (now.place < before->place) before->place = now.place; /* the same showing, at the better place */
    return;
  }
  if (before != NULL && now.shown_s < before->shown_s)
    return; /* it comes late, and a newer showing has ended */
  if (before != NULL) {
    freshet_model_shown_examined(model, examined);
    now.passes = passes_after(before, examined);
    now.passed_s = before->shown_s;
  }
  *(before != NULL ? before : add_shown(user)) = now;
}

void freshet_user_drop_shown(freshet_user* user, uint32_t slot) {
  freshet_shown* shown = find_shown(user, slot);
  if (shown != NULL) *shown = user->shown[--user->shown_count];
}

bool freshet_shown_is_sane(const freshet_shown* shown) {
  return shown->place <= PLACE_UNKNOWN && shown->passes >= 0 && shown->passes <= 10;
}

void freshet_user_restore_shown(freshet_user* user, const freshet_shown* shown) {
  if (!freshet_shown_is_sane(shown) || user->shown_count == FRESHET_SHOWN_MAX ||
      find_shown(user, shown->item) != NULL)
    return;
  *add_shown(user) = *shown;
}

/* ---- what they take from scores ---- */

static uint8_t gap_of(uint32_t age_s) {
  static const uint32_t ends_s[SHOWN_GAPS - 1] = {600, 24 * 3600, 7 * 24 * 3600};
  uint8_t gap = 0;
  while (gap < SHOWN_GAPS - 1 && age_s >= ends_s[gap]) gap++;
  return gap;
}

/* Describes some of the user's showings [count]. */
static void read_shown(const freshet_model* model, const freshet_user* user, const freshet_shown* some,
                       uint32_t count, int64_t now_ms, met_shown* out) {
  const uint32_t now_s = freshet_seconds_of(now_ms);
  _Alignas(64) float passes[FRESHET_SHOWN_MAX];
  float examined[SHOWN_PLACES + 1];
  _Static_assert((int)FRESHET_SHOWN_MAX % (int)FRESHET_LANES == 0, "whole vectors of the kernel");
  const size_t padded = (count + (size_t)FRESHET_LANES - 1) / FRESHET_LANES * FRESHET_LANES;
  freshet_model_shown_examined(model, examined);
  for (size_t i = count; i < padded; i++) passes[i] = 1;
  for (uint32_t i = 0; i < count; i++) {
    const freshet_shown* shown = &some[i];
    const bool open = is_open(user, shown, now_s);
    const uint32_t passed_s = open ? shown->passed_s : shown->shown_s;
    out[i] = (met_shown){.item = shown->item,
                         .is_open = open,
                         .place = shown->place,
                         .gap = gap_of(freshet_span_between(passed_s, now_s))};
    passes[i] = 1 + (open ? shown->passes : passes_after(shown, examined));
  }
  model->kernels->log(passes, padded);
  for (uint32_t i = 0; i < count; i++) out[i].passes = passes[i];
}

static float score_of(const freshet_model* model, const met_shown* met) {
  return met->is_open ? 0 : -freshet_model_shown_weight(model, met->gap) * met->passes;
}

void freshet_model_shown_scores(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                                uint32_t* items, float* scores) {
  met_shown all[FRESHET_SHOWN_MAX];
  if (user->shown_count == 0) return;
  read_shown(model, user, user->shown, user->shown_count, now_ms, all);
  for (uint32_t i = 0; i < user->shown_count; i++) {
    items[i] = all[i].item;
    scores[i] = score_of(model, &all[i]);
  }
}

float freshet_model_shown_part(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                               uint32_t slot) {
  met_shown met;
  const freshet_shown* shown = find_shown(user, slot);
  if (shown == NULL) return 0;
  read_shown(model, user, shown, 1, now_ms, &met);
  return score_of(model, &met);
}

/* ---- a step of learning ---- */

/* Draws of one kind: all of it if there are few. */
static uint32_t draw_kind(const shown_set* set, bool open, uint32_t size, uint32_t most, uint64_t seed,
                          uint32_t* slots) {
  uint32_t of_kind[FRESHET_SHOWN_MAX], count = 0;
  for (uint32_t i = 0; i < set->count; i++) {
    if (set->met[i].is_open == open) of_kind[count++] = set->met[i].item;
  }
  for (uint32_t i = 0; i < most && i < size; i++)
    slots[i] = of_kind[size <= most ? i : freshet_below(freshet_random(seed, i), size)];
  return size < most ? size : most;
}

uint32_t freshet_model_draw_shown(const freshet_model* model, const freshet_user* user, int64_t time_ms,
                                  uint32_t used, uint32_t slots[FRESHET_SHOWN_DRAWS], candidates* s) {
  enum { STREAM = 0x7368 }; /* other numbers than those of other draws */
  shown_set* set = &s->shown;
  uint32_t sizes[2] = {0, 0}, drawn = 0;
  set->count = user->shown_count;
  if (set->count == 0) return 0;
  const uint32_t room = NEGATIVES_MAX + 4 - model->config.negatives - used;
  const uint32_t most = room / 2 < FRESHET_SHOWN_DRAWS_EACH ? room / 2 : FRESHET_SHOWN_DRAWS_EACH;
  read_shown(model, user, user->shown, user->shown_count, time_ms, set->met);
  for (uint32_t i = 0; i < set->count; i++) sizes[set->met[i].is_open]++;
  for (int open = 0; open < 2; open++) {
    const uint64_t seed = freshet_random(model->config.seed ^ (uint64_t)(STREAM + open), model->events);
    const uint32_t draws = draw_kind(set, open, sizes[open], most, seed, slots + drawn);
    set->chances[open] = draws == 0 ? 0 : (float)model->count * (float)draws / (float)sizes[open];
    drawn += draws;
  }
  return drawn;
}

void freshet_model_meet_shown(const freshet_model* model, candidates* s) {
  shown_set* set = &s->shown;
  uint32_t met = 0;
  for (uint32_t i = 0; i < set->count; i++) {
    const uint32_t mark = model->marks.of[set->met[i].item];
    if (mark == 0) continue;
    set->met[met] = set->met[i];
    set->met[met].candidate = mark - 1;
    s->chances[mark - 1] += set->chances[set->met[i].is_open] / (float)s->negatives;
    met++;
  }
  set->count = met;
}

void freshet_model_apply_shown(const freshet_model* model, candidates* s) {
  for (uint32_t i = 0; i < s->shown.count; i++) {
    const met_shown* met = &s->shown.met[i];
    if (!met->is_open) s->starts[met->candidate] += score_of(model, met);
  }
}

/* Was the chosen item shown, in a showing that is open? */
static bool is_from_list(const shown_set* set) {
  for (uint32_t i = 0; i < set->count; i++) {
    if (set->met[i].is_open && set->met[i].candidate == 0) return true;
  }
  return false;
}

void freshet_model_compare_shown(const freshet_model* model, candidates* s) {
  shown_set* set = &s->shown;
  _Alignas(64) float odds[FRESHET_SHOWN_MAX] = {0};
  float top = -INFINITY, sum = 0;
  const float scale = score_scale(model);
  const size_t padded = (set->count + (size_t)FRESHET_LANES - 1) / FRESHET_LANES * FRESHET_LANES;
  if (!is_from_list(set)) return;
  for (uint32_t i = 0; i < set->count; i++) {
    met_shown* met = &set->met[i];
    met->score = s->gradients[met->candidate] + s->log_q[met->candidate];
    odds[i] = scale * met->score + place_log(model, met->place) -
              freshet_model_shown_weight(model, met->gap) * met->passes;
    if (met->is_open && odds[i] > top) top = odds[i];
  }
  for (uint32_t i = 0; i < set->count; i++) odds[i] = set->met[i].is_open ? odds[i] - top : 0;
  model->kernels->exp(odds, padded);
  for (uint32_t i = 0; i < set->count; i++) sum += set->met[i].is_open ? odds[i] : 0;
  for (uint32_t i = 0; i < set->count; i++) {
    met_shown* met = &set->met[i];
    met->pull = met->is_open ? odds[i] / sum - (met->candidate == 0 ? 1 : 0) : 0;
  }
}

/* A weight at its bound does not go on. */
static void add_gradient(freshet_model* model, int weight, float value, float least, float most, float g) {
  if ((value <= least && g > 0) || (value >= most && g < 0)) return;
  model->blend_gradient[weight] += g;
}

void freshet_model_shown_gradient(freshet_model* model, candidates* s) {
  const bool from_list = is_from_list(&s->shown);
  float weights[SHOWN_GAPS] = {0}, places[SHOWN_PLACES + 1] = {0}, scale = 0;
  for (uint32_t i = 0; i < s->shown.count; i++) {
    const met_shown* met = &s->shown.met[i];
    const float pull = from_list ? met->pull : met->is_open ? 0 : s->gradients[met->candidate];
    weights[met->gap] -= pull * met->passes;
    places[met->place] += from_list ? pull : 0;
    scale += from_list ? pull * met->score : 0;
  }
  for (int gap = 0; gap < SHOWN_GAPS; gap++) {
    const float weight = freshet_model_shown_weight(model, gap);
    if (weights[gap] == 0) continue;
    add_gradient(model, SHOWN + gap, weight, 0, weight_most, weights[gap]);
    if (weight > 0) model->blend[SHOWN + gap] = freshet_grid(model->blend[SHOWN + gap] - fall);
  }
  for (int p = 1; p <= SHOWN_PLACES; p++)
    add_gradient(model, SHOWN_PLACE + p - 1, place_log(model, p), -unseen_most, 0, places[p]);
  add_gradient(model, SHOWN_SCALE, score_scale(model), 0, scale_most, scale);
}
