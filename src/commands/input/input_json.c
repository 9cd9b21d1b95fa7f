/*
 * input_json.c: records from JSON: a line each, or the elements of an array, or objects one after the other over any
 * number of lines. It finds where a record ends by itself, so that a bad one is rejected and the next one is read.
 */
#include <jansson.h>
#include <stdlib.h>

#include "commands/input/input_object.h"

enum { CHUNK_BYTES = 1 << 16, RECORD_MAX = 16 * 1024 * 1024, COLUMNS_MAX = 40 };

typedef struct json_reader {
  freshet_input_reader base;
  freshet_input input; /* copy */
  freshet_bytes* bytes;
  bool lines;
  unsigned char chunk[CHUNK_BYTES];
  size_t at, end;
  bool ended;
  unsigned long number; /* of the line, or of the value */
  size_t open;          /* arrays around the values */
  freshet_buffer text, converted;
  freshet_input_object fields;
  json_t* object; /* of the current record: strings of it point into it */
} json_reader;

static freshet_status fail(const json_reader* reader, freshet_status status, const char* what,
                           freshet_error* error) {
  return freshet_error_set(error, status, FRESHET_STOP, "%s:%lu: %s", reader->input.path, reader->number,
                           what);
}

/* The next byte without taking it; *byte -1: the end. */
static freshet_status peek(json_reader* reader, int* byte, freshet_error* error) {
  *byte = -1;
  if (reader->at == reader->end && !reader->ended) {
    freshet_error why = {0};
    reader->at = 0;
    freshet_status status = freshet_bytes_read(reader->bytes, reader->chunk, CHUNK_BYTES, &reader->end, &why);
    if (status != FRESHET_OK) return fail(reader, status, why.message, error);
    reader->ended = reader->end == 0;
  }
  if (reader->at < reader->end) *byte = reader->chunk[reader->at];
  return FRESHET_OK;
}

/* ---- lines ---- */

/* The rest of the current line; *whole: it has an end. */
static freshet_status gather_line(json_reader* reader, bool* whole, freshet_error* error) {
  *whole = false;
  while (!*whole) {
    int byte;
    freshet_status status = peek(reader, &byte, error);
    if (status != FRESHET_OK || byte < 0) return status;
    const unsigned char* start = reader->chunk + reader->at;
    size_t size = reader->end - reader->at;
    const unsigned char* newline = memchr(start, '\n', size);
    *whole = newline != NULL;
    if (*whole) size = (size_t)(newline - start) + 1;
    freshet_buffer_append(&reader->text, start, size);
    reader->at += size;
    if (reader->text.size > RECORD_MAX) return fail(reader, FRESHET_INVALID, "the line is too long", error);
  }
  return FRESHET_OK;
}

static freshet_status next_line(json_reader* reader, bool* more, freshet_error* error) {
  bool whole = true;
  do {
    reader->text.size = 0;
    reader->number++;
    freshet_status status = gather_line(reader, &whole, error);
    if (status != FRESHET_OK) return status;
    *more = reader->text.size > 0;
  } while (*more && freshet_text_trim(freshet_buffer_slice(&reader->text)).size == 0);
  if (*more && !whole && freshet_bytes_grown(reader->bytes)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                             "the line has no end yet: the file is still being written");
  }
  return FRESHET_OK;
}

/* ---- values ---- */

/* Passes over what is between values, and counts the arrays that are open. */
static freshet_status skip_between(json_reader* reader, int* byte, freshet_error* error) {
  for (;;) {
    freshet_status status = peek(reader, byte, error);
    if (status != FRESHET_OK || *byte < 0 || strchr(" \t\r\n,[]", *byte) == NULL || *byte == 0) return status;
    if (*byte == '[') reader->open++;
    if (*byte == ']' && reader->open > 0) reader->open--;
    reader->at++;
  }
}

/* Takes a value up to its end: an object with all that is in it, or a bare word. */
static freshet_status gather_value(json_reader* reader, freshet_error* error) {
  size_t depth = 0;
  bool inside = false, escaped = false, bare = false;
  for (;;) {
    int byte;
    freshet_status status = peek(reader, &byte, error);
    if (status != FRESHET_OK) return status;
    if (byte < 0) return fail(reader, FRESHET_INVALID, "the file is cut off within this value", error);
    bool ends_bare = bare && depth == 0 && !inside && (byte == ',' || byte == ']' || byte == '\n');
    if (ends_bare) return FRESHET_OK;
    if (reader->text.size >= RECORD_MAX) return fail(reader, FRESHET_INVALID, "the value is too long", error);
    char letter = (char)byte;
    freshet_buffer_append(&reader->text, &letter, 1);
    reader->at++;
    if (inside) {
      inside = escaped || byte != '"';
      escaped = !escaped && byte == '\\';
      continue;
    }
    inside = byte == '"';
    if (byte == '{' || byte == '[') depth++;
    bool closes = (byte == '}' || byte == ']') && depth > 0 && --depth == 0;
    if (closes && !bare) return FRESHET_OK;
    bare = bare || reader->text.data[0] != '{';
  }
}

