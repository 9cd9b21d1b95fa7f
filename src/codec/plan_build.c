/*
 * plan_build.c: The resolving half of plan.h: a writer's schema and ours become the steps of a plan, once for each pair. What
 * cannot be read is found here, before the first byte.
 */
#include "codec/plan.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "codec/plan_steps.h"

#define KIND(name) (1u << FRESHET_AVRO_##name)

/* The writer's kinds that each of our kinds can be read from (Schema Resolution: promotions). */
static const unsigned readable_from[] = {
    [FRESHET_AVRO_BOOLEAN] = KIND(BOOLEAN),
    [FRESHET_AVRO_INT] = KIND(INT),
    [FRESHET_AVRO_LONG] = KIND(INT) | KIND(LONG),
    [FRESHET_AVRO_FLOAT] = KIND(INT) | KIND(LONG) | KIND(FLOAT),
    [FRESHET_AVRO_DOUBLE] = KIND(INT) | KIND(LONG) | KIND(FLOAT) | KIND(DOUBLE),
    [FRESHET_AVRO_BYTES] = KIND(BYTES) | KIND(STRING),
    [FRESHET_AVRO_STRING] = KIND(BYTES) | KIND(STRING),
    [FRESHET_AVRO_ENUM] = KIND(ENUM),
    [FRESHET_AVRO_ARRAY] = KIND(ARRAY),
    [FRESHET_AVRO_MAP] = KIND(MAP),
};

/* Our kinds that each shape can hold. */
static const unsigned held_by[] = {
    [FRESHET_SHAPE_BOOL] = KIND(BOOLEAN), [FRESHET_SHAPE_I32] = KIND(INT),
    [FRESHET_SHAPE_U32] = KIND(LONG),     [FRESHET_SHAPE_I64] = KIND(LONG),
    [FRESHET_SHAPE_U64] = KIND(LONG),     [FRESHET_SHAPE_F32] = KIND(FLOAT),
    [FRESHET_SHAPE_F64] = KIND(DOUBLE),   [FRESHET_SHAPE_SYMBOL] = KIND(ENUM),
    [FRESHET_SHAPE_FLOATS] = KIND(BYTES), [FRESHET_SHAPE_SLICE] = KIND(STRING) | KIND(BYTES),
    [FRESHET_SHAPE_KEYS] = KIND(BYTES),   [FRESHET_SHAPE_LIST] = KIND(ARRAY) | KIND(MAP),
};

typedef struct resolver {
  freshet_arena* arena;
  freshet_error* error;
} resolver;

static const freshet_plan* resolve_plan(const resolver* r, const freshet_avro_type* writer,
                                        const freshet_avro_type* reader, const freshet_layout* layout);

/* Our nullable fields are unions of null and one type; null is stored as the zero of the shape. */
static const freshet_avro_type* without_null(const freshet_avro_type* reader) {
  if (reader->kind != FRESHET_AVRO_UNION) return reader;
  FRESHET_ASSERT(reader->count == 2 && reader->branches[0]->kind == FRESHET_AVRO_NULL);
  return reader->branches[1];
}

/* ---- one value ---- */

static const int* resolve_symbols(const resolver* r, const freshet_avro_type* writer,
                                  const freshet_avro_type* reader) {
  const char* fallback = json_string_value(json_object_get(reader->json, "default"));
  int* symbols = freshet_arena_take(r->arena, writer->count * sizeof *symbols);
  for (size_t i = 0; i < writer->count; i++) {
    symbols[i] = -1;
    for (size_t j = 0; j < reader->count; j++) {
      if (strcmp(reader->symbols[j], writer->symbols[i]) == 0) {
        symbols[i] = (int)j;
        break;
      }
      if (fallback != NULL && strcmp(reader->symbols[j], fallback) == 0) symbols[i] = (int)j;
    }
  }
  return symbols;
}

/* Fills *step except its name. Returns NULL, or why it cannot: the step then only refuses. */
static const char* resolve_value(const resolver* r, const freshet_avro_type* writer,
                                 const freshet_avro_type* reader, const freshet_layout_field* field,
                                 bool null_allowed, freshet_step* step);

/* The bytes of a map's entries are those of records of a key and a value, so they are read as elements with
 * two fields. NULL: the values cannot be read. */
