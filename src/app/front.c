/*
 * front.c: opens the HTTP port and connects it with an engine: titles from its store, addresses of other
 * instances from its group, questions for its worker. It owns the server, its routes and the inbox. It must
 * not read the state of the worker: metrics and answers are all that it sees.
 */
#include "app/front.h"

#include <string.h>

enum {
  QUESTIONS_MAX = 1024, /* that wait for their answer */
  WAIT_PARTS = 2,       /* nobody is let in behind a question that has waited one part of http.timeout_ms */
  ROUTES_MAX = 32,      /* of the API and of pages */
};

static bool find_title(void* context, freshet_slice item_id, freshet_buffer* title) {
  return freshet_engine_title(context, item_id, title);
}

static void find_owner(void* context, int32_t partition, char* url, size_t size) {
  freshet_engine_owner(context, partition, url, size);
}

static bool is_busy(void* context) {
  return freshet_inbox_is_busy(context);
}

/* Everybody who reaches the port can read all users, and erase them. */
static void warn_if_open(const freshet_config* config, const freshet_logger* logger) {
  const char* bind = config->http.bind;
  bool loopback = strncmp(bind, "127.", 4) == 0 || strcmp(bind, "::1") == 0;
  if (loopback || config->http.token_file[0] != '\0') return;
  freshet_log_fact(logger, FRESHET_WARN, "http.open_to_all",
                   "address=%s reason=\"no token is asked for, and the address is not loopback\" "
                   "do=\"set http.token_file, or http.bind = 127.0.0.1\"",
                   bind);
}

freshet_status freshet_front_open(freshet_front* front, const freshet_front_config* wanted,
                                  freshet_error* error) {
  const freshet_config* config = wanted->config;
  const freshet_logger* logger = wanted->logger;
  freshet_http_route routes[ROUTES_MAX];
  size_t count;
  front->inbox = freshet_inbox_create(QUESTIONS_MAX);
  freshet_inbox_bound_wait(front->inbox, (int64_t)config->http.timeout_ms * 1000 / WAIT_PARTS);
  front->api = freshet_api_create(&(freshet_api_config){front->inbox, config->http.advertise});
  freshet_monitor_config watched = {
      .config = config, .worker_metrics = wanted->metrics, .clock = freshet_clock_system(), .logger = logger};
  const freshet_http_route* asked = freshet_api_routes(front->api, &count);
  FRESHET_ASSERT(count + wanted->page_count <= ROUTES_MAX);
  memcpy(routes, asked, count * sizeof *asked);
  for (size_t i = 0; i < wanted->page_count; i++) routes[count + i] = wanted->pages[i];
  watched.more_routes = routes;
  watched.more_route_count = count + wanted->page_count;
  watched.after = freshet_api_ask_gathered;
  watched.after_context = front->api;
  watched.gives_way = is_busy;
  watched.gives_way_context = front->inbox;
  freshet_status status = freshet_monitor_create(&watched, &front->monitor, error);
  if (status == FRESHET_OK && front->monitor != NULL) {
    freshet_log_fact(logger, FRESHET_INFO, "http.listening", "address=%s port=%u tls=%s", config->http.bind,
                     (unsigned)freshet_monitor_port(front->monitor),
                     config->http.certificate[0] == '\0' ? "off" : "on");
    warn_if_open(config, logger);
  }
  return status;
}

void freshet_front_attach(freshet_front* front, freshet_engine* engine) {
  if (front->api == NULL) return;
  if (engine == NULL) {
    freshet_api_detach(front->api);
  } else {
    freshet_api_attach(front->api, &(freshet_api_backend){find_title, find_owner, engine});
  }
}

void freshet_front_close(freshet_front* front) {
  freshet_monitor_destroy(front->monitor);
  freshet_api_destroy(front->api);
  freshet_inbox_destroy(front->inbox);
  *front = (freshet_front){0};
}
