/*
 * mark.c: makes, compares and writes the fingerprint of a place in a log.
 *
 * It owns nothing. It must not read a log.
 */
#include "stream/mark.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "stream/words.h"

freshet_mark freshet_mark_of(int64_t offset, int64_t time_ms, freshet_slice key, freshet_slice value) {
  XXH64_hash_t of_key = XXH3_64bits(key.data, key.size);
  return (freshet_mark){offset, time_ms, XXH3_64bits_withSeed(value.data, value.size, of_key)};
}

int64_t freshet_mark_number(const freshet_mark* mark) {
  return (int64_t)(mark->hash ^ (uint64_t)mark->time_ms);
}

bool freshet_mark_equal(const freshet_mark* a, const freshet_mark* b) {
  return a->offset == b->offset && a->time_ms == b->time_ms && a->hash == b->hash;
}

void freshet_mark_write(const freshet_mark* mark, char text[FRESHET_MARK_TEXT_SIZE]) {
  text[0] = '\0';
  if (mark->offset < 0) return;
  snprintf(text, FRESHET_MARK_TEXT_SIZE, "m1:%" PRId64 ":%" PRId64 ":%016" PRIx64, mark->offset,
           mark->time_ms, mark->hash);
}

freshet_mark freshet_mark_read(const char* text, size_t size) {
  char word[FRESHET_MARK_TEXT_SIZE];
  freshet_mark mark;
  int used = 0;
  freshet_words_find(text, size, "m1:", word, sizeof word);
  bool is_mark = sscanf(word, "m1:%" SCNd64 ":%" SCNd64 ":%" SCNx64 "%n", &mark.offset, &mark.time_ms,
                        &mark.hash, &used) == 3 &&
                 (size_t)used == strlen(word) && mark.offset >= 0;
  return is_mark ? mark : FRESHET_NO_MARK;
}
