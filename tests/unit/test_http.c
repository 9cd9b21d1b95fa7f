/* The HTTP server and what the service tells about itself, asked over real sockets on the loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "freshet/freshet.h"
#include "service/monitor.h"
#include "service/prometheus.h"
#include "stream/clock.h"

/* ---- a client ---- */

static int dial(uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(connect(fd, (struct sockaddr*)&address, sizeof address), 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 5}, sizeof(struct timeval));
  return fd;
}

/* Sends as much as the server takes. */
static void send_all(int fd, const char* bytes, size_t size) {
  while (size > 0) {
    ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes += sent;
    size -= (size_t)sent;
  }
}

/* Sends the text and reads until the server closes. Returns the status, 0 when it closed without one. */
static int exchange(uint16_t port, const char* text, freshet_buffer* answer) {
  int fd = dial(port);
  send_all(fd, text, strlen(text));
  answer->size = 0;
  char piece[4096];
  ssize_t size;
  while ((size = recv(fd, piece, sizeof piece, 0)) > 0) freshet_buffer_append(answer, piece, (size_t)size);
  close(fd);
  freshet_buffer_append(answer, "", 1);
  int status = 0;
  sscanf((const char*)answer->data, "HTTP/1.1 %d", &status);
  return status;
}

static int ask(uint16_t port, const char* method, const char* path, const char* headers,
               freshet_buffer* answer) {
  char text[8192];
  snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n", method,
           path, headers);
  return exchange(port, text, answer);
}

static void holds(const freshet_buffer* answer, const char* part) {
  const char* text = answer->data == NULL ? "" : (const char*)answer->data;
  if (strstr(text, part) == NULL) fail_msg("no '%s' in '%s'", part, text);
}

static void expect(uint16_t port, const char* method, const char* path, const char* headers, int status,
                   const char* part) {
  freshet_buffer answer = {0};
  assert_int_equal(ask(port, method, path, headers, &answer), status);
  holds(&answer, part);
  freshet_buffer_free(&answer);
}

/* ---- a monitor ---- */

static _Atomic int64_t now;

static int64_t now_ms(freshet_clock* self) {
  (void)self;
  return now;
}

static int64_t now_us(freshet_clock* self) {
  (void)self;
  return now * 1000;
}

typedef struct fixture {
  freshet_clock clock;
  freshet_worker_metrics metrics;
  freshet_config config;
  freshet_monitor* monitor;
  uint16_t port;
} fixture;

static uint16_t free_port(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  assert_int_equal(bind(fd, (struct sockaddr*)&address, size), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr*)&address, &size), 0);
  close(fd);
  return ntohs(address.sin_port);
}

static void more_metrics(void* context, freshet_buffer* out) {
  (void)context;
  freshet_metrics_gauge(out, "freshet_more", "From elsewhere.", 0.5);
}

static fixture* start(const char* token_file) {
  fixture* f = calloc(1, sizeof *f);
  f->clock.now_ms = now_ms;
  f->clock.monotonic_us = now_us;
  f->config.app.id = "shop";
  f->config.http.bind = "127.0.0.1";
  f->config.http.token_file = token_file;
  f->config.http.connections = 64;
  f->config.http.timeout_ms = 1000;
  const freshet_monitor_config config = {
      .config = &f->config, .worker_metrics = &f->metrics, .clock = &f->clock, .more_metrics = more_metrics};
  freshet_error error = {0};
  freshet_status status = FRESHET_UNAVAILABLE;
  for (int i = 0; i < 10 && status == FRESHET_UNAVAILABLE;
       i++) { /* somebody may be quicker at the free port */
    freshet_error_clear(&error);
    f->config.http.port = free_port();
    status = freshet_monitor_create(&config, &f->monitor, &error);
  }
  if (status != FRESHET_OK) fail_msg("%s", error.message);
  f->port = freshet_monitor_port(f->monitor);
  assert_int_equal(f->port, f->config.http.port);
  return f;
}

static void stop(fixture* f) {
  freshet_monitor_destroy(f->monitor);
  free(f);
}

static void test_life_and_readiness(void** state) {
  (void)state;
  fixture* f = start("");
  now = 1000000;
  expect(f->port, "GET", "/livez", "", 200, "starting");
  expect(f->port, "GET", "/readyz", "", 503, "opening the state folder");
  freshet_gauge(&f->metrics.phase, FRESHET_PHASE_LOADING);
  expect(f->port, "GET", "/readyz", "", 503, "item tables");
  freshet_gauge(&f->metrics.phase, FRESHET_PHASE_RUNNING);
  freshet_gauge(&f->metrics.turned_ms, 999000);
  expect(f->port, "GET", "/livez", "", 200, "alive");
  expect(f->port, "GET", "/readyz", "", 503, "partitions");
  freshet_gauge(&f->metrics.ready, 1);
  expect(f->port, "GET", "/readyz", "", 200, "ready");
  now = 999000 + FRESHET_MONITOR_STALL_MS;
  expect(f->port, "GET", "/livez", "", 503, "120 s");
  stop(f);
}

