/*
 * http_exchange.h: what the files of the HTTP server share: a request with its answer, the server, and the steps
 * between them. Private to http*.c; nobody else may know libmicrohttpd.
 *
 * Thread rule: everything here belongs to the server's thread, but for `stopping` and what the lock guards.
 */
#ifndef FRESHET_SERVICE_HTTP_EXCHANGE_H
#define FRESHET_SERVICE_HTTP_EXCHANGE_H

#include <microhttpd.h>
#include <pthread.h>

#include "service/http.h"
#include "service/http_guard.h"
#include "service/http_rate.h"
#include "service/http_tokens.h"

enum { FRESHET_HTTP_FAMILIARS = 1024 };

/* A connection. The ring is in the order in which the time for an exchange runs out. */
typedef struct freshet_http_slot {
  struct freshet_http_slot *previous, *next;
  struct MHD_Connection* connection;
  int64_t since_us;
} freshet_http_slot;

/* One request on its way in, and its answer on its way out. */
typedef struct freshet_http_exchange {
  freshet_http* http;
  struct MHD_Connection* connection;
  char* target;  /* as it came */
  char* decoded; /* what slices of the target point into */
  const freshet_http_route* route;
  freshet_slice path[FRESHET_HTTP_SEGMENTS_MAX];
  freshet_buffer body;
  freshet_http_ticket* ticket; /* the answer comes later */
  bool begun, ready;           /* ready: the response is there */
  bool suspended;              /* the connection, until then */
  bool dropping;               /* turned away; the body is not looked at */
  bool closing;                /* the connection ends with the answer: its bytes cannot be trusted */
  freshet_http_head head;
  freshet_http_response response;
} freshet_http_exchange;

struct freshet_http_ticket {
  freshet_http_ticket *previous, *next; /* while the client waits: in the order in which they were taken */
  freshet_http_ticket* next_completed;
  freshet_http* http;
  freshet_http_exchange* exchange; /* NULL: the client has been answered already */
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
  freshet_http_rate guesses;                  /* wrong tokens, of an address */
  uint64_t familiars[FRESHET_HTTP_FAMILIARS]; /* address and token that came together, by hash; 0: none */
  uint64_t seed;                              /* of the hashes */
  freshet_http_target target;                 /* of the request that is being dispatched */
  size_t body_bytes;                          /* of all requests on their way in */
  freshet_http_slot connections;              /* head of the ring */
  freshet_http_ticket tickets;                /* head of the ring of those whose client waits */
  size_t tickets_out;
  int64_t next_nice_us, next_turn_us; /* next_turn_us: while it gives way */
  pthread_t thread;
  pthread_t own; /* the same, as the thread itself knows it */
  int wake_fd;
  atomic_bool stopping;
  pthread_mutex_t lock;
  freshet_http_ticket* completed; /* under the lock; newest first */
};

/* Microseconds of a clock that never goes back. */
int64_t freshet_http_now_us(void);

/* ---- http_admit.c ---- */

/* May this request come in? Decided by its head alone; finds the exchange's route. false: the response says why not. */
bool freshet_http_admit(freshet_http_exchange* e, const char* method);
/* Bytes of the body as announced; 0: there is none, or it comes in chunks. */
uint64_t freshet_http_announced_size(const freshet_http_exchange* e);

/* ---- http_response.c ---- */

/* The presets of http.h. */
freshet_http_response freshet_http_response_new(void);
void freshet_http_response_free(freshet_http_response* response);
/* Sends the exchange's response. close: the rest of the request is not going to be read. */
enum MHD_Result freshet_http_answer(freshet_http_exchange* e, bool close);

/* ---- http_listen.c ---- */

/* Starts the daemon, which calls these with the server as context. Errors as freshet_http_create. */
typedef struct freshet_http_callbacks {
  MHD_AccessHandlerCallback take;
  void* (*begin)(void* context, const char* target, struct MHD_Connection* connection);
  MHD_RequestCompletedCallback done;
  MHD_NotifyConnectionCallback connection_changed;
} freshet_http_callbacks;
freshet_status freshet_http_listen(freshet_http* http, const freshet_http_callbacks* callbacks,
                                   freshet_error* error);

#endif
