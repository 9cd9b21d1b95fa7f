/*
 * config_load.c: reads the settings from defaults, INI file, environment and command line, in this order, checks
 * them one by one and together, and names what is derived from the app's id. A file of its own beside config.h,
 * because it needs the table and the rules, which need config.h themselves.
 */
#include "service/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "service/config_rules.h"
#include "service/config_table.h"

enum {
  LINE_MAX_BYTES = 1 << 16, /* of the INI file */
  NAME_MAX_BYTES = 256,     /* of "section.key" */
};

/* A place being read: what a message about it says. */
typedef struct place {
  freshet_config_origin from;
  const char* name; /* file, variable or option */
  int line;         /* 0: none */
} place;

static char* copy(const char* text) {
  char* copied = strdup(text);
  FRESHET_ASSERT(copied != NULL);
  return copied;
}

static char* describe(const place* at) {
  char text[FRESHET_ERROR_MESSAGE_SIZE];
  if (at->line > 0) {
    snprintf(text, sizeof text, "%s:%d", at->name, at->line);
  } else {
    snprintf(text, sizeof text, "%s", at->name);
  }
  return copy(text);
}

static freshet_status reject(freshet_error* error, const place* at, const char* message) {
  char* where = describe(at);
  freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: %s", where, message);
  free(where);
  return FRESHET_INVALID;
}

/* ---- one value ---- */

/* A key of a section that is open: its names are not ours. */
static freshet_status set_open(freshet_config_list* own, const char* section, const char* name,
                               const char* text, const place* at, freshet_error* error) {
  freshet_property* property = NULL;
  for (size_t i = 0; i < own->count && property == NULL; i++) {
    if (strcmp(own->properties[i].name, name) == 0) property = &own->properties[i];
  }
  char* where = describe(at);
  if (property != NULL && at->from == FRESHET_ORIGIN_FILE) {
    freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: %s.%s is given twice, first at %s", where,
                      section, name, property->where);
    free(where);
    return FRESHET_INVALID;
  }
  if (property == NULL) {
    own->properties = realloc(own->properties, (own->count + 1) * sizeof *own->properties);
    FRESHET_ASSERT(own->properties != NULL);
    property = &own->properties[own->count++];
    *property = (freshet_property){.name = copy(name)};
  }
  free(property->value);
  free(property->where);
  property->value = copy(text);
  property->where = where;
  return FRESHET_OK;
}

static freshet_status set(freshet_config* config, int index, const char* text, const place* at,
                          freshet_error* error) {
  const freshet_config_key* key = &freshet_config_keys[index];
  freshet_config_value* target = &config->own->values[index];
  char message[FRESHET_ERROR_MESSAGE_SIZE];
  if (target->from == FRESHET_ORIGIN_FILE && at->from == FRESHET_ORIGIN_FILE) {
    snprintf(message, sizeof message, "%s.%s is given twice, first at %s", key->section, key->name,
             target->where);
    return reject(error, at, message);
  }
  char* kept = copy(text);
  if (!freshet_config_key_parse(key, kept, config, message, sizeof message)) {
    free(kept);
    return reject(error, at, message);
  }
  free(target->text);
  free(target->where);
  *target = (freshet_config_value){.text = kept, .where = describe(at), .from = at->from};
  return FRESHET_OK;
}

static freshet_status set_named(freshet_config* config, const char* section, const char* name,
                                const char* text, const place* at, freshet_error* error) {
  char message[FRESHET_ERROR_MESSAGE_SIZE];
  char full[NAME_MAX_BYTES];
  if (section[0] == '\0' || name[0] == '\0') {
    return reject(error, at, section[0] == '\0' ? "a key before the first [section]" : "an empty key");
  }
  if (strcmp(section, "kafka") == 0) return set_open(&config->own->kafka, section, name, text, at, error);
  if (strcmp(section, "rules") == 0 && freshet_config_is_rule(name))
    return set_open(&config->own->rules, section, name, text, at, error);
  snprintf(full, sizeof full, "%s.%s", section, name);
  int index = freshet_config_key_find(full);
  if (index >= 0) return set(config, index, text, at, error);
  snprintf(message, sizeof message, "unknown key %s; the closest known key is %s", full,
           freshet_config_key_closest(full));
  return reject(error, at, message);
}

