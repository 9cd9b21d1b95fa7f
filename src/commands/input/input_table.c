/*
 * input_table.c: records from separated values. Columns are found by name once, when the file is opened. Three forms
 * of known data sets are read here too: a column of 0 and 1 that is a category ("?NAME"), a line that gives a field
 * to the rows below it, and a field with several ids, of which each makes a record.
 */
#include <stdio.h>
#include <stdlib.h>

#include "commands/input/input_reader.h"

enum { PARTS_MAX = 4096 };

typedef struct table_reader {
  freshet_input_reader base;
  freshet_input copy;
  const freshet_input* input; /* that copy */
  freshet_csv* csv;
  int columns[FRESHET_FIELDS]; /* -1: absent */
  int used[FRESHET_FIELDS];    /* [used_count] fields that have a column */
  int used_count;
  uint32_t present;
  bool is_event;
  bool has_flags;         /* some columns are "?NAME" */
  freshet_buffer flags;   /* the categories of the current row */
  freshet_buffer heading; /* what the last heading said */
  int each;               /* field with several values; -1: none */
  freshet_slice separator, ending;
  freshet_slice rest; /* of the field, not yet given */
  freshet_slice fields[FRESHET_FIELDS];
} table_reader;

/* ---- one row ---- */

/* "7:" gives its value to the rows below it. */
static bool take_heading(table_reader* reader) {
  if (reader->input->options->heading < 0 || freshet_csv_fields(reader->csv) != 1) return false;
  freshet_slice text = freshet_text_trim(freshet_csv_field(reader->csv, 0));
  if (text.size < 2 || text.data[text.size - 1] != ':') return false;
  reader->heading.size = 0;
  freshet_buffer_append(&reader->heading, text.data, text.size - 1);
  return true;
}

static void collect_flags(table_reader* reader) {
  char part = FRESHET_LIST_PART;
  reader->flags.size = 0;
  for (int c = 0; c < freshet_csv_columns(reader->csv); c++) {
    freshet_slice name = freshet_csv_name(reader->csv, c);
    bool is_set =
        freshet_slice_equal(freshet_text_trim(freshet_csv_field(reader->csv, c)), freshet_slice_of("1"));
    if (name.size < 2 || name.data[0] != '?' || !is_set) continue;
    freshet_buffer_append(&reader->flags, &part, 1);
    freshet_buffer_append(&reader->flags, name.data + 1, name.size - 1);
  }
  reader->fields[FRESHET_FIELD_CATEGORIES] = freshet_buffer_slice(&reader->flags);
}

static freshet_status take_row(table_reader* reader, freshet_error* error) {
  for (int i = 0; i < reader->used_count; i++)
    reader->fields[reader->used[i]] = freshet_csv_field(reader->csv, reader->columns[reader->used[i]]);
  if (reader->has_flags) collect_flags(reader);
  int heading = reader->input->options->heading;
  if (heading >= 0) reader->fields[heading] = freshet_buffer_slice(&reader->heading);
  /* A separator without quotes, or a line that was cut: which field is which is not known. */
  int fields = freshet_csv_fields(reader->csv), columns = freshet_csv_columns(reader->csv);
  if (fields != columns) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                             "the row has %d fields, the row of names %d", fields, columns);
  }
  if (freshet_csv_unfinished(reader->csv)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                             "the row has no end yet: the file is still being written");
  }
  if (heading >= 0 && reader->heading.size == 0) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                             "no line 'VALUE:' before this one tells its %s", freshet_field_names[heading]);
  }
  return FRESHET_OK;
}

/* ---- several records of a row ---- */

/* The next part of the field that counts; false: none is left. */
static bool next_part(table_reader* reader, freshet_slice* part) {
  while (reader->rest.size > 0) {
    const char* cut =
        memmem(reader->rest.data, reader->rest.size, reader->separator.data, reader->separator.size);
    size_t size = cut == NULL ? reader->rest.size : (size_t)(cut - reader->rest.data);
    *part = (freshet_slice){reader->rest.data, size};
    if (cut != NULL) size += reader->separator.size;
    reader->rest = (freshet_slice){reader->rest.data + size, reader->rest.size - size};
    bool ends = part->size > reader->ending.size && memcmp(part->data + part->size - reader->ending.size,
                                                           reader->ending.data, reader->ending.size) == 0;
    if (!ends && (reader->ending.size > 0 || part->size == 0)) continue;
    part->size -= reader->ending.size;
    return true;
  }
  return false;
}

