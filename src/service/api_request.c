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

typedef enum field_type { TEXT = 0, TEXTS, INT32, INT64, FLOAT, SWITCH, KIND } field_type;

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
    {"kind", KIND, AT(kind), 0, 0, 0},
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
  *request = (freshet_request){.k = FRESHET_API_K, .explain = true, .diversity = FRESHET_DIVERSITY_AS_SET};
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

static freshet_status parse(const field* f, freshet_slice text, freshet_request* request,
                            freshet_error* error) {
  switch (f->type) {
    case TEXT:
      set_text(f, text, request);
      return FRESHET_OK;
    case SWITCH:
      return parse_switch(f, text, request, error);
    case KIND:
      return refuse(error, f->name, "is said by the path already");
    default:
      return parse_number(f, text, request, error);
  }
}

freshet_status freshet_api_request_from_query(freshet_request_kind kind, const freshet_slice* item,
                                              const freshet_http_parameter* parameters, size_t count,
                                              freshet_arena* arena, freshet_request* request,
                                              freshet_error* error) {
  bool given[FIELDS] = {false};
  freshet_status status = FRESHET_OK;
  set_defaults(request);
  request->kind = kind;
  if (item != NULL) {
    const field* items = find(freshet_slice_of("context_items"), error);
    append_text(items, *item, count + 1, arena, request);
  }
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    const bool is_short = freshet_slice_equal(parameters[i].name, freshet_slice_of("category"));
    const field* f = find(is_short ? freshet_slice_of("include_categories") : parameters[i].name, error);
    freshet_slice text = parameters[i].value;
    if (f == NULL) return FRESHET_INVALID;
    if (given[f - fields] && f->type != TEXTS) return refuse(error, f->name, "is given twice");
    given[f - fields] = true;
    if (f->type == TEXTS) {
      append_text(f, text, count - i, arena, request);
    } else {
      status = parse(f, text, request, error);
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

static freshet_status read_kind(const json_t* value, freshet_request* request, freshet_error* error) {
  const char* name = json_string_value(value);
  for (int kind = 0; name != NULL && kind < FRESHET_REQUEST_KINDS; kind++) {
    if (strcmp(name, freshet_request_kind_name((freshet_request_kind)kind)) != 0) continue;
    request->kind = (freshet_request_kind)kind;
    return FRESHET_OK;
  }
  return refuse(error, "kind", "has to be PERSONAL, SIMILAR, POPULAR or NEWEST");
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
    case KIND:
      return read_kind(value, request, error);
    default:
      if (!json_is_number(value)) return refuse(error, f->name, "has to be a number");
      return set_number(f, json_number_value(value), request, error);
  }
}

static freshet_status read_request(json_t* object, freshet_arena* arena, freshet_request* request,
                                   freshet_error* error) {
  const char* name;
  json_t* value;
  set_defaults(request);
  if (!json_is_object(object)) return refuse(error, "a request", "has to be a JSON object");
  json_object_foreach(object, name, value) {
    const field* f = find(freshet_slice_of(name), error);
    if (f == NULL) return FRESHET_INVALID;
    freshet_status status = read_field(f, value, arena, request, error);
    if (status != FRESHET_OK) return status;
  }
  return freshet_request_validate(request, request->user_id, error);
}

/* NULL: it is not JSON. The caller releases it. */
static json_t* load(freshet_slice body, freshet_error* error) {
  json_error_t cause;
  json_t* root = json_loadb(body.data == NULL ? "" : body.data, body.size, JSON_REJECT_DUPLICATES, &cause);
  if (root == NULL) {
    freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "the body is not JSON: line %d, column %d: %s",
                      cause.line, cause.column, cause.text);
  }
  return root;
}

freshet_status freshet_api_request_from_json(freshet_slice body, freshet_arena* arena,
                                             freshet_request* request, freshet_error* error) {
  json_t* root = load(body, error);
  if (root == NULL) return FRESHET_INVALID;
  freshet_status status = json_is_object(root) ? read_request(root, arena, request, error)
                                               : refuse(error, "the body", "has to be a JSON object");
  json_decref(root);
  return status;
}

static freshet_status read_requests(const json_t* root, freshet_arena* arena, freshet_request** requests,
                                    size_t* count, freshet_error* error) {
  const json_t* array = json_object_get(root, "requests");
  *count = json_array_size(array);
  if (!json_is_array(array) || json_object_size(root) != 1 || *count == 0 || *count > FRESHET_API_BATCH_MAX)
    return refuse(error, "the body", "has to be {\"requests\": [...]} with 1 to 100 requests");
  *requests = freshet_arena_take(arena, *count * sizeof **requests);
  for (size_t i = 0; i < *count; i++) {
    freshet_error cause = {0};
    if (read_request(json_array_get(array, i), arena, &(*requests)[i], &cause) == FRESHET_OK) continue;
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "requests[%zu]: %s", i, cause.message);
  }
  return FRESHET_OK;
}

freshet_status freshet_api_requests_from_json(freshet_slice body, freshet_arena* arena,
                                              freshet_request** requests, size_t* count,
                                              freshet_error* error) {
  json_t* root = load(body, error);
  if (root == NULL) return FRESHET_INVALID;
  freshet_status status = read_requests(root, arena, requests, count, error);
  json_decref(root);
  return status;
}
