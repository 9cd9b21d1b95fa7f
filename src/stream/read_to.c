/* read_to.c: the loop that reads a log to its end, and notices when nothing comes any more. */
#include "stream/read_to.h"

#include <stddef.h>

enum { TELL_US = 30 * 1000 * 1000 };

/* The sum of all positions, and how much of it the targets ask for. */
typedef struct progress {
  int64_t position, end;
  bool reached; /* by every target */
} progress;

static progress look(const freshet_reading* reading, const freshet_partition* targets, size_t count) {
  progress p = {.reached = true};
  for (size_t i = 0; i < count; i++) {
    int64_t position = freshet_reader_position(reading->reader, targets[i].topic, targets[i].partition);
    if (position < targets[i].offset) p.reached = false;
    p.position += position;
    p.end += targets[i].offset;
  }
  return p;
}

/* When a position last moved, and when the log was last told that none does. */
typedef struct silence {
  int64_t heard_us, told_us;
} silence;

static freshet_status bear(const freshet_reading* reading, const progress* now, silence* s,
                           freshet_error* error) {
  int64_t now_us = freshet_clock_monotonic_us(reading->clock), silent_us = now_us - s->heard_us;
  if (reading->stop.check != NULL && reading->stop.check(reading->stop.context)) {
    return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP,
                             "%s: stopped with %lld of %lld offsets read", reading->name,
                             (long long)now->position, (long long)now->end);
  }
  if (silent_us > (int64_t)reading->stall_ms * 1000) {
    return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP,
                             "%s: the log gave nothing for %d s, with %lld of %lld offsets read",
                             reading->name, reading->stall_ms / 1000, (long long)now->position,
                             (long long)now->end);
  }
  if (now_us - s->told_us >= TELL_US) {
    s->told_us = now_us;
    freshet_log_fact(reading->logger, FRESHET_WARN, "kafka.waiting",
                     "for=\"%s\" since_s=%lld read=%lld of=%lld", reading->name,
                     (long long)silent_us / 1000000, (long long)now->position, (long long)now->end);
  }
  return FRESHET_OK;
}

freshet_status freshet_read_to(const freshet_reading* reading, const freshet_partition* targets, size_t count,
                               freshet_error* error) {
  silence s = {0};
  s.heard_us = s.told_us = freshet_clock_monotonic_us(reading->clock);
  progress before = look(reading, targets, count);
  while (!before.reached) {
    size_t polled = 0;
    freshet_status status = freshet_reader_poll(reading->reader, reading->wait_ms, reading->records,
                                                reading->capacity, &polled, error);
    if (status == FRESHET_OK) status = reading->apply(reading->context, reading->records, polled, error);
    if (status != FRESHET_OK) return status;
    progress now = look(reading, targets, count);
    if (polled > 0 || now.position != before.position)
      s.heard_us = s.told_us = freshet_clock_monotonic_us(reading->clock);
    before = now;
    if (!now.reached) status = bear(reading, &now, &s, error);
    if (status != FRESHET_OK) return status;
  }
  return FRESHET_OK;
}
