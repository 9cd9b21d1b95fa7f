/*
 * api.h: what clients can ask over HTTP, as openapi.json describes it:
 *
 *   GET    /v1/users/{id}/recommendations   a list for a user, now
 *   POST   /v1/recommendations              the same with a JSON body
 *   POST   /v1/batch                        several lists in one call
 *   GET    /v1/items/{id}/similar           items like one
 *   GET    /v1/items/popular                what is chosen most now
 *   GET    /v1/items/newest                 the latest first
 *   GET    /v1/items/{id}                   what is known about an item
 *   GET    /v1/weights                      what the model has learned to weigh
 *   GET    /v1/users/{id}                   what is known about a user
 *   DELETE /v1/users/{id}                   forget the user
 *   GET    /openapi.json
 *
 * A list is made on the thread of HTTP while the worker shares its state. Other questions go to the worker through its
 * inbox and are answered there. JSON and titles are made on the thread of HTTP. Who asks for a user of another instance is sent there with 307, if that instance says where it is
 * (http.advertise), and else told so with 503.
 */
#ifndef FRESHET_SERVICE_API_H
#define FRESHET_SERVICE_API_H

#include "lists/inbox.h"
#include "service/http.h"

typedef struct freshet_api_config {
  freshet_inbox* inbox;  /* outlives the api */
  const char* advertise; /* our own URL, "": none */
} freshet_api_config;

/* What the api asks of the rest of the service, once there is one. Called on the thread of HTTP. */
typedef struct freshet_api_backend {
  /* Appends the title of an item; false: there is none. */
  bool (*title)(void* context, freshet_slice item_id, freshet_buffer* title);
  /* The URL of the instance that holds a partition of `events`; "" when it is not known (yet). */
  void (*owner)(void* context, int32_t partition, char* url, size_t size);
  void* context;
} freshet_api_backend;

typedef struct freshet_api freshet_api;

freshet_api* freshet_api_create(const freshet_api_config* config);
/* After the server that has its routes. NULL is allowed. */
void freshet_api_destroy(freshet_api* api);

/* Any thread. After detach has returned the backend is not called any more. */
void freshet_api_attach(freshet_api* api, const freshet_api_backend* backend);
void freshet_api_detach(freshet_api* api);

/* [*count], for freshet_http_config. */
const freshet_http_route* freshet_api_routes(const freshet_api* api, size_t* count);
/* For freshet_http_config.after, with the api as context: asks what the handlers have gathered. Lists for several
 * users cost less together than one by one. */
void freshet_api_ask_gathered(void* context);

#endif
