/*
 * clock.h: time, as an interface so that the simulator can own it.
 */
#ifndef FRESHET_WORKER_CLOCK_H
#define FRESHET_WORKER_CLOCK_H

#include <stdint.h>

typedef struct freshet_clock freshet_clock;
struct freshet_clock {
  int64_t (*now_ms)(freshet_clock* self);       /* wall clock, since the Unix epoch */
  int64_t (*monotonic_us)(freshet_clock* self); /* never goes back */
};

/* The machine's clocks. Static, thread-safe. */
freshet_clock* freshet_clock_system(void);

#endif
