/* How rows move: random insertions, changes and removals, every invariant checked on the way. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rank_index.h"

enum { DIM = 21, SLOTS = 700 };

static uint64_t seed = 88172645463325252u;

static uint32_t below(uint32_t bound) { /* xorshift64 */
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (uint32_t)((seed >> 20) % bound);
}

static float uniform(void) {
  return (float)below(1 << 20) * 0x1p-19f - 1;
}

struct item {
  bool set;
  float row[DIM];
  float bias;
};

static double value_of_code(const freshet_rank_index* index, uint32_t row, size_t d) {
  size_t panel = row / FRESHET_PANEL;
  size_t place = ((panel * index->groups + d / 4) * FRESHET_PANEL + row % FRESHET_PANEL) * 4 + d % 4;
  return ((double)index->codes[place] - FRESHET_RANK_CODE_ZERO) * (double)index->scales[row];
}

static void check_row(const freshet_rank_index* index, uint32_t row, const struct item* item) {
  double square = 0, error = 0;
  assert_memory_equal(index->rows + row * index->stride, item->row, sizeof item->row);
  for (size_t d = DIM; d < index->stride; d++) assert_true(index->rows[row * index->stride + d] == 0);
  for (size_t d = 0; d < DIM; d++) {
    double value = (double)item->row[d];
    double difference = index->groups > 0 ? value - value_of_code(index, row, d) : 0;
    square += value * value;
    error += difference * difference;
  }
  for (size_t d = DIM; d < index->groups * 4; d++) assert_true(value_of_code(index, row, d) == 0);
  assert_true(index->biases[row] == item->bias);
  /* Bounds, but not wasteful ones. */
  assert_true((double)index->norms[row] >= sqrt(square));
  assert_true((double)index->norms[row] <= sqrt(square) * (1 + 1e-6) + 1e-44);
  assert_true((double)index->errors[row] >= sqrt(error));
  assert_true((double)index->errors[row] <= sqrt(error) * (1 + 1e-6) + 1e-44);
  /* At most half a step in each coordinate. */
  assert_true(sqrt(error) <= (double)index->scales[row] * 0.501 * sqrt(DIM));
}

static void check_panel(const freshet_rank_index* index, size_t panel) {
  float norm = 0, error = 0, bias = -INFINITY, size = 0;
  for (size_t row = panel * FRESHET_PANEL; row < (panel + 1) * FRESHET_PANEL; row++) {
    if (row >= index->count) {
      assert_true(index->biases[row] == -INFINITY);
      assert_true(index->norms[row] == 0 && index->errors[row] == 0 && index->scales[row] == 0);
      continue;
    }
    norm = fmaxf(norm, index->norms[row]);
    error = fmaxf(error, index->errors[row]);
    bias = fmaxf(bias, index->biases[row]);
    size = fmaxf(size, fabsf(index->biases[row]));
  }
  assert_true(index->bounds.norms[panel] == norm);
  assert_true(index->bounds.errors[panel] == error);
  assert_true(index->bounds.biases[panel] == bias);
  assert_true(index->bounds.slacks[panel] >= 16 * 0x1p-24f * size);
}

static void check_index(const freshet_rank_index* index, const struct item* items) {
  uint32_t count = 0;
  for (uint32_t slot = 0; slot < SLOTS; slot++) {
    uint32_t row = freshet_rank_index_row(index, slot);
    assert_int_equal(row != FRESHET_RANK_NO_ROW, items[slot].set);
    if (!items[slot].set) continue;
    count++;
    assert_true(row < index->count);
    assert_int_equal(index->slots[row], slot);
    check_row(index, row, &items[slot]);
  }
  assert_int_equal(index->count, count);
  /* Bands follow each other without gaps, and each row lies in its own. */
  uint32_t row = 0;
  for (uint32_t band = 0; band < FRESHET_RANK_BANDS; band++) {
    for (; row < index->band_end[band]; row++) assert_int_equal(freshet_rank_band(index->norms[row]), band);
    assert_int_equal(row, index->band_end[band]);
  }
  assert_int_equal(row, count);
  for (size_t panel = 0; panel < freshet_rank_index_panels(index); panel++) check_panel(index, panel);
}

