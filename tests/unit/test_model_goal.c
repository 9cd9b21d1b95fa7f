/* What lists are for: with model.goal = purchase they foretell purchases, also where people click other things than
 * they buy. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "commands/evaluate/evaluate_data.h"
#include "core/maths.h"
#include "core/observe.h"
#include "core/rules.h"

enum {
  GROUPS = 8,
  SHOWN = 6,
  SOLD = 3,
  GROUP = SHOWN + SOLD,
  ITEMS = GROUPS * GROUP,
  USERS = 200,
  VISITS = 3000
};

#include "support_model_world.h"

static freshet_event click_of(int64_t time_ms) {
  return (freshet_event){.type = FRESHET_CLICK, .occurred_at_ms = time_ms};
}
static freshet_event purchase_of(int64_t time_ms) {
  return (freshet_event){.type = FRESHET_PURCHASE, .occurred_at_ms = time_ms};
}

static void meet(world* w, freshet_goal goal, int user, uint32_t item, freshet_event event) {
  const freshet_event_values values = {
      .weights = {1, 1, 1, 1}, .positive_rating = 4, .rating_min = 1, .goal = goal};
  const freshet_observation seen = freshet_observe(&values, &event, item);
  assert_int_equal(freshet_model_learn(w->model, w->users[user], &seen, NULL), FRESHET_OK);
}

/* In a visit a user looks at items of one group that nobody buys, and then buys one of the others. Returns recall@3 of the
 * purchases of the second half. */
static double recall_of_purchases(freshet_goal goal) {
  world w = make_world();
  float scores[ITEMS];
  int hits = 0, ranked = 0;
  for (int visit = 0; visit < VISITS; visit++) {
    const uint64_t random = freshet_random(3, (uint64_t)visit);
    const int u = (int)(random % USERS);
    const uint32_t group = (uint32_t)(random >> 20) % GROUPS * GROUP;
    const uint32_t bought = group + SHOWN + (uint32_t)(random >> 30) % SOLD;
    const int64_t now_ms = 1000000LL + visit * 1000000LL;
    freshet_rank_query query = {0};
    uint32_t better = 0;
    for (int c = 0; c < 6; c++)
      meet(&w, goal, u, group + (uint32_t)(random >> (34 + 4 * c) & 15) % SHOWN,
           click_of(now_ms + c * 10000));
    assert_int_equal(freshet_model_sync_ranker(w.model, NULL, NULL), FRESHET_OK);
    freshet_model_query(w.model, w.users[u], now_ms + 60000, w.scratch, &query);
    freshet_model_score_all(w.model, &query, scores);
    for (uint32_t j = 0; j < ITEMS; j++) better += scores[j] > scores[bought];
    hits += visit > VISITS / 2 && better < 3;
    ranked += visit > VISITS / 2;
    meet(&w, goal, u, bought, purchase_of(now_ms + 60000));
  }
  free_world(&w);
  return (double)hits / ranked;
}

static void purchases_are_foretold_where_clicks_differ(void** state) {
  (void)state;
  const double any = recall_of_purchases(FRESHET_GOAL_ANY),
               purchase = recall_of_purchases(FRESHET_GOAL_PURCHASE);
  assert_true(purchase > any + .1);
  assert_true(purchase > .8);
}

static void hints_are_context_and_nothing_else(void** state) {
  (void)state;
  world w = make_world();
  meet(&w, FRESHET_GOAL_PURCHASE, 0, 3, click_of(1000));
  meet(&w, FRESHET_GOAL_PURCHASE, 0, 4,
       (freshet_event){.type = FRESHET_RATING, .rating = 5, .occurred_at_ms = 2000});
  assert_int_equal(freshet_model_events(w.model), 0);
  assert_true(freshet_model_item_weight(w.model, 3) == 0);
  assert_int_equal(w.users[0]->recent_count, 2);
  assert_int_equal(w.users[0]->habit_count, 0);
  meet(&w, FRESHET_GOAL_PURCHASE, 0, 5, purchase_of(3000));
  assert_int_equal(freshet_model_events(w.model), 1);
  meet(&w, FRESHET_GOAL_RATING, 0, 6,
       (freshet_event){.type = FRESHET_RATING, .rating = 5, .occurred_at_ms = 4000});
  meet(&w, FRESHET_GOAL_RATING, 0, 7, purchase_of(5000));
  assert_int_equal(freshet_model_events(w.model), 2);
  free_world(&w);
}

/* A click says that the user may buy the item, so it does not hide it; what was bought is hidden. */
static void a_clicked_item_may_be_in_lists_of_purchases(void** state) {
  (void)state;
  world w = make_world();
  uint32_t hidden[4];
  freshet_rules rules = {.hide = FRESHET_HIDE_LEARNED};
  meet(&w, FRESHET_GOAL_PURCHASE, 0, 3, click_of(1000));
  meet(&w, FRESHET_GOAL_PURCHASE, 0, 5, purchase_of(3000));
  freshet_user_mark_how(w.users[0], 5, FRESHET_PURCHASE);
  assert_int_equal(freshet_rules_list_hidden(&rules, false, w.users[0], 4000, hidden), 2);
  rules.wants_hints = true;
  assert_int_equal(freshet_rules_list_hidden(&rules, false, w.users[0], 4000, hidden), 1);
  assert_int_equal(hidden[0], 5);
  /* With repeats, the score decides about what was bought, and nothing is hidden. */
  assert_int_equal(freshet_rules_list_hidden(&rules, true, w.users[0], 4000, hidden), 0);
  free_world(&w);
}

static void evaluation_measures_the_goal(void** state) {
  (void)state;
  static const struct {
    freshet_goal goal;
    size_t positives, hints;
  } cases[] = {{FRESHET_GOAL_ANY, 3, 0}, {FRESHET_GOAL_PURCHASE, 1, 2}, {FRESHET_GOAL_RATING, 1, 2}};
  freshet_history* history = freshet_history_create();
  freshet_history_add(history, &(freshet_history_event){.type = FRESHET_CLICK, .time_ms = 1});
  freshet_history_add(history, &(freshet_history_event){.type = FRESHET_PURCHASE, .time_ms = 2, .item = 1});
  freshet_history_add(history,
                      &(freshet_history_event){.type = FRESHET_RATING, .rating = 5, .time_ms = 3, .item = 2});
  freshet_history_add(history,
                      &(freshet_history_event){.type = FRESHET_RATING, .rating = 1, .time_ms = 4, .item = 3});
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const freshet_history_rules rules = {
        .positive_rating = 4, .weights = {1, 1, 1, 1}, .goal = cases[i].goal};
    size_t positives = 0, hints = 0, ranked = 0;
    freshet_history_judge(history, &rules);
    for (size_t e = 0; e < history->event_count; e++) {
      positives += history->events[e].positive;
      hints += history->events[e].hint;
      ranked += history->events[e].ranked;
      assert_false(history->events[e].hint && !history->events[e].context);
    }
    assert_int_equal(positives, cases[i].positives);
    assert_int_equal(hints, cases[i].hints);
    assert_int_equal(ranked, positives);
  }
  freshet_history_destroy(history);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(purchases_are_foretold_where_clicks_differ),
      cmocka_unit_test(hints_are_context_and_nothing_else),
      cmocka_unit_test(a_clicked_item_may_be_in_lists_of_purchases),
      cmocka_unit_test(evaluation_measures_the_goal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
