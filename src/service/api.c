/*
 * api.c: the routes of api.h: reads a request and hands its questions to the worker. It owns the calls that are under
 * way. It must not know how lists are made, nor how answers are written (api_answers.c).
 */
#include "service/api.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>

#include "core/monotonic.h"
#include "service/api_internal.h"
#include "service/api_request.h"
#include "service/openapi.h"
#include "service/titles.h"

enum { ROUTES = 11, BATCH_PLACES_MAX = 5000, GATHERED_MAX = 64 };

struct freshet_api {
  freshet_api_config config;
  freshet_http_route routes[ROUTES];
  freshet_titles* titles;
  int64_t now_ms; /* for titles */
  freshet_buffer scratch;
  freshet_inbox_entry* gathered[GATHERED_MAX]; /* questions of this turn of the server, not asked yet */
  size_t gathered_count;
  pthread_mutex_t lock;
  freshet_api_backend backend; /* under the lock; all NULL: none */
};

/* ---- titles and owners ---- */

void freshet_api_set_time(freshet_api* api) {
  api->now_ms = freshet_monotonic_ms();
}

freshet_slice freshet_api_title(freshet_api* api, freshet_slice item_id) {
  bool known;
  const int64_t now = api->now_ms;
  freshet_slice title = freshet_titles_get(api->titles, item_id, now, &known);
  if (known) return title;
  api->scratch.size = 0;
  pthread_mutex_lock(&api->lock);
  if (api->backend.title != NULL) api->backend.title(api->backend.context, item_id, &api->scratch);
  pthread_mutex_unlock(&api->lock);
  freshet_titles_put(api->titles, item_id, freshet_buffer_slice(&api->scratch), now);
  return freshet_titles_get(api->titles, item_id, now, &known);
}

void freshet_api_owner(freshet_api* api, int32_t partition, char url[FRESHET_API_URL_SIZE]) {
  url[0] = '\0';
  pthread_mutex_lock(&api->lock);
  if (api->backend.owner != NULL)
    api->backend.owner(api->backend.context, partition, url, FRESHET_API_URL_SIZE);
  pthread_mutex_unlock(&api->lock);
  if (strcmp(url, api->config.advertise) == 0) url[0] = '\0';
}

void freshet_api_attach(freshet_api* api, const freshet_api_backend* backend) {
  pthread_mutex_lock(&api->lock);
  api->backend = *backend;
  pthread_mutex_unlock(&api->lock);
}

void freshet_api_detach(freshet_api* api) {
  freshet_api_attach(api, &(freshet_api_backend){0});
}

const char* freshet_api_own_url(const freshet_api* api) {
  return api->config.advertise;
}

/* ---- questions that go round ---- */

const char freshet_api_origin_name[] = "asked";

static bool origin_of(const freshet_http_request* http, freshet_slice* origin) {
  if (http->parameter_count == 0) return false;
  const freshet_http_parameter* last = &http->parameters[http->parameter_count - 1];
  *origin = last->value;
  return freshet_slice_equal(last->name, freshet_slice_of(freshet_api_origin_name));
}

/* Of the client: without the origin. */
static size_t parameter_count(const freshet_http_request* http) {
  freshet_slice origin;
  return http->parameter_count - (origin_of(http, &origin) ? 1 : 0);
}

/* Has the question been to all other instances? The next one would be the first. */
static bool is_last(freshet_api* api, const freshet_http_request* http) {
  char next[FRESHET_API_URL_SIZE];
  freshet_slice origin;
  if (!origin_of(http, &origin)) return false;
  freshet_api_owner(api, -1, next);
  return freshet_slice_equal(origin, freshet_slice_of(next));
}

/* ---- questions ---- */

static void finish(void* context, void* result, freshet_http_response* response) {
  freshet_api_call* call = context;
  (void)result;
  freshet_api_write(call, response);
  for (size_t i = 0; i < call->part_count; i++) {
    if (call->parts[i].answer != NULL) freshet_answer_destroy(call->parts[i].answer);
  }
  freshet_arena_free(&call->arena);
  free(call);
}

