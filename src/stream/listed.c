/* listed.c: see listed.h. */
#include "stream/listed.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "stream/words.h"

void freshet_listed_write(const freshet_listed* listed, char text[FRESHET_LISTED_TEXT_SIZE]) {
  text[0] = '\0';
  if (listed->offset < 0) return;
  snprintf(text, FRESHET_LISTED_TEXT_SIZE, "l1:%" PRId64 ":%016" PRIx64, listed->offset, listed->listing);
}

freshet_listed freshet_listed_read(const char* text, size_t size) {
  char word[FRESHET_LISTED_TEXT_SIZE];
  freshet_listed listed;
  int used = 0;
  freshet_words_find(text, size, "l1:", word, sizeof word);
  const bool is_listed =
      sscanf(word, "l1:%" SCNd64 ":%" SCNx64 "%n", &listed.offset, &listed.listing, &used) == 2 &&
      (size_t)used == strlen(word) && listed.offset >= 0;
  return is_listed ? listed : FRESHET_NOT_LISTED;
}
