/*
 * schema_source.h: where the JSON of a schema comes from: compiled in from schemas/, or a file. The text of
 * compiled-in schemas is static.
 */
#ifndef FRESHET_CODEC_SCHEMA_SOURCE_H
#define FRESHET_CODEC_SCHEMA_SOURCE_H

#include <stddef.h>

#include "freshet/status.h"

/* The JSON of our schema `name` ("Click"), static, or NULL when there is none of that name. */
const char* freshet_schema_source_of(const char* name);

/* The JSON of the i-th former schema (schemas/former): records that are stored under it, and producers that
 * still use it, can be read. NULL: there are no more. */
const char* freshet_schema_former(size_t i);

/* Reads a file of at most 1 MiB; *json is NUL-terminated and to be freed by the caller. Errors:
 * FRESHET_INVALID, verdict FRESHET_STOP. */
freshet_status freshet_schema_read_file(const char* path, char** json, freshet_error* error);

#endif