/* The last answer of a call completes it. */
static void answered(void* context, freshet_answer* answer) {
  freshet_api_part* part = context;
  freshet_api_call* call = part->call;
  part->answer = answer;
  if (atomic_fetch_sub(&call->waiting, 1) == 1) freshet_http_complete(call->ticket, NULL);
}

static freshet_slice keep(freshet_api_call* call, freshet_slice text) {
  return (freshet_slice){freshet_arena_copy(&call->arena, text.data == NULL ? "" : text.data, text.size),
                         text.size};
}

static freshet_api_call* create_call(freshet_api* api, size_t count, const freshet_http_request* http) {
  freshet_api_call* call = calloc(1, sizeof *call);
  FRESHET_ASSERT(call != NULL);
  call->api = api;
  call->parts = freshet_arena_take_zero(&call->arena, count * sizeof *call->parts);
  call->part_count = count;
  call->waiting = count;
  call->target = freshet_arena_copy(&call->arena, http->target, strlen(http->target));
  freshet_slice origin;
  call->has_origin = origin_of(http, &origin);
  return call;
}

static void put(freshet_api* api, freshet_inbox_entry* entry) {
  if (freshet_inbox_put_entry(api->config.inbox, entry)) return;
  answered(entry->question.context, NULL);
  freshet_inbox_entry_free(entry);
}

void freshet_api_ask_gathered(void* context) {
  freshet_api* api = context;
  freshet_question* questions[GATHERED_MAX];
  freshet_answer* answers[GATHERED_MAX];
  const size_t count = api->gathered_count;
  if (count == 0) return;
  for (size_t i = 0; i < count; i++) questions[i] = &api->gathered[i]->question;
  freshet_inbox_answer(api->config.inbox, questions, count, answers);
  for (size_t i = 0; i < count; i++) {
    if (answers[i] == NULL) {
      put(api, api->gathered[i]);
    } else {
      answered(questions[i]->context, answers[i]);
      freshet_inbox_entry_free(api->gathered[i]);
    }
  }
  api->gathered_count = 0;
}

static void gather(freshet_api* api, freshet_inbox_entry* entry) {
  if (api->gathered_count == GATHERED_MAX) freshet_api_ask_gathered(api);
  api->gathered[api->gathered_count++] = entry;
}

/* Asks for all parts. Those of a batch are the worker's: they may take long. After the last of them the call may be
 * gone. */
static void ask_all(freshet_api* api, freshet_question_kind kind, const freshet_request* requests,
                    size_t count, bool is_batch, const freshet_http_request* http) {
  freshet_api_call* call = create_call(api, count, http);
  call->is_batch = is_batch;
  call->ticket = freshet_http_defer(http, finish, call);
  for (size_t i = 0; i < count; i++) {
    call->parts[i] = (freshet_api_part){.call = call,
                                        .kind = kind,
                                        .user_id = keep(call, requests[i].user_id),
                                        .context = keep(call, requests[i].context)};
  }
  freshet_api_part* parts = call->parts;
  freshet_question question = {.kind = kind, .is_last = is_last(api, http), .answered = answered};
  for (size_t i = 0; i < count; i++) {
    question.request = requests[i];
    question.context = &parts[i];
    freshet_inbox_entry* entry = freshet_inbox_entry_create(&question);
    if (is_batch) put(api, entry);
    if (!is_batch) gather(api, entry);
  }
}

static void ask(freshet_api* api, freshet_question_kind kind, const freshet_request* request,
                const freshet_http_request* http) {
  ask_all(api, kind, request, 1, false, http);
}

/* Asks for a list, or refuses. */
static void ask_for_list(freshet_api* api, freshet_status status, const freshet_request* request,
                         const freshet_error* error, const freshet_http_request* http,
                         freshet_http_response* response) {
  if (status == FRESHET_OK) {
    ask(api, FRESHET_ASK_RECOMMEND, request, http);
  } else {
    freshet_http_refuse(response, 400, "%s", error->message);
  }
}

