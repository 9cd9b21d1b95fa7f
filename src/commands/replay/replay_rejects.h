/*
 * replay_rejects.h: the rows that a replay could not use: counted, the first ones told, all of them written
 * to a CSV file with our columns, so that they can be corrected and replayed.
 */
#ifndef FRESHET_COMMANDS_REPLAY_REJECTS_H
#define FRESHET_COMMANDS_REPLAY_REJECTS_H

#include <stdio.h>

#include "commands/replay/replay_reader.h"

typedef struct freshet_replay_rejects {
  const char* path; /* NULL: no file */
  FILE* file;
  uint64_t count;
  uint64_t told; /* by this process */
  int problem;   /* errno of the first write that failed; 0: none */
} freshet_replay_rejects;

/* keep_bytes: how much of an existing file is kept, 0 to begin anew. Errors: FRESHET_IO. */
freshet_status freshet_replay_rejects_open(freshet_replay_rejects* rejects, const char* path,
                                           uint64_t keep_bytes, freshet_error* error);
void freshet_replay_rejects_add(freshet_replay_rejects* rejects, const char* input,
                                const freshet_replay_record* record, const char* reason);
/* Has writing failed, as on a full disk? Errors: FRESHET_IO. */
freshet_status freshet_replay_rejects_check(const freshet_replay_rejects* rejects, freshet_error* error);
/* Makes what was written durable and tells its length. Errors: FRESHET_IO. */
freshet_status freshet_replay_rejects_flush(freshet_replay_rejects* rejects, uint64_t* bytes,
                                            freshet_error* error);
void freshet_replay_rejects_close(freshet_replay_rejects* rejects);

#endif
