/* From ranked candidates to a list: variety against the formula, exploration against its own propensities, a
 * wanted text in the score and in the reasons. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/maths.h"
#include "core/select.h"

enum { DIM = 16, TEXT_DIM = 24, ITEMS = 300 };

static freshet_model* model;

static void make_vector(uint64_t seed, float vector[TEXT_DIM]) {
  for (int i = 0; i < TEXT_DIM; i++) vector[i] = freshet_gauss(freshet_random(seed, (uint64_t)i));
}

static int set_up(void** state) {
  (void)state;
  freshet_model_config config = freshet_model_defaults();
  config.dim = DIM;
  config.text_dim = TEXT_DIM;
  if (freshet_model_create(&config, &model, NULL) != FRESHET_OK) return -1;
  for (uint32_t i = 0; i < ITEMS; i++) {
    char id[16];
    float vector[TEXT_DIM];
    uint32_t slot;
    snprintf(id, sizeof id, "i%u", i);
    make_vector(i / 3 + 1, vector); /* three of each text */
    vector[0] += (float)(i % 3) * .1F;
    assert_int_equal(freshet_model_intern(model, freshet_slice_of(id), &slot, NULL), FRESHET_OK);
    freshet_model_set_listed(model, slot, i % 10 != 9);
    if (i % 7 != 6) assert_int_equal(freshet_model_set_text(model, slot, vector, NULL, NULL), FRESHET_OK);
  }
  freshet_user* user = freshet_user_create(model);
  for (int i = 0; i < 400; i++) {
    freshet_observation seen = {
        .item = (uint32_t)(i * i % ITEMS), .positive = true, .weight = 1, .time_ms = 1000 * i};
    assert_int_equal(freshet_model_learn(model, user, &seen, NULL), FRESHET_OK);
  }
  freshet_user_destroy(user);
  return freshet_model_sync_ranker(model, NULL, NULL) == FRESHET_OK ? 0 : -1;
}

static int tear_down(void** state) {
  (void)state;
  freshet_model_destroy(model);
  return 0;
}

/* ---- variety ---- */

static void check_variety(uint64_t seed, size_t count, size_t k, float diversity) {
  freshet_ranked candidates[ITEMS], rest[ITEMS];
  freshet_variety scratch[ITEMS];
  for (size_t i = 0; i < count; i++) {
    candidates[i].item = (uint32_t)((i * 7 + seed) % ITEMS);
    candidates[i].score = (float)(count - i) + (float)(freshet_random(seed, i) % 100) * .01F - 3;
  }
  memcpy(rest, candidates, sizeof rest);
  float best = candidates[0].score, worst = best;
  for (size_t i = 0; i < count; i++) {
    best = rest[i].score > best ? rest[i].score : best;
    worst = rest[i].score < worst ? rest[i].score : worst;
  }
  freshet_select_diverse(model, candidates, count, k, diversity, scratch);
  size_t left = count - 1; /* the first stays */
  assert_int_equal(candidates[0].item, rest[0].item);
  memmove(rest, rest + 1, left * sizeof *rest);
  for (size_t place = 1; place < k && place < count; place++) {
    size_t chosen = 0;
    double most = -1e9;
    for (size_t i = 0; i < left; i++) {
      double near = 0;
      for (size_t p = 0; p < place; p++) {
        double like = freshet_model_text_likeness(model, candidates[p].item, rest[i].item);
        near += like > (double).2F ? (like - (double).2F) / 2 : 0;
      }
      double value = (1 - (double)diversity) * (double)((rest[i].score - worst) / (best - worst)) -
                     (double)diversity * near;
      if (value > most + 1e-6) {
        most = value;
        chosen = i;
      }
    }
    assert_int_equal(candidates[place].item, rest[chosen].item);
    memmove(rest + chosen, rest + chosen + 1, (--left - chosen) * sizeof *rest);
  }
}

static void varied_lists_follow_the_formula(void** state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    check_variety(seed, 1 + seed * 3 % 90, 1 + seed % 12, (float)(seed % 11) * .1F + .01F);
  }
}

static void no_wish_for_variety_changes_nothing(void** state) {
  (void)state;
  freshet_ranked candidates[] = {{3, 2}, {4, 1}, {5, 0}};
  freshet_variety scratch[3];
  freshet_select_diverse(model, candidates, 3, 3, 0, scratch);
  assert_int_equal(candidates[0].item, 3);
  assert_int_equal(candidates[2].item, 5);
  assert_int_equal(freshet_select_candidates(10, 0), 10);
  assert_int_equal(freshet_select_candidates(10, .5F), 64);
  assert_int_equal(freshet_select_candidates(50, .5F), 200);
  assert_int_equal(freshet_select_candidates(1000, .5F), 1000);
}

/* ---- exploration ---- */

enum { POOL = 5, RANKED = 6, PLACES = 4, ROUNDS = 200000 };

/* The propensities of what was drawn, and how often it was drawn, agree: a sum of 1 / propensity over the
 * rounds in which an item had the first place is the number of rounds, for every item that may have it. */
