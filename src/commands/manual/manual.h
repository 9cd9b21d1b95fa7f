/*
 * manual.h: the pages of the manual inside the program: README pages of the rooms, compiled in (CMakeLists.txt
 * lists them), as text for a terminal, as man pages and as HTML; and the tables of them that the program itself knows.
 * A page's Markdown is the only source. It must not know how a page is found in the repository.
 */
#ifndef FRESHET_COMMANDS_MANUAL_H
#define FRESHET_COMMANDS_MANUAL_H

#include <stdbool.h>
#include <stdio.h>

#include "freshet/bytes.h"
#include "service/http.h"

typedef struct freshet_manual_page {
  const char* name;     /* of the topic: `freshet help NAME` */
  const char* man_name; /* of the man page, without the section */
  int section;          /* of the man page */
  const char* source;   /* path of the page in the repository */
  const char* text;     /* Markdown, NUL-terminated */
} freshet_manual_page;

/* Ended by a page whose name is NULL. */
extern const freshet_manual_page freshet_manual_pages[];

/* The page of a topic, or NULL. */
const freshet_manual_page* freshet_manual_find(const char* name);

/* The title: the text of the first heading. A view into the page. */
freshet_slice freshet_manual_title(const freshet_manual_page* page);

/* Writes the page as plain text, at most `width` columns where words allow; code blocks as they are. */
void freshet_manual_write_text(const freshet_manual_page* page, size_t width, freshet_buffer* out);

/* Writes the page as a man page (man(7) macros). */
void freshet_manual_write_man(const freshet_manual_page* page, freshet_buffer* out);

/* Writes the page as a whole HTML page, with a list of all pages beside it. Links lead to other pages of the manual
 * by their names; a link to a file that is no page becomes its words. */
void freshet_manual_write_html(const freshet_manual_page* page, freshet_buffer* out);

/* GET /manual and GET /manual/{name}: the pages over HTTP. [*count], static. Thread-safe. */
const freshet_http_route* freshet_manual_routes(size_t* count);

/* Writes a table that the program itself knows, as Markdown, as it has to be in its page: "metrics" or
 * "schemas". False: there is no such table. (`freshet config --table` prints the settings.) */
bool freshet_manual_write_table(const char* name, freshet_buffer* out);

#endif
