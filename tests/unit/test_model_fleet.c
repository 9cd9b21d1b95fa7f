/*
 * A fleet of workers that learn at the same time and fold each other's deltas. What they agree on has to stay
 * near what one worker learns from all events, however much each learns between two commits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "core/maths.h"
#include "core/model_bytes.h"
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

/* The earlier form of thinning, which is only read: a place is drawn in its share of all draws, and counts as many times as places share a draw. */
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

/* Lists hear all of their first steps, then ever fewer; on average the clock of a list is right. */
static void long_lists_hear_a_part_of_their_steps(void** state) {
  enum { STEPS = 100000 };
  (void)state;
  uint32_t heard = 0, first_missed = 0;
  double clock = 0;
  for (uint32_t list = 0; list < 50; list++) {
    neighbours near = {.smallest = UNKNOWN_SMALLEST};
    for (uint32_t i = 0; i < STEPS / 50; i++) {
      const unsigned stride = freshet_list_stride(near.steps);
      const bool hears =
          freshet_random(list, i) >> (64 - FRESHET_STRIDE_MAX) >> (FRESHET_STRIDE_MAX - stride) == 0;
      if (!hears && (first_missed == 0 || i < first_missed)) first_missed = i;
      if (hears) freshet_model_neighbours_tick(&near, stride);
      heard += hears;
    }
    clock += near.steps;
    assert_true(near.held < 380); /* what is heard fades at the pace of what is heard */
  }
  print_message("%u of %d steps heard, the clocks say %.0f\n", heard, STEPS, clock);
  assert_in_range(first_missed, 90, 200);
  assert_true(heard < STEPS / 4);
  assert_true(clock > .95 * STEPS && clock < 1.05 * STEPS);
}

static uint32_t most_steps(const freshet_model* model) {
  uint32_t most = 0;
  for (uint32_t i = 0; i < model->count; i++)
    if (model->items[i].near.steps > most) most = model->items[i].near.steps;
  return most;
}

