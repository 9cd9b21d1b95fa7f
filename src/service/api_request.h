/*
 * api_request.h: what a client asks for, from the query of a GET or the JSON body of a POST, into a
 * freshet_request. The names are those of schemas/RecommendationRequest.avsc in both. Private to the service.
 * Pure.
 */
#ifndef FRESHET_SERVICE_API_REQUEST_H
#define FRESHET_SERVICE_API_REQUEST_H

#include "codec/arena.h"
#include "freshet/event.h"
#include "service/http_target.h"

enum {
  FRESHET_API_K = 10,         /* unless the client says otherwise */
  FRESHET_API_BATCH_MAX = 100 /* requests in one call */
};

/* Defaults, then what the parameters say; an array is a parameter that is repeated. `category` is a short name of
 * include_categories. kind: of the list, which the path says. item: from the path, the first of the context items;
 * NULL: none. Slices point into the parameters, arrays lie in the arena. Errors: FRESHET_INVALID, the message names
 * the parameter. */
freshet_status freshet_api_request_from_query(freshet_request_kind kind, const freshet_slice* item,
                                              const freshet_http_parameter* parameters, size_t count,
                                              freshet_arena* arena, freshet_request* request,
                                              freshet_error* error);

/* The same from a JSON object, which has the kind as a field; all of it lies in the arena. */
freshet_status freshet_api_request_from_json(freshet_slice body, freshet_arena* arena,
                                             freshet_request* request, freshet_error* error);

/* From {"requests": [...]}, 1 to FRESHET_API_BATCH_MAX of them, into *requests [*count] in the arena. The message of an
 * error says which request it is about, from 0. */
freshet_status freshet_api_requests_from_json(freshet_slice body, freshet_arena* arena,
                                              freshet_request** requests, size_t* count,
                                              freshet_error* error);

#endif
