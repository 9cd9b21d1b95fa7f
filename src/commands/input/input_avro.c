/*
 * input_avro.c: records from Avro object container files, by the Avro specification 1.11: a header with the schema,
 * then blocks, each with a codec of its own. A record becomes a JSON object and then goes the way of one.
 */
#include <snappy-c.h>
#include <stdlib.h>
#include <zlib.h>

#include "commands/input/input_archive.h"
#include "commands/input/input_avro_schema.h"
#include "commands/input/input_object.h"
#include "commands/input/input_types.h"

enum { CHUNK_BYTES = 1 << 16, SYNC_BYTES = 16, HEADER_MAX = 16 * 1024 * 1024, BLOCK_MAX = 256 * 1024 * 1024 };

typedef struct avro_reader {
  freshet_input_reader base;
  freshet_input input; /* copy */
  freshet_bytes* bytes;
  unsigned char chunk[CHUNK_BYTES];
  size_t at, end;
  freshet_lake_schema* schema;
  char codec[16];
  char sync[SYNC_BYTES];
  freshet_buffer packed, block;
  freshet_slice rest; /* of the block */
  int64_t left;       /* records of the block that are to come */
  unsigned long number;
  const char* type; /* that the record's name says; NULL: none */
  freshet_input_object fields;
  json_t* object;
} avro_reader;

static freshet_status fail(const avro_reader* reader, const char* what, freshet_error* error) {
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: after %lu records: %s",
                           reader->input.path, reader->number, what);
}

/* ---- bytes ---- */

/* Exactly so many bytes, appended; *got false: the file ends before the first of them. */
static freshet_status read_exactly(avro_reader* reader, size_t size, freshet_buffer* out, bool* got,
                                   freshet_error* error) {
  *got = true;
  while (size > 0) {
    if (reader->at == reader->end) {
      freshet_error why = {0};
      reader->at = 0;
      freshet_status status =
          freshet_bytes_read(reader->bytes, reader->chunk, CHUNK_BYTES, &reader->end, &why);
      if (status != FRESHET_OK)
        return freshet_error_set(error, status, FRESHET_STOP, "%s: %s", reader->input.path, why.message);
      if (reader->end == 0) {
        *got = false;
        return FRESHET_OK;
      }
    }
    size_t part = reader->end - reader->at < size ? reader->end - reader->at : size;
    freshet_buffer_append(out, reader->chunk + reader->at, part);
    reader->at += part;
    size -= part;
  }
  return FRESHET_OK;
}

static freshet_status read_long(avro_reader* reader, int64_t* value, bool* got, freshet_error* error) {
  freshet_buffer bytes = {0};
  freshet_status status;
  bool more = true;
  do {
    status = read_exactly(reader, 1, &bytes, got, error);
    more = status == FRESHET_OK && *got && (bytes.data[bytes.size - 1] & 0x80) != 0 && bytes.size < 10;
  } while (more);
  freshet_slice view = freshet_buffer_slice(&bytes);
  bool cut = bytes.size > 0 && !*got;
  bool bad = status == FRESHET_OK && *got && !freshet_lake_long(&view, value);
  freshet_buffer_free(&bytes);
  if (status != FRESHET_OK) return status;
  return cut || bad ? fail(reader, "the file is broken or cut off", error) : FRESHET_OK;
}

/* ---- header ---- */

static freshet_status read_sized(avro_reader* reader, freshet_buffer* out, freshet_error* error) {
  int64_t size = 0;
  bool got;
  out->size = 0;
  freshet_status status = read_long(reader, &size, &got, error);
  if (status == FRESHET_OK && (!got || size < 0 || size > HEADER_MAX))
    status = fail(reader, "not an Avro container file: its header is broken", error);
  if (status == FRESHET_OK) status = read_exactly(reader, (size_t)size, out, &got, error);
  if (status == FRESHET_OK && !got)
    status = fail(reader, "not an Avro container file: its header is cut off", error);
  return status;
}

