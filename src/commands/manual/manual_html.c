/*
 * manual_html.c: a page of the manual as HTML, and the routes that serve it (GET /manual/{name}). It owns the escaping
 * for HTML and where links lead. It must not know Markdown beyond the pieces that manual_parse.c hands out.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "commands/manual/manual.h"
#include "commands/manual/manual_format.h"

enum { PATH_MAX_SIZE = 256 };

static const char style[] =
    ":root{--ground:#fff;--text:#1f2328;--soft:#59636e;--line:#d1d9e0;--code:#f6f8fa;--link:#0b6e4f;color-"
    "scheme:"
    "light dark}"
    "@media(prefers-color-scheme:dark){:root{--ground:#0d1117;--text:#e6edf3;--soft:#9198a1;--line:#3d444d;--"
    "code:"
    "#161b22;--link:#3fb68b}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--text);font:16px/1.55 "
    "system-ui,"
    "sans-serif}a{color:var(--link)}nav{padding:1rem;font-size:.9rem;border-top:1px solid var(--line)}"
    "nav a{display:inline-block;margin:.15rem .8rem .15rem 0;text-decoration:none}nav "
    "a[aria-current]{font-weight:700}"
    "main{padding:1rem 1.2rem 4rem;max-width:60rem;min-width:0;overflow-wrap:break-word}"
    "h1{font-size:1.7rem;line-height:1.25}h2{font-size:1.25rem;margin-top:2rem;border-top:1px solid "
    "var(--line);"
    "padding-top:1rem}h3{font-size:1.05rem}ul,ol{margin:.3rem 0}"
    "pre{background:var(--code);border:1px solid var(--line);border-radius:4px;padding:.7rem;overflow-x:auto;"
    "font-size:.85rem;line-height:1.4}code{font-family:ui-monospace,monospace;font-size:.88em}"
    ":not(pre)>code{background:var(--code);padding:.1em .25em;border-radius:3px}.table{overflow-x:auto}"
    "table{border-collapse:collapse;font-size:.92rem}th,td{border:1px solid var(--line);padding:.35rem "
    ".55rem;"
    "text-align:left;vertical-align:top}th{background:var(--code)}"
    "blockquote{margin:1rem 0;padding:.1rem 1rem;border-left:4px solid var(--link)}"
    ".page{display:flex;flex-direction:column}nav{order:2}.all{font-size:.9rem}"
    "@media(min-width:60rem){.all{display:none}nav{order:0}.page{display:grid;grid-template-columns:17rem "
    "minmax(0,1fr)}nav{position:sticky;top:0;"
    "height:100vh;overflow-y:auto;border-right:1px solid var(--line);border-top:0}nav a{display:block}}";

static void put(freshet_buffer* out, const char* text) {
  freshet_buffer_append(out, text, strlen(text));
}

static void put_escaped(freshet_buffer* out, freshet_slice text) {
  for (size_t i = 0; i < text.size; i++) {
    char c = text.data[i];
    if (c == '&') {
      put(out, "&amp;");
    } else if (c == '<') {
      put(out, "&lt;");
    } else if (c == '>') {
      put(out, "&gt;");
    } else if (c == '"') {
      put(out, "&quot;");
    } else {
      freshet_buffer_append(out, &c, 1);
    }
  }
}

/* ---- links ---- */

/* The path that `target` names, seen from the folder of `source`, without "." and "..". False: it leaves the
 * repository, or is too long. */
static bool resolve(const char* source, freshet_slice target, char* path) {
  const char* slash = strrchr(source, '/');
  int size = snprintf(path, PATH_MAX_SIZE, "%.*s%.*s", slash == NULL ? 0 : (int)(slash - source) + 1, source,
                      (int)target.size, target.data);
  if (size >= PATH_MAX_SIZE) return false;
  for (char* up; (up = strstr(path, "/../")) != NULL;) {
    char* folder = up;
    while (folder > path && folder[-1] != '/') folder--;
    memmove(folder, up + 4, strlen(up + 4) + 1);
  }
  return strncmp(path, "../", 3) != 0;
}

