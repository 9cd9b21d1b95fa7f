/*
 * http_client.h: one HTTP request to a running service, for the commands that ask one. It finds the address
 * and the token in the configuration, so that a command needs neither.
 */
#ifndef FRESHET_SERVICE_CLIENT_H
#define FRESHET_SERVICE_CLIENT_H

#include "service/config.h"

/* Where the service of this configuration listens, from the same machine: "http://127.0.0.1:8080". */
void freshet_client_url(const freshet_config* config, char* url, size_t size);

/* GETs url + path, with the first token of http.token_file if there is one, and follows redirects to other
 * instances. Appends the body. Errors: FRESHET_UNAVAILABLE when nobody answers; FRESHET_IO for the token
 * file. */
freshet_status freshet_client_get(const freshet_config* config, const char* url, const char* path,
                                  int timeout_ms, int* http_status, freshet_buffer* body,
                                  freshet_error* error);

/* Appends the text percent-encoded, so that it can be a part of a path or a query (RFC 3986, unreserved
 * characters stay). */
void freshet_client_escape(freshet_slice text, freshet_buffer* out);

#endif
