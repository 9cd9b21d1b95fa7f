/*
 * bench_rank_model.h: `freshet bench rank --data model`: what a list of a real model costs beyond the dense
 * ranking, for a model that has learned from generated users.
 */
#ifndef FRESHET_COMMANDS_BENCH_RANK_MODEL_H
#define FRESHET_COMMANDS_BENCH_RANK_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct freshet_bench_rank_model {
  size_t items, dim, k;
  double seconds;
  uint64_t seed;
  bool json;
} freshet_bench_rank_model;

/* Prints one line. Returns an exit code: 0 all checked lists are right, 1 some are not. */
int freshet_bench_rank_model_run(const freshet_bench_rank_model* settings);

#endif
