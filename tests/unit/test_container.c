/*
 * test_container.c: container files as they are read back; and every kind of damage, which must be found and named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "commands/transfer/container.h"

static const char schema[] =
    "{\"type\":\"record\",\"name\":\"Pair\",\"fields\":[{\"name\":\"a\",\"type\":\"long\"},"
    "{\"name\":\"b\",\"type\":\"bytes\"}]}";
enum { RECORDS = 5000, BYTES = 150 }; /* three blocks */

typedef struct reading {
  int64_t next;
  char schema[sizeof schema + 8];
} reading;

static freshet_status take_schema(void* context, const char* json, freshet_error* error) {
  (void)error;
  snprintf(((reading*)context)->schema, sizeof schema + 8, "%s", json);
  return FRESHET_OK;
}

static freshet_status take(void* context, freshet_slice* bytes, freshet_error* error) {
  reading* r = context;
  int64_t number;
  freshet_slice text;
  if (!freshet_take_avro_long(bytes, &number) || !freshet_take_avro_bytes(bytes, &text) ||
      number != r->next * 1000003 - 7 || text.size != BYTES)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "not what was written");
  r->next++;
  return FRESHET_OK;
}

static void write_file(const char* path, freshet_container_sums* sums) {
  freshet_container_writer* writer;
  freshet_buffer datum = {0};
  char text[BYTES];
  unlink(path);
  assert_int_equal(freshet_container_create(path, schema, sums, &writer, NULL), FRESHET_OK);
  for (int64_t i = 0; i < RECORDS; i++) {
    memset(text, 'a' + (int)(i % 26), sizeof text);
    datum.size = 0;
    freshet_put_avro_long(&datum, i * 1000003 - 7);
    freshet_put_avro_bytes(&datum, (freshet_slice){text, sizeof text});
    assert_int_equal(freshet_container_add(writer, freshet_buffer_slice(&datum), NULL), FRESHET_OK);
  }
  assert_int_equal(freshet_container_finish(writer, NULL), FRESHET_OK);
  freshet_buffer_free(&datum);
}

static freshet_status read_file(const char* path, const freshet_container_sums* sums, reading* r,
                                freshet_error* error) {
  const freshet_container_reading given = {
      .path = path, .sums = sums, .schema = take_schema, .take = take, .context = r};
  *r = (reading){0};
  freshet_error_clear(error);
  return freshet_container_read(&given, error);
}

static void put_bytes(const char* path, const char* data, size_t size) {
  FILE* file = fopen(path, "we");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  fclose(file);
}

static void test_numbers(void** state) {
  (void)state;
  static const int64_t numbers[] = {0, -1, 1, 63, 64, -64, -65, 1 << 20, INT64_MAX, INT64_MIN};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    freshet_buffer bytes = {0};
    int64_t number;
    freshet_put_avro_long(&bytes, numbers[i]);
    freshet_slice view = freshet_buffer_slice(&bytes);
    assert_true(freshet_take_avro_long(&view, &number));
    assert_int_equal(number, numbers[i]);
    assert_int_equal(view.size, 0);
    freshet_slice cut = {(const char*)bytes.data, bytes.size - 1};
    assert_false(freshet_take_avro_long(&cut, &number));
    freshet_buffer_free(&bytes);
  }
}

static void test_damage(void** state) {
  (void)state;
  char path[] = "/tmp/freshet-container-XXXXXX";
  close(mkstemp(path));
  freshet_container_sums sums = {0};
  reading r;
  freshet_error error = {0};
  write_file(path, &sums);
  assert_int_equal(sums.records, RECORDS);
  assert_int_equal(sums.block_count, 1 + 3);
  assert_int_equal(read_file(path, &sums, &r, &error), FRESHET_OK);
  assert_int_equal(r.next, RECORDS);
  assert_string_equal(r.schema, schema);

  FILE* file = fopen(path, "re");
  char* data = malloc(2 << 20);
  size_t size = fread(data, 1, 2 << 20, file);
  fclose(file);
  for (size_t i = 0; i < 200; i++) { /* a bit of each kind of place: head, lengths, data, markers */
    size_t at = i < 100 ? i : i * (size / 200);
    data[at] ^= 1;
    put_bytes(path, data, size);
    assert_int_equal(read_file(path, &sums, &r, &error), FRESHET_INVALID);
    assert_non_null(strstr(error.message, path));
    assert_non_null(strstr(error.message, "damaged"));
    data[at] ^= 1;
  }
  for (size_t i = 0; i < 100; i++) {
    put_bytes(path, data, i < 50 ? i : size - 1 - (i - 50) * (size / 60));
    assert_int_equal(read_file(path, &sums, &r, &error), FRESHET_INVALID);
  }
  data[size] = 'x';
  put_bytes(path, data, size + 1);
  assert_int_equal(read_file(path, &sums, &r, &error), FRESHET_INVALID);
  data[size / 2] ^= 1;
  put_bytes(path, data, size);
  assert_int_equal(read_file(path, &sums, &r, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "block 2 of 3"));
  unlink(path);
  assert_int_equal(read_file(path, &sums, &r, &error), FRESHET_IO);
  free(data);
  freshet_container_sums_free(&sums);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers), cmocka_unit_test(test_damage)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
