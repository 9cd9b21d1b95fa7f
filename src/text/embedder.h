/*
 * embedder.h: encodes texts in the background: submit without blocking, collect without blocking.
 *
 * Two lanes: requests, which somebody waits for, and bulk, which fills the catalogue, after the texts of
 * users' histories. Each has a thread and an encoder of its own over the same weights, so that a request
 * never waits behind bulk work; where encoding takes no time worth mentioning, one thread serves both,
 * requests first. Vectors of recent texts come from a cache; those of histories do not, since hardly one
 * comes twice, and they are about a person.
 *
 * A bulk text that fails for the moment (the server is away) stays and is tried again with growing pauses; a
 * request or a history that fails is handed back at once. Everything that was submitted is collected exactly
 * once.
 *
 * Thread rule: submit, collect and stats may be called from any thread, but collect from one at a time.
 */
#ifndef FRESHET_TEXT_EMBEDDER_H
#define FRESHET_TEXT_EMBEDDER_H

#include "freshet/encoder.h"

enum {
  FRESHET_EMBEDDER_BATCH_MAX = 256,
  FRESHET_EMBEDDER_TEXT_MAX = 64 * 1024, /* bytes of a text that are kept; no encoder reads more */
};

typedef enum freshet_embed_priority {
  FRESHET_EMBED_REQUEST = 0,
  FRESHET_EMBED_HISTORY,
  FRESHET_EMBED_BULK,
  FRESHET_EMBED_PRIORITIES
} freshet_embed_priority;

typedef struct freshet_embedder_config {
  freshet_encoder* encoder; /* borrowed; outlives the embedder, and nothing else uses it meanwhile */
  size_t batch;             /* texts of one call, 1 .. FRESHET_EMBEDDER_BATCH_MAX */
  size_t texts_max;         /* of each priority, submitted and not yet collected */
  size_t bytes_max;         /* the same in bytes of text */
  size_t cache_bytes;       /* 0: no cache */
  uint32_t retry_ms; /* first pause after a failure of bulk; doubles up to retry_max_ms, half of it random */
  uint32_t retry_max_ms;
  void (*ready)(
      void* context); /* called from the lane's thread when there is something to collect; NULL: no call */
  /* Called from a lane's thread with what an operator should know: a text that was cut, a server's refusal. NULL: no
   * call. Must not call back. */
  void (*notice)(void* context, const char* text);
  void* context;
} freshet_embedder_config;

/* 32 texts a call, 4,096 texts and 32 MB waiting, a cache of 16 MB, pauses of 0.5 to 60 s; encoder and ready
 * are the caller's to set. */
freshet_embedder_config freshet_embedder_defaults(void);

typedef struct freshet_embedded {
  uint64_t id;
  freshet_embed_priority priority;
  freshet_status status; /* FRESHET_OK, or why this text has no vector */
  const float* vector;   /* [dim] or NULL; holds until the next collect */
} freshet_embedded;

typedef struct freshet_embedder_stats {
  uint64_t submitted, done, failed; /* texts since the start; failed ones were collected without a vector */
  uint64_t cache_hits;              /* of those done */
  uint64_t retries;                 /* calls that failed and will be tried again */
  size_t waiting[FRESHET_EMBED_PRIORITIES];    /* by priority: submitted and not yet encoded */
  char last_error[FRESHET_ERROR_MESSAGE_SIZE]; /* of the newest failure; empty: none since the last success */
} freshet_embedder_stats;

typedef struct freshet_embedder freshet_embedder;

/* Starts the threads. Errors: FRESHET_INVALID for a batch out of range, FRESHET_NO_MEMORY. */
freshet_status freshet_embedder_create(const freshet_embedder_config* config, freshet_embedder** embedder,
                                       freshet_error* error);
/* Interrupts the encoders, ends the threads and drops what was not collected. NULL is allowed. */
void freshet_embedder_destroy(freshet_embedder* embedder);

/* Takes a copy of the text. False when texts_max or bytes_max is reached: collect, or come again later. */
bool freshet_embedder_submit(freshet_embedder* embedder, uint64_t id, freshet_slice text,
                             freshet_embed_priority priority);
/* Takes the next finished text, in no particular order. False: none is finished. */
bool freshet_embedder_collect(freshet_embedder* embedder, freshet_embedded* embedded);

void freshet_embedder_get_stats(freshet_embedder* embedder, freshet_embedder_stats* stats);

#endif
