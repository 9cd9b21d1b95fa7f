/*
 * api.c: The routes of api.h: reads a request, hands a question to the worker, and writes its answer as JSON. It owns the
 * questions that are under way. It must not know how lists are made.
 */
#include "service/api.h"

#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#include "service/api_request.h"
#include "service/json_writer.h"
#include "service/openapi.h"
#include "service/titles.h"
#include "stream/clock.h"

enum { ROUTES = 6, URL_SIZE = 1024, CONTEXT_SHOWN = 60 };

struct freshet_api {
  freshet_api_config config;
  freshet_http_route routes[ROUTES];
  freshet_titles* titles;
  freshet_buffer scratch;
  pthread_mutex_t lock;
  freshet_api_backend backend; /* under the lock; all NULL: none */
};

/* A question that the worker has, and what its answer needs. */
typedef struct pending {
  freshet_api* api;
  freshet_http_ticket* ticket;
  freshet_question_kind kind;
  freshet_arena arena;
  freshet_slice user_id, context; /* in the arena */
  const char* target;             /* in the arena: as the client wrote it */
} pending;

/* ---- titles and owners ---- */

static int64_t now_ms(void) {
  freshet_clock* clock = freshet_clock_system();
  return freshet_clock_monotonic_us(clock) / 1000;
}

/* Empty when there is none. Holds until the next call. */
static freshet_slice title_of(freshet_api* api, freshet_slice item_id) {
  bool known;
  int64_t now = now_ms();
  freshet_slice title = freshet_titles_get(api->titles, item_id, now, &known);
  if (known) return title;
  api->scratch.size = 0;
  pthread_mutex_lock(&api->lock);
  if (api->backend.title != NULL) api->backend.title(api->backend.context, item_id, &api->scratch);
  pthread_mutex_unlock(&api->lock);
  freshet_titles_put(api->titles, item_id, freshet_buffer_slice(&api->scratch), now);
  return freshet_titles_get(api->titles, item_id, now, &known);
}

static void owner_of(freshet_api* api, int32_t partition, char url[URL_SIZE]) {
  url[0] = '\0';
  pthread_mutex_lock(&api->lock);
  if (api->backend.owner != NULL) api->backend.owner(api->backend.context, partition, url, URL_SIZE);
  pthread_mutex_unlock(&api->lock);
}

void freshet_api_attach(freshet_api* api, const freshet_api_backend* backend) {
  pthread_mutex_lock(&api->lock);
  api->backend = *backend;
  pthread_mutex_unlock(&api->lock);
}

void freshet_api_detach(freshet_api* api) {
  freshet_api_attach(api, &(freshet_api_backend){0});
}

/* ---- answers as JSON ---- */

/* By freshet_reason_kind: the symbol of schemas/RecommendationList.avsc, and the words for people. */
static const struct {
  const char *symbol, *words;
} reasons[] = {
    [FRESHET_REASON_TASTE] = {"TASTE", "suits your taste"},
    [FRESHET_REASON_FOLLOWS] = {"FOLLOWS", "often chosen after "},
    [FRESHET_REASON_TOGETHER] = {"TOGETHER", "often chosen together with "},
    [FRESHET_REASON_TEXT] = {"TEXT", "is like "},
    [FRESHET_REASON_POPULAR] = {"POPULAR", "popular now"},
    [FRESHET_REASON_QUALITY] = {"QUALITY", "liked in general"},
    [FRESHET_REASON_OTHER] = {"OTHER", "for another reason"},
    [FRESHET_REASON_RULE] = {"RULE", "by a rule of the shop"},
    [FRESHET_REASON_CONTEXT] = {"CONTEXT", "matches "},
};
enum { REASONS = sizeof reasons / sizeof reasons[0] };

static void append(freshet_buffer* out, freshet_slice text) {
  freshet_buffer_append(out, text.data, text.size);
}

