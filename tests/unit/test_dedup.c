/* The window of event ids against a list of every id ever seen, across commits, restarts and both bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "users/dedup.h"

enum { IDS = 4000, CHUNKS = 4096 };

/* Chunks as the changelog has them: by number, which is their order. */
typedef struct chunks {
  freshet_buffer values[CHUNKS];
  uint8_t keys[CHUNKS][FRESHET_DEDUP_KEY_SIZE];
  bool present[CHUNKS];
} chunks;

static uint64_t number_of(const uint8_t* key) {
  uint64_t number = 0;
  for (int i = 2; i < FRESHET_DEDUP_KEY_SIZE; i++) number = number << 8 | key[i];
  assert_true(number < CHUNKS);
  return number;
}

static void commit(freshet_dedup* dedup, chunks* stored) {
  uint8_t key[FRESHET_DEDUP_KEY_SIZE];
  freshet_buffer value = {0};
  for (; freshet_dedup_take_chunk(dedup, key, &value); value = (freshet_buffer){0}) {
    uint64_t n = number_of(key);
    assert_false(stored->present[n]);
    freshet_buffer_free(&stored->values[n]);
    stored->values[n] = value;
    stored->present[n] = true;
    memcpy(stored->keys[n], key, sizeof key);
  }
  while (freshet_dedup_take_expired(dedup, key)) {
    assert_true(stored->present[number_of(key)]);
    stored->present[number_of(key)] = false;
  }
}

static freshet_dedup* restart(freshet_dedup* dedup, const chunks* stored, uint32_t events, int64_t window) {
  freshet_dedup_destroy(dedup);
  dedup = freshet_dedup_create(events, window);
  for (int n = 0; n < CHUNKS; n++) {
    if (!stored->present[n]) continue;
    freshet_slice key = {(const char*)stored->keys[n], FRESHET_DEDUP_KEY_SIZE};
    assert_int_equal(freshet_dedup_load(dedup, key, freshet_buffer_slice(&stored->values[n]), NULL),
                     FRESHET_OK);
  }
  return dedup;
}

static void free_chunks(chunks* stored) {
  for (int n = 0; n < CHUNKS; n++) freshet_buffer_free(&stored->values[n]);
  free(stored);
}

static void test_an_id_is_taken_once(void** state) {
  (void)state;
  freshet_dedup* dedup = freshet_dedup_create(100, 1000);
  assert_true(freshet_dedup_add(dedup, 7, 1));
  assert_true(freshet_dedup_add(dedup, 8, 1));
  assert_false(freshet_dedup_add(dedup, 7, 2));
  freshet_dedup_destroy(dedup);
}

/* Ids are added, repeated, committed and lost in restarts at random. An id that was committed, or added since
 * the last restart, must be known as long as fewer than `events` younger ones and less than the window lie
 * between. An id that is new must be taken. */
static void run(unsigned seed, uint32_t events, int64_t window) {
  srand(seed);
  freshet_dedup* dedup = freshet_dedup_create(events, window);
  chunks* stored = calloc(1, sizeof *stored);
  assert_non_null(stored);
  int64_t times[IDS] = {0};
  int64_t now = 1;
  int count = 0, committed = 0;
  while (count < IDS) {
    now += rand() % 5;
    int what = rand() % 100;
    if (what < 60) {
      times[count] = now;
      assert_true(freshet_dedup_add(dedup, (uint64_t)++count * 0x9e3779b97f4a7c15u, now));
    } else if (what < 90 && count > 0) {
      int back = 1 + rand() % (int)(2 * events);
      int id = count - back + 1;
      if (id < 1) continue;
      bool is_inside = (uint32_t)(back - 1) < events && times[count - 1] - times[id - 1] <= window;
      if (is_inside && freshet_dedup_add(dedup, (uint64_t)id * 0x9e3779b97f4a7c15u, now))
        fail_msg("seed %u: id %d of %d was forgotten", seed, id, count);
    } else if (what < 97) {
      commit(dedup, stored);
      committed = count;
    } else {
      dedup = restart(dedup, stored, events, window);
      count = committed;
    }
  }
  commit(dedup, stored);
  size_t kept = 0;
  for (int n = 0; n < CHUNKS; n++) kept += stored->present[n] ? (stored->values[n].size - 9) / 8 : 0;
  if (kept > 4 * (size_t)events + 64) fail_msg("seed %u: %zu ids are kept for %u", seed, kept, events);
  freshet_dedup_destroy(dedup);
  free_chunks(stored);
}

