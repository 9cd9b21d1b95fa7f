/*
 * line_file.h: the lines of a text file, plain or gzip. A byte order mark and Windows line ends are removed,
 * so that callers never see them.
 */
#ifndef FRESHET_COMMANDS_LINE_FILE_H
#define FRESHET_COMMANDS_LINE_FILE_H

#include "commands/gzip_file.h"
#include "freshet/bytes.h"

enum { FRESHET_LINE_MAX = 16 * 1024 * 1024, FRESHET_LINE_CHUNK = 1 << 16 };

/* Zero-initialise; its address must not change between two calls. */
typedef struct freshet_line_file {
  const char* path; /* borrowed */
  freshet_gzip_file file;
  char chunk[FRESHET_LINE_CHUNK];
  size_t chunk_at, chunk_end;
  freshet_buffer line;
  unsigned long number; /* of the line that was read last, from 1 */
} freshet_line_file;

/* Errors: those of freshet_gzip_open. */
freshet_status freshet_line_open(const char* path, freshet_line_file* lines, freshet_error* error);
void freshet_line_close(freshet_line_file* lines);

/* Reads the next line, without its end; it is valid until the next call. *more is false at the end of the
 * file. Errors: FRESHET_INVALID, verdict FRESHET_STOP with file and line; verdict FRESHET_DEAD_LETTER for a
 * last line without an end in a file that grows. */
freshet_status freshet_line_next(freshet_line_file* lines, freshet_slice* line, bool* more,
                                 freshet_error* error);

#endif