/* Every sample belongs to the family announced just before; histograms are cumulative and end in +Inf. */
static void check_exposition(char* text) {
  char family[128] = "", type[32] = "";
  double last = -1, inf = -1;
  int samples = 0;
  for (char* line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    char name[128] = "";
    if (sscanf(line, "# HELP %127s", name) == 1) {
      assert_string_not_equal(name, family);
      strcpy(family, name);
      last = -1;
    } else if (sscanf(line, "# TYPE %127s %31s", name, type) == 2) {
      assert_string_equal(name, family);
    } else {
      char* value = strrchr(line, ' ');
      assert_non_null(value);
      char* end;
      double number = strtod(value + 1, &end);
      assert_true(end != value + 1 && *end == '\0' && number >= 0);
      assert_int_equal(strncmp(line, family, strlen(family)), 0);
      const char* rest = line + strlen(family);
      if (strcmp(type, "histogram") == 0) {
        if (strncmp(rest, "_bucket", 7) == 0) {
          assert_true(number >= last);
          last = number;
          if (strstr(rest, "+Inf") != NULL) inf = number;
        } else if (strncmp(rest, "_count", 6) == 0) {
          assert_true(number == inf);
        }
      } else {
        assert_true(*rest == ' ' || *rest == '{');
        assert_int_equal(strcmp(type, "counter") == 0, strstr(family, "_total") != NULL);
      }
      samples++;
    }
  }
  assert_true(samples > 80);
}

/* The page metrics.md, and names in it as "| `name` | type |". Caller frees. */
static char* read_reference(void) {
  FILE* file = fopen(FRESHET_SCHEMAS "/../src/service/metrics.md", "rb");
  assert_non_null(file);
  static char text[1 << 16];
  size_t size = fread(text, 1, sizeof text - 1, file);
  assert_true(feof(file));
  fclose(file);
  text[size] = '\0';
  return strdup(text);
}

/* Each metric is in the reference with its type, and each of the reference exists. */
static void test_metrics_are_in_the_reference(void** state) {
  (void)state;
  fixture* f = start("");
  freshet_metric_name(f->metrics.texts_serving, sizeof f->metrics.texts_serving, "hashing");
  freshet_buffer answer = {0};
  assert_int_equal(ask(f->port, "GET", "/metrics", "", &answer), 200);
  freshet_buffer_append(&answer, "", 1);
  const char* page = (const char*)answer.data;
  char *reference = read_reference(), name[128], type[32], row[256];
  size_t count = 0;
  for (const char* at = page; (at = strstr(at, "# TYPE ")) != NULL; at++) {
    assert_int_equal(sscanf(at, "# TYPE %127s %31s", name, type), 2);
    if (strcmp(name, "freshet_more") == 0) continue; /* the fixture's own */
    snprintf(row, sizeof row, "| `%s` | %s |", name, type);
    if (strstr(reference, row) == NULL) fail_msg("src/service/metrics.md has no row %s", row);
    count++;
  }
  assert_true(count > 40);
  for (const char* at = reference; (at = strstr(at, "\n| `")) != NULL; at++) {
    assert_int_equal(sscanf(at, "\n| `%127[a-z_]", name), 1);
    snprintf(row, sizeof row, "# TYPE %s ", name);
    if (strstr(page, row) == NULL) fail_msg("%s, in src/service/metrics.md, is not on /metrics", name);
  }
  free(reference);
  freshet_buffer_free(&answer);
  stop(f);
}

static void test_metrics(void** state) {
  (void)state;
  fixture* f = start("");
  freshet_count(&f->metrics.events[FRESHET_PURCHASE], 7);
  freshet_count(&f->metrics.dead_letters, UINT64_C(1) << 40);
  freshet_gauge(&f->metrics.last_commit_ms, UINT64_C(1795504499123));
  freshet_histogram_observe(&f->metrics.event_to_list, 900);
  freshet_histogram_observe(&f->metrics.event_to_list, 4000);
  freshet_histogram_observe(&f->metrics.event_to_list, INT64_C(99) * 1000 * 1000);
  freshet_buffer answer = {0};
  assert_int_equal(ask(f->port, "GET", "/metrics", "", &answer), 200);
  const char* const parts[] = {
      "Content-Type: text/plain; version=0.0.4",
      "\nfreshet_events_total{type=\"purchase\"} 7\n",
      "\nfreshet_dead_letters_total 1099511627776\n",
      "\nfreshet_last_commit_timestamp_seconds 1795504499.123",
      "\nfreshet_event_to_list_seconds_bucket{le=\"0.001\"} 1\n",
      "\nfreshet_event_to_list_seconds_bucket{le=\"0.005\"} 2\n",
      "\nfreshet_event_to_list_seconds_bucket{le=\"+Inf\"} 3\n",
      "\nfreshet_event_to_list_seconds_sum 99.0049\n",
      "\nfreshet_event_to_list_seconds_count 3\n",
      "\nfreshet_build_info{app=\"shop\",version=\"" FRESHET_VERSION "\"} 1\n",
      "\nfreshet_more 0.5\n",
      "\nprocess_resident_memory_bytes ",
  };
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    if (strstr((const char*)answer.data, parts[i]) == NULL)
      fail_msg("no '%s' in '%s'", parts[i], answer.data);
  }
  check_exposition(strstr((char*)answer.data, "\r\n\r\n") + 4);
  freshet_buffer_free(&answer);
  stop(f);
}

