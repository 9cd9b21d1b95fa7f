/*
 * container.c: see container.h. A block is written when it is large enough, so memory is bounded by one block. It
 * must not know which files an export has.
 */
#include "commands/transfer/container.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <xxhash.h>

#include "core/grow.h"

enum {
  SYNC_BYTES = 16,
  BLOCK_BYTES = 256 * 1024,
  BLOCK_MAX = 256 * 1024 * 1024,
  HEADER_MAX = 4 * 1024 * 1024,
  LONG_MAX_BYTES = 10,
};

static const char magic[4] = {'O', 'b', 'j', 1};

void freshet_container_sums_free(freshet_container_sums* sums) {
  free(sums->blocks);
  *sums = (freshet_container_sums){0};
}

/* ---- numbers and bytes ---- */

void freshet_put_avro_long(freshet_buffer* out, int64_t value) {
  uint64_t bits = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
  uint8_t bytes[LONG_MAX_BYTES];
  size_t size = 0;
  for (; bits >= 0x80; bits >>= 7) bytes[size++] = (uint8_t)(bits | 0x80);
  bytes[size++] = (uint8_t)bits;
  freshet_buffer_append(out, bytes, size);
}

void freshet_put_avro_bytes(freshet_buffer* out, freshet_slice bytes) {
  freshet_put_avro_long(out, (int64_t)bytes.size);
  freshet_buffer_append(out, bytes.data, bytes.size);
}

bool freshet_take_avro_long(freshet_slice* bytes, int64_t* value) {
  uint64_t bits = 0;
  for (int shift = 0; shift < 64 && bytes->size > 0; shift += 7) {
    uint8_t byte = (uint8_t)*bytes->data;
    *bytes = (freshet_slice){bytes->data + 1, bytes->size - 1};
    bits |= (uint64_t)(byte & 0x7f) << shift;
    if ((byte & 0x80) != 0) continue;
    *value = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
    return true;
  }
  return false;
}

bool freshet_take_avro_bytes(freshet_slice* bytes, freshet_slice* taken) {
  int64_t size;
  if (!freshet_take_avro_long(bytes, &size) || size < 0 || (uint64_t)size > bytes->size) return false;
  *taken = (freshet_slice){bytes->data, (size_t)size};
  *bytes = (freshet_slice){bytes->data + size, bytes->size - (size_t)size};
  return true;
}

/* ---- writing ---- */

struct freshet_container_writer {
  char* path;
  FILE* file;
  freshet_container_sums* sums;
  uint8_t sync[SYNC_BYTES];
  freshet_buffer block, out;
  int64_t count; /* in the block */
};

static freshet_status failed(const freshet_container_writer* writer, freshet_error* error) {
  return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "cannot write %s: %s", writer->path,
                           strerror(errno));
}

/* Writes `out`, which ends with the marker, and keeps its checksum. */
static freshet_status write_part(freshet_container_writer* writer, freshet_error* error) {
  freshet_container_sums* sums = writer->sums;
  sums->blocks =
      freshet_grow(sums->blocks, &sums->block_capacity, sums->block_count + 1, sizeof *sums->blocks);
  sums->blocks[sums->block_count++] = XXH3_64bits(writer->out.data, writer->out.size);
  bool written = fwrite(writer->out.data, 1, writer->out.size, writer->file) == writer->out.size;
  writer->out.size = 0;
  return written ? FRESHET_OK : failed(writer, error);
}

static freshet_status write_header(freshet_container_writer* writer, const char* schema,
                                   freshet_error* error) {
  freshet_buffer* out = &writer->out;
  freshet_buffer_append(out, magic, sizeof magic);
  freshet_put_avro_long(out, 2);
  freshet_put_avro_bytes(out, freshet_slice_of("avro.codec"));
  freshet_put_avro_bytes(out, freshet_slice_of("null"));
  freshet_put_avro_bytes(out, freshet_slice_of("avro.schema"));
  freshet_put_avro_bytes(out, freshet_slice_of(schema));
  freshet_put_avro_long(out, 0);
  freshet_buffer_append(out, writer->sync, SYNC_BYTES);
  return write_part(writer, error);
}

