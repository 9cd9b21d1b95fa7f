/*
 * The scan for CPUs with AVX-512 and VNNI: 32 rows by up to 12 queries at a time in 8-bit integers.
 *
 * One vpdpbusd multiplies 64 pairs of bytes and adds them up by fours: 16 rows, 4 dimensions, one query. The
 * 24 sums of a panel and 12 queries stay in registers from the first dimension to the comparison with the
 * cut, so scores never go through memory; only the few rows that pass are stored.
 */
#if defined(__x86_64__)

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "core/rank_kernel.h"
#include "core/rank_reached.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")))
#define AVX512_INLINE AVX512 __attribute__((always_inline)) static inline

enum {
  GROUP = 12, /* queries at a time */
  BLOCK = 16, /* panels whose sums wait to be judged: they fit into the first-level cache */
  AHEAD = 4,  /* panels, or rows, to fetch in advance */
  HALF = FRESHET_PANEL / 2
};

/* sums[q][i] = offset[q] + codes of row i . codes of query q, for a constant n so that the sums become
 * registers. codes: [groups][32][4], packed: [groups][n] the codes of the queries by fours. */
AVX512_INLINE void multiply(const uint8_t* codes, const int32_t* packed, size_t groups, const int n,
                            const int32_t* offsets, int32_t (*sums)[FRESHET_PANEL]) {
  __m512i low[GROUP], high[GROUP];
#pragma GCC unroll 12
  for (int q = 0; q < n; q++) {
    low[q] = _mm512_set1_epi32(offsets[q]);
    high[q] = _mm512_set1_epi32(offsets[q]);
  }
  for (size_t g = 0; g < groups; g++, codes += FRESHET_PANEL * 4, packed += n) {
    const __m512i rows_low = _mm512_load_si512(codes), rows_high = _mm512_load_si512(codes + 64);
#pragma GCC unroll 12
    for (int q = 0; q < n; q++) {
      const __m512i four = _mm512_set1_epi32(packed[q]);
      low[q] = _mm512_dpbusd_epi32(low[q], rows_low, four);
      high[q] = _mm512_dpbusd_epi32(high[q], rows_high, four);
    }
  }
#pragma GCC unroll 12
  for (int q = 0; q < n; q++) {
    _mm512_store_si512(sums[q], low[q]);
    _mm512_store_si512(sums[q] + HALF, high[q]);
  }
}

/* Scores of 16 rows from their sums. has_bonus: a constant. */
AVX512_INLINE __m512 score(const freshet_rank_panels* panels, size_t row, const int32_t* sums, __m512 scale,
                           const freshet_rank_sieve* sieve, const bool has_bonus) {
  const __m512 products =
      _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums)), _mm512_load_ps(panels->scales + row));
  __m512 bias = _mm512_load_ps(panels->biases + row);
  if (has_bonus) bias = _mm512_add_ps(bias, _mm512_load_ps(sieve->bonus + row));
  return _mm512_fmadd_ps(products, scale, bias);
}

/* Appends the rows, of these 16, that reached the cut. error: E of rank_kernel.h. */
AVX512_INLINE void catch_rows(freshet_rank_sieve* sieve, __mmask16 reached, __m512 scores, __m512 error,
                              size_t row) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i rows = _mm512_add_epi32(_mm512_set1_epi32((int)row), lanes);
  const __m512 caught = _mm512_maskz_compress_ps(reached, scores);
  _mm512_storeu_ps(sieve->lower + sieve->count, _mm512_sub_ps(caught, error));
  _mm512_storeu_ps(sieve->upper + sieve->count, _mm512_add_ps(caught, error));
  _mm512_storeu_si512(sieve->rows + sieve->count, _mm512_maskz_compress_epi32(reached, rows));
  sieve->count += (uint32_t)__builtin_popcount(reached);
}

