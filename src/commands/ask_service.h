/*
 * ask_service.h: one question to the running service, and its answer as JSON, for the commands that print it. It words
 * what went wrong. It must not know what an answer says.
 */
#ifndef FRESHET_COMMANDS_ASK_SERVICE_H
#define FRESHET_COMMANDS_ASK_SERVICE_H

#include <jansson.h>

#include "service/config.h"

/* GETs path from the service at url; NULL: from that of the configuration, on this machine. *answer: the caller's, to
 * json_decref; NULL after an error and for a body that is no JSON. The body is appended as it came. missing: the
 * message for the status 404; NULL: that of the service. Errors: FRESHET_UNAVAILABLE when nobody answers or the service
 * is not ready; FRESHET_INVALID for other refusals; FRESHET_IO for the token file. */
freshet_status freshet_ask_service(const freshet_config* config, const char* url, const char* path,
                                   const char* missing, freshet_buffer* body, json_t** answer,
                                   freshet_error* error);

#endif
