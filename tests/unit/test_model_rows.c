/* Rows of m: an item without one is as if it had one, whenever it gets it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/model_internal.h"

enum { DIM = 32, TEXT_DIM = 80, ITEMS = 5 };

static freshet_model* create(void) {
  freshet_model_config config = freshet_model_defaults();
  freshet_model* model;
  config.dim = DIM;
  config.text_dim = TEXT_DIM;
  assert_int_equal(freshet_model_create(&config, &model, NULL), FRESHET_OK);
  for (uint32_t i = 0; i < ITEMS; i++) {
    char id[16];
    uint32_t slot;
    snprintf(id, sizeof id, "i%u", i);
    assert_int_equal(freshet_model_intern(model, freshet_slice_of(id), &slot, NULL), FRESHET_OK);
  }
  return model;
}

static void set_text(freshet_model* model, uint32_t slot, uint64_t seed, bool has_start) {
  float vector[TEXT_DIM], start[DIM];
  for (uint64_t k = 0; k < TEXT_DIM; k++) vector[k] = freshet_gauss(freshet_random(seed, k));
  for (uint64_t i = 0; i < DIM; i++) start[i] = .3F * freshet_gauss(freshet_random(seed + 1, i));
  assert_int_equal(freshet_model_set_text(model, slot, vector, has_start ? start : NULL, NULL), FRESHET_OK);
}

static void query(const freshet_model* model, float h[DIM]) {
  freshet_user* user = freshet_user_create(model);
  context c;
  for (uint32_t i = 0; i < ITEMS; i++)
    user->recent[i] = (freshet_interaction){.item = i, .time_ms = 1000 - i, .weight = 1};
  user->recent_count = ITEMS;
  user->positives = ITEMS;
  freshet_model_context(model, user, 2000, &c);
  assert_int_equal(c.count, ITEMS);
  freshet_model_user_factor(model, user, &c, h);
  freshet_user_destroy(user);
}

static void a_query_does_not_show_which_items_have_rows(void** state) {
  (void)state;
  freshet_model* model = create();
  _Alignas(64) float without[DIM], with[DIM];
  set_text(model, 1, 7, false);
  set_text(model, 2, 8, true);
  query(model, without);
  for (uint32_t i = 0; i < ITEMS; i++) {
    assert_null(freshet_model_context_factor(model, i));
    assert_non_null(freshet_model_own_context_factor(model, i));
    query(model, with);
    assert_memory_equal(with, without, sizeof with);
  }
  assert_int_equal(model->context_count, ITEMS);
  freshet_model_destroy(model);
}

/* A text that comes, changes and goes moves a row as far as it moves the start. */
static void a_text_moves_a_row_as_it_moves_the_start(void** state) {
  (void)state;
  freshet_model *early = create(), *late = create();
  float a[DIM], b[DIM];
  freshet_model_own_context_factor(early, 3);
  for (uint64_t seed = 1; seed < 9; seed++) {
    set_text(early, 3, seed, seed % 3 == 0);
    set_text(late, 3, seed, seed % 3 == 0);
    freshet_model_read_context_factor(early, 3, a);
    freshet_model_read_context_factor(late, 3, b);
    assert_memory_equal(a, b, sizeof a);
  }
  assert_int_equal(freshet_model_set_text(early, 3, NULL, NULL, NULL), FRESHET_OK);
  freshet_model_read_context_factor(early, 3, a);
  freshet_model_start_factors(early, early->items[3].key, NULL, b);
  assert_memory_equal(a, b, sizeof a);
  freshet_model_destroy(early);
  freshet_model_destroy(late);
}

/* The values before a change are kept, though the row is made after the item was touched. */
static void a_row_that_is_made_later_has_not_changed(void** state) {
  (void)state;
  freshet_model* model = create();
  freshet_model_touch(model, 4);
  const float* m = freshet_model_own_context_factor(model, 4);
  const float* before = freshet_model_rows_before(model, 4);
  assert_memory_equal(before, freshet_model_factor(model, 4), DIM * sizeof *m);
  assert_memory_equal(before + DIM, m, DIM * sizeof *m);
  set_text(model, 4, 11, false);
  assert_memory_equal(before + DIM, m, DIM * sizeof *m);
  freshet_model_destroy(model);
}

static void rows_grow_with_the_items_that_have_one(void** state) {
  (void)state;
  freshet_model* model = create();
  for (uint32_t i = 0; i < 5000; i++) {
    uint32_t slot;
    assert_int_equal(freshet_model_intern_key(model, freshet_random(3, i), &slot, NULL), FRESHET_OK);
    if (i % 4 == 0) freshet_model_own_context_factor(model, slot)[0] = (float)i;
  }
  assert_in_range(model->context_capacity, 1250, 2500);
  for (uint32_t i = 0; i < 5000; i++) {
    const float* m = freshet_model_context_factor(model, freshet_model_find_key(model, freshet_random(3, i)));
    if (i % 4 == 0) assert_true(m[0] == (float)i);
    if (i % 4 != 0) assert_null(m);
  }
  freshet_model_destroy(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_query_does_not_show_which_items_have_rows),
      cmocka_unit_test(a_text_moves_a_row_as_it_moves_the_start),
      cmocka_unit_test(a_row_that_is_made_later_has_not_changed),
      cmocka_unit_test(rows_grow_with_the_items_that_have_one),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