static freshet_status write_block(freshet_container_writer* writer, freshet_error* error) {
  if (writer->count == 0) return FRESHET_OK;
  freshet_put_avro_long(&writer->out, writer->count);
  freshet_put_avro_bytes(&writer->out, freshet_buffer_slice(&writer->block));
  freshet_buffer_append(&writer->out, writer->sync, SYNC_BYTES);
  writer->count = 0;
  writer->block.size = 0;
  return write_part(writer, error);
}

freshet_status freshet_container_create(const char* path, const char* schema, freshet_container_sums* sums,
                                        freshet_container_writer** out, freshet_error* error) {
  freshet_container_writer* writer = calloc(1, sizeof *writer);
  FRESHET_ASSERT(writer != NULL);
  writer->path = strdup(path);
  FRESHET_ASSERT(writer->path != NULL);
  writer->sums = sums;
  FRESHET_ASSERT(getrandom(writer->sync, SYNC_BYTES, 0) == SYNC_BYTES);
  writer->file = fopen(path, "wxe");
  *out = writer;
  return writer->file == NULL ? failed(writer, error) : write_header(writer, schema, error);
}

freshet_status freshet_container_add(freshet_container_writer* writer, freshet_slice datum,
                                     freshet_error* error) {
  freshet_buffer_append(&writer->block, datum.data, datum.size);
  writer->count++;
  writer->sums->records++;
  return writer->block.size < BLOCK_BYTES ? FRESHET_OK : write_block(writer, error);
}

freshet_status freshet_container_finish(freshet_container_writer* writer, freshet_error* error) {
  if (writer == NULL) return FRESHET_OK;
  freshet_status status = FRESHET_OK;
  if (writer->file != NULL) {
    status = write_block(writer, error);
    bool flushed = fflush(writer->file) == 0 && fsync(fileno(writer->file)) == 0;
    if (status == FRESHET_OK && !flushed) status = failed(writer, error);
    if (fclose(writer->file) != 0 && status == FRESHET_OK) status = failed(writer, error);
  }
  freshet_buffer_free(&writer->block);
  freshet_buffer_free(&writer->out);
  free(writer->path);
  free(writer);
  return status;
}

/* ---- reading ---- */

typedef struct container {
  const freshet_container_reading* reading;
  FILE* file;
  freshet_buffer part; /* the header, or one block, as it is in the file */
  size_t number;       /* of the part: 0 is the header */
  uint64_t records;
  uint8_t sync[SYNC_BYTES];
} container;

static freshet_status damaged(const container* c, const char* what, freshet_error* error) {
  const char* path = c->reading->path;
  if (c->number == 0)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s: its header is damaged (%s); take this file from another copy of the export",
                             path, what);
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "%s: block %zu of %zu is damaged (%s); take this file from another copy of the "
                           "export",
                           path, c->number, c->reading->sums->block_count - 1, what);
}

/* Appends exactly so many bytes. False: the file has ended. */
static bool read_bytes(container* c, size_t size) {
  uint8_t* room = freshet_buffer_reserve(&c->part, size + 1);
  size_t got = fread(room, 1, size, c->file);
  c->part.size += got;
  return got == size;
}

static bool read_long(container* c, int64_t* value) {
  size_t start = c->part.size;
  do {
    if (c->part.size - start == LONG_MAX_BYTES || !read_bytes(c, 1)) return false;
  } while ((c->part.data[c->part.size - 1] & 0x80) != 0);
  freshet_slice view = {(const char*)c->part.data + start, c->part.size - start};
  return freshet_take_avro_long(&view, value);
}

/* Appends length and bytes, and returns where the bytes start; SIZE_MAX: there are none. */
static size_t read_sized(container* c, int64_t most) {
  int64_t size;
  if (!read_long(c, &size) || size < 0 || size > most) return SIZE_MAX;
  size_t start = c->part.size;
  return read_bytes(c, (size_t)size) ? start : SIZE_MAX;
}

