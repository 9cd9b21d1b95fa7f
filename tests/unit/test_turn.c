/* test_turn.c: the stop watch of the loop: what counts as part of a turn, and what is logged of slow ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/turn.h"

typedef struct world {
  freshet_clock clock; /* first: its functions find the world by it */
  int64_t now_us;
  freshet_thread_use use;
  freshet_worker_metrics metrics;
  freshet_logger logger;
  char line[1024]; /* the last one */
  int lines;
  char long_line[1024];
  int long_lines;
  freshet_ports ports;
  freshet_turn turn;
} world;

static int64_t clock_us(freshet_clock* self) {
  return ((world*)self)->now_us;
}
static freshet_thread_use clock_use(freshet_clock* self) {
  return ((world*)self)->use;
}

static void keep_line(void* context, freshet_log_level level, const char* event, const char* fields) {
  world* w = context;
  if (strcmp(event, "turn.long") == 0) {
    assert_int_equal(level, FRESHET_DEBUG);
    snprintf(w->long_line, sizeof w->long_line, "%s", fields);
    w->long_lines++;
    return;
  }
  assert_int_equal(level, FRESHET_INFO);
  assert_string_equal(event, "turn.slow");
  snprintf(w->line, sizeof w->line, "%s", fields);
  w->lines++;
}

static int set_up(void** state) {
  world* w = calloc(1, sizeof *w);
  w->clock = (freshet_clock){.monotonic_us = clock_us, .use = clock_use};
  w->now_us = 5000000;
  w->logger = (freshet_logger){keep_line, w};
  w->ports = (freshet_ports){.clock = &w->clock, .logger = &w->logger, .metrics = &w->metrics};
  w->turn = (freshet_turn){.ports = &w->ports};
  *state = w;
  return 0;
}

static int tear_down(void** state) {
  free(*state);
  return 0;
}

/* A turn that waits 3 ms of at most 10, applies events for events_us and ranks for lists_us. */
static void take_turn(world* w, int64_t events_us, int64_t lists_us) {
  freshet_turn_begin(&w->turn);
  w->now_us += 3000;
  freshet_turn_waited(&w->turn, FRESHET_TURN_POLL, 10000);
  w->now_us += events_us;
  w->use.cpu_us += events_us / 2;
  w->use.switches += 3;
  freshet_turn_lap(&w->turn, FRESHET_TURN_EVENTS);
  w->now_us += lists_us;
  w->use.cpu_us += lists_us;
  freshet_turn_lap(&w->turn, FRESHET_TURN_LISTS);
  freshet_turn_end(&w->turn, 7);
}

static uint64_t turns(const world* w) {
  uint64_t count = 0;
  for (int i = 0; i < FRESHET_HISTOGRAM_BUCKETS; i++) count += freshet_metric(&w->metrics.turn.counts[i]);
  return count;
}

static void waiting_is_no_part_of_a_turn(void** state) {
  world* w = *state;
  take_turn(w, 2000, 1000);
  assert_int_equal(turns(w), 1);
  assert_int_equal(freshet_metric(&w->metrics.turn.sum_us), 3000);
  freshet_turn_begin(&w->turn);
  w->now_us += 12000; /* a poll that may wait for 5 ms: partitions came */
  freshet_turn_waited(&w->turn, FRESHET_TURN_POLL, 5000);
  freshet_turn_end(&w->turn, 0);
  assert_int_equal(freshet_metric(&w->metrics.turn.sum_us), 3000 + 7000);
  assert_int_equal(w->lines, 0);
}

static void a_slow_turn_says_with_what(void** state) {
  world* w = *state;
  take_turn(w, 30000, 10000);
  assert_int_equal(w->lines, 1);
  assert_string_equal(
      w->line,
      "ms=40.0 doing=\"events 30.0, lists 10.0\" cpu_ms=25.0 faults=0 switches=3 events=7 lists=0 "
      "ago_ms=0 slow_turns=1");
  take_turn(w, 1000000, 0);
  assert_non_null(strstr(w->line, "doing=\"events 1000.0\" "));
}

/* One line a second at most: of the slowest turn, with the number of the others. None is lost at the end. */
static void logs_the_slowest_turn_of_a_second(void** state) {
  world* w = *state;
  take_turn(w, 25000, 0);
  assert_int_equal(w->lines, 1);
  take_turn(w, 30000, 0);
  take_turn(w, 50000, 0);
  take_turn(w, 22000, 0);
  assert_int_equal(w->lines, 1);
  w->now_us += 2000000;
  take_turn(w, 100, 0); /* not slow itself */
  assert_int_equal(w->lines, 2);
  assert_non_null(strstr(w->line, "ms=50.0 "));
  assert_non_null(strstr(w->line, "ago_ms=2028 slow_turns=3"));
  take_turn(w, 21000, 0);
  assert_int_equal(w->lines, 2);
  freshet_turn_flush(&w->turn);
  assert_int_equal(w->lines, 3);
  freshet_turn_flush(&w->turn);
  assert_int_equal(w->lines, 3);
}

/* Every one, also where the loop only waited for a core. */
static void a_long_turn_says_what_it_computed(void** state) {
  world* w = *state;
  take_turn(w, 4000, 900);
  assert_int_equal(w->long_lines, 0);
  take_turn(w, 4000, 1200);
  take_turn(w, 8000, 900);
  assert_int_equal(w->long_lines, 2);
  assert_int_equal(w->lines, 0);
  assert_string_equal(w->long_line,
                      "ms=8.9 doing=\"events 8.0, lists 0.9\" cpu_ms=4.9 computing=\"events 4.0\" faults=0 "
                      "switches=3 events=7 lists=0");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(waiting_is_no_part_of_a_turn, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_slow_turn_says_with_what, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_long_turn_says_what_it_computed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(logs_the_slowest_turn_of_a_second, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
