/* Ridge regression against a naive solution in doubles, by Gauss with pivots. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "text/ridge.h"

enum { FROM = 150, TO = 16, PAIRS = 400 }; /* FROM: some blocks of the decomposition, and a part of one */

static float random_float(unsigned* seed) {
  return (float)rand_r(seed) / (float)RAND_MAX * 2 - 1;
}

static void solve_naively(double matrix[FROM][FROM], double right[FROM][TO]) {
  for (int p = 0; p < FROM; p++) {
    int best = p;
    for (int r = p; r < FROM; r++) best = fabs(matrix[r][p]) > fabs(matrix[best][p]) ? r : best;
    for (int c = 0; c < FROM; c++) {
      double kept = matrix[p][c];
      matrix[p][c] = matrix[best][c];
      matrix[best][c] = kept;
    }
    for (int c = 0; c < TO; c++) {
      double kept = right[p][c];
      right[p][c] = right[best][c];
      right[best][c] = kept;
    }
    for (int r = 0; r < FROM; r++) {
      if (r == p) continue;
      double factor = matrix[r][p] / matrix[p][p];
      for (int c = 0; c < FROM; c++) matrix[r][c] -= factor * matrix[p][c];
      for (int c = 0; c < TO; c++) right[r][c] -= factor * right[p][c];
    }
  }
  for (int r = 0; r < FROM; r++) {
    for (int c = 0; c < TO; c++) right[r][c] /= matrix[r][r];
  }
}

static void equals_the_naive_solution(void** state) {
  (void)state;
  for (unsigned round = 1; round <= 5; round++) {
    unsigned seed = round;
    float x[PAIRS][FROM], y[PAIRS][TO], map[TO][FROM], strength = (float)round * .3F;
    double matrix[FROM][FROM] = {{0}}, right[FROM][TO] = {{0}}, trace = 0;
    for (int i = 0; i < PAIRS; i++) {
      for (int k = 0; k < FROM; k++) x[i][k] = random_float(&seed);
      for (int o = 0; o < TO; o++) y[i][o] = random_float(&seed) + x[i][o];
    }
    for (int i = 0; i < PAIRS; i++) {
      for (int k = 0; k < FROM; k++) {
        for (int j = 0; j < FROM; j++) matrix[k][j] += (double)x[i][k] * (double)x[i][j];
        for (int o = 0; o < TO; o++) right[k][o] += (double)x[i][k] * (double)y[i][o];
      }
    }
    for (int k = 0; k < FROM; k++) trace += matrix[k][k];
    for (int k = 0; k < FROM; k++) matrix[k][k] += (double)strength * trace / FROM;
    solve_naively(matrix, right);
    freshet_ridge* ridge = freshet_ridge_create(FROM, TO);
    freshet_ridge_add(ridge, x[0], y[0], 50);
    freshet_ridge_add(ridge, x[50], y[50], PAIRS - 50);
    assert_int_equal(freshet_ridge_count(ridge), PAIRS);
    freshet_ridge_solve(ridge, strength, map[0]);
    double worst = 0;
    for (int o = 0; o < TO; o++) {
      for (int k = 0; k < FROM; k++) worst = fmax(worst, fabs((double)map[o][k] - right[k][o]));
    }
    print_message("seed %u: worst error %.2e\n", round, worst);
    assert_true(worst < 1e-5);
    assert_int_equal(freshet_ridge_count(ridge), 0);
    freshet_ridge_destroy(ridge);
  }
}

static void dependent_directions_are_no_trouble(void** state) {
  (void)state;
  float x[PAIRS][FROM], y[PAIRS][TO] = {{0}}, map[TO][FROM];
  for (int i = 0; i < PAIRS; i++) {
    for (int k = 0; k < FROM; k++) x[i][k] = (float)(i % 7); /* rank one */
    y[i][0] = x[i][0] * FROM;
  }
  freshet_ridge* ridge = freshet_ridge_create(FROM, TO);
  freshet_ridge_add(ridge, x[0], y[0], PAIRS);
  freshet_ridge_solve(ridge, .01F, map[0]);
  for (int k = 0; k < FROM; k++) {
    assert_true(fabsf(map[0][k] - 1) < .01F);
    assert_true(map[1][k] == 0);
  }
  freshet_ridge_solve(ridge, 1, map[0]); /* from nothing */
  for (int k = 0; k < FROM; k++) assert_true(map[0][k] == 0);
  freshet_ridge_destroy(ridge);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equals_the_naive_solution),
      cmocka_unit_test(dependent_directions_are_no_trouble),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
