/* How hard a generation works that serves nobody: what is decided, without a processor to share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/pace.h"

enum { S = 1000000, FAR = 50000 };

/* Right after an assignment nobody knows how much there is; being near has to last. */
static void caught_up_is_who_has_been_near_for_a_while(void** state) {
  (void)state;
  freshet_pace pace = {0};
  assert_int_equal(freshet_pace_look(&pace, 1 * S, 0, 0, 0, FAR),
                   FRESHET_PACE_BETWEEN); /* holds nothing yet */
  assert_int_equal(freshet_pace_look(&pace, 9 * S, 0, 4, 0, FAR), FRESHET_PACE_BETWEEN);
  assert_int_equal(freshet_pace_look(&pace, 10 * S, FAR + 1, 4, 0, FAR), FRESHET_PACE_BEHIND);
  assert_int_equal(freshet_pace_look(&pace, 20 * S, 1023, 4, 0, FAR), FRESHET_PACE_BETWEEN);
  assert_int_equal(freshet_pace_look(&pace, 21 * S, 1024, 4, 0, FAR), FRESHET_PACE_BETWEEN); /* begins anew */
  assert_int_equal(freshet_pace_look(&pace, 22 * S, 10, 4, 0, FAR), FRESHET_PACE_BETWEEN);
  assert_int_equal(freshet_pace_look(&pace, 24 * S, 10, 4, 0, FAR), FRESHET_PACE_BETWEEN);
  assert_int_equal(freshet_pace_look(&pace, 24 * S + 1, 10, 4, 0, FAR), FRESHET_PACE_CAUGHT_UP);
  assert_int_equal(freshet_pace_look(&pace, 25 * S, 2000, 4, 0, FAR), FRESHET_PACE_BETWEEN); /* a hiccup */
}

static void who_serves_is_never_slowed_down(void** state) {
  (void)state;
  freshet_pace pace = {0};
  assert_int_equal(freshet_pace_look(&pace, S, 10 * FAR, 4, 1, FAR), FRESHET_PACE_CAUGHT_UP);
}

/* It never gets stuck at either end, and stays where it gets its share. */
static void it_is_as_nice_as_it_can_be_without_starving(void** state) {
  (void)state;
  int nice = 19;
  assert_true(freshet_pace_next_nice(nice, .02) < nice);
  for (int i = 0; i < 20; i++) nice = freshet_pace_next_nice(nice, .02);
  assert_true(nice > 0 && nice == freshet_pace_next_nice(nice, 0));
  assert_int_equal(freshet_pace_next_nice(nice, .2), nice);
  for (int i = 0; i < 20; i++) nice = freshet_pace_next_nice(nice, .9);
  assert_int_equal(nice, 19);
}

static void a_rate_counts_from_the_last_turn(void** state) {
  (void)state;
  const freshet_pace pace = {.since_us = 10 * S, .learned = 5000};
  assert_int_equal(freshet_pace_early_us(&pace, 10 * S, 1000, 5500), S / 2);
  assert_int_equal(freshet_pace_early_us(&pace, 11 * S, 1000, 5500), -S / 2);
  assert_int_equal(freshet_pace_early_us(&pace, 10 * S, 1000, 5000), 0);
}

/* Of this thread, in us: sched_runtime of sched_getattr(2), which begins at byte 24 of its answer. */
static void* slice_us_of(void* out) {
  uint64_t words[6] = {0};
  assert_int_equal(syscall(SYS_sched_getattr, 0, words, sizeof words, 0), 0);
  *(uint64_t*)out = words[3] / 1000;
  return NULL;
}

static bool has_slices(void) {
  struct utsname kernel;
  int major = 0, minor = 0;
  assert_int_equal(uname(&kernel), 0);
  assert_int_equal(sscanf(kernel.release, "%d.%d", &major, &minor), 2);
  return major > 6 || (major == 6 && minor >= 12);
}

static void threads_of_a_process_that_serves_have_short_slices(void** state) {
  (void)state;
  if (!has_slices()) skip();
  const freshet_config config = {.app.generation = ""};
  freshet_pace pace = {0};
  pthread_t thread;
  uint64_t usual_us, own_us, thread_us;
  slice_us_of(&usual_us);
  freshet_pace_start(&pace, &config, NULL);
  slice_us_of(&own_us);
  assert_int_equal(pthread_create(&thread, NULL, slice_us_of, &thread_us), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_true(own_us < usual_us);
  assert_int_equal(thread_us, own_us);
}

/* One that yields leaves the core to others, and gets short slices when it serves. */
static void a_process_that_yields_has_usual_slices(void** state) {
  (void)state;
  if (!has_slices()) skip();
  freshet_config config = {.app.generation = ""};
  freshet_pace pace = {0};
  uint64_t serving_us, yielding_us, caught_up_us;
  const freshet_worker_progress progress = {.lag = 0, .partitions = 4, .serving = 4};
  freshet_pace_start(&pace, &config, NULL);
  slice_us_of(&serving_us);
  config.app.generation = "next";
  config.backfill.yield = true;
  freshet_pace_start(&pace, &config, NULL);
  slice_us_of(&yielding_us);
  freshet_pace_turn(&pace, &config, NULL, &progress, FAR, NULL, NULL);
  slice_us_of(&caught_up_us);
  assert_true(yielding_us > serving_us);
  assert_int_equal(caught_up_us, serving_us);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads_of_a_process_that_serves_have_short_slices),
      cmocka_unit_test(a_process_that_yields_has_usual_slices),
      cmocka_unit_test(caught_up_is_who_has_been_near_for_a_while),
      cmocka_unit_test(who_serves_is_never_slowed_down),
      cmocka_unit_test(it_is_as_nice_as_it_can_be_without_starving),
      cmocka_unit_test(a_rate_counts_from_the_last_turn),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
