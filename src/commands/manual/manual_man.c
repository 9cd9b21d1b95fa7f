/*
 * manual_man.c: a page of the manual as a man page, in the macros of man(7). It owns the escaping for roff. It must
 * not know Markdown beyond the pieces that manual_parse.c hands out.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "commands/manual/manual_format.h"
#include "freshet/freshet.h"

static void put(freshet_buffer* out, const char* text) {
  freshet_buffer_append(out, text, strlen(text));
}

/* Text that roff is to print as it is. */
static void put_escaped(freshet_buffer* out, freshet_slice text) {
  for (size_t i = 0; i < text.size; i++) {
    char c = text.data[i];
    bool begins_line = out->size == 0 || out->data[out->size - 1] == '\n';
    if ((c == '.' || c == '\'') && begins_line) put(out, "\\&");
    if (c == '\\') {
      put(out, "\\e");
    } else if (c == '-') {
      put(out, "\\-");
    } else {
      freshet_buffer_append(out, &c, 1);
    }
  }
}

static void put_styled(freshet_buffer* out, freshet_slice text) {
  static const char* const fonts[] = {"", "\\fB", "\\fB", "\\fI", ""};
  freshet_manual_piece piece;
  while (freshet_manual_inline(&text, &piece)) {
    const char* font = fonts[piece.style];
    put(out, font);
    if (piece.style == FRESHET_MANUAL_CODE || piece.style == FRESHET_MANUAL_PLAIN) {
      put_escaped(out, piece.text);
    } else {
      put_styled(out, piece.text);
    }
    if (*font != '\0') put(out, "\\fR");
  }
}

static void heading(const freshet_manual_format* self, freshet_buffer* out, int level, freshet_slice text) {
  (void)self;
  if (level == 1) return; /* the title is in NAME */
  put(out, level == 2 ? ".SH " : ".SS ");
  put(out, "\"");
  put_styled(out, text);
  put(out, "\"\n");
}

static void paragraph(const freshet_manual_format* self, freshet_buffer* out, freshet_slice text) {
  (void)self;
  put(out, ".PP\n");
  put_styled(out, text);
  put(out, "\n");
}

static void quote(const freshet_manual_format* self, freshet_buffer* out, freshet_slice text) {
  put(out, ".RS 4\n");
  paragraph(self, out, text);
  put(out, ".RE\n");
}

static void item(const freshet_manual_format* self, freshet_buffer* out, freshet_slice marker,
                 freshet_slice text) {
  (void)self;
  bool is_number = isdigit((unsigned char)marker.data[0]);
  put(out, ".IP \"");
  if (is_number) freshet_buffer_append(out, marker.data, marker.size);
  put(out, is_number ? "\" 4\n" : "\\(bu\" 2\n");
  put_styled(out, text);
  put(out, "\n");
}

static void code(const freshet_manual_format* self, freshet_buffer* out, freshet_slice lines) {
  (void)self;
  put(out, ".PP\n.RS 4\n.nf\n");
  put_escaped(out, lines);
  put(out, ".fi\n.RE\n");
}

/* The first cell as a tag, the others below it. */
static void row(const freshet_manual_format* self, freshet_buffer* out, const freshet_manual_row* head,
                const freshet_manual_row* row) {
  (void)self;
  put(out, ".TP\n");
  put_styled(out, row->cells[0].size > 0 ? row->cells[0] : freshet_slice_of("\""));
  put(out, "\n");
  bool is_empty = true;
  for (size_t i = 1; i < row->count; i++) {
    if (row->cells[i].size == 0) continue;
    if (!is_empty) put(out, ".br\n");
    is_empty = false;
    if (row->count > 2 && i < head->count && head->cells[i].size > 0) {
      put_styled(out, head->cells[i]);
      put(out, ": ");
    }
    put_styled(out, row->cells[i]);
    put(out, "\n");
  }
  if (is_empty) put(out, "\\&\n");
}

const freshet_manual_format freshet_manual_as_man = {
    .heading = heading, .paragraph = paragraph, .quote = quote, .item = item, .code = code, .row = row};

void freshet_manual_write_man(const freshet_manual_page* page, freshet_buffer* out) {
  char head[256];
  int size =
      snprintf(head, sizeof head,
               ".\\\" Made from %s by `freshet help --man %s`.\n.TH \"%s\" %d \"\" \"freshet " FRESHET_VERSION
               "\" \"Freshet manual\"\n.SH NAME\n%s \\- ",
               page->source, page->name, page->man_name, page->section, page->man_name);
  freshet_buffer_append(out, head, (size_t)size);
  put_styled(out, freshet_manual_title(page));
  put(out, "\n.SH DESCRIPTION\n");
  freshet_manual_parse(page->text, &freshet_manual_as_man, out);
}
