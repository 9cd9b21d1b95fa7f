/*
 * log.c: turns facts into lines, key=value or JSON, and writes each line with one system call, so that lines
 * of several threads do not mix. A line for which there is no room is counted instead. It owns nothing but the
 * file descriptor's number.
 */
#include "service/log.h"

#include <ctype.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char* const level_names[] = {"debug", "info", "warn", "error"};

static void append_text(freshet_buffer* line, const char* text) {
  freshet_buffer_append(line, text, strlen(text));
}

/* RFC 3339, in UTC. */
static void format_time(int64_t time_ms, char* out, size_t size) {
  time_t seconds = (time_t)(time_ms / 1000);
  struct tm utc;
  gmtime_r(&seconds, &utc);
  size_t used = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(out + used, size - used, ".%03dZ", (int)(time_ms % 1000));
}

/* ---- key=value ---- */

/* A fact is one line whatever is in it. */
static void append_one_line(freshet_buffer* line, const char* fields) {
  for (const char* c = fields; *c != '\0'; c++) {
    if ((unsigned char)*c >= 0x20 && *c != 0x7f) {
      freshet_buffer_append(line, c, 1);
    } else {
      append_text(line, *c == '\n' ? "\\n" : "?");
    }
  }
}

/* ---- JSON ---- */

/* The length of "key=" at text, 0 when there is none. */
static size_t key_size(const char* text) {
  size_t size = 0;
  while (isalnum((unsigned char)text[size]) || text[size] == '_' || text[size] == '.') size++;
  return size > 0 && text[size] == '=' ? size + 1 : 0;
}

/* A quote in the middle of a value, as of the answer of a server, closes nothing. */
static bool closes(const char* at) {
  if (*at != '"') return false;
  for (at++; *at == ' '; at++) continue;
  return *at == '\0' || (at[-1] == ' ' && key_size(at) > 0);
}

/* The value at text, without quotes; *end is where the next field may begin. Caller frees. */
static char* cut_value(const char* text, const char** end) {
  char* value = malloc(strlen(text) + 1);
  FRESHET_ASSERT(value != NULL);
  size_t size = 0;
  const char* at = text;
  if (*at == '"') {
    for (at++; *at != '\0' && !closes(at); at++) {
      if (*at == '\\' && at[1] != '\0') at++;
      value[size++] = *at;
    }
    if (*at == '"') at++;
  } else {
    while (*at != '\0' && !(*at == ' ' && key_size(at + 1) > 0)) value[size++] = *at++;
  }
  while (*at == ' ') at++;
  value[size] = '\0';
  *end = at;
  return value;
}

/* What JSON would read as a number stays one; what is not UTF-8 is taken for Latin-1. */
static json_t* to_json(const char* text) {
  json_t* number = json_loads(text, JSON_DECODE_ANY, NULL);
  if (json_is_number(number)) return number;
  json_decref(number);
  json_t* string = json_string(text);
  if (string != NULL) return string;
  freshet_buffer latin = {0};
  for (const char* c = text; *c != '\0'; c++) {
    unsigned char byte = (unsigned char)*c;
    char two[2] = {(char)(0xc0 | byte >> 6), (char)(0x80 | (byte & 0x3f))};
    freshet_buffer_append(&latin, byte < 0x80 ? c : two, byte < 0x80 ? 1 : 2);
  }
  string = json_stringn((const char*)latin.data, latin.size);
  freshet_buffer_free(&latin);
  return string;
}

static void append_json(freshet_buffer* line, const char* time, freshet_log_level level, const char* event,
                        const char* fields) {
  json_t* fact = json_object();
  json_object_set_new(fact, "time", json_string(time));
  json_object_set_new(fact, "level", json_string(level_names[level]));
  json_object_set_new(fact, "event", to_json(event));
  const char* at = fields;
  while (*at == ' ') at++;
  while (*at != '\0') {
    size_t size = key_size(at);
    char* key = size > 0 ? strndup(at, size - 1) : strdup("message");
    FRESHET_ASSERT(key != NULL);
    char* value = cut_value(at + size, &at);
    json_object_set_new(fact, key, to_json(value));
    free(key);
    free(value);
  }
  char* text = json_dumps(fact, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(15));
  FRESHET_ASSERT(text != NULL);
  append_text(line, text);
  free(text);
  json_decref(fact);
}

/* ---- lines ---- */

void freshet_log_line(freshet_log_format format, int64_t time_ms, freshet_log_level level, const char* event,
                      const char* fields, freshet_buffer* line) {
  char time[40];
  format_time(time_ms, time, sizeof time);
  if (format == FRESHET_LOG_JSON) {
    append_json(line, time, level, event, fields);
  } else {
    append_text(line, time);
    append_text(line, " ");
    append_text(line, level_names[level]);
    append_text(line, " ");
    append_one_line(line, event);
    if (fields[0] != '\0') append_text(line, " ");
    append_one_line(line, fields);
  }
  append_text(line, "\n");
}

/* Can a line be written without waiting? The reader of a pipe, or a terminal, may have stopped. */
static bool is_ready(int fd) {
  struct pollfd out = {.fd = fd, .events = POLLOUT};
  return poll(&out, 1, 0) != 0;
}

/* A pipe that is ready takes PIPE_BUF bytes at once. */
static bool write_line(freshet_log_writer* writer, freshet_log_level level, const char* event,
                       const char* fields) {
  freshet_buffer line = {0};
  freshet_log_line(writer->format, freshet_clock_now_ms(writer->clock), level, event, fields, &line);
  if (line.size > PIPE_BUF) {
    line.size = PIPE_BUF;
    line.data[PIPE_BUF - 1] = '\n';
  }
  const bool is_written = is_ready(writer->fd) && write(writer->fd, line.data, line.size) >= 0;
  freshet_buffer_free(&line);
  return is_written;
}

typedef struct telling {
  freshet_log_writer* writer;
  bool is_written;
} telling;

static void tell(void* context, freshet_log_level level, const char* event, const char* fields) {
  telling* t = context;
  t->is_written = write_line(t->writer, level, event, fields);
}

/* Says how many lines were lost, if one can be written. */
static void tell_lost(freshet_log_writer* writer) {
  telling t = {.writer = writer};
  const freshet_logger own = {.write = tell, .context = &t};
  const unsigned long long lines = atomic_exchange(&writer->lost, 0);
  if (lines == 0) return;
  freshet_log_fact(&own, FRESHET_WARN, "log.lost", "lines=%llu", lines);
  if (!t.is_written) atomic_fetch_add(&writer->lost, lines);
}

/* A log that cannot be written must not stop the stream. */
static void write_fact(void* context, freshet_log_level level, const char* event, const char* fields) {
  freshet_log_writer* writer = context;
  if (level < writer->level) return;
  tell_lost(writer);
  if (!write_line(writer, level, event, fields)) atomic_fetch_add(&writer->lost, 1);
}

freshet_logger freshet_log_writer_logger(freshet_log_writer* writer) {
  return (freshet_logger){.write = write_fact, .context = writer};
}
