#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "text/words.h"

enum { DIM = 3, SIZE_MAX_BYTES = 4096 };

/* The same table in three formats: "the" is frequent, the rest less and less so. */
static const struct {
  const char* word;
  float vector[DIM];
} table[] = {
    {"the", {1, 0, 0}},   {"film", {0, 1, 0}}, {"Paris", {0, 0, 1}},    {"cafe", {0.5F, -0.5F, 0.25F}},
    {"卧虎", {-1, 0, 0}}, {"卧", {0, -1, 0}},  {"new york", {0, 0, -2}}};
enum { WORDS = sizeof table / sizeof *table };

static size_t write_text(char* out, int header) {
  int size = header ? sprintf(out, "%d %d\n", WORDS, DIM) : 0;
  for (int i = 0; i < WORDS; i++) {
    const float* v = table[i].vector;
    size += sprintf(out + size, "%s %g %.3e %g%s\n", table[i].word, (double)v[0], (double)v[1], (double)v[2],
                    i == 2 ? " \r" : "");
  }
  return (size_t)size;
}

static size_t write_binary(char* out, int newlines) {
  size_t size = (size_t)sprintf(out, "%d %d\n", WORDS - 1, DIM); /* a space ends the word: none inside */
  for (int i = 0; i < WORDS - 1; i++) {
    size += (size_t)sprintf(out + size, "%s ", table[i].word);
    memcpy(out + size, table[i].vector, sizeof table[i].vector);
    size += sizeof table[i].vector;
    if (newlines) out[size++] = '\n';
  }
  return size;
}

static void expect_direction(freshet_encoder* encoder, const char* text, float x, float y, float z) {
  const freshet_slice slice = freshet_slice_of(text);
  float out[DIM];
  assert_int_equal(freshet_encode(encoder, &slice, 1, out, NULL), FRESHET_OK);
  float length = sqrtf(x * x + y * y + z * z);
  if (fabsf(out[0] - x / length) > 1e-4F || fabsf(out[1] - y / length) > 1e-4F ||
      fabsf(out[2] - z / length) > 1e-4F) {
    fail_msg("%s: %g %g %g", text, (double)out[0], (double)out[1], (double)out[2]);
  }
}

static float weight(int rank, int count) {
  return (float)(1e-3 / (1e-3 + 1 / (rank * (log(count) + 0.5772156649))));
}

static void check_table(freshet_slice bytes, int count) {
  freshet_encoder* encoder = NULL;
  freshet_error error = {0};
  if (freshet_encoder_words_parse(bytes, "tiny", &encoder, &error) != FRESHET_OK)
    fail_msg("%s", error.message);
  assert_int_equal(encoder->dim, DIM);
  assert_int_equal(strncmp(encoder->name, "words-tiny-", 11), 0);
  expect_direction(encoder, "film", 0, 1, 0);
  expect_direction(encoder, "FILM!", 0, 1, 0);
  expect_direction(encoder, "Paris", 0, 0, 1);
  expect_direction(encoder, "caf\xc3\xa9", 0.5F, -0.5F, 0.25F);
  expect_direction(encoder, "the unknown film", weight(1, count), weight(2, count), 0);
  expect_direction(encoder, "film film Paris", 0, 2 * weight(2, count), weight(3, count));
  expect_direction(encoder, "卧虎卧", -weight(5, count), -weight(6, count), 0);
  expect_direction(encoder, "", 1, 0, 0);
  expect_direction(encoder, "nothing known", 1, 0, 0);
  expect_direction(encoder, "\xff\xfe", 1, 0, 0);
  freshet_encoder_destroy(encoder);
}

static void all_formats_give_the_same_vectors(void** state) {
  (void)state;
  char bytes[SIZE_MAX_BYTES];
  check_table((freshet_slice){bytes, write_text(bytes, 1)}, WORDS);
  check_table((freshet_slice){bytes, write_text(bytes, 0)}, WORDS);
  check_table((freshet_slice){bytes, write_binary(bytes, 0)}, WORDS - 1);
  check_table((freshet_slice){bytes, write_binary(bytes, 1)}, WORDS - 1);
}

static void files_are_mapped_and_named(void** state) {
  (void)state;
  char bytes[SIZE_MAX_BYTES], path[] = "words-XXXXXX";
  size_t size = write_text(bytes, 1);
  int descriptor = mkstemp(path);
  freshet_encoder* encoder = NULL;
  freshet_error error = {0};
  assert_int_equal(write(descriptor, bytes, size), size);
  assert_int_equal(freshet_encoder_words_create(path, &encoder, &error), FRESHET_OK);
  expect_direction(encoder, "film", 0, 1, 0);
  assert_non_null(strstr(encoder->name, path));
  freshet_encoder_destroy(encoder);
  assert_int_equal(ftruncate(descriptor, 0), 0);
  assert_int_equal(freshet_encoder_words_create(path, &encoder, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, path));
  close(descriptor);
  unlink(path);
  assert_int_equal(freshet_encoder_words_create(path, &encoder, NULL), FRESHET_NOT_FOUND);
}

static void malformed_tables_are_refused(void** state) {
  (void)state;
  static const char* const broken[] = {
      "",
      "\n",
      "2 3\n",
      "word\n",
      "a 1 2 3\nb 1 2\n",
      "a 1 2 3\nb 1 2 x\n",
      "3 3\na 1 2 3\n",
      "1 0\na\n",
      "1 5000\na 1\n",
      "99999999999 3\na 1 2 3\n",
  };
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    freshet_encoder* encoder = NULL;
    freshet_error error = {0};
    if (freshet_encoder_words_parse(freshet_slice_of(broken[i]), "x", &encoder, &error) != FRESHET_INVALID) {
      fail_msg("accepted case %zu", i);
    }
    assert_int_equal(strncmp(error.message, "word vectors: ", 14), 0);
  }
}

static void every_truncation_of_a_binary_table_is_refused(void** state) {
  (void)state;
  char bytes[SIZE_MAX_BYTES];
  size_t size = write_binary(bytes, 0);
  for (size_t cut = 0; cut < size; cut++) {
    freshet_encoder* encoder = NULL;
    char* exact = malloc(cut + 1); /* so that AddressSanitizer sees a read past the end */
    memcpy(exact, bytes, cut);
    assert_int_not_equal(freshet_encoder_words_parse((freshet_slice){exact, cut}, "x", &encoder, NULL),
                         FRESHET_OK);
    free(exact);
  }
}

static void numbers_that_are_not_finite_add_nothing(void** state) {
  (void)state;
  freshet_encoder* encoder = NULL;
  const char* text = "good 0 1 0\nbad 1e999 0 0\n";
  assert_int_equal(freshet_encoder_words_parse(freshet_slice_of(text), "x", &encoder, NULL), FRESHET_OK);
  expect_direction(encoder, "good bad", 0, 1, 0);
  freshet_encoder_destroy(encoder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_formats_give_the_same_vectors),
      cmocka_unit_test(files_are_mapped_and_named),
      cmocka_unit_test(malformed_tables_are_refused),
      cmocka_unit_test(every_truncation_of_a_binary_table_is_refused),
      cmocka_unit_test(numbers_that_are_not_finite_add_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