static void test_paths_and_methods(void** state) {
  (void)state;
  fixture* f = start("");
  expect(f->port, "GET", "/nowhere", "", 404, "no such page");
  expect(f->port, "GET", "/../metrics", "", 404, "");
  expect(f->port, "GET", "//metrics", "", 404, "");
  expect(f->port, "GET", "/metrics/", "", 404, "");
  expect(f->port, "GET", "/metrics%2F", "", 404, "");
  expect(f->port, "POST", "/metrics", "Content-Length: 0\r\n", 405, "");
  expect(f->port, "DELETE", "/livez", "", 405, "");
  expect(f->port, "GET", "/livez?a=b", "", 200, "starting");
  expect(f->port, "GET", "/", "", 200, "<title>Freshet</title>");
  freshet_buffer answer = {0};
  assert_int_equal(ask(f->port, "HEAD", "/livez", "", &answer), 200);
  assert_null(strstr((const char*)answer.data, "starting"));
  freshet_buffer_free(&answer);
  stop(f);
}

static void test_a_token_is_asked_for(void** state) {
  (void)state;
  char path[] = "/tmp/freshet-token-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, "# of whom\ns3cret\r\n\nanother one\n", 32), 32);
  close(fd);
  fixture* f = start(path);
  expect(f->port, "GET", "/metrics", "", 401, "WWW-Authenticate: Bearer");
  expect(f->port, "GET", "/metrics", "Authorization: Bearer s3cre\r\n", 401, "");
  expect(f->port, "GET", "/metrics", "Authorization: Bearer s3cret2\r\n", 401, "");
  expect(f->port, "GET", "/metrics", "Authorization: Bearer \r\n", 401, "");
  expect(f->port, "GET", "/metrics", "Authorization: Basic s3cret\r\n", 401, "");
  expect(f->port, "GET", "/metrics", "Authorization: Bearer s3cret\r\n", 200, "freshet_events_total");
  expect(f->port, "GET", "/metrics", "Authorization: bearer another one\r\n", 200, "freshet_events_total");
  expect(f->port, "GET", "/metrics", "Authorization: Bearer # of whom\r\n", 401, "");
  expect(f->port, "GET", "/livez", "", 200, "");
  expect(f->port, "GET", "/", "", 200, "</html>");
  expect(f->port, "GET", "/readyz", "", 503, "");
  stop(f);
  unlink(path);
}

static void refused(const freshet_config* config, freshet_status status, const char* part) {
  freshet_worker_metrics* metrics = calloc(1, sizeof *metrics);
  freshet_monitor* monitor = NULL;
  freshet_error error = {0};
  const freshet_monitor_config given = {
      .config = config, .worker_metrics = metrics, .clock = freshet_clock_system()};
  assert_int_equal(freshet_monitor_create(&given, &monitor, &error), status);
  assert_null(monitor);
  if (status != FRESHET_OK && strstr(error.message, part) == NULL)
    fail_msg("no '%s' in '%s'", part, error.message);
  free(metrics);
}

static void test_what_cannot_start(void** state) {
  (void)state;
  fixture* f = start("");
  freshet_config config = f->config;
  refused(&config, FRESHET_UNAVAILABLE, "in use");
  config.http.bind = "everywhere";
  refused(&config, FRESHET_INVALID, "http.bind");
  config.http.bind = "127.0.0.1";
  config.http.token_file = "/nonexistent/token";
  refused(&config, FRESHET_IO, "/nonexistent/token");
  config.http.token_file = "/dev/null";
  refused(&config, FRESHET_IO, "empty");
  config.http.port = 0;
  refused(&config, FRESHET_OK, "");
  stop(f);
}

/* ---- rude clients ---- */

static void echo(void* context, const freshet_http_request* request, freshet_http_response* response) {
  (void)context;
  if (request->parameter_count > 0) {
    freshet_slice name = request->parameters[0].value;
    freshet_buffer_append(&response->body, name.data, name.size);
  }
  freshet_buffer_append(&response->body, ":", 1);
  freshet_buffer_append(&response->body, request->body.data, request->body.size);
}

/* A body of that many bytes, sent to its end. */
static int send_body(uint16_t port, size_t size, freshet_buffer* answer) {
  char* text = malloc(size + 256);
  assert_non_null(text);
  int head = snprintf(
      text, 256, "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
      size);
  memset(text + head, 'x', size);
  text[(size_t)head + size] = '\0';
  int status = exchange(port, text, answer);
  free(text);
  return status;
}

