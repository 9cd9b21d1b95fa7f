#include <arpa/inet.h>
#include <jansson.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "text/encoder_http.h"
#include "text/http_answer.h"

/* A server of one thread that answers as it is told: the script has one letter for each request, the last one
 * stays. Each connection is closed after its answer. */
typedef enum behaviour {
  RIGHT = 'r',      /* vectors: [size of the text, 1, 0], in reverse order, with their index */
  BUSY = 'b',       /* 429 */
  FAILING = 'f',    /* 500 */
  REFUSING = 'x',   /* 400 */
  BOUNDED = 'l',    /* 413 when a text has more than TAKEN bytes, else as RIGHT */
  CHOOSY = 'm',     /* 400 when a text begins with "bad", else as RIGHT */
  FORBIDDING = 'k', /* 401 */
  WRONG_DIM = 'd',
  HALF = 'h',       /* Content-Length promises more than comes */
  GARBAGE = 'g',    /* 200, not JSON */
  FEW = 'w',        /* a vector too few */
  NULLS = 'n',      /* a vector with a null */
  ENDLESS = 'e',    /* far more than the vectors can take */
  SILENT = 's',     /* no answer until the client goes */
  HANGING_UP = 'c', /* closes without a word */
  NATIVE = 'N',     /* 200, as text-embeddings-inference answers at /embed */
  RANKING = 'R',    /* 200, as at /rerank */
  BASE64 = 'B',     /* 200, vectors as text */
  OBJECTS = 'O',    /* 200, {"embedding": {"float": ...}} */
  OTHER = 'E',      /* 200, {"embeddings": ...} */
  NOT_THERE = '4',  /* 404 */
  ELSEWHERE = '3',  /* 307 */
} behaviour;

enum { REQUEST_MAX = 1 << 20, DIM = 3, TAKEN = 1000 };

typedef struct server {
  int listener;
  int port;
  pthread_t thread;
  char script[16];
  atomic_int requests, largest_batch;
  char last_head[4096];
  pthread_mutex_t mutex; /* script and last_head */
} server;

static server s = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void send_all(int socket, const char* bytes, size_t size) {
  for (ssize_t sent = 1; size > 0 && sent > 0; bytes += sent, size -= (size_t)sent) {
    sent = send(socket, bytes, size, MSG_NOSIGNAL);
    if (sent < 0) return;
  }
}

static void respond(int socket, const char* status, const char* extra, const char* body, size_t promised) {
  char head[256];
  int size = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n",
                      status, promised, extra);
  send_all(socket, head, (size_t)size);
  send_all(socket, body, strlen(body));
}

static void respond_vectors(int socket, const json_t* input, int dim, int missing, bool nulls, bool half) {
  json_t *answer = json_object(), *data = json_array();
  for (size_t i = json_array_size(input) - (size_t)missing; i-- > 0;) {
    json_t* vector = json_array();
    json_array_append_new(vector, json_integer((json_int_t)json_string_length(json_array_get(input, i))));
    for (int j = 1; j < dim; j++) json_array_append_new(vector, nulls ? json_null() : json_real(j == 1));
    json_array_append_new(data, json_pack("{s:i,s:o}", "index", (int)i, "embedding", vector));
  }
  json_object_set_new(answer, "data", data);
  char* text = json_dumps(answer, 0);
  size_t size = strlen(text);
  if (half) text[size / 2] = '\0';
  respond(socket, "200 OK", "", text, size);
  free(text);
  json_decref(answer);
}

static bool has_bad(const json_t* input, behaviour how) {
  bool bad = false;
  for (size_t i = 0; i < json_array_size(input); i++) {
    const char* text = json_string_value(json_array_get(input, i));
    bad |= how == BOUNDED ? strlen(text) > TAKEN : strncmp(text, "bad", 3) == 0;
  }
  return bad;
}

static void respond_text(int socket, const char* status, const char* body) {
  respond(socket, status, "", body, strlen(body));
}

