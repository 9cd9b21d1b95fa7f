#include "commands/replay_checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

/* One text for both ways: it starts with what names the format, and ends so that a cut file is noticed. */
#define FORMAT(number)                                                                      \
  "freshet-replay-checkpoint 1\narguments %" number "\ninput %" number "\nrecords %" number \
  "\nevents %" number "\nitems %" number "\nrejected %" number "\nerrors_bytes %" number "\nend"

freshet_status freshet_replay_checkpoint_read(const char* path, freshet_replay_checkpoint* c,
                                              freshet_error* error) {
  FILE* file = fopen(path, "re");
  if (file == NULL) {
    return freshet_error_set(error, errno == ENOENT ? FRESHET_NOT_FOUND : FRESHET_IO, FRESHET_STOP,
                             "checkpoint %s: %s", path, strerror(errno));
  }
  int end = 0;
  int fields = fscanf(file, FORMAT(SCNu64) "%n", &c->arguments, &c->input, &c->records, &c->events, &c->items,
                      &c->rejected, &c->errors_bytes, &end);
  fclose(file);
  if (fields == 7 && end > 0) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s is no checkpoint of a replay", path);
}

freshet_status freshet_replay_checkpoint_write(const char* path, const freshet_replay_checkpoint* c,
                                               freshet_error* error) {
  char fresh[PATH_SIZE];
  snprintf(fresh, sizeof fresh, "%s.new", path);
  FILE* file = fopen(fresh, "we");
  bool written = file != NULL &&
                 fprintf(file, FORMAT(PRIu64) "\n", c->arguments, c->input, c->records, c->events, c->items,
                         c->rejected, c->errors_bytes) > 0 &&
                 fflush(file) == 0 && fsync(fileno(file)) == 0;
  int problem = errno;
  if (file != NULL && fclose(file) != 0) written = false;
  if (written && rename(fresh, path) == 0) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "checkpoint %s: %s", path,
                           strerror(written ? errno : problem));
}