static void test_bounds_and_rude_clients(void** state) {
  (void)state;
  const freshet_http_route routes[] = {{"POST", "/echo", 0, echo, NULL}};
  freshet_http_counts counts = {0};
  enum { CONNECTIONS = 64 };
  const freshet_http_config config = {.bind = "127.0.0.1",
                                      .token_file = "",
                                      .routes = routes,
                                      .route_count = 1,
                                      .connections_max = CONNECTIONS,
                                      .timeout_ms = 1000,
                                      .counts = &counts};
  freshet_http* http = NULL;
  assert_int_equal(freshet_http_create(&config, &http, NULL), FRESHET_OK);
  uint16_t port = freshet_http_port(http);
  freshet_buffer answer = {0};

  assert_int_equal(ask(port, "POST", "/echo?name=a%20b&x", "Content-Length: 5\r\n\r\nhello", &answer), 200);
  assert_non_null(strstr((const char*)answer.data, "\r\n\r\na b:hello"));
  assert_int_equal(ask(port, "POST", "/echo", "Content-Length: 9000000\r\n", &answer), 413);
  assert_int_equal(send_body(port, 1 << 20, &answer), 413);
  holds(&answer, "at most 131072 bytes");
  assert_int_equal(ask(port, "POST", "/echo", "Content-Length: 99999999999999999999999\r\n", &answer) / 100,
                   4);
  assert_int_equal(ask(port, "POST", "/echo", "Content-Length: -1\r\n", &answer) / 100, 4);

  /* more of them than there may be: told, if the request ends */
  static char long_line[FRESHET_HTTP_HEADER_MAX + 200], long_headers[FRESHET_HTTP_HEADER_MAX + 200];
  enum { TOO_LONG = FRESHET_HTTP_HEADER_MAX };
  snprintf(long_line, sizeof long_line, "GET /%0*d HTTP/1.1\r\nHost: localhost\r\n\r\n", (int)TOO_LONG, 0);
  assert_int_equal(exchange(port, long_line, &answer), 414);
  snprintf(long_headers, sizeof long_headers, "GET /echo HTTP/1.1\r\nHost: localhost\r\nX: %0*d\r\n\r\n",
           (int)TOO_LONG, 0);
  assert_int_equal(exchange(port, long_headers, &answer), 431);

  /* headers without end, and a body in pieces without end */
  int fd = dial(port);
  static char flood[FRESHET_HTTP_BODY_MAX];
  memset(flood, 'h', sizeof flood);
  send_all(fd, "GET /echo HTTP/1.1\r\nX: ", 23);
  send_all(fd, flood, sizeof flood);
  char piece[512];
  while (recv(fd, piece, sizeof piece, 0) > 0) continue;
  close(fd);
  fd = dial(port);
  static const char chunked[] =
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
  send_all(fd, chunked, sizeof chunked - 1);
  for (int i = 0; i < 3; i++) {
    send_all(fd, "10000\r\n", 7);
    send_all(fd, flood, sizeof flood);
    send_all(fd, "\r\n", 2);
  }
  while (recv(fd, piece, sizeof piece, 0) > 0) continue;
  close(fd);
  assert_int_equal(exchange(port, "\x16\x03\x01 no http at all\r\n\r\n", &answer) / 100 == 2, 0);

  /* more idle connections than there is room for: whoever comes when they have gone is served */
  enum { IDLE = CONNECTIONS + 40 };
  int idle[IDLE];
  for (int i = 0; i < IDLE; i++) {
    idle[i] = dial(port);
    send_all(idle[i], "POST /ec", 8);
  }
  for (int i = 0; i < IDLE; i++) close(idle[i]);
  int status = 0;
  for (int i = 0; i < 50 && status != 200; i++) {
    status = ask(port, "POST", "/echo", "Content-Length: 2\r\n\r\nhi", &answer);
    if (status != 200) usleep(20000);
  }
  assert_int_equal(status, 200);
  assert_true(freshet_metric(&counts.answered) >= 2 && freshet_metric(&counts.refused) >= 1);
  freshet_buffer_free(&answer);
  freshet_http_destroy(http);
}

/* ---- answers that come later ---- */

typedef struct desk {
  freshet_http_ticket* ticket;
  bool late;
  pthread_t clerk;
  bool working;
} desk;

static void finish_later(void* context, void* result, freshet_http_response* response) {
  (void)context;
  freshet_buffer_append(&response->body, result, strlen(result));
  free(result);
}

static void* work(void* context) {
  desk* d = context;
  usleep(d->late ? 400000 : 20000);
  freshet_http_complete(d->ticket, strdup("done later"));
  return NULL;
}

static void defer(void* context, const freshet_http_request* request, freshet_http_response* response) {
  (void)response;
  desk* d = context;
  if (d->working) pthread_join(d->clerk, NULL);
  d->late = request->parameter_count > 0;
  d->ticket = freshet_http_defer(request, finish_later, NULL);
  d->working = pthread_create(&d->clerk, NULL, work, d) == 0;
}

