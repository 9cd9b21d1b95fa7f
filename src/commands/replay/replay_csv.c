/*
 * replay_csv.c: A reader of history in CSV: the first row names the columns, and each further row is one
 * event or item. It owns the csv reader. Conversion of the texts is the matter of replay_row.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "commands/csv.h"
#include "commands/replay/replay_reader.h"

enum { COLUMNS_SHOWN = 160 };

typedef struct csv_reader {
  freshet_replay_reader base;
  freshet_csv* csv;
  int columns[FRESHET_REPLAY_FIELDS]; /* -1: absent */
  bool is_event;
} csv_reader;

static freshet_status next(freshet_replay_reader* self, freshet_replay_record* record, bool* more,
                           freshet_error* error) {
  csv_reader* reader = (csv_reader*)self;
  freshet_status status = freshet_csv_next(reader->csv, more, error);
  record->line = freshet_csv_line(reader->csv);
  if (status != FRESHET_OK || !*more) return status;
  record->is_event = reader->is_event;
  record->decoded = false;
  for (int f = 0; f < FRESHET_REPLAY_FIELDS; f++) {
    record->fields[f] = freshet_csv_field(reader->csv, reader->columns[f]);
  }
  /* A comma without quotes, or a line that was cut: which field is which is not known. */
  int fields = freshet_csv_fields(reader->csv), columns = freshet_csv_columns(reader->csv);
  if (fields != columns) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                             "the row has %d fields, the row of names %d", fields, columns);
  }
  if (freshet_csv_unfinished(reader->csv)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                             "the row has no end yet: the file is still being written");
  }
  return FRESHET_OK;
}

static double progress(const freshet_replay_reader* self) {
  return freshet_csv_progress(((const csv_reader*)self)->csv);
}

static void close_reader(freshet_replay_reader* self) {
  freshet_csv_close(((csv_reader*)self)->csv);
  free(self);
}

/* The place of a column; -1: there is none. Two of the name leave open which is meant. */
static freshet_status find_column(const freshet_csv* csv, const char* path, freshet_slice name, int* column,
                                  freshet_error* error) {
  *column = -1;
  for (int c = 0; c < freshet_csv_columns(csv); c++) {
    if (!freshet_slice_equal(freshet_csv_name(csv, c), name)) continue;
    if (*column >= 0) {
      return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: two columns are called '%.*s'",
                               path, (int)name.size, name.data);
    }
    *column = c;
  }
  return FRESHET_OK;
}

/* The names of the first row, as much of them as a message holds. */
static const char* list_columns(const freshet_csv* csv, char text[COLUMNS_SHOWN]) {
  size_t at = 0;
  text[0] = '\0';
  for (int c = 0; c < freshet_csv_columns(csv) && at + 1 < COLUMNS_SHOWN; c++) {
    freshet_slice name = freshet_csv_name(csv, c);
    at += (size_t)snprintf(text + at, COLUMNS_SHOWN - at, "%s%.*s", c == 0 ? "" : ", ", (int)name.size,
                           name.size == 0 ? "" : name.data);
  }
  return text;
}

static freshet_status find_columns(csv_reader* reader, const freshet_replay_input* input,
                                   freshet_error* error) {
  static const freshet_replay_field event_needs[] = {FRESHET_REPLAY_USER_ID, FRESHET_REPLAY_ITEM_ID,
                                                     FRESHET_REPLAY_OCCURRED_AT};
  static const freshet_replay_field item_needs[] = {FRESHET_REPLAY_ITEM_ID};
  for (int f = 0; f < FRESHET_REPLAY_FIELDS; f++) {
    freshet_status status =
        find_column(reader->csv, input->path, input->map->names[f], &reader->columns[f], error);
    if (status != FRESHET_OK) return status;
  }
  bool has_user = reader->columns[FRESHET_REPLAY_USER_ID] >= 0;
  reader->is_event = input->expect == FRESHET_REPLAY_ANY ? has_user : input->expect == FRESHET_REPLAY_EVENTS;
  const freshet_replay_field* needs = reader->is_event ? event_needs : item_needs;
  size_t count = reader->is_event ? sizeof event_needs / sizeof *event_needs : 1;
  for (size_t i = 0; i < count; i++) {
    if (reader->columns[needs[i]] >= 0) continue;
    freshet_slice name = input->map->names[needs[i]];
    char columns[COLUMNS_SHOWN];
    return freshet_error_set(
        error, FRESHET_INVALID, FRESHET_STOP,
        "%s: no column '%.*s', which %s need, among '%s'; the first row must name the columns, and "
        "--map %s=COLUMN says which one it is",
        input->path, (int)name.size, name.data, reader->is_event ? "events" : "items",
        list_columns(reader->csv, columns), freshet_replay_field_names[needs[i]]);
  }
  return FRESHET_OK;
}

freshet_status freshet_replay_csv_open(const freshet_replay_input* input, freshet_replay_reader** out,
                                       freshet_error* error) {
  static const freshet_replay_reader_vtable vtable = {
      .next = next, .progress = progress, .close = close_reader};
  csv_reader* reader = calloc(1, sizeof *reader);
  FRESHET_ASSERT(reader != NULL);
  reader->base.vtable = &vtable;
  freshet_status status = freshet_csv_open(input->path, &reader->csv, error);
  if (status == FRESHET_OK) status = find_columns(reader, input, error);
  if (status != FRESHET_OK) {
    close_reader(&reader->base);
    return status;
  }
  *out = &reader->base;
  return FRESHET_OK;
}