/* ---- the sources ---- */

/* inih tells no line numbers, so its reader is ours and counts. */
typedef struct ini_file {
  freshet_config* config;
  freshet_error* error;
  FILE* stream;
  const char* path;
  int line; /* the one being read */
  bool line_ended;
  freshet_status status;
} ini_file;

static char* read_line(char* out, int size, void* context) {
  ini_file* file = context;
  char* read = fgets(out, size, file->stream);
  if (read == NULL) return NULL;
  if (file->line_ended) file->line++;
  file->line_ended = strchr(read, '\n') != NULL;
  return read;
}

static int take_pair(void* context, const char* section, const char* name, const char* text) {
  ini_file* file = context;
  place at = {FRESHET_ORIGIN_FILE, file->path, file->line};
  if (file->status == FRESHET_OK) {
    file->status = set_named(file->config, section, name, text, &at, file->error);
  }
  return file->status == FRESHET_OK;
}

static freshet_status read_file(freshet_config* config, const char* path, freshet_error* error) {
  FILE* stream = fopen(path, "re");
  if (stream == NULL) {
    return freshet_error_set(error, errno == ENOENT ? FRESHET_NOT_FOUND : FRESHET_IO, FRESHET_STOP,
                             "cannot read %s: %s", path, strerror(errno));
  }
  ini_allow_multiline = false; /* an indented line is a line like any other */
  ini_use_stack = false;
  ini_allow_realloc = true;
  ini_max_line = LINE_MAX_BYTES;
  ini_stop_on_first_error = true;
  ini_file file = {.config = config,
                   .error = error,
                   .stream = stream,
                   .path = path,
                   .line_ended = true,
                   .status = FRESHET_OK};
  int bad_line = ini_parse_stream(read_line, &file, take_pair, &file);
  if (file.status == FRESHET_OK && ferror(stream)) {
    file.status =
        freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "cannot read %s: %s", path, strerror(errno));
  } else if (file.status == FRESHET_OK && bad_line != 0) {
    place at = {FRESHET_ORIGIN_FILE, path, bad_line};
    file.status = reject(error, &at, "neither [section] nor key = value nor comment");
  }
  fclose(stream);
  return file.status;
}

/* "FRESHET_KAFKA_BOOTSTRAP_SERVERS" -> bootstrap.servers: no setting of librdkafka has an underscore. */
static void kafka_name(const char* variable, char* name, size_t size) {
  size_t i = 0;
  for (; variable[i] != '\0' && i + 1 < size; i++) {
    name[i] = variable[i] == '_' ? '.' : (char)tolower((unsigned char)variable[i]);
  }
  name[i] = '\0';
}

static freshet_status read_misspelt(const char* rest, const place* at, freshet_error* error) {
  const char* meant = freshet_config_variable_meant(rest);
  char message[FRESHET_ERROR_MESSAGE_SIZE];
  if (meant == NULL) return FRESHET_OK; /* the start tells it */
  snprintf(message, sizeof message, "no such setting; FRESHET_%s is one", meant);
  return reject(error, at, message);
}

/* Variables that do not begin with FRESHET_ and a section are not ours, unless a letter or two are wrong. */
static freshet_status read_variable(freshet_config* config, const char* pair, freshet_error* error) {
  static const char prefix[] = "FRESHET_";
  char variable[NAME_MAX_BYTES];
  const char* text = strchr(pair, '=');
  if (text == NULL || strncasecmp(pair, prefix, sizeof prefix - 1) != 0) return FRESHET_OK;
  size_t size = (size_t)(text - pair);
  if (size >= sizeof variable) return FRESHET_OK;
  memcpy(variable, pair, size);
  variable[size] = '\0';
  place at = {FRESHET_ORIGIN_ENVIRONMENT, variable, 0};
  const char* rest = variable + sizeof prefix - 1;
  if (freshet_config_variable_is_foreign(rest, text + 1)) return FRESHET_OK;
  const char* section = freshet_config_section_of_variable(rest);
  if (section == NULL || strncmp(pair, prefix, sizeof prefix - 1) != 0)
    return read_misspelt(rest, &at, error);
  char name[NAME_MAX_BYTES];
  kafka_name(rest + strlen(section) + 1, name, sizeof name);
  if (strcmp(section, "kafka") == 0) return set_named(config, section, name, text + 1, &at, error);
  int index = freshet_config_key_find_variable(rest);
  if (index >= 0) return set(config, index, text + 1, &at, error);
  return set_named(config, section, name, text + 1, &at, error); /* fails, with the closest key */
}