/* Catches the rows of up to BLOCK panels that reach a query's floor. First all comparisons, then the few
 * panels with a catch: a branch for each panel would be mispredicted at each catch.
 * sums: of the query, [panels] with GROUP * 32 from one to the next. */
AVX512_INLINE void judge(const freshet_rank_panels* panels, size_t from, size_t count, const int32_t* sums,
                         freshet_rank_sieve* sieve, const bool has_bonus) {
  const __m512 scale = _mm512_set1_ps(sieve->scale);
  const __mmask16 used = (__mmask16)((1u << count) - 1);
  __m512 error = _mm512_mul_ps(_mm512_set1_ps(sieve->slope_norm),
                               _mm512_maskz_loadu_ps(used, panels->bounds.norms + from));
  error = _mm512_fmadd_ps(_mm512_set1_ps(sieve->slope_error),
                          _mm512_maskz_loadu_ps(used, panels->bounds.errors + from), error);
  error = _mm512_add_ps(error, _mm512_add_ps(_mm512_maskz_loadu_ps(used, panels->bounds.slacks + from),
                                             _mm512_set1_ps(sieve->slack)));
  float errors[BLOCK], cuts[BLOCK];
  _mm512_storeu_ps(errors, error);
  _mm512_storeu_ps(cuts, _mm512_sub_ps(_mm512_set1_ps(sieve->floor), error));
  uint32_t reached[BLOCK], caught = 0;
  for (size_t p = 0; p < count; p++) {
    const int32_t* low = sums + p * GROUP * FRESHET_PANEL;
    const size_t row = (from + p) * FRESHET_PANEL;
    const __m512 cut = _mm512_set1_ps(cuts[p]);
    __mmask16 reached_low =
        _mm512_cmp_ps_mask(score(panels, row, low, scale, sieve, has_bonus), cut, _CMP_GE_OQ);
    __mmask16 reached_high =
        _mm512_cmp_ps_mask(score(panels, row + HALF, low + HALF, scale, sieve, has_bonus), cut, _CMP_GE_OQ);
    reached[p] = _mm512_kunpackw(reached_high, reached_low);
    caught |= (uint32_t)(reached[p] != 0) << p;
  }
  for (; caught != 0; caught &= caught - 1) {
    const unsigned p = (unsigned)__builtin_ctz(caught);
    const int32_t* low = sums + p * GROUP * FRESHET_PANEL;
    const size_t row = (from + p) * FRESHET_PANEL;
    const __m512 width = _mm512_set1_ps(errors[p]);
    catch_rows(sieve, (__mmask16)reached[p], score(panels, row, low, scale, sieve, has_bonus), width, row);
    catch_rows(sieve, (__mmask16)(reached[p] >> HALF),
               score(panels, row + HALF, low + HALF, scale, sieve, has_bonus), width, row + HALF);
  }
}

AVX512 static void judge_dense(const freshet_rank_panels* panels, size_t from, size_t count,
                               const int32_t* sums, freshet_rank_sieve* sieve) {
  judge(panels, from, count, sums, sieve, false);
}

AVX512 static void judge_with_bonus(const freshet_rank_panels* panels, size_t from, size_t count,
                                    const int32_t* sums, freshet_rank_sieve* sieve) {
  judge(panels, from, count, sums, sieve, true);
}

