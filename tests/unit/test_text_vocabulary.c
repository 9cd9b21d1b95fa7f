#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "text/split.h"
#include "text/vocabulary.h"

static freshet_vocabulary* vocabulary;
static freshet_buffer out;

static int set_up(void** state) {
  (void)state;
  vocabulary = freshet_vocabulary_create();
  return 0;
}

static int tear_down(void** state) {
  (void)state;
  freshet_vocabulary_destroy(vocabulary);
  freshet_buffer_free(&out);
  return 0;
}

static void add(const char* text) {
  freshet_vocabulary_add(vocabulary, freshet_slice_of(text));
}

static void assert_known(const char* text, const char* expected) {
  const freshet_slice known = freshet_vocabulary_known(vocabulary, freshet_slice_of(text), &out);
  if (known.size != strlen(expected) || (known.size > 0 && memcmp(known.data, expected, known.size) != 0))
    fail_msg("'%s': '%.*s' is known, not '%s'", text, (int)known.size, known.data, expected);
}

static void an_empty_catalogue_knows_no_word(void** state) {
  (void)state;
  assert_known("red mug", "");
  assert_known("", "");
}

static void a_made_up_word_is_left_out(void** state) {
  (void)state;
  add("Red MUG, for tea; blouse in corporate blue");
  assert_known("xqzzv blorp", "");
  assert_known("a red xqzzv mug!", "red mug");
  assert_known(
      "R\xc3\x89"
      "D",
      "red"); /* folded, as the encoder does it */
}

static void a_word_is_known_by_its_beginning(void** state) {
  (void)state;
  add("hammer mugs dish box it");
  assert_known("hammers", "hammers");
  assert_known("mug", "mug");
  assert_known("dishes", "dishes");
  assert_known("it", "it");
  assert_known("i item ham hamster bo boxing di", "");
}

static void each_ideograph_is_a_word(void** state) {
  (void)state;
  add("\xe7\x8c\xab\xe3\x81\xae\xe6\x9c\xac"); /* cat no book */
  assert_known("\xe7\x8c\xab\xe3\x81\xae\xe7\x8a\xac\xe6\x9c\xac", "\xe7\x8c\xab\xe3\x81\xae \xe6\x9c\xac");
  assert_known("\xe7\x8a\xac", "");
}

static void the_order_of_texts_does_not_matter(void** state) {
  (void)state;
  freshet_vocabulary* other = freshet_vocabulary_create();
  static const char* const texts[] = {"red mug", "hammers", "hammer", "green tea mugs"};
  for (int i = 0; i < 4; i++) add(texts[i]);
  for (int i = 4; i-- > 0;) freshet_vocabulary_add(other, freshet_slice_of(texts[i]));
  assert_memory_equal(vocabulary, other, FRESHET_VOCABULARY_BYTES);
  freshet_vocabulary_destroy(other);
}

/* A million other words, and hardly a made-up word is taken for a known one. */
static void a_large_catalogue_still_tells_words_apart(void** state) {
  (void)state;
  enum { WORDS = 1000000, ASKED = 10000 };
  char text[32];
  size_t taken = 0;
  for (uint32_t i = 0; i < WORDS; i++) {
    snprintf(text, sizeof text, "%08x", i * 2654435761U);
    add(text);
  }
  for (uint32_t i = 0; i < ASKED; i++) {
    snprintf(text, sizeof text, "zq%08x", i * 2246822519U);
    taken += freshet_vocabulary_known(vocabulary, freshet_slice_of(text), &out).size > 0;
  }
  print_message("%zu of %d made-up words are taken for known ones\n", taken, ASKED);
  assert_true(taken < ASKED / 50);
}

/* ---- splitting ---- */

static void collect(void* context, int32_t* word, size_t count, bool is_ideographs) {
  char* end = (char*)context + strlen(context);
  assert_false(is_ideographs);
  for (size_t i = 0; i < count; i++) *end++ = (char)word[i];
  *end = '|';
}

/* ASCII goes past the tables of Unicode, which say the same. */
static void ascii_is_split_as_unicode_says(void** state) {
  (void)state;
  for (char c = 1; c < 127; c++) {
    const char text[] = {(char)97, c, (char)98};
    char words[16] = "", expected[16] = "a";
    int32_t folded[FRESHET_FOLD_MAX];
    assert_int_equal(freshet_unicode_fold(c, folded), 1);
    const bool is_word = freshet_unicode_is_word(folded[0]);
    snprintf(expected + 1, sizeof expected - 1, "%cb|", is_word ? (int)folded[0] : '|');
    freshet_text_split((freshet_slice){text, sizeof text}, collect, words);
    assert_string_equal(words, expected);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(an_empty_catalogue_knows_no_word, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_made_up_word_is_left_out, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_word_is_known_by_its_beginning, set_up, tear_down),
      cmocka_unit_test_setup_teardown(each_ideograph_is_a_word, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_order_of_texts_does_not_matter, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_large_catalogue_still_tells_words_apart, set_up, tear_down),
      cmocka_unit_test(ascii_is_split_as_unicode_says),
  };
  return cmocka_run_group_tests_name("vocabulary", tests, NULL, NULL);
}