static freshet_http* serve_routes(const freshet_http_route* routes, size_t count, double requests_per_s,
                                  const char* token_file, freshet_http_counts* counts) {
  const freshet_http_config config = {.bind = "127.0.0.1",
                                      .token_file = token_file,
                                      .routes = routes,
                                      .route_count = count,
                                      .connections_max = 64,
                                      .timeout_ms = 200,
                                      .requests_per_s = requests_per_s,
                                      .counts = counts};
  freshet_http* http = NULL;
  freshet_error error = {0};
  if (freshet_http_create(&config, &http, &error) != FRESHET_OK) fail_msg("%s", error.message);
  return http;
}

/* Gathers requests, and answers them together. Of those that are not to be answered, the tickets are kept. */
typedef struct counter {
  freshet_http_ticket* gathered[64];
  freshet_http_ticket* kept[512];
  size_t count, kept_count;
  atomic_size_t most, keeps;
} counter;

static void gather(void* context, const freshet_http_request* request, freshet_http_response* response) {
  (void)response;
  counter* c = context;
  freshet_http_ticket* ticket = freshet_http_defer(request, finish_later, NULL);
  if (request->parameter_count == 0) {
    c->gathered[c->count++] = ticket;
  } else {
    c->kept[c->kept_count++] = ticket;
    c->keeps++;
  }
}

static void answer_gathered(void* context) {
  counter* c = context;
  if (c->count > c->most) c->most = c->count;
  for (size_t i = 0; i < c->count; i++) freshet_http_complete(c->gathered[i], strdup("done together"));
  c->count = 0;
}

