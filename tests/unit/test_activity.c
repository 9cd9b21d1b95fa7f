/*
 * test_activity.c: the line that tells what the service is doing follows from the metrics, phase by phase.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "service/activity.h"

static void expect(const freshet_worker_metrics* metrics, const char* expected) {
  char text[160];
  freshet_activity(metrics, text, sizeof text);
  assert_string_equal(text, expected);
}

static void test_every_phase_has_its_line(void** state) {
  (void)state;
  freshet_worker_metrics metrics = {0};
  expect(&metrics, "opening the state folder");
  freshet_gauge(&metrics.phase, FRESHET_PHASE_CONNECTING);
  expect(&metrics, "waiting for the brokers and the topics");
  freshet_gauge(&metrics.phase, FRESHET_PHASE_LOADING);
  expect(&metrics, "loading the item tables");
  freshet_gauge(&metrics.phase, FRESHET_PHASE_RUNNING);
  expect(&metrics, "waiting for partitions");
  freshet_gauge(&metrics.phase, FRESHET_PHASE_STOPPING);
  expect(&metrics, "stopping");
}

static void test_a_restore_tells_its_partition_and_progress(void** state) {
  (void)state;
  freshet_worker_metrics metrics = {0};
  freshet_gauge(&metrics.phase, FRESHET_PHASE_RUNNING);
  freshet_gauge(&metrics.ready, 1); /* of partitions that are held already */
  freshet_gauge(&metrics.restoring, 1);
  freshet_gauge(&metrics.restoring_first, 3);
  freshet_gauge(&metrics.restored_ppm, 419999);
  expect(&metrics, "restoring partition 3: 41 %");
  freshet_gauge(&metrics.restoring, 2);
  freshet_gauge(&metrics.restored_ppm, 1000000);
  expect(&metrics, "restoring 2 partitions, from 3 on: 100 %");
}

static void test_a_running_service_tells_how_far_behind_it_is(void** state) {
  (void)state;
  freshet_worker_metrics metrics = {0};
  freshet_gauge(&metrics.phase, FRESHET_PHASE_RUNNING);
  freshet_gauge(&metrics.ready, 1);
  freshet_gauge(&metrics.partitions, 1);
  expect(&metrics, "serving 1 partition, 0 events behind");
  freshet_gauge(&metrics.partitions, 4);
  freshet_gauge(&metrics.lag, 1);
  expect(&metrics, "serving 4 partitions, 1 event behind");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_phase_has_its_line),
      cmocka_unit_test(test_a_restore_tells_its_partition_and_progress),
      cmocka_unit_test(test_a_running_service_tells_how_far_behind_it_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