AVX512_INLINE size_t scan_n(const freshet_rank_panels* panels, size_t from, size_t to,
                            freshet_rank_sieve* const* sieves, const int n, int32_t* packed) {
  const size_t groups = panels->groups, panel_size = groups * FRESHET_PANEL * 4;
  _Alignas(64) int32_t sums[BLOCK][GROUP][FRESHET_PANEL];
  int32_t offsets[GROUP];
  for (int q = 0; q < n; q++) offsets[q] = sieves[q]->offset;
  for (size_t g = 0; g < groups; g++) {
    for (int q = 0; q < n; q++) memcpy(&packed[g * (size_t)n + (size_t)q], sieves[q]->codes + g * 4, 4);
  }
  for (; from < to; from += BLOCK) {
    const size_t count = to - from < BLOCK ? to - from : BLOCK;
    for (int q = 0; q < n; q++) {
      if (sieves[q]->count + count * FRESHET_PANEL > sieves[q]->capacity) return from;
    }
    for (size_t p = 0; p < count; p++) {
      const uint8_t* codes = panels->codes + (from + p) * panel_size;
      /* With one query memory is the limit, and the CPU's own prefetching leaves a little of it unused. */
      for (size_t byte = 0; n == 1 && byte < panel_size; byte += 64)
        _mm_prefetch((const char*)codes + AHEAD * panel_size + byte, _MM_HINT_T0);
      multiply(codes, packed, groups, n, offsets, sums[p]);
    }
    for (int q = 0; q < n; q++)
      (sieves[q]->bonus == NULL ? judge_dense : judge_with_bonus)(panels, from, count, sums[0][q], sieves[q]);
  }
  return to;
}

#define SCAN_N(n)                                                                          \
  AVX512 static size_t scan_##n(const freshet_rank_panels* panels, size_t from, size_t to, \
                                freshet_rank_sieve* const* sieves, int32_t* packed) {      \
    return scan_n(panels, from, to, sieves, n, packed);                                    \
  }
SCAN_N(1)
SCAN_N(2)
SCAN_N(3)
SCAN_N(4)
SCAN_N(5)
SCAN_N(6)
SCAN_N(7)
SCAN_N(8)
SCAN_N(9)
SCAN_N(10)
SCAN_N(11)
SCAN_N(12)

static size_t scan(const freshet_rank_panels* panels, size_t from, size_t to,
                   freshet_rank_sieve* const* sieves, size_t count, void* work) {
  static size_t (*const scans[])(const freshet_rank_panels*, size_t, size_t, freshet_rank_sieve* const*,
                                 int32_t*) = {scan_1, scan_2, scan_3, scan_4,  scan_5,  scan_6,
                                              scan_7, scan_8, scan_9, scan_10, scan_11, scan_12};
  return scans[count - 1](panels, from, to, sieves, work);
}

AVX512 static double exact_dot(const float* row, const float* query, size_t stride) {
  __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd(); /* lanes 0 .. 7 and 8 .. 15 */
  for (size_t i = 0; i < stride; i += FRESHET_RANK_LANES) {
    low = _mm512_fmadd_pd(_mm512_cvtps_pd(_mm256_loadu_ps(row + i)),
                          _mm512_cvtps_pd(_mm256_loadu_ps(query + i)), low);
    high = _mm512_fmadd_pd(_mm512_cvtps_pd(_mm256_loadu_ps(row + i + 8)),
                           _mm512_cvtps_pd(_mm256_loadu_ps(query + i + 8)), high);
  }
  __m512d eight = _mm512_add_pd(low, high);
  __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
  __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

AVX512 static void exact(const float* rows, size_t stride, const float* query, const uint32_t* ids,
                         size_t count, double* scores) {
  for (size_t i = 0; i < count; i++) {
    const float* next = rows + (size_t)ids[i + AHEAD < count ? i + AHEAD : i] * stride;
    for (size_t line = 0; line < stride; line += 16) _mm_prefetch((const char*)(next + line), _MM_HINT_T0);
    scores[i] = exact_dot(rows + (size_t)ids[i] * stride, query, stride);
  }
}

AVX512 static float reached(float* values, size_t count, size_t k) {
  return freshet_rank_reached_inline(values, count, k);
}

const freshet_rank_kernel_table freshet_rank_avx512 = {.name = "avx512",
                                                       .query_levels = 127,
                                                       .group = GROUP,
                                                       .room = BLOCK * FRESHET_PANEL,
                                                       .scan = scan,
                                                       .exact = exact,
                                                       .reached = reached,
                                                       .measure = freshet_rank_measure_avx2,
                                                       .round = freshet_rank_round_avx2};

#endif
