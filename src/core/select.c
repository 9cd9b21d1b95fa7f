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

/* The order of the heap; ties go to the better candidate. */
static bool goes_first(const freshet_variety* a, const freshet_variety* b) {
  return a->value != b->value ? a->value > b->value : a->index < b->index;
}

static void sift_down(freshet_variety* heap, size_t count, size_t at) {
  const freshet_variety moved = heap[at];
  for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
    if (child + 1 < count && goes_first(&heap[child + 1], &heap[child])) child++;
    if (!goes_first(&heap[child], &moved)) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = moved;
}

/* A heap of all candidates. Relevance is the score, scaled to 0 .. 1. */
static void make_heap(const freshet_ranked* candidates, size_t count, float diversity,
                      freshet_variety* heap) {
  float best = candidates[0].score, worst = candidates[0].score;
  for (size_t i = 1; i < count; i++) {
    best = candidates[i].score > best ? candidates[i].score : best;
    worst = candidates[i].score < worst ? candidates[i].score : worst;
  }
  const float range = best - worst;
  for (size_t i = 0; i < count; i++) {
    const float relevance = range > 0 ? (candidates[i].score - worst) / range : 1;
    heap[i] = (freshet_variety){.item = candidates[i].item, .index = (uint32_t)i, .relevance = relevance};
    heap[i].value = (1 - diversity) * relevance;
  }
  heap[0].value = INFINITY; /* the best candidate has the first place */
  for (size_t at = count / 2; at-- > 0;) sift_down(heap, count, at);
}

/* Compares the top of the heap with places until the top has been compared with all. A likeness is expensive, and a
 * value only falls with each: the top is then the best, whatever the others lack. */
static void settle_top(const freshet_model* model, const freshet_ranked* places, size_t place,
                       float diversity, freshet_variety* heap, size_t count) {
  while (heap[0].compared < place) {
    freshet_variety* top = &heap[0];
    const float near =
        freshet_model_text_likeness(model, places[top->compared++].item, top->item) - likeness_by_chance;
    if (near <= 0) continue;
    top->likeness += near;
    top->value = (1 - diversity) * top->relevance - diversity * likeness_scale * top->likeness;
    sift_down(heap, count, 0);
  }
}

/* Moves the candidate that was at `index` to `place`. Those between keep their order. chosen [place]: the former
 * indices of those that have been moved. */
static void move_up(freshet_ranked* candidates, const uint32_t* chosen, uint32_t index, size_t place) {
  size_t at = index;
  for (size_t i = 0; i < place; i++) at += chosen[i] > index;
  const freshet_ranked moved = candidates[at];
  memmove(candidates + place + 1, candidates + place, (at - place) * sizeof *candidates);
  candidates[place] = moved;
}

void freshet_select_diverse(const freshet_model* model, freshet_ranked* candidates, size_t count, size_t k,
                            float diversity, freshet_variety* scratch) {
  uint32_t chosen[FRESHET_DIVERSE_MAX];
  size_t left = count;
  if (count == 0 || diversity <= 0) return;
  make_heap(candidates, count, diversity, scratch);
  for (size_t place = 0; place < k && place < count && place < FRESHET_DIVERSE_MAX; place++) {
    settle_top(model, candidates, place, diversity, scratch, left);
    chosen[place] = scratch[0].index;
    scratch[0] = scratch[--left];
    if (left > 0) sift_down(scratch, left, 0);
    move_up(candidates, chosen, chosen[place], place);
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
