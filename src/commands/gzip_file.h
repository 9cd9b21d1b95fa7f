/*
 * gzip_file.h: a file for reading, plain or gzip, that knows how far it has been read.
 */
#ifndef FRESHET_COMMANDS_GZIP_FILE_H
#define FRESHET_COMMANDS_GZIP_FILE_H

#include <stdio.h>
#include <zlib.h>

#include "freshet/status.h"

typedef struct freshet_gzip_file {
  gzFile file;
  double size_bytes; /* as stored; 0 when not known */
} freshet_gzip_file;

/* "-": standard input. Errors: FRESHET_NOT_FOUND. */
freshet_status freshet_gzip_open(const char* path, freshet_gzip_file* file, freshet_error* error);
void freshet_gzip_close(freshet_gzip_file* file);
/* 0 to 1; 0 when the size is not known. */
double freshet_gzip_progress(const freshet_gzip_file* file);
/* The same bytes as a stream of the C library, which must be closed before the file is. */
FILE* freshet_gzip_stream(freshet_gzip_file* file);

#endif
