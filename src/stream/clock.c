/*
 * clock.c: the clock of the machine behind the port clock.h: wall time and monotonic time. The simulator has
 * another one. It owns nothing.
 */
#include "stream/clock.h"

#include <time.h>

static int64_t now_ms(freshet_clock* self) {
  (void)self;
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t monotonic_us(freshet_clock* self) {
  (void)self;
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

freshet_clock* freshet_clock_system(void) {
  static freshet_clock system = {now_ms, monotonic_us};
  return &system;
}