static freshet_status read_override(freshet_config* config, const char* override, freshet_error* error) {
  place at = {FRESHET_ORIGIN_COMMAND_LINE, "command line", 0};
  char name[NAME_MAX_BYTES];
  const char* text = strchr(override, '=');
  if (text == NULL || (size_t)(text - override) >= sizeof name) {
    return reject(error, &at, "-X needs section.key=value");
  }
  memcpy(name, override, (size_t)(text - override));
  name[text - override] = '\0';
  char* dot = strchr(name, '.');
  if (dot == NULL) return reject(error, &at, "-X needs section.key=value");
  *dot = '\0';
  return set_named(config, name, dot + 1, text + 1, &at, error);
}

/* ---- the whole ---- */

/* What no single value can tell. `name` is the key to blame. */
static freshet_status reject_key(const freshet_config* config, const char* name, const char* message,
                                 freshet_error* error) {
  const freshet_config_value* blamed = &config->own->values[freshet_config_key_find(name)];
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: %s = %s %s", blamed->where, name,
                           blamed->text, message);
}

static freshet_status check_together(const freshet_config* config, freshet_error* error) {
  if (config->model.dim % 16 != 0) {
    return reject_key(config, "model.dim", "is not a multiple of 16", error);
  }
  if (config->model.rating_min >= config->model.rating_max) {
    return reject_key(config, "model.rating_min", "is not below model.rating_max", error);
  }
  if (config->model.positive_rating > config->model.rating_max) {
    return reject_key(config, "model.positive_rating",
                      "is above model.rating_max: no rating would be positive", error);
  }
  if (config->text.encoder == FRESHET_ENCODER_HTTP && config->text.url[0] == '\0') {
    return reject_key(config, "text.encoder", "needs text.url", error);
  }
  if (config->text.encoder == FRESHET_ENCODER_WORDS && config->text.model[0] == '\0') {
    return reject_key(config, "text.encoder", "needs text.model, a file of word vectors", error);
  }
  const char* framing = config->own->values[freshet_config_key_find("registry.framing")].text;
  if (strcmp(framing, "confluent") == 0 && config->registry.url[0] == '\0' &&
      config->registry.ids[0] == '\0') {
    return reject_key(config, "registry.framing",
                      "needs registry.url or registry.ids: schemas have ids there", error);
  }
  if ((config->http.certificate[0] == '\0') != (config->http.key[0] == '\0')) {
    return reject_key(config, config->http.key[0] == '\0' ? "http.certificate" : "http.key",
                      "needs the other one: http.certificate and http.key belong together", error);
  }
  for (int i = 0; i < FRESHET_TOPICS; i++) {
    for (int j = 0; j < i; j++) {
      if (strcmp(config->topics.names[i], config->topics.names[j]) == 0) {
        return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "two of [topics] have one name: %s",
                                 config->topics.names[i]);
      }
    }
  }
  return FRESHET_OK;
}

static freshet_status set_defaults(freshet_config* config, freshet_error* error) {
  place at = {FRESHET_ORIGIN_DEFAULT, "default", 0};
  freshet_status status = FRESHET_OK;
  for (int i = 0; i < freshet_config_key_count && status == FRESHET_OK; i++) {
    status = set(config, i, freshet_config_keys[i].fallback, &at, error);
  }
  return status;
}

/* Keeps "BASE.GENERATION" for as long as the configuration lives. */
static const char* make(freshet_config* config, size_t slot, const char* base, const char* generation) {
  int size = asprintf(&config->own->made[slot], "%s.%s", base, generation);
  FRESHET_ASSERT(size >= 0);
  return config->own->made[slot];
}

/* What belongs to a later generation alone gets its name: the app's id, and with it group, transactions and
 * state topics; the state folder; the dead letters, since what cannot be read depends on who reads it. */
