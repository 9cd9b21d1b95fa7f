/*
 * input_rejects.h: the rows that an intake could not use: the first ones are told, all are written to a CSV file with
 * our columns and the row as it was, so that they can be corrected and read again. Owns that file.
 */
#ifndef FRESHET_COMMANDS_INPUT_REJECTS_H
#define FRESHET_COMMANDS_INPUT_REJECTS_H

#include <stdio.h>

#include "commands/input/input_reader.h"

/* Zero-initialise. */
typedef struct freshet_input_rejects {
  const char* path; /* NULL: no file */
  FILE* file;
  uint64_t told; /* by this process */
  int problem;   /* errno of the first write that failed; 0: none */
  freshet_buffer line, row;
} freshet_input_rejects;

/* keep_bytes: how much of an existing file is kept, 0 to begin anew. Errors: FRESHET_IO. */
freshet_status freshet_input_rejects_open(freshet_input_rejects* rejects, const char* path,
                                          uint64_t keep_bytes, freshet_error* error);
/* The record that the reader gave last. */
void freshet_input_rejects_add(freshet_input_rejects* rejects, const char* place,
                               const freshet_input_reader* reader, const freshet_input_record* record,
                               const char* reason);
/* Has writing failed, as on a full disk? Errors: FRESHET_IO. */
freshet_status freshet_input_rejects_check(const freshet_input_rejects* rejects, freshet_error* error);
/* Makes what was written durable and tells its length. Errors: FRESHET_IO. */
freshet_status freshet_input_rejects_flush(freshet_input_rejects* rejects, uint64_t* bytes,
                                           freshet_error* error);
void freshet_input_rejects_close(freshet_input_rejects* rejects);

#endif
