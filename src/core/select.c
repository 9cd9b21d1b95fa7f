/*
 * select.c: makes a list more varied, and gives places to items by chance. It works on the caller's memory,
 * and chance comes from a seed. What a score is made of it must not know.
 */
#include "core/select.h"

#include <math.h>

#include "core/maths.h"

size_t freshet_select_candidates(size_t k, float diversity) {
  size_t wanted = k * FRESHET_CANDIDATES_PER_ITEM;
  if (diversity <= 0) return k;
  if (wanted < FRESHET_CANDIDATES_MIN) wanted = FRESHET_CANDIDATES_MIN;
  size_t most = k > FRESHET_DIVERSE_MAX * FRESHET_CANDIDATES_PER_ITEM
                    ? k
                    : FRESHET_DIVERSE_MAX * FRESHET_CANDIDATES_PER_ITEM;
  return wanted < most ? wanted : most;
}

/* ---- diversity ---- */

static void scale_scores(const freshet_ranked* candidates, size_t count, float* relevance) {
  float best = candidates[0].score, worst = candidates[0].score;
  for (size_t i = 1; i < count; i++) {
    best = candidates[i].score > best ? candidates[i].score : best;
    worst = candidates[i].score < worst ? candidates[i].score : worst;
  }
  float range = best - worst;
  for (size_t i = 0; i < count; i++) relevance[i] = range > 0 ? (candidates[i].score - worst) / range : 1;
}

/* Moves entry `from` to place `to`. The entries between keep their order, so that ties go to the better
 * one. */
static void move_up(freshet_ranked* candidates, float* relevance, float* likeness, size_t from, size_t to) {
  freshet_ranked moved = candidates[from];
  float moved_relevance = relevance[from], moved_likeness = likeness[from];
  for (size_t i = from; i > to; i--) {
    candidates[i] = candidates[i - 1];
    relevance[i] = relevance[i - 1];
    likeness[i] = likeness[i - 1];
  }
  candidates[to] = moved;
  relevance[to] = moved_relevance;
  likeness[to] = moved_likeness;
}

void freshet_select_diverse(const freshet_model* model, freshet_ranked* candidates, size_t count, size_t k,
                            float diversity, float* relevance, float* likeness) {
  if (count == 0 || diversity <= 0) return;
  scale_scores(candidates, count, relevance);
  for (size_t i = 0; i < count; i++) likeness[i] = 0;
  for (size_t place = 1; place < k && place < count && place < FRESHET_DIVERSE_MAX; place++) {
    size_t best = place;
    float best_value = -INFINITY;
    for (size_t i = place; i < count; i++) {
      float near = freshet_model_text_likeness(model, candidates[place - 1].item, candidates[i].item);
      likeness[i] = near > likeness[i] ? near : likeness[i];
      float value = (1 - diversity) * relevance[i] - diversity * likeness[i];
      if (value <= best_value) continue;
      best_value = value;
      best = i;
    }
    move_up(candidates, relevance, likeness, best, place);
  }
}

/* ---- exploration ---- */

static bool has_been_picked(const freshet_pick* picks, size_t count, uint32_t item) {
  for (size_t i = 0; i < count; i++) {
    if (picks[i].item == item) return true;
  }
  return false;
}

/* Takes an item out of the pool. False: it is not there. */
static bool take_out(uint32_t* pool, size_t* pool_count, uint32_t item) {
  for (size_t i = 0; i < *pool_count; i++) {
    if (pool[i] != item) continue;
    pool[i] = pool[--*pool_count];
    return true;
  }
  return false;
}

static float score_of(const freshet_ranked* ranked, size_t count, uint32_t item) {
  for (size_t i = 0; i < count; i++) {
    if (ranked[i].item == item) return ranked[i].score;
  }
  return NAN;
}

size_t freshet_select_explore(const freshet_ranked* ranked, size_t count, uint32_t* pool, size_t pool_count,
                              float share, uint64_t seed, size_t k, freshet_pick* picks) {
  const double unit = 0x1p-53; /* 53 random bits to [0, 1) */
  size_t filled = 0, next = 0;
  for (; filled < k; filled++) {
    while (next < count && has_been_picked(picks, filled, ranked[next].item)) next++;
    bool may_explore = pool_count > 0, may_exploit = next < count;
    if (!may_explore && !may_exploit) break;
    double explores = !may_explore ? 0 : !may_exploit ? 1 : (double)share;
    bool is_explored = (double)(freshet_random(seed, 2 * filled) >> 11) * unit < explores;
    size_t drawn = freshet_below(freshet_random(seed, 2 * filled + 1), pool_count);
    double chance_drawn = may_explore ? explores / (double)pool_count : 0;
    uint32_t item = is_explored ? pool[drawn] : ranked[next].item;
    bool in_pool = take_out(pool, &pool_count, item);
    double chance =
        (in_pool ? chance_drawn : 0) + (may_exploit && ranked[next].item == item ? 1 - explores : 0);
    picks[filled] = (freshet_pick){.item = item,
                                   .score = score_of(ranked, count, item),
                                   .propensity = (float)chance,
                                   .explored = is_explored};
  }
  return filled;
}
