/*
 * The scan for CPUs with AVX2: 32 rows by up to 2 queries at a time in 8-bit integers.
 *
 * vpmaddubsw multiplies unsigned by signed bytes and adds neighbours in 16 bits: row codes go up to 255, so
 * codes of queries stop at 63, and 2 * 255 * 63 still fits. vpmaddwd adds up to fours in 32 bits.
 */
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "core/rank_kernel.h"

#define AVX2 __attribute__((target("avx2,fma,popcnt")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

enum { GROUP = 8, TILE = 2, EIGHTHS = FRESHET_PANEL / 8 };

/* Stores those of 8 rows from `row` on that reached the cut: the bits of `reached`. */
AVX2 static void catch_rows(freshet_rank_sieve* sieve, unsigned reached, __m256 scores, float error,
                            size_t row) {
  float values[8];
  _mm256_storeu_ps(values, scores);
  for (; reached != 0; reached &= reached - 1) {
    unsigned lane = (unsigned)__builtin_ctz(reached);
    sieve->lower[sieve->count] = values[lane] - error;
    sieve->upper[sieve->count] = values[lane] + error;
    sieve->rows[sieve->count++] = (uint32_t)(row + lane);
  }
}

/* One panel for one query: what its sums say. */
AVX2_INLINE void judge(const freshet_rank_panels* panels, size_t panel, freshet_rank_sieve* sieve,
                       const __m256i sums[EIGHTHS]) {
  const freshet_rank_bounds* bounds = &panels->bounds;
  const float error = sieve->slope_norm * bounds->norms[panel] + sieve->slope_error * bounds->errors[panel] +
                      bounds->slacks[panel];
  const __m256 cut = _mm256_set1_ps(sieve->floor - error), scale = _mm256_set1_ps(sieve->scale);
  const __m256i offset = _mm256_set1_epi32(sieve->offset);
#pragma GCC unroll 4
  for (size_t e = 0; e < EIGHTHS; e++) {
    const size_t row = panel * FRESHET_PANEL + e * 8;
    const __m256 sum = _mm256_cvtepi32_ps(_mm256_add_epi32(sums[e], offset));
    const __m256 scores = _mm256_fmadd_ps(_mm256_mul_ps(sum, _mm256_load_ps(panels->scales + row)), scale,
                                          _mm256_load_ps(panels->biases + row));
    unsigned reached = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(scores, cut, _CMP_GE_OQ));
    if (__builtin_expect(reached != 0, 0)) catch_rows(sieve, reached, scores, error, row);
  }
}

/* For a constant n, so that the sums become registers. packed: [groups][n] codes of the queries, by fours. */
AVX2_INLINE void scan_panel(const freshet_rank_panels* panels, size_t panel,
                            freshet_rank_sieve* const* sieves, const int n, const int32_t* packed) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums[TILE][EIGHTHS];
#pragma GCC unroll 8
  for (int i = 0; i < n * EIGHTHS; i++) sums[i / EIGHTHS][i % EIGHTHS] = _mm256_setzero_si256();
  const uint8_t* codes = panels->codes + panel * panels->groups * FRESHET_PANEL * 4;
  for (size_t g = 0; g < panels->groups; g++, codes += FRESHET_PANEL * 4, packed += n) {
#pragma GCC unroll 4
    for (int e = 0; e < EIGHTHS; e++) {
      const __m256i rows = _mm256_load_si256((const __m256i*)(codes + e * 32));
#pragma GCC unroll 2
      for (int q = 0; q < n; q++) {
        const __m256i twos = _mm256_maddubs_epi16(rows, _mm256_set1_epi32(packed[q]));
        sums[q][e] = _mm256_add_epi32(sums[q][e], _mm256_madd_epi16(twos, ones));
      }
    }
  }
#pragma GCC unroll 2
  for (int q = 0; q < n; q++) judge(panels, panel, sieves[q], sums[q]);
}

AVX2 static void pack(const freshet_rank_panels* panels, freshet_rank_sieve* const* sieves, size_t n,
                      int32_t* packed) {
  for (size_t g = 0; g < panels->groups; g++) {
    for (size_t q = 0; q < n; q++) memcpy(&packed[g * n + q], sieves[q]->codes + g * 4, 4);
  }
}

AVX2 static size_t scan(const freshet_rank_panels* panels, size_t from, size_t to,
                        freshet_rank_sieve* const* sieves, size_t count, void* work) {
  int32_t* packed = work; /* [count / 2][groups][2], then [groups] of an odd one */
  const size_t groups = panels->groups;
  for (size_t q = 0; q < count; q += TILE)
    pack(panels, sieves + q, count - q < TILE ? 1 : TILE, packed + q * groups);
  for (size_t panel = from; panel < to; panel++) {
    for (size_t q = 0; q < count; q++) {
      if (sieves[q]->count + FRESHET_PANEL > sieves[q]->capacity) return panel;
    }
    size_t q = 0;
    for (; q + TILE <= count; q += TILE) scan_panel(panels, panel, sieves + q, TILE, packed + q * groups);
    if (q < count) scan_panel(panels, panel, sieves + q, 1, packed + q * groups);
  }
  return to;
}

AVX2 static double exact_dot(const float* row, const float* query, size_t stride) {
  __m256d sums[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};
  for (size_t i = 0; i < stride; i += FRESHET_RANK_LANES) {
#pragma GCC unroll 4
    for (size_t l = 0; l < 4; l++)
      sums[l] = _mm256_fmadd_pd(_mm256_cvtps_pd(_mm_loadu_ps(row + i + l * 4)),
                                _mm256_cvtps_pd(_mm_loadu_ps(query + i + l * 4)), sums[l]);
  }
  __m256d four = _mm256_add_pd(_mm256_add_pd(sums[0], sums[2]), _mm256_add_pd(sums[1], sums[3]));
  __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

enum { AHEAD = 6 }; /* rows to fetch in advance: they lie anywhere */

AVX2 static void exact(const float* rows, size_t stride, const float* query, const uint32_t* ids,
                       size_t count, double* scores) {
  for (size_t i = 0; i < count; i++) {
    const float* next = rows + (size_t)ids[i + AHEAD < count ? i + AHEAD : i] * stride;
    for (size_t line = 0; line < stride; line += 16) _mm_prefetch((const char*)(next + line), _MM_HINT_T0);
    scores[i] = exact_dot(rows + (size_t)ids[i] * stride, query, stride);
  }
}

const freshet_rank_kernel_table freshet_rank_avx2 = {
    .name = "avx2", .query_levels = 63, .group = GROUP, .room = FRESHET_PANEL, .scan = scan, .exact = exact};

#endif
