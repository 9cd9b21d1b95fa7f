/* A model learns the same bits at every level of the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/model_internal.h"

enum { ITEMS = 400, USERS = 20, EVENTS = 3000, TEXT_DIM = 70 };

static uint64_t learn_with(const freshet_model_kernels* kernels) {
  freshet_model_config config = freshet_model_defaults();
  freshet_model* model = NULL;
  freshet_user* users[USERS];
  config.text_dim = TEXT_DIM;
  assert_int_equal(freshet_model_create(&config, &model, NULL), FRESHET_OK);
  model->kernels = kernels;
  for (uint64_t i = 0; i < ITEMS; i++) {
    uint32_t slot;
    float text[TEXT_DIM];
    for (uint64_t k = 0; k < TEXT_DIM; k++) text[k] = freshet_gauss(freshet_random(i / 20, k));
    text[i % TEXT_DIM] += 1;
    assert_int_equal(freshet_model_intern_key(model, freshet_random(7, i), &slot, NULL), FRESHET_OK);
    assert_int_equal(freshet_model_set_text(model, slot, text, NULL, NULL), FRESHET_OK);
  }
  for (int u = 0; u < USERS; u++) users[u] = freshet_user_create(model);
  for (uint64_t i = 0; i < EVENTS; i++) {
    uint64_t random = freshet_random(8, i);
    freshet_observation seen = {
        (uint32_t)(random % ITEMS), random >> 60 != 0, .7F, 1, (int64_t)i * 1000, 0, false};
    assert_int_equal(freshet_model_learn(model, users[(random >> 20) % USERS], &seen, NULL), FRESHET_OK);
  }
  uint64_t hash = freshet_model_hash(model);
  for (int u = 0; u < USERS; u++) freshet_user_destroy(users[u]);
  freshet_model_destroy(model);
  return hash;
}

static void every_level_learns_the_same_bits(void** state) {
  (void)state;
  uint64_t portable = learn_with(&freshet_model_kernels_portable);
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    assert_true(learn_with(*k) == portable);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_level_learns_the_same_bits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
