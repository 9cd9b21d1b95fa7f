/*
 * schema.c: parses an Avro schema from its JSON into a tree, and makes its canonical form and its
 * fingerprint. It owns the tree. It must not know our records.
 */
#include "codec/schema.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Nesting of types in a schema: real ones stay under ten, and everything here recurses. */
enum { SCHEMA_DEPTH_MAX = 64, NAME_SIZE_MAX = 1024 };

typedef struct parser {
  freshet_avro_schema* schema;
  size_t named_capacity;
  int depth;
  freshet_error* error;
} parser;

static const char* const primitive_names[] = {"null",  "boolean", "int",   "long",
                                              "float", "double",  "bytes", "string"};
static const size_t primitive_min_sizes[] = {0, 1, 1, 1, 4, 8, 1, 1};
enum { PRIMITIVES = sizeof primitive_names / sizeof primitive_names[0] };

static bool is_primitive(freshet_avro_kind kind) {
  return (int)kind < PRIMITIVES;
}

static const freshet_avro_type* parse_type(parser* p, const json_t* json, const char* namespace);

static const void* refuse(parser* p, const char* what, const char* where) {
  freshet_error_set(p->error, FRESHET_INVALID, FRESHET_STOP, "not an Avro schema: %s%s%s", what,
                    where == NULL ? "" : " ", where == NULL ? "" : where);
  return NULL;
}

/* ---- names ---- */

const char* freshet_avro_short_name(const char* name) {
  const char* dot = strrchr(name, '.');
  return dot == NULL ? name : dot + 1;
}

/* [A-Za-z_][A-Za-z0-9_]*, with dots between such parts when dots are allowed. */
static bool is_name(const char* text, bool dots) {
  bool start = true;
  for (const unsigned char* c = (const unsigned char*)text; *c != '\0'; c++) {
    if (*c == '.' && dots && !start) {
      start = true;
    } else if (*c == '_' || (*c < 0x80 && isalpha(*c)) || (!start && *c < 0x80 && isdigit(*c))) {
      start = false;
    } else {
      return false;
    }
  }
  return !start && strlen(text) <= NAME_SIZE_MAX;
}

/* namespace + "." + name, or the name alone when it has a namespace already or there is none. */
static const char* full_name(parser* p, const char* namespace, const char* name) {
  if (namespace[0] == '\0' || strchr(name, '.') != NULL) {
    return freshet_arena_copy(&p->schema->arena, name, strlen(name));
  }
  size_t size = strlen(namespace) + 1 + strlen(name);
  char* full = freshet_arena_take(&p->schema->arena, size + 1);
  snprintf(full, size + 1, "%s.%s", namespace, name);
  return full;
}

static const char* namespace_of(parser* p, const char* full) {
  const char* dot = strrchr(full, '.');
  return dot == NULL ? "" : freshet_arena_copy(&p->schema->arena, full, (size_t)(dot - full));
}

static const freshet_avro_type* find_named(const parser* p, const char* full) {
  for (size_t i = 0; i < p->schema->named_count; i++) {
    if (strcmp(p->schema->named[i]->name, full) == 0) return p->schema->named[i];
  }
  return NULL;
}

static freshet_avro_type* new_type(parser* p, freshet_avro_kind kind, const json_t* json) {
  freshet_avro_type* type = freshet_arena_take_zero(&p->schema->arena, sizeof *type);
  type->kind = kind;
  type->json = json;
  return type;
}

/* Registers the type under the name in its JSON before its parts are parsed, since they may refer to it. */
static freshet_avro_type* new_named(parser* p, freshet_avro_kind kind, const json_t* json,
                                    const char* namespace) {
  const char* name = json_string_value(json_object_get(json, "name"));
  if (name == NULL || !is_name(name, true)) {
    refuse(p, "a named type needs a \"name\" of letters, digits and _:", name);
    return NULL;
  }
  const char* own = json_string_value(json_object_get(json, "namespace"));
  if (own != NULL && own[0] != '\0' && !is_name(own, true)) {
    refuse(p, "bad namespace", own);
    return NULL;
  }
  freshet_avro_type* type = new_type(p, kind, json);
  type->name = full_name(p, own == NULL ? namespace : own, name);
  if (find_named(p, type->name) != NULL) {
    refuse(p, "defined twice:", type->name);
    return NULL;
  }
  freshet_avro_schema* schema = p->schema;
  if (schema->named_count == p->named_capacity) {
    size_t capacity = p->named_capacity == 0 ? 8 : 2 * p->named_capacity;
    const freshet_avro_type** named = freshet_arena_take(&schema->arena, capacity * sizeof *named);
    if (schema->named_count > 0) memcpy(named, schema->named, schema->named_count * sizeof *named);
    schema->named = named;
    p->named_capacity = capacity;
  }
  schema->named[schema->named_count++] = type;
  return type;
}

