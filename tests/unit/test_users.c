/* Rows of users: a bounded cache over the store and the overlay of what has changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/memory_store.h"
#include "users/shown_rows.h"
#include "users/users.h"

enum { CACHED = 4, USERS = 20, PARTITIONS = 2 };

typedef struct world {
  freshet_model* model;
  freshet_codec* codec;
  freshet_store* store;
  freshet_users* users;
} world;

static int setup(void** state) {
  world* w = calloc(1, sizeof *w);
  freshet_model_config model = freshet_model_defaults();
  model.dim = 16;
  model.max_items = 64;
  model.seen_limit = 8;
  const freshet_codec_config codec = {.output = FRESHET_FRAMING_SINGLE_OBJECT};
  if (w == NULL || freshet_model_create(&model, &w->model, NULL) != FRESHET_OK ||
      freshet_codec_create(&codec, &w->codec, NULL) != FRESHET_OK) {
    return -1;
  }
  w->store = freshet_memory_store_create();
  w->users = freshet_users_create(w->model, w->store, w->codec, CACHED);
  *state = w;
  return 0;
}

static int teardown(void** state) {
  world* w = *state;
  freshet_users_destroy(w->users);
  freshet_store_destroy(w->store);
  freshet_codec_destroy(w->codec);
  freshet_model_destroy(w->model);
  free(w);
  return 0;
}

static freshet_user_row* get(world* w, int32_t partition, int user) {
  char id[24];
  snprintf(id, sizeof id, "user %d", user);
  freshet_user_row* row = NULL;
  freshet_error error = {0};
  if (freshet_users_get(w->users, partition, freshet_slice_of(id), &row, &error) != FRESHET_OK)
    fail_msg("%s", error.message);
  return row;
}

static void add_event(world* w, freshet_user_row* row) {
  row->exists = true;
  row->newest_offset = ++row->events;
  freshet_users_change(w->users, row);
}

/* What the worker does with the overlay: into the transaction, then into the store. */
static void write_overlay(world* w) {
  freshet_user_row* const* rows;
  size_t count = freshet_users_changed(w->users, &rows);
  for (size_t i = 0; i < count; i++) {
    freshet_users_announce_changed(w->users, i);
    freshet_slice id = freshet_user_row_id(rows[i]);
    freshet_buffer bytes = {0};
    if (rows[i]->exists) {
      assert_int_equal(freshet_users_encode(w->users, rows[i], &bytes, NULL), FRESHET_OK);
      freshet_store_put(w->store, FRESHET_FAMILY_USERS, rows[i]->partition, id, freshet_buffer_slice(&bytes));
    } else {
      freshet_store_remove(w->store, FRESHET_FAMILY_USERS, rows[i]->partition, id);
    }
    freshet_buffer_free(&bytes);
  }
  freshet_users_start_commit(w->users);
}

static void end_commit(world* w) {
  freshet_store_write(w->store, NULL);
  freshet_users_end_commit(w->users);
}

static void commit(world* w) {
  write_overlay(w);
  end_commit(w);
}

static void test_a_stranger_does_not_exist(void** state) {
  const freshet_user_row* row = get(*state, 0, 1);
  assert_false(row->exists);
  assert_int_equal(row->newest_offset, -1);
  assert_int_equal(row->listed_offset, -1);
  assert_int_equal(row->user->recent_count, 0);
}

static void a_damaged_showing_makes_no_item(void** state) {
  enum { PLACE_AT = FRESHET_SHOWN_BYTES - 1 };
  world* w = *state;
  freshet_user_row* row = get(w, 1, 1);
  uint8_t stored[FRESHET_SHOWN_BYTES] = {77};
  const freshet_slice bytes = {(const char*)stored, sizeof stored};
  const size_t items = freshet_model_item_count(w->model);
  stored[PLACE_AT] = 255;
  freshet_shown_read(w->model, bytes, row->user);
  assert_int_equal(freshet_model_item_count(w->model), items);
  assert_int_equal(row->user->shown_count, 0);
  stored[PLACE_AT] = 1;
  freshet_shown_read(w->model, bytes, row->user);
  assert_int_equal(freshet_model_item_count(w->model), items + 1);
  assert_int_equal(row->user->shown_count, 1);
}

