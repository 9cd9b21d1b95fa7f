/*
 * registry.h: schemas of a schema registry, by id: Confluent's API, which Apicurio (under /apis/ccompat/v7) and Karapace
 * speak too. A thread of its own asks; whoever decodes never waits for the network but for a moment at the first record of
 * an id. What is known stays known, also while the registry is away.
 *
 * It must not know what a schema means, nor who waits for it. Thread rule: the lookup may be used from any thread.
 */
#ifndef FRESHET_CODEC_REGISTRY_H
#define FRESHET_CODEC_REGISTRY_H

#include "codec/registry_config.h"

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
