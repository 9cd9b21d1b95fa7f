/*
 * input_object.c: from a JSON object to fields, as input_object.h says.
 */
#include "commands/input/input_object.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOOKS = 100, PATH_MAX_SIZE = 256, SAFE_DIGITS = 18, NESTED_MAX = 8 };

void freshet_input_object_init(freshet_input_object* object, const freshet_input* input) {
  *object = (freshet_input_object){.input = input};
  for (int f = 0; f < FRESHET_FIELDS; f++) object->names[f] = input->options->map.names[f];
}

void freshet_input_object_free(freshet_input_object* object) {
  for (int f = 0; f < FRESHET_FIELDS; f++) {
    freshet_buffer_free(&object->texts[f]);
    free(object->spelled[f]);
  }
}

void freshet_input_object_mapping(const freshet_input_object* object, freshet_buffer* text) {
  for (int f = 0; f < FRESHET_FIELDS; f++) {
    if (object->found[f]) freshet_input_mapping_add(text, (freshet_field)f, object->names[f]);
  }
}

/* ---- JSON texts ---- */

/* From a byte that begins a number or a bare word to where it ends. */
static size_t token_end(freshet_slice text, size_t at) {
  while (at < text.size && strchr(",]}: \t\r\n\"[{", text.data[at]) == NULL) at++;
  return at;
}

static bool is_odd(freshet_slice token) {
  size_t digits = 0;
  for (size_t i = 0; i < token.size; i++) {
    bool sign = i == 0 && token.data[i] == '-';
    if (!sign && !isdigit((unsigned char)token.data[i])) digits = SIZE_MAX / 2;
    digits += isdigit((unsigned char)token.data[i]) != 0;
  }
  if (digits > SAFE_DIGITS && digits < SIZE_MAX / 2) return true;
  static const char* const words[] = {"NaN", "Infinity", "-Infinity", "nan", "inf", "-inf"};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    if (freshet_slice_equal(token, freshet_slice_of(words[i]))) return true;
  }
  return false;
}

/* Puts quotes around numbers that no integer holds and around words that are no numbers. */
static void quote_odd(freshet_slice text, freshet_buffer* out) {
  for (size_t at = 0; at < text.size;) {
    size_t end = at + 1;
    if (text.data[at] == '"') {
      while (end < text.size && text.data[end] != '"') end += text.data[end] == '\\' ? 2 : 1;
      end = end + 1 > text.size ? text.size : end + 1;
    } else if (isalnum((unsigned char)text.data[at]) || text.data[at] == '-') {
      end = token_end(text, at);
      if (end == at) end = at + 1;
      freshet_slice token = {text.data + at, end - at};
      if (is_odd(token)) {
        freshet_buffer_append(out, "\"", 1);
        freshet_buffer_append(out, token.data, token.size);
        freshet_buffer_append(out, "\"", 1);
        at = end;
        continue;
      }
    }
    freshet_buffer_append(out, text.data + at, end - at);
    at = end;
  }
}

json_t* freshet_json_load(freshet_slice text, json_error_t* problem) {
  const size_t flags = JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES;
  json_t* loaded = json_loadb(text.data, text.size, flags, problem);
  if (loaded != NULL) return loaded;
  freshet_buffer quoted = {0};
  json_error_t again;
  quote_odd(text, &quoted);
  loaded = json_loadb((const char*)quoted.data, quoted.size, flags, &again);
  freshet_buffer_free(&quoted);
  return loaded;
}

/* ---- names ---- */

/* A key, or the steps of a path: keys of objects and places in arrays, with points between. */
static json_t* find_path(json_t* from, freshet_slice path) {
  char step[PATH_MAX_SIZE];
  json_t* whole = json_is_object(from) ? json_object_getn(from, path.data, path.size) : NULL;
  if (whole != NULL) return whole;
  while (from != NULL && path.size > 0) {
    const char* point = memchr(path.data, '.', path.size);
    size_t size = point == NULL ? path.size : (size_t)(point - path.data);
    if (size >= sizeof step) return NULL;
    memcpy(step, path.data, size);
    step[size] = '\0';
    if (json_is_array(from)) {
      char* end;
      unsigned long place = strtoul(step, &end, 10);
      from = *end == '\0' && size > 0 ? json_array_get(from, place) : NULL;
    } else {
      from = json_object_get(from, step);
    }
    size += point != NULL;
    path = (freshet_slice){path.data + size, path.size - size};
  }
  return from;
}

