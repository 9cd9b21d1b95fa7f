/*
 * input_avro_schema.h: an Avro schema as a tree, and a record of it as a JSON object, by the Avro specification 1.11.
 * Unlike the codec of the live topics, which resolves a writer's schema against ours, it takes any record: what its
 * fields mean is told by their names. Every length is checked against the bytes that are there.
 */
#ifndef FRESHET_COMMANDS_INPUT_AVRO_SCHEMA_H
#define FRESHET_COMMANDS_INPUT_AVRO_SCHEMA_H

#include <jansson.h>

#include "freshet/bytes.h"
#include "freshet/status.h"

typedef struct freshet_lake_schema freshet_lake_schema;

/* Errors: FRESHET_INVALID, verdict FRESHET_STOP, for a text that is no schema of a record. The caller destroys. */
freshet_status freshet_lake_schema_create(freshet_slice json, freshet_lake_schema** schema,
                                          freshet_error* error);
void freshet_lake_schema_destroy(freshet_lake_schema* schema); /* NULL is allowed */

/* The record's name without its namespace; holds as long as the schema. */
const char* freshet_lake_schema_name(const freshet_lake_schema* schema);
/* The names of its fields, separated by ", ", appended. */
void freshet_lake_schema_fields(const freshet_lake_schema* schema, freshet_buffer* out);
/* Is there a field of this name? The first step of a path counts. */
bool freshet_lake_schema_has(const freshet_lake_schema* schema, freshet_slice path);
/* vector: this field holds binary32 numbers when it is of bytes. */
void freshet_lake_schema_set_vector(freshet_lake_schema* schema, freshet_slice name);
/* Times of logical types come as numbers, not as ISO 8601. */
void freshet_lake_schema_set_raw_times(freshet_lake_schema* schema);

/* Takes one record off the front of *bytes. NULL: they hold none, and no more can be read from this block. The caller
 * owns the object: strings, numbers, true and false, null, arrays and objects; enums and decimals as strings, bytes
 * as strings when they are UTF-8, else in hexadecimal. */
json_t* freshet_lake_record(const freshet_lake_schema* schema, freshet_slice* bytes);

/* A zigzag varint off the front; false: there is none. */
bool freshet_lake_long(freshet_slice* bytes, int64_t* value);

#endif
