/*
 * monotonic.h: intervals of the machine's monotonic clock, and conditions that wait by it, for every room with threads.
 * It owns nothing. The model and the ranker, which are pure, do not use it. What the simulator must control uses
 * stream/clock.h instead.
 */
#ifndef FRESHET_CORE_MONOTONIC_H
#define FRESHET_CORE_MONOTONIC_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Never goes back. From any thread. */
static inline int64_t freshet_monotonic_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Makes a condition for freshet_condition_wait. The caller destroys it. */
static inline void freshet_condition_init(pthread_cond_t* condition) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(condition, &attributes);
  pthread_condattr_destroy(&attributes);
}

/* Waits for a signal until freshet_monotonic_ms() is until_ms. False: it is late. True says nothing about what the
 * caller waits for: ask again. */
static inline bool freshet_condition_wait(pthread_cond_t* condition, pthread_mutex_t* lock,
                                          int64_t until_ms) {
  const struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
  return pthread_cond_timedwait(condition, lock, &until) == 0;
}

#endif
