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

#include "text/safetensors.h"

/* Header length, header, `data_size` bytes 0, 1, 2, ...; *memory is to be freed. */
static freshet_slice build(const char* header, size_t data_size, char** memory) {
  uint64_t length = strlen(header);
  *memory = malloc(8 + length + data_size);
  memcpy(*memory, &length, 8);
  memcpy(*memory + 8, header, length);
  for (size_t i = 0; i < data_size; i++) (*memory)[8 + length + i] = (char)i;
  return (freshet_slice){*memory, 8 + length + data_size};
}

static void expect_refused(freshet_slice bytes, const char* message) {
  freshet_safetensors* file = NULL;
  freshet_error error = {0};
  assert_int_equal(freshet_safetensors_parse(bytes, &file, &error), FRESHET_INVALID);
  assert_null(file);
  if (strstr(error.message, message) == NULL) fail_msg("said \"%s\", not \"%s\"", error.message, message);
}

static void tensors_are_found_with_their_shape_and_bytes(void** state) {
  (void)state;
  char* memory;
  freshet_slice bytes = build(
      "{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[6,14]},"
      "\"a\":{\"dtype\":\"F16\",\"shape\":[1,3],\"data_offsets\":[0,6]},"
      "\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[14,22]},"
      "\"none\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[22,22]}}",
      22, &memory);
  freshet_safetensors* file = NULL;
  const freshet_tensor* tensor = NULL;
  freshet_error error = {0};
  assert_int_equal(freshet_safetensors_parse(bytes, &file, &error), FRESHET_OK);
  const freshet_tensor* b = freshet_safetensors_find(file, "b");
  assert_int_equal(b->rank, 1);
  assert_int_equal(b->size, 8);
  assert_int_equal(b->data[0], 6);
  assert_null(freshet_safetensors_find(file, "c"));
  assert_null(freshet_safetensors_find(file, "__metadata__"));
  assert_int_equal(freshet_safetensors_require(file, "a", 1, 3, &tensor, &error), FRESHET_OK);
  assert_ptr_equal(tensor, freshet_safetensors_find(file, "a"));
  assert_int_equal(freshet_safetensors_require(file, "b", 0, 2, &tensor, &error), FRESHET_OK);
  assert_int_equal(freshet_safetensors_require(file, "b", 1, 2, &tensor, NULL), FRESHET_INVALID);
  assert_int_equal(freshet_safetensors_require(file, "b", 0, 3, &tensor, NULL), FRESHET_INVALID);
  assert_int_equal(freshet_safetensors_require(file, "scalar", 0, 1, &tensor, NULL), FRESHET_INVALID);
  assert_int_equal(freshet_safetensors_require(file, "c", 0, 3, &tensor, &error), FRESHET_INVALID);
  assert_string_equal(error.message, "safetensors: no tensor c");
  freshet_safetensors_close(file);
  free(memory);
}

static void all_float_types_convert(void** state) {
  (void)state;
  const float single[] = {1.5F, -0.25F};
  const uint16_t half[] = {0x3e00, 0xb400, 0x0001, 0x7c00, 0x8000}, brain[] = {0x3fc0, 0xbe80};
  float out[5];
  freshet_tensor tensor = {.type = FRESHET_TENSOR_F32, .data = (const char*)single, .size = sizeof single};
  freshet_tensor_read(&tensor, 1, 1, out);
  assert_true(out[0] == -0.25F);
  tensor = (freshet_tensor){.type = FRESHET_TENSOR_F16, .data = (const char*)half, .size = sizeof half};
  freshet_tensor_read(&tensor, 0, 5, out);
  assert_true(out[0] == 1.5F && out[1] == -0.25F && out[2] == 0x1p-24F && isinf(out[3]) && signbit(out[4]));
  tensor = (freshet_tensor){.type = FRESHET_TENSOR_BF16, .data = (const char*)brain, .size = sizeof brain};
  freshet_tensor_read(&tensor, 0, 2, out);
  assert_true(out[0] == 1.5F && out[1] == -0.25F);
}

