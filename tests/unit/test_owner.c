/* The word of a committed offset's metadata that names the process that has committed it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kafka/owner.h"
#include "stream/layout.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"

static freshet_owner read_text(const char* text) {
  return freshet_owner_read(text, strlen(text));
}

static void what_is_written_is_read(void** state) {
  (void)state;
  static const char* const ids[] = {"app-worker-1",   "a",       "app-with blank", "app-10%:x",
                                    "app-\303\274ml", "app.\177"};
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
    char word[FRESHET_OWNER_TEXT_SIZE], text[2 * FRESHET_OWNER_TEXT_SIZE];
    freshet_owner_write(ids[i], "worker-1-" UUID, i % 2 == 0 ? NULL : "http://a:1", word);
    assert_null(strchr(word, ' '));
    snprintf(text, sizeof text, "m1:7:8:0000000000000009 p1:12:0 %s", word);
    freshet_owner owner = read_text(text);
    assert_string_equal(owner.transactional_id, ids[i]);
    assert_string_equal(owner.member, UUID);
    assert_int_equal(owner.client, i % 2 == 0 ? 0 : freshet_owner_client("http://a:1"));
    assert_int_equal(freshet_layout_read(text, strlen(text)).partitions, 12);
  }
}

static void an_owner_that_does_not_fit_is_left_out(void** state) {
  (void)state;
  char word[FRESHET_OWNER_TEXT_SIZE], id[200];
  memset(id, 'x', sizeof id - 1);
  id[sizeof id - 1] = '\0';
  freshet_owner_write(id, "w-" UUID, NULL, word);
  assert_string_equal(word, "");
  freshet_owner_write("app-w", "short", NULL, word);
  assert_string_equal(word, "");
  freshet_owner_write("", "w-" UUID, NULL, word);
  assert_string_equal(word, "");
}

static void other_words_are_no_owner(void** state) {
  (void)state;
  static const char* const texts[] = {"",
                                      "p1:12:0",
                                      "o1:",
                                      "o1:" UUID,
                                      "o1:short:app",
                                      "o1:" UUID ":app",
                                      "o1:" UUID ":00000000:%zz",
                                      "o1:" UUID ":00000000:%00",
                                      "o1:" UUID ":00000000:%",
                                      "o1:" UUID ":00000000:",
                                      "o2:" UUID ":00000000:app"};
  assert_int_not_equal(freshet_owner_client("http://a:1"), freshet_owner_client("http://a:2"));
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    assert_string_equal(read_text(texts[i]).transactional_id, "");
  assert_string_equal(freshet_owner_read(NULL, 0).transactional_id, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_is_read),
      cmocka_unit_test(an_owner_that_does_not_fit_is_left_out),
      cmocka_unit_test(other_words_are_no_owner),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
