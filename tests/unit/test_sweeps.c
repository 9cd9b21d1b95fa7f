/*
 * test_sweeps.c: users of a partition are gone through a few in each turn: all of them, each once, in their order, while
 * others come and go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lists/sweeps.h"
#include "support/memory_store.h"

enum { MOST = 50, USERS = 1003, ROW_US = 30, LONG_SLICE_US = 1000000 };
enum { EVENTS = 1 << FRESHET_OWED_EVENT, TAKING = 1 << FRESHET_OWED_TAKEN_OVER };

typedef struct world {
  freshet_store* store;
  freshet_clock clock;
  freshet_sweeps* sweeps;
  size_t seen[4]; /* by partition */
  char last[4][16];
  size_t done[FRESHET_OWED_REASONS][4];
  int refuses; /* the visit of this number, from 1 on */
} world;

static world* w;
static int64_t now_us;

static int64_t clock_us(freshet_clock* self) {
  (void)self;
  return now_us;
}

static freshet_status visit(void* context, freshet_owed_reason reason, int32_t partition,
                            freshet_slice user_id, freshet_slice row, freshet_error* error) {
  (void)reason;
  assert_ptr_equal(context, w);
  assert_true(freshet_slice_equal(row, freshet_slice_of("row")));
  now_us += ROW_US;
  if (w->refuses > 0 && --w->refuses == 0)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "refused");
  char id[16];
  snprintf(id, sizeof id, "%.*s", (int)user_id.size, user_id.data);
  assert_true(strcmp(id, w->last[partition]) > 0);
  memcpy(w->last[partition], id, sizeof id);
  w->seen[partition]++;
  return FRESHET_OK;
}

static void done(void* context, freshet_owed_reason reason, int32_t partition) {
  assert_ptr_equal(context, w);
  w->done[reason][partition]++;
}

static freshet_slice id_of(int user, char id[16]) {
  return (freshet_slice){id, (size_t)snprintf(id, 16, "user-%05d", user)};
}

static void put(int32_t partition, int user) {
  char id[16];
  freshet_store_put(w->store, FRESHET_FAMILY_USERS, partition, id_of(user, id), freshet_slice_of("row"));
}

static void start(void) {
  const freshet_slice window = {"\0dchunk", 7};
  w = calloc(1, sizeof *w);
  w->store = freshet_memory_store_create();
  w->clock.monotonic_us = clock_us;
  const freshet_ports ports = {.store = w->store, .clock = &w->clock};
  static freshet_ports kept;
  kept = ports;
  const freshet_sweeps_handler handler = {w, visit, done};
  w->sweeps = freshet_sweeps_create(&kept, MOST, &handler);
  for (int32_t partition = 1; partition <= 3; partition++) {
    freshet_store_put(w->store, FRESHET_FAMILY_USERS, partition, window, freshet_slice_of("no user"));
    for (int user = 0; user < USERS; user++) put(partition, user * 10);
  }
  assert_int_equal(freshet_store_write(w->store, NULL), FRESHET_OK);
}

static void stop(void) {
  freshet_sweeps_destroy(w->sweeps);
  freshet_store_destroy(w->store);
  free(w);
}

static void turn(unsigned reasons, int64_t slice_us) {
  assert_int_equal(freshet_sweeps_turn(w->sweeps, reasons, slice_us, NULL), FRESHET_OK);
}

static void each_user_is_seen_once_a_few_in_a_turn(void** state) {
  (void)state;
  start();
  assert_false(freshet_sweeps_are_due(w->sweeps, EVENTS | TAKING));
  freshet_sweeps_begin(w->sweeps, FRESHET_OWED_TAKEN_OVER, 2);
  assert_false(freshet_sweeps_are_due(w->sweeps, EVENTS));
  int turns = 0;
  for (; freshet_sweeps_are_due(w->sweeps, TAKING); turns++) {
    const size_t before = w->seen[2];
    assert_int_equal(w->done[FRESHET_OWED_TAKEN_OVER][2], 0);
    turn(TAKING, LONG_SLICE_US);
    assert_in_range(w->seen[2] - before, 0, MOST);
  }
  assert_int_equal(w->seen[2], USERS);
  assert_int_equal(w->seen[1] + w->seen[3], 0);
  assert_int_equal(w->done[FRESHET_OWED_TAKEN_OVER][2], 1);
  assert_int_equal(turns, (USERS + 1) / MOST + 1); /* with the chunk of the window */
  stop();
}

