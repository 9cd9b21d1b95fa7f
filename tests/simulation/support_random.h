/*
 * support_random.h: the one source of chance of a simulation: splitmix64 (Steele, Lea, Flood 2014), so that a
 * seed is a run.
 */
#ifndef FRESHET_TESTS_SUPPORT_RANDOM_H
#define FRESHET_TESTS_SUPPORT_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct sim_random {
  uint64_t state;
} sim_random;

static inline uint64_t sim_next(sim_random* random) {
  uint64_t z = (random->state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* 0 .. bound-1; bound > 0. */
static inline uint32_t sim_below(sim_random* random, uint32_t bound) {
  return (uint32_t)((sim_next(random) >> 32) * bound >> 32);
}

static inline bool sim_chance(sim_random* random, uint32_t per_mille) {
  return sim_below(random, 1000) < per_mille;
}

/* A number from low to high. Small ones come more often: every power of two is as likely as the next. */
static inline uint32_t sim_skewed(sim_random* random, uint32_t low, uint32_t high) {
  uint32_t bits = 0;
  while ((high - low) >> bits > 1) bits++;
  uint32_t span = 1u << sim_below(random, bits + 1);
  uint32_t value = low + sim_below(random, span * 2);
  return value < high ? value : high;
}

#endif
