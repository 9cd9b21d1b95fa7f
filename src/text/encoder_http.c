/*
 * encoder_http.c: The encoder that asks a server with the API of OpenAI's /v1/embeddings, by libcurl. It decides what is tried again,
 * what is shortened or split, and what is given up.
 */
#include "text/encoder_http.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include <xxhash.h>

#include "core/monotonic.h"
#include "text/http_answer.h"
#include "text/unicode.h"

enum {
  DIM_MAX = 16384,
  TRIES_MAX = 5,
  PAUSE_MS = 100,         /* after the first failure; doubles */
  NUMBER_BYTES = 32,      /* of a number in an answer, generously, */
  OVERHEAD_BYTES = 65536, /* and of everything around the numbers */
  EXCERPT_BYTES = 160,    /* of an error's body that a message shows */
  KEY_BYTES_MAX = 4096,
  SHORT_BYTES = 64, /* a text that is refused at this length is refused for something else */
};

typedef struct http_encoder {
  freshet_encoder base;
  char *url, *model, *key_env; /* model and key_env may be empty */
  char shown_url[FRESHET_HTTP_SHOWN_URL_SIZE];
  uint32_t timeout_ms;
  CURL* easy;
  CURLM* multi; /* so that a call can be interrupted from another thread */
  struct curl_slist* headers;
  freshet_buffer answer;
  size_t answer_max;
  uint64_t random;
  atomic_bool interrupted;
  bool too_long;                           /* the last refusal was about the length of a text */
  char notice[FRESHET_ERROR_MESSAGE_SIZE]; /* see vtable->notice; empty: none */
} http_encoder;

/* ---- the request ---- */

/* The text as valid UTF-8 of at most FRESHET_HTTP_TEXT_MAX bytes. Servers refuse an empty input: it becomes a
 * space. */
static json_t* make_input(freshet_slice text) {
  freshet_buffer clean = {0};
  const char* end = text.data + text.size;
  while (text.data < end && clean.size < FRESHET_HTTP_TEXT_MAX - 4) {
    int32_t c = freshet_unicode_next(&text.data, end);
    if (c == 0) c = FRESHET_CODE_POINT_INVALID; /* many servers' strings end at a NUL */
    clean.size += (size_t)utf8proc_encode_char(c, freshet_buffer_reserve(&clean, 4));
  }
  if (clean.size == 0) freshet_buffer_append(&clean, " ", 1);
  json_t* input = json_stringn((const char*)clean.data, clean.size);
  freshet_buffer_free(&clean);
  return input;
}

static char* make_body(const http_encoder* self, const freshet_slice* texts, size_t count) {
  json_t *body = json_object(), *inputs = json_array();
  for (size_t i = 0; i < count; i++) json_array_append_new(inputs, make_input(texts[i]));
  if (self->model[0] != '\0') json_object_set_new(body, "model", json_string(self->model));
  json_object_set_new(body, "input", inputs);
  json_object_set_new(body, "encoding_format", json_string("float"));
  char* text = json_dumps(body, JSON_COMPACT);
  json_decref(body);
  FRESHET_ASSERT(text != NULL);
  return text;
}

static size_t take_bytes(char* bytes, size_t one, size_t count, void* context) {
  http_encoder* self = context;
  (void)one;
  if (self->answer.size + count > self->answer_max) return 0; /* ends the transfer */
  freshet_buffer_append(&self->answer, bytes, count);
  return count;
}

/* Runs one transfer; wakes up at once when interrupted. */
static CURLcode transfer(http_encoder* self) {
  int running = 1, left;
  CURLcode code = CURLE_ABORTED_BY_CALLBACK;
  curl_multi_add_handle(self->multi, self->easy);
  while (running > 0 && !atomic_load(&self->interrupted)) {
    if (curl_multi_perform(self->multi, &running) != CURLM_OK) break;
    if (running > 0) curl_multi_poll(self->multi, NULL, 0, 1000, NULL);
  }
  const CURLMsg* message = curl_multi_info_read(self->multi, &left);
  if (message != NULL && message->msg == CURLMSG_DONE) code = message->data.result;
  curl_multi_remove_handle(self->multi, self->easy);
  return code;
}

/* ---- the answer ---- */

/* What the server says about its refusal, on one line. */
static void excerpt(const http_encoder* self, char out[EXCERPT_BYTES]) {
  size_t size = self->answer.size < EXCERPT_BYTES - 1 ? self->answer.size : EXCERPT_BYTES - 1;
  for (size_t i = 0; i < size; i++) out[i] = self->answer.data[i] < ' ' ? ' ' : (char)self->answer.data[i];
  out[size] = '\0';
}

