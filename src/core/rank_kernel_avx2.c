/*
 * The scan for CPUs with AVX2: 32 rows by up to 2 queries at a time in 8-bit integers.
 *
 * vpmaddubsw multiplies unsigned by signed bytes and adds neighbours in 16 bits: row codes go up to 255, so
 * codes of queries stop at 63, and 2 * 255 * 63 still fits. vpmaddwd adds up to fours in 32 bits.
 */
#if defined(__x86_64__)

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "core/rank_kernel.h"
#include "core/rank_reached.h"

#define AVX2 __attribute__((target("avx2,fma,popcnt")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

enum {
  GROUP = 8,  /* queries at a time */
  TILE = 2,   /* of them whose sums are in registers together */
  BLOCK = 16, /* panels whose sums wait to be judged: they fit into the first-level cache */
  EIGHTHS = FRESHET_PANEL / 8
};

/* sums[q][i] = codes of row i . codes of query q, for a constant n so that the sums become registers.
 * codes: [groups][32][4], packed: [groups][n] the codes of the queries by fours. */
AVX2_INLINE void multiply(const uint8_t* codes, const int32_t* packed, size_t groups, const int n,
                          int32_t (*sums)[FRESHET_PANEL]) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i totals[TILE][EIGHTHS];
#pragma GCC unroll 8
  for (int i = 0; i < n * EIGHTHS; i++) totals[i / EIGHTHS][i % EIGHTHS] = _mm256_setzero_si256();
  for (size_t g = 0; g < groups; g++, codes += FRESHET_PANEL * 4, packed += n) {
#pragma GCC unroll 4
    for (int e = 0; e < EIGHTHS; e++) {
      const __m256i rows = _mm256_load_si256((const __m256i*)(codes + e * 32));
#pragma GCC unroll 2
      for (int q = 0; q < n; q++) {
        const __m256i twos = _mm256_maddubs_epi16(rows, _mm256_set1_epi32(packed[q]));
        totals[q][e] = _mm256_add_epi32(totals[q][e], _mm256_madd_epi16(twos, ones));
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < n * EIGHTHS; i++)
    _mm256_store_si256((__m256i*)(sums[i / EIGHTHS] + i % EIGHTHS * 8), totals[i / EIGHTHS][i % EIGHTHS]);
}

/* The codes of n queries by fours: packed [groups][n]. */
AVX2_INLINE void pack(size_t groups, freshet_rank_sieve* const* sieves, const int n, int32_t* packed) {
  for (size_t g = 0; g < groups; g++) {
    for (int q = 0; q < n; q++) memcpy(&packed[g * (size_t)n + (size_t)q], sieves[q]->codes + g * 4, 4);
  }
}

/* Sums of a block of panels for n queries. sums: [panels][GROUP][32] */
AVX2_INLINE void multiply_block(const freshet_rank_panels* panels, size_t from, size_t count,
                                freshet_rank_sieve* const* sieves, const int n, int32_t* packed,
                                int32_t (*sums)[GROUP][FRESHET_PANEL], size_t first) {
  const size_t panel_size = panels->groups * FRESHET_PANEL * 4;
  pack(panels->groups, sieves + first, n, packed);
  for (size_t p = 0; p < count; p++)
    multiply(panels->codes + (from + p) * panel_size, packed, panels->groups, n, sums[p] + first);
}

/* Scores of 8 rows from their sums. has_bonus: a constant. */
AVX2_INLINE __m256 score(const freshet_rank_panels* panels, size_t row, const int32_t* sums,
                         const freshet_rank_sieve* sieve, const bool has_bonus) {
  const __m256i sum =
      _mm256_add_epi32(_mm256_load_si256((const __m256i*)sums), _mm256_set1_epi32(sieve->offset));
  const __m256 products = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_load_ps(panels->scales + row));
  __m256 bias = _mm256_load_ps(panels->biases + row);
  if (has_bonus) bias = _mm256_add_ps(bias, _mm256_load_ps(sieve->bonus + row));
  return _mm256_fmadd_ps(products, _mm256_set1_ps(sieve->scale), bias);
}