static freshet_status next_row(table_reader* reader, bool* more, freshet_error* error) {
  freshet_status status;
  do {
    status = freshet_csv_next(reader->csv, more, error);
  } while (status == FRESHET_OK && *more && take_heading(reader));
  if (status != FRESHET_OK || !*more) { /* the texts of the row before are gone */
    memset(reader->fields, 0, sizeof reader->fields);
    return status;
  }
  status = take_row(reader, error);
  if (status == FRESHET_OK && reader->each >= 0) reader->rest = reader->fields[reader->each];
  return status;
}

static freshet_status next(freshet_input_reader* self, freshet_input_record* record, bool* more,
                           freshet_error* error) {
  table_reader* reader = (table_reader*)self;
  freshet_slice part = {0};
  freshet_status status = FRESHET_OK;
  *more = true;
  bool given = reader->each >= 0 && next_part(reader, &part);
  while (!given && status == FRESHET_OK && *more) {
    status = next_row(reader, more, error);
    given = status == FRESHET_OK && *more && (reader->each < 0 || next_part(reader, &part));
  }
  record->line = freshet_csv_line(reader->csv);
  if (!*more) return status;
  record->is_event = reader->is_event;
  record->decoded = false;
  record->present = reader->present;
  memcpy(record->fields, reader->fields, sizeof record->fields);
  if (given && reader->each >= 0) record->fields[reader->each] = part;
  return status;
}

static double progress(const freshet_input_reader* self) {
  return freshet_csv_progress(((const table_reader*)self)->csv);
}

static void row(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_csv_row(((const table_reader*)self)->csv, text);
}

static void columns(const freshet_input_reader* self, freshet_buffer* text) {
  const freshet_csv* csv = ((const table_reader*)self)->csv;
  for (int c = 0; c < freshet_csv_columns(csv); c++) {
    freshet_slice name = freshet_csv_name(csv, c);
    if (c > 0) freshet_buffer_append(text, ", ", 2);
    freshet_buffer_append(text, name.data, name.size);
  }
}

static void style(const freshet_input_reader* self, freshet_buffer* text) {
  const freshet_csv_dialect* dialect = freshet_csv_dialect_of(((const table_reader*)self)->csv);
  const char* parts[] = {"separated by ", freshet_csv_separator_name(dialect->separator),
                         dialect->ends == FRESHET_CSV_CR ? ", Macintosh line ends" : "",
                         dialect->escape == FRESHET_CSV_ESCAPE_CHAR ? ", quotes escaped" : ""};
  for (size_t i = 0; i < 4; i++) freshet_buffer_append(text, parts[i], strlen(parts[i]));
}

static void mapping(const freshet_input_reader* self, freshet_buffer* text) {
  const table_reader* reader = (const table_reader*)self;
  for (int f = 0; f < FRESHET_FIELDS; f++) {
    if (reader->columns[f] >= 0)
      freshet_input_mapping_add(text, (freshet_field)f, freshet_csv_name(reader->csv, reader->columns[f]));
  }
}

static void close_reader(freshet_input_reader* self) {
  table_reader* reader = (table_reader*)self;
  freshet_csv_close(reader->csv);
  freshet_buffer_free(&reader->flags);
  freshet_buffer_free(&reader->heading);
  free(reader);
}

/* ---- opening ---- */

/* The place of the column that has the name of a field best; -1: there is none. Two that are as good leave open
 * which one is meant. */
static freshet_status find_column(table_reader* reader, freshet_field field, freshet_error* error) {
  int best = 0;
  bool again = false;
  reader->columns[field] = -1;
  for (int c = 0; c < freshet_csv_columns(reader->csv); c++) {
    int match =
        freshet_input_map_match(&reader->input->options->map, field, freshet_csv_name(reader->csv, c));
    if (match == 0 || match < best) continue;
    again = match == best;
    best = match;
    reader->columns[field] = c;
  }
  freshet_slice name = reader->input->options->map.names[field];
  if (!again) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: two columns are called '%.*s'",
                           reader->input->path, (int)name.size, name.data);
}

/* A field that a given name has taken from its column: --map user_id=a of a file with columns a and user_id. */
static void drop_shadowed(table_reader* reader) {
  for (int f = 0; f < FRESHET_FIELDS; f++) {
    for (int g = 0; g < FRESHET_FIELDS && !reader->input->options->map.given[f]; g++) {
      bool shadowed = g != f && reader->input->options->map.given[g] && reader->columns[g] >= 0 &&
                      reader->columns[g] == reader->columns[f];
      if (shadowed) reader->columns[f] = -1;
    }
  }
}

