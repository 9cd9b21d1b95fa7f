/*
 * unicode.h: UTF-8 to code points, and the folding that makes texts that look alike equal.
 *
 * Pure functions over utf8proc; any thread.
 */
#ifndef FRESHET_TEXT_UNICODE_H
#define FRESHET_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "freshet/bytes.h"

enum {
  FRESHET_CODE_POINT_INVALID = 0xfffd, /* the code point for each byte that is not UTF-8 */
  FRESHET_FOLD_MAX = 32,               /* code points that one may fold into (U+FDFA needs 18) */
};

/* Returns the code point at *text (*text < end) and moves *text past it. */
int32_t freshet_unicode_next(const char** text, const char* end);

/* Writes a code point as UTF-8 and returns how many bytes it takes. */
size_t freshet_unicode_encode(int32_t code_point, char out[4]);

/* Folds a code point (NFKD, full case folding, marks dropped): "É" to "e", "ﬁ" to "fi", "Ａ" to "a". Returns
 * how many code points come out, perhaps 0. */
size_t freshet_unicode_fold(int32_t code_point, int32_t out[FRESHET_FOLD_MAX]);

/* Whether words may contain it: letters, digits and marks. */
bool freshet_unicode_is_word(int32_t code_point);
/* Whether a text (UTF-8, need not be valid) holds a character that words may contain. A text without one has no
 * vector: every encoder would make all such texts alike. */
bool freshet_text_has_word(freshet_slice text);
/* Whether it belongs to a script without spaces between words, where one character can be a word: Han and
 * kana. */
bool freshet_unicode_is_ideograph(int32_t code_point);

#endif
