/*
 * schema_source.c: gives the JSON of schemas that are compiled in, by name, present and former ones, and of
 * files. It must not parse them.
 */
#include "codec/schema_source.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA_FILE_SIZE_MAX = 1 << 20 };

/* Made by embed_schemas.cmake, which declares the same. */
struct freshet_schema_source {
  const char* name;
  const char* json;
};
extern const struct freshet_schema_source freshet_schemas[], freshet_former_schemas[];

const char* freshet_schema_source_of(const char* name) {
  for (const struct freshet_schema_source* s = freshet_schemas; s->name != NULL; s++) {
    if (strcmp(s->name, name) == 0) return s->json;
  }
  return NULL;
}

const char* freshet_schema_former(size_t i) {
  return freshet_former_schemas[i].json;
}

freshet_status freshet_schema_read_file(const char* path, char** json, freshet_error* error) {
  *json = NULL;
  FILE* file = fopen(path, "re");
  if (file == NULL) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "cannot open %s: %s", path,
                             strerror(errno));
  }
  char* text = malloc(SCHEMA_FILE_SIZE_MAX + 1);
  FRESHET_ASSERT(text != NULL);
  size_t size = fread(text, 1, SCHEMA_FILE_SIZE_MAX + 1, file);
  bool failed = ferror(file) != 0;
  fclose(file);
  if (failed || size > SCHEMA_FILE_SIZE_MAX) {
    free(text);
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s %s", path,
                             failed ? "cannot be read" : "is larger than a schema may be");
  }
  text[size] = '\0';
  *json = text;
  return FRESHET_OK;
}
