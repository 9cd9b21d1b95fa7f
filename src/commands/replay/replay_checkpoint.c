/*
 * replay_checkpoint.c: reads and writes the checkpoint file of a replay: a few lines of text, replaced as a
 * whole. It must not know how far a reader is: it stores what it is given.
 */
#include "commands/replay/replay_checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, FIELDS = 11 };

/* One text for both ways: it starts with what names the format, and ends so that a cut file is noticed. */
#define FORMAT(number, text)                                                                               \
  "freshet-replay-checkpoint 2\narguments %" number "\ninput %" number "\nrecords %" number                \
  "\nlast %" number "\nevents %" number "\nitems %" number "\nrejected %" number "\nerrors_bytes %" number \
  "\nbehind %" number "\nplace %" text "\nmark %" text "\nend"
static const char none[] = "-";

void freshet_replay_checkpoint_free(freshet_replay_checkpoint* c) {
  free(c->place);
  free(c->mark);
  *c = (freshet_replay_checkpoint){0};
}

static char* text_or_null(char* text) {
  if (text == NULL || strcmp(text, none) != 0) return text;
  free(text);
  return NULL;
}

freshet_status freshet_replay_checkpoint_read(const char* path, freshet_replay_checkpoint* c,
                                              freshet_error* error) {
  freshet_replay_checkpoint_free(c);
  FILE* file = fopen(path, "re");
  if (file == NULL) {
    return freshet_error_set(error, errno == ENOENT ? FRESHET_NOT_FOUND : FRESHET_IO, FRESHET_STOP,
                             "checkpoint %s: %s", path, strerror(errno));
  }
  int end = 0;
  int fields =
      fscanf(file, FORMAT(SCNu64, "ms") "%n", &c->arguments, &c->input, &c->records, &c->last, &c->events,
             &c->items, &c->rejected, &c->errors_bytes, &c->behind, &c->place, &c->mark, &end);
  fclose(file);
  c->place = text_or_null(c->place);
  c->mark = text_or_null(c->mark);
  if (fields == FIELDS && end > 0) return FRESHET_OK;
  freshet_replay_checkpoint_free(c);
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s is no checkpoint of a replay", path);
}

freshet_status freshet_replay_checkpoint_write(const char* path, const freshet_replay_checkpoint* c,
                                               freshet_error* error) {
  char fresh[PATH_SIZE];
  snprintf(fresh, sizeof fresh, "%s.new", path);
  FILE* file = fopen(fresh, "we");
  bool written = file != NULL &&
                 fprintf(file, FORMAT(PRIu64, "s") "\n", c->arguments, c->input, c->records, c->last,
                         c->events, c->items, c->rejected, c->errors_bytes, c->behind,
                         c->place == NULL ? none : c->place, c->mark == NULL ? none : c->mark) > 0 &&
                 fflush(file) == 0 && fsync(fileno(file)) == 0;
  int problem = errno;
  if (file != NULL && fclose(file) != 0) written = false;
  if (written && rename(fresh, path) == 0) return FRESHET_OK;
  if (!written) unlink(fresh); /* a full disk should not keep a half */
  return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "checkpoint %s: %s", path,
                           strerror(written ? errno : problem));
}
