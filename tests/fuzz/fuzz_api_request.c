/*
 * fuzz_api_request.c: what a client sends: the target of a request up to the first newline, and a JSON body
 * after it. Whatever is accepted has to be within bounds.
 */
#include <math.h>
#include <stdlib.h>

#include "freshet/ranker.h"
#include "service/api_request.h"

static void check(const freshet_request* request) {
  FRESHET_ASSERT(request->k >= 1 && request->k <= FRESHET_RANK_K_MAX);
  FRESHET_ASSERT((request->diversity == FRESHET_DIVERSITY_AS_SET || request->diversity >= 0) &&
                 request->diversity <= 1);
  FRESHET_ASSERT(request->exploration >= 0 && request->exploration <= 1);
  FRESHET_ASSERT(request->min_age_s >= 0);
  FRESHET_ASSERT(request->user_id.size <= FRESHET_ID_MAX && request->context.size <= FRESHET_CONTEXT_MAX);
  const freshet_slice* const ids[] = {request->context_items, request->include_categories,
                                      request->exclude_categories, request->exclude_items};
  const size_t counts[] = {request->context_item_count, request->include_category_count,
                           request->exclude_category_count, request->exclude_item_count};
  for (size_t i = 0; i < 4; i++) {
    FRESHET_ASSERT(counts[i] <= FRESHET_REQUEST_IDS_MAX);
    for (size_t j = 0; j < counts[i]; j++)
      FRESHET_ASSERT(ids[i][j].size >= 1 && ids[i][j].size <= FRESHET_ID_MAX &&
                     memchr(ids[i][j].data, '\0', ids[i][j].size) == NULL);
  }
}

static void check_target(char* text) {
  static freshet_http_target target;
  freshet_slice values[FRESHET_HTTP_SEGMENTS_MAX];
  freshet_request request;
  freshet_arena arena = {0};
  const char* end = text + strlen(text);
  if (freshet_http_target_parse(text, &target, NULL) != FRESHET_OK) return;
  for (size_t i = 0; i < target.segment_count; i++) {
    FRESHET_ASSERT(target.segments[i].data >= text &&
                   target.segments[i].data + target.segments[i].size <= end);
  }
  if (freshet_http_target_matches(&target, "/v1/users/{id}/recommendations", values))
    FRESHET_ASSERT(values[0].size > 0 && target.segment_count == 4);
  if (freshet_api_request_from_query((freshet_request_kind)(target.parameter_count % FRESHET_REQUEST_KINDS),
                                     NULL, target.parameters, target.parameter_count, &arena, &request,
                                     NULL) == FRESHET_OK) {
    check(&request);
  }
  freshet_arena_free(&arena);
}

static void check_body(freshet_slice body) {
  freshet_request request;
  freshet_arena arena = {0};
  freshet_request* requests;
  size_t count;
  if (freshet_api_request_from_json(body, &arena, &request, NULL) == FRESHET_OK) check(&request);
  if (freshet_api_requests_from_json(body, &arena, &requests, &count, NULL) == FRESHET_OK) {
    FRESHET_ASSERT(count >= 1 && count <= FRESHET_API_BATCH_MAX);
    for (size_t i = 0; i < count; i++) check(&requests[i]);
  }
  freshet_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const uint8_t* newline = size == 0 ? NULL : memchr(data, '\n', size);
  size_t line = newline == NULL ? size : (size_t)(newline - data);
  char* text = malloc(line + 1);
  FRESHET_ASSERT(text != NULL);
  if (line > 0) memcpy(text, data, line);
  text[line] = '\0';
  check_target(text);
  free(text);
  if (newline != NULL) check_body((freshet_slice){(const char*)newline + 1, size - line - 1});
  return 0;
}
