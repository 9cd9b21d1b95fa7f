/*
 * registry.h: schemas of a schema registry, by id: Confluent's API, which Apicurio (under /apis/ccompat/v7) and Karapace
 * speak too. A thread of its own asks; whoever decodes never waits for the network but for a moment at the first record of
 * an id. What is known stays known, also while the registry is away.
 *
 * It must not know what a schema means, nor who waits for it. Thread rule: the lookup may be used from any thread.
 */
#ifndef FRESHET_CODEC_REGISTRY_H
#define FRESHET_CODEC_REGISTRY_H

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

typedef struct freshet_registry freshet_registry;

/* Copies the texts; asks nothing yet. Errors: FRESHET_INVALID, verdict FRESHET_STOP: no usable
 * URL. */
freshet_status freshet_registry_create(const freshet_registry_config* config, freshet_registry** registry,
                                       freshet_error* error);
/* Starts the thread. Without it only freshet_registry_probe asks. Errors: FRESHET_UNAVAILABLE. */
freshet_status freshet_registry_start(freshet_registry* registry, freshet_error* error);
/* Ends the thread at once. After every codec that uses the lookup. NULL is allowed. */
void freshet_registry_destroy(freshet_registry* registry);

/* For freshet_codec_config. Holds as long as the registry. */
freshet_schema_lookup freshet_registry_lookup(freshet_registry* registry);

/* One question, now, on this thread: can the registry be reached? Before start. Errors: FRESHET_UNAVAILABLE with the reason. */
freshet_status freshet_registry_probe(freshet_registry* registry, freshet_error* error);

#endif
