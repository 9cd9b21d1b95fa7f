/*
 * plan.h: how the bytes of one writer's schema become one of our structs, worked out once per pair of
 * schemas.
 *
 * A layout says which field of the reader's schema (ours) lies where in the struct. Resolving a writer's
 * schema against ours gives a plan: one step per field of the writer, in the writer's order, and the struct
 * as it is before the first step, with the default of every field. What the writer lacks therefore keeps its
 * default, and what we lack is skipped; there is no other case. The plan of our schema against itself also
 * drives the encoder.
 *
 * Decoding trusts nothing: every length and count is held against the bytes that are left before anything is
 * allocated, numbers have at most ten bytes, nesting is bounded, and no message may hold more array elements
 * than bytes (this stops giant counts of elements that take no bytes).
 *
 * Source: Apache Avro 1.11 specification, "Binary Encoding", "Schema Resolution". One addition: a null where
 * our field is not nullable but has a default, means the default.
 */
#ifndef FRESHET_CODEC_PLAN_H
#define FRESHET_CODEC_PLAN_H

#include "codec/schema.h"

typedef enum freshet_shape {
  FRESHET_SHAPE_NONE = 0, /* not stored: skipped */
  FRESHET_SHAPE_BOOL,     /* bool */
  FRESHET_SHAPE_I32,      /* int32_t */
  FRESHET_SHAPE_U32,      /* uint32_t, from a long within its range */
  FRESHET_SHAPE_I64,      /* int64_t */
  FRESHET_SHAPE_U64,      /* uint64_t, as two's complement in a long */
  FRESHET_SHAPE_F32,      /* float */
  FRESHET_SHAPE_F64,      /* double */
  FRESHET_SHAPE_SYMBOL,   /* an enum of C as int: the index in our schema */
  FRESHET_SHAPE_SLICE,    /* freshet_slice: string or bytes */
  FRESHET_SHAPE_FLOATS,   /* const float* and a size_t count, from little-endian bytes; NULL when empty */
  FRESHET_SHAPE_KEYS,     /* const uint64_t* and a size_t count, the same */
  FRESHET_SHAPE_LIST,     /* const element* and a size_t count; of a map, whose elements are key and value */
} freshet_shape;

typedef struct freshet_layout freshet_layout;

typedef struct freshet_layout_field {
  const char* name; /* in our schema */
  freshet_shape shape;
  size_t offset;
  size_t count_offset;           /* FLOATS, KEYS, LIST */
  const freshet_layout* element; /* LIST */
} freshet_layout_field;

/* A struct. A layout with one field without a name is a bare value: the elements of an array of strings. */
struct freshet_layout {
  size_t size;
  size_t field_count;
  const freshet_layout_field* fields;
};

typedef struct freshet_plan freshet_plan;

/* Resolves `writer` against `reader`, one of our schemas, whose struct is `layout`. The plan lives in `arena`
 * and points into both schemas, which must outlive it. Errors: FRESHET_INVALID, verdict FRESHET_STOP, with
 * the field and the reason, when the writer's values cannot be read as ours. A reader's schema that does not
 * fit its layout is a bug. */
freshet_status freshet_plan_resolve(const freshet_avro_type* writer, const freshet_avro_type* reader,
                                    const freshet_layout* layout, freshet_arena* arena,
                                    const freshet_plan** plan, freshet_error* error);

/* Decodes all of `bytes` into `out`. Slices of `out` point into `bytes`, arrays into `arena`. Errors:
 * FRESHET_INVALID, verdict FRESHET_DEAD_LETTER, with the field, reason and place. */
freshet_status freshet_plan_decode(const freshet_plan* plan, freshet_slice bytes, freshet_arena* arena,
                                   void* out, freshet_error* error);

/* The same for a value off the front of *bytes, where others follow. */
freshet_status freshet_plan_decode_front(const freshet_plan* plan, freshet_slice* bytes, freshet_arena* arena,
                                         void* out, freshet_error* error);

/* Appends the struct `in` as bytes. Only for a plan of a schema against itself. Errors: FRESHET_INVALID,
 * verdict FRESHET_STOP, for an enum that is out of range; part of the value may have been appended then. */
freshet_status freshet_plan_encode(const freshet_plan* plan, const void* in, freshet_buffer* out,
                                   freshet_error* error);

#endif
