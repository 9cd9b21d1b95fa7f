/* test_spare.c: how much time work gets that nobody waits for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/spare.h"

static int64_t now_us;

static int64_t clock_us(freshet_clock* self) {
  (void)self;
  return now_us;
}

static freshet_clock test_clock = {.monotonic_us = clock_us};

/* A turn in which each work takes what it gets, and one piece at least; other things take others_us. Returns how long the
 * works took. */
static int64_t take_turn(freshet_spare* spare, bool is_busy, int64_t others_us, int64_t piece_us) {
  const int64_t start_us = now_us;
  freshet_spare_turn(spare, is_busy);
  for (int work = 0; work < FRESHET_SPARE_WORKS; work++) {
    const int64_t slice_us = freshet_spare_begin(spare, (freshet_spare_work)work);
    assert_true(slice_us >= 0);
    int64_t done_us = 0;
    do {
      done_us += piece_us;
    } while (done_us < slice_us);
    now_us += done_us;
    freshet_spare_end(spare, (freshet_spare_work)work);
  }
  const int64_t took_us = now_us - start_us;
  now_us += others_us;
  return took_us;
}

static void all_time_is_handed_out_while_nothing_waits(void** state) {
  (void)state;
  freshet_spare spare = freshet_spare_make(&test_clock);
  for (int i = 0; i < 100; i++) assert_in_range(take_turn(&spare, false, 10, 10), 10000, 15000);
}

static void a_share_is_handed_out_while_something_waits(void** state) {
  (void)state;
  freshet_spare spare = freshet_spare_make(&test_clock);
  int64_t took_us = 0;
  const int64_t start_us = now_us;
  assert_in_range(take_turn(&spare, true, 10000, 10), 1, 7100); /* of what was saved up */
  for (int i = 0; i < 1000; i++) {
    const int64_t turn_us = take_turn(&spare, true, 10000, 10);
    if (i > 0) assert_in_range(turn_us, 40, 7000);
    took_us += turn_us;
  }
  assert_in_range(took_us * 100 / (now_us - start_us), 25, 37);
}

/* A piece that is far too long is paid for later, and each turn still has one. */
static void what_was_taken_too_much_is_paid_back(void** state) {
  (void)state;
  freshet_spare spare = freshet_spare_make(&test_clock);
  freshet_spare_turn(&spare, true);
  freshet_spare_begin(&spare, FRESHET_SPARE_LINKS);
  now_us += 100000;
  freshet_spare_end(&spare, FRESHET_SPARE_LINKS);
  int turns = 0;
  do {
    now_us += 10000;
    freshet_spare_turn(&spare, true);
    turns++;
  } while (freshet_spare_begin(&spare, FRESHET_SPARE_LINKS) == 0 && turns < 10000);
  assert_in_range(turns, 100, 1000);
  now_us += 100000;
  freshet_spare_end(&spare, FRESHET_SPARE_LINKS);
  freshet_spare_turn(&spare, false);
  assert_true(freshet_spare_begin(&spare, FRESHET_SPARE_LINKS) > 0); /* nobody waits: it is forgiven */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_time_is_handed_out_while_nothing_waits),
      cmocka_unit_test(a_share_is_handed_out_while_something_waits),
      cmocka_unit_test(what_was_taken_too_much_is_paid_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
