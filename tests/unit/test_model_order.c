/* Whether the order of choices matters: it is learned from the stream, lists follow it, and other models agree. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model_bytes.h"

enum { ITEMS = 120, USERS = 1, ALBUM = 6, ALBUMS = ITEMS / ALBUM, SESSIONS = 1500 };
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

/* A session plays four songs of an album: from one on, forwards, or backwards if `may_turn` and a coin says so. */
static void play(world* w, uint32_t session, bool may_turn) {
  enum { SONGS = 4 };
  const uint32_t album = (uint32_t)(freshet_random(5, session) % ALBUMS) * ALBUM,
                 first = (uint32_t)(freshet_random(6, session) % (ALBUM - SONGS + 1));
  const bool turns = may_turn && freshet_random(7, session) % 2 == 0;
  begin(w);
  for (uint32_t i = 0; i < SONGS; i++)
    choose(w, album + first + (turns ? SONGS - 1 - i : i), (int64_t)session * hour_ms + i * step_ms);
}

static void play_all(world* w, bool may_turn) {
  for (uint32_t s = 0; s < SESSIONS; s++) play(w, s, may_turn);
}

static float back_share(const world* w) {
  return freshet_model_back_share(freshet_model_order_code(w->model, true));
}

/* What the list of `chosen` says of `slot`. */
static float follows(const world* w, uint32_t chosen, uint32_t slot) {
  const neighbours* near = &w->model->items[chosen].near;
  const size_t at = w->model->kernels->find_entry(near->tags, near->entries, near->count, slot);
  assert_true(at < near->count);
  return freshet_count_value(near->entries[at].follows);
}

static void the_share_says_whether_order_matters(void** state) {
  (void)state;
  world fresh = make_world(), ordered = make_world(), mixed = make_world();
  play_all(&ordered, false);
  play_all(&mixed, true);
  assert_true(back_share(&fresh) > .95F && back_share(&fresh) < 1);
  assert_true(back_share(&ordered) < .1F);
  assert_true(back_share(&mixed) > .8F);
  free_world(&fresh);
  free_world(&ordered);
  free_world(&mixed);
}

/* One song a day, albums in their order: no two choices are of one session. */
static void play_daily(world* w) {
  int64_t day = 0;
  begin(w);
  for (uint32_t s = 0; s < SESSIONS; s++) {
    const uint32_t album = (uint32_t)(freshet_random(8, s) % ALBUMS) * ALBUM;
    for (uint32_t i = 0; i < ALBUM; i++) choose(w, album + i, day++ * 24 * hour_ms);
  }
}

static void steps_between_sessions_have_an_order_of_their_own(void** state) {
  (void)state;
  world daily = make_world(), ordered = make_world();
  play_daily(&daily);
  play_all(&ordered, false);
  assert_true(freshet_model_back_share(freshet_model_order_code(daily.model, false)) < .2F);
  assert_true(back_share(&daily) > .95F);
  assert_true(ordered.model->blend[ORDER_BETWEEN] == 0);
  assert_true(freshet_model_order_code(ordered.model, false) ==
              freshet_model_order_code(ordered.model, true));
  assert_true(follows(&daily, 2, 3) > 2 * follows(&daily, 2, 1));
  free_world(&daily);
  free_world(&ordered);
}

static void the_next_song_follows_and_the_one_before_does_not(void** state) {
  (void)state;
  world ordered = make_world(), mixed = make_world();
  play_all(&ordered, false);
  play_all(&mixed, true);
  for (uint32_t album = 0; album < ALBUMS; album++) {
    const uint32_t song = album * ALBUM + 2;
    assert_true(follows(&ordered, song, song + 1) > 2 * follows(&ordered, song, song - 1));
    assert_true(follows(&mixed, song, song + 1) < 2 * follows(&mixed, song, song - 1));
    assert_true(follows(&mixed, song, song - 1) < 2 * follows(&mixed, song, song + 1));
  }
  free_world(&ordered);
  free_world(&mixed);
}

