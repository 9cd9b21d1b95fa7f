/*
 * text.h: makes the encoder that a configuration asks for.
 */
#ifndef FRESHET_TEXT_TEXT_H
#define FRESHET_TEXT_TEXT_H

#include "text/bert.h"
#include "text/encoder.h"

/* The model that is used when none is named: scripts/fetch-model brings it. */
#define FRESHET_TEXT_DEFAULT_MODEL "all-MiniLM-L6-v2"

typedef enum freshet_text_encoder {
  FRESHET_TEXT_AUTO = 0, /* bert where a model is named or the default one has been fetched, else hashing */
  FRESHET_TEXT_BERT,
  FRESHET_TEXT_WORDS,
  FRESHET_TEXT_HASHING,
  FRESHET_TEXT_HTTP,
  FRESHET_TEXT_NONE, /* texts have no vectors */
} freshet_text_encoder;

typedef struct freshet_text_config {
  freshet_text_encoder encoder;
  /* bert: a folder; a bare name also means that folder of the cache; NULL or "": the default model. words: a
   * file. http: the server's name of the model. */
  const char* model;
  uint32_t dim;                     /* hashing and http: dimensions */
  freshet_text_precision precision; /* bert */
  uint32_t threads;                 /* bert: that share the texts of one call */
  const freshet_kernels* kernels;   /* bert: NULL for the fastest that this CPU runs */
  const char *url, *key_env;        /* http: see freshet_http_options */
  uint32_t timeout_ms;              /* http */
} freshet_text_config;

/* auto, 256 dimensions, fp32, one thread, a timeout of 10 s. */
freshet_text_config freshet_text_defaults(void);

/* Makes the encoder; *encoder becomes NULL for FRESHET_TEXT_NONE. The strings of `config` need not outlive
 * the call. Its name tells what was chosen. Errors: those of the encoder's own create function. */
freshet_status freshet_text_create(const freshet_text_config* config, freshet_encoder** encoder,
                                   freshet_error* error);

/* The folder ${FRESHET_CACHE:-~/.cache/freshet}/models/NAME, whether it is there or not. Returns false when
 * the path does not fit. */
bool freshet_text_model_folder(const char* name, char* path, size_t size);

#endif
