/*
 * bert.h: the encoder for BERT-class sentence models (MiniLM, BGE, E5, ...) in a folder of the layout of
 * Hugging Face. The encoder owns its threads and shares its weights. The public way to it is
 * freshet_text_create.
 */
#ifndef FRESHET_TEXT_BERT_H
#define FRESHET_TEXT_BERT_H

#include "freshet/encoder.h"
#include "text/kernels.h"

enum { FRESHET_BERT_THREADS_MAX = 256 };

typedef struct freshet_bert_options {
  const char* folder; /* config.json, vocab.txt, model.safetensors, ... */
  freshet_text_precision precision;
  uint32_t threads;               /* that share the texts of one call: 1 .. FRESHET_BERT_THREADS_MAX */
  const freshet_kernels* kernels; /* NULL: the fastest */
} freshet_bert_options;

/* Loads a model. The encoder's name has the folder's name, the weights' hash and the precision. The encoder
 * starts threads - 1 threads that sleep between calls. Errors: see freshet_bert_config_read,
 * freshet_bert_weights_load and freshet_wordpiece_create; FRESHET_NOT_FOUND without vocab.txt. */
freshet_status freshet_encoder_bert_create(const freshet_bert_options* options, freshet_encoder** encoder,
                                           freshet_error* error);

#endif
