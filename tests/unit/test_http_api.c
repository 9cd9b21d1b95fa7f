/* The API over real sockets, with a worker that is made up: what is asked, what is answered, and when there
 * is nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <jansson.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/api.h"
#include "service/json_writer.h"

/* ---- a worker that answers by the name of the user ---- */

typedef struct fixture {
  freshet_inbox* inbox;
  freshet_api* api;
  freshet_http* http;
  freshet_http_counts counts;
  pthread_t worker;
  atomic_bool stopping;
  freshet_request last; /* numbers only; texts below */
  char context[64], similar_to[64];
  freshet_question_kind kind;
} fixture;

static bool is(freshet_slice text, const char* expected) {
  return freshet_slice_equal(text, freshet_slice_of(expected));
}

static void fill(freshet_answer* answer, const freshet_request* request) {
  static const freshet_reason reasons[] = {{FRESHET_REASON_TOGETHER, {"i9", 2}, 1.5f, 0},
                                           {FRESHET_REASON_CONTEXT, {NULL, 0}, -0.25f, 0},
                                           {99, {NULL, 0}, 0, 0}};
  static const freshet_recommendation items[] = {
      {.item_id = {"i1", 2}, .score = 1.25f, .reasons = reasons, .reason_count = 3, .propensity = 1},
      {.item_id = {"i\"2", 3}, .score = 1e-7f, .propensity = 0.125f}};
  answer->list = (freshet_list){.user_id = freshet_answer_copy(answer, request->user_id),
                                .version_partition = 3,
                                .version_offset = 44,
                                .generated_at_ms = 1767225600007,
                                .items = items,
                                .item_count = 2};
}

static void fill_item(freshet_answer* answer) {
  static const freshet_slice categories[] = {{"home", 4}};
  static const freshet_attribute attributes[] = {{{"price", 5}, {"9.99", 4}}};
  answer->item = (freshet_known_item){.record = {.item_id = {"i1", 2},
                                                 .title = {"Lamp", 4},
                                                 .categories = categories,
                                                 .category_count = 1,
                                                 .attributes = attributes,
                                                 .attribute_count = 1},
                                      .state = FRESHET_ITEM_EXPIRED,
                                      .gone_ms = 1767225600007,
                                      .chosen = 12,
                                      .popularity = {3, 2.5F, 1},
                                      .text_size = 80,
                                      .has_vector = true};
}

static void fill_weights(freshet_answer* answer) {
  static const freshet_weight weights[] = {{"dwell_s", "30", 1.25}, {"event", "purchase", 1.5}};
  answer->weights = weights;
  answer->weight_count = 2;
}

static freshet_answer* make_answer(fixture* f, const freshet_question* question) {
  freshet_answer* answer = freshet_answer_create();
  const freshet_request* request = &question->request;
  f->last = *request;
  f->kind = question->kind;
  snprintf(f->context, sizeof f->context, "%.*s", (int)request->context.size, request->context.data);
  if (request->context_item_count > 0)
    snprintf(f->similar_to, sizeof f->similar_to, "%.*s", (int)request->context_items[0].size,
             request->context_items[0].data);
  if (f->kind == FRESHET_ASK_ITEM && !is(request->context_items[0], "unknown")) {
    fill_item(answer);
  } else if (f->kind == FRESHET_ASK_WEIGHTS) {
    fill_weights(answer);
  } else if (is(request->user_id, "elsewhere")) {
    answer->status = FRESHET_ANSWER_ELSEWHERE;
    answer->partition = 7;
  } else if (is(request->user_id, "homeless")) {
    answer->status = FRESHET_ANSWER_ELSEWHERE;
    answer->partition = 8;
  } else if (is(request->user_id, "unknown") || f->kind == FRESHET_ASK_ITEM) {
    answer->status = FRESHET_ANSWER_NOT_FOUND;
    snprintf(answer->message, sizeof answer->message, "nobody knows");
  } else if (is(request->user_id, "odd")) {
    answer->status = FRESHET_ANSWER_INVALID;
  } else {
    fill(answer, request);
  }
  return answer;
}

static void* work(void* context) {
  fixture* f = context;
  while (!f->stopping) {
    freshet_inbox_entry* letter = freshet_inbox_take(f->inbox, false);
    if (letter == NULL) usleep(1000);
    while (letter != NULL) {
      freshet_inbox_entry* next = letter->next;
      if (!is(letter->question.request.user_id, "slow")) {
        letter->question.answered(letter->question.context, make_answer(f, &letter->question));
        freshet_inbox_entry_free(letter);
      } else {
        usleep(400000);
        freshet_inbox_entry_refuse(letter, FRESHET_ANSWER_UNAVAILABLE, "too late anyway");
      }
      letter = next;
    }
  }
  return NULL;
}

