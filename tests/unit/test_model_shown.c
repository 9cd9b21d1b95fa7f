/* What users were shown and did not choose: on streams with a known truth the model learns how much a pass tells, and how
 * far users look at each place of a list; where passes tell nothing, their weight goes away. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model_query.h"

enum { ITEMS = 400, USERS = 200, THEMES = 10, THEME = ITEMS / THEMES, LIST = 15, TOP = 10, ROUNDS = 9000 };
static const int64_t round_ms = 60 * 1000;

#include "support_model_world.h"
#include "support_older_globals.h"

static uint32_t draw(uint64_t stream, uint64_t i, uint32_t below) {
  return (uint32_t)(freshet_random(stream, i) % below);
}
static double chance(uint64_t stream, uint64_t i) {
  return (double)(freshet_random(stream, i) >> 11) / 9007199254740992.0;
}

/* How far users look at a place: steeper than the prior. */
static double looks_at(int place) {
  return 1 / (1 + .6 * (double)place);
}

/* One user is shown items of their theme, in random order. */
typedef struct list {
  uint32_t user, count;
  uint32_t items[LIST];
  int64_t time_ms;
} list;

typedef struct run {
  world w;
  bool tells;                /* the model is told of impressions ... */
  bool leaves_out;           /* ... but not of that of the chosen item */
  bool has_taste;            /* each user wants half of the theme, always the same items; else it changes */
  bool chosen[USERS][ITEMS]; /* they are chosen once */
  double recall, mrr;
  uint32_t measured;
} run;

static bool wants(const run* r, const list* shown, uint64_t round, uint32_t picked) {
  const uint64_t pair = (uint64_t)shown->user * ITEMS + picked;
  const bool is_of_theme = picked / THEME == shown->user % THEMES;
  return is_of_theme && draw(71, r->has_taste ? pair : pair + round * USERS * ITEMS, 2) == 0;
}

static list make_list(const run* r, uint64_t round) {
  list made = {.user = draw(72, round, USERS), .time_ms = (int64_t)round * round_ms};
  const uint32_t first = made.user % THEMES * THEME;
  for (uint64_t turn = 0; turn < 60 && made.count < LIST; turn++) {
    const uint32_t picked = first + draw(73 + turn, round, THEME);
    bool is_new = !r->chosen[made.user][picked];
    for (uint32_t i = 0; i < made.count; i++) is_new = is_new && made.items[i] != picked;
    if (is_new) made.items[made.count++] = picked;
  }
  return made;
}

/* Of the items that the user wants, one as likely as the user looks at its place; ITEMS: none. */
static uint32_t choose(const run* r, const list* shown, uint64_t round) {
  double left = 1;
  for (uint32_t p = 0; p < shown->count; p++)
    left += wants(r, shown, round, shown->items[p]) ? looks_at((int)p) : 0;
  left *= chance(140, round);
  for (uint32_t p = 0; p < shown->count; p++) {
    left -= wants(r, shown, round, shown->items[p]) ? looks_at((int)p) : 0;
    if (left < 0) return shown->items[p];
  }
  return ITEMS;
}

/* In a list made before this one is shown: that it is shown now tells nothing yet. */
static void measure(run* r, const list* shown, uint32_t picked) {
  float scores[ITEMS];
  freshet_rank_query query = {0};
  assert_int_equal(freshet_model_sync_ranker(r->w.model, NULL, NULL), FRESHET_OK);
  freshet_model_query(r->w.model, r->w.users[shown->user], shown->time_ms, r->w.scratch, &query);
  freshet_model_score_all(r->w.model, &query, scores);
  uint32_t better = 0;
  for (uint32_t i = 0; i < ITEMS; i++) better += !r->chosen[shown->user][i] && scores[i] > scores[picked];
  r->recall += better < TOP;
  r->mrr += better < TOP ? 1.0 / (better + 1) : 0;
  r->measured++;
}

