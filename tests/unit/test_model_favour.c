/* How far what is chosen often is favoured among what goes together: learned where users have a few themes and choose what
 * is popular in them, bounded, a part of the score like any other, and read from older state. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model_favour.h"
#include "core/model_query.h"

enum { ITEMS = 800, USERS = 300, THEME = 40, THEMES = ITEMS / THEME, LEARNED = 12000 };
static const int64_t day_ms = 24 * 3600 * 1000LL;

#include "support_model_world.h"
#include "support_older_globals.h"

static uint32_t draw(uint64_t stream, uint64_t i, uint32_t below) {
  return (uint32_t)(freshet_random(stream, i) % below);
}

/* Each user has two themes, and days pass between two choices. Popular: most choices are of the first items of a theme. */
static void play(world* w, bool popular) {
  for (uint32_t event = 0; event < LEARNED; event++) {
    const uint32_t user = draw(1, event, USERS), theme = draw(2, user * 2 + draw(3, event, 2), THEMES);
    uint32_t rank = draw(4, event, THEME);
    if (popular) rank = rank * draw(5, event, THEME) / THEME * draw(6, event, THEME) / THEME;
    const freshet_observation seen = {
        .item = theme * THEME + rank, .positive = true, .weight = 1, .time_ms = event * (day_ms / 64)};
    assert_int_equal(freshet_model_learn(w->model, w->users[user], &seen, NULL), FRESHET_OK);
  }
}

static void it_rises_where_themes_have_popular_items(void** state) {
  (void)state;
  world popular = make_world(), even = make_world();
  play(&popular, true);
  play(&even, false);
  assert_true(freshet_model_favour(popular.model) > .5F);
  assert_true(freshet_model_favour(even.model) < freshet_model_favour(popular.model) - .2F);
  free_world(&popular);
  free_world(&even);
}

/* The parts of a score sum to it, with whatever weight. */
static void it_is_a_part_of_the_score(void** state) {
  (void)state;
  static const double weights[] = {0, .4, 1, -100, 100, NAN};
  world w = make_world();
  play(&w, true);
  for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
    freshet_rank_query query = {0};
    w.model->blend[FAVOUR] = weights[i];
    assert_true(freshet_model_favour(w.model) >= 0 && freshet_model_favour(w.model) <= 1);
    assert_int_equal(freshet_model_sync_ranker(w.model, NULL, NULL), FRESHET_OK);
    for (uint32_t slot = 0; slot < ITEMS; slot += 7) {
      freshet_part parts[FRESHET_PARTS_MAX];
      const int64_t now_ms = LEARNED * (day_ms / 64);
      freshet_model_query(w.model, w.users[0], now_ms, w.scratch, &query);
      const float score = freshet_model_score(w.model, &query, slot);
      const size_t count = freshet_model_explain(w.model, w.users[0], now_ms, slot, w.scratch, parts);
      float sum = 0;
      for (size_t p = 0; p < count; p++) sum += parts[p].score;
      assert_true(isfinite(score));
      assert_float_equal(sum, score, .001);
    }
  }
  free_world(&w);
}

/* z of candidate 0 by TOGETHER_BEFORE, for a sum of 3 and a count of 8. */
static double part_of(world* w, double favour, context* c) {
  candidates* s = w->model->step;
  w->model->blend[FAVOUR] = favour;
  s->count = 1;
  s->counts[0] = 8;
  s->gradients[0] = -.5F;
  memset(s->sums[1], 0, sizeof s->sums[1]);
  memset(s->taken[1], 0, sizeof s->taken[1]);
  s->sums[1][TOGETHER_BEFORE] = 3;
  freshet_model_favour_candidates(w->model, c, s);
  return (double)c->theta[TOGETHER_BEFORE] * log1p((double)s->sums[1][TOGETHER_BEFORE] / 3);
}

static void the_gradient_is_the_slope(void** state) {
  (void)state;
  const double favour = .5, step = .01;
  world w = make_world();
  context c = {0};
  c.theta[TOGETHER_BEFORE] = 1.5F;
  w.model->blend[CHOSEN_ROOT] = .6;
  const double slope = (part_of(&w, favour + step, &c) - part_of(&w, favour - step, &c)) / (2 * step);
  part_of(&w, favour, &c);
  freshet_model_favour_gradient(w.model, &c, w.model->step);
  const double gradient = (double)w.model->blend_gradient[FAVOUR];
  assert_true(fabs(slope) > .01 && fabs(gradient + .5 * slope) < .01 * fabs(slope));
  w.model->blend_gradient[FAVOUR] = 0;
  free_world(&w);
}

static void state_of_the_version_before_is_read(void** state) {
  (void)state;
  world w = make_world();
  freshet_model* restored = make_model();
  freshet_buffer older = {0};
  play(&w, true);
  older_globals(w.model, FAVOUR, &older);
  assert_int_equal(
      freshet_model_read_globals(restored, (freshet_slice){(const char*)older.data, older.size}, NULL),
      FRESHET_OK);
  assert_true(restored->blend[TH] == w.model->blend[TH]);
  assert_true(freshet_model_favour(restored) == 0);
  freshet_buffer_free(&older);
  freshet_model_destroy(restored);
  free_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_rises_where_themes_have_popular_items),
      cmocka_unit_test(it_is_a_part_of_the_score),
      cmocka_unit_test(the_gradient_is_the_slope),
      cmocka_unit_test(state_of_the_version_before_is_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