/* In part of the stream the share of back steps changes with each event. */
static void a_model_that_folds_or_restores_has_the_same_lists(void** state) {
  (void)state;
  world learner = make_world(), folder = make_world(), restored = make_world();
  freshet_model_delta delta;
  freshet_buffer row = {0};
  int64_t offset = 0;
  uint32_t codes = 0;
  for (uint32_t s = 0; s < SESSIONS; s++) {
    const uint32_t code = freshet_model_order_code(learner.model, true);
    play(&learner, s, false);
    codes += code != freshet_model_order_code(learner.model, true);
    if (s % 10 != 0 && s != SESSIONS - 1) continue;
    freshet_model_take_delta(learner.model, &delta);
    assert_int_equal(freshet_model_fold(folder.model, &delta, offset, NULL), FRESHET_OK);
    if (s > SESSIONS / 2)
      assert_int_equal(freshet_model_fold(restored.model, &delta, offset, NULL), FRESHET_OK);
    offset++;
    if (s != SESSIONS / 2) continue;
    for (uint32_t i = 0; i < ITEMS; i++) {
      row.size = 0;
      freshet_model_write_item(learner.model, i, offset, &row);
      assert_int_equal(freshet_model_read_item(restored.model, i, freshet_buffer_slice(&row), NULL),
                       FRESHET_OK);
    }
    row.size = 0;
    freshet_model_write_globals(learner.model, offset, &row);
    assert_int_equal(freshet_model_read_globals(restored.model, freshet_buffer_slice(&row), NULL),
                     FRESHET_OK);
  }
  assert_true(codes > 10);
  assert_true(freshet_model_hash(learner.model) == freshet_model_hash(folder.model));
  assert_true(freshet_model_hash(learner.model) == freshet_model_hash(restored.model));
  assert_true(back_share(&restored) == back_share(&learner));
  freshet_buffer_free(&row);
  free_world(&learner);
  free_world(&folder);
  free_world(&restored);
}

/* A version that did not know the share wrote the weights before it. */
static void state_without_the_share_is_read(void** state) {
  (void)state;
  enum { HEAD = 1 + 8 + 8 + HALF_LIVES * 8, OLD = ORDER };
  world w = make_world(), other = make_world();
  freshet_buffer now = {0}, old = {0};
  const uint32_t count = OLD;
  play_all(&w, false);
  freshet_model_write_globals(w.model, 7, &now);
  const uint8_t *bytes = now.data, *weights = bytes + HEAD + sizeof count;
  const size_t rest = HEAD + sizeof count + 2 * BLEND_WEIGHTS * sizeof(double);
  freshet_buffer_append(&old, bytes, HEAD);
  freshet_buffer_append(&old, &count, sizeof count);
  freshet_buffer_append(&old, weights, OLD * sizeof(double));
  freshet_buffer_append(&old, weights + BLEND_WEIGHTS * sizeof(double), OLD * sizeof(double));
  freshet_buffer_append(&old, bytes + rest, now.size - rest);
  assert_int_equal(freshet_model_read_globals(other.model, freshet_buffer_slice(&old), NULL), FRESHET_OK);
  assert_true(other.model->blend[TH] == w.model->blend[TH]);
  assert_int_equal(freshet_model_order_code(other.model, true), 0);
  freshet_buffer_free(&now);
  freshet_buffer_free(&old);
  free_world(&w);
  free_world(&other);
}