static void test_everything_comes_back_from_the_store(void** state) {
  world* w = *state;
  freshet_user_row* row = get(w, 1, 1);
  for (int i = 0; i < 30; i++) {
    char id[24];
    uint32_t slot;
    snprintf(id, sizeof id, "item %d", i % 12);
    assert_int_equal(freshet_model_intern(w->model, freshet_slice_of(id), &slot, NULL), FRESHET_OK);
    freshet_observation seen = {.item = slot, .positive = i % 5 != 0, .weight = 2, .time_ms = 1000 * i};
    assert_int_equal(freshet_model_learn(w->model, row->user, &seen, NULL), FRESHET_OK);
    add_event(w, row);
  }
  for (uint32_t i = 0; i < 12; i++) freshet_model_show(w->model, row->user, i, (int32_t)i, 1000000 * (i + 1));
  assert_int_equal(row->user->shown_count, 12);
  row->event_checksum = UINT64_MAX - 1;
  row->newest_occurred_at_ms = 12345;
  row->listed_offset = 7;
  row->refresh_since_ms = 99;
  freshet_buffer before = {0}, after = {0};
  assert_int_equal(freshet_users_encode(w->users, row, &before, NULL), FRESHET_OK);
  commit(w);
  for (int user = 2; user < 2 + CACHED; user++) get(w, 1, user);
  freshet_users_trim(w->users);
  assert_int_equal(freshet_users_count(w->users), CACHED);
  row = get(w, 1, 1);
  assert_true(row->exists);
  assert_int_equal(freshet_users_encode(w->users, row, &after, NULL), FRESHET_OK);
  assert_int_equal(before.size, after.size);
  assert_memory_equal(before.data, after.data, before.size);
  freshet_buffer_free(&before);
  freshet_buffer_free(&after);
}

/* A list of another process, of which only the version is known. */
static void test_a_list_that_is_not_known_stays_so(void** state) {
  world* w = *state;
  freshet_user_row* row = get(w, 1, 1);
  add_event(w, row);
  const size_t items = freshet_model_item_count(w->model);
  freshet_users_set_list_unknown(row);
  commit(w);
  for (int user = 2; user < 2 + CACHED; user++) get(w, 1, user);
  freshet_users_trim(w->users);
  row = get(w, 1, 1);
  assert_true(row->exists && row->is_list_unknown);
  assert_int_equal(row->listed_count, 0);
  assert_int_equal(freshet_model_item_count(w->model), items); /* what stands for it is no item */
  freshet_users_set_listed(row, NULL, 0);
  assert_false(row->is_list_unknown);
}

static void test_rows_that_are_needed_stay(void** state) {
  world* w = *state;
  freshet_user_row* dirty = get(w, 0, 0);
  add_event(w, dirty);
  freshet_user_row* touched = get(w, 0, 1);
  touched->touched = true;
  for (int user = 2; user < USERS; user++) get(w, 0, user);
  freshet_users_trim(w->users);
  assert_int_equal(freshet_users_count(w->users), CACHED);
  assert_ptr_equal(get(w, 0, 0), dirty);
  assert_ptr_equal(get(w, 0, 1), touched);
  touched->touched = false;
  write_overlay(w); /* on its way, and not in the store yet */
  for (int user = 2; user < USERS; user++) get(w, 0, user);
  freshet_users_trim(w->users);
  assert_ptr_equal(get(w, 0, 0), dirty);
  assert_int_equal(get(w, 0, 0)->events, 1);
  end_commit(w);
  for (int user = 2; user < USERS; user++) get(w, 0, user);
  freshet_users_trim(w->users);
  assert_int_equal(get(w, 0, 0)->events, 1);
}

/* What changes while a commit is under way belongs to the next one. */
static void test_changes_during_a_commit_are_in_the_next(void** state) {
  world* w = *state;
  freshet_user_row* const* rows;
  freshet_user_row* row = get(w, 0, 0);
  add_event(w, row);
  write_overlay(w);
  assert_int_equal(freshet_users_changed(w->users, &rows), 0);
  add_event(w, row);
  assert_int_equal(freshet_users_changed(w->users, &rows), 1);
  end_commit(w);
  assert_int_equal(freshet_users_changed(w->users, &rows), 1);
  commit(w);
  freshet_users_drop(w->users, 0);
  assert_int_equal(get(w, 0, 0)->events, 2);
}

