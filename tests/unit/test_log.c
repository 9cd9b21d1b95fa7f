/* One fact, one line, in both formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/log.h"

enum { TIME_MS = 3723004 };
static const int64_t time_ms = INT64_C(86400000) + TIME_MS;

static void expect(freshet_log_format format, const char* event, const char* fields, const char* expected) {
  freshet_buffer line = {0};
  freshet_log_line(format, time_ms, FRESHET_WARN, event, fields, &line);
  freshet_buffer_append(&line, "", 1);
  assert_string_equal((const char*)line.data, expected);
  freshet_buffer_free(&line);
}

#define KV "1970-01-02T01:02:03.004Z warn "
#define JSON "{\"time\":\"1970-01-02T01:02:03.004Z\",\"level\":\"warn\",\"event\":\"a.b\""

static void test_key_value(void** state) {
  (void)state;
  expect(FRESHET_LOG_KV, "a.b", "", KV "a.b\n");
  expect(FRESHET_LOG_KV, "a.b", "x=1 y=two words", KV "a.b x=1 y=two words\n");
  expect(FRESHET_LOG_KV, "a.b", "x=1\nforged=2\r\x1b[0m", KV "a.b x=1\\nforged=2??[0m\n");
}

static void test_json(void** state) {
  (void)state;
  expect(FRESHET_LOG_JSON, "a.b", "", JSON "}\n");
  expect(FRESHET_LOG_JSON, "a.b", "x=1 y=two words  z=-3", JSON ",\"x\":1,\"y\":\"two words \",\"z\":-3}\n");
  expect(FRESHET_LOG_JSON, "a.b", "x=0.25 y=007 z=1.2.3 v=- w=",
         JSON ",\"x\":0.25,\"y\":\"007\",\"z\":\"1.2.3\",\"v\":\"-\",\"w\":\"\"}\n");
  expect(FRESHET_LOG_JSON, "a.b", "why=\"disk full, k=3\" n=9223372036854775808",
         JSON ",\"why\":\"disk full, k=3\",\"n\":\"9223372036854775808\"}\n");
  expect(FRESHET_LOG_JSON, "a.b", "x=\"a \\\"b\\\" \\\\\" y=\"open",
         JSON ",\"x\":\"a \\\"b\\\" \\\\\",\"y\":\"open\"}\n");
  expect(FRESHET_LOG_JSON, "a.b", "no pair", JSON ",\"message\":\"no pair\"}\n");
  expect(FRESHET_LOG_JSON, "a.b", "x=1\n\"2\" u=\xc3\xa9 l=\xe9",
         JSON ",\"x\":\"1\\n\\\"2\\\"\",\"u\":\"\xc3\xa9\",\"l\":\"\xc3\xa9\"}\n");
}

static int64_t fixed_now(freshet_clock* self) {
  (void)self;
  return time_ms;
}

static void test_levels_and_the_way_out(void** state) {
  (void)state;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  freshet_clock clock = {.now_ms = fixed_now};
  freshet_log_writer writer = {
      .fd = ends[1], .level = FRESHET_WARN, .format = FRESHET_LOG_KV, .clock = &clock};
  freshet_logger logger = freshet_log_writer_logger(&writer);
  freshet_log_fact(&logger, FRESHET_INFO, "quiet", "x=%d", 1);
  freshet_log_fact(&logger, FRESHET_WARN, "loud", "x=%d", 2);
  close(ends[1]);
  char text[256] = "";
  assert_true(read(ends[0], text, sizeof text - 1) > 0);
  assert_string_equal(text, KV "loud x=2\n");
  close(ends[0]);
}

/* Whoever reads has stopped. Nothing waits for it, and the loss is told as soon as there is room. */
static void test_a_reader_that_has_stopped(void** state) {
  (void)state;
  int ends[2];
  static char text[1 << 20];
  assert_int_equal(pipe(ends), 0);
  freshet_clock clock = {.now_ms = fixed_now};
  freshet_log_writer writer = {
      .fd = ends[1], .level = FRESHET_WARN, .format = FRESHET_LOG_KV, .clock = &clock};
  freshet_logger logger = freshet_log_writer_logger(&writer);
  enum { LINES = 5000 };
  alarm(20); /* a line that waits would do so for ever */
  for (int i = 0; i < LINES; i++) freshet_log_fact(&logger, FRESHET_WARN, "loud", "x=%d", i);
  alarm(0);
  const ssize_t size = read(ends[0], text, sizeof text - 1);
  assert_true(size > 0);
  int told = 0;
  for (ssize_t i = 0; i < size; i++) told += text[i] == '\n';
  assert_true(told < LINES);
  freshet_log_fact(&logger, FRESHET_WARN, "loud", "x=last");
  memset(text, 0, sizeof text);
  assert_true(read(ends[0], text, sizeof text - 1) > 0);
  char expected[128];
  snprintf(expected, sizeof expected, KV "log.lost lines=%d\n" KV "loud x=last\n", LINES - told);
  assert_string_equal(text, expected);
  close(ends[0]);
  close(ends[1]);
}

static void test_quotes_within_a_value(void** state) {
  (void)state;
  expect(FRESHET_LOG_JSON, "a.b", "message=\"HTTP 400: {\"error\": \"too long\"}\" n=1",
         JSON ",\"message\":\"HTTP 400: {\\\"error\\\": \\\"too long\\\"}\",\"n\":1}\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_key_value),
      cmocka_unit_test(test_json),
      cmocka_unit_test(test_quotes_within_a_value),
      cmocka_unit_test(test_levels_and_the_way_out),
      cmocka_unit_test(test_a_reader_that_has_stopped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
