/*
 * evaluate_bootstrap.c: the Poisson bootstrap over users.
 *
 * Owns the drawing of the weights and the reading of intervals. It must not know contenders or protocols.
 */
#include "commands/evaluate/evaluate_bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "core/maths.h"

const char* const freshet_measure_names[FRESHET_MEASURES] = {"recall_at_10", "ndcg_at_10", "mrr_at_10"};

/* A byte of chance as a draw from Poisson(1): 256 times its cumulative distribution. */
static uint8_t poisson_of(unsigned byte) {
  static const unsigned ends[] = {94, 188, 235, 251, 255};
  uint8_t times = 0;
  while (times < sizeof ends / sizeof *ends && byte >= ends[times]) times++;
  return times;
}

void freshet_boot_draw(uint32_t user, freshet_boot_weights* weights) {
  for (unsigned b = 0; b < FRESHET_REPLICATES; b++) {
    uint64_t random = freshet_random(user, b / 8);
    weights->times[b] = poisson_of((unsigned)(random >> b % 8 * 8) & 255);
  }
}

static double gain_of(double rank, freshet_measure measure) {
  if (!(rank < FRESHET_LIST_SIZE)) return 0;
  return measure == FRESHET_RECALL ? 1 : measure == FRESHET_NDCG ? 1 / log2(rank + 2) : 1 / (rank + 1);
}

void freshet_boot_add(freshet_boot* boot, const freshet_boot_weights* weights, double rank) {
  freshet_place_sums* sums = &boot->sums;
  double gains[FRESHET_MEASURES];
  for (int m = 0; m < FRESHET_MEASURES; m++) gains[m] = gain_of(rank, (freshet_measure)m);
  sums->count++;
  sums->recall += gains[FRESHET_RECALL];
  sums->ndcg += gains[FRESHET_NDCG];
  sums->mrr += gains[FRESHET_MRR];
  for (int b = 0; b < FRESHET_REPLICATES; b++) boot->counts[b] += weights->times[b];
  if (gains[FRESHET_RECALL] == 0) return;
  for (int m = 0; m < FRESHET_MEASURES; m++) {
    for (int b = 0; b < FRESHET_REPLICATES; b++) boot->gains[m][b] += (float)gains[m] * weights->times[b];
  }
}

double freshet_boot_mean(const freshet_boot* boot, freshet_measure measure) {
  const freshet_place_sums* sums = &boot->sums;
  double sum = measure == FRESHET_RECALL ? sums->recall : measure == FRESHET_NDCG ? sums->ndcg : sums->mrr;
  return sums->count == 0 ? NAN : sum / (double)sums->count;
}

static int by_value(const void* a, const void* b) {
  double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

static freshet_interval interval_of(double values[FRESHET_REPLICATES], size_t count) {
  if (count == 0) return (freshet_interval){NAN, NAN};
  qsort(values, count, sizeof *values, by_value);
  size_t cut = count * 25 / 1000;
  return (freshet_interval){values[cut], values[count - 1 - cut]};
}

static double replicate(const freshet_boot* boot, freshet_measure measure, int b) {
  return (double)(boot->gains[measure][b] / boot->counts[b]);
}

freshet_interval freshet_boot_interval(const freshet_boot* boot, freshet_measure measure) {
  double values[FRESHET_REPLICATES];
  size_t count = 0;
  for (int b = 0; b < FRESHET_REPLICATES; b++) {
    if (boot->counts[b] > 0) values[count++] = replicate(boot, measure, b);
  }
  return interval_of(values, count);
}

freshet_interval freshet_boot_difference(const freshet_boot* a, const freshet_boot* b,
                                         freshet_measure measure) {
  double values[FRESHET_REPLICATES];
  size_t count = 0;
  for (int i = 0; i < FRESHET_REPLICATES; i++) {
    if (a->counts[i] > 0 && b->counts[i] > 0)
      values[count++] = replicate(a, measure, i) - replicate(b, measure, i);
  }
  return interval_of(values, count);
}
