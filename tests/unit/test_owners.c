/* Which items belong to whom, against a plain table, while owners change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "catalogue/owners.h"
#include "core/maths.h"

enum { SLOTS = 5000, OWNERS = 300, CHANGES = 60000 };

static uint64_t owner_number(uint64_t number) {
  char id[16];
  snprintf(id, sizeof id, "u%u", (unsigned)number);
  return number == 0 ? 0 : freshet_owner_key(freshet_slice_of(id));
}

static void check_owner(const freshet_owners* owners, uint64_t number, const uint64_t* by_slot) {
  size_t count, expected = 0;
  const uint32_t* slots = freshet_owners_slots(owners, owner_number(number), &count);
  for (uint32_t slot = 0; slot < SLOTS; slot++) expected += by_slot[slot] == number;
  assert_int_equal(count, number == 0 ? 0 : expected);
  for (size_t i = 0; i < count; i++) assert_int_equal(by_slot[slots[i]], number);
}

static void owners_have_their_items(void** state) {
  (void)state;
  static uint64_t by_slot[SLOTS];
  freshet_owners* owners = freshet_owners_create();
  check_owner(owners, 1, by_slot);
  for (uint64_t change = 0; change < CHANGES; change++) {
    const uint32_t slot = (uint32_t)freshet_below(freshet_random(1, change), SLOTS);
    const uint64_t number = freshet_below(freshet_random(2, change), OWNERS);
    freshet_owners_set(owners, slot, owner_number(number));
    by_slot[slot] = number;
    if (change % 100 == 0) check_owner(owners, freshet_below(freshet_random(3, change), OWNERS), by_slot);
  }
  for (uint64_t number = 0; number < OWNERS; number++) check_owner(owners, number, by_slot);
  freshet_owners_destroy(owners);
}

static void the_owner_is_an_attribute(void** state) {
  (void)state;
  const freshet_attribute attributes[] = {{freshet_slice_of("brand"), freshet_slice_of("u1")},
                                          {freshet_slice_of("owner"), freshet_slice_of("u2")}};
  freshet_item item = {.attributes = attributes, .attribute_count = 2};
  assert_true(freshet_owner_of(&item) == freshet_owner_key(freshet_slice_of("u2")));
  item.attribute_count = 1;
  assert_true(freshet_owner_of(&item) == 0);
  assert_true(freshet_owner_of(NULL) == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(owners_have_their_items),
      cmocka_unit_test(the_owner_is_an_attribute),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