static void no_wake(void* context) {
  (void)context;
}

static bool find_title(void* context, freshet_slice item_id, freshet_buffer* title) {
  (void)context;
  if (!is(item_id, "i1")) return false;
  freshet_buffer_append(title, "First \x01 \xff", 9);
  return true;
}

static void find_owner(void* context, int32_t partition, char* url, size_t size) {
  (void)context;
  snprintf(url, size, "%s", partition == 7 ? "http://10.0.0.7:8080" : "");
}

static fixture* start(size_t capacity, bool open) {
  fixture* f = calloc(1, sizeof *f);
  f->inbox = freshet_inbox_create(capacity);
  f->api = freshet_api_create(&(freshet_api_config){f->inbox, "http://10.0.0.1:8080"});
  freshet_api_attach(f->api, &(freshet_api_backend){find_title, find_owner, f});
  freshet_http_config config = {
      .bind = "127.0.0.1", .token_file = "", .connections_max = 64, .timeout_ms = 200, .counts = &f->counts};
  config.routes = freshet_api_routes(f->api, &config.route_count);
  config.after = freshet_api_ask_gathered;
  config.after_context = f->api;
  assert_int_equal(freshet_http_create(&config, &f->http, NULL), FRESHET_OK);
  if (open) freshet_inbox_open(f->inbox, no_wake, NULL);
  assert_int_equal(pthread_create(&f->worker, NULL, work, f), 0);
  return f;
}

static void stop(fixture* f) {
  f->stopping = true;
  pthread_join(f->worker, NULL);
  freshet_inbox_shut(f->inbox);
  freshet_api_detach(f->api);
  freshet_http_destroy(f->http);
  freshet_api_destroy(f->api);
  freshet_inbox_destroy(f->inbox);
  free(f);
}

/* ---- a client ---- */

typedef struct reply {
  int status;
  char head[2048];
  json_t* body;
} reply;

/* The body has to be JSON. Its owner calls json_decref. */
static reply ask(const fixture* f, const char* method, const char* target, const char* body) {
  reply r = {0};
  char text[8192];
  freshet_buffer answer = {0};
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(freshet_http_port(f->http))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(fd, (struct sockaddr*)&address, sizeof address), 0);
  int size = snprintf(text, sizeof text,
                      "%s %s HTTP/1.1\r\nHost: localhost\r\nX-Freshet: 1\r\nConnection: "
                      "close\r\nContent-Length: %zu\r\n\r\n%s",
                      method, target, strlen(body), body);
  assert_int_equal(send(fd, text, (size_t)size, 0), size);
  ssize_t got;
  while ((got = recv(fd, text, sizeof text, 0)) > 0) freshet_buffer_append(&answer, text, (size_t)got);
  close(fd);
  freshet_buffer_append(&answer, "", 1);
  char* end = strstr((char*)answer.data, "\r\n\r\n");
  assert_non_null(end);
  *end = '\0';
  snprintf(r.head, sizeof r.head, "%s", (char*)answer.data);
  assert_int_equal(sscanf(r.head, "HTTP/1.1 %d", &r.status), 1);
  json_error_t error;
  r.body = json_loads(end + 4, 0, &error);
  if (r.body == NULL) fail_msg("%s: %s", error.text, end + 4);
  freshet_buffer_free(&answer);
  return r;
}

static void expect(const fixture* f, const char* method, const char* target, const char* body, int status,
                   const char* part) {
  reply r = ask(f, method, target, body);
  const char* detail = json_string_value(json_object_get(r.body, "detail"));
  if (r.status != status) fail_msg("%s %s: %d: %s", method, target, r.status, detail);
  if (strstr(detail == NULL ? "" : detail, part) == NULL) fail_msg("no '%s' in '%s'", part, detail);
  json_decref(r.body);
}

static const char* text_at(const json_t* object, const char* key) {
  return json_string_value(json_object_get(object, key));
}

