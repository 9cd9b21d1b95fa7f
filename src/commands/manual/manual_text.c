/*
 * manual_text.c: a page of the manual as plain text for a terminal. It owns the wrapping of lines. It must not know
 * Markdown beyond the pieces that manual_parse.c hands out.
 */
#include <string.h>

#include "commands/manual/manual_format.h"

static void put(freshet_buffer* out, const char* text) {
  freshet_buffer_append(out, text, strlen(text));
}

static void put_spaces(freshet_buffer* out, size_t count) {
  while (count-- > 0) freshet_buffer_append(out, " ", 1);
}

/* Columns of UTF-8 text: its code points. */
static size_t columns(freshet_slice text) {
  size_t count = 0;
  for (size_t i = 0; i < text.size; i++) count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
  return count;
}

/* The text without marks of style. */
static void put_plain(freshet_buffer* out, freshet_slice text) {
  freshet_manual_piece piece;
  while (freshet_manual_inline(&text, &piece)) {
    if (piece.style == FRESHET_MANUAL_CODE || piece.style == FRESHET_MANUAL_PLAIN) {
      freshet_buffer_append(out, piece.text.data, piece.text.size);
    } else {
      put_plain(out, piece.text);
    }
  }
}

/* Wraps text; the first line is indented by the caller up to `indent` columns. */
static void put_wrapped(freshet_buffer* out, freshet_slice text, size_t indent, size_t width) {
  freshet_buffer plain = {0};
  put_plain(&plain, text);
  size_t at = indent;
  for (size_t i = 0; i < plain.size;) {
    size_t end = i;
    while (end < plain.size && plain.data[end] != ' ') end++;
    freshet_slice word = {(const char*)plain.data + i, end - i};
    if (at > indent && at + 1 + columns(word) > width) {
      put(out, "\n");
      put_spaces(out, indent);
      at = indent;
    } else if (at > indent) {
      put(out, " ");
      at++;
    }
    freshet_buffer_append(out, word.data, word.size);
    at += columns(word);
    i = end + 1;
  }
  put(out, "\n");
  freshet_buffer_free(&plain);
}

static void heading(const freshet_manual_format* self, freshet_buffer* out, int level, freshet_slice text) {
  size_t start = out->size;
  if (out->size > 0) put(out, "\n");
  put_wrapped(out, text, 0, self->width);
  size_t size = columns((freshet_slice){(const char*)out->data + start, out->size - start}) - 1 - (start > 0);
  for (size_t i = 0; i < size && level < 3; i++) put(out, level == 1 ? "=" : "-");
  if (level < 3) put(out, "\n");
}

static void paragraph(const freshet_manual_format* self, freshet_buffer* out, freshet_slice text) {
  put(out, "\n");
  put_wrapped(out, text, 0, self->width);
}

static void quote(const freshet_manual_format* self, freshet_buffer* out, freshet_slice text) {
  put(out, "\n    ");
  put_wrapped(out, text, 4, self->width);
}

static void item(const freshet_manual_format* self, freshet_buffer* out, freshet_slice marker,
                 freshet_slice text) {
  put(out, "  ");
  freshet_buffer_append(out, marker.data, marker.size);
  put(out, " ");
  put_wrapped(out, text, marker.size + 3, self->width);
}

static void code(const freshet_manual_format* self, freshet_buffer* out, freshet_slice lines) {
  (void)self;
  put(out, "\n");
  while (lines.size > 0) {
    const char* end = memchr(lines.data, '\n', lines.size);
    size_t size = end == NULL ? lines.size : (size_t)(end - lines.data) + 1;
    if (size > 1) put_spaces(out, 4);
    freshet_buffer_append(out, lines.data, size);
    lines = (freshet_slice){lines.data + size, lines.size - size};
  }
}

/* The first cell alone, the others below it. */
static void row(const freshet_manual_format* self, freshet_buffer* out, const freshet_manual_row* head,
                const freshet_manual_row* row) {
  put(out, "\n  ");
  put_wrapped(out, row->cells[0], 2, self->width);
  for (size_t i = 1; i < row->count; i++) {
    if (row->cells[i].size == 0) continue;
    freshet_buffer cell = {0};
    if (row->count > 2 && i < head->count && head->cells[i].size > 0) {
      freshet_buffer_append(&cell, head->cells[i].data, head->cells[i].size);
      put(&cell, ": ");
    }
    freshet_buffer_append(&cell, row->cells[i].data, row->cells[i].size);
    put(out, "      ");
    put_wrapped(out, freshet_buffer_slice(&cell), 6, self->width);
    freshet_buffer_free(&cell);
  }
}

const freshet_manual_format freshet_manual_as_text = {.heading = heading,
                                                      .paragraph = paragraph,
                                                      .quote = quote,
                                                      .item = item,
                                                      .code = code,
                                                      .row = row,
                                                      .width = 100};

void freshet_manual_write_text(const freshet_manual_page* page, size_t width, freshet_buffer* out) {
  freshet_manual_format format = freshet_manual_as_text;
  format.width = width;
  freshet_manual_parse(page->text, &format, out);
}
