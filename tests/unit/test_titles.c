/*
 * test_titles.c: the cache of titles: what it keeps for how long, and how many items of a catalogue it holds at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "service/titles.h"

enum { ITEMS = 10000 };

static freshet_slice id_of(char id[16], int item) {
  snprintf(id, 16, "item-%d", item);
  return freshet_slice_of(id);
}

static bool is_known(freshet_titles* titles, int item, int64_t now_ms, const char* title) {
  char id[16];
  bool known;
  const freshet_slice found = freshet_titles_get(titles, id_of(id, item), now_ms, &known);
  if (known) assert_true(freshet_slice_equal(found, freshet_slice_of(title)));
  return known;
}

static void put(freshet_titles* titles, int item, const char* title, int64_t now_ms) {
  char id[16];
  freshet_titles_put(titles, id_of(id, item), freshet_slice_of(title), now_ms);
}

static void a_title_is_kept_for_half_a_minute(void** state) {
  (void)state;
  freshet_titles* titles = freshet_titles_create();
  assert_false(is_known(titles, 1, 1000, ""));
  put(titles, 1, "Lamp", 1000);
  put(titles, 2, "", 1000);
  assert_true(is_known(titles, 1, 1000 + FRESHET_TITLES_MS, "Lamp"));
  assert_false(is_known(titles, 1, 1001 + FRESHET_TITLES_MS, "Lamp"));
  assert_true(is_known(titles, 2, 1000 + FRESHET_TITLES_EMPTY_MS, ""));
  assert_false(
      is_known(titles, 2, 1001 + FRESHET_TITLES_EMPTY_MS, "")); /* it may have been announced meanwhile */
  put(titles, 1, "Desk lamp", 40000);
  assert_true(is_known(titles, 1, 40001, "Desk lamp"));
  freshet_titles_destroy(titles);
}

/* A title that is not held costs a read of the store in each list. */
static void a_catalogue_fits(void** state) {
  (void)state;
  freshet_titles* titles = freshet_titles_create();
  int known = 0;
  for (int i = 0; i < ITEMS; i++) put(titles, i, "Lamp", i);
  for (int i = 0; i < ITEMS; i++) known += is_known(titles, i, ITEMS, "Lamp");
  assert_true(known >= ITEMS * 98 / 100);
  freshet_titles_destroy(titles);
}

static void the_oldest_gives_way(void** state) {
  (void)state;
  enum { MANY = 4 * FRESHET_TITLES };
  freshet_titles* titles = freshet_titles_create();
  int old = 0, fresh = 0;
  for (int i = 0; i < MANY; i++) put(titles, i, "Lamp", i / 16);
  for (int i = 0; i < MANY / 4; i++) old += is_known(titles, i, MANY / 16, "Lamp");
  for (int i = MANY - MANY / 16; i < MANY; i++) fresh += is_known(titles, i, MANY / 16, "Lamp");
  assert_true(old < MANY / 4 / 20);
  assert_true(fresh > MANY / 16 * 19 / 20);
  freshet_titles_destroy(titles);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_title_is_kept_for_half_a_minute),
      cmocka_unit_test(a_catalogue_fits),
      cmocka_unit_test(the_oldest_gives_way),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
