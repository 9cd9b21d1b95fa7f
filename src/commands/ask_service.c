/*
 * ask_service.c: see ask_service.h. It owns nothing after a call.
 * The address and the token come from the configuration, by service/http_client.h.
 */
#include "commands/ask_service.h"

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

freshet_status freshet_ask_service(const freshet_config* config, const char* url, const char* path,
                                   const char* missing, freshet_buffer* body, json_t** answer,
                                   freshet_error* error) {
  char own[URL_SIZE];
  int http_status = 0;
  freshet_error cause = {0};
  *answer = NULL;
  freshet_client_url(config, own, sizeof own);
  freshet_status status =
      freshet_client_get(config, url != NULL ? url : own, path, TIMEOUT_MS, &http_status, body, &cause);
  if (status == FRESHET_UNAVAILABLE)
    return freshet_error_set(error, status, FRESHET_STOP,
                             "%s: start the service with `freshet run -c FILE`, or name it with --url",
                             cause.message);
  if (status != FRESHET_OK) return freshet_error_set(error, status, FRESHET_STOP, "%s", cause.message);
  *answer = json_loadb(body->size == 0 ? "" : (const char*)body->data, body->size, 0, NULL);
  status = judge(http_status, *answer, missing, error);
  if (status == FRESHET_OK) return FRESHET_OK;
  json_decref(*answer);
  *answer = NULL;
  return status;
}
