/*
 * log.h: the logger of the service: one fact, one line, on a file descriptor, as key=value or JSON.
 *
 *   2026-01-31T12:00:00.123Z info partition.assigned topic=events partition=3
 *   {"time":"2026-01-31T12:00:00.123Z","level":"info","event":"partition.assigned","topic":"events","partition":3}
 *
 * Fields come as "key=value key=value". A value may hold spaces: it ends where the next " key=" begins, or at
 * its closing quote. In JSON, numbers stay numbers.
 */
#ifndef FRESHET_SERVICE_LOG_H
#define FRESHET_SERVICE_LOG_H

#include <stdatomic.h>

#include "service/config.h"
#include "stream/clock.h"
#include "stream/logger.h"

typedef struct freshet_log_writer {
  int fd;                  /* not owned */
  freshet_log_level level; /* the least that is written */
  freshet_log_format format;
  freshet_clock* clock;  /* not owned */
  _Atomic uint64_t lost; /* lines that could not be written, not told yet; begins with 0 */
} freshet_log_writer;

/* A logger that writes through `writer`, which has to outlive it. Thread-safe: a line is one write(2). It
 * does not wait for who reads: lines for which a pipe or a terminal has no room are lost, and log.lost says how many. */
freshet_logger freshet_log_writer_logger(freshet_log_writer* writer);

/* Appends one line with its newline: what the logger writes. */
void freshet_log_line(freshet_log_format format, int64_t time_ms, freshet_log_level level, const char* event,
                      const char* fields, freshet_buffer* line);

#endif
