/*
 * select.c: makes a list more varied, and gives places to items by chance. It works on the caller's memory,
 * and chance comes from a seed. What a score is made of it must not know.
 */
#include "core/select.h"

#include <math.h>
#include <string.h>

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

static const float likeness_scale = .5F; /* a diversity of .5 weighs two likenesses like all of relevance */
/* Any two items may share so much. What counts for nothing also lets most candidates be passed over early. */
static const float likeness_by_chance = .2F;

/* Relevance is the score, scaled to 0 .. 1. */
static void begin_variety(const freshet_ranked* candidates, size_t count, float diversity,
                          freshet_variety* varieties) {
  float best = candidates[0].score, worst = candidates[0].score;
  for (size_t i = 1; i < count; i++) {
    best = candidates[i].score > best ? candidates[i].score : best;
    worst = candidates[i].score < worst ? candidates[i].score : worst;
  }
  const float range = best - worst;
  for (size_t i = 0; i < count; i++) {
    const float relevance = (1 - diversity) * (range > 0 ? (candidates[i].score - worst) / range : 1);
    varieties[i] = (freshet_variety){.ranked = candidates[i], .relevance = relevance, .value = relevance};
  }
}

/* Compares a candidate with places until its value is below `least`, or it has been compared with all. A likeness is
 * expensive, and a value only falls with each: so most candidates are never compared with most places. */
static void compare(const freshet_model* model, const uint32_t* chosen, uint32_t places, float diversity,
                    float least, freshet_variety* candidate) {
  while (candidate->compared < places && candidate->value >= least) {
    const float near =
        freshet_model_text_likeness(model, chosen[candidate->compared++], candidate->ranked.item) -
        likeness_by_chance;
    if (near <= 0) continue;
    candidate->likeness += near;
    candidate->value = candidate->relevance - diversity * likeness_scale * candidate->likeness;
  }
}

/* The candidate for the next place; ties go to the first. The one that may become the best is compared first: it leaves
 * little to do for the others. */
static size_t most_valuable(const freshet_model* model, const uint32_t* chosen, uint32_t places,
                            float diversity, freshet_variety* varieties, size_t count) {
  size_t best = 0;
  for (size_t i = 1; i < count; i++) {
    if (varieties[i].value > varieties[best].value) best = i;
  }
  compare(model, chosen, places, diversity, -INFINITY, &varieties[best]);
  for (size_t i = 0; i < count; i++) {
    if (varieties[i].value < varieties[best].value || i == best) continue;
    compare(model, chosen, places, diversity, varieties[best].value, &varieties[i]);
    const float more = varieties[i].value - varieties[best].value;
    if (more > 0 || (more == 0 && i < best)) best = i;
  }
  return best;
}

void freshet_select_diverse(const freshet_model* model, freshet_ranked* candidates, size_t count, size_t k,
                            float diversity, freshet_variety* scratch) {
  uint32_t chosen[FRESHET_DIVERSE_MAX]; /* slots */
  uint32_t places = 0;
  if (count == 0 || k == 0 || diversity <= 0) return;
  begin_variety(candidates, count, diversity, scratch);
  size_t best = 0; /* the best candidate has the first place */
  for (;;) {
    candidates[places] = scratch[best].ranked;
    chosen[places++] = scratch[best].ranked.item;
    scratch[best].value = -INFINITY;
    if (places == k || places == count || places == FRESHET_DIVERSE_MAX) break;
    best = most_valuable(model, chosen, places, diversity, scratch, count);
  }
  for (size_t i = 0, at = places; i < count; i++) { /* the others keep their order */
    if (scratch[i].value > -INFINITY) candidates[at++] = scratch[i].ranked;
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
