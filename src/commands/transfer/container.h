/*
 * container.h: Avro object container files, written and read block by block, with a checksum of each block. The format
 * itself has none, so the checksums are kept elsewhere (manifest.h). Source: Apache Avro 1.11 specification, "Object
 * Container Files", codec `null`.
 *
 * It must not know what a datum means. Thread rule: one thread for each writer.
 */
#ifndef FRESHET_COMMANDS_TRANSFER_CONTAINER_H
#define FRESHET_COMMANDS_TRANSFER_CONTAINER_H

#include "freshet/bytes.h"
#include "freshet/status.h"

/* What a file held when it was written. Zero-initialise; freshet_container_sums_free frees it. */
typedef struct freshet_container_sums {
  uint64_t records;
  uint64_t* blocks; /* [block_count] XXH3-64 of the header, then of each block with its marker */
  size_t block_count, block_capacity;
} freshet_container_sums;

void freshet_container_sums_free(freshet_container_sums* sums);

typedef struct freshet_container_writer freshet_container_writer;

/* Makes the file. schema: JSON. *sums (borrowed) is filled while the file is written. Errors: FRESHET_IO. */
freshet_status freshet_container_create(const char* path, const char* schema, freshet_container_sums* sums,
                                        freshet_container_writer** writer, freshet_error* error);
/* Adds a datum: a value in Avro's binary encoding, without any framing. Errors: FRESHET_IO. */
freshet_status freshet_container_add(freshet_container_writer* writer, freshet_slice datum,
                                     freshet_error* error);
/* Writes what is left to the disk and frees the writer, whatever the status. NULL is allowed. */
freshet_status freshet_container_finish(freshet_container_writer* writer, freshet_error* error);

typedef struct freshet_container_reading {
  const char* path;
  const freshet_container_sums* sums; /* what the file must hold */
  /* Called once with the writer's schema, NUL-terminated. NULL: no call. */
  freshet_status (*schema)(void* context, const char* json, freshet_error* error);
  /* Takes one datum off the front of *bytes, where the block's data follow one another. */
  freshet_status (*take)(void* context, freshet_slice* bytes, freshet_error* error);
  void* context;
} freshet_container_reading;

/* Reads the whole file. Errors: FRESHET_IO when it cannot be read; FRESHET_INVALID with the file and the block when
 * it is not as it was written; those of the callbacks, with the file and the block in front. */
freshet_status freshet_container_read(const freshet_container_reading* reading, freshet_error* error);

/* ---- the encoding of numbers and bytes ---- */

void freshet_put_avro_long(freshet_buffer* out, int64_t value);
void freshet_put_avro_bytes(freshet_buffer* out, freshet_slice bytes); /* and strings */
/* Off the front of *bytes. False: there is none. */
bool freshet_take_avro_long(freshet_slice* bytes, int64_t* value);
bool freshet_take_avro_bytes(freshet_slice* bytes, freshet_slice* taken); /* a view */

#endif
