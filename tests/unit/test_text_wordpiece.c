#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/wordpiece.h"
#include "unit/support_text.h"

enum { MAX = 256 };

static const char VOCABULARY[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##aff\n##able\nrun\n##ning\n,\n!\n$\ncafe\nx\n##"
    "x\n\xe5\x8d\xa7\n\xe8\x99"
    "\x8e\nCafé\n";
enum {
  PAD,
  UNK,
  CLS,
  SEP,
  MASK,
  UN,
  AFF,
  ABLE,
  RUN,
  NING,
  COMMA,
  BANG,
  DOLLAR,
  CAFE,
  X,
  XX,
  CROUCHING,
  TIGER,
  CASED
};

static freshet_wordpiece* create(const char* vocabulary, freshet_wordpiece_options options) {
  freshet_wordpiece* wordpiece = NULL;
  freshet_error error = {0};
  if (freshet_wordpiece_create(freshet_slice_of(vocabulary), &options, &wordpiece, &error) != FRESHET_OK) {
    fail_msg("%s", error.message);
  }
  return wordpiece;
}

static freshet_wordpiece* create_uncased(void) {
  return create(VOCABULARY, (freshet_wordpiece_options){true, true, true});
}

/* `expected` ends with SEP, and CLS goes before it. */
static void expect(const freshet_wordpiece* wordpiece, freshet_slice text, const uint32_t* expected) {
  uint32_t ids[MAX];
  size_t count = freshet_wordpiece_encode(wordpiece, text, ids, MAX), i = 0;
  assert_int_equal(ids[0], CLS);
  for (i = 1; i < count; i++) assert_int_equal(ids[i], expected[i - 1]);
  assert_int_equal(ids[count - 1], SEP);
}
#define EXPECT(wordpiece, text, ...) \
  expect(wordpiece, freshet_slice_of(text), (const uint32_t[]){__VA_ARGS__, SEP})

static void words_are_cut_into_the_longest_pieces(void** state) {
  (void)state;
  freshet_wordpiece* w = create_uncased();
  assert_int_equal(freshet_wordpiece_size(w), 19);
  expect(w, freshet_slice_of(""), (const uint32_t[]){SEP});
  expect(w, (freshet_slice){NULL, 0}, (const uint32_t[]){SEP});
  EXPECT(w, "UNaffable  running", UN, AFF, ABLE, RUN, NING);
  EXPECT(w, "unaffablex", UN, AFF, ABLE, XX);
  EXPECT(w, "unaffabley run", UNK, RUN);
  EXPECT(w, "run,running!$x", RUN, COMMA, RUN, NING, BANG, DOLLAR, X);
  EXPECT(w, "CAFÉ cafe\xcc\x81", CAFE, CAFE);
  EXPECT(w, "x卧虎x", X, CROUCHING, TIGER, X);
  freshet_wordpiece_destroy(w);
}

static void noise_is_dropped_and_spaces_part(void** state) {
  (void)state;
  freshet_wordpiece* w = create_uncased();
  EXPECT(w, "r\xe2\x80\x8bu\x01n\trun\r\nrun\xe3\x80\x80x\xc2\xa0x", RUN, RUN, RUN, X, X);
  expect(w, (freshet_slice){"r\0un\xff\xc3 x\xed\xa0\x80", 11}, (const uint32_t[]){RUN, X, SEP});
  EXPECT(w, "run[MASK]ning [mask]", RUN, MASK, UNK, UNK, UNK, UNK);
  freshet_wordpiece_destroy(w);
}

static void a_word_may_have_a_hundred_characters(void** state) {
  (void)state;
  freshet_wordpiece* w = create_uncased();
  char word[FRESHET_WORDPIECE_WORD_MAX + 2];
  uint32_t ids[MAX];
  memset(word, 'x', sizeof word);
  size_t count = freshet_wordpiece_encode(w, (freshet_slice){word, FRESHET_WORDPIECE_WORD_MAX}, ids, MAX);
  assert_int_equal(count, FRESHET_WORDPIECE_WORD_MAX + 2);
  EXPECT(w, "x", X);
  expect(w, (freshet_slice){word, FRESHET_WORDPIECE_WORD_MAX + 1}, (const uint32_t[]){UNK, SEP});
  freshet_wordpiece_destroy(w);
}

static void what_does_not_fit_is_cut(void** state) {
  (void)state;
  freshet_wordpiece* w = create_uncased();
  uint32_t ids[5] = {99, 99, 99, 99, 99};
  assert_int_equal(freshet_wordpiece_encode(w, freshet_slice_of("running running"), ids, 4), 4);
  const uint32_t expected[] = {CLS, RUN, NING, SEP, 99};
  assert_memory_equal(ids, expected, sizeof ids);
  assert_int_equal(freshet_wordpiece_encode(w, freshet_slice_of("running"), ids, 2), 2);
  assert_int_equal(ids[1], SEP);
  size_t size = 4 << 20;
  char* text = malloc(size);
  memset(text, ' ', size);
  for (size_t i = 0; i < size; i += 2) text[i] = 'x';
  uint32_t many[MAX];
  assert_int_equal(freshet_wordpiece_encode(w, (freshet_slice){text, size}, many, MAX), MAX);
  assert_int_equal(many[MAX - 1], SEP);
  free(text);
  freshet_wordpiece_destroy(w);
}

static void cased_models_keep_case_and_accents(void** state) {
  (void)state;
  freshet_wordpiece* w = create(VOCABULARY, (freshet_wordpiece_options){false, false, true});
  EXPECT(w, "Café cafe CAFE", CASED, CAFE, UNK);
  freshet_wordpiece_destroy(w);
}

static void a_vocabulary_without_its_special_tokens_is_refused(void** state) {
  (void)state;
  static const char* const broken[] = {"", "\n", "[PAD]\n[CLS]\n[SEP]\n", "[UNK]\n[CLS]\n", "[UNK]\n[SEP]"};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    freshet_wordpiece* w = NULL;
    freshet_error error = {0};
    freshet_wordpiece_options options = {true, true, true};
    assert_int_equal(freshet_wordpiece_create(freshet_slice_of(broken[i]), &options, &w, &error),
                     FRESHET_INVALID);
    assert_null(w);
    assert_non_null(strstr(error.message, "vocabulary: no token ["));
  }
  freshet_wordpiece_destroy(create("[UNK]\r\n[CLS]\r\n[SEP]", (freshet_wordpiece_options){0}));
}

