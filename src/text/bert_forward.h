/*
 * bert_forward.h: tokens in, sentence vectors out: the forward pass of BERT (Devlin et al. 2019;
 * post-layer-norm transformer, erf GELU) over several texts at once.
 *
 * The texts of a group are laid one behind the other, without padding: every matrix product runs over all
 * their tokens, only attention looks at one text at a time.
 */
#ifndef FRESHET_TEXT_BERT_FORWARD_H
#define FRESHET_TEXT_BERT_FORWARD_H

#include "text/bert_weights.h"

enum { FRESHET_BERT_GROUP_TOKENS = 256 };

/* The tokens of a group and all memory that its forward pass needs; one for each thread. */
typedef struct freshet_bert_group {
  const freshet_bert_config* config;
  const freshet_bert_weights* weights;
  const freshet_kernels* kernels;
  uint32_t tokens_max; /* capacity: the group size or one text, whichever is more */
  uint32_t* ids;       /* [tokens_max] */
  uint32_t* starts;    /* [text_count + 1] of each text, into ids */
  uint32_t text_count;

  float* hidden; /* [tokens_max][hidden] */
  float* mixed;  /* [tokens_max][hidden] the output of attention, and then what is added to hidden */
  float* wide;   /* [tokens_max][max(3 hidden, intermediate)] */
  float* scores; /* [text tokens][scores_stride] attention of one head */
  uint32_t scores_stride;
  float* panels;             /* [scores_stride][head dim] keys, then values of one head */
  void* q;                   /* [tokens_max][widest] 8 bits only, as are the ranges */
  freshet_row_range* ranges; /* [tokens_max] */
} freshet_bert_group;

/* Makes a group. config, weights and kernels have to outlive it. Errors: FRESHET_NO_MEMORY. */
freshet_status freshet_bert_group_create(const freshet_bert_config* config,
                                         const freshet_bert_weights* weights, const freshet_kernels* kernels,
                                         freshet_bert_group* group, freshet_error* error);
/* Frees the memory of a group; a zeroed group is allowed. */
void freshet_bert_group_free(freshet_bert_group* group);

/* Empties the group. */
void freshet_bert_group_clear(freshet_bert_group* group);
/* Adds a text of at most config.tokens_max ids below config.vocabulary. False: it does not fit any more. An
 * empty group takes any text. */
bool freshet_bert_group_add(freshet_bert_group* group, const uint32_t* ids, size_t count);

/* Vectors of the group's texts, in their order: outs[i] is [hidden], L2-normalised. */
void freshet_bert_forward(freshet_bert_group* group, float* const* outs);

#endif
