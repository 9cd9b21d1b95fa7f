/*
 * http.c: the server's thread: connections and the time each may take, requests as their bytes come in, tickets for
 * answers that come later. Which request may come in is decided in http_admit.c; sockets are opened in http_listen.c.
 */
#include "service/http.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "service/http_exchange.h"
#include "stream/clock.h"

enum { TICK_MS = 1000, US_PER_MS = 1000, GUESSES_PER_S = 10, NICE = 5, NS_PER_US = 1000 };

/* While the server gives way: */
enum {
  SPACING_US = 500,      /* between the starts of two turns at least */
  SPACING_PERCENT = 150, /* ... and this part of a turn's CPU time, so the thread uses two thirds of a core */
  SPACING_MOST_US = 20000,
};

int64_t freshet_http_now_us(void) {
  freshet_clock* clock = freshet_clock_system();
  return freshet_clock_monotonic_us(clock);
}

/* ---- connections ---- */

static void unlink_connection(freshet_http_slot* l) {
  l->previous->next = l->next;
  l->next->previous = l->previous;
}

static void append_connection(freshet_http* http, freshet_http_slot* l) {
  l->since_us = freshet_http_now_us();
  l->previous = http->connections.previous;
  l->next = &http->connections;
  l->previous->next = l->next->previous = l;
}

static void connection_changed(void* context, struct MHD_Connection* connection, void** own,
                               enum MHD_ConnectionNotificationCode code) {
  freshet_http* http = context;
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    freshet_http_slot* l = calloc(1, sizeof *l);
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
  freshet_http_slot* l = info == NULL ? NULL : info->socket_context;
  if (l == NULL) return;
  unlink_connection(l);
  append_connection(http, l);
}

/* Who has sent, or taken, a byte now and then for so long is cut off; the server notices the closed
 * socket. */
static void cut_off_slow(freshet_http* http, int64_t now) {
  freshet_http_slot* head = &http->connections;
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
  freshet_http_exchange* e = request->own;
  freshet_http* http = e->http;
  FRESHET_ASSERT(e->ticket == NULL);
  freshet_http_ticket* ticket = calloc(1, sizeof *ticket);
  FRESHET_ASSERT(ticket != NULL);
  *ticket = (freshet_http_ticket){.http = http,
                                  .exchange = e,
                                  .finish = finish,
                                  .context = context,
                                  .since_us = freshet_http_now_us(),
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
  /* Under the lock: the server is not destroyed before it has seen this ticket. Its own thread looks anyway. */
  if (first && !pthread_equal(pthread_self(), http->own)) wake(http);
  pthread_mutex_unlock(&http->lock);
}

/* The exchange's client may go on: its response is there. */
static void release(freshet_http_exchange* e) {
  e->ticket = NULL;
  e->ready = true;
  if (e->suspended) MHD_resume_connection(e->connection);
}

static void finish_ticket(freshet_http_ticket* ticket) {
  freshet_http* http = ticket->http;
  freshet_http_response response = freshet_http_response_new();
  ticket->finish(ticket->context, ticket->result, &response);
  freshet_histogram_observe(&http->config.counts->deferred, freshet_http_now_us() - ticket->since_us);
  if (ticket->exchange != NULL) {
    unlink_ticket(ticket);
    ticket->exchange->response = response;
    release(ticket->exchange);
  } else {
    freshet_http_response_free(&response);
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
    freshet_http_exchange* e = late->exchange;
    unlink_ticket(late);
    late->exchange = NULL;
    e->response = freshet_http_response_new();
    freshet_http_refuse(&e->response, MHD_HTTP_SERVICE_UNAVAILABLE,
                        "no answer within %u ms: the worker is busy", http->config.timeout_ms);
    e->response.retry_after_s = 1;
    release(e);
  }
}

/* ---- requests ---- */

static freshet_slice header_of(struct MHD_Connection* connection, const char* name) {
  return freshet_slice_of(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name));
}

