/*
 * plan_decode.c: the decoding half of plan.h: follows the steps of a plan over bytes that it does not trust.
 * A leaf function returns NULL, or a fixed string that says why the bytes are refused. It owns nothing.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "codec/plan.h"
#include "codec/plan_steps.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "vectors and keys are copied as they are");

enum { SKIP_DEPTH_MAX = 64 }; /* nesting of what is skipped: a recursive schema could nest without end */

typedef struct cursor {
  const uint8_t* at;
  const uint8_t* end;
  size_t elements_left; /* array and map elements that are still allowed: as many as the message has bytes */
  freshet_arena* arena;
  const char* record; /* the field where it failed; NULL while it has not */
  const char* field;
} cursor;

static size_t left(const cursor* c) {
  return (size_t)(c->end - c->at);
}

/* ---- primitive values ---- */

static inline const char* read_long(cursor* c, int64_t* value) {
  uint64_t raw = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (c->at == c->end) return "the bytes end inside a number";
    uint8_t byte = *c->at++;
    if (shift == 63 && byte > 1) return "a number is longer than 64 bits";
    raw |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *value = (int64_t)(raw >> 1 ^ -(raw & 1));
      return NULL;
    }
  }
  return "a number is longer than 64 bits";
}

static inline const char* read_integer(cursor* c, freshet_avro_kind kind, int64_t* value) {
  const char* problem = read_long(c, value);
  if (problem != NULL) return problem;
  bool fits = kind == FRESHET_AVRO_LONG || (*value >= INT32_MIN && *value <= INT32_MAX);
  return fits ? NULL : "an int does not fit 32 bits";
}

static inline const char* read_real(cursor* c, freshet_avro_kind kind, double* value) {
  if (left(c) < (kind == FRESHET_AVRO_FLOAT ? sizeof(float) : sizeof(double))) {
    return "the bytes end inside a number";
  }
  if (kind == FRESHET_AVRO_FLOAT) {
    float narrow;
    memcpy(&narrow, c->at, sizeof narrow);
    c->at += sizeof narrow;
    *value = narrow;
  } else {
    memcpy(value, c->at, sizeof *value);
    c->at += sizeof *value;
  }
  return NULL;
}

static inline const char* read_bytes(cursor* c, freshet_slice* value) {
  int64_t size;
  const char* problem = read_long(c, &size);
  if (problem != NULL) return problem;
  if (size < 0) return "a length is negative";
  if ((uint64_t)size > left(c)) return "a length exceeds the bytes that are left";
  *value = (freshet_slice){(const char*)c->at, (size_t)size};
  c->at += size;
  return NULL;
}

static const char* read_index(cursor* c, const freshet_avro_type* type, size_t* index) {
  int64_t value;
  const char* problem = read_long(c, &value);
  if (problem != NULL) return problem;
  if (value < 0 || (uint64_t)value >= type->count) {
    return type->kind == FRESHET_AVRO_UNION ? "the union has no such branch" : "the enum has no such symbol";
  }
  *index = (size_t)value;
  return NULL;
}

static const char* read_boolean(cursor* c, bool* value) {
  if (c->at == c->end) return "the bytes end before a boolean";
  if (*c->at > 1) return "a boolean is neither 0 nor 1";
  *value = *c->at++ == 1;
  return NULL;
}

/* Reads the head of a block of an array or map. *count 0: the array has ended. *size: the bytes of the block
 * when they are given, else -1. */
static const char* read_block(cursor* c, size_t min_size, size_t* count, int64_t* size) {
  int64_t value;
  const char* problem = read_long(c, &value);
  if (problem != NULL) return problem;
  *size = -1;
  if (value < 0) {
    problem = read_long(c, size);
    if (problem != NULL) return problem;
    if (value == INT64_MIN || *size < 0 || (uint64_t)*size > left(c)) {
      return "a block exceeds the bytes that are left";
    }
    value = -value;
  }
  if ((uint64_t)value > c->elements_left) return "an array has more elements than the message has bytes";
  if (min_size > 0 && (uint64_t)value > left(c) / min_size) {
    return "an array's elements exceed the bytes that are left";
  }
  c->elements_left -= (size_t)value;
  *count = (size_t)value;
  return NULL;
}

/* ---- skipping ---- */

static const char* skip(cursor* c, const freshet_avro_type* type, int depth);

