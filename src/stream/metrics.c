/*
 * metrics.c: puts a value into a histogram of atomics. Metrics are written by the worker and read by other
 * threads; the worker never reads them.
 */
#include "stream/metrics.h"

const int64_t freshet_histogram_bounds_us[FRESHET_HISTOGRAM_BUCKETS] = {
    100,   250,   500,   1000,   2000,   3000,   5000,    7500,    10000,   15000,    20000,
    25000, 35000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, INT64_MAX};

void freshet_histogram_observe(freshet_histogram* histogram, int64_t us) {
  if (us < 0) us = 0; /* clocks of two machines */
  int i = 0;
  while (us > freshet_histogram_bounds_us[i]) i++;
  freshet_count(&histogram->counts[i], 1);
  freshet_count(&histogram->sum_us, (uint64_t)us);
}