static freshet_status name_generation(freshet_config* config, freshet_error* error) {
  const char* generation = config->app.generation;
  config->app.base = config->app.id;
  if (generation[0] == '\0') return FRESHET_OK;
  if (generation[strspn(generation, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] !=
      '\0') {
    return reject_key(config, "app.generation", "may only hold letters, digits, '_' and '-'", error);
  }
  config->app.id = make(config, 0, config->app.base, generation);
  config->state.folder = make(config, 1, config->state.folder, generation);
  config->topics.names[FRESHET_TOPIC_DEAD_LETTERS] =
      make(config, 2, config->topics.names[FRESHET_TOPIC_DEAD_LETTERS], config->app.id);
  return FRESHET_OK;
}

/* "<app>.users" -> "freshet.users" */
static void name_topics_after_app(freshet_config* config) {
  for (int i = 0; i < freshet_config_key_count; i++) {
    const freshet_config_key* key = &freshet_config_keys[i];
    char* text = config->own->values[i].text;
    const char* rest;
    freshet_config_app app = freshet_config_app_of(text, &rest);
    if (key->type != FRESHET_CONFIG_TOPIC || app == FRESHET_CONFIG_NO_APP) continue;
    char* name = NULL;
    int size =
        asprintf(&name, "%s%s", app == FRESHET_CONFIG_THE_APP ? config->app.id : config->app.base, rest);
    FRESHET_ASSERT(size >= 0);
    config->own->values[i].text = name;
    memcpy((char*)config + key->offset, &name, sizeof name);
    free(text);
  }
}

freshet_status freshet_config_load(const freshet_config_inputs* inputs, freshet_config** config,
                                   freshet_error* error) {
  freshet_config* made = calloc(1, sizeof *made);
  FRESHET_ASSERT(made != NULL);
  made->own = calloc(1, sizeof *made->own);
  FRESHET_ASSERT(made->own != NULL);
  made->own->values = calloc((size_t)freshet_config_key_count, sizeof *made->own->values);
  FRESHET_ASSERT(made->own->values != NULL);
  freshet_status status = set_defaults(made, error);
  if (status == FRESHET_OK && inputs->file != NULL) status = read_file(made, inputs->file, error);
  for (char* const* pair = inputs->environment; pair != NULL && *pair != NULL && status == FRESHET_OK;
       pair++) {
    status = read_variable(made, *pair, error);
  }
  for (size_t i = 0; i < inputs->override_count && status == FRESHET_OK; i++) {
    status = read_override(made, inputs->overrides[i], error);
  }
  if (status == FRESHET_OK) status = name_generation(made, error);
  if (status == FRESHET_OK) {
    name_topics_after_app(made);
    status = check_together(made, error);
  }
  made->kafka.properties = made->own->kafka.properties;
  made->kafka.count = made->own->kafka.count;
  made->rules.named = made->own->rules.properties;
  made->rules.named_count = made->own->rules.count;
  if (status == FRESHET_OK) status = freshet_config_compile_rules(made, error);
  if (status != FRESHET_OK) {
    freshet_config_destroy(made);
    made = NULL;
  }
  *config = made;
  return status;
}

static void free_list(freshet_config_list* list) {
  for (size_t i = 0; i < list->count; i++) {
    free(list->properties[i].name);
    free(list->properties[i].value);
    free(list->properties[i].where);
  }
  free(list->properties);
}

void freshet_config_destroy(freshet_config* config) {
  if (config == NULL) return;
  struct freshet_config_private* own = config->own;
  for (int i = 0; i < freshet_config_key_count; i++) {
    free(own->values[i].text);
    free(own->values[i].where);
  }
  for (size_t i = 0; i < sizeof own->made / sizeof own->made[0]; i++) free(own->made[i]);
  free_list(&own->kafka);
  free_list(&own->rules);
  freshet_rules_free(&config->rules.compiled);
  free(own->values);
  free(own);
  free(config);
}

const char* freshet_config_kafka(const freshet_config* config, const char* name) {
  for (size_t i = 0; i < config->kafka.count; i++) {
    if (strcmp(config->kafka.properties[i].name, name) == 0) return config->kafka.properties[i].value;
  }
  return NULL;
}