static const freshet_manual_page* page_at(const char* path) {
  for (const freshet_manual_page* page = freshet_manual_pages; page->name != NULL; page++) {
    if (strcmp(page->source, path) == 0) return page;
  }
  return NULL;
}

static bool has_scheme(freshet_slice target) {
  return target.size > 8 &&
         (memcmp(target.data, "https://", 8) == 0 || memcmp(target.data, "http://", 7) == 0);
}

/* Opens the link. False: it leads to no page. */
static bool open_link(const char* source, freshet_slice target, freshet_buffer* out) {
  char path[PATH_MAX_SIZE];
  const char* hash = target.size > 0 ? memchr(target.data, '#', target.size) : NULL;
  freshet_slice file = {target.data, hash == NULL ? target.size : (size_t)(hash - target.data)};
  freshet_slice anchor = {target.data + file.size, target.size - file.size};
  const freshet_manual_page* page = NULL;
  if (!has_scheme(target) && file.size > 0) {
    page = resolve(source, file, path) ? page_at(path) : NULL;
    if (page == NULL) return false;
  }
  put(out, "<a href=\"");
  if (page != NULL) {
    put(out, "/manual/");
    put(out, page->name);
    put_escaped(out, anchor);
  } else {
    put_escaped(out, target);
  }
  put(out, "\">");
  return true;
}

/* ---- blocks ---- */

static void put_styled(const freshet_manual_format* self, freshet_buffer* out, freshet_slice text) {
  static const char* const tags[] = {NULL, "code", "strong", "em", NULL};
  freshet_manual_piece piece;
  while (freshet_manual_inline(&text, &piece)) {
    const char* tag = tags[piece.style];
    if (piece.style == FRESHET_MANUAL_LINK && open_link(self->source, piece.target, out)) tag = "a";
    if (tag != NULL && piece.style != FRESHET_MANUAL_LINK) {
      put(out, "<");
      put(out, tag);
      put(out, ">");
    }
    if (piece.style == FRESHET_MANUAL_CODE || piece.style == FRESHET_MANUAL_PLAIN) {
      put_escaped(out, piece.text);
    } else {
      put_styled(self, out, piece.text);
    }
    if (tag != NULL) {
      put(out, "</");
      put(out, tag);
      put(out, ">");
    }
  }
}

static void put_element(const freshet_manual_format* self, freshet_buffer* out, const char* open,
                        freshet_slice text, const char* close) {
  put(out, open);
  put_styled(self, out, text);
  put(out, close);
}

/* The anchor of a heading, as code hosts make it: small letters, digits and marks of words; a blank becomes "-". */
static void put_anchor(freshet_buffer* out, freshet_slice text) {
  for (size_t i = 0; i < text.size; i++) {
    unsigned char c = (unsigned char)text.data[i];
    char lower = c == ' ' ? '-' : (char)tolower(c);
    if (isalnum(c) || c == ' ' || c == '-' || c == '_' || c >= 0x80) freshet_buffer_append(out, &lower, 1);
  }
}

static void heading(const freshet_manual_format* self, freshet_buffer* out, int level, freshet_slice text) {
  char digit[2] = {(char)('0' + (level < 6 ? level : 6)), '\0'};
  put(out, "<h");
  put(out, digit);
  put(out, " id=\"");
  put_anchor(out, text);
  put_element(self, out, "\">", text, "</h");
  put(out, digit);
  put(out, ">\n");
}

static void paragraph(const freshet_manual_format* self, freshet_buffer* out, freshet_slice text) {
  put_element(self, out, "<p>", text, "</p>\n");
}

static void quote(const freshet_manual_format* self, freshet_buffer* out, freshet_slice text) {
  put_element(self, out, "<blockquote><p>", text, "</p></blockquote>\n");
}

/* Each item is a list of its own, so that an item needs to know nothing of its neighbours. */
static void item(const freshet_manual_format* self, freshet_buffer* out, freshet_slice marker,
                 freshet_slice text) {
  if (!isdigit((unsigned char)marker.data[0])) {
    put_element(self, out, "<ul><li>", text, "</li></ul>\n");
    return;
  }
  put(out, "<ol start=\"");
  freshet_buffer_append(out, marker.data, marker.size - 1);
  put_element(self, out, "\"><li>", text, "</li></ol>\n");
}