/* A prefix that ends between two code points. */
static freshet_slice shorten(freshet_slice text, size_t size) {
  if (text.size <= size) return text;
  while (size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80) size--;
  return (freshet_slice){text.data, size};
}

static void write_reason(pending* p, freshet_json* json, const freshet_reason* reason) {
  freshet_buffer words = {0};
  freshet_slice quoted = {NULL, 0};
  size_t kind = (size_t)reason->kind < REASONS ? (size_t)reason->kind : FRESHET_REASON_OTHER;
  append(&words, freshet_slice_of(reasons[kind].words));
  if (kind == FRESHET_REASON_CONTEXT) quoted = shorten(p->context, CONTEXT_SHOWN);
  if (reason->item_id.size > 0) {
    quoted = title_of(p->api, reason->item_id);
    if (quoted.size == 0) quoted = reason->item_id;
  }
  if (quoted.size > 0) {
    append(&words, freshet_slice_of("'"));
    append(&words, quoted);
    append(&words, freshet_slice_of("'"));
  }
  freshet_json_open(json, NULL, '{');
  freshet_json_text(json, "kind", freshet_slice_of(reasons[kind].symbol));
  if (reason->item_id.size > 0) freshet_json_text(json, "item_id", reason->item_id);
  freshet_json_number(json, "score", reason->score);
  freshet_json_text(json, "text", freshet_buffer_slice(&words));
  freshet_json_close(json, '}');
  freshet_buffer_free(&words);
}

static void write_item(pending* p, freshet_json* json, const freshet_recommendation* item) {
  freshet_json_open(json, NULL, '{');
  freshet_json_text(json, "item_id", item->item_id);
  freshet_json_text(json, "title", title_of(p->api, item->item_id));
  freshet_json_number(json, "score", item->score);
  if (item->propensity < 1) freshet_json_number(json, "propensity", item->propensity);
  if (item->reason_count > 0) {
    freshet_json_open(json, "reasons", '[');
    for (size_t i = 0; i < item->reason_count; i++) write_reason(p, json, &item->reasons[i]);
    freshet_json_close(json, ']');
  }
  freshet_json_close(json, '}');
}

static void write_list(pending* p, freshet_json* json, const freshet_answer* answer) {
  const freshet_list* list = &answer->list;
  freshet_json_open(json, NULL, '{');
  if (list->user_id.size > 0) freshet_json_text(json, "user_id", list->user_id);
  if (list->request_id.size > 0) freshet_json_text(json, "request_id", list->request_id);
  freshet_json_integer(json, "version_partition", list->version_partition);
  freshet_json_integer(json, "version_offset", list->version_offset);
  freshet_json_time(json, "generated_at", list->generated_at_ms);
  if (list->note.size > 0) freshet_json_text(json, "note", list->note);
  freshet_json_open(json, "items", '[');
  for (size_t i = 0; i < list->item_count; i++) write_item(p, json, &list->items[i]);
  freshet_json_close(json, ']');
  freshet_json_close(json, '}');
}

static void write_user(pending* p, freshet_json* json, const freshet_answer* answer) {
  const freshet_known_user* user = &answer->user;
  freshet_json_open(json, NULL, '{');
  freshet_json_text(json, "user_id", p->user_id);
  freshet_json_integer(json, "partition", answer->partition);
  freshet_json_integer(json, "events", user->events);
  freshet_json_integer(json, "positives", user->positives);
  freshet_json_integer(json, "seen", user->seen);
  freshet_json_integer(json, "newest_offset", user->newest_offset);
  freshet_json_time(json, "newest_at", user->newest_time_ms);
  freshet_json_integer(json, "listed_offset", user->listed_offset);
  freshet_json_open(json, "recent", '[');
  for (size_t i = 0; i < user->recent_count; i++) {
    const freshet_known_interaction* recent = &user->recent[i];
    freshet_json_open(json, NULL, '{');
    freshet_json_text(json, "item_id", recent->item_id);
    freshet_json_text(json, "title", title_of(p->api, recent->item_id));
    freshet_json_number(json, "weight", recent->weight);
    freshet_json_time(json, "at", recent->time_ms);
    freshet_json_close(json, '}');
  }
  freshet_json_close(json, ']');
  freshet_json_close(json, '}');
}