static void test_a_list(void** state) {
  (void)state;
  fixture* f = start(16, true);
  reply r =
      ask(f, "GET", "/v1/users/u1/recommendations?k=7&context=red+lamp&diversity=0.5&explain=false", "");
  assert_int_equal(r.status, 200);
  assert_string_equal(f->context, "red lamp");
  assert_int_equal(f->last.k, 7);
  assert_true(f->last.diversity == 0.5f && !f->last.explain);
  assert_string_equal(text_at(r.body, "generated_at"), "2026-01-01T00:00:00.007Z");
  assert_string_equal(text_at(r.body, "user_id"), "u1");
  const json_t* items = json_object_get(r.body, "items");
  assert_int_equal(json_array_size(items), 2);
  const json_t* first = json_array_get(items, 0);
  assert_string_equal(text_at(first, "title"), "First \x01 \xef\xbf\xbd");
  assert_null(json_object_get(first, "propensity"));
  const json_t* reasons = json_object_get(first, "reasons");
  assert_string_equal(text_at(json_array_get(reasons, 0), "text"), "often chosen together with 'i9'");
  assert_string_equal(text_at(json_array_get(reasons, 1), "text"), "does not match 'red lamp'");
  assert_string_equal(text_at(json_array_get(reasons, 2), "kind"), "OTHER");
  const json_t* second = json_array_get(items, 1);
  assert_string_equal(text_at(second, "item_id"), "i\"2");
  assert_true(json_real_value(json_object_get(second, "score")) == 1e-7 ||
              (json_real_value(json_object_get(second, "score")) > 0.99e-7));
  assert_true(json_real_value(json_object_get(second, "propensity")) == 0.125);
  json_decref(r.body);
  stop(f);
}

static void test_other_questions(void** state) {
  (void)state;
  fixture* f = start(16, true);
  reply r = ask(f, "POST", "/v1/recommendations", "{\"user_id\":\"u1\",\"k\":3,\"context\":\"caf\\u00e9\"}");
  assert_int_equal(r.status, 200);
  assert_string_equal(f->context, "caf\xc3\xa9");
  json_decref(r.body);
  r = ask(f, "GET", "/v1/items/a%2Fb/similar?k=2", "");
  assert_int_equal(r.status, 200);
  assert_int_equal(f->kind, FRESHET_ASK_RECOMMEND);
  assert_string_equal(f->similar_to, "a/b");
  json_decref(r.body);
  assert_int_equal(f->last.kind, FRESHET_REQUEST_SIMILAR);
  assert_true(f->last.diversity == FRESHET_DIVERSITY_AS_SET);
  r = ask(f, "GET", "/v1/users/u1", "");
  assert_int_equal(r.status, 200);
  assert_int_equal(f->kind, FRESHET_ASK_USER);
  json_decref(r.body);
  r = ask(f, "DELETE", "/v1/users/u1", "");
  assert_int_equal(r.status, 200);
  assert_int_equal(f->kind, FRESHET_ASK_ERASE);
  assert_true(json_is_true(json_object_get(r.body, "erased")));
  json_decref(r.body);
  r = ask(f, "GET", "/openapi.json", "");
  assert_int_equal(r.status, 200);
  assert_non_null(json_object_get(r.body, "paths"));
  json_decref(r.body);
  stop(f);
}

static void test_lists_for_nobody(void** state) {
  (void)state;
  fixture* f = start(16, true);
  static const struct {
    const char* path;
    freshet_request_kind kind;
  } lists[] = {{"popular", FRESHET_REQUEST_POPULAR}, {"newest", FRESHET_REQUEST_NEWEST}};
  for (size_t i = 0; i < 2; i++) {
    char target[128];
    snprintf(target, sizeof target, "/v1/items/%s?category=toys&include_categories=books&k=3", lists[i].path);
    reply r = ask(f, "GET", target, "");
    assert_int_equal(r.status, 200);
    assert_null(json_object_get(r.body, "user_id"));
    json_decref(r.body);
    assert_int_equal(f->kind, FRESHET_ASK_RECOMMEND);
    assert_int_equal(f->last.kind, lists[i].kind);
    assert_int_equal(f->last.k, 3);
    assert_int_equal(f->last.include_category_count, 2);
    snprintf(target, sizeof target, "/v1/items/%s?context_items=i1", lists[i].path);
    expect(f, "GET", target, "", 400, "context_items does not go with a list of kind");
    snprintf(target, sizeof target, "/v1/items/%s?context=red", lists[i].path);
    expect(f, "GET", target, "", 400, freshet_request_kind_name(lists[i].kind));
    snprintf(target, sizeof target, "/v1/items/%s?kind=PERSONAL", lists[i].path);
    expect(f, "GET", target, "", 400, "kind is said by the path");
  }
  reply r = ask(f, "GET", "/v1/items/a/similar?context_items=b", "");
  assert_int_equal(r.status, 200);
  assert_int_equal(f->last.context_item_count, 2);
  assert_string_equal(f->similar_to, "a");
  json_decref(r.body);
  r = ask(f, "POST", "/v1/recommendations", "{\"kind\": \"SIMILAR\", \"context_items\": [\"i7\"]}");
  assert_int_equal(r.status, 200);
  assert_int_equal(f->last.kind, FRESHET_REQUEST_SIMILAR);
  json_decref(r.body);
  stop(f);
}

