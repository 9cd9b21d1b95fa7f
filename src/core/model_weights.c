/*
 * model_weights.c: what the model has learned to weigh, as a list for people: events, parts of a score, recent items,
 * dislikes and habits. It owns the names. It only reads.
 */
#include "core/model_doubt.h"
#include "core/model_favour.h"
#include "core/model_internal.h"

typedef struct weights {
  freshet_weight* out; /* [FRESHET_WEIGHTS_MAX] */
  size_t count;
} weights;

static void add(weights* w, const char* part, const char* of, double weight) {
  FRESHET_ASSERT(w->count < FRESHET_WEIGHTS_MAX);
  w->out[w->count++] = (freshet_weight){part, of, weight};
}

static void add_event(weights* w, const freshet_model* model, const char* part, const char* of,
                      freshet_event event, freshet_event bare) {
  const float weight = freshet_model_worth_of(model, freshet_signal_of(&event));
  add(w, part, of, (double)(weight / freshet_model_worth_of(model, freshet_signal_of(&bare))));
}

static void add_types(weights* w, const freshet_model* model) {
  const freshet_event click = {.type = FRESHET_CLICK};
  add_event(w, model, "event", "click", click, click);
  add_event(w, model, "event", "rating", (freshet_event){.type = FRESHET_RATING}, click);
  add_event(w, model, "event", "purchase", (freshet_event){.type = FRESHET_PURCHASE}, click);
}

static void add_numbers(weights* w, const freshet_model* model) {
  static const struct {
    const char* of;
    float s;
  } looks[] = {{"1", 1}, {"3", 3}, {"10", 10}, {"30", 30}, {"120", 120}, {"600", 600}};
  static const struct {
    const char* of;
    int32_t pieces;
  } quantities[] = {{"1", 1}, {"2", 2}, {"4", 4}, {"10", 10}, {"50", 50}};
  static const struct {
    const char* of;
    double times;
  } prices[] = {{"0.1", .1}, {"0.3", .3}, {"1", 1}, {"3", 3}, {"10", 10}};
  const freshet_event click = {.type = FRESHET_CLICK}, purchase = {.type = FRESHET_PURCHASE};
  const double usual = freshet_model_usual_price(model);
  freshet_event event = click;
  for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
    event.dwell_s = looks[i].s;
    add_event(w, model, "dwell_s", looks[i].of, event, click);
  }
  event = purchase;
  for (size_t i = 0; i < sizeof quantities / sizeof *quantities; i++) {
    event.quantity = quantities[i].pieces;
    add_event(w, model, "quantity", quantities[i].of, event, purchase);
  }
  event = purchase;
  for (size_t i = 0; usual > 0 && i < sizeof prices / sizeof *prices; i++) {
    event.price = usual * prices[i].times;
    add_event(w, model, "price", prices[i].of, event, purchase);
  }
}

static void add_score(weights* w, const freshet_model* model) {
  static const char* const names[FEATURES] = {[FOLLOWS] = "follows a recent item",
                                              [TOGETHER_NOW] = "chosen together with an item of this session",
                                              [TOGETHER_BEFORE] = "chosen together with an earlier item",
                                              [SIMILAR_TEXT] = "text like that of a recent item",
                                              [POPULAR] = "popular in the last 300 events",
                                              [POPULAR + 1] = "popular in the last 3,000 events",
                                              [POPULAR + 2] = "popular in the last 30,000 events",
                                              [TASTE] = "taste"};
  for (int level = 0; level < USER_LEVELS; level += USER_LEVELS - 1) {
    double thetas[FEATURES];
    for (int f = 0; f < FEATURES; f++)
      thetas[f] = model->blend[TH + f] + model->blend[TB + level * FEATURES + f];
    freshet_model_bound_thetas(thetas);
    for (int f = 0; f < FEATURES; f++)
      add(w, level == 0 ? "score of a new user" : "score of a known user", names[f], thetas[f]);
  }
}

