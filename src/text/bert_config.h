/*
 * bert_config.h: what a model folder says about itself, in the layout of Hugging Face and
 * sentence-transformers.
 *
 * Needed: config.json. Read when there: tokenizer_config.json, sentence_bert_config.json, modules.json and
 * the pooling module's config.json. Without them BERT's own defaults hold: uncased, mean pooling, as many
 * tokens as there are positions.
 */
#ifndef FRESHET_TEXT_BERT_CONFIG_H
#define FRESHET_TEXT_BERT_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "freshet/status.h"
#include "text/wordpiece.h"

enum {
  FRESHET_BERT_LAYERS_MAX = 64,
  FRESHET_BERT_WIDTH_MAX = 16384, /* of any layer */
  FRESHET_BERT_TOKENS_MAX = 512,  /* tokens of one text that are read, whatever the model allows */
};

typedef enum freshet_pooling {
  FRESHET_POOLING_MEAN = 0, /* over all tokens, [CLS] and [SEP] too */
  FRESHET_POOLING_CLS,
} freshet_pooling;

typedef struct freshet_bert_config {
  uint32_t hidden, layers, heads, intermediate, positions, vocabulary, types;
  uint32_t tokens_max; /* of one text: at most positions and FRESHET_BERT_TOKENS_MAX */
  float epsilon;       /* of the layer norms */
  freshet_pooling pooling;
  freshet_wordpiece_options tokenizer;
} freshet_bert_config;

/* Reads the files of a model folder. Errors: FRESHET_NOT_FOUND without config.json; FRESHET_INVALID, with
 * file and key, for a file that is malformed or describes a model that this encoder cannot run (not BERT,
 * another activation, odd widths, other pooling). */
freshet_status freshet_bert_config_read(const char* folder, freshet_bert_config* config,
                                        freshet_error* error);

#endif