static void test_weights(void** state) {
  (void)state;
  fixture* f = start(16, true);
  reply r = ask(f, "GET", "/v1/weights", "");
  assert_int_equal(r.status, 200);
  assert_int_equal(f->kind, FRESHET_ASK_WEIGHTS);
  const json_t* weights = json_object_get(r.body, "weights");
  assert_int_equal(json_array_size(weights), 2);
  assert_string_equal(text_at(json_array_get(weights, 0), "part"), "dwell_s");
  assert_string_equal(text_at(json_array_get(weights, 0), "of"), "30");
  assert_true(json_real_value(json_object_get(json_array_get(weights, 0), "weight")) == 1.25);
  json_decref(r.body);
  expect(f, "GET", "/v1/weights?k=3", "", 400, "no parameters are known here");
  stop(f);
}

static void test_an_item(void** state) {
  (void)state;
  fixture* f = start(16, true);
  reply r = ask(f, "GET", "/v1/items/i1", "");
  assert_int_equal(r.status, 200);
  assert_int_equal(f->kind, FRESHET_ASK_ITEM);
  assert_string_equal(text_at(r.body, "item_id"), "i1");
  assert_string_equal(text_at(r.body, "title"), "Lamp");
  assert_string_equal(text_at(r.body, "state"), "expired");
  assert_string_equal(text_at(r.body, "not_listed_since"), "2026-01-01T00:00:00.007Z");
  assert_string_equal(json_string_value(json_array_get(json_object_get(r.body, "categories"), 0)), "home");
  const json_t* attribute = json_array_get(json_object_get(r.body, "attributes"), 0);
  assert_string_equal(text_at(attribute, "name"), "price");
  assert_string_equal(text_at(attribute, "value"), "9.99");
  assert_null(json_object_get(r.body, "created_at"));
  const json_t* popularity = json_object_get(r.body, "popularity");
  assert_true(json_real_value(json_object_get(popularity, "of_3000_events")) == 2.5);
  assert_true(json_is_true(json_object_get(r.body, "has_text_vector")));
  json_decref(r.body);
  expect(f, "GET", "/v1/items/unknown", "", 404, "nobody knows");
  expect(f, "GET", "/v1/items/i1?k=3", "", 400, "no parameters are known here");
  stop(f);
}

