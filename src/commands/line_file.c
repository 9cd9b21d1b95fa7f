/*
 * line_file.c: lines of a text file in one growing buffer. It owns the buffer and the file. It must not know
 * what a line means.
 */
#include "commands/line_file.h"

freshet_status freshet_line_open(const char* path, freshet_line_file* lines, freshet_error* error) {
  lines->path = path;
  return freshet_gzip_open(path, &lines->file, error);
}

void freshet_line_close(freshet_line_file* lines) {
  freshet_gzip_close(&lines->file);
  freshet_buffer_free(&lines->line);
}

static freshet_status fail(const freshet_line_file* lines, freshet_status status, const char* what,
                           freshet_error* error) {
  return freshet_error_set(error, status, FRESHET_STOP, "%s:%lu: %s", lines->path, lines->number, what);
}

/* Takes more bytes from the file; *more is false at its end. */
static freshet_status refill(freshet_line_file* lines, bool* more, freshet_error* error) {
  freshet_error why = {0};
  lines->chunk_at = 0;
  freshet_status status =
      freshet_gzip_read(&lines->file, lines->chunk, FRESHET_LINE_CHUNK, &lines->chunk_end, &why);
  *more = lines->chunk_end > 0;
  return status == FRESHET_OK ? FRESHET_OK : fail(lines, status, why.message, error);
}

/* Appends the rest of the current line. *ended: whether it has a line end. */
static freshet_status gather(freshet_line_file* lines, bool* ended, freshet_error* error) {
  *ended = false;
  for (bool more = true; !*ended;) {
    freshet_status status = FRESHET_OK;
    if (lines->chunk_at == lines->chunk_end) status = refill(lines, &more, error);
    if (status != FRESHET_OK || !more) return status;
    const char* start = lines->chunk + lines->chunk_at;
    size_t size = lines->chunk_end - lines->chunk_at;
    const char* newline = memchr(start, '\n', size);
    *ended = newline != NULL;
    if (*ended) size = (size_t)(newline - start) + 1;
    freshet_buffer_append(&lines->line, start, size);
    lines->chunk_at += size;
    if (lines->line.size > FRESHET_LINE_MAX)
      return fail(lines, FRESHET_INVALID, "the line is too long", error);
  }
  return FRESHET_OK;
}

freshet_status freshet_line_next(freshet_line_file* lines, freshet_slice* line, bool* more,
                                 freshet_error* error) {
  static const char mark[] = "\xEF\xBB\xBF";
  bool ended;
  lines->line.size = 0;
  lines->number++;
  freshet_status status = gather(lines, &ended, error);
  *more = status == FRESHET_OK && lines->line.size > 0;
  if (!*more) return status;
  *line = freshet_buffer_slice(&lines->line);
  if (ended) line->size--;
  if (line->size > 0 && line->data[line->size - 1] == '\r') line->size--;
  if (lines->number == 1 && line->size >= 3 && memcmp(line->data, mark, 3) == 0) {
    *line = (freshet_slice){line->data + 3, line->size - 3};
  }
  if (!ended && lines->file.grown_bytes > 0) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                             "the line has no end yet: the file is still being written");
  }
  return FRESHET_OK;
}
