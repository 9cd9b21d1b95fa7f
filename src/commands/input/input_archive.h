/*
 * input_archive.h: one file out of zstd, bzip2, xz or zip, through libarchive. Owns libarchive's handle. It reads
 * its bytes through a callback and must not know where they come from.
 */
#ifndef FRESHET_COMMANDS_INPUT_ARCHIVE_H
#define FRESHET_COMMANDS_INPUT_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "freshet/bytes.h"
#include "freshet/status.h"

typedef struct freshet_archive freshet_archive;

typedef struct freshet_archive_source {
  void* context;
  const char* path; /* for messages */
  bool is_zip;
  /* The next bytes in *bytes; 0 at the end, -1 when reading fails. */
  ssize_t (*read)(void* context, const void** bytes);
  int64_t (*seek)(void* context, int64_t offset, int whence); /* NULL: a pipe */
} freshet_archive_source;

/* Do these first bytes begin such a file? NULL: no; else its name for people, such as "xz". */
const char* freshet_archive_kind(freshet_slice head);

/* Errors, verdict FRESHET_STOP: FRESHET_INVALID for a broken file, an archive without a file, an Excel workbook,
 * and several files in one zip: the message lists them. The caller closes *archive. */
freshet_status freshet_archive_open(const freshet_archive_source* source, freshet_archive** archive,
                                    freshet_error* error);
void freshet_archive_close(freshet_archive* archive); /* NULL is allowed */
/* As freshet_bytes_read. */
freshet_status freshet_archive_read(freshet_archive* archive, void* bytes, size_t size, size_t* got,
                                    freshet_error* error);

/* Unpacks bytes in memory, appended to `out`, at most `most` of them. For blocks of Avro files. */
freshet_status freshet_archive_unpack(freshet_slice packed, size_t most, freshet_buffer* out,
                                      freshet_error* error);

#endif
