/*
 * joined.h: an encoder whose vectors hold those of another encoder, and behind them hashed words: the model
 * gives the meaning, the words give names and spellings.
 */
#ifndef FRESHET_TEXT_JOINED_H
#define FRESHET_TEXT_JOINED_H

#include "freshet/encoder.h"

/* Language models show the meaning of a text and blur names, article numbers and variants ("red mug", "blue
 * mug"); hashed words and character n-grams keep them. The vector is [own ; weight * hashed], of length 1, so
 * that a cosine is (own + weight^2 hashed) / (1 + weight^2). Takes ownership of `own`, even when it fails.
 * weight > 0. Errors: FRESHET_INVALID when the vector or the name would be too long. */
freshet_status freshet_encoder_joined_create(freshet_encoder* own, float weight, freshet_encoder** encoder,
                                             freshet_error* error);

#endif
