/*
 * manual_format.h: how the blocks of a page look in one format. manual_parse.c finds the blocks;
 * manual_text.c, manual_man.c and manual_html.c write them. Private to the manual.
 */
#ifndef FRESHET_COMMANDS_MANUAL_FORMAT_H
#define FRESHET_COMMANDS_MANUAL_FORMAT_H

#include "commands/manual/manual.h"

enum { FRESHET_MANUAL_CELLS_MAX = 12 };

typedef struct freshet_manual_row {
  freshet_slice cells[FRESHET_MANUAL_CELLS_MAX];
  size_t count;
} freshet_manual_row;

/* Each function appends to `out`. Text has Markdown inside a line still: see freshet_manual_inline. */
typedef struct freshet_manual_format {
  void (*heading)(const struct freshet_manual_format* self, freshet_buffer* out, int level,
                  freshet_slice text);
  void (*paragraph)(const struct freshet_manual_format* self, freshet_buffer* out, freshet_slice text);
  void (*quote)(const struct freshet_manual_format* self, freshet_buffer* out, freshet_slice text);
  /* marker: "-" or a number with its dot */
  void (*item)(const struct freshet_manual_format* self, freshet_buffer* out, freshet_slice marker,
               freshet_slice text);
  /* The lines of a block of code, with their line ends. */
  void (*code)(const struct freshet_manual_format* self, freshet_buffer* out, freshet_slice lines);
  /* Before the first row of a table and after its last one; NULL: nothing. */
  void (*begin_table)(const struct freshet_manual_format* self, freshet_buffer* out,
                      const freshet_manual_row* head);
  void (*end_table)(const struct freshet_manual_format* self, freshet_buffer* out);
  /* A row of a table below its head. */
  void (*row)(const struct freshet_manual_format* self, freshet_buffer* out, const freshet_manual_row* head,
              const freshet_manual_row* row);
  size_t width;       /* of text */
  const char* source; /* of HTML: the page's path, which its links are relative to */
} freshet_manual_format;

extern const freshet_manual_format freshet_manual_as_text; /* width is the caller's to set */
extern const freshet_manual_format freshet_manual_as_man;

/* Takes Markdown text apart block by block. Comments and lines of HTML are left out. */
void freshet_manual_parse(const char* markdown, const freshet_manual_format* format, freshet_buffer* out);

/* A piece of text inside a line. */
typedef enum freshet_manual_style {
  FRESHET_MANUAL_PLAIN = 0,
  FRESHET_MANUAL_CODE,
  FRESHET_MANUAL_BOLD,
  FRESHET_MANUAL_ITALIC,
  FRESHET_MANUAL_LINK,
} freshet_manual_style;

typedef struct freshet_manual_piece {
  freshet_manual_style style;
  freshet_slice text;   /* without its marks; CODE and PLAIN have no pieces inside, the others may */
  freshet_slice target; /* of a link */
} freshet_manual_piece;

/* Takes the next piece off *text; false: nothing is left. */
bool freshet_manual_inline(freshet_slice* text, freshet_manual_piece* piece);

#endif
