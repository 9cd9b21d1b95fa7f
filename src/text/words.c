/*
 * words.c: see words.h. A text's vector is the weighted mean of its words' vectors, then length 1. The weight
 * of a word is a / (a + p) with a = 0.001: smooth inverse frequency, Arora et al., "A Simple but
 * Tough-to-Beat Baseline for Sentence Embeddings" (2017). Tables come sorted by frequency but without it; by
 * Zipf's law the word at rank r of n has p = 1 / (r * H_n), H_n being the harmonic number, about ln n +
 * 0.5772.
 *
 * A word is looked up as it stands, then in lower case, then without accents; what is not found adds nothing.
 * Runs of ideographs are cut into the longest words of the table. A text without a known word is the first
 * unit vector.
 */
#include "text/words.h"

#include <endian.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>
#include <xxhash.h>

#include "text/mapping.h"
#include "text/unicode.h"

enum {
  DIM_MAX = 4096,
  WORDS_MAX = 1 << 26,
  WORD_MAX = 64, /* code points of a word of a text; longer ones are cut */
  WORD_BYTES_MAX = 4 * FRESHET_FOLD_MAX * WORD_MAX,
  IDEOGRAPH_WORD_MAX = 8, /* code points of one word in a run of ideographs */
  CHARACTERS_MAX = 16384, /* of a text are read */
  NUMBER_MAX = 48,        /* bytes of a number in a text table */
  HASHED_BYTES = 1 << 20, /* at either end of the file go into the name */
};

static const double SMOOTHING = 1e-3;

/* One word of the table. Rank 0 marks a free slot. */
typedef struct word {
  uint64_t offset; /* of the word, into bytes */
  uint32_t size;   /* of the word */
  uint32_t rank;   /* from 1 */
} word;

typedef struct words_encoder {
  freshet_encoder base;
  freshet_slice bytes;
  bool is_mapped, is_binary;
  word* slots; /* [slot_mask + 1] open addressing, linear probing */
  size_t slot_mask, count;
  double harmonic;
  float* vector; /* [dim] of one word */
  double* sum;   /* [dim] */
} words_encoder;

#define INVALID(error, ...) \
  freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "word vectors: " __VA_ARGS__)

/* ---- the index ---- */

static word* find_slot(const words_encoder* self, const char* text, size_t size) {
  for (size_t i = XXH3_64bits(text, size);; i++) {
    word* w = &self->slots[i & self->slot_mask];
    if (w->rank == 0 || (w->size == size && memcmp(self->bytes.data + w->offset, text, size) == 0)) return w;
  }
}

static void grow(words_encoder* self) {
  word* old = self->slots;
  size_t old_count = old == NULL ? 0 : self->slot_mask + 1, count = old == NULL ? 1024 : 2 * old_count;
  self->slots = calloc(count, sizeof *self->slots);
  FRESHET_ASSERT(self->slots != NULL);
  self->slot_mask = count - 1;
  for (size_t i = 0; i < old_count; i++) {
    if (old[i].rank != 0) *find_slot(self, self->bytes.data + old[i].offset, old[i].size) = old[i];
  }
  free(old);
}

/* A word that comes twice keeps its first place, which is the more frequent one. */
static void index_word(words_encoder* self, const char* text, size_t size) {
  if (2 * (self->count + 1) > self->slot_mask + 1 || self->slots == NULL) grow(self);
  word* slot = find_slot(self, text, size);
  self->count++;
  if (slot->rank == 0)
    *slot = (word){(uint64_t)(text - self->bytes.data), (uint32_t)size, (uint32_t)self->count};
}

/* ---- reading the file ---- */

static bool is_number_byte(char c) {
  return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E';
}

static const char* line_end(const char* at, const char* end) {
  const char* newline = memchr(at, '\n', (size_t)(end - at));
  return newline == NULL ? end : newline;
}

/* "count dim" alone on the first line. */
static bool read_counts(const char* line, const char* end, unsigned long long* count,
                        unsigned long long* dim) {
  char text[64];
  int used = 0;
  size_t size = (size_t)(end - line);
  if (size >= sizeof text) return false;
  memcpy(text, line, size);
  text[size] = '\0';
  return sscanf(text, "%llu %llu %n", count, dim, &used) == 2 && text[used] == '\0';
}

/* The start of the last `fields` fields of a line, which have to be numbers; NULL when there are fewer. Words
 * may contain spaces. */
static const char* last_fields(const char* line, const char* end, size_t fields) {
  const char* at = end;
  for (size_t i = 0; i < fields; i++) {
    const char* field_end;
    while (at > line && (at[-1] == ' ' || at[-1] == '\t' || at[-1] == '\r')) at--;
    field_end = at;
    while (at > line && is_number_byte(at[-1])) at--;
    if (at == field_end || at == line || (at[-1] != ' ' && at[-1] != '\t')) return NULL;
  }
  return at;
}