static void behave(int socket, behaviour how, const json_t* input) {
  char byte;
  switch (how) {
    case RIGHT:
      respond_vectors(socket, input, DIM, 0, false, false);
      break;
    case BUSY:
      respond(socket, "429 Too Many", "Retry-After: 0\r\n", "slow down", 9);
      break;
    case FAILING:
      respond(socket, "500 Oops", "", "it broke", 8);
      break;
    case REFUSING:
      respond(socket, "400 Bad", "", "{\"error\":\n\"too long\"}", 21);
      break;
    case BOUNDED:
    case CHOOSY:
      if (has_bad(input, how)) {
        respond(socket, how == BOUNDED ? "413 Large" : "400 Bad", "", "at most 512 of them", 19);
      } else {
        respond_vectors(socket, input, DIM, 0, false, false);
      }
      break;
    case FORBIDDING:
      respond(socket, "401 No", "", "who are you", 11);
      break;
    case WRONG_DIM:
      respond_vectors(socket, input, DIM + 1, 0, false, false);
      break;
    case HALF:
      respond_vectors(socket, input, DIM, 0, false, true);
      break;
    case GARBAGE:
      respond(socket, "200 OK", "", "<html>", 6);
      break;
    case FEW:
      respond_vectors(socket, input, DIM, 1, false, false);
      break;
    case NULLS:
      respond_vectors(socket, input, DIM, 0, true, false);
      break;
    case ENDLESS: {
      char* much = malloc(4 << 20);
      memset(much, ' ', (4 << 20) - 1);
      much[(4 << 20) - 1] = '\0';
      respond(socket, "200 OK", "", much, (4 << 20) - 1);
      free(much);
      break;
    }
    case SILENT:
      (void)!recv(socket, &byte, 1, 0);
      break;
    case HANGING_UP:
      break;
    case NATIVE:
      respond_text(socket, "200 OK", "[[0.1,0.2,0.3]]");
      break;
    case RANKING:
      respond_text(socket, "200 OK", "[{\"index\":0,\"score\":0.5}]");
      break;
    case BASE64:
      respond_text(socket, "200 OK", "{\"data\":[{\"index\":0,\"embedding\":\"zczMPc3MTD6amZk+\"}]}");
      break;
    case OBJECTS:
      respond_text(socket, "200 OK", "{\"data\":[{\"index\":0,\"embedding\":{\"float\":[1,2,3]}}]}");
      break;
    case OTHER:
      respond_text(socket, "200 OK", "{\"embeddings\":[[1,2,3]]}");
      break;
    case NOT_THERE:
      respond_text(socket, "404 Not Found", "nothing here");
      break;
    case ELSEWHERE:
      respond_text(socket, "307 Moved", "");
      break;
  }
}

static void serve_one(int socket) {
  char* request = malloc(REQUEST_MAX + 1);
  size_t size = 0, body_size = 0;
  char* body = NULL;
  while (size < REQUEST_MAX && (body == NULL || (size_t)(request + size - body) < body_size)) {
    ssize_t got = recv(socket, request + size, REQUEST_MAX - size, 0);
    if (got <= 0) break;
    request[size += (size_t)got] = '\0';
    char* end = strstr(request, "\r\n\r\n");
    const char* length = strcasestr(request, "Content-Length:");
    if (body == NULL && end != NULL && length != NULL) {
      body = end + 4;
      body_size = strtoul(length + 15, NULL, 10);
    }
  }
  if (body != NULL) {
    json_t* json = json_loads(body, 0, NULL);
    const json_t* input = json_object_get(json, "input");
    int index = atomic_fetch_add(&s.requests, 1);
    if ((int)json_array_size(input) > atomic_load(&s.largest_batch)) {
      atomic_store(&s.largest_batch, (int)json_array_size(input));
    }
    pthread_mutex_lock(&s.mutex);
    int last = (int)strlen(s.script) - 1;
    behaviour how = (behaviour)s.script[index < last ? index : last];
    snprintf(s.last_head, sizeof s.last_head, "%.*s", (int)(body - request), request);
    pthread_mutex_unlock(&s.mutex);
    behave(socket, how, input);
    json_decref(json);
  }
  free(request);
}

static void* run_server(void* argument) {
  (void)argument;
  for (int socket; (socket = accept(s.listener, NULL, NULL)) >= 0;) {
    serve_one(socket);
    shutdown(socket, SHUT_WR);
    close(socket);
  }
  return NULL;
}