static void a_turn_ends_when_its_time_is_over(void** state) {
  (void)state;
  start();
  freshet_sweeps_begin(w->sweeps, FRESHET_OWED_EVENT, 1);
  while (freshet_sweeps_are_due(w->sweeps, EVENTS)) {
    const size_t before = w->seen[1];
    turn(EVENTS, 10 * ROW_US);
    assert_in_range(w->seen[1] - before, 0, 16);
  }
  assert_int_equal(w->seen[1], USERS);
  stop();
}

static void users_may_come_and_go_meanwhile(void** state) {
  (void)state;
  char id[16];
  start();
  freshet_sweeps_begin(w->sweeps, FRESHET_OWED_EVENT, 1);
  for (int i = 0; i < 3; i++) turn(EVENTS, LONG_SLICE_US);
  const int last = (int)w->seen[1] - 1;
  freshet_store_remove(w->store, FRESHET_FAMILY_USERS, 1, id_of(last * 10, id)); /* where it is to go on */
  freshet_store_remove(w->store, FRESHET_FAMILY_USERS, 1, id_of((last + 5) * 10, id));
  put(1, last * 10 + 1);
  put(1, 1); /* too early for this sweep */
  assert_int_equal(freshet_store_write(w->store, NULL), FRESHET_OK);
  while (freshet_sweeps_are_due(w->sweeps, EVENTS)) turn(EVENTS, LONG_SLICE_US);
  assert_int_equal(w->seen[1], USERS - 1 + 1);
  stop();
}

static void a_sweep_begins_again_waits_or_is_forgotten(void** state) {
  (void)state;
  start();
  freshet_sweeps_begin(w->sweeps, FRESHET_OWED_EVENT, 1);
  freshet_sweeps_begin(w->sweeps, FRESHET_OWED_TAKEN_OVER, 2);
  freshet_sweeps_begin(w->sweeps, FRESHET_OWED_EVENT, 3);
  turn(TAKING, LONG_SLICE_US); /* those of events wait */
  assert_int_equal(w->seen[1] + w->seen[3], 0);
  assert_true(w->seen[2] > 0);
  freshet_sweeps_begin(w->sweeps, FRESHET_OWED_TAKEN_OVER, 2);
  w->last[2][0] = '\0';
  w->seen[2] = 0;
  freshet_sweeps_forget(w->sweeps, 1);
  while (freshet_sweeps_are_due(w->sweeps, EVENTS | TAKING)) turn(EVENTS | TAKING, LONG_SLICE_US);
  assert_int_equal(w->seen[1], 0);
  assert_int_equal(w->seen[2], USERS);
  assert_int_equal(w->seen[3], USERS);
  assert_int_equal(w->done[FRESHET_OWED_EVENT][1], 0);
  assert_int_equal(w->done[FRESHET_OWED_TAKEN_OVER][2], 1);
  assert_int_equal(w->done[FRESHET_OWED_EVENT][3], 1);
  stop();
}

/* However often users are owed something once more, those at the end of the order get their turn. */
static void a_sweep_that_is_asked_for_again_and_again_comes_to_its_end(void** state) {
  (void)state;
  start();
  for (int turns = 0; turns < 1000 && w->seen[1] < USERS; turns++) {
    freshet_sweeps_repeat(w->sweeps, FRESHET_OWED_EVENT, 1);
    turn(EVENTS, LONG_SLICE_US);
  }
  assert_int_equal(w->seen[1], USERS);
  w->last[1][0] = '\0';
  while (freshet_sweeps_are_due(w->sweeps, EVENTS)) turn(EVENTS, LONG_SLICE_US);
  assert_int_equal(w->seen[1], 2 * USERS);
  assert_int_equal(w->done[FRESHET_OWED_EVENT][1], 1);
  stop();
}

static void a_refused_row_comes_again(void** state) {
  (void)state;
  freshet_error error = {0};
  start();
  freshet_sweeps_begin(w->sweeps, FRESHET_OWED_EVENT, 1);
  w->refuses = 8;
  assert_int_equal(freshet_sweeps_turn(w->sweeps, EVENTS, LONG_SLICE_US, &error), FRESHET_INVALID);
  assert_string_equal(error.message, "refused");
  assert_int_equal(w->seen[1], 7);
  while (freshet_sweeps_are_due(w->sweeps, EVENTS)) turn(EVENTS, LONG_SLICE_US);
  assert_int_equal(w->seen[1], USERS);
  stop();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_user_is_seen_once_a_few_in_a_turn),
      cmocka_unit_test(a_turn_ends_when_its_time_is_over),
      cmocka_unit_test(users_may_come_and_go_meanwhile),
      cmocka_unit_test(a_sweep_begins_again_waits_or_is_forgotten),
      cmocka_unit_test(a_sweep_that_is_asked_for_again_and_again_comes_to_its_end),
      cmocka_unit_test(a_refused_row_comes_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