static freshet_status take_entry(avro_reader* reader, freshet_buffer* key, freshet_buffer* value,
                                 freshet_error* error) {
  freshet_status status = read_sized(reader, key, error);
  if (status == FRESHET_OK) status = read_sized(reader, value, error);
  if (status != FRESHET_OK) return status;
  freshet_slice name = freshet_buffer_slice(key), text = freshet_buffer_slice(value);
  if (freshet_slice_equal(name, freshet_slice_of("avro.codec")) && text.size < sizeof reader->codec) {
    if (text.size > 0) memcpy(reader->codec, text.data, text.size);
    reader->codec[text.size] = '\0';
  }
  if (!freshet_slice_equal(name, freshet_slice_of("avro.schema")) || reader->schema != NULL)
    return FRESHET_OK;
  freshet_error why = {0};
  status = freshet_lake_schema_create(text, &reader->schema, &why);
  if (status == FRESHET_OK) return status;
  return freshet_error_set(error, status, FRESHET_STOP, "%s: %s", reader->input.path, why.message);
}

static freshet_status read_entries(avro_reader* reader, freshet_error* error) {
  freshet_buffer key = {0}, value = {0};
  freshet_status status = FRESHET_OK;
  for (int64_t count = 1; status == FRESHET_OK && count != 0;) {
    int64_t size = 0;
    bool got;
    status = read_long(reader, &count, &got, error);
    if (status == FRESHET_OK && count < 0) {
      count = count == INT64_MIN ? INT64_MAX : -count;
      status = read_long(reader, &size, &got, error);
    }
    if (status == FRESHET_OK && !got)
      status = fail(reader, "not an Avro container file: its header is cut off", error);
    for (int64_t i = 0; status == FRESHET_OK && i < count; i++)
      status = take_entry(reader, &key, &value, error);
  }
  freshet_buffer_free(&key);
  freshet_buffer_free(&value);
  return status;
}

static freshet_status read_header(avro_reader* reader, freshet_error* error) {
  freshet_buffer bytes = {0};
  bool got;
  freshet_status status = read_exactly(reader, 4, &bytes, &got, error);
  bool is_avro = got && bytes.size == 4 && memcmp(bytes.data, "Obj\1", 4) == 0;
  if (status == FRESHET_OK && !is_avro) status = fail(reader, "not an Avro container file", error);
  if (status == FRESHET_OK) status = read_entries(reader, error);
  if (status == FRESHET_OK && reader->schema == NULL)
    status = fail(reader, "not an Avro container file: it has no schema", error);
  bytes.size = 0;
  if (status == FRESHET_OK) status = read_exactly(reader, SYNC_BYTES, &bytes, &got, error);
  if (status == FRESHET_OK && !got) status = fail(reader, "not an Avro container file: it is cut off", error);
  if (status == FRESHET_OK) memcpy(reader->sync, bytes.data, SYNC_BYTES);
  freshet_buffer_free(&bytes);
  return status;
}

/* ---- blocks ---- */

static bool inflate_block(freshet_slice packed, freshet_buffer* out) {
  z_stream z = {.next_in = (unsigned char*)packed.data, .avail_in = (unsigned)packed.size};
  FRESHET_ASSERT(inflateInit2(&z, -MAX_WBITS) == Z_OK);
  int code = Z_OK;
  while (code == Z_OK && out->size <= BLOCK_MAX) {
    z.next_out = freshet_buffer_reserve(out, CHUNK_BYTES);
    z.avail_out = CHUNK_BYTES;
    code = inflate(&z, Z_NO_FLUSH);
    out->size += CHUNK_BYTES - z.avail_out;
  }
  inflateEnd(&z);
  return code == Z_STREAM_END;
}

/* Snappy's blocks end with the CRC-32 of what they hold, the highest byte first. */
static bool unsnap_block(freshet_slice packed, freshet_buffer* out) {
  size_t size;
  if (packed.size < 4) return false;
  packed.size -= 4;
  const unsigned char* sum = (const unsigned char*)packed.data + packed.size;
  if (snappy_uncompressed_length(packed.data, packed.size, &size) != SNAPPY_OK || size > BLOCK_MAX ||
      size / 64 > packed.size) /* no copy of Snappy makes more than 64 bytes of two */
    return false;
  uint8_t* room = freshet_buffer_reserve(out, size + 1);
  if (snappy_uncompress(packed.data, packed.size, (char*)room, &size) != SNAPPY_OK) return false;
  out->size += size;
  unsigned long expected = (unsigned long)sum[0] << 24 | sum[1] << 16 | sum[2] << 8 | sum[3];
  return crc32(0, out->data, (unsigned)size) == expected;
}