/* Of what the items of a session agree on, by how many there are. */
static void add_agreed(weights* w, const freshet_model* model) {
  static const char* const sizes[] = {"2 items", "3 to 4 items", "5 to 9 items", "10 to 19 items",
                                      "20 items"};
  enum { FIRST_STAGE = 2 }; /* S of a session of 2 items: see stage_of in model_score.c */
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    add(w, "score for what a session agrees on", sizes[i], model->blend[AGREED_STAGE + FIRST_STAGE + i]);
}

/* How much counts of items that were chosen together are doubted. */
static void add_doubt(weights* w, const freshet_model* model) {
  add(w, "doubt that items go together", "came together seldom", (double)freshet_model_doubt(model));
  add(w, "doubt that items go together", "as often as by chance", (double)freshet_model_chance(model));
}

/* Of what is chosen often, among what goes with earlier items: 0 as by cosines, 1 as by counts times a root. */
static void add_favour(weights* w, const freshet_model* model) {
  add(w, "chosen together with an earlier item", "favours what is chosen often",
      (double)freshet_model_favour(model));
}

/* Of the item at place k of the context, as times that of the newest. */
static void add_context(weights* w, const freshet_model* model) {
  static const struct {
    const char* of;
    int k;
  } places[] = {{"newest", 0}, {"2nd", 1}, {"5th", 4}, {"10th", 9}, {"20th", 19}};
  static const char* const gaps[GAP_BUCKETS] = {
      "under 1 s", "under 1 min", "under 30 min", "under 1 day", "under 7 days", "under 30 days", "longer"};
  _Alignas(64) float exps[2 * FRESHET_LANES] = {0};
  for (int k = 0; k < FRESHET_HISTORY; k++) exps[k] = (float)(model->blend[LP + k] - model->blend[LP]);
  model->kernels->exp(exps, 2 * FRESHET_LANES);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    add(w, "recent item, by place", places[i].of,
        (double)(exps[places[i].k] * model->context_decay[places[i].k]));
  _Alignas(64) float by_gap[FRESHET_LANES] = {0};
  for (int b = 0; b < GAP_BUCKETS; b++) by_gap[b] = (float)model->blend[LG + b];
  model->kernels->exp(by_gap, FRESHET_LANES);
  for (int b = 0; b < GAP_BUCKETS; b++) add(w, "recent item, by time since then", gaps[b], (double)by_gap[b]);
}

/* What it takes that an item was shown and not chosen, and how far each place of a list is looked at. Left out while
 * nothing has been learned of it. */
static void add_shown(weights* w, const freshet_model* model) {
  static const char* const gaps[SHOWN_GAPS] = {"under 10 min", "under 1 day", "under 7 days", "longer"};
  static const char* const places[SHOWN_PLACES + 1] = {
      "1", "2", "3", "4 to 5", "6 to 10", "11 to 20", "21 to 50", "after 50", "not known"};
  float examined[SHOWN_PLACES + 1];
  double learned = 0;
  for (int i = SHOWN; i < SHOWN_END; i++) learned += model->blend[i] * model->blend[i];
  if (learned == 0) return;
  for (int gap = 0; gap < SHOWN_GAPS; gap++)
    add(w, "shown without a choice, by time since then", gaps[gap],
        (double)freshet_model_shown_weight(model, gap));
  freshet_model_shown_examined(model, examined);
  for (int p = 0; p <= SHOWN_PLACES; p++)
    add(w, "looked at, by place of a list", places[p], (double)examined[p]);
}

size_t freshet_model_weights(const freshet_model* model, freshet_weight out[FRESHET_WEIGHTS_MAX]) {
  weights w = {.out = out};
  add_types(&w, model);
  add_numbers(&w, model);
  add_score(&w, model);
  add_agreed(&w, model);
  add_doubt(&w, model);
  add_favour(&w, model);
  add_context(&w, model);
  if (model->total_dislikes > 0) {
    add(&w, "dislike", "how rarely others dislike the item",
        (double)freshet_model_like_weight(model, LIKE_ODDS));
    add(&w, "dislike", "like an item that the user disliked, lowers",
        (double)freshet_model_like_weight(model, LIKE_DISLIKED));
  }
  add_shown(&w, model);
  if (freshet_model_repeats(model))
    add(&w, "habit", "how often others choose the item again", model->blend[AGAIN_HABIT]);
  return w.count;
}
