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

enum { FRESHET_API_K = 10 }; /* unless the client says otherwise */

/* Defaults, then what the parameters say; an array is a parameter that is repeated. They may not name the
 * user, who is part of the path. Slices point into the parameters, arrays lie in the arena. Errors:
 * FRESHET_INVALID, the message names the parameter. */
freshet_status freshet_api_request_from_query(const freshet_http_parameter* parameters, size_t count,
                                              freshet_arena* arena, freshet_request* request,
                                              freshet_error* error);

/* The same from a JSON object; all of it lies in the arena. */
freshet_status freshet_api_request_from_json(freshet_slice body, freshet_arena* arena,
                                             freshet_request* request, freshet_error* error);

#endif
