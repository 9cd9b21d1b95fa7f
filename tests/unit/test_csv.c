/* The CSV reader against rows written by hand and by a random writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "commands/input/input_csv.h"

static const char* write_file(const char* text, size_t size, bool compressed) {
  static char path[64];
  snprintf(path, sizeof path, "/tmp/freshet-csv-%d", (int)getpid());
  gzFile file = gzopen(path, compressed ? "wb" : "wbT");
  assert_non_null(file);
  if (size > 0) assert_int_equal(gzwrite(file, text, (unsigned)size), size);
  assert_int_equal(gzclose(file), Z_OK);
  return path;
}

static void assert_field(const freshet_csv* csv, int column, const char* text) {
  freshet_slice field = freshet_csv_field(csv, column);
  assert_int_equal(field.size, strlen(text));
  assert_memory_equal(field.size == 0 ? "" : field.data, text, field.size);
}

static void reads_quotes_line_breaks_and_short_rows(void** state) {
  (void)state;
  const char* text =
      "\xEF\xBB\xBFid,title,text\r\n"
      "1,\"a, b\",\"say \"\"hi\"\"\nnow\"\r\n"
      "\r\n"
      "2,plain\n"
      "3,,last,extra";
  for (int compressed = 0; compressed < 2; compressed++) {
    freshet_csv* csv = NULL;
    bool more = false;
    assert_int_equal(freshet_csv_open(write_file(text, strlen(text), compressed), NULL, &csv, NULL),
                     FRESHET_OK);
    assert_int_equal(freshet_csv_column(csv, "id"), 0);
    assert_int_equal(freshet_csv_column(csv, "text"), 2);
    assert_int_equal(freshet_csv_column(csv, "price"), -1);
    assert_int_equal(freshet_csv_next(csv, &more, NULL), FRESHET_OK);
    assert_true(more);
    assert_int_equal(freshet_csv_line(csv), 2);
    assert_field(csv, 0, "1");
    assert_field(csv, 1, "a, b");
    assert_field(csv, 2, "say \"hi\"\nnow");
    assert_int_equal(freshet_csv_next(csv, &more, NULL), FRESHET_OK);
    assert_int_equal(freshet_csv_line(csv), 5);
    assert_field(csv, 1, "plain");
    assert_field(csv, 2, "");
    assert_field(csv, -1, "");
    assert_int_equal(freshet_csv_next(csv, &more, NULL), FRESHET_OK);
    assert_field(csv, 1, "");
    assert_field(csv, 2, "last");
    assert_int_equal(freshet_csv_next(csv, &more, NULL), FRESHET_OK);
    assert_false(more);
    freshet_csv_close(csv);
  }
}

static void reports_what_is_wrong(void** state) {
  (void)state;
  freshet_csv* csv = NULL;
  freshet_error error = {0};
  bool more = false;
  assert_int_equal(freshet_csv_open("/nonexistent/x.csv", NULL, &csv, &error), FRESHET_NOT_FOUND);
  assert_null(csv);
  freshet_error_clear(&error);
  assert_int_equal(freshet_csv_open(write_file("", 0, false), NULL, &csv, &error), FRESHET_INVALID);
  freshet_error_clear(&error);
  assert_int_equal(freshet_csv_open(write_file("a,b\n1,\"open", 11, false), NULL, &csv, &error), FRESHET_OK);
  assert_int_equal(freshet_csv_next(csv, &more, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, ":2: a quote"));
  freshet_csv_close(csv);
}

static void reads_back_what_a_writer_quotes(void** state) {
  (void)state;
  enum { ROWS = 300, COLUMNS = 5, FIELD_MAX = 12 };
  static char fields[ROWS][COLUMNS][FIELD_MAX + 1];
  static const char alphabet[] = "ab,\"\n\r \t1";
  freshet_buffer text = {0};
  unsigned seed = 7;
  srand(seed);
  freshet_buffer_append(&text, "c0,c1,c2,c3,c4\n", 15);
  for (int r = 0; r < ROWS; r++) {
    for (int c = 0; c < COLUMNS; c++) {
      int size = rand() % (FIELD_MAX + 1);
      for (int i = 0; i < size; i++) fields[r][c][i] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
      freshet_buffer_append(&text, "\"", 1);
      for (int i = 0; i < size; i++) {
        if (fields[r][c][i] == '"') freshet_buffer_append(&text, "\"", 1);
        freshet_buffer_append(&text, &fields[r][c][i], 1);
      }
      freshet_buffer_append(&text, c + 1 < COLUMNS ? "\"," : "\"\n", 2);
    }
  }
  freshet_csv* csv = NULL;
  bool more = false;
  const char* path = write_file((const char*)text.data, text.size, true);
  assert_int_equal(freshet_csv_open(path, NULL, &csv, NULL), FRESHET_OK);
  for (int r = 0; r < ROWS; r++) {
    assert_int_equal(freshet_csv_next(csv, &more, NULL), FRESHET_OK);
    assert_true(more);
    for (int c = 0; c < COLUMNS; c++) assert_field(csv, c, fields[r][c]);
  }
  assert_true(freshet_csv_progress(csv) > 0.5);
  freshet_csv_close(csv);
  freshet_buffer_free(&text);
  unlink(path);
}

static void reads_numbers_strictly(void** state) {
  (void)state;
  long long integer;
  double real;
  assert_true(freshet_csv_integer(freshet_slice_of("-12"), &integer));
  assert_int_equal(integer, -12);
  assert_false(freshet_csv_integer(freshet_slice_of("12x"), &integer));
  assert_false(freshet_csv_integer(freshet_slice_of(""), &integer));
  assert_false(freshet_csv_integer(freshet_slice_of("99999999999999999999"), &integer));
  assert_true(freshet_csv_real(freshet_slice_of("3.5"), &real));
  assert_float_equal(real, 3.5, 0);
  assert_false(freshet_csv_real(freshet_slice_of("nan"), &real));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_quotes_line_breaks_and_short_rows),
      cmocka_unit_test(reports_what_is_wrong),
      cmocka_unit_test(reads_back_what_a_writer_quotes),
      cmocka_unit_test(reads_numbers_strictly),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