/* ---- types ---- */

static size_t add_sizes(size_t a, size_t b) {
  return a > SIZE_MAX / 4 || b > SIZE_MAX / 4 ? SIZE_MAX / 4 : a + b;
}

/* The fewest bytes of a value. A record that refers to itself counts as 0 inside, since it is not measured
 * yet: a lower bound. */
static size_t least_size(const freshet_avro_type* type) {
  if (is_primitive(type->kind)) return primitive_min_sizes[type->kind];
  if (type->kind == FRESHET_AVRO_FIXED) return type->size;
  if (type->kind == FRESHET_AVRO_RECORD) {
    size_t sum = 0;
    for (size_t i = 0; i < type->count; i++) sum = add_sizes(sum, type->fields[i].type->min_size);
    return sum;
  }
  if (type->kind == FRESHET_AVRO_UNION) {
    size_t least = SIZE_MAX / 4;
    for (size_t i = 0; i < type->count; i++) {
      if (type->branches[i]->min_size < least) least = type->branches[i]->min_size;
    }
    return 1 + least;
  }
  return 1; /* an enum's index; the end of an array or a map */
}

static const freshet_avro_type* finish(freshet_avro_type* type) {
  type->min_size = least_size(type);
  return type;
}

static const freshet_avro_type* parse_reference(parser* p, const char* name, const char* namespace) {
  for (int i = 0; i < PRIMITIVES; i++) {
    if (strcmp(name, primitive_names[i]) == 0) return finish(new_type(p, (freshet_avro_kind)i, NULL));
  }
  const freshet_avro_type* type = is_name(name, true) ? find_named(p, full_name(p, namespace, name)) : NULL;
  return type != NULL ? type : refuse(p, "unknown type", name);
}

static const freshet_avro_type* parse_union(parser* p, const json_t* json, const char* namespace) {
  freshet_avro_type* type = new_type(p, FRESHET_AVRO_UNION, NULL);
  type->count = json_array_size(json);
  if (type->count == 0) return refuse(p, "a union without branches", NULL);
  type->branches = freshet_arena_take(&p->schema->arena, type->count * sizeof *type->branches);
  for (size_t i = 0; i < type->count; i++) {
    type->branches[i] = parse_type(p, json_array_get(json, i), namespace);
    if (type->branches[i] == NULL) return NULL;
    if (type->branches[i]->kind == FRESHET_AVRO_UNION) return refuse(p, "a union directly in a union", NULL);
  }
  return finish(type);
}

static const freshet_avro_type* parse_container(parser* p, freshet_avro_kind kind, const json_t* json,
                                                const char* namespace) {
  const char* key = kind == FRESHET_AVRO_ARRAY ? "items" : "values";
  freshet_avro_type* type = new_type(p, kind, NULL);
  type->count = 1;
  type->branches = freshet_arena_take(&p->schema->arena, sizeof *type->branches);
  type->branches[0] = parse_type(p, json_object_get(json, key), namespace);
  return type->branches[0] == NULL ? NULL : finish(type);
}