static const freshet_plan* resolve_entry(const resolver* r, const freshet_avro_type* writer,
                                         const freshet_avro_type* reader, const freshet_layout* layout) {
  static const freshet_avro_type key = {.kind = FRESHET_AVRO_STRING, .min_size = 1};
  FRESHET_ASSERT(layout->field_count == 2);
  freshet_step* steps = freshet_arena_take_zero(r->arena, 2 * sizeof *steps);
  if (resolve_value(r, &key, &key, &layout->fields[0], false, &steps[0]) != NULL) return NULL;
  if (resolve_value(r, writer, reader, &layout->fields[1], false, &steps[1]) != NULL) return NULL;
  steps[0].name = "key";
  steps[1].name = "value";
  freshet_plan* plan = freshet_arena_take(r->arena, sizeof *plan);
  *plan = (freshet_plan){.name = "entry",
                         .size = layout->size,
                         .initial = freshet_arena_take_zero(r->arena, layout->size),
                         .step_count = 2,
                         .steps = steps};
  return plan;
}

/* A union can be read when one branch other than null can. The other branches are refused when they come. */
static const char* resolve_union(const resolver* r, const freshet_avro_type* writer,
                                 const freshet_avro_type* reader, const freshet_layout_field* field,
                                 bool null_allowed, freshet_step* step) {
  freshet_step* branches = freshet_arena_take_zero(r->arena, writer->count * sizeof *branches);
  const char* problem = "no branch of its union can be read";
  for (size_t i = 0; i < writer->count; i++) {
    const freshet_avro_type* branch = writer->branches[i];
    bool readable = resolve_value(r, branch, reader, field, null_allowed, &branches[i]) == NULL;
    if (readable && branch->kind != FRESHET_AVRO_NULL) problem = NULL;
  }
  step->branches = branches;
  return problem;
}

static const char* resolve_value(const resolver* r, const freshet_avro_type* writer,
                                 const freshet_avro_type* reader, const freshet_layout_field* field,
                                 bool null_allowed, freshet_step* step) {
  FRESHET_ASSERT((held_by[field->shape] & 1u << reader->kind) != 0);
  *step = (freshet_step){.kind = writer->kind,
                         .shape = field->shape,
                         .offset = field->offset,
                         .count_offset = field->count_offset,
                         .writer = writer};
  if (writer->kind == FRESHET_AVRO_UNION) {
    step->problem = resolve_union(r, writer, reader, field, null_allowed, step);
  } else if (writer->kind == FRESHET_AVRO_NULL) {
    step->problem = null_allowed ? NULL : "null where a value is needed";
  } else if ((readable_from[reader->kind] & 1u << writer->kind) == 0) {
    step->problem = "its type cannot be read as ours";
  } else if (writer->kind == FRESHET_AVRO_ENUM) {
    step->symbols = resolve_symbols(r, writer, reader);
  } else if (writer->kind == FRESHET_AVRO_ARRAY) {
    step->element = resolve_plan(r, writer->branches[0], reader->branches[0], field->element);
    if (step->element == NULL) step->problem = "its elements cannot be read as ours";
  } else if (writer->kind == FRESHET_AVRO_MAP) {
    step->element = resolve_entry(r, writer->branches[0], reader->branches[0], field->element);
    if (step->element == NULL) step->problem = "its values cannot be read as ours";
  }
  return step->problem;
}

/* ---- defaults ---- */

static void set_default(const json_t* json, const freshet_avro_type* reader,
                        const freshet_layout_field* field, char* initial) {
  char* at = initial + field->offset;
  switch (field->shape) {
    case FRESHET_SHAPE_BOOL:
      *(bool*)at = json_is_true(json);
      break;
    case FRESHET_SHAPE_I32:
      *(int32_t*)at = (int32_t)json_integer_value(json);
      break;
    case FRESHET_SHAPE_U32:
      *(uint32_t*)at = (uint32_t)json_integer_value(json);
      break;
    case FRESHET_SHAPE_I64:
    case FRESHET_SHAPE_U64:
      *(int64_t*)at = json_integer_value(json);
      break;
    case FRESHET_SHAPE_F32:
      *(float*)at = (float)json_number_value(json);
      break;
    case FRESHET_SHAPE_F64:
      *(double*)at = json_number_value(json);
      break;
    case FRESHET_SHAPE_SLICE:
      *(freshet_slice*)at = freshet_slice_of(json_string_value(json));
      break;
    case FRESHET_SHAPE_SYMBOL:
      for (size_t i = 0; i < reader->count; i++) {
        if (strcmp(reader->symbols[i], json_string_value(json)) == 0) *(int*)at = (int)i;
      }
      break;
    case FRESHET_SHAPE_FLOATS:
    case FRESHET_SHAPE_KEYS:
    case FRESHET_SHAPE_LIST: /* empty by default, as the struct is already */
      FRESHET_ASSERT(json_array_size(json) + json_object_size(json) + json_string_length(json) == 0);
      break;
    case FRESHET_SHAPE_NONE:
      break;
  }
}

/* ---- records ---- */

