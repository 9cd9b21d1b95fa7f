/* Choosing again: habits come when they are due and not before, are bounded, travel in deltas and stored state, and
 * cost nothing where nobody chooses anything again. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rules.h"
#include "freshet/model.h"

enum { ITEMS = 60, STAPLES = 20, USERS = 25, WEEKS = 40 };
static const int64_t day_ms = 24 * 3600 * 1000LL;

#include "support_model_world.h"

static void choose(world* w, int user, uint32_t item, int64_t time_ms) {
  freshet_observation seen = {.item = item, .positive = true, .weight = 1, .time_ms = time_ms};
  assert_int_equal(freshet_model_learn(w->model, w->users[user], &seen, NULL), FRESHET_OK);
}

static uint32_t staple_of(int user, uint32_t nth) {
  return ((uint32_t)user * 7 + nth * 3) % STAPLES;
}

/* Every user buys one staple each week, another one every four weeks, and an item that is never bought again. */
static void teach(world* w, int weeks) {
  for (int week = 0; week < weeks; week++) {
    for (int u = 0; u < USERS; u++) {
      const int64_t now_ms = (7 * week + u % 7) * day_ms + u * 1000;
      choose(w, u, staple_of(u, 0), now_ms);
      if ((week + u) % 4 == 0) choose(w, u, staple_of(u, 1), now_ms + 20000);
      choose(w, u, STAPLES + (uint32_t)(week + u) % (ITEMS - STAPLES), now_ms + 40000);
    }
  }
}

static void score(world* w, int user, int64_t now_ms, float scores[ITEMS]) {
  freshet_rank_query query = {0};
  assert_int_equal(freshet_model_sync_ranker(w->model, NULL, NULL), FRESHET_OK);
  freshet_model_query(w->model, w->users[user], now_ms, w->scratch, &query);
  freshet_model_score_all(w->model, &query, scores);
}

static size_t place_of(const float scores[ITEMS], uint32_t item) {
  size_t better = 0;
  for (uint32_t i = 0; i < ITEMS; i++) better += scores[i] > scores[item];
  return better;
}

/* Each of the users is looked at, and for some of them the score decides by little: so the draws are not the usual ones, but
 * as many as this stream was made with, 8 of them rivals. */
static void a_habit_comes_when_it_is_due(void** state) {
  (void)state;
  float scores[ITEMS];
  freshet_model_config config = freshet_model_defaults();
  config.negatives = 44;
  world w = make_world_of(&config);
  teach(&w, WEEKS);
  assert_true(freshet_model_repeats(w.model));
  for (int u = 0; u < USERS; u++) {
    const int64_t last_ms = (7 * (WEEKS - 1) + u % 7) * day_ms + u * 1000;
    const uint32_t weekly = staple_of(u, 0);
    score(&w, u, last_ms + 60000, scores);
    const float soon = scores[weekly];
    assert_true(place_of(scores, weekly) > 0);
    score(&w, u, last_ms + 7 * day_ms, scores);
    assert_true(scores[weekly] > soon + 1);
    assert_int_equal(place_of(scores, weekly), 0);
    for (uint32_t i = STAPLES; i < ITEMS; i++) assert_true(scores[i] < scores[weekly]);
  }
  free_world(&w);
}

static void a_habit_is_a_reason_with_its_interval(void** state) {
  (void)state;
  freshet_part parts[FRESHET_PARTS_MAX];
  float scores[ITEMS];
  world w = make_world();
  teach(&w, WEEKS);
  const int64_t now_ms = 7 * WEEKS * day_ms;
  score(&w, 0, now_ms, scores);
  for (uint32_t item = 0; item < ITEMS; item++) {
    const size_t count = freshet_model_explain(w.model, w.users[0], now_ms, item, w.scratch, parts);
    double sum = 0;
    for (size_t p = 0; p < count; p++) sum += (double)parts[p].score;
    assert_true(fabs(sum - (double)scores[item]) < 1e-4);
    if (item != staple_of(0, 0)) continue;
    size_t again = 0;
    while (again < count && parts[again].kind != FRESHET_REASON_AGAIN) again++;
    assert_true(again < count && parts[again].score > 0);
    assert_in_range(parts[again].every_s, 6 * 24 * 3600, 8 * 24 * 3600);
  }
  free_world(&w);
}

static void where_nobody_chooses_again_nothing_changes(void** state) {
  (void)state;
  float scores[ITEMS];
  world w = make_world();
  for (int u = 0; u < USERS; u++) {
    for (uint32_t i = 0; i < 30; i++) choose(&w, u, (i * 7 + (uint32_t)u) % ITEMS, u * 1000 + i * day_ms);
  }
  assert_false(freshet_model_repeats(w.model));
  score(&w, 0, 31 * day_ms, scores);
  w.users[0]->habit_count = 0;
  float without[ITEMS];
  score(&w, 0, 31 * day_ms, without);
  assert_memory_equal(scores, without, sizeof scores);
  free_world(&w);
}

