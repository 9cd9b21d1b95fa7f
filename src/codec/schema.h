/*
 * schema.h: an Avro schema as a tree, parsed from its JSON.
 *
 * Why not Avro C's: it drops aliases and defaults, which resolution needs, knows neither the Parsing
 * Canonical Form nor fingerprints, and its decoder trusts the lengths it reads. The tree here is what all of
 * these walk. Source: Apache Avro 1.11 specification, "Schema Declaration", "Names", "Parsing Canonical Form
 * for Schemas", "Schema Fingerprints".
 */
#ifndef FRESHET_CODEC_SCHEMA_H
#define FRESHET_CODEC_SCHEMA_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/arena.h"
#include "freshet/bytes.h"
#include "freshet/status.h"

typedef enum freshet_avro_kind {
  FRESHET_AVRO_NULL = 0,
  FRESHET_AVRO_BOOLEAN,
  FRESHET_AVRO_INT,
  FRESHET_AVRO_LONG,
  FRESHET_AVRO_FLOAT,
  FRESHET_AVRO_DOUBLE,
  FRESHET_AVRO_BYTES,
  FRESHET_AVRO_STRING,
  FRESHET_AVRO_ENUM,
  FRESHET_AVRO_FIXED,
  FRESHET_AVRO_ARRAY,
  FRESHET_AVRO_MAP,
  FRESHET_AVRO_UNION,
  FRESHET_AVRO_RECORD,
} freshet_avro_kind;

typedef struct freshet_avro_type freshet_avro_type;

typedef struct freshet_avro_field {
  const char* name;
  const freshet_avro_type* type;
  const json_t* json; /* the field's object, for "default" and "aliases" */
} freshet_avro_field;

struct freshet_avro_type {
  freshet_avro_kind kind;
  const char* name;                   /* RECORD, ENUM, FIXED: the full name */
  size_t count;                       /* of what follows */
  freshet_avro_field* fields;         /* RECORD: [count] */
  const char** symbols;               /* ENUM: [count] */
  const freshet_avro_type** branches; /* UNION: [count]; ARRAY and MAP: [1], the element */
  size_t size;                        /* FIXED: bytes */
  size_t min_size;    /* the fewest bytes that a value can take; a lower bound where recursive */
  const json_t* json; /* RECORD, ENUM: its object, for "aliases" and "default" */
};

/* Owns the tree and the JSON under it. */
typedef struct freshet_avro_schema {
  const freshet_avro_type* root;
  const freshet_avro_type** named; /* [named_count] every named type, in order of definition */
  size_t named_count;
  json_t* json;
  freshet_arena arena;
} freshet_avro_schema;

/* Parses a schema. Errors: FRESHET_INVALID, verdict FRESHET_STOP, for a text that is not JSON or not an Avro
 * schema; the message says what is wrong and where. */
freshet_status freshet_avro_schema_parse(const char* json, freshet_avro_schema** schema,
                                         freshet_error* error);
void freshet_avro_schema_destroy(freshet_avro_schema* schema); /* NULL is allowed */

/* The part of a full name after the last dot. Writers' records are matched by it. */
const char* freshet_avro_short_name(const char* name);

/* Appends the Parsing Canonical Form. */
void freshet_avro_canonical_form(const freshet_avro_schema* schema, freshet_buffer* out);
/* CRC-64-AVRO of bytes. */
uint64_t freshet_avro_crc64(const void* bytes, size_t size);
/* CRC-64-AVRO of the canonical form. */
uint64_t freshet_avro_fingerprint(const freshet_avro_schema* schema);

#endif
