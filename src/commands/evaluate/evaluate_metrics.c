/*
 * evaluate_metrics.c: sums of what lists are worth, and places from scores.
 *
 * Owns the definitions of recall, ndcg, mrr, coverage, accuracy and AUC. It must not know contenders.
 */
#include "commands/evaluate/evaluate_metrics.h"

#include <math.h>
#include <stdlib.h>

#include "freshet/status.h"

freshet_metrics freshet_metrics_make(size_t items) {
  freshet_metrics metrics = {.items = items, .covered = calloc(items / 64 + 1, sizeof(uint64_t))};
  FRESHET_ASSERT(metrics.covered != NULL);
  return metrics;
}

void freshet_metrics_free(freshet_metrics* metrics) {
  free(metrics->covered);
  *metrics = (freshet_metrics){0};
}

static double rank_of(const freshet_trial* trial, const float* scores, size_t items) {
  float own = scores[trial->item];
  size_t better = 0, equal = 0;
  if (isnan(own)) return INFINITY;
  for (size_t i = 0; i < items; i++) {
    better += !trial->has[i] && scores[i] > own;
    equal += !trial->has[i] && scores[i] == own;
  }
  return (double)better + (double)(equal - 1) / 2; /* the right item equals itself */
}

freshet_placing freshet_placing_of(const freshet_trial* trial, const float* scores, size_t items) {
  freshet_placing placing = {
      .rank = rank_of(trial, scores, items), .right = scores[trial->item], .wrong = scores[trial->negative]};
  float best[FRESHET_LIST_SIZE];
  size_t count = 0;
  for (size_t i = 0; i < items; i++) {
    float own = scores[i];
    if (trial->has[i] || isnan(own) || (count == FRESHET_LIST_SIZE && own <= best[count - 1])) continue;
    size_t at = count < FRESHET_LIST_SIZE ? count++ : count - 1;
    for (; at > 0 && best[at - 1] < own; at--) {
      best[at] = best[at - 1];
      placing.list[at] = placing.list[at - 1];
    }
    best[at] = own;
    placing.list[at] = (uint32_t)i;
  }
  placing.listed = count;
  return placing;
}

void freshet_place_sums_add(freshet_place_sums* sums, double rank) {
  sums->count++;
  if (!(rank < FRESHET_LIST_SIZE)) return;
  sums->recall += 1;
  sums->ndcg += 1 / log2(rank + 2);
  sums->mrr += 1 / (rank + 1);
}

static void cover(freshet_metrics* metrics, const freshet_placing* placing) {
  for (size_t i = 0; i < placing->listed; i++)
    metrics->covered[placing->list[i] / 64] |= 1ULL << (placing->list[i] % 64);
}

/* The right item against a sampled one: AUC counts which is above, accuracy whether each falls on its side of
 * a threshold that is learned on the way, from earlier events only. */
static void compare(freshet_metrics* metrics, const freshet_placing* placing, bool counted) {
  double right = (double)placing->right, wrong = (double)placing->wrong;
  bool usable = isfinite(right) && isfinite(wrong);
  if (counted && usable) {
    metrics->auc += right > wrong ? 1 : right == wrong ? .5 : 0;
    metrics->accuracy += .5 * (right > metrics->threshold) + .5 * (wrong <= metrics->threshold);
  }
  if (!usable) return;
  size_t memory = ++metrics->threshold_count < 1000 ? metrics->threshold_count : 1000;
  metrics->threshold += ((right + wrong) / 2 - metrics->threshold) / (double)memory;
}

void freshet_metrics_add(freshet_metrics* metrics, const freshet_trial* trial,
                         const freshet_placing* placing) {
  size_t window = (size_t)(trial->time_share * FRESHET_WINDOWS);
  freshet_place_sums_add(&metrics->windows[window < FRESHET_WINDOWS ? window : FRESHET_WINDOWS - 1],
                         placing->rank);
  compare(metrics, placing, trial->counted);
  if (!trial->counted) return;
  freshet_place_sums_add(&metrics->all, placing->rank);
  if (trial->cold_user) freshet_place_sums_add(&metrics->cold_users, placing->rank);
  if (trial->cold_item) freshet_place_sums_add(&metrics->cold_items, placing->rank);
  cover(metrics, placing);
}

double freshet_metrics_coverage(const freshet_metrics* metrics) {
  size_t covered = 0;
  for (size_t i = 0; i <= metrics->items / 64; i++)
    covered += (size_t)__builtin_popcountll(metrics->covered[i]);
  return metrics->items == 0 ? 0 : (double)covered / (double)metrics->items;
}
