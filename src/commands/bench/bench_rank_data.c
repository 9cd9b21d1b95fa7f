/*
 * bench_rank_data.c: generates items and users for `freshet bench rank`, computes the right answers in
 * double precision, and writes the data for a peer. It owns its arrays and must not use the ranker.
 */
#include "commands/bench/bench_rank_data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/measure.h"

enum { REFLECTIONS = 8, SAMPLE = 1000 };

uint32_t freshet_rank_data_below(freshet_rank_data* data, size_t bound) {
  return (uint32_t)(freshet_next_random(&data->random) % bound);
}

float freshet_rank_data_normal(freshet_rank_data* data) {
  for (;;) { /* Marsaglia's polar method */
    uint64_t bits = freshet_next_random(&data->random);
    float x = (float)(int32_t)bits * 0x1p-31f, y = (float)(int32_t)(bits >> 32) * 0x1p-31f;
    float square = x * x + y * y;
    if (square > 0 && square < 1) return x * sqrtf(-2 * logf(square) / square);
  }
}

static void fill(freshet_rank_data* data, float* vectors, size_t count, bool factors, float norm_spread) {
  for (size_t i = 0; i < count; i++) {
    float size = factors ? expf(norm_spread * freshet_rank_data_normal(data)) : 1;
    for (size_t d = 0; d < data->dim; d++) {
      float spread = factors ? size / sqrtf((float)(d + 1)) : 1;
      vectors[i * data->dim + d] = spread * freshet_rank_data_normal(data);
    }
  }
}

/* v - 2 (v.h) h for unit vectors h: orthogonal, so norms and products stay. mirrors: [REFLECTIONS][dim] */
static void reflect(float* vectors, size_t count, size_t dim, const float* mirrors) {
  for (size_t i = 0; i < count * REFLECTIONS; i++) {
    float* vector = vectors + i / REFLECTIONS * dim;
    const float* mirror = mirrors + i % REFLECTIONS * dim;
    float product = 0;
    for (size_t d = 0; d < dim; d++) product += vector[d] * mirror[d];
    for (size_t d = 0; d < dim; d++) vector[d] -= 2 * product * mirror[d];
  }
}

static bool mix_coordinates(freshet_rank_data* data) {
  float* mirrors = malloc(REFLECTIONS * data->dim * sizeof *mirrors);
  if (mirrors == NULL) return false;
  for (size_t r = 0; r < REFLECTIONS; r++) {
    float* mirror = mirrors + r * data->dim;
    float square = 0;
    for (size_t d = 0; d < data->dim; d++) {
      mirror[d] = freshet_rank_data_normal(data);
      square += mirror[d] * mirror[d];
    }
    for (size_t d = 0; d < data->dim; d++) mirror[d] /= sqrtf(square);
  }
  reflect(data->item_vectors, data->items, data->dim, mirrors);
  reflect(data->user_vectors, data->users, data->dim, mirrors);
  free(mirrors);
  return true;
}

static double product(const freshet_rank_data* data, size_t user, size_t item) {
  const float* u = data->user_vectors + user * data->dim;
  const float* v = data->item_vectors + item * data->dim;
  double sum = 0;
  for (size_t d = 0; d < data->dim; d++) sum += (double)u[d] * (double)v[d];
  return sum;
}

static void fill_biases(freshet_rank_data* data) {
  double squares = 0;
  for (int i = 0; i < SAMPLE; i++) {
    uint32_t user = freshet_rank_data_below(data, data->users);
    double score = product(data, user, freshet_rank_data_below(data, data->items));
    squares += score * score;
  }
  float spread = 0.1f * (float)sqrt(squares / SAMPLE);
  for (size_t i = 0; i < data->items; i++) data->biases[i] = spread * freshet_rank_data_normal(data);
}

bool freshet_rank_data_create(freshet_rank_data* data, size_t items, size_t users, size_t dim, bool factors,
                              uint64_t seed) {
  *data = (freshet_rank_data){.items = items, .users = users, .dim = dim, .random = seed};
  data->excluded_per_user = items < 200 ? items / 2 : 100;
  data->item_vectors = malloc(items * dim * sizeof(float));
  data->user_vectors = malloc(users * dim * sizeof(float));
  data->biases = malloc(items * sizeof(float));
  data->excluded = calloc(users * data->excluded_per_user + 1, sizeof(uint32_t));
  bool made = data->item_vectors != NULL && data->user_vectors != NULL && data->biases != NULL &&
              data->excluded != NULL;
  if (made) {
    fill(data, data->item_vectors, items, factors, 0.5f);
    fill(data, data->user_vectors, users, factors, 0.25f);
    if (factors) made = mix_coordinates(data);
    fill_biases(data);
  }
  if (!made) freshet_rank_data_free(data);
  return made;
}

void freshet_rank_data_free(freshet_rank_data* data) {
  free(data->item_vectors);
  free(data->user_vectors);
  free(data->biases);
  free(data->excluded);
  *data = (freshet_rank_data){0};
}

typedef struct scored {
  double score;
  size_t item;
} scored;

/* Keeps best [k] sorted; items come by growing number, so an equal score goes behind. */
static size_t insert(scored* best, size_t count, size_t k, scored entry) {
  if (count == k && best[k - 1].score >= entry.score) return count;
  size_t place = count < k ? count : k - 1;
  for (; place > 0 && best[place - 1].score < entry.score; place--) best[place] = best[place - 1];
  best[place] = entry;
  return count < k ? count + 1 : k;
}

bool freshet_rank_data_correct(const freshet_rank_data* data, size_t user, size_t k,
                               const freshet_ranked* got, size_t count) {
  bool* excluded = calloc(data->items, sizeof *excluded);
  scored* best = malloc(k * sizeof *best);
  bool correct = excluded != NULL && best != NULL;
  if (correct) {
    const uint32_t* list = data->excluded + user * data->excluded_per_user;
    for (size_t i = 0; i < data->excluded_per_user; i++) excluded[list[i]] = true;
    size_t expected = 0;
    for (size_t item = 0; item < data->items; item++) {
      if (excluded[item]) continue;
      double score = product(data, user, item) + (double)data->biases[item];
      expected = insert(best, expected, k, (scored){score, item});
    }
    correct = count == expected;
    for (size_t i = 0; correct && i < count; i++) correct = got[i].item == best[i].item;
  }
  free(excluded);
  free(best);
  return correct;
}

static bool write_array(const char* folder, const char* name, const float* values, size_t count) {
  char path[4096];
  if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return false;
  FILE* file = fopen(path, "wb");
  if (file == NULL) return false;
  bool written = fwrite(values, sizeof *values, count, file) == count;
  return fclose(file) == 0 && written;
}

bool freshet_rank_data_write(const freshet_rank_data* data, const char* folder) {
  return write_array(folder, "items.f32", data->item_vectors, data->items * data->dim) &&
         write_array(folder, "users.f32", data->user_vectors, data->users * data->dim);
}
