/*
 * http_target.h: the target of a request line taken apart: "/v1/users/u%2F1?k=5" is the segments "v1",
 * "users" and "u/1" and the parameter k = "5". Pure. Private to the service.
 *
 * Percent-encoding is undone after the text has been split, so that an id may hold any character; "+" stands
 * for a space in a parameter (WHATWG URL, application/x-www-form-urlencoded). Segments are plain names: "",
 * "." and
 * ".." have no meaning and fit no route.
 */
#ifndef FRESHET_SERVICE_HTTP_TARGET_H
#define FRESHET_SERVICE_HTTP_TARGET_H

#include "freshet/bytes.h"
#include "freshet/status.h"

enum { FRESHET_HTTP_SEGMENTS_MAX = 8, FRESHET_HTTP_PARAMETERS_MAX = 1024 };

typedef struct freshet_http_parameter {
  freshet_slice name, value; /* decoded */
} freshet_http_parameter;

typedef struct freshet_http_target {
  freshet_slice segments[FRESHET_HTTP_SEGMENTS_MAX]; /* decoded; "/" is one empty segment */
  size_t segment_count;
  freshet_http_parameter parameters[FRESHET_HTTP_PARAMETERS_MAX];
  size_t parameter_count;
} freshet_http_target;

/* Decodes in place: *out points into text. Errors: FRESHET_INVALID for a broken percent-encoding, an encoded
 * NUL byte, too many segments or parameters, or a target that is no path. */
freshet_status freshet_http_target_parse(char* text, freshet_http_target* out, freshet_error* error);

/* Whether the target's path is the pattern's, as "/v1/users/{id}": a segment in braces stands for any that is
 * not empty. Those are put into values [FRESHET_HTTP_SEGMENTS_MAX], in order. */
bool freshet_http_target_matches(const freshet_http_target* target, const char* pattern,
                                 freshet_slice* values);

#endif
