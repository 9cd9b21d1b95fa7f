/* Fork and join: each task once, no thread number twice at a time, and nothing goes on after run has
 * returned. Runs under TSan too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdatomic.h>

#include "lists/pool.h"

enum { TASKS = 500, THREADS_MAX = 8 };

typedef struct work {
  unsigned runs[TASKS];            /* each written by the one task it belongs to: a race if not */
  unsigned by_thread[THREADS_MAX]; /* the same, by thread */
  _Atomic int inside[THREADS_MAX];
  _Atomic int clashes;
  unsigned threads;
} work;

static void count_task(void* context, size_t i, unsigned thread) {
  work* w = context;
  if (thread >= w->threads || atomic_fetch_add(&w->inside[thread], 1) != 0) atomic_fetch_add(&w->clashes, 1);
  w->runs[i]++;
  w->by_thread[thread]++;
  atomic_fetch_sub(&w->inside[thread], 1);
}

static void check_runs(unsigned threads) {
  freshet_pool* pool = freshet_pool_create(threads);
  assert_non_null(pool);
  assert_int_equal(freshet_pool_threads(pool), threads);
  work w = {.threads = threads};
  for (size_t round = 0; round < 400; round++) {
    size_t count = round * 7 % TASKS;
    memset(w.runs, 0, sizeof w.runs);
    memset(w.by_thread, 0, sizeof w.by_thread);
    const unsigned used = round % 3 == 0 ? 1 + (unsigned)round % threads : threads;
    freshet_pool_run(pool, used, count_task, &w, count);
    unsigned sum = 0;
    for (size_t i = 0; i < TASKS; i++) assert_int_equal(w.runs[i], i < count);
    for (unsigned t = 0; t < threads; t++) sum += w.by_thread[t];
    for (unsigned t = used; t < threads; t++) assert_int_equal(w.by_thread[t], 0);
    assert_int_equal(sum, count);
  }
  assert_int_equal(w.clashes, 0);
  freshet_pool_destroy(pool);
}

static void test_each_task_once(void** state) {
  (void)state;
  for (unsigned threads = 1; threads <= THREADS_MAX; threads++) check_runs(threads);
}

static void test_one_thread_is_the_caller(void** state) {
  (void)state;
  check_runs(1);
}

/* Threads that have never been given anything end as well. */
static void test_destroy_without_work(void** state) {
  (void)state;
  for (int i = 0; i < 50; i++) freshet_pool_destroy(freshet_pool_create(THREADS_MAX));
  freshet_pool_destroy(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_task_once),
      cmocka_unit_test(test_one_thread_is_the_caller),
      cmocka_unit_test(test_destroy_without_work),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
