/*
 * encoder_http.h: the encoder that asks an embedding server: any that speaks OpenAI's /v1/embeddings (vLLM,
 * llama.cpp, Ollama, text-embeddings-inference, ...).
 */
#ifndef FRESHET_TEXT_HTTP_H
#define FRESHET_TEXT_HTTP_H

#include "freshet/encoder.h"

enum {
  FRESHET_HTTP_BATCH = 32,           /* texts of one request */
  FRESHET_HTTP_TEXT_MAX = 32 * 1024, /* bytes of a text that are sent */
};

typedef struct freshet_http_options {
  const char* url;     /* "http://host:port", ".../v1" or the whole path; http and https only */
  const char* model;   /* as the server calls it; NULL or "": not sent */
  const char* key_env; /* the environment variable that holds the server's key; NULL or "": no key */
  uint32_t dim;        /* that the server's vectors have to have */
  uint32_t timeout_ms; /* of one request with all its tries, > 0 */
} freshet_http_options;

/*
 * Makes the encoder; it does not call the server yet. Errors: FRESHET_INVALID for a bad URL, model, key or
 * range, FRESHET_NOT_FOUND when key_env is not set. encode sends texts in requests of FRESHET_HTTP_BATCH. A
 * failure that may pass (no connection, 408, 425, 429, 5xx, half an answer) is tried again after growing,
 * partly random pauses (or Retry-After) for as long as timeout_ms allows. Errors of encode: FRESHET_TIMEOUT
 * and FRESHET_UNAVAILABLE with verdict FRESHET_RETRY, also for failures that only an operator can mend (401,
 * 404, wrong dimensions); FRESHET_INVALID when the server refuses a text (400, 413, 422); FRESHET_ABORTED
 * when interrupted. Messages never show the key.
 */
freshet_status freshet_encoder_http_create(const freshet_http_options* options, freshet_encoder** encoder,
                                           freshet_error* error);

#endif
