/*
 * plan_encode.c: the encoding half of plan.h: follows the steps of a plan from a struct to bytes. The
 * structs are ours and were checked before, so a fault in them is a bug.
 */
#include <stdbool.h>
#include <string.h>

#include "codec/plan.h"
#include "codec/plan_steps.h"

enum { VARINT_SIZE_MAX = 10 };

static inline uint8_t* room(freshet_buffer* out, size_t extra) {
  if (out->capacity - out->size >= extra) return out->data + out->size;
  return freshet_buffer_reserve(out, extra);
}

static void put_long(freshet_buffer* out, int64_t value) {
  uint8_t* start = room(out, VARINT_SIZE_MAX);
  uint8_t* at = start;
  uint64_t raw = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
  while (raw >= 0x80) {
    *at++ = (uint8_t)(raw | 0x80);
    raw >>= 7;
  }
  *at++ = (uint8_t)raw;
  out->size += (size_t)(at - start);
}

static void put_raw(freshet_buffer* out, const void* bytes, size_t size) {
  uint8_t* at = room(out, size);
  if (size > 0) memcpy(at, bytes, size);
  out->size += size;
}

static void put_bytes(freshet_buffer* out, const void* bytes, size_t size) {
  put_long(out, (int64_t)size);
  put_raw(out, bytes, size);
}

/* Reads a pointer of any type, in the way that the C standard allows. */
static const void* pointer_at(const char* at) {
  const void* pointer;
  memcpy(&pointer, at, sizeof pointer);
  return pointer;
}

/* Whether a nullable field is written as null. */
static bool is_absent(const freshet_step* step, const char* in) {
  if (step->shape == FRESHET_SHAPE_SLICE) return ((const freshet_slice*)(in + step->offset))->size == 0;
  if (step->shape == FRESHET_SHAPE_FLOATS) return *(const size_t*)(in + step->count_offset) == 0;
  FRESHET_ASSERT(step->shape == FRESHET_SHAPE_I64);
  return *(const int64_t*)(in + step->offset) == 0;
}

/* Returns the first step whose value cannot be written, or NULL. */
static const freshet_step* encode_steps(const freshet_plan* plan, const char* in, freshet_buffer* out);

static const freshet_step* encode_list(const freshet_step* step, const char* in, freshet_buffer* out) {
  const char* items = pointer_at(in + step->offset);
  size_t count = *(const size_t*)(in + step->count_offset);
  if (count > 0) put_long(out, (int64_t)count);
  for (size_t i = 0; i < count; i++) {
    const freshet_step* bad = encode_steps(step->element, items + i * step->element->size, out);
    if (bad != NULL) return bad;
  }
  put_long(out, 0);
  return NULL;
}

static const freshet_step* encode_step(const freshet_step* step, const char* in, freshet_buffer* out) {
  const char* at = in + step->offset;
  const float* floats;
  if (step->kind == FRESHET_AVRO_UNION) { /* null or the value, in this order: plan_build.c asserts it */
    bool absent = is_absent(step, in);
    put_long(out, !absent);
    return absent ? NULL : encode_step(&step->branches[1], in, out);
  }
  switch (step->shape) {
    case FRESHET_SHAPE_BOOL:
      put_raw(out, *(const bool*)at ? "\1" : "\0", 1);
      return NULL;
    case FRESHET_SHAPE_I32:
      put_long(out, *(const int32_t*)at);
      return NULL;
    case FRESHET_SHAPE_U32:
      put_long(out, *(const uint32_t*)at);
      return NULL;
    case FRESHET_SHAPE_I64:
    case FRESHET_SHAPE_U64:
      put_long(out, *(const int64_t*)at);
      return NULL;
    case FRESHET_SHAPE_F32:
      put_raw(out, at, sizeof(float));
      return NULL;
    case FRESHET_SHAPE_F64:
      put_raw(out, at, sizeof(double));
      return NULL;
    case FRESHET_SHAPE_SYMBOL: {
      int symbol = *(const int*)at;
      if (symbol < 0 || (size_t)symbol >= step->writer->count) return step;
      put_long(out, symbol);
      return NULL;
    }
    case FRESHET_SHAPE_SLICE:
      put_bytes(out, ((const freshet_slice*)at)->data, ((const freshet_slice*)at)->size);
      return NULL;
    case FRESHET_SHAPE_FLOATS: /* NULL stands for zeros, which are left out */
      floats = pointer_at(at);
      put_bytes(out, floats, floats == NULL ? 0 : *(const size_t*)(in + step->count_offset) * sizeof(float));
      return NULL;
    case FRESHET_SHAPE_KEYS:
      put_bytes(out, pointer_at(at), *(const size_t*)(in + step->count_offset) * sizeof(uint64_t));
      return NULL;
    case FRESHET_SHAPE_LIST:
      return encode_list(step, in, out);
    case FRESHET_SHAPE_NONE:
      break;
  }
  return step;
}

static const freshet_step* encode_steps(const freshet_plan* plan, const char* in, freshet_buffer* out) {
  for (size_t i = 0; i < plan->step_count; i++) {
    const freshet_step* bad = encode_step(&plan->steps[i], in, out);
    if (bad != NULL) return bad;
  }
  return NULL;
}

freshet_status freshet_plan_encode(const freshet_plan* plan, const void* in, freshet_buffer* out,
                                   freshet_error* error) {
  const freshet_step* bad = encode_steps(plan, in, out);
  if (bad == NULL) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: field %s is out of range", plan->name,
                           bad->name);
}
