/*
 * openapi.h: the description of the HTTP API, openapi.json, compiled in. A test compares it with the routes
 * of api.c. Private to the service.
 */
#ifndef FRESHET_SERVICE_OPENAPI_H
#define FRESHET_SERVICE_OPENAPI_H

#include <stddef.h>

extern const unsigned char freshet_openapi[];
extern const size_t freshet_openapi_size;

#endif
