/* What a new item borrows from items with a text like its own, and that explanations say so. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/model_internal.h"

enum { TEXT_DIM = 16, CHOSEN = 0, LENDER, OTHER, NEW, ITEMS };

typedef struct world {
  freshet_model* model;
  freshet_model_scratch* scratch;
} world;

/* NEW and LENDER have one text, which is a little like CHOSEN's; OTHER's is like none. */
static world make_world(void) {
  static const float texts[ITEMS][TEXT_DIM] = {
      [CHOSEN] = {1, .4F}, [LENDER] = {.4F, 1}, [OTHER] = {0, 0, 1}, [NEW] = {.4F, 1}};
  static const char* const names[ITEMS] = {"chosen", "lender", "other", "new"};
  freshet_model_config config = freshet_model_defaults();
  world w;
  config.text_dim = TEXT_DIM;
  assert_int_equal(freshet_model_create(&config, &w.model, NULL), FRESHET_OK);
  for (uint32_t i = 0; i < ITEMS; i++) {
    uint32_t slot;
    assert_int_equal(freshet_model_intern(w.model, freshet_slice_of(names[i]), &slot, NULL), FRESHET_OK);
    assert_int_equal(slot, i);
    freshet_model_set_listed(w.model, slot, true);
    assert_int_equal(freshet_model_set_text(w.model, slot, texts[i], NULL, NULL), FRESHET_OK);
  }
  w.scratch = freshet_model_scratch_create(w.model);
  return w;
}

static void free_world(world* w) {
  freshet_model_scratch_destroy(w->scratch);
  freshet_model_destroy(w->model);
}

static void choose(world* w, freshet_user* user, uint32_t slot, int64_t time_ms) {
  freshet_observation seen = {.item = slot, .positive = true, .weight = 1, .time_ms = time_ms};
  assert_int_equal(freshet_model_learn(w->model, user, &seen, NULL), FRESHET_OK);
}

/* So many users choose `first`, then `then`. */
static void choose_pairs(world* w, uint32_t first, uint32_t then, int users) {
  for (int u = 0; u < users; u++) {
    freshet_user* user = freshet_user_create(w->model);
    choose(w, user, first, 1000);
    choose(w, user, then, 2000);
    freshet_user_destroy(user);
  }
}

/* What co-occurrence brings the item for a user who chose CHOSEN at 1,000 ms. Holds the parts to the score. */
static double co_occurrence_at(world* w, uint32_t slot, int64_t now_ms) {
  freshet_user* user = freshet_user_create(w->model);
  freshet_observation seen = {.item = CHOSEN, .time_ms = 1000}; /* context only: nothing is learned */
  freshet_rank_query query = {0};
  freshet_part parts[FRESHET_PARTS_MAX];
  float scores[ITEMS];
  double sum = 0, together = 0;
  assert_int_equal(freshet_model_learn(w->model, user, &seen, NULL), FRESHET_OK);
  assert_int_equal(freshet_model_sync_ranker(w->model, NULL, NULL), FRESHET_OK);
  freshet_model_query(w->model, user, now_ms, w->scratch, &query);
  freshet_model_score_all(w->model, &query, scores);
  size_t count = freshet_model_explain(w->model, user, now_ms, slot, w->scratch, parts);
  for (size_t p = 0; p < count; p++) {
    bool is_together = parts[p].kind == FRESHET_REASON_FOLLOWS || parts[p].kind == FRESHET_REASON_TOGETHER;
    sum += (double)parts[p].score;
    together += is_together ? (double)parts[p].score : 0;
  }
  assert_true(fabs(sum - (double)scores[slot]) < 1e-4);
  freshet_user_destroy(user);
  return together;
}

static double co_occurrence(world* w, uint32_t slot) {
  return co_occurrence_at(w, slot, 2000);
}

static void a_new_item_borrows_what_follows_where_its_like_follows(void** state) {
  (void)state;
  world w = make_world();
  choose_pairs(&w, OTHER, LENDER, 10); /* the lender is known, but not with the chosen item */
  assert_true(co_occurrence(&w, NEW) == 0);
  choose_pairs(&w, CHOSEN, LENDER, 10);
  double lent = co_occurrence(&w, NEW), own = co_occurrence(&w, LENDER);
  assert_true(own > 1);
  assert_true(lent > .5 * own && lent < own); /* texts are trusted by .5 to begin with */
  free_world(&w);
}

static void who_was_chosen_once_lends_and_who_is_known_borrows_nothing(void** state) {
  (void)state;
  world w = make_world();
  choose_pairs(&w, CHOSEN, LENDER, 1);
  assert_true(co_occurrence(&w, LENDER) > 0);
  assert_true(co_occurrence(&w, NEW) > 0);
  choose_pairs(&w, NEW, OTHER, 6);
  assert_true(co_occurrence(&w, NEW) == 0);
  free_world(&w);
}

/* Both are new and have one text. What one borrows it does not lend on: else the bonus would depend on who
 * comes first; the parts, which are made otherwise, would not add up to the score. */
static void new_items_lend_each_other_what_is_their_own_whatever_the_order(void** state) {
  (void)state;
  world w = make_world();
  choose_pairs(&w, CHOSEN, LENDER, 2);
  choose_pairs(&w, CHOSEN, NEW, 2);
  assert_true(co_occurrence(&w, NEW) > 0);
  assert_true(co_occurrence(&w, LENDER) > 0);
  free_world(&w);
}

/* A lender that is favoured because it is chosen often lends more. */
static void what_is_favoured_is_lent(void** state) {
  enum { LATER_MS = 100000000 };
  (void)state;
  world w = make_world();
  choose_pairs(&w, CHOSEN, LENDER, 20);
  for (int f = 0; f < FEATURES; f++) w.model->blend[TH + f] = f == TOGETHER_BEFORE ? 1 : 0;
  w.model->blend[CHOSEN_ROOT] = .5; /* of an item that was chosen three times */
  w.model->blend[FAVOUR] = 0;
  const double even = co_occurrence_at(&w, NEW, LATER_MS);
  w.model->blend[FAVOUR] = 1;
  assert_true(even > 0 && co_occurrence_at(&w, NEW, LATER_MS) > 1.2 * even);
  free_world(&w);
}

static void who_has_nothing_of_the_like_borrows_nothing(void** state) {
  (void)state;
  world w = make_world();
  choose_pairs(&w, CHOSEN, LENDER, 10);
  assert_true(co_occurrence(&w, OTHER) == 0);
  free_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_new_item_borrows_what_follows_where_its_like_follows),
      cmocka_unit_test(who_was_chosen_once_lends_and_who_is_known_borrows_nothing),
      cmocka_unit_test(new_items_lend_each_other_what_is_their_own_whatever_the_order),
      cmocka_unit_test(what_is_favoured_is_lent),
      cmocka_unit_test(who_has_nothing_of_the_like_borrows_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
