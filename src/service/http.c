#include "service/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_MAX = 4096 };

struct freshet_http {
  struct MHD_Daemon* daemon;
  const freshet_http_route* routes; /* [route_count] */
  size_t route_count;
  char* token; /* NULL: none is asked for */
  freshet_http_counts* counts;
};

/* One request on its way in. */
typedef struct exchange {
  freshet_buffer body;
} exchange;

const char* freshet_http_query(const freshet_http_request* request, const char* name) {
  return MHD_lookup_connection_value((struct MHD_Connection*)request->own, MHD_GET_ARGUMENT_KIND, name);
}

/* ---- answering ---- */

/* Takes over the body. */
static enum MHD_Result answer(freshet_http* http, struct MHD_Connection* connection,
                              freshet_http_response* response) {
  atomic_fetch_add_explicit(response->status < 400 ? &http->counts->answered : &http->counts->refused, 1,
                            memory_order_relaxed);
  struct MHD_Response* sent =
      MHD_create_response_from_buffer(response->body.size, response->body.data, MHD_RESPMEM_MUST_FREE);
  if (sent == NULL) {
    freshet_buffer_free(&response->body);
    return MHD_NO; /* closes the connection */
  }
  MHD_add_response_header(sent, MHD_HTTP_HEADER_CONTENT_TYPE, response->content_type);
  MHD_add_response_header(sent, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  MHD_add_response_header(sent, "X-Content-Type-Options", "nosniff");
  if (response->status == MHD_HTTP_UNAUTHORIZED) {
    MHD_add_response_header(sent, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
  }
  enum MHD_Result result = MHD_queue_response(connection, (unsigned)response->status, sent);
  MHD_destroy_response(sent);
  return result;
}

static enum MHD_Result refuse(freshet_http* http, struct MHD_Connection* connection, int status,
                              const char* message) {
  freshet_http_response response = {.status = status, .content_type = "text/plain; charset=utf-8"};
  freshet_buffer_append(&response.body, message, strlen(message));
  return answer(http, connection, &response);
}

/* Takes the same time wherever the first difference is. */
static bool same_token(const char* expected, const char* given) {
  size_t size = strlen(given);
  unsigned char difference = size != strlen(expected);
  for (size_t i = 0; expected[i] != '\0'; i++) {
    difference |= (unsigned char)(expected[i] ^ (i < size ? given[i] : 0));
  }
  return difference == 0;
}

static bool is_authorized(const freshet_http* http, struct MHD_Connection* connection) {
  static const char scheme[] = "Bearer ";
  const char* header =
      MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
  return http->token == NULL || (header != NULL && strncmp(header, scheme, sizeof scheme - 1) == 0 &&
                                 same_token(http->token, header + sizeof scheme - 1));
}

static enum MHD_Result dispatch(freshet_http* http, struct MHD_Connection* connection, const char* path,
                                const char* method, const exchange* request) {
  bool path_known = false;
  if (strcmp(method, "HEAD") == 0) method = "GET";
  for (size_t i = 0; i < http->route_count; i++) {
    const freshet_http_route* route = &http->routes[i];
    if (strcmp(route->path, path) != 0) continue;
    path_known = true;
    if (strcmp(route->method, method) != 0) continue;
    if (!route->open && !is_authorized(http, connection)) {
      return refuse(http, connection, MHD_HTTP_UNAUTHORIZED, "a bearer token is needed\n");
    }
    freshet_http_request given = {.body = freshet_buffer_slice(&request->body), .own = connection};
    freshet_http_response response = {.status = MHD_HTTP_OK, .content_type = "text/plain; charset=utf-8"};
    route->handle(route->context, &given, &response);
    return answer(http, connection, &response);
  }
  if (path_known) return refuse(http, connection, MHD_HTTP_METHOD_NOT_ALLOWED, "not with this method\n");
  return refuse(http, connection, MHD_HTTP_NOT_FOUND, "no such page\n");
}

static bool announces_too_much(struct MHD_Connection* connection) {
  const char* length =
      MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
  return length != NULL && strtoull(length, NULL, 10) > FRESHET_HTTP_BODY_MAX;
}

/* MHD calls this once with the headers, then for each piece of the body, then once more with size 0. A body
 * that is announced as too large is refused before it is read; one that just grows costs the connection. */
static enum MHD_Result take(void* context, struct MHD_Connection* connection, const char* path,
                            const char* method, const char* version, const char* data, size_t* size,
                            void** own) {
  (void)version;
  exchange* request = *own;
  if (request == NULL) {
    *own = calloc(1, sizeof *request);
    if (*own == NULL) return MHD_NO;
    return announces_too_much(connection)
               ? refuse(context, connection, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large\n")
               : MHD_YES;
  }
  if (*size == 0) return dispatch(context, connection, path, method, request);
  if (request->body.size + *size > FRESHET_HTTP_BODY_MAX) return MHD_NO;
  freshet_buffer_append(&request->body, data, *size);
  *size = 0;
  return MHD_YES;
}

static void done(void* context, struct MHD_Connection* connection, void** own,
                 enum MHD_RequestTerminationCode code) {
  (void)context, (void)connection, (void)code;
  exchange* request = *own;
  if (request == NULL) return;
  freshet_buffer_free(&request->body);
  free(request);
  *own = NULL;
}

/* ---- starting ---- */

static freshet_status read_token(const char* path, char** token, freshet_error* error) {
  char line[TOKEN_MAX] = "";
  FILE* file = fopen(path, "re");
  if (file == NULL) {
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "http.token_file: cannot read %s: %s", path,
                             strerror(errno));
  }
  const char* read = fgets(line, sizeof line, file);
  fclose(file);
  line[strcspn(line, "\r\n")] = '\0';
  if (read == NULL || line[0] == '\0') {
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP,
                             "http.token_file: the first line of %s is empty", path);
  }
  *token = strdup(line);
  FRESHET_ASSERT(*token != NULL);
  return FRESHET_OK;
}

static bool parse_address(const char* text, uint16_t port, struct sockaddr_storage* out) {
  struct sockaddr_in* v4 = (struct sockaddr_in*)out;
  struct sockaddr_in6* v6 = (struct sockaddr_in6*)out;
  memset(out, 0, sizeof *out);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return true;
  }
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
}

