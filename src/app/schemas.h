/*
 * schemas.h: what the settings say about a schema registry, for those who ask one. Secrets come from the environment.
 */
#ifndef FRESHET_APP_SCHEMAS_H
#define FRESHET_APP_SCHEMAS_H

#include "codec/registry.h"
#include "service/config.h"

/* Fills urls, user, token, ca and timeout_ms; they live as long as the configuration and the environment. Errors:
 * FRESHET_NOT_FOUND, verdict FRESHET_STOP, for a variable that is not set. */
freshet_status freshet_registry_config_of(const freshet_config* config, freshet_registry_config* out,
                                          freshet_error* error);

#endif
