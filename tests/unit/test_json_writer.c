/*
 * Numbers in JSON: what is written is the number, rounded as printf rounds it, to a unit in its last digit. It owns
 * nothing, and looks at no other part of the writer.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/maths.h"
#include "service/json_writer.h"

static const char* written(double number) {
  static freshet_buffer out;
  out.size = 0;
  freshet_json json = {.out = &out};
  freshet_json_number(&json, NULL, number);
  freshet_buffer_append(&out, "", 1);
  return (const char*)out.data;
}

static void numbers_have_the_form_of_printf(void** state) {
  (void)state;
  assert_string_equal(written(0), "0.000000");
  assert_string_equal(written(1.5), "1.500000");
  assert_string_equal(written(-12.000001), "-12.000001");
  assert_string_equal(written(0.1), "0.100000");
  assert_string_equal(written(999999.9999999), "1000000.000000");
  assert_string_equal(written(0.05), "0.05");
  assert_string_equal(written(-0.0120196948), "-0.0120196948");
  assert_string_equal(written(0.00123456789123), "0.00123456789");
  assert_string_equal(written(0.0999999999999), "0.1");
  assert_string_equal(written(1e-7), "1e-07");
  assert_string_equal(written(2.5e9), "2.5e+09");
  assert_string_equal(written(NAN), "null");
  assert_string_equal(written(-INFINITY), "null");
}

static void numbers_are_rounded(void** state) {
  (void)state;
  for (uint64_t i = 0; i < 200000; i++) {
    const double exponent = (double)(freshet_random(1, i) % 160) / 10 - 8;
    const double sign = (freshet_random(2, i) & 1) != 0 ? -1 : 1;
    const double number = sign * pow(10, exponent) * (1 + (double)(freshet_random(3, i) >> 11) * 0x1p-53);
    const double size = fabs(number);
    const bool is_plain = size >= 0.1 && size < 1e6;
    const double unit = is_plain ? 1e-6 : pow(10, floor(log10(size)) - 8);
    assert_true(fabs(strtod(written(number), NULL) - number) <= unit * 0.5000001 + size * 1e-15);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_have_the_form_of_printf),
      cmocka_unit_test(numbers_are_rounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
