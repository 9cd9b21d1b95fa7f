/*
 * input_avro_value.c: a record of Avro's binary form as a JSON object, for input_avro_schema.h. Every length is checked
 * against the bytes that are there.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands/input/input_avro_node.h"
#include "commands/input/input_avro_schema.h"
#include "commands/input/input_time.h"

enum {
  ELEMENTS_MAX = 1000 * 1000, /* of all arrays and maps of one record */
  DECIMAL_BYTES = 15,
};

typedef struct walk {
  const freshet_lake_schema* schema;
  freshet_slice* bytes;
  size_t elements;
} walk;

bool freshet_lake_long(freshet_slice* bytes, int64_t* value) {
  uint64_t bits = 0;
  for (int shift = 0; shift < 64 && bytes->size > 0; shift += 7) {
    uint8_t byte = (uint8_t)*bytes->data;
    bytes->data++;
    bytes->size--;
    bits |= (uint64_t)(byte & 0x7f) << shift;
    if ((byte & 0x80) != 0) continue;
    *value = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
    return true;
  }
  return false;
}

static bool take(walk* w, int64_t size, freshet_slice* taken) {
  if (size < 0 || (uint64_t)size > w->bytes->size) return false;
  *taken = (freshet_slice){w->bytes->data, (size_t)size};
  w->bytes->data += size;
  w->bytes->size -= (size_t)size;
  return true;
}

static bool take_sized(walk* w, freshet_slice* taken) {
  int64_t size;
  return freshet_lake_long(w->bytes, &size) && take(w, size, taken);
}

static json_t* hexadecimal(freshet_slice bytes) {
  freshet_buffer text = {0};
  for (size_t i = 0; i < bytes.size; i++) {
    char pair[2] = {"0123456789abcdef"[(uint8_t)bytes.data[i] >> 4], "0123456789abcdef"[bytes.data[i] & 15]};
    freshet_buffer_append(&text, pair, 2);
  }
  json_t* string = json_stringn(text.size == 0 ? "" : (const char*)text.data, text.size);
  freshet_buffer_free(&text);
  return string;
}

static json_t* text_value(freshet_slice bytes) {
  if (!freshet_slice_is_utf8(bytes)) return hexadecimal(bytes);
  return json_stringn_nocheck(bytes.size == 0 ? "" : bytes.data, bytes.size);
}

/* A number in two's complement, the highest byte first, with so many digits behind the point. */
static json_t* decimal(freshet_slice bytes, int64_t scale) {
  char digits[64], text[80];
  if (bytes.size == 0 || bytes.size > DECIMAL_BYTES) return hexadecimal(bytes);
  __int128 number = (int8_t)bytes.data[0] < 0 ? -1 : 0;
  for (size_t i = 0; i < bytes.size; i++) number = number * 256 + (uint8_t)bytes.data[i];
  bool negative = number < 0;
  if (negative) number = -number;
  int size = 0;
  do {
    digits[size++] = (char)('0' + (int)(number % 10));
    number /= 10;
  } while (number > 0 || size <= scale);
  int at = 0;
  if (negative) text[at++] = '-';
  for (int i = size; i > 0; i--) {
    if (i == scale) text[at++] = '.';
    text[at++] = digits[i - 1];
  }
  return json_stringn(text, (size_t)at);
}

static json_t* time_value(int64_t value, int64_t per_s) {
  int64_t seconds = value / per_s - (value % per_s < 0), rest = value - seconds * per_s;
  char whole[FRESHET_TIME_TEXT_SIZE], text[FRESHET_TIME_TEXT_SIZE + 16];
  if (seconds < -62135596800 || seconds > 253402300799) return json_integer(value); /* the years 1 to 9999 */
  freshet_time_text(seconds * 1000, whole);
  size_t size = strlen(whole) - 1; /* without the Z */
  int digits = per_s == 1000 ? 3 : per_s == 1000 * 1000 ? 6 : 9;
  snprintf(text, sizeof text, "%.*s.%0*" PRId64 "Z", (int)size, whole, digits, rest);
  if (rest == 0) snprintf(text, sizeof text, "%.*sZ", (int)size, whole);
  return json_string(text);
}

static json_t* real_value(double real) {
  if (isfinite(real)) return json_real(real);
  return json_string(isnan(real) ? "NaN" : "Infinity");
}

static json_t* vector_value(freshet_slice bytes) {
  json_t* numbers = json_array();
  for (size_t i = 0; i + 4 <= bytes.size; i += 4) {
    float number;
    memcpy(&number, bytes.data + i, 4);
    json_array_append_new(numbers, real_value((double)number));
  }
  if (bytes.size % 4 != 0) json_array_append_new(numbers, json_string("half a number"));
  return numbers;
}