/* Appends the rows, of the 32 from `row` on, that reached the cut: one bit each. error: E of
 * rank_kernel.h. */
AVX2_INLINE void catch_rows(const freshet_rank_panels* panels, size_t row, const int32_t* sums, float error,
                            uint32_t reached, freshet_rank_sieve* sieve, const bool has_bonus) {
  float scores[FRESHET_PANEL];
  for (size_t e = 0; e < EIGHTHS; e++)
    _mm256_storeu_ps(scores + e * 8, score(panels, row + e * 8, sums + e * 8, sieve, has_bonus));
  for (; reached != 0; reached &= reached - 1) {
    const unsigned i = (unsigned)__builtin_ctz(reached);
    sieve->lower[sieve->count] = scores[i] - error;
    sieve->upper[sieve->count] = scores[i] + error;
    sieve->rows[sieve->count++] = (uint32_t)(row + i);
  }
}

/* Catches the rows of a block of panels that reach a query's floor. */
AVX2_INLINE void judge(const freshet_rank_panels* panels, size_t from, size_t count,
                       const int32_t (*sums)[GROUP][FRESHET_PANEL], size_t query, freshet_rank_sieve* sieve,
                       const bool has_bonus) {
  for (size_t p = 0; p < count; p++) {
    const size_t panel = from + p, row = panel * FRESHET_PANEL;
    const float error = sieve->slope_norm * panels->bounds.norms[panel] +
                        sieve->slope_error * panels->bounds.errors[panel] +
                        (panels->bounds.slacks[panel] + sieve->slack);
    const __m256 cut = _mm256_set1_ps(sieve->floor - error);
    uint32_t reached = 0;
#pragma GCC unroll 4
    for (size_t e = 0; e < EIGHTHS; e++) {
      const __m256 scores = score(panels, row + e * 8, sums[p][query] + e * 8, sieve, has_bonus);
      reached |= (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(scores, cut, _CMP_GE_OQ)) << (e * 8);
    }
    if (__builtin_expect(reached != 0, 0))
      catch_rows(panels, row, sums[p][query], error, reached, sieve, has_bonus);
  }
}

AVX2 static void judge_dense(const freshet_rank_panels* panels, size_t from, size_t count,
                             const int32_t (*sums)[GROUP][FRESHET_PANEL], size_t query,
                             freshet_rank_sieve* sieve) {
  judge(panels, from, count, sums, query, sieve, false);
}

AVX2 static void judge_with_bonus(const freshet_rank_panels* panels, size_t from, size_t count,
                                  const int32_t (*sums)[GROUP][FRESHET_PANEL], size_t query,
                                  freshet_rank_sieve* sieve) {
  judge(panels, from, count, sums, query, sieve, true);
}

AVX2 static size_t scan(const freshet_rank_panels* panels, size_t from, size_t to,
                        freshet_rank_sieve* const* sieves, size_t count, void* work) {
  _Alignas(32) int32_t sums[BLOCK][GROUP][FRESHET_PANEL];
  for (; from < to; from += BLOCK) {
    const size_t block = to - from < BLOCK ? to - from : BLOCK;
    for (size_t q = 0; q < count; q++) {
      if (sieves[q]->count + block * FRESHET_PANEL > sieves[q]->capacity) return from;
    }
    size_t q = 0;
    for (; q + TILE <= count; q += TILE) multiply_block(panels, from, block, sieves, TILE, work, sums, q);
    if (q < count) multiply_block(panels, from, block, sieves, 1, work, sums, q);
    for (q = 0; q < count; q++)
      (sieves[q]->bonus == NULL ? judge_dense : judge_with_bonus)(panels, from, block, sums, q, sieves[q]);
  }
  return to;
}

