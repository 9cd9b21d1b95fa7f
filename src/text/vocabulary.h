/*
 * vocabulary.h: which words a catalogue has had in its texts.
 *
 * An encoder that hashes makes a vector of any word, and a made-up word is alike to some item by chance. So the words
 * of a request that no item has had are left out before it reads them. A word is known when it begins like a word of
 * the catalogue: the same letters, at least two thirds of both words and at least three. So "mugs" is known by "mug",
 * and "mug" by "mugs". Of ideographs each one is a word.
 *
 * It owns a filter of one size, whatever the catalogue's. A word is never forgotten; a made-up word may be taken for a
 * known one, 1 in 50 with a million words. What it knows depends on the texts alone, not on their order. It must not
 * know items.
 *
 * Thread rule: one thread.
 */
#ifndef FRESHET_TEXT_VOCABULARY_H
#define FRESHET_TEXT_VOCABULARY_H

#include "freshet/bytes.h"

enum { FRESHET_VOCABULARY_BYTES = 8 << 20 };

typedef struct freshet_vocabulary freshet_vocabulary;

freshet_vocabulary* freshet_vocabulary_create(void);
void freshet_vocabulary_destroy(freshet_vocabulary* vocabulary);

void freshet_vocabulary_add(freshet_vocabulary* vocabulary, freshet_slice text);

/* The known words of the text, folded, with a space between two: a text that points into out. Empty: none is known. */
freshet_slice freshet_vocabulary_known(const freshet_vocabulary* vocabulary, freshet_slice text,
                                       freshet_buffer* out);

#endif
