/* Blend weights by the stage of a session: which stage it is, what is learned at it, older state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model_internal.h"

enum { ITEMS = 60 };
static const int64_t start_ms = 1000000000000, second_ms = 1000, minute_ms = 60 * second_ms,
                     day_ms = 24 * 60 * minute_ms;

static freshet_model* make_model(void) {
  freshet_model_config config = freshet_model_defaults();
  freshet_model* model = NULL;
  config.text_dim = 0;
  assert_int_equal(freshet_model_create(&config, &model, NULL), FRESHET_OK);
  for (uint64_t i = 0; i < ITEMS; i++) {
    uint32_t slot;
    assert_int_equal(freshet_model_intern_key(model, freshet_random(7, i), &slot, NULL), FRESHET_OK);
  }
  return model;
}

static void choose(freshet_model* model, freshet_user* user, uint32_t slot, int64_t time_ms) {
  freshet_observation seen = {slot, true, 0, 1, time_ms, 0, false};
  assert_int_equal(freshet_model_learn(model, user, &seen, NULL), FRESHET_OK);
}

static uint32_t stage_at(const freshet_model* model, const freshet_user* user, int64_t time_ms) {
  context c;
  freshet_model_context(model, user, time_ms, &c);
  return c.stage;
}

static void a_stage_tells_how_far_a_session_is_or_how_long_ago_the_last_was(void** state) {
  (void)state;
  static const uint32_t by_size[] = {0, 1, 2, 3, 3, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6, 6, 6};
  freshet_model* model = make_model();
  freshet_user* user = freshet_user_create(model);
  int64_t last_ms = start_ms;
  for (uint32_t n = 0; n < sizeof by_size / sizeof *by_size; n++) {
    last_ms = start_ms + n * second_ms;
    assert_int_equal(stage_at(model, user, last_ms), by_size[n]);
    choose(model, user, n, last_ms);
  }
  assert_int_equal(stage_at(model, user, last_ms + 10 * minute_ms), 6);
  assert_int_equal(stage_at(model, user, last_ms + 10 * minute_ms + 1), 7);
  assert_int_equal(stage_at(model, user, last_ms + 30 * minute_ms), 8);
  assert_int_equal(stage_at(model, user, last_ms + day_ms), 9);
  assert_int_equal(stage_at(model, user, last_ms + 7 * day_ms), 10);
  assert_int_equal(stage_at(model, user, last_ms + 30 * day_ms), STAGES - 1);
  freshet_user_destroy(user);
  freshet_model_destroy(model);
}

/* Users begin a session with one of two items that everybody chooses, and go on with what belongs to it. */
static void popularity_weighs_more_where_it_decides(void** state) {
  (void)state;
  freshet_model* model = make_model();
  freshet_user* user = NULL;
  context begins, goes_on;
  for (uint64_t i = 0; i < 3000; i++) {
    uint32_t first = (uint32_t)(freshet_random(3, i) % 2),
             then = 2 + (uint32_t)(freshet_random(4, i) % 29) * 2;
    freshet_user_destroy(user);
    user = freshet_user_create(model);
    choose(model, user, then + first, start_ms + (int64_t)i * day_ms - 5 * day_ms);
    choose(model, user, first, start_ms + (int64_t)i * day_ms);
    choose(model, user, then + 1 - first, start_ms + (int64_t)i * day_ms + second_ms);
  }
  freshet_user_destroy(user);
  user = freshet_user_create(model);
  int64_t now_ms = start_ms + 4000 * day_ms;
  choose(model, user, 5, now_ms - 5 * day_ms);
  freshet_model_context(model, user, now_ms, &begins);
  freshet_model_context(model, user, now_ms - 5 * day_ms + second_ms, &goes_on);
  assert_int_equal(begins.user_level, goes_on.user_level);
  float at_begin = 0, later = 0;
  for (int h = 0; h < HALF_LIVES; h++) {
    at_begin += begins.theta[POPULAR + h];
    later += goes_on.theta[POPULAR + h];
  }
  assert_true(at_begin > later + .1F);
  freshet_user_destroy(user);
  freshet_model_destroy(model);
}

static void globals_without_stages_are_read(void** state) {
  (void)state;
  enum { HEAD = 1 + 8 + 8 + HALF_LIVES * 8, OLD = TS };
  freshet_model *model = make_model(), *other = make_model(), *fresh = make_model();
  freshet_user* user = freshet_user_create(model);
  freshet_buffer now = {0}, old = {0};
  for (uint32_t i = 0; i < 50; i++) choose(model, user, i, start_ms + i * second_ms);
  assert_true(model->blend[TS + 6 * FEATURES + TASTE] != 0);
  freshet_model_write_globals(model, 7, &now);
  const uint32_t count = OLD;
  const uint8_t *bytes = now.data, *weights = bytes + HEAD + sizeof count;
  freshet_buffer_append(&old, bytes, HEAD);
  freshet_buffer_append(&old, &count, sizeof count);
  freshet_buffer_append(&old, weights, OLD * sizeof(double));
  freshet_buffer_append(&old, weights + BLEND_WEIGHTS * sizeof(double), OLD * sizeof(double));
  const size_t rest = HEAD + sizeof count + 2 * BLEND_WEIGHTS * sizeof(double);
  freshet_buffer_append(&old, bytes + rest, now.size - rest);
  assert_int_equal(freshet_model_read_globals(other, freshet_buffer_slice(&old), NULL), FRESHET_OK);
  for (int i = 0; i < BLEND_WEIGHTS; i++) {
    assert_true(other->blend[i] == (i < OLD ? model->blend[i] : fresh->blend[i]));
    assert_true(other->blend_squares[i] ==
                (i < OLD ? model->blend_squares[i] : freshet_grid(FRESHET_BLEND_SQUARES_START)));
  }
  freshet_buffer_free(&now);
  freshet_buffer_free(&old);
  freshet_user_destroy(user);
  freshet_model_destroy(model);
  freshet_model_destroy(other);
  freshet_model_destroy(fresh);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_stage_tells_how_far_a_session_is_or_how_long_ago_the_last_was),
      cmocka_unit_test(popularity_weighs_more_where_it_decides),
      cmocka_unit_test(globals_without_stages_are_read)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