/* The key that has the name of a field best, in the way this record spells it. */
static json_t* find_like(freshet_input_object* object, json_t* from, freshet_field field) {
  int best = 0;
  const char* key;
  json_t *value, *found = NULL;
  json_object_foreach(from, key, value) {
    int match = freshet_input_map_match(&object->input->options->map, field, freshet_slice_of(key));
    if (match <= best) continue;
    best = match;
    found = value;
    /* The key lives in the object: the name is kept as a text of its own. */
    object->texts[field].size = 0;
    freshet_buffer_append(&object->texts[field], key, strlen(key) + 1);
  }
  return found;
}

static json_t* find_value(freshet_input_object* object, json_t* from, freshet_field field) {
  json_t* value = find_path(from, object->names[field]);
  if (value != NULL) object->found[field] = true;
  if (value != NULL || object->found[field] || object->looked > LOOKS) return value;
  value = find_like(object, from, field);
  if (value == NULL) return NULL;
  object->found[field] = true;
  object->spelled[field] = strdup((const char*)object->texts[field].data);
  FRESHET_ASSERT(object->spelled[field] != NULL);
  object->names[field] = freshet_slice_of(object->spelled[field]);
  return value;
}

/* ---- values ---- */

/* {"$oid": x}, {"$date": x}, {"$numberLong": x}, ...: MongoDB's extended JSON names a type and holds a value. */
static json_t* unwrap(json_t* value) {
  for (int depth = 0; depth < NESTED_MAX && json_is_object(value) && json_object_size(value) == 1; depth++) {
    void* only = json_object_iter(value);
    if (json_object_iter_key(only)[0] != '$') break;
    value = json_object_iter_value(only);
  }
  return value;
}

static void append_real(double real, freshet_buffer* out) {
  char number[40];
  snprintf(number, sizeof number, "%.15g", real);
  if (strtod(number, NULL) != real) snprintf(number, sizeof number, "%.17g", real);
  freshet_buffer_append(out, number, strlen(number));
}

/* Appends a text or number; false: it is neither. */
static bool append_scalar(json_t* value, bool flags, freshet_buffer* out) {
  char number[32];
  value = unwrap(value);
  switch (json_typeof(value)) {
    case JSON_STRING:
      freshet_buffer_append(out, json_string_value(value), json_string_length(value));
      return true;
    case JSON_INTEGER:
      snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
      freshet_buffer_append(out, number, strlen(number));
      return true;
    case JSON_REAL:
      append_real(json_real_value(value), out);
      return true;
    case JSON_TRUE:
    case JSON_FALSE:
      if (flags)
        freshet_buffer_append(out, json_is_true(value) ? "true" : "false", json_is_true(value) ? 4 : 5);
      return flags;
    case JSON_NULL:
      return true;
    default:
      return false;
  }
}

/* A list mark in a text would be taken for the end of a part: another control character takes its place, which
 * validation refuses. */
static void drop_marks(freshet_buffer* out, size_t from) {
  for (size_t i = from; i < out->size; i++) {
    if (out->data[i] == FRESHET_LIST_PART || out->data[i] == FRESHET_LIST_VALUE) out->data[i] = 1;
  }
}

static const char* kind_of(const json_t* value) {
  if (json_is_object(value)) return "an object";
  if (json_is_array(value)) return "an array";
  return json_is_boolean(value) ? "true or false" : "another value";
}

static freshet_status refuse(freshet_field field, const json_t* value, freshet_error* error) {
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                           "%s is %s, where a text or number belongs", freshet_field_names[field],
                           kind_of(value));
}

/* The texts of an array, with something between. */
static bool join(json_t* array, const char* between, freshet_buffer* out) {
  size_t i;
  json_t* element;
  size_t began = out->size;
  json_array_foreach(array, i, element) {
    if (json_is_null(element)) continue;
    if (out->size > began) freshet_buffer_append(out, between, strlen(between));
    if (!append_scalar(element, false, out)) return false;
  }
  return true;
}

/* What names an element that is an object: {"id": 16, "name": "Animation"}. */
static json_t* name_of(json_t* element) {
  static const char* const keys[] = {"name", "title", "label", "value", "id"};
  for (size_t i = 0; json_is_object(element) && i < sizeof keys / sizeof keys[0]; i++) {
    json_t* value = json_object_get(element, keys[i]);
    if (json_is_string(value) || json_is_integer(value)) return value;
  }
  return element;
}

static bool list(json_t* array, int depth, freshet_buffer* out) {
  size_t i;
  json_t* element;
  char part = FRESHET_LIST_PART;
  json_array_foreach(array, i, element) {
    element = name_of(element);
    if (json_is_null(element)) continue;
    if (json_is_array(element)) {
      if (depth >= NESTED_MAX || !list(element, depth + 1, out)) return false;
      continue;
    }
    freshet_buffer_append(out, &part, 1);
    size_t began = out->size;
    if (!append_scalar(element, false, out)) return false;
    drop_marks(out, began);
  }
  return true;
}

