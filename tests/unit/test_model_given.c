/* A worker of a busy fleet gives a part of the rows that have moved: model_given.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model_bytes.h"
#include "core/model_internal.h"

enum { ITEMS = 20000, USERS = 200, EVENTS = 2000 };

#include "support_model_world.h"

static world make_busy_world(void) {
  const world w = make_world();
  freshet_model_expect_fleet(w.model, 100000, 1500000);
  return w;
}

static void learn(world* w, uint64_t e) {
  const uint64_t random = freshet_random(13, e);
  const freshet_observation seen = {
      .item = (uint32_t)(random % ITEMS), .positive = true, .weight = 1, .time_ms = (int64_t)e * 1000};
  assert_int_equal(freshet_model_learn(w->model, w->users[(random >> 32) % USERS], &seen, NULL), FRESHET_OK);
}

/* What is given of a row that has moved by `size`, and of all such rows on average. */
static void rows_are_given_in_their_share(void** state) {
  enum { DRAWS = 20000 };
  (void)state;
  const float threshold = 100;
  for (float size = 1; size < 200; size *= 3) {
    double sum = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
      const freshet_row_times times =
          freshet_model_given_times((freshet_row_sizes){size, 0}, threshold, freshet_random(3, i));
      assert_true(times.m == 0); /* it has not moved */
      assert_true(times.v == 0 || times.v * size >= threshold * .999F || size >= threshold);
      sum += (double)(times.v * size);
    }
    assert_true(fabs(sum / DRAWS - (double)size) < .1 * (double)size);
  }
}

/* A commit that changes many rows gives a few of them for each event, and others come to what this worker knows. */
static void a_take_gives_rows_within_its_budget(void** state) {
  (void)state;
  world from = make_busy_world(), to = make_world();
  freshet_model_delta delta;
  for (uint64_t e = 0; e < EVENTS; e++) learn(&from, e);
  freshet_model_take_delta(from.model, &delta);
  const double rows = (double)delta.values.size / (from.model->config.dim / 2 + 8);
  print_message("%.2f rows an event, of %zu items\n", rows / EVENTS, delta.items.size / sizeof(uint64_t));
  assert_true(rows < .9 * EVENTS);
  assert_true(rows > .5 * EVENTS);
  assert_int_equal(freshet_model_fold(to.model, &delta, 0, NULL), FRESHET_OK);
  assert_true(freshet_model_hash(to.model) == freshet_model_hash(from.model));
  free_world(&from);
  free_world(&to);
}

/* A worker of a busy fleet that has few events: if it gave a few of its rows, these would move far. */
static void a_commit_of_few_events_gives_all_rows(void** state) {
  (void)state;
  world from = make_busy_world();
  for (uint64_t e = 0; e < 20; e++) learn(&from, e);
  const gathered* g = freshet_model_gathering(from.model);
  assert_true(g->count > g->trace_count); /* more rows than the budget of so many events */
  assert_true(freshet_model_given_threshold(from.model, g) == 0);
  free_world(&from);
}

static void assert_rows_are_equal(const world* a, const world* b) {
  const uint32_t dim = a->model->config.dim;
  const size_t row = dim * sizeof(float);
  for (uint32_t i = 0; i < ITEMS; i++) {
    _Alignas(64) float m[2][DIM_MAX];
    const item *x = &a->model->items[i], *y = &b->model->items[i];
    freshet_model_read_context_factor(a->model, i, m[0]);
    freshet_model_read_context_factor(b->model, i, m[1]);
    assert_memory_equal(m[0], m[1], row);
    assert_memory_equal(freshet_model_factor(a->model, i), freshet_model_factor(b->model, i), row);
    assert_true(x->bias == y->bias && x->bias_squares == y->bias_squares);
    assert_true(x->factor_squares == y->factor_squares && x->context_squares == y->context_squares);
  }
}

/* Workers that learn between a take and the folds of others come to equal rows, though each gives only a part of them. */
static void workers_agree_on_rows(void** state) {
  enum { WORKERS = 3, COMMITS = 3 };
  (void)state;
  world fleet[WORKERS];
  uint64_t e = 0;
  for (int w = 0; w < WORKERS; w++) fleet[w] = make_busy_world();
  for (int64_t c = 0; c < COMMITS; c++) {
    freshet_model_delta deltas[WORKERS];
    for (int w = 0; w < WORKERS; w++) {
      for (int i = 0; i < EVENTS; i++) learn(&fleet[w], e++);
      assert_true(freshet_model_given_threshold(fleet[w].model, freshet_model_gathering(fleet[w].model)) > 0);
      freshet_model_take_delta(fleet[w].model, &deltas[w]);
    }
    for (int w = 0; w < WORKERS; w++) {
      for (int i = 0; i < EVENTS && c + 1 < COMMITS; i++) learn(&fleet[w], e++);
      for (int other = 0; other < WORKERS; other++)
        if (other != w)
          assert_int_equal(freshet_model_fold(fleet[w].model, &deltas[other], c * WORKERS + other, NULL),
                           FRESHET_OK);
    }
  }
  for (int w = 1; w < WORKERS; w++) assert_rows_are_equal(&fleet[0], &fleet[w]);
  for (int w = 0; w < WORKERS; w++) free_world(&fleet[w]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_are_given_in_their_share),
      cmocka_unit_test(a_take_gives_rows_within_its_budget),
      cmocka_unit_test(a_commit_of_few_events_gives_all_rows),
      cmocka_unit_test(workers_agree_on_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