static enum MHD_Result dispatch(freshet_http_exchange* e) {
  freshet_http* http = e->http;
  if (atomic_load(&http->stopping)) { /* nobody would complete it any more */
    freshet_http_refuse(&e->response, MHD_HTTP_SERVICE_UNAVAILABLE, "the service is stopping");
    return freshet_http_answer(e, true);
  }
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
  return e->ticket == NULL ? freshet_http_answer(e, false) : MHD_YES;
}

/* The answer has not come by the next turn. */
static enum MHD_Result suspend(freshet_http_exchange* e) {
  e->suspended = true;
  MHD_suspend_connection(e->connection);
  return MHD_YES;
}

static enum MHD_Result take_body(freshet_http_exchange* e, const char* data, size_t* size) {
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
static enum MHD_Result turn_away(freshet_http_exchange* e) {
  uint64_t size = freshet_http_announced_size(e);
  bool chunked = e->head.encoding_count > 0;
  if (e->closing) return freshet_http_answer(e, true);
  if (size == 0 && !chunked) return freshet_http_answer(e, false);
  if (size > FRESHET_HTTP_DROPPED_MAX || chunked) return freshet_http_answer(e, true);
  e->dropping = true;
  return MHD_YES;
}

/* MHD calls this once with the headers, then for each piece of the body, then once more with size 0, and then in each
 * turn until there is a response, unless the connection is suspended. A body that just grows costs the connection. */
static enum MHD_Result take(void* context, struct MHD_Connection* connection, const char* path,
                            const char* method, const char* version, const char* data, size_t* size,
                            void** own) {
  (void)context, (void)connection, (void)path, (void)version;
  freshet_http_exchange* e = *own;
  if (e == NULL) return MHD_NO;
  if (!e->begun) {
    e->begun = true;
    return freshet_http_admit(e, method) ? MHD_YES : turn_away(e);
  }
  if (e->ready) return freshet_http_answer(e, false);
  if (e->ticket != NULL) return suspend(e);
  if (*size == 0) return e->dropping ? freshet_http_answer(e, false) : dispatch(e);
  if (!e->dropping) return take_body(e, data, size);
  *size = 0;
  return MHD_YES;
}

/* With the first line of a request. */
static void* begin(void* context, const char* target, struct MHD_Connection* connection) {
  freshet_http_exchange* e = calloc(1, sizeof *e);
  FRESHET_ASSERT(e != NULL);
  e->http = context;
  e->connection = connection;
  e->target = strdup(target);
  e->decoded = strdup(target);
  FRESHET_ASSERT(e->target != NULL && e->decoded != NULL);
  e->response = freshet_http_response_new();
  return e;
}

static void done(void* context, struct MHD_Connection* connection, void** own,
                 enum MHD_RequestTerminationCode code) {
  (void)code;
  freshet_http_exchange* e = *own;
  if (e == NULL) return;
  if (e->ticket != NULL) { /* a suspended connection does not end, but this one was not suspended yet */
    unlink_ticket(e->ticket);
    e->ticket->exchange = NULL;
  }
  e->http->body_bytes -= e->body.size;
  freshet_buffer_free(&e->body);
  freshet_http_response_free(&e->response);
  free(e->target);
  free(e->decoded);
  free(e);
  *own = NULL;
  renew(context, connection);
}

/* ---- the thread ---- */

static int patience_ms(freshet_http* http) {
  MHD_UNSIGNED_LONG_LONG left = 0;
  int64_t patience = TICK_MS;
  if (MHD_get_timeout(http->daemon, &left) == MHD_YES && (int64_t)left < patience) patience = (int64_t)left;
  if (http->tickets.next != &http->tickets) {
    int64_t due_us =
        http->tickets.next->since_us + (int64_t)http->config.timeout_ms * US_PER_MS - freshet_http_now_us();
    int64_t due_ms = due_us < 0 ? 0 : due_us / US_PER_MS + 1;
    if (due_ms < patience) patience = due_ms;
  }
  return (int)patience;
}

/* Lists come first: on a busy machine the worker runs before this thread. Looks once a second, because whoever sets
 * the priority of the process sets that of all threads. */
static void yield_to_worker(freshet_http* http, int64_t now) {
  if (now < http->next_nice_us) return;
  http->next_nice_us = now + TICK_MS * US_PER_MS;
  if (getpriority(PRIO_PROCESS, 0) < NICE) setpriority(PRIO_PROCESS, 0, NICE); /* Linux: of this thread */
}

static bool gives_way(const freshet_http* http) {
  return http->config.gives_way != NULL && http->config.gives_way(http->config.gives_way_context);
}

/* A turn and an answer for each request would wake three threads for it, and a flood would leave no core idle: then every
 * step of an event on its way to a list waits for a core, in this process and in the broker beside it. */
static void await_turn(freshet_http* http) {
  if (!gives_way(http)) return;
  const int64_t left_us = http->next_turn_us - freshet_http_now_us();
  if (left_us > 0) nanosleep(&(struct timespec){.tv_nsec = left_us * NS_PER_US}, NULL);
}

static void plan_turn(freshet_http* http, int64_t began_us, int64_t cpu_us) {
  int64_t spacing_us = cpu_us * SPACING_PERCENT / 100;
  if (spacing_us < SPACING_US) spacing_us = SPACING_US;
  if (spacing_us > SPACING_MOST_US) spacing_us = SPACING_MOST_US;
  http->next_turn_us = began_us + spacing_us;
}

static void turn(freshet_http* http) {
  const union MHD_DaemonInfo* info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
  struct pollfd fds[] = {{.fd = info->epoll_fd, .events = POLLIN}, {.fd = http->wake_fd, .events = POLLIN}};
  await_turn(http); /* before the poll: what comes after the pause wakes the thread once */
  poll(fds, 2, patience_ms(http));
  freshet_clock* clock = freshet_clock_system();
  const freshet_thread_use before = freshet_clock_use(clock);
  if (fds[1].revents != 0) {
    uint64_t count;
    FRESHET_ASSERT(read(http->wake_fd, &count, sizeof count) == (ssize_t)sizeof count);
    finish_completed(http);
  }
  int64_t now = freshet_http_now_us();
  yield_to_worker(http, now);
  give_up_late(http, now);
  cut_off_slow(http, now);
  MHD_run(http->daemon);
  if (http->config.after != NULL) http->config.after(http->config.after_context);
  finish_completed(http);
  plan_turn(http, now, freshet_clock_use(clock).cpu_us - before.cpu_us);
}

static void* serve(void* context) {
  freshet_http* http = context;
  http->own = pthread_self();
  while (!atomic_load(&http->stopping) || http->tickets_out > 0) turn(http);
  MHD_run(http->daemon); /* what has just been resumed */
  return NULL;
}

/* ---- starting ---- */

static freshet_http* allocate(const freshet_http_config* config) {
  freshet_http* http = calloc(1, sizeof *http);
  uint64_t seed;
  FRESHET_ASSERT(http != NULL && getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed);
  http->config = *config;
  http->connections.next = http->connections.previous = &http->connections;
  http->tickets.next = http->tickets.previous = &http->tickets;
  http->seed = seed;
  freshet_http_rate_init(&http->rate, config->requests_per_s, seed);
  freshet_http_rate_init(&http->guesses, GUESSES_PER_S, seed);
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
  static const freshet_http_callbacks callbacks = {take, begin, done, connection_changed};
  freshet_status status = FRESHET_OK;
  if (config->token_file != NULL && config->token_file[0] != '\0') {
    status = freshet_http_tokens_create(config->token_file, config->logger, &made->tokens, error);
  }
  if (status == FRESHET_OK) status = freshet_http_listen(made, &callbacks, error);
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