/* {"lvl0": "Home", "lvl1": "Home > Kitchen"}: the values without their names. */
static bool values_of(json_t* object, freshet_buffer* out) {
  const char* key;
  json_t* value;
  json_t* array = json_array();
  FRESHET_ASSERT(array != NULL);
  json_object_foreach(object, key, value) json_array_append(array, value);
  bool fine = list(array, 0, out);
  json_decref(array);
  return fine;
}

/* Pairs of an object; those of an object inside have both names, with a point between. */
static bool pairs(json_t* from, freshet_slice prefix, int depth, freshet_buffer* out) {
  const char* key;
  json_t* value;
  char part = FRESHET_LIST_PART, equals = FRESHET_LIST_VALUE;
  json_object_foreach(from, key, value) {
    if (json_is_null(value)) continue;
    freshet_buffer name = {0};
    freshet_buffer_append(&name, prefix.data, prefix.size);
    freshet_buffer_append(&name, key, strlen(key));
    bool fine = true;
    if (json_is_object(value)) {
      freshet_buffer_append(&name, ".", 1);
      fine = depth < NESTED_MAX && pairs(value, freshet_buffer_slice(&name), depth + 1, out);
    } else {
      freshet_buffer_append(out, &part, 1);
      freshet_buffer_append(out, name.data, name.size);
      freshet_buffer_append(out, &equals, 1);
      size_t began = out->size;
      fine = json_is_array(value) ? join(value, ", ", out) : append_scalar(value, true, out);
      drop_marks(out, began);
    }
    freshet_buffer_free(&name);
    if (!fine) return false;
  }
  return true;
}

bool freshet_input_object_pairs(json_t* object, freshet_buffer* out) {
  return pairs(object, (freshet_slice){0}, 0, out);
}

static bool append_value(freshet_field field, json_t* value, freshet_buffer* out) {
  bool is_text = field == FRESHET_FIELD_TITLE || field == FRESHET_FIELD_TEXT;
  if (json_is_array(value) && is_text) return join(value, " ", out);
  if (field == FRESHET_FIELD_CATEGORIES && json_is_object(name_of(value))) return values_of(value, out);
  if (field == FRESHET_FIELD_CATEGORIES) value = name_of(value);
  if (json_is_array(value) && field == FRESHET_FIELD_CATEGORIES) return list(value, 0, out);
  if (json_is_array(value) && field == FRESHET_FIELD_VECTOR) return join(value, " ", out);
  if (json_is_object(value) && field == FRESHET_FIELD_ATTRIBUTES)
    return freshet_input_object_pairs(value, out);
  return append_scalar(value, field == FRESHET_FIELD_AVAILABLE, out);
}

static freshet_status read_field(freshet_input_object* object, json_t* value, freshet_field field,
                                 freshet_input_record* record, freshet_error* error) {
  value = unwrap(value);
  if (json_is_string(value)) { /* as it is, without a copy */
    record->fields[field] = (freshet_slice){json_string_value(value), json_string_length(value)};
    return FRESHET_OK;
  }
  freshet_buffer* text = &object->texts[field];
  text->size = 0;
  if (!append_value(field, value, text)) return refuse(field, value, error);
  record->fields[field] = freshet_buffer_slice(text);
  return FRESHET_OK;
}

freshet_status freshet_input_object_read(freshet_input_object* object, json_t* from,
                                         freshet_input_record* record, freshet_error* error) {
  json_t* values[FRESHET_FIELDS];
  memset(record->fields, 0, sizeof record->fields);
  record->decoded = false;
  record->present = 0;
  for (int f = 0; f < FRESHET_FIELDS; f++) {
    values[f] = find_value(object, from, (freshet_field)f);
    record->present |= (uint32_t)(values[f] != NULL) << f;
  }
  object->looked += object->looked <= LOOKS;
  freshet_input_expect expect = object->input->expect;
  bool has_user =
      values[FRESHET_FIELD_USER_ID] != NULL || object->input->options->set[FRESHET_FIELD_USER_ID].size > 0;
  record->is_event = expect == FRESHET_INPUT_ANY ? has_user : expect == FRESHET_INPUT_EVENTS;
  freshet_status first = FRESHET_OK;
  for (int f = 0; f < FRESHET_FIELDS; f++) { /* the other fields are read too, for the file of errors */
    bool belongs = record->is_event ? freshet_field_is_of_events((freshet_field)f)
                                    : freshet_field_is_of_items((freshet_field)f);
    if (!belongs || values[f] == NULL) continue;
    freshet_status status = read_field(object, values[f], (freshet_field)f, record, error);
    if (first == FRESHET_OK) first = status;
  }
  return first;
}
