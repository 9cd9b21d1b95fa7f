/*
 * select.h: from ranked candidates to the list that is shown: diversity and exploration.
 *
 * Pure: chance comes in as a seed, so the same request gets the same list. Thread rule: as for the const
 * calls of a model; every caller brings its own memory.
 */
#ifndef FRESHET_CORE_SELECT_H
#define FRESHET_CORE_SELECT_H

#include "freshet/model.h"

enum {
  FRESHET_DIVERSE_MAX = 100,      /* places that are chosen for variety; later places follow by score */
  FRESHET_CANDIDATES_MIN = 64,    /* from which a varied list is chosen, ... */
  FRESHET_CANDIDATES_PER_ITEM = 4 /* ... or that many times its length, whichever is more */
};

/* One place of a list. */
typedef struct freshet_pick {
  uint32_t item; /* slot */
  float score;
  float propensity; /* the chance that this item had for this place, given the places before it; 1: certain */
  bool explored;    /* drawn from the pool */
} freshet_pick;

/* Scratch of a candidate. */
typedef struct freshet_variety {
  freshet_ranked ranked;
  float relevance, value; /* value: at most so much; -INFINITY: it has a place */
  float likeness;         /* the sum of those to the places that it was compared with: */
  uint32_t compared;      /* to the first so many */
} freshet_variety;

/* How many candidates a list of k is chosen from. */
size_t freshet_select_candidates(size_t k, float diversity);

/*
 * Marginal relevance as by Carbonell and Goldstein (1998), with a sum for their maximum: fills the places one by one,
 * each with the candidate that maximises (1 - diversity) * relevance - diversity / 2 * (the sum of its likenesses to
 * those before). So it is the mean likeness of a list that is traded for relevance. Relevance is the score, scaled to
 * 0 .. 1 over the candidates; likeness is the cosine of the text vectors beyond .2, which any two items may have; 0 where
 * there is no text. candidates [count], best first, are put into that order. Costs at most
 * FRESHET_DIVERSE_MAX * count likenesses. Allocates nothing: scratch [count].
 */
void freshet_select_diverse(const freshet_model* model, freshet_ranked* candidates, size_t count, size_t k,
                            float diversity, freshet_variety* scratch);

/*
 * Exploration: each place goes, with probability `share`, to an item drawn evenly from the rest of the pool,
 * and otherwise to the next of ranked [count]. No item comes twice. The propensity of an item is the
 * probability that it comes to its place, by either way, given the places before. picks [k]; an explored item
 * that is not in `ranked` has score NaN, which the caller fills in. pool [pool_count] has no duplicates and
 * is reordered. Returns how many places were filled.
 */
size_t freshet_select_explore(const freshet_ranked* ranked, size_t count, uint32_t* pool, size_t pool_count,
                              float share, uint64_t seed, size_t k, freshet_pick* picks);

#endif
