/*
 * codec_writers.c: see codec_internal.h: a writer's schema is resolved to ours once, when it is first met. It must not
 * know how messages are framed.
 */
#include "codec/codec_internal.h"

#include <stdlib.h>
#include <string.h>

const writer* freshet_writers_find(const writer_table* table, uint64_t key) {
  for (size_t i = 0; i < table->count; i++) {
    if (table->writers[i].key == key) return &table->writers[i];
  }
  return NULL;
}

const writer* freshet_writers_add(writer_table* table, writer added) {
  writer* grown = realloc(table->writers, (table->count + 1) * sizeof *grown);
  FRESHET_ASSERT(grown != NULL);
  table->writers = grown;
  grown[table->count] = added;
  return &grown[table->count++];
}

void freshet_writer_forget(writer* w) {
  for (size_t i = 0; i < w->branch_count; i++) free(w->branches[i].problem);
  freshet_avro_schema_destroy(w->schema);
  free(w->branches);
  free(w->problem);
}

void freshet_writers_free(writer_table* table) {
  for (size_t i = 0; i < table->count; i++) {
    freshet_writer_forget(&table->writers[i]);
  }
  free(table->writers);
}

/* Whether `name` is that of our record or one of its aliases. Namespaces do not count. */
static bool is_called(const freshet_codec* codec, freshet_record_type r, const char* name) {
  if (strcmp(freshet_records[r].name, name) == 0) return true;
  const json_t* aliases = json_object_get(codec->ours[r]->root->json, "aliases");
  for (size_t i = 0; i < json_array_size(aliases); i++) {
    const char* alias = json_string_value(json_array_get(aliases, i));
    if (alias != NULL && strcmp(freshet_avro_short_name(alias), name) == 0) return true;
  }
  return false;
}

static freshet_status resolve_record(freshet_codec* codec, const freshet_avro_type* root, writer* made,
                                     freshet_error* error) {
  if (root->kind != FRESHET_AVRO_RECORD) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "the schema is not of a record");
  }
  const char* name = freshet_avro_short_name(root->name);
  int r = 0;
  while (r < FRESHET_RECORDS && !is_called(codec, (freshet_record_type)r, name)) r++;
  if (r == FRESHET_RECORDS) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "record %s is none that Freshet reads",
                             root->name);
  }
  made->record = (freshet_record_type)r;
  return freshet_plan_resolve(root, codec->ours[r]->root, &freshet_records[r].layout, &codec->plans,
                              &made->plan, error);
}

/* Several kinds of events in one subject of a registry: a union of their records. It can be read when one of its
 * branches can. */
static freshet_status resolve_union(freshet_codec* codec, const freshet_avro_type* root, writer* made,
                                    freshet_error* error) {
  made->branches = calloc(root->count + 1, sizeof *made->branches);
  FRESHET_ASSERT(made->branches != NULL);
  made->branch_count = root->count;
  bool any = false;
  freshet_error first = {0};
  for (size_t i = 0; i < root->count; i++) {
    freshet_error why = {0};
    writer* branch = &made->branches[i];
    if (resolve_record(codec, root->branches[i], branch, &why) == FRESHET_OK) {
      any = true;
      continue;
    }
    branch->plan = NULL;
    branch->problem = strdup(why.message);
    if (first.status == FRESHET_OK) first = why;
  }
  if (any) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "a union without a record that is read: %s",
                           first.message);
}

freshet_status freshet_writer_resolve(freshet_codec* codec, const char* json, writer* made,
                                      freshet_error* error) {
  freshet_status status = freshet_avro_schema_parse(json, &made->schema, error);
  if (status != FRESHET_OK) return status;
  const freshet_avro_type* root = made->schema->root;
  if (root->kind == FRESHET_AVRO_UNION) return resolve_union(codec, root, made, error);
  return resolve_record(codec, root, made, error);
}