static bool has_field(const table_reader* reader, freshet_field field) {
  const freshet_input_options* options = reader->input->options;
  return reader->columns[field] >= 0 || options->set[field].size > 0 || options->heading == (int)field;
}

static freshet_status check_columns(const table_reader* reader, freshet_error* error) {
  static const freshet_field event_needs[] = {FRESHET_FIELD_USER_ID, FRESHET_FIELD_ITEM_ID,
                                              FRESHET_FIELD_OCCURRED_AT};
  static const freshet_field item_needs[] = {FRESHET_FIELD_ITEM_ID};
  freshet_buffer names = {0};
  freshet_status status = FRESHET_OK;
  columns(&reader->base, &names);
  for (int f = 0; status == FRESHET_OK && f < FRESHET_FIELDS; f++) {
    if (reader->columns[f] >= 0 ||
        !freshet_input_must_have(reader->input, (freshet_field)f, reader->is_event))
      continue;
    status = freshet_input_no_column(reader->input, (freshet_field)f, false, reader->is_event,
                                     freshet_buffer_slice(&names), error);
  }
  const freshet_field* needs = reader->is_event ? event_needs : item_needs;
  for (size_t i = 0; status == FRESHET_OK && i < (reader->is_event ? 3 : 1); i++) {
    if (has_field(reader, needs[i])) continue;
    status = freshet_input_no_column(reader->input, needs[i], true, reader->is_event,
                                     freshet_buffer_slice(&names), error);
  }
  freshet_buffer_free(&names);
  return status;
}

static freshet_status find_columns(table_reader* reader, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (int f = 0; status == FRESHET_OK && f < FRESHET_FIELDS; f++)
    status = find_column(reader, (freshet_field)f, error);
  if (status != FRESHET_OK) return status;
  drop_shadowed(reader);
  for (int c = 0; c < freshet_csv_columns(reader->csv); c++) {
    freshet_slice name = freshet_csv_name(reader->csv, c);
    reader->has_flags = reader->has_flags || (name.size > 1 && name.data[0] == '?');
  }
  for (int f = 0; f < FRESHET_FIELDS; f++) {
    if (reader->columns[f] < 0) continue;
    reader->present |= 1u << f;
    reader->used[reader->used_count++] = f;
  }
  bool has_user = has_field(reader, FRESHET_FIELD_USER_ID);
  freshet_input_expect expect = reader->input->expect;
  reader->is_event = expect == FRESHET_INPUT_ANY ? has_user : expect == FRESHET_INPUT_EVENTS;
  bool lacks_user =
      freshet_input_lacks_user(reader->input, has_user, has_field(reader, FRESHET_FIELD_OCCURRED_AT));
  reader->is_event = reader->is_event || lacks_user;
  return check_columns(reader, error);
}

/* "item_id, ,-1": the field, what is between its parts, and what ends those that count. */
static void take_each(table_reader* reader) {
  const char* each = reader->input->options->each;
  reader->each = -1;
  if (each == NULL) return;
  size_t size = strcspn(each, ",");
  reader->each = freshet_field_of((freshet_slice){each, size});
  each += size + 1;
  size = 1 + strcspn(each + 1, ",");
  reader->separator = (freshet_slice){each, size};
  if (each[size] == ',') reader->ending = freshet_slice_of(each + size + 1);
}

freshet_status freshet_input_open_table(const freshet_input* input, freshet_bytes* bytes,
                                        freshet_input_reader** out, freshet_error* error) {
  static const freshet_input_reader_vtable vtable = {.next = next,
                                                     .progress = progress,
                                                     .row = row,
                                                     .columns = columns,
                                                     .style = style,
                                                     .mapping = mapping,
                                                     .close = close_reader};
  table_reader* reader = calloc(1, sizeof *reader);
  FRESHET_ASSERT(reader != NULL);
  reader->base.vtable = &vtable;
  reader->copy = *input;
  reader->input = &reader->copy;
  take_each(reader);
  freshet_buffer expected = {0};
  freshet_input_map_list(&input->options->map, &expected);
  freshet_csv_dialect dialect = input->options->dialect;
  dialect.expected = (const char*)expected.data;
  freshet_status status = freshet_csv_open_bytes(bytes, input->path, &dialect, &reader->csv, error);
  freshet_buffer_free(&expected);
  if (status == FRESHET_OK) status = find_columns(reader, error);
  if (status != FRESHET_OK) {
    close_reader(&reader->base);
    return status;
  }
  *out = &reader->base;
  return FRESHET_OK;
}
