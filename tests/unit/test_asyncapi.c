/* schemas/asyncapi.json against the configuration's table of topics and the schemas beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>

#include "service/config_table.h"

static json_t* load(const char* name) {
  char path[4096];
  json_error_t error;
  snprintf(path, sizeof path, "%s/%s", FRESHET_SCHEMAS, name);
  json_t* json = json_load_file(path, 0, &error);
  if (json == NULL) fail_msg("%s:%d: %s", path, error.line, error.text);
  return json;
}

/* "#/components/messages/Click" */
static const json_t* follow(const json_t* document, const json_t* reference) {
  const char* text = json_string_value(json_object_get(reference, "$ref"));
  assert_non_null(text);
  char copy[256];
  snprintf(copy, sizeof copy, "%s", text);
  assert_int_equal(copy[0], '#');
  const json_t* at = document;
  for (char* part = strtok(copy + 1, "/"); part != NULL; part = strtok(NULL, "/"))
    at = json_object_get(at, part);
  if (at == NULL) fail_msg("%s leads nowhere", text);
  return at;
}

/* "<app>.users" -> "{app}.users" */
static void address_of(const char* name, char* address, size_t size) {
  snprintf(address, size, "%s", name);
  for (char* c = address; *c != '\0'; c++) *c = *c == '<' ? '{' : *c == '>' ? '}' : *c;
}

static void every_topic_is_a_channel_at_its_default_name(void** state) {
  (void)state;
  json_t* document = load("asyncapi.json");
  json_t* channels = json_object_get(document, "channels");
  size_t topics = 0;
  assert_string_equal(json_string_value(json_object_get(document, "asyncapi")), "3.0.0");
  for (int i = 0; i < freshet_config_key_count; i++) {
    const freshet_config_key* key = &freshet_config_keys[i];
    if (key->type != FRESHET_CONFIG_TOPIC) continue;
    char address[256];
    address_of(key->fallback, address, sizeof address);
    const json_t* channel = json_object_get(channels, key->name);
    if (channel == NULL) fail_msg("topics.%s is no channel", key->name);
    assert_string_equal(json_string_value(json_object_get(channel, "address")), address);
    topics++;
  }
  assert_int_equal(json_object_size(channels), topics);
  json_decref(document);
}

static void references_lead_somewhere(void** state) {
  (void)state;
  json_t* document = load("asyncapi.json");
  const char* name;
  json_t *channel, *operation, *reference;
  json_object_foreach(json_object_get(document, "channels"), name, channel) {
    assert_true(json_object_size(json_object_get(channel, "messages")) > 0);
    const char* message;
    json_object_foreach(json_object_get(channel, "messages"), message, reference) follow(document, reference);
    json_object_foreach(json_object_get(channel, "parameters"), message, reference)
        follow(document, reference);
  }
  json_object_foreach(json_object_get(document, "operations"), name, operation) {
    follow(document, json_object_get(operation, "channel"));
  }
  json_decref(document);
}

static int is_schema(const struct dirent* entry) {
  return strstr(entry->d_name, ".avsc") != NULL;
}

static void every_schema_is_a_message_and_the_other_way_round(void** state) {
  (void)state;
  json_t* document = load("asyncapi.json");
  json_t* messages = json_object_get(json_object_get(document, "components"), "messages");
  struct dirent** entries;
  int count = scandir(FRESHET_SCHEMAS, &entries, is_schema, alphasort);
  assert_true(count > 0);
  for (int i = 0; i < count; i++) {
    char name[256], expected[300];
    snprintf(expected, sizeof expected, "./%s", entries[i]->d_name);
    snprintf(name, sizeof name, "%.*s", (int)(strlen(entries[i]->d_name) - strlen(".avsc")),
             entries[i]->d_name);
    json_t* schema = load(entries[i]->d_name);
    assert_string_equal(json_string_value(json_object_get(schema, "name")), name);
    const json_t* payload = json_object_get(json_object_get(messages, name), "payload");
    if (payload == NULL) fail_msg("%s is no message", name);
    assert_string_equal(json_string_value(json_object_get(json_object_get(payload, "schema"), "$ref")),
                        expected);
    json_decref(schema);
    free(entries[i]);
  }
  free(entries);
  assert_int_equal(json_object_size(messages), count + 1); /* dead letters have no schema */
  json_decref(document);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_topic_is_a_channel_at_its_default_name),
                                     cmocka_unit_test(references_lead_somewhere),
                                     cmocka_unit_test(every_schema_is_a_message_and_the_other_way_round)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
