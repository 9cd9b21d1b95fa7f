/* spare.c: an account for each work, filled by the time that passes; see spare.h. It owns nothing, and must decide nothing but
 * how long. */
#include "worker/spare.h"

/* slice_us: of a turn while nothing waits. percent: of the time, while something waits, and most_us of a turn then. What
 * other workers have learned comes with the records of items, so that share is the largest. */
static const struct {
  int64_t slice_us;
  int64_t percent;
  int64_t most_us;
} shares[FRESHET_SPARE_WORKS] = {
    [FRESHET_SPARE_ITEMS] = {3000, 15, 3000},  [FRESHET_SPARE_TEXTS] = {3000, 5, 1000},
    [FRESHET_SPARE_LINKS] = {5000, 5, 1000},   [FRESHET_SPARE_SURVEY] = {2000, 5, 1000},
    [FRESHET_SPARE_STANDBY] = {2000, 5, 1000},
};

freshet_spare freshet_spare_make(freshet_clock* clock) {
  freshet_spare spare = {.clock = clock, .turn_us = freshet_clock_monotonic_us(clock)};
  for (int i = 0; i < FRESHET_SPARE_WORKS; i++) spare.left_us[i] = shares[i].slice_us;
  return spare;
}

void freshet_spare_turn(freshet_spare* spare, bool is_busy) {
  const int64_t now_us = freshet_clock_monotonic_us(spare->clock), passed_us = now_us - spare->turn_us;
  spare->turn_us = now_us;
  for (int i = 0; i < FRESHET_SPARE_WORKS; i++) {
    const int64_t most_us = is_busy ? shares[i].most_us : shares[i].slice_us;
    const int64_t filled_us = spare->left_us[i] + passed_us * shares[i].percent / 100;
    spare->left_us[i] = is_busy && filled_us < most_us ? filled_us : most_us;
  }
}

int64_t freshet_spare_begin(freshet_spare* spare, freshet_spare_work work) {
  spare->begun_us = freshet_clock_monotonic_us(spare->clock);
  return spare->left_us[work] > 0 ? spare->left_us[work] : 0;
}

void freshet_spare_end(freshet_spare* spare, freshet_spare_work work) {
  spare->left_us[work] -= freshet_clock_monotonic_us(spare->clock) - spare->begun_us;
}
