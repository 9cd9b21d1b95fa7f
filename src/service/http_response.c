/*
 * http_response.c: makes responses and hands them to libmicrohttpd. Every error is a problem document (RFC 9457).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/http_exchange.h"
#include "service/json_writer.h"

enum { DETAIL_SIZE = 512 };

static const char* title_of(int status) {
  const char* title = MHD_get_reason_phrase_for((unsigned)status);
  return title == NULL ? "Error" : title;
}

void freshet_http_refuse(freshet_http_response* response, int status, const char* format, ...) {
  char detail[DETAIL_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(detail, sizeof detail, format, arguments);
  va_end(arguments);
  response->status = status;
  response->content_type = "application/problem+json";
  response->body.size = 0;
  freshet_json json = {.out = &response->body};
  freshet_json_open(&json, NULL, '{');
  freshet_json_text(&json, "title", freshet_slice_of(title_of(status)));
  freshet_json_integer(&json, "status", status);
  freshet_json_text(&json, "detail", freshet_slice_of(detail));
  freshet_json_close(&json, '}');
  freshet_buffer_append(&response->body, "\n", 1);
}

freshet_http_response freshet_http_response_new(void) {
  return (freshet_http_response){.status = MHD_HTTP_OK, .content_type = "text/plain; charset=utf-8"};
}

void freshet_http_response_free(freshet_http_response* response) {
  freshet_buffer_free(&response->body);
  freshet_buffer_free(&response->location);
}

static void add_headers(struct MHD_Response* sent, freshet_http_response* response) {
  char text[16];
  MHD_add_response_header(sent, MHD_HTTP_HEADER_CONTENT_TYPE, response->content_type);
  MHD_add_response_header(sent, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  MHD_add_response_header(sent, "X-Content-Type-Options", "nosniff");
  if (response->status == MHD_HTTP_UNAUTHORIZED) {
    MHD_add_response_header(sent, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
  }
  if (response->location.size > 0) {
    freshet_buffer_append(&response->location, "", 1);
    MHD_add_response_header(sent, MHD_HTTP_HEADER_LOCATION, (const char*)response->location.data);
  }
  if (response->retry_after_s > 0) {
    snprintf(text, sizeof text, "%d", response->retry_after_s);
    MHD_add_response_header(sent, MHD_HTTP_HEADER_RETRY_AFTER, text);
  }
}

enum MHD_Result freshet_http_answer(freshet_http_exchange* e, bool close) {
  freshet_http_response* response = &e->response;
  freshet_http_counts* counts = e->http->config.counts;
  freshet_count(response->status < 400 ? &counts->answered : &counts->refused, 1);
  struct MHD_Response* sent =
      MHD_create_response_from_buffer(response->body.size, response->body.data, MHD_RESPMEM_MUST_FREE);
  if (sent == NULL) return MHD_NO; /* closes the connection */
  response->body = (freshet_buffer){0};
  add_headers(sent, response);
  if (close) MHD_add_response_header(sent, MHD_HTTP_HEADER_CONNECTION, "close");
  enum MHD_Result result = MHD_queue_response(e->connection, (unsigned)response->status, sent);
  MHD_destroy_response(sent);
  return result;
}
