/*
 * logger.c: formats one fact and hands it to the writer of a logger. It owns nothing, and must not know
 * where lines go.
 */
#include "stream/logger.h"

#include <stdarg.h>
#include <stdio.h>

void freshet_log_fact(const freshet_logger* logger, freshet_log_level level, const char* event,
                      const char* format, ...) {
  if (logger == NULL || logger->write == NULL) return;
  char fields[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(fields, sizeof fields, format, arguments);
  va_end(arguments);
  logger->write(logger->context, level, event, fields);
}
