/*
 * model_habits.c: what a user chooses again: the part of a score that belongs to a pair of user and item.
 *
 * A habit counts how often the user chose the item, and when. Its score is a sum of learned weights, one for the
 * bucket of each of its traits, and of a slope for the item's own habit: milk comes again, a cake stand does not.
 * The weights follow the gradient of the softmax, like all blend weights; some of the user's own items are
 * candidates of each step for that. While nobody chooses anything again, all of it is 0 and costs nothing.
 * It owns habits, and the counts of repeats. It must not know lists or rankers.
 */
#include <stdlib.h>
#include <string.h>

#include "core/model_internal.h"

static const uint32_t visit_gap_s = 600;
static const float prior_events = 10; /* of an item's share of repeats */
static const float prior_spans = 3;   /* of an item's mean time between two choices */
static const float score_most = 15;

/* ---- spans ---- */

enum { CODES_PER_DOUBLE = 8, CODE_MAX = 255, EIGHTHS = 3 };

uint32_t freshet_model_span_code(uint64_t span_s) {
  const uint64_t x = (span_s < UINT32_MAX ? span_s : UINT32_MAX) + 1;
  const uint32_t top = 63 - (uint32_t)__builtin_clzll(x);
  const uint32_t code = top * CODES_PER_DOUBLE + (uint32_t)((x << EIGHTHS >> top) & (CODES_PER_DOUBLE - 1));
  return code < CODE_MAX ? code : CODE_MAX;
}

/* ---- the habits of a user ---- */

bool freshet_model_repeats(const freshet_model* model) {
  enum { LEAST = 20 }; /* one double click more or less proves nothing */
  return model->total_repeats * 100 > model->total_watched + 100LL * LEAST * WEIGHT_UNITS;
}

freshet_habit* freshet_user_find_habit(const freshet_user* user, uint32_t slot) {
  for (uint32_t i = 0; i < user->habit_count; i++) {
    if (user->habits[i].item == slot) return &user->habits[i];
  }
  return NULL;
}

/* The habit that says least: of those with the lowest count the oldest. */
static freshet_habit* least_habit(const freshet_user* user) {
  freshet_habit* least = &user->habits[0];
  for (uint32_t i = 1; i < user->habit_count; i++) {
    freshet_habit* h = &user->habits[i];
    if (h->count < least->count || (h->count == least->count && h->last_s < least->last_s)) least = h;
  }
  return least;
}

freshet_habit* freshet_user_add_habit(freshet_user* user, uint32_t most) {
  if (user->habit_count >= most) return least_habit(user);
  if (user->habit_count == user->habit_capacity) {
    user->habit_capacity = user->habit_capacity == 0 ? 4 : user->habit_capacity * 2;
    user->habits = realloc(user->habits, user->habit_capacity * sizeof *user->habits);
    FRESHET_ASSERT(user->habits != NULL);
  }
  return &user->habits[user->habit_count++];
}

void freshet_user_restore_habit(freshet_user* user, const freshet_habit* habit) {
  if (user->habit_count == FRESHET_HABITS_MAX || freshet_user_find_habit(user, habit->item) != NULL) return;
  *freshet_user_add_habit(user, FRESHET_HABITS_MAX) = *habit;
}

void freshet_user_drop_habit(freshet_user* user, uint32_t slot) {
  freshet_habit* h = freshet_user_find_habit(user, slot);
  if (h == NULL) return;
  user->habit_count--;
  memmove(h, h + 1, (size_t)(user->habits + user->habit_count - h) * sizeof *h);
}

static uint32_t hour_part(uint32_t time_s) {
  return time_s / (24 * 3600 / FRESHET_DAY_PARTS) % FRESHET_DAY_PARTS;
}

static void count_hour(freshet_habit* h, uint32_t now_s) {
  uint8_t* part = &h->day[hour_part(now_s)];
  if (++*part < UINT8_MAX) return;
  for (int i = 0; i < FRESHET_DAY_PARTS; i++) h->day[i] /= 2;
}

/* The mean span: of all at first, later the newest counts a quarter. In 1/256 of a code. */
static void count_span(freshet_habit* h, uint32_t span_s) {
  enum { FRACTION = 256, GAPS_MEAN = 4 };
  const int32_t now = (int32_t)freshet_model_span_code(span_s) * FRACTION;
  if (h->gaps < UINT8_MAX) h->gaps++;
  const int32_t parts = h->gaps < GAPS_MEAN ? h->gaps : GAPS_MEAN;
  h->span = (uint16_t)((int32_t)h->span + (now - (int32_t)h->span) / parts);
}