/* Whoever folds what a thinned worker has learned knows the same as that worker, with fewer bytes. */
static void a_thinned_delta_says_all(void** state) {
  (void)state;
  freshet_model_delta delta;
  worker whole = make_worker(), thinned = make_worker(), folded = make_worker();
  size_t whole_bytes = 0, thinned_bytes = 0;
  freshet_model_expect_fleet(thinned.model, 100000, 1500000);
  for (uint64_t c = 0; c < 20; c++) { /* long enough that lists miss steps */
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
  assert_true(freshet_list_stride(most_steps(thinned.model)) > 0);
  assert_true(thinned_bytes < whole_bytes / 2);
  assert_true(freshet_model_hash(folded.model) == freshet_model_hash(thinned.model));
  free_worker(&whole);
  free_worker(&thinned);
  free_worker(&folded);
}

/* One gain in the short form is rounded, many are right. The bytes say what the item keeps, and are refused where the long
 * form is expected. */
static void short_gains_are_right_on_average(void** state) {
  enum { TIMES = 4000, TWICE = 2 };
  (void)state;
  worker from = make_worker(), to = make_worker();
  const uint32_t dim = from.model->config.dim;
  float *row = freshet_model_factor(from.model, 0), *there = freshet_model_factor(to.model, 0);
  _Alignas(64) float before[DIM_MAX]; /* as the kernels read rows */
  float gain[DIM_MAX];
  double sum[DIM_MAX] = {0}, worst = 0;
  memcpy(before, row, dim * sizeof *row);
  for (uint32_t i = 0; i < dim; i++) /* whole units, up to 1 % of a factor */
    gain[i] = (float)((int)(freshet_random(5, i) % 20001) - 10000) * FRESHET_FACTOR_STEP;
  for (uint64_t t = 0; t < TIMES; t++) {
    const freshet_gains none = {0};
    freshet_buffer out = {0};
    for (uint32_t i = 0; i < dim; i++) row[i] = before[i] + gain[i];
    memcpy(there, before, dim * sizeof *there);
    from.model->items[0].bias = 0.125;
    to.model->items[0].bias = 0;
    const freshet_row_times times = {.v = TWICE};
    assert_true(
        freshet_put_short_gains(from.model, 0, &none, before, NULL, times, freshet_random(9, t), &out));
    freshet_byte_reader in = freshet_read_slice(freshet_buffer_slice(&out));
    freshet_take_short_gains(to.model, &in, 0);
    assert_true(!in.bad && in.left == 0);
    assert_memory_equal(there, row, dim * sizeof *row);
    assert_true(to.model->items[0].bias == 0.25 && from.model->items[0].bias == 0.25);
    for (uint32_t i = 0; i < dim; i++) sum[i] += row[i] - before[i];
    freshet_buffer_free(&out);
  }
  for (uint32_t i = 0; i < dim; i++) worst = fmax(worst, fabs(sum[i] / TIMES - TWICE * gain[i]));
  print_message("the mean is off by %.0f units at most\n", worst / FRESHET_FACTOR_STEP);
  assert_true(worst < 150 * FRESHET_FACTOR_STEP); /* a step has 2,800 units */
  freshet_buffer marked = {0};
  PUT(&marked, double, FRESHET_SHORT_MARK);
  for (int i = 0; i < 20; i++) freshet_put_no_short_gains(&marked);
  freshet_byte_reader in = freshet_read_slice(freshet_buffer_slice(&marked));
  freshet_take_gains(to.model, &in, FRESHET_NO_ITEM); /* as an earlier version does */
  assert_true(in.bad);
  freshet_buffer_free(&marked);
  free_worker(&from);
  free_worker(&to);
}

/* A delta of the version before, which gave all numbers of an item in the short form. */
static void a_short_delta_of_the_version_before_is_read(void** state) {
  enum { MIDDLE = 8, NUMBER = 3, MANTISSA = 100, EXPONENT = 2 };
  (void)state;
  worker to = make_worker();
  const uint32_t dim = to.model->config.dim;
  freshet_buffer values = {0}, trace = {0}, globals = {0};
  const float before = freshet_model_factor(to.model, 0)[0],
              last = freshet_model_factor(to.model, 0)[dim - 1];
  PUT(&values, uint32_t, dim);
  PUT(&values, double, FRESHET_SHORT_MARK_BEFORE);
  PUT(&values, uint16_t, 0x3e00);                             /* bias .125 */
  for (int i = 0; i < 3; i++) PUT(&values, uint16_t, 0x3e80); /* .25 */
  PUT(&values, uint8_t, 1);                                   /* v, and no m */
  PUT(&values, uint8_t, MANTISSA);
  PUT(&values, uint8_t, EXPONENT);
  for (uint32_t i = 0; i < dim / 2; i++) PUT(&values, uint8_t, (MIDDLE + NUMBER) | (MIDDLE - 1) << 4);
  PUT(&trace, uint64_t, 0);
  PUT(&trace, uint8_t, 2);
  freshet_put_blend(&globals, to.model->blend, to.model->blend_squares, to.model->blend,
                    to.model->blend_squares);
  const freshet_model_delta delta = {0,
                                     {(const char*)&to.model->items[0].key, sizeof(uint64_t)},
                                     freshet_buffer_slice(&values),
                                     freshet_buffer_slice(&trace),
                                     freshet_buffer_slice(&globals)};
  assert_int_equal(freshet_model_fold(to.model, &delta, 0, NULL), FRESHET_OK);
  const item* it = &to.model->items[0];
  const float step = (float)(MANTISSA << EXPONENT) * FRESHET_FACTOR_STEP;
  assert_true(it->bias == .125 && it->factor_squares == .25 && it->context_squares == .25);
  assert_true(freshet_model_factor(to.model, 0)[0] == before + NUMBER * step);
  assert_true(freshet_model_factor(to.model, 0)[dim - 1] == last - step);
  freshet_buffer* buffers[] = {&values, &trace, &globals};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) freshet_buffer_free(buffers[i]);
  free_worker(&to);
}

/* Folds a delta that names these items [count], which gain nothing. */
static freshet_status fold_trace(freshet_model* model, const uint32_t* slots, uint32_t count, uint64_t events,
                                 const freshet_buffer* trace) {
  freshet_buffer items = {0}, values = {0}, globals = {0};
  PUT(&values, uint32_t, model->config.dim);
  for (uint32_t i = 0; i < count; i++) {
    freshet_put(&items, &model->items[slots[i]].key, sizeof model->items[slots[i]].key);
    freshet_put_no_gains(&values);
  }
  freshet_put_blend(&globals, model->blend, model->blend_squares, model->blend, model->blend_squares);
  const freshet_model_delta delta = {events, freshet_buffer_slice(&items), freshet_buffer_slice(&values),
                                     freshet_buffer_slice(trace), freshet_buffer_slice(&globals)};
  const freshet_status status = freshet_model_fold(model, &delta, 0, NULL);
  freshet_buffer* buffers[] = {&items, &values, &globals};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) freshet_buffer_free(buffers[i]);
  return status;
}

