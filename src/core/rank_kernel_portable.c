/*
 * rank_kernel_portable.c: the scan for any CPU: a few panels of rows at a time are multiplied through
 * OpenBLAS, then each score is compared once. It must be right everywhere; it need not be the fastest
 * anywhere.
 */
#include <cblas.h>

#include "core/rank_kernel.h"
#include "core/rank_reached.h"

enum {
  GROUP = 32,       /* queries at a time */
  BLOCK_PANELS = 4, /* panels of one product: small enough that its scores stay in the first-level cache */
  BLOCK_ROWS = BLOCK_PANELS * FRESHET_PANEL
};

/* Appends the rows of one panel that reach the floor. scores: [32] products without bias. */
static void catch_rows(const freshet_rank_panels* panels, size_t panel, const float* scores,
                       freshet_rank_sieve* sieve) {
  static const float no_bonus[FRESHET_PANEL] = {0};
  const float* biases = panels->biases + panel * FRESHET_PANEL;
  const float* bonus = sieve->bonus == NULL ? no_bonus : sieve->bonus + panel * FRESHET_PANEL;
  const freshet_rank_bounds* bounds = &panels->bounds;
  float error = sieve->slope_norm * bounds->norms[panel] + sieve->slope_error * bounds->errors[panel] +
                (bounds->slacks[panel] + sieve->slack);
  float cut = sieve->floor - error;
  int reached = 0;
  for (size_t i = 0; i < FRESHET_PANEL; i++) reached |= scores[i] + (biases[i] + bonus[i]) >= cut;
  if (!reached) return;
  for (size_t i = 0; i < FRESHET_PANEL; i++) {
    float score = scores[i] + (biases[i] + bonus[i]);
    sieve->lower[sieve->count] = score - error;
    sieve->upper[sieve->count] = score + error;
    sieve->rows[sieve->count] = (uint32_t)(panel * FRESHET_PANEL + i);
    sieve->count += score >= cut;
  }
}

static size_t scan(const freshet_rank_panels* panels, size_t from, size_t to,
                   freshet_rank_sieve* const* sieves, size_t count, void* work) {
  const size_t stride = panels->stride;
  float* queries = work;                    /* [count][stride] */
  float* scores = queries + GROUP * stride; /* [count][BLOCK_ROWS] */
  for (size_t q = 0; q < count; q++) cblas_scopy((int)stride, sieves[q]->vector, 1, queries + q * stride, 1);
  for (size_t panel = from; panel < to; panel += BLOCK_PANELS) {
    for (size_t q = 0; q < count; q++) {
      if (sieves[q]->count + BLOCK_ROWS > sieves[q]->capacity) return panel;
    }
    size_t block = to - panel < BLOCK_PANELS ? to - panel : BLOCK_PANELS;
    const float* rows = panels->rows + panel * FRESHET_PANEL * stride;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)count, (int)(block * FRESHET_PANEL),
                (int)stride, 1.0f, queries, (int)stride, rows, (int)stride, 0.0f, scores, BLOCK_ROWS);
    for (size_t q = 0; q < count; q++) {
      for (size_t b = 0; b < block; b++)
        catch_rows(panels, panel + b, scores + q * BLOCK_ROWS + b * FRESHET_PANEL, sieves[q]);
    }
  }
  return to;
}

static double exact_dot(const float* row, const float* query, size_t stride) {
  double lanes[FRESHET_RANK_LANES] = {0};
  for (size_t i = 0; i < stride; i += FRESHET_RANK_LANES) {
    for (size_t l = 0; l < FRESHET_RANK_LANES; l++) lanes[l] += (double)row[i + l] * (double)query[i + l];
  }
  for (size_t half = FRESHET_RANK_LANES / 2; half > 0; half /= 2) {
    for (size_t l = 0; l < half; l++) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

static void exact(const float* rows, size_t stride, const float* query, const uint32_t* ids, size_t count,
                  double* scores) {
  for (size_t i = 0; i < count; i++) scores[i] = exact_dot(rows + (size_t)ids[i] * stride, query, stride);
}

static float reached(float* values, size_t count, size_t k) {
  return freshet_rank_reached_inline(values, count, k);
}

static freshet_rank_size measure(const float* values, size_t n) {
  freshet_rank_size size = {0};
  for (size_t i = 0; i < n; i++) {
    const float magnitude = values[i] < 0 ? -values[i] : values[i];
    size.squares += (double)magnitude * (double)magnitude;
    size.largest = magnitude > size.largest ? magnitude : size.largest;
  }
  return size;
}

const freshet_rank_kernel_table freshet_rank_portable = {.name = "portable",
                                                         .query_levels = 0,
                                                         .group = GROUP,
                                                         .room = BLOCK_ROWS,
                                                         .scan = scan,
                                                         .exact = exact,
                                                         .reached = reached,
                                                         .measure = measure};
