/* Lists of neighbours fade with the steps to their own item and from it: how much, what a list makes of a stream that changes, and
 * what becomes of the state of a version whose lists did not fade. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/model_bytes.h"
#include "core/model_query.h"

enum { ITEMS = 300, USERS = 1, OTHERS = 8 };
static const int64_t session_ms = 3600 * 1000LL, step_ms = 20 * 1000;

#include "support_model_world.h"
#include "support_older_row.h"

/* A new user chooses an item, and then `other`: one step for the lists of both. */
static void choose_together(world* w, uint32_t first_item, uint32_t other, uint32_t session) {
  const int64_t start_ms = session * session_ms;
  const freshet_observation first = {.item = first_item, .positive = true, .weight = 1, .time_ms = start_ms};
  const freshet_observation second = {
      .item = other, .positive = true, .weight = 1, .time_ms = start_ms + step_ms};
  freshet_user_destroy(w->users[0]);
  w->users[0] = freshet_user_create(w->model);
  assert_int_equal(freshet_model_learn(w->model, w->users[0], &first, NULL), FRESHET_OK);
  assert_int_equal(freshet_model_learn(w->model, w->users[0], &second, NULL), FRESHET_OK);
}

/* How often `other` was chosen together with the item, as its list says it beside N. */
static float together(const freshet_model* model, uint32_t slot, uint32_t other) {
  const neighbours* near = &model->items[slot].near;
  const size_t at = model->kernels->find_entry(near->tags, near->entries, near->count, other);
  return at < near->count
             ? freshet_count_value(near->entries[at].together) * freshet_model_neighbours_scale(near)
             : 0;
}

/* As long as nothing changes, a list says what it would say if it did not fade. */
static void a_steady_stream_keeps_its_counts(void** state) {
  (void)state;
  enum { TIMES = 1024 };
  world w = make_world();
  for (uint32_t i = 0; i < TIMES; i++) choose_together(&w, 0, 1 + i % 4, i);
  const neighbours* near = &w.model->items[0].near;
  assert_int_equal(near->steps, TIMES);
  assert_true(near->held < TIMES / 2);
  for (uint32_t other = 1; other <= 4; other++)
    assert_float_equal(together(w.model, 0, other), TIMES / 4, .02 * TIMES / 4);
  free_world(&w);
}

static void a_count_halves_in_256_steps(void** state) {
  (void)state;
  world w = make_world();
  for (uint32_t i = 0; i < 320; i++) choose_together(&w, 0, 1, i);
  const neighbours* near = &w.model->items[0].near;
  const float before = freshet_count_value(near->entries[0].together);
  assert_int_equal(near->entries[0].item, 1);
  for (uint32_t i = 0; i < 256; i++) choose_together(&w, 0, 2, 320 + i);
  assert_float_equal(freshet_count_value(near->entries[0].together), before / 2, .01F * before);
  /* in the list of the other item time has not gone on */
  assert_float_equal(together(w.model, 1, 0), 320, 3);
  for (uint32_t i = 0; i < 4000; i++) choose_together(&w, 0, 2, 600 + i);
  assert_true(near->entries[0].together == 0 && near->entries[0].follows == 0);
  free_world(&w);
}

/* For a long time an item goes with eight items, then with eight others, which soon come first. */
static void a_stream_that_changes_is_followed(void** state) {
  (void)state;
  enum { BEFORE = 2000, AFTER = 400 };
  world w = make_world();
  float scores[ITEMS];
  freshet_rank_query query = {0};
  for (uint32_t i = 0; i < BEFORE; i++) choose_together(&w, 0, 1 + i % OTHERS, i);
  for (uint32_t i = 0; i < AFTER; i++) choose_together(&w, 0, 1 + OTHERS + i % OTHERS, BEFORE + i);
  for (uint32_t other = 1; other <= OTHERS; other++)
    assert_true(together(w.model, 0, OTHERS + other) > 1.5F * together(w.model, 0, other));
  const freshet_observation again = {
      .item = 0, .positive = true, .weight = 1, .time_ms = (BEFORE + AFTER) * session_ms};
  freshet_user_destroy(w.users[0]);
  w.users[0] = freshet_user_create(w.model);
  assert_int_equal(freshet_model_learn(w.model, w.users[0], &again, NULL), FRESHET_OK);
  assert_int_equal(freshet_model_sync_ranker(w.model, NULL, NULL), FRESHET_OK);
  freshet_model_query(w.model, w.users[0], again.time_ms + step_ms, w.scratch, &query);
  freshet_model_score_all(w.model, &query, scores);
  for (uint32_t other = 1; other <= OTHERS; other++) assert_true(scores[OTHERS + other] > scores[other]);
  free_world(&w);
}