static const char* skip_blocks(cursor* c, const freshet_avro_type* type, int depth) {
  const freshet_avro_type* element = type->branches[0];
  bool keyed = type->kind == FRESHET_AVRO_MAP;
  for (;;) {
    size_t count;
    int64_t size;
    const char* problem = read_block(c, element->min_size + keyed, &count, &size);
    if (problem != NULL || count == 0) return problem;
    if (size >= 0) {
      c->at += size;
      continue;
    }
    for (size_t i = 0; i < count; i++) {
      freshet_slice key;
      if (keyed && (problem = read_bytes(c, &key)) != NULL) return problem;
      if ((problem = skip(c, element, depth)) != NULL) return problem;
    }
  }
}

static const char* skip_size(cursor* c, size_t size) {
  if (size > left(c)) return "the bytes end inside a value";
  c->at += size;
  return NULL;
}

static const char* skip(cursor* c, const freshet_avro_type* type, int depth) {
  if (depth == SKIP_DEPTH_MAX) return "values nest too deeply";
  const char* problem = NULL;
  int64_t number;
  bool flag;
  size_t index;
  freshet_slice bytes;
  switch (type->kind) {
    case FRESHET_AVRO_NULL:
      return NULL;
    case FRESHET_AVRO_BOOLEAN:
      return read_boolean(c, &flag);
    case FRESHET_AVRO_INT:
    case FRESHET_AVRO_LONG:
      return read_integer(c, type->kind, &number);
    case FRESHET_AVRO_FLOAT:
    case FRESHET_AVRO_DOUBLE:
    case FRESHET_AVRO_FIXED:
      return skip_size(c, type->min_size);
    case FRESHET_AVRO_BYTES:
    case FRESHET_AVRO_STRING:
      return read_bytes(c, &bytes);
    case FRESHET_AVRO_ENUM:
      return read_index(c, type, &index);
    case FRESHET_AVRO_ARRAY:
    case FRESHET_AVRO_MAP:
      return skip_blocks(c, type, depth + 1);
    case FRESHET_AVRO_UNION:
      problem = read_index(c, type, &index);
      return problem != NULL ? problem : skip(c, type->branches[index], depth + 1);
    case FRESHET_AVRO_RECORD:
      for (size_t i = 0; problem == NULL && i < type->count; i++) {
        problem = skip(c, type->fields[i].type, depth + 1);
      }
      return problem;
  }
  return NULL;
}

/* ---- storing ---- */

static const char* store_integer(const freshet_step* step, char* out, int64_t value) {
  char* at = out + step->offset;
  switch (step->shape) {
    case FRESHET_SHAPE_I32:
      *(int32_t*)at = (int32_t)value; /* only from an int */
      return NULL;
    case FRESHET_SHAPE_U32:
      if (value < 0 || value > UINT32_MAX) return "a count is out of range";
      *(uint32_t*)at = (uint32_t)value;
      return NULL;
    case FRESHET_SHAPE_I64:
    case FRESHET_SHAPE_U64:
      *(int64_t*)at = value;
      return NULL;
    case FRESHET_SHAPE_F32:
      *(float*)at = (float)value;
      return NULL;
    default:
      *(double*)at = (double)value;
      return NULL;
  }
}

static void store_real(const freshet_step* step, char* out, double value) {
  if (step->shape == FRESHET_SHAPE_F32) {
    *(float*)(out + step->offset) = (float)value; /* only from a float: exact */
  } else {
    *(double*)(out + step->offset) = value;
  }
}

static const char* store_bytes(cursor* c, const freshet_step* step, char* out, freshet_slice bytes) {
  if (step->shape == FRESHET_SHAPE_SLICE) {
    *(freshet_slice*)(out + step->offset) = bytes;
    return NULL;
  }
  size_t width = step->shape == FRESHET_SHAPE_FLOATS ? sizeof(float) : sizeof(uint64_t);
  if (bytes.size % width != 0) return "its length is no whole number of values";
  void* values = NULL;
  if (bytes.size > 0) {
    values = freshet_arena_take(c->arena, bytes.size); /* aligned, which the message is not */
    memcpy(values, bytes.data, bytes.size);
  }
  memcpy(out + step->offset, &values, sizeof values);
  *(size_t*)(out + step->count_offset) = bytes.size / width;
  return NULL;
}

/* ---- steps ---- */

static const char* decode_steps(cursor* c, const freshet_plan* plan, char* out);

