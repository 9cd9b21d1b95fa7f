/*
 * test_config_report.c: the lines that tell of a configuration in the log: what is not the default, what has changed,
 * and that no secret is in them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/config_report.h"

static freshet_config* load(const char* const* overrides, size_t count) {
  const freshet_config_inputs inputs = {.overrides = overrides, .override_count = count};
  freshet_config* config = NULL;
  freshet_error error = {0};
  if (freshet_config_load(&inputs, &config, &error) != FRESHET_OK) fail_msg("%s", error.message);
  return config;
}

#define LOAD(...)                                         \
  load((const char* const[]){"app.id=shop", __VA_ARGS__}, \
       sizeof((const char* const[]){"app.id=shop", __VA_ARGS__}) / sizeof(char*))

static void test_defaults_are_left_out(void** state) {
  (void)state;
  char text[400];
  freshet_config* config = LOAD("model.dim=64", "model.seed=7", "kafka.bootstrap.servers=a:1,b:2");
  freshet_config_own(config, text, sizeof text);
  assert_string_equal(text,
                      "kafka.bootstrap.servers=a:1,b:2, app.id=shop, model.seed=7"); /* 64 is the default */
  freshet_config_destroy(config);
}

static void test_secrets_are_masked(void** state) {
  (void)state;
  char text[600];
  freshet_config* config = LOAD("kafka.sasl.password=hunter2", "kafka.sasl.username=hunter2",
                                "kafka.ssl.key.pem=hunter2", "kafka.ssl.key.password=hunter2",
                                "kafka.ssl.ca.location=/etc/ca.pem", "text.url=http://me:hunter2@host/v1");
  freshet_config_own(config, text, sizeof text);
  assert_null(strstr(text, "hunter2"));
  assert_non_null(strstr(text, "kafka.sasl.password=***"));
  assert_non_null(strstr(text, "kafka.ssl.ca.location=/etc/ca.pem"));
  freshet_config_destroy(config);
}

static void test_what_has_no_room_is_counted(void** state) {
  (void)state;
  char text[80];
  freshet_config* config = LOAD("model.seed=7", "model.dim=32", "ranking.k=7", "http.port=1");
  freshet_config_own(config, text, sizeof text);
  assert_string_equal(text, "app.id=shop, model.dim=32, model.seed=7, and 2 more");
  freshet_config_destroy(config);
}

static void test_quotes_cannot_end_the_field(void** state) {
  (void)state;
  char text[200];
  freshet_config* config = LOAD("text.model=a\"b");
  freshet_config_own(config, text, sizeof text);
  assert_non_null(strstr(text, "text.model=a'b"));
  freshet_config_destroy(config);
}

static void test_changes_are_named_without_values(void** state) {
  (void)state;
  char text[400];
  freshet_config* before =
      LOAD("http.port=1", "kafka.acks=all", "kafka.linger.ms=1", "kafka.sasl.password=a");
  freshet_config* after = LOAD("http.port=2", "kafka.linger.ms=1", "kafka.sasl.password=b",
                               "kafka.client.rack=r", "rules.hide=nothing");
  assert_int_equal(freshet_config_changed(before, after, text, sizeof text), 4);
  assert_string_equal(
      text, "kafka.acks, kafka.sasl.password, kafka.client.rack, http.port"); /* rules need no restart */
  assert_int_equal(freshet_config_changed(before, before, text, sizeof text), 0);
  assert_string_equal(text, "");
  freshet_config_destroy(before);
  freshet_config_destroy(after);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_defaults_are_left_out),
      cmocka_unit_test(test_secrets_are_masked),
      cmocka_unit_test(test_what_has_no_room_is_counted),
      cmocka_unit_test(test_quotes_cannot_end_the_field),
      cmocka_unit_test(test_changes_are_named_without_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