static void test_partitions_are_apart(void** state) {
  world* w = *state;
  add_event(w, get(w, 0, 5));
  add_event(w, get(w, 1, 5));
  add_event(w, get(w, 1, 5));
  freshet_users_drop(w->users, 0); /* revoked before the commit: forgotten */
  commit(w);
  assert_int_equal(get(w, 0, 5)->events, 0);
  assert_int_equal(get(w, 1, 5)->events, 2);
}

static void test_erased_users_begin_anew(void** state) {
  world* w = *state;
  freshet_user_row* row = get(w, 0, 5);
  for (int i = 0; i < 3; i++) add_event(w, row);
  commit(w);
  freshet_users_erase(w->users, row);
  assert_false(row->exists);
  add_event(w, row);
  freshet_users_erase(w->users, get(w, 0, 6)); /* nobody knew it */
  commit(w);
  freshet_users_drop(w->users, 0);
  assert_int_equal(get(w, 0, 5)->events, 1);
  assert_false(get(w, 0, 6)->exists);
}

static void test_an_unreadable_row_stops(void** state) {
  world* w = *state;
  freshet_user_row* row;
  freshet_error error = {0};
  freshet_store_put(w->store, FRESHET_FAMILY_USERS, 0, freshet_slice_of("broken"), freshet_slice_of("?"));
  freshet_store_write(w->store, NULL);
  assert_int_equal(freshet_users_get(w->users, 0, freshet_slice_of("broken"), &row, &error), FRESHET_DAMAGED);
  assert_int_equal(error.verdict, FRESHET_STOP);
  assert_non_null(strstr(error.message, "broken"));
  assert_int_equal(freshet_users_count(w->users), 0);
}

/* Of a user who may be unknown; nothing changes, and no row comes into memory. */
static void announce(world* w, int32_t partition, int user) {
  char id[24];
  snprintf(id, sizeof id, "user %d", user);
  const size_t count = freshet_users_count(w->users);
  freshet_users_announce(w->users, partition, freshet_slice_of(id));
  assert_int_equal(freshet_users_count(w->users), count);
}

/* Any order of events, erasures, commits, evictions, losses and announcements, against two plain tables of counts. */
static void run(world* w, unsigned seed) {
  int64_t now[PARTITIONS][USERS] = {{0}}, sent[PARTITIONS][USERS] = {{0}}, stored[PARTITIONS][USERS] = {{0}};
  bool is_committing = false;
  srand(seed);
  for (int step = 0; step < 3000; step++) {
    int32_t p = rand() % PARTITIONS;
    int user = rand() % USERS, what = rand() % 100;
    announce(w, rand() % PARTITIONS, rand() % (2 * USERS));
    if (what < 60) {
      freshet_user_row* row = get(w, p, user);
      if (row->events != now[p][user])
        fail_msg("seed %u, step %d: user %d has %lld events of %lld", seed, step, user,
                 (long long)row->events, (long long)now[p][user]);
      add_event(w, row);
      now[p][user]++;
    } else if (what < 68) {
      freshet_users_erase(w->users, get(w, p, user));
      now[p][user] = 0;
    } else if (what < 78) {
      freshet_users_trim(w->users);
    } else if (what < 88 && !is_committing) {
      write_overlay(w);
      memcpy(sent, now, sizeof sent);
      is_committing = true;
    } else if (what < 97 && is_committing) {
      end_commit(w);
      memcpy(stored, sent, sizeof stored);
      is_committing = false;
    } else if (what == 97 && !is_committing) { /* revoked, and lost */
      freshet_users_drop(w->users, p);
      memcpy(now[p], stored[p], sizeof now[p]);
    }
  }
  if (is_committing) end_commit(w);
}

static void test_against_plain_tables(void** state) {
  for (unsigned seed = 1; seed <= 10; seed++) {
    if (seed > 1) assert_int_equal(teardown(state) + setup(state), 0);
    run(*state, seed);
  }
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_WORLD(test_a_stranger_does_not_exist),
      WITH_WORLD(a_damaged_showing_makes_no_item),
      WITH_WORLD(test_everything_comes_back_from_the_store),
      WITH_WORLD(test_a_list_that_is_not_known_stays_so),
      WITH_WORLD(test_rows_that_are_needed_stay),
      WITH_WORLD(test_changes_during_a_commit_are_in_the_next),
      WITH_WORLD(test_partitions_are_apart),
      WITH_WORLD(test_erased_users_begin_anew),
      WITH_WORLD(test_an_unreadable_row_stops),
      WITH_WORLD(test_against_plain_tables),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
