/*
 * clock.h: time, as an interface, so that the simulator can own it. The wall clock dates records; the monotonic clock
 * measures intervals. It must not know who waits for what.
 */
#ifndef FRESHET_STREAM_CLOCK_H
#define FRESHET_STREAM_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* What a thread has used of the machine since it began. */
typedef struct freshet_thread_use {
  int64_t cpu_us;
  uint64_t faults;   /* pages that the system had to provide */
  uint64_t switches; /* times that another thread took its core */
} freshet_thread_use;

typedef struct freshet_clock freshet_clock;
struct freshet_clock {
  int64_t (*now_ms)(freshet_clock* self);         /* wall clock, since the Unix epoch */
  int64_t (*monotonic_us)(freshet_clock* self);   /* never goes back */
  freshet_thread_use (*use)(freshet_clock* self); /* by the calling thread; NULL: not known */
};

static inline int64_t freshet_clock_now_ms(freshet_clock* self) {
  return self->now_ms(self);
}
static inline int64_t freshet_clock_monotonic_us(freshet_clock* self) {
  return self->monotonic_us(self);
}

static inline int64_t freshet_clock_monotonic_ms(freshet_clock* self) {
  return self->monotonic_us(self) / 1000;
}

/* Zero where it is not known. */
static inline freshet_thread_use freshet_clock_use(freshet_clock* self) {
  return self->use == NULL ? (freshet_thread_use){0} : self->use(self);
}

/* The machine's clocks. Static, thread-safe. */
freshet_clock* freshet_clock_system(void);

#endif
