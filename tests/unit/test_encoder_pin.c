/*
 * test_encoder_pin.c: what `auto` chose stays, whatever appears in the cache of models.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/encoder_pin.h"

static char folder[] = "/tmp/freshet-pin-XXXXXX";
static char warned[512];

static void take(void* context, freshet_log_level level, const char* event, const char* fields) {
  (void)context;
  if (level == FRESHET_WARN) snprintf(warned, sizeof warned, "%s %s", event, fields);
}

static freshet_status create(const char* kind, const char* model, char name[128], freshet_error* error) {
  char settings[3][256];
  const char* const overrides[] = {settings[0], settings[1], settings[2]};
  snprintf(settings[0], sizeof settings[0], "state.folder=%s/state", folder);
  snprintf(settings[1], sizeof settings[1], "text.encoder=%s", kind);
  snprintf(settings[2], sizeof settings[2], "text.model=%s", model);
  const freshet_config_inputs inputs = {.overrides = overrides, .override_count = 3};
  const freshet_logger logger = {.write = take};
  freshet_config* config = NULL;
  freshet_encoder* encoder = NULL;
  warned[0] = '\0';
  assert_int_equal(freshet_config_load(&inputs, &config, NULL), FRESHET_OK);
  freshet_status status = freshet_encoder_pinned_create(config, &logger, &encoder, error);
  snprintf(name, 128, "%s", encoder == NULL ? "" : encoder->name);
  freshet_encoder_destroy(encoder);
  freshet_config_destroy(config);
  return status;
}

static void assert_switched(const char* kind, freshet_status wanted, const char* from, const char* to) {
  char settings[2][256];
  const char* const overrides[] = {settings[0], settings[1]};
  const char *before = NULL, *after = NULL;
  snprintf(settings[0], sizeof settings[0], "state.folder=%s/state", folder);
  snprintf(settings[1], sizeof settings[1], "text.encoder=%s", kind);
  const freshet_config_inputs inputs = {.overrides = overrides, .override_count = 2};
  freshet_config* config = NULL;
  assert_int_equal(freshet_config_load(&inputs, &config, NULL), FRESHET_OK);
  assert_int_equal(freshet_encoder_pin_switch(config, &before, &after, NULL), wanted);
  assert_string_equal(before, from);
  if (to != NULL) assert_string_equal(after, to);
  freshet_config_destroy(config);
}

static void what_was_chosen_stays(void** state) {
  (void)state;
  char name[128];
  freshet_error error = {0};
  assert_non_null(mkdtemp(folder));
  setenv("FRESHET_CACHE", folder, 1); /* no model in it */
  assert_int_equal(create("auto", "", name, &error), FRESHET_OK);
  assert_int_equal(strncmp(name, "hashing", 7), 0);
  assert_string_equal(warned, "");
  /* The state says bert, and no model is there: no silent change to hashing. */
  char path[256];
  snprintf(path, sizeof path, "%s/state/encoder", folder);
  FILE* file = fopen(path, "w");
  assert_non_null(file);
  fputs("bert\n", file);
  fclose(file);
  assert_int_not_equal(create("auto", "", name, &error), FRESHET_OK);
  assert_non_null(strstr(error.message, "text.encoder = bert"));
  assert_non_null(strstr(warned, "kept=bert auto=hashing"));
  /* An explicit setting is a decision, and is kept. */
  freshet_error_clear(&error);
  assert_int_equal(create("hashing", "", name, &error), FRESHET_OK);
  assert_string_equal(warned, "");
  assert_int_equal(create("auto", "", name, &error), FRESHET_OK);
  assert_int_equal(strncmp(name, "hashing", 7), 0);
  /* `freshet embed --switch` lets it choose again: hashing, since there is no model. */
  file = fopen(path, "w");
  assert_non_null(file);
  fputs("bert\n", file);
  fclose(file);
  assert_switched("auto", FRESHET_OK, "bert", "hashing");
  assert_switched("auto", FRESHET_OK, "hashing", "hashing");
  assert_switched("none", FRESHET_INVALID, "hashing", NULL);
  assert_int_equal(create("auto", "", name, &error), FRESHET_OK);
  assert_string_equal(warned, "");
  assert_int_equal(strncmp(name, "hashing", 7), 0);
  assert_int_equal(create("none", "", name, &error), FRESHET_OK);
  assert_null(fopen(path, "r"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_chosen_stays)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
