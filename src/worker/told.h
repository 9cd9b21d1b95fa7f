/*
 * told.h: when a count is worth a log line: as soon as it rises, and then twice a minute at most while it goes on. It must
 * not know what is counted.
 */
#ifndef FRESHET_WORKER_TOLD_H
#define FRESHET_WORKER_TOLD_H

#include <stdbool.h>

#include "stream/clock.h"

/* Zero: nothing has been told. */
typedef struct freshet_told {
  uint64_t count;
  int64_t next_us;
} freshet_told;

/* True: the caller logs `count` now. */
static inline bool freshet_told_is_due(freshet_told* told, uint64_t count, freshet_clock* clock) {
  enum { INTERVAL_US = 30000000 };
  if (count == told->count) return false;
  const int64_t now_us = freshet_clock_monotonic_us(clock);
  if (told->count > 0 && now_us < told->next_us) return false;
  *told = (freshet_told){count, now_us + INTERVAL_US};
  return true;
}

#endif
