/*
 * schema_map.c: A fixed map from Confluent schema ids to schemas, for installations that use such ids
 * without a registry. It owns the parsed map and reads the files that it names.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/schema_source.h"

typedef struct entry {
  int32_t id;
  const char* json; /* a schema of ours, static, or `owned` */
  char* owned;      /* from a file, or NULL */
} entry;

typedef struct schema_map {
  entry* entries; /* [count] */
  size_t count;
} schema_map;

static const char* by_id(void* context, int32_t id) {
  const schema_map* map = context;
  for (size_t i = 0; i < map->count; i++) {
    if (map->entries[i].id == id) return map->entries[i].json;
  }
  return NULL;
}

static int32_t id_of(void* context, const char* name) {
  const schema_map* map = context;
  const char* json = freshet_schema_source_of(name);
  for (size_t i = 0; i < map->count; i++) {
    if (map->entries[i].json == json) return map->entries[i].id;
  }
  return -1;
}

/* "12=Click": the text is cut at the '='. */
static freshet_status parse_entry(char* text, entry* out, freshet_error* error) {
  char* value = strchr(text, '=');
  if (value == NULL) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "schema ids: '%s' is not of the form ID=NAME or ID=FILE", text);
  }
  *value++ = '\0';
  char* end;
  errno = 0;
  long id = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || id < 0 || id > INT32_MAX) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "schema ids: '%s' is not a schema id",
                             text);
  }
  *out = (entry){.id = (int32_t)id, .json = freshet_schema_source_of(value)};
  if (out->json != NULL) return FRESHET_OK;
  freshet_status status = freshet_schema_read_file(value, &out->owned, error);
  out->json = out->owned;
  return status;
}

freshet_status freshet_schema_map_create(const char* text, freshet_schema_lookup* lookup,
                                         freshet_error* error) {
  schema_map* map = calloc(1, sizeof *map);
  char* copy = strdup(text);
  FRESHET_ASSERT(map != NULL && copy != NULL);
  *lookup = (freshet_schema_lookup){.by_id = by_id, .id_of = id_of, .context = map};
  freshet_status status = FRESHET_OK;
  char* rest = NULL;
  for (char* part = strtok_r(copy, ", ", &rest); part != NULL && status == FRESHET_OK;
       part = strtok_r(NULL, ", ", &rest)) {
    entry* grown = realloc(map->entries, (map->count + 1) * sizeof *grown);
    FRESHET_ASSERT(grown != NULL);
    map->entries = grown;
    status = parse_entry(part, &map->entries[map->count], error);
    if (status == FRESHET_OK) map->count++;
  }
  free(copy);
  if (status != FRESHET_OK) freshet_schema_map_destroy(lookup);
  return status;
}

void freshet_schema_map_destroy(freshet_schema_lookup* lookup) {
  schema_map* map = lookup->context;
  if (map == NULL) return;
  for (size_t i = 0; i < map->count; i++) free(map->entries[i].owned);
  free(map->entries);
  free(map);
  *lookup = (freshet_schema_lookup){0};
}
