/*
 * http_target.c: splits the target of a request line into path segments and parameters, in place, and
 * decodes them. It owns no memory.
 */
#include "service/http_target.h"

static freshet_status refuse(const char* what, freshet_error* error) {
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s", what);
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes [start, end) onto itself. */
static freshet_status decode(char* start, char* end, bool plus_is_space, freshet_slice* out,
                             freshet_error* error) {
  char* to = start;
  for (char* from = start; from < end; from++) {
    char c = *from;
    if (c == '+' && plus_is_space) c = ' ';
    if (c == '%') {
      int high = end - from > 2 ? hex_digit(from[1]) : -1, low = high < 0 ? -1 : hex_digit(from[2]);
      if (low < 0) return refuse("the address holds a '%' that two hexadecimal digits have to follow", error);
      c = (char)(high << 4 | low);
      if (c == '\0') return refuse("the address holds a NUL byte", error);
      from += 2;
    }
    *to++ = c;
  }
  *out = (freshet_slice){start, (size_t)(to - start)};
  return FRESHET_OK;
}

/* The first of the characters in `stops` in [text, end), or end. */
static char* find(char* text, const char* end, const char* stops) {
  while (text < end && strchr(stops, *text) == NULL) text++;
  return text;
}

static freshet_status parse_path(char* text, char* end, freshet_http_target* out, freshet_error* error) {
  if (text == end || *text != '/') return refuse("the address is no path", error);
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && text < end) {
    char* stop = find(++text, end, "/");
    if (out->segment_count == FRESHET_HTTP_SEGMENTS_MAX) return refuse("the address is too deep", error);
    status = decode(text, stop, false, &out->segments[out->segment_count++], error);
    text = stop;
  }
  return status;
}

static freshet_status parse_query(char* text, char* end, freshet_http_target* out, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && text < end) {
    char* stop = find(text, end, "&");
    char* equals = find(text, stop, "=");
    char* value = equals < stop ? equals + 1 : stop;
    if (stop > text) { /* "a&&b" are two */
      if (out->parameter_count == FRESHET_HTTP_PARAMETERS_MAX) return refuse("too many parameters", error);
      freshet_http_parameter* parameter = &out->parameters[out->parameter_count++];
      status = decode(text, equals, true, &parameter->name, error);
      if (status == FRESHET_OK) status = decode(value, stop, true, &parameter->value, error);
    }
    text = stop + 1;
  }
  return status;
}

freshet_status freshet_http_target_parse(char* text, freshet_http_target* out, freshet_error* error) {
  out->segment_count = out->parameter_count = 0;
  char* end = find(text, text + strlen(text), "#");
  char* query = find(text, end, "?");
  freshet_status status = parse_path(text, query, out, error);
  return status == FRESHET_OK && query < end ? parse_query(query + 1, end, out, error) : status;
}

bool freshet_http_target_matches(const freshet_http_target* target, const char* pattern,
                                 freshet_slice* values) {
  size_t taken = 0;
  for (size_t i = 0; i < target->segment_count; i++) {
    const freshet_slice* segment = &target->segments[i];
    if (*pattern++ != '/') return false;
    freshet_slice expected = {pattern, strcspn(pattern, "/")};
    if (expected.size > 0 && expected.data[0] == '{') {
      if (segment->size == 0) return false;
      values[taken++] = *segment;
    } else if (!freshet_slice_equal(*segment, expected)) {
      return false;
    }
    pattern += expected.size;
  }
  return *pattern == '\0';
}
