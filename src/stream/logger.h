/*
 * logger.h: how the rooms below the service log a fact: one fact, one line. It owns nothing. It must not know where
 * lines go or in which format (service/log_writer.h).
 */
#ifndef FRESHET_STREAM_LOGGER_H
#define FRESHET_STREAM_LOGGER_H

#include <stdbool.h>
#include <stdint.h>

typedef enum freshet_log_level {
  FRESHET_DEBUG = 0,
  FRESHET_INFO,
  FRESHET_WARN,
  FRESHET_ERROR
} freshet_log_level;

/* Thread-safe. `event` is a short dotted name ("partition.assigned"); the format makes "key=value
 * key=value". */
typedef struct freshet_logger {
  void (*write)(void* context, freshet_log_level level, const char* event, const char* fields);
  void* context;
} freshet_logger;

/* Formats and writes; a NULL logger or write is silent. */
void freshet_log_fact(const freshet_logger* logger, freshet_log_level level, const char* event,
                      const char* format, ...) __attribute__((format(printf, 4, 5)));

/* Is this one told? Of facts that may come by the thousand: the 1st, 2nd, 4th, 8th and so on. */
static inline bool freshet_log_tells(uint64_t count) {
  return (count & (count - 1)) == 0;
}

#endif