static void write_erased(pending* p, freshet_json* json) {
  freshet_json_open(json, NULL, '{');
  freshet_json_text(json, "user_id", p->user_id);
  freshet_json_bool(json, "erased", true);
  freshet_json_close(json, '}');
}

static void write_answer(pending* p, const freshet_answer* answer, freshet_http_response* response) {
  freshet_json json = {.out = &response->body};
  response->content_type = "application/json";
  if (p->kind == FRESHET_ASK_USER) {
    write_user(p, &json, answer);
  } else if (p->kind == FRESHET_ASK_ERASE) {
    write_erased(p, &json);
  } else {
    write_list(p, &json, answer);
  }
  freshet_buffer_append(&response->body, "\n", 1);
}

static void send_elsewhere(pending* p, int32_t partition, freshet_http_response* response) {
  char url[URL_SIZE];
  owner_of(p->api, partition, url);
  if (url[0] == '\0' || strcmp(url, p->api->config.advertise) == 0) {
    freshet_http_refuse(response, 503,
                        "another instance holds partition %d of this user; it is not known where to reach it "
                        "(just now, or because its http.advertise is not set)",
                        (int)partition);
    response->retry_after_s = 1;
    return;
  }
  freshet_http_refuse(response, 307, "another instance holds this user: %s", url);
  append(&response->location, freshet_slice_of(url));
  append(&response->location, freshet_slice_of(p->target));
}

static void finish(void* context, void* result, freshet_http_response* response) {
  pending* p = context;
  freshet_answer* answer = result;
  if (answer == NULL) {
    freshet_http_refuse(response, 503, "too many requests wait, or the service is starting; see /readyz");
    response->retry_after_s = 1;
  } else if (answer->status == FRESHET_ANSWER_OK) {
    write_answer(p, answer, response);
  } else if (answer->status == FRESHET_ANSWER_ELSEWHERE) {
    send_elsewhere(p, answer->partition, response);
  } else if (answer->status == FRESHET_ANSWER_NOT_FOUND) {
    freshet_http_refuse(response, 404, "%s", answer->message);
  } else if (answer->status == FRESHET_ANSWER_INVALID) {
    freshet_http_refuse(response, 400, "%s", answer->message);
  } else {
    freshet_http_refuse(response, 503, "%s", answer->message);
    response->retry_after_s = 1;
  }
  if (answer != NULL) freshet_answer_destroy(answer);
  freshet_arena_free(&p->arena);
  free(p);
}

/* ---- questions ---- */

static void answered(void* context, freshet_answer* answer) {
  freshet_http_complete(((pending*)context)->ticket, answer);
}

static freshet_slice keep(pending* p, freshet_slice text) {
  return (freshet_slice){freshet_arena_copy(&p->arena, text.data == NULL ? "" : text.data, text.size),
                         text.size};
}

static void ask(freshet_api* api, freshet_question_kind kind, const freshet_request* request,
                const freshet_http_request* http) {
  pending* p = calloc(1, sizeof *p);
  FRESHET_ASSERT(p != NULL);
  p->api = api;
  p->kind = kind;
  p->user_id = keep(p, request->user_id);
  p->context = keep(p, request->context);
  p->target = freshet_arena_copy(&p->arena, http->target, strlen(http->target));
  p->ticket = freshet_http_defer(http, finish, p);
  const freshet_question question = {.kind = kind, .request = *request, .answered = answered, .context = p};
  if (!freshet_inbox_put(api->config.inbox, &question)) freshet_http_complete(p->ticket, NULL);
}

