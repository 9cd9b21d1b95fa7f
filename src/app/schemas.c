/*
 * schemas.c: opens what [registry] names, and reads its secrets from the environment. Everything else is the work of
 * codec/registry.h.
 */
#include "app/schemas.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/subjects.h"

enum { COMMAND_PATIENCE_MS = 30000 };

struct freshet_schemas {
  const freshet_config* config;
  freshet_schema_lookup map;           /* context NULL: registry.ids is not set */
  freshet_registry* registry;          /* NULL: registry.url is not set */
  freshet_registry_subjects* subjects; /* NULL: the same, or no ids are needed for what is written */
};

/* ---- ids for what is written ---- */

/* Asked once for each record and codec. */
static int32_t id_of(void* context, const char* record) {
  const freshet_schemas* schemas = context;
  int32_t id = schemas->map.id_of == NULL ? -1 : schemas->map.id_of(schemas->map.context, record);
  if (id >= 0 || schemas->subjects == NULL) return id;
  return freshet_subjects_id(schemas->config, schemas->subjects, record, &id, NULL) == FRESHET_OK ? id : -1;
}

freshet_status freshet_schemas_check_id(freshet_schemas* schemas, const char* record, freshet_error* error) {
  int32_t id = schemas->map.id_of == NULL ? -1 : schemas->map.id_of(schemas->map.context, record);
  if (id >= 0 || schemas->subjects == NULL) return FRESHET_OK;
  return freshet_subjects_id(schemas->config, schemas->subjects, record, &id, error);
}

static const char* by_id(void* context, int32_t id) {
  const freshet_schema_lookup inner = freshet_registry_lookup(((freshet_schemas*)context)->registry);
  return inner.by_id(inner.context, id);
}

static bool is_pending(void* context, int32_t id) {
  const freshet_schema_lookup inner = freshet_registry_lookup(((freshet_schemas*)context)->registry);
  return inner.is_pending(inner.context, id);
}

static void why_absent(void* context, int32_t id, char* text, size_t size) {
  const freshet_schema_lookup inner = freshet_registry_lookup(((freshet_schemas*)context)->registry);
  inner.why_absent(inner.context, id, text, size);
}

static int32_t id_of_guid(void* context, const uint8_t* guid) {
  const freshet_schema_lookup inner = freshet_registry_lookup(((freshet_schemas*)context)->registry);
  return inner.id_of_guid(inner.context, guid);
}

static uint64_t version(void* context) {
  const freshet_schema_lookup inner = freshet_registry_lookup(((freshet_schemas*)context)->registry);
  return inner.version(inner.context);
}

/* ---- opening ---- */

static freshet_status read_secret(const char* setting, const char* variable, const char** secret,
                                  freshet_error* error) {
  *secret = variable[0] == '\0' ? "" : getenv(variable);
  if (*secret != NULL) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "%s: the environment has no %s", setting,
                           variable);
}

freshet_status freshet_registry_config_of(const freshet_config* config, freshet_registry_config* out,
                                          freshet_error* error) {
  *out = (freshet_registry_config){.urls = config->registry.url,
                                   .ca = config->registry.ca,
                                   .timeout_ms = (uint32_t)config->registry.timeout_ms};
  freshet_status status = read_secret("registry.user_env", config->registry.user_env, &out->user, error);
  if (status == FRESHET_OK)
    status = read_secret("registry.token_env", config->registry.token_env, &out->token, error);
  return status;
}

static freshet_status open_registry(freshet_schemas* schemas, const freshet_schemas_config* given,
                                    freshet_error* error) {
  freshet_registry_config config;
  freshet_status status = freshet_registry_config_of(given->config, &config, error);
  if (status != FRESHET_OK) return status;
  config.folder = given->folder;
  config.fallback = schemas->map;
  config.patience_ms = given->patience_ms;
  config.trouble = given->trouble;
  config.context = given->context;
  if (given->config->registry.framing == FRESHET_FRAMING_CONFLUENT)
    status = freshet_registry_subjects_open(&config, &schemas->subjects, error);
  if (status == FRESHET_OK) status = freshet_registry_create(&config, &schemas->registry, error);
  if (status == FRESHET_OK) status = freshet_registry_start(schemas->registry, error);
  return status;
}

freshet_status freshet_schemas_open(const freshet_schemas_config* given, freshet_schemas** out,
                                    freshet_error* error) {
  freshet_schemas* schemas = calloc(1, sizeof *schemas);
  FRESHET_ASSERT(schemas != NULL);
  schemas->config = given->config;
  freshet_status status = FRESHET_OK;
  if (given->config->registry.ids[0] != '\0')
    status = freshet_schema_map_create(given->config->registry.ids, &schemas->map, error);
  if (status == FRESHET_OK && given->config->registry.url[0] != '\0')
    status = open_registry(schemas, given, error);
  if (status == FRESHET_OK) {
    *out = schemas;
  } else {
    freshet_schemas_close(schemas);
  }
  return status;
}

void freshet_schemas_close(freshet_schemas* schemas) {
  if (schemas == NULL) return;
  freshet_registry_destroy(schemas->registry);
  freshet_registry_subjects_close(schemas->subjects);
  if (schemas->map.context != NULL) freshet_schema_map_destroy(&schemas->map);
  free(schemas);
}

static void print_trouble(void* context, const char* text) {
  fprintf(stderr, "freshet %s: the schema registry does not answer: %s\n", (const char*)context, text);
}

freshet_status freshet_schemas_open_for(const char* command, const freshet_config* config,
                                        freshet_schemas** schemas, freshet_error* error) {
  const freshet_schemas_config given = {.config = config,
                                        .patience_ms = COMMAND_PATIENCE_MS,
                                        .trouble = print_trouble,
                                        .context = (void*)command};
  return freshet_schemas_open(&given, schemas, error);
}

freshet_codec_config freshet_schemas_codec(const freshet_schemas* schemas) {
  const freshet_schema_lookup lookup = {.by_id = by_id,
                                        .id_of = id_of,
                                        .is_pending = is_pending,
                                        .why_absent = why_absent,
                                        .id_of_guid = id_of_guid,
                                        .version = version,
                                        .context = (void*)schemas};
  const freshet_config* config = schemas->config;
  return (freshet_codec_config){
      .schema_folder = config->registry.folder[0] == '\0' ? NULL : config->registry.folder,
      .lookup = schemas->registry == NULL ? schemas->map : lookup,
      .output = (freshet_framing)config->registry.framing,
  };
}