static freshet_status next_value(json_reader* reader, bool* more, freshet_error* error) {
  int byte;
  reader->number++;
  reader->text.size = 0;
  freshet_status status = skip_between(reader, &byte, error);
  *more = status == FRESHET_OK && byte >= 0;
  if (status != FRESHET_OK) return status;
  if (!*more)
    return reader->open == 0 ? FRESHET_OK : fail(reader, FRESHET_INVALID, "the array is cut off", error);
  return gather_value(reader, error);
}

/* ---- records ---- */

static freshet_status parse(json_reader* reader, freshet_input_record* record, freshet_error* error) {
  json_decref(reader->object);
  reader->object = NULL;
  memset(record->fields, 0, sizeof record->fields); /* they point into the old object */
  record->decoded = false;
  record->present = 0;
  record->is_event = reader->input.expect == FRESHET_INPUT_EVENTS;
  freshet_slice text = freshet_buffer_slice(&reader->text);
  bool has_mark = reader->number == 1 && text.size >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0;
  if (has_mark) text = (freshet_slice){text.data + 3, text.size - 3};
  if (reader->input.options->python) {
    reader->converted.size = 0;
    freshet_list_python_to_json(text, &reader->converted);
    text = freshet_buffer_slice(&reader->converted);
  }
  json_error_t problem = {0};
  reader->object = freshet_json_load(text, &problem);
  if (!json_is_object(reader->object)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "not a JSON object: %s",
                             reader->object == NULL ? problem.text : "another value");
  }
  return freshet_input_object_read(&reader->fields, reader->object, record, error);
}

static freshet_status next(freshet_input_reader* self, freshet_input_record* record, bool* more,
                           freshet_error* error) {
  json_reader* reader = (json_reader*)self;
  *more = true;
  freshet_status status = reader->lines ? next_line(reader, more, error) : next_value(reader, more, error);
  record->line = reader->number;
  return status != FRESHET_OK || !*more ? status : parse(reader, record, error);
}

static double progress(const freshet_input_reader* self) {
  return freshet_bytes_progress(((const json_reader*)self)->bytes);
}

static void row(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_slice line = freshet_text_trim(freshet_buffer_slice(&((const json_reader*)self)->text));
  freshet_buffer_append(text, line.data, line.size);
}

static void columns(const freshet_input_reader* self, freshet_buffer* text) {
  const json_reader* reader = (const json_reader*)self;
  const char* key;
  json_t* value;
  int count = 0;
  if (!json_is_object(reader->object)) return;
  json_object_foreach(reader->object, key, value) {
    if (count++ == COLUMNS_MAX) break;
    if (count > 1) freshet_buffer_append(text, ", ", 2);
    freshet_buffer_append(text, key, strlen(key));
  }
}

static void style(const freshet_input_reader* self, freshet_buffer* text) {
  const char* name = ((const json_reader*)self)->lines ? "JSON Lines" : "JSON";
  freshet_buffer_append(text, name, strlen(name));
}

static void mapping(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_input_object_mapping(&((const json_reader*)self)->fields, text);
}

static void close_reader(freshet_input_reader* self) {
  json_reader* reader = (json_reader*)self;
  freshet_bytes_close(reader->bytes);
  freshet_buffer_free(&reader->text);
  freshet_buffer_free(&reader->converted);
  freshet_input_object_free(&reader->fields);
  json_decref(reader->object);
  free(reader);
}

freshet_status freshet_input_open_json(const freshet_input* input, freshet_bytes* bytes, bool lines,
                                       freshet_input_reader** out, freshet_error* error) {
  static const freshet_input_reader_vtable vtable = {.next = next,
                                                     .progress = progress,
                                                     .row = row,
                                                     .columns = columns,
                                                     .style = style,
                                                     .mapping = mapping,
                                                     .close = close_reader};
  json_reader* reader = calloc(1, sizeof *reader);
  FRESHET_ASSERT(reader != NULL);
  reader->base.vtable = &vtable;
  reader->input = *input;
  reader->bytes = bytes;
  reader->lines = lines;
  freshet_input_object_init(&reader->fields, &reader->input);
  freshet_slice head;
  freshet_status status = freshet_bytes_head(bytes, &head, NULL);
  size_t mark = head.size >= 3 && memcmp(head.data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
  if (status == FRESHET_OK && !lines && mark > 0) { /* in front of the first value */
    size_t got;
    unsigned char dropped[3];
    status = freshet_bytes_read(bytes, dropped, mark, &got, error);
  }
  if (status == FRESHET_OK && head.size == 0) {
    status = freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: the file is empty", input->path);
  }
  if (status != FRESHET_OK) {
    close_reader(&reader->base);
    return status;
  }
  *out = &reader->base;
  return FRESHET_OK;
}