bool freshet_model_chooses_again(const freshet_user* user, uint32_t slot, int64_t time_ms, uint8_t* code) {
  const freshet_habit* h = freshet_user_find_habit(user, slot);
  if (h != NULL)
    *code = (uint8_t)freshet_model_span_code(freshet_span_between(h->last_s, freshet_seconds_of(time_ms)));
  return h != NULL;
}

/* The newest item of the history, by which sequences are told. 0: there is none. */
static uint32_t newest_of(const freshet_model* model, const freshet_user* user) {
  return user->recent_count == 0 ? 0 : (uint32_t)model->items[user->recent[0].item].key;
}

static bool is_new_visit(const freshet_user* user, uint32_t now_s) {
  if (user->recent_count == 0) return true;
  return freshet_span_between(freshet_seconds_of(user->recent[0].time_ms), now_s) > visit_gap_s;
}

void freshet_user_count_visit(freshet_user* user, int64_t time_ms) {
  if (is_new_visit(user, freshet_seconds_of(time_ms)) && user->visits < UINT32_MAX) user->visits++;
}

void freshet_model_count_habit(const freshet_model* model, freshet_user* user, uint32_t slot,
                               int64_t time_ms) {
  const uint32_t now_s = freshet_seconds_of(time_ms), before = newest_of(model, user);
  freshet_habit* h = freshet_user_find_habit(user, slot);
  if (h == NULL) {
    h = freshet_user_add_habit(user, freshet_model_repeats(model) ? FRESHET_HABITS_MAX : FRESHET_HABITS_FEW);
    *h = (freshet_habit){.item = slot, .last_s = now_s, .first_visit = user->visits};
  }
  const uint32_t span_s = freshet_span_between(h->last_s, now_s);
  if (h->count > 0 && span_s > visit_gap_s) count_span(h, span_s);
  if (now_s > h->last_s) h->last_s = now_s;
  if (h->count < UINT16_MAX) h->count++;
  h->last_choice = user->positives;
  if (before != (uint32_t)model->items[slot].key) h->before = before;
  count_hour(h, now_s);
}

void freshet_user_habits_of_history(freshet_user* user) {
  for (uint32_t k = user->recent_count; k-- > 0;) {
    const freshet_interaction* past = &user->recent[k];
    const uint32_t last_s = freshet_seconds_of(past->time_ms);
    freshet_habit habit = {.item = past->item, .last_s = last_s, .first_visit = user->visits, .count = 1};
    if (past->weight < 0) continue;
    habit.last_choice = user->positives > k ? user->positives - k - 1 : 0;
    habit.day[hour_part(last_s)] = 1;
    freshet_user_restore_habit(user, &habit);
  }
}

/* ---- the counts of an item ---- */

void freshet_model_repeat_add(freshet_model* model, uint32_t slot, uint32_t units, uint32_t code) {
  item* it = &model->items[slot];
  it->repeats = it->repeats > UINT32_MAX - units ? UINT32_MAX : it->repeats + units;
  it->repeat_spans += (uint64_t)units * code;
}

/* ---- the traits of a habit ---- */

/* What is the same for all habits of a query. */
typedef struct occasion {
  const freshet_model* model;
  const freshet_user* user;
  uint32_t now_s;
  uint32_t visits; /* this one included */
  uint32_t newest;
  float span;  /* mean code over all items */
  float share; /* of choices that are repeats */
} occasion;

static occasion occasion_of(const freshet_model* model, const freshet_user* user, int64_t now_ms) {
  const double repeats = (double)model->total_repeats, choices = (double)model->total_watched;
  const uint32_t now_s = freshet_seconds_of(now_ms);
  return (occasion){.model = model,
                    .user = user,
                    .now_s = now_s,
                    .visits = user->visits + is_new_visit(user, now_s),
                    .newest = newest_of(model, user),
                    .span = repeats > 0 ? (float)((double)model->total_repeat_spans / repeats) : 0,
                    .share = (float)((repeats + WEIGHT_UNITS) / (choices + 2 * WEIGHT_UNITS))};
}

/* Starts rise. It has no branch for each of them, because that branch would be predicted badly. */
static inline uint32_t bucket_in(uint32_t x, const uint32_t* starts, uint32_t count) {
  uint32_t b = 0;
  for (uint32_t i = 1; i < count; i++) b += x >= starts[i];
  return b;
}

/* The code of the span after which the user may choose the item again: the user's own mean, with one span of the
 * item's mean. */
static float expected_span(const occasion* o, const freshet_habit* h) {
  const item* it = &o->model->items[h->item];
  const float units = 1.0F / WEIGHT_UNITS;
  const float spans = (float)it->repeat_spans * units + prior_spans * o->span;
  const float of_item = spans / ((float)it->repeats * units + prior_spans);
  return ((float)h->gaps * (float)h->span * (1.0F / 256) + of_item) / ((float)h->gaps + 1);
}