static int start_server(void** state) {
  (void)state;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  s.listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(s.listener, (struct sockaddr*)&address, size) != 0 || listen(s.listener, 16) != 0) return -1;
  getsockname(s.listener, (struct sockaddr*)&address, &size);
  s.port = ntohs(address.sin_port);
  return pthread_create(&s.thread, NULL, run_server, NULL);
}

static int stop_server(void** state) {
  (void)state;
  shutdown(s.listener, SHUT_RDWR);
  pthread_join(s.thread, NULL);
  close(s.listener);
  return 0;
}

static freshet_encoder* create(const char* script, uint32_t timeout_ms, const char* key_env) {
  char url[64];
  freshet_encoder* encoder = NULL;
  freshet_error error = {0};
  snprintf(url, sizeof url, "http://127.0.0.1:%d/", s.port);
  pthread_mutex_lock(&s.mutex);
  snprintf(s.script, sizeof s.script, "%s", script);
  pthread_mutex_unlock(&s.mutex);
  atomic_store(&s.requests, 0);
  atomic_store(&s.largest_batch, 0);
  const freshet_http_options options = {url, "tiny", key_env, DIM, timeout_ms};
  if (freshet_encoder_http_create(&options, &encoder, &error) != FRESHET_OK) fail_msg("%s", error.message);
  return encoder;
}

/* The head of the last request. */
static bool head_has(const char* text) {
  pthread_mutex_lock(&s.mutex);
  bool has = strstr(s.last_head, text) != NULL;
  pthread_mutex_unlock(&s.mutex);
  return has;
}

static void expect_vector(const float* vector, size_t text_size) {
  float length = sqrtf((float)(text_size * text_size) + 1);
  assert_true(fabsf(vector[0] - (float)text_size / length) < 1e-5F);
  assert_true(fabsf(vector[1] - 1 / length) < 1e-5F);
  assert_true(vector[2] == 0);
}

static void texts_become_vectors_in_their_order(void** state) {
  (void)state;
  enum { COUNT = 2 * FRESHET_HTTP_BATCH + 5 };
  freshet_encoder* encoder = create("r", 5000, NULL);
  char text[COUNT];
  freshet_slice texts[COUNT];
  float out[COUNT][DIM];
  memset(text, 'x', sizeof text);
  for (size_t i = 0; i < COUNT; i++) texts[i] = (freshet_slice){text, i + 1};
  assert_string_equal(encoder->name, "http-tiny-3-v1");
  assert_int_equal(freshet_encode(encoder, texts, COUNT, out[0], NULL), FRESHET_OK);
  for (size_t i = 0; i < COUNT; i++) expect_vector(out[i], i + 1);
  assert_int_equal(atomic_load(&s.requests), 3);
  assert_int_equal(atomic_load(&s.largest_batch), FRESHET_HTTP_BATCH);
  assert_true(head_has("POST /v1/embeddings HTTP"));
  assert_false(head_has("Authorization"));
  freshet_encoder_destroy(encoder);
}

static void any_bytes_are_a_text(void** state) {
  (void)state;
  freshet_encoder* encoder = create("r", 5000, NULL);
  char* long_text = malloc(1 << 20);
  memset(long_text, 'y', 1 << 20);
  const freshet_slice texts[] = {{NULL, 0}, {"a\0b", 3}, {"\xff", 1}, {long_text, 1 << 20}};
  float out[4][DIM];
  assert_int_equal(freshet_encode(encoder, texts, 4, out[0], NULL), FRESHET_OK);
  expect_vector(out[0], 1);
  expect_vector(out[1], 5);
  expect_vector(out[2], 3);
  expect_vector(out[3], FRESHET_HTTP_TEXT_MAX - 4);
  freshet_encoder_destroy(encoder);
  free(long_text);
}

