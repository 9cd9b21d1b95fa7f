/*
 * A fleet of workers that learn at the same time and fold each other's deltas. What they agree on has to stay
 * near what one worker learns from all events, however much each learns between two commits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/maths.h"
#include "core/model_internal.h"
#include "freshet/model.h"

enum { WORKERS = 4, ITEMS = 300, USERS = 200, COMMITS = 6, EVENTS = 2000 /* of a worker, in a commit */ };

typedef struct worker {
  freshet_model* model;
  freshet_user* users[USERS];
} worker;

static worker make_worker(void) {
  worker w = {0};
  const freshet_model_config config = freshet_model_defaults();
  assert_int_equal(freshet_model_create(&config, &w.model, NULL), FRESHET_OK);
  for (uint32_t i = 0; i < ITEMS; i++) {
    char id[16];
    uint32_t slot;
    snprintf(id, sizeof id, "item-%u", i);
    assert_int_equal(freshet_model_intern(w.model, freshet_slice_of(id), &slot, NULL), FRESHET_OK);
    freshet_model_set_listed(w.model, slot, true);
  }
  for (int u = 0; u < USERS; u++) w.users[u] = freshet_user_create(w.model);
  return w;
}

static void free_worker(worker* w) {
  for (int u = 0; u < USERS; u++) freshet_user_destroy(w->users[u]); /* NULL is allowed */
  freshet_model_destroy(w->model);
}

/* Event e of a stream in which a user keeps to a few neighbouring items. */
static void learn(worker* w, uint64_t e) {
  const uint64_t random = freshet_random(7, e);
  const uint64_t user = random % USERS;
  const uint32_t chosen = (uint32_t)((user * 3 + (random >> 20) % 20) % ITEMS);
  const freshet_observation seen = {
      .item = chosen, .positive = true, .weight = 1, .time_ms = (int64_t)e * 1000};
  assert_int_equal(freshet_model_learn(w->model, w->users[user], &seen, NULL), FRESHET_OK);
}

/* Every worker takes its delta, and then folds those of the others. */
static void exchange(worker* fleet, int64_t offset) {
  freshet_model_delta deltas[WORKERS];
  for (int w = 0; w < WORKERS; w++) freshet_model_take_delta(fleet[w].model, &deltas[w]);
  for (int w = 0; w < WORKERS; w++) {
    for (int other = 0; other < WORKERS; other++) {
      if (other == w) continue;
      assert_int_equal(freshet_model_fold(fleet[w].model, &deltas[other], offset + other, NULL), FRESHET_OK);
    }
  }
}

static double size_of(double x) {
  return x < 0 ? -x : x;
}

static double largest_weight(const freshet_model* model) {
  double largest = 0;
  for (int i = 0; i < BLEND_WEIGHTS; i++) {
    if (size_of(model->blend[i]) > largest) largest = size_of(model->blend[i]);
  }
  return largest;
}

static double largest_bias(const freshet_model* model) {
  double largest = 0;
  for (int i = 0; i < ITEMS; i++) {
    if (size_of(model->items[i].bias) > largest) largest = size_of(model->items[i].bias);
  }
  return largest;
}

static void a_fleet_stays_near_one_worker(void** state) {
  (void)state;
  worker one = make_worker(), fleet[WORKERS];
  for (int w = 0; w < WORKERS; w++) fleet[w] = make_worker();
  for (uint64_t c = 0; c < COMMITS; c++) {
    for (uint64_t w = 0; w < WORKERS; w++) {
      for (uint64_t e = 0; e < EVENTS; e++) {
        learn(&fleet[w], (c * WORKERS + w) * EVENTS + e);
        learn(&one, (c * WORKERS + w) * EVENTS + e);
      }
    }
    exchange(fleet, (int64_t)c * WORKERS);
  }
  const double alone = largest_weight(one.model), together = largest_weight(fleet[0].model);
  print_message("largest weight: %.2f alone, %.2f in a fleet of %d\n", alone, together, WORKERS);
  print_message("largest bias: %.2f alone, %.2f in the fleet\n", largest_bias(one.model),
                largest_bias(fleet[0].model));
  assert_true(together < 2 * alone);
  assert_true(largest_bias(fleet[0].model) < 3 * largest_bias(one.model));
  for (int w = 1; w < WORKERS; w++) {
    for (int i = 0; i < BLEND_WEIGHTS; i++) assert_true(fleet[w].model->blend[i] == fleet[0].model->blend[i]);
  }
  for (int w = 0; w < WORKERS; w++) free_worker(&fleet[w]);
  free_worker(&one);
}

/* A worker that starts again folds what it learned before. That is no sign of another worker. */
static void a_restart_changes_nothing(void** state) {
  (void)state;
  freshet_model_delta delta;
  worker through = make_worker(), first = make_worker(), again = make_worker();
  for (uint64_t e = 0; e < EVENTS; e++) {
    learn(&through, e);
    learn(&first, e);
  }
  freshet_model_take_delta(through.model, &delta);
  freshet_model_take_delta(first.model, &delta);
  assert_int_equal(freshet_model_fold(again.model, &delta, 0, NULL), FRESHET_OK);
  for (int u = 0; u < USERS; u++) { /* rows of users come from the changelog */
    freshet_user* fresh = again.users[u];
    again.users[u] = first.users[u];
    first.users[u] = fresh;
  }
  for (uint64_t e = EVENTS; e < 2 * EVENTS; e++) {
    learn(&through, e);
    learn(&again, e);
  }
  freshet_model_take_delta(through.model, &delta);
  freshet_model_take_delta(again.model, &delta);
  assert_true(freshet_model_hash(again.model) == freshet_model_hash(through.model));
  free_worker(&again);
  free_worker(&first);
  free_worker(&through);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_fleet_stays_near_one_worker),
      cmocka_unit_test(a_restart_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
