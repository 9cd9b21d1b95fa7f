/* vocabulary.c: see vocabulary.h. The filter is Bloom's, with three bits for a beginning of a word. */
#include "text/vocabulary.h"

#include <stdlib.h>
#include <xxhash.h>

#include "freshet/status.h"
#include "text/split.h"

enum {
  BITS = FRESHET_VOCABULARY_BYTES * 8, /* a power of two */
  PROBES = 3,
  LEAST = 3,     /* characters of a beginning, where a word has as many */
  BEGINNING = 0, /* seeds of hashes */
  WHOLE = 1,
};

struct freshet_vocabulary {
  uint64_t bits[BITS / 64];
};

freshet_vocabulary* freshet_vocabulary_create(void) {
  freshet_vocabulary* vocabulary = calloc(1, sizeof *vocabulary);
  FRESHET_ASSERT(vocabulary != NULL);
  return vocabulary;
}

void freshet_vocabulary_destroy(freshet_vocabulary* vocabulary) {
  free(vocabulary);
}

static uint64_t hash_of(const int32_t* word, size_t count, uint64_t seed) {
  return XXH3_64bits_withSeed(word, count * sizeof *word, seed);
}

/* Bit i of a hash: double hashing. */
static uint32_t place_of(uint64_t hash, uint32_t i) {
  return ((uint32_t)hash + i * ((uint32_t)(hash >> 32) | 1)) % BITS;
}

static bool has(const freshet_vocabulary* v, uint64_t hash) {
  for (uint32_t i = 0; i < PROBES; i++) {
    const uint32_t place = place_of(hash, i);
    if ((v->bits[place / 64] >> place % 64 & 1) == 0) return false;
  }
  return true;
}

static void set(freshet_vocabulary* v, uint64_t hash) {
  for (uint32_t i = 0; i < PROBES; i++) {
    const uint32_t place = place_of(hash, i);
    v->bits[place / 64] |= (uint64_t)1 << place % 64;
  }
}

/* Of the beginnings by which a word is known: the shortest. */
static size_t least_of(size_t count) {
  const size_t least = count - count / 3;
  return count < LEAST ? count : least < LEAST ? LEAST : least;
}

static void add_word(void* context, int32_t* word, size_t count, bool is_ideographs) {
  freshet_vocabulary* v = context;
  for (size_t i = 0; is_ideographs && i < count; i++) set(v, hash_of(word + i, 1, BEGINNING));
  if (is_ideographs) return;
  const uint64_t whole = hash_of(word, count, WHOLE);
  if (has(v, whole)) return; /* most words have come before */
  set(v, whole);
  for (size_t n = least_of(count); n <= count; n++) set(v, hash_of(word, n, BEGINNING));
}

void freshet_vocabulary_add(freshet_vocabulary* vocabulary, freshet_slice text) {
  freshet_text_split(text, add_word, vocabulary);
}

/* ---- the known words of a text ---- */

typedef struct finding {
  const freshet_vocabulary* vocabulary;
  freshet_buffer* out;
} finding;

static void append(const finding* f, const int32_t* word, size_t count) {
  if (f->out->size > 0) freshet_buffer_append(f->out, " ", 1);
  for (size_t i = 0; i < count; i++) {
    char bytes[4];
    freshet_buffer_append(f->out, bytes, freshet_unicode_encode(word[i], bytes));
  }
}

static bool is_known(const freshet_vocabulary* v, const int32_t* word, size_t count) {
  for (size_t n = least_of(count); n <= count; n++) {
    if (has(v, hash_of(word, n, BEGINNING))) return true;
  }
  return false;
}

/* Known ideographs beside each other stay together. */
static void find_ideographs(const finding* f, const int32_t* word, size_t count) {
  size_t from = 0;
  for (size_t i = 0; i <= count; i++) {
    if (i < count && has(f->vocabulary, hash_of(word + i, 1, BEGINNING))) continue;
    if (i > from) append(f, word + from, i - from);
    from = i + 1;
  }
}

static void find_word(void* context, int32_t* word, size_t count, bool is_ideographs) {
  const finding* f = context;
  if (is_ideographs) {
    find_ideographs(f, word, count);
  } else if (is_known(f->vocabulary, word, count)) {
    append(f, word, count);
  }
}

freshet_slice freshet_vocabulary_known(const freshet_vocabulary* vocabulary, freshet_slice text,
                                       freshet_buffer* out) {
  finding f = {vocabulary, out};
  out->size = 0;
  freshet_text_split(text, find_word, &f);
  return freshet_buffer_slice(out);
}