static void change_one(freshet_rank_index* index, struct item* items) {
  uint32_t slot = below(SLOTS);
  struct item* item = &items[slot];
  switch (below(4)) {
    case 0:
      freshet_rank_index_remove(index, slot);
      item->set = false;
      return;
    case 1: /* a step of learning: mostly within the band */
      for (size_t d = 0; d < DIM; d++) item->row[d] *= 1 + 0.05f * uniform();
      break;
    default: {
      float size = below(50) == 0 ? 0 : expf(4 * uniform());
      for (size_t d = 0; d < DIM; d++) item->row[d] = size * uniform();
    }
  }
  item->bias = uniform();
  item->set = true;
  assert_int_equal(freshet_rank_index_set(index, slot, item->row, item->bias, NULL), FRESHET_OK);
}

static void rows_move(void** state) {
  (void)state;
  print_message("seed %llu\n", (unsigned long long)seed);
  for (int choice = FRESHET_KERNEL_PORTABLE; choice <= FRESHET_KERNEL_AVX512; choice++) {
    freshet_rank_index index;
    const freshet_rank_kernel_table* kernel = freshet_rank_kernel_find((freshet_rank_kernel)choice);
    if (kernel == NULL) continue;
    assert_int_equal(
        freshet_rank_index_create(&index, &(freshet_ranker_config){.dim = DIM, .capacity = 5}, kernel, NULL),
        FRESHET_OK);
    struct item* items = calloc(SLOTS, sizeof *items);
    for (int round = 0; round < 300; round++) {
      for (int i = 0; i < 1 + round / 3; i++) change_one(&index, items);
      check_index(&index, items);
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
      freshet_rank_index_remove(&index, slot);
      items[slot].set = false;
      if (slot % 50 == 0) check_index(&index, items);
    }
    check_index(&index, items);
    free(items);
    freshet_rank_index_free(&index);
  }
}

/* Growing keeps everything; slots may be anywhere. */
static void grows(void** state) {
  (void)state;
  freshet_rank_index index;
  assert_int_equal(freshet_rank_index_create(&index, &(freshet_ranker_config){.dim = 3},
                                             freshet_rank_kernel_find(FRESHET_KERNEL_AUTO), NULL),
                   FRESHET_OK);
  size_t before = freshet_rank_index_memory(&index);
  for (uint32_t i = 0; i < 5000; i++) {
    float row[3] = {(float)i, 1, -1};
    assert_int_equal(freshet_rank_index_set(&index, i * 7, row, (float)i, NULL), FRESHET_OK);
  }
  assert_true(freshet_rank_index_memory(&index) > before);
  for (uint32_t i = 0; i < 5000; i++) {
    uint32_t row = freshet_rank_index_row(&index, i * 7);
    assert_true(row < index.count);
    assert_true(index.rows[row * index.stride] == (float)i && index.biases[row] == (float)i);
  }
  assert_int_equal(freshet_rank_index_row(&index, 1), FRESHET_RANK_NO_ROW);
  assert_int_equal(freshet_rank_index_row(&index, 4000000000u), FRESHET_RANK_NO_ROW);
  assert_int_equal(freshet_rank_index_set(&index, UINT32_MAX, (float[]){1, 1, 1}, 0, NULL),
                   FRESHET_NO_MEMORY);
  freshet_rank_index_remove(&index, UINT32_MAX);
  freshet_rank_index_free(&index);
}

