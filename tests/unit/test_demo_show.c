/* The story that `freshet demo` tells of one customer: what moved, why, and that it fits on a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "commands/demo_show.h"

static freshet_demo_product products[] = {
    {"a", "RED LAMP"},
    {"b", "A PRODUCT WITH A TITLE THAT IS MUCH LONGER THAN A COLUMN OF THIS TERMINAL CAN HOLD"},
    {"c", "BLUE LAMP"},
    {"d", "GARDEN HOSE"},
};
static const freshet_demo_data data = {.products = products, .product_count = 4};

static freshet_demo_list list_of(const char* ids) {
  static const freshet_reason reasons[] = {{FRESHET_REASON_POPULAR, {NULL, 0}, 2, 0},
                                           {FRESHET_REASON_TOGETHER, {"b", 1}, 1, 0},
                                           {FRESHET_REASON_QUALITY, {NULL, 0}, -1, 0}};
  freshet_recommendation items[8];
  const freshet_list list = {.items = items, .item_count = strlen(ids)};
  freshet_demo_list shown;
  for (size_t i = 0; i < list.item_count; i++)
    items[i] = (freshet_recommendation){.item_id = {ids + i, 1}, .reasons = reasons, .reason_count = 3};
  freshet_demo_list_read(&shown, &list, &data);
  return shown;
}

static freshet_demo_story story_of(const char* before, const char* after) {
  freshet_demo_story story = {
      .customer = "u1", .bought = {"a", "b"}, .bought_count = 2, .buys = "b", .took_ms = 3.4};
  story.before = list_of(before);
  story.after = list_of(after);
  return story;
}

/* The caller frees it. */
static char* told(const freshet_demo_story* story, bool colours) {
  char* text = NULL;
  size_t size = 0;
  FILE* out = open_memstream(&text, &size);
  freshet_demo_show(out, story, &data, colours);
  fclose(out);
  return text;
}

static void a_story_says_what_moved_and_why(void** state) {
  (void)state;
  const freshet_demo_story story = story_of("ac", "cbd");
  char* text = told(&story, false);
  assert_non_null(strstr(text, "buys now    \u2192 A PRODUCT WITH"));
  assert_non_null(strstr(text, "3 ms later"));
  assert_non_null(
      strstr(text, "1 RED LAMP                           BLUE LAMP                          \u2191 1\n"));
  assert_non_null(strstr(text, "GARDEN HOSE                        \u2190 new\n"));
  assert_non_null(strstr(text, "why 2, 3: often bought together with A PRODUCT WITH"));
  assert_null(strstr(text, "\x1b")); /* no colours */
  free(text);
  const freshet_demo_change change = freshet_demo_change_of(&story);
  assert_int_equal(change.new_count, 2);
  assert_int_equal(change.by_purchase, 2);
}

static void a_story_says_how_alike_its_products_are(void** state) {
  (void)state;
  freshet_demo_story story = story_of("ac", "abd");
  char* text = told(&story, false);
  assert_null(strstr(text, "variety")); /* not asked for */
  free(text);
  story.plain = list_of("acd"); /* RED LAMP and BLUE LAMP */
  text = told(&story, false);
  assert_non_null(strstr(text, "  variety: 0 % of the pairs in this list share a word; without it 33 %\n"));
  free(text);
}

/* Columns without escape sequences and the later bytes of a character. */
static size_t columns_of(const char* line, size_t size) {
  size_t columns = 0;
  for (size_t i = 0; i < size; i++) {
    if (line[i] == '\x1b') {
      while (line[i] != 'm') i++;
    } else {
      columns += ((unsigned char)line[i] & 0xc0) != 0x80;
    }
  }
  return columns;
}

static void a_story_fits_on_a_terminal(void** state) {
  (void)state;
  static const char* const lists[][2] = {{"", "b"}, {"b", ""}, {"abcd", "bcda"}, {"a", "bdc"}, {"", ""}};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    for (int colours = 0; colours < 2; colours++) {
      freshet_demo_story story = story_of(lists[i][0], lists[i][1]);
      story.plain = story.after;
      char* text = told(&story, colours != 0);
      for (const char* line = text; *line != '\0';) {
        const size_t size = strcspn(line, "\n");
        if (columns_of(line, size) > 80)
          fail_msg("%zu columns: %.*s", columns_of(line, size), (int)size, line);
        line += size + 1;
      }
      free(text);
    }
  }
}

static void titles_share_words_of_four_letters(void** state) {
  (void)state;
  assert_true(freshet_demo_titles_share_a_word(&data, "a", "c"));
  assert_false(freshet_demo_titles_share_a_word(&data, "a", "d"));
  assert_false(freshet_demo_titles_share_a_word(&data, "a", "b"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_story_says_what_moved_and_why),
      cmocka_unit_test(a_story_says_how_alike_its_products_are),
      cmocka_unit_test(a_story_fits_on_a_terminal),
      cmocka_unit_test(titles_share_words_of_four_letters),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
