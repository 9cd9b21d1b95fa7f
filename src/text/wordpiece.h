/*
 * wordpiece.h: text to token ids, as BERT's tokenizer does it: clean, split, fold, then the longest pieces of
 * the vocabulary first (Devlin et al., "BERT" (2019); Schuster and Nakajima (2012)).
 *
 * Gives the ids of the `tokenizers` library's BertNormalizer, BertPreTokenizer and WordPiece, including
 * special tokens that stand in the text ("[MASK]"). A tokenizer is immutable: any number of threads may
 * encode with it.
 */
#ifndef FRESHET_TEXT_WORDPIECE_H
#define FRESHET_TEXT_WORDPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "freshet/bytes.h"
#include "freshet/status.h"

enum {
  FRESHET_WORDPIECE_WORD_MAX = 100,           /* characters; a longer word is [UNK] */
  FRESHET_WORDPIECE_VOCABULARY_MAX = 1 << 21, /* pieces */
};

typedef struct freshet_wordpiece_options {
  bool lowercase;
  bool strip_accents;    /* canonical decomposition, then nonspacing marks dropped */
  bool split_ideographs; /* each CJK ideograph is a word */
} freshet_wordpiece_options;

typedef struct freshet_wordpiece freshet_wordpiece;

/* `vocabulary`: the bytes of a vocab.txt (copied). It holds one piece a line, and the number of the line,
 * from 0, is the piece's id. Pieces that continue a word begin with "##". Errors: FRESHET_INVALID when [CLS],
 * [SEP] or [UNK] is missing or there are too many pieces; FRESHET_NO_MEMORY. */
freshet_status freshet_wordpiece_create(freshet_slice vocabulary, const freshet_wordpiece_options* options,
                                        freshet_wordpiece** wordpiece, freshet_error* error);
/* NULL is allowed. */
void freshet_wordpiece_destroy(freshet_wordpiece* wordpiece);
/* Number of pieces; every id is smaller. */
size_t freshet_wordpiece_size(const freshet_wordpiece* wordpiece);

/* Writes [CLS], the pieces of the text and [SEP] into ids [max], max >= 2, and returns how many they are.
 * Pieces that do not fit are cut off; [SEP] stays. Any bytes are a text: bytes that are not UTF-8 count as
 * U+FFFD, which BERT drops. */
size_t freshet_wordpiece_encode(const freshet_wordpiece* wordpiece, freshet_slice text, uint32_t* ids,
                                size_t max);

#endif
