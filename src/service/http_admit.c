/*
 * http_admit.c: decides by the head of a request whether it may come in: a sound head, a known route, a size that is
 * taken, a host and a page that are ours, a token, a rate. No body has been read by then.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <xxhash.h>

#include "service/http_exchange.h"

enum { US_PER_MS = 1000 };

/* ---- the head ---- */

static enum MHD_Result note_header(void* context, enum MHD_ValueKind kind, const char* name,
                                   const char* value) {
  (void)kind;
  freshet_http_head_add(context, name, value);
  return MHD_YES;
}

uint64_t freshet_http_announced_size(const freshet_http_exchange* e) {
  return e->head.length.size == 0 ? 0 : strtoull(e->head.length.data, NULL, 10);
}

static bool reads(const char* method) {
  return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static bool erases(const char* method) {
  return strcmp(method, "DELETE") == 0;
}

/* Where no token is asked for, a web page in somebody's browser must not get in. */
static bool comes_from_us(freshet_http_exchange* e, const char* method) {
  const freshet_http* http = e->http;
  const char* hosts = http->config.hosts;
  if (http->tokens == NULL && (e->route->access & FRESHET_HTTP_ANY_HOST) == 0 &&
      !freshet_http_host_is_ours(e->head.host, hosts)) {
    freshet_http_refuse(
        &e->response, MHD_HTTP_FORBIDDEN,
        "the host name '%.*s' is not one of http.hosts: ask by IP address, or add the name there",
        (int)(e->head.host.size < 100 ? e->head.host.size : 100),
        e->head.host.data == NULL ? "" : e->head.host.data);
  } else if (!reads(method) && freshet_http_origin_is_foreign(&e->head, hosts)) {
    freshet_http_refuse(&e->response, MHD_HTTP_FORBIDDEN,
                        "the web page that asks is of another origin, and may only read");
  } else if (erases(method) && http->tokens == NULL && !freshet_http_head_is_marked(&e->head)) {
    freshet_http_refuse(&e->response, MHD_HTTP_FORBIDDEN, "DELETE needs the header X-Freshet: 1, or a token");
  } else {
    return true;
  }
  return false;
}

/* ---- tokens ---- */

/* The client's IPv4 address or IPv6 network. */
static freshet_slice address_of(const freshet_http_exchange* e) {
  const union MHD_ConnectionInfo* info =
      MHD_get_connection_info(e->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  if (info == NULL) return (freshet_slice){"", 0};
  const struct sockaddr* address = info->client_addr;
  return address->sa_family == AF_INET6
             ? (freshet_slice){(const char*)&((const struct sockaddr_in6*)address)->sin6_addr, 8}
             : (freshet_slice){(const char*)&((const struct sockaddr_in*)address)->sin_addr, 4};
}

static uint64_t familiar_hash(const freshet_http* http, freshet_slice address, int token) {
  uint64_t hash = XXH3_64bits_withSeed(address.data, address.size, http->seed ^ (uint64_t)token);
  return hash == 0 ? 1 : hash;
}

/* Guessing is slow: after some wrong tokens a second, an address learns nothing more, not even that a token is right,
 * unless the two came together before. So a client that is misconfigured does not shut out its neighbours. */
static bool may_guess(freshet_http* http, freshet_slice address, int token) {
  uint64_t hash = familiar_hash(http, address, token);
  uint64_t* place = &http->familiars[hash % FRESHET_HTTP_FAMILIARS];
  if (token != FRESHET_HTTP_NO_TOKEN && *place == hash) return true;
  if (!freshet_http_rate_has(&http->guesses, address.data, address.size, freshet_http_now_us())) return false;
  if (token != FRESHET_HTTP_NO_TOKEN) {
    *place = hash;
  } else {
    freshet_http_rate_allow(&http->guesses, address.data, address.size, freshet_http_now_us());
  }
  return true;
}

static bool is_authorized(freshet_http_exchange* e, const char* method, int* token) {
  static const char scheme[] = "Bearer ";
  freshet_http* http = e->http;
  bool may_change = false;
  const char* header =
      MHD_lookup_connection_value(e->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
  if (header == NULL || strncasecmp(header, scheme, sizeof scheme - 1) != 0) {
    freshet_http_refuse(&e->response, MHD_HTTP_UNAUTHORIZED,
                        "a bearer token is needed: Authorization: Bearer TOKEN");
    return false;
  }
  *token = freshet_http_tokens_find(http->tokens, freshet_slice_of(header + sizeof scheme - 1),
                                    freshet_http_now_us() / US_PER_MS, &may_change);
  if (!may_guess(http, address_of(e), *token)) {
    freshet_http_refuse(&e->response, MHD_HTTP_TOO_MANY_REQUESTS, "too many wrong tokens from this address");
    e->response.retry_after_s = 1;
  } else if (*token == FRESHET_HTTP_NO_TOKEN) {
    freshet_http_refuse(&e->response, MHD_HTTP_UNAUTHORIZED, "this bearer token is not known");
  } else if (erases(method) && !may_change) {
    freshet_http_refuse(&e->response, MHD_HTTP_FORBIDDEN, "this token may only read");
  } else {
    return true;
  }
  return false;
}

/* A client is a token, or without tokens an address. */
static bool may_come_now(freshet_http_exchange* e, int token) {
  freshet_http* http = e->http;
  freshet_slice client =
      token == FRESHET_HTTP_NO_TOKEN ? address_of(e) : (freshet_slice){(const char*)&token, sizeof token};
  if (freshet_http_rate_allow(&http->rate, client.data, client.size, freshet_http_now_us())) return true;
  freshet_http_refuse(&e->response, MHD_HTTP_TOO_MANY_REQUESTS, "more than %g requests per second",
                      http->config.requests_per_s);
  e->response.retry_after_s = 1;
  return false;
}

/* ---- the whole ---- */

/* Finds the exchange's route, or makes a refusal of its response. */
static bool find_route(freshet_http_exchange* e, const char* method, freshet_error* error) {
  freshet_http* http = e->http;
  bool path_known = false;
  if (strcmp(method, "HEAD") == 0) method = "GET";
  if (freshet_http_target_parse(e->decoded, &http->target, error) != FRESHET_OK) {
    freshet_http_refuse(&e->response, MHD_HTTP_BAD_REQUEST, "%s", error->message);
    return false;
  }
  for (size_t i = 0; i < http->config.route_count; i++) {
    const freshet_http_route* route = &http->config.routes[i];
    if (!freshet_http_target_matches(&http->target, route->path, e->path)) continue;
    path_known = true;
    if (strcmp(route->method, method) != 0) continue;
    e->route = route;
    return true;
  }
  if (path_known) {
    freshet_http_refuse(&e->response, MHD_HTTP_METHOD_NOT_ALLOWED, "not with this method; see /openapi.json");
  } else {
    freshet_http_refuse(&e->response, MHD_HTTP_NOT_FOUND, "no such page; see /openapi.json");
  }
  return false;
}

bool freshet_http_admit(freshet_http_exchange* e, const char* method) {
  int token = FRESHET_HTTP_NO_TOKEN;
  freshet_error error = {0};
  MHD_get_connection_values(e->connection, MHD_HEADER_KIND, note_header, &e->head);
  const char* problem = freshet_http_head_problem(&e->head);
  if (problem != NULL) {
    e->closing = true;
    freshet_http_refuse(&e->response, MHD_HTTP_BAD_REQUEST, "%s", problem);
    return false;
  }
  if (!find_route(e, method, &error)) return false;
  if (freshet_http_announced_size(e) > FRESHET_HTTP_BODY_MAX) {
    freshet_http_refuse(&e->response, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large: at most %d bytes",
                        FRESHET_HTTP_BODY_MAX);
    return false;
  }
  if (!comes_from_us(e, method)) return false;
  if ((e->route->access & FRESHET_HTTP_OPEN) != 0) return true;
  if (e->http->tokens != NULL && !is_authorized(e, method, &token)) return false;
  return may_come_now(e, token);
}
