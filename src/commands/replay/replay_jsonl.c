/*
 * replay_jsonl.c: A reader of history in JSON Lines: one object a line, which becomes a row of named texts.
 * A line with a user is an event, any other line is an item. It owns its line and the parsed object.
 */
#include <jansson.h>
#include <stdlib.h>

#include "commands/line_file.h"
#include "commands/replay/replay_reader.h"

enum { NUMBER_TEXT_SIZE = 32 };

typedef struct jsonl_reader {
  freshet_replay_reader base;
  freshet_line_file lines;
  freshet_replay_expect expect;
  char names[FRESHET_REPLAY_FIELDS][256]; /* the keys to look for */
  json_t* object;                         /* of the current line: strings of the record point into it */
  char numbers[FRESHET_REPLAY_FIELDS][NUMBER_TEXT_SIZE];
  freshet_buffer categories, attributes; /* joined, as CSV has them */
} jsonl_reader;

static bool is_blank(freshet_slice line) {
  for (size_t i = 0; i < line.size; i++) {
    if (strchr(" \t\r\n", line.data[i]) == NULL) return false;
  }
  return true;
}

/* number: [NUMBER_TEXT_SIZE] scratch that the text may point into. */
static freshet_slice plain_text(const json_t* value, char* number) {
  switch (json_typeof(value)) {
    case JSON_STRING:
      return (freshet_slice){json_string_value(value), json_string_length(value)};
    case JSON_INTEGER:
      snprintf(number, NUMBER_TEXT_SIZE, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
      return freshet_slice_of(number);
    case JSON_REAL:
      snprintf(number, NUMBER_TEXT_SIZE, "%.17g", json_real_value(value));
      return freshet_slice_of(number);
    case JSON_TRUE:
      return freshet_slice_of("true");
    case JSON_FALSE:
      return freshet_slice_of("false");
    case JSON_ARRAY:
      return freshet_slice_of("[]");
    case JSON_OBJECT:
      return freshet_slice_of("{}");
    case JSON_NULL:
      break;
  }
  return (freshet_slice){0};
}

/* Parts are joined by |, as CSV has them. */
static void join(freshet_buffer* joined, const char* name, freshet_slice text) {
  if (joined->size > 0) freshet_buffer_append(joined, "|", 1);
  if (name != NULL) {
    freshet_buffer_append(joined, name, strlen(name));
    freshet_buffer_append(joined, "=", 1);
  }
  freshet_buffer_append(joined, text.data, text.size);
}

static freshet_slice text_of(jsonl_reader* reader, int field, json_t* value) {
  char* number = reader->numbers[field];
  if (field == FRESHET_REPLAY_CATEGORIES && json_is_array(value)) {
    reader->categories.size = 0;
    for (size_t i = 0; i < json_array_size(value); i++)
      join(&reader->categories, NULL, plain_text(json_array_get(value, i), number));
    return freshet_buffer_slice(&reader->categories);
  }
  if (field == FRESHET_REPLAY_ATTRIBUTES && json_is_object(value)) {
    reader->attributes.size = 0;
    for (void* at = json_object_iter(value); at != NULL; at = json_object_iter_next(value, at))
      join(&reader->attributes, json_object_iter_key(at), plain_text(json_object_iter_value(at), number));
    return freshet_buffer_slice(&reader->attributes);
  }
  return plain_text(value, number);
}

static freshet_status parse_line(jsonl_reader* reader, freshet_slice line, freshet_replay_record* record,
                                 freshet_error* error) {
  json_decref(reader->object);
  memset(record->fields, 0, sizeof record->fields); /* they point into the old object */
  record->decoded = false;
  json_error_t problem;
  reader->object = json_loadb(line.data, line.size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &problem);
  if (!json_is_object(reader->object)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "not a JSON object: %s",
                             reader->object == NULL ? problem.text : "another value");
  }
  for (int f = 0; f < FRESHET_REPLAY_FIELDS; f++) {
    json_t* value = json_object_get(reader->object, reader->names[f]);
    record->fields[f] = value == NULL ? (freshet_slice){0} : text_of(reader, f, value);
  }
  record->is_event = reader->expect == FRESHET_REPLAY_ANY
                         ? json_object_get(reader->object, reader->names[FRESHET_REPLAY_USER_ID]) != NULL
                         : reader->expect == FRESHET_REPLAY_EVENTS;
  return FRESHET_OK;
}

static freshet_status next(freshet_replay_reader* self, freshet_replay_record* record, bool* more,
                           freshet_error* error) {
  jsonl_reader* reader = (jsonl_reader*)self;
  freshet_slice line = {0};
  freshet_status status;
  do {
    status = freshet_line_next(&reader->lines, &line, more, error);
  } while (status == FRESHET_OK && *more && is_blank(line));
  record->line = reader->lines.number;
  return status != FRESHET_OK || !*more ? status : parse_line(reader, line, record, error);
}

static double progress(const freshet_replay_reader* self) {
  return freshet_gzip_progress(&((const jsonl_reader*)self)->lines.file);
}

static void close_reader(freshet_replay_reader* self) {
  jsonl_reader* reader = (jsonl_reader*)self;
  freshet_line_close(&reader->lines);
  freshet_buffer_free(&reader->categories);
  freshet_buffer_free(&reader->attributes);
  json_decref(reader->object);
  free(reader);
}

freshet_status freshet_replay_jsonl_open(const freshet_replay_input* input, freshet_replay_reader** out,
                                         freshet_error* error) {
  static const freshet_replay_reader_vtable vtable = {
      .next = next, .progress = progress, .close = close_reader};
  jsonl_reader* reader = calloc(1, sizeof *reader);
  FRESHET_ASSERT(reader != NULL);
  reader->base.vtable = &vtable;
  reader->expect = input->expect;
  for (int f = 0; f < FRESHET_REPLAY_FIELDS; f++) {
    freshet_slice name = input->map->names[f];
    snprintf(reader->names[f], sizeof reader->names[f], "%.*s", (int)name.size, name.data);
  }
  freshet_status status = freshet_line_open(input->path, &reader->lines, error);
  if (status != FRESHET_OK) {
    close_reader(&reader->base);
    return status;
  }
  *out = &reader->base;
  return FRESHET_OK;
}
