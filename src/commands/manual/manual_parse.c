/*
 * manual_parse.c: finds the blocks of a Markdown page: headings, paragraphs, items, code, quotes and tables, and
 * the styles inside a line. It knows the small part of Markdown that the pages use, and nothing of formats.
 */
#include <ctype.h>
#include <string.h>

#include "commands/manual/manual_format.h"

typedef enum block {
  NOTHING = 0,
  PARAGRAPH,
  ITEM,
  QUOTE,
} block;

typedef struct parser {
  const freshet_manual_format* format;
  freshet_buffer* out;
  block open;           /* the block that further lines belong to */
  freshet_buffer text;  /* of the open block */
  freshet_slice marker; /* of an item */
  freshet_manual_row head;
  bool has_head;
} parser;

static freshet_slice trim(freshet_slice text) {
  while (text.size > 0 && isspace((unsigned char)text.data[0]))
    text = (freshet_slice){text.data + 1, text.size - 1};
  while (text.size > 0 && isspace((unsigned char)text.data[text.size - 1])) text.size--;
  return text;
}

static bool begins(freshet_slice text, const char* with) {
  size_t size = strlen(with);
  return text.size >= size && memcmp(text.data, with, size) == 0;
}

static freshet_slice after(freshet_slice text, size_t bytes) {
  return (freshet_slice){text.data + bytes, text.size - bytes};
}

static void end_block(parser* p) {
  const freshet_manual_format* f = p->format;
  freshet_slice text = freshet_buffer_slice(&p->text);
  if (p->open == PARAGRAPH) f->paragraph(f, p->out, text);
  if (p->open == QUOTE) f->quote(f, p->out, text);
  if (p->open == ITEM) f->item(f, p->out, p->marker, text);
  p->open = NOTHING;
  p->text.size = 0;
}

static void add(parser* p, block kind, freshet_slice line) {
  if (p->open == NOTHING) p->open = kind;
  if (p->text.size > 0) freshet_buffer_append(&p->text, " ", 1);
  freshet_buffer_append(&p->text, line.data, line.size);
}

/* Bytes of the marker of an item and the space behind it; 0: the line begins no item. */
static size_t marker_size(freshet_slice line) {
  size_t size = 0;
  if (begins(line, "- ") || begins(line, "* ")) return 2;
  while (size < line.size && isdigit((unsigned char)line.data[size])) size++;
  return size > 0 && size + 1 < line.size && line.data[size] == '.' && line.data[size + 1] == ' ' ? size + 2
                                                                                                  : 0;
}

/* The cells between the bars; "\|" is a bar of the text. */
static freshet_manual_row split(freshet_slice line) {
  freshet_manual_row row = {.count = 0};
  line = after(line, 1);
  while (line.size > 0 && row.count < FRESHET_MANUAL_CELLS_MAX) {
    size_t end = 0;
    while (end < line.size && (line.data[end] != '|' || (end > 0 && line.data[end - 1] == '\\'))) end++;
    row.cells[row.count++] = trim((freshet_slice){line.data, end});
    line = end < line.size ? after(line, end + 1) : (freshet_slice){line.data, 0};
  }
  return row;
}

static void end_table(parser* p) {
  if (p->has_head && p->format->end_table != NULL) p->format->end_table(p->format, p->out);
  p->has_head = false;
}

static void take_row(parser* p, freshet_slice line) {
  freshet_manual_row row = split(line);
  if (!p->has_head) {
    p->head = row;
    p->has_head = true;
    if (p->format->begin_table != NULL) p->format->begin_table(p->format, p->out, &row);
  } else if (!begins(trim(row.cells[0]), "--")) {
    p->format->row(p->format, p->out, &p->head, &row);
  }
}

static void take_line(parser* p, freshet_slice line) {
  freshet_slice text = trim(line);
  if (!begins(text, "|")) end_table(p);
  if (text.size == 0 || begins(text, "<")) {
    end_block(p);
  } else if (begins(line, "#")) {
    end_block(p);
    int level = 0;
    while (begins(text, "#")) text = after(text, 1), level++;
    p->format->heading(p->format, p->out, level, trim(text));
  } else if (begins(text, "|")) {
    end_block(p);
    take_row(p, text);
  } else if (begins(line, "> ")) {
    if (p->open != QUOTE) end_block(p);
    add(p, QUOTE, after(line, 2));
  } else if (marker_size(text) > 0) {
    end_block(p);
    p->marker = trim((freshet_slice){text.data, marker_size(text)});
    add(p, ITEM, after(text, marker_size(text)));
  } else {
    add(p, PARAGRAPH, text);
  }
}