static freshet_status index_text(words_encoder* self, const char* at, freshet_error* error) {
  const char* end = self->bytes.data + self->bytes.size;
  while (at < end) {
    const char* stop = line_end(at, end);
    const char* numbers = last_fields(at, stop, self->base.dim);
    if (stop > at && numbers == NULL) {
      return INVALID(error, "word %zu: no %u numbers", self->count + 1, self->base.dim);
    }
    if (self->count == WORDS_MAX) return INVALID(error, "more than %d words", WORDS_MAX);
    if (stop > at) index_word(self, at, (size_t)(numbers - 1 - at));
    at = stop + 1;
  }
  return FRESHET_OK;
}

static freshet_status index_binary(words_encoder* self, const char* at, unsigned long long count,
                                   freshet_error* error) {
  const char* end = self->bytes.data + self->bytes.size;
  size_t vector_size = self->base.dim * sizeof(float);
  for (unsigned long long i = 0; i < count; i++) {
    while (at < end && *at == '\n') at++;
    const char* space = at < end ? memchr(at, ' ', (size_t)(end - at)) : NULL;
    if (space == NULL || (size_t)(end - space - 1) < vector_size || space - at > 4096) {
      return INVALID(error, "word %llu of %llu: cut short", i + 1, count);
    }
    index_word(self, at, (size_t)(space - at));
    at = space + 1 + vector_size;
  }
  while (at < end && *at == '\n') at++;
  return at == end ? FRESHET_OK : INVALID(error, "bytes after the last word");
}

static freshet_status read_table(words_encoder* self, freshet_error* error) {
  const char *at = self->bytes.data, *end = at + self->bytes.size;
  unsigned long long count = 0, dim = 0;
  if (self->bytes.size == 0) return INVALID(error, "an empty file");
  const char* stop = line_end(at, end);
  bool has_header = read_counts(at, stop, &count, &dim);
  if (has_header) {
    at = stop < end ? stop + 1 : end;
  } else {
    while (dim <= DIM_MAX && last_fields(at, stop, dim + 1) != NULL) dim++;
  }
  if (dim < 1 || dim > DIM_MAX || count > WORDS_MAX) {
    return INVALID(error, "%llu words of %llu numbers; at most %d of 1 to %d", count, dim, WORDS_MAX,
                   DIM_MAX);
  }
  self->base.dim = (uint32_t)dim;
  self->is_binary = has_header && last_fields(at, line_end(at, end), dim) == NULL;
  freshet_status status =
      self->is_binary ? index_binary(self, at, count, error) : index_text(self, at, error);
  if (status != FRESHET_OK) return status;
  if (self->count == 0) return INVALID(error, "no words");
  if (has_header && self->count != count)
    return INVALID(error, "%zu words; the first line says %llu", self->count, count);
  return FRESHET_OK;
}

/* ---- encoding ---- */

static float read_number(const char** at, const char* end) {
  char text[NUMBER_MAX + 1];
  size_t size = 0;
  while (*at < end && !is_number_byte(**at)) ++*at;
  for (; *at < end && is_number_byte(**at); ++*at) {
    if (size < NUMBER_MAX) text[size++] = **at;
  }
  text[size] = '\0';
  return strtof(text, NULL);
}

/* The word's numbers into self->vector; false when one is not finite. */
static bool read_vector(words_encoder* self, const word* w) {
  const char* at = self->bytes.data + w->offset + w->size + 1;
  const char* end = self->bytes.data + self->bytes.size;
  for (uint32_t i = 0; i < self->base.dim; i++) {
    if (self->is_binary) {
      uint32_t bits;
      memcpy(&bits, at + i * sizeof bits, sizeof bits);
      bits = le32toh(bits);
      memcpy(&self->vector[i], &bits, sizeof bits);
    } else {
      self->vector[i] = read_number(&at, end);
    }
    if (!isfinite(self->vector[i])) return false;
  }
  return true;
}

static bool add_known(words_encoder* self, const char* text, size_t size) {
  const word* w = find_slot(self, text, size);
  if (size == 0 || w->rank == 0 || !read_vector(self, w)) return false;
  double weight = SMOOTHING / (SMOOTHING + 1 / (w->rank * self->harmonic));
  for (uint32_t i = 0; i < self->base.dim; i++) self->sum[i] += weight * self->vector[i];
  return true;
}

/* Looks up characters [count] as UTF-8, after one of the foldings was applied to each. */
typedef enum folding { AS_IT_STANDS, LOWER, FOLDED } folding;

static bool add_spelling(words_encoder* self, const int32_t* characters, size_t count, folding how) {
  utf8proc_uint8_t text[WORD_BYTES_MAX] = {0};
  size_t size = 0;
  for (size_t i = 0; i < count; i++) {
    int32_t folded[FRESHET_FOLD_MAX] = {how == LOWER ? utf8proc_tolower(characters[i]) : characters[i]};
    size_t parts = how == FOLDED ? freshet_unicode_fold(characters[i], folded) : 1;
    for (size_t j = 0; j < parts; j++) size += (size_t)utf8proc_encode_char(folded[j], text + size);
  }
  return add_known(self, (const char*)text, size);
}