static void learn(run* r, uint32_t user, uint32_t picked, int64_t time_ms) {
  const freshet_observation seen = {.item = picked, .positive = true, .weight = 1, .time_ms = time_ms};
  assert_int_equal(freshet_model_learn(r->w.model, r->w.users[user], &seen, NULL), FRESHET_OK);
  r->chosen[user][picked] = true;
}

static run* play_as(bool tells, bool leaves_out, bool has_taste) {
  run* r = calloc(1, sizeof *r);
  assert_non_null(r);
  r->w = make_world();
  r->tells = tells;
  r->leaves_out = leaves_out;
  r->has_taste = has_taste;
  for (uint64_t round = 0; round < ROUNDS; round++) {
    const list shown = make_list(r, round);
    const int64_t now_ms = shown.time_ms + round_ms / 2;
    const uint32_t picked = choose(r, &shown, round);
    if (picked < ITEMS && round > ROUNDS / 3) measure(r, &shown, picked);
    for (uint32_t p = 0; tells && p < shown.count; p++) {
      if (!leaves_out || shown.items[p] != picked)
        freshet_model_show(r->w.model, r->w.users[shown.user], shown.items[p], (int32_t)p, shown.time_ms);
    }
    if (picked < ITEMS) learn(r, shown.user, picked, now_ms);
  }
  r->recall /= r->measured;
  r->mrr /= r->measured;
  return r;
}

static run* play(bool tells, bool has_taste) {
  return play_as(tells, false, has_taste);
}

static void end(run* r) {
  free_world(&r->w);
  free(r);
}

static float weight_of(const run* r, int gap) {
  return freshet_model_shown_weight(r->w.model, gap);
}

static void what_is_passed_over_foretells_the_next_choice(void** state) {
  (void)state;
  run *with = play(true, true), *without = play(false, true);
  float examined[SHOWN_PLACES + 1];
  assert_true(with->measured > 1000 && with->measured == without->measured);
  assert_true(with->recall > 1.08 * without->recall);
  assert_true(with->mrr > 1.08 * without->mrr);
  assert_true(weight_of(with, 0) > .5F && weight_of(with, 1) > .8F);
  /* How far users look at places is learned from what they choose out of lists, whatever else they want. */
  freshet_model_shown_examined(with->w.model, examined);
  for (int p = 0; p < 4; p++) assert_float_equal(examined[p], looks_at(p), .12);
  assert_float_equal(examined[4], looks_at(7), .08);
  assert_float_equal(examined[5], looks_at(12), .08);
  end(with);
  end(without);
}

/* The model makes the lists that are shown, all of ten items. Returns how many choices came of them. */
static uint32_t serve(bool tells) {
  run* r = calloc(1, sizeof *r);
  uint32_t choices = 0;
  assert_non_null(r);
  r->w = make_world();
  r->has_taste = true;
  for (uint64_t round = 0; round < ROUNDS; round++) {
    list shown = {.user = draw(72, round, USERS), .time_ms = (int64_t)round * round_ms};
    float scores[ITEMS];
    freshet_rank_query query = {0};
    assert_int_equal(freshet_model_sync_ranker(r->w.model, NULL, NULL), FRESHET_OK);
    freshet_model_query(r->w.model, r->w.users[shown.user], shown.time_ms, r->w.scratch, &query);
    freshet_model_score_all(r->w.model, &query, scores);
    for (uint32_t i = 0; i < ITEMS; i++) scores[i] = r->chosen[shown.user][i] ? -INFINITY : scores[i];
    for (; shown.count < TOP; shown.count++) {
      uint32_t best = 0;
      for (uint32_t i = 1; i < ITEMS; i++) best = scores[i] > scores[best] ? i : best;
      shown.items[shown.count] = best;
      scores[best] = -INFINITY;
    }
    for (uint32_t p = 0; tells && p < TOP; p++)
      freshet_model_show(r->w.model, r->w.users[shown.user], shown.items[p], (int32_t)p, shown.time_ms);
    const uint32_t picked = choose(r, &shown, round);
    if (picked < ITEMS) learn(r, shown.user, picked, shown.time_ms + round_ms / 2);
    choices += picked < ITEMS;
  }
  end(r);
  return choices;
}

