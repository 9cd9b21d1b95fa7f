/*
 * front.h: the HTTP side of a process that runs an engine: the port with its page and metrics, and the API
 * whose questions the worker answers. It opens before the engine, because loading and restoring can take a
 * while and somebody will want to watch. Used by `run` and `demo`.
 *
 * Thread rule: all functions on one thread each time, except that the engine may run on another.
 */
#ifndef FRESHET_APP_FRONT_H
#define FRESHET_APP_FRONT_H

#include "app/engine.h"
#include "service/api.h"
#include "service/monitor.h"

/* Zeroed: closed. */
typedef struct freshet_front {
  freshet_inbox* inbox; /* for the engine's configuration */
  freshet_api* api;
  freshet_monitor* monitor; /* NULL: http.port is 0 */
} freshet_front;

typedef struct freshet_front_config {
  const freshet_config* config;
  freshet_worker_metrics* metrics;
  const freshet_logger* logger;
  const freshet_http_route* pages; /* [page_count], beside those of the API, such as the manual; copied */
  size_t page_count;
} freshet_front_config;

/* Opens the port. What `wanted` points to is borrowed and outlives the front. Errors: the port is not available;
 * call freshet_front_close then, too. */
freshet_status freshet_front_open(freshet_front* front, const freshet_front_config* wanted,
                                  freshet_error* error);
/* From now on, titles and addresses of other instances come from this engine. NULL: from none; call it so
 * before the engine is destroyed. Does nothing for a closed front. */
void freshet_front_attach(freshet_front* front, freshet_engine* engine);
/* Closes the port, after the engine is gone. A closed front is allowed. */
void freshet_front_close(freshet_front* front);

#endif
