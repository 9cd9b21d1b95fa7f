/*
 * input_object.h: the fields of a record out of a JSON object: names, nested paths, and what a value may be where a
 * text belongs. JSON readers and the Avro reader share it, since an Avro record is such an object too. Owns scratch
 * texts only; the object stays the caller's.
 */
#ifndef FRESHET_COMMANDS_INPUT_OBJECT_H
#define FRESHET_COMMANDS_INPUT_OBJECT_H

#include <jansson.h>

#include "commands/input/input_reader.h"

typedef struct freshet_input_object {
  const freshet_input* input;          /* borrowed */
  freshet_slice names[FRESHET_FIELDS]; /* as the first record that has them spells them */
  char* spelled[FRESHET_FIELDS];       /* owned; NULL: as the map has it */
  bool found[FRESHET_FIELDS];
  size_t looked; /* records in which names were looked for that are not found yet */
  freshet_buffer texts[FRESHET_FIELDS];
} freshet_input_object;

void freshet_input_object_init(freshet_input_object* object, const freshet_input* input);
void freshet_input_object_free(freshet_input_object* object);

/* Fills fields, present and is_event; the texts hold until the next call and as long as the JSON object does. Errors:
 * FRESHET_INVALID, verdict FRESHET_DEAD_LETTER: a field that has an object, an array or a boolean where a text or
 * number belongs. */
freshet_status freshet_input_object_read(freshet_input_object* object, json_t* from,
                                         freshet_input_record* record, freshet_error* error);

/* Appends the pairs of an object as a list of attributes: marks of input_lists.h in front of each name and each
 * value. False: a value is neither a scalar nor an array of scalars. */
bool freshet_input_object_pairs(json_t* object, freshet_buffer* out);

/* As `mapping` of a reader. */
void freshet_input_object_mapping(const freshet_input_object* object, freshet_buffer* text);

/* Loads one JSON text. Whole numbers beyond 2^63 become strings, and so do NaN and Infinity: they are ids, or no
 * numbers. NULL: it is no JSON, and *problem says why. */
json_t* freshet_json_load(freshet_slice text, json_error_t* problem);

#endif