/* ---- one try ---- */

typedef struct attempt {
  freshet_status status;
  freshet_error error;
  bool again;       /* may pass soon */
  int64_t after_ms; /* Retry-After; 0: not given */
} attempt;

static void judge_transport(attempt* a, CURLcode code, const http_encoder* self) {
  bool late = code == CURLE_OPERATION_TIMEDOUT;
  if (atomic_load(&self->interrupted)) {
    a->status = freshet_error_set(&a->error, FRESHET_ABORTED, FRESHET_STOP, "embedding server: interrupted");
    return;
  }
  a->again = !late && code != CURLE_WRITE_ERROR;
  a->status = freshet_error_set(
      &a->error, late ? FRESHET_TIMEOUT : FRESHET_UNAVAILABLE, FRESHET_RETRY, "embedding server %s: %s",
      self->shown_url, code == CURLE_WRITE_ERROR ? "the answer is too long" : curl_easy_strerror(code));
}

/* Servers answer 400 or 422 for a text that is too long, and for much else. */
static bool speaks_of_length(const char* body) {
  static const char* const words[] = {"token", "length", "long", "large", "size", "exceed"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (strcasestr(body, words[i]) != NULL) return true;
  }
  return false;
}

static void judge_refusal(attempt* a, long http, http_encoder* self) {
  bool about_the_text = http == 400 || http == 413 || http == 422;
  curl_off_t after_s = 0;
  char body[EXCERPT_BYTES];
  excerpt(self, body);
  curl_easy_getinfo(self->easy, CURLINFO_RETRY_AFTER, &after_s);
  self->too_long = about_the_text && (http == 413 || speaks_of_length(body));
  a->again = http == 408 || http == 425 || http == 429 || http >= 500;
  a->after_ms = after_s > 0 && after_s < 1000000 ? (int64_t)after_s * 1000 : 0;
  a->status =
      freshet_error_set(&a->error, about_the_text ? FRESHET_INVALID : FRESHET_UNAVAILABLE,
                        about_the_text ? FRESHET_STOP : FRESHET_RETRY, "embedding server %s: HTTP %ld: %s%s",
                        self->shown_url, http, body, freshet_http_advice(http));
}

static attempt try_once(http_encoder* self, const char* body, size_t count, int64_t left_ms, float* out) {
  attempt a = {.status = FRESHET_OK};
  long http = 0;
  self->answer.size = 0;
  self->answer_max = (size_t)self->base.dim * NUMBER_BYTES * count + OVERHEAD_BYTES;
  curl_easy_setopt(self->easy, CURLOPT_POSTFIELDS, body);
  curl_easy_setopt(self->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
  curl_easy_setopt(self->easy, CURLOPT_TIMEOUT_MS, (long)left_ms);
  CURLcode code = transfer(self);
  curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &http);
  if (code != CURLE_OK) {
    judge_transport(&a, code, self);
  } else if (http != 200) {
    judge_refusal(&a, http, self);
  } else {
    const freshet_http_wish wish = {self->shown_url, self->base.dim, count};
    a.status = freshet_http_answer_read(freshet_buffer_slice(&self->answer), &wish, out, &a.error);
  }
  return a;
}

/* Half of the pause is fixed, half random, so that many workers do not come back at once. */
static int64_t pause_before(http_encoder* self, int tries, const attempt* a) {
  int64_t pause_ms = (int64_t)PAUSE_MS << (tries - 1);
  self->random = self->random * 6364136223846793005U + 1442695040888963407U; /* Knuth's MMIX generator */
  int64_t drawn_ms = pause_ms / 2 + (int64_t)((self->random >> 33) % (uint64_t)(pause_ms / 2 + 1));
  return a->after_ms > drawn_ms ? a->after_ms : drawn_ms;
}

static freshet_status encode_request(http_encoder* self, const freshet_slice* texts, size_t count, float* out,
                                     freshet_error* error) {
  char* body = make_body(self, texts, count);
  int64_t deadline_ms = freshet_monotonic_ms() + self->timeout_ms;
  attempt a = {.status = FRESHET_OK};
  for (int tries = 1;; tries++) {
    int64_t left_ms = deadline_ms - freshet_monotonic_ms();
    a = try_once(self, body, count, left_ms > 1 ? left_ms : 1, out);
    int64_t pause_ms = pause_before(self, tries, &a);
    if (!a.again || tries == TRIES_MAX || freshet_monotonic_ms() + pause_ms >= deadline_ms) break;
    for (int64_t until_ms = freshet_monotonic_ms() + pause_ms;
         freshet_monotonic_ms() < until_ms && !atomic_load(&self->interrupted);) {
      curl_multi_poll(self->multi, NULL, 0, (int)(until_ms - freshet_monotonic_ms() + 1), NULL);
    }
  }
  free(body);
  if (a.status == FRESHET_OK) return FRESHET_OK;
  return freshet_error_set(error, a.error.status, a.error.verdict, "%s", a.error.message);
}