/* How much this time of the day is the habit's own: the share of its choices in this part and, by half, in the
 * parts beside it. */
static uint32_t hour_bucket(const occasion* o, const freshet_habit* h) {
  enum { EVEN = 2, STEPS = 4 }; /* choices that are the same at all hours take 2 of 8 parts */
  const uint32_t part = hour_part(o->now_s), last = FRESHET_DAY_PARTS - 1;
  uint32_t all = 0;
  for (int i = 0; i < FRESHET_DAY_PARTS; i++) all += h->day[i];
  const uint32_t here =
      2U * h->day[part] + h->day[(part + 1) % FRESHET_DAY_PARTS] + h->day[(part + last) % FRESHET_DAY_PARTS];
  const uint32_t most = all < 2 ? 0 : all < 5 ? 1 : 2;
  const uint32_t ratio = all == 0 ? STEPS : here * FRESHET_DAY_PARTS * STEPS / (2 * EVEN * all);
  static const uint32_t ratios[AGAIN_HOURS / 3] = {0, 1, 3, 5, 8, 12};
  return most * (AGAIN_HOURS / 3) + bucket_in(ratio, ratios, AGAIN_HOURS / 3);
}

/* The traits, with how much more often than others the item is chosen again in place of its log. */
static habit_traits raw_traits_of(const occasion* o, const freshet_habit* h) {
  static const uint32_t counts[AGAIN_COUNTS] = {0, 2, 3, 4, 5, 7, 10, 15, 25, 50};
  static const uint32_t sinces[AGAIN_SINCES] = {0, 1, 2, 3, 5, 8, 12, 20, 35, 60, 100, 200};
  static const uint32_t shares[AGAIN_SHARES] = {0, 2, 4, 7, 12, 20, 30, 45, 65, 90}; /* hundredths */
  enum { GAP_CODES = 8, RATIO_CODES = 4, RATIO_ONE = AGAIN_RATIOS / 2 + 2 };
  const item* it = &o->model->items[h->item];
  const uint32_t code = freshet_model_span_code(freshet_span_between(h->last_s, o->now_s));
  const uint32_t gap = code / GAP_CODES < AGAIN_GAPS ? code / GAP_CODES : AGAIN_GAPS - 1;
  const float ratio = ((float)code - expected_span(o, h)) / RATIO_CODES + RATIO_ONE;
  const uint32_t due = ratio <= 0 ? 0 : ratio >= AGAIN_RATIOS - 1 ? AGAIN_RATIOS - 1 : (uint32_t)ratio;
  const uint32_t visits = o->visits > h->first_visit ? o->visits - h->first_visit : 1;
  const uint32_t share = h->count >= visits ? 100 : h->count * 100 / visits;
  const uint32_t choices = o->user->positives > h->last_choice ? o->user->positives - h->last_choice - 1 : 0;
  const uint32_t after = h->before == 0 ? 0 : h->before == o->newest ? 2 : 1;
  const float repeats = (float)it->repeats / WEIGHT_UNITS,
              count = (float)o->model->counts[h->item] / WEIGHT_UNITS;
  const float own = (repeats + prior_events * o->share) / (count + prior_events);
  return (habit_traits){.weights = {AGAIN_COUNT + bucket_in(h->count, counts, AGAIN_COUNTS), AGAIN_GAP + gap,
                                    AGAIN_RATIO + due, AGAIN_SINCE + bucket_in(choices, sinces, AGAIN_SINCES),
                                    AGAIN_SHARE + bucket_in(share, shares, AGAIN_SHARES), AGAIN_AFTER + after,
                                    AGAIN_HOUR + hour_bucket(o, h)},
                        .habit = own / o->share};
}

/* traits [count], at most FRESHET_HABITS_MAX. A logarithm takes as long as sixteen together. */
static void traits_of(const occasion* o, const freshet_habit* habits, uint32_t count, habit_traits* traits) {
  _Alignas(64) float logs[FRESHET_HABITS_MAX];
  _Static_assert((int)FRESHET_HABITS_MAX % (int)FRESHET_LANES == 0, "whole vectors of the kernel");
  const uint32_t padded = (count + FRESHET_LANES - 1) / FRESHET_LANES * FRESHET_LANES;
  for (uint32_t i = 0; i < count; i++) {
    traits[i] = raw_traits_of(o, &habits[i]);
    logs[i] = traits[i].habit;
  }
  for (uint32_t i = count; i < padded; i++) logs[i] = 1;
  o->model->kernels->log(logs, padded);
  for (uint32_t i = 0; i < count; i++) traits[i].habit = logs[i];
}

