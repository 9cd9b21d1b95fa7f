/* Counts of items that were chosen together are doubted as far as the stream gives reason to. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/model_bytes.h"
#include "core/model_doubt.h"

enum { ITEMS = 3000, USERS = 1, THEME = 10, SESSION = 8, SESSIONS = 2000 };
static const int64_t hour_ms = 3600 * 1000LL, step_ms = 20 * 1000;

#include "support_model_world.h"

static uint32_t draw(uint32_t session, uint32_t i, uint32_t below) {
  return (uint32_t)(freshet_random(session, i) % below);
}

/* Of what the items of a session are. */
typedef enum stream {
  RARE_THEMES,   /* one theme; each theme comes seldom, so a pair that came once has a reason */
  HALF_BY_CHANCE /* one of few themes, and every other one any item, of which some are popular */
} stream;

static uint32_t item_of(stream kind, uint32_t session, uint32_t i) {
  enum { FEW = 300 };
  const uint32_t themes = (kind == RARE_THEMES ? ITEMS : FEW) / THEME;
  static const uint32_t strides[] = {1, 3, 7, 9}; /* the order does not repeat */
  const uint32_t theme = draw(session, SESSION, themes), start = draw(session, 50, THEME);
  if (kind == HALF_BY_CHANCE && draw(session, 200 + i, 2) == 0)
    return draw(session, i, 1 + draw(session, 100 + i, FEW));
  return theme * THEME + (start + strides[draw(session, 51, 4)] * i) % THEME;
}

static world played(stream kind) {
  world w = make_world();
  for (uint32_t s = 0; s < SESSIONS; s++) {
    freshet_user_destroy(w.users[0]);
    w.users[0] = freshet_user_create(w.model);
    for (uint32_t i = 0; i < SESSION; i++) {
      const freshet_observation seen = {
          .item = item_of(kind, s, i), .positive = true, .weight = 1, .time_ms = s * hour_ms + i * step_ms};
      assert_int_equal(freshet_model_learn(w.model, w.users[0], &seen, NULL), FRESHET_OK);
    }
  }
  return w;
}

static void doubt_follows_the_stream(void** state) {
  (void)state;
  world themes = played(RARE_THEMES), by_lot = played(HALF_BY_CHANCE);
  assert_true(freshet_model_doubt(themes.model) < .7F && freshet_model_chance(themes.model) < .1F);
  assert_true(freshet_model_chance(by_lot.model) > 1);
  free_world(&by_lot);
  free_world(&themes);
}

/* How much the evidence of all pairs is, as a share of their counts. */
static float share_of_evidence(const world* w) {
  const freshet_model* model = w->model;
  float evidence = 0, all = 0;
  context c;
  freshet_model_context(model, w->users[0], INT64_MAX / 2, &c);
  assert_true(c.count > 0);
  for (uint32_t k = 0; k < c.count; k++) {
    const neighbours* near = &model->items[c.items[k]].near;
    for (uint32_t e = 0; e < near->count; e++) {
      const freshet_neighbour* entry = &near->entries[e];
      evidence += freshet_count_evidence(entry->together, &c.doubts[k], model->roots[entry->item]);
      all += freshet_count_value(entry->together);
    }
  }
  return evidence / all;
}

static void what_chance_brings_is_no_evidence(void** state) {
  (void)state;
  world themes = played(RARE_THEMES), by_lot = played(HALF_BY_CHANCE);
  assert_true(share_of_evidence(&themes) > .9F);
  assert_true(share_of_evidence(&by_lot) < .5F);
  free_world(&by_lot);
  free_world(&themes);
}

/* The state of a version that had no such weights has zeros for them. */
static void a_model_starts_with_some_doubt(void** state) {
  (void)state;
  world w = make_world();
  assert_true(freshet_model_doubt(w.model) == 1 && freshet_model_chance(w.model) == 0);
  free_world(&w);
}

static void doubt_has_bounds(void** state) {
  (void)state;
  static const double wild[] = {-100, 100, (double)NAN};
  world w = make_world();
  for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
    w.model->blend[DOUBT] = w.model->blend[CHANCE] = wild[i];
    freshet_model_bound_doubt(w.model);
    assert_true(freshet_model_doubt(w.model) >= 0 && freshet_model_doubt(w.model) <= 2);
    assert_true(freshet_model_chance(w.model) >= 0 && freshet_model_chance(w.model) <= 4);
  }
  free_world(&w);
}

