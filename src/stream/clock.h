/*
 * clock.h: time, as an interface, so that the simulator can own it. The wall clock dates records; the monotonic clock
 * measures intervals. It must not know who waits for what.
 */
#ifndef FRESHET_STREAM_CLOCK_H
#define FRESHET_STREAM_CLOCK_H

#include <stdint.h>

typedef struct freshet_clock freshet_clock;
struct freshet_clock {
  int64_t (*now_ms)(freshet_clock* self);       /* wall clock, since the Unix epoch */
  int64_t (*monotonic_us)(freshet_clock* self); /* never goes back */
};

static inline int64_t freshet_clock_now_ms(freshet_clock* self) {
  return self->now_ms(self);
}
static inline int64_t freshet_clock_monotonic_us(freshet_clock* self) {
  return self->monotonic_us(self);
}

/* The machine's clocks. Static, thread-safe. */
freshet_clock* freshet_clock_system(void);

#endif
