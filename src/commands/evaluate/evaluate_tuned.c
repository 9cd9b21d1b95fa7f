/*
 * evaluate_tuned.c: a method whose setting is chosen on the first part of the events.
 *
 * Owns the contenders, one for each setting. All of them learn and are asked until trials count. From then on
 * only the setting with the largest sum of ndcg is kept. It must not know any method.
 */
#include <math.h>
#include <stdlib.h>

#include "commands/evaluate/evaluate_baselines.h"

typedef struct tuned {
  freshet_contender contender;
  const freshet_method* method;
  size_t items;
  freshet_contender** settings; /* [count]; NULL: it has lost */
  double* gains;                /* [count] sums of ndcg */
  size_t count, best;
  bool is_chosen;
  float* scores; /* [items] */
} tuned;

static void drop_losers(tuned* own) {
  for (size_t i = 0; i < own->count; i++) {
    if (i == own->best) continue;
    own->settings[i]->destroy(own->settings[i]);
    own->settings[i] = NULL;
  }
  own->is_chosen = true;
}

static void tuned_score(freshet_contender* self, const freshet_history_event* event, float* scores) {
  tuned* own = (tuned*)self;
  own->settings[own->best]->score(own->settings[own->best], event, scores);
}

static void tuned_learn(freshet_contender* self, const freshet_history_event* event) {
  tuned* own = (tuned*)self;
  for (size_t i = 0; i < own->count; i++) {
    if (own->settings[i] != NULL) own->settings[i]->learn(own->settings[i], event);
  }
}

static bool tuned_place(freshet_contender* self, const freshet_history_event* event,
                        const freshet_trial* trial, freshet_placing* placing) {
  tuned* own = (tuned*)self;
  if (trial->counted && !own->is_chosen) drop_losers(own);
  if (own->is_chosen) return false;
  const size_t best = own->best; /* by earlier events */
  for (size_t i = 0; i < own->count; i++) {
    own->settings[i]->score(own->settings[i], event, own->scores);
    freshet_placing found = freshet_placing_of(trial, own->scores, own->items);
    if (event->positive && found.rank < FRESHET_LIST_SIZE) own->gains[i] += 1 / log2(found.rank + 2);
    if (i == best) *placing = found;
  }
  for (size_t i = 0; i < own->count; i++) {
    if (own->gains[i] > own->gains[own->best]) own->best = i;
  }
  return true;
}

static void tuned_describe(const freshet_contender* self, char text[FRESHET_SETTING_SIZE]) {
  const tuned* own = (const tuned*)self;
  own->method->describe(own->best, text);
}

static void tuned_destroy(freshet_contender* self) {
  tuned* own = (tuned*)self;
  for (size_t i = 0; i < own->count; i++) {
    if (own->settings[i] != NULL) own->settings[i]->destroy(own->settings[i]);
  }
  free(own->settings);
  free(own->gains);
  free(own->scores);
  free(own);
}

freshet_contender* freshet_tuned_create(const freshet_method* method, const freshet_history* history,
                                        uint64_t seed) {
  tuned* own = freshet_baseline_array(1, sizeof *own);
  own->contender =
      (freshet_contender){method->name, tuned_score, tuned_learn, tuned_destroy, tuned_place, tuned_describe};
  own->method = method;
  own->items = history->item_count;
  own->count = method->settings;
  own->settings = freshet_baseline_array(own->count, sizeof(freshet_contender*));
  own->gains = freshet_baseline_array(own->count, sizeof *own->gains);
  own->scores = freshet_baseline_array(own->items, sizeof *own->scores);
  for (size_t i = 0; i < own->count; i++) own->settings[i] = method->create(history, i, seed);
  return &own->contender;
}
