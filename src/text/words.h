/*
 * words.h: the encoder over a table of word vectors, a pretrained one (Word2Vec, GloVe, fastText) or one's
 * own.
 *
 * Formats, told apart by their content: Word2Vec text ("count dim", then "word v1 ... vdim" lines), GloVe
 * text (the same without the first line) and Word2Vec binary ("count dim", then "word " and dim little-endian
 * floats). The file is mapped and only its words are indexed; it must not be truncated while the encoder
 * lives.
 */
#ifndef FRESHET_TEXT_WORDS_H
#define FRESHET_TEXT_WORDS_H

#include "freshet/encoder.h"

/* Makes the encoder from a file. Errors: FRESHET_NOT_FOUND, FRESHET_IO; FRESHET_INVALID, with the word's
 * number, for a malformed file. */
freshet_status freshet_encoder_words_create(const char* path, freshet_encoder** encoder,
                                            freshet_error* error);
/* As freshet_encoder_words_create, over bytes that the caller owns and keeps. `name` becomes part of the
 * encoder's name. */
freshet_status freshet_encoder_words_parse(freshet_slice bytes, const char* name, freshet_encoder** encoder,
                                           freshet_error* error);

#endif
