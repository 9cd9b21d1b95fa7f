/* Dislikes: they push away what is like them, are never a reason, travel in deltas and stored state, and cost
 * nothing where nobody dislikes anything. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/maths.h"
#include "core/model_internal.h"
#include "core/observe.h"
#include "core/rules.h"

enum { ITEMS = 40, HALF = ITEMS / 2, USERS = 30 };

#include "support_model_world.h"
#include "support_older_row.h"

static void meet(world* w, int user, uint32_t slot, float dislike, int64_t time_ms) {
  freshet_observation seen = {slot, dislike == 0, dislike, 1, time_ms, 0, false};
  assert_int_equal(freshet_model_learn(w->model, w->users[user], &seen, NULL), FRESHET_OK);
}

/* Items below HALF go together, and so do the others. Users like one of the halves; with dislikes, they also
 * say so of some of the other. */
static void teach(world* w, bool with_dislikes) {
  for (int turn = 0; turn < 30; turn++) {
    for (int u = 1; u < USERS; u++) {
      uint32_t own = u % 2 == 0 ? 0 : HALF;
      int64_t now_ms = (int64_t)turn * 1000000 + u;
      meet(w, u, own + (uint32_t)(turn * 7 + u) % HALF, 0, now_ms);
      if (with_dislikes && turn % 3 == 0)
        meet(w, u, HALF - own + (uint32_t)(turn * 5 + u) % HALF, 1, now_ms + 100);
    }
  }
}

static void score(world* w, int user, int64_t now_ms, float scores[ITEMS]) {
  freshet_rank_query query = {0};
  assert_int_equal(freshet_model_sync_ranker(w->model, NULL, NULL), FRESHET_OK);
  freshet_model_query(w->model, w->users[user], now_ms, w->scratch, &query);
  freshet_model_score_all(w->model, &query, scores);
}

static double mean_of(const float* scores, uint32_t from, uint32_t to) {
  double sum = 0;
  for (uint32_t i = from; i < to; i++) sum += (double)scores[i];
  return sum / (to - from);
}

static void a_dislike_pushes_away_what_is_like_it(void** state) {
  (void)state;
  enum { LATER_MS = 100000000 };
  float before[ITEMS], after[ITEMS];
  world w = make_world();
  teach(&w, true);
  meet(&w, 0, HALF + 10, 0, LATER_MS);
  score(&w, 0, LATER_MS + 1000, before);
  for (uint32_t i = 0; i < 5; i++) meet(&w, 0, i, 1, LATER_MS + 2000 + i);
  score(&w, 0, LATER_MS + 3000, after);
  double pushed = mean_of(before, 10, HALF) - mean_of(after, 10, HALF);
  double others = mean_of(before, HALF + 11, ITEMS) - mean_of(after, HALF + 11, ITEMS);
  assert_true(pushed > others + .2);
  free_world(&w);
}

/* A shop of two kinds of items with few dimensions and 26 events: their vectors are still what their texts made them, and
 * that is enough. The mean over a few shops, because 16 dimensions hold texts roughly. */