static void test_a_batch(void** state) {
  (void)state;
  fixture* f = start(16, true);
  reply r = ask(f, "POST", "/v1/batch",
                "{\"requests\": [{\"user_id\": \"u1\"}, {\"user_id\": \"unknown\"}, {\"user_id\": "
                "\"elsewhere\"}, {\"kind\": \"POPULAR\", \"k\": 4}]}");
  assert_int_equal(r.status, 200);
  static const int statuses[] = {200, 404, 307, 200};
  const json_t* answers = json_object_get(r.body, "answers");
  assert_int_equal(json_array_size(answers), 4);
  for (size_t i = 0; i < 4; i++) {
    const json_t* answer = json_array_get(answers, i);
    assert_int_equal(json_integer_value(json_object_get(answer, "status")), statuses[i]);
    assert_int_equal(json_object_get(answer, "list") != NULL, statuses[i] == 200);
  }
  assert_string_equal(text_at(json_object_get(json_array_get(answers, 0), "list"), "user_id"), "u1");
  assert_string_equal(text_at(json_array_get(answers, 1), "detail"), "nobody knows");
  assert_string_equal(text_at(json_array_get(answers, 2), "location"), "http://10.0.0.7:8080");
  json_decref(r.body);
  static const char* const wrong[][2] = {
      {"{\"requests\": []}", "1 to 100"},
      {"{\"requests\": [{}], \"k\": 1}", "1 to 100"},
      {"[]", "{\"requests\": [...]}"},
      {"{\"requests\": [{\"user_id\": \"u\"}, {\"k\": 0}]}", "requests[1]: k has to be"},
      {"{\"requests\": [3]}", "requests[0]: a request has to be a JSON object"},
      {"{\"requests\": [{\"kind\": \"similar\"}]}", "PERSONAL, SIMILAR, POPULAR or NEWEST"},
      {"{\"requests\": [{\"kind\": \"SIMILAR\"}]}", "requests[0]: context_items is empty"},
      {"{\"requests\": [{\"k\": 1000}, {\"k\": 1000}, {\"k\": 1000}, {\"k\": 1000}, {\"k\": 1000}, {\"k\": "
       "1}]}",
       "sum to 5001"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    expect(f, "POST", "/v1/batch", wrong[i][0], 400, wrong[i][1]);
  stop(f);
}

/* The inbox takes some of a batch: the others are refused, and the call is answered. */
static void test_a_batch_that_is_too_large_for_the_inbox(void** state) {
  (void)state;
  fixture* f = start(2, false);
  reply r = ask(f, "POST", "/v1/batch", "{\"requests\": [{\"user_id\": \"a\"}, {\"user_id\": \"b\"}]}");
  assert_int_equal(r.status, 200);
  for (size_t i = 0; i < 2; i++) {
    const json_t* answer = json_array_get(json_object_get(r.body, "answers"), i);
    assert_int_equal(json_integer_value(json_object_get(answer, "status")), 503);
  }
  json_decref(r.body);
  stop(f);
}

static void test_elsewhere_and_nowhere(void** state) {
  (void)state;
  fixture* f = start(16, true);
  reply r = ask(f, "GET", "/v1/users/elsewhere/recommendations?k=7&context=a%20b", "");
  assert_int_equal(r.status, 307);
  if (strstr(r.head,
             "Location: http://10.0.0.7:8080/v1/users/elsewhere/recommendations?k=7&context=a%20b\r\n") ==
      NULL)
    fail_msg("%s", r.head);
  json_decref(r.body);
  expect(f, "GET", "/v1/users/homeless", "", 503, "partition 8");
  expect(f, "GET", "/v1/users/unknown", "", 404, "nobody knows");
  expect(f, "GET", "/v1/users/odd", "", 400, "");
  expect(f, "GET", "/v1/users/slow", "", 503, "no answer within 200 ms");
  stop(f);
}

static void test_bad_requests(void** state) {
  (void)state;
  fixture* f = start(16, true);
  const char* list = "/v1/users/u1/recommendations";
  static const char* const cases[][2] = {
      {"?k=0", "k has to be"},
      {"?k=1001", "k has to be"},
      {"?k=x", "k has to be a number"},
      {"?k=1&k=2", "k is given twice"},
      {"?kk=1", "'kk' is not known"},
      {"?user_id=u2", "part of the path"},
      {"?diversity=nan", "diversity"},
      {"?exploration=2", "exploration"},
      {"?explain=1", "true or false"},
      {"?context=%ff", "UTF-8"},
      {"?exclude_items=", "exclude_items"},
      {"?min_age_s=-1", "min_age_s"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char target[256];
    snprintf(target, sizeof target, "%s%s", list, cases[i][0]);
    expect(f, "GET", target, "", 400, cases[i][1]);
  }
  static const char* const bodies[][2] = {
      {"", "not JSON"},
      {"[]", "object"},
      {"{\"k\":\"3\"}", "k has to be a number"},
      {"{\"k\":1.5}", "whole"},
      {"{\"x\":1}", "'x' is not known"},
      {"{\"k\":1,\"k\":2}", "duplicate"},
      {"{\"context_items\":[1]}", "array of strings"},
      {"{\"context\":\"\\u0000\"}", "not JSON"},
      {"{\"user_id\":\"a\\u0001\"}", "user_id"},
  };
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
    expect(f, "POST", "/v1/recommendations", bodies[i][0], 400, bodies[i][1]);
  expect(f, "GET", "/v1/users/a%01b", "", 400, "user_id");
  expect(f, "PUT", "/v1/users/u1", "", 405, "not with this method");
  assert_int_equal(f->last.k, 0); /* none of them reached the worker */
  stop(f);
}

static void test_without_a_worker(void** state) {
  (void)state;
  fixture* f = start(16, false);
  expect(f, "GET", "/v1/users/u1", "", 503, "starting");
  stop(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_list),
      cmocka_unit_test(test_other_questions),
      cmocka_unit_test(test_lists_for_nobody),
      cmocka_unit_test(test_an_item),
      cmocka_unit_test(test_weights),
      cmocka_unit_test(test_a_batch),
      cmocka_unit_test(test_a_batch_that_is_too_large_for_the_inbox),
      cmocka_unit_test(test_elsewhere_and_nowhere),
      cmocka_unit_test(test_bad_requests),
      cmocka_unit_test(test_without_a_worker),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
