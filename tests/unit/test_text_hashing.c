#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "freshet/encoder.h"
#include "text/unicode.h"

enum { DIM = 256 };

static freshet_encoder* encoder;

static int set_up(void** state) {
  (void)state;
  return freshet_encoder_hashing_create(DIM, &encoder, NULL) == FRESHET_OK ? 0 : -1;
}

static int tear_down(void** state) {
  (void)state;
  freshet_encoder_destroy(encoder);
  return 0;
}

static float cosine(const char* left, const char* right) {
  const freshet_slice texts[] = {freshet_slice_of(left), freshet_slice_of(right)};
  float out[2 * DIM], sum = 0;
  assert_int_equal(freshet_encode(encoder, texts, 2, out, NULL), FRESHET_OK);
  for (int i = 0; i < DIM; i++) sum += out[i] * out[DIM + i];
  return sum;
}

static void texts_without_a_word_are_told_apart(void** state) {
  (void)state;
  static const char* const with[] = {"a", "!!7", "\xe7\x8c\xab", "... \xc3\xa9"};
  static const char* const without[] = {"", " \n\t", "!!!", "\xe2\x80\x94 ?", "\xf0\x9f\x8e\x81", "\xff\xfe"};
  for (size_t i = 0; i < sizeof with / sizeof *with; i++)
    assert_true(freshet_text_has_word(freshet_slice_of(with[i])));
  for (size_t i = 0; i < sizeof without / sizeof *without; i++)
    assert_false(freshet_text_has_word(freshet_slice_of(without[i])));
}

static void vectors_are_finite_and_of_length_one(void** state) {
  (void)state;
  char* long_text = malloc(1 << 20);
  for (int i = 0; i < 1 << 20; i++) long_text[i] = (char)(i % 7 == 0 ? ' ' : 'a' + (i * 31) % 26);
  const freshet_slice texts[] = {
      {NULL, 0},
      freshet_slice_of(" "),
      freshet_slice_of("!!!"),
      freshet_slice_of("a"),
      {"\xff\xfe\x80", 3},
      {"null\0inside", 11},
      {long_text, 1 << 20},
      {"\xe5\x8d", 2},
      freshet_slice_of("\xef\xb7\xba\xef\xb7\xba"),
  };
  enum { COUNT = sizeof texts / sizeof *texts };
  float out[COUNT][DIM];
  assert_int_equal(freshet_encode(encoder, texts, COUNT, out[0], NULL), FRESHET_OK);
  for (int i = 0; i < COUNT; i++) {
    float sum = 0;
    for (int j = 0; j < DIM; j++) sum += out[i][j] * out[i][j];
    assert_true(fabsf(sum - 1) < 1e-5F);
  }
  free(long_text);
}

static void spelling_that_looks_alike_is_equal(void** state) {
  (void)state;
  assert_true(cosine("Amélie", "AMELIE") > 0.9999F);
  assert_true(cosine("cafe\xcc\x81", "café") > 0.9999F);
  assert_true(cosine("ﬁlm Straße", "film strasse") > 0.9999F);
  assert_true(cosine("Heat, a film", "heat -- a (film)") > 0.9999F);
}

static void texts_that_share_words_are_closer(void** state) {
  (void)state;
  assert_true(cosine("space adventure", "an adventure in space") >
              cosine("space adventure", "quiet family drama"));
  assert_true(cosine("robots", "robot") > 0.4F);
  assert_true(cosine("千と千尋の神隠し", "千と千尋") > 0.5F);
  assert_true(cosine("卧虎藏龙", "霸王别姬") < 0.3F);
  assert_true(fabsf(cosine("thunder", "piccolo")) < 0.3F);
}

static void a_text_has_one_vector_wherever_it_stands_in_a_batch(void** state) {
  (void)state;
  const freshet_slice texts[] = {freshet_slice_of("one"), freshet_slice_of("two three"),
                                 freshet_slice_of("one")};
  float together[3][DIM], alone[DIM];
  assert_int_equal(freshet_encode(encoder, texts, 3, together[0], NULL), FRESHET_OK);
  assert_int_equal(freshet_encode(encoder, &texts[1], 1, alone, NULL), FRESHET_OK);
  assert_memory_equal(together[0], together[2], sizeof alone);
  assert_memory_equal(together[1], alone, sizeof alone);
}

static void the_name_tells_the_dimensions(void** state) {
  (void)state;
  assert_string_equal(encoder->name, "hashing-256-v1");
  freshet_encoder* other = NULL;
  freshet_error error = {0};
  assert_int_equal(freshet_encoder_hashing_create(0, &other, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "0 dimensions"));
  assert_null(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(vectors_are_finite_and_of_length_one),
      cmocka_unit_test(texts_without_a_word_are_told_apart),
      cmocka_unit_test(spelling_that_looks_alike_is_equal),
      cmocka_unit_test(texts_that_share_words_are_closer),
      cmocka_unit_test(a_text_has_one_vector_wherever_it_stands_in_a_batch),
      cmocka_unit_test(the_name_tells_the_dimensions),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
