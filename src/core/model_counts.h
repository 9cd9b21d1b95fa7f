/*
 * model_counts.h: a count of a list of neighbours in 16 bits: 5 bits of exponent, 11 of mantissa. It is 0, or from 2^-7 to
 * below 2^24. A gain may be less than a step of the count. So a sum is rounded up or down by the clock of the list: in the mean
 * of many gains nothing is lost as long as the sum is 2^-7 or more, and every worker rounds alike. A smaller sum becomes 0 and is
 * lost, always. It owns nothing, and must not know what is counted.
 */
#ifndef FRESHET_CORE_MODEL_COUNTS_H
#define FRESHET_CORE_MODEL_COUNTS_H

#include <stdint.h>
#include <string.h>

/* Bits of a float that are left out, and what makes its exponent one of 5 bits. */
enum { FRESHET_COUNT_SHIFT = 12, FRESHET_COUNT_UP = (1 << FRESHET_COUNT_SHIFT) - 1 };
#define FRESHET_COUNT_SCALE 0x1p119F
#define FRESHET_COUNT_LEAST 0x1p-7F    /* what is smaller is 0 */
#define FRESHET_COUNT_MOST 0x1.ffep23F /* what is larger is this */

static inline float freshet_count_value(uint16_t count) {
  const uint32_t bits = (uint32_t)count << FRESHET_COUNT_SHIFT;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value * FRESHET_COUNT_SCALE;
}

/* rounding: from 0 (down) to FRESHET_COUNT_UP. */
static inline uint16_t freshet_count_round(float value, uint32_t rounding) {
  uint32_t bits;
  if (!(value >= FRESHET_COUNT_LEAST)) return 0;
  if (value > FRESHET_COUNT_MOST) value = FRESHET_COUNT_MOST;
  value *= 1 / FRESHET_COUNT_SCALE;
  memcpy(&bits, &value, sizeof bits);
  return (uint16_t)((bits + rounding) >> FRESHET_COUNT_SHIFT);
}

/* The nearest count. */
static inline uint16_t freshet_count_pack(float value) {
  return freshet_count_round(value, FRESHET_COUNT_UP / 2 + 1);
}

/* clock: of the list. Its multiples of the golden ratio are spread evenly, whatever steps it makes. */
static inline uint16_t freshet_count_add(uint16_t count, float gain, uint32_t clock) {
  const uint32_t rounding = clock * 0x9e3779b9U >> (32 - FRESHET_COUNT_SHIFT);
  return freshet_count_round(freshet_count_value(count) + gain, rounding);
}

/* How far the counts `together` of a list are doubted: model_doubt.c. */
typedef struct freshet_doubt {
  float half;     /* above 0: of this count half is doubtful, of a larger one less */
  float expected; /* what chance brings to the count of an item for each of its choices */
  float doubt;    /* how much of what is doubtful counts nothing */
  float chance;   /* how much of what chance brings is taken away */
} freshet_doubt;

/* What a count of `together` tells, at least 0. root: 1 / sqrt(N + 1) of the other item. */
static inline float freshet_count_evidence(uint16_t count, const freshet_doubt* d, float root) {
  const float value = freshet_count_value(count), rest = value + d->half, share = root * root;
  const float taken = value * (d->half * d->doubt) * share + d->expected * d->chance * rest;
  const float evidence = value - taken / (rest * share); /* one division for both */
  return evidence > 0 ? evidence : 0;
}

#endif