static freshet_status unpack(avro_reader* reader, freshet_error* error) {
  freshet_slice packed = freshet_buffer_slice(&reader->packed);
  reader->block.size = 0;
  if (strcmp(reader->codec, "") == 0 || strcmp(reader->codec, "null") == 0) {
    reader->rest = packed;
    return FRESHET_OK;
  }
  bool fine;
  if (strcmp(reader->codec, "deflate") == 0) {
    fine = inflate_block(packed, &reader->block);
  } else if (strcmp(reader->codec, "snappy") == 0) {
    fine = unsnap_block(packed, &reader->block);
  } else if (strcmp(reader->codec, "zstandard") == 0 || strcmp(reader->codec, "bzip2") == 0 ||
             strcmp(reader->codec, "xz") == 0) {
    fine = freshet_archive_unpack(packed, BLOCK_MAX, &reader->block, NULL) == FRESHET_OK;
  } else {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s: its codec '%s' is none of null, deflate, snappy, zstandard, bzip2, xz",
                             reader->input.path, reader->codec);
  }
  reader->rest = freshet_buffer_slice(&reader->block);
  return fine ? FRESHET_OK : fail(reader, "a block cannot be unpacked: the file is broken", error);
}

/* *more false: the file ends here, as it should. */
static freshet_status read_block(avro_reader* reader, bool* more, freshet_error* error) {
  int64_t size = 0;
  bool got;
  freshet_status status = read_long(reader, &reader->left, more, error);
  if (status != FRESHET_OK || !*more) return status;
  status = read_long(reader, &size, &got, error);
  if (status != FRESHET_OK) return status;
  if (!got || reader->left < 0 || size < 0 || size > BLOCK_MAX)
    return fail(reader, "a block is broken or cut off", error);
  reader->packed.size = 0;
  status = read_exactly(reader, (size_t)size, &reader->packed, &got, error);
  if (status == FRESHET_OK && got) {
    freshet_buffer sync = {0};
    status = read_exactly(reader, SYNC_BYTES, &sync, &got, error);
    got = got && sync.size == SYNC_BYTES && memcmp(sync.data, reader->sync, SYNC_BYTES) == 0;
    freshet_buffer_free(&sync);
  }
  if (status == FRESHET_OK && !got) status = fail(reader, "a block is broken or cut off", error);
  if (status == FRESHET_OK) status = unpack(reader, error);
  return status;
}

/* ---- records ---- */

static freshet_status next(freshet_input_reader* self, freshet_input_record* record, bool* more,
                           freshet_error* error) {
  avro_reader* reader = (avro_reader*)self;
  *more = true;
  while (reader->left == 0) {
    freshet_status status = read_block(reader, more, error);
    if (status != FRESHET_OK || !*more) return status;
  }
  json_decref(reader->object);
  reader->left--;
  reader->object = freshet_lake_record(reader->schema, &reader->rest);
  if (reader->object == NULL)
    return fail(reader, "a record is not as its schema says: the file is broken", error);
  record->line = ++reader->number;
  freshet_status status = freshet_input_object_read(&reader->fields, reader->object, record, error);
  if (record->fields[FRESHET_FIELD_TYPE].size == 0 && reader->type != NULL)
    record->fields[FRESHET_FIELD_TYPE] = freshet_slice_of(reader->type);
  return status;
}

static double progress(const freshet_input_reader* self) {
  return freshet_bytes_progress(((const avro_reader*)self)->bytes);
}

static void row(const freshet_input_reader* self, freshet_buffer* text) {
  char* line = json_dumps(((const avro_reader*)self)->object, JSON_COMPACT);
  if (line != NULL) freshet_buffer_append(text, line, strlen(line));
  free(line);
}

static void columns(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_lake_schema_fields(((const avro_reader*)self)->schema, text);
}

static void style(const freshet_input_reader* self, freshet_buffer* text) {
  const char* parts[] = {"Avro record ", freshet_lake_schema_name(((const avro_reader*)self)->schema)};
  for (size_t i = 0; i < 2; i++) freshet_buffer_append(text, parts[i], strlen(parts[i]));
}

