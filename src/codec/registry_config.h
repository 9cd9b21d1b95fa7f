/*
 * registry_config.h: how a schema registry is reached, and who wants to be told of trouble. Nothing is owned. It must not
 * know what is asked.
 */
#ifndef FRESHET_CODEC_REGISTRY_CONFIG_H
#define FRESHET_CODEC_REGISTRY_CONFIG_H

#include "codec/codec.h"

typedef struct freshet_registry_config {
  const char* urls;     /* "http://a:8081, https://b/apis/ccompat/v7": asked in turn until one answers */
  const char* user;     /* "name:password" for basic authentication; "" or NULL: none */
  const char* token;    /* bearer token; "" or NULL: none */
  const char* ca;       /* PEM file of the authorities to trust; "" or NULL: the system's */
  const char* folder;   /* where schemas are kept for the next start, as ID.avsc; "" or NULL: nowhere */
  uint32_t timeout_ms;  /* of one question to one URL */
  uint32_t patience_ms; /* the lookup waits so long for the answer about a new id; 0: half a second */
  freshet_schema_lookup
      fallback; /* is asked first, such as a static map; all NULL: none. Owned by the caller */
  /* Called from the thread when a question has failed, with the reason. NULL: no call. */
  void (*trouble)(void* context, const char* text);
  /* Called from the thread when an id has got its answer. NULL: no call. */
  void (*answered)(void* context);
  void* context;
} freshet_registry_config;

#endif
