#include "service/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/http_rate.h"
#include "service/http_tokens.h"
#include "service/json_writer.h"
#include "stream/clock.h"

enum { DETAIL_SIZE = 512, TICK_MS = 1000, FILES_RESERVED = 1024, CONNECTIONS_MIN = 16, US_PER_MS = 1000 };

/* A connection, in the order in which their time for an exchange is over. */
typedef struct slot {
  struct slot *previous, *next;
  struct MHD_Connection* connection;
  int64_t since_us;
} slot;

/* One request on its way in, and its answer on its way out. */
typedef struct exchange {
  freshet_http* http;
  struct MHD_Connection* connection;
  char* target;  /* as it came */
  char* decoded; /* what slices of the target point into */
  const freshet_http_route* route;
  freshet_slice path[FRESHET_HTTP_SEGMENTS_MAX];
  freshet_buffer body;
  freshet_http_ticket* ticket; /* the answer comes later */
  bool begun, ready;           /* ready: the response is there */
  bool dropping;               /* turned away; the body is not looked at */
  freshet_http_response response;
} exchange;

struct freshet_http_ticket {
  freshet_http_ticket *previous, *next; /* while the client waits: in the order in which they were taken */
  freshet_http_ticket* next_completed;
  freshet_http* http;
  exchange* exchange; /* NULL: the client has been answered already */
  void (*finish)(void* context, void* result, freshet_http_response* response);
  void* context;
  void* result;
  int64_t since_us;
};

struct freshet_http {
  struct MHD_Daemon* daemon;
  freshet_http_config config;
  freshet_http_tokens* tokens; /* NULL: none is asked for */
  freshet_http_rate rate;
  freshet_http_target target;  /* of the request that is being dispatched */
  size_t body_bytes;           /* of all requests on their way in */
  slot connections;            /* head of the ring */
  freshet_http_ticket tickets; /* head of the ring of those whose client waits */
  size_t tickets_out;
  pthread_t thread;
  int wake_fd;
  atomic_bool stopping;
  pthread_mutex_t lock;
  freshet_http_ticket* completed; /* under the lock; newest first */
};

static int64_t now_us(void) {
  freshet_clock* clock = freshet_clock_system();
  return freshet_clock_monotonic_us(clock);
}

/* ---- responses ---- */

static const char* title_of(int status) {
  const char* title = MHD_get_reason_phrase_for((unsigned)status);
  return title == NULL ? "Error" : title;
}

