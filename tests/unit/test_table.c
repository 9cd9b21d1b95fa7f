/* test_table.c: arrays that grow where they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "core/table.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif

/* From one element to a million in many steps: it stays where it is, keeps what it holds, and what is new is 0. */
static void grows_where_it_is(void** state) {
  (void)state;
  uint64_t* table = freshet_table_grow(NULL, 1, sizeof *table);
  assert_non_null(table);
  assert_int_equal((uintptr_t)table % (2 << 20), 0);
  const uint64_t* first = table;
  size_t count = 0;
  for (size_t more = 1; more < 1000000; more += more / 8 + 1) {
    table = freshet_table_grow(table, more, sizeof *table);
    assert_ptr_equal(table, first);
    for (; count < more; count++) {
      assert_int_equal(table[count], 0);
      table[count] = count + 1;
    }
  }
  for (size_t i = 0; i < count; i++) assert_int_equal(table[i], i + 1);
  freshet_table_free(table);
}

/* Where address space is scarce a table takes what there is, and moves later. */
static void moves_with_what_it_holds(void** state) {
  (void)state;
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
  skip(); /* its own tables are large */
#endif
  struct rlimit before;
  unsigned long pages = 0;
  FILE* sizes = fopen("/proc/self/statm", "r");
  assert_non_null(sizes);
  assert_int_equal(fscanf(sizes, "%lu", &pages), 1);
  fclose(sizes);
  assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
  const struct rlimit narrow = {pages * 4096 + (24 << 20), before.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_AS, &narrow), 0);
  size_t capacity = 0;
  uint32_t* table = freshet_table_reach(NULL, &capacity, 1, sizeof *table);
  void* refused = freshet_table_grow(NULL, 32 << 20, 1);
  assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
  assert_null(refused);
  const uint32_t* first = table;
  for (uint32_t i = 0; i < 10000000; i++) {
    table = freshet_table_reach(table, &capacity, (size_t)i + 1, sizeof *table);
    table[i] = i;
  }
  assert_ptr_not_equal(table, first);
  for (uint32_t i = 0; i < 10000000; i++) {
    if (table[i] != i) fail_msg("element %u is %u", i, table[i]);
  }
  freshet_table_free(table);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(grows_where_it_is),
      cmocka_unit_test(moves_with_what_it_holds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
