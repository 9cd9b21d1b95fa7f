/* History in CSV: the first row names the columns. */
#include <stdlib.h>

#include "commands/csv.h"
#include "commands/replay_reader.h"

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
  return FRESHET_OK;
}

static double progress(const freshet_replay_reader* self) {
  return freshet_csv_progress(((const csv_reader*)self)->csv);
}

static void close_reader(freshet_replay_reader* self) {
  freshet_csv_close(((csv_reader*)self)->csv);
  free(self);
}

static int find_column(const freshet_csv* csv, freshet_slice name) {
  char* text = strndup(name.data, name.size);
  FRESHET_ASSERT(text != NULL);
  int column = freshet_csv_column(csv, text);
  free(text);
  return column;
}

static freshet_status find_columns(csv_reader* reader, const freshet_replay_input* input,
                                   freshet_error* error) {
  static const freshet_replay_field event_needs[] = {FRESHET_REPLAY_USER_ID, FRESHET_REPLAY_ITEM_ID,
                                                     FRESHET_REPLAY_OCCURRED_AT};
  static const freshet_replay_field item_needs[] = {FRESHET_REPLAY_ITEM_ID};
  for (int f = 0; f < FRESHET_REPLAY_FIELDS; f++) {
    reader->columns[f] = find_column(reader->csv, input->map->names[f]);
  }
  bool has_user = reader->columns[FRESHET_REPLAY_USER_ID] >= 0;
  reader->is_event = input->expect == FRESHET_REPLAY_ANY ? has_user : input->expect == FRESHET_REPLAY_EVENTS;
  const freshet_replay_field* needs = reader->is_event ? event_needs : item_needs;
  size_t count = reader->is_event ? sizeof event_needs / sizeof *event_needs : 1;
  for (size_t i = 0; i < count; i++) {
    if (reader->columns[needs[i]] >= 0) continue;
    freshet_slice name = input->map->names[needs[i]];
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s: no column '%.*s', which %s need; name another with --map %s=COLUMN",
                             input->path, (int)name.size, name.data, reader->is_event ? "events" : "items",
                             freshet_replay_field_names[needs[i]]);
  }
  return FRESHET_OK;
}

freshet_status freshet_replay_csv_open(const freshet_replay_input* input, freshet_replay_reader** out,
                                       freshet_error* error) {
  static const freshet_replay_reader_vtable vtable = {next, progress, close_reader};
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