/* Half of the text, cut between two code points. */
static freshet_slice halve(freshet_slice text) {
  size_t size = text.size < FRESHET_HTTP_TEXT_MAX ? text.size / 2 : FRESHET_HTTP_TEXT_MAX / 2;
  while (size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80) size--;
  return (freshet_slice){text.data, size};
}

/* As encode_request. A server that refuses the request for its texts gets it in halves, so that one text does not cost
 * the others; a single text that is too long is halved until it is taken. A model sees only the beginning of a long text
 * anyway. */
static freshet_status encode_part(http_encoder* self, const freshet_slice* texts, size_t count, float* out,
                                  freshet_error* error) {
  freshet_error cause = {0};
  freshet_status status = encode_request(self, texts, count, out, &cause);
  size_t half = count / 2;
  if (status == FRESHET_INVALID && count > 1) {
    status = encode_part(self, texts, half, out, error);
    return status != FRESHET_OK
               ? status
               : encode_part(self, texts + half, count - half, out + half * self->base.dim, error);
  }
  freshet_slice text = texts[0];
  while (status == FRESHET_INVALID && self->too_long && text.size > SHORT_BYTES) {
    text = halve(text);
    snprintf(self->notice, sizeof self->notice, "a text of %zu bytes is cut to %zu: %.300s", texts[0].size,
             text.size, cause.message);
    freshet_error_clear(&cause);
    status = encode_request(self, &text, 1, out, &cause);
  }
  if (status == FRESHET_OK) return FRESHET_OK;
  return freshet_error_set(error, cause.status, cause.verdict, "%s", cause.message);
}

static bool http_notice(freshet_encoder* encoder, char* text, size_t size) {
  http_encoder* self = (http_encoder*)encoder;
  if (self->notice[0] == '\0') return false;
  snprintf(text, size, "%s", self->notice);
  self->notice[0] = '\0';
  return true;
}

/* Nothing is written unless everything came: vectors go to memory of this encoder first. */
static freshet_status http_encode(freshet_encoder* encoder, const freshet_slice* texts, size_t count,
                                  float* out, freshet_error* error) {
  http_encoder* self = (http_encoder*)encoder;
  size_t size = count * encoder->dim * sizeof *out;
  freshet_status status = FRESHET_OK;
  float* vectors = malloc(size + 1);
  if (vectors == NULL)
    return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "http encoder: out of memory");
  for (size_t i = 0; i < count && status == FRESHET_OK; i += FRESHET_HTTP_BATCH) {
    size_t part = count - i < FRESHET_HTTP_BATCH ? count - i : FRESHET_HTTP_BATCH;
    status = encode_part(self, texts + i, part, vectors + i * encoder->dim, error);
  }
  if (status == FRESHET_OK && size > 0) memcpy(out, vectors, size);
  free(vectors);
  return status;
}

/* ---- creation ---- */

static void http_interrupt(freshet_encoder* encoder) {
  http_encoder* self = (http_encoder*)encoder;
  atomic_store(&self->interrupted, true);
  curl_multi_wakeup(self->multi);
}

static void http_destroy(freshet_encoder* encoder) {
  http_encoder* self = (http_encoder*)encoder;
  curl_easy_cleanup(self->easy);
  curl_multi_cleanup(self->multi);
  curl_slist_free_all(self->headers);
  curl_global_cleanup();
  freshet_buffer_free(&self->answer);
  free(self->url);
  free(self->model);
  free(self->key_env);
  free(self);
}

static freshet_status http_share(freshet_encoder* encoder, freshet_encoder** other, freshet_error* error) {
  const http_encoder* self = (const http_encoder*)encoder;
  const freshet_http_options options = {self->url, self->model, self->key_env, encoder->dim,
                                        self->timeout_ms};
  return freshet_encoder_http_create(&options, other, error);
}

static const freshet_encoder_vtable http_vtable = {.encode = http_encode,
                                                   .destroy = http_destroy,
                                                   .share = http_share,
                                                   .interrupt = http_interrupt,
                                                   .notice = http_notice};

