/*
 * input_avro_schema.c: the tree of an Avro schema, for input_avro_schema.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "commands/input/input_avro_schema.h"

#include "commands/input/input_avro_node.h"

enum { NODES_MAX = 100 * 1000 };

/* ---- the tree ---- */

static node* add_node(freshet_lake_schema* schema, kind k) {
  if (schema->node_count == NODES_MAX) return NULL;
  if ((schema->node_count & (schema->node_count - 1)) == 0) {
    size_t capacity = schema->node_count == 0 ? 1 : 2 * schema->node_count;
    schema->nodes = realloc(schema->nodes, capacity * sizeof *schema->nodes);
    FRESHET_ASSERT(schema->nodes != NULL);
  }
  node* added = calloc(1, sizeof *added);
  FRESHET_ASSERT(added != NULL);
  added->kind = k;
  schema->nodes[schema->node_count++] = added;
  return added;
}

static const char* last_part(const char* name) {
  const char* point = strrchr(name, '.');
  return point == NULL ? name : point + 1;
}

static node* find_named(const freshet_lake_schema* schema, const char* name) {
  for (size_t i = schema->node_count; i > 0; i--) { /* the full name first */
    node* n = schema->nodes[i - 1];
    if (n->name != NULL && strcmp(n->name, name) == 0) return n;
  }
  for (size_t i = schema->node_count; i > 0; i--) {
    node* n = schema->nodes[i - 1];
    if (n->name != NULL && strcmp(last_part(n->name), last_part(name)) == 0) return n;
  }
  return NULL;
}

static const char* text_of(const json_t* object, const char* key) {
  const char* text = json_string_value(json_object_get(object, key));
  return text == NULL ? "" : text;
}

static logical logical_of(const json_t* json, kind k) {
  static const struct {
    const char* name;
    logical logical;
  } times[] = {{"timestamp-millis", MILLIS},       {"timestamp-micros", MICROS},
               {"timestamp-nanos", NANOS},         {"local-timestamp-millis", MILLIS},
               {"local-timestamp-micros", MICROS}, {"local-timestamp-nanos", NANOS}};
  const char* name = text_of(json, "logicalType");
  const char* connect = text_of(json, "connect.name"); /* Kafka Connect's own names */
  if (k == INT && (strcmp(name, "date") == 0 || strcmp(connect, "org.apache.kafka.connect.data.Date") == 0))
    return DATE;
  if (k == LONG && strcmp(connect, "org.apache.kafka.connect.data.Timestamp") == 0) return MILLIS;
  for (size_t i = 0; k == LONG && i < sizeof times / sizeof times[0]; i++) {
    if (strcmp(times[i].name, name) == 0) return times[i].logical;
  }
  return (k == BYTES || k == FIXED) && strcmp(name, "decimal") == 0 ? DECIMAL : NONE;
}

static node* build(freshet_lake_schema* schema, const json_t* json, int depth);

static bool allocate_children(node* parent, size_t count) {
  parent->count = count;
  parent->children = calloc(count + 1, sizeof *parent->children);
  parent->names = calloc(count + 1, sizeof *parent->names);
  FRESHET_ASSERT(parent->children != NULL && parent->names != NULL);
  return true;
}

static bool build_fields(freshet_lake_schema* schema, node* record, const json_t* fields, int depth) {
  if (!json_is_array(fields)) return false;
  allocate_children(record, json_array_size(fields));
  for (size_t i = 0; i < record->count; i++) {
    const json_t* field = json_array_get(fields, i);
    const json_t* type = json_object_get(field, "type");
    record->names[i] = strdup(text_of(field, "name"));
    FRESHET_ASSERT(record->names[i] != NULL);
    record->children[i] = build(schema, type, depth + 1);
    if (record->children[i] == NULL) return false;
    /* Some writers put the logical type beside the type. */
    node* child = record->children[i];
    logical beside = child->logical == NONE && json_is_string(type) ? logical_of(field, child->kind) : NONE;
    if (beside != NONE) child->logical = beside;
  }
  return true;
}

static bool build_symbols(node* n, const json_t* symbols) {
  if (!json_is_array(symbols)) return false;
  allocate_children(n, json_array_size(symbols));
  for (size_t i = 0; i < n->count; i++) {
    const char* symbol = json_string_value(json_array_get(symbols, i));
    if (symbol == NULL) return false;
    n->names[i] = strdup(symbol);
    FRESHET_ASSERT(n->names[i] != NULL);
  }
  return true;
}

static bool build_children(freshet_lake_schema* schema, node* n, const json_t* json, int depth) {
  const json_t* size = json_object_get(json, "size");
  switch (n->kind) {
    case RECORD:
      return build_fields(schema, n, json_object_get(json, "fields"), depth);
    case ENUM:
      return build_symbols(n, json_object_get(json, "symbols"));
    case ARRAY:
    case MAP:
      allocate_children(n, 1);
      n->children[0] = build(schema, json_object_get(json, n->kind == ARRAY ? "items" : "values"), depth + 1);
      return n->children[0] != NULL;
    case FIXED:
      n->size = json_integer_value(size);
      return json_is_integer(size) && n->size >= 0 && n->size < INT32_MAX;
    default:
      return true;
  }
}

