/*
 * encoder.h: text in, vectors out. One interface for hashing, word vectors, BERT and embedding servers.
 *
 * Process-wide effect: a BERT encoder sets OpenBLAS to one thread for the whole process
 * (openblas_set_num_threads(1)), because it computes on threads of its own, and idle OpenBLAS threads spin.
 *
 * Thread rule: an encoder serves one thread at a time, except that `interrupt` may be called from any thread.
 * Encoders that were made by `share` use the same weights, and each serves a thread of its own.
 */
#ifndef FRESHET_ENCODER_H
#define FRESHET_ENCODER_H

#include "freshet/bytes.h"
#include "freshet/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct freshet_encoder freshet_encoder;

typedef struct freshet_encoder_vtable {
  /* Encodes texts [count] into out [count][dim], each vector of length 1 (L2), or 0 when the text holds
   * nothing that the encoder knows. Texts are UTF-8; an invalid sequence counts as U+FFFD; an empty text is
   * allowed. Errors: FRESHET_UNAVAILABLE and FRESHET_TIMEOUT with verdict FRESHET_RETRY (http only),
   * FRESHET_ABORTED after interrupt. After an error nothing in out may be used. */
  freshet_status (*encode)(freshet_encoder* self, const freshet_slice* texts, size_t count, float* out,
                           freshet_error* error);
  /* Frees the encoder. Not NULL, and not while another call of it runs. */
  void (*destroy)(freshet_encoder* self);

  /* The functions below may be NULL. */

  /* Writes the token ids that encode would see to ids [max], max >= 2, and returns how many they are. NULL:
   * the encoder has no tokens. */
  size_t (*tokenize)(const freshet_encoder* self, freshet_slice text, uint32_t* ids, size_t max);
  /* Makes another encoder of the same name over the same weights, for another thread; the caller destroys it.
   * Either may be destroyed first. NULL: encoding is so fast that one encoder is enough. */
  freshet_status (*share)(freshet_encoder* self, freshet_encoder** other, freshet_error* error);
  /* Makes an encode that runs in another thread, and all later ones, fail soon with FRESHET_ABORTED. NULL:
   * no encode takes long. */
  void (*interrupt)(freshet_encoder* self);
  /* What an operator should know about the last calls of encode, although they succeeded: copies it to text [size] and
   * forgets it. False: nothing. NULL: there is never anything. */
  bool (*notice)(freshet_encoder* self, char* text, size_t size);

  /* It makes a vector of any word, made-up ones too: the caller leaves out the words of a request that no item has. */
  bool takes_any_word;
} freshet_encoder_vtable;

/* The head of every encoder. An encoder of one's own starts with it. */
struct freshet_encoder {
  const freshet_encoder_vtable* vtable;
  uint32_t dim;   /* of its vectors, > 0 */
  char name[128]; /* encoder and model, for example "hashing-256-v1": equal names make equal vectors */
};

/* vtable->encode. */
static inline freshet_status freshet_encode(freshet_encoder* encoder, const freshet_slice* texts,
                                            size_t count, float* out, freshet_error* error) {
  return encoder->vtable->encode(encoder, texts, count, out, error);
}

/* vtable->destroy. NULL is allowed. */
static inline void freshet_encoder_destroy(freshet_encoder* encoder) {
  if (encoder != NULL) encoder->vtable->destroy(encoder);
}

/* Makes an encoder that hashes words and character n-grams (3 to 5) into `dim` signed buckets. It needs no
 * model file. The caller destroys it. Errors: FRESHET_INVALID for a dim out of range. */
freshet_status freshet_encoder_hashing_create(uint32_t dim, freshet_encoder** encoder, freshet_error* error);

/* ---- the encoder that a configuration asks for ---- */

/* The model that is used when none is named: `freshet fetch-model` brings it. */
#define FRESHET_TEXT_DEFAULT_MODEL "all-MiniLM-L6-v2"

typedef enum freshet_text_precision {
  FRESHET_TEXT_FP32 = 0,
  FRESHET_TEXT_INT8, /* a fourth of the memory, faster with AVX-512 VNNI, a little less exact */
} freshet_text_precision;

typedef enum freshet_text_encoder {
  FRESHET_TEXT_AUTO = 0, /* bert when a model is named or the default one has been fetched, else hashing */
  FRESHET_TEXT_BERT,     /* a BERT-class sentence model from a folder */
  FRESHET_TEXT_WORDS,    /* the weighted mean of word vectors from a file */
  FRESHET_TEXT_HASHING,  /* hashed words and character n-grams */
  FRESHET_TEXT_HTTP,     /* a server with OpenAI's /v1/embeddings */
  FRESHET_TEXT_NONE,     /* texts have no vectors */
} freshet_text_encoder;

enum { FRESHET_LEXICAL_DIM = 256 }; /* what lexical_weight > 0 adds to an encoder's dimensions */

/* Strings are borrowed for the call that gets the configuration. */
typedef struct freshet_text_config {
  freshet_text_encoder encoder;
  /* bert: a folder, or the bare name of a folder of the cache; NULL or "" for the default model. words: a
   * file. http: the model as the server calls it. */
  const char* model;
  uint32_t dim;                     /* hashing and http: dimensions */
  freshet_text_precision precision; /* bert */
  uint32_t threads;                 /* bert: threads that share the texts of one call, 1 .. 256 */
  const char* url;                  /* http: address of the server's /v1/embeddings */
  const char* key_env;              /* http: the environment variable with the key; NULL or "": no key */
  uint32_t timeout_ms;              /* http: of one question */
  /* Above 0: FRESHET_LEXICAL_DIM dimensions of hashed words follow the encoder's own, with this weight. It
   * has no effect on hashing. */
  float lexical_weight;
} freshet_text_config;

/* The defaults: auto, 256 dimensions, fp32, one thread, a timeout of 10 s, no lexical part. */
freshet_text_config freshet_text_defaults(void);

/* Makes the encoder that the configuration asks for; the caller destroys it. *encoder is NULL for
 * FRESHET_TEXT_NONE and after an error. The encoder's name tells which one `auto` has chosen. Errors:
 * FRESHET_NOT_FOUND and FRESHET_IO for a model that is missing or cannot be read, FRESHET_INVALID for one that
 * is malformed or not supported, and for a bad setting; the message names the file or the setting. */
freshet_status freshet_text_create(const freshet_text_config* config, freshet_encoder** encoder,
                                   freshet_error* error);

/* The folder of a model by its name. With FRESHET_CACHE set: models/NAME in it. Else models/NAME in
 * ~/.cache/freshet; where that is missing, models/NAME in /var/cache/freshet if it is there. So the path may
 * name a folder that is missing. Returns false when the path does not fit. */
bool freshet_text_model_folder(const char* name, char* path, size_t size);

#ifdef __cplusplus
}
#endif

#endif
