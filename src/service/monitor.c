/*
 * monitor.c: the routes that watch a service: its page, its metrics, whether it lives and whether it is
 * ready. It reads metrics, which are atomics, and never the worker's state.
 */
#include "service/monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/activity.h"
#include "service/dashboard.h"
#include "service/prometheus.h"

enum { OWN_ROUTES = 4 };

struct freshet_monitor {
  freshet_monitor_config config;
  freshet_http_route* routes; /* [route_count]: ours, then the config's */
  size_t route_count;
  freshet_http_counts counts;
  freshet_http* http;
  char* hosts; /* names of this service */
};

/* http.hosts and the host that http.advertise names: other instances send clients here by it. */
static char* name_hosts(const freshet_config* config) {
  const char* hosts = config->http.hosts == NULL ? "" : config->http.hosts;
  const char* advertise = config->http.advertise == NULL ? "" : config->http.advertise;
  const char* start = strstr(advertise, "://");
  start = start == NULL ? "" : start + 3;
  char* names = NULL;
  FRESHET_ASSERT(asprintf(&names, "%s,%.*s", hosts, (int)strcspn(start, ":/"), start) >= 0);
  return names;
}

static void say(freshet_http_response* response, int status, const char* text) {
  response->status = status;
  freshet_buffer_append(&response->body, text, strlen(text));
}

/* Holds no figures of its own, so it needs no token; what it asks for does. */
static void handle_page(void* context, const freshet_http_request* request, freshet_http_response* response) {
  (void)context, (void)request;
  response->content_type = "text/html; charset=utf-8";
  freshet_buffer_append(&response->body, freshet_dashboard_page, freshet_dashboard_page_size);
}

void freshet_monitor_write_metrics(const freshet_worker_metrics* worker, const char* app_id,
                                   const freshet_http_counts* counts, freshet_buffer* out) {
  freshet_metrics_worker(out, worker);
  freshet_metrics_process(out, app_id);
  freshet_metrics_head(out, "freshet_http_requests_total", "counter", "HTTP requests by outcome.");
  freshet_metrics_sample(out, "freshet_http_requests_total", "outcome=\"answered\"",
                         (double)freshet_metric(&counts->answered));
  freshet_metrics_sample(out, "freshet_http_requests_total", "outcome=\"refused\"",
                         (double)freshet_metric(&counts->refused));
  freshet_metrics_gauge(out, "freshet_http_connections", "HTTP connections open.",
                        (double)freshet_metric(&counts->connections));
  freshet_metrics_histogram(out, "freshet_http_answer_seconds",
                            "From an HTTP request to the worker's answer to it.", &counts->deferred);
}

static void handle_metrics(void* context, const freshet_http_request* request,
                           freshet_http_response* response) {
  (void)request;
  freshet_monitor* monitor = context;
  response->content_type = "text/plain; version=0.0.4; charset=utf-8";
  freshet_monitor_write_metrics(monitor->config.worker_metrics, monitor->config.config->app.id,
                                &monitor->counts, &response->body);
  if (monitor->config.more_metrics != NULL) {
    monitor->config.more_metrics(monitor->config.more_context, &response->body);
  }
}

static void handle_livez(void* context, const freshet_http_request* request,
                         freshet_http_response* response) {
  (void)request;
  const freshet_monitor* monitor = context;
  int64_t turned_ms = (int64_t)freshet_metric(&monitor->config.worker_metrics->turned_ms);
  int64_t silent_ms = freshet_clock_monotonic_ms(monitor->config.clock) - turned_ms;
  if (turned_ms == 0) {
    say(response, 200, "starting\n"); /* loading the item tables takes what it takes */
  } else if (silent_ms < FRESHET_MONITOR_STALL_MS) {
    say(response, 200, "alive\n");
  } else {
    char text[64];
    snprintf(text, sizeof text, "the loop has not turned for %lld s\n", (long long)(silent_ms / 1000));
    say(response, 503, text);
  }
}

static void handle_readyz(void* context, const freshet_http_request* request,
                          freshet_http_response* response) {
  (void)request;
  const freshet_monitor* monitor = context;
  if (freshet_metric(&monitor->config.worker_metrics->ready) != 0) {
    say(response, 200, "ready\n");
  } else {
    char text[160];
    freshet_activity(monitor->config.worker_metrics, text, sizeof text - 1);
    say(response, 503, strcat(text, "\n"));
  }
}

freshet_status freshet_monitor_create(const freshet_monitor_config* config, freshet_monitor** monitor,
                                      freshet_error* error) {
  *monitor = NULL;
  if (config->config->http.port == 0) return FRESHET_OK;
  freshet_monitor* made = calloc(1, sizeof *made);
  FRESHET_ASSERT(made != NULL);
  made->config = *config;
  const freshet_http_route routes[OWN_ROUTES] = {
      {"GET", "/", FRESHET_HTTP_OPEN, handle_page, made},
      {"GET", "/metrics", FRESHET_HTTP_ANY_HOST, handle_metrics, made},
      {"GET", "/livez", FRESHET_HTTP_OPEN | FRESHET_HTTP_ANY_HOST, handle_livez, made},
      {"GET", "/readyz", FRESHET_HTTP_OPEN | FRESHET_HTTP_ANY_HOST, handle_readyz, made},
  };
  made->route_count = OWN_ROUTES + config->more_route_count;
  made->routes = calloc(made->route_count, sizeof *made->routes);
  FRESHET_ASSERT(made->routes != NULL);
  memcpy(made->routes, routes, sizeof routes);
  for (size_t i = 0; i < config->more_route_count; i++) made->routes[OWN_ROUTES + i] = config->more_routes[i];
  made->hosts = name_hosts(config->config);
  const freshet_http_config http = {
      .bind = config->config->http.bind,
      .port = (uint16_t)config->config->http.port,
      .token_file = config->config->http.token_file,
      .hosts = made->hosts,
      .certificate = config->config->http.certificate,
      .key = config->config->http.key,
      .routes = made->routes,
      .route_count = made->route_count,
      .connections_max = (uint32_t)config->config->http.connections,
      .timeout_ms = (uint32_t)config->config->http.timeout_ms,
      .requests_per_s = (double)config->config->http.requests_per_s,
      .after = config->after,
      .after_context = config->after_context,
      .gives_way = config->gives_way,
      .gives_way_context = config->gives_way_context,
      .counts = &made->counts,
      .logger = config->logger,
  };
  freshet_status status = freshet_http_create(&http, &made->http, error);
  if (status != FRESHET_OK) {
    free(made->routes);
    free(made->hosts);
    free(made);
    return status;
  }
  *monitor = made;
  return FRESHET_OK;
}

uint16_t freshet_monitor_port(const freshet_monitor* monitor) {
  return freshet_http_port(monitor->http);
}

void freshet_monitor_destroy(freshet_monitor* monitor) {
  if (monitor == NULL) return;
  freshet_http_destroy(monitor->http);
  free(monitor->routes);
  free(monitor->hosts);
  free(monitor);
}
