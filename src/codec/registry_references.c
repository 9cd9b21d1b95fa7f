/*
 * registry_references.c: makes one text of a schema and of what it refers to in other subjects. A type that is known by
 * name only is replaced, where it comes first, by its definition. Owns what it fetches during the call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/registry_client.h"

enum { REFERENCES_MAX = 64, DEPTH_MAX = 8, PATH_SIZE = 1024, NESTING_MAX = 64 };

typedef struct reference {
  char* name;         /* of the type, in full */
  json_t* definition; /* NULL: it is in the text already */
} reference;

typedef struct resolving {
  freshet_registry_client* client;
  reference list[REFERENCES_MAX];
  size_t count;
  char* why;
  bool is_final; /* the registry has answered, and what it says will not do */
} resolving;

static bool fail(resolving* r, const char* what, const char* name) {
  r->is_final = true;
  snprintf(r->why, FRESHET_REGISTRY_WHY_SIZE, "%s %.120s", what, name == NULL ? "(without a name)" : name);
  return false;
}

static const reference* find(const resolving* r, const char* name) {
  for (size_t i = 0; i < r->count; i++) {
    if (strcmp(r->list[i].name, name) == 0) return &r->list[i];
  }
  return NULL;
}

/* ---- fetching ---- */

static bool fetch_all(resolving* r, const json_t* answer, int depth);

static bool fetch(resolving* r, const json_t* entry, int depth) {
  char path[PATH_SIZE];
  const char* name = json_string_value(json_object_get(entry, "name"));
  const char* subject = json_string_value(json_object_get(entry, "subject"));
  const json_int_t version = json_integer_value(json_object_get(entry, "version"));
  freshet_registry_answer answer;
  if (name == NULL || subject == NULL) return fail(r, "a reference without name or subject:", name);
  if (find(r, name) != NULL) return true;
  if (r->count == REFERENCES_MAX || depth == DEPTH_MAX) return fail(r, "too many references at", name);
  freshet_registry_subject_path(subject, path, sizeof path);
  size_t size = strlen(path);
  snprintf(path + size, sizeof path - size, "/versions/%lld", (long long)version);
  if (!freshet_registry_client_ask(r->client, path, NULL, &answer, r->why)) return false;
  const char* text = json_string_value(json_object_get(answer.json, "schema"));
  json_t* definition = text == NULL ? NULL : json_loads(text, JSON_DECODE_ANY, NULL);
  bool fine = definition != NULL && fetch_all(r, answer.json, depth + 1);
  if (definition == NULL) {
    fail(r, "the registry has no schema for the reference", name);
    r->is_final = answer.status == 200 || answer.status == 404; /* a right may be missing, too */
  }
  if (fine && r->count == REFERENCES_MAX) fine = fail(r, "too many references at", name);
  if (fine) {
    r->list[r->count++] = (reference){strdup(name), definition};
  } else {
    json_decref(definition);
  }
  json_decref(answer.json);
  return fine;
}

static bool fetch_all(resolving* r, const json_t* answer, int depth) {
  const json_t* references = json_object_get(answer, "references");
  bool fine = true;
  for (size_t i = 0; fine && i < json_array_size(references); i++)
    fine = fetch(r, json_array_get(references, i), depth);
  return fine;
}

/* ---- putting in ---- */

static const char* short_name(const char* name) {
  const char* dot = strrchr(name, '.');
  return dot == NULL ? name : dot + 1;
}

/* The definition that a type's name stands for; taken from the list, since it is put in only once. */
static json_t* take_definition(resolving* r, const char* name) {
  for (size_t i = 0; i < r->count; i++) {
    const char* known = strchr(name, '.') == NULL ? short_name(r->list[i].name) : r->list[i].name;
    if (r->list[i].definition == NULL || strcmp(known, name) != 0) continue;
    json_t* definition = r->list[i].definition;
    r->list[i].definition = NULL;
    return definition;
  }
  return NULL;
}

/* A new reference to the type, with definitions put in. */
static json_t* put_in(resolving* r, json_t* type, int nesting) {
  static const char* const inner[] = {"type", "items", "values"};
  size_t i;
  json_t* element;
  if (nesting > NESTING_MAX) return json_incref(type);
  if (json_is_string(type)) {
    json_t* definition = take_definition(r, json_string_value(type));
    if (definition == NULL) return json_incref(type);
    json_t* result = put_in(r, definition, nesting + 1);
    json_decref(definition);
    return result;
  }
  if (json_is_array(type)) {
    json_array_foreach(type, i, element) json_array_set_new(type, i, put_in(r, element, nesting + 1));
  }
  if (json_is_object(type)) {
    for (i = 0; i < sizeof inner / sizeof inner[0]; i++) {
      element = json_object_get(type, inner[i]);
      if (element != NULL) json_object_set_new(type, inner[i], put_in(r, element, nesting + 1));
    }
    json_t* fields = json_object_get(type, "fields");
    json_array_foreach(fields, i, element) {
      json_t* of_field = json_object_get(element, "type");
      if (of_field != NULL) json_object_set_new(element, "type", put_in(r, of_field, nesting + 1));
    }
  }
  return json_incref(type);
}

char* freshet_registry_schema_of(freshet_registry_client* client, const json_t* answer,
                                 char why[FRESHET_REGISTRY_WHY_SIZE], bool* is_final) {
  const char* schema = json_string_value(json_object_get(answer, "schema"));
  const char* type = json_string_value(json_object_get(answer, "schemaType"));
  char* text = NULL;
  if (schema == NULL) {
    snprintf(why, FRESHET_REGISTRY_WHY_SIZE, "the answer holds no schema");
    return NULL;
  }
  if (type != NULL && strcmp(type, "AVRO") != 0) {
    FRESHET_ASSERT(asprintf(&text, "a schema of type %s, not Avro", type) >=
                   0); /* refused when it is parsed */
    return text;
  }
  json_t* root = NULL;
  resolving r = {.client = client, .why = why};
  if (is_final != NULL) *is_final = false;
  if (json_array_size(json_object_get(answer, "references")) > 0)
    root = json_loads(schema, JSON_DECODE_ANY, NULL);
  if (root == NULL) {
    text = strdup(schema);
  } else if (fetch_all(&r, answer, 0)) {
    json_t* whole = put_in(&r, root, 0);
    text = json_dumps(whole, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(whole);
  }
  if (is_final != NULL) *is_final = text == NULL && r.is_final;
  json_decref(root);
  for (size_t i = 0; i < r.count; i++) {
    free(r.list[i].name);
    json_decref(r.list[i].definition);
  }
  return text;
}
