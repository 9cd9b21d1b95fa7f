/*
 * http_tokens.h: the bearer tokens of http.token_file, one a line (RFC 6750). The file may change while the
 * service runs. Private to the service.
 */
#ifndef FRESHET_SERVICE_HTTP_TOKENS_H
#define FRESHET_SERVICE_HTTP_TOKENS_H

#include <stdint.h>

#include "freshet/bytes.h"
#include "freshet/status.h"
#include "stream/logger.h"

typedef struct freshet_http_tokens freshet_http_tokens;

enum { FRESHET_HTTP_NO_TOKEN = -1 };

/* Reads the file: a token a line; empty lines and those that start with '#' do not count. logger may be NULL.
 * Errors: FRESHET_IO, verdict FRESHET_STOP: it cannot be read, or holds no token. */
freshet_status freshet_http_tokens_create(const char* path, const freshet_logger* logger,
                                          freshet_http_tokens** tokens, freshet_error* error);
void freshet_http_tokens_destroy(freshet_http_tokens* tokens);

/* The place of the token in the file, FRESHET_HTTP_NO_TOKEN when it is none of them. Looks at most once a
 * second whether the file has changed, and reads it again; while it cannot be read or is empty, what was read
 * last holds. now_ms: of a clock that never goes back. */
int freshet_http_tokens_find(freshet_http_tokens* tokens, freshet_slice given, int64_t now_ms);

#endif
