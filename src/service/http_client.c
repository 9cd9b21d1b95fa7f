/*
 * http_client.c: one GET or POST of a command to a service, by libcurl, with bounds on time and size. It
 * owns nothing between two calls.
 */
#include "service/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "service/http_tokens.h"

enum { TOKEN_SIZE = 4096, REDIRECTS_MAX = 3, BODY_MAX = 64 * 1024 * 1024 };

void freshet_client_url(const freshet_config* config, char* url, size_t size) {
  const char* bind = config->http.bind;
  if (strcmp(bind, "0.0.0.0") == 0) bind = "127.0.0.1";
  if (strcmp(bind, "::") == 0) bind = "::1";
  bool v6 = strchr(bind, ':') != NULL;
  const char* scheme = config->http.certificate[0] == '\0' ? "http" : "https";
  snprintf(url, size, "%s://%s%s%s:%d", scheme, v6 ? "[" : "", bind, v6 ? "]" : "", (int)config->http.port);
}

void freshet_client_escape(freshet_slice text, freshet_buffer* out) {
  for (size_t i = 0; i < text.size; i++) {
    char c = text.data[i], escape[4];
    bool stays = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 (c != '\0' && strchr("-._~", c) != NULL);
    if (stays) {
      freshet_buffer_append(out, &c, 1);
    } else {
      snprintf(escape, sizeof escape, "%%%02X", (unsigned char)c);
      freshet_buffer_append(out, escape, 3);
    }
  }
}

static freshet_status read_token(const freshet_config* config, char token[TOKEN_SIZE], freshet_error* error) {
  token[0] = '\0';
  const char* path = config->http.token_file;
  if (path[0] == '\0') return FRESHET_OK;
  FILE* file = fopen(path, "re");
  if (file == NULL)
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "http.token_file: cannot read %s: %s", path,
                             strerror(errno));
  char line[TOKEN_SIZE];
  const char* found = NULL;
  bool may_change;
  while (found == NULL && fgets(line, sizeof line, file) != NULL)
    found = freshet_http_tokens_parse(line, &may_change);
  snprintf(token, TOKEN_SIZE, "%s", found == NULL ? "" : found);
  fclose(file);
  return FRESHET_OK;
}

static size_t take(char* data, size_t size, size_t count, void* context) {
  freshet_buffer* body = context;
  if (body->size + size * count > BODY_MAX) return 0;
  freshet_buffer_append(body, data, size * count);
  return size * count;
}

/* The token goes along to the instance that we are sent to: those of an application share their tokens. */
static void set_options(CURL* easy, const char* address, const char* token, int timeout_ms, char* message,
                        freshet_buffer* body) {
  curl_easy_setopt(easy, CURLOPT_URL, address);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
  if (token[0] == '\0') return;
  curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
  curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, token);
  curl_easy_setopt(easy, CURLOPT_UNRESTRICTED_AUTH, 1L);
}

/* Our own service on this machine proves itself by the certificate in the configuration, whatever name is in it. */
static void trust_own(CURL* easy, const freshet_config* config, const char* url) {
  char own[TOKEN_SIZE];
  freshet_client_url(config, own, sizeof own);
  if (config->http.certificate[0] == '\0' || strcmp(url, own) != 0) return;
  curl_easy_setopt(easy, CURLOPT_CAINFO, config->http.certificate);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
}

freshet_status freshet_client_get(const freshet_config* config, const char* url, const char* path,
                                  int timeout_ms, int* http_status, freshet_buffer* body,
                                  freshet_error* error) {
  char token[TOKEN_SIZE], message[CURL_ERROR_SIZE] = "";
  freshet_buffer address = {0};
  freshet_status status = read_token(config, token, error);
  if (status != FRESHET_OK) return status;
  freshet_buffer_append(&address, url, strlen(url));
  freshet_buffer_append(&address, path, strlen(path) + 1);
  CURL* easy = curl_easy_init();
  FRESHET_ASSERT(easy != NULL);
  set_options(easy, (const char*)address.data, token, timeout_ms, message, body);
  trust_own(easy, config, url);
  CURLcode code = curl_easy_perform(easy);
  if (code == CURLE_OK) {
    long answered = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answered);
    *http_status = (int)answered;
  } else {
    status = freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "nobody answers at %s (%s)", url,
                               message[0] != '\0' ? message : curl_easy_strerror(code));
  }
  curl_easy_cleanup(easy);
  freshet_buffer_free(&address);
  return status;
}
