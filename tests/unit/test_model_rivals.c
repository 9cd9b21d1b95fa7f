/* Rivals: which neighbours become candidates, how their draw is corrected, and what the weights learn from them in
 * sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/model_query.h"

enum {
  ITEMS = 1500,
  USERS = 1,
  SESSION = 5,
  ALBUMS = ITEMS / SESSION,
  PROBES = 100,
  NEGATIVES = 40,
  RIVALS = 8
};
static const int64_t hour_ms = 3600 * 1000LL, step_ms = 20 * 1000;

#include "support_model_world.h"

static void begin(world* w) {
  freshet_user_destroy(w->users[0]);
  w->users[0] = freshet_user_create(w->model);
}

static void choose(world* w, uint32_t slot, int64_t time_ms) {
  const freshet_observation seen = {.item = slot, .positive = true, .weight = 1, .time_ms = time_ms};
  assert_int_equal(freshet_model_learn(w->model, w->users[0], &seen, NULL), FRESHET_OK);
}

static uint32_t draw(uint64_t a, uint64_t b, uint32_t below) {
  return (uint32_t)(freshet_random(a, b) % below);
}

/* Sessions of albums, each in its order. */
static void play_albums(world* w, uint64_t seed, uint32_t first, uint32_t sessions) {
  for (uint32_t s = 0; s < sessions; s++) {
    const uint32_t album = first + draw(seed, s, ALBUMS - first);
    begin(w);
    for (uint32_t i = 0; i < SESSION; i++) choose(w, album * SESSION + i, s * hour_ms + i * step_ms);
  }
}

/* Sessions without a pattern: some items are chosen more often than others. */
static void play_anything(world* w, uint64_t seed, uint32_t sessions) {
  for (uint32_t s = 0; s < sessions; s++) {
    begin(w);
    for (uint32_t i = 0; i < SESSION; i++) {
      const uint32_t most = 1 + draw(seed, s * SESSION + i, ITEMS);
      choose(w, draw(seed + 1, s * SESSION + i, most), s * hour_ms + i * step_ms);
    }
  }
}

static uint32_t place_of(world* w, uint32_t wanted, int64_t now_ms) {
  static float scores[ITEMS];
  freshet_rank_query query = {0};
  uint32_t better = 0;
  assert_int_equal(freshet_model_sync_ranker(w->model, NULL, NULL), FRESHET_OK);
  freshet_model_query(w->model, w->users[0], now_ms, w->scratch, &query);
  freshet_model_score_all(w->model, &query, scores);
  for (uint32_t i = 0; i < ITEMS; i++) {
    bool is_seen = false;
    for (uint32_t s = 0; s < w->users[0]->seen_count; s++) is_seen = is_seen || w->users[0]->seen[s] == i;
    better += !is_seen && scores[i] > scores[wanted];
  }
  return better;
}

/* In how many of 100 albums the third song is first in the list after the first two songs. */
static uint32_t albums_continued(world* w, int64_t now_ms) {
  uint32_t found = 0;
  for (uint32_t album = 0; album < PROBES; album++) {
    begin(w);
    const freshet_model_config config = w->model->config;
    w->model->config.learning = false;
    choose(w, album * SESSION, now_ms);
    choose(w, album * SESSION + 1, now_ms + step_ms);
    w->model->config = config;
    found += place_of(w, album * SESSION + 2, now_ms + 2 * step_ms) == 0;
  }
  return found;
}

static world make_world_of_many_draws(void) {
  freshet_model_config config = freshet_model_defaults();
  config.negatives = NEGATIVES;
  return make_world_of(&config);
}

static void rivals_are_neighbours_that_the_user_has_not_seen(void** state) {
  (void)state;
  world w = make_world_of_many_draws();
  uint32_t slots[FRESHET_RIVALS_MAX], others = 0;
  context c;
  freshet_model_context(w.model, w.users[0], 0, &c);
  assert_int_equal(freshet_model_draw_rivals(w.model, w.users[0], &c, slots), 0);
  play_albums(&w, 1, 0, 2000);
  begin(&w);
  for (uint32_t i = 0; i < 3; i++) choose(&w, 10 * SESSION + i, i * step_ms);
  for (uint32_t turn = 0; turn < 20; turn++) {
    freshet_model_context(w.model, w.users[0], 3 * step_ms, &c);
    assert_int_equal(freshet_model_draw_rivals(w.model, w.users[0], &c, slots), RIVALS);
    for (uint32_t i = 0; i < RIVALS; i++) {
      if (slots[i] == FRESHET_NO_ITEM) continue;
      assert_in_range(slots[i], 10 * SESSION + 3, 10 * SESSION + 4);
      others++;
    }
    w.model->events++; /* another draw */
  }
  assert_in_range(others, 40, 120); /* two of the four neighbours are seen */
  free_world(&w);
}

static void a_draw_of_rivals_is_corrected(void** state) {
  (void)state;
  world w = make_world_of_many_draws();
  candidates* s = w.model->step;
  uint32_t slots[FRESHET_RIVALS_MAX], near_count = 0;
  context c;
  play_albums(&w, 1, 0, 2000);
  begin(&w);
  choose(&w, 7 * SESSION, 0);
  freshet_model_context(w.model, w.users[0], step_ms, &c);
  const uint32_t draws = freshet_model_draw_rivals(w.model, w.users[0], &c, slots);
  const freshet_model_kernels* kernels = w.model->kernels;
  const neighbours* near = &w.model->items[7 * SESSION].near;
  freshet_model_draw(w.model, 7 * SESSION + 1, NEGATIVES - RIVALS, slots, draws, s);
  freshet_model_meet_rivals(w.model, w.users[0], &c, draws, s);
  freshet_marks_clear(&w.model->marks, s->items, s->count);
  for (uint32_t i = 0; i < s->count; i++) {
    const bool is_near =
        kernels->find_entry(near->tags, near->entries, near->count, s->items[i]) < near->count;
    const float chance = (float)ITEMS * (float)draws / ((float)near->count * (float)(NEGATIVES - RIVALS));
    near_count += is_near;
    assert_true(s->chances[i] == (is_near ? chance : 0));
  }
  assert_int_equal(near_count, near->count); /* eight draws of four neighbours, and the positive */
  free_world(&w);
}

/* Only the weights change while other albums are played: what is known of the probed albums stays. */
static void what_follows_gains_weight_as_soon_as_it_decides(void** state) {
  (void)state;
  const int64_t later_ms = 10000 * hour_ms;
  world w = make_world();
  play_albums(&w, 5, 0, 3 * ALBUMS);
  assert_in_range(albums_continued(&w, later_ms), 80, PROBES);
  play_anything(&w, 7, 2000);
  assert_in_range(albums_continued(&w, later_ms), 0, 20);
  play_albums(&w, 9, PROBES, 250);
  assert_in_range(albums_continued(&w, later_ms), 75, PROBES);
  free_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rivals_are_neighbours_that_the_user_has_not_seen),
      cmocka_unit_test(a_draw_of_rivals_is_corrected),
      cmocka_unit_test(what_follows_gains_weight_as_soon_as_it_decides),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
