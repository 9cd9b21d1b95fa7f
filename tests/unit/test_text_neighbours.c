/* Nearest items by text, found for many at once or one by one, against a comparison of all with all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/maths.h"
#include "freshet/model.h"

enum { DIM = 16, TEXT_DIM = 80, ITEMS = 333, K = FRESHET_TEXT_NEIGHBOURS };

static void set_text(freshet_model* model, uint32_t slot, uint64_t seed) {
  float vector[TEXT_DIM];
  for (uint64_t k = 0; k < TEXT_DIM; k++) {
    vector[k] = freshet_gauss(freshet_random(slot / 30, k)) +
                freshet_gauss(freshet_random(seed * ITEMS + slot + 1000, k));
  }
  assert_int_equal(freshet_model_set_text(model, slot, vector, NULL, NULL), FRESHET_OK);
}

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

/* As many items as the list has room for, none twice, and none left out that is nearer than the farthest. */
static void check_list(freshet_model* model, uint32_t slot) {
  uint32_t near[K];
  bool listed[ITEMS] = {false};
  float farthest = 2;
  assert_int_equal(freshet_model_text_neighbours(model, slot, near), K);
  for (int i = 0; i < K; i++) {
    assert_false(listed[near[i]]);
    listed[near[i]] = true;
    float cosine = freshet_model_text_likeness(model, slot, near[i]);
    farthest = cosine < farthest ? cosine : farthest;
  }
  assert_false(listed[slot]);
  for (uint32_t i = 0; i < ITEMS; i++) {
    if (i != slot && !listed[i]) assert_true(freshet_model_text_likeness(model, slot, i) <= farthest);
  }
}

static void lists_hold_the_nearest(void** state) {
  (void)state;
  for (uint32_t at_once = 1; at_once <= ITEMS; at_once = at_once * 3 + 1) {
    uint32_t near[K];
    freshet_model* model = create();
    for (uint32_t i = 0; i < ITEMS; i++) {
      set_text(model, i * 7 % ITEMS, 0); /* not in the order of slots */
      if ((i + 1) % at_once == 0) freshet_model_text_neighbours(model, 0, near);
    }
    for (uint32_t i = 0; i < ITEMS; i++) check_list(model, i);
    freshet_model_destroy(model);
  }
}

/* Texts that change, or go, before anybody has asked. */
static void what_changes_meanwhile_is_found_as_it_is(void** state) {
  (void)state;
  uint32_t near[K];
  freshet_model* model = create();
  for (uint32_t i = 0; i < ITEMS; i++) set_text(model, i, 1);
  for (uint32_t i = 0; i < ITEMS; i += 2) set_text(model, i, 0);
  assert_int_equal(freshet_model_set_text(model, 5, NULL, NULL, NULL), FRESHET_OK);
  for (uint32_t i = 0; i < ITEMS; i++) {
    if (i != 5) check_list(model, i);
  }
  assert_int_equal(freshet_model_text_neighbours(model, 5, near), 0);
  set_text(model, 5, 0);
  check_list(model, 5);
  freshet_model_destroy(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_hold_the_nearest),
      cmocka_unit_test(what_changes_meanwhile_is_found_as_it_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