static void test_against_a_list(void** state) {
  (void)state;
  for (unsigned seed = 1; seed <= 40; seed++) run(seed, 1 + seed * 7 % 90, seed % 3 == 0 ? 50 : 1000000);
}

static void test_the_bound_in_count_forgets(void** state) {
  (void)state;
  freshet_dedup* dedup = freshet_dedup_create(4, 1000000);
  chunks* stored = calloc(1, sizeof *stored);
  assert_non_null(stored);
  for (uint64_t id = 1; id <= 8; id++) {
    assert_true(freshet_dedup_add(dedup, id, 1));
    commit(dedup, stored);
  }
  assert_true(freshet_dedup_add(dedup, 1, 1));  /* 7 younger */
  assert_false(freshet_dedup_add(dedup, 8, 1)); /* none */
  freshet_dedup_destroy(dedup);
  free_chunks(stored);
}

static void test_the_bound_in_time_forgets(void** state) {
  (void)state;
  freshet_dedup* dedup = freshet_dedup_create(1000, 100);
  chunks* stored = calloc(1, sizeof *stored);
  assert_non_null(stored);
  assert_true(freshet_dedup_add(dedup, 1, 1000));
  commit(dedup, stored);
  assert_true(freshet_dedup_add(dedup, 2, 1101));
  commit(dedup, stored);
  assert_true(freshet_dedup_add(dedup, 1, 1102));
  assert_false(freshet_dedup_add(dedup, 2, 1102));
  freshet_dedup_destroy(dedup);
  free_chunks(stored);
}

/* One commit with more ids than fit into a record makes several chunks. */
static void test_a_large_commit_is_cut(void** state) {
  (void)state;
  enum { MANY = 100000 };
  freshet_dedup* dedup = freshet_dedup_create(MANY, 1000);
  chunks* stored = calloc(1, sizeof *stored);
  assert_non_null(stored);
  for (uint64_t id = 1; id <= MANY; id++) assert_true(freshet_dedup_add(dedup, id, 1));
  commit(dedup, stored);
  size_t present = 0;
  for (int n = 0; n < CHUNKS; n++) {
    present += stored->present[n];
    assert_true(!stored->present[n] || stored->values[n].size < 1 << 20);
  }
  assert_true(present > 1);
  dedup = restart(dedup, stored, MANY, 1000);
  for (uint64_t id = 1; id <= MANY; id++) assert_false(freshet_dedup_add(dedup, id, 1));
  freshet_dedup_destroy(dedup);
  free_chunks(stored);
}

static void test_malformed_chunks_are_refused(void** state) {
  (void)state;
  freshet_dedup* dedup = freshet_dedup_create(10, 10);
  const struct {
    freshet_slice key, value;
  } bad[] = {
      {{"\0d1234567", 9}, {"\1\0\0\0\0\0\0\0\0", 9}},      {{"\0x12345678", 10}, {"\1\0\0\0\0\0\0\0\0", 9}},
      {{"\0d12345678", 10}, {"\2\0\0\0\0\0\0\0\0", 9}},    {{"\0d12345678", 10}, {"\1\0\0\0\0\0\0\0", 8}},
      {{"\0d12345678", 10}, {"\1\0\0\0\0\0\0\0\0\1", 10}}, {{"\0d12345678", 10}, {"", 0}},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    freshet_error error = {0};
    assert_int_equal(freshet_dedup_load(dedup, bad[i].key, bad[i].value, &error), FRESHET_INVALID);
    assert_int_equal(error.verdict, FRESHET_STOP);
  }
  freshet_dedup_destroy(dedup);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_an_id_is_taken_once),        cmocka_unit_test(test_against_a_list),
      cmocka_unit_test(test_the_bound_in_count_forgets), cmocka_unit_test(test_the_bound_in_time_forgets),
      cmocka_unit_test(test_a_large_commit_is_cut),      cmocka_unit_test(test_malformed_chunks_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
