/*
 * config_report.c: the settings of a configuration that are worth a line in the log. It walks the table of keys and
 * the settings of librdkafka in the same way, and leaves out [rules], which are read again while the service runs.
 */
#include "service/config_report.h"

#include <stdio.h>
#include <string.h>

#include "service/config_table.h"

enum { ROOM_FOR_COUNT = 32 }; /* for ", and N more" */

bool freshet_config_is_secret(const char* name) {
  static const char* const words[] = {"password", "secret", "token", "key", "pem", "sasl"};
  static const char* const harmless[] = {"location", "mechanism", "mechanisms", "url"};
  const char* last = strrchr(name, '.');
  for (size_t i = 0; last != NULL && i < sizeof harmless / sizeof *harmless; i++) {
    if (strcmp(last + 1, harmless[i]) == 0) return false;
  }
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (strstr(name, words[i]) != NULL) return true;
  }
  return false;
}

/* A line that is being written, and what found no room in it. */
typedef struct report {
  char* text;
  size_t size, used, count, left_out;
} report;

/* section: NULL for a name without one. value: NULL for the name alone. */
static void add(report* r, const char* section, const char* name, const char* value) {
  char entry[512];
  /* A url may carry a password. */
  bool masked = value != NULL && (freshet_config_is_secret(name) || strchr(value, '@') != NULL);
  int length = snprintf(entry, sizeof entry, "%s%s%s%s%s%s", r->count++ == 0 ? "" : ", ",
                        section == NULL ? "" : section, section == NULL ? "" : ".", name,
                        value == NULL ? "" : "=", value == NULL ? "" : (masked ? "***" : value));
  if (length < 0 || (size_t)length >= sizeof entry || r->used + (size_t)length + ROOM_FOR_COUNT > r->size ||
      r->left_out > 0) {
    r->left_out++;
    return;
  }
  for (char* c = entry; *c != '\0'; c++) *c = *c == '"' ? '\'' : *c;
  memcpy(r->text + r->used, entry, (size_t)length + 1);
  r->used += (size_t)length;
}

static size_t end(report* r) {
  if (r->left_out > 0) snprintf(r->text + r->used, r->size - r->used, ", and %zu more", r->left_out);
  return r->count;
}

static report begin(char* text, size_t size) {
  FRESHET_ASSERT(size > ROOM_FOR_COUNT);
  text[0] = '\0';
  return (report){.text = text, .size = size};
}

void freshet_config_own(const freshet_config* config, char* text, size_t size) {
  report r = begin(text, size);
  for (size_t i = 0; i < config->kafka.count; i++) {
    add(&r, "kafka", config->kafka.properties[i].name, config->kafka.properties[i].value);
  }
  for (int i = 0; i < freshet_config_key_count; i++) {
    const freshet_config_value* value = &config->own->values[i];
    const freshet_config_key* key = &freshet_config_keys[i];
    bool is_own = value->from != FRESHET_ORIGIN_DEFAULT && strcmp(value->text, key->fallback) != 0;
    if (is_own) add(&r, key->section, key->name, value->text);
  }
  for (size_t i = 0; i < config->rules.named_count; i++) {
    add(&r, "rules", config->rules.named[i].name, config->rules.named[i].value);
  }
  end(&r);
}

/* Adds the settings of `a` that `b` does not have; with values_too also those to which `b` gives another value. */
static void add_kafka(report* r, const freshet_config* a, const freshet_config* b, bool values_too) {
  for (size_t i = 0; i < a->kafka.count; i++) {
    const freshet_property* property = &a->kafka.properties[i];
    const char* other = freshet_config_kafka(b, property->name);
    bool differs = other == NULL || (values_too && strcmp(other, property->value) != 0);
    if (differs) add(r, "kafka", property->name, NULL);
  }
}

size_t freshet_config_changed(const freshet_config* before, const freshet_config* after, char* text,
                              size_t size) {
  report r = begin(text, size);
  add_kafka(&r, before, after, true);
  add_kafka(&r, after, before, false);
  for (int i = 0; i < freshet_config_key_count; i++) {
    const freshet_config_key* key = &freshet_config_keys[i];
    bool differs = strcmp(before->own->values[i].text, after->own->values[i].text) != 0;
    if (differs && strcmp(key->section, "rules") != 0) add(&r, key->section, key->name, NULL);
  }
  return end(&r);
}

/* Of a name without FRESHET_: the process reads FRESHET_CACHE, and scripts and tests of this project read the others. */
static bool is_of_no_setting(const char* rest) {
  static const char* const names[] = {
      "CACHE",       "PEERS",       "JOBS",        "BINARY",     "BOOTSTRAP",        "BROKER_PORT",
      "BROKER_DATA", "BROKER_HEAP", "BROKER_DAYS", "BROKER_JVM", "TEST_BROKER_PORT", "TEST_TIMEOUT_S"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(rest, names[i]) == 0) return true;
  }
  return false;
}

size_t freshet_config_unused(char* const* environment, char* text, size_t size) {
  static const char prefix[] = "FRESHET_";
  report r = begin(text, size);
  for (; *environment != NULL; environment++) {
    const char* value = strchr(*environment, '=');
    char name[256];
    if (value == NULL || strncmp(*environment, prefix, sizeof prefix - 1) != 0) continue;
    snprintf(name, sizeof name, "%.*s", (int)(value - *environment), *environment);
    const char* rest = name + sizeof prefix - 1;
    bool is_ours = freshet_config_section_of_variable(rest) != NULL || is_of_no_setting(rest);
    if (!is_ours && !freshet_config_variable_is_foreign(rest, value + 1)) add(&r, NULL, name, NULL);
  }
  return end(&r);
}
