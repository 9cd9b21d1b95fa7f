/*
 * joined.c: an encoder that appends hashed words to the vector of another encoder, with a weight. It owns
 * both encoders. What kind of encoder the other one is it must not know.
 */
#include "text/joined.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOINED_DIM_MAX = 4096 };

typedef struct joined_encoder {
  freshet_encoder base;
  freshet_encoder_vtable vtable; /* offers what `own` does */
  freshet_encoder* own;
  freshet_encoder* lexical;
  float weight, own_scale, lexical_scale;
} joined_encoder;

/* Works in place, from the last row to the first: row i of the own vectors moves to the place of row i of the
 * joined ones. */
static freshet_status joined_encode(freshet_encoder* encoder, const freshet_slice* texts, size_t count,
                                    float* out, freshet_error* error) {
  joined_encoder* self = (joined_encoder*)encoder;
  uint32_t dim = self->base.dim, own_dim = self->own->dim;
  freshet_status status = freshet_encode(self->own, texts, count, out, error);
  for (size_t i = count; i-- > 0 && status == FRESHET_OK;) {
    float* row = out + i * dim;
    memmove(row, out + i * own_dim, own_dim * sizeof *row);
    status = freshet_encode(self->lexical, texts + i, 1, row + own_dim, error);
    for (uint32_t k = 0; k < dim; k++) row[k] *= k < own_dim ? self->own_scale : self->lexical_scale;
  }
  return status;
}

static size_t joined_tokenize(const freshet_encoder* encoder, freshet_slice text, uint32_t* ids, size_t max) {
  const freshet_encoder* own = ((const joined_encoder*)encoder)->own;
  return own->vtable->tokenize(own, text, ids, max);
}

static freshet_status joined_share(freshet_encoder* encoder, freshet_encoder** other, freshet_error* error) {
  joined_encoder* self = (joined_encoder*)encoder;
  freshet_encoder* own;
  *other = NULL;
  freshet_status status = self->own->vtable->share(self->own, &own, error);
  if (status == FRESHET_OK) status = freshet_encoder_joined_create(own, self->weight, other, error);
  return status;
}

static void joined_interrupt(freshet_encoder* encoder) {
  freshet_encoder* own = ((joined_encoder*)encoder)->own;
  own->vtable->interrupt(own);
}

static bool joined_notice(freshet_encoder* encoder, char* text, size_t size) {
  freshet_encoder* own = ((joined_encoder*)encoder)->own;
  return own->vtable->notice(own, text, size);
}

static void joined_destroy(freshet_encoder* encoder) {
  joined_encoder* self = (joined_encoder*)encoder;
  freshet_encoder_destroy(self->own);
  freshet_encoder_destroy(self->lexical);
  free(self);
}

static freshet_status set_name(joined_encoder* self, freshet_error* error) {
  char* name = self->base.name;
  int size = snprintf(name, sizeof self->base.name, "%s+%g*%s", self->own->name, (double)self->weight,
                      self->lexical->name);
  if (self->base.dim <= JOINED_DIM_MAX && size < (int)sizeof self->base.name) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "text.lexical_weight: with %d dimensions more, the vectors of %s have over %d, or "
                           "their name is too long; set it to 0",
                           FRESHET_LEXICAL_DIM, self->own->name, JOINED_DIM_MAX);
}

freshet_status freshet_encoder_joined_create(freshet_encoder* own, float weight, freshet_encoder** encoder,
                                             freshet_error* error) {
  joined_encoder* self = calloc(1, sizeof *self);
  FRESHET_ASSERT(self != NULL && weight > 0);
  *encoder = NULL;
  self->own = own;
  self->weight = weight;
  self->own_scale = 1 / sqrtf(1 + weight * weight);
  self->lexical_scale = weight * self->own_scale;
  self->vtable = (freshet_encoder_vtable){.encode = joined_encode, .destroy = joined_destroy};
  if (own->vtable->tokenize != NULL) self->vtable.tokenize = joined_tokenize;
  if (own->vtable->share != NULL) self->vtable.share = joined_share;
  if (own->vtable->interrupt != NULL) self->vtable.interrupt = joined_interrupt;
  if (own->vtable->notice != NULL) self->vtable.notice = joined_notice;
  self->base.vtable = &self->vtable;
  self->base.dim = own->dim + FRESHET_LEXICAL_DIM;
  freshet_status status = freshet_encoder_hashing_create(FRESHET_LEXICAL_DIM, &self->lexical, error);
  if (status == FRESHET_OK) status = set_name(self, error);
  if (status == FRESHET_OK) {
    *encoder = &self->base;
  } else {
    joined_destroy(&self->base);
  }
  return status;
}
