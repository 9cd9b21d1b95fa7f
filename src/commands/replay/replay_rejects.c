/*
 * replay_rejects.c: counts the rows that cannot be used, prints the first ones, and writes all of them to a
 * CSV file with the reason. It owns that file. Why a row is refused it must not decide.
 */
#include "commands/replay/replay_rejects.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

enum { TOLD_MAX = 10, PLACE_SIZE = 4096 };

static freshet_status fail(const freshet_replay_rejects* rejects, freshet_error* error) {
  return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "%s: %s", rejects->path, strerror(errno));
}

static void write_names(FILE* file) {
  for (int f = 0; f < FRESHET_REPLAY_FIELDS; f++) fprintf(file, "%s,", freshet_replay_field_names[f]);
  fputs("input,line,error\n", file);
}

freshet_status freshet_replay_rejects_open(freshet_replay_rejects* rejects, const char* path,
                                           uint64_t keep_bytes, freshet_error* error) {
  rejects->path = path;
  if (path == NULL) return FRESHET_OK;
  int descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) return fail(rejects, error);
  if (ftruncate(descriptor, (off_t)keep_bytes) != 0 || lseek(descriptor, 0, SEEK_END) < 0 ||
      (rejects->file = fdopen(descriptor, "w")) == NULL) {
    fail(rejects, error);
    close(descriptor);
    return FRESHET_IO;
  }
  if (keep_bytes == 0) write_names(rejects->file);
  return FRESHET_OK;
}

static void write_field(FILE* file, freshet_slice text) {
  bool plain = true;
  for (size_t i = 0; i < text.size && plain; i++) plain = strchr(",\"\r\n", text.data[i]) == NULL;
  if (plain) {
    if (text.size > 0) fwrite(text.data, 1, text.size, file);
    return;
  }
  fputc('"', file);
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] == '"') fputc('"', file);
    fputc(text.data[i], file);
  }
  fputc('"', file);
}

/* A record that was decoded has no texts; its ids at least are shown. */
static freshet_slice field_of(const freshet_replay_record* record, freshet_replay_field field) {
  if (!record->decoded) return record->fields[field];
  switch (field) {
    case FRESHET_REPLAY_EVENT_ID:
      return record->is_event ? record->event.event_id : (freshet_slice){0};
    case FRESHET_REPLAY_USER_ID:
      return record->is_event ? record->event.user_id : (freshet_slice){0};
    case FRESHET_REPLAY_ITEM_ID:
      return record->is_event ? record->event.item_id : record->item.item_id;
    default:
      return (freshet_slice){0};
  }
}

void freshet_replay_rejects_add(freshet_replay_rejects* rejects, const char* input,
                                const freshet_replay_record* record, const char* reason) {
  rejects->count++;
  char place[PLACE_SIZE];
  snprintf(place, sizeof place, "%s", input);
  if (record->has_key) snprintf(place, sizeof place, "%s[%d]", input, (int)record->partition);
  if (rejects->told < TOLD_MAX) fprintf(stderr, "%s:%lu: %s\n", place, record->line, reason);
  if (++rejects->told == TOLD_MAX) fputs("more rejected rows are only counted\n", stderr);
  if (rejects->file == NULL || rejects->problem != 0) return;
  for (int f = 0; f < FRESHET_REPLAY_FIELDS; f++) {
    write_field(rejects->file, field_of(record, (freshet_replay_field)f));
    fputc(',', rejects->file);
  }
  write_field(rejects->file, freshet_slice_of(place));
  fprintf(rejects->file, ",%lu,", record->line);
  write_field(rejects->file, freshet_slice_of(reason));
  fputc('\n', rejects->file);
  if (ferror(rejects->file)) rejects->problem = errno;
}

freshet_status freshet_replay_rejects_check(const freshet_replay_rejects* rejects, freshet_error* error) {
  if (rejects->problem == 0) return FRESHET_OK;
  errno = rejects->problem;
  return fail(rejects, error);
}

freshet_status freshet_replay_rejects_flush(freshet_replay_rejects* rejects, uint64_t* bytes,
                                            freshet_error* error) {
  *bytes = 0;
  if (rejects->file == NULL) return FRESHET_OK;
  freshet_status status = freshet_replay_rejects_check(rejects, error);
  if (status != FRESHET_OK) return status;
  off_t size = -1;
  if (fflush(rejects->file) == 0 && fdatasync(fileno(rejects->file)) == 0) size = ftello(rejects->file);
  if (size < 0) return fail(rejects, error);
  *bytes = (uint64_t)size;
  return FRESHET_OK;
}

void freshet_replay_rejects_close(freshet_replay_rejects* rejects) {
  if (rejects->file != NULL) fclose(rejects->file);
  rejects->file = NULL;
}
