/* Event ids that come again with another item are told apart from true duplicates, and are reported now and then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <string.h>

#include "worker/conflicting_ids.h"

static size_t lines;
static int64_t passed_us;

static void note_line(void* context, freshet_log_level level, const char* event, const char* fields) {
  (void)context;
  assert_int_equal(level, FRESHET_WARN);
  assert_string_equal(event, "events.conflicting");
  assert_non_null(strstr(fields, "topic=events"));
  lines++;
}

static int64_t clock_us(freshet_clock* clock) {
  (void)clock;
  return passed_us;
}

static const char* topic_name(freshet_sink* self, freshet_topic topic) {
  (void)self, (void)topic;
  return "events";
}

static freshet_event event_of(const char* user, const char* item) {
  return (freshet_event){.user_id = freshet_slice_of(user), .item_id = freshet_slice_of(item)};
}

static void lines_of_an_order_are_no_duplicates(void** state) {
  (void)state;
  static const freshet_sink_vtable vtable = {.topic_name = topic_name};
  freshet_sink sink = {.vtable = &vtable};
  freshet_clock clock = {.monotonic_us = clock_us};
  freshet_logger logger = {.write = note_line};
  freshet_worker_metrics metrics = {0};
  const freshet_ports ports = {.clock = &clock,
                               .logger = &logger,
                               .metrics = &metrics,
                               .outbox = freshet_outbox_create(&sink, FRESHET_DELIVERY_FAST)};
  static freshet_conflicting_ids ids;
  ids.ports = &ports;
  const uint64_t order = freshet_id_key(freshet_slice_of("order-1"));
  const freshet_event first = event_of("u", "mug"), second = event_of("u", "lamp"),
                      other = event_of("v", "mug");
  freshet_conflicting_ids_skipped(&ids, order, &second); /* what was learned is not known */
  freshet_conflicting_ids_learned(&ids, order, &first);
  freshet_conflicting_ids_skipped(&ids, order, &first); /* sent twice */
  freshet_conflicting_ids_turn(&ids);
  assert_int_equal(freshet_metric(&metrics.events_conflicting), 0);
  assert_int_equal(lines, 0);
  freshet_conflicting_ids_skipped(&ids, order, &second);
  freshet_conflicting_ids_skipped(&ids, order, &other);
  freshet_conflicting_ids_turn(&ids);
  assert_int_equal(freshet_metric(&metrics.events_conflicting), 2);
  assert_int_equal(lines, 1);
  freshet_conflicting_ids_skipped(&ids, order, &second);
  freshet_conflicting_ids_turn(&ids); /* too soon */
  assert_int_equal(lines, 1);
  passed_us += 31000000;
  freshet_conflicting_ids_turn(&ids);
  freshet_conflicting_ids_turn(&ids); /* nothing new */
  assert_int_equal(lines, 2);
  freshet_outbox_destroy(ports.outbox);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(lines_of_an_order_are_no_duplicates)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
