/* test_model_table.c: the table of keys while it grows: who looks up and who draws finds what is there, after each item. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/model_internal.h"

enum { ITEMS = 1500, DRAWS = 16 };

static int by_key(const void* a, const void* b, void* given) {
  const freshet_model* model = given;
  const uint64_t x = model->items[*(const uint32_t*)a].key, y = model->items[*(const uint32_t*)b].key;
  return (x > y) - (x < y);
}

/* The slot with the target-th unit of `weights` [count] (NULL: 1 each) in the order of keys. */
static uint32_t drawn_slowly(const uint32_t* sorted, size_t count, const uint32_t* weights, int64_t target) {
  for (size_t i = 0; i < count; i++) {
    const int64_t weight = weights == NULL ? 1 : weights[sorted[i]];
    if (target < weight) return sorted[i];
    target -= weight;
  }
  fail_msg("nothing to draw");
  return 0;
}

static uint32_t drawn(const freshet_model* model, const int64_t* tree, const uint32_t* weights,
                      int64_t target) {
  int64_t bucket;
  model->kernels->descend_tree(tree, model->keys.bits, &target, &bucket, 1);
  uint32_t at = model->keys.buckets[bucket];
  for (; target >= (weights == NULL ? 1 : weights[at]); at = model->items[at].next)
    target -= weights == NULL ? 1 : weights[at];
  return at;
}

static void a_growing_table_is_always_right(void** state) {
  (void)state;
  freshet_model_config config = freshet_model_defaults();
  freshet_model* model;
  uint32_t sorted[ITEMS], slot, seen_bits = 0;
  uint64_t random = 1;
  config.dim = FRESHET_LANES;
  assert_int_equal(freshet_model_create(&config, &model, NULL), FRESHET_OK);
  for (uint32_t n = 1; n <= ITEMS; n++) {
    /* keys of which many share a bucket */
    random = freshet_mix64(random);
    const uint64_t key = n % 3 == 0 ? random >> 6 : random;
    assert_int_equal(freshet_model_intern_key(model, key, &slot, NULL), FRESHET_OK);
    sorted[n - 1] = slot;
    qsort_r(sorted, n, sizeof *sorted, by_key, model);
    freshet_model_count_add(model, sorted[random % n], 16);
    freshet_model_count_add(model, slot, (uint32_t)(random % 3) * 16);
    for (uint32_t i = 0; i < n; i += 1 + n / 64)
      assert_int_equal(freshet_model_find_key(model, model->items[sorted[i]].key), sorted[i]);
    for (uint64_t d = 0; d < DRAWS; d++) {
      const int64_t unit = (int64_t)(freshet_random(random, d) % (uint64_t)model->total_count);
      const int64_t place = (int64_t)(freshet_random(random, DRAWS + d) % n);
      assert_int_equal(drawn(model, model->keys.frequency, model->counts, unit),
                       drawn_slowly(sorted, n, model->counts, unit));
      assert_int_equal(drawn(model, model->keys.presence, NULL, place), sorted[place]);
    }
    seen_bits |= 1U << model->keys.bits;
  }
  assert_int_equal(seen_bits, 0x1fc0); /* 2^6 to 2^12 buckets */
  freshet_model_destroy(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_growing_table_is_always_right)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