void freshet_http_refuse(freshet_http_response* response, int status, const char* format, ...) {
  char detail[DETAIL_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(detail, sizeof detail, format, arguments);
  va_end(arguments);
  response->status = status;
  response->content_type = "application/problem+json";
  response->body.size = 0;
  freshet_json json = {.out = &response->body};
  freshet_json_open(&json, NULL, '{');
  freshet_json_text(&json, "title", freshet_slice_of(title_of(status)));
  freshet_json_integer(&json, "status", status);
  freshet_json_text(&json, "detail", freshet_slice_of(detail));
  freshet_json_close(&json, '}');
  freshet_buffer_append(&response->body, "\n", 1);
}

static freshet_http_response new_response(void) {
  return (freshet_http_response){.status = MHD_HTTP_OK, .content_type = "text/plain; charset=utf-8"};
}

static void free_response(freshet_http_response* response) {
  freshet_buffer_free(&response->body);
  freshet_buffer_free(&response->location);
}

static void add_headers(struct MHD_Response* sent, freshet_http_response* response) {
  char text[16];
  MHD_add_response_header(sent, MHD_HTTP_HEADER_CONTENT_TYPE, response->content_type);
  MHD_add_response_header(sent, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  MHD_add_response_header(sent, "X-Content-Type-Options", "nosniff");
  if (response->status == MHD_HTTP_UNAUTHORIZED) {
    MHD_add_response_header(sent, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
  }
  if (response->location.size > 0) {
    freshet_buffer_append(&response->location, "", 1);
    MHD_add_response_header(sent, MHD_HTTP_HEADER_LOCATION, (const char*)response->location.data);
  }
  if (response->retry_after_s > 0) {
    snprintf(text, sizeof text, "%d", response->retry_after_s);
    MHD_add_response_header(sent, MHD_HTTP_HEADER_RETRY_AFTER, text);
  }
}

/* Sends the exchange's response. close: the rest of the request is not going to be read. */
static enum MHD_Result answer(exchange* e, bool close) {
  freshet_http_response* response = &e->response;
  freshet_http_counts* counts = e->http->config.counts;
  freshet_count(response->status < 400 ? &counts->answered : &counts->refused, 1);
  struct MHD_Response* sent =
      MHD_create_response_from_buffer(response->body.size, response->body.data, MHD_RESPMEM_MUST_FREE);
  if (sent == NULL) return MHD_NO; /* closes the connection */
  response->body = (freshet_buffer){0};
  add_headers(sent, response);
  if (close) MHD_add_response_header(sent, MHD_HTTP_HEADER_CONNECTION, "close");
  enum MHD_Result result = MHD_queue_response(e->connection, (unsigned)response->status, sent);
  MHD_destroy_response(sent);
  return result;
}

/* ---- connections ---- */

static void unlink_connection(slot* l) {
  l->previous->next = l->next;
  l->next->previous = l->previous;
}

static void append_connection(freshet_http* http, slot* l) {
  l->since_us = now_us();
  l->previous = http->connections.previous;
  l->next = &http->connections;
  l->previous->next = l->next->previous = l;
}

static void connection_changed(void* context, struct MHD_Connection* connection, void** own,
                               enum MHD_ConnectionNotificationCode code) {
  freshet_http* http = context;
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    slot* l = calloc(1, sizeof *l);
    FRESHET_ASSERT(l != NULL);
    l->connection = connection;
    append_connection(http, l);
    *own = l;
    freshet_count(&http->config.counts->connections, 1);
  } else if (*own != NULL) {
    unlink_connection(*own);
    free(*own);
    freshet_count(&http->config.counts->connections, (uint64_t)-1);
  }
}

/* The connection has got somewhere: its time starts anew. */
static void renew(freshet_http* http, struct MHD_Connection* connection) {
  const union MHD_ConnectionInfo* info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  slot* l = info == NULL ? NULL : info->socket_context;
  if (l == NULL) return;
  unlink_connection(l);
  append_connection(http, l);
}

/* Who has sent, or taken, a byte now and then for so long is cut off; the server notices the closed socket.
 */
static void cut_off_slow(freshet_http* http, int64_t now) {
  slot* head = &http->connections;
  while (head->next != head && now - head->next->since_us > FRESHET_HTTP_EXCHANGE_S * INT64_C(1000000)) {
    struct MHD_Connection* connection = head->next->connection;
    const union MHD_ConnectionInfo* info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info != NULL) shutdown(info->connect_fd, SHUT_RDWR);
    renew(http, connection);
  }
}

/* ---- tickets ---- */

static void unlink_ticket(freshet_http_ticket* ticket) {
  ticket->previous->next = ticket->next;
  ticket->next->previous = ticket->previous;
}

freshet_http_ticket* freshet_http_defer(const freshet_http_request* request,
                                        void (*finish)(void* context, void* result,
                                                       freshet_http_response* response),
                                        void* context) {
  exchange* e = request->own;
  freshet_http* http = e->http;
  FRESHET_ASSERT(e->ticket == NULL);
  freshet_http_ticket* ticket = calloc(1, sizeof *ticket);
  FRESHET_ASSERT(ticket != NULL);
  *ticket = (freshet_http_ticket){.http = http,
                                  .exchange = e,
                                  .finish = finish,
                                  .context = context,
                                  .since_us = now_us(),
                                  .previous = http->tickets.previous,
                                  .next = &http->tickets};
  ticket->previous->next = ticket->next->previous = ticket;
  http->tickets_out++;
  e->ticket = ticket;
  return ticket;
}

static void wake(freshet_http* http) {
  uint64_t one = 1;
  FRESHET_ASSERT(write(http->wake_fd, &one, sizeof one) == (ssize_t)sizeof one);
}

void freshet_http_complete(freshet_http_ticket* ticket, void* result) {
  freshet_http* http = ticket->http;
  ticket->result = result;
  pthread_mutex_lock(&http->lock);
  bool first = http->completed == NULL;
  ticket->next_completed = http->completed;
  http->completed = ticket;
  if (first) wake(http); /* under the lock: the server is not destroyed before it has seen this ticket */
  pthread_mutex_unlock(&http->lock);
}

/* The exchange's client may go on: its response is there. */
static void release(exchange* e) {
  e->ticket = NULL;
  e->ready = true;
  MHD_resume_connection(e->connection);
}

static void finish_ticket(freshet_http_ticket* ticket) {
  freshet_http* http = ticket->http;
  freshet_http_response response = new_response();
  ticket->finish(ticket->context, ticket->result, &response);
  freshet_histogram_observe(&http->config.counts->deferred, now_us() - ticket->since_us);
  if (ticket->exchange != NULL) {
    unlink_ticket(ticket);
    ticket->exchange->response = response;
    release(ticket->exchange);
  } else {
    free_response(&response);
  }
  http->tickets_out--;
  free(ticket);
}

static freshet_http_ticket* take_completed(freshet_http* http) {
  pthread_mutex_lock(&http->lock);
  freshet_http_ticket *newest = http->completed, *oldest = NULL;
  http->completed = NULL;
  pthread_mutex_unlock(&http->lock);
  while (newest != NULL) { /* in the order in which they came */
    freshet_http_ticket* next = newest->next_completed;
    newest->next_completed = oldest;
    oldest = newest;
    newest = next;
  }
  return oldest;
}

static void finish_completed(freshet_http* http) {
  freshet_http_ticket* ticket = take_completed(http);
  while (ticket != NULL) {
    freshet_http_ticket* next = ticket->next_completed;
    finish_ticket(ticket);
    ticket = next;
  }
}

static void give_up_late(freshet_http* http, int64_t now) {
  freshet_http_ticket* head = &http->tickets;
  while (head->next != head && now - head->next->since_us > (int64_t)http->config.timeout_ms * US_PER_MS) {
    freshet_http_ticket* late = head->next;
    exchange* e = late->exchange;
    unlink_ticket(late);
    late->exchange = NULL;
    e->response = new_response();
    freshet_http_refuse(&e->response, MHD_HTTP_SERVICE_UNAVAILABLE,
                        "no answer within %u ms: the worker is busy", http->config.timeout_ms);
    e->response.retry_after_s = 1;
    release(e);
  }
}

/* ---- requests ---- */

static bool is_authorized(exchange* e, int* token) {
  static const char scheme[] = "Bearer ";
  freshet_http* http = e->http;
  if (http->tokens == NULL) return true;
  const char* header =
      MHD_lookup_connection_value(e->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
  if (header == NULL || strncasecmp(header, scheme, sizeof scheme - 1) != 0) return false;
  *token = freshet_http_tokens_find(http->tokens, freshet_slice_of(header + sizeof scheme - 1),
                                    now_us() / US_PER_MS);
  return *token != FRESHET_HTTP_NO_TOKEN;
}

/* A client is a token, or without tokens an IPv4 address or an IPv6 network. */
static bool may_come_now(exchange* e, int token) {
  freshet_http* http = e->http;
  if (token != FRESHET_HTTP_NO_TOKEN)
    return freshet_http_rate_allow(&http->rate, &token, sizeof token, now_us());
  const union MHD_ConnectionInfo* info =
      MHD_get_connection_info(e->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  if (info == NULL) return false;
  const struct sockaddr* address = info->client_addr;
  return address->sa_family == AF_INET6
             ? freshet_http_rate_allow(&http->rate, &((const struct sockaddr_in6*)address)->sin6_addr, 8,
                                       now_us())
             : freshet_http_rate_allow(&http->rate, &((const struct sockaddr_in*)address)->sin_addr, 4,
                                       now_us());
}

/* Finds the exchange's route, or makes a refusal of its response. */
static bool find_route(exchange* e, const char* method, freshet_error* error) {
  freshet_http* http = e->http;
  bool path_known = false;
  if (strcmp(method, "HEAD") == 0) method = "GET";
  if (freshet_http_target_parse(e->decoded, &http->target, error) != FRESHET_OK) {
    freshet_http_refuse(&e->response, MHD_HTTP_BAD_REQUEST, "%s", error->message);
    return false;
  }
  for (size_t i = 0; i < http->config.route_count; i++) {
    const freshet_http_route* route = &http->config.routes[i];
    if (!freshet_http_target_matches(&http->target, route->path, e->path)) continue;
    path_known = true;
    if (strcmp(route->method, method) != 0) continue;
    e->route = route;
    return true;
  }
  if (path_known) {
    freshet_http_refuse(&e->response, MHD_HTTP_METHOD_NOT_ALLOWED, "not with this method; see /openapi.json");
  } else {
    freshet_http_refuse(&e->response, MHD_HTTP_NOT_FOUND, "no such page; see /openapi.json");
  }
  return false;
}

/* 0: there is none, or it comes in chunks. */
static uint64_t announced_size(struct MHD_Connection* connection) {
  const char* length =
      MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
  return length == NULL ? 0 : strtoull(length, NULL, 10);
}

/* May this request come in? Decided by its headers. false: the response says why not. */
static bool admit(exchange* e, const char* method) {
  int token = FRESHET_HTTP_NO_TOKEN;
  freshet_error error = {0};
  if (!find_route(e, method, &error)) return false;
  if (announced_size(e->connection) > FRESHET_HTTP_BODY_MAX) {
    freshet_http_refuse(&e->response, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large: at most %d bytes",
                        FRESHET_HTTP_BODY_MAX);
  } else if (!e->route->open && !is_authorized(e, &token)) {
    freshet_http_refuse(&e->response, MHD_HTTP_UNAUTHORIZED,
                        "a bearer token is needed: Authorization: Bearer TOKEN");
  } else if (!e->route->open && !may_come_now(e, token)) {
    freshet_http_refuse(&e->response, MHD_HTTP_TOO_MANY_REQUESTS, "more than %g requests per second",
                        e->http->config.requests_per_s);
    e->response.retry_after_s = 1;
  } else {
    return true;
  }
  return false;
}

static freshet_slice header_of(struct MHD_Connection* connection, const char* name) {
  return freshet_slice_of(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name));
}

static enum MHD_Result dispatch(exchange* e) {
  freshet_http* http = e->http;
  /* Other requests may have come since this one was admitted. */
  memcpy(e->decoded, e->target, strlen(e->target) + 1);
  FRESHET_ASSERT(freshet_http_target_parse(e->decoded, &http->target, NULL) == FRESHET_OK);
  freshet_http_request given = {.path = e->path,
                                .parameters = http->target.parameters,
                                .parameter_count = http->target.parameter_count,
                                .target = e->target,
                                .content_type = header_of(e->connection, MHD_HTTP_HEADER_CONTENT_TYPE),
                                .body = freshet_buffer_slice(&e->body),
                                .own = e};
  renew(http, e->connection);
  e->route->handle(e->route->context, &given, &e->response);
  if (e->ticket == NULL) return answer(e, false);
  MHD_suspend_connection(e->connection);
  return MHD_YES;
}

static enum MHD_Result take_body(exchange* e, const char* data, size_t* size) {
  freshet_http* http = e->http;
  if (e->body.size + *size > FRESHET_HTTP_BODY_MAX || http->body_bytes + *size > FRESHET_HTTP_BODIES_MAX)
    return MHD_NO; /* closes the connection */
  freshet_buffer_append(&e->body, data, *size);
  http->body_bytes += *size;
  *size = 0;
  return MHD_YES;
}

/* Answers a request that was not admitted. Its body, if it is no giant, is read and dropped first: who is
 * still sending when the connection closes may never see why. */
static enum MHD_Result turn_away(exchange* e) {
  uint64_t size = announced_size(e->connection);
  bool chunked = header_of(e->connection, MHD_HTTP_HEADER_TRANSFER_ENCODING).size > 0;
  if (size == 0 && !chunked) return answer(e, false);
  if (size > FRESHET_HTTP_DROPPED_MAX || chunked) return answer(e, true);
  e->dropping = true;
  return MHD_YES;
}

/* MHD calls this once with the headers, then for each piece of the body, then once more with size 0, and
 * again after a connection was resumed. A body that just grows costs the connection. */
static enum MHD_Result take(void* context, struct MHD_Connection* connection, const char* path,
                            const char* method, const char* version, const char* data, size_t* size,
                            void** own) {
  (void)context, (void)connection, (void)path, (void)version;
  exchange* e = *own;
  if (e == NULL) return MHD_NO;
  if (!e->begun) {
    e->begun = true;
    return admit(e, method) ? MHD_YES : turn_away(e);
  }
  if (e->ready) return answer(e, false);
  if (*size == 0) return e->dropping ? answer(e, false) : dispatch(e);
  if (!e->dropping) return take_body(e, data, size);
  *size = 0;
  return MHD_YES;
}

/* With the first line of a request. */
static void* begin(void* context, const char* target, struct MHD_Connection* connection) {
  exchange* e = calloc(1, sizeof *e);
  FRESHET_ASSERT(e != NULL);
  e->http = context;
  e->connection = connection;
  e->target = strdup(target);
  e->decoded = strdup(target);
  FRESHET_ASSERT(e->target != NULL && e->decoded != NULL);
  e->response = new_response();
  return e;
}

static void done(void* context, struct MHD_Connection* connection, void** own,
                 enum MHD_RequestTerminationCode code) {
  (void)code;
  exchange* e = *own;
  if (e == NULL) return;
  FRESHET_ASSERT(e->ticket == NULL); /* a suspended connection does not end */
  e->http->body_bytes -= e->body.size;
  freshet_buffer_free(&e->body);
  free_response(&e->response);
  free(e->target);
  free(e->decoded);
  free(e);
  *own = NULL;
  renew(context, connection);
}

/* We decode ourselves: an id may hold an encoded slash. */
static size_t leave_encoded(void* context, struct MHD_Connection* connection, char* text) {
  (void)context, (void)connection;
  return strlen(text);
}

/* ---- the thread ---- */

static int patience_ms(freshet_http* http) {
  MHD_UNSIGNED_LONG_LONG left = 0;
  int64_t patience = TICK_MS;
  if (MHD_get_timeout(http->daemon, &left) == MHD_YES && (int64_t)left < patience) patience = (int64_t)left;
  if (http->tickets.next != &http->tickets) {
    int64_t due_us = http->tickets.next->since_us + (int64_t)http->config.timeout_ms * US_PER_MS - now_us();
    int64_t due_ms = due_us < 0 ? 0 : due_us / US_PER_MS + 1;
    if (due_ms < patience) patience = due_ms;
  }
  return (int)patience;
}

static void turn(freshet_http* http) {
  const union MHD_DaemonInfo* info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
  struct pollfd fds[] = {{.fd = info->epoll_fd, .events = POLLIN}, {.fd = http->wake_fd, .events = POLLIN}};
  poll(fds, 2, patience_ms(http));
  if (fds[1].revents != 0) {
    uint64_t count;
    FRESHET_ASSERT(read(http->wake_fd, &count, sizeof count) == (ssize_t)sizeof count);
    finish_completed(http);
  }
  int64_t now = now_us();
  give_up_late(http, now);
  cut_off_slow(http, now);
  MHD_run(http->daemon);
}

static void* serve(void* context) {
  freshet_http* http = context;
  while (!atomic_load(&http->stopping) || http->tickets_out > 0) turn(http);
  MHD_run(http->daemon); /* what has just been resumed */
  return NULL;
}

/* ---- starting ---- */

static bool parse_address(const char* text, uint16_t port, struct sockaddr_storage* out) {
  struct sockaddr_in* v4 = (struct sockaddr_in*)out;
  struct sockaddr_in6* v6 = (struct sockaddr_in6*)out;
  memset(out, 0, sizeof *out);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return true;
  }
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
}

/* How many connections the process may have, given how many files it may open. */
static unsigned connection_limit(const freshet_http_config* config) {
  struct rlimit files;
  unsigned wanted = config->connections_max;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return CONNECTIONS_MIN;
  if (files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
  }
  if (files.rlim_cur == RLIM_INFINITY || files.rlim_cur >= (rlim_t)wanted + FILES_RESERVED) return wanted;
  unsigned limit = files.rlim_cur > FILES_RESERVED + CONNECTIONS_MIN
                       ? (unsigned)files.rlim_cur - FILES_RESERVED
                       : CONNECTIONS_MIN;
  freshet_log_fact(config->logger, FRESHET_WARN, "http.fewer_connections",
                   "wanted=%u limit=%u reason=\"the process may open %llu files (ulimit -n)\"", wanted, limit,
                   (unsigned long long)files.rlim_cur);
  return limit < wanted ? limit : wanted;
}

static freshet_status listen_on(freshet_http* http, freshet_error* error) {
  const freshet_http_config* config = &http->config;
  struct sockaddr_storage address;
  if (!parse_address(config->bind, config->port, &address)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "http.bind: '%s' is no IP address",
                             config->bind);
  }
  unsigned flags =
      MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (address.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0u);
  errno = 0;
  http->daemon = MHD_start_daemon(
      flags, config->port, NULL, NULL, take, http, MHD_OPTION_SOCK_ADDR, (struct sockaddr*)&address,
      MHD_OPTION_CONNECTION_LIMIT, connection_limit(config), MHD_OPTION_CONNECTION_TIMEOUT,
      (unsigned)FRESHET_HTTP_SILENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)FRESHET_HTTP_HEADER_MAX,
      MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)SOMAXCONN, MHD_OPTION_URI_LOG_CALLBACK, begin, http,
      MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL, MHD_OPTION_NOTIFY_CONNECTION, connection_changed,
      http, MHD_OPTION_NOTIFY_COMPLETED, done, http, MHD_OPTION_END);
  if (http->daemon == NULL) {
    return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "cannot listen on %s port %u: %s",
                             config->bind, (unsigned)config->port, strerror(errno));
  }
  return FRESHET_OK;
}

