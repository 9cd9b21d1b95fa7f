/*
 * ask_service.c: see ask_service.h. It owns nothing after a call.
 * The address and the token come from the configuration, by service/http_client.h.
 */
#include "commands/ask_service.h"

#include <stdio.h>

#include "commands/commands.h"
#include "service/http_client.h"

enum { TIMEOUT_MS = 10000, URL_SIZE = 1024 };

static freshet_status judge(int http_status, const json_t* answer, const char* missing,
                            freshet_error* error) {
  if (http_status == 200) return FRESHET_OK;
  if (http_status == 404 && missing != NULL)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s", missing);
  if (http_status == 401)
    return freshet_error_set(
        error, FRESHET_INVALID, FRESHET_STOP,
        "the service wants a bearer token: set http.token_file to a file with one of its");
  const char* detail = json_string_value(json_object_get(answer, "detail"));
  return freshet_error_set(error, http_status == 503 ? FRESHET_UNAVAILABLE : FRESHET_INVALID, FRESHET_STOP,
                           "the service says %d: %s", http_status,
                           detail != NULL && detail[0] != '\0' ? detail : "no more");
}

/* *answer: the caller's, to json_decref; NULL after an error and for a body that is no JSON. The body is appended. */
static freshet_status get(const freshet_question* question, const freshet_config* config,
                          freshet_buffer* body, json_t** answer, freshet_error* error) {
  char own[URL_SIZE];
  int http_status = 0;
  freshet_error cause = {0};
  freshet_client_url(config, own, sizeof own);
  freshet_status status = freshet_client_get(config, question->url != NULL ? question->url : own,
                                             question->path, TIMEOUT_MS, &http_status, body, &cause);
  if (status == FRESHET_UNAVAILABLE)
    return freshet_error_set(error, status, FRESHET_STOP,
                             "%s: start the service with `freshet run -c FILE`, or name it with --url",
                             cause.message);
  if (status != FRESHET_OK) return freshet_error_set(error, status, FRESHET_STOP, "%s", cause.message);
  *answer = json_loadb(body->size == 0 ? "" : (const char*)body->data, body->size, 0, NULL);
  return judge(http_status, *answer, question->missing, error);
}

static freshet_status ask(const freshet_question* question, const freshet_config* config,
                          freshet_error* error) {
  freshet_buffer body = {0};
  json_t* answer = NULL;
  freshet_status status = get(question, config, &body, &answer, error);
  if (status == FRESHET_OK && !json_is_array(json_object_get(answer, question->list))) {
    status = freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "the answer has no %s: is this Freshet?",
                               question->list);
  } else if (status == FRESHET_OK && question->json) {
    printf("%.*s", (int)body.size, (const char*)body.data);
  } else if (status == FRESHET_OK) {
    question->print(answer);
  }
  json_decref(answer);
  freshet_buffer_free(&body);
  return status;
}

int freshet_ask_service(const freshet_question* question, const freshet_options* options) {
  freshet_error error = {0};
  freshet_config* config = NULL;
  if (freshet_options_load(options, &config, &error) != FRESHET_OK) {
    freshet_command_failed(question->command, &error);
    return FRESHET_EXIT_USAGE;
  }
  freshet_status status = ask(question, config, &error);
  freshet_config_destroy(config);
  if (status == FRESHET_OK) return FRESHET_EXIT_OK;
  freshet_command_failed(question->command, &error);
  return status == FRESHET_UNAVAILABLE ? FRESHET_EXIT_UNAVAILABLE : FRESHET_EXIT_FAILED;
}