static void propensities_are_frequencies(void** state) {
  (void)state;
  static const float shares[] = {.1F, .5F, .9F};
  for (size_t s = 0; s < 3; s++) {
    double first[RANKED + POOL] = {0};
    for (uint64_t round = 0; round < ROUNDS; round++) {
      freshet_ranked ranked[RANKED];
      uint32_t pool[POOL] = {0, 6, 7, 8, 9}; /* item 0 may come either way */
      freshet_pick picks[PLACES];
      for (uint32_t i = 0; i < RANKED; i++) ranked[i] = (freshet_ranked){i, (float)(RANKED - i)};
      assert_int_equal(freshet_select_explore(ranked, RANKED, pool, POOL, shares[s], round, PLACES, picks),
                       PLACES);
      assert_true(picks[0].propensity > 0 && picks[0].propensity <= 1);
      first[picks[0].item] += 1 / (double)picks[0].propensity;
      for (int i = 0; i < PLACES; i++) {
        for (int j = 0; j < i; j++) assert_int_not_equal(picks[i].item, picks[j].item);
      }
    }
    for (uint32_t i = 0; i < RANKED + POOL; i++) {
      bool is_possible = i == 0 || (i >= 6 && i < 10);
      double expected = is_possible ? ROUNDS : 0;
      if (first[i] < expected * .95 || first[i] > expected * 1.05)
        fail_msg("share %.1f: item %u has %.0f of %.0f", (double)shares[s], i, first[i], expected);
    }
  }
}

static void exploration_ends_where_items_do(void** state) {
  (void)state;
  freshet_ranked ranked[] = {{1, 2}, {2, 1}};
  uint32_t pool[] = {2, 3};
  freshet_pick picks[10];
  assert_int_equal(freshet_select_explore(ranked, 2, pool, 2, .5F, 7, 10, picks), 3);
  assert_int_equal(freshet_select_explore(ranked, 2, pool, 0, 1, 7, 10, picks), 2);
  assert_true(picks[0].propensity == 1 && picks[1].propensity == 1);
  assert_int_equal(freshet_select_explore(NULL, 0, pool, 2, 0, 7, 10, picks), 2);
  assert_int_equal(freshet_select_explore(NULL, 0, NULL, 0, .5F, 7, 10, picks), 0);
}

/* ---- a wanted text ---- */

static float score_of(const freshet_rank_query* query, uint32_t slot) {
  float scores[ITEMS];
  freshet_model_score_all(model, query, scores);
  return scores[slot];
}

static void a_wanted_text_is_a_part_of_the_score(void** state) {
  (void)state;
  freshet_model_scratch* scratch = freshet_model_scratch_create(model);
  freshet_wanted_text* text = freshet_wanted_text_create(model);
  freshet_user* user = freshet_user_create(model);
  float vector[TEXT_DIM];
  make_vector(41, vector); /* items 120 to 122 */
  for (int events = 0; events < 3; events++) {
    freshet_rank_query with = {0}, without = {0};
    assert_int_equal(freshet_wanted_text_set(text, model, vector, NULL, 2, NULL, 0, NULL), FRESHET_OK);
    freshet_model_query(model, user, 1000000, scratch, &without);
    float before = score_of(&without, 121);
    freshet_model_query_text(model, user, text, 1000000, scratch, &with);
    float scores[ITEMS];
    freshet_model_score_all(model, &with, scores);
    assert_true(scores[121] > before + 1);
    for (uint32_t slot = 0; slot < ITEMS; slot++) {
      freshet_part parts[FRESHET_PARTS_MAX];
      size_t count = freshet_model_explain_text(model, user, text, 1000000, slot, scratch, parts);
      double sum = 0, context = 0;
      for (size_t p = 0; p < count; p++) {
        sum += (double)parts[p].score;
        if (parts[p].kind == FRESHET_REASON_CONTEXT) context += (double)parts[p].score;
      }
      assert_float_equal(sum, scores[slot], 1e-4);
      if (slot == 121) assert_true(context > 1);
    }
    freshet_observation seen = {.item = 5, .positive = true, .weight = 1, .time_ms = 990000 + events};
    assert_int_equal(freshet_model_learn(model, user, &seen, NULL), FRESHET_OK);
  }
  freshet_user_destroy(user);
  freshet_wanted_text_destroy(text);
  freshet_model_scratch_destroy(scratch);
}

static void matches_are_the_most_alike_that_are_allowed(void** state) {
  (void)state;
  freshet_model_scratch* scratch = freshet_model_scratch_create(model);
  freshet_wanted_text* text = freshet_wanted_text_create(model);
  freshet_user* user = freshet_user_create(model);
  uint64_t allowed[ITEMS / 64 + 1];
  float vector[TEXT_DIM];
  freshet_rank_query query = {0};
  memset(allowed, 0xff, sizeof allowed);
  allowed[121 / 64] &= ~((uint64_t)1 << 121 % 64);
  make_vector(41, vector);
  assert_int_equal(freshet_wanted_text_set(text, model, vector, NULL, 1, allowed, ITEMS, NULL), FRESHET_OK);
  freshet_model_query_text(model, user, text, 1000000, scratch, &query);
  bool has_120 = false;
  for (size_t i = 0; i < query.bonus_count; i++) {
    assert_int_not_equal(query.bonus_items[i], 121);    /* not allowed */
    assert_int_not_equal(query.bonus_items[i] % 10, 9); /* not listed */
    has_120 = has_120 || query.bonus_items[i] == 120;
  }
  assert_true(has_120);
  vector[3] = NAN;
  assert_int_equal(freshet_wanted_text_set(text, model, vector, NULL, 1, NULL, 0, NULL), FRESHET_INVALID);
  freshet_user_destroy(user);
  freshet_wanted_text_destroy(text);
  freshet_model_scratch_destroy(scratch);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(varied_lists_follow_the_formula),
      cmocka_unit_test(no_wish_for_variety_changes_nothing),
      cmocka_unit_test(propensities_are_frequencies),
      cmocka_unit_test(exploration_ends_where_items_do),
      cmocka_unit_test(a_wanted_text_is_a_part_of_the_score),
      cmocka_unit_test(matches_are_the_most_alike_that_are_allowed),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