static const char* decode_list(cursor* c, const freshet_step* step, char* out) {
  const freshet_plan* element = step->element;
  char* items = NULL;
  size_t count = 0, capacity = 0;
  size_t min_size = step->writer->branches[0]->min_size + (step->kind == FRESHET_AVRO_MAP);
  for (;;) {
    size_t block;
    int64_t block_size;
    const char* problem = read_block(c, min_size, &block, &block_size);
    if (problem != NULL) return problem;
    if (block == 0) break;
    if (count + block > capacity) {
      capacity = count + block > 2 * capacity ? count + block : 2 * capacity;
      char* grown = freshet_arena_take(c->arena, capacity * element->size);
      if (count > 0) memcpy(grown, items, count * element->size);
      items = grown;
    }
    for (size_t i = 0; i < block; i++, count++) {
      problem = decode_steps(c, element, items + count * element->size);
      if (problem != NULL) return problem;
    }
  }
  memcpy(out + step->offset, &items, sizeof items);
  *(size_t*)(out + step->count_offset) = count;
  return NULL;
}

static const char* decode_symbol(cursor* c, const freshet_step* step, char* out) {
  size_t index;
  const char* problem = read_index(c, step->writer, &index);
  if (problem != NULL) return problem;
  if (step->symbols[index] < 0) return "a symbol that our schema does not know";
  *(int*)(out + step->offset) = step->symbols[index];
  return NULL;
}

static const char* decode_step(cursor* c, const freshet_step* step, char* out) {
  if (step->problem != NULL) return step->problem;
  if (step->shape == FRESHET_SHAPE_NONE) return skip(c, step->writer, 0);
  const char* problem = NULL;
  int64_t integer = 0;
  double real = 0;
  size_t index = 0;
  freshet_slice bytes = {0};
  switch (step->kind) {
    case FRESHET_AVRO_BYTES:
    case FRESHET_AVRO_STRING:
      problem = read_bytes(c, &bytes);
      return problem != NULL ? problem : store_bytes(c, step, out, bytes);
    case FRESHET_AVRO_INT:
    case FRESHET_AVRO_LONG:
      problem = read_integer(c, step->kind, &integer);
      return problem != NULL ? problem : store_integer(step, out, integer);
    case FRESHET_AVRO_FLOAT:
    case FRESHET_AVRO_DOUBLE:
      problem = read_real(c, step->kind, &real);
      if (problem == NULL) store_real(step, out, real);
      return problem;
    case FRESHET_AVRO_BOOLEAN:
      return read_boolean(c, (bool*)(out + step->offset));
    case FRESHET_AVRO_ENUM:
      return decode_symbol(c, step, out);
    case FRESHET_AVRO_ARRAY:
    case FRESHET_AVRO_MAP:
      return decode_list(c, step, out);
    case FRESHET_AVRO_UNION:
      problem = read_index(c, step->writer, &index);
      return problem != NULL ? problem : decode_step(c, &step->branches[index], out);
    default: /* null: the default stays */
      return NULL;
  }
}

static const char* decode_steps(cursor* c, const freshet_plan* plan, char* out) {
  memcpy(out, plan->initial, plan->size);
  for (size_t i = 0; i < plan->step_count; i++) {
    const char* problem = decode_step(c, &plan->steps[i], out);
    if (problem != NULL) {
      if (c->field == NULL) {
        c->record = plan->name;
        c->field = plan->steps[i].name;
      }
      return problem;
    }
  }
  return NULL;
}

freshet_status freshet_plan_decode_front(const freshet_plan* plan, freshet_slice* bytes, freshet_arena* arena,
                                         void* out, freshet_error* error) {
  const uint8_t* data = (const uint8_t*)bytes->data;
  cursor c = {.at = data, .end = data + bytes->size, .elements_left = bytes->size, .arena = arena};
  const char* problem = decode_steps(&c, plan, out);
  if (problem != NULL) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "%s.%s: %s (byte %zu of %zu)",
                             c.record, c.field, problem, bytes->size - left(&c), bytes->size);
  }
  *bytes = (freshet_slice){(const char*)c.at, left(&c)};
  return FRESHET_OK;
}

freshet_status freshet_plan_decode(const freshet_plan* plan, freshet_slice bytes, freshet_arena* arena,
                                   void* out, freshet_error* error) {
  freshet_status status = freshet_plan_decode_front(plan, &bytes, arena, out, error);
  if (status != FRESHET_OK || bytes.size == 0) return status;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                           "%s: %zu bytes are left after the value", plan->name, bytes.size);
}
