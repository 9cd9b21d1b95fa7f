/*
 * http.h: a small HTTP server on a thread of its own: a table of routes, bounds on everything a client can
 * send, an optional bearer token.
 *
 * Handlers run on the server's thread, one at a time: they have to be quick and must not block. Bounds:
 * connections, bytes of headers, bytes of body, seconds of silence.
 */
#ifndef FRESHET_SERVICE_HTTP_H
#define FRESHET_SERVICE_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "freshet/bytes.h"
#include "freshet/status.h"

enum {
  FRESHET_HTTP_CONNECTIONS_MAX = 256,
  FRESHET_HTTP_HEADER_MAX = 16 * 1024, /* bytes of request line and headers */
  FRESHET_HTTP_BODY_MAX = 64 * 1024,
  FRESHET_HTTP_TIMEOUT_S = 10,
};

typedef struct freshet_http_request {
  freshet_slice body;
  void* own;
} freshet_http_request;

/* The value of a query parameter, decoded and NUL-terminated, or NULL. Holds while the handler runs. */
const char* freshet_http_query(const freshet_http_request* request, const char* name);

typedef struct freshet_http_response {
  int status;               /* preset to 200 */
  const char* content_type; /* preset to text/plain; static */
  freshet_buffer body;      /* to be appended to; the server frees it */
} freshet_http_response;

typedef struct freshet_http_route {
  const char* method; /* "GET" answers HEAD too */
  const char* path;   /* the whole path, without a query */
  bool open;          /* true: no token is asked for */
  void (*handle)(void* context, const freshet_http_request* request, freshet_http_response* response);
  void* context;
} freshet_http_route;

/* Requests since the start. */
typedef struct freshet_http_counts {
  _Atomic uint64_t answered;
  _Atomic uint64_t refused; /* status 400 and above */
} freshet_http_counts;

typedef struct freshet_http_config {
  const char* bind;                 /* an IPv4 or IPv6 address */
  uint16_t port;                    /* 0: any that is free */
  const char* token_file;           /* its first line is the token; "" or NULL: none is asked for */
  const freshet_http_route* routes; /* [route_count], borrowed while the server lives */
  size_t route_count;
  freshet_http_counts* counts; /* borrowed while the server lives */
} freshet_http_config;

typedef struct freshet_http freshet_http;

/* Listens and starts the thread. Errors, verdict FRESHET_STOP: FRESHET_INVALID for the address, FRESHET_IO
 * for the token file, FRESHET_UNAVAILABLE when the port is taken. */
freshet_status freshet_http_create(const freshet_http_config* config, freshet_http** http,
                                   freshet_error* error);
/* The port it listens on. */
uint16_t freshet_http_port(const freshet_http* http);
/* Ends the thread. NULL is allowed. */
void freshet_http_destroy(freshet_http* http);

#endif
