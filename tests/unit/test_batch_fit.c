/* test_batch_fit.c: how many records a turn reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/batch.h"

/* cost_us: of a record and its list. Returns the size after so many full turns. */
static size_t after(size_t most, int turns, int64_t cost_us) {
  for (int i = 0; i < turns; i++) most = freshet_batch_fit(most, most, (int64_t)most * cost_us, false);
  return most;
}

static void costly_records_come_in_small_batches(void** state) {
  (void)state;
  assert_int_equal(after(FRESHET_BATCH_MOST, 10, 7), FRESHET_BATCH_MOST);
  assert_int_equal(after(FRESHET_BATCH_MOST, 10, 100), 64);
  assert_int_equal(after(FRESHET_BATCH_MOST, 20, 10000), FRESHET_BATCH_LEAST);
}

static void cheap_records_come_in_large_batches_again(void** state) {
  (void)state;
  assert_int_equal(after(FRESHET_BATCH_LEAST, 10, 4), FRESHET_BATCH_MOST);
  assert_int_equal(freshet_batch_fit(64, 63, 0, false), 64); /* there were no more */
  assert_int_equal(after(FRESHET_BATCH_LEAST, 20, 60), after(FRESHET_BATCH_LEAST, 21, 60)); /* no swinging */
}

/* Lists that have waited for long need the time of the records. */
static void urgent_lists_leave_time_for_few_records(void** state) {
  (void)state;
  assert_int_equal(freshet_batch_fit(1024, 1024, 0, true), 512);
  assert_int_equal(freshet_batch_fit(FRESHET_BATCH_LEAST, FRESHET_BATCH_LEAST, 0, true), FRESHET_BATCH_LEAST);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(costly_records_come_in_small_batches),
      cmocka_unit_test(urgent_lists_leave_time_for_few_records),
      cmocka_unit_test(cheap_records_come_in_large_batches_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
