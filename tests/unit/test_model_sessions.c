/* Sessions: with which items a choice makes pairs, and what the items of a session agree on; a model that folds or
 * restores agrees, and older state is read. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model_bytes.h"
#include "core/model_query.h"
#include "core/model_sessions.h"

enum { ITEMS = 300, USERS = 20, THEME = 10, THEMES = 60, SESSION = 6, SESSIONS = 1500 };
static const int64_t hour_ms = 3600 * 1000LL, step_ms = 20 * 1000;

#include "support_model_world.h"

static uint32_t draw(uint64_t stream, uint64_t i, uint32_t below) {
  return (uint32_t)(freshet_random(stream, i) % below);
}

static void choose(world* w, uint32_t user, uint32_t slot, int64_t time_ms) {
  const freshet_observation seen = {.item = slot, .positive = true, .weight = 1, .time_ms = time_ms};
  assert_int_equal(freshet_model_learn(w->model, w->users[user], &seen, NULL), FRESHET_OK);
}

/* An item is in two themes; no two themes have many items in common. */
static uint32_t of_theme(uint32_t theme, uint32_t place) {
  const uint32_t slot = theme % (THEMES / 2) * THEME + place;
  return theme < THEMES / 2 ? slot : (slot * 7 + place * 30) % ITEMS;
}

/* A session chooses items of one theme, in any order. */
static void play(world* w, uint32_t from, uint32_t to) {
  for (uint32_t s = from; s < to; s++) {
    const uint32_t theme = draw(1, s, THEMES), start = draw(2, s, THEME), user = draw(3, s, USERS);
    for (uint32_t i = 0; i < SESSION; i++)
      choose(w, user, of_theme(theme, (start + 3 * i) % THEME), s * hour_ms + i * step_ms);
  }
}

static bool has_pair(const world* w, uint32_t a, uint32_t b) {
  const neighbours* near = &w->model->items[a].near;
  return w->model->kernels->find_entry(near->tags, near->entries, near->count, b) < near->count;
}

static uint32_t list_of(const world* w, uint32_t slot) {
  return w->model->items[slot].near.count;
}

/* ---- pairs ---- */

static void a_session_that_goes_on_makes_pairs_of_its_own_items(void** state) {
  (void)state;
  world w = make_world();
  choose(&w, 0, 1, 0);
  choose(&w, 0, 2, hour_ms);
  choose(&w, 0, 3, hour_ms + step_ms);
  assert_true(has_pair(&w, 1, 2) && has_pair(&w, 2, 1)); /* the first choice of a session */
  assert_true(has_pair(&w, 2, 3) && has_pair(&w, 3, 2));
  assert_false(has_pair(&w, 1, 3) || has_pair(&w, 3, 1));
  free_world(&w);
}

/* How many choices that begin a session make pairs with earlier items, of a thousand. */
static uint32_t sessions_with_pairs(world* w) {
  context c;
  uint32_t pairs = 0;
  freshet_user_destroy(w->users[0]);
  w->users[0] = freshet_user_create(w->model);
  choose(w, 0, 1, 0);
  freshet_model_context(w->model, w->users[0], hour_ms, &c);
  assert_int_equal(c.session, 0);
  for (int i = 0; i < 1000; i++) {
    pairs += freshet_model_pairs_with(w->model, &c) > 0;
    w->model->events++; /* another draw */
  }
  return pairs;
}

static void earlier_sessions_count_where_sessions_are_short(void** state) {
  (void)state;
  world single = make_world(), longer = make_world();
  for (uint32_t i = 0; i < 3000; i++) choose(&single, 0, draw(8, i, ITEMS), i * hour_ms);
  play(&longer, 0, SESSIONS);
  assert_true(single.model->blend[GOES_ON] == 0);
  assert_true(fabs(longer.model->blend[GOES_ON] - (SESSION - 1.0) / SESSION) < .03);
  assert_int_equal(sessions_with_pairs(&single), 1000);
  assert_in_range(sessions_with_pairs(&longer), 1000 * 2 / SESSION - 60, 1000 * 2 / SESSION + 60);
  for (int i = -300; i <= 300; i++) { /* whatever a damaged delta makes of the mean */
    single.model->blend[GOES_ON] = i / 100.0;
    assert_in_range(sessions_with_pairs(&single), 0, 1000);
  }
  free_world(&single);
  free_world(&longer);
}

/* ---- what is agreed ---- */

/* A user has chosen two items of a theme; now_ms is the time of the next choice. */
static int64_t begin_theme(world* w, uint32_t theme) {
  const int64_t start_ms = (SESSIONS + 1) * hour_ms;
  w->model->config.learning = false;
  freshet_user_destroy(w->users[0]);
  w->users[0] = freshet_user_create(w->model);
  choose(w, 0, of_theme(theme, 0), start_ms);
  choose(w, 0, of_theme(theme, 3), start_ms + step_ms);
  return start_ms + 2 * step_ms;
}

