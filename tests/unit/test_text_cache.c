#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/cache.h"

enum { DIM = 4 };

static freshet_slice text_of(int number) {
  static char text[32];
  return (freshet_slice){text, (size_t)snprintf(text, sizeof text, "text %d", number)};
}

static void put(freshet_text_cache* cache, int number) {
  const float vector[DIM] = {(float)number, 1, 2, 3};
  freshet_text_cache_put(cache, text_of(number), vector);
}

static void the_least_recently_used_goes_first(void** state) {
  (void)state;
  size_t each = 16 + 12 + 4 + DIM * sizeof(float) + 8;
  freshet_text_cache* cache = freshet_text_cache_create(3 * each, DIM);
  for (int i = 0; i < 3; i++) put(cache, i);
  assert_int_equal(freshet_text_cache_count(cache), 3);
  assert_non_null(freshet_text_cache_get(cache, text_of(0)));
  put(cache, 3);
  assert_null(freshet_text_cache_get(cache, text_of(1)));
  assert_true(freshet_text_cache_get(cache, text_of(0))[0] == 0);
  assert_true(freshet_text_cache_get(cache, text_of(3))[0] == 3);
  put(cache, 2); /* again: moves to the front, takes no second place */
  put(cache, 4);
  assert_null(freshet_text_cache_get(cache, text_of(0)));
  assert_non_null(freshet_text_cache_get(cache, text_of(2)));
  assert_int_equal(freshet_text_cache_count(cache), 3);
  freshet_text_cache_destroy(cache);
}

static void a_bound_without_room_is_an_empty_cache(void** state) {
  (void)state;
  assert_null(freshet_text_cache_create(0, DIM));
  assert_null(freshet_text_cache_create(10, DIM));
  put(NULL, 1);
  assert_null(freshet_text_cache_get(NULL, text_of(1)));
  assert_int_equal(freshet_text_cache_count(NULL), 0);
  freshet_text_cache_destroy(NULL);
}

/* Against a list kept by hand: number -> time of last use. */
static void random_use_matches_a_naive_model(void** state) {
  (void)state;
  enum { TEXTS = 64, CAPACITY = 20, STEPS = 20000, SEED = 7 };
  size_t each = 16 + 12 + 4 + DIM * sizeof(float) + 8;
  freshet_text_cache* cache = freshet_text_cache_create(CAPACITY * each, DIM);
  int used[TEXTS] = {0}, held = 0;
  srand(SEED);
  for (int step = 1; step <= STEPS; step++) {
    int number = rand() % TEXTS;
    const float* found = freshet_text_cache_get(cache, text_of(number));
    if ((found != NULL) != (used[number] != 0)) fail_msg("seed %d, step %d: text %d", SEED, step, number);
    if (found != NULL) assert_true(found[0] == (float)number);
    if (found == NULL) {
      put(cache, number);
      if (held == CAPACITY) {
        int oldest = -1;
        for (int i = 0; i < TEXTS; i++) {
          if (used[i] != 0 && (oldest < 0 || used[i] < used[oldest])) oldest = i;
        }
        used[oldest] = 0;
      } else {
        held++;
      }
    }
    used[number] = step;
  }
  freshet_text_cache_destroy(cache);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_least_recently_used_goes_first),
      cmocka_unit_test(a_bound_without_room_is_an_empty_cache),
      cmocka_unit_test(random_use_matches_a_naive_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