static bool is_intact(const container* c) {
  const freshet_container_sums* sums = c->reading->sums;
  return c->number < sums->block_count && XXH3_64bits(c->part.data, c->part.size) == sums->blocks[c->number];
}

/* Our own header: one block of the map, with codec and schema. *schema: where its text is in `part`. */
static bool read_header(container* c, freshet_slice* schema) {
  int64_t entries, end = -1;
  bool fine = read_bytes(c, sizeof magic) && memcmp(c->part.data, magic, sizeof magic) == 0 &&
              read_long(c, &entries) && entries == 2;
  size_t value = SIZE_MAX;
  for (int i = 0; fine && i < 2; i++) {
    fine = read_sized(c, HEADER_MAX) != SIZE_MAX;
    value = fine ? read_sized(c, HEADER_MAX) : SIZE_MAX;
    fine = fine && value != SIZE_MAX;
  }
  size_t value_end = c->part.size;
  fine = fine && read_long(c, &end) && end == 0 && read_bytes(c, SYNC_BYTES);
  if (!fine) return false;
  memcpy(c->sync, c->part.data + c->part.size - SYNC_BYTES, SYNC_BYTES);
  *schema = (freshet_slice){(const char*)c->part.data + value, value_end - value};
  return true;
}

static freshet_status take_header(container* c, freshet_error* error) {
  const freshet_container_reading* reading = c->reading;
  freshet_slice schema;
  if (!read_header(c, &schema)) return damaged(c, "it is not one that `freshet export` writes", error);
  if (!is_intact(c)) return damaged(c, "its checksum differs", error);
  if (reading->schema == NULL) return FRESHET_OK;
  char* text = strndup(schema.data, schema.size);
  FRESHET_ASSERT(text != NULL);
  freshet_error cause = {0};
  freshet_status status = reading->schema(reading->context, text, &cause);
  free(text);
  if (status == FRESHET_OK) return status;
  return freshet_error_set(error, status, FRESHET_STOP, "%s: %s", reading->path, cause.message);
}

static freshet_status take_data(container* c, int64_t count, freshet_slice data, freshet_error* error) {
  const freshet_container_reading* reading = c->reading;
  for (int64_t i = 0; i < count; i++) {
    freshet_error cause = {0};
    freshet_status status = reading->take(reading->context, &data, &cause);
    if (status != FRESHET_OK)
      return freshet_error_set(error, status, FRESHET_STOP, "%s: block %zu, record %lld: %s", reading->path,
                               c->number, (long long)i + 1, cause.message);
    c->records++;
  }
  return data.size == 0 ? FRESHET_OK : damaged(c, "bytes are left over", error);
}

static freshet_status take_block(container* c, freshet_error* error) {
  int64_t count;
  c->part.size = 0;
  c->number++;
  size_t start = read_long(c, &count) ? read_sized(c, BLOCK_MAX) : SIZE_MAX;
  size_t end = c->part.size;
  if (start == SIZE_MAX || count < 0 || !read_bytes(c, SYNC_BYTES))
    return damaged(c, "the file is cut off, or a length is wrong", error);
  if (memcmp(c->part.data + end, c->sync, SYNC_BYTES) != 0) return damaged(c, "its marker is wrong", error);
  if (!is_intact(c)) return damaged(c, "its checksum differs", error);
  return take_data(c, count, (freshet_slice){(const char*)c->part.data + start, end - start}, error);
}

freshet_status freshet_container_read(const freshet_container_reading* reading, freshet_error* error) {
  container c = {.reading = reading, .file = fopen(reading->path, "re")};
  if (c.file == NULL)
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "cannot read %s: %s", reading->path,
                             strerror(errno));
  freshet_status status = take_header(&c, error);
  while (status == FRESHET_OK && c.number + 1 < reading->sums->block_count) status = take_block(&c, error);
  if (status == FRESHET_OK && fgetc(c.file) != EOF)
    status = damaged(&c, "something follows that was not written by the export", error);
  if (status == FRESHET_OK && c.records != reading->sums->records)
    status = damaged(&c, "it has another number of records", error);
  fclose(c.file);
  freshet_buffer_free(&c.part);
  return status;
}