static float score_of(const freshet_model* model, const habit_traits* traits) {
  double sum = model->blend[AGAIN_HABIT] * (double)traits->habit;
  for (int i = 0; i < AGAIN_TRAITS; i++) sum += model->blend[traits->weights[i]];
  return (float)freshet_clamp(sum, (double)-score_most, (double)score_most);
}

void freshet_model_habit_scores(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                                float* scores) {
  const occasion o = occasion_of(model, user, now_ms);
  habit_traits traits[FRESHET_HABITS_MAX];
  traits_of(&o, user->habits, user->habit_count, traits);
  for (uint32_t i = 0; i < user->habit_count; i++) scores[i] = score_of(model, &traits[i]);
}

void freshet_model_prefetch_habits(const freshet_model* model, const freshet_user* user) {
  if (!freshet_model_repeats(model)) return;
  for (uint32_t i = 0; i < user->habit_count; i++)
    __builtin_prefetch(&model->items[user->habits[i].item].repeats);
}

float freshet_model_habit_part(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                               uint32_t slot, uint32_t* every_s) {
  const freshet_habit* h = freshet_user_find_habit(user, slot);
  *every_s = 0;
  if (h == NULL || !freshet_model_repeats(model)) return 0;
  const occasion o = occasion_of(model, user, now_ms);
  habit_traits traits;
  traits_of(&o, h, 1, &traits);
  const uint32_t code = h->span / 256, top = code / CODES_PER_DOUBLE;
  if (h->gaps >= 2)
    *every_s = (uint32_t)(((uint64_t)(CODES_PER_DOUBLE + code % CODES_PER_DOUBLE) << top) >> EIGHTHS);
  return score_of(model, &traits);
}

/* ---- a step of learning ---- */

uint32_t freshet_model_draw_habits(const freshet_model* model, const freshet_user* user,
                                   uint32_t slots[FRESHET_HABIT_DRAWS]) {
  const uint32_t count = user->habit_count, room = NEGATIVES_MAX + 4 - model->config.negatives;
  const uint32_t most = room < FRESHET_HABIT_DRAWS ? room : FRESHET_HABIT_DRAWS;
  const uint64_t seed = freshet_random(~model->config.seed, model->events);
  if (!freshet_model_repeats(model)) return 0;
  for (uint32_t i = 0; i < most && i < count; i++) {
    const uint32_t drawn = count <= most ? i : (uint32_t)freshet_below(freshet_random(seed, i), count);
    slots[i] = user->habits[drawn].item;
  }
  return count < most ? count : most;
}

void freshet_model_meet_habits(freshet_model* model, const freshet_user* user, int64_t now_ms, uint32_t draws,
                               candidates* s) {
  s->habit_count = 0;
  if (draws == 0) return;
  const occasion o = occasion_of(model, user, now_ms);
  const float chance = (float)model->count * (float)draws / ((float)user->habit_count * (float)s->negatives);
  for (uint32_t i = 0; i < user->habit_count; i++) {
    const uint32_t mark = model->marks.of[user->habits[i].item];
    if (mark == 0) continue;
    habit_traits traits;
    traits_of(&o, &user->habits[i], 1, &traits);
    s->chances[mark - 1] += chance;
    s->habits[s->habit_count++] = (met_habit){mark - 1, score_of(model, &traits), traits};
  }
}

void freshet_model_apply_habits(candidates* s) {
  for (uint32_t i = 0; i < s->habit_count; i++) s->starts[s->habits[i].candidate] += s->habits[i].score;
}

void freshet_model_habit_gradient(freshet_model* model, const candidates* s) {
  for (uint32_t i = 0; i < s->habit_count; i++) {
    const met_habit* met = &s->habits[i];
    const float g = s->gradients[met->candidate];
    if (met->score >= score_most || met->score <= -score_most) continue; /* it would not move */
    for (int t = 0; t < AGAIN_TRAITS; t++) model->blend_gradient[met->traits.weights[t]] += g;
    model->blend_gradient[AGAIN_HABIT] += g * met->traits.habit;
  }
}

void freshet_model_init_habits(freshet_model* model) {
  static const double counts[AGAIN_COUNTS] = {0, .7, 1.1, 1.4, 1.7, 2, 2.3, 2.7, 3.2, 3.7};
  for (int i = AGAIN; i < AGAIN_END; i++) model->blend_rates[i] = .02F;
  for (int i = 0; i < AGAIN_COUNTS; i++) model->blend[AGAIN_COUNT + i] = freshet_grid(counts[i]);
  for (int i = 0; i < AGAIN_GAP_SOON; i++) model->blend[AGAIN_GAP + i] = -2;
  model->blend[AGAIN_HABIT] = 1;
}
