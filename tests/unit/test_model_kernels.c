/* Every level of the kernels gives the same bits, and the right ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/maths.h"
#include "core/model_kernels.h"

enum { N = 256, TURNS = 200 };

static _Alignas(64) float a[N], b[N], c[N], d[N];

static void fill(float* x, uint64_t seed, float scale) {
  for (int i = 0; i < N; i++) x[i] = scale * freshet_gauss(freshet_random(seed, (uint64_t)i));
}

static void factors_move_alike(void** state) {
  (void)state;
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    printf("%s\n", (*k)->name);
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      fill(a, turn, 1);
      fill(b, turn + 1000, 2);
      assert_true((*k)->dot(a, b, N) == freshet_model_kernels_portable.dot(a, b, N));
      for (int i = 0; i < N; i++) c[i] = d[i] = a[i];
      (*k)->add_scaled(c, .3F, b, N);
      freshet_model_kernels_portable.add_scaled(d, .3F, b, N);
      assert_memory_equal(c, d, sizeof c);
      (*k)->descend(c, 1.7F, b, N);
      freshet_model_kernels_portable.descend(d, 1.7F, b, N);
      assert_memory_equal(c, d, sizeof c);
      for (int i = 0; i < N; i++) {
        assert_true(fabsf(c[i]) <= FRESHET_FACTOR_MAX);
        assert_true(c[i] * 0x1p20F == floorf(c[i] * 0x1p20F));
      }
    }
  }
}

static void exp_and_log_are_close_and_alike(void** state) {
  (void)state;
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      fill(a, turn, turn % 2 == 0 ? 1 : 30);
      for (int i = 0; i < N; i++) c[i] = d[i] = a[i];
      (*k)->exp(c, N);
      freshet_model_kernels_portable.exp(d, N);
      assert_memory_equal(c, d, sizeof c);
      for (int i = 0; i < N; i++) {
        double want = exp(fmax(-87, fmin(88, (double)a[i])));
        assert_true(fabs(c[i] - want) <= 3e-7 * want);
      }
      for (int i = 0; i < N; i++) a[i] = c[i] = d[i] = 1 + a[i] * a[i];
      (*k)->log(c, N);
      freshet_model_kernels_portable.log(d, N);
      assert_memory_equal(c, d, sizeof c);
      for (int i = 0; i < N; i++)
        assert_true(fabs(c[i] - log((double)a[i])) <= 3e-7 * (1 + fabs((double)c[i])));
    }
    float extremes[16] __attribute__((aligned(64))) = {-1e30F, 1e30F, NAN, INFINITY, -INFINITY};
    (*k)->exp(extremes, 16);
    for (int i = 0; i < 16; i++) assert_true(isfinite(extremes[i]) && extremes[i] > 0);
  }
}

static void blend_steps_alike(void** state) {
  (void)state;
  static double x[N], x2[N], squares[N], squares2[N];
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    fill(a, 5, 1);
    for (int i = 0; i < N; i++) {
      x[i] = x2[i] = freshet_grid(a[i]);
      squares[i] = squares2[i] = freshet_grid(.01);
    }
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      fill(b, turn, .1F);
      fill(c, turn + 7, .003F);
      b[turn % N] = 0;
      double kept = x[turn % N];
      (*k)->blend(x, squares, b, c, N);
      freshet_model_kernels_portable.blend(x2, squares2, b, c, N);
      assert_memory_equal(x, x2, sizeof x);
      assert_memory_equal(squares, squares2, sizeof squares);
      assert_true(x[turn % N] == kept);
      assert_true(x[3] == freshet_grid(x[3]));
    }
  }
}

static void searches_find_what_plain_loops_find(void** state) {
  (void)state;
  static _Alignas(64) uint32_t items[N];
  static uint8_t marks[N * 4 + 3];
  uint16_t hits[N + 64];
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      size_t count = 1 + freshet_random(turn, 1) % N;
      size_t expected = 0, least = 0;
      fill(a, turn, 1);
      fill(b, turn + 50, 1);
      for (int i = 0; i < N; i++) a[i] = (float)(int)(4 * a[i]);
      for (int i = 0; i < N; i++) b[i] = (float)(int)(4 * b[i]);
      for (size_t i = 0; i < N * 4; i++)
        marks[i] = freshet_random(turn, i + 900) % 5 == 0 ? (uint8_t)(i | 1) : 0;
      for (size_t i = 0; i < N; i++) items[i] = (uint32_t)(freshet_random(turn, i) % (N * 4));
      size_t found = (*k)->find_marked(items, count, marks, hits);
      for (size_t i = 0; i < count; i++) {
        if (marks[items[i]] != 0) assert_int_equal(hits[expected++], i);
        if (a[i] + b[i] < a[least] + b[least]) least = i;
      }
      assert_int_equal(found, expected);
      assert_int_equal((*k)->smallest(a, b, count), least);
      size_t at = 0;
      while (at < count && items[at] != items[turn % N]) at++;
      assert_int_equal((*k)->find(items, count, items[turn % N]), at);
    }
  }
}

static void integer_products_are_exact(void** state) {
  (void)state;
  enum { ROWS = 7, WIDTH = 384 };
  static _Alignas(64) int8_t rows[ROWS][WIDTH], x[WIDTH];
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    int32_t out[ROWS];
    for (int i = 0; i < WIDTH; i++) {
      x[i] = (int8_t)(freshet_random(1, (uint64_t)i) % 255 - 127);
      for (int r = 0; r < ROWS; r++)
        rows[r][i] = (int8_t)(freshet_random(2, (uint64_t)(r * WIDTH + i)) % 255 - 127);
    }
    (*k)->dots_i8(&rows[0][0], ROWS, x, WIDTH, out);
    for (int r = 0; r < ROWS; r++) {
      int32_t want = 0;
      for (int i = 0; i < WIDTH; i++) want += rows[r][i] * x[i];
      assert_int_equal(out[r], want);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(factors_move_alike),         cmocka_unit_test(exp_and_log_are_close_and_alike),
      cmocka_unit_test(blend_steps_alike),          cmocka_unit_test(searches_find_what_plain_loops_find),
      cmocka_unit_test(integer_products_are_exact),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
