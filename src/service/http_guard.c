/*
 * http_guard.c: the rules of http_guard.h, on slices of the head. It allocates nothing and keeps nothing.
 */
#include "service/http_guard.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

enum { LENGTH_DIGITS_MAX = 18 }; /* below 2^63 */

static void note(freshet_slice* slot, unsigned* count, const char* value) {
  *slot = freshet_slice_of(value == NULL ? "" : value);
  (*count)++;
}

/* libmicrohttpd puts the second line of a header behind its name. */
static bool has_more_behind(const char* name, const char* known) {
  return strncasecmp(name, known, strlen(known)) == 0 && name[strlen(known)] != '\0';
}

void freshet_http_head_add(freshet_http_head* head, const char* name, const char* value) {
  unsigned marks = 0;
  if (strcasecmp(name, "Host") == 0) note(&head->host, &head->host_count, value);
  if (strcasecmp(name, "Origin") == 0) note(&head->origin, &head->origin_count, value);
  if (strcasecmp(name, "Content-Length") == 0) note(&head->length, &head->length_count, value);
  if (strcasecmp(name, "Transfer-Encoding") == 0) note(&head->encoding, &head->encoding_count, value);
  if (strcasecmp(name, "X-Freshet") == 0) note(&head->mark, &marks, value);
  if (name[strcspn(name, " \t\r\n")] != '\0' || has_more_behind(name, "Content-Length") ||
      has_more_behind(name, "Transfer-Encoding"))
    head->has_odd_name = true;
}

static bool equals(freshet_slice a, const char* b) {
  return a.size == strlen(b) && strncasecmp(a.data, b, a.size) == 0;
}

static bool is_number(freshet_slice text) {
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return false;
  }
  return text.size > 0 && text.size <= LENGTH_DIGITS_MAX;
}

const char* freshet_http_head_problem(const freshet_http_head* head) {
  if (head->has_odd_name) return "a blank in the name of a header, or a header of two lines";
  if (head->length_count > 1) return "more than one Content-Length";
  if (head->encoding_count > 1) return "more than one Transfer-Encoding";
  if (head->length_count > 0 && head->encoding_count > 0)
    return "Content-Length together with Transfer-Encoding";
  if (head->length_count > 0 && !is_number(head->length)) return "a Content-Length that is no number";
  if (head->encoding_count > 0 && !equals(head->encoding, "chunked"))
    return "a Transfer-Encoding other than chunked";
  if (head->host_count > 1) return "more than one Host";
  return NULL;
}

/* Splits "name:port" and "[v6]:port". false: it has another form. */
static bool split_authority(freshet_slice text, freshet_slice* name) {
  const char* end = text.size > 0 && text.data[0] == '['
                        ? memchr(text.data, ']', text.size)
                        : memchr(text.data == NULL ? "" : text.data, ':', text.size);
  *name = text;
  if (text.size > 0 && text.data[0] == '[') {
    if (end == NULL) return false;
    end++;
  }
  if (end == NULL) return text.size > 0;
  name->size = (size_t)(end - text.data);
  if (name->size == text.size) return true;
  freshet_slice port = {end + 1, text.size - name->size - 1};
  return *end == ':' && (port.size == 0 || is_number(port)) && name->size > 0;
}

static bool is_listed(freshet_slice name, const char* hosts) {
  static const char blanks[] = " \t,";
  const char* at = hosts == NULL ? "" : hosts;
  for (at += strspn(at, blanks); *at != '\0'; at += strspn(at, blanks)) {
    size_t size = strcspn(at, blanks);
    if (size == name.size && strncasecmp(at, name.data, size) == 0) return true;
    at += size;
  }
  return false;
}

static bool is_ip_literal(freshet_slice name) {
  char text[INET6_ADDRSTRLEN + 1];
  unsigned char address[sizeof(struct in6_addr)];
  bool v6 = name.data[0] == '[';
  if (v6) name = (freshet_slice){name.data + 1, name.size - 2};
  if (name.size >= sizeof text) return false;
  memcpy(text, name.data, name.size);
  text[name.size] = '\0';
  return inet_pton(v6 ? AF_INET6 : AF_INET, text, address) == 1;
}

bool freshet_http_host_is_ours(freshet_slice host, const char* hosts) {
  freshet_slice name;
  if (!split_authority(host, &name)) return false;
  return equals(name, "localhost") || is_ip_literal(name) || is_listed(name, hosts);
}

bool freshet_http_origin_is_foreign(const freshet_http_head* head, const char* hosts) {
  static const char mark[] = "://";
  freshet_slice name;
  if (head->origin_count == 0) return false;
  if (head->origin_count > 1) return true;
  const char* scheme_end = memmem(head->origin.data, head->origin.size, mark, sizeof mark - 1);
  if (scheme_end == NULL) return true; /* "null": a page without an origin of its own */
  const char* start = scheme_end + sizeof mark - 1;
  freshet_slice authority = {start, (size_t)(head->origin.data + head->origin.size - start)};
  if (authority.size > 0 && authority.size == head->host.size &&
      strncasecmp(authority.data, head->host.data, authority.size) == 0)
    return false;
  return !split_authority(authority, &name) || !is_listed(name, hosts);
}

bool freshet_http_head_is_marked(const freshet_http_head* head) {
  return equals(head->mark, "1");
}