static const freshet_avro_type* parse_record(parser* p, const json_t* json, const char* namespace) {
  freshet_avro_type* type = new_named(p, FRESHET_AVRO_RECORD, json, namespace);
  if (type == NULL) return NULL;
  const json_t* fields = json_object_get(json, "fields");
  if (!json_is_array(fields)) return refuse(p, "no \"fields\" in record", type->name);
  const char* inner = namespace_of(p, type->name);
  type->count = json_array_size(fields);
  type->fields = freshet_arena_take(&p->schema->arena, type->count * sizeof *type->fields);
  for (size_t i = 0; i < type->count; i++) {
    const json_t* field = json_array_get(fields, i);
    const char* name = json_string_value(json_object_get(field, "name"));
    if (name == NULL || !is_name(name, false)) return refuse(p, "a field without a name in", type->name);
    for (size_t j = 0; j < i; j++) {
      if (strcmp(type->fields[j].name, name) == 0) return refuse(p, "two fields named", name);
    }
    const freshet_avro_type* field_type = parse_type(p, json_object_get(field, "type"), inner);
    if (field_type == NULL) return NULL;
    type->fields[i] = (freshet_avro_field){.name = name, .type = field_type, .json = field};
  }
  return finish(type);
}

static const freshet_avro_type* parse_enum(parser* p, const json_t* json, const char* namespace) {
  freshet_avro_type* type = new_named(p, FRESHET_AVRO_ENUM, json, namespace);
  if (type == NULL) return NULL;
  const json_t* symbols = json_object_get(json, "symbols");
  type->count = json_array_size(symbols);
  if (type->count == 0) return refuse(p, "no \"symbols\" in enum", type->name);
  type->symbols = freshet_arena_take(&p->schema->arena, type->count * sizeof *type->symbols);
  for (size_t i = 0; i < type->count; i++) {
    type->symbols[i] = json_string_value(json_array_get(symbols, i));
    if (type->symbols[i] == NULL || !is_name(type->symbols[i], false)) {
      return refuse(p, "a bad symbol in enum", type->name);
    }
  }
  return finish(type);
}

static const freshet_avro_type* parse_fixed(parser* p, const json_t* json, const char* namespace) {
  freshet_avro_type* type = new_named(p, FRESHET_AVRO_FIXED, json, namespace);
  if (type == NULL) return NULL;
  json_int_t size = json_integer_value(json_object_get(json, "size"));
  if (size < 0 || size > INT32_MAX) return refuse(p, "a bad \"size\" in", type->name);
  type->size = (size_t)size;
  return finish(type);
}

static const freshet_avro_type* parse_object(parser* p, const json_t* json, const char* namespace) {
  const json_t* type = json_object_get(json, "type");
  const char* word = json_string_value(type);
  if (word == NULL) return parse_type(p, type, namespace);
  if (strcmp(word, "record") == 0) return parse_record(p, json, namespace);
  if (strcmp(word, "enum") == 0) return parse_enum(p, json, namespace);
  if (strcmp(word, "fixed") == 0) return parse_fixed(p, json, namespace);
  if (strcmp(word, "array") == 0) return parse_container(p, FRESHET_AVRO_ARRAY, json, namespace);
  if (strcmp(word, "map") == 0) return parse_container(p, FRESHET_AVRO_MAP, json, namespace);
  return parse_reference(p, word, namespace);
}

static const freshet_avro_type* parse_type(parser* p, const json_t* json, const char* namespace) {
  if (p->depth == SCHEMA_DEPTH_MAX) return refuse(p, "nested too deeply", NULL);
  p->depth++;
  const freshet_avro_type* type = NULL;
  if (json_is_string(json)) {
    type = parse_reference(p, json_string_value(json), namespace);
  } else if (json_is_array(json)) {
    type = parse_union(p, json, namespace);
  } else if (json_is_object(json)) {
    type = parse_object(p, json, namespace);
  } else {
    refuse(p, "a type is missing", NULL);
  }
  p->depth--;
  return type;
}

freshet_status freshet_avro_schema_parse(const char* json, freshet_avro_schema** schema,
                                         freshet_error* error) {
  *schema = NULL;
  json_error_t problem;
  json_t* parsed = json_loads(json, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
  if (parsed == NULL) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "not JSON: %s (line %d)", problem.text,
                             problem.line);
  }
  freshet_avro_schema* made = calloc(1, sizeof *made);
  FRESHET_ASSERT(made != NULL);
  made->json = parsed;
  parser p = {.schema = made, .error = error};
  made->root = parse_type(&p, parsed, "");
  if (made->root == NULL) {
    freshet_avro_schema_destroy(made);
    return FRESHET_INVALID;
  }
  *schema = made;
  return FRESHET_OK;
}

