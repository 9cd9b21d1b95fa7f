/*
 * split.h: a text as folded words. It owns the rule where a word begins and ends, which hashing (hashing.c) and the
 * vocabulary of the catalogue (vocabulary.c) share. It must not know what a word is used for. Pure; any thread.
 *
 * A text is folded (case, accents, compatibility forms). A word is a run of letters, digits and marks. A run of
 * ideographs is a word of its own, in which each character can be one.
 */
#ifndef FRESHET_TEXT_SPLIT_H
#define FRESHET_TEXT_SPLIT_H

#include "text/unicode.h"

enum {
  FRESHET_SPLIT_WORD_MAX = 64,          /* characters of one word; longer runs are cut */
  FRESHET_SPLIT_CHARACTERS_MAX = 16384, /* of a text are read; the rest says little that is new */
};

/* word [count]: at least one character. The callback may write to word[-1] and word[count]. */
typedef void (*freshet_split_word)(void* context, int32_t* word, size_t count, bool is_ideographs);

void freshet_text_split(freshet_slice text, freshet_split_word each, void* context);

#endif