static void mapping(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_input_object_mapping(&((const avro_reader*)self)->fields, text);
}

static void close_reader(freshet_input_reader* self) {
  avro_reader* reader = (avro_reader*)self;
  freshet_bytes_close(reader->bytes);
  freshet_buffer_free(&reader->packed);
  freshet_buffer_free(&reader->block);
  freshet_lake_schema_destroy(reader->schema);
  freshet_input_object_free(&reader->fields);
  json_decref(reader->object);
  free(reader);
}

/* ---- opening ---- */

static bool has_field(const avro_reader* reader, freshet_field field, freshet_slice names) {
  const freshet_input_map* map = &reader->input.options->map;
  if (reader->input.options->set[field].size > 0 ||
      freshet_lake_schema_has(reader->schema, map->names[field]))
    return true;
  while (names.size > 0) {
    const char* comma = memmem(names.data, names.size, ", ", 2);
    size_t size = comma == NULL ? names.size : (size_t)(comma - names.data);
    if (freshet_input_map_match(map, field, (freshet_slice){names.data, size}) > 0) return true;
    size += comma == NULL ? 0 : 2;
    names = (freshet_slice){names.data + size, names.size - size};
  }
  return false;
}

/* An event needs a user, an item and a time, wherever they come from; what --map names must be there. */
static freshet_status check_fields(avro_reader* reader, freshet_error* error) {
  static const freshet_field needs[] = {FRESHET_FIELD_ITEM_ID, FRESHET_FIELD_USER_ID,
                                        FRESHET_FIELD_OCCURRED_AT};
  freshet_buffer text = {0};
  freshet_lake_schema_fields(reader->schema, &text);
  freshet_slice names = freshet_buffer_slice(&text);
  bool has_user = has_field(reader, FRESHET_FIELD_USER_ID, names);
  freshet_input_expect expect = reader->input.expect;
  bool is_event = expect == FRESHET_INPUT_ANY ? has_user : expect == FRESHET_INPUT_EVENTS;
  freshet_status status = FRESHET_OK;
  for (int f = 0; status == FRESHET_OK && f < FRESHET_FIELDS; f++) {
    bool missing = freshet_input_must_have(&reader->input, (freshet_field)f, is_event) &&
                   !has_field(reader, (freshet_field)f, names);
    if (missing)
      status = freshet_input_no_column(&reader->input, (freshet_field)f, false, is_event, names, error);
  }
  for (size_t i = 0; status == FRESHET_OK && i < (is_event ? 3 : 1); i++) {
    if (!has_field(reader, needs[i], names))
      status = freshet_input_no_column(&reader->input, needs[i], true, is_event, names, error);
  }
  freshet_buffer_free(&text);
  return status;
}

freshet_status freshet_input_open_avro(const freshet_input* input, freshet_bytes* bytes,
                                       freshet_input_reader** out, freshet_error* error) {
  static const freshet_input_reader_vtable vtable = {.next = next,
                                                     .progress = progress,
                                                     .row = row,
                                                     .columns = columns,
                                                     .style = style,
                                                     .mapping = mapping,
                                                     .close = close_reader};
  avro_reader* reader = calloc(1, sizeof *reader);
  FRESHET_ASSERT(reader != NULL);
  reader->base.vtable = &vtable;
  reader->input = *input;
  reader->bytes = bytes;
  freshet_input_object_init(&reader->fields, &reader->input);
  freshet_status status = read_header(reader, error);
  if (status == FRESHET_OK) status = check_fields(reader, error);
  if (status != FRESHET_OK) {
    close_reader(&reader->base);
    return status;
  }
  bool raw = input->options->unit != FRESHET_TIME_UNKNOWN || input->options->time_format != NULL;
  if (raw) freshet_lake_schema_set_raw_times(reader->schema);
  freshet_lake_schema_set_vector(reader->schema, input->options->map.names[FRESHET_FIELD_VECTOR]);
  freshet_event_type type;
  if (freshet_type_of(freshet_slice_of(freshet_lake_schema_name(reader->schema)), &type))
    reader->type = freshet_type_name(type);
  *out = &reader->base;
  return FRESHET_OK;
}