static void expect_outcome(const char* script, uint32_t timeout_ms, freshet_status status,
                           freshet_verdict verdict, const char* message, int requests) {
  freshet_encoder* encoder = create(script, timeout_ms, NULL);
  const freshet_slice text = freshet_slice_of("text");
  float out[DIM] = {7, 7, 7};
  freshet_error error = {0};
  freshet_status got = freshet_encode(encoder, &text, 1, out, &error);
  if (got != status || (status != FRESHET_OK && strstr(error.message, message) == NULL)) {
    fail_msg("script %s: status %s, \"%s\"", script, freshet_status_name(got), error.message);
  }
  if (status == FRESHET_OK) {
    expect_vector(out, 4);
  } else {
    assert_int_equal(error.verdict, verdict);
    assert_true(out[0] == 7 && out[1] == 7 && out[2] == 7);
  }
  if (requests > 0) assert_int_equal(atomic_load(&s.requests), requests);
  freshet_encoder_destroy(encoder);
}

static void what_passes_is_tried_again(void** state) {
  (void)state;
  expect_outcome("bfr", 10000, FRESHET_OK, FRESHET_RETRY, "", 3);
  expect_outcome("cr", 10000, FRESHET_OK, FRESHET_RETRY, "", 2);
  expect_outcome("hr", 10000, FRESHET_OK, FRESHET_RETRY, "", 2);
}

static void what_does_not_pass_is_reported(void** state) {
  (void)state;
  expect_outcome("f", 10000, FRESHET_UNAVAILABLE, FRESHET_RETRY, "HTTP 500: it broke", 5);
  expect_outcome("b", 150, FRESHET_UNAVAILABLE, FRESHET_RETRY, "HTTP 429", 0);
  expect_outcome("k", 10000, FRESHET_UNAVAILABLE, FRESHET_RETRY, "HTTP 401: who are you", 1);
  expect_outcome("x", 10000, FRESHET_INVALID, FRESHET_STOP, "HTTP 400: {\"error\": \"too long\"}", 1);
  expect_outcome("d", 10000, FRESHET_UNAVAILABLE, FRESHET_RETRY, "vectors of 4 numbers, but text.dim is 3",
                 1);
  expect_outcome("g", 10000, FRESHET_UNAVAILABLE, FRESHET_RETRY, "no JSON: <html>", 1);
  expect_outcome("w", 10000, FRESHET_UNAVAILABLE, FRESHET_RETRY, "0 vectors for 1 texts", 1);
  expect_outcome("n", 10000, FRESHET_UNAVAILABLE, FRESHET_RETRY, "no number", 1);
  expect_outcome("e", 10000, FRESHET_UNAVAILABLE, FRESHET_RETRY, "too long", 1);
  expect_outcome("s", 200, FRESHET_TIMEOUT, FRESHET_RETRY, "embedding server http://127.0.0.1:", 1);
}

/* Each message names the address, what came, what was expected and the setting to look at. */
static void answers_of_another_api_are_described(void** state) {
  (void)state;
  static const struct {
    const char *script, *came, *setting;
  } cases[] = {{"N", "a bare list of vectors, of another API: [[0.1,0.2,0.3]]", "text.url"},
               {"R", "a list of scores, of a reranker", "text.url"},
               {"B", "vectors as text (base64)", "text.url"},
               {"O", "without a list \"embedding\"", "text.url"},
               {"E", "JSON without a list \"data\": {\"embeddings\"", "text.url"},
               {"g", "no JSON: <html>", "text.url"},
               {"d", "vectors of 4 numbers", "text.dim"},
               {"4", "HTTP 404: nothing here", "text.url"},
               {"3", "HTTP 307: ", "text.url"},
               {"k", "HTTP 401: who are you", "text.key_env"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    expect_outcome(cases[i].script, 10000, FRESHET_UNAVAILABLE, FRESHET_RETRY, cases[i].came, 1);
    expect_outcome(cases[i].script, 10000, FRESHET_UNAVAILABLE, FRESHET_RETRY, cases[i].setting, 1);
    expect_outcome(cases[i].script, 10000, FRESHET_UNAVAILABLE, FRESHET_RETRY, "/v1/embeddings", 1);
  }
}

static void a_shown_address_has_no_secrets(void** state) {
  (void)state;
  static const char* const urls[][2] = {{"https://host/v1/embeddings", "https://host/v1/embeddings"},
                                        {"https://me:secret@host/v1?key=secret", "https://host/v1"},
                                        {"http://host?at=a@b", "http://host"},
                                        {"host", "host"}};
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    char shown[FRESHET_HTTP_SHOWN_URL_SIZE];
    freshet_http_show_url(urls[i][0], shown);
    assert_string_equal(shown, urls[i][1]);
  }
}

