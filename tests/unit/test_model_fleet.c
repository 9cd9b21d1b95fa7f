/*
 * A fleet of workers that learn at the same time and fold each other's deltas. What they agree on has to stay
 * near what one worker learns from all events, however much each learns between two commits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

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

/* A place is drawn in its share of all draws, and counts as many times as places share a draw. */
static void strata_leave_expected_counts_alone(void** state) {
  (void)state;
  for (uint32_t size = 1; size <= FRESHET_HISTORY; size++) {
    uint32_t counted[FRESHET_HISTORY] = {0};
    for (unsigned picks = 0; picks < 256; picks++) {
      const freshet_kept kept = freshet_keep_some(size, (uint8_t)picks);
      for (uint32_t i = 0; i < kept.count; i++) {
        assert_true(kept.place[i] < size && (i == 0 || kept.place[i] > kept.place[i - 1]));
        counted[kept.place[i]] += kept.times[i];
      }
      assert_true(kept.place[0] == 0 && kept.times[0] == 1); /* the newest always counts */
    }
    for (uint32_t k = 0; k < size; k++) assert_in_range(counted[k], 250, 262);
  }
}

static void small_or_quiet_fleets_are_not_thinned(void** state) {
  (void)state;
  assert_false(freshet_fleet_thins(1000, 0));
  assert_false(freshet_fleet_thins(1000, 15000));    /* sixteen quiet workers */
  assert_false(freshet_fleet_thins(100000, 100000)); /* two busy ones */
  assert_true(freshet_fleet_thins(100000, 1500000));
}

/* Whoever folds what a thinned worker has learned knows the same as that worker, with fewer bytes. */
static void a_thinned_delta_says_all(void** state) {
  (void)state;
  freshet_model_delta delta;
  worker whole = make_worker(), thinned = make_worker(), folded = make_worker();
  size_t whole_bytes = 0, thinned_bytes = 0;
  freshet_model_expect_fleet(thinned.model, 100000, 1500000);
  for (uint64_t c = 0; c < 3; c++) {
    for (uint64_t e = 0; e < EVENTS; e++) {
      learn(&whole, c * EVENTS + e);
      learn(&thinned, c * EVENTS + e);
    }
    freshet_model_take_delta(whole.model, &delta);
    whole_bytes += delta.trace.size + delta.values.size;
    freshet_model_take_delta(thinned.model, &delta);
    thinned_bytes += delta.trace.size + delta.values.size;
    assert_int_equal(freshet_model_fold(folded.model, &delta, (int64_t)c, NULL), FRESHET_OK);
  }
  print_message("%zu bytes, thinned %zu\n", whole_bytes, thinned_bytes);
  assert_true(thinned_bytes < whole_bytes / 2);
  assert_true(freshet_model_hash(folded.model) == freshet_model_hash(thinned.model));
  free_worker(&whole);
  free_worker(&thinned);
  free_worker(&folded);
}

static void a_torn_thinned_delta_changes_nothing(void** state) {
  (void)state;
  freshet_model_delta delta;
  worker from = make_worker(), to = make_worker();
  freshet_model_expect_fleet(from.model, 100000, 1500000);
  for (uint64_t e = 0; e < 200; e++) learn(&from, e);
  freshet_model_take_delta(from.model, &delta);
  const uint64_t before = freshet_model_hash(to.model);
  freshet_slice* parts[] = {&delta.items, &delta.values, &delta.trace, &delta.globals};
  for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
    const freshet_slice whole = *parts[p];
    for (size_t size = 0; size < whole.size; size += 1 + size / 50) {
      parts[p]->size = size;
      assert_int_equal(freshet_model_fold(to.model, &delta, 0, NULL), FRESHET_INVALID);
    }
    *parts[p] = whole;
  }
  assert_true(freshet_model_hash(to.model) == before);
  assert_int_equal(freshet_model_fold(to.model, &delta, 0, NULL), FRESHET_OK);
  free_worker(&from);
  free_worker(&to);
}

/* Pages that the thread was given so far. */
static long faults_so_far(void) {
  struct rusage use;
  assert_int_equal(getrusage(RUSAGE_THREAD, &use), 0);
  return use.ru_minflt;
}

/* A small delta changes few lists. What a fold costs must not grow with the items that it does not name. */
static void a_small_delta_is_folded_without_new_memory(void** state) {
  enum { OTHERS = 300000, FOLDS = 4 };
  (void)state;
  worker from = make_worker(), to = make_worker();
  for (uint64_t i = 0; i < OTHERS; i++) {
    uint32_t slot;
    assert_int_equal(freshet_model_intern_key(to.model, freshet_random(i, 3), &slot, NULL), FRESHET_OK);
  }
  for (uint64_t f = 0; f < FOLDS; f++) {
    freshet_model_delta delta;
    for (uint64_t e = 0; e < 500; e++) learn(&from, f * 500 + e);
    freshet_model_take_delta(from.model, &delta);
    const long before = faults_so_far();
    assert_int_equal(freshet_model_fold(to.model, &delta, (int64_t)f, NULL), FRESHET_OK);
    if (f == FOLDS - 1) assert_in_range(faults_so_far() - before, 0, 150);
  }
  assert_true(freshet_model_hash(to.model) == freshet_model_hash(from.model));
  free_worker(&from);
  free_worker(&to);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_fleet_stays_near_one_worker),
      cmocka_unit_test(a_restart_changes_nothing),
      cmocka_unit_test(strata_leave_expected_counts_alone),
      cmocka_unit_test(small_or_quiet_fleets_are_not_thinned),
      cmocka_unit_test(a_thinned_delta_says_all),
      cmocka_unit_test(a_torn_thinned_delta_changes_nothing),
      cmocka_unit_test(a_small_delta_is_folded_without_new_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