static void test_requests_are_answered_together(void** state) {
  (void)state;
  enum { CLIENTS = 20 };
  counter c = {0};
  const freshet_http_route routes[] = {{"GET", "/now", 0, gather, &c}};
  freshet_http_counts counts = {0};
  freshet_http_config config = {.bind = "127.0.0.1",
                                .routes = routes,
                                .route_count = 1,
                                .connections_max = 64,
                                .timeout_ms = 200,
                                .counts = &counts,
                                .after = answer_gathered,
                                .after_context = &c};
  freshet_http* http = NULL;
  assert_int_equal(freshet_http_create(&config, &http, NULL), FRESHET_OK);
  const uint16_t port = freshet_http_port(http);
  for (int turn = 0; turn < 8; turn++) {
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) clients[i] = dial(port);
    for (int i = 0; i < CLIENTS; i++)
      send_all(clients[i], "GET /now HTTP/1.1\r\nHost: localhost\r\n\r\n", 38);
    for (int i = 0; i < CLIENTS; i++) {
      char piece[4096] = "";
      assert_true(recv(clients[i], piece, sizeof piece - 1, 0) > 0);
      assert_non_null(strstr(piece, "done together"));
      /* A client that leaves at once while its answer is still to come. */
      send_all(clients[i], "GET /now?kept HTTP/1.1\r\nHost: localhost\r\n\r\n", 43);
      const struct linger at_once = {1, 0};
      setsockopt(clients[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      if (i % 2 == 0) usleep(100);
      close(clients[i]);
    }
    expect(port, "GET", "/now", "", 200, "done together");
    expect(port, "GET", "/now?late", "", 503, "no answer within 200 ms");
  }
  assert_true(c.most > 1);
  /* The server waits for tickets of clients that have gone. */
  const size_t kept = c.keeps;
  for (size_t i = 0; i < kept; i++) freshet_http_complete(c.kept[i], strdup("too late"));
  freshet_http_destroy(http);
  assert_int_equal(freshet_metric(&counts.connections), 0);
}

static void test_deferred_answers(void** state) {
  (void)state;
  desk d = {0};
  const freshet_http_route routes[] = {{"GET", "/later", 0, defer, &d}, {"POST", "/later", 0, defer, &d}};
  freshet_http_counts counts = {0};
  freshet_http* http = serve_routes(routes, 2, 0, "", &counts);
  uint16_t port = freshet_http_port(http);
  expect(port, "GET", "/later", "", 200, "done later");
  expect(port, "POST", "/later", "Content-Length: 2\r\n\r\nhi", 200, "done later");
  expect(port, "GET", "/later?late", "", 503, "no answer within 200 ms");
  /* two in one piece: the second is read when the first has been answered */
  freshet_buffer answer = {0};
  static const char both[] =
      "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\nGET /later HTTP/1.1\r\nHost: localhost\r\nConnection: "
      "close\r\n\r\n";
  assert_int_equal(exchange(port, both, &answer), 200);
  const char* first = strstr((const char*)answer.data, "done later");
  assert_non_null(first);
  assert_non_null(strstr(first + 1, "done later"));
  /* a client that has gone meanwhile, and one for whom the server waits when it ends */
  int gone = dial(port);
  send_all(gone, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n", 39);
  usleep(5000);
  close(gone);
  int waiting = dial(port);
  send_all(waiting, "GET /later?late HTTP/1.1\r\nHost: localhost\r\n\r\n", 44);
  usleep(50000);
  freshet_http_destroy(http);
  close(waiting);
  pthread_join(d.clerk, NULL);
  assert_true(freshet_metric(&counts.answered) >= 4 && freshet_metric(&counts.connections) == 0);
  freshet_buffer_free(&answer);
}

static void spell(void* context, const freshet_http_request* request, freshet_http_response* response) {
  (void)context;
  freshet_buffer_append(&response->body, "<", 1);
  freshet_buffer_append(&response->body, request->path[0].data, request->path[0].size);
  freshet_buffer_append(&response->body, ">", 1);
}

static void test_patterns(void** state) {
  (void)state;
  const freshet_http_route routes[] = {{"GET", "/v1/users/{id}", 0, spell, NULL},
                                       {"GET", "/v1/items/{id}/similar", 0, spell, NULL}};
  freshet_http_counts counts = {0};
  freshet_http* http = serve_routes(routes, 2, 0, "", &counts);
  uint16_t port = freshet_http_port(http);
  expect(port, "GET", "/v1/users/u1", "", 200, "<u1>");
  expect(port, "GET", "/v1/users/a%2Fb%20c+d%3F", "", 200, "<a/b c+d?>");
  expect(port, "GET", "/v1/users/%C3%A9/", "", 404, "no such page");
  expect(port, "GET", "/v1/users/%C3%A9", "", 200, "<\xc3\xa9>");
  expect(port, "GET", "/v1/items/x/similar?k=3#part", "", 200, "<x>");
  expect(port, "GET", "/v1/users/", "", 404, "");
  expect(port, "GET", "/v1/users/../users/u1", "", 404, "");
  expect(port, "GET", "/v1/users/u1/similar", "", 404, "");
  expect(port, "GET", "/v1/items//similar", "", 404, "");
  expect(port, "GET", "/v1/users/%zz", "", 400, "hexadecimal");
  expect(port, "GET", "/v1/users/u%00", "", 400, "NUL");
  expect(port, "GET", "/v1/users/u1?a=%2", "", 400, "hexadecimal");
  expect(port, "GET", "/1/2/3/4/5/6/7/8/9/10", "", 400, "deep");
  expect(port, "PUT", "/v1/users/u1", "Content-Length: 3\r\n\r\nabc", 405, "not with this method");
  freshet_http_destroy(http);
}

static void test_too_many_requests(void** state) {
  (void)state;
  const freshet_http_route routes[] = {{"GET", "/open/{id}", FRESHET_HTTP_OPEN, spell, NULL},
                                       {"GET", "/v1/users/{id}", 0, spell, NULL}};
  freshet_http_counts counts = {0};
  freshet_http* http = serve_routes(routes, 2, 3, "", &counts);
  uint16_t port = freshet_http_port(http);
  freshet_buffer answer = {0};
  int refused_count = 0;
  for (int i = 0; i < 10; i++) {
    int status = ask(port, "GET", "/v1/users/u1", "", &answer);
    assert_true(status == 200 || status == 429);
    if (status != 429) continue;
    refused_count++;
    holds(&answer, "Retry-After: 1");
  }
  assert_true(refused_count >= 5 && refused_count <= 7);
  expect(port, "GET", "/open/u1", "", 200, "<u1>");
  freshet_buffer_free(&answer);
  freshet_http_destroy(http);
}

/* Sends this head, and a second request where the body would be. */
static void expect_refused_and_closed(uint16_t port, const char* headers, const char* part) {
  char text[1024];
  freshet_buffer answer = {0};
  snprintf(text, sizeof text, "POST /v1/users/u1 HTTP/1.1\r\nHost: localhost\r\n%s\r\n0\r\n\r\n%s", headers,
           "GET /v1/users/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n");
  assert_int_equal(exchange(port, text, &answer), 400); /* reads until the server closes */
  holds(&answer, part);
  assert_null(strstr((const char*)answer.data, "hidden"));
  assert_null(strstr((const char*)answer.data + 8, "HTTP/1.1"));
  freshet_buffer_free(&answer);
}

static void test_ambiguous_requests(void** state) {
  (void)state;
  const freshet_http_route routes[] = {{"GET", "/v1/users/{id}", 0, spell, NULL},
                                       {"POST", "/v1/users/{id}", 0, spell, NULL}};
  freshet_http_counts counts = {0};
  freshet_http* http = serve_routes(routes, 2, 0, "", &counts);
  uint16_t port = freshet_http_port(http);
  expect_refused_and_closed(port, "Content-Length: 0\r\nContent-Length: 57\r\n",
                            "more than one Content-Length");
  expect_refused_and_closed(port, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "together");
  expect_refused_and_closed(port, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "together");
  expect_refused_and_closed(port, "Transfer-Encoding: xchunked\r\n", "other than chunked");
  expect_refused_and_closed(port, "Host: other\r\nContent-Length: 5\r\n", "more than one Host");
  freshet_http_destroy(http);
}

static int ask_as(uint16_t port, const char* method, const char* host, const char* headers,
                  const char* part) {
  char text[1024];
  freshet_buffer answer = {0};
  snprintf(text, sizeof text, "%s /v1/users/u1 HTTP/1.1\r\n%s%s%sConnection: close\r\n%s\r\n", method,
           host[0] == '\0' ? "" : "Host: ", host, host[0] == '\0' ? "" : "\r\n", headers);
  int status = exchange(port, text, &answer);
  holds(&answer, part);
  freshet_buffer_free(&answer);
  return status;
}

static void test_web_pages_of_others(void** state) {
  (void)state;
  const freshet_http_route routes[] = {{"GET", "/v1/users/{id}", 0, spell, NULL},
                                       {"POST", "/v1/users/{id}", 0, spell, NULL},
                                       {"DELETE", "/v1/users/{id}", 0, spell, NULL}};
  freshet_http_counts counts = {0};
  const freshet_http_config config = {.bind = "127.0.0.1",
                                      .routes = routes,
                                      .route_count = 3,
                                      .hosts = "shop.example",
                                      .connections_max = 64,
                                      .timeout_ms = 300,
                                      .counts = &counts};
  freshet_http* http = NULL;
  assert_int_equal(freshet_http_create(&config, &http, NULL), FRESHET_OK);
  uint16_t port = freshet_http_port(http);
  static const char evil[] = "Origin: http://evil.example\r\n", mark[] = "X-Freshet: 1\r\n";
  assert_int_equal(ask_as(port, "GET", "evil.example", "", "http.hosts"), 403);
  assert_int_equal(ask_as(port, "GET", "evil.example:80", evil, "http.hosts"), 403);
  assert_int_equal(ask_as(port, "GET", "shop.example", "", "<u1>"), 200);
  assert_int_equal(ask_as(port, "GET", "127.0.0.1", evil, "<u1>"), 200);
  assert_int_equal(ask_as(port, "POST", "127.0.0.1", evil, "another origin"), 403);
  assert_int_equal(ask_as(port, "POST", "127.0.0.1", "Origin: http://127.0.0.1\r\n", "<u1>"), 200);
  assert_int_equal(ask_as(port, "DELETE", "127.0.0.1", "", "X-Freshet: 1"), 403);
  assert_int_equal(ask_as(port, "DELETE", "127.0.0.1", mark, "<u1>"), 200);
  assert_int_equal(ask_as(port, "DELETE", "evil.example", mark, "http.hosts"), 403);
  assert_int_equal(ask_as(port, "DELETE", "127.0.0.1", "Origin: http://evil.example\r\nX-Freshet: 1\r\n", ""),
                   403);
  freshet_http_destroy(http);
}

static void test_probes_under_any_name(void** state) {
  (void)state;
  fixture* f = start("");
  freshet_buffer answer = {0};
  static const struct {
    const char* path;
    int status;
  } asked[] = {{"/metrics", 200}, {"/livez", 200}, {"/readyz", 503}, {"/", 403}};
  for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
    char text[256];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: pod-7.svc\r\nConnection: close\r\n\r\n",
             asked[i].path);
    assert_int_equal(exchange(f->port, text, &answer), asked[i].status);
  }
  freshet_buffer_free(&answer);
  stop(f);
}

