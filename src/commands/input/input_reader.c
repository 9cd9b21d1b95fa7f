/*
 * input_reader.c: tells what an input is by its first bytes, and opens the reader of that format. What is not read
 * is named as what it is.
 */
#include "commands/input/input_reader.h"

#include <stdio.h>
#include <strings.h>

enum { COLUMNS_SHOWN = 160, UTF16_SAMPLE = 64 };

bool freshet_input_is_topic(const char* path) {
  return strncmp(path, FRESHET_INPUT_KAFKA, strlen(FRESHET_INPUT_KAFKA)) == 0;
}

bool freshet_input_place(const freshet_input_reader* reader, freshet_buffer* text) {
  return reader->vtable->place != NULL && reader->vtable->place(reader, text);
}

void freshet_input_row(const freshet_input_reader* reader, freshet_buffer* text) {
  if (reader->vtable->row != NULL) reader->vtable->row(reader, text);
}

void freshet_input_columns(const freshet_input_reader* reader, freshet_buffer* text) {
  if (reader->vtable->columns != NULL) reader->vtable->columns(reader, text);
}

void freshet_input_style(const freshet_input_reader* reader, freshet_buffer* text) {
  if (reader->vtable->style != NULL) reader->vtable->style(reader, text);
}

void freshet_input_mapping(const freshet_input_reader* reader, freshet_buffer* text) {
  if (reader->vtable->mapping != NULL) reader->vtable->mapping(reader, text);
}

freshet_time_unit freshet_input_unit(const freshet_input_reader* reader) {
  return reader->vtable->unit == NULL ? FRESHET_TIME_UNKNOWN : reader->vtable->unit(reader);
}

void freshet_input_mapping_add(freshet_buffer* text, freshet_field field, freshet_slice column) {
  const char* name = freshet_field_names[field];
  if (text->size > 0) freshet_buffer_append(text, ", ", 2);
  freshet_buffer_append(text, name, strlen(name));
  if (freshet_slice_equal(freshet_slice_of(name), column)) return;
  freshet_buffer_append(text, " from ", 6);
  freshet_buffer_append(text, column.data, column.size);
}

/* ---- names ---- */

bool freshet_input_must_have(const freshet_input* input, freshet_field field, bool is_event) {
  if (!input->options->map.given[field]) return false;
  if (!(is_event ? freshet_field_is_of_events(field) : freshet_field_is_of_items(field)))
    return input->is_alone && input->expect == FRESHET_INPUT_ANY;
  return input->is_alone || input->expect != FRESHET_INPUT_ANY;
}

bool freshet_input_lacks_user(const freshet_input* input, bool has_user, bool has_time) {
  return input->expect == FRESHET_INPUT_ANY && input->options->map.given[FRESHET_FIELD_USER_ID] &&
         !has_user && has_time;
}

freshet_status freshet_input_no_column(const freshet_input* input, freshet_field field, bool needed,
                                       bool is_event, freshet_slice columns, freshet_error* error) {
  freshet_slice name = input->options->map.names[field];
  char need[64] = "";
  if (needed) snprintf(need, sizeof need, ", which %s need,", is_event ? "events" : "items");
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "%s: no column '%.*s'%s%s among '%.*s%s'; the first row must name the columns, "
                           "and --map %s=COLUMN says which "
                           "one it is; --columns NAME,... names those of a file without such a row",
                           input->path, (int)(name.size < 60 ? name.size : 60), name.data, need,
                           needed ? "" : " of --map",
                           (int)(columns.size < COLUMNS_SHOWN ? columns.size : COLUMNS_SHOWN),
                           columns.data == NULL ? "" : columns.data,
                           columns.size < COLUMNS_SHOWN ? "" : "...", freshet_field_names[field]);
}

/* ---- what an input is ---- */

static bool begins(freshet_slice head, const char* magic, size_t size) {
  return head.size >= size && memcmp(head.data, magic, size) == 0;
}

/* Every second byte of most texts in UTF-16 is 0. */
static bool looks_like_utf16(freshet_slice head) {
  size_t zeros[2] = {0, 0}, size = head.size < UTF16_SAMPLE ? head.size & ~(size_t)1 : UTF16_SAMPLE;
  for (size_t i = 0; i < size; i++) zeros[i & 1] += head.data[i] == 0;
  return size >= 4 && (zeros[0] + zeros[1]) * 10 > size * 3 && (zeros[0] == 0 || zeros[1] == 0);
}

#define SQL_ADVICE                                                                                         \
  "a dump of a database, which is not read (%s): export the table as CSV, with psql as \"\\copy TABLE TO " \
  "'events.csv' CSV HEADER\""

