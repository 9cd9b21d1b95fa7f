/*
 * measure.h: what the measurements share: a clock, quantiles, random numbers. The random numbers are seeded,
 * so that a measurement can be repeated.
 */
#ifndef FRESHET_COMMANDS_MEASURE_H
#define FRESHET_COMMANDS_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* What `clock` (CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID, ...) says, in seconds. */
double freshet_seconds(clockid_t clock);

/* Sorts values [count], ascending, for freshet_quantile. */
void freshet_sort_values(double* values, size_t count);

/* The q-quantile, 0 to 1, of sorted values (the nearest one below); 0 without values. */
double freshet_quantile(const double* sorted, size_t count, double q);

/* The next numbers of a SplitMix64 stream that *state opens: 64 bits, and uniform in [0, 1). */
uint64_t freshet_next_random(uint64_t* state);
double freshet_next_uniform(uint64_t* state);

#endif
