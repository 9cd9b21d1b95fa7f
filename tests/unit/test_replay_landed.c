/* What a killed replay had published is found once for each time that it is there, and never confused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "commands/replay/replay_landed.h"

enum { PARTITIONS = 2, RECORDS_MAX = 64 };

/* A topic in memory, behind the interface of a log. */
typedef struct memory_log {
  freshet_reader base;
  const char* values[PARTITIONS][RECORDS_MAX]; /* the key is the value's first letter */
  int64_t first[PARTITIONS], ends[PARTITIONS], positions[PARTITIONS];
} memory_log;

static freshet_status partitions(freshet_reader* self, freshet_topic topic, int32_t* count,
                                 freshet_error* error) {
  (void)self, (void)topic, (void)error;
  *count = PARTITIONS;
  return FRESHET_OK;
}

static freshet_status range(freshet_reader* self, freshet_topic topic, int32_t p, int64_t* first,
                            int64_t* end, freshet_error* error) {
  (void)topic, (void)error;
  *first = ((memory_log*)self)->first[p];
  *end = ((memory_log*)self)->ends[p];
  return FRESHET_OK;
}

static freshet_status open_partition(freshet_reader* self, freshet_topic topic, int32_t p, int64_t offset,
                                     freshet_error* error) {
  (void)topic, (void)error;
  ((memory_log*)self)->positions[p] = offset;
  return FRESHET_OK;
}

static freshet_status shut(freshet_reader* self, freshet_topic topic, int32_t p, freshet_error* error) {
  (void)self, (void)topic, (void)p, (void)error;
  return FRESHET_OK;
}

static freshet_status poll_one(freshet_reader* self, int timeout_ms, freshet_record* out, size_t capacity,
                               size_t* count, freshet_error* error) {
  (void)timeout_ms, (void)capacity, (void)error;
  memory_log* log = (memory_log*)self;
  *count = 0;
  for (int32_t p = 0; p < PARTITIONS && *count == 0; p++) {
    if (log->positions[p] < 0 || log->positions[p] >= log->ends[p]) continue;
    const char* value = log->values[p][log->positions[p]++];
    out[(*count)++] =
        (freshet_record){.key = {value, 1}, .has_value = true, .value = freshet_slice_of(value)};
  }
  return FRESHET_OK;
}

static int64_t position(freshet_reader* self, freshet_topic topic, int32_t p) {
  (void)topic;
  return ((memory_log*)self)->positions[p];
}

static const freshet_reader_vtable vtable = {.partitions = partitions,
                                             .range = range,
                                             .open = open_partition,
                                             .shut = shut,
                                             .poll = poll_one,
                                             .position = position};

static memory_log make_log(void) {
  return (memory_log){.base = {&vtable}, .positions = {-1, -1}};
}

static void append(memory_log* log, int32_t p, const char* value) {
  log->values[p][log->ends[p]++] = value;
}

static bool take(freshet_replay_landed* landed, const char* value) {
  return freshet_replay_landed_take(landed, (freshet_slice){value, 1}, freshet_slice_of(value));
}

static void only_what_lies_behind_the_mark_is_found(void** state) {
  (void)state;
  memory_log log = make_log();
  append(&log, 0, "a before");
  append(&log, 1, "b before");
  freshet_buffer mark = {0};
  assert_int_equal(freshet_replay_landed_mark(&log.base, FRESHET_TOPIC_EVENTS, &mark, NULL), FRESHET_OK);
  freshet_buffer_append(&mark, "", 1);
  assert_string_equal((const char*)mark.data, "1,1");
  append(&log, 0, "a twice");
  append(&log, 0, "a twice");
  append(&log, 1, "b once");
  freshet_replay_landed* landed = NULL;
  bool whole;
  freshet_error error = {0};
  assert_int_equal(freshet_replay_landed_read(&log.base, FRESHET_TOPIC_EVENTS, (const char*)mark.data,
                                              &landed, &whole, &error),
                   FRESHET_OK);
  assert_true(whole);
  assert_int_equal(freshet_replay_landed_left(landed), 3);
  assert_false(take(landed, "a before"));
  assert_true(take(landed, "a twice"));
  assert_true(take(landed, "b once"));
  assert_false(take(landed, "b once"));
  /* the same value under another key is another record */
  assert_false(freshet_replay_landed_take(landed, freshet_slice_of("z"), freshet_slice_of("a twice")));
  assert_true(take(landed, "a twice"));
  assert_false(take(landed, "a twice"));
  assert_int_equal(freshet_replay_landed_left(landed), 0);
  freshet_replay_landed_destroy(landed);
  freshet_buffer_free(&mark);
}

static void a_mark_of_another_topic_is_refused(void** state) {
  (void)state;
  static const char* const marks[] = {"0", "0,0,0", "0,x", "", "5,0"};
  memory_log log = make_log();
  append(&log, 0, "a");
  for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
    freshet_replay_landed* landed = NULL;
    bool whole;
    freshet_error error = {0};
    assert_int_equal(
        freshet_replay_landed_read(&log.base, FRESHET_TOPIC_EVENTS, marks[i], &landed, &whole, &error),
        FRESHET_INVALID);
    assert_null(landed);
    assert_int_equal(error.verdict, FRESHET_STOP);
  }
}

static void deleted_records_are_not_waited_for(void** state) {
  (void)state;
  memory_log log = make_log();
  append(&log, 0, "a");
  append(&log, 0, "a");
  log.first[0] = 1;
  freshet_replay_landed* landed = NULL;
  bool whole;
  assert_int_equal(freshet_replay_landed_read(&log.base, FRESHET_TOPIC_EVENTS, "0,0", &landed, &whole, NULL),
                   FRESHET_OK);
  assert_int_equal(freshet_replay_landed_left(landed), 1);
  freshet_replay_landed_destroy(landed);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(only_what_lies_behind_the_mark_is_found),
                                     cmocka_unit_test(a_mark_of_another_topic_is_refused),
                                     cmocka_unit_test(deleted_records_are_not_waited_for)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