/* Where order matters, `follows` of what is far away counts less. */
static void follows_fades_faster_where_order_matters(void** state) {
  (void)state;
  world w = make_world();
  for (uint32_t code = 0; code < ORDER_CODES; code++) {
    const float* decay = w.model->follows_decay[code];
    assert_true(decay[0] == 1 && decay[1] <= .7F && decay[1] > .34F);
    if (code < ORDER_FADES) assert_true(decay[1] == .7F && w.model->half_decay[code][1] == .5F);
  }
  assert_int_equal(freshet_model_order_code(w.model, true), 0);
  play_all(&w, false);
  const uint32_t code = freshet_model_order_code(w.model, true);
  assert_in_range(code, ORDER_FADES, ORDER_CODES - 1);
  assert_true(w.model->follows_decay[code][1] < .45F && w.model->half_decay[code][1] < .3F);
  free_world(&w);
}

/* What the version before made of this trace: it counted .7^k always. Returns how many events were changed. */
static uint32_t make_older(freshet_model_delta* delta, uint8_t* trace) {
  enum { HEAD = 8 + 1, INDEX = 2, WEIGHT = 2 };
  uint32_t changed = 0;
  memcpy(trace, delta->trace.data, delta->trace.size);
  uint8_t* at = trace + HEAD;
  for (uint64_t e = 0; e < delta->events; e++) {
    uint16_t weight;
    memcpy(&weight, at + INDEX, sizeof weight);
    uint8_t* size = at + INDEX + WEIGHT;
    changed += (*size & TRACE_FADES) != 0;
    *size &= (uint8_t)~TRACE_FADES;
    at = size + 1 + ((weight & TRACE_AGAIN) != 0) + *size * INDEX;
  }
  assert_true(at == trace + delta->trace.size);
  delta->trace.data = (const char*)trace;
  return changed;
}

static void a_trace_of_the_version_before_counts_as_it_did_there(void** state) {
  (void)state;
  world learner = make_world(), folder = make_world(), older = make_world();
  freshet_model_delta delta;
  play_all(&learner, false);
  freshet_model_take_delta(learner.model, &delta);
  assert_int_equal(freshet_model_fold(folder.model, &delta, 0, NULL), FRESHET_OK);
  uint8_t* trace = malloc(delta.trace.size);
  assert_non_null(trace);
  assert_true(make_older(&delta, trace) > SESSIONS);
  assert_int_equal(freshet_model_fold(older.model, &delta, 0, NULL), FRESHET_OK);
  for (uint32_t album = 0; album < ALBUMS; album++) {
    const uint32_t song = album * ALBUM + 1;
    const float near = follows(&older, song, song + 1), far = follows(&older, song, song + 3);
    assert_true(follows(&folder, song, song + 3) < .6F * far);
    assert_true(fabsf(follows(&folder, song, song + 1) - near) < .2F * near);
  }
  free(trace);
  free_world(&learner);
  free_world(&folder);
  free_world(&older);
}

static void shares_of_all_codes_fall(void** state) {
  (void)state;
  world w = make_world();
  uint32_t last = 0;
  assert_true(freshet_model_back_share(0) < 1 && freshet_model_back_share(BACK_CODES - 1) == 0);
  assert_true(freshet_model_back_share(ORDER_FADES) == freshet_model_back_share(0));
  for (int i = -500; i <= 500; i++) { /* whatever a damaged delta makes of the weight */
    w.model->blend[ORDER] = i / 100.0;
    const uint32_t code = freshet_model_order_code(w.model, true);
    assert_in_range(code, last, ORDER_CODES - 1);
    last = code;
  }
  assert_int_equal(last, ORDER_CODES - 1);
  free_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_share_says_whether_order_matters),
                                     cmocka_unit_test(steps_between_sessions_have_an_order_of_their_own),
                                     cmocka_unit_test(the_next_song_follows_and_the_one_before_does_not),
                                     cmocka_unit_test(a_model_that_folds_or_restores_has_the_same_lists),
                                     cmocka_unit_test(state_without_the_share_is_read),
                                     cmocka_unit_test(follows_fades_faster_where_order_matters),
                                     cmocka_unit_test(a_trace_of_the_version_before_counts_as_it_did_there),
                                     cmocka_unit_test(shares_of_all_codes_fall)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