static node* build_union(freshet_lake_schema* schema, const json_t* branches, int depth) {
  node* n = add_node(schema, UNION);
  if (n == NULL) return NULL;
  allocate_children(n, json_array_size(branches));
  for (size_t i = 0; i < n->count; i++) {
    n->children[i] = build(schema, json_array_get(branches, i), depth + 1);
    if (n->children[i] == NULL) return NULL;
  }
  return n;
}

static bool kind_of(const char* type, kind* k) {
  static const char* const kinds[] = {"null",   "boolean", "int",  "long",  "float", "double", "bytes",
                                      "string", "record",  "enum", "array", "map",   "union",  "fixed"};
  for (int i = 0; i < (int)(sizeof kinds / sizeof kinds[0]); i++) {
    *k = (kind)i;
    if (i != UNION && strcmp(kinds[i], type) == 0) return true;
  }
  *k = RECORD;
  return strcmp(type, "error") == 0;
}

static void name_node(node* n, const json_t* json) {
  const char *name = text_of(json, "name"), *space = text_of(json, "namespace");
  bool is_full = strchr(name, '.') != NULL || *space == '\0';
  size_t size = strlen(name) + strlen(space) + 2;
  n->name = malloc(size);
  FRESHET_ASSERT(n->name != NULL);
  snprintf(n->name, size, "%s%s%s", is_full ? "" : space, is_full ? "" : ".", name);
}

/* NULL: no schema. */
static node* build(freshet_lake_schema* schema, const json_t* json, int depth) {
  if (depth > FRESHET_LAKE_DEPTH_MAX) return NULL;
  if (json_is_array(json)) return build_union(schema, json, depth);
  const json_t* type = json_is_object(json) ? json_object_get(json, "type") : json;
  if (json_is_object(type) || json_is_array(type)) return build(schema, type, depth + 1);
  const char* word = json_string_value(type);
  kind k;
  if (word == NULL) return NULL;
  if (!kind_of(word, &k)) return find_named(schema, word);
  node* n = add_node(schema, k);
  if (n == NULL) return NULL;
  if (k == RECORD || k == ENUM || k == FIXED) {
    if (!json_is_object(json)) return NULL;
    name_node(n, json);
  }
  if (json_is_object(json)) n->logical = logical_of(json, k);
  n->scale = json_integer_value(json_object_get(json, "scale"));
  if (n->scale < 0 || n->scale > 30) n->scale = 0;
  return build_children(schema, n, json, depth) ? n : NULL;
}

freshet_status freshet_lake_schema_create(freshet_slice json, freshet_lake_schema** out,
                                          freshet_error* error) {
  freshet_lake_schema* schema = calloc(1, sizeof *schema);
  FRESHET_ASSERT(schema != NULL);
  json_t* loaded = json_loadb(json.data, json.size, 0, NULL);
  schema->root = loaded == NULL ? NULL : build(schema, loaded, 0);
  json_decref(loaded);
  if (schema->root == NULL || schema->root->kind != RECORD) {
    bool is_schema = schema->root != NULL;
    freshet_lake_schema_destroy(schema);
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "its schema %s",
                             is_schema ? "is not of a record" : "cannot be read");
  }
  *out = schema;
  return FRESHET_OK;
}

void freshet_lake_schema_destroy(freshet_lake_schema* schema) {
  if (schema == NULL) return;
  for (size_t i = 0; i < schema->node_count; i++) {
    node* n = schema->nodes[i];
    for (size_t c = 0; c < n->count && n->names != NULL; c++) free(n->names[c]);
    free(n->names);
    free(n->children);
    free(n->name);
    free(n);
  }
  free(schema->nodes);
  free(schema);
}

const char* freshet_lake_schema_name(const freshet_lake_schema* schema) {
  return last_part(schema->root->name);
}

void freshet_lake_schema_fields(const freshet_lake_schema* schema, freshet_buffer* out) {
  for (size_t i = 0; i < schema->root->count; i++) {
    if (i > 0) freshet_buffer_append(out, ", ", 2);
    freshet_buffer_append(out, schema->root->names[i], strlen(schema->root->names[i]));
  }
}

bool freshet_lake_schema_has(const freshet_lake_schema* schema, freshet_slice path) {
  const char* point = path.size == 0 ? NULL : memchr(path.data, '.', path.size);
  if (point != NULL) path.size = (size_t)(point - path.data);
  for (size_t i = 0; i < schema->root->count; i++) {
    if (freshet_slice_equal(freshet_slice_of(schema->root->names[i]), path)) return true;
  }
  return false;
}

void freshet_lake_schema_set_vector(freshet_lake_schema* schema, freshet_slice name) {
  for (size_t i = 0; i < schema->root->count; i++) {
    if (!freshet_slice_equal(freshet_slice_of(schema->root->names[i]), name)) continue;
    node* n = schema->root->children[i];
    if (n->kind == BYTES) n->logical = VECTOR;
    for (size_t b = 0; n->kind == UNION && b < n->count; b++) {
      if (n->children[b]->kind == BYTES) n->children[b]->logical = VECTOR;
    }
  }
}

void freshet_lake_schema_set_raw_times(freshet_lake_schema* schema) {
  schema->raw_times = true;
}
