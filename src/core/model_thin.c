/*
 * model_thin.c: what lists hear, and when. It knows no model and keeps no state.
 */
#include "core/model_thin.h"

#include "freshet/status.h"

/* Where strata begin. Older items say less, so they share a draw: with these strata recall@10 of the data sets that
 * were tried falls by less than .002. */
static const uint8_t strata[] = {0, 1, 2, 3, 5, 8, 12, FRESHET_HISTORY};
enum {
  STRATA = sizeof strata - 1,
  FULL_STEPS = 96,     /* of a list: so many are all heard. With 64, recall@10 of MovieLens fell by .002 */
  OTHERS_MIN = 100000, /* events of other workers in a commit: below, folding them is cheap enough */
  OTHERS_SHARE = 7,    /* times the own events: a fleet of eight equal workers */
};
_Static_assert(FRESHET_HISTORY == 20, "the strata are made for a context of 20 items");

enum { EVERY_PLACE = (1 << FRESHET_HISTORY) - 1 };
static const freshet_kept every_kept = {
    .count = FRESHET_HISTORY,
    .place = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19},
    .times = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    .chosen_hears = true,
    .hear = EVERY_PLACE};

freshet_kept freshet_keep_all(uint32_t context) {
  FRESHET_ASSERT(context <= FRESHET_HISTORY);
  freshet_kept kept = every_kept;
  kept.count = context;
  return kept;
}

freshet_kept freshet_keep_some(uint32_t context, uint8_t picks) {
  FRESHET_ASSERT(context <= FRESHET_HISTORY);
  freshet_kept kept = {.chosen_hears = true, .hear = EVERY_PLACE};
  for (uint32_t s = 0; s < STRATA && strata[s] < context; s++) {
    const uint32_t end = strata[s + 1] < context ? strata[s + 1] : context, size = end - strata[s];
    const uint8_t mixed = (uint8_t)(picks * (2 * s + 37)); /* odd factors: each number comes once in 256 */
    kept.place[kept.count] = (uint8_t)(strata[s] + mixed * size / 256);
    kept.times[kept.count++] = (uint8_t)size;
  }
  return kept;
}

freshet_kept freshet_keep_heard(uint32_t context, bool chosen_hears, uint32_t hear) {
  FRESHET_ASSERT(context <= FRESHET_HISTORY);
  freshet_kept kept = every_kept;
  kept.is_sampled = true;
  kept.chosen_hears = chosen_hears;
  kept.hear = hear;
  kept.count = context;
  if (chosen_hears) return kept;
  kept.count = 0;
  for (uint32_t left = hear & ((1U << context) - 1); left != 0; left &= left - 1)
    kept.place[kept.count++] = (uint8_t)__builtin_ctz(left);
  return kept;
}

unsigned freshet_list_stride(uint32_t steps) {
  unsigned stride = 0;
  while (stride < FRESHET_STRIDE_MAX && steps >> stride >= FULL_STEPS) stride++;
  return stride;
}

bool freshet_fleet_thins(uint64_t own_events, uint64_t others_events) {
  return others_events >= OTHERS_MIN && others_events / OTHERS_SHARE >= own_events;
}
