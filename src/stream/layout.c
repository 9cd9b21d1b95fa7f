/* layout.c: see layout.h. */
#include "stream/layout.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "stream/words.h"

void freshet_layout_write(const freshet_layout* layout, char text[FRESHET_LAYOUT_TEXT_SIZE]) {
  text[0] = '\0';
  if (layout->partitions <= 0) return;
  snprintf(text, FRESHET_LAYOUT_TEXT_SIZE, "p1:%d:%d", (int)layout->partitions, (int)layout->previous);
}

freshet_layout freshet_layout_read(const char* text, size_t size) {
  char word[FRESHET_LAYOUT_TEXT_SIZE];
  int partitions = 0, previous = 0, used = 0;
  freshet_words_find(text, size, "p1:", word, sizeof word);
  bool is_layout = sscanf(word, "p1:%9d:%9d%n", &partitions, &previous, &used) == 2 &&
                   (size_t)used == strlen(word) && partitions > 0 && previous >= 0;
  return is_layout ? (freshet_layout){partitions, previous} : (freshet_layout){0, 0};
}
