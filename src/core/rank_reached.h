/*
 * rank_reached.h: what k of some values reach. Plain C that a compiler turns into vectors; here and not in a
 * file of its own so that each kernel can compile it for its CPU.
 */
#ifndef FRESHET_CORE_RANK_REACHED_H
#define FRESHET_CORE_RANK_REACHED_H

#include "core/rank_kernel.h"

enum { FRESHET_RANK_BISECTIONS = 24 };

/* A freshet_rank_reached, by bisection of the value. A pass over a hundred floats takes a few vector
 * instructions, and a threshold that leaves a little more than k is as good as the k-th value. It works on
 * whole vectors: elements that fill up the last vector are counted and subtracted again. */
__attribute__((always_inline)) static inline float freshet_rank_reached_inline(float* values, size_t count,
                                                                               size_t k) {
  const float filler = values[0];
  size_t padded = count;
  while (padded % FRESHET_RANK_LANES != 0) values[padded++] = filler;
  float lows[FRESHET_RANK_LANES], highs[FRESHET_RANK_LANES];
  for (size_t l = 0; l < FRESHET_RANK_LANES; l++) lows[l] = highs[l] = filler;
  for (size_t i = 0; i < padded; i += FRESHET_RANK_LANES) {
    for (size_t l = 0; l < FRESHET_RANK_LANES; l++) {
      lows[l] = values[i + l] < lows[l] ? values[i + l] : lows[l];
      highs[l] = values[i + l] > highs[l] ? values[i + l] : highs[l];
    }
  }
  float low = filler, high = filler;
  for (size_t l = 0; l < FRESHET_RANK_LANES; l++) {
    low = lows[l] < low ? lows[l] : low;
    high = highs[l] > high ? highs[l] : high;
  }
  const int32_t fillers = (int32_t)(padded - count), wanted = (int32_t)k, enough = wanted + wanted / 8 + 2;
  for (int step = 0; step < FRESHET_RANK_BISECTIONS && low < high; step++) {
    const float middle = 0.5f * low + 0.5f * high;
    int32_t reaching = filler >= middle ? -fillers : 0;
    for (size_t i = 0; i < padded; i++) reaching += values[i] >= middle;
    if (reaching < wanted) {
      high = middle;
    } else {
      low = middle;
      if (reaching <= enough) break;
    }
  }
  return low;
}

#endif
