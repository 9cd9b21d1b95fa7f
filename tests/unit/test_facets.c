/* Categories and attributes by slot, against what the items say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "core/facets.h"

enum { SLOTS = 3000, NAMES = 12, STEPS = 20000 };

static uint64_t seed = 88172645463325252u;
static uint32_t below(uint32_t n) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return (uint32_t)(seed % n);
}

static freshet_slice names[NAMES];

/* What the oracle remembers: bit i: has names[i]; bit NAMES * i + j of attributes: names[i] = names[j]. */
typedef struct known {
  unsigned categories;
  bool attributes[NAMES][NAMES];
  int64_t created_ms;
} known;

static void check(const freshet_facets* facets, uint32_t slot, const known* k) {
  size_t count;
  freshet_facets_categories(facets, slot, &count);
  assert_int_equal(count, __builtin_popcount(k->categories));
  assert_int_equal(freshet_facets_created_ms(facets, slot), k->created_ms);
  for (unsigned i = 0; i < NAMES; i++) {
    assert_int_equal(freshet_facets_has(facets, slot, freshet_category_key(names[i])),
                     k->categories >> i & 1);
    for (unsigned j = 0; j < NAMES; j++) {
      assert_int_equal(freshet_facets_has(facets, slot, freshet_attribute_key(names[i], names[j])),
                       k->attributes[i][j]);
    }
  }
}

static void slots_hold_what_was_said_last(void** state) {
  (void)state;
  static const char* const texts[NAMES] = {"a",   "b", "ab", "",      "Home", "home", "Home & Garden",
                                           "a=b", "=", "ba", "color", "red"};
  static known all[SLOTS];
  freshet_facets* facets = freshet_facets_create();
  for (int i = 0; i < NAMES; i++) names[i] = freshet_slice_of(texts[i]);
  for (int step = 0; step < STEPS; step++) {
    uint32_t slot = below(SLOTS);
    known* k = &all[slot];
    *k = (known){0};
    if (below(4) == 0) {
      freshet_facets_set(facets, slot, NULL);
    } else {
      freshet_slice categories[8];
      freshet_attribute attributes[8];
      freshet_item item = {.categories = categories,
                           .category_count = below(8),
                           .attributes = attributes,
                           .attribute_count = below(8),
                           .created_at_ms = below(3)};
      for (size_t i = 0; i < item.category_count; i++) {
        uint32_t name = below(NAMES);
        categories[i] = names[name];
        k->categories |= 1u << name;
      }
      for (size_t i = 0; i < item.attribute_count; i++) {
        uint32_t name = below(NAMES), value = below(NAMES);
        attributes[i] = (freshet_attribute){names[name], names[value]};
        k->attributes[name][value] = true;
      }
      k->created_ms = item.created_at_ms;
      freshet_facets_set(facets, slot, &item);
    }
    uint32_t other = below(SLOTS);
    check(facets, other, &all[other]);
  }
  for (uint32_t slot = 0; slot < SLOTS; slot++) check(facets, slot, &all[slot]);
  known nothing = {0};
  check(facets, SLOTS * 100, &nothing);
  freshet_facets_set(facets, SLOTS * 100, NULL);
  freshet_facets_destroy(facets);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(slots_hold_what_was_said_last)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