static void repeats_travel_in_deltas_and_stored_state(void** state) {
  (void)state;
  world w = make_world();
  freshet_model *folded = make_model(), *restored = make_model();
  freshet_buffer bytes = {0};
  for (int part = 0; part < 3; part++) {
    freshet_model_delta delta;
    teach(&w, 4 + part);
    freshet_model_take_delta(w.model, &delta);
    assert_int_equal(freshet_model_fold(folded, &delta, part, NULL), FRESHET_OK);
  }
  assert_true(freshet_model_repeats(folded));
  assert_int_equal(freshet_model_hash(folded), freshet_model_hash(w.model));
  freshet_model_write_globals(w.model, 3, &bytes);
  assert_int_equal(freshet_model_read_globals(restored, freshet_buffer_slice(&bytes), NULL), FRESHET_OK);
  for (uint32_t slot = 0; slot < ITEMS; slot++) {
    bytes.size = 0;
    freshet_model_write_item(w.model, slot, 3, &bytes);
    assert_int_equal(freshet_model_read_item(restored, slot, freshet_buffer_slice(&bytes), NULL), FRESHET_OK);
  }
  assert_int_equal(freshet_model_hash(restored), freshet_model_hash(w.model));
  freshet_buffer_free(&bytes);
  freshet_model_destroy(folded);
  freshet_model_destroy(restored);
  free_world(&w);
}

static const freshet_habit* habit_of(const freshet_user* user, uint32_t item) {
  for (uint32_t i = 0; i < user->habit_count; i++) {
    if (user->habits[i].item == item) return &user->habits[i];
  }
  return NULL;
}

/* One user who chooses one item without end changes neither the memory nor the lists of others for good. */
static void endless_repeats_of_one_item_are_bounded(void** state) {
  (void)state;
  enum { TIMES = 100000 };
  float scores[ITEMS];
  world w = make_world();
  teach(&w, 10);
  for (int i = 0; i < TIMES; i++) choose(&w, 1, 50, 70 * day_ms + i * 700000LL);
  assert_int_equal(habit_of(w.users[1], 50)->count, UINT16_MAX);
  teach(&w, 4);
  for (int u = 0; u < USERS; u++) {
    score(&w, u, 70 * day_ms + TIMES * 700000LL, scores);
    for (uint32_t i = 0; i < ITEMS; i++) assert_true(isfinite(scores[i]) && fabsf(scores[i]) < 100);
  }
  free_world(&w);
}

static void habits_are_bounded_and_the_least_goes(void** state) {
  (void)state;
  const freshet_model_config config = freshet_model_defaults();
  freshet_model* model;
  assert_int_equal(freshet_model_create(&config, &model, NULL), FRESHET_OK);
  freshet_user* user = freshet_user_create(model);
  for (uint32_t i = 0; i < 2000; i++) {
    char id[16];
    uint32_t slot;
    snprintf(id, sizeof id, "item %u", i % 10 == 0 ? 0 : i);
    assert_int_equal(freshet_model_intern(model, freshet_slice_of(id), &slot, NULL), FRESHET_OK);
    freshet_observation seen = {.item = slot, .positive = true, .weight = 1, .time_ms = i * day_ms};
    assert_int_equal(freshet_model_learn(model, user, &seen, NULL), FRESHET_OK);
    assert_true(user->habit_count <= FRESHET_HABITS_MAX);
  }
  assert_int_equal(user->habit_count, FRESHET_HABITS_MAX);
  assert_int_equal(user->habits[0].count, 200); /* the one that comes again has stayed */
  freshet_user_destroy(user);
  freshet_model_destroy(model);
}

static bool is_hidden(const world* w, int user, uint32_t item) {
  const freshet_rules rules = {.hide = FRESHET_HIDE_LEARNED};
  uint32_t hidden[ITEMS];
  size_t count =
      freshet_rules_list_hidden(&rules, freshet_model_repeats(w->model), w->users[user], 0, hidden);
  for (size_t i = 0; i < count; i++) {
    if (hidden[i] == item) return true;
  }
  return false;
}

static void what_was_chosen_may_come_again_and_what_was_disliked_not(void** state) {
  (void)state;
  world w = make_world();
  choose(&w, 0, 1, 0);
  assert_true(is_hidden(&w, 0, 1)); /* nobody has chosen anything again */
  teach(&w, 10);
  assert_false(is_hidden(&w, 0, staple_of(0, 0)));
  assert_false(is_hidden(&w, 0, 5)); /* never seen */
  for (uint32_t item = 0; item < ITEMS; item++) {
    freshet_observation seen = {.item = item, .dislike = 1, .weight = 1, .time_ms = 100 * day_ms + item};
    assert_int_equal(freshet_model_learn(w.model, w.users[0], &seen, NULL), FRESHET_OK);
  }
  assert_int_equal(w.users[0]->habit_count, 0);
  for (uint32_t item = 0; item < ITEMS; item++) assert_true(is_hidden(&w, 0, item));
  choose(&w, 0, 7, 200 * day_ms);
  assert_false(is_hidden(&w, 0, 7));
  free_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_habit_comes_when_it_is_due),
      cmocka_unit_test(a_habit_is_a_reason_with_its_interval),
      cmocka_unit_test(where_nobody_chooses_again_nothing_changes),
      cmocka_unit_test(repeats_travel_in_deltas_and_stored_state),
      cmocka_unit_test(endless_repeats_of_one_item_are_bounded),
      cmocka_unit_test(habits_are_bounded_and_the_least_goes),
      cmocka_unit_test(what_was_chosen_may_come_again_and_what_was_disliked_not),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
