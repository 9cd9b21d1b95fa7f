/*
 * registry_subjects.c: see registry_subjects.h. It owns the connection. Source: Confluent's Schema Registry API,
 * /subjects and /compatibility.
 */
#include "codec/registry_subjects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/registry_client.h"

enum { PATH_SIZE = 1024, NO_SUBJECT = 40401, NO_VERSION = 40402, NO_SCHEMA = 40403 };

struct freshet_registry_subjects {
  freshet_registry_client* client;
};

freshet_status freshet_registry_subjects_open(const freshet_registry_config* config,
                                              freshet_registry_subjects** out, freshet_error* error) {
  freshet_registry_subjects* subjects = calloc(1, sizeof *subjects);
  FRESHET_ASSERT(subjects != NULL);
  freshet_status status = freshet_registry_client_create(config, &subjects->client, error);
  if (status == FRESHET_OK) {
    *out = subjects;
  } else {
    free(subjects);
  }
  return status;
}

void freshet_registry_subjects_close(freshet_registry_subjects* subjects) {
  if (subjects == NULL) return;
  freshet_registry_client_destroy(subjects->client);
  free(subjects);
}

/* What a registry wants to be told of a schema; the caller frees. */
static char* body_of(const freshet_subject_schema* schema) {
  json_t* references = json_array();
  for (size_t i = 0; i < schema->reference_count; i++) {
    const freshet_subject_reference* r = &schema->references[i];
    json_array_append_new(references, json_pack("{s:s, s:s, s:i}", "name", r->name, "subject", r->subject,
                                                "version", (int)r->version));
  }
  size_t size = strlen(
      schema->schema); /* clients send it without the last newline, and some registries compare bytes */
  while (size > 0 && (schema->schema[size - 1] == '\n' || schema->schema[size - 1] == ' ')) size--;
  json_t* root = json_pack("{s:s%, s:s, s:o}", "schema", schema->schema, size, "schemaType", "AVRO",
                           "references", references);
  char* text = json_dumps(root, JSON_COMPACT);
  FRESHET_ASSERT(text != NULL);
  json_decref(root);
  return text;
}

static bool is_missing(const freshet_registry_answer* answer) {
  return answer->status == 404 && (answer->error_code == NO_SUBJECT || answer->error_code == NO_VERSION ||
                                   answer->error_code == NO_SCHEMA || answer->error_code == 404);
}

/* Asks, and turns refusals into errors. On FRESHET_OK the caller releases *answer. */
static freshet_status ask(freshet_registry_subjects* subjects, const char* subject, const char* path,
                          const char* body, json_t** answer, freshet_error* error) {
  char why[FRESHET_REGISTRY_WHY_SIZE] = "";
  freshet_registry_answer got;
  if (!freshet_registry_client_ask(subjects->client, path, body, &got, why))
    return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "schema registry: %s", why);
  if (got.status == 200) {
    *answer = got.json;
    return FRESHET_OK;
  }
  const char* message = json_string_value(json_object_get(got.json, "message"));
  freshet_status status =
      freshet_error_set(error, is_missing(&got) ? FRESHET_NOT_FOUND : FRESHET_CONFLICT, FRESHET_STOP,
                        "schema registry, subject %s: %.300s (HTTP %ld, error code %lld)", subject,
                        message == NULL ? "refused" : message, got.status, (long long)got.error_code);
  json_decref(got.json);
  return status;
}

static freshet_status ask_about(freshet_registry_subjects* subjects, const freshet_subject_schema* schema,
                                const char* path, json_t** answer, freshet_error* error) {
  char* body = body_of(schema);
  freshet_status status = ask(subjects, schema->subject, path, body, answer, error);
  free(body);
  return status;
}

freshet_status freshet_registry_subjects_register(freshet_registry_subjects* subjects,
                                                  const freshet_subject_schema* schema, int32_t* id,
                                                  freshet_error* error) {
  char path[PATH_SIZE];
  json_t* answer = NULL;
  freshet_registry_subject_path(schema->subject, path, sizeof path - 16);
  strcat(path, "/versions");
  freshet_status status = ask_about(subjects, schema, path, &answer, error);
  if (status != FRESHET_OK) return status;
  *id = (int32_t)json_integer_value(json_object_get(answer, "id"));
  json_decref(answer);
  return FRESHET_OK;
}

freshet_status freshet_registry_subjects_find(freshet_registry_subjects* subjects,
                                              const freshet_subject_schema* schema, int32_t* id,
                                              int32_t* version, freshet_error* error) {
  char path[PATH_SIZE];
  json_t* answer = NULL;
  freshet_registry_subject_path(schema->subject, path, sizeof path);
  freshet_status status = ask_about(subjects, schema, path, &answer, error);
  if (status != FRESHET_OK) return status;
  *id = (int32_t)json_integer_value(json_object_get(answer, "id"));
  *version = (int32_t)json_integer_value(json_object_get(answer, "version"));
  json_decref(answer);
  return FRESHET_OK;
}

freshet_status freshet_registry_subjects_latest(freshet_registry_subjects* subjects, const char* subject,
                                                char** json, int32_t* version, freshet_error* error) {
  char path[PATH_SIZE], why[FRESHET_REGISTRY_WHY_SIZE] = "";
  json_t* answer = NULL;
  freshet_registry_subject_path(subject, path, sizeof path - 32);
  strcat(path, "/versions/latest");
  freshet_status status = ask(subjects, subject, path, NULL, &answer, error);
  if (status != FRESHET_OK) return status;
  *version = (int32_t)json_integer_value(json_object_get(answer, "version"));
  *json = freshet_registry_schema_of(subjects->client, answer, why, NULL);
  json_decref(answer);
  if (*json != NULL) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "schema registry, subject %s: %s",
                           subject, why);
}

freshet_status freshet_registry_subjects_compare(freshet_registry_subjects* subjects,
                                                 const freshet_subject_schema* schema, freshet_error* error) {
  char path[PATH_SIZE], tail[PATH_SIZE];
  json_t* answer = NULL;
  freshet_registry_subject_path(schema->subject, tail, sizeof tail - 64);
  snprintf(path, sizeof path, "/compatibility%.900s/versions/latest?verbose=true", tail);
  freshet_status status = ask_about(subjects, schema, path, &answer, error);
  if (status != FRESHET_OK) return status;
  if (!json_is_true(json_object_get(answer, "is_compatible"))) {
    char* messages = json_dumps(json_object_get(answer, "messages"), JSON_COMPACT | JSON_ENCODE_ANY);
    status =
        freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                          "schema registry, subject %s: not compatible with the newest version%s%.300s",
                          schema->subject, messages == NULL ? "" : ": ", messages == NULL ? "" : messages);
    free(messages);
  }
  json_decref(answer);
  return status;
}
