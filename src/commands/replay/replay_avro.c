/*
 * History in Avro object container files, with any codec that Avro C has. Avro C unpacks the blocks; the data
 * then go through our own codec, which resolves the file's schema against ours and fills in defaults.
 */
#include <avro.h>
#include <jansson.h>
#include <stdlib.h>

#include "codec/codec.h"
#include "commands/gzip_file.h"
#include "commands/replay/replay_reader.h"

enum { SCHEMA_JSON_MAX = 1 << 20, DATUM_MAX_BYTES = 16 * 1024 * 1024, HEAD_SIZE = 10 };

typedef struct avro_reader {
  freshet_replay_reader base;
  const char* path;
  freshet_gzip_file file;
  FILE* stream;
  avro_file_reader_t container;
  avro_schema_t schema;
  avro_value_iface_t* interface;
  avro_value_t value;
  bool has_value;
  freshet_codec* codec;
  bool is_event;
  unsigned long number;
  uint8_t* bytes; /* [DATUM_MAX_BYTES] head of single-object encoding, then the datum */
} avro_reader;

static freshet_status stop(const avro_reader* reader, const char* what, freshet_error* error) {
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: %s: %s", reader->path, what,
                           avro_strerror());
}

static freshet_status next(freshet_replay_reader* self, freshet_replay_record* record, bool* more,
                           freshet_error* error) {
  avro_reader* reader = (avro_reader*)self;
  record->line = ++reader->number;
  record->decoded = true;
  record->event = (freshet_event){0};
  record->item = (freshet_item){0};
  record->is_event = reader->is_event;
  int code = avro_file_reader_read_value(reader->container, &reader->value);
  *more = code != EOF;
  if (code == EOF) return FRESHET_OK;
  if (code != 0) return stop(reader, "a block cannot be read", error);
  avro_writer_t writer = avro_writer_memory((char*)reader->bytes + HEAD_SIZE, DATUM_MAX_BYTES - HEAD_SIZE);
  code = avro_value_write(writer, &reader->value);
  freshet_slice datum = {(const char*)reader->bytes, HEAD_SIZE + (size_t)avro_writer_tell(writer)};
  avro_writer_free(writer);
  if (code != 0) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "the record is too long");
  }
  return reader->is_event ? freshet_decode_event(reader->codec, datum, &record->event, error)
                          : freshet_decode_item(reader->codec, datum, &record->item, error);
}

static double progress(const freshet_replay_reader* self) {
  return freshet_gzip_progress(&((const avro_reader*)self)->file);
}

static void close_reader(freshet_replay_reader* self) {
  avro_reader* reader = (avro_reader*)self;
  if (reader->has_value) avro_value_decref(&reader->value);
  if (reader->interface != NULL) avro_value_iface_decref(reader->interface);
  if (reader->schema != NULL) avro_schema_decref(reader->schema);
  if (reader->container != NULL) avro_file_reader_close(reader->container);
  if (reader->stream != NULL) fclose(reader->stream);
  freshet_gzip_close(&reader->file);
  freshet_codec_destroy(reader->codec);
  free(reader->bytes);
  free(reader);
}

/* ---- opening ---- */

/* Gives the fields of the file our names, as the map says. */
static void rename_fields(json_t* schema, const freshet_replay_map* map) {
  json_t* fields = json_object_get(schema, "fields");
  for (size_t i = 0; i < json_array_size(fields); i++) {
    json_t* field = json_array_get(fields, i);
    freshet_slice name = freshet_slice_of(json_string_value(json_object_get(field, "name")));
    for (int f = 0; f < FRESHET_REPLAY_FIELDS; f++) {
      if (freshet_slice_equal(map->names[f], name)) {
        const char* ours = f == FRESHET_REPLAY_VALUE ? "rating" : freshet_replay_field_names[f];
        json_object_set_new(field, "name", json_string(ours));
        break;
      }
    }
  }
}

