/* The helper: each job once, on another thread, with the memory of both in order; a wait that ends early says so. Runs
 * under TSan too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>

#include "stream/helper.h"

typedef struct work {
  sem_t gate;
  bool waits; /* at the gate */
  int runs;   /* the job's until await has said so: a race if the helper does not order memory */
  pthread_t thread;
} work;

static void job(void* context) {
  work* w = context;
  if (w->waits) sem_wait(&w->gate);
  w->runs++;
  w->thread = pthread_self();
}

static work make_work(bool waits) {
  work w = {.waits = waits};
  assert_int_equal(sem_init(&w.gate, 0, 0), 0);
  return w;
}

static void test_each_job_once_beside_the_caller(void** state) {
  (void)state;
  freshet_helper* helper = freshet_helper_create("test");
  assert_non_null(helper);
  work w = make_work(false);
  assert_true(freshet_helper_await(helper, 0)); /* none has started */
  for (int i = 0; i < 2000; i++) {
    freshet_helper_start(helper, job, &w);
    assert_true(freshet_helper_await(helper, -1));
    assert_int_equal(w.runs, i + 1);
  }
  assert_false(pthread_equal(w.thread, pthread_self()));
  assert_true(freshet_helper_await(helper, 1000));
  freshet_helper_destroy(helper);
}

static void test_a_job_goes_on_while_the_caller_does(void** state) {
  (void)state;
  freshet_helper* helper = freshet_helper_create("test");
  work w = make_work(true);
  freshet_helper_start(helper, job, &w);
  assert_false(freshet_helper_await(helper, 0));
  assert_false(freshet_helper_await(helper, 5));
  sem_post(&w.gate);
  assert_true(freshet_helper_await(helper, -1));
  assert_int_equal(w.runs, 1);
  freshet_helper_destroy(helper);
}

static void test_destroy_waits_for_the_job(void** state) {
  (void)state;
  freshet_helper* helper = freshet_helper_create("test");
  work w = make_work(true);
  freshet_helper_start(helper, job, &w);
  sem_post(&w.gate);
  freshet_helper_destroy(helper);
  assert_int_equal(w.runs, 1);
  freshet_helper_destroy(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_job_once_beside_the_caller),
      cmocka_unit_test(test_a_job_goes_on_while_the_caller_does),
      cmocka_unit_test(test_destroy_waits_for_the_job),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