static freshet_status read_query(freshet_request_kind kind, const freshet_slice* item,
                                 const freshet_http_request* http, freshet_arena* arena,
                                 freshet_request* request, freshet_error* error) {
  return freshet_api_request_from_query(kind, item, http->parameters, parameter_count(http), arena, request,
                                        error);
}

static void handle_recommend(void* context, const freshet_http_request* http,
                             freshet_http_response* response) {
  freshet_arena arena = {0};
  freshet_request request;
  freshet_error error = {0};
  freshet_status status = read_query(FRESHET_REQUEST_PERSONAL, NULL, http, &arena, &request, &error);
  if (status == FRESHET_OK && request.user_id.size > 0) {
    status = freshet_error_set(&error, FRESHET_INVALID, FRESHET_STOP, "user_id is part of the path already");
  }
  request.user_id = http->path[0];
  if (status == FRESHET_OK) status = freshet_request_validate(&request, request.user_id, &error);
  ask_for_list(context, status, &request, &error, http, response);
  freshet_arena_free(&arena);
}

static bool is_json(freshet_slice content_type) {
  static const char json[] = "application/json";
  return content_type.size == 0 ||
         (content_type.size >= sizeof json - 1 && strncasecmp(content_type.data, json, sizeof json - 1) == 0);
}

/* False, and the response says why: this is no request with a JSON body and nothing else. */
static bool has_json_alone(const freshet_http_request* http, freshet_http_response* response) {
  if (!is_json(http->content_type)) {
    freshet_http_refuse(response, 415, "Content-Type has to be application/json");
  } else if (parameter_count(http) > 0) {
    freshet_http_refuse(response, 400, "the parameters belong into the body, not into the address");
  } else {
    return true;
  }
  return false;
}

static void handle_post(void* context, const freshet_http_request* http, freshet_http_response* response) {
  freshet_arena arena = {0};
  freshet_request request;
  freshet_error error = {0};
  if (!has_json_alone(http, response)) return;
  freshet_status status = freshet_api_request_from_json(http->body, &arena, &request, &error);
  ask_for_list(context, status, &request, &error, http, response);
  freshet_arena_free(&arena);
}

/* A list may be long, so the lists of a batch have a bound together. */
static freshet_status check_batch(const freshet_request* requests, size_t count, freshet_error* error) {
  int64_t places = 0;
  for (size_t i = 0; i < count; i++) places += requests[i].k;
  if (places <= BATCH_PLACES_MAX) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "the k of all requests sum to %lld; at most %d are allowed in one call",
                           (long long)places, BATCH_PLACES_MAX);
}

static void handle_batch(void* context, const freshet_http_request* http, freshet_http_response* response) {
  freshet_arena arena = {0};
  freshet_request* requests;
  size_t count;
  freshet_error error = {0};
  if (!has_json_alone(http, response)) return;
  freshet_status status = freshet_api_requests_from_json(http->body, &arena, &requests, &count, &error);
  if (status == FRESHET_OK) status = check_batch(requests, count, &error);
  if (status == FRESHET_OK) {
    ask_all(context, FRESHET_ASK_RECOMMEND, requests, count, true, http);
  } else {
    freshet_http_refuse(response, 400, "%s", error.message);
  }
  freshet_arena_free(&arena);
}

static void handle_list(freshet_api* api, freshet_request_kind kind, const freshet_slice* item,
                        const freshet_http_request* http, freshet_http_response* response) {
  freshet_arena arena = {0};
  freshet_request request;
  freshet_error error = {0};
  freshet_status status = read_query(kind, item, http, &arena, &request, &error);
  ask_for_list(api, status, &request, &error, http, response);
  freshet_arena_free(&arena);
}

static void handle_similar(void* context, const freshet_http_request* http, freshet_http_response* response) {
  handle_list(context, FRESHET_REQUEST_SIMILAR, &http->path[0], http, response);
}

