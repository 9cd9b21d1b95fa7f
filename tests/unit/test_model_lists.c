/* Lists of neighbours grow with the steps of their item. Learning, folding and a restart come to the same lists, and what an older
 * version stored goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/model_bytes.h"

enum { ITEMS = 12000, USERS = 40, HUB = 0, FIRST_OTHER = 10, OLDER = 128 };

#include "support_model_world.h"
#include "support_older_row.h"

static freshet_model* make_model_with(uint32_t most) {
  freshet_model_config config = freshet_model_defaults();
  config.neighbours = most;
  return make_model_of(&config);
}

/* `other` was chosen near the hub; place 0 is a step. */
static void count_pair(freshet_model* model, uint32_t other, uint32_t place) {
  const trace_pair pair = {.weight_units = WEIGHT_UNITS, .place = place, .times = 1};
  freshet_model_replay_pair(model, HUB, other, &pair, UNKNOWN_PLACE);
}

static size_t place_of(const freshet_model* model, uint32_t other) {
  const neighbours* near = &model->items[HUB].near;
  return model->kernels->find_entry(near->tags, near->entries, near->count, other);
}

static void a_list_grows_with_its_steps(void** state) {
  (void)state;
  enum { PAIRS = 300, MOST = 512 };
  static const struct {
    uint32_t steps, limit;
  } limits[] = {{7, 64}, {8, 128}, {15, 128}, {16, 256}, {31, 256}, {32, 512}, {39, MOST}};
  freshet_model* model = make_model_with(MOST);
  const neighbours* near = &model->items[HUB].near;
  uint32_t other = FIRST_OTHER;
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    while (near->steps < limits[i].steps) {
      for (uint32_t pair = 0; pair < PAIRS; pair++) count_pair(model, other++, pair > 0);
    }
    assert_int_equal(near->count, limits[i].limit);
    assert_int_equal(near->capacity, limits[i].limit);
  }
  freshet_model_destroy(model);
}

/* A list that is full keeps what comes often. */
static void of_ten_thousand_neighbours_the_frequent_ones_stay(void** state) {
  (void)state;
  enum { OTHERS = 10000, OFTEN = 100, MOST = 2048 };
  freshet_model* model = make_model_with(MOST);
  const neighbours* near = &model->items[HUB].near;
  for (uint32_t i = 0; i < OTHERS; i++) {
    count_pair(model, FIRST_OTHER + OFTEN + i, 0);
    if (i % 2 == 0) count_pair(model, FIRST_OTHER + i / 2 % OFTEN, 1);
  }
  assert_int_equal(near->count, MOST);
  assert_int_equal(near->capacity, MOST);
  for (uint32_t i = 0; i < OFTEN; i++) assert_true(place_of(model, FIRST_OTHER + i) < near->count);
  for (uint32_t e = 0; e < near->count; e++) assert_int_equal(place_of(model, near->entries[e].item), e);
  freshet_model_destroy(model);
}

/* Users choose among the first items by chance, some of them more often. */
static void learn_events(freshet_model* model, freshet_user* const* users, uint32_t from, uint32_t to) {
  enum { RANGE = 900 };
  for (uint32_t i = from; i < to; i++) {
    const uint64_t random = freshet_random(5, i);
    const uint32_t slot = (uint32_t)(random % RANGE) * (uint32_t)(random >> 32 & 1023) / 1024;
    const freshet_observation seen = {
        .item = slot, .positive = true, .weight = 1, .time_ms = (int64_t)i * 20000};
    assert_int_equal(freshet_model_learn(model, users[i % USERS], &seen, NULL), FRESHET_OK);
  }
}

static void hand_over(freshet_model* from, freshet_model* const* to, size_t count, int64_t offset) {
  freshet_model_delta delta;
  freshet_model_take_delta(from, &delta);
  for (size_t i = 0; i < count; i++)
    assert_int_equal(freshet_model_fold(to[i], &delta, offset, NULL), FRESHET_OK);
}