static bool ends_with(const char* text, size_t size, const char* end) {
  size_t end_size = strlen(end);
  return size >= end_size && memcmp(text + size - end_size, end, end_size) == 0;
}

/* The whole address of the endpoint, to be freed. A query stays where it is: behind the path. */
static char* complete_url(const char* url) {
  char* whole = NULL;
  size_t size = strcspn(url, "?#");
  const char* query = url + size;
  while (size > 0 && url[size - 1] == '/') size--;
  const char* rest = ends_with(url, size, "/embeddings") ? ""
                     : ends_with(url, size, "/v1")       ? "/embeddings"
                                                         : "/v1/embeddings";
  FRESHET_ASSERT(asprintf(&whole, "%.*s%s%s", (int)size, url, rest, query) >= 0);
  return whole;
}

static void add_header(http_encoder* self, const char* header) {
  struct curl_slist* longer = curl_slist_append(self->headers, header);
  FRESHET_ASSERT(longer != NULL);
  self->headers = longer;
}

static freshet_status add_key(http_encoder* self, freshet_error* error) {
  if (self->key_env[0] == '\0') return FRESHET_OK;
  const char* key = getenv(self->key_env);
  if (key == NULL || key[0] == '\0') {
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP,
                             "http encoder: the environment has no %s", self->key_env);
  }
  char header[KEY_BYTES_MAX + 32];
  for (const char* c = key; *c != '\0'; c++) {
    if (*c > ' ' && *c < 0x7f && c - key < KEY_BYTES_MAX) continue;
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "http encoder: %s is not a key",
                             self->key_env);
  }
  snprintf(header, sizeof header, "Authorization: Bearer %s", key);
  add_header(self, header);
  return FRESHET_OK;
}

static freshet_status set_up(http_encoder* self, freshet_error* error) {
  self->easy = curl_easy_init();
  self->multi = curl_multi_init();
  if (self->easy == NULL || self->multi == NULL) {
    return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "http encoder: out of memory");
  }
  add_header(self, "Content-Type: application/json");
  add_header(self, "Expect:"); /* no round trip before a body that is always wanted */
  freshet_status status = add_key(self, error);
  if (status != FRESHET_OK) return status;
  curl_easy_setopt(self->easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(self->easy, CURLOPT_HTTPHEADER, self->headers);
  curl_easy_setopt(self->easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(self->easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(self->easy, CURLOPT_WRITEFUNCTION, take_bytes);
  curl_easy_setopt(self->easy, CURLOPT_WRITEDATA, self);
  CURLcode code = curl_easy_setopt(self->easy, CURLOPT_URL, self->url);
  bool right =
      code == CURLE_OK && (strncmp(self->url, "http://", 7) == 0 || strncmp(self->url, "https://", 8) == 0);
  if (right) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "http encoder: text.url is not an http or https URL");
}

freshet_status freshet_encoder_http_create(const freshet_http_options* options, freshet_encoder** encoder,
                                           freshet_error* error) {
  if (options->dim < 1 || options->dim > DIM_MAX || options->timeout_ms < 1 || options->url == NULL) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "http encoder: needs a URL, a timeout and 1 to %d dimensions", DIM_MAX);
  }
  http_encoder* self = calloc(1, sizeof *self);
  if (self == NULL)
    return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "http encoder: out of memory");
  curl_global_init(CURL_GLOBAL_DEFAULT);
  atomic_init(&self->interrupted, false);
  self->base.vtable = &http_vtable;
  self->base.dim = options->dim;
  self->url = complete_url(options->url);
  freshet_http_show_url(self->url, self->shown_url);
  self->model = strdup(options->model == NULL ? "" : options->model);
  self->key_env = strdup(options->key_env == NULL ? "" : options->key_env);
  self->timeout_ms = options->timeout_ms;
  self->random = (uint64_t)freshet_monotonic_ms() ^ (uintptr_t)self;
  FRESHET_ASSERT(self->model != NULL && self->key_env != NULL);
  /* The address of the server is not part of the name, unless its model has no name: a model that moves to
   * another server makes the same vectors. */
  if (self->model[0] != '\0') {
    snprintf(self->base.name, sizeof self->base.name, "http-%.90s-%u-v1", self->model, options->dim);
  } else {
    snprintf(self->base.name, sizeof self->base.name, "http-%08" PRIx32 "-%u-v1",
             (uint32_t)XXH3_64bits(self->url, strlen(self->url)), options->dim);
  }
  freshet_status status = set_up(self, error);
  if (status == FRESHET_OK) {
    *encoder = &self->base;
  } else {
    http_destroy(&self->base);
  }
  return status;
}
