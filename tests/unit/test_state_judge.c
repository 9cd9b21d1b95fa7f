/*
 * test_state_judge.c: what follows from an error that came while a record of a state topic was applied: is the record to
 * blame, or the machine?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stream/state_skipped.h"

static const freshet_record of_topic = {.topic = FRESHET_TOPIC_ITEM_DELTAS, .partition = 0, .offset = 7};

/* The error that a record leads to, from `status` and what it says. */
static freshet_error judge(bool is_sealed, freshet_status status, freshet_verdict verdict) {
  freshet_error cause = {0}, error = {0};
  freshet_record record = of_topic;
  record.is_sealed = is_sealed;
  freshet_error_set(&cause, status, verdict, "the cause");
  const freshet_status judged =
      freshet_state_judge(NULL, NULL, "shop.item-deltas", &record, status, &cause, &error);
  assert_int_equal(judged, error.status);
  return error;
}

static void a_record_that_cannot_be_read_is_named(void** state) {
  (void)state;
  const freshet_error error = judge(true, FRESHET_INVALID, FRESHET_STOP);
  assert_int_equal(error.status, FRESHET_INVALID);
  assert_non_null(strstr(error.message, "shop.item-deltas [0] at offset 7: the cause"));
  assert_non_null(strstr(error.message, "freshet repair"));
  assert_int_equal(judge(false, FRESHET_INVALID, FRESHET_STOP).status, FRESHET_OK);
  assert_int_equal(judge(false, FRESHET_UNAVAILABLE, FRESHET_RETRY).status, FRESHET_OK); /* no schema */
}

/* `freshet repair` would find nothing, and a record without a seal would be passed over for ever. */
static void a_failing_store_is_not_the_record_s_fault(void** state) {
  (void)state;
  static const freshet_status failing[] = {FRESHET_DAMAGED, FRESHET_IO, FRESHET_NO_MEMORY};
  for (size_t i = 0; i < sizeof failing / sizeof *failing; i++) {
    for (int is_sealed = 0; is_sealed < 2; is_sealed++) {
      const freshet_error error = judge(is_sealed == 1, failing[i], FRESHET_STOP);
      assert_int_equal(error.status, failing[i]);
      assert_string_equal(error.message, "the cause");
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_record_that_cannot_be_read_is_named),
      cmocka_unit_test(a_failing_store_is_not_the_record_s_fault),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