static void the_ids_of_minilm_are_the_reference_ids(void** state) {
  (void)state;
  const char* folder = support_minilm_folder();
  if (folder == NULL) skip();
  char path[4200];
  snprintf(path, sizeof path, "%s/vocab.txt", folder);
  freshet_buffer vocabulary = support_read_file(path);
  freshet_buffer_append(&vocabulary, "", 1);
  freshet_wordpiece* w = create((const char*)vocabulary.data, (freshet_wordpiece_options){true, true, true});
  size_t count;
  support_reference* references = support_references_read(&count);
  assert_true(count >= 60);
  for (size_t i = 0; i < count; i++) {
    uint32_t ids[MAX];
    size_t got = freshet_wordpiece_encode(w, freshet_slice_of(references[i].text), ids, MAX);
    if (got != references[i].id_count || memcmp(ids, references[i].ids, got * sizeof *ids) != 0) {
      fail_msg("other ids for: %s", references[i].text);
    }
  }
  support_references_free(references, count);
  freshet_wordpiece_destroy(w);
  freshet_buffer_free(&vocabulary);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(words_are_cut_into_the_longest_pieces),
      cmocka_unit_test(noise_is_dropped_and_spaces_part),
      cmocka_unit_test(a_word_may_have_a_hundred_characters),
      cmocka_unit_test(what_does_not_fit_is_cut),
      cmocka_unit_test(cased_models_keep_case_and_accents),
      cmocka_unit_test(a_vocabulary_without_its_special_tokens_is_refused),
      cmocka_unit_test(the_ids_of_minilm_are_the_reference_ids),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