static void handle_recommend(void* context, const freshet_http_request* http,
                             freshet_http_response* response) {
  freshet_arena arena = {0};
  freshet_request request;
  freshet_error error = {0};
  freshet_status status =
      freshet_api_request_from_query(http->parameters, http->parameter_count, &arena, &request, &error);
  if (status == FRESHET_OK && request.user_id.size > 0) {
    status = freshet_error_set(&error, FRESHET_INVALID, FRESHET_STOP, "user_id is part of the path already");
  }
  request.user_id = http->path[0];
  if (status == FRESHET_OK) status = freshet_request_validate(&request, request.user_id, &error);
  if (status == FRESHET_OK) ask(context, FRESHET_ASK_RECOMMEND, &request, http);
  if (status != FRESHET_OK) freshet_http_refuse(response, 400, "%s", error.message);
  freshet_arena_free(&arena);
}

static bool is_json(freshet_slice content_type) {
  static const char json[] = "application/json";
  return content_type.size == 0 ||
         (content_type.size >= sizeof json - 1 && strncasecmp(content_type.data, json, sizeof json - 1) == 0);
}

static void handle_post(void* context, const freshet_http_request* http, freshet_http_response* response) {
  freshet_arena arena = {0};
  freshet_request request;
  freshet_error error = {0};
  if (!is_json(http->content_type)) {
    freshet_http_refuse(response, 415, "Content-Type has to be application/json");
    return;
  }
  freshet_status status = freshet_api_request_from_json(http->body, &arena, &request, &error);
  if (status == FRESHET_OK && http->parameter_count > 0)
    status = freshet_error_set(&error, FRESHET_INVALID, FRESHET_STOP,
                               "the wishes belong into the body, not the address");
  if (status == FRESHET_OK) ask(context, FRESHET_ASK_RECOMMEND, &request, http);
  if (status != FRESHET_OK) freshet_http_refuse(response, 400, "%s", error.message);
  freshet_arena_free(&arena);
}

static void handle_similar(void* context, const freshet_http_request* http, freshet_http_response* response) {
  freshet_arena arena = {0};
  freshet_request request;
  freshet_error error = {0};
  freshet_status status =
      freshet_api_request_from_query(http->parameters, http->parameter_count, &arena, &request, &error);
  if (status == FRESHET_OK && request.context_item_count > 0) {
    status = freshet_error_set(&error, FRESHET_INVALID, FRESHET_STOP, "the item is part of the path already");
  }
  request.context_items = &http->path[0];
  request.context_item_count = 1;
  if (status == FRESHET_OK) status = freshet_request_validate(&request, request.user_id, &error);
  if (status == FRESHET_OK) ask(context, FRESHET_ASK_SIMILAR, &request, http);
  if (status != FRESHET_OK) freshet_http_refuse(response, 400, "%s", error.message);
  freshet_arena_free(&arena);
}

static void handle_user_of(freshet_api* api, freshet_question_kind kind, const freshet_http_request* http,
                           freshet_http_response* response) {
  const freshet_request request = {.user_id = http->path[0], .k = 1};
  freshet_error error = {0};
  freshet_status status = freshet_request_validate(&request, request.user_id, &error);
  if (status == FRESHET_OK && http->parameter_count > 0)
    status = freshet_error_set(&error, FRESHET_INVALID, FRESHET_STOP, "no parameters are known here");
  if (status == FRESHET_OK) ask(api, kind, &request, http);
  if (status != FRESHET_OK) freshet_http_refuse(response, 400, "%s", error.message);
}

static void handle_user(void* context, const freshet_http_request* http, freshet_http_response* response) {
  handle_user_of(context, FRESHET_ASK_USER, http, response);
}

static void handle_erase(void* context, const freshet_http_request* http, freshet_http_response* response) {
  handle_user_of(context, FRESHET_ASK_ERASE, http, response);
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
      {"GET", "/v1/items/{id}/similar", 0, handle_similar, api},
      {"GET", "/v1/users/{id}", 0, handle_user, api},
      {"DELETE", "/v1/users/{id}", 0, handle_erase, api},
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