static void add_word(words_encoder* self, const int32_t* characters, size_t count) {
  if (!freshet_unicode_is_ideograph(characters[0])) {
    if (add_spelling(self, characters, count, AS_IT_STANDS)) return;
    if (add_spelling(self, characters, count, LOWER)) return;
    add_spelling(self, characters, count, FOLDED);
    return;
  }
  for (size_t from = 0, length; from < count; from += length) {
    length = count - from < IDEOGRAPH_WORD_MAX ? count - from : IDEOGRAPH_WORD_MAX;
    while (!add_spelling(self, characters + from, length, AS_IT_STANDS) && length > 1) length--;
  }
}

static void add_text(words_encoder* self, freshet_slice text) {
  const char* end = text.data + text.size;
  int32_t characters[WORD_MAX];
  size_t count = 0;
  for (size_t read = 0; text.data < end && read < CHARACTERS_MAX; read++) {
    int32_t c = freshet_unicode_next(&text.data, end);
    bool inside = freshet_unicode_is_word(c);
    bool another_kind =
        count > 0 && freshet_unicode_is_ideograph(c) != freshet_unicode_is_ideograph(characters[0]);
    if (count > 0 && (!inside || another_kind || count == WORD_MAX)) {
      add_word(self, characters, count);
      count = 0;
    }
    if (inside) characters[count++] = c;
  }
  if (count > 0) add_word(self, characters, count);
}

static freshet_status words_encode(freshet_encoder* encoder, const freshet_slice* texts, size_t count,
                                   float* out, freshet_error* error) {
  words_encoder* self = (words_encoder*)encoder;
  (void)error;
  for (size_t i = 0; i < count; i++) {
    double squares = 0;
    memset(self->sum, 0, encoder->dim * sizeof *self->sum);
    add_text(self, texts[i]);
    for (uint32_t j = 0; j < encoder->dim; j++) squares += self->sum[j] * self->sum[j];
    if (!(squares > 0)) self->sum[0] = squares = 1;
    double scale = 1 / sqrt(squares);
    for (uint32_t j = 0; j < encoder->dim; j++) out[i * encoder->dim + j] = (float)(self->sum[j] * scale);
  }
  return FRESHET_OK;
}

/* ---- creation ---- */

static void words_destroy(freshet_encoder* encoder) {
  words_encoder* self = (words_encoder*)encoder;
  if (self->is_mapped) freshet_unmap_file(self->bytes);
  free(self->slots);
  free(self->vector);
  free(self->sum);
  free(self);
}

static const freshet_encoder_vtable words_vtable = {.encode = words_encode, .destroy = words_destroy};

/* Identifies the table: its size and both ends. */
static uint32_t hash_ends(freshet_slice bytes) {
  size_t part = bytes.size < HASHED_BYTES ? bytes.size : HASHED_BYTES;
  uint64_t hash = XXH3_64bits_withSeed(bytes.data, part, bytes.size);
  return (uint32_t)XXH3_64bits_withSeed(bytes.data + bytes.size - part, part, hash);
}

freshet_status freshet_encoder_words_parse(freshet_slice bytes, const char* name, freshet_encoder** encoder,
                                           freshet_error* error) {
  words_encoder* self = calloc(1, sizeof *self);
  if (self == NULL) goto no_memory;
  self->base.vtable = &words_vtable;
  self->bytes = bytes;
  freshet_status status = read_table(self, error);
  if (status != FRESHET_OK) {
    words_destroy(&self->base);
    return status;
  }
  self->harmonic = log((double)self->count) + 0.5772156649;
  self->vector = malloc(self->base.dim * sizeof *self->vector);
  self->sum = malloc(self->base.dim * sizeof *self->sum);
  if (self->vector == NULL || self->sum == NULL) goto no_memory;
  snprintf(self->base.name, sizeof self->base.name, "words-%.64s-%08" PRIx32 "-v1", name, hash_ends(bytes));
  *encoder = &self->base;
  return FRESHET_OK;
no_memory:
  if (self != NULL) words_destroy(&self->base);
  return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "word vectors: out of memory");
}

freshet_status freshet_encoder_words_create(const char* path, freshet_encoder** encoder,
                                            freshet_error* error) {
  freshet_slice bytes;
  freshet_error detail = {0};
  const char* slash = strrchr(path, '/');
  freshet_status status = freshet_map_file(path, &bytes, error);
  if (status != FRESHET_OK) return status;
  status = freshet_encoder_words_parse(bytes, slash == NULL ? path : slash + 1, encoder, &detail);
  if (status != FRESHET_OK) {
    freshet_unmap_file(bytes);
    return freshet_error_set(error, status, FRESHET_STOP, "%s: %s", path, detail.message);
  }
  ((words_encoder*)*encoder)->is_mapped = true;
  freshet_forget_file(bytes);
  return FRESHET_OK;
}
