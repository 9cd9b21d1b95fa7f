/* The configuration: every source, their order, and what a person is told about a mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "codec/codec.h"
#include "commands/options.h"
#include "service/config.h"
#include "service/config_report.h"
#include "service/config_table.h"
#include "stream/logger.h"

static char path[] = "/tmp/freshet-config-XXXXXX";

static int make_path(void** state) {
  (void)state;
  int file = mkstemp(path);
  return file < 0 ? -1 : close(file);
}

static int remove_path(void** state) {
  (void)state;
  return unlink(path);
}

static void write_file(const char* text) {
  FILE* file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static freshet_status load(const char* text, char* const* environment, const char* override,
                           freshet_config** config, freshet_error* error) {
  if (text != NULL) write_file(text);
  const freshet_config_inputs inputs = {
      .file = text == NULL ? NULL : path,
      .overrides = &override,
      .override_count = override == NULL ? 0 : 1,
      .environment = environment,
  };
  return freshet_config_load(&inputs, config, error);
}

static freshet_config* load_ok(const char* text, char* const* environment, const char* override) {
  freshet_config* config = NULL;
  freshet_error error = {0};
  if (load(text, environment, override, &config, &error) != FRESHET_OK) fail_msg("%s", error.message);
  return config;
}

/* The load fails and its message holds every one of the expected parts. */
static void refused(const char* text, char* const* environment, const char* override, const char* first,
                    const char* second) {
  freshet_config* config = (freshet_config*)path;
  freshet_error error = {0};
  assert_int_equal(load(text, environment, override, &config, &error), FRESHET_INVALID);
  assert_int_equal(error.verdict, FRESHET_STOP);
  assert_null(config);
  if (strstr(error.message, first) == NULL) fail_msg("no '%s' in '%s'", first, error.message);
  if (strstr(error.message, second) == NULL) fail_msg("no '%s' in '%s'", second, error.message);
}

static char* printed(const freshet_config* config) {
  char* text = NULL;
  size_t size;
  FILE* stream = open_memstream(&text, &size);
  if (config == NULL) {
    freshet_config_print_defaults(stream);
  } else {
    freshet_config_print(config, stream);
  }
  fclose(stream);
  return text;
}

static void test_defaults(void** state) {
  (void)state;
  freshet_config* config = load_ok(NULL, NULL, NULL);
  assert_string_equal(config->app.id, "freshet");
  assert_int_equal(config->app.delivery, 0);
  assert_string_equal(config->topics.names[FRESHET_TOPIC_EVENTS], "events");
  assert_string_equal(config->topics.names[FRESHET_TOPIC_DEAD_LETTERS], "events.dead-letter");
  assert_string_equal(config->topics.names[FRESHET_TOPIC_ITEM_DELTAS], "freshet.item-deltas");
  assert_int_equal(config->registry.framing, FRESHET_FRAMING_SINGLE_OBJECT);
  assert_true(config->model.learning);
  assert_true(config->model.rating_min == 0.5);
  assert_int_equal(config->ranking.k, 20);
  assert_int_equal(config->log.level, FRESHET_INFO);
  assert_int_equal(config->kafka.count, 0);
  assert_null(freshet_config_kafka(config, "bootstrap.servers"));
  freshet_config_destroy(config);
}

static void test_every_source_in_its_order(void** state) {
  (void)state;
  char* environment[] = {"HOME=/",
                         "FRESHET_CACHE=/elsewhere",
                         "FRESHET_RANKING_K=12",
                         "FRESHET_MODEL_WEIGHT_CLICK=0.25",
                         "FRESHET_KAFKA_LINGER_MS=3",
                         NULL};
  const char* text =
      "[app]\nid = shop\n[ranking]\nk = 11\nthreads=2 ; two\n[kafka]\nlinger.ms = 9\nacks = all\n";
  freshet_config* config = load_ok(text, environment, "ranking.k=13");
  assert_int_equal(config->ranking.k, 13);
  assert_int_equal(config->ranking.threads, 2);
  assert_true(config->model.weight_click == 0.25);
  assert_string_equal(config->topics.names[FRESHET_TOPIC_USERS], "shop.users");
  assert_int_equal(config->kafka.count, 2);
  assert_string_equal(freshet_config_kafka(config, "linger.ms"), "3");
  assert_string_equal(freshet_config_kafka(config, "acks"), "all");
  char* text_out = printed(config);
  assert_non_null(strstr(text_out, "; command line\n"));
  assert_non_null(strstr(text_out, "; FRESHET_MODEL_WEIGHT_CLICK\n"));
  char where[64];
  snprintf(where, sizeof where, "; %s:2\n", path);
  assert_non_null(strstr(text_out, where));
  free(text_out);
  freshet_config_destroy(config);
}

