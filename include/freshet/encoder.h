/*
 * encoder.h: text in, vectors out. One interface for hashing, word vectors, BERT and embedding servers.
 *
 * Thread rule: an encoder serves one thread at a time; what is large (weights) may be shared between encoders
 * behind it.
 */
#ifndef FRESHET_ENCODER_H
#define FRESHET_ENCODER_H

#include "freshet/bytes.h"
#include "freshet/status.h"

typedef struct freshet_encoder freshet_encoder;

typedef struct freshet_encoder_vtable {
  /* Encodes texts [count] (UTF-8, any bytes: invalid sequences count as U+FFFD; empty is a text) into out
   * [count][dim], L2-normalised. Errors: FRESHET_UNAVAILABLE / FRESHET_TIMEOUT with verdict FRESHET_RETRY
   * (http only); nothing is written then. */
  freshet_status (*encode)(freshet_encoder* self, const freshet_slice* texts, size_t count, float* out,
                           freshet_error* error);
  void (*destroy)(freshet_encoder* self);

  /* The rest may be NULL. */

  /* The token ids that encode would see, at most max (>= 2): for trying out and checking. */
  size_t (*tokenize)(const freshet_encoder* self, freshet_slice text, uint32_t* ids, size_t max);
  /* Another encoder of the same name over the same weights, for another thread. Either may be destroyed
   * first. NULL: encoding is so fast that nobody needs a second one. */
  freshet_status (*share)(freshet_encoder* self, freshet_encoder** other, freshet_error* error);
  /* Makes an encode that runs in another thread, and all later ones, fail soon with FRESHET_ABORTED. NULL:
   * none takes long. */
  void (*interrupt)(freshet_encoder* self);
} freshet_encoder_vtable;

struct freshet_encoder {
  const freshet_encoder_vtable* vtable;
  uint32_t dim;
  char name[128]; /* encoder and model, for example "hashing-256-v1": equal names make equal vectors */
};

static inline freshet_status freshet_encode(freshet_encoder* encoder, const freshet_slice* texts,
                                            size_t count, float* out, freshet_error* error) {
  return encoder->vtable->encode(encoder, texts, count, out, error);
}

static inline void freshet_encoder_destroy(freshet_encoder* encoder) {
  if (encoder != NULL) encoder->vtable->destroy(encoder);
}

/* Character n-grams (3 to 5) hashed into `dim` signed buckets. Needs nothing. */
freshet_status freshet_encoder_hashing_create(uint32_t dim, freshet_encoder** encoder, freshet_error* error);

/* ---- the encoder that a configuration asks for ---- */

/* The model that is used when none is named: scripts/fetch-model brings it. */
#define FRESHET_TEXT_DEFAULT_MODEL "all-MiniLM-L6-v2"

typedef enum freshet_text_precision {
  FRESHET_TEXT_FP32 = 0,
  FRESHET_TEXT_INT8, /* a fourth of the memory and, with AVX-512 VNNI, over twice the speed; see README
                      */
} freshet_text_precision;

typedef enum freshet_text_encoder {
  FRESHET_TEXT_AUTO = 0, /* bert where a model is named or the default one has been fetched, else hashing */
  FRESHET_TEXT_BERT,
  FRESHET_TEXT_WORDS,
  FRESHET_TEXT_HASHING,
  FRESHET_TEXT_HTTP,
  FRESHET_TEXT_NONE, /* texts have no vectors */
} freshet_text_encoder;

enum { FRESHET_LEXICAL_DIM = 256 }; /* what lexical_weight > 0 adds to an encoder's dimensions */

typedef struct freshet_text_config {
  freshet_text_encoder encoder;
  /* bert: a folder; a bare name also means that folder of the cache; NULL or "": the default model. words: a
   * file. http: the server's name of the model. */
  const char* model;
  uint32_t dim;                          /* hashing and http: dimensions */
  freshet_text_precision precision;      /* bert */
  uint32_t threads;                      /* bert: that share the texts of one call */
  const struct freshet_kernels* kernels; /* bert: NULL for the fastest that this CPU runs */
  const char* url;                       /* http: of an OpenAI-compatible server's /v1/embeddings */
  const char* key_env; /* http: the environment variable that holds its key, NULL or "": none is sent */
  uint32_t timeout_ms; /* http */
  /* Above 0, and unless the encoder is hashing itself: its vectors stand behind the encoder's own, by this
   * weight. */
  float lexical_weight;
} freshet_text_config;

/* auto, 256 dimensions, fp32, one thread, a timeout of 10 s, no lexical part. */
freshet_text_config freshet_text_defaults(void);

/* Makes the encoder; *encoder becomes NULL for FRESHET_TEXT_NONE. The strings of `config` need not outlive
 * the call. Its name tells what was chosen. Errors: those of the encoder's own create function. */
freshet_status freshet_text_create(const freshet_text_config* config, freshet_encoder** encoder,
                                   freshet_error* error);

/* The folder ${FRESHET_CACHE:-~/.cache/freshet}/models/NAME, whether it is there or not. Returns false when
 * the path does not fit. */
bool freshet_text_model_folder(const char* name, char* path, size_t size);

#endif
