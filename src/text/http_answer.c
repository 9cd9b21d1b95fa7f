/*
 * http_answer.c: see http_answer.h. It owns the words for answers of other APIs. It keeps nothing.
 */
#include "text/http_answer.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAME_SIZE = 160, SAID_SIZE = 60 };

void freshet_http_show_url(const char* url, char shown[FRESHET_HTTP_SHOWN_URL_SIZE]) {
  const char* host = strstr(url, "://");
  host = host == NULL ? url : host + 3;
  const size_t end = strcspn(host, "?#");
  const char* at = memchr(host, '@', strcspn(host, "/?#"));
  const char* rest = at == NULL ? host : at + 1;
  snprintf(shown, FRESHET_HTTP_SHOWN_URL_SIZE, "%.*s%.*s", (int)(host - url), url, (int)(host + end - rest),
           rest);
}

/* format: what came. */
static freshet_status __attribute__((format(printf, 3, 4)))
refuse(const freshet_http_wish* wish, freshet_error* error, const char* format, ...) {
  char came[CAME_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(came, sizeof came, format, arguments);
  va_end(arguments);
  return freshet_error_set(
      error, FRESHET_UNAVAILABLE, FRESHET_RETRY,
      "embedding server %s: %s; expected was {\"data\": [{\"embedding\": [%u numbers]}, ...]} with a "
      "vector for each text, as of OpenAI's /v1/embeddings: see text.url",
      wish->url, came, (unsigned)wish->dim);
}

static freshet_status refuse_size(const freshet_http_wish* wish, size_t size, freshet_error* error) {
  return freshet_error_set(
      error, FRESHET_UNAVAILABLE, FRESHET_RETRY,
      "embedding server %s: vectors of %zu numbers, but text.dim is %u: set text.dim to the "
      "size of the model's vectors, or text.model to the model that is meant",
      wish->url, size, (unsigned)wish->dim);
}

static freshet_status read_vector(const freshet_http_wish* wish, const json_t* embedding, float* out,
                                  freshet_error* error) {
  const size_t size = json_array_size(embedding);
  double squares = 0;
  if (json_is_string(embedding))
    return refuse(wish, error, "vectors as text (base64), though encoding_format \"float\" was asked for");
  if (!json_is_array(embedding))
    return refuse(wish, error, "an entry of \"data\" without a list \"embedding\"");
  if (size != wish->dim) return refuse_size(wish, size, error);
  for (size_t i = 0; i < size; i++) {
    const json_t* number = json_array_get(embedding, i);
    const double value = json_number_value(number);
    if (!json_is_number(number) || !isfinite((float)value))
      return refuse(wish, error, "a vector with what is no number");
    out[i] = (float)value;
    squares += value * value;
  }
  if (!(squares > 0) || !isfinite(squares)) return refuse(wish, error, "a vector of length zero or infinity");
  for (size_t i = 0; i < size; i++) out[i] = (float)(out[i] / sqrt(squares));
  return FRESHET_OK;
}

/* The beginning of the answer, on one line. */
static const char* said(freshet_slice answer, char out[SAID_SIZE]) {
  const size_t size = answer.size < SAID_SIZE - 1 ? answer.size : SAID_SIZE - 1;
  for (size_t i = 0; i < size; i++) {
    const unsigned char c = (unsigned char)answer.data[i];
    out[i] = (char)(c < ' ' || c > '~' ? ' ' : c);
  }
  out[size] = '\0';
  return out;
}

/* What an answer without a list "data" is. Text-embeddings-inference's own API answers with lists: of vectors at /embed,
 * of scores at /rerank. */
static freshet_status refuse_shape(const freshet_http_wish* wish, freshet_slice answer, const json_t* json,
                                   freshet_error* error) {
  char beginning[SAID_SIZE];
  const char* what = json == NULL                             ? "no JSON"
                     : !json_is_array(json)                   ? "JSON without a list \"data\""
                     : json_is_array(json_array_get(json, 0)) ? "a bare list of vectors, of another API"
                     : json_object_get(json_array_get(json, 0), "score") ? "a list of scores, of a reranker"
                                                                         : "a bare list, of another API";
  return refuse(wish, error, "%s: %s", what, said(answer, beginning));
}

/* {"data": [{"index": 0, "embedding": [...]}, ...]}, each text once, in any order. seen [count]: false. */
static freshet_status read_data(const freshet_http_wish* wish, const json_t* data, float* out, bool* seen,
                                freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (json_array_size(data) != wish->count)
    return refuse(wish, error, "%zu vectors for %zu texts", json_array_size(data), wish->count);
  for (size_t i = 0; i < wish->count && status == FRESHET_OK; i++) {
    const json_t* entry = json_array_get(data, i);
    const json_t* index = json_object_get(entry, "index");
    const json_int_t place = json_is_integer(index) ? json_integer_value(index) : (json_int_t)i;
    if (place < 0 || place >= (json_int_t)wish->count || seen[place])
      return refuse(wish, error, "an entry of \"data\" with a wrong index");
    seen[place] = true;
    status = read_vector(wish, json_object_get(entry, "embedding"), out + (size_t)place * wish->dim, error);
  }
  return status;
}

freshet_status freshet_http_answer_read(freshet_slice answer, const freshet_http_wish* wish, float* out,
                                        freshet_error* error) {
  bool* seen = calloc(wish->count + 1, sizeof *seen);
  FRESHET_ASSERT(seen != NULL);
  json_t* json = json_loadb(answer.data, answer.size, 0, NULL);
  const json_t* data = json_object_get(json, "data");
  freshet_status status = FRESHET_OK;
  if (json_is_array(data)) {
    status = read_data(wish, data, out, seen, error);
  } else {
    status = refuse_shape(wish, answer, json, error);
  }
  free(seen);
  json_decref(json);
  return status;
}

const char* freshet_http_advice(long http) {
  if (http == 404 || http == 405)
    return "; text.url has to lead to an API like OpenAI's /v1/embeddings, which is added unless it ends "
           "with /embeddings";
  if (http == 401 || http == 403)
    return "; text.key_env names the variable of the environment that has the key";
  if (http >= 300 && http < 400) return "; redirects are not followed: set text.url to where it leads";
  return "";
}