static void a_text_that_is_too_long_is_cut(void** state) {
  (void)state;
  enum { TEXTS = 8, LONG = 3500 };
  char* text = malloc(LONG + 1);
  memset(text, 'a', LONG);
  text[LONG] = '\0';
  memcpy(text + 874, "\xc3\xa9", 2); /* across the place of the second cut, 875 */
  freshet_slice texts[TEXTS];
  for (size_t i = 0; i < TEXTS; i++) texts[i] = freshet_slice_of("short");
  texts[3] = (freshet_slice){text, LONG};
  freshet_encoder* encoder = create("l", 10000, NULL);
  float out[TEXTS * DIM];
  char notice[512] = "";
  freshet_error error = {0};
  assert_false(encoder->vtable->notice(encoder, notice, sizeof notice));
  if (freshet_encode(encoder, texts, TEXTS, out, &error) != FRESHET_OK) fail_msg("%s", error.message);
  for (size_t i = 0; i < TEXTS; i++) expect_vector(out + i * DIM, i == 3 ? 874 : 5);
  assert_true(encoder->vtable->notice(encoder, notice, sizeof notice));
  assert_non_null(strstr(notice, "3500 bytes is cut to 874"));
  assert_non_null(strstr(notice, "HTTP 413: at most 512"));
  assert_false(encoder->vtable->notice(encoder, notice, sizeof notice));
  freshet_encoder_destroy(encoder);
  /* A text that is refused for something else is not cut, and the refusal comes out. */
  encoder = create("m", 10000, NULL);
  memcpy(text, "bad", 3);
  assert_int_equal(freshet_encode(encoder, texts, TEXTS, out, &error), FRESHET_INVALID);
  assert_int_equal(error.verdict, FRESHET_STOP);
  assert_int_equal(freshet_encode(encoder, texts, 3, out, &error), FRESHET_OK);
  freshet_encoder_destroy(encoder);
  free(text);
}

static void expect_address(const char* url, const char* line) {
  char whole[256];
  snprintf(whole, sizeof whole, url, s.port);
  const freshet_http_options options = {whole, "", "", DIM, 5000};
  freshet_encoder* encoder = NULL;
  const freshet_slice text = freshet_slice_of("text");
  float out[DIM];
  strcpy(s.script, "r");
  assert_int_equal(freshet_encoder_http_create(&options, &encoder, NULL), FRESHET_OK);
  assert_int_equal(freshet_encode(encoder, &text, 1, out, NULL), FRESHET_OK);
  pthread_mutex_lock(&s.mutex);
  if (strncmp(s.last_head, line, strlen(line)) != 0) fail_msg("%s: %.80s", url, s.last_head);
  pthread_mutex_unlock(&s.mutex);
  freshet_encoder_destroy(encoder);
}

static void an_address_may_have_a_query(void** state) {
  (void)state;
  expect_address("http://127.0.0.1:%d", "POST /v1/embeddings HTTP");
  expect_address("http://127.0.0.1:%d/v1/", "POST /v1/embeddings HTTP");
  expect_address("http://127.0.0.1:%d/o/d/embeddings?api-version=2024-02-01",
                 "POST /o/d/embeddings?api-version=2024-02-01 HTTP");
  expect_address("http://127.0.0.1:%d/x/?a=/b/&c=d", "POST /x/v1/embeddings?a=/b/&c=d HTTP");
}

static void a_dead_server_is_unavailable(void** state) {
  (void)state;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  int unused = socket(AF_INET, SOCK_STREAM, 0); /* bound, but nobody listens */
  char url[64];
  assert_int_equal(bind(unused, (struct sockaddr*)&address, size), 0);
  getsockname(unused, (struct sockaddr*)&address, &size);
  snprintf(url, sizeof url, "http://127.0.0.1:%d/v1", ntohs(address.sin_port));
  const freshet_http_options options = {url, NULL, NULL, DIM, 300};
  freshet_encoder* encoder = NULL;
  const freshet_slice text = freshet_slice_of("text");
  float out[DIM];
  freshet_error error = {0};
  assert_int_equal(freshet_encoder_http_create(&options, &encoder, NULL), FRESHET_OK);
  assert_int_equal(freshet_encode(encoder, &text, 1, out, &error), FRESHET_UNAVAILABLE);
  assert_int_equal(error.verdict, FRESHET_RETRY);
  freshet_encoder_destroy(encoder);
  close(unused);
}