/* Files that are not read, by their first bytes. NULL: none of them. "%s" in the advice is the path. */
static const char* foreign(freshet_slice head) {
  static const struct {
    const char* magic;
    size_t size;
    const char* advice;
  } kinds[] = {
      {"PAR1", 4,
       "a Parquet file, which is not read: `duckdb -c \"COPY (FROM '%s') TO 'events.csv'\"` makes a CSV of "
       "it"},
      {"ARROW1", 6,
       "an Arrow (Feather) file, which is not read: `python3 -c \"import pandas; "
       "pandas.read_feather('%s').to_csv('events.csv', index=False)\"` makes a CSV of it"},
      {"\xd0\xcf\x11\xe0", 4,
       "an Excel workbook (.xls), which is not read: save the sheet as CSV, or `python3 -c \"import pandas; "
       "pandas.read_excel('%s').to_csv('events.csv', index=False)\"`"},
      {"SQLite format 3", 15,
       "an SQLite database, which is not read: `sqlite3 -header -csv '%s' 'SELECT * FROM table' > "
       "events.csv`"},
      {"\x89HDF", 4,
       "an HDF5 file, which is not read: `python3 -c \"import pandas; "
       "pandas.read_hdf('%s').to_csv('events.csv', index=False)\"` makes a CSV of it"},
      {"\x80\x03", 2,
       "a Python pickle, which is not read: `python3 -c \"import pandas; "
       "pandas.read_pickle('%s').to_csv('events.csv', index=False)\"` makes a CSV of it"},
      {"\x80\x04", 2,
       "a Python pickle, which is not read: `python3 -c \"import pandas; "
       "pandas.read_pickle('%s').to_csv('events.csv', index=False)\"` makes a CSV of it"},
      {"\x80\x05", 2,
       "a Python pickle, which is not read: `python3 -c \"import pandas; "
       "pandas.read_pickle('%s').to_csv('events.csv', index=False)\"` makes a CSV of it"},
      {"7z\xbc\xaf", 4, "a 7z archive: `7z x -so '%s' | freshet replay --events -`"},
      {"Rar!", 4, "a RAR archive, which is not read: unpack %s first"},
      {"%PDF", 4, "a PDF document, not data: export the table in %s as CSV"},
      {"version https://git-lfs", 23, "a pointer of Git LFS, not the data: `git lfs pull` fetches %s"},
      {"<!DOCTYPE", 9, "a page of HTML, not data: open %s in a browser; was it a form to sign in?"},
      {"<!doctype", 9, "a page of HTML, not data: open %s in a browser; was it a form to sign in?"},
      {"<html", 5, "a page of HTML, not data: open %s in a browser; was it a form to sign in?"},
      {"<?xml", 5, "an XML document, which is not read: export the table in %s as CSV"},
      {"--\n-- PostgreSQL", 16, SQL_ADVICE},
      {"PGDMP", 5, SQL_ADVICE},
      {"-- MySQL dump", 13, SQL_ADVICE},
      {"INSERT INTO", 11, SQL_ADVICE},
      {"CREATE TABLE", 12, SQL_ADVICE},
      {"\xff\xfe", 2, "UTF-16, not UTF-8 text: read %s with --encoding utf-16"},
      {"\xfe\xff", 2, "UTF-16, not UTF-8 text: read %s with --encoding utf-16"},
  };
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    if (begins(head, kinds[i].magic, kinds[i].size)) return kinds[i].advice;
  }
  if (head.size > 4 && begins(head, "ORC", 3) && (unsigned char)head.data[3] < ' ')
    return "an ORC file, which is not read: `python3 -c \"import pandas; "
           "pandas.read_orc('%s').to_csv('events.csv', "
           "index=False)\"` makes a CSV of it";
  if (head.size > 262 && memcmp(head.data + 257, "ustar", 5) == 0)
    return "a tar archive: `tar -xOf %s FILE | freshet replay --events -` reads one file of it";
  if (looks_like_utf16(head)) return "UTF-16, not UTF-8 text: read %s with --encoding utf-16le (or utf-16be)";
  return NULL;
}

/* Zero bytes in the row of names: no CSV. Further down they reject their row. */
static const char* not_text(freshet_slice head) {
  const char* end = head.size == 0 ? NULL : memchr(head.data, '\n', head.size);
  size_t size = end == NULL ? head.size : (size_t)(end - head.data);
  bool has_zero = size > 0 && memchr(head.data, '\0', size) != NULL;
  return has_zero ? "not text: %s has zero bytes; CSV, JSON and Avro files are read" : NULL;
}

static freshet_status refuse_foreign(const freshet_input* input, const char* advice, freshet_error* error) {
  char text[FRESHET_ERROR_MESSAGE_SIZE];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  snprintf(text, sizeof text, advice, input->path);
#pragma GCC diagnostic pop
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: %s", input->path, text);
}

typedef enum kind { TABLE, JSON_LINES, JSON_VALUES, AVRO } kind;

/* Does something follow the first object of a line: a comma, or one more object? */
static bool goes_on(freshet_slice line) {
  size_t depth = 0;
  for (size_t i = 0; i < line.size; i++) {
    char byte = line.data[i];
    if (byte == '"') { /* to the end of the text */
      for (i++; i < line.size && line.data[i] != '"'; i++) i += line.data[i] == '\\';
      continue;
    }
    depth += byte == '{';
    if (byte != '}' || depth == 0 || --depth > 0) continue;
    freshet_slice rest = freshet_text_trim((freshet_slice){line.data + i + 1, line.size - i - 1});
    return rest.size > 0 && (rest.data[0] == ',' || rest.data[0] == '{');
  }
  return false;
}

