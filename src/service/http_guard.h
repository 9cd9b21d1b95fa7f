/*
 * http_guard.h: which requests are refused for what their head says: ambiguous framing, a foreign host name, a
 * foreign web page. Pure: it gets the head as text and knows neither connections nor routes. Private to the service.
 *
 * Why host names: a web page can point its own host name at 127.0.0.1 (DNS rebinding), and the browser then lets
 * the page read this service as its own. Such a request names the page's host. A page cannot do this with an IP
 * address or with localhost, so these are always fine.
 */
#ifndef FRESHET_SERVICE_HTTP_GUARD_H
#define FRESHET_SERVICE_HTTP_GUARD_H

#include <stdbool.h>

#include "freshet/bytes.h"

/* The headers that the guard asks for. The last one counts where a header came more than once; `..._count` says how
 * often it came. A slice whose data is NULL: it did not come. Zeroed: an empty head. */
typedef struct freshet_http_head {
  freshet_slice host, origin, length, encoding,
      mark; /* Host, Origin, Content-Length, Transfer-Encoding, X-Freshet */
  unsigned host_count, origin_count, length_count, encoding_count;
  bool has_odd_name; /* "Content-Length : 4", or 4 on a second line: not all readers see the header */
} freshet_http_head;

/* Notes one header; others than these are passed over. Both texts are borrowed. value may be NULL: empty. */
void freshet_http_head_add(freshet_http_head* head, const char* name, const char* value);

/* NULL when there is one way to read where the body ends and which host is meant; else the reason, static. Two
 * readers that disagree about it let one request hide in another ("request smuggling", RFC 9112, 11.2). */
const char* freshet_http_head_problem(const freshet_http_head* head);

/* May this Host header name us? An IP literal, localhost, or one of `hosts` ("a.example, b.example", or NULL), with
 * or without a port. Case does not count. */
bool freshet_http_host_is_ours(freshet_slice host, const char* hosts);

/* Was the request made by a web page of another origin? An Origin is our own when its host and port are those of the
 * Host header, or when its host is one of `hosts`. Without an Origin header it is not foreign. */
bool freshet_http_origin_is_foreign(const freshet_http_head* head, const char* hosts);

/* Does it carry `X-Freshet: 1`? A web page of another origin cannot send it without asking us first (CORS). */
bool freshet_http_head_is_marked(const freshet_http_head* head);

#endif