/* The start of a trace with an event of item 0. size: of its context, and what else is in this byte. */
static void begin_trace(freshet_buffer* trace, uint8_t size) {
  PUT(trace, uint64_t, 0);
  PUT(trace, uint8_t, 2);  /* bytes of an index */
  PUT(trace, uint16_t, 0); /* the chosen item */
  PUT(trace, uint16_t, WEIGHT_UNITS);
  PUT(trace, uint8_t, size);
}

/* A delta of an earlier version that thinned by strata. */
static void a_delta_thinned_by_strata_is_read(void** state) {
  enum { NAMED = 8, PICKS = 77 };
  static const uint32_t slots[NAMED] = {0, 1, 2, 3, 4, 5, 6, 7};
  (void)state;
  worker to = make_worker();
  const freshet_kept kept = freshet_keep_some(NAMED - 1, PICKS);
  freshet_buffer trace = {0};
  begin_trace(&trace, NAMED - 1 + TRACE_THINNED);
  PUT(&trace, uint8_t, PICKS);
  for (uint32_t i = 0; i < kept.count; i++) PUT(&trace, uint16_t, (uint16_t)(1 + kept.place[i]));
  assert_int_equal(fold_trace(to.model, slots, NAMED, 1, &trace), FRESHET_OK);
  assert_int_equal(to.model->counts[0], WEIGHT_UNITS);
  assert_int_equal(to.model->items[0].near.count, kept.count);
  assert_int_equal(to.model->items[0].near.steps, 1);
  for (uint32_t i = 0; i < kept.count; i++) {
    assert_int_equal(to.model->items[0].near.entries[i].item, 1 + kept.place[i]);
    assert_int_equal(to.model->items[1 + kept.place[i]].near.count, 1);
  }
  freshet_buffer_free(&trace);
  free_worker(&to);
}

static void no_delta_makes_an_item_its_own_neighbour(void** state) {
  enum { NAMED = 3 };
  static const uint32_t slots[NAMED] = {0, 0, 1}; /* no worker names an item twice */
  (void)state;
  worker to = make_worker();
  freshet_buffer trace = {0};
  begin_trace(&trace, NAMED);
  for (uint16_t i = 0; i < NAMED; i++) PUT(&trace, uint16_t, i);
  assert_int_equal(fold_trace(to.model, slots, NAMED, 1, &trace), FRESHET_OK);
  assert_int_equal(to.model->items[0].near.count, 1);
  assert_int_equal(to.model->items[0].near.entries[0].item, 1);
  assert_int_equal(to.model->items[1].near.count, 1);
  freshet_buffer_free(&trace);
  free_worker(&to);
}

static void events_without_items_are_refused(void** state) {
  (void)state;
  worker to = make_worker();
  freshet_buffer trace = {0};
  begin_trace(&trace, 0);
  const uint64_t before = freshet_model_hash(to.model);
  assert_int_equal(fold_trace(to.model, NULL, 0, 1, &trace), FRESHET_INVALID);
  assert_true(freshet_model_hash(to.model) == before);
  freshet_buffer_free(&trace);
  free_worker(&to);
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
      cmocka_unit_test(long_lists_hear_a_part_of_their_steps),
      cmocka_unit_test(a_thinned_delta_says_all),
      cmocka_unit_test(short_gains_are_right_on_average),
      cmocka_unit_test(a_short_delta_of_the_version_before_is_read),
      cmocka_unit_test(a_delta_thinned_by_strata_is_read),
      cmocka_unit_test(no_delta_makes_an_item_its_own_neighbour),
      cmocka_unit_test(events_without_items_are_refused),
      cmocka_unit_test(a_torn_thinned_delta_changes_nothing),
      cmocka_unit_test(a_small_delta_is_folded_without_new_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
