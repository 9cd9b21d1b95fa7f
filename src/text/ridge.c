/*
 * ridge.c: ridge regression from text vectors to factors, by normal equations and Cholesky's decomposition.
 * It owns the two sums of products. What the vectors are it must not know.
 */
#include "text/ridge.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "freshet/status.h"

enum { BLOCK = 64 };

struct freshet_ridge {
  uint32_t from, to;
  size_t count;
  float* gram;  /* [from][from] X'X: the lower triangle */
  float* cross; /* [from][to] X'Y */
};

freshet_ridge* freshet_ridge_create(uint32_t from, uint32_t to) {
  freshet_ridge* ridge = calloc(1, sizeof *ridge);
  FRESHET_ASSERT(ridge != NULL && from > 0 && to > 0);
  ridge->from = from;
  ridge->to = to;
  ridge->gram = calloc((size_t)from * from, sizeof *ridge->gram);
  ridge->cross = calloc((size_t)from * to, sizeof *ridge->cross);
  FRESHET_ASSERT(ridge->gram != NULL && ridge->cross != NULL);
  return ridge;
}

void freshet_ridge_destroy(freshet_ridge* ridge) {
  if (ridge == NULL) return;
  free(ridge->gram);
  free(ridge->cross);
  free(ridge);
}

void freshet_ridge_add(freshet_ridge* ridge, const float* x, const float* y, size_t count) {
  int from = (int)ridge->from, to = (int)ridge->to, rows = (int)count;
  cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, from, rows, 1, x, from, 1, ridge->gram, from);
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, from, to, rows, 1, x, from, y, to, 1, ridge->cross,
              to);
  ridge->count += count;
}

size_t freshet_ridge_count(const freshet_ridge* ridge) {
  return ridge->count;
}

/* The square of `size` rows at the diagonal = L L', in its lower triangle. lambda keeps every pivot positive;
 * rounding must not undo that. */
static void decompose_square(float* square, uint32_t size, size_t stride, float lambda) {
  for (uint32_t i = 0; i < size; i++) {
    float* row = square + i * stride;
    for (uint32_t j = 0; j < i; j++) {
      const float* other = square + j * stride;
      row[j] = (row[j] - cblas_sdot((int)j, row, 1, other, 1)) / other[j];
    }
    float pivot = row[i] + lambda - cblas_sdot((int)i, row, 1, row, 1);
    row[i] = sqrtf(pivot > lambda / 2 ? pivot : lambda / 2);
  }
}

/* gram + lambda I = L L', in its lower triangle, a block of columns after the other, so that nearly all of
 * the work is one matrix product for each (Golub and Van Loan, Matrix Computations, 4.2.6). */
static void decompose(freshet_ridge* ridge, float lambda) {
  uint32_t n = ridge->from;
  for (uint32_t at = 0; at < n; at += BLOCK) {
    uint32_t size = n - at < BLOCK ? n - at : BLOCK, rest = n - at - size;
    float* square = ridge->gram + (size_t)at * n + at;
    float* below = square + (size_t)size * n;
    decompose_square(square, size, n, lambda);
    if (rest == 0) break;
    cblas_strsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, (int)rest, (int)size, 1,
                square, (int)n, below, (int)n);
    cblas_ssyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)rest, (int)size, -1, below, (int)n, 1,
                below + size, (int)n);
  }
}

void freshet_ridge_solve(freshet_ridge* ridge, float strength, float* map) {
  uint32_t from = ridge->from, to = ridge->to;
  float trace = 0;
  for (uint32_t i = 0; i < from; i++) trace += ridge->gram[(size_t)i * from + i];
  float lambda = strength * trace / (float)from;
  memset(map, 0, (size_t)to * from * sizeof *map);
  if (lambda > 0) { /* else there is nothing to learn from */
    decompose(ridge, lambda);
    cblas_strsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (int)from, (int)to, 1,
                ridge->gram, (int)from, ridge->cross, (int)to);
    cblas_strsm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, (int)from, (int)to, 1,
                ridge->gram, (int)from, ridge->cross, (int)to);
    for (uint32_t i = 0; i < from; i++) {
      for (uint32_t o = 0; o < to; o++) map[(size_t)o * from + i] = ridge->cross[(size_t)i * to + o];
    }
  }
  memset(ridge->gram, 0, (size_t)from * from * sizeof *ridge->gram);
  memset(ridge->cross, 0, (size_t)from * to * sizeof *ridge->cross);
  ridge->count = 0;
}
