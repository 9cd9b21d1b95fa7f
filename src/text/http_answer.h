/*
 * http_answer.h: reads an answer of OpenAI's /v1/embeddings, and says of every other one what came, from where, what was
 * expected, and which setting to look at. For encoder_http.c. It knows nothing of connections.
 */
#ifndef FRESHET_TEXT_HTTP_ANSWER_H
#define FRESHET_TEXT_HTTP_ANSWER_H

#include <stdint.h>

#include "freshet/bytes.h"
#include "freshet/status.h"

enum { FRESHET_HTTP_SHOWN_URL_SIZE = 128 };

/* The address without what may be secret: user, password and query. A long one is cut. */
void freshet_http_show_url(const char* url, char shown[FRESHET_HTTP_SHOWN_URL_SIZE]);

typedef struct freshet_http_wish {
  const char* url; /* as shown */
  uint32_t dim;    /* text.dim */
  size_t count;    /* texts */
} freshet_http_wish;

/* Fills out [count][dim] with vectors of length 1. Errors: FRESHET_UNAVAILABLE, verdict FRESHET_RETRY: the server may be
 * another one tomorrow. */
freshet_status freshet_http_answer_read(freshet_slice answer, const freshet_http_wish* wish, float* out,
                                        freshet_error* error);

/* Appends to a refusal, which is of status `http`, what the operator may do about it. "" where nothing is known. */
const char* freshet_http_advice(long http);

#endif
