/*
 * api_request.c: Wishes of a client, as query parameters or as JSON, into the request that the worker knows. Every field is checked
 * for its name, type and size here; what a valid request may say is checked by freshet_request_validate.
 */
#include "service/api_request.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "freshet/ranker.h"

typedef enum field_type { TEXT = 0, TEXTS, INT32, INT64, FLOAT, SWITCH } field_type;

enum { SHOWN_BYTES = 40, NUMBER_BYTES = 64 };

typedef struct field {
  const char* name;
  field_type type;
  size_t offset, count_offset; /* in freshet_request; count_offset of TEXTS only */
  double min, max;             /* of numbers */
} field;

#define AT(member) offsetof(freshet_request, member)
static const field fields[] = {
    {"user_id", TEXT, AT(user_id), 0, 0, 0},
    {"request_id", TEXT, AT(request_id), 0, 0, 0},
    {"k", INT32, AT(k), 0, 1, FRESHET_RANK_K_MAX},
    {"context", TEXT, AT(context), 0, 0, 0},
    {"context_items", TEXTS, AT(context_items), AT(context_item_count), 0, 0},
    {"include_categories", TEXTS, AT(include_categories), AT(include_category_count), 0, 0},
    {"exclude_categories", TEXTS, AT(exclude_categories), AT(exclude_category_count), 0, 0},
    {"exclude_items", TEXTS, AT(exclude_items), AT(exclude_item_count), 0, 0},
    {"min_age_s", INT64, AT(min_age_s), 0, 0, 1e12},
    {"diversity", FLOAT, AT(diversity), 0, 0, 1},
    {"exploration", FLOAT, AT(exploration), 0, 0, 1},
    {"explain", SWITCH, AT(explain), 0, 0, 0},
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static freshet_status refuse(freshet_error* error, const char* name, const char* what) {
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s %s", name, what);
}

static const field* find(freshet_slice name, freshet_error* error) {
  char known[FRESHET_ERROR_MESSAGE_SIZE / 2] = "";
  for (size_t i = 0; i < FIELDS; i++) {
    if (freshet_slice_equal(name, freshet_slice_of(fields[i].name))) return &fields[i];
    snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i == 0 ? "" : ", ", fields[i].name);
  }
  freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "'%.*s' is not known here; what is: %s",
                    name.size < SHOWN_BYTES ? (int)name.size : SHOWN_BYTES, name.data, known);
  return NULL;
}

/* ---- values ---- */

static freshet_status set_number(const field* f, double number, freshet_request* request,
                                 freshet_error* error) {
  char* at = (char*)request + f->offset;
  bool whole = f->type != FLOAT;
  if (!(number >= f->min && number <= f->max) || (whole && number != floor(number))) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s has to be a %snumber from %.15g to %.15g", f->name, whole ? "whole " : "",
                             f->min, f->max);
  }
  if (f->type == INT32) *(int32_t*)at = (int32_t)number;
  if (f->type == INT64) *(int64_t*)at = (int64_t)number;
  if (f->type == FLOAT) *(float*)at = (float)number;
  return FRESHET_OK;
}

static void set_texts(const field* f, const freshet_slice* texts, size_t count, freshet_request* request) {
  *(const freshet_slice**)((char*)request + f->offset) = texts;
  *(size_t*)((char*)request + f->count_offset) = count;
}

static void set_text(const field* f, freshet_slice text, freshet_request* request) {
  *(freshet_slice*)((char*)request + f->offset) = text;
}

static void set_defaults(freshet_request* request) {
  *request = (freshet_request){.k = FRESHET_API_K, .explain = true};
}

/* ---- from a query ---- */

static freshet_status parse_number(const field* f, freshet_slice text, freshet_request* request,
                                   freshet_error* error) {
  char copy[NUMBER_BYTES] = "", *end = copy;
  if (text.size < sizeof copy) memcpy(copy, text.data, text.size);
  double number = strtod(copy, &end);
  if (end == copy || *end != '\0') return refuse(error, f->name, "has to be a number");
  return set_number(f, number, request, error);
}

static freshet_status parse_switch(const field* f, freshet_slice text, freshet_request* request,
                                   freshet_error* error) {
  bool yes = freshet_slice_equal(text, freshet_slice_of("true"));
  if (!yes && !freshet_slice_equal(text, freshet_slice_of("false")))
    return refuse(error, f->name, "has to be true or false");
  *(bool*)((char*)request + f->offset) = yes;
  return FRESHET_OK;
}

