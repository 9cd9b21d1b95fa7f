/*
 * schemas.h: where schemas come from, by the settings under [registry]: a static map of ids, a folder, a registry. One
 * way for the service and for commands. It owns the map and the registry. It must not know what a schema means.
 */
#ifndef FRESHET_APP_SCHEMAS_H
#define FRESHET_APP_SCHEMAS_H

#include "codec/registry.h"
#include "service/config.h"

typedef struct freshet_schemas freshet_schemas;

typedef struct freshet_schemas_config {
  const freshet_config* config; /* borrowed, outlives the schemas */
  const char* folder;           /* where schemas of the registry are kept; NULL: nowhere */
  uint32_t
      patience_ms; /* a record of an id that nobody has told yet waits so long; 0: a moment, it comes again */
  void (*trouble)(void* context, const char* text); /* see freshet_registry_config; NULL: no call */
  void* context;
} freshet_schemas_config;

/* Errors: FRESHET_INVALID for a bad setting; FRESHET_NOT_FOUND, verdict FRESHET_STOP, for a variable that is not
 * set. */
freshet_status freshet_schemas_open(const freshet_schemas_config* config, freshet_schemas** schemas,
                                    freshet_error* error);
/* After every codec that was made with it. NULL is allowed. */
void freshet_schemas_close(freshet_schemas* schemas);

/* For a command: a record of a new id waits for the registry for half a minute, and trouble goes to standard error. */
freshet_status freshet_schemas_open_for(const char* command, const freshet_config* config,
                                        freshet_schemas** schemas, freshet_error* error);

/* Is there an id for a record of ours, if what we write needs one? Errors: FRESHET_NOT_FOUND says what to do;
 * FRESHET_UNAVAILABLE when the registry does not answer. */
freshet_status freshet_schemas_check_id(freshet_schemas* schemas, const char* record, freshet_error* error);

/* For freshet_codec_create; holds as long as the schemas. */
freshet_codec_config freshet_schemas_codec(const freshet_schemas* schemas);

/* Fills urls, user, token, ca and timeout_ms; they live as long as the configuration and the environment. Errors:
 * FRESHET_NOT_FOUND, verdict FRESHET_STOP, for a variable that is not set. */
freshet_status freshet_registry_config_of(const freshet_config* config, freshet_registry_config* out,
                                          freshet_error* error);

#endif