/* Writes a token file. path: a template of mkstemp. */
static void write_tokens(char* path, const char* text, size_t size) {
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, size), size);
  close(fd);
}

static void test_wrong_tokens_and_readers(void** state) {
  (void)state;
  char path[] = "/tmp/freshet-token-XXXXXX";
  static const char text[] = "admin all\nread some\nadmin unused\n";
  write_tokens(path, text, sizeof text - 1);
  const freshet_http_route routes[] = {{"GET", "/v1/users/{id}", 0, spell, NULL},
                                       {"DELETE", "/v1/users/{id}", 0, spell, NULL}};
  freshet_http_counts counts = {0};
  freshet_http* http = serve_routes(routes, 2, 0, path, &counts);
  uint16_t port = freshet_http_port(http);
  expect(port, "GET", "/v1/users/u1", "Authorization: Bearer some\r\n", 200, "<u1>");
  expect(port, "DELETE", "/v1/users/u1", "Authorization: Bearer some\r\n", 403, "may only read");
  expect(port, "DELETE", "/v1/users/u1", "Authorization: Bearer all\r\n", 200, "<u1>");
  assert_int_equal(ask_as(port, "GET", "any.example", "Authorization: Bearer all\r\n", "<u1>"), 200);
  freshet_buffer answer = {0};
  int refused_count = 0;
  for (int i = 0; i < 40; i++) {
    int status = ask(port, "GET", "/v1/users/u1", "Authorization: Bearer guess\r\n", &answer);
    assert_true(status == 401 || status == 429);
    refused_count += status == 429;
  }
  assert_true(refused_count >= 20); /* 10 a second may be wrong */
  expect(port, "GET", "/v1/users/u1", "Authorization: Bearer unused\r\n", 429, "wrong tokens"); /* not told */
  expect(port, "GET", "/v1/users/u1", "Authorization: Bearer all\r\n", 200, "<u1>"); /* known here */
  freshet_buffer_free(&answer);
  freshet_http_destroy(http);
  unlink(path);
}

