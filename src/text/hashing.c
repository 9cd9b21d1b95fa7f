/*
 * hashing.c: the encoder that needs nothing: words and their character n-grams, hashed into signed buckets.
 *
 * A text is cut into folded words (split.h), and each word w gives the features
 * "<w>" and the n-grams (3 to 5 characters) of "<w>", the brackets being word boundaries, as in Bojanowski et
 * al., "Enriching Word Vectors with Subword Information" (2017). Runs of ideographs give single characters
 * and pairs instead, since there each character can be a word. A feature that occurs c times weighs (1 + ln
 * c); it adds sign(hash) * weight to bucket(hash), which keeps inner products unbiased: Weinberger et al.,
 * "Feature Hashing for Large Scale Multitask Learning" (2009). A text without words has the single feature
 * "<>", so that every vector has length 1.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "freshet/encoder.h"
#include "text/split.h"

enum {
  DIM_MIN = 8,
  DIM_MAX = 4096,
  NGRAM_MIN = 3,
  NGRAM_MAX = 5,
  FEATURES_MAX = 4 * (FRESHET_SPLIT_CHARACTERS_MAX + 2) + FRESHET_FOLD_MAX * 4,
  BOUNDARY_LEFT = '<',
  BOUNDARY_RIGHT = '>',
};

/* Whole words weigh more than n-grams: they say more, and there are fewer of them. */
static const float WORD_WEIGHT = 3.0F;

typedef struct hashing_encoder {
  freshet_encoder base;
  size_t feature_count;
  uint64_t features[FEATURES_MAX]; /* hash; bit 0 tells a whole word (1) from an n-gram (0) */
} hashing_encoder;

static void add_feature(hashing_encoder* self, const int32_t* characters, size_t count, bool whole_word) {
  if (self->feature_count == FEATURES_MAX) return;
  uint64_t hash = XXH3_64bits_withSeed(characters, count * sizeof *characters, whole_word);
  self->features[self->feature_count++] = (hash & ~(uint64_t)1) | whole_word;
}

static void add_word(void* context, int32_t* word, size_t count, bool is_ideographs) {
  hashing_encoder* self = context;
  const size_t size = count + 2; /* with its boundaries */
  for (size_t i = 0; is_ideographs && i < count; i++) {
    add_feature(self, word + i, 1, false);
    if (i + 1 < count) add_feature(self, word + i, 2, true);
  }
  if (is_ideographs) return;
  word--;
  word[0] = BOUNDARY_LEFT;
  word[size - 1] = BOUNDARY_RIGHT;
  add_feature(self, word, size, true);
  for (size_t n = NGRAM_MIN; n <= NGRAM_MAX; n++) {
    for (size_t i = 0; i + n <= size; i++) add_feature(self, word + i, n, false);
  }
}

static void extract_features(hashing_encoder* self, freshet_slice text) {
  self->feature_count = 0;
  freshet_text_split(text, add_word, self);
  if (self->feature_count == 0) {
    const int32_t nothing[] = {BOUNDARY_LEFT, BOUNDARY_RIGHT};
    add_feature(self, nothing, 2, true);
  }
}

static int compare_features(const void* left, const void* right) {
  uint64_t a = *(const uint64_t*)left, b = *(const uint64_t*)right;
  return (a > b) - (a < b);
}

static void sum_features(hashing_encoder* self, float* out) {
  uint32_t dim = self->base.dim;
  memset(out, 0, dim * sizeof *out);
  qsort(self->features, self->feature_count, sizeof *self->features, compare_features);
  for (size_t i = 0, next; i < self->feature_count; i = next) {
    uint64_t hash = self->features[i];
    for (next = i + 1; next < self->feature_count && self->features[next] == hash;) next++;
    float weight = (1.0F + logf((float)(next - i))) * ((hash & 1) != 0 ? WORD_WEIGHT : 1.0F);
    uint32_t bucket = (uint32_t)(((hash >> 32) * dim) >> 32);
    out[bucket] += (hash & 2) != 0 ? weight : -weight;
  }
}

/* Features that cancel out exactly leave a zero vector. Then bucket 0 is set, so that the length is 1. */
static void normalise(float* vector, uint32_t dim) {
  double sum = 0;
  for (uint32_t i = 0; i < dim; i++) sum += (double)vector[i] * vector[i];
  if (sum == 0) vector[0] = 1, sum = 1;
  float scale = (float)(1 / sqrt(sum));
  for (uint32_t i = 0; i < dim; i++) vector[i] *= scale;
}

static freshet_status hashing_encode(freshet_encoder* encoder, const freshet_slice* texts, size_t count,
                                     float* out, freshet_error* error) {
  hashing_encoder* self = (hashing_encoder*)encoder;
  (void)error;
  for (size_t i = 0; i < count; i++) {
    float* row = out + i * encoder->dim;
    extract_features(self, texts[i]);
    sum_features(self, row);
    normalise(row, encoder->dim);
  }
  return FRESHET_OK;
}

static void hashing_destroy(freshet_encoder* encoder) {
  free(encoder);
}

static const freshet_encoder_vtable hashing_vtable = {
    .encode = hashing_encode, .destroy = hashing_destroy, .takes_any_word = true};

freshet_status freshet_encoder_hashing_create(uint32_t dim, freshet_encoder** encoder, freshet_error* error) {
  if (dim < DIM_MIN || dim > DIM_MAX) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "hashing encoder: %u dimensions; it takes %d to %d", dim, DIM_MIN, DIM_MAX);
  }
  hashing_encoder* self = calloc(1, sizeof *self);
  if (self == NULL) {
    return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "hashing encoder: out of memory");
  }
  self->base.vtable = &hashing_vtable;
  self->base.dim = dim;
  snprintf(self->base.name, sizeof self->base.name, "hashing-%u-v1", dim);
  *encoder = &self->base;
  return FRESHET_OK;
}
