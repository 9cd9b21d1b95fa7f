/*
 * bert_weights.h: the weights of a BERT model, laid out for the kernels. Immutable once loaded: any number of
 * threads may read.
 */
#ifndef FRESHET_TEXT_BERT_WEIGHTS_H
#define FRESHET_TEXT_BERT_WEIGHTS_H

#include <stdbool.h>

#include "text/bert_config.h"
#include "text/kernels.h"
#include "text/safetensors.h"

/* y [n] = W [n][k] x [k] + bias [n]; packed as floats, or as 8-bit values when scales is not NULL. */
typedef struct freshet_bert_linear {
  uint32_t k, n;
  float* panels;
  int8_t* panels_int8;
  float *scales, *sums; /* [n] each, 8 bits only */
  float* bias;          /* [n] */
} freshet_bert_linear;

typedef struct freshet_bert_norm {
  float *gain, *bias; /* [hidden] each */
} freshet_bert_norm;

typedef struct freshet_bert_layer {
  freshet_bert_linear query_key_value; /* hidden -> 3 hidden */
  freshet_bert_linear output;          /* hidden -> hidden */
  freshet_bert_norm output_norm;
  freshet_bert_linear up;   /* hidden -> intermediate */
  freshet_bert_linear down; /* intermediate -> hidden */
  freshet_bert_norm down_norm;
} freshet_bert_layer;

typedef struct freshet_bert_weights {
  freshet_safetensors* file;                       /* the embedding tables stay in the mapped file */
  const freshet_tensor *words, *positions, *types; /* [vocabulary | positions | types][hidden] */
  freshet_bert_norm embedding_norm;
  freshet_bert_layer* layers; /* [config.layers] */
  void* memory;               /* the memory that holds everything packed */
  uint64_t hash;              /* of the whole file: XXH3 */
} freshet_bert_weights;

/* Loads FOLDER/model.safetensors. Errors: as freshet_safetensors_open and freshet_safetensors_require, and
 * FRESHET_INVALID for weights that are not finite. */
freshet_status freshet_bert_weights_load(const char* folder, const freshet_bert_config* config,
                                         const freshet_kernels* kernels, bool int8,
                                         freshet_bert_weights* weights, freshet_error* error);
/* Frees the weights; zeroed or half-loaded weights are allowed. */
void freshet_bert_weights_free(freshet_bert_weights* weights);

#endif