/* Slots come in the order of their panels, each as often as before, and to fetch any of them is allowed. */
static void sorts_by_place(void** state) {
  (void)state;
  enum { MANY = 70000, TAKEN = 3000 }; /* more panels than one pass of the sort tells apart */
  freshet_rank_index index;
  assert_int_equal(freshet_rank_index_create(&index, &(freshet_ranker_config){.dim = 3},
                                             freshet_rank_kernel_find(FRESHET_KERNEL_AUTO), NULL),
                   FRESHET_OK);
  for (uint32_t i = 0; i < MANY; i++)
    assert_int_equal(freshet_rank_index_set(&index, i, (float[]){expf(3 * uniform()), 1, 0}, 0, NULL),
                     FRESHET_OK);
  for (size_t count = 0; count <= TAKEN; count = count * 4 + 3) {
    uint32_t slots[TAKEN];
    uint64_t sum = 0, sorted_sum = 0;
    for (size_t i = 0; i < count; i++) sum += slots[i] = below(MANY);
    if (count > 100) freshet_rank_index_remove(&index, slots[50]);
    freshet_rank_index_sort(&index, slots, count);
    for (size_t i = 0; i < count; i++) {
      sorted_sum += slots[i];
      freshet_rank_index_fetch(&index, slots[i]);
      if (count < 100 || i == 0) continue;
      assert_true(freshet_rank_index_row(&index, slots[i - 1]) / FRESHET_PANEL <=
                  freshet_rank_index_row(&index, slots[i]) / FRESHET_PANEL);
    }
    assert_true(sorted_sum == sum);
  }
  freshet_rank_index_fetch(&index, UINT32_MAX);
  freshet_rank_index_free(&index);
}

static void bands_descend(void** state) {
  (void)state;
  assert_int_equal(freshet_rank_band(0), FRESHET_RANK_BANDS - 1);
  assert_int_equal(freshet_rank_band(1e-30f), FRESHET_RANK_BANDS - 1);
  assert_int_equal(freshet_rank_band(1e30f), 0);
  assert_int_equal(freshet_rank_band(INFINITY), 0);
  assert_int_equal(freshet_rank_band(1) - freshet_rank_band(2), 8);
  for (float norm = 1e-6f; norm < 1e6f; norm *= 1.01f) {
    uint32_t band = freshet_rank_band(norm), longer = freshet_rank_band(norm * 1.126f);
    assert_true(longer < band || band == 0 || norm < 0x1p-16f);
  }
}

static void codes_of_a_vector(void** state) {
  (void)state;
  const freshet_rank_kernel_table* kernel = freshet_rank_kernel_find(FRESHET_KERNEL_AUTO);
  if (kernel->round == NULL) skip(); /* this CPU's kernel reads rows */
  for (int round = 0; round < 1000; round++) {
    enum { PADDED = (DIM + FRESHET_RANK_LANES - 1) / FRESHET_RANK_LANES * FRESHET_RANK_LANES };
    float values[PADDED] = {0}, scale;
    int8_t codes[PADDED];
    const int levels = round % 2 ? 127 : 63;
    float size = round % 10 == 9 ? 1e-42f : expf(20 * uniform());
    for (size_t d = 0; d < DIM; d++) values[d] = round % 10 == 8 ? 0 : size * uniform();
    float bound = freshet_rank_encode(kernel, values, PADDED, kernel->measure(values, PADDED).largest, levels,
                                      codes, &scale);
    double error = 0;
    for (size_t d = 0; d < DIM; d++) {
      assert_in_range(codes[d] + levels, 0, 2 * levels);
      double difference = (double)values[d] - codes[d] * (double)scale;
      error += difference * difference;
    }
    for (size_t d = DIM; d < PADDED; d++) assert_int_equal(codes[d], 0);
    assert_true((double)bound >= sqrt(error));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_move),         cmocka_unit_test(grows),
      cmocka_unit_test(sorts_by_place),    cmocka_unit_test(bands_descend),
      cmocka_unit_test(codes_of_a_vector),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
