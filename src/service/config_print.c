/*
 * config_print.c: Prints a configuration with the origin of each value, the template with all defaults, and the
 * reference table. Secrets are masked.
 */
#include <string.h>

#include "service/config.h"
#include "service/config_report.h"
#include "service/config_table.h"

static void print_pair(FILE* out, const char* name, const char* text, const char* where) {
  char pair[FRESHET_ERROR_MESSAGE_SIZE];
  const char* secret =
      strstr(text, "://") != NULL ? strchr(strstr(text, "://"), '@') : NULL; /* user:password@ */
  if (secret != NULL) {
    snprintf(pair, sizeof pair, "%s = %.*s***%s", name, (int)(strstr(text, "://") + 3 - text), text, secret);
  } else {
    snprintf(pair, sizeof pair, "%s = %s", name, text);
  }
  fprintf(out, "%-48s ; %s\n", pair, where);
}

void freshet_config_print(const freshet_config* config, FILE* out) {
  const char* section = "";
  fprintf(out, "[kafka]\n");
  for (size_t i = 0; i < config->kafka.count; i++) {
    const freshet_property* property = &config->kafka.properties[i];
    print_pair(out, property->name, freshet_config_is_secret(property->name) ? "***" : property->value,
               property->where);
  }
  for (int i = 0; i < freshet_config_key_count; i++) {
    const freshet_config_key* key = &freshet_config_keys[i];
    if (strcmp(section, key->section) != 0) fprintf(out, "\n[%s]\n", key->section);
    section = key->section;
    print_pair(out, key->name, config->own->values[i].text, config->own->values[i].where);
    bool is_last_rule = strcmp(key->section, "rules") == 0 &&
                        (i + 1 == freshet_config_key_count || strcmp(key[1].section, "rules") != 0);
    for (size_t r = 0; is_last_rule && r < config->rules.named_count; r++) {
      const freshet_property* rule = &config->rules.named[r];
      print_pair(out, rule->name, rule->value, rule->where);
    }
  }
}

/* What a value may be, for people. */
static void print_range(const freshet_config_key* key, FILE* out) {
  switch (key->type) {
    case FRESHET_CONFIG_INTEGER:
    case FRESHET_CONFIG_DECIMAL:
      fprintf(out, "%.16g to %.16g", key->min, key->max);
      break;
    case FRESHET_CONFIG_SWITCH:
      fprintf(out, "on, off");
      break;
    case FRESHET_CONFIG_CHOICE:
      for (const char* c = key->choices; *c != '\0'; c++) fputs(*c == '|' ? ", " : (char[]){*c, '\0'}, out);
      break;
    case FRESHET_CONFIG_NAME:
    case FRESHET_CONFIG_TOPIC:
      fprintf(out, "name");
      break;
    case FRESHET_CONFIG_TEXT:
      fprintf(out, "text");
      break;
  }
}

void freshet_config_print_defaults(FILE* out) {
  fprintf(out,
          "# freshet.conf: every key with its default. Remove the # in front of a key to change it.\n"
          "# A comment begins with # or ; at the start of a line, or with \" ;\" after a value.\n"
          "# FRESHET_SECTION_KEY in the environment and -X section.key=value override this file.\n\n"
          "[kafka]\n"
          "# Every key here goes to librdkafka unchanged: brokers, TLS, SASL, tuning.\n"
          "#bootstrap.servers = 127.0.0.1:9092\n");
  const char* section = "";
  for (int i = 0; i < freshet_config_key_count; i++) {
    const freshet_config_key* key = &freshet_config_keys[i];
    if (strcmp(section, key->section) != 0) fprintf(out, "\n[%s]\n", key->section);
    section = key->section;
    fprintf(out, "# %s (", key->doc);
    print_range(key, out);
    fprintf(out, ")\n#%s =%s%s\n", key->name, key->fallback[0] == '\0' ? "" : " ", key->fallback);
  }
}

void freshet_config_print_table(FILE* out) {
  fprintf(out, "| key | default | values | meaning |\n|---|---|---|---|\n");
  for (int i = 0; i < freshet_config_key_count; i++) {
    const freshet_config_key* key = &freshet_config_keys[i];
    fprintf(out, "| `%s.%s` | ", key->section, key->name);
    fprintf(out, "%s%s%s | ", key->fallback[0] == '\0' ? "" : "`", key->fallback,
            key->fallback[0] == '\0' ? "" : "`");
    print_range(key, out);
    fprintf(out, " | %s |\n", key->doc);
  }
}