static void a_dislike_acts_in_a_small_shop_by_texts(void** state) {
  (void)state;
  enum { TEXT_DIM = 256, SHOPS = 8, CHOSEN = 24, NOW_MS = 100000 };
  double alike = 0, others = 0;
  for (uint64_t shop = 0; shop < SHOPS; shop++) {
    freshet_model_config config = freshet_model_defaults();
    float text[TEXT_DIM], before[ITEMS], after[ITEMS];
    world w = {0};
    config.dim = 16;
    config.text_dim = TEXT_DIM;
    w.model = make_model_of(&config);
    w.scratch = freshet_model_scratch_create(w.model);
    for (int u = 0; u < USERS; u++) w.users[u] = freshet_user_create(w.model);
    for (uint32_t i = 0; i < ITEMS; i++) {
      const uint64_t kind = 2 * shop + (i < HALF), own = 1000 + shop * ITEMS + i;
      for (uint32_t d = 0; d < TEXT_DIM; d++)
        text[d] = freshet_gauss(freshet_random(kind, d)) + freshet_gauss(freshet_random(own, d));
      assert_int_equal(freshet_model_set_text(w.model, i, text, NULL, NULL), FRESHET_OK);
    }
    for (int i = 0; i < CHOSEN; i++) meet(&w, 1 + i, (uint32_t)(i % 2 * HALF + i / 2), 0, 1000 + i);
    meet(&w, 0, 0, 0, 2000);
    meet(&w, 0, 1, 0, 3000);
    score(&w, 0, NOW_MS, before);
    for (uint32_t i = 2; i < 5; i++) meet(&w, 0, i, 1, NOW_MS + i);
    score(&w, 0, NOW_MS + 1000, after);
    alike += (mean_of(before, 5, HALF) - mean_of(after, 5, HALF)) / SHOPS;
    others += (mean_of(before, HALF, ITEMS) - mean_of(after, HALF, ITEMS)) / SHOPS;
    free_world(&w);
  }
  assert_true(alike > others + .1);
}

