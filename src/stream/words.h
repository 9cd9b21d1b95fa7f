/*
 * words.h: the metadata of a committed offset is words of ASCII with a blank between them. Each begins with a prefix of
 * its own: that of mark.h, of layout.h, and of the process that committed. It must not know what a word says.
 */
#ifndef FRESHET_STREAM_WORDS_H
#define FRESHET_STREAM_WORDS_H

#include <stdbool.h>
#include <stddef.h>

/* Copies the first word with this prefix, with a NUL, to word [word_size]. text: [size], or NULL. False, and "", when
 * there is no such word or it does not fit. */
bool freshet_words_find(const char* text, size_t size, const char* prefix, char* word, size_t word_size);

#endif