static void lists_bring_more_choices(void** state) {
  (void)state;
  const uint32_t with = serve(true), without = serve(false);
  assert_true(with > 2 * without);
}

static void passes_that_tell_nothing_lose_their_weight(void** state) {
  (void)state;
  run *with = play(true, false), *without = play(false, false);
  assert_true(with->recall > without->recall - .01);
  assert_true(with->mrr > without->mrr - .01);
  assert_true(weight_of(with, 0) < .1F && weight_of(with, 1) < .1F); /* they started at .1 and .3 */
  end(with);
  end(without);
}

/* As in logs that hold a line for each item of a list, a click or an impression: passes must do no harm then. */
static void choices_may_come_without_impressions(void** state) {
  (void)state;
  for (int has_taste = 0; has_taste < 2; has_taste++) {
    run *with = play_as(true, true, has_taste != 0), *without = play(false, has_taste != 0);
    assert_true(with->recall > without->recall - .015);
    assert_true(with->mrr > without->mrr - .01);
    end(with);
    end(without);
  }
}

/* They are stored, and travel to other workers; state of an older version ends before them, and they start. */
static void weights_are_kept_and_shared(void** state) {
  (void)state;
  freshet_buffer bytes = {0}, older = {0};
  freshet_model_delta delta;
  freshet_model *restored = make_model(), *other = make_model(), *fresh = make_model();
  run* r = play(true, true);
  freshet_model_take_delta(r->w.model, &delta);
  assert_int_equal(freshet_model_fold(other, &delta, 1, NULL), FRESHET_OK);
  freshet_model_write_globals(r->w.model, 0, &bytes);
  assert_int_equal(freshet_model_read_globals(restored, freshet_buffer_slice(&bytes), NULL), FRESHET_OK);
  older_globals(r->w.model, SHOWN, &older);
  for (int gap = 0; gap < 2; gap++) {
    const float learned = weight_of(r, gap);
    assert_float_equal(freshet_model_shown_weight(restored, gap), learned, 0);
    assert_float_equal(freshet_model_shown_weight(other, gap), learned, 0);
    assert_float_not_equal(freshet_model_shown_weight(fresh, gap), learned, 0);
  }
  assert_int_equal(freshet_model_read_globals(restored, freshet_buffer_slice(&older), NULL), FRESHET_OK);
  for (int gap = 0; gap < SHOWN_GAPS; gap++)
    assert_float_equal(freshet_model_shown_weight(restored, gap), freshet_model_shown_weight(fresh, gap), 0);
  freshet_buffer_free(&bytes);
  freshet_buffer_free(&older);
  freshet_model_destroy(restored);
  freshet_model_destroy(other);
  freshet_model_destroy(fresh);
  end(r);
}

/* ---- one user ---- */

static const int64_t later_ms = 3600 * 1000;

static float part_of(const world* w, uint32_t picked, int64_t now_ms) {
  freshet_part parts[FRESHET_PARTS_MAX];
  float part = 0;
  assert_int_equal(freshet_model_sync_ranker(w->model, NULL, NULL), FRESHET_OK);
  const size_t count = freshet_model_explain(w->model, w->users[0], now_ms, picked, w->scratch, parts);
  for (size_t p = 0; p < count; p++) {
    if (parts[p].kind == FRESHET_REASON_SHOWN) part += parts[p].score;
  }
  assert_true(part <= 0);
  return part;
}

static void show(const world* w, uint32_t picked, int32_t place, int64_t time_ms) {
  freshet_model_show(w->model, w->users[0], picked, place, time_ms);
}

