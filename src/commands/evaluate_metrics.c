#include "commands/evaluate_metrics.h"

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

static double rank_of(const freshet_metrics* metrics, const freshet_trial* trial) {
  float own = trial->scores[trial->item];
  size_t better = 0, equal = 0;
  if (isnan(own)) return INFINITY;
  for (size_t i = 0; i < metrics->items; i++) {
    better += !trial->has[i] && trial->scores[i] > own;
    equal += !trial->has[i] && trial->scores[i] == own;
  }
  return (double)better + (double)(equal - 1) / 2; /* the right item equals itself */
}

static void add_place(freshet_place_sums* sums, double rank) {
  sums->count++;
  if (rank >= FRESHET_LIST_SIZE) return;
  sums->recall += 1;
  sums->ndcg += 1 / log2(rank + 2);
  sums->mrr += 1 / (rank + 1);
}

/* Marks the best items, which a user would have been shown. */
static void cover(freshet_metrics* metrics, const freshet_trial* trial) {
  float scores[FRESHET_LIST_SIZE];
  size_t items[FRESHET_LIST_SIZE], count = 0;
  for (size_t i = 0; i < metrics->items; i++) {
    float own = trial->scores[i];
    if (trial->has[i] || isnan(own) || (count == FRESHET_LIST_SIZE && own <= scores[count - 1])) continue;
    size_t at = count < FRESHET_LIST_SIZE ? count++ : count - 1;
    for (; at > 0 && scores[at - 1] < own; at--) {
      scores[at] = scores[at - 1];
      items[at] = items[at - 1];
    }
    scores[at] = own;
    items[at] = i;
  }
  for (size_t i = 0; i < count; i++) metrics->covered[items[i] / 64] |= 1ULL << (items[i] % 64);
}

/* The right item against a sampled one: AUC counts which is above, accuracy whether each falls on its side of
 * a threshold that is learned on the way, from earlier events only. */
static void compare(freshet_metrics* metrics, const freshet_trial* trial) {
  double right = (double)trial->scores[trial->item], wrong = (double)trial->scores[trial->negative];
  bool usable = isfinite(right) && isfinite(wrong);
  if (trial->counted && usable) {
    metrics->auc += right > wrong ? 1 : right == wrong ? .5 : 0;
    metrics->accuracy += .5 * (right > metrics->threshold) + .5 * (wrong <= metrics->threshold);
  }
  if (!usable) return;
  size_t memory = ++metrics->threshold_count < 1000 ? metrics->threshold_count : 1000;
  metrics->threshold += ((right + wrong) / 2 - metrics->threshold) / (double)memory;
}

void freshet_metrics_add(freshet_metrics* metrics, const freshet_trial* trial) {
  double rank = rank_of(metrics, trial);
  size_t window = (size_t)(trial->time_share * FRESHET_WINDOWS);
  add_place(&metrics->windows[window < FRESHET_WINDOWS ? window : FRESHET_WINDOWS - 1], rank);
  compare(metrics, trial);
  if (!trial->counted) return;
  add_place(&metrics->all, rank);
  if (trial->cold_user) add_place(&metrics->cold_users, rank);
  if (trial->cold_item) add_place(&metrics->cold_items, rank);
  cover(metrics, trial);
}

double freshet_metrics_coverage(const freshet_metrics* metrics) {
  size_t covered = 0;
  for (size_t i = 0; i <= metrics->items / 64; i++)
    covered += (size_t)__builtin_popcountll(metrics->covered[i]);
  return metrics->items == 0 ? 0 : (double)covered / (double)metrics->items;
}
