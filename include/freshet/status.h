/*
 * status.h: how every call of Freshet reports failure.
 *
 * A fallible call returns a freshet_status; the details go into a freshet_error that the caller owns (it may
 * live on the stack, needs no clean-up, and may be NULL where the caller does not care). The first error
 * wins: freshet_error_set leaves an error that is already set untouched, so that clean-up code cannot hide
 * the cause. Initialise with `freshet_error error = {0};`. Thread rule: an error belongs to one thread at a
 * time.
 */
#ifndef FRESHET_STATUS_H
#define FRESHET_STATUS_H

#include <stdbool.h>

typedef enum freshet_status {
  FRESHET_OK = 0,
  FRESHET_INVALID,   /* the input is wrong: malformed bytes, a value out of range, a bad argument */
  FRESHET_NOT_FOUND, /* the thing asked for does not exist */
  FRESHET_CONFLICT,  /* it exists and contradicts: a folder of another app, one in use, two ids with one hash
                      */
  FRESHET_TIMEOUT,   /* not within the time given; trying again may help */
  FRESHET_UNAVAILABLE, /* a peer does not answer; trying again may help */
  FRESHET_ABORTED,     /* the transaction was aborted; rewind to the committed state and do it again */
  FRESHET_FENCED,      /* another instance has taken this one's place; only stopping is right */
  FRESHET_IO,          /* the operating system refused: disk full, permission, broken device */
  FRESHET_NO_MEMORY,   /* an allocation or a configured bound */
} freshet_status;

/* What the caller should do about it. */
typedef enum freshet_verdict {
  FRESHET_RETRY = 0,
  FRESHET_DEAD_LETTER,
  FRESHET_STOP,
} freshet_verdict;

enum { FRESHET_ERROR_MESSAGE_SIZE = 512 };

typedef struct freshet_error {
  freshet_status status;
  freshet_verdict verdict;
  char message[FRESHET_ERROR_MESSAGE_SIZE]; /* one line, NUL-terminated, truncated to fit */
} freshet_error;

/* Sets *error unless it is NULL or already set; returns status, so that `return freshet_error_set(...)`
 * works. */
freshet_status freshet_error_set(freshet_error* error, freshet_status status, freshet_verdict verdict,
                                 const char* format, ...) __attribute__((format(printf, 4, 5)));

/* Makes *error reusable. NULL is allowed. */
void freshet_error_clear(freshet_error* error);

/* A lower-case word for a status: "ok", "invalid", ... Never NULL. */
const char* freshet_status_name(freshet_status status);

/* For our own bugs, in release builds too: prints the expression and aborts. */
#define FRESHET_ASSERT(expression) \
  ((expression) ? (void)0 : freshet_assert_failed(#expression, __FILE__, __LINE__))
_Noreturn void freshet_assert_failed(const char* expression, const char* file, int line);

#endif
