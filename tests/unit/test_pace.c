/* How hard a generation works that serves nobody: what is decided, without a processor to share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
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
  int nice = 18;
  assert_true(freshet_pace_next_nice(nice, .02) < nice);
  for (int i = 0; i < 20; i++) nice = freshet_pace_next_nice(nice, .02);
  assert_true(nice > 0 && nice == freshet_pace_next_nice(nice, 0));
  assert_int_equal(freshet_pace_next_nice(nice, .2), nice);
  for (int i = 0; i < 20; i++) nice = freshet_pace_next_nice(nice, .9);
  assert_int_equal(nice, 18);
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
  freshet_pace_stop(&pace);
  slice_us_of(&own_us);
  assert_int_equal(own_us, usual_us);
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
  freshet_pace_stop(&pace);
  pace = (freshet_pace){0};
  config.app.generation = "next";
  config.backfill.yield = true;
  freshet_pace_start(&pace, &config, NULL);
  slice_us_of(&yielding_us);
  freshet_pace_turn(&pace, &config, NULL, &progress, FAR, NULL, NULL);
  slice_us_of(&caught_up_us);
  assert_true(yielding_us > serving_us);
  assert_int_equal(caught_up_us, serving_us);
  freshet_pace_stop(&pace);
}

/* ---- what the operator has chosen ---- */

/* Of sched_getattr(2): size, policy, flags, nice, priority, runtime, deadline, period. */
typedef struct share {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime_ns, deadline_ns, period_ns;
} share;

typedef struct course {
  share started, yielding, caught_up, stopped;
} course;

static share own_share(void) {
  share s = {0};
  assert_int_equal(syscall(SYS_sched_getattr, 0, &s, sizeof s, 0), 0);
  return s;
}

static void* yield_and_catch_up(void* out) {
  course* c = out;
  const freshet_config config = {.app.generation = "next", .backfill.yield = true};
  const freshet_worker_progress progress = {.lag = 0, .partitions = 4, .serving = 4};
  freshet_pace pace = {0};
  c->started = own_share();
  freshet_pace_start(&pace, &config, NULL);
  c->yielding = own_share();
  freshet_pace_turn(&pace, &config, NULL, &progress, FAR, NULL, NULL);
  c->caught_up = own_share();
  freshet_pace_stop(&pace);
  c->stopped = own_share();
  return NULL;
}

/* A process that the operator has started so: in a child, as there may be no way back. False: it must not be started so. */
static bool course_of(share start, course* c) {
  int ends[2], code;
  assert_int_equal(pipe(ends), 0);
  start.size = sizeof start;
  const pid_t child = fork();
  if (child == 0) {
    if (syscall(SYS_sched_setattr, 0, &start, 0) != 0) _exit(1);
    yield_and_catch_up(c);
    _exit(write(ends[1], c, sizeof *c) == (ssize_t)sizeof *c ? 0 : 2);
  }
  assert_true(child > 0);
  assert_int_equal(waitpid(child, &code, 0), child);
  assert_true(WIFEXITED(code) && WEXITSTATUS(code) < 2);
  const bool is_done = WEXITSTATUS(code) == 0;
  if (is_done) assert_int_equal(read(ends[0], c, sizeof *c), sizeof *c);
  close(ends[0]);
  close(ends[1]);
  return is_done;
}

static void assert_as_started(const course* c, const share* found) {
  assert_int_equal(found->policy, c->started.policy);
  assert_int_equal(found->flags, c->started.flags);
  assert_int_equal(found->nice, c->started.nice);
  assert_int_equal(found->priority, c->started.priority);
}

/* Idle leaves more to others than yielding does. Who asks for a real-time policy wants the core. */
static void a_policy_of_the_operator_stays(void** state) {
  (void)state;
  const share chosen[] = {{.policy = SCHED_IDLE},
                          {.policy = SCHED_FIFO, .priority = 5},
                          {.policy = SCHED_RR, .priority = 5},
                          {.policy = 6 /* SCHED_DEADLINE */,
                           .flags = 1 /* its threads have the usual policy */,
                           .runtime_ns = 5000000,
                           .deadline_ns = 20000000,
                           .period_ns = 20000000}};
  for (size_t i = 0; i < sizeof chosen / sizeof chosen[0]; i++) {
    course c;
    if (!course_of(chosen[i], &c)) continue;
    assert_int_equal(c.started.policy, chosen[i].policy);
    assert_as_started(&c, &c.yielding);
    assert_as_started(&c, &c.caught_up);
    assert_as_started(&c, &c.stopped);
    assert_int_equal(c.stopped.runtime_ns, c.started.runtime_ns);
  }
}

static void a_process_comes_back_to_the_nice_value_of_the_operator(void** state) {
  (void)state;
  const share chosen[] = {{.policy = SCHED_OTHER, .nice = 7},
                          {.policy = SCHED_BATCH, .nice = 3},
                          {.policy = SCHED_OTHER, .flags = 1, .nice = 2},
                          {.policy = SCHED_OTHER, .nice = 19}};
  for (size_t i = 0; i < sizeof chosen / sizeof chosen[0]; i++) {
    course c;
    if (!course_of(chosen[i], &c)) continue;
    assert_int_equal(c.yielding.policy, SCHED_BATCH);
    assert_true(c.yielding.nice >= chosen[i].nice);
    assert_as_started(&c, &c.caught_up);
    assert_as_started(&c, &c.stopped);
  }
}

static void a_slice_of_the_operator_stays(void** state) {
  (void)state;
  course c;
  if (!has_slices()) skip();
  assert_true(course_of((share){.policy = SCHED_OTHER, .runtime_ns = 5000000}, &c));
  assert_int_equal(c.yielding.runtime_ns, 5000000);
  assert_int_equal(c.caught_up.runtime_ns, 5000000);
  assert_int_equal(c.stopped.runtime_ns, 5000000);
}

typedef struct modest {
  pthread_barrier_t start, end;
  share at_end;
} modest;

/* As the thread of HTTP does. */
static void* ask_for_less(void* context) {
  modest* m = context;
  setpriority(PRIO_PROCESS, 0, 5);
  pthread_barrier_wait(&m->start);
  pthread_barrier_wait(&m->end);
  m->at_end = own_share();
  return NULL;
}

static void a_thread_that_asks_for_less_keeps_that(void** state) {
  (void)state;
  pthread_t thread;
  modest m;
  course c;
  pthread_barrier_init(&m.start, NULL, 2);
  pthread_barrier_init(&m.end, NULL, 2);
  assert_int_equal(pthread_create(&thread, NULL, ask_for_less, &m), 0);
  pthread_barrier_wait(&m.start);
  yield_and_catch_up(&c);
  pthread_barrier_wait(&m.end);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(m.at_end.nice, 5);
  pthread_barrier_destroy(&m.start);
  pthread_barrier_destroy(&m.end);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads_of_a_process_that_serves_have_short_slices),
      cmocka_unit_test(a_process_that_yields_has_usual_slices),
      cmocka_unit_test(a_policy_of_the_operator_stays),
      cmocka_unit_test(a_process_comes_back_to_the_nice_value_of_the_operator),
      cmocka_unit_test(a_slice_of_the_operator_stays),
      cmocka_unit_test(a_thread_that_asks_for_less_keeps_that),
      cmocka_unit_test(caught_up_is_who_has_been_near_for_a_while),
      cmocka_unit_test(who_serves_is_never_slowed_down),
      cmocka_unit_test(it_is_as_nice_as_it_can_be_without_starving),
      cmocka_unit_test(a_rate_counts_from_the_last_turn),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
