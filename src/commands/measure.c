/*
 * measure.c: a clock, quantiles and random numbers for measurements. Pure, except that it reads the clock. It
 * owns nothing.
 */
#include "commands/measure.h"

#include <stdlib.h>

#include "core/maths.h"

double freshet_seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_value(const void* a, const void* b) {
  double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

void freshet_sort_values(double* values, size_t count) {
  if (count > 0) qsort(values, count, sizeof *values, by_value);
}

double freshet_quantile(const double* sorted, size_t count, double q) {
  return count == 0 ? 0 : sorted[(size_t)(q * (double)(count - 1))];
}

uint64_t freshet_next_random(uint64_t* state) {
  return freshet_mix64(*state += 0x9e3779b97f4a7c15U);
}

double freshet_next_uniform(uint64_t* state) {
  return (double)(freshet_next_random(state) >> 11) * 0x1p-53;
}