/* What the neighbours of a recent item count falls by 1.25 times the dislike, and not below 0. */
static void neighbours_of_a_disliked_item_count_less(void** state) {
  (void)state;
  enum { LATER_MS = 100000000, FEATURE = TOGETHER_NOW };
  static const struct { float dislike, share; } cases[] = {{.2F, .75F}, {.4F, .5F}, {.8F, 0}, {1, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    context c;
    world w = make_world();
    teach(&w, false);
    meet(&w, 0, 1, 0, LATER_MS);
    meet(&w, 0, 2, cases[i].dislike, LATER_MS);
    freshet_model_context(w.model, w.users[0], LATER_MS, &c);
    assert_int_equal(c.count, 2);
    const uint32_t disliked = c.items[0] == 2 ? 0 : 1;
    /* both items have been chosen as often, so their counts are divided by about as much */
    const float root =
        sqrtf((float)(w.model->counts[1] + WEIGHT_UNITS) / (float)(w.model->counts[2] + WEIGHT_UNITS));
    const float scale = freshet_model_neighbours_scale(&w.model->items[2].near) /
                        freshet_model_neighbours_scale(&w.model->items[1].near);
    const float share = c.feature_weight[disliked][FEATURE] / c.feature_weight[1 - disliked][FEATURE];
    assert_float_equal(share, cases[i].share * root * scale, 1e-4);
    free_world(&w);
  }
}

/* The user has chosen an item of one genre, and then met five items of the other one. */
static void who_rates_a_genre_low_gets_less_of_it(void** state) {
  (void)state;
  enum { LATER_MS = 100000000, RATED = 5 };
  float liked[ITEMS], low[ITEMS];
  const float dislikes[] = {0, .67F}; /* a rating of 2 of 5 */
  for (int turn = 0; turn < 2; turn++) {
    world w = make_world();
    teach(&w, true);
    meet(&w, 0, HALF, 0, LATER_MS);
    for (uint32_t i = 0; i < RATED; i++) meet(&w, 0, i, dislikes[turn], LATER_MS + 1000 + i);
    score(&w, 0, LATER_MS + 2000, turn == 0 ? liked : low);
    free_world(&w);
  }
  const double before = mean_of(liked, RATED, HALF) - mean_of(liked, HALF + 1, ITEMS);
  const double after = mean_of(low, RATED, HALF) - mean_of(low, HALF + 1, ITEMS);
  assert_true(before > .5);
  assert_true(after < .65 * before);
}

static void a_dislike_is_never_a_reason(void** state) {
  (void)state;
  enum { LATER_MS = 100000000 };
  float scores[ITEMS];
  world w = make_world();
  teach(&w, true);
  meet(&w, 0, 1, 0, LATER_MS);
  meet(&w, 0, 2, .4F, LATER_MS + 1000); /* it counts a little, and still is no reason */
  meet(&w, 0, 3, 1, LATER_MS + 2000);
  score(&w, 0, LATER_MS + 3000, scores);
  bool has_reason = false;
  for (uint32_t slot = 0; slot < ITEMS; slot++) {
    freshet_part parts[FRESHET_PARTS_MAX];
    double sum = 0;
    size_t count = freshet_model_explain(w.model, w.users[0], LATER_MS + 3000, slot, w.scratch, parts);
    for (size_t p = 0; p < count; p++) {
      sum += (double)parts[p].score;
      has_reason = has_reason || parts[p].item == 1;
      assert_int_not_equal(parts[p].item, 2);
      assert_int_not_equal(parts[p].item, 3);
    }
    assert_true(fabs(sum - (double)scores[slot]) < 1e-4);
  }
  assert_true(has_reason);
  free_world(&w);
}

static void what_many_dislike_falls(void** state) {
  (void)state;
  float scores[ITEMS];
  world w = make_world();
  teach(&w, false);
  score(&w, 0, 40000000, scores);
  double before = (double)scores[4] - (double)scores[5];
  for (int u = 1; u < USERS; u++) meet(&w, u, 4, 1, 50000000);
  score(&w, 0, 60000000, scores);
  assert_true((double)scores[4] - (double)scores[5] < before - .1);
  free_world(&w);
}

/* One user says the same again and again, each time with another id: for others it is one dislike. */
static void dislikes_of_one_user_count_once(void** state) {
  (void)state;
  float once[ITEMS], often[ITEMS];
  for (int hides = 0; hides < 2; hides++) {
    world w = make_world();
    teach(&w, false);
    for (int turn = 0; turn < 1000; turn++) {
      meet(&w, 1, 4, hides == 0 && turn == 0 ? .5F : 1, 50000000 + turn * 1000);
      if (hides == 1) freshet_user_mark_how(w.users[1], 4, FRESHET_FEEDBACK);
      if (turn == 1) score(&w, 0, 60000000, once);
      /* Others in between, so that the history has forgotten it. */
      for (uint32_t slot = 0; hides == 1 && slot < 25; slot++)
        meet(&w, 1, slot + 10, 0, 50000100 + turn * 1000 + slot);
    }
    score(&w, 0, 60000000, often);
    if (hides == 0) assert_true(once[4] == often[4] && once[5] == often[5]);
    assert_int_equal(w.model->items[4].dislikes, WEIGHT_UNITS);
    assert_int_equal(w.users[1]->recent_count, FRESHET_HISTORY);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < w.users[1]->seen_count; i++) seen += w.users[1]->seen[i] == 4;
    assert_int_equal(seen, 1);
    assert_true(freshet_model_like_odds(w.model, 4) > -.2F);
    free_world(&w);
  }
}

