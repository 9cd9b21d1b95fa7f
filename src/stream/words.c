/* words.c: see words.h. */
#include "stream/words.h"

#include <string.h>

bool freshet_words_find(const char* text, size_t size, const char* prefix, char* word, size_t word_size) {
  const size_t prefix_size = strlen(prefix);
  const char* end = text == NULL ? NULL : text + size;
  word[0] = '\0';
  while (text < end) {
    const char* blank = memchr(text, ' ', (size_t)(end - text));
    const size_t length = (size_t)((blank == NULL ? end : blank) - text);
    if (length >= prefix_size && memcmp(text, prefix, prefix_size) == 0) {
      if (length >= word_size || memchr(text, '\0', length) != NULL) return false;
      memcpy(word, text, length);
      word[length] = '\0';
      return true;
    }
    text += length + 1;
  }
  return false;
}
