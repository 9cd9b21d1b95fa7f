/*
 * registry_client.c: see registry_client.h. A proxy in front of a registry answers too: what has no JSON of a registry
 * in it is no answer.
 */
#include "codec/registry_client.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { URLS_MAX = 8, ANSWER_MAX = 4 << 20 /* bytes */, ADDRESS_SIZE = 4096 };

struct freshet_registry_client {
  char *urls[URLS_MAX], *user, *ca;
  size_t url_count, url; /* url: the one that has answered last */
  struct curl_slist* headers;
  CURL* easy;
  CURLM* multi; /* so that a question can be interrupted */
  _Atomic bool stopping;
};

/* ---- one question ---- */

static size_t take_bytes(char* bytes, size_t one, size_t count, void* context) {
  freshet_buffer* answer = context;
  if (answer->size + one * count > ANSWER_MAX) return 0;
  freshet_buffer_append(answer, bytes, one * count);
  return one * count;
}

static CURLcode transfer(freshet_registry_client* client) {
  int running = 1, left;
  CURLcode code = CURLE_ABORTED_BY_CALLBACK;
  curl_multi_add_handle(client->multi, client->easy);
  while (running > 0 && !client->stopping) {
    if (curl_multi_perform(client->multi, &running) != CURLM_OK) break;
    if (running > 0) curl_multi_poll(client->multi, NULL, 0, 1000, NULL);
  }
  const CURLMsg* message = curl_multi_info_read(client->multi, &left);
  if (message != NULL && message->msg == CURLMSG_DONE) code = message->data.result;
  curl_multi_remove_handle(client->multi, client->easy);
  return code;
}

/* A registry gives refusals a code of its own: a proxy in front of it has none. */
static bool is_answer(const freshet_registry_answer* answer) {
  if (answer->json == NULL) return false;
  return answer->status == 200 || (answer->status >= 400 && answer->status < 500 && answer->error_code != 0);
}

static bool ask_url(freshet_registry_client* client, const char* url, const char* path, const char* body,
                    freshet_registry_answer* answer, char why[FRESHET_REGISTRY_WHY_SIZE]) {
  char address[ADDRESS_SIZE];
  freshet_buffer bytes = {0};
  CURL* easy = client->easy;
  *answer = (freshet_registry_answer){0};
  snprintf(address, sizeof address, "%s%s", url, path);
  curl_easy_setopt(easy, CURLOPT_URL, address);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &bytes);
  curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
  if (body != NULL) curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
  CURLcode code = transfer(client);
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer->status);
  freshet_buffer_append(&bytes, "", 1);
  const char* text = (const char*)bytes.data;
  if (code == CURLE_OK) answer->json = json_loadb(text, bytes.size - 1, JSON_DECODE_ANY, NULL);
  answer->error_code = json_integer_value(json_object_get(answer->json, "error_code"));
  bool fine = is_answer(answer);
  if (code != CURLE_OK) {
    snprintf(why, FRESHET_REGISTRY_WHY_SIZE, "%.120s: %s", url, curl_easy_strerror(code));
  } else if (!fine) {
    snprintf(why, FRESHET_REGISTRY_WHY_SIZE, "%.120s: HTTP %ld: %.80s", url, answer->status, text);
    json_decref(answer->json);
    answer->json = NULL;
  }
  freshet_buffer_free(&bytes);
  return fine;
}

bool freshet_registry_client_ask(freshet_registry_client* client, const char* path, const char* body,
                                 freshet_registry_answer* answer, char why[FRESHET_REGISTRY_WHY_SIZE]) {
  bool answered = false;
  for (size_t i = 0; i < client->url_count && !answered && !client->stopping; i++) {
    size_t url = (client->url + i) % client->url_count;
    answered = ask_url(client, client->urls[url], path, body, answer, why);
    if (answered) client->url = url;
  }
  return answered;
}

void freshet_registry_subject_path(const char* subject, char* path, size_t size) {
  char* escaped = curl_easy_escape(NULL, subject, 0);
  snprintf(path, size, "/subjects/%s", escaped == NULL ? "" : escaped);
  curl_free(escaped);
}

/* ---- life ---- */

static char* copy(const char* text) {
  if (text == NULL || text[0] == '\0') return NULL;
  char* copied = strdup(text);
  FRESHET_ASSERT(copied != NULL);
  return copied;
}

static freshet_status read_urls(freshet_registry_client* client, const char* urls, freshet_error* error) {
  static const char blanks[] = " \t,";
  for (const char* at = urls + strspn(urls, blanks); *at != '\0'; at += strspn(at, blanks)) {
    size_t size = strcspn(at, blanks);
    if (client->url_count == URLS_MAX)
      return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "registry.url: at most %d URLs",
                               URLS_MAX);
    if (strncmp(at, "http://", 7) != 0 && strncmp(at, "https://", 8) != 0)
      return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                               "registry.url: '%.*s' is no http or https URL", (int)size, at);
    char* url = strndup(at, size);
    FRESHET_ASSERT(url != NULL);
    while (size > 0 && url[size - 1] == '/') url[--size] = '\0';
    client->urls[client->url_count++] = url;
    at += strcspn(at, blanks);
  }
  if (client->url_count > 0) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "registry.url holds no URL");
}

static void set_up(freshet_registry_client* client, const freshet_registry_config* config) {
  CURL* easy = client->easy = curl_easy_init();
  client->multi = curl_multi_init();
  FRESHET_ASSERT(easy != NULL && client->multi != NULL);
  client->headers =
      curl_slist_append(NULL, "Accept: application/vnd.schemaregistry.v1+json, application/json");
  client->headers =
      curl_slist_append(client->headers, "Content-Type: application/vnd.schemaregistry.v1+json");
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, client->headers);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)config->timeout_ms);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
  if (client->user != NULL) {
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(easy, CURLOPT_USERPWD, client->user);
  }
  if (config->token != NULL && config->token[0] != '\0') {
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, config->token);
  }
  if (client->ca != NULL) curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca);
}

freshet_status freshet_registry_client_create(const freshet_registry_config* config,
                                              freshet_registry_client** out, freshet_error* error) {
  freshet_registry_client* client = calloc(1, sizeof *client);
  FRESHET_ASSERT(client != NULL);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  client->user = copy(config->user);
  client->ca = copy(config->ca);
  freshet_status status = read_urls(client, config->urls, error);
  if (status == FRESHET_OK) {
    set_up(client, config);
    *out = client;
  } else {
    freshet_registry_client_destroy(client);
  }
  return status;
}

void freshet_registry_client_stop(freshet_registry_client* client) {
  client->stopping = true;
  curl_multi_wakeup(client->multi);
}

void freshet_registry_client_destroy(freshet_registry_client* client) {
  if (client == NULL) return;
  for (size_t i = 0; i < client->url_count; i++) free(client->urls[i]);
  curl_easy_cleanup(client->easy);
  curl_multi_cleanup(client->multi);
  curl_slist_free_all(client->headers);
  curl_global_cleanup();
  free(client->user);
  free(client->ca);
  free(client);
}