/* Whatever the order, the strengths and the times: they count as much as the strongest, or less. */
static void weaker_and_older_dislikes_of_one_user_count_once(void** state) {
  (void)state;
  enum { TURNS = 300, NEW_MS = 50000000 };
  static const struct {
    const char* name;
    float even, odd; /* strengths, in turn */
    float rise;      /* a turn */
    int64_t step_ms; /* a turn */
    bool chosen;     /* first, at NEW_MS */
    uint32_t others; /* chosen later, first */
    uint32_t units;
  } cases[] = {
      {"a weaker one, then a stronger one", .01F, .5F, 0, 1000, false, 0, WEIGHT_UNITS / 2},
      {"the same, each older", .01F, .5F, 0, -1000, false, 0, WEIGHT_UNITS / 2},
      {"a late skip, which is no dislike", .5F, 0, 0, 1000, false, 0, WEIGHT_UNITS / 2},
      {"a little stronger each time", .2F, .2F, .001F, 1000, false, 0, WEIGHT_UNITS / 2},
      {"older than the choice", .5F, .5F, 0, -1000, true, 0, 0},
      {"newer than the choice", .5F, .5F, 0, 1000, true, 0, WEIGHT_UNITS / 2},
      {"older than the whole history", .5F, .5F, 0, -1000, false, FRESHET_HISTORY, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    world w = make_world();
    if (cases[i].chosen) meet(&w, 1, 4, 0, NEW_MS);
    for (uint32_t slot = 0; slot < cases[i].others; slot++) meet(&w, 1, slot + 10, 0, NEW_MS + slot);
    for (int turn = 0; turn < TURNS; turn++) {
      const float strength = (turn % 2 == 0 ? cases[i].even : cases[i].odd) + (float)turn * cases[i].rise;
      const freshet_observation seen = {4, false, strength, 1, NEW_MS + (turn + 1) * cases[i].step_ms,
                                        0, false};
      assert_int_equal(freshet_model_learn(w.model, w.users[1], &seen, NULL), FRESHET_OK);
    }
    const uint32_t units = w.model->items[4].dislikes;
    if (units != cases[i].units) fail_msg("%s: %u units instead of %u", cases[i].name, units, cases[i].units);
    free_world(&w);
  }
}

static void who_dislikes_everything_gets_finite_scores(void** state) {
  (void)state;
  float scores[ITEMS];
  world w = make_world();
  for (int turn = 0; turn < 50; turn++) {
    for (uint32_t slot = 0; slot < ITEMS; slot++) meet(&w, 0, slot, 1, turn * 1000000 + slot);
  }
  score(&w, 0, 60000000, scores);
  for (uint32_t slot = 0; slot < ITEMS; slot++) assert_true(isfinite(scores[slot]));
  free_world(&w);
}

/* Takes what `from` has learned and folds it into `to`. */
static void hand_over(freshet_model* from, freshet_model* to, int64_t offset) {
  freshet_model_delta delta;
  freshet_model_take_delta(from, &delta);
  assert_int_equal(freshet_model_fold(to, &delta, offset, NULL), FRESHET_OK);
}

static void deltas_and_state_carry_dislikes(void** state) {
  (void)state;
  world w = make_world();
  freshet_model *folded = make_model(), *restored = make_model();
  teach(&w, true);
  hand_over(w.model, folded, 0);
  meet(&w, 3, 7, 1, 90000000); /* a delta of a dislike alone */
  hand_over(w.model, folded, 1);
  assert_int_equal(freshet_model_hash(folded), freshet_model_hash(w.model));
  freshet_buffer bytes = {0};
  freshet_model_write_globals(folded, 2, &bytes);
  assert_int_equal(freshet_model_read_globals(restored, freshet_buffer_slice(&bytes), NULL), FRESHET_OK);
  for (uint32_t slot = 0; slot < ITEMS; slot++) {
    bytes.size = 0;
    freshet_model_write_item(folded, slot, 2, &bytes);
    assert_int_equal(freshet_model_read_item(restored, slot, freshet_buffer_slice(&bytes), NULL), FRESHET_OK);
  }
  assert_int_equal(freshet_model_hash(restored), freshet_model_hash(w.model));
  freshet_buffer_free(&bytes);
  freshet_model_destroy(folded);
  freshet_model_destroy(restored);
  free_world(&w);
}

static void assert_same_neighbours(const freshet_model* a, const freshet_model* b, uint32_t slot) {
  const neighbours *mine = &a->items[slot].near, *theirs = &b->items[slot].near;
  assert_int_equal(mine->count, theirs->count);
  assert_true(mine->count > 0);
  for (uint32_t e = 0; e < mine->count; e++) {
    assert_true(a->items[mine->entries[e].item].key == b->items[theirs->entries[e].item].key);
    /* without a clock, the list fades as it is read */
    assert_true(mine->entries[e].together <= theirs->entries[e].together);
  }
}

/* State of version 1 ends before the dislikes, that of version 2 before the repeats, and that of version 3 before the
 * clock of the list. Up to version 4 the counts of neighbours were floats. */
static void older_state_is_read(void** state) {
  (void)state;
  enum { VERSIONS = OLDER_ROW_VERSIONS, GLOBAL_REPEATS = 24 };
  static const size_t global_tails[VERSIONS] = {sizeof(int64_t) + GLOBAL_REPEATS, GLOBAL_REPEATS, 0, 0};
  world w = make_world();
  freshet_model* restored = make_model();
  freshet_buffer bytes = {0};
  teach(&w, true);
  for (int version = 1; version <= VERSIONS; version++) {
    write_older_row(w.model, 3, version, false, &bytes);
    const freshet_status longer = freshet_model_read_item(restored, 3, freshet_buffer_slice(&bytes), NULL);
    assert_int_equal(longer, version < VERSIONS ? FRESHET_INVALID : FRESHET_OK);
    write_older_row(w.model, 3, version, true, &bytes);
    assert_int_equal(freshet_model_read_item(restored, 3, freshet_buffer_slice(&bytes), NULL), FRESHET_OK);
    assert_true(freshet_model_item_weight(restored, 3) == freshet_model_item_weight(w.model, 3));
    assert_same_neighbours(restored, w.model, 3);
    bytes.size = 0;
    freshet_model_write_globals(w.model, 2, &bytes);
    bytes.data[0] = (char)version;
    freshet_slice row = freshet_buffer_slice(&bytes);
    const freshet_status whole = freshet_model_read_globals(restored, row, NULL);
    assert_int_equal(whole, global_tails[version - 1] > 0 ? FRESHET_INVALID : FRESHET_OK);
    row.size -= global_tails[version - 1];
    assert_int_equal(freshet_model_read_globals(restored, row, NULL), FRESHET_OK);
  }
  bytes.size = 0;
  freshet_model_write_item(w.model, 3, 2, &bytes);
  bytes.data[0] = VERSIONS + 2; /* of a version to come */
  freshet_error error = {0};
  assert_int_equal(freshet_model_read_item(restored, 3, freshet_buffer_slice(&bytes), &error),
                   FRESHET_INVALID);
  assert_non_null(strstr(error.message, "a later version of Freshet has written it; update this process"));
  freshet_buffer_free(&bytes);
  freshet_model_destroy(restored);
  free_world(&w);
}

static void ratings_become_choices_and_dislikes(void** state) {
  (void)state;
  const freshet_event_values values = {.weights = {1, 2, 3}, .positive_rating = 4, .rating_min = 1};
  static const struct {
    float rating;
    bool positive;
    float dislike;
  } cases[] = {{5, true, 0}, {4, true, 0}, {3.4F, false, .2F}, {1, false, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    freshet_event event = {.type = FRESHET_RATING, .rating = cases[i].rating, .occurred_at_ms = 9};
    freshet_observation seen = freshet_observe(&values, &event, 6);
    assert_int_equal(seen.item, 6);
    assert_int_equal(seen.positive, cases[i].positive);
    assert_float_equal(seen.dislike, cases[i].dislike, 1e-6);
    assert_float_equal(seen.weight, 2, 0);
    assert_int_equal(seen.time_ms, 9);
  }
  freshet_event bought = {.type = FRESHET_PURCHASE};
  assert_true(freshet_observe(&values, &bought, 0).positive);
  /* With every rating a choice but those below the scale, nothing is divided by 0. */
  const freshet_event_values odd = {.weights = {1, 1, 1}, .positive_rating = 1, .rating_min = 1};
  freshet_event low = {.type = FRESHET_RATING, .rating = .5F};
  assert_float_equal(freshet_observe(&odd, &low, 0).dislike, 1, 0);
}

static void feedback_becomes_dislikes(void** state) {
  (void)state;
  const freshet_event_values values = {.weights = {1, 1, 1}, .positive_rating = 4, .rating_min = 1};
  static const struct {
    freshet_feedback_kind kind;
    float after_s;
    bool observes;
    float dislike;
    freshet_event_type how;
  } cases[] = {
      {FRESHET_DISLIKE, 0, true, 1, FRESHET_FEEDBACK},
      {FRESHET_HIDE, 0, true, 1, FRESHET_FEEDBACK},
      {FRESHET_NOT_INTERESTED, 0, true, 1, FRESHET_FEEDBACK},
      {FRESHET_RETURNED, 0, true, 1, FRESHET_PURCHASE},
      {FRESHET_SKIP, 0, true, .5F, FRESHET_CLICK},
      {FRESHET_SKIP, 15, true, .25F, FRESHET_CLICK},
      {FRESHET_SKIP, 90, true, 0, FRESHET_CLICK},
      {FRESHET_IMPRESSION, 0, false, 0, FRESHET_CLICK},
      {FRESHET_FEEDBACK_OTHER, 0, false, 0, FRESHET_CLICK},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    freshet_event event = {.type = FRESHET_FEEDBACK, .feedback = cases[i].kind, .after_s = cases[i].after_s};
    assert_int_equal(freshet_observes(&event), cases[i].observes);
    if (!cases[i].observes) continue;
    assert_int_equal(freshet_seen_how(&event), cases[i].how);
    assert_false(freshet_observe(&values, &event, 0).positive);
    assert_float_equal(freshet_observe(&values, &event, 0).dislike, cases[i].dislike, 1e-6);
  }
}

static unsigned how_of(const freshet_user* user, uint32_t slot) {
  for (uint32_t i = 0; i < user->seen_count; i++) {
    if (user->seen[i] == slot) return user->seen_how[i];
  }
  return 99;
}

/* Feedback hides under every rule, a later low rating changes nothing, a choice ends it. */
static void feedback_hides_until_the_item_is_chosen(void** state) {
  (void)state;
  world w = make_world();
  meet(&w, 0, 5, 1, 1000);
  freshet_user_mark_how(w.users[0], 5, FRESHET_FEEDBACK);
  for (int hide = FRESHET_HIDE_SEEN; hide <= FRESHET_HIDE_NOTHING; hide++) {
    const freshet_rules rules = {.hide = (freshet_hide)hide};
    assert_true(freshet_rules_hides(&rules, how_of(w.users[0], 5)));
  }
  meet(&w, 0, 5, 1, 2000);
  freshet_user_mark_how(w.users[0], 5, FRESHET_RATING);
  assert_int_equal(how_of(w.users[0], 5), FRESHET_FEEDBACK);
  meet(&w, 0, 5, 0, 3000);
  freshet_user_mark_how(w.users[0], 5, FRESHET_PURCHASE);
  assert_int_equal(how_of(w.users[0], 5), FRESHET_PURCHASE);
  const freshet_rules nothing = {.hide = FRESHET_HIDE_NOTHING};
  assert_false(freshet_rules_hides(&nothing, how_of(w.users[0], 5)));
  free_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_dislike_pushes_away_what_is_like_it),
      cmocka_unit_test(a_dislike_acts_in_a_small_shop_by_texts),
      cmocka_unit_test(neighbours_of_a_disliked_item_count_less),
      cmocka_unit_test(who_rates_a_genre_low_gets_less_of_it),
      cmocka_unit_test(a_dislike_is_never_a_reason),
      cmocka_unit_test(what_many_dislike_falls),
      cmocka_unit_test(dislikes_of_one_user_count_once),
      cmocka_unit_test(weaker_and_older_dislikes_of_one_user_count_once),
      cmocka_unit_test(who_dislikes_everything_gets_finite_scores),
      cmocka_unit_test(deltas_and_state_carry_dislikes),
      cmocka_unit_test(older_state_is_read),
      cmocka_unit_test(ratings_become_choices_and_dislikes),
      cmocka_unit_test(feedback_becomes_dislikes),
      cmocka_unit_test(feedback_hides_until_the_item_is_chosen),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