static freshet_model* restored_from(const freshet_model* model, int64_t offset) {
  freshet_model* restored = make_model_with(freshet_model_get_config(model)->neighbours);
  freshet_buffer bytes = {0};
  freshet_model_write_globals(model, offset, &bytes);
  assert_int_equal(freshet_model_read_globals(restored, freshet_buffer_slice(&bytes), NULL), FRESHET_OK);
  for (uint32_t slot = 0; slot < ITEMS; slot++) {
    bytes.size = 0;
    freshet_model_write_item(model, slot, offset, &bytes);
    assert_int_equal(freshet_model_read_item(restored, slot, freshet_buffer_slice(&bytes), NULL), FRESHET_OK);
  }
  freshet_buffer_free(&bytes);
  return restored;
}

static void long_lists_agree_after_folds_and_a_restart(void** state) {
  (void)state;
  enum { EVENTS = 12000 };
  freshet_model* model = make_model_with(1024);
  freshet_model* others[2] = {make_model_with(1024), NULL};
  freshet_user* users[USERS];
  for (int u = 0; u < USERS; u++) users[u] = freshet_user_create(model);
  learn_events(model, users, 0, EVENTS);
  hand_over(model, others, 1, 0);
  assert_int_equal(freshet_model_hash(others[0]), freshet_model_hash(model));
  others[1] = restored_from(others[0], 1);
  assert_int_equal(freshet_model_hash(others[1]), freshet_model_hash(model));
  learn_events(model, users, EVENTS, EVENTS + EVENTS / 2);
  hand_over(model, others, 2, 1);
  assert_int_equal(freshet_model_hash(others[0]), freshet_model_hash(model));
  assert_int_equal(freshet_model_hash(others[1]), freshet_model_hash(model));
  uint32_t longest = 0;
  for (uint32_t slot = 0; slot < ITEMS; slot++)
    longest = model->items[slot].near.count > longest ? model->items[slot].near.count : longest;
  assert_true(longest > 2 * OLDER);
  for (int u = 0; u < USERS; u++) freshet_user_destroy(users[u]);
  for (int i = 0; i < 2; i++) freshet_model_destroy(others[i]);
  freshet_model_destroy(model);
}

/* Version 4 kept 128 entries of any item. They stay, and the list goes on as any other. */
static void a_list_of_an_older_version_goes_on(void** state) {
  (void)state;
  enum { STEPS = 5 };
  freshet_model *model = make_model_with(1024), *restored = make_model_with(1024);
  const neighbours* near = &restored->items[HUB].near;
  freshet_buffer row = {0};
  for (uint32_t i = 0; i < OLDER; i++) {
    const freshet_neighbour entry = {FIRST_OTHER + i, 0, freshet_count_pack(1.5F)};
    freshet_model_neighbours_put(model, HUB, &entry);
  }
  model->items[HUB].near.steps = STEPS;
  model->items[HUB].near.held = STEPS;
  write_older_row(model, HUB, 4, true, &row);
  assert_int_equal(freshet_model_read_item(restored, HUB, freshet_buffer_slice(&row), NULL), FRESHET_OK);
  assert_int_equal(near->count, OLDER);
  for (uint32_t i = 0; i < 3; i++) count_pair(restored, 5000 + i, 0);
  assert_int_equal(near->count, OLDER);
  for (uint32_t i = 0; i < 20; i++) count_pair(restored, 6000 + i, 0);
  assert_in_range(near->count, OLDER + 1, OLDER + 20);
  freshet_buffer_free(&row);
  freshet_model_destroy(restored);
  freshet_model_destroy(model);
}

/* `others` neighbours; every third one is heavy, and the heavy ones have unequal counts. */
static freshet_model* model_with_list(uint32_t most, uint32_t others) {
  freshet_model* model = make_model_with(most);
  for (uint32_t i = 0; i < others; i++) {
    const float together = i % 3 == 0 ? 2 + (float)i : 1;
    const freshet_neighbour entry = {FIRST_OTHER + i, 0, freshet_count_pack(together)};
    freshet_model_neighbours_put(model, HUB, &entry);
  }
  return model;
}

