/*
 * The manual inside the program: pages as text and as man pages, and the tables that the program knows itself, which
 * have to be in their pages word for word. A table that differs: scripts/tables writes it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "commands/commands.h"
#include "commands/manual/manual.h"
#include "service/config_table.h"

static const char* text_of(freshet_buffer* buffer) {
  freshet_buffer_append(buffer, "", 1);
  return (const char*)buffer->data;
}

static freshet_manual_page page_of(const char* markdown) {
  return (freshet_manual_page){"t", "freshet-t", 7, "t.md", markdown};
}

static void test_text(void** state) {
  (void)state;
  freshet_manual_page page = page_of(
      "# A title\n\nA *first* **bold** `--code` [link](x.md#y) line\nthat goes on, and wraps.\n\n"
      "| a | b | c |\n|---|---|---|\n| `x` | y \\| z | w |\n\n- one\n  more\n2. two\n\n```sh\n  code | "
      "here\n```\n> quoted\n");
  freshet_buffer out = {0};
  freshet_manual_write_text(&page, 40, &out);
  assert_string_equal(
      text_of(&out),
      "A title\n=======\n\nA first bold --code link line that goes\non, and wraps.\n\n"
      "  x\n      b: y | z\n      c: w\n  - one more\n  2. two\n\n      code | here\n\n    quoted\n");
  freshet_buffer_free(&out);
}

static void test_man(void** state) {
  (void)state;
  freshet_manual_page page = page_of("# A title\n\n.dots and \\slashes\n\n## Part\n\n- `-x`\n\n    'code\n");
  freshet_buffer out = {0};
  freshet_manual_write_man(&page, &out);
  const char* text = text_of(&out);
  assert_non_null(strstr(text, ".TH \"freshet-t\" 7"));
  assert_non_null(strstr(text, ".SH NAME\nfreshet-t \\- A title\n.SH DESCRIPTION\n"));
  assert_non_null(
      strstr(text, ".PP\n\\&.dots and \\eslashes\n.SH \"Part\"\n.IP \"\\(bu\" 2\n\\fB\\-x\\fR\n"));
  assert_non_null(strstr(text, ".nf\n\\&'code\n.fi\n"));
  freshet_buffer_free(&out);
}

static void test_html(void** state) {
  (void)state;
  freshet_manual_page page = page_of(
      "# A <title>\n\nA *first* **bold** `a<b` [part](#the-part) of "
      "[settings](src/service/configuration.md#all-keys), "
      "[code](src/main.c), [site](https://example.org/?a=1&b=2).\n\n## The part\n\n| a | b |\n|---|---|\n| "
      "`x` | y |\n\n"
      "- one\n2. two\n\n```sh\n1 < 2 && echo\n```\n> quoted\n");
  freshet_buffer out = {0};
  freshet_manual_write_html(&page, &out);
  const char* text = text_of(&out);
  assert_non_null(strstr(text, "<title>A &lt;title&gt; - Freshet</title>"));
  assert_non_null(strstr(
      text,
      "<p>A <em>first</em> <strong>bold</strong> <code>a&lt;b</code> <a href=\"#the-part\">part</a> of <a "
      "href=\"/manual/settings#all-keys\">settings</a>, code, <a "
      "href=\"https://example.org/?a=1&amp;b=2\">site</a>.</p>\n<h2 id=\"the-part\">The part</h2>\n"));
  assert_non_null(
      strstr(text,
             "<div class=\"table\"><table>\n<tr><th>a</th><th>b</th></tr>\n<tr><td><code>x</code></td>"
             "<td>y</td></tr>\n</table></div>\n<ul><li>one</li></ul>\n<ol start=\"2\"><li>two"));
  assert_non_null(
      strstr(text, "<pre><code>1 &lt; 2 &amp;&amp; echo\n</code></pre>\n<blockquote><p>quoted</p>"));
  freshet_buffer_free(&out);
}

/* Links between pages lead to pages, with and without folders between. */
static void test_html_links(void** state) {
  (void)state;
  freshet_buffer out = {0};
  freshet_manual_write_html(freshet_manual_find("tutorial"), &out);
  const char* text = text_of(&out);
  assert_non_null(strstr(text, "<a href=\"/manual/encoders\">")); /* ../../text/README.md */
  assert_non_null(strstr(text, "<a href=\"/manual/schemas\">"));  /* ../../../schemas/README.md */
  freshet_buffer_free(&out);
}

/* The whole manual stays small enough to be part of the program. */
static void test_html_size(void** state) {
  (void)state;
  size_t size = 0;
  for (const freshet_manual_page* page = freshet_manual_pages; page->name != NULL; page++) {
    size += strlen(page->text);
  }
  assert_true(size < 1024 * 1024);
}

/* Every page gives something in both formats, and no mark of Markdown is left in the text. */
static void test_pages(void** state) {
  (void)state;
  size_t count = 0;
  for (const freshet_manual_page* page = freshet_manual_pages; page->name != NULL; page++, count++) {
    freshet_buffer text = {0}, man = {0};
    freshet_manual_write_text(page, 100, &text);
    freshet_manual_write_man(page, &man);
    assert_true(text.size > 200 && man.size > 200);
    assert_null(strstr(text_of(&text), "**"));
    assert_null(strstr(text_of(&text), "](")); /* a link */
    assert_ptr_equal(freshet_manual_find(page->name), page);
    freshet_buffer_free(&text);
    freshet_buffer_free(&man);
  }
  assert_true(count >= 20);
  assert_null(freshet_manual_find("nonsense"));
}

static void assert_in_page(const char* topic, const char* table) {
  const freshet_manual_page* page = freshet_manual_find(topic);
  assert_non_null(page);
  if (strstr(page->text, table) == NULL)
    fail_msg("the table of %s is out of date; scripts/tables writes it", page->source);
}

static void test_tables(void** state) {
  (void)state;
  freshet_buffer metrics = {0}, schemas = {0};
  assert_true(freshet_manual_write_table("metrics", &metrics));
  assert_non_null(strstr(text_of(&metrics), "| `freshet_events_total` | counter | Events applied. |\n"));
  assert_in_page("metrics", (const char*)metrics.data);
  assert_true(freshet_manual_write_table("schemas", &schemas));
  assert_in_page("schemas", text_of(&schemas));
  assert_false(freshet_manual_write_table("nonsense", &schemas));
  freshet_buffer_free(&metrics);
  freshet_buffer_free(&schemas);

  char* settings = NULL;
  size_t size = 0;
  FILE* out = open_memstream(&settings, &size);
  freshet_config_print_table(out);
  fclose(out);
  assert_in_page("settings", settings);
  free(settings);
}

static void test_exit_codes(void** state) {
  (void)state;
  for (int code = FRESHET_EXIT_OK; code <= FRESHET_EXIT_UNAVAILABLE; code++) {
    char row[16];
    snprintf(row, sizeof row, "\n| %d |", code);
    assert_in_page("failures", row);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_text),       cmocka_unit_test(test_man),        cmocka_unit_test(test_html),
      cmocka_unit_test(test_html_links), cmocka_unit_test(test_html_size),  cmocka_unit_test(test_pages),
      cmocka_unit_test(test_tables),     cmocka_unit_test(test_exit_codes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
