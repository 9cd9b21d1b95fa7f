/*
 * input_rejects.c: the file of rejected rows of input_rejects.h.
 */
#include "commands/input/input_rejects.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { TOLD_MAX = 10 };

static freshet_status fail(const freshet_input_rejects* rejects, freshet_error* error) {
  return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "%s: %s", rejects->path, strerror(errno));
}

static void write_names(FILE* file) {
  for (int f = 0; f < FRESHET_FIELDS; f++) fprintf(file, "%s,", freshet_field_names[f]);
  fputs("input,line,error,row\n", file);
}

freshet_status freshet_input_rejects_open(freshet_input_rejects* rejects, const char* path,
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

/* A record that was decoded has no texts; its ids at least are shown. */
static freshet_slice field_of(const freshet_input_record* record, freshet_field field) {
  if (!record->decoded) return record->fields[field];
  switch (field) {
    case FRESHET_FIELD_EVENT_ID:
      return record->is_event ? record->event.event_id : (freshet_slice){0};
    case FRESHET_FIELD_USER_ID:
      return record->is_event ? record->event.user_id : (freshet_slice){0};
    case FRESHET_FIELD_ITEM_ID:
      return record->is_event ? record->event.item_id : record->item.item_id;
    default:
      return (freshet_slice){0};
  }
}

/* A list that the reader has taken apart is written with | between its parts. */
static void append_field(freshet_buffer* line, freshet_slice text) {
  bool is_list = text.size > 0 && text.data[0] == FRESHET_LIST_PART;
  if (!is_list) {
    freshet_csv_quote(text, line);
    return;
  }
  freshet_buffer joined = {0};
  freshet_buffer_append(&joined, text.data + 1, text.size - 1);
  for (size_t i = 0; i < joined.size; i++) {
    if (joined.data[i] == FRESHET_LIST_PART) joined.data[i] = '|';
    if (joined.data[i] == FRESHET_LIST_VALUE) joined.data[i] = '=';
  }
  freshet_csv_quote(freshet_buffer_slice(&joined), line);
  freshet_buffer_free(&joined);
}

void freshet_input_rejects_add(freshet_input_rejects* rejects, const char* place,
                               const freshet_input_reader* reader, const freshet_input_record* record,
                               const char* reason) {
  char number[24];
  if (rejects->told < TOLD_MAX) fprintf(stderr, "%s:%lu: %s\n", place, record->line, reason);
  if (++rejects->told == TOLD_MAX) fputs("more rejected rows are only counted\n", stderr);
  if (rejects->file == NULL || rejects->problem != 0) return;
  freshet_buffer* line = &rejects->line;
  line->size = rejects->row.size = 0;
  for (int f = 0; f < FRESHET_FIELDS; f++) {
    append_field(line, field_of(record, (freshet_field)f));
    freshet_buffer_append(line, ",", 1);
  }
  freshet_csv_quote(freshet_slice_of(place), line);
  snprintf(number, sizeof number, ",%lu,", record->line);
  freshet_buffer_append(line, number, strlen(number));
  freshet_csv_quote(freshet_slice_of(reason), line);
  freshet_buffer_append(line, ",", 1);
  freshet_input_row(reader, &rejects->row);
  freshet_csv_quote(freshet_buffer_slice(&rejects->row), line);
  freshet_buffer_append(line, "\n", 1);
  fwrite(line->data, 1, line->size, rejects->file);
  if (ferror(rejects->file)) rejects->problem = errno;
}

freshet_status freshet_input_rejects_check(const freshet_input_rejects* rejects, freshet_error* error) {
  if (rejects->problem == 0) return FRESHET_OK;
  errno = rejects->problem;
  return fail(rejects, error);
}

freshet_status freshet_input_rejects_flush(freshet_input_rejects* rejects, uint64_t* bytes,
                                           freshet_error* error) {
  *bytes = 0;
  if (rejects->file == NULL) return FRESHET_OK;
  freshet_status status = freshet_input_rejects_check(rejects, error);
  if (status != FRESHET_OK) return status;
  off_t size = -1;
  if (fflush(rejects->file) == 0 && fdatasync(fileno(rejects->file)) == 0) size = ftello(rejects->file);
  if (size < 0) return fail(rejects, error);
  *bytes = (uint64_t)size;
  return FRESHET_OK;
}

void freshet_input_rejects_close(freshet_input_rejects* rejects) {
  if (rejects->file != NULL) fclose(rejects->file);
  rejects->file = NULL;
  freshet_buffer_free(&rejects->line);
  freshet_buffer_free(&rejects->row);
}
