/*
 * status.h: how every call of Freshet reports failure.
 *
 * A fallible call returns a freshet_status. It writes the details into a freshet_error that the caller owns:
 * the error may live on the stack, needs no clean-up, and may be NULL when the caller does not need the
 * details. Initialise it with `freshet_error error = {0};`. The first error wins: freshet_error_set leaves an
 * error that is already set as it is, so that clean-up code cannot hide the cause.
 *
 * Thread rule: an error belongs to one thread at a time.
 */
#ifndef FRESHET_STATUS_H
#define FRESHET_STATUS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum freshet_status {
  FRESHET_OK = 0,
  FRESHET_INVALID,     /* the input is wrong: malformed bytes, a value out of range, a bad argument */
  FRESHET_NOT_FOUND,   /* the thing asked for does not exist */
  FRESHET_CONFLICT,    /* it exists and contradicts: a folder in use, two ids with one hash */
  FRESHET_TIMEOUT,     /* not within the time given; trying again may help */
  FRESHET_UNAVAILABLE, /* a peer does not answer; trying again may help */
  FRESHET_ABORTED,     /* the transaction was aborted; go back to the committed state and do it again */
  FRESHET_FENCED,      /* another instance has taken the place of this one; only stopping is right */
  FRESHET_IO,          /* the operating system refused: disk full, permission, broken device */
  FRESHET_NO_MEMORY,   /* an allocation failed, or a configured bound is reached */
  FRESHET_DAMAGED,     /* what this machine has stored cannot be read; what it was made from has it still */
} freshet_status;

/* What the caller should do about an error. */
typedef enum freshet_verdict {
  FRESHET_RETRY = 0,   /* try again later */
  FRESHET_DEAD_LETTER, /* this record cannot be used; go on with the next one */
  FRESHET_STOP,        /* nothing can be done inside this process */
} freshet_verdict;

enum { FRESHET_ERROR_MESSAGE_SIZE = 512 };

typedef struct freshet_error {
  freshet_status status; /* FRESHET_OK: nothing is set */
  freshet_verdict verdict;
  char message[FRESHET_ERROR_MESSAGE_SIZE]; /* one line, NUL-terminated, truncated to fit */
} freshet_error;

/* Sets *error unless it is NULL or already set. Returns status, so that a caller may write
 * `return freshet_error_set(...)`. format is that of printf; the message names the thing and the value. */
freshet_status freshet_error_set(freshet_error* error, freshet_status status, freshet_verdict verdict,
                                 const char* format, ...) __attribute__((format(printf, 4, 5)));

/* Makes *error empty, so that it can be set again. NULL is allowed. */
void freshet_error_clear(freshet_error* error);

/* A lower-case word for a status: "ok", "invalid", ... "unknown" for any other number. Never NULL; static. */
const char* freshet_status_name(freshet_status status);

/* Checks for bugs of Freshet or of its caller, in release builds too. Mistakes of the outside world get a
 * status instead. */
#define FRESHET_ASSERT(expression) \
  ((expression) ? (void)0 : freshet_assert_failed(#expression, __FILE__, __LINE__))
/* Prints the expression with its place to standard error and aborts. Does not return. */
void freshet_assert_failed(const char* expression, const char* file, int line) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif

#endif