/* Many workers that start at the same time move both weights as far as one would, and a fold adds their moves. */
static void folds_keep_the_bounds(void** state) {
  enum { WORKERS = 8 };
  (void)state;
  world w = played(HALF_BY_CHANCE), other = make_world();
  freshet_model_delta delta;
  freshet_model_take_delta(w.model, &delta);
  for (int i = 0; i < WORKERS; i++)
    assert_int_equal(freshet_model_fold(other.model, &delta, i, NULL), FRESHET_OK);
  assert_true(other.model->blend[CHANCE] > 4); /* else there is nothing to bound */
  assert_true(freshet_model_doubt(other.model) >= 0 && freshet_model_doubt(other.model) <= 2);
  assert_true(freshet_model_chance(other.model) <= 4);
  other.model->blend[CHANCE] = -1;
  assert_true(freshet_model_chance(other.model) >= 0);
  free_world(&other);
  free_world(&w);
}

/* A version before wrote 0 for what it did not know: the weights and the means of their squared gradients. */
static void state_of_an_older_version_learns_with_bounded_steps(void** state) {
  (void)state;
  world w = make_world();
  for (int i = DOUBT; i <= PAIR_GAIN; i++) w.model->blend[i] = w.model->blend_squares[i] = 0;
  double most = 0, doubt = 0, chance = 0;
  for (uint32_t s = 0; s < 200; s++) {
    for (uint32_t i = 0; i < SESSION; i++) {
      const freshet_observation seen = {.item = item_of(HALF_BY_CHANCE, s, i),
                                        .positive = true,
                                        .weight = 1,
                                        .time_ms = s * hour_ms + i * step_ms};
      assert_int_equal(freshet_model_learn(w.model, w.users[0], &seen, NULL), FRESHET_OK);
      most = fmax(most, fmax(fabs(w.model->blend[DOUBT] - doubt), fabs(w.model->blend[CHANCE] - chance)));
      doubt = w.model->blend[DOUBT];
      chance = w.model->blend[CHANCE];
    }
  }
  print_message("the longest step: %.3f\n", most);
  assert_true(most > 0 && most < .2);
  assert_true(w.model->blend[PAIR_GAIN] > .5);
  free_world(&w);
}

static double listed(const freshet_model* model, const char* of) {
  freshet_weight weights[FRESHET_WEIGHTS_MAX];
  const size_t count = freshet_model_weights(model, weights);
  double weight = -1;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(weights[i].part, "doubt that items go together") == 0 && strcmp(weights[i].of, of) == 0)
      weight = weights[i].weight;
  }
  return weight;
}

static void the_list_of_weights_has_it(void** state) {
  (void)state;
  world w = played(HALF_BY_CHANCE);
  assert_true(listed(w.model, "came together seldom") == (double)freshet_model_doubt(w.model));
  assert_true(listed(w.model, "as often as by chance") == (double)freshet_model_chance(w.model));
  free_world(&w);
}

/* A model that only folds makes the same lists from the same context. */
static void doubt_is_handed_over(void** state) {
  (void)state;
  world w = played(HALF_BY_CHANCE), other = make_world();
  freshet_model_delta delta;
  freshet_model_take_delta(w.model, &delta);
  assert_int_equal(freshet_model_fold(other.model, &delta, 0, NULL), FRESHET_OK);
  assert_true(w.model->blend[PAIR_GAIN] > 1);
  for (int i = DOUBT; i <= PAIR_GAIN; i++) assert_true(other.model->blend[i] == w.model->blend[i]);
  free_world(&other);
  free_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(doubt_follows_the_stream),
      cmocka_unit_test(what_chance_brings_is_no_evidence),
      cmocka_unit_test(a_model_starts_with_some_doubt),
      cmocka_unit_test(doubt_has_bounds),
      cmocka_unit_test(folds_keep_the_bounds),
      cmocka_unit_test(state_of_an_older_version_learns_with_bounded_steps),
      cmocka_unit_test(the_list_of_weights_has_it),
      cmocka_unit_test(doubt_is_handed_over),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