static void a_lower_bound_keeps_the_heaviest_neighbours(void** state) {
  (void)state;
  enum { MORE = 200, FEWER = 128 };
  freshet_model *model = model_with_list(2048, MORE), *restored[2];
  freshet_buffer row = {0}, rows[2] = {{0}, {0}};
  freshet_model_write_item(model, HUB, 0, &row);
  const freshet_slice stored = freshet_buffer_slice(&row);
  for (int r = 0; r < 2; r++) {
    uint64_t last_chosen;
    restored[r] = make_model_with(FEWER);
    assert_int_equal(freshet_model_check_item(restored[r], stored, &last_chosen, NULL), FRESHET_OK);
    assert_int_equal(freshet_model_read_item(restored[r], HUB, stored, NULL), FRESHET_OK);
    const neighbours* near = &restored[r]->items[HUB].near;
    assert_int_equal(near->count, FEWER);
    assert_int_equal(near->capacity, FEWER);
    for (uint32_t i = 0; i < MORE; i += 3) assert_true(place_of(restored[r], FIRST_OTHER + i) < near->count);
    for (uint32_t e = 0; e < near->count; e++)
      assert_int_equal(place_of(restored[r], near->entries[e].item), e);
    freshet_model_write_item(restored[r], HUB, 0, &rows[r]);
  }
  assert_int_equal(rows[0].size, rows[1].size); /* among equals too, all readers keep the same */
  assert_memory_equal(rows[0].data, rows[1].data, rows[0].size);
  for (uint32_t i = 0; i < 200; i++) count_pair(restored[0], 6000 + i, 0); /* the list goes on */
  assert_int_equal(restored[0]->items[HUB].near.count, FEWER);
  for (int r = 0; r < 2; r++) {
    freshet_buffer_free(&rows[r]);
    freshet_model_destroy(restored[r]);
  }
  freshet_buffer_free(&row);
  freshet_model_destroy(model);
}

/* No setting lets a list have so many. */
static void more_neighbours_than_any_setting_allows_are_malformed(void** state) {
  (void)state;
  enum { TAIL = 24, ENTRY = 12 };
  freshet_model *model = model_with_list(NEIGHBOURS_MAX, NEIGHBOURS_MAX), *reader = make_model_with(128);
  freshet_buffer row = {0}, longer = {0};
  uint64_t last_chosen;
  freshet_model_write_item(model, HUB, 0, &row);
  assert_int_equal(freshet_model_check_item(reader, freshet_buffer_slice(&row), &last_chosen, NULL),
                   FRESHET_OK);
  const size_t head = row.size - TAIL - (size_t)NEIGHBOURS_MAX * ENTRY - sizeof(uint16_t);
  const uint16_t count = NEIGHBOURS_MAX + 1;
  freshet_put(&longer, row.data, head);
  freshet_put(&longer, &count, sizeof count);
  freshet_put(&longer, row.data + head + sizeof count, ENTRY); /* the first one twice */
  freshet_put(&longer, row.data + head + sizeof count, row.size - head - sizeof count);
  assert_int_equal(freshet_model_check_item(reader, freshet_buffer_slice(&longer), &last_chosen, NULL),
                   FRESHET_INVALID);
  freshet_buffer_free(&longer);
  freshet_buffer_free(&row);
  freshet_model_destroy(reader);
  freshet_model_destroy(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_list_grows_with_its_steps),
      cmocka_unit_test(of_ten_thousand_neighbours_the_frequent_ones_stay),
      cmocka_unit_test(long_lists_agree_after_folds_and_a_restart),
      cmocka_unit_test(a_list_of_an_older_version_goes_on),
      cmocka_unit_test(a_lower_bound_keeps_the_heaviest_neighbours),
      cmocka_unit_test(more_neighbours_than_any_setting_allows_are_malformed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