/* Are most lines whole objects? Else objects go over several lines. A broken line among many changes nothing. */
static bool has_whole_lines(freshet_slice head) {
  size_t lines = 0, whole = 0;
  bool only_one = true;
  while (head.size > 0) {
    const char* end = memchr(head.data, '\n', head.size);
    size_t size = end == NULL ? head.size : (size_t)(end - head.data);
    freshet_slice line = freshet_text_trim((freshet_slice){head.data, size});
    bool is_cut = end == NULL && lines > 0; /* by the end of the head */
    if (lines == 0 && goes_on(line)) return false;
    only_one = only_one && (lines == 0 || line.size == 0);
    lines += line.size > 0 && !is_cut;
    whole += line.size > 1 && !is_cut && line.data[line.size - 1] == '}' &&
             (line.data[0] == '{' || memcmp(line.data, "\xEF\xBB\xBF", 2) == 0);
    size += end != NULL;
    head = (freshet_slice){head.data + size, head.size - size};
  }
  return 2 * whole >= lines || only_one;
}

/* Old Macintosh line ends. */
static bool has_lone_returns(freshet_slice head) {
  return memchr(head.data, '\n', head.size) == NULL && memchr(head.data, '\r', head.size) != NULL;
}

static kind tell(freshet_slice head) {
  size_t at = begins(head, "\xEF\xBB\xBF", 3) ? 3 : 0;
  while (at < head.size && head.data[at] != 0 && strchr(" \t\r\n", head.data[at]) != NULL) at++;
  if (begins(head, "Obj\1", 4)) return AVRO;
  if (at >= head.size || (head.data[at] != '{' && head.data[at] != '[')) return TABLE;
  if (head.data[at] == '[') { /* an array of objects, not a name in brackets */
    size_t next = at + 1;
    while (next < head.size && head.data[next] != 0 && strchr(" \t\r\n", head.data[next]) != NULL) next++;
    return next < head.size && strchr("{]", head.data[next]) != NULL ? JSON_VALUES : TABLE;
  }
  return has_whole_lines(head) && !has_lone_returns(head) ? JSON_LINES : JSON_VALUES;
}

static freshet_status choose(const freshet_input* input, freshet_bytes* bytes, kind* chosen,
                             freshet_error* error) {
  static const struct {
    const char* name;
    kind kind;
  } formats[] = {
      {"csv", TABLE}, {"jsonl", JSON_LINES}, {"ndjson", JSON_LINES}, {"json", JSON_VALUES}, {"avro", AVRO}};
  enum { FORMATS = sizeof formats / sizeof formats[0] };
  freshet_slice head;
  freshet_error why = {0};
  freshet_status status = freshet_bytes_head(bytes, &head, &why);
  if (status != FRESHET_OK)
    return freshet_error_set(error, status, FRESHET_STOP, "%s: %s", input->path, why.message);
  const char* format = input->options->format;
  size_t i = format == NULL ? FORMATS : 0;
  for (; i < FORMATS; i++) {
    if (strcasecmp(formats[i].name, format) != 0) continue;
    *chosen = formats[i].kind;
    if (*chosen == AVRO) return FRESHET_OK;
    break;
  }
  if (i == FORMATS) *chosen = input->options->python ? JSON_LINES : tell(head);
  const char* advice = *chosen == AVRO ? NULL : foreign(head);
  if (advice == NULL && *chosen == TABLE) advice = not_text(head);
  return advice == NULL ? FRESHET_OK : refuse_foreign(input, advice, error);
}

freshet_status freshet_input_open_raw(const freshet_input* input, freshet_input_reader** reader,
                                      freshet_error* error) {
  if (freshet_input_is_topic(input->path)) return freshet_input_open_topic(input, reader, error);
  if (input->options->properties) return freshet_input_open_properties(input, reader, error);
  freshet_bytes* bytes = NULL;
  kind chosen = TABLE;
  freshet_error why = {0};
  freshet_status status = freshet_bytes_open(input->path, input->options->encoding, &bytes, &why);
  if (status != FRESHET_OK) {
    bool named = strstr(why.message, input->path) != NULL;
    return freshet_error_set(error, status, FRESHET_STOP, "%s%s%s", named ? "" : input->path,
                             named ? "" : ": ", why.message);
  }
  status = choose(input, bytes, &chosen, error);
  if (status != FRESHET_OK) {
    freshet_bytes_close(bytes);
    return status;
  }
  switch (chosen) {
    case AVRO:
      return freshet_input_open_avro(input, bytes, reader, error);
    case JSON_LINES:
    case JSON_VALUES:
      return freshet_input_open_json(input, bytes, chosen == JSON_LINES, reader, error);
    case TABLE:
      break;
  }
  return freshet_input_open_table(input, bytes, reader, error);
}
