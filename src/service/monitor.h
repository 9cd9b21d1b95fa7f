/*
 * monitor.h: the HTTP port of the service, and what it tells there about itself. Routes of others may be
 * added.
 *
 *   /         a page for people, fed by /metrics
 *   /metrics  Prometheus text
 *   /livez    200 while the loop turns, 503 when it has not for FRESHET_MONITOR_STALL_MS: restart me
 *   /readyz   200 when partitions are restored and records are read, or when the group gives none; else 503 and the
 *             reason: do not rely on me yet
 */
#ifndef FRESHET_SERVICE_MONITOR_H
#define FRESHET_SERVICE_MONITOR_H

#include "service/config.h"
#include "service/http.h"
#include "stream/clock.h"
#include "stream/metrics.h"

/* Longer than a commit may take and a restore may be silent. */
enum { FRESHET_MONITOR_STALL_MS = 120000 };

typedef struct freshet_monitor_config {
  const freshet_config* config;                 /* [http] */
  const freshet_worker_metrics* worker_metrics; /* outlives the monitor */
  freshet_clock* clock;                         /* outlives the monitor */
  const freshet_logger* logger;                 /* outlives the monitor; may be NULL */
  const freshet_http_route* more_routes;        /* [more_route_count], see api.h; copied */
  size_t more_route_count;
  void (*after)(void* context); /* see freshet_http_config; NULL: nothing */
  void* after_context;
  bool (*gives_way)(void* context); /* as above */
  void* gives_way_context;
  /* Appends more metrics, on the server's thread; NULL: none. */
  void (*more_metrics)(void* context, freshet_buffer* out);
  void* more_context;
} freshet_monitor_config;

typedef struct freshet_monitor freshet_monitor;

/* Starts the server; with http.port = 0 there is none, *monitor is NULL and the status FRESHET_OK. Errors are
 * those of freshet_http_create. */
freshet_status freshet_monitor_create(const freshet_monitor_config* config, freshet_monitor** monitor,
                                      freshet_error* error);
/* Appends what /metrics prints for these figures; app_id is a label. Any thread. */
void freshet_monitor_write_metrics(const freshet_worker_metrics* worker, const char* app_id,
                                   const freshet_http_counts* counts, freshet_buffer* out);

/* The port it listens on. */
uint16_t freshet_monitor_port(const freshet_monitor* monitor);
/* NULL is allowed. */
void freshet_monitor_destroy(freshet_monitor* monitor);

#endif