static void handle_popular(void* context, const freshet_http_request* http, freshet_http_response* response) {
  handle_list(context, FRESHET_REQUEST_POPULAR, NULL, http, response);
}

static void handle_newest(void* context, const freshet_http_request* http, freshet_http_response* response) {
  handle_list(context, FRESHET_REQUEST_NEWEST, NULL, http, response);
}

/* Asks about the user or the item that the path names. */
static void ask_about(freshet_api* api, freshet_question_kind kind, const freshet_request* request,
                      const freshet_http_request* http, freshet_http_response* response) {
  freshet_error error = {0};
  freshet_status status = freshet_request_validate(request, request->user_id, &error);
  if (status == FRESHET_OK && parameter_count(http) > 0)
    status = freshet_error_set(&error, FRESHET_INVALID, FRESHET_STOP, "no parameters are known here");
  if (status == FRESHET_OK) ask(api, kind, request, http);
  if (status != FRESHET_OK) freshet_http_refuse(response, 400, "%s", error.message);
}

static void handle_user(void* context, const freshet_http_request* http, freshet_http_response* response) {
  const freshet_request request = {.user_id = http->path[0], .k = 1};
  ask_about(context, FRESHET_ASK_USER, &request, http, response);
}

static void handle_erase(void* context, const freshet_http_request* http, freshet_http_response* response) {
  const freshet_request request = {.user_id = http->path[0], .k = 1};
  ask_about(context, FRESHET_ASK_ERASE, &request, http, response);
}

static void handle_item(void* context, const freshet_http_request* http, freshet_http_response* response) {
  const freshet_request request = {.context_items = http->path, .context_item_count = 1, .k = 1};
  ask_about(context, FRESHET_ASK_ITEM, &request, http, response);
}

static void handle_weights(void* context, const freshet_http_request* http, freshet_http_response* response) {
  const freshet_request request = {.k = 1};
  ask_about(context, FRESHET_ASK_WEIGHTS, &request, http, response);
}

static void handle_openapi(void* context, const freshet_http_request* http, freshet_http_response* response) {
  (void)context, (void)http;
  response->content_type = "application/json";
  freshet_buffer_append(&response->body, freshet_openapi, freshet_openapi_size);
}

/* ---- life ---- */

freshet_api* freshet_api_create(const freshet_api_config* config) {
  freshet_api* api = calloc(1, sizeof *api);
  FRESHET_ASSERT(api != NULL);
  api->config = *config;
  api->titles = freshet_titles_create();
  pthread_mutex_init(&api->lock, NULL);
  const freshet_http_route routes[ROUTES] = {
      {"GET", "/v1/users/{id}/recommendations", 0, handle_recommend, api},
      {"POST", "/v1/recommendations", 0, handle_post, api},
      {"POST", "/v1/batch", 0, handle_batch, api},
      {"GET", "/v1/items/{id}/similar", 0, handle_similar, api},
      {"GET", "/v1/items/popular", 0, handle_popular, api},
      {"GET", "/v1/items/newest", 0, handle_newest, api},
      {"GET", "/v1/items/{id}", 0, handle_item, api},
      {"GET", "/v1/users/{id}", 0, handle_user, api},
      {"DELETE", "/v1/users/{id}", 0, handle_erase, api},
      {"GET", "/v1/weights", 0, handle_weights, api},
      {"GET", "/openapi.json", FRESHET_HTTP_OPEN, handle_openapi, api},
  };
  memcpy(api->routes, routes, sizeof routes);
  return api;
}

void freshet_api_destroy(freshet_api* api) {
  if (api == NULL) return;
  freshet_titles_destroy(api->titles);
  freshet_buffer_free(&api->scratch);
  pthread_mutex_destroy(&api->lock);
  free(api);
}

const freshet_http_route* freshet_api_routes(const freshet_api* api, size_t* count) {
  *count = ROUTES;
  return api->routes;
}