static void append_text(const field* f, freshet_slice text, size_t most, freshet_arena* arena,
                        freshet_request* request) {
  const freshet_slice* texts = *(const freshet_slice**)((char*)request + f->offset);
  size_t count = *(size_t*)((char*)request + f->count_offset);
  freshet_slice* mine = count > 0 ? (freshet_slice*)texts : freshet_arena_take(arena, most * sizeof *mine);
  mine[count] = text;
  set_texts(f, mine, count + 1, request);
}

freshet_status freshet_api_request_from_query(const freshet_http_parameter* parameters, size_t count,
                                              freshet_arena* arena, freshet_request* request,
                                              freshet_error* error) {
  bool given[FIELDS] = {false};
  freshet_status status = FRESHET_OK;
  set_defaults(request);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    const field* f = find(parameters[i].name, error);
    freshet_slice text = parameters[i].value;
    if (f == NULL) return FRESHET_INVALID;
    if (given[f - fields] && f->type != TEXTS) return refuse(error, f->name, "is given twice");
    given[f - fields] = true;
    if (f->type == TEXTS) {
      append_text(f, text, count - i, arena, request);
    } else if (f->type == TEXT) {
      set_text(f, text, request);
    } else {
      status =
          f->type == SWITCH ? parse_switch(f, text, request, error) : parse_number(f, text, request, error);
    }
  }
  if (status != FRESHET_OK) return status;
  return freshet_request_validate(request, request->user_id, error);
}

/* ---- from JSON ---- */

static freshet_slice copy_text(const json_t* value, freshet_arena* arena) {
  size_t size = json_string_length(value);
  return (freshet_slice){freshet_arena_copy(arena, json_string_value(value), size), size};
}

static freshet_status read_texts(const field* f, const json_t* value, freshet_arena* arena,
                                 freshet_request* request, freshet_error* error) {
  size_t count = json_array_size(value);
  if (!json_is_array(value)) return refuse(error, f->name, "has to be an array of strings");
  if (count > FRESHET_REQUEST_IDS_MAX) return refuse(error, f->name, "has too many elements: at most 1000");
  freshet_slice* texts = freshet_arena_take(arena, (count + 1) * sizeof *texts);
  for (size_t i = 0; i < count; i++) {
    const json_t* text = json_array_get(value, i);
    if (!json_is_string(text)) return refuse(error, f->name, "has to be an array of strings");
    texts[i] = copy_text(text, arena);
  }
  set_texts(f, texts, count, request);
  return FRESHET_OK;
}

static freshet_status read_field(const field* f, const json_t* value, freshet_arena* arena,
                                 freshet_request* request, freshet_error* error) {
  switch (f->type) {
    case TEXT:
      if (!json_is_string(value)) return refuse(error, f->name, "has to be a string");
      set_text(f, copy_text(value, arena), request);
      return FRESHET_OK;
    case TEXTS:
      return read_texts(f, value, arena, request, error);
    case SWITCH:
      if (!json_is_boolean(value)) return refuse(error, f->name, "has to be true or false");
      *(bool*)((char*)request + f->offset) = json_is_true(value);
      return FRESHET_OK;
    default:
      if (!json_is_number(value)) return refuse(error, f->name, "has to be a number");
      return set_number(f, json_number_value(value), request, error);
  }
}

freshet_status freshet_api_request_from_json(freshet_slice body, freshet_arena* arena,
                                             freshet_request* request, freshet_error* error) {
  json_error_t cause;
  const char* name;
  json_t* value;
  set_defaults(request);
  json_t* root = json_loadb(body.data == NULL ? "" : body.data, body.size, JSON_REJECT_DUPLICATES, &cause);
  if (root == NULL) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "the body is not JSON: line %d, column %d: %s", cause.line, cause.column,
                             cause.text);
  }
  freshet_status status = FRESHET_OK;
  if (!json_is_object(root)) status = refuse(error, "the body", "has to be a JSON object");
  json_object_foreach(root, name, value) {
    const field* f = status == FRESHET_OK ? find(freshet_slice_of(name), error) : NULL;
    if (status == FRESHET_OK)
      status = f == NULL ? FRESHET_INVALID : read_field(f, value, arena, request, error);
  }
  json_decref(root);
  if (status != FRESHET_OK) return status;
  return freshet_request_validate(request, request->user_id, error);
}
