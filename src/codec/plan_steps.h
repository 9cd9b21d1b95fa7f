/*
 * plan_steps.h: what a plan is made of. Shared by the three halves of plan.h (resolve, decode, encode) and
 * seen by nobody else.
 */
#ifndef FRESHET_CODEC_PLAN_STEPS_H
#define FRESHET_CODEC_PLAN_STEPS_H

#include "codec/plan.h"

/* One value of the writer. */
typedef struct freshet_step {
  freshet_avro_kind kind;              /* what its bytes are */
  freshet_shape shape;                 /* where it goes; FRESHET_SHAPE_NONE: it is skipped */
  size_t offset;                       /* in the struct */
  size_t count_offset;                 /* FLOATS, KEYS, LIST */
  const char* name;                    /* of the field, for messages */
  const char* problem;                 /* why this branch of a union cannot be read, or NULL */
  const freshet_avro_type* writer;     /* what is skipped, and the least size of elements */
  const int* symbols;                  /* ENUM: [writer->count] index in our schema, -1: none */
  const freshet_plan* element;         /* ARRAY, MAP */
  const struct freshet_step* branches; /* UNION: [writer->count] */
} freshet_step;

struct freshet_plan {
  const char* name;    /* of the record in our schema; "element" for a bare value */
  size_t size;         /* of the struct */
  const void* initial; /* [size] the struct before the first step: every default */
  size_t step_count;
  const freshet_step* steps; /* [step_count] in the writer's order */
};

#endif