void freshet_avro_schema_destroy(freshet_avro_schema* schema) {
  if (schema == NULL) return;
  json_decref(schema->json);
  freshet_arena_free(&schema->arena);
  free(schema);
}

/* ---- canonical form and fingerprint ---- */

static void put(freshet_buffer* out, const char* text) {
  freshet_buffer_append(out, text, strlen(text));
}

static void put_quoted(freshet_buffer* out, const char* text) {
  put(out, "\"");
  put(out, text); /* names, symbols and keywords need no escape in JSON */
  put(out, "\"");
}

/* True at the first visit: the definition is written there, and only the name later. */
static bool is_first_visit(const freshet_avro_schema* schema, bool* visited, const freshet_avro_type* type) {
  size_t i = 0;
  while (schema->named[i] != type) i++;
  bool first = !visited[i];
  visited[i] = true;
  return first;
}

static void put_type(const freshet_avro_schema* schema, bool* visited, const freshet_avro_type* type,
                     freshet_buffer* out);

static void put_definition(const freshet_avro_schema* schema, bool* visited, const freshet_avro_type* type,
                           freshet_buffer* out) {
  put(out, "{\"name\":");
  put_quoted(out, type->name);
  if (type->kind == FRESHET_AVRO_RECORD) {
    put(out, ",\"type\":\"record\",\"fields\":[");
    for (size_t i = 0; i < type->count; i++) {
      put(out, i == 0 ? "{\"name\":" : ",{\"name\":");
      put_quoted(out, type->fields[i].name);
      put(out, ",\"type\":");
      put_type(schema, visited, type->fields[i].type, out);
      put(out, "}");
    }
    put(out, "]}");
  } else if (type->kind == FRESHET_AVRO_ENUM) {
    put(out, ",\"type\":\"enum\",\"symbols\":[");
    for (size_t i = 0; i < type->count; i++) {
      if (i > 0) put(out, ",");
      put_quoted(out, type->symbols[i]);
    }
    put(out, "]}");
  } else {
    char number[64];
    snprintf(number, sizeof number, ",\"type\":\"fixed\",\"size\":%zu}", type->size);
    put(out, number);
  }
}

static void put_type(const freshet_avro_schema* schema, bool* visited, const freshet_avro_type* type,
                     freshet_buffer* out) {
  if (is_primitive(type->kind)) {
    put_quoted(out, primitive_names[type->kind]);
  } else if (type->kind == FRESHET_AVRO_UNION) {
    put(out, "[");
    for (size_t i = 0; i < type->count; i++) {
      if (i > 0) put(out, ",");
      put_type(schema, visited, type->branches[i], out);
    }
    put(out, "]");
  } else if (type->kind == FRESHET_AVRO_ARRAY || type->kind == FRESHET_AVRO_MAP) {
    put(out, type->kind == FRESHET_AVRO_ARRAY ? "{\"type\":\"array\",\"items\":"
                                              : "{\"type\":\"map\",\"values\":");
    put_type(schema, visited, type->branches[0], out);
    put(out, "}");
  } else if (is_first_visit(schema, visited, type)) {
    put_definition(schema, visited, type, out);
  } else {
    put_quoted(out, type->name);
  }
}

void freshet_avro_canonical_form(const freshet_avro_schema* schema, freshet_buffer* out) {
  bool* visited = calloc(schema->named_count + 1, sizeof *visited);
  FRESHET_ASSERT(visited != NULL);
  put_type(schema, visited, schema->root, out);
  free(visited);
}

uint64_t freshet_avro_crc64(const void* bytes, size_t size) {
  static const uint64_t empty = 0xc15d213aa4d7a795u; /* also the polynomial */
  uint64_t fingerprint = empty;
  for (size_t i = 0; i < size; i++) {
    fingerprint ^= ((const uint8_t*)bytes)[i];
    for (int bit = 0; bit < 8; bit++) fingerprint = fingerprint >> 1 ^ (empty & -(fingerprint & 1));
  }
  return fingerprint;
}

uint64_t freshet_avro_fingerprint(const freshet_avro_schema* schema) {
  freshet_buffer form = {0};
  freshet_avro_canonical_form(schema, &form);
  uint64_t fingerprint = freshet_avro_crc64(form.data, form.size);
  freshet_buffer_free(&form);
  return fingerprint;
}
