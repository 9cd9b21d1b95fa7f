/* The selection against sorting, and marks against a plain array. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rank_select.h"

static uint64_t seed = 2463534242u;

static uint32_t below(uint32_t bound) { /* xorshift64 */
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (uint32_t)((seed >> 20) % bound);
}

static float uniform(void) {
  return (float)below(1 << 20) * 0x1p-19f - 1;
}

/* Values of one of several kinds: smooth, many ties, all equal, infinite ends. */
static void fill(float* values, size_t count, int kind) {
  for (size_t i = 0; i < count; i++) {
    values[i] = kind == 0 ? uniform() : kind == 1 ? (float)below(4) : kind == 2 ? 7 : 1e30f * uniform();
    if (kind == 3 && below(4) == 0) values[i] = below(2) ? INFINITY : -INFINITY;
  }
}

static size_t count_reaching(const float* values, size_t count, float threshold) {
  size_t reaching = 0;
  for (size_t i = 0; i < count; i++) reaching += values[i] >= threshold;
  return reaching;
}

static void k_rows_reach_it(void** state) {
  (void)state;
  print_message("seed %llu\n", (unsigned long long)seed);
  for (int round = 0; round < 4000; round++) {
    float values[512], copy[512];
    size_t count = 1 + below(400), k = 1 + below((uint32_t)count);
    fill(values, count, round % 4);
    memcpy(copy, values, sizeof copy);
    for (int choice = FRESHET_KERNEL_AUTO; choice <= FRESHET_KERNEL_AVX512; choice++) {
      const freshet_rank_kernel_table* kernel = freshet_rank_kernel_find((freshet_rank_kernel)choice);
      if (kernel == NULL) continue;
      float reached = kernel->reached(values, count, k);
      assert_memory_equal(values, copy, count * sizeof *values);
      assert_true(count_reaching(values, count, reached) >= k);
      if (round % 4 == 0) assert_true(count_reaching(values, count, reached) <= k + k / 8 + 3);
    }
  }
}

static void prune_keeps_what_may_win(void** state) {
  (void)state;
  for (int round = 0; round < 2000; round++) {
    float lower[512], upper[512], all_lower[512], all_upper[512];
    uint32_t rows[512];
    uint32_t count = below(400);
    size_t k = 1 + below(60);
    fill(lower, count, round % 3);
    for (uint32_t i = 0; i < count; i++) {
      upper[i] = lower[i] + 0.2f * fabsf(uniform());
      rows[i] = i;
    }
    memcpy(all_lower, lower, sizeof lower);
    memcpy(all_upper, upper, sizeof upper);
    freshet_rank_sieve sieve = {
        .floor = -FLT_MAX, .count = count, .capacity = 512, .lower = lower, .upper = upper, .rows = rows};
    freshet_rank_prune(&sieve, k, freshet_rank_portable.reached);
    if (count < k) {
      assert_int_equal(sieve.count, count);
      assert_true(sieve.floor == -FLT_MAX);
      continue;
    }
    assert_true(count_reaching(all_lower, count, sieve.floor) >= k);
    assert_int_equal(sieve.count, count_reaching(all_upper, count, sieve.floor));
    for (uint32_t i = 0; i < sieve.count; i++) {
      assert_true(lower[i] == all_lower[rows[i]] && upper[i] == all_upper[rows[i]]);
      assert_true(i == 0 || rows[i] > rows[i - 1]);
    }
  }
}

static int downwards(const void* context, uint32_t a, uint32_t b) {
  assert_ptr_equal(context, &seed);
  return (a < b) - (a > b);
}

static int by_rank(const void* left, const void* right) {
  const freshet_rank_scored *a = left, *b = right;
  if (a->score != b->score) return a->score > b->score ? -1 : 1;
  return (a->slot < b->slot) - (a->slot > b->slot);
}

static void best_are_sorted(void** state) {
  (void)state;
  const freshet_rank_order order = {downwards, &seed};
  for (int round = 0; round < 2000; round++) {
    freshet_rank_scored entries[300], sorted[300];
    size_t count = below(300), k = 1 + below(100);
    for (uint32_t i = 0; i < count; i++) {
      double score = round % 2 ? (double)below(5) : (double)uniform();
      entries[i] = (freshet_rank_scored){score, i, i};
    }
    memcpy(sorted, entries, sizeof sorted);
    qsort(sorted, count, sizeof *sorted, by_rank);
    size_t size = freshet_rank_best(entries, count, k, &order);
    assert_int_equal(size, count < k ? count : k);
    for (size_t i = 0; i < size; i++) assert_int_equal(entries[i].slot, sorted[i].slot);
  }
}

static void ties_by_number_without_an_order(void** state) {
  (void)state;
  freshet_rank_scored entries[] = {{1, 5, 0}, {1, 3, 1}, {2, 9, 2}, {1, 4, 3}};
  assert_int_equal(freshet_rank_best(entries, 4, 3, &(freshet_rank_order){0}), 3);
  assert_int_equal(entries[0].slot, 9);
  assert_int_equal(entries[1].slot, 3);
  assert_int_equal(entries[2].slot, 4);
}

static void marks_remember(void** state) {
  (void)state;
  enum { ROWS = 3000 };
  for (int round = 0; round < 200; round++) {
    size_t count = below(200);
    size_t size = freshet_rank_marks_size(count);
    void* memory = malloc(freshet_rank_marks_memory(size));
    freshet_rank_marks marks = freshet_rank_marks_make(memory, size);
    bool* known = calloc(ROWS, sizeof *known);
    for (size_t i = 0; i < count; i++) {
      uint32_t row = below(ROWS);
      freshet_rank_marks_add(&marks, row);
      known[row] = true;
    }
    size_t suspects = 0;
    for (uint32_t row = 0; row < ROWS; row++) {
      assert_int_equal(freshet_rank_marks_has(&marks, row), known[row]);
      if (known[row]) assert_true(freshet_rank_marks_maybe(&marks, row));
      suspects += freshet_rank_marks_maybe(&marks, row) && !known[row];
    }
    assert_true(suspects < ROWS / 8); /* the filter is of use */
    free(memory);
    free(known);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(k_rows_reach_it), cmocka_unit_test(prune_keeps_what_may_win),
      cmocka_unit_test(best_are_sorted), cmocka_unit_test(ties_by_number_without_an_order),
      cmocka_unit_test(marks_remember),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
