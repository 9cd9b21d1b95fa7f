/*
 * http.h: a small HTTP/1.1 server on a thread of its own: a table of routes, answers at once or later, and
 * bounds on everything a client can send or take up.
 *
 * Handlers run on the server's thread, one at a time: they have to be quick and must not block. What takes
 * longer is deferred: the handler takes a ticket, and whoever knows the answer completes it, from any thread.
 * What is cheaper for several requests together is deferred too, and done in config.after.
 *
 * Bounds: connections, bytes of headers, bytes of a body and of all bodies at once, seconds of silence,
 * seconds of a whole exchange (so that a byte now and then does not count as progress), ms until a deferred
 * answer, requests per second and client.
 */
#ifndef FRESHET_SERVICE_HTTP_H
#define FRESHET_SERVICE_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "freshet/bytes.h"
#include "freshet/status.h"
#include "service/http_target.h"
#include "stream/logger.h"
#include "stream/metrics.h"

enum {
  FRESHET_HTTP_HEADER_MAX = 16 * 1024, /* bytes of request line and headers */
  FRESHET_HTTP_BODY_MAX = 128 * 1024,
  FRESHET_HTTP_DROPPED_MAX = 8 * 1024 * 1024, /* a larger body that is not wanted costs the connection */
  FRESHET_HTTP_BODIES_MAX = 32 * 1024 * 1024, /* of all requests on their way in */
  FRESHET_HTTP_SILENCE_S = 10,
  FRESHET_HTTP_EXCHANGE_S = 30, /* to send a request, and again to take its answer */
};

typedef struct freshet_http_request {
  const freshet_slice* path;                /* what stands for each {...} of the route's path, decoded */
  const freshet_http_parameter* parameters; /* [parameter_count] of the query, decoded */
  size_t parameter_count;
  const char* target; /* path and query as they came */
  freshet_slice content_type;
  freshet_slice body;
  void* own;
} freshet_http_request;

typedef struct freshet_http_response {
  int status;               /* preset to 200 */
  const char* content_type; /* preset to text/plain; static */
  freshet_buffer body;      /* to be appended to; the server frees it */
  freshet_buffer location;  /* to be appended to: the Location of a redirect; the server frees it */
  int retry_after_s;        /* preset to 0: no Retry-After */
} freshet_http_response;

/* Makes the response an error as RFC 9457 describes it: {"title", "status", "detail"}. */
void freshet_http_refuse(freshet_http_response* response, int status, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

typedef enum freshet_http_access {
  FRESHET_HTTP_OPEN = 1,     /* no token is asked for, and the rate is not limited */
  FRESHET_HTTP_ANY_HOST = 2, /* whatever name the client has used for us: for probes and scrapers */
} freshet_http_access;

typedef struct freshet_http_route {
  const char* method; /* "GET" answers HEAD too */
  const char* path;   /* "/v1/users/{id}", see freshet_http_target_matches */
  unsigned access;    /* of freshet_http_access; 0: token, rate and host are checked */
  /* Fills the response, or calls freshet_http_defer. */
  void (*handle)(void* context, const freshet_http_request* request, freshet_http_response* response);
  void* context;
} freshet_http_route;

typedef struct freshet_http_ticket freshet_http_ticket;

/* In a handler, once: the response comes later. `finish` makes it, on the server's thread, from the result
 * that the ticket is completed with; it is called exactly once, also when the client has been sent a 503
 * meanwhile because timeout_ms were over: it owns result and context. Nothing of the request may be used any
 * more. */
freshet_http_ticket* freshet_http_defer(const freshet_http_request* request,
                                        void (*finish)(void* context, void* result,
                                                       freshet_http_response* response),
                                        void* context);
/* Any thread, exactly once, before the server is destroyed. */
void freshet_http_complete(freshet_http_ticket* ticket, void* result);

/* What has happened since the start; any thread may read it. */
typedef struct freshet_http_counts {
  _Atomic uint64_t answered;
  _Atomic uint64_t refused;     /* status 400 and above */
  _Atomic uint64_t connections; /* open now */
  freshet_histogram deferred;   /* from the request to its deferred answer */
} freshet_http_counts;

typedef struct freshet_http_config {
  const char* bind;        /* an IPv4 or IPv6 address */
  uint16_t port;           /* 0: any that is free */
  const char* token_file;  /* see http_tokens.h; "" or NULL: none is asked for */
  const char* hosts;       /* see http_guard.h; more names for us, where no token is asked for; may be NULL */
  const char* certificate; /* PEM file with the chain; "" or NULL: plain HTTP */
  const char* key;         /* PEM file with its private key */
  const freshet_http_route* routes; /* [route_count], borrowed while the server lives */
  size_t route_count;
  uint32_t connections_max; /* fewer if the process may not open that many files */
  uint32_t timeout_ms;      /* of a deferred answer; at most 20 s */
  double requests_per_s;    /* of one client: a token, or without tokens an address; 0: no limit */
  /* Called on the server's thread when the handlers of all requests that were there have run; may be NULL. A ticket that
   * is completed in it has cost no more than an answer at once. */
  void (*after)(void* context);
  void* after_context;
  /* Called on the server's thread: do others need the cores now? Then the server gathers requests, see http.c. NULL: never. */
  bool (*gives_way)(void* context);
  void* gives_way_context;
  freshet_http_counts* counts;  /* borrowed while the server lives */
  const freshet_logger* logger; /* may be NULL */
} freshet_http_config;

typedef struct freshet_http freshet_http;

/* Listens and starts the thread. Raises the process's soft limit of open files as far as it may. Errors,
 * verdict FRESHET_STOP: FRESHET_INVALID for the address, FRESHET_IO for the token file, FRESHET_UNAVAILABLE
 * when the port is taken. */
freshet_status freshet_http_create(const freshet_http_config* config, freshet_http** http,
                                   freshet_error* error);
/* The port it listens on. */
uint16_t freshet_http_port(const freshet_http* http);
/* Waits for the tickets that are out, then ends the thread. NULL is allowed. */
void freshet_http_destroy(freshet_http* http);

#endif
