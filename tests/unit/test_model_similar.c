/* Queries of nobody in particular: items like some, and the most popular ones. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/maths.h"
#include "freshet/model.h"

/* Items 0 .. 9 go together, and so do 10 .. 19, 20 .. 29, ...; BESTSELLER is chosen by everybody. */
enum { GROUPS = 8, GROUP = 10, ITEMS = GROUPS * GROUP + 2, BESTSELLER = GROUPS * GROUP, UNSEEN, USERS = 400 };

static uint32_t below(uint64_t what, uint64_t i, uint32_t bound) {
  return (uint32_t)freshet_below(freshet_random(what, i), bound);
}

static void choose(freshet_model* model, freshet_user* user, uint32_t item, int64_t time_ms) {
  const freshet_observation seen = {.item = item, .positive = true, .weight = 1, .time_ms = time_ms};
  assert_int_equal(freshet_model_learn(model, user, &seen, NULL), FRESHET_OK);
}

/* Every user takes the bestseller and six items of one group, in a session. */
static freshet_model* learn_a_stream(void) {
  freshet_model_config config = freshet_model_defaults();
  freshet_model* model;
  config.dim = 16;
  config.max_items = ITEMS;
  assert_int_equal(freshet_model_create(&config, &model, NULL), FRESHET_OK);
  for (uint32_t i = 0; i < ITEMS; i++) {
    char id[16];
    uint32_t slot;
    snprintf(id, sizeof id, "i%u", i);
    assert_int_equal(freshet_model_intern(model, freshet_slice_of(id), &slot, NULL), FRESHET_OK);
    freshet_model_set_listed(model, slot, true);
  }
  for (uint32_t u = 0; u < USERS; u++) {
    freshet_user* user = freshet_user_create(model);
    const uint32_t group = below(1, u, GROUPS), best = below(3, u, 6);
    for (uint32_t n = 0; n < 6; n++) {
      const int64_t time_ms = 1000000000LL + u * 100000LL + n * 1000;
      if (n == best) choose(model, user, BESTSELLER, time_ms);
      choose(model, user, group * GROUP + below(2, u * 6 + n, GROUP), time_ms + 100);
    }
    freshet_user_destroy(user);
  }
  freshet_model_sync_ranker(model, NULL, NULL);
  return model;
}

/* The items by score, best first, without those that are excluded. */
static void rank(const freshet_model* model, const freshet_rank_query* query, uint32_t out[ITEMS]) {
  float scores[ITEMS];
  freshet_model_score_all(model, query, scores);
  for (uint32_t i = 0; i < ITEMS; i++) {
    uint32_t at = i;
    for (; at > 0 && scores[out[at - 1]] < scores[i]; at--) out[at] = out[at - 1];
    out[at] = i;
  }
}

/* The items of its group are most like an item. The bestseller leads the list of a user who has just chosen it. */
static void similar_items_are_no_bestsellers(void** state) {
  (void)state;
  freshet_model* model = learn_a_stream();
  freshet_model_scratch* scratch = freshet_model_scratch_create(model);
  for (uint32_t item = 0; item < BESTSELLER; item += 7) {
    freshet_rank_query query = {0};
    uint32_t best[ITEMS], of_group = 0;
    freshet_model_query_similar(model, &item, 1, NULL, scratch, &query);
    assert_int_equal(query.excluded_count, 0);
    rank(model, &query, best);
    for (uint32_t r = 0; r < GROUP - 2; r++) of_group += best[r] / GROUP == item / GROUP;
    assert_int_equal(of_group, GROUP - 2); /* the item itself and its group; not the bestseller */
    freshet_user* user = freshet_user_create(model);
    choose(model, user, item, 2000000000);
    freshet_model_sync_ranker(model, NULL, NULL);
    freshet_model_query(model, user, 2000000000, scratch, &query);
    rank(model, &query, best);
    bool leads = false;
    for (uint32_t r = 0; r < 3; r++) leads = leads || best[r] == BESTSELLER;
    assert_true(leads);
    freshet_user_destroy(user);
  }
  freshet_model_scratch_destroy(scratch);
  freshet_model_destroy(model);
}