static void test_token_lines_that_are_too_long(void** state) {
  (void)state;
  char path[] = "/tmp/freshet-token-XXXXXX", text[5000];
  memset(text, 'x', sizeof text);
  text[0] = 'a', text[1] = '\n';
  write_tokens(path, text, sizeof text);
  fixture* f = start("");
  freshet_config config = f->config;
  config.http.port = free_port();
  config.http.token_file = path;
  refused(&config, FRESHET_INVALID, "line 2");
  stop(f);
  unlink(path);
}

static void count_turn(void* context) {
  atomic_fetch_add((atomic_size_t*)context, 1);
}

static bool always(void* context) {
  (void)context;
  return true;
}

/* Takes that much time of the core. */
static void burn(void* context, const freshet_http_request* request, freshet_http_response* response) {
  const int64_t until_us = freshet_clock_use(freshet_clock_system()).cpu_us + *(const int64_t*)context;
  (void)request;
  while (freshet_clock_use(freshet_clock_system()).cpu_us < until_us) continue;
  freshet_buffer_append(&response->body, "done", 4);
}

/* Returns how long it took to ask so often, one after another, in us. */
static int64_t ask_in_turn(freshet_http* http, const char* path, int requests) {
  char text[256];
  const int client = dial(freshet_http_port(http));
  snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
  const int64_t start_us = freshet_clock_monotonic_us(freshet_clock_system());
  for (int i = 0; i < requests; i++) {
    char piece[4096] = "";
    send_all(client, text, strlen(text));
    assert_true(recv(client, piece, sizeof piece - 1, 0) > 0);
    assert_non_null(strstr(piece, "200 OK"));
  }
  close(client);
  return freshet_clock_monotonic_us(freshet_clock_system()) - start_us;
}

/* While others need the cores, turns are rare, however fast requests come, and take two thirds of a core. */
static void test_it_gives_way(void** state) {
  (void)state;
  enum { REQUESTS = 100, SPACING_US = 500, SLOW = 20 };
  static const int64_t burn_us = 2000;
  atomic_size_t turns = 0;
  const freshet_http_route routes[] = {{"GET", "/v1/users/{id}", 0, spell, NULL},
                                       {"GET", "/slow", 0, burn, (void*)&burn_us}};
  freshet_http_counts counts = {0};
  freshet_http_config config = {.bind = "127.0.0.1",
                                .routes = routes,
                                .route_count = 2,
                                .connections_max = 64,
                                .timeout_ms = 200,
                                .counts = &counts,
                                .after = count_turn,
                                .after_context = &turns,
                                .gives_way = always};
  freshet_http* http = NULL;
  assert_int_equal(freshet_http_create(&config, &http, NULL), FRESHET_OK);
  const int64_t took_us = ask_in_turn(http, "/v1/users/u1", REQUESTS);
  assert_true((int64_t)turns <= took_us / SPACING_US + 3);
  assert_true(ask_in_turn(http, "/slow", SLOW) >= (SLOW - 1) * burn_us * 3 / 2);
  freshet_http_destroy(http);
}

static void test_tokens_are_read_again(void** state) {
  (void)state;
  char path[] = "/tmp/freshet-token-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, "old\n", 4), 4);
  const freshet_http_route routes[] = {{"GET", "/v1/users/{id}", 0, spell, NULL}};
  freshet_http_counts counts = {0};
  freshet_http* http = serve_routes(routes, 1, 0, path, &counts);
  uint16_t port = freshet_http_port(http);
  expect(port, "GET", "/v1/users/u1", "Authorization: Bearer old\r\n", 200, "<u1>");
  assert_int_equal(ftruncate(fd, 0), 0); /* somebody writes just now: what was read holds */
  usleep(1100000);
  expect(port, "GET", "/v1/users/u1", "Authorization: Bearer old\r\n", 200, "<u1>");
  assert_int_equal(pwrite(fd, "newer\n", 6, 0), 6);
  usleep(1100000);
  expect(port, "GET", "/v1/users/u1", "Authorization: Bearer newer\r\n", 200, "<u1>");
  expect(port, "GET", "/v1/users/u1", "Authorization: Bearer old\r\n", 401, "");
  freshet_http_destroy(http);
  close(fd);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_life_and_readiness),
      cmocka_unit_test(test_metrics),
      cmocka_unit_test(test_metrics_are_in_the_reference),
      cmocka_unit_test(test_paths_and_methods),
      cmocka_unit_test(test_a_token_is_asked_for),
      cmocka_unit_test(test_what_cannot_start),
      cmocka_unit_test(test_bounds_and_rude_clients),
      cmocka_unit_test(test_deferred_answers),
      cmocka_unit_test(test_requests_are_answered_together),
      cmocka_unit_test(test_it_gives_way),
      cmocka_unit_test(test_patterns),
      cmocka_unit_test(test_too_many_requests),
      cmocka_unit_test(test_tokens_are_read_again),
      cmocka_unit_test(test_ambiguous_requests),
      cmocka_unit_test(test_web_pages_of_others),
      cmocka_unit_test(test_probes_under_any_name),
      cmocka_unit_test(test_wrong_tokens_and_readers),
      cmocka_unit_test(test_token_lines_that_are_too_long),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
