/*
 * maths.h: exact grids and seeded randomness for the learner. No libm: its results differ between CPUs.
 *
 * A grid is the set of multiples of a power of two. Sums of grid values are exact while they stay in range,
 * so adding them is associative and commutative: it makes no difference in which order workers' gains arrive.
 */
#ifndef FRESHET_CORE_MATHS_H
#define FRESHET_CORE_MATHS_H

#include <math.h>
#include <stdint.h>

/* Scalars that add up across workers (biases, accumulators, blend weights) are multiples of 2^-40 below 2^11:
 * adding 1.5 * 2^12 puts a double where that is the spacing of doubles. */
static inline double freshet_grid(double x) {
  const double round = 0x1.8p12;
  return (x + round) - round;
}

/* Accumulators of squared gradients grow: multiples of 2^-32 below 2^19. */
static inline double freshet_grid_sum(double x) {
  const double round = 0x1.8p20;
  return (x + round) - round;
}

static inline double freshet_clamp(double x, double low, double high) {
  return x < low ? low : x > high ? high : x;
}

/* As freshet_clamp, of what may be no number: that is the least one. */
static inline double freshet_within(double x, double low, double high) {
  return x >= low ? (x > high ? high : x) : low;
}

/* The finaliser of SplitMix64 (Steele, Lea, Flood, 2014). */
static inline uint64_t freshet_mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

/* The i-th number of the stream that a seed opens. */
static inline uint64_t freshet_random(uint64_t seed, uint64_t i) {
  return freshet_mix64(seed + (i + 1) * 0x9e3779b97f4a7c15U);
}

__extension__ typedef unsigned __int128 freshet_u128;

/* Uniform in [0, bound), from 64 random bits (Lemire, 2019, without the rejection: the bias is below
 * bound / 2^64). */
static inline uint64_t freshet_below(uint64_t random, uint64_t bound) {
  return (uint64_t)(((freshet_u128)random * bound) >> 64);
}

/* Close to N(0, 1): four 16-bit uniforms, centred and scaled to variance 1. */
static inline float freshet_gauss(uint64_t random) {
  int sum = (int)(random & 0xffff) + (int)(random >> 16 & 0xffff) + (int)(random >> 32 & 0xffff) +
            (int)(random >> 48);
  return (float)(sum - 2 * 0xffff) * (1.7320508F / 65536.0F);
}

#endif