static void choose_item(const world* w, uint32_t picked, int64_t time_ms) {
  const freshet_observation seen = {.item = picked, .positive = true, .weight = 1, .time_ms = time_ms};
  assert_int_equal(freshet_model_learn(w->model, w->users[0], &seen, NULL), FRESHET_OK);
}

static void a_showing_counts_when_it_has_ended(void** state) {
  (void)state;
  world w = make_world();
  show(&w, 1, 0, 1000);
  assert_true(part_of(&w, 1, 2000) == 0); /* it may still be chosen */
  const float once = part_of(&w, 1, later_ms);
  assert_true(once < 0);
  show(&w, 1, 0, 5000); /* told twice */
  assert_true(part_of(&w, 1, later_ms) == once);
  show(&w, 2, 19, 1000);
  assert_true(part_of(&w, 2, later_ms) < 0 && part_of(&w, 2, later_ms) > once / 2); /* hardly looked at */
  show(&w, 2, 0, 2000); /* in the same showing at a better place */
  assert_true(part_of(&w, 2, later_ms) == once);
  show(&w, 1, 0, later_ms); /* a second showing: what is on the screen stays in its place */
  assert_true(part_of(&w, 1, later_ms) == 0);
  assert_true(part_of(&w, 1, 2 * later_ms) < once);
  assert_true(part_of(&w, 1, 400 * 24 * later_ms) > once); /* long ago */
  choose_item(&w, 3, 2 * later_ms);
  show(&w, 4, 0, 2 * later_ms);
  assert_true(part_of(&w, 4, 2 * later_ms + 1000) == 0);
  choose_item(&w, 5, 2 * later_ms + 2000); /* ... which ends what is shown */
  assert_true(part_of(&w, 4, 2 * later_ms + 3000) < 0);
  free_world(&w);
}

static void an_impression_that_comes_late_changes_no_newer_showing(void** state) {
  (void)state;
  world w = make_world();
  show(&w, 1, 0, later_ms);
  choose_item(&w, 3, later_ms + 1000); /* ends it */
  const float once = part_of(&w, 1, 3 * later_ms);
  assert_true(once < 0);
  show(&w, 1, 0, 1000);
  assert_true(part_of(&w, 1, later_ms + 2000) < 0); /* it is not open again */
  assert_true(part_of(&w, 1, 3 * later_ms) == once);
  free_world(&w);
}

static void what_is_chosen_is_not_passed_over(void** state) {
  (void)state;
  world w = make_world();
  for (uint32_t i = 0; i < 5; i++) show(&w, i, (int32_t)i, 1000);
  choose_item(&w, 2, 2000);
  assert_true(part_of(&w, 2, later_ms) == 0);
  assert_true(part_of(&w, 1, later_ms) < 0);
  show(&w, 2, 2, 1500); /* told too late */
  assert_true(part_of(&w, 2, later_ms) == 0);
  assert_int_equal(w.users[0]->shown_count, 4);
  show(&w, 2, 2, 2 * later_ms); /* after the choice */
  assert_true(part_of(&w, 2, 3 * later_ms) < 0);
  const freshet_observation disliked = {.item = 1, .dislike = 1, .weight = 1, .time_ms = 3 * later_ms};
  assert_int_equal(freshet_model_learn(w.model, w.users[0], &disliked, NULL), FRESHET_OK);
  assert_true(part_of(&w, 1, 4 * later_ms) == 0); /* that says more */
  free_world(&w);
}