static freshet_http* allocate(const freshet_http_config* config) {
  freshet_http* http = calloc(1, sizeof *http);
  uint64_t seed;
  FRESHET_ASSERT(http != NULL && getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed);
  http->config = *config;
  http->connections.next = http->connections.previous = &http->connections;
  http->tickets.next = http->tickets.previous = &http->tickets;
  freshet_http_rate_init(&http->rate, config->requests_per_s, seed);
  pthread_mutex_init(&http->lock, NULL);
  http->wake_fd = eventfd(0, EFD_CLOEXEC);
  FRESHET_ASSERT(http->wake_fd >= 0);
  return http;
}

static void release_all(freshet_http* http) {
  if (http->daemon != NULL) MHD_stop_daemon(http->daemon);
  freshet_http_tokens_destroy(http->tokens);
  pthread_mutex_destroy(&http->lock);
  close(http->wake_fd);
  free(http);
}

freshet_status freshet_http_create(const freshet_http_config* config, freshet_http** http,
                                   freshet_error* error) {
  *http = NULL;
  freshet_http* made = allocate(config);
  freshet_status status = FRESHET_OK;
  if (config->token_file != NULL && config->token_file[0] != '\0') {
    status = freshet_http_tokens_create(config->token_file, config->logger, &made->tokens, error);
  }
  if (status == FRESHET_OK) status = listen_on(made, error);
  if (status == FRESHET_OK && pthread_create(&made->thread, NULL, serve, made) != 0) {
    status = freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "cannot start the thread of HTTP");
  }
  if (status != FRESHET_OK) {
    release_all(made);
    return status;
  }
  *http = made;
  return FRESHET_OK;
}

uint16_t freshet_http_port(const freshet_http* http) {
  return MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void freshet_http_destroy(freshet_http* http) {
  if (http == NULL) return;
  atomic_store(&http->stopping, true);
  wake(http);
  pthread_join(http->thread, NULL);
  release_all(http);
}