static const freshet_layout_field* find_in_layout(const freshet_layout* layout, const char* name) {
  for (size_t i = 0; i < layout->field_count; i++) {
    if (strcmp(layout->fields[i].name, name) == 0) return &layout->fields[i];
  }
  FRESHET_ASSERT(!"a schema of ours has a field that its struct lacks");
  return NULL;
}

static const freshet_avro_field* find_field(const freshet_avro_type* record, const char* name) {
  for (size_t i = 0; i < record->count; i++) {
    if (strcmp(record->fields[i].name, name) == 0) return &record->fields[i];
  }
  return NULL;
}

static bool has_alias(const freshet_avro_field* field, const char* name) {
  const json_t* aliases = json_object_get(field->json, "aliases");
  for (size_t i = 0; i < json_array_size(aliases); i++) {
    const char* alias = json_string_value(json_array_get(aliases, i));
    if (alias != NULL && strcmp(alias, name) == 0) return true;
  }
  return false;
}

/* The writer's field from which ours is read: the one of its name, or else of one of its aliases. */
static const freshet_avro_field* find_source(const freshet_avro_type* writer,
                                             const freshet_avro_field* field) {
  const freshet_avro_field* source = find_field(writer, field->name);
  for (size_t i = 0; source == NULL && i < writer->count; i++) {
    if (has_alias(field, writer->fields[i].name)) source = &writer->fields[i];
  }
  return source;
}

/* Sets every default and turns the writer's fields into steps that skip. The fields that we have are then
 * resolved in their steps. */
static const freshet_plan* resolve_record(const resolver* r, const freshet_avro_type* writer,
                                          const freshet_avro_type* reader, const freshet_layout* layout) {
  freshet_step* steps = freshet_arena_take_zero(r->arena, writer->count * sizeof *steps);
  for (size_t i = 0; i < writer->count; i++) {
    const freshet_avro_field* field = &writer->fields[i];
    steps[i] = (freshet_step){.kind = field->type->kind, .name = field->name, .writer = field->type};
  }
  char* initial = freshet_arena_take_zero(r->arena, layout->size);
  const char* name = freshet_avro_short_name(reader->name);
  for (size_t i = 0; i < reader->count; i++) {
    const freshet_avro_field* field = &reader->fields[i];
    const freshet_avro_type* type = without_null(field->type);
    const freshet_layout_field* target = find_in_layout(layout, field->name);
    const json_t* value = json_object_get(field->json, "default");
    if (value != NULL && !json_is_null(value)) set_default(value, type, target, initial);
    const freshet_avro_field* source = find_source(writer, field);
    const char* problem = NULL;
    if (source != NULL) {
      freshet_step* step = &steps[source - writer->fields];
      problem = resolve_value(r, source->type, type, target, value != NULL || type != field->type, step);
      step->name = field->name;
    } else if (value == NULL) {
      problem = "it is missing, and has no default";
    }
    if (problem != NULL) {
      freshet_error_set(r->error, FRESHET_INVALID, FRESHET_STOP, "field %s of %s: %s", field->name, name,
                        problem);
      return NULL;
    }
  }
  freshet_plan* plan = freshet_arena_take(r->arena, sizeof *plan);
  *plan = (freshet_plan){
      .name = name, .size = layout->size, .initial = initial, .step_count = writer->count, .steps = steps};
  return plan;
}

static const freshet_plan* resolve_bare(const resolver* r, const freshet_avro_type* writer,
                                        const freshet_avro_type* reader, const freshet_layout* layout) {
  FRESHET_ASSERT(layout->field_count == 1 && layout->fields[0].name == NULL);
  freshet_step* step = freshet_arena_take_zero(r->arena, sizeof *step);
  if (resolve_value(r, writer, reader, &layout->fields[0], false, step) != NULL) return NULL;
  step->name = "element";
  freshet_plan* plan = freshet_arena_take(r->arena, sizeof *plan);
  *plan = (freshet_plan){.name = "element",
                         .size = layout->size,
                         .initial = freshet_arena_take_zero(r->arena, layout->size),
                         .step_count = 1,
                         .steps = step};
  return plan;
}

static const freshet_plan* resolve_plan(const resolver* r, const freshet_avro_type* writer,
                                        const freshet_avro_type* reader, const freshet_layout* layout) {
  if (reader->kind != FRESHET_AVRO_RECORD) return resolve_bare(r, writer, reader, layout);
  return writer->kind == FRESHET_AVRO_RECORD ? resolve_record(r, writer, reader, layout) : NULL;
}

freshet_status freshet_plan_resolve(const freshet_avro_type* writer, const freshet_avro_type* reader,
                                    const freshet_layout* layout, freshet_arena* arena,
                                    const freshet_plan** plan, freshet_error* error) {
  resolver r = {.arena = arena, .error = error};
  *plan = resolve_plan(&r, writer, reader, layout);
  if (*plan != NULL) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "it is no record");
}
