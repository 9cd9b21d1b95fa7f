/* layout.c: see layout.h. */
#include "stream/layout.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { METADATA_MAX = 512 };

void freshet_layout_write(const freshet_layout* layout, char text[FRESHET_LAYOUT_TEXT_SIZE]) {
  text[0] = '\0';
  if (layout->partitions <= 0) return;
  snprintf(text, FRESHET_LAYOUT_TEXT_SIZE, "p1:%d:%d", (int)layout->partitions, (int)layout->previous);
}

static freshet_layout read_word(const char* word) {
  int partitions = 0, previous = 0, used = 0;
  bool is_layout = sscanf(word, "p1:%9d:%9d%n", &partitions, &previous, &used) == 2 &&
                   (size_t)used == strlen(word) && partitions > 0 && previous >= 0;
  return is_layout ? (freshet_layout){partitions, previous} : (freshet_layout){0, 0};
}

freshet_layout freshet_layout_read(const char* text, size_t size) {
  char copy[METADATA_MAX];
  if (text == NULL || size >= sizeof copy) return (freshet_layout){0, 0};
  memcpy(copy, text, size);
  copy[size] = '\0';
  char* rest = NULL;
  for (char* word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
    freshet_layout layout = read_word(word);
    if (layout.partitions > 0) return layout;
  }
  return (freshet_layout){0, 0};
}