static freshet_slice next_line(const char** at) {
  const char* begin = *at;
  const char* end = strchr(begin, '\n');
  if (end == NULL) end = begin + strlen(begin);
  *at = *end == '\n' ? end + 1 : end;
  return (freshet_slice){begin, (size_t)(end - begin)};
}

void freshet_manual_parse(const char* markdown, const freshet_manual_format* format, freshet_buffer* out) {
  parser p = {.format = format, .out = out};
  freshet_buffer code = {0};
  bool in_fence = false;
  while (*markdown != '\0') {
    freshet_slice line = next_line(&markdown);
    bool is_fence = begins(trim(line), "```");
    bool is_indented = !in_fence && p.open == NOTHING && begins(line, "    ");
    if (is_fence) in_fence = !in_fence;
    if (is_fence && in_fence) end_block(&p);
    if ((in_fence && !is_fence) || is_indented) {
      if (is_indented) line = after(line, 4);
      freshet_buffer_append(&code, line.data, line.size);
      freshet_buffer_append(&code, "\n", 1);
      continue;
    }
    if (code.size > 0) format->code(format, out, freshet_buffer_slice(&code));
    code.size = 0;
    if (!is_fence) take_line(&p, line);
  }
  if (code.size > 0) format->code(format, out, freshet_buffer_slice(&code));
  end_block(&p);
  end_table(&p);
  freshet_buffer_free(&code);
  freshet_buffer_free(&p.text);
}

/* ---- inside a line ---- */

static const char* find_in(freshet_slice text, const char* needle) {
  return text.size == 0 ? NULL : memmem(text.data, text.size, needle, strlen(needle));
}

/* A piece between two marks, such as **bold**. False: the text does not begin with one. */
static bool take_marked(freshet_slice* text, const char* mark, freshet_slice* piece) {
  size_t size = strlen(mark);
  if (!begins(*text, mark) || text->size <= 2 * size) return false;
  freshet_slice inside = after(*text, size);
  const char* end = find_in(inside, mark);
  if (end == NULL || end == inside.data || isspace((unsigned char)inside.data[0])) return false;
  *piece = (freshet_slice){inside.data, (size_t)(end - inside.data)};
  *text = after(inside, piece->size + size);
  return true;
}

static bool take_link(freshet_slice* text, freshet_manual_piece* piece) {
  if (!begins(*text, "[")) return false;
  const char* middle = find_in(*text, "](");
  if (middle == NULL) return false;
  const char* end = find_in(after(*text, (size_t)(middle - text->data)), ")");
  if (end == NULL) return false;
  piece->text = (freshet_slice){text->data + 1, (size_t)(middle - text->data) - 1};
  piece->target = (freshet_slice){middle + 2, (size_t)(end - middle) - 2};
  *text = after(*text, (size_t)(end + 1 - text->data));
  return true;
}

bool freshet_manual_inline(freshet_slice* text, freshet_manual_piece* piece) {
  static const struct {
    const char* mark;
    freshet_manual_style style;
  } marks[] = {{"`", FRESHET_MANUAL_CODE}, {"**", FRESHET_MANUAL_BOLD}, {"*", FRESHET_MANUAL_ITALIC}};
  *piece = (freshet_manual_piece){0};
  if (text->size == 0) return false;
  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
    piece->style = marks[i].style;
    if (take_marked(text, marks[i].mark, &piece->text)) return true;
  }
  piece->style = FRESHET_MANUAL_LINK;
  if (take_link(text, piece)) return true;
  piece->style = FRESHET_MANUAL_PLAIN;
  size_t size = begins(*text, "\\|") ? 0 : 1;
  if (size == 0) *text = after(*text, 1); /* the backslash of "\|" is none of the text */
  while (size < text->size && strchr("`*[\\", text->data[size]) == NULL) size++;
  piece->text = (freshet_slice){text->data, size > 0 ? size : 1};
  *text = after(*text, piece->text.size);
  return true;
}
