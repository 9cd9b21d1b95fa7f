#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/bert.h"
#include "unit/support_text.h"

/* Reference texts: the slow kernels are slow indeed under sanitizers. Under ThreadSanitizer each byte of the
 * 8-bit kernels costs a call; threads meet there as they do in fp32. */
#ifdef __SANITIZE_THREAD__
enum { SOME = 6, ALL = 12, INT8_TOO = 0 };
#else
enum { SOME = 20, ALL = 1000, INT8_TOO = 1 };
#endif

static freshet_encoder* create(const char* folder, freshet_text_precision precision, uint32_t threads,
                               const char* kernels) {
  freshet_encoder* encoder = NULL;
  freshet_error error = {0};
  freshet_bert_options options = {folder, precision, threads,
                                  kernels == NULL ? NULL : freshet_kernels_find(kernels)};
  if (freshet_encoder_bert_create(&options, &encoder, &error) != FRESHET_OK) fail_msg("%s", error.message);
  return encoder;
}

static double cosine(const float* a, const float* b, size_t dim) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < dim; i++)
    ab += (double)a[i] * b[i], aa += (double)a[i] * a[i], bb += (double)b[i] * b[i];
  return ab / sqrt(aa * bb);
}

/* The last `most` reference texts (the hard ones are the last) in one call; the smallest cosine has to reach
 * `least`. */
static void expect_reference(const char* folder, freshet_text_precision precision, uint32_t threads,
                             const char* kernels, size_t most, double least) {
  size_t all;
  support_reference* every = support_references_read(&all);
  size_t count = most < all ? most : all;
  support_reference* references = every + (all - count);
  freshet_encoder* encoder = create(folder, precision, threads, kernels);
  freshet_slice* texts = calloc(count, sizeof *texts);
  float* out = calloc(count * encoder->dim, sizeof *out);
  double worst = 1;
  assert_int_equal(encoder->dim, 384);
  for (size_t i = 0; i < count; i++) texts[i] = freshet_slice_of(references[i].text);
  assert_int_equal(freshet_encode(encoder, texts, count, out, NULL), FRESHET_OK);
  for (size_t i = 0; i < count; i++) {
    worst = fmin(worst, cosine(out + i * encoder->dim, references[i].vector, encoder->dim));
  }
  printf("%s, %s, %u threads: smallest cosine %.7f\n", encoder->name, kernels == NULL ? "best" : kernels,
         threads, worst);
  assert_true(worst >= least);
  free(texts);
  free(out);
  freshet_encoder_destroy(encoder);
  support_references_free(every, all);
}

static void vectors_are_those_of_the_reference(void** state) {
  (void)state;
  static const char* const kernels[] = {"portable", "avx2", "avx512"};
  const char* folder = support_minilm_folder();
  if (folder == NULL) skip();
  for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
    if (freshet_kernels_find(kernels[i]) == NULL) continue;
    expect_reference(folder, FRESHET_TEXT_FP32, 1, kernels[i], SOME, 0.99999);
  }
  expect_reference(folder, FRESHET_TEXT_FP32, 3, NULL, ALL, 0.99999);
}

static void vectors_in_8_bits_are_close_to_the_reference(void** state) {
  (void)state;
  const char* folder = support_minilm_folder();
  if (folder == NULL || !INT8_TOO) skip();
  expect_reference(folder, FRESHET_TEXT_INT8, 1, NULL, ALL, 0.99);
  expect_reference(folder, FRESHET_TEXT_INT8, 2, NULL, SOME, 0.99);
}

static void a_text_has_one_vector_wherever_it_stands_in_a_batch(void** state) {
  (void)state;
  const char* folder = support_minilm_folder();
  if (folder == NULL) skip();
  enum { COUNT = 50, DIM = 384 };
  char texts[COUNT][200];
  freshet_slice slices[COUNT];
  float *together = calloc(COUNT * DIM, sizeof *together), alone[DIM];
  freshet_encoder* encoder = create(folder, FRESHET_TEXT_FP32, 2, NULL);
  for (size_t i = 0; i < COUNT; i++) {
    size_t words = i * 7 % 23;
    texts[i][0] = '\0';
    for (size_t j = 0; j < words; j++) snprintf(texts[i] + strlen(texts[i]), 16, "w%zu ", i * j);
    slices[i] = freshet_slice_of(texts[i]);
  }
  assert_int_equal(freshet_encode(encoder, slices, COUNT, together, NULL), FRESHET_OK);
  for (size_t i = 0; i < COUNT; i++) {
    assert_int_equal(freshet_encode(encoder, &slices[i], 1, alone, NULL), FRESHET_OK);
    assert_true(cosine(alone, together + i * DIM, DIM) > 0.999999);
  }
  assert_int_equal(freshet_encode(encoder, slices, 0, together, NULL), FRESHET_OK);
  freshet_encoder_destroy(encoder);
  free(together);
}

static void a_megabyte_of_text_is_cut(void** state) {
  (void)state;
  const char* folder = support_minilm_folder();
  if (folder == NULL) skip();
  enum { SIZE = 1 << 20, DIM = 384 };
  char* text = malloc(SIZE);
  uint32_t ids[600];
  float out[2 * DIM];
  memset(text, 'a', SIZE);
  for (size_t i = 0; i < SIZE; i += 5) text[i] = ' ';
  freshet_encoder* encoder = create(folder, INT8_TOO ? FRESHET_TEXT_INT8 : FRESHET_TEXT_FP32, 1, NULL);
  freshet_slice texts[] = {{text, SIZE}, {text, 4096}};
  assert_int_equal(encoder->vtable->tokenize(encoder, texts[0], ids, 600), 256);
  assert_int_equal(freshet_encode(encoder, texts, 2, out, NULL), FRESHET_OK);
  assert_true(cosine(out, out + DIM, DIM) > 0.9999);
  freshet_encoder_destroy(encoder);
  free(text);
}

static void what_is_wrong_with_a_model_is_said(void** state) {
  (void)state;
  freshet_encoder* encoder = NULL;
  freshet_error error = {0};
  freshet_bert_options options = {"/nonexistent", FRESHET_TEXT_FP32, 1, NULL};
  assert_int_equal(freshet_encoder_bert_create(&options, &encoder, &error), FRESHET_NOT_FOUND);
  assert_non_null(strstr(error.message, "/nonexistent/config.json"));
  options.threads = 0;
  assert_int_equal(freshet_encoder_bert_create(&options, &encoder, NULL), FRESHET_INVALID);
  assert_null(encoder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(vectors_are_those_of_the_reference),
      cmocka_unit_test(vectors_in_8_bits_are_close_to_the_reference),
      cmocka_unit_test(a_text_has_one_vector_wherever_it_stands_in_a_batch),
      cmocka_unit_test(a_megabyte_of_text_is_cut),
      cmocka_unit_test(what_is_wrong_with_a_model_is_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
