/* Streams that nobody means well: one user who repeats one item without end, and an item that is chosen together with ten
 * thousand others. State stays bounded, scores stay finite, and other users keep their lists. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/maths.h"

enum { ITEMS = 40, HALF = ITEMS / 2, USERS = 20 };

#include "support_model_world.h"

static void choose(freshet_model* model, freshet_user* user, uint32_t item, float weight, int64_t time_ms) {
  const freshet_observation seen = {.item = item, .positive = true, .weight = weight, .time_ms = time_ms};
  assert_int_equal(freshet_model_learn(model, user, &seen, NULL), FRESHET_OK);
}

static void score(world* w, int user, int64_t now_ms, float scores[ITEMS]) {
  freshet_rank_query query = {0};
  assert_int_equal(freshet_model_sync_ranker(w->model, NULL, NULL), FRESHET_OK);
  freshet_model_query(w->model, w->users[user], now_ms, w->scratch, &query);
  freshet_model_score_all(w->model, &query, scores);
}

/* Items below HALF go together, and so do the others; user 0 learns nothing here. */
static void teach(world* w) {
  for (int i = 0; i < 4000; i++) {
    const uint64_t random = freshet_random(11, (uint64_t)i);
    const int u = 1 + (int)(random % (USERS - 1));
    choose(w->model, w->users[u], (u % 2 == 0 ? 0 : HALF) + (uint32_t)((random >> 20) % HALF), 1,
           1000000LL + i * 1000);
  }
}

/* How many of the ten best items are of the user's own half. */
static uint32_t own_in_list(world* w, int user, int64_t now_ms) {
  float scores[ITEMS];
  uint32_t own = 0;
  score(w, user, now_ms, scores);
  for (uint32_t j = 0; j < ITEMS; j++) {
    uint32_t better = 0;
    assert_true(isfinite(scores[j]));
    for (uint32_t i = 0; i < ITEMS; i++) better += scores[i] > scores[j];
    own += better < 10 && (user % 2 == 0) == (j < HALF);
  }
  return own;
}

/* A million choices: far more than a habit can count. */
static void one_user_repeats_one_item_without_end(void** state) {
  (void)state;
  enum { REPEATS = 1000000 };
  freshet_weight weights[FRESHET_WEIGHTS_MAX];
  float scores[ITEMS];
  world w = make_world();
  teach(&w);
  const uint32_t before = own_in_list(&w, 3, 9000000);
  for (int i = 0; i < REPEATS; i++) choose(w.model, w.users[0], 0, 1, 10000000LL + i * 100LL);
  assert_true(freshet_model_item_weight(w.model, 0) >= .99e6F);
  assert_int_equal(w.users[0]->recent_count, 1);
  assert_int_equal(w.users[0]->seen_count, 1);
  assert_int_equal(w.users[0]->habit_count, 1);
  assert_int_equal(w.users[0]->habits[0].count, UINT16_MAX);
  score(&w, 0, 10000000LL + REPEATS * 100LL, scores);
  for (uint32_t j = 0; j < ITEMS; j++) assert_true(isfinite(scores[j]));
  const size_t weight_count = freshet_model_weights(w.model, weights);
  assert_true(weight_count > 0);
  for (size_t i = 0; i < weight_count; i++) assert_true(isfinite(weights[i].weight));
  /* The other users go on, and their lists come back. */
  for (int i = 0; i < 2000; i++) {
    const uint64_t random = freshet_random(12, (uint64_t)i);
    const int u = 1 + (int)(random % (USERS - 1));
    choose(w.model, w.users[u], (u % 2 == 0 ? 0 : HALF) + (uint32_t)((random >> 20) % HALF), 1,
           200000000LL + i * 1000);
  }
  assert_true(own_in_list(&w, 3, 300000000) + 2 >= before);
  free_world(&w);
}

/* Each of ten thousand users chooses the hub and then an item of its own; a few choose the hub and item 1. */
static void an_item_has_ten_thousand_neighbours(void** state) {
  (void)state;
  enum { OTHERS = 10000, HUB = 0, TRUE_NEIGHBOUR = 1 };
  world w = make_world();
  freshet_model* folded = make_model();
  freshet_model_delta delta;
  for (int i = 0; i < OTHERS; i++) {
    char id[24];
    uint32_t own = TRUE_NEIGHBOUR;
    freshet_user* user = freshet_user_create(w.model);
    snprintf(id, sizeof id, "other %d", i);
    if (i % 20 != 0)
      assert_int_equal(freshet_model_intern(w.model, freshet_slice_of(id), &own, NULL), FRESHET_OK);
    choose(w.model, user, HUB, 1, 1000000LL + i * 2000);
    choose(w.model, user, own, 1, 1001000LL + i * 2000);
    freshet_user_destroy(user);
  }
  /* The list of the hub is bounded: its stored row holds no more than model.neighbours entries of 16 bytes. */
  freshet_buffer row = {0};
  const freshet_model_config* config = freshet_model_get_config(w.model);
  freshet_model_write_item(w.model, HUB, 0, &row);
  assert_true(row.size < 16 * (size_t)config->neighbours + 2 * config->dim * sizeof(float) + 200);
  freshet_buffer_free(&row);
  /* What really goes together with the hub is still in its list, before any other. */
  float* scores = calloc(freshet_model_item_count(w.model), sizeof *scores);
  freshet_rank_query query = {0};
  uint32_t better = 0;
  assert_non_null(scores);
  choose(w.model, w.users[0], HUB, 1, 30000000);
  assert_int_equal(freshet_model_sync_ranker(w.model, NULL, NULL), FRESHET_OK);
  freshet_model_query(w.model, w.users[0], 30001000, w.scratch, &query);
  freshet_model_score_all(w.model, &query, scores);
  for (uint32_t j = 1; j < freshet_model_item_count(w.model); j++) {
    assert_true(isfinite(scores[j]));
    better += scores[j] > scores[TRUE_NEIGHBOUR];
  }
  assert_int_equal(better, 0);
  free(scores);
  /* Other workers come to the same lists. */
  freshet_model_take_delta(w.model, &delta);
  assert_int_equal(freshet_model_fold(folded, &delta, 0, NULL), FRESHET_OK);
  assert_int_equal(freshet_model_hash(folded), freshet_model_hash(w.model));
  freshet_model_destroy(folded);
  free_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_user_repeats_one_item_without_end),
      cmocka_unit_test(an_item_has_ten_thousand_neighbours),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
