/*
 * clock.c: the clock of the machine behind the port clock.h: wall time, monotonic time, and what a thread
 * uses. The simulator has
 * another one. It owns nothing.
 */
#include "stream/clock.h"

#include <sys/resource.h>
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

static freshet_thread_use thread_use(freshet_clock* self) {
  (void)self;
  struct rusage used = {0};
  getrusage(RUSAGE_THREAD, &used);
  return (freshet_thread_use){.cpu_us = (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
                                        used.ru_utime.tv_usec + used.ru_stime.tv_usec,
                              .faults = (uint64_t)(used.ru_minflt + used.ru_majflt),
                              .switches = (uint64_t)used.ru_nivcsw};
}

freshet_clock* freshet_clock_system(void) {
  static freshet_clock system = {now_ms, monotonic_us, thread_use};
  return &system;
}