static void a_million_impressions_are_bounded(void** state) {
  (void)state;
  static const int32_t places[] = {-1, 0, 1, 19, 49, 50, 1000000, INT32_MAX, INT32_MIN};
  world w = make_world();
  for (uint32_t i = 0; i < 1000000; i++) {
    const int64_t time_ms = i % 1000 == 7 ? INT64_MAX - i : i % 1000 == 8 ? -(int64_t)i : (int64_t)i * 400000;
    show(&w, (uint32_t)(freshet_random(9, i) % ITEMS), places[i % 9], time_ms);
  }
  const freshet_user* user = w.users[0];
  assert_int_equal(user->shown_count, FRESHET_SHOWN_MAX);
  for (uint32_t i = 0; i < user->shown_count; i++) {
    assert_true(user->shown[i].passes >= 0 && user->shown[i].passes <= 10);
    for (uint32_t j = 0; j < i; j++) assert_int_not_equal(user->shown[i].item, user->shown[j].item);
  }
  for (uint32_t i = 0; i < 1000; i++) choose_item(&w, i % 7, (int64_t)(1000000 + i) * 400000);
  for (uint32_t i = 0; i < ITEMS; i++) assert_true(part_of(&w, i, 500000000000) > -10);
  for (int gap = 0; gap < SHOWN_GAPS; gap++) assert_true(isfinite(freshet_model_shown_weight(w.model, gap)));
  free_world(&w);
}

/* Whatever the weights are, and whoever has written the state. */
static void an_impression_is_never_for_an_item(void** state) {
  (void)state;
  world w = make_world();
  for (int turn = 0; turn < 3; turn++) show(&w, 1, 0, turn * later_ms);
  for (int i = SHOWN; i < SHOWN_END; i++) w.model->blend[i] = -100;
  assert_true(part_of(&w, 1, 4 * later_ms) == 0);
  for (int i = SHOWN; i < SHOWN_END; i++) w.model->blend[i] = 100;
  assert_true(part_of(&w, 1, 4 * later_ms) > -10);
  const freshet_shown bad[] = {{.item = 2, .passes = -1},
                               {.item = 2, .passes = 11},
                               {.item = 2, .passes = NAN},
                               {.item = 2, .place = 200},
                               {.item = 1, .passes = 1}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) freshet_user_restore_shown(w.users[0], &bad[i]);
  assert_int_equal(w.users[0]->shown_count, 1);
  free_world(&w);
}

static size_t count_part(const world* w, const char* part) {
  freshet_weight weights[FRESHET_WEIGHTS_MAX];
  size_t found = 0;
  const size_t count = freshet_model_weights(w->model, weights);
  for (size_t i = 0; i < count; i++) found += strcmp(weights[i].part, part) == 0;
  return found;
}

static void weights_are_told_when_there_is_something_to_tell(void** state) {
  (void)state;
  static const char* const passes = "shown without a choice, by time since then";
  static const char* const places = "looked at, by place of a list";
  world w = make_world();
  assert_int_equal(count_part(&w, passes) + count_part(&w, places), 0);
  for (int64_t turn = 0; turn < 50; turn++) {
    for (int i = 0; i < 5; i++) show(&w, (uint32_t)i + 10, i, turn * later_ms);
    choose_item(&w, 10 + (uint32_t)(turn % 2), turn * later_ms + 1000);
  }
  assert_int_equal(count_part(&w, passes), SHOWN_GAPS);
  assert_int_equal(count_part(&w, places), SHOWN_PLACES + 1);
  free_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_passed_over_foretells_the_next_choice),
      cmocka_unit_test(lists_bring_more_choices),
      cmocka_unit_test(passes_that_tell_nothing_lose_their_weight),
      cmocka_unit_test(choices_may_come_without_impressions),
      cmocka_unit_test(weights_are_kept_and_shared),
      cmocka_unit_test(a_showing_counts_when_it_has_ended),
      cmocka_unit_test(an_impression_that_comes_late_changes_no_newer_showing),
      cmocka_unit_test(what_is_chosen_is_not_passed_over),
      cmocka_unit_test(a_million_impressions_are_bounded),
      cmocka_unit_test(an_impression_is_never_for_an_item),
      cmocka_unit_test(weights_are_told_when_there_is_something_to_tell),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