/* A list without room takes a newcomer that weighs as much as its smallest entry. Fading makes room. */
static void a_full_list_makes_room(void** state) {
  (void)state;
  freshet_model_config config = freshet_model_defaults();
  config.neighbours = 16;
  world w = {.model = make_model_of(&config)};
  w.users[0] = freshet_user_create(w.model);
  for (uint32_t i = 0; i < 1600; i++) choose_together(&w, 0, 1 + i % 16, i);
  choose_together(&w, 0, 100, 1600);
  assert_true(together(w.model, 0, 100) <= 0);
  for (uint32_t i = 0; i < 2000; i++) choose_together(&w, 0, 100 + i % 16, 1601 + i);
  for (uint32_t i = 0; i < 16; i++) assert_true(together(w.model, 0, 100 + i) > 0);
  free_world(&w);
}

/* A model with item 0 as the version before stored it. The caller destroys it. */
static freshet_model* restore_without_a_clock(const world* w) {
  enum { VERSION_BEFORE = 3 };
  freshet_model* restored = make_model();
  freshet_buffer row = {0};
  write_older_row(w->model, 0, VERSION_BEFORE, true, &row);
  assert_int_equal(freshet_model_read_item(restored, 0, freshet_buffer_slice(&row), NULL), FRESHET_OK);
  freshet_buffer_free(&row);
  return restored;
}

/* The version before had no clock: its counts were those of all choices. They come to say the same. */
static void state_without_a_clock_fades_at_once(void** state) {
  (void)state;
  enum { TIMES = 3200 };
  world w = make_world();
  for (uint32_t i = 0; i < TIMES; i++) choose_together(&w, 0, 1 + i % 2, i);
  neighbours* near = &w.model->items[0].near;
  for (uint32_t e = 0; e < near->count; e++) near->entries[e].together = freshet_count_pack(TIMES / 2);
  freshet_model* restored = restore_without_a_clock(&w);
  assert_float_equal(together(restored, 0, 1), TIMES / 2, 1);
  assert_float_equal(restored->items[0].near.held, near->held, .01F * near->held);
  freshet_model_destroy(restored);
  free_world(&w);
}

/* N is a sum of weights, and counts choices without a context, too: a list may have fewer steps. */
static void state_without_a_clock_keeps_a_short_list(void** state) {
  (void)state;
  enum { COUNT = 3200 };
  world w = make_world();
  for (uint32_t i = 0; i < 8; i++) choose_together(&w, 0, 1 + i % 2, i);
  const float before = together(w.model, 0, 1);
  freshet_model_count_set(w.model, 0, COUNT * WEIGHT_UNITS);
  freshet_model* restored = restore_without_a_clock(&w);
  assert_float_equal(together(restored, 0, 1), before, .001F);
  assert_int_equal(restored->items[0].near.entries[0].together, w.model->items[0].near.entries[0].together);
  freshet_model_destroy(restored);
  free_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_steady_stream_keeps_its_counts),
      cmocka_unit_test(a_count_halves_in_256_steps),
      cmocka_unit_test(a_stream_that_changes_is_followed),
      cmocka_unit_test(a_full_list_makes_room),
      cmocka_unit_test(state_without_a_clock_fades_at_once),
      cmocka_unit_test(state_without_a_clock_keeps_a_short_list),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
