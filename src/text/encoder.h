/*
 * encoder.h: text in, vectors out. One interface for hashing, word vectors, BERT and embedding servers.
 *
 * Thread rule: an encoder serves one thread at a time; what is large (weights) may be shared between encoders
 * behind it.
 */
#ifndef FRESHET_TEXT_ENCODER_H
#define FRESHET_TEXT_ENCODER_H

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

#endif