/* Silent, they would leave the default in force. */
static void test_misspelt_variables_are_named(void** state) {
  (void)state;
  static const struct {
    char* pair;
    const char* meant;
  } cases[] = {
      {"FRESHET_SATE_FOLDER=x", "FRESHET_STATE_FOLDER is one"},
      {"FRESHET_TOPCIS_EVENTS=x", "FRESHET_TOPICS_EVENTS is one"},
      {"FRESHET_STATEFOLDER=x", "FRESHET_STATE_FOLDER is one"},
      {"FRESHET_APPID=x", "FRESHET_APP_ID is one"},
      {"FRESHET_APP__ID=x", "closest known key is app.id"},
      {"freshet_state_folder=x", "FRESHET_STATE_FOLDER is one"},
      {"FRESHET_KAFAK_BOOTSTRAP_SERVERS=x", "FRESHET_KAFKA_BOOTSTRAP_SERVERS is one"},
      {"FRESHET_STATE_FODLER=x", "closest known key is state.folder"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char* environment[] = {cases[i].pair, NULL};
    char first[64];
    snprintf(first, sizeof first, "%.*s: ", (int)strcspn(cases[i].pair, "="), cases[i].pair);
    refused("", environment, NULL, first, cases[i].meant);
  }
  char* others[] = {"HOME=/",
                    "FRESHET_FOLDER=x",
                    "FRESHET_CACHE=/c",
                    "FRESHET_BROKER_PORT=19092",
                    "FRESHET_BOOTSTRAP_SERVERS=b",
                    "FRESHET_HTTP_SERVICE_HOST=10.0.0.1", /* Kubernetes makes the rest */
                    "FRESHET_PORT=tcp://10.0.0.1:80",
                    "FRESHET_PORT_80_TCP_ADDR=10.0.0.1",
                    "FRESHET_HTTP_PORT=tcp://10.0.0.1:80", /* of a service freshet-http */
                    "FRESHET_HTTP_PORT_80_TCP=tcp://10.0.0.1:80",
                    "FRESHET_STATE_PORT=udp://10.0.0.1:53",
                    "FRESHET_STATE_PORT_53_UDP_PROTO=udp",
                    "FRESHET_KAFKA_PORT=sctp://10.0.0.1:9",
                    "FRESHET_KAFKA_PORT_9_SCTP_PORT=9",
                    "FRESHET_SERVICE_PORT_HTTP=80",
                    "FRESHET_STATE_FOLDER=x",
                    NULL};
  freshet_config_destroy(load_ok("", others, NULL));
  char* port[] = {"FRESHET_HTTP_PORT=tcp:80", NULL};
  refused("", port, NULL, "FRESHET_HTTP_PORT: ", "needs a whole number");
  char text[256];
  assert_int_equal(freshet_config_unused(others, text, sizeof text), 2);
  assert_string_equal(text, "FRESHET_FOLDER, FRESHET_BOOTSTRAP_SERVERS");
}

static void test_a_mistake_is_named_with_its_place(void** state) {
  (void)state;
  char here[64];
  snprintf(here, sizeof here, "%s:4: ", path);
  refused("# a comment\n\n[state]\nfodler = x\n", NULL, NULL, here, "closest known key is state.folder");
  refused("# a comment\n\n[sate]\nfolder = x\n", NULL, NULL, here, "closest known key is state.folder");
  refused("# words\n\n\n[text]\nencoder = words\n", NULL, NULL, path, "needs text.model");
  refused("# framing\n\n\n[registry]\nframing = confluent\n", NULL, NULL, path,
          "needs registry.url or registry.ids");
  refused("[model]\r\n\r\n; crlf\r\ndim = many\r\n", NULL, NULL, here, "needs a whole number, not 'many'");
  refused("[ranking]\nbatch=3\n\nk = 0", NULL, NULL, here, "ranking.k has to lie between 1 and 1000");
  refused("[log]\n\n\nlevel = loud\n", NULL, NULL, here, "debug|info|warn|error");
  refused("[app]\nid = a\n\nid = b\n", NULL, NULL, here, "given twice");
  refused("[kafka]\nacks = 1\n\nacks = 0\n", NULL, NULL, here, "given twice");
  refused("[app]\n\n\nno pair\n", NULL, NULL, here, "neither [section]");
  refused("\n\n\nid = a\n", NULL, NULL, here, "before the first [section]");
  refused("[topics]\n\n\nevents = a b\n", NULL, NULL, here, "letters, digits");
  refused("[model]\nlearning = on\n\ndim = 72\n", NULL, NULL, here, "not a multiple of 16");
  refused("[model]\n\n\nrating_max = nan\n", NULL, NULL, here, "needs a number");
  refused("[topics]\nitems = events\n", NULL, NULL, "one name", "events");
  refused(NULL, (char*[]){"FRESHET_STATE_FODLER=x", NULL}, NULL, "FRESHET_STATE_FODLER", "state.folder");
  refused(NULL, (char*[]){"FRESHET_RANKING_K=x", NULL}, NULL, "FRESHET_RANKING_K", "whole number");
  refused(NULL, NULL, "ranking.kk=3", "command line", "ranking.k");
  refused(NULL, NULL, "ranking.k", "command line", "section.key=value");
  refused(NULL, NULL, "app.id=<app>", "command line", "letters, digits");
}

static void test_a_file_that_cannot_be_read(void** state) {
  (void)state;
  freshet_config* config = NULL;
  freshet_error error = {0};
  freshet_config_inputs inputs = {.file = "/nonexistent/freshet.conf"};
  assert_int_equal(freshet_config_load(&inputs, &config, &error), FRESHET_NOT_FOUND);
  assert_non_null(strstr(error.message, "/nonexistent/freshet.conf"));
  freshet_error_clear(&error);
  inputs.file = "/";
  assert_int_equal(freshet_config_load(&inputs, &config, &error), FRESHET_IO);
}

static void test_long_lines_and_indentation(void** state) {
  (void)state;
  char text[20000];
  char servers[15000];
  memset(servers, 'h', sizeof servers - 1);
  servers[sizeof servers - 1] = '\0';
  snprintf(text, sizeof text, "[kafka]\n  bootstrap.servers = %s\n  acks = all\n[app]\nidd = x\n", servers);
  char here[64];
  snprintf(here, sizeof here, "%s:5: ", path);
  refused(text, NULL, NULL, here, "app.idd");
  *strstr(text, "idd") = ';';
  freshet_config* config = load_ok(text, NULL, NULL);
  assert_string_equal(freshet_config_kafka(config, "bootstrap.servers"), servers);
  assert_string_equal(freshet_config_kafka(config, "acks"), "all");
  freshet_config_destroy(config);
}

static void test_secrets_are_masked(void** state) {
  (void)state;
  freshet_config* config = load_ok(
      "[kafka]\nsasl.password = hunter1\nsasl.username = hunter2\nssl.key.pem = hunter3\n"
      "ssl.key.password = hunter4\nsasl.oauthbearer.client.secret = hunter5\nsasl.mechanism = PLAIN\n"
      "ssl.ca.location = /ca.pem\n[text]\nurl = https://me:hunter6@host/v1\n",
      NULL, NULL);
  char* text = printed(config);
  assert_null(strstr(text, "hunter"));
  assert_non_null(strstr(text, "sasl.mechanism = PLAIN"));
  assert_non_null(strstr(text, "ssl.ca.location = /ca.pem"));
  assert_non_null(strstr(text, "https://***@host/v1"));
  free(text);
  freshet_config_destroy(config);
}

/* Everything but the origins. */
static void cut_origins(char* text) {
  char* out = text;
  for (const char* in = text; *in != '\0'; in++) {
    if (*in == ';') {
      while (out > text && out[-1] == ' ') out--;
      in = strchr(in, '\n');
    }
    *out++ = *in;
  }
  *out = '\0';
}

static void test_what_is_printed_can_be_read_back(void** state) {
  (void)state;
  freshet_config* config =
      load_ok("[kafka]\nacks = all\n[app]\nid = shop\n[model]\nlearning=off\n", NULL, NULL);
  char* first = printed(config);
  freshet_config_destroy(config);
  config = load_ok(first, NULL, NULL);
  assert_false(config->model.learning);
  char* second = printed(config);
  freshet_config_destroy(config);
  cut_origins(first);
  cut_origins(second);
  assert_string_equal(first, second);
  free(first);
  free(second);
}

static void test_the_template_holds_every_key_and_is_valid(void** state) {
  (void)state;
  char* template = printed(NULL);
  for (char* line = template; line != NULL; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (line[0] == '#' && line[1] != ' ') line[0] = ' '; /* take the comment sign away */
  }
  freshet_config* config = load_ok(template, NULL, NULL);
  for (int i = 0; i < freshet_config_key_count; i++) {
    assert_int_equal(config->own->values[i].from, FRESHET_ORIGIN_FILE);
  }
  free(template);
  freshet_config_destroy(config);
}

/* Two rows that fill one field, or a row that fits two names, would be a slip of the table. */
static void test_the_table_is_consistent(void** state) {
  (void)state;
  for (int i = 0; i < freshet_config_key_count; i++) {
    const freshet_config_key* key = &freshet_config_keys[i];
    char full[256], variable[256];
    snprintf(full, sizeof full, "%s.%s", key->section, key->name);
    assert_int_equal(freshet_config_key_find(full), i);
    for (size_t c = 0; c <= strlen(full); c++) {
      variable[c] = full[c] == '.' ? '_' : (char)(full[c] >= 'a' && full[c] <= 'z' ? full[c] - 32 : full[c]);
    }
    assert_int_equal(freshet_config_key_find_variable(variable), i);
    for (int j = 0; j < i; j++) assert_true(freshet_config_keys[j].offset != key->offset);
    assert_true(key->offset < offsetof(freshet_config, own));
    assert_true(key->doc[0] != '\0' && strchr(key->doc, '|') == NULL);
  }
}

static void test_too_many_overrides_are_refused(void** state) {
  (void)state;
  freshet_options options = {0};
  for (int i = 0; i <= FRESHET_OVERRIDES_MAX; i++)
    assert_true(freshet_options_take(&options, 'X', "app.id=a"));
  assert_false(freshet_options_take(&options, 'k', "app.id=a"));
  freshet_config* config = NULL;
  freshet_error error = {0};
  assert_int_equal(freshet_options_load(&options, &config, &error), FRESHET_INVALID);
}

static void test_librdkafka_judges_its_settings(void** state) {
  (void)state;
  write_file("[kafka]\nbootstrap.servers = localhost\nsasl.pasword = hunter2\n");
  char here[64];
  snprintf(here, sizeof here, "%s:3: ", path);
  freshet_options options = {.file = path};
  freshet_config* config = NULL;
  freshet_error error = {0};
  assert_int_equal(freshet_options_load(&options, &config, &error), FRESHET_INVALID);
  assert_null(config);
  assert_non_null(strstr(error.message, here));
  assert_non_null(strstr(error.message, "sasl.pasword"));
  assert_null(strstr(error.message, "hunter2"));
  write_file("[kafka]\nbootstrap.servers = localhost\nlinger.ms = 5\n");
  freshet_error_clear(&error);
  assert_int_equal(freshet_options_load(&options, &config, &error), FRESHET_OK);
  freshet_config_destroy(config);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_every_source_in_its_order),
      cmocka_unit_test(test_misspelt_variables_are_named),
      cmocka_unit_test(test_a_mistake_is_named_with_its_place),
      cmocka_unit_test(test_a_file_that_cannot_be_read),
      cmocka_unit_test(test_long_lines_and_indentation),
      cmocka_unit_test(test_secrets_are_masked),
      cmocka_unit_test(test_what_is_printed_can_be_read_back),
      cmocka_unit_test(test_the_template_holds_every_key_and_is_valid),
      cmocka_unit_test(test_the_table_is_consistent),
      cmocka_unit_test(test_too_many_overrides_are_refused),
      cmocka_unit_test(test_librdkafka_judges_its_settings),
  };
  return cmocka_run_group_tests(tests, make_path, remove_path);
}