static json_t* integer_value(const walk* w, logical l, int64_t value) {
  if (w->schema->raw_times || l == NONE) return json_integer(value);
  char text[FRESHET_TIME_TEXT_SIZE];
  switch (l) {
    case DATE:
      if (value < -700000 || value > 2900000) return json_integer(value);
      freshet_time_text(value * 86400000, text);
      return json_stringn(text, 10);
    case MILLIS:
      return time_value(value, 1000);
    case MICROS:
      return time_value(value, 1000 * 1000);
    default:
      return time_value(value, 1000 * 1000 * 1000);
  }
}

static json_t* read_value(walk* w, const node* n, int depth);

static json_t* read_record(walk* w, const node* n, int depth) {
  json_t* object = json_object();
  for (size_t i = 0; i < n->count; i++) {
    json_t* value = read_value(w, n->children[i], depth + 1);
    if (value == NULL) {
      json_decref(object);
      return NULL;
    }
    json_object_set_new_nocheck(object, n->names[i], value);
  }
  return object;
}

/* One element of an array or map, put into the result. */
static bool read_element(walk* w, const node* n, int depth, json_t* result) {
  freshet_slice key = {0};
  if (++w->elements > ELEMENTS_MAX || (n->kind == MAP && !take_sized(w, &key))) return false;
  json_t* value = read_value(w, n->children[0], depth + 1);
  if (value == NULL) return false;
  if (n->kind == ARRAY) return json_array_append_new(result, value) == 0;
  json_t* name = text_value(key);
  bool put = json_object_set_new(result, json_string_value(name), value) == 0;
  json_decref(name);
  return put;
}

static json_t* read_blocks(walk* w, const node* n, int depth) {
  json_t* result = n->kind == ARRAY ? json_array() : json_object();
  for (;;) {
    int64_t count, size;
    bool fine = freshet_lake_long(w->bytes, &count) && count > -ELEMENTS_MAX &&
                (count >= 0 || freshet_lake_long(w->bytes, &size));
    if (fine && count == 0) return result;
    if (count < 0) count = -count;
    for (int64_t i = 0; fine && i < count; i++) fine = read_element(w, n, depth, result);
    if (fine) continue;
    json_decref(result);
    return NULL;
  }
}

static json_t* read_chosen(walk* w, const node* n, int depth) {
  int64_t chosen;
  if (!freshet_lake_long(w->bytes, &chosen) || chosen < 0 || (uint64_t)chosen >= n->count) return NULL;
  if (n->kind == ENUM) return json_string(n->names[chosen]);
  return read_value(w, n->children[chosen], depth + 1);
}

static json_t* read_bytes(walk* w, const node* n) {
  freshet_slice bytes;
  if (!(n->kind == FIXED ? take(w, n->size, &bytes) : take_sized(w, &bytes))) return NULL;
  if (n->logical == DECIMAL) return decimal(bytes, n->scale);
  if (n->logical == VECTOR) return vector_value(bytes);
  return n->kind == FIXED ? hexadecimal(bytes) : text_value(bytes);
}

static json_t* read_real(walk* w, bool is_float) {
  freshet_slice bytes;
  float small;
  double large;
  if (!take(w, is_float ? 4 : 8, &bytes)) return NULL;
  memcpy(is_float ? (void*)&small : (void*)&large, bytes.data, bytes.size);
  if (!is_float) return real_value(large);
  char text[32]; /* the shortest text of the float, so that 4.2 stays 4.2 */
  snprintf(text, sizeof text, "%.7g", (double)small);
  if (strtof(text, NULL) != small) snprintf(text, sizeof text, "%.9g", (double)small);
  return real_value(strtod(text, NULL));
}

/* NULL: the bytes are not of the schema. */
static json_t* read_value(walk* w, const node* n, int depth) {
  freshet_slice bytes;
  int64_t value;
  if (depth > FRESHET_LAKE_DEPTH_MAX) return NULL;
  switch (n->kind) {
    case NUL:
      return json_null();
    case BOOLEAN:
      return take(w, 1, &bytes) ? json_boolean(*bytes.data != 0) : NULL;
    case INT:
    case LONG:
      return freshet_lake_long(w->bytes, &value) ? integer_value(w, n->logical, value) : NULL;
    case FLOAT:
    case DOUBLE:
      return read_real(w, n->kind == FLOAT);
    case BYTES:
    case STRING:
    case FIXED:
      return read_bytes(w, n);
    case RECORD:
      return read_record(w, n, depth);
    case ENUM:
    case UNION:
      return read_chosen(w, n, depth);
    case ARRAY:
    case MAP:
      return read_blocks(w, n, depth);
  }
  return NULL;
}

json_t* freshet_lake_record(const freshet_lake_schema* schema, freshet_slice* bytes) {
  walk w = {.schema = schema, .bytes = bytes};
  return read_value(&w, schema->root, 0);
}