static void* interrupt_soon(void* encoder) {
  usleep(100000);
  ((freshet_encoder*)encoder)->vtable->interrupt(encoder);
  return NULL;
}

static void a_call_can_be_interrupted(void** state) {
  (void)state;
  freshet_encoder* encoder = create("s", 60000, NULL);
  const freshet_slice text = freshet_slice_of("text");
  float out[DIM];
  pthread_t thread;
  freshet_error error = {0};
  time_t start = time(NULL);
  assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, encoder), 0);
  assert_int_equal(freshet_encode(encoder, &text, 1, out, &error), FRESHET_ABORTED);
  pthread_join(thread, NULL);
  assert_true(time(NULL) - start < 20);
  assert_int_equal(freshet_encode(encoder, &text, 1, out, NULL), FRESHET_ABORTED);
  freshet_encoder_destroy(encoder);
}

static void the_key_comes_from_the_environment_and_stays_secret(void** state) {
  (void)state;
  const freshet_slice text = freshet_slice_of("text");
  const freshet_http_options options = {"http://127.0.0.1:1", "tiny", "FRESHET_TEST_KEY", DIM, 100};
  float out[DIM];
  freshet_error error = {0};
  freshet_encoder *encoder = NULL, *shared = NULL;
  unsetenv("FRESHET_TEST_KEY");
  assert_int_equal(freshet_encoder_http_create(&options, &encoder, &error), FRESHET_NOT_FOUND);
  assert_non_null(strstr(error.message, "FRESHET_TEST_KEY"));
  setenv("FRESHET_TEST_KEY", "hidden\r\nEvil: 1", 1);
  freshet_error_clear(&error);
  assert_int_equal(freshet_encoder_http_create(&options, &encoder, &error), FRESHET_INVALID);
  assert_null(strstr(error.message, "hidden"));
  setenv("FRESHET_TEST_KEY", "hidden", 1);
  encoder = create("r", 5000, "FRESHET_TEST_KEY");
  assert_int_equal(encoder->vtable->share(encoder, &shared, NULL), FRESHET_OK);
  freshet_encoder_destroy(encoder);
  assert_int_equal(freshet_encode(shared, &text, 1, out, NULL), FRESHET_OK);
  assert_true(head_has("Authorization: Bearer hidden\r\n"));
  freshet_encoder_destroy(shared);
}

static void bad_options_are_refused(void** state) {
  (void)state;
  static const freshet_http_options broken[] = {
      {NULL, "m", NULL, 3, 10},      {"http://h", "m", NULL, 0, 10},
      {"http://h", "m", NULL, 3, 0}, {"file:///etc/passwd", "m", NULL, 3, 10},
      {"", "m", NULL, 3, 10},
  };
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    freshet_encoder* encoder = NULL;
    assert_int_equal(freshet_encoder_http_create(&broken[i], &encoder, NULL), FRESHET_INVALID);
    assert_null(encoder);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_become_vectors_in_their_order),
      cmocka_unit_test(any_bytes_are_a_text),
      cmocka_unit_test(what_passes_is_tried_again),
      cmocka_unit_test(what_does_not_pass_is_reported),
      cmocka_unit_test(answers_of_another_api_are_described),
      cmocka_unit_test(a_shown_address_has_no_secrets),
      cmocka_unit_test(a_text_that_is_too_long_is_cut),
      cmocka_unit_test(an_address_may_have_a_query),
      cmocka_unit_test(a_dead_server_is_unavailable),
      cmocka_unit_test(a_call_can_be_interrupted),
      cmocka_unit_test(the_key_comes_from_the_environment_and_stays_secret),
      cmocka_unit_test(bad_options_are_refused),
  };
  return cmocka_run_group_tests(tests, start_server, stop_server);
}
