/*
 * gzip_file.h: a file for reading, plain or gzip, that knows how far it has been read and notices when it was
 * not the same file all along.
 */
#ifndef FRESHET_COMMANDS_GZIP_FILE_H
#define FRESHET_COMMANDS_GZIP_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <zlib.h>

#include "freshet/status.h"

typedef struct freshet_gzip_file {
  gzFile file;
  int descriptor;     /* the file's own, for asking about it */
  double size_bytes;  /* as stored, when it was opened; 0 when not known */
  double grown_bytes; /* how much it has grown since it was opened, as seen at its end */
} freshet_gzip_file;

/* "-": standard input. Errors: FRESHET_NOT_FOUND; FRESHET_INVALID for a folder. */
freshet_status freshet_gzip_open(const char* path, freshet_gzip_file* file, freshet_error* error);
/* Closes the file; one that was never opened is allowed. */
void freshet_gzip_close(freshet_gzip_file* file);

/* Reads up to `size` bytes; *got 0: the end. Errors, verdict FRESHET_STOP, without the path: FRESHET_INVALID
 * for a gzip stream that is broken or cut, and for a file that has become shorter while it was read;
 * FRESHET_IO when reading fails. */
freshet_status freshet_gzip_read(freshet_gzip_file* file, void* bytes, size_t size, size_t* got,
                                 freshet_error* error);

/* 0 to 1; 0 when the size is not known. */
double freshet_gzip_progress(const freshet_gzip_file* file);
/* The same bytes as a stream of the C library, which must be closed before the file is. */
FILE* freshet_gzip_stream(freshet_gzip_file* file);

#endif
