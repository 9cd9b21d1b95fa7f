/*
 * test_item_logs.c: how many records are applied between two looks at the clock: a few, and of large deltas one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "catalogue/item_logs.h"

enum { RECORDS = 30, FEW = 8, LARGE = 1000000, SMALL = 200 };

typedef struct world {
  freshet_reader reader;
  freshet_topic topics[RECORDS];
  size_t sizes[RECORDS];
  size_t there, read, applied;
} world;

static world* w;

static freshet_status poll_log(freshet_reader* self, int timeout_ms, freshet_record* out, size_t capacity,
                               size_t* count, freshet_error* error) {
  static const char bytes[LARGE];
  (void)self, (void)timeout_ms, (void)error;
  for (*count = 0; *count < capacity && w->read < w->there; w->read++) {
    out[(*count)++] = (freshet_record){.topic = w->topics[w->read],
                                       .offset = (int64_t)w->read,
                                       .has_value = true,
                                       .value = {bytes, w->sizes[w->read]}};
  }
  return FRESHET_OK;
}

static freshet_status apply(void* context, const freshet_record* record, freshet_error* error) {
  (void)error;
  assert_ptr_equal(context, w);
  assert_int_equal(record->offset, w->applied); /* none is left out */
  w->applied++;
  return FRESHET_OK;
}

static void publish(freshet_topic topic, size_t size, size_t count) {
  for (size_t i = 0; i < count; i++, w->there++) {
    assert_true(w->there < RECORDS);
    w->topics[w->there] = topic;
    w->sizes[w->there] = size;
  }
}

/* Returns how many records one poll has applied. */
static size_t poll(freshet_item_logs* logs, bool* is_all) {
  const size_t before = w->applied;
  assert_int_equal(freshet_item_logs_poll(logs, 0, is_all, NULL), FRESHET_OK);
  return w->applied - before;
}

static void large_deltas_come_one_by_one(void** state) {
  static const freshet_reader_vtable vtable = {.poll = poll_log};
  (void)state;
  world made = {.reader = {&vtable}};
  const freshet_ports ports = {.reader = &made.reader};
  w = &made;
  freshet_item_logs* logs = freshet_item_logs_create(&ports, apply, w);
  bool is_all;
  publish(FRESHET_TOPIC_ITEMS, SMALL, FEW);
  assert_int_equal(poll(logs, &is_all), FEW);
  assert_false(is_all);
  publish(FRESHET_TOPIC_ITEM_DELTAS, LARGE, 1);
  assert_int_equal(poll(logs, &is_all), 1);
  assert_true(is_all);
  publish(FRESHET_TOPIC_ITEM_DELTAS, LARGE, 3);
  publish(FRESHET_TOPIC_ITEMS, LARGE, 2); /* says nothing about deltas */
  publish(FRESHET_TOPIC_ITEM_DELTAS, SMALL, 1);
  for (int i = 0; i < 6; i++) {
    assert_int_equal(poll(logs, &is_all), 1);
    assert_false(is_all);
  }
  publish(FRESHET_TOPIC_ITEM_DELTAS, SMALL, FEW + 1);
  assert_int_equal(poll(logs, &is_all), FEW);
  assert_int_equal(poll(logs, &is_all), 1);
  assert_true(is_all);
  assert_int_equal(poll(logs, &is_all), 0);
  assert_true(is_all);
  freshet_item_logs_destroy(logs);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(large_deltas_come_one_by_one)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
