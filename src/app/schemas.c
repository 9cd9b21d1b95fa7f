/*
 * schemas.c: reads the secrets of the registry, and leaves everything else to codec/registry.h.
 */
#include "app/schemas.h"

#include <stdlib.h>

static freshet_status read_secret(const char* setting, const char* variable, const char** secret,
                                  freshet_error* error) {
  *secret = variable[0] == '\0' ? "" : getenv(variable);
  if (*secret != NULL) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "%s: the environment has no %s", setting,
                           variable);
}

freshet_status freshet_registry_config_of(const freshet_config* config, freshet_registry_config* out,
                                          freshet_error* error) {
  *out = (freshet_registry_config){.urls = config->registry.url,
                                   .ca = config->registry.ca,
                                   .timeout_ms = (uint32_t)config->registry.timeout_ms};
  freshet_status status = read_secret("registry.user_env", config->registry.user_env, &out->user, error);
  if (status == FRESHET_OK)
    status = read_secret("registry.token_env", config->registry.token_env, &out->token, error);
  return status;
}