static void score(world* w, int64_t now_ms, float scores[ITEMS]) {
  freshet_rank_query query = {0};
  assert_int_equal(freshet_model_sync_ranker(w->model, NULL, NULL), FRESHET_OK);
  freshet_model_query(w->model, w->users[0], now_ms, w->scratch, &query);
  freshet_model_score_all(w->model, &query, scores);
}

/* The lead of a theme's other items over all items that are not in it, over all themes. */
static float lead(world* w) {
  float scores[ITEMS], lead = 0;
  for (uint32_t theme = 0; theme < THEMES; theme++) {
    bool is_in[ITEMS] = {false};
    float most = -INFINITY;
    score(w, begin_theme(w, theme), scores);
    for (uint32_t i = 0; i < THEME; i++) is_in[of_theme(theme, i)] = true;
    for (uint32_t i = 0; i < ITEMS; i++) {
      if (!is_in[i] && scores[i] > most) most = scores[i];
    }
    for (uint32_t i = 0; i < THEME; i++) {
      if (i != 0 && i != 3) lead += (scores[of_theme(theme, i)] - most) / (THEMES * (THEME - 2));
    }
  }
  return lead;
}

static void forget_agreed(freshet_model* model) {
  memset(model->blend + AGREED_STAGE, 0, AGREED_STAGES * sizeof *model->blend);
}

/* Which weight the list for people has for a session of that size; -1: none. */
static double listed_agreed(const freshet_model* model, const char* size) {
  freshet_weight listed[FRESHET_WEIGHTS_MAX];
  const size_t count = freshet_model_weights(model, listed);
  double weight = -1;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(listed[i].part, "score for what a session agrees on") == 0 && strcmp(listed[i].of, size) == 0)
      weight = listed[i].weight;
  }
  return weight;
}

static void the_list_of_weights_has_it(void** state) {
  (void)state;
  world w = make_world();
  choose(&w, 0, 0, 0);
  assert_true(listed_agreed(w.model, "3 to 4 items") == 0 && listed_agreed(w.model, "20 items") == 0);
  play(&w, 0, SESSIONS);
  const context of_three = {.session = 3, .stage = 3, .count = 3};
  assert_true(listed_agreed(w.model, "3 to 4 items") > .01);
  assert_float_equal(listed_agreed(w.model, "3 to 4 items"), freshet_model_agreed_theta(w.model, &of_three),
                     1e-6);
  free_world(&w);
}

static void items_of_a_theme_lead(void** state) {
  (void)state;
  world w = make_world();
  play(&w, 0, SESSIONS);
  const float with = lead(&w);
  forget_agreed(w.model);
  assert_true(with > lead(&w) + .2F);
  free_world(&w);
}

static void the_weight_stays_near_0_where_sessions_have_no_theme(void** state) {
  (void)state;
  world w = make_world(), themed = make_world();
  for (uint32_t s = 0; s < SESSIONS; s++) {
    for (uint32_t i = 0; i < SESSION; i++)
      choose(&w, draw(3, s, USERS), draw(8, s * SESSION + i, ITEMS), s * hour_ms + i * step_ms);
  }
  play(&themed, 0, SESSIONS);
  for (int stage = 2; stage < 5; stage++) { /* of two items, to nine */
    const double weight = w.model->blend[AGREED_STAGE + stage];
    assert_true(weight >= 0 && weight < .2 * themed.model->blend[AGREED_STAGE + stage]);
  }
  free_world(&w);
  free_world(&themed);
}

/* The parts of a score are all of it: when the items were chosen, and when one was disliked. */
static void it_is_a_part_of_the_score(void** state) {
  (void)state;
  float scores[ITEMS], agreed[FRESHET_HISTORY];
  freshet_part parts[FRESHET_PARTS_MAX];
  freshet_rank_query query = {0};
  world w = make_world();
  play(&w, 0, SESSIONS);
  for (int disliked = 0; disliked < 2; disliked++) {
    int64_t now_ms = begin_theme(&w, 4);
    if (disliked > 0) {
      const freshet_observation seen = {
          .item = of_theme(4, 3), .dislike = .5F, .weight = 1, .time_ms = now_ms};
      assert_int_equal(freshet_model_learn(w.model, w.users[0], &seen, NULL), FRESHET_OK);
    }
    score(&w, now_ms, scores);
    for (uint32_t i = 0; i < THEME; i++) {
      const uint32_t slot = of_theme(4, i);
      const size_t count = freshet_model_explain(w.model, w.users[0], now_ms, slot, w.scratch, parts);
      double sum = 0;
      for (size_t p = 0; p < count; p++) sum += (double)parts[p].score;
      assert_true(fabs(sum - (double)scores[slot]) < 1e-4);
    }
    freshet_model_agreed_parts(w.model, &w.scratch->context, of_theme(4, 6), agreed);
    assert_true(agreed[0] > 0 && agreed[1] > 0);
  }
  freshet_model_query_similar(w.model, (const uint32_t[]){of_theme(4, 0), of_theme(4, 3)}, 2, NULL, w.scratch,
                              &query);
  assert_true(w.scratch->context.theta[AGREED] == 0);
  free_world(&w);
}

