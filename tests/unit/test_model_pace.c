/* How fast the blend weights learn: slower with time, and the same after a restore. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model_internal.h"

enum { ITEMS = 60, USERS = 20 };

#include "support_model_world.h"

static double rate_after(freshet_model* model, uint64_t events, int weight) {
  model->events = events;
  return (double)freshet_model_paced_rates(model)[weight] / (double)model->blend_rates[weight];
}

static void rates_fall_and_never_end(void** state) {
  (void)state;
  freshet_model* model = make_model();
  double last = 2;
  for (uint64_t events = 0; events <= 1 << 20; events = events * 2 + 64) {
    const double rate = rate_after(model, events, TH);
    assert_true(rate < last && rate > .6);
    last = rate;
  }
  assert_true(rate_after(model, 0, TH) == 1);
  assert_true(fabs(rate_after(model, UINT64_C(1) << 40, TH) - .6) < 1e-4);
  assert_true(rate_after(model, 0, AGAIN_COUNT) == 1);
  assert_true(fabs(rate_after(model, UINT64_C(1) << 40, AGAIN_COUNT) - .3) < 1e-4);
  assert_true(rate_after(model, 1 << 20, AGREED_STAGE) == 1);
  freshet_model_destroy(model);
}

static void choose_some(world* w, uint32_t from, uint32_t to) {
  for (uint32_t e = from; e < to; e++) {
    const freshet_observation seen = {.item = (uint32_t)freshet_below(freshet_random(3, e), ITEMS),
                                      .positive = true,
                                      .weight = 1,
                                      .time_ms = (int64_t)e * 60000};
    assert_int_equal(freshet_model_learn(w->model, w->users[e % USERS], &seen, NULL), FRESHET_OK);
  }
}

static void a_step_takes_the_rates_of_now(void** state) {
  (void)state;
  enum { EVENTS = 2000 };
  world whole = make_world(), half = make_world();
  double before[BLEND_WEIGHTS], moved = 0;
  choose_some(&whole, 0, EVENTS);
  choose_some(&half, 0, EVENTS);
  memcpy(before, whole.model->blend, sizeof before);
  freshet_model_paced_rates(half.model);
  for (int i = 0; i < BLEND_WEIGHTS; i++) half.model->paced_rates[i] *= .5F;
  choose_some(&whole, EVENTS, EVENTS + 1);
  choose_some(&half, EVENTS, EVENTS + 1);
  for (int i = TB; i < PSI; i++) { /* they have no bounds */
    const double far = whole.model->blend[i] - before[i], near = half.model->blend[i] - before[i];
    assert_true(fabs(near - far / 2) < 1e-9);
    moved += fabs(far);
  }
  assert_true(moved > 1e-4);
  free_world(&whole);
  free_world(&half);
}

static void a_restored_model_has_the_same_rates(void** state) {
  (void)state;
  world w = make_world(), other = make_world();
  freshet_buffer row = {0};
  choose_some(&w, 0, 700);
  freshet_model_write_globals(w.model, 1, &row);
  assert_int_equal(freshet_model_read_globals(other.model, freshet_buffer_slice(&row), NULL), FRESHET_OK);
  assert_memory_equal(freshet_model_paced_rates(w.model), freshet_model_paced_rates(other.model),
                      sizeof w.model->paced_rates);
  assert_true(freshet_model_paced_rates(other.model)[TH] < .995F * other.model->blend_rates[TH]);
  freshet_buffer_free(&row);
  free_world(&w);
  free_world(&other);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rates_fall_and_never_end),
                                     cmocka_unit_test(a_step_takes_the_rates_of_now),
                                     cmocka_unit_test(a_restored_model_has_the_same_rates)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
