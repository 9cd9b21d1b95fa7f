/*
 * status.c: errors and assertions: how every call reports what went wrong. Nothing here allocates, so it
 * works when memory is out.
 */
#include "freshet/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

freshet_status freshet_error_set(freshet_error* error, freshet_status status, freshet_verdict verdict,
                                 const char* format, ...) {
  if (error != NULL && error->status == FRESHET_OK) {
    error->status = status;
    error->verdict = verdict;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
  }
  return status;
}

void freshet_error_clear(freshet_error* error) {
  if (error != NULL) {
    error->status = FRESHET_OK;
    error->verdict = FRESHET_RETRY;
    error->message[0] = '\0';
  }
}

const char* freshet_status_name(freshet_status status) {
  switch (status) {
    case FRESHET_OK:
      return "ok";
    case FRESHET_INVALID:
      return "invalid";
    case FRESHET_NOT_FOUND:
      return "not-found";
    case FRESHET_CONFLICT:
      return "conflict";
    case FRESHET_TIMEOUT:
      return "timeout";
    case FRESHET_UNAVAILABLE:
      return "unavailable";
    case FRESHET_ABORTED:
      return "aborted";
    case FRESHET_FENCED:
      return "fenced";
    case FRESHET_IO:
      return "io";
    case FRESHET_DAMAGED:
      return "damaged";
    case FRESHET_NO_MEMORY:
      return "no-memory";
  }
  return "unknown";
}

void freshet_assert_failed(const char* expression, const char* file, int line) {
  fprintf(stderr, "freshet: assertion failed: %s (%s:%d)\n", expression, file, line);
  abort();
}