static void code(const freshet_manual_format* self, freshet_buffer* out, freshet_slice lines) {
  (void)self;
  put(out, "<pre><code>");
  put_escaped(out, lines);
  put(out, "</code></pre>\n");
}

static void put_cells(const freshet_manual_format* self, freshet_buffer* out, const freshet_manual_row* row,
                      const char* open, const char* close) {
  put(out, "<tr>");
  for (size_t i = 0; i < row->count; i++) put_element(self, out, open, row->cells[i], close);
  put(out, "</tr>\n");
}

static void begin_table(const freshet_manual_format* self, freshet_buffer* out,
                        const freshet_manual_row* head) {
  put(out, "<div class=\"table\"><table>\n");
  put_cells(self, out, head, "<th>", "</th>");
}

static void end_table(const freshet_manual_format* self, freshet_buffer* out) {
  (void)self;
  put(out, "</table></div>\n");
}

static void row(const freshet_manual_format* self, freshet_buffer* out, const freshet_manual_row* head,
                const freshet_manual_row* row) {
  (void)head;
  put_cells(self, out, row, "<td>", "</td>");
}

/* ---- pages ---- */

static void put_navigation(const freshet_manual_page* here, freshet_buffer* out) {
  put(out, "<nav id=\"pages\" aria-label=\"Pages\">");
  for (const freshet_manual_page* page = freshet_manual_pages; page->name != NULL; page++) {
    put(out, "<a href=\"/manual/");
    put(out, page->name);
    put(out, page == here ? "\" aria-current=\"page\">" : "\">");
    put_escaped(out, freshet_manual_title(page));
    put(out, "</a>\n");
  }
  put(out, "</nav>");
}

void freshet_manual_write_html(const freshet_manual_page* page, freshet_buffer* out) {
  const freshet_manual_format format = {.heading = heading,
                                        .paragraph = paragraph,
                                        .quote = quote,
                                        .item = item,
                                        .code = code,
                                        .begin_table = begin_table,
                                        .end_table = end_table,
                                        .row = row,
                                        .source = page->source};
  put(out,
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\"><title>");
  put_escaped(out, freshet_manual_title(page));
  put(out, " - Freshet</title><style>");
  put(out, style);
  put(out, "</style></head><body><div class=\"page\">");
  put_navigation(page, out);
  put(out, "<main><a class=\"all\" href=\"#pages\">All pages</a>");
  freshet_manual_parse(page->text, &format, out);
  put(out, "</main></div></body></html>\n");
}

static void handle(void* context, const freshet_http_request* request, freshet_http_response* response) {
  char name[64];
  (void)context;
  freshet_slice wanted = request->path[0];
  snprintf(name, sizeof name, "%.*s", (int)(wanted.size < sizeof name ? wanted.size : 0), wanted.data);
  const freshet_manual_page* page = freshet_manual_find(name);
  if (page == NULL) {
    freshet_http_refuse(response, 404, "no page '%s' in the manual; /manual has the list of pages", name);
    return;
  }
  response->content_type = "text/html; charset=utf-8";
  freshet_manual_write_html(page, &response->body);
}

static void handle_start(void* context, const freshet_http_request* request,
                         freshet_http_response* response) {
  (void)context, (void)request;
  response->content_type = "text/html; charset=utf-8";
  freshet_manual_write_html(&freshet_manual_pages[0], &response->body);
}

const freshet_http_route* freshet_manual_routes(size_t* count) {
  static const freshet_http_route routes[] = {
      {.method = "GET", .path = "/manual", .access = FRESHET_HTTP_OPEN, .handle = handle_start},
      {.method = "GET", .path = "/manual/{name}", .access = FRESHET_HTTP_OPEN, .handle = handle},
  };
  *count = sizeof routes / sizeof *routes;
  return routes;
}
