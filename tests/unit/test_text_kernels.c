#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/kernels.h"

/* Each instruction set that this CPU runs, against loops in double precision. */

static const char* const names[] = {"portable", "avx2", "avx512"};
enum { NAMES = sizeof names / sizeof *names, SEED = 20260101 };

static float* random_floats(size_t count, float spread) {
  float* values = aligned_alloc(64, (count * sizeof *values + 63) / 64 * 64);
  for (size_t i = 0; i < count; i++) values[i] = spread * ((float)rand() / (float)RAND_MAX * 2 - 1);
  return values;
}

static double reference_gelu(double x) {
  return x * 0.5 * (1 + erf(x / sqrt(2)));
}

typedef struct shape {
  size_t rows, k, n;
} shape;

static const shape shapes[] = {{1, 32, 32},   {2, 64, 96},  {5, 4, 32},
                               {12, 384, 64}, {13, 96, 32}, {31, 32, 128}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void expect_product(const float* c, const double* expected, size_t count, double tolerance,
                           const char* name) {
  for (size_t i = 0; i < count; i++) {
    if (fabs(c[i] - expected[i]) > tolerance) {
      fail_msg("%s, seed %d: value %zu is %g, expected %g", name, SEED, i, (double)c[i], expected[i]);
    }
  }
}

static double* reference_product(const float* a, const float* b, const float* bias, shape s, int activation) {
  double* c = calloc(s.rows * s.n, sizeof *c);
  for (size_t i = 0; i < s.rows; i++) {
    for (size_t j = 0; j < s.n; j++) {
      double sum = bias == NULL ? 0 : bias[j];
      for (size_t l = 0; l < s.k; l++) sum += (double)a[i * s.k + l] * b[j * s.k + l];
      c[i * s.n + j] = activation == FRESHET_ACTIVATION_GELU ? reference_gelu(sum) : sum;
    }
  }
  return c;
}

static void check_multiply(const freshet_kernels* kernels, shape s, freshet_activation activation) {
  float* a = random_floats(s.rows * s.k, 1);
  float* b = random_floats(s.n * s.k, 1); /* [n][k] */
  float* turned = random_floats(s.n * s.k, 1);
  float* bias = random_floats(s.n, 1);
  float* panels = random_floats(s.n * s.k, 1);
  float* c = random_floats(s.rows * s.n, 1);
  double* expected = reference_product(a, b, bias, s, activation);
  kernels->pack_columns(b, s.k, s.n, s.k, panels);
  kernels->multiply(a, s.k, s.rows, s.k, panels, s.n, bias, activation, c, s.n);
  expect_product(c, expected, s.rows * s.n, 1e-4, kernels->name);
  for (size_t j = 0; j < s.n; j++) {
    for (size_t l = 0; l < s.k; l++) turned[l * s.n + j] = b[j * s.k + l];
  }
  kernels->pack_rows(turned, s.n, s.n, s.k, panels);
  kernels->multiply(a, s.k, s.rows, s.k, panels, s.n, bias, activation, c, s.n);
  expect_product(c, expected, s.rows * s.n, 1e-4, kernels->name);
  free(a), free(b), free(turned), free(bias), free(panels), free(c), free(expected);
}

static void products_are_those_of_plain_loops(void** state) {
  (void)state;
  srand(SEED);
  for (int i = 0; i < NAMES; i++) {
    const freshet_kernels* kernels = freshet_kernels_find(names[i]);
    for (int j = 0; kernels != NULL && j < SHAPES; j++) {
      check_multiply(kernels, shapes[j], FRESHET_ACTIVATION_NONE);
      check_multiply(kernels, shapes[j], FRESHET_ACTIVATION_GELU);
    }
  }
}

static void narrow_matrices_are_padded_with_zeros(void** state) {
  (void)state;
  srand(SEED);
  for (int i = 0; i < NAMES; i++) {
    const freshet_kernels* kernels = freshet_kernels_find(names[i]);
    if (kernels == NULL) continue;
    float *b = random_floats(7 * 40, 1), *panels = random_floats(32 * 40, 1), *a = random_floats(3 * 40, 1);
    float c[3 * 32];
    kernels->pack_columns(b, 40, 7, 40, panels);
    kernels->multiply(a, 40, 3, 40, panels, 32, NULL, FRESHET_ACTIVATION_NONE, c, 32);
    for (int j = 0; j < 3 * 32; j++) {
      if (j % 32 < 7 ? c[j] == 0 : c[j] != 0) fail_msg("%s: column %d is %g", names[i], j % 32, (double)c[j]);
    }
    free(a), free(b), free(panels);
  }
}

/* A quantised input, whichever width these kernels keep it in. */
static int input_at(const freshet_kernels* kernels, const void* q, size_t index) {
  return kernels->input_size == 1 ? ((const uint8_t*)q)[index] : ((const uint16_t*)q)[index];
}

typedef struct packed_int8 {
  int8_t* panels;
  float *scales, *sums, *c;
  void* q;
  freshet_row_range* ranges;
} packed_int8;

static packed_int8 multiply_int8(const freshet_kernels* kernels, const float* a, const float* b,
                                 const float* bias, shape s) {
  packed_int8 p = {.panels = aligned_alloc(64, s.n * s.k),
                   .scales = calloc(s.n, sizeof(float)),
                   .sums = calloc(s.n, sizeof(float)),
                   .c = calloc(s.rows * s.n, sizeof(float)),
                   .q = calloc(s.rows * s.k, kernels->input_size),
                   .ranges = calloc(s.rows, sizeof(freshet_row_range))};
  kernels->pack_int8(b, s.n, s.k, p.panels, p.scales, p.sums);
  kernels->quantize(a, s.k, s.rows, s.k, p.q, p.ranges);
  kernels->multiply_int8(p.q, p.ranges, s.rows, s.k, p.panels, p.scales, p.sums, s.n, bias,
                         FRESHET_ACTIVATION_NONE, p.c, s.n);
  return p;
}

static void free_int8(packed_int8* p) {
  free(p->panels), free(p->scales), free(p->sums), free(p->c), free(p->q), free(p->ranges);
}

static void products_in_8_bits_are_close_and_alike_everywhere(void** state) {
  (void)state;
  srand(SEED);
  for (int j = 0; j < SHAPES; j++) {
    shape s = shapes[j];
    if (s.k % 32 != 0) continue;
    float *a = random_floats(s.rows * s.k, 2), *b = random_floats(s.n * s.k, 1),
          *bias = random_floats(s.n, 1);
    double* expected = reference_product(a, b, bias, s, FRESHET_ACTIVATION_NONE);
    packed_int8 portable = multiply_int8(freshet_kernels_find("portable"), a, b, bias, s);
    expect_product(portable.c, expected, s.rows * s.n, 0.03 * sqrt((double)s.k), "portable");
    for (int i = 1; i < NAMES; i++) {
      const freshet_kernels* kernels = freshet_kernels_find(names[i]);
      if (kernels == NULL) continue;
      packed_int8 other = multiply_int8(kernels, a, b, bias, s);
      for (size_t l = 0; l < s.rows * s.k; l++) {
        assert_int_equal(input_at(kernels, other.q, l), ((uint8_t*)portable.q)[l]);
      }
      for (size_t l = 0; l < s.rows * s.n; l++) assert_true(fabsf(other.c[l] - portable.c[l]) < 1e-4F);
      free_int8(&other);
    }
    free_int8(&portable);
    free(a), free(b), free(bias), free(expected);
  }
}

static void a_constant_row_quantises_without_dividing_by_zero(void** state) {
  (void)state;
  for (int i = 0; i < NAMES; i++) {
    const freshet_kernels* kernels = freshet_kernels_find(names[i]);
    if (kernels == NULL) continue;
    float a[32];
    uint16_t q[32];
    freshet_row_range range;
    for (int j = 0; j < 32; j++) a[j] = -3;
    kernels->quantize(a, 32, 1, 32, q, &range);
    for (size_t j = 0; j < 32; j++) {
      float value = range.scale * (float)input_at(kernels, q, j) + range.minimum;
      assert_true(fabsf(value + 3) < 1e-6F);
    }
  }
}

static void normalised_rows_have_mean_zero_and_variance_one(void** state) {
  (void)state;
  enum { ROWS = 3, N = 96 };
  srand(SEED);
  for (int i = 0; i < NAMES; i++) {
    const freshet_kernels* kernels = freshet_kernels_find(names[i]);
    if (kernels == NULL) continue;
    float *x = random_floats(ROWS * N, 5), *y = random_floats(ROWS * N, 5), *g = random_floats(N, 1),
          *b = random_floats(N, 1);
    double expected[ROWS * N];
    for (int r = 0; r < ROWS; r++) {
      double mean = 0, variance = 0;
      for (int j = 0; j < N; j++) mean += ((double)x[r * N + j] + y[r * N + j]) / N;
      for (int j = 0; j < N; j++) variance += pow((double)x[r * N + j] + y[r * N + j] - mean, 2) / N;
      for (int j = 0; j < N; j++) {
        expected[r * N + j] =
            ((double)x[r * N + j] + y[r * N + j] - mean) / sqrt(variance + 1e-12) * g[j] + b[j];
      }
    }
    kernels->layer_norm(x, y, ROWS, N, g, b, 1e-12F);
    expect_product(x, expected, (size_t)ROWS * N, 1e-5, names[i]);
    free(x), free(y), free(g), free(b);
  }
}

static void softmax_sums_to_one_over_the_valid_values(void** state) {
  (void)state;
  srand(SEED);
  for (int i = 0; i < NAMES; i++) {
    const freshet_kernels* kernels = freshet_kernels_find(names[i]);
    for (size_t n = 1; kernels != NULL && n <= 64; n += 9) {
      float* x = random_floats(2 * 64, 40);
      double expected[2 * 64] = {0};
      for (size_t r = 0; r < 2; r++) {
        double most = -INFINITY, sum = 0;
        for (size_t j = 0; j < n; j++) most = fmax(most, x[r * 64 + j]);
        for (size_t j = 0; j < n; j++) sum += expected[r * 64 + j] = exp(0.5 * (x[r * 64 + j] - most));
        for (size_t j = 0; j < n; j++) expected[r * 64 + j] /= sum;
      }
      kernels->softmax(x, 64, 2, n, 0.5F);
      expect_product(x, expected, n, 1e-6, names[i]);
      expect_product(x + 64, expected + 64, n, 1e-6, names[i]);
      for (size_t j = n; j < (n + 15) / 16 * 16 && j < (n + 3) / 4 * 4; j++) assert_true(x[j] == 0);
      free(x);
    }
  }
}

static void the_best_kernels_are_among_them(void** state) {
  (void)state;
  printf("best: %s\n", freshet_kernels_best()->name);
  assert_ptr_equal(freshet_kernels_find(freshet_kernels_best()->name), freshet_kernels_best());
  assert_null(freshet_kernels_find("mmx"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_are_those_of_plain_loops),
      cmocka_unit_test(narrow_matrices_are_padded_with_zeros),
      cmocka_unit_test(products_in_8_bits_are_close_and_alike_everywhere),
      cmocka_unit_test(a_constant_row_quantises_without_dividing_by_zero),
      cmocka_unit_test(normalised_rows_have_mean_zero_and_variance_one),
      cmocka_unit_test(softmax_sums_to_one_over_the_valid_values),
      cmocka_unit_test(the_best_kernels_are_among_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
