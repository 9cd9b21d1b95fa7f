/*
 * manifest.c: see manifest.h. Numbers of 64 bits are hexadecimal texts, since JSON readers round large numbers. It must
 * not know what the files hold.
 */
#include "commands/transfer/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/grow.h"
#include "freshet/freshet.h"

enum { FORMAT = 1, PATH_SIZE = 4096, HEX_SIZE = 17, BLOCKS_MAX = 1 << 24 };

void freshet_manifest_free(freshet_manifest* manifest) {
  for (size_t i = 0; i < manifest->file_count; i++) {
    freshet_container_sums_free(&manifest->files[i]->sums);
    free(manifest->files[i]);
  }
  free(manifest->files);
  *manifest = (freshet_manifest){0};
}

freshet_transfer_file* freshet_manifest_add(freshet_manifest* manifest, freshet_transfer_kind kind,
                                            int32_t partition) {
  freshet_transfer_file* file = calloc(1, sizeof *file);
  FRESHET_ASSERT(file != NULL);
  bool by_partition = kind == FRESHET_TRANSFER_USERS || kind == FRESHET_TRANSFER_DEDUP;
  file->kind = kind;
  file->partition = partition;
  if (by_partition)
    snprintf(file->name, sizeof file->name, "%s-%05d.avro", freshet_transfer_specs[kind].name,
             (int)partition);
  else
    snprintf(file->name, sizeof file->name, "%s.avro", freshet_transfer_specs[kind].name);
  manifest->files = freshet_grow(manifest->files, &manifest->file_capacity, manifest->file_count + 1,
                                 sizeof(freshet_transfer_file*));
  manifest->files[manifest->file_count++] = file;
  return file;
}

uint64_t freshet_manifest_records(const freshet_manifest* manifest, freshet_transfer_kind kind) {
  uint64_t records = 0;
  for (size_t i = 0; i < manifest->file_count; i++)
    records += manifest->files[i]->kind == kind ? manifest->files[i]->sums.records : 0;
  return records;
}

void freshet_manifest_print(const freshet_manifest* manifest) {
  for (int kind = 0; kind < FRESHET_TRANSFER_KINDS; kind++)
    printf("%12" PRIu64 " %s\n", freshet_manifest_records(manifest, (freshet_transfer_kind)kind),
           freshet_transfer_specs[kind].plural);
  printf("state hash %016" PRIx64 "\n", manifest->state_hash);
}

/* ---- writing ---- */

static json_t* hexadecimal(uint64_t value) {
  char text[HEX_SIZE];
  snprintf(text, sizeof text, "%016" PRIx64, value);
  return json_string(text);
}

static json_t* file_object(const freshet_transfer_file* file) {
  json_t* blocks = json_array();
  for (size_t i = 0; i < file->sums.block_count; i++)
    json_array_append_new(blocks, hexadecimal(file->sums.blocks[i]));
  return json_pack("{s:s, s:s, s:i, s:I, s:o}", "name", file->name, "kind",
                   freshet_transfer_specs[file->kind].name, "partition", (int)file->partition, "records",
                   (json_int_t)file->sums.records, "checksums", blocks);
}

freshet_status freshet_manifest_write(const freshet_manifest* manifest, const char* folder,
                                      freshet_error* error) {
  char path[PATH_SIZE];
  json_t* files = json_array();
  for (size_t i = 0; i < manifest->file_count; i++)
    json_array_append_new(files, file_object(manifest->files[i]));
  json_t* root =
      json_pack("{s:i, s:s, s:I, s:s, s:s, s:s, s:i, s:{s:I, s:I}, s:o, s:o}", "format", FORMAT, "freshet",
                freshet_version(), "made_at_ms", (json_int_t)manifest->made_at_ms, "app", manifest->app,
                "cluster", manifest->cluster, "events", manifest->events, "partitions",
                (int)manifest->partitions, "model", "dim", (json_int_t)manifest->dim, "seed",
                (json_int_t)manifest->seed, "state_hash", hexadecimal(manifest->state_hash), "files", files);
  FRESHET_ASSERT(root != NULL);
  snprintf(path, sizeof path, "%s/manifest.json", folder);
  FILE* file = fopen(path, "wxe");
  bool written = file != NULL && json_dumpf(root, file, JSON_INDENT(1)) == 0 && fputc('\n', file) != EOF &&
                 fflush(file) == 0 && fsync(fileno(file)) == 0;
  int reason = errno;
  if (file != NULL) written = fclose(file) == 0 && written;
  json_decref(root);
  if (written) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "cannot write %s: %s", path, strerror(reason));
}