/* Reasons sum to the score, name one of the given items, and none is about a user. */
static void reasons_are_about_the_items(void** state) {
  (void)state;
  freshet_model* model = learn_a_stream();
  freshet_model_scratch* scratch = freshet_model_scratch_create(model);
  const uint32_t items[] = {3, 41, UNSEEN};
  freshet_rank_query query = {0};
  freshet_model_set_adjustment(model, 5, .5F);
  freshet_model_sync_ranker(model, NULL, NULL);
  freshet_model_query_similar(model, items, 3, NULL, scratch, &query);
  size_t audience = 0;
  for (uint32_t slot = 0; slot < ITEMS; slot++) {
    freshet_part parts[FRESHET_PARTS_MAX];
    const size_t count = freshet_model_explain_query(model, NULL, slot, scratch, parts);
    float sum = 0;
    for (size_t p = 0; p < count; p++) {
      sum += parts[p].score;
      audience += parts[p].kind == FRESHET_REASON_AUDIENCE;
      if (parts[p].kind == FRESHET_REASON_RULE) continue;
      assert_true(parts[p].item == items[0] || parts[p].item == items[1]); /* of the third nothing is known */
      assert_true(parts[p].kind == FRESHET_REASON_AUDIENCE || parts[p].kind == FRESHET_REASON_FOLLOWS ||
                  parts[p].kind == FRESHET_REASON_TOGETHER);
    }
    assert_true(fabsf(sum - freshet_model_score(model, &query, slot)) < 1e-4F);
  }
  assert_true(audience > 0);
  freshet_model_scratch_destroy(scratch);
  freshet_model_destroy(model);
}

/* After a similar query, the scratch makes a user's query as a new scratch does. */
static void a_scratch_keeps_nothing(void** state) {
  (void)state;
  freshet_model* model = learn_a_stream();
  freshet_model_scratch* used = freshet_model_scratch_create(model);
  freshet_model_scratch* fresh = freshet_model_scratch_create(model);
  freshet_user* user = freshet_user_create(model);
  const uint32_t item = 4;
  freshet_rank_query query = {0};
  float a[ITEMS], b[ITEMS];
  choose(model, user, 12, 2000000000);
  freshet_model_sync_ranker(model, NULL, NULL);
  freshet_model_query_similar(model, &item, 1, NULL, used, &query);
  freshet_model_query(model, user, 2000000000, used, &query);
  freshet_model_score_all(model, &query, a);
  freshet_model_query(model, user, 2000000000, fresh, &query);
  freshet_model_score_all(model, &query, b);
  assert_memory_equal(a, b, sizeof a);
  freshet_user_destroy(user);
  freshet_model_scratch_destroy(used);
  freshet_model_scratch_destroy(fresh);
  freshet_model_destroy(model);
}

static void popular_items_come_first(void** state) {
  (void)state;
  freshet_model* model = learn_a_stream();
  freshet_model_scratch* scratch = freshet_model_scratch_create(model);
  freshet_rank_query query = {0};
  uint32_t best[ITEMS];
  float scores[ITEMS], times[FRESHET_POPULARITIES], unseen[FRESHET_POPULARITIES];
  freshet_model_query_impersonal(model, true, scratch, &query);
  rank(model, &query, best);
  assert_int_equal(best[0], BESTSELLER);
  assert_int_equal(best[ITEMS - 1], UNSEEN);
  freshet_model_query_impersonal(model, false, scratch, &query);
  freshet_model_score_all(model, &query, scores);
  for (uint32_t i = 0; i < ITEMS; i++) assert_true(scores[i] == 0);
  freshet_model_item_popularity(model, BESTSELLER, times);
  freshet_model_item_popularity(model, UNSEEN, unseen);
  for (int h = 0; h < FRESHET_POPULARITIES; h++) {
    assert_true(times[h] > ITEMS / 10.F && times[h] < ITEMS / 5.F); /* one choice in seven is of it */
    assert_true(unseen[h] == 0);
  }
  freshet_model_scratch_destroy(scratch);
  freshet_model_destroy(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(similar_items_are_no_bestsellers),
      cmocka_unit_test(reasons_are_about_the_items),
      cmocka_unit_test(a_scratch_keeps_nothing),
      cmocka_unit_test(popular_items_come_first),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