/* ---- other models ---- */

static void restore(world* to, const world* from, int64_t offset) {
  freshet_buffer row = {0};
  for (uint32_t i = 0; i < ITEMS; i++) {
    row.size = 0;
    freshet_model_write_item(from->model, i, offset, &row);
    assert_int_equal(freshet_model_read_item(to->model, i, freshet_buffer_slice(&row), NULL), FRESHET_OK);
  }
  row.size = 0;
  freshet_model_write_globals(from->model, offset, &row);
  assert_int_equal(freshet_model_read_globals(to->model, freshet_buffer_slice(&row), NULL), FRESHET_OK);
  freshet_buffer_free(&row);
}

static void a_model_that_folds_or_restores_agrees(void** state) {
  (void)state;
  world learner = make_world(), folder = make_world(), restored = make_world();
  freshet_model_delta delta;
  for (uint32_t turn = 0; turn < 10; turn++) {
    play(&learner, turn * 50, turn * 50 + 50);
    freshet_model_take_delta(learner.model, &delta);
    assert_int_equal(freshet_model_fold(folder.model, &delta, turn, NULL), FRESHET_OK);
    if (turn > 5) assert_int_equal(freshet_model_fold(restored.model, &delta, turn, NULL), FRESHET_OK);
    if (turn == 5) restore(&restored, &learner, turn + 1);
  }
  assert_true(learner.model->blend[AGREED_STAGE + 2] > 0 && learner.model->blend[GOES_ON] > 0);
  assert_true(freshet_model_hash(learner.model) == freshet_model_hash(folder.model));
  assert_true(freshet_model_hash(learner.model) == freshet_model_hash(restored.model));
  assert_int_equal(list_of(&learner, 5), list_of(&folder, 5));
  free_world(&learner);
  free_world(&folder);
  free_world(&restored);
}

/* The version before wrote the weights up to the share of back steps; those of AGREED were others, which were 0. */
static void state_of_the_version_before_is_read(void** state) {
  (void)state;
  enum { HEAD = 1 + 8 + 8 + HALF_LIVES * 8, OLD = ORDER + 1 };
  world w = make_world(), other = make_world();
  freshet_buffer now = {0}, old = {0};
  const uint32_t count = OLD;
  play(&w, 0, SESSIONS);
  forget_agreed(w.model);
  freshet_model_write_globals(w.model, 7, &now);
  const uint8_t *bytes = now.data, *weights = bytes + HEAD + sizeof count;
  const size_t rest = HEAD + sizeof count + 2 * BLEND_WEIGHTS * sizeof(double);
  freshet_buffer_append(&old, bytes, HEAD);
  freshet_buffer_append(&old, &count, sizeof count);
  freshet_buffer_append(&old, weights, OLD * sizeof(double));
  freshet_buffer_append(&old, weights + BLEND_WEIGHTS * sizeof(double), OLD * sizeof(double));
  freshet_buffer_append(&old, bytes + rest, now.size - rest);
  assert_int_equal(freshet_model_read_globals(other.model, freshet_buffer_slice(&old), NULL), FRESHET_OK);
  assert_true(other.model->blend[ORDER] == w.model->blend[ORDER]);
  assert_true(other.model->blend[GOES_ON] == 0);
  freshet_buffer_free(&now);
  freshet_buffer_free(&old);
  free_world(&w);
  free_world(&other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_session_that_goes_on_makes_pairs_of_its_own_items),
      cmocka_unit_test(earlier_sessions_count_where_sessions_are_short),
      cmocka_unit_test(items_of_a_theme_lead),
      cmocka_unit_test(the_list_of_weights_has_it),
      cmocka_unit_test(the_weight_stays_near_0_where_sessions_have_no_theme),
      cmocka_unit_test(it_is_a_part_of_the_score),
      cmocka_unit_test(a_model_that_folds_or_restores_agrees),
      cmocka_unit_test(state_of_the_version_before_is_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