/* ---- reading ---- */

static bool read_hexadecimal(const json_t* text, uint64_t* value) {
  const char* digits = json_string_value(text);
  char* end = NULL;
  if (digits == NULL || strlen(digits) != HEX_SIZE - 1) return false;
  *value = strtoull(digits, &end, 16);
  return *end == '\0';
}

static bool read_text(const json_t* text, char out[FRESHET_MANIFEST_NAME_SIZE]) {
  const char* value = json_string_value(text);
  if (value == NULL || strlen(value) >= FRESHET_MANIFEST_NAME_SIZE) return false;
  snprintf(out, FRESHET_MANIFEST_NAME_SIZE, "%s", value);
  return true;
}

static bool read_blocks(const json_t* blocks, freshet_container_sums* sums) {
  size_t count = json_array_size(blocks);
  if (count == 0 || count > BLOCKS_MAX) return false;
  sums->blocks = freshet_grow(NULL, &sums->block_capacity, count, sizeof *sums->blocks);
  sums->block_count = count;
  for (size_t i = 0; i < count; i++) {
    if (!read_hexadecimal(json_array_get(blocks, i), &sums->blocks[i])) return false;
  }
  return true;
}

static bool read_file(freshet_manifest* manifest, const json_t* object) {
  const char* name = json_string_value(json_object_get(object, "kind"));
  json_int_t partition = json_integer_value(json_object_get(object, "partition"));
  json_int_t records = json_integer_value(json_object_get(object, "records"));
  int kind = 0;
  while (name != NULL && kind < FRESHET_TRANSFER_KINDS &&
         strcmp(freshet_transfer_specs[kind].name, name) != 0)
    kind++;
  if (name == NULL || kind == FRESHET_TRANSFER_KINDS || partition < 0 || partition > manifest->partitions ||
      records < 0)
    return false;
  freshet_transfer_file* file =
      freshet_manifest_add(manifest, (freshet_transfer_kind)kind, (int32_t)partition);
  file->sums.records = (uint64_t)records;
  return read_blocks(json_object_get(object, "checksums"), &file->sums);
}

static bool read_root(freshet_manifest* manifest, const json_t* root) {
  const json_t* model = json_object_get(root, "model");
  const json_t* files = json_object_get(root, "files");
  manifest->made_at_ms = json_integer_value(json_object_get(root, "made_at_ms"));
  manifest->dim = json_integer_value(json_object_get(model, "dim"));
  manifest->seed = json_integer_value(json_object_get(model, "seed"));
  json_int_t partitions = json_integer_value(json_object_get(root, "partitions"));
  bool fine = read_text(json_object_get(root, "app"), manifest->app) &&
              read_text(json_object_get(root, "cluster"), manifest->cluster) &&
              read_text(json_object_get(root, "events"), manifest->events) &&
              read_hexadecimal(json_object_get(root, "state_hash"), &manifest->state_hash) &&
              partitions > 0 && partitions <= INT32_MAX && manifest->dim > 0 && json_is_array(files);
  manifest->partitions = (int32_t)partitions;
  for (size_t i = 0; fine && i < json_array_size(files); i++)
    fine = read_file(manifest, json_array_get(files, i));
  return fine;
}

freshet_status freshet_manifest_read(freshet_manifest* manifest, const char* folder, freshet_error* error) {
  char path[PATH_SIZE];
  json_error_t why = {0};
  snprintf(path, sizeof path, "%s/manifest.json", folder);
  if (access(path, R_OK) != 0)
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "%s is no export: cannot read %s: %s",
                             folder, path, strerror(errno));
  json_t* root = json_load_file(path, 0, &why);
  json_int_t format = json_integer_value(json_object_get(root, "format"));
  freshet_status status = FRESHET_OK;
  if (root == NULL) {
    status = freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s is damaged: line %d: %s", path,
                               why.line, why.text);
  } else if (format > FORMAT) {
    status = freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                               "%s has format %lld, and this Freshet reads up to %d: use Freshet %s or newer",
                               path, (long long)format, FORMAT,
                               json_string_value(json_object_get(root, "freshet")) == NULL
                                   ? "of the export"
                                   : json_string_value(json_object_get(root, "freshet")));
  } else if (format < 1 || !read_root(manifest, root)) {
    status = freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                               "%s is damaged: take it from another copy of the export", path);
  }
  json_decref(root);
  return status;
}
