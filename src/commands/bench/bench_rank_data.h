/*
 * bench_rank_data.h: items and users for `freshet bench rank`, and the oracle that knows the right answers.
 * The same seed gives the same data on every machine.
 */
#ifndef FRESHET_COMMANDS_BENCH_RANK_DATA_H
#define FRESHET_COMMANDS_BENCH_RANK_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "freshet/ranker.h"

/* Owns its arrays; release with freshet_rank_data_free. */
typedef struct freshet_rank_data {
  size_t items, users, dim;
  float* item_vectors; /* [items][dim] */
  float* user_vectors; /* [users][dim] */
  float* biases;       /* [items] normal, a tenth of the standard deviation of the products */
  size_t excluded_per_user;
  uint32_t* excluded; /* [users][excluded_per_user] */
  uint64_t random;    /* state of the generator */
} freshet_rank_data;

/* factors = false: every coordinate is normal(0, 1): the worst case, no structure to use.
 * factors = true: like the factors of a recommender. Coordinate i is normal with standard deviation i^-1/2,
 * the items' vectors are multiplied by exp(0.5 normal) and the users' by exp(0.25 normal), and all are
 * reflected at the same random hyperplanes, so that no coordinate is special. */
bool freshet_rank_data_create(freshet_rank_data* data, size_t items, size_t users, size_t dim, bool factors,
                              uint64_t seed);
void freshet_rank_data_free(freshet_rank_data* data);
float freshet_rank_data_normal(freshet_rank_data* data);
/* 0 .. bound - 1 */
uint32_t freshet_rank_data_below(freshet_rank_data* data, size_t bound);

/* Whether got [count] is the right answer for a user: the k best of all items but the excluded ones by a
 * plain double-precision sum, ties by number. */
bool freshet_rank_data_correct(const freshet_rank_data* data, size_t user, size_t k,
                               const freshet_ranked* got, size_t count);

/* Writes items.f32 and users.f32, row-major little-endian floats, into a folder. */
bool freshet_rank_data_write(const freshet_rank_data* data, const char* folder);

#endif