static freshet_status start(freshet_http* http, const freshet_http_config* config, freshet_error* error) {
  struct sockaddr_storage address;
  if (!parse_address(config->bind, config->port, &address)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "http.bind: '%s' is no IP address",
                             config->bind);
  }
  unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD | (address.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0u);
  errno = 0;
  http->daemon = MHD_start_daemon(
      flags, config->port, NULL, NULL, take, http, MHD_OPTION_SOCK_ADDR, (struct sockaddr*)&address,
      MHD_OPTION_CONNECTION_LIMIT, (unsigned)FRESHET_HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
      (unsigned)FRESHET_HTTP_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)FRESHET_HTTP_HEADER_MAX,
      MHD_OPTION_NOTIFY_COMPLETED, done, NULL, MHD_OPTION_END);
  if (http->daemon == NULL) {
    return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "cannot listen on %s port %u: %s",
                             config->bind, (unsigned)config->port, strerror(errno));
  }
  return FRESHET_OK;
}

freshet_status freshet_http_create(const freshet_http_config* config, freshet_http** http,
                                   freshet_error* error) {
  freshet_http* made = calloc(1, sizeof *made);
  FRESHET_ASSERT(made != NULL);
  made->routes = config->routes;
  made->route_count = config->route_count;
  made->counts = config->counts;
  freshet_status status = FRESHET_OK;
  if (config->token_file != NULL && config->token_file[0] != '\0') {
    status = read_token(config->token_file, &made->token, error);
  }
  if (status == FRESHET_OK) status = start(made, config, error);
  if (status != FRESHET_OK) {
    freshet_http_destroy(made);
    made = NULL;
  }
  *http = made;
  return status;
}

uint16_t freshet_http_port(const freshet_http* http) {
  return MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void freshet_http_destroy(freshet_http* http) {
  if (http == NULL) return;
  if (http->daemon != NULL) MHD_stop_daemon(http->daemon);
  free(http->token);
  free(http);
}
