/*
 * http_tokens.h: the bearer tokens of http.token_file, one a line (RFC 6750). The file may change while the
 * service runs. Private to the service.
 *
 *   3yZQ...             may do everything
 *   admin 8Kd0...       the same
 *   read Xw5s...        may read, and may not erase a user
 */
#ifndef FRESHET_SERVICE_HTTP_TOKENS_H
#define FRESHET_SERVICE_HTTP_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "freshet/bytes.h"
#include "freshet/status.h"
#include "stream/logger.h"

typedef struct freshet_http_tokens freshet_http_tokens;

enum { FRESHET_HTTP_NO_TOKEN = -1 };

enum { FRESHET_HTTP_TOKEN_LINE_MAX = 4096 }; /* bytes */

/* Reads the file: a token a line; empty lines and those that start with '#' do not count. logger may be NULL.
 * Errors, verdict FRESHET_STOP: FRESHET_IO when it cannot be read, or holds no token; FRESHET_INVALID with the number
 * of a line that is too long or holds a NUL byte. */
freshet_status freshet_http_tokens_create(const char* path, const freshet_logger* logger,
                                          freshet_http_tokens** tokens, freshet_error* error);
void freshet_http_tokens_destroy(freshet_http_tokens* tokens);

/* The place of the token in the file, FRESHET_HTTP_NO_TOKEN when it is none of them. Looks at most once a
 * second whether the file has changed, and reads it again; while it cannot be read or is empty, what was read
 * last holds. now_ms: of a clock that never goes back. *may_change: whether this token may erase. */
int freshet_http_tokens_find(freshet_http_tokens* tokens, freshet_slice given, int64_t now_ms,
                             bool* may_change);

/* The token of one line of the file, cut out in place; NULL: the line holds none. *may_change as above. */
char* freshet_http_tokens_parse(char* line, bool* may_change);

#endif