static char* schema_json(avro_reader* reader, const freshet_replay_map* map) {
  char* text = calloc(1, SCHEMA_JSON_MAX);
  FRESHET_ASSERT(text != NULL);
  avro_writer_t writer = avro_writer_memory(text, SCHEMA_JSON_MAX);
  int code = avro_schema_to_json(reader->schema, writer);
  size_t size = (size_t)avro_writer_tell(writer);
  avro_writer_free(writer);
  json_t* schema = code == 0 ? json_loadb(text, size, 0, NULL) : NULL;
  free(text);
  if (schema == NULL) return NULL;
  rename_fields(schema, map);
  char* renamed = json_dumps(schema, 0);
  json_decref(schema);
  return renamed;
}

/* Events and items are told apart by what the codec makes of the schema. */
static freshet_status open_codec(avro_reader* reader, const freshet_replay_input* input,
                                 freshet_error* error) {
  char* json = schema_json(reader, input->map);
  if (json == NULL) return stop(reader, "its schema cannot be read", error);
  freshet_codec_config config = {0};
  freshet_error why = {0};
  uint64_t fingerprint = 0;
  freshet_status status = freshet_codec_create(&config, &reader->codec, &why);
  if (status == FRESHET_OK) status = freshet_codec_add_schema(reader->codec, json, &fingerprint, &why);
  free(json);
  if (status != FRESHET_OK) {
    return freshet_error_set(error, status, FRESHET_STOP, "%s: its schema: %s", input->path, why.message);
  }
  const char* name = avro_schema_name(reader->schema);
  const char* dot = strrchr(name, '.');
  reader->is_event = strcmp(dot == NULL ? name : dot + 1, "Item") != 0;
  bool wanted =
      input->expect == FRESHET_REPLAY_ANY || reader->is_event == (input->expect == FRESHET_REPLAY_EVENTS);
  if (!wanted) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: holds %s records", input->path, name);
  }
  reader->bytes = malloc(DATUM_MAX_BYTES);
  FRESHET_ASSERT(reader->bytes != NULL);
  reader->bytes[0] = 0xc3;
  reader->bytes[1] = 0x01;
  for (int i = 0; i < 8; i++) reader->bytes[2 + i] = (uint8_t)(fingerprint >> 8 * i);
  return FRESHET_OK;
}

static freshet_status open_container(avro_reader* reader, freshet_error* error) {
  if (avro_file_reader_fp(reader->stream, reader->path, 0, &reader->container) != 0) {
    reader->container = NULL;
    return stop(reader, "not an Avro container file", error);
  }
  reader->schema = avro_file_reader_get_writer_schema(reader->container);
  if (!is_avro_record(reader->schema)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: its schema is not of a record",
                             reader->path);
  }
  reader->interface = avro_generic_class_from_schema(reader->schema);
  reader->has_value =
      reader->interface != NULL && avro_generic_value_new(reader->interface, &reader->value) == 0;
  return reader->has_value ? FRESHET_OK : stop(reader, "its schema cannot be used", error);
}

freshet_status freshet_replay_avro_open(const freshet_replay_input* input, freshet_replay_reader** out,
                                        freshet_error* error) {
  static const freshet_replay_reader_vtable vtable = {
      .next = next, .progress = progress, .close = close_reader};
  avro_reader* reader = calloc(1, sizeof *reader);
  FRESHET_ASSERT(reader != NULL);
  reader->base.vtable = &vtable;
  reader->path = input->path;
  freshet_status status = freshet_gzip_open(input->path, &reader->file, error);
  if (status == FRESHET_OK) {
    reader->stream = freshet_gzip_stream(&reader->file);
    status = open_container(reader, error);
  }
  if (status == FRESHET_OK) status = open_codec(reader, input, error);
  if (status != FRESHET_OK) {
    close_reader(&reader->base);
    return status;
  }
  *out = &reader->base;
  return FRESHET_OK;
}