static void broken_headers_are_refused_by_name(void** state) {
  (void)state;
#define TENSOR(dtype, shape, offsets) \
  "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
  static const struct {
    const char *header, *message;
  } cases[] = {
      {"", "not JSON"},
      {"[]", "not an object"},
      {"{\"a\":", "not JSON"},
      {"{\"a\":1}", "a: unknown dtype (none)"},
      {"{\"a\":" TENSOR("F33", "[4]", "[0,16]") "}", "a: unknown dtype F33"},
      {"{\"a\":" TENSOR("F32", "4", "[0,16]") "}", "a: no shape"},
      {"{\"a\":" TENSOR("F32", "[1,1,1,1,1,1,1,1,4]", "[0,16]") "}", "a: no shape"},
      {"{\"a\":" TENSOR("F32", "[-4]", "[0,16]") "}", "a: a dimension is not a natural number"},
      {"{\"a\":" TENSOR("F32", "[4.0]", "[0,16]") "}", "a: a dimension is not a natural number"},
      {"{\"a\":" TENSOR("F32", "[4294967296,4294967296]", "[0,16]") "}", "a: the shape overflows"},
      {"{\"a\":" TENSOR("F32", "[3]", "[0,16]") "}", "a: the shape takes 12 bytes, the file has 16"},
      {"{\"a\":" TENSOR("F32", "[4]", "[0]") "}", "a: no pair of data_offsets"},
      {"{\"a\":" TENSOR("F32", "[4]", "[0,\"16\"]") "}", "a: an offset is not a natural number"},
      {"{\"a\":" TENSOR("F32", "[4]", "[16,0]") "}", "a: bytes 16 to 0 of 16"},
      {"{\"a\":" TENSOR("F32", "[4]", "[1,17]") "}", "a: bytes 1 to 17 of 16"},
      {"{\"a\":" TENSOR("F32", "[3]", "[0,12]") "}", "bytes after the last tensor"},
      {"{\"a\":" TENSOR("F32", "[3]", "[4,16]") "}", "a: a hole lies before it"},
      {"{\"a\":" TENSOR("F32", "[4]", "[0,16]") ",\"b\":" TENSOR("F32", "[1]", "[12,16]") "}", "b: overlaps"},
      {"{\"a\":" TENSOR("F32", "[4]", "[0,16]") ",\"a\":" TENSOR("F32", "[4]", "[0,16]") "}",
       "not JSON: duplicate"},
      {"{}", "bytes after the last tensor"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char* memory;
    expect_refused(build(cases[i].header, 16, &memory), cases[i].message);
    free(memory);
  }
}

static void every_truncation_is_refused(void** state) {
  (void)state;
  char* memory;
  freshet_slice bytes = build("{\"a\":" TENSOR("F32", "[4]", "[0,16]") "}", 16, &memory);
  for (size_t size = 0; size < bytes.size; size++) {
    char* exact = malloc(size + 1); /* so that AddressSanitizer sees a read past the end */
    memcpy(exact, bytes.data, size);
    expect_refused((freshet_slice){exact, size}, "safetensors: ");
    free(exact);
  }
  memset(memory, 0xff, 8);
  expect_refused(bytes, "a header of 18446744073709551615 bytes");
  free(memory);
}

static void files_that_are_missing_or_broken_are_named(void** state) {
  (void)state;
  freshet_safetensors* file = NULL;
  freshet_error error = {0};
  assert_int_equal(freshet_safetensors_open("/nonexistent/model", &file, &error), FRESHET_NOT_FOUND);
  assert_non_null(strstr(error.message, "/nonexistent/model: No such file"));
  char path[] = "safetensors-XXXXXX";
  int descriptor = mkstemp(path);
  freshet_error_clear(&error);
  assert_int_equal(freshet_safetensors_open(path, &file, &error), FRESHET_INVALID);
  assert_int_equal(write(descriptor, "\2\0\0\0\0\0\0\0{}", 10), 10);
  assert_int_equal(freshet_safetensors_open(path, &file, NULL), FRESHET_OK);
  freshet_safetensors_forget(file);
  freshet_safetensors_close(file);
  close(descriptor);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tensors_are_found_with_their_shape_and_bytes),
      cmocka_unit_test(all_float_types_convert),
      cmocka_unit_test(broken_headers_are_refused_by_name),
      cmocka_unit_test(every_truncation_is_refused),
      cmocka_unit_test(files_that_are_missing_or_broken_are_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