AVX2_INLINE double sum_of(__m256d a, __m256d b) {
  const __m256d four = _mm256_add_pd(a, b);
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

AVX2 static double exact_dot(const float* row, const float* query, size_t stride) {
  __m256d sums[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};
  for (size_t i = 0; i < stride; i += FRESHET_RANK_LANES) {
#pragma GCC unroll 4
    for (size_t l = 0; l < 4; l++)
      sums[l] = _mm256_fmadd_pd(_mm256_cvtps_pd(_mm_loadu_ps(row + i + l * 4)),
                                _mm256_cvtps_pd(_mm_loadu_ps(query + i + l * 4)), sums[l]);
  }
  return sum_of(_mm256_add_pd(sums[0], sums[2]), _mm256_add_pd(sums[1], sums[3]));
}

enum { AHEAD = 6 }; /* rows to prefetch: they are far apart in memory */

AVX2 static void exact(const float* rows, size_t stride, const float* query, const uint32_t* ids,
                       size_t count, double* scores) {
  for (size_t i = 0; i < count; i++) {
    const float* next = rows + (size_t)ids[i + AHEAD < count ? i + AHEAD : i] * stride;
    for (size_t line = 0; line < stride; line += 16) _mm_prefetch((const char*)(next + line), _MM_HINT_T0);
    scores[i] = exact_dot(rows + (size_t)ids[i] * stride, query, stride);
  }
}

AVX2 static float reached(float* values, size_t count, size_t k) {
  return freshet_rank_reached_inline(values, count, k);
}

AVX2 freshet_rank_size freshet_rank_measure_avx2(const float* values, size_t n) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
  __m256 tops = _mm256_setzero_ps();
  for (size_t i = 0; i < n; i += 8) {
    const __m256 value = _mm256_loadu_ps(values + i);
    const __m256d a = _mm256_cvtps_pd(_mm256_castps256_ps128(value));
    const __m256d b = _mm256_cvtps_pd(_mm256_extractf128_ps(value, 1));
    tops = _mm256_max_ps(tops, _mm256_andnot_ps(sign, value));
    low = _mm256_fmadd_pd(a, a, low);
    high = _mm256_fmadd_pd(b, b, high);
  }
  __m128 top = _mm_max_ps(_mm256_castps256_ps128(tops), _mm256_extractf128_ps(tops, 1));
  top = _mm_max_ps(top, _mm_movehl_ps(top, top));
  top = _mm_max_ss(top, _mm_movehdup_ps(top));
  return (freshet_rank_size){sum_of(low, high), _mm_cvtss_f32(top)};
}

AVX2 double freshet_rank_round_avx2(const float* values, size_t n, float inverse, float scale,
                                    int8_t* codes) {
  const __m256d step = _mm256_set1_pd((double)scale);
  __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
  for (size_t i = 0; i < n; i += 8) {
    const __m256 value = _mm256_loadu_ps(values + i);
    const __m256i code = _mm256_cvtps_epi32(_mm256_mul_ps(value, _mm256_set1_ps(inverse)));
    const __m128i first = _mm256_castsi256_si128(code), last = _mm256_extracti128_si256(code, 1);
    const __m128i words = _mm_packs_epi32(first, last);
    _mm_storel_epi64((__m128i*)(codes + i), _mm_packs_epi16(words, words));
    const __m256d a =
        _mm256_fnmadd_pd(_mm256_cvtepi32_pd(first), step, _mm256_cvtps_pd(_mm256_castps256_ps128(value)));
    const __m256d b =
        _mm256_fnmadd_pd(_mm256_cvtepi32_pd(last), step, _mm256_cvtps_pd(_mm256_extractf128_ps(value, 1)));
    low = _mm256_fmadd_pd(a, a, low);
    high = _mm256_fmadd_pd(b, b, high);
  }
  return sum_of(low, high);
}

const freshet_rank_kernel_table freshet_rank_avx2 = {.name = "avx2",
                                                     .query_levels = 63,
                                                     .group = GROUP,
                                                     .room = BLOCK * FRESHET_PANEL,
                                                     .scan = scan,
                                                     .exact = exact,
                                                     .reached = reached,
                                                     .measure = freshet_rank_measure_avx2,
                                                     .round = freshet_rank_round_avx2};

#endif
