/* The ranker against a naive oracle: every score in double precision, then a full sort. */
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "freshet/ranker.h"

static uint64_t seed = 20240607;

static uint64_t next_random(void) {
  seed += 0x9e3779b97f4a7c15u;
  uint64_t z = seed;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static uint32_t below(uint32_t bound) {
  return (uint32_t)(next_random() % bound);
}

static float uniform(void) {
  return (float)(next_random() >> 40) * 0x1p-23f - 1;
}

/* About normal: good enough to have tails. */
static float normal(void) {
  return uniform() + uniform() + uniform() + uniform();
}

/* ---- the world: what the ranker should know ---- */

struct world {
  uint32_t dim;
  uint32_t slots;
  float* rows; /* [slots][dim] */
  float* lent; /* [slots][lent_dim]: what the ranker does not copy, in every other world */
  uint32_t lent_dim;
  float* biases; /* [slots] */
  bool* set;     /* [slots] */
  freshet_ranker* ranker;
  freshet_rank_scratch* scratch;
};

static int by_mixed_id(const void* context, uint32_t a, uint32_t b) {
  (void)context;
  uint32_t x = a * 2654435761u, y = b * 2654435761u;
  return (x > y) - (x < y);
}

static bool open_world(struct world* world, uint32_t dim, uint32_t slots, freshet_rank_kernel kernel) {
  static unsigned worlds;
  *world = (struct world){.dim = dim, .slots = slots, .lent_dim = worlds++ % 2 == 0 ? dim / 16 * 16 : 0};
  freshet_ranker_config config = {.dim = dim,
                                  .capacity = 10,
                                  .kernel = kernel,
                                  .compare = by_mixed_id,
                                  .lent = (const float* const*)&world->lent,
                                  .lent_dim = world->lent_dim};
  freshet_error error = {0};
  freshet_status status = freshet_ranker_create(&config, &world->ranker, &error);
  if (status == FRESHET_UNAVAILABLE) return false;
  assert_int_equal(status, FRESHET_OK);
  world->rows = calloc((size_t)slots * dim, sizeof(float));
  world->lent = calloc((size_t)slots * world->lent_dim + 1, sizeof(float));
  world->biases = calloc(slots, sizeof(float));
  world->set = calloc(slots, sizeof(bool));
  world->scratch = freshet_rank_scratch_create(world->ranker);
  return true;
}

static void close_world(struct world* world) {
  freshet_rank_scratch_destroy(world->scratch);
  freshet_ranker_destroy(world->ranker);
  free(world->rows);
  free(world->lent);
  free(world->biases);
  free(world->set);
}

static void set_item(struct world* world, uint32_t slot, const float* row, float bias) {
  memcpy(world->rows + (size_t)slot * world->dim, row, world->dim * sizeof(float));
  memcpy(world->lent + (size_t)slot * world->lent_dim, row, world->lent_dim * sizeof(float));
  world->biases[slot] = bias;
  world->set[slot] = true;
  assert_int_equal(freshet_ranker_set(world->ranker, slot, row, bias, NULL), FRESHET_OK);
}

static void set_random(struct world* world, uint32_t slot, float size) {
  float row[512];
  for (uint32_t i = 0; i < world->dim; i++) row[i] = size * normal();
  set_item(world, slot, row, 0.3f * normal());
}

static void remove_item(struct world* world, uint32_t slot) {
  world->set[slot] = false;
  freshet_ranker_remove(world->ranker, slot);
}

/* ---- the oracle ---- */

typedef struct scored {
  double score;
  uint32_t slot;
} scored;

static int by_rank(const void* left, const void* right) {
  const scored *a = left, *b = right;
  if (a->score != b->score) return a->score > b->score ? -1 : 1;
  return by_mixed_id(NULL, a->slot, b->slot);
}

static size_t ask_oracle(const struct world* world, const freshet_rank_query* query, scored* out) {
  bool* out_of_it = calloc(world->slots, sizeof(bool));
  double* bonus = calloc(world->slots, sizeof(double));
  for (size_t i = 0; i < query->excluded_count; i++) {
    if (query->excluded[i] < world->slots) out_of_it[query->excluded[i]] = true;
  }
  for (size_t i = 0; i < query->bonus_count; i++) bonus[query->bonus_items[i]] = query->bonus[i];
  size_t count = 0;
  for (uint32_t slot = 0; slot < world->slots; slot++) {
    bool allowed = query->allowed == NULL ||
                   (slot < query->allowed_slots && (query->allowed[slot / 64] >> (slot % 64) & 1));
    if (!world->set[slot] || out_of_it[slot] || !allowed) continue;
    double score = 0;
    for (uint32_t i = 0; i < world->dim; i++)
      score += (double)query->vector[i] * (double)world->rows[(size_t)slot * world->dim + i];
    out[count++] = (scored){score + (double)world->biases[slot] + bonus[slot], slot};
  }
  qsort(out, count, sizeof *out, by_rank);
  free(out_of_it);
  free(bonus);
  return count < query->k ? count : query->k;
}

/* A query that owns its arrays. */
struct asked {
  freshet_rank_query query;
  float vector[512];
  uint32_t excluded[600];
  uint32_t bonus_items[600];
  float bonus[600];
  uint64_t allowed[512];
};

static void check_batch(struct world* world, const struct asked* asked, size_t count) {
  freshet_rank_query* queries = calloc(count, sizeof *queries);
  size_t stride = 1;
  for (size_t i = 0; i < count; i++) {
    queries[i] = asked[i].query;
    stride = queries[i].k > stride ? queries[i].k : stride;
  }
  freshet_ranked* out = calloc(count * stride, sizeof *out);
  size_t* counts = calloc(count, sizeof *counts);
  assert_int_equal(freshet_rank(world->ranker, queries, count, out, stride, counts, world->scratch, NULL),
                   FRESHET_OK);
  scored* expected = calloc(world->slots, sizeof *expected);
  for (size_t i = 0; i < count; i++) {
    size_t expected_count = ask_oracle(world, &queries[i], expected);
    assert_int_equal(counts[i], expected_count);
    for (size_t j = 0; j < expected_count; j++) {
      if (out[i * stride + j].item != expected[j].slot) {
        fail_msg("%s: query %zu place %zu: item %u (%.9g), expected %u (%.17g)",
                 freshet_ranker_kernel_name(world->ranker), i, j, out[i * stride + j].item,
                 (double)out[i * stride + j].score, expected[j].slot, expected[j].score);
      }
      /* A score beyond the range of float is clamped to it. */
      double score = fmin(fmax(expected[j].score, -FLT_MAX), FLT_MAX);
      assert_true(fabs((double)out[i * stride + j].score - score) <= 1e-6 * fabs(score) + 1e-30);
    }
  }
  free(queries);
  free(out);
  free(counts);
  free(expected);
}

enum { BEST_EXCLUDED = 1, BONUS = 2, MANY_ALLOWED = 4, FEW_ALLOWED = 8 };

static void make_query(struct world* world, struct asked* asked, uint32_t k, int what) {
  memset(asked, 0, sizeof *asked);
  for (uint32_t i = 0; i < world->dim; i++) asked->vector[i] = normal();
  asked->query.vector = asked->vector;
  asked->query.k = k;
  if (what & (MANY_ALLOWED | FEW_ALLOWED)) {
    size_t slots = world->slots < 512 * 64 ? world->slots - world->slots / 10 : 512 * 64;
    for (size_t i = 0; i < slots; i++) {
      bool allowed = what & FEW_ALLOWED ? below(100) == 0 : below(3) > 0;
      if (allowed) asked->allowed[i / 64] |= (uint64_t)1 << (i % 64);
    }
    asked->query.allowed = asked->allowed;
    asked->query.allowed_slots = slots;
  }
  if (what & BEST_EXCLUDED) {
    scored* best = calloc(world->slots, sizeof *best);
    freshet_rank_query wide = asked->query;
    wide.k = 100;
    size_t count = ask_oracle(world, &wide, best);
    for (size_t i = 0; i < count; i++) {
      if (below(2)) asked->excluded[asked->query.excluded_count++] = best[i].slot;
    }
    for (int i = 0; i < 50; i++) asked->excluded[asked->query.excluded_count++] = below(world->slots + 9);
    free(best);
  }
  asked->query.excluded = asked->excluded;
  if (what & BONUS) {
    for (uint32_t slot = below(7); slot < world->slots && asked->query.bonus_count < 600;
         slot += 1 + below(20)) {
      asked->bonus_items[asked->query.bonus_count] = slot;
      asked->bonus[asked->query.bonus_count++] = (float)normal();
    }
  }
  asked->query.bonus_items = asked->bonus_items;
  asked->query.bonus = asked->bonus;
}

static void check_all_kinds(struct world* world) {
  static const uint32_t ks[] = {1, 20, 64, 1000};
  enum { BATCH = 27 };
  struct asked* batch = calloc(BATCH, sizeof *batch);
  for (int what = 0; what < 16; what++) {
    for (int i = 0; i < BATCH; i++) make_query(world, &batch[i], ks[i % 4], what);
    check_batch(world, batch, what == 0 ? 1 : what == 1 ? 7 : BATCH);
  }
  free(batch);
}

static const freshet_rank_kernel kernels[] = {FRESHET_KERNEL_PORTABLE, FRESHET_KERNEL_AVX2,
                                              FRESHET_KERNEL_AVX512};
#define EACH_KERNEL(k) for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++)

static void random_rows(void** state) {
  (void)state;
  static const uint32_t dims[] = {1, 3, 64, 72, 130};
  EACH_KERNEL(k) {
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
      struct world world;
      if (!open_world(&world, dims[d], 2000, kernels[k])) continue;
      print_message("kernel %s dim %u seed %llu\n", freshet_ranker_kernel_name(world.ranker), dims[d],
                    (unsigned long long)seed);
      for (uint32_t slot = 0; slot < world.slots; slot++) set_random(&world, slot, 1);
      check_all_kinds(&world);
      close_world(&world);
    }
  }
}

static void skewed_norms(void** state) {
  (void)state;
  EACH_KERNEL(k) {
    struct world world;
    if (!open_world(&world, 64, 5000, kernels[k])) continue;
    for (uint32_t slot = 0; slot < world.slots; slot++) set_random(&world, slot, expf(2 * normal()));
    check_all_kinds(&world);
    close_world(&world);
  }
}

/* Small integers: every score is exact in any arithmetic, and most are equal to some other. */
static void ties(void** state) {
  (void)state;
  EACH_KERNEL(k) {
    for (uint32_t spread = 1; spread <= 3; spread++) {
      struct world world;
      if (!open_world(&world, 24, 5000, kernels[k])) continue;
      for (uint32_t slot = 0; slot < world.slots; slot++) {
        float row[24];
        for (int i = 0; i < 24; i++) row[i] = (float)below(spread);
        set_item(&world, slot, row, (float)below(spread));
      }
      struct asked* batch = calloc(20, sizeof *batch);
      for (uint32_t i = 0; i < 20; i++) {
        make_query(&world, &batch[i], i % 2 ? 20 : 300, (int)(i % 16));
        for (int j = 0; j < 24; j++) batch[i].vector[j] = (float)below(spread);
        for (size_t j = 0; j < batch[i].query.bonus_count; j++) batch[i].bonus[j] = (float)below(spread);
      }
      check_batch(&world, batch, 20);
      free(batch);
      close_world(&world);
    }
  }
}

/* Scores that differ only beyond the precision of float. */
static void near_ties(void** state) {
  (void)state;
  EACH_KERNEL(k) {
    struct world world;
    if (!open_world(&world, 8, 4000, kernels[k])) continue;
    for (uint32_t slot = 0; slot < world.slots; slot++) {
      float row[8] = {1, 0x1p-30f * (float)below(1 << 20), 1, 0, 0, 0, 0, 0x1p-20f * (float)below(9)};
      set_item(&world, slot, row, 100);
    }
    struct asked asked;
    make_query(&world, &asked, 50, BEST_EXCLUDED);
    for (int i = 0; i < 8; i++) asked.vector[i] = i == 7 ? 0 : 1;
    check_batch(&world, &asked, 1);
    close_world(&world);
  }
}

static void extreme_values(void** state) {
  (void)state;
  static const float sizes[] = {0, 1e-44f, 1e-38f, 1e-20f, 1e20f, 1e38f};
  EACH_KERNEL(k) {
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      for (int outlier = 0; outlier < 2; outlier++) {
        struct world world;
        if (!open_world(&world, 20, 1500, kernels[k])) continue;
        for (uint32_t slot = 0; slot < world.slots; slot++) {
          float row[20];
          float size = outlier && slot != 700 ? 1 : sizes[s];
          for (int i = 0; i < 20; i++) row[i] = size * uniform();
          set_item(&world, slot, row, outlier && slot == 701 ? -sizes[s] : size * uniform());
        }
        struct asked asked[3];
        for (int i = 0; i < 3; i++) make_query(&world, &asked[i], 20, BEST_EXCLUDED);
        for (int i = 0; i < 20; i++) asked[1].vector[i] *= 0.8f * sizes[s] / 4;
        check_batch(&world, asked, sizes[s] > 1e30f ? 1 : 3);
        close_world(&world);
      }
    }
  }
}

/* From what is lost in rounding to what hides every other score and what floats cannot add up; and the rows
 * of one batch's bonuses are nothing to the next, whose rows lie elsewhere. */
static void bonuses_of_any_size(void** state) {
  (void)state;
  static const float sizes[] = {1e-44f, 1e-20f, 1e-6f, 1, 1e6f, 1e20f, 1e38f};
  enum { BATCH = 27 };
  struct asked* batch = calloc(BATCH, sizeof *batch);
  EACH_KERNEL(k) {
    struct world world;
    if (!open_world(&world, 20, 3000, kernels[k])) continue;
    for (uint32_t slot = 0; slot < world.slots; slot++) set_random(&world, slot, slot % 9 == 0 ? 5 : .5f);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      for (int i = 0; i < BATCH; i++) {
        make_query(&world, &batch[i], 20, i % 4 == 3 ? BEST_EXCLUDED : BONUS | (i % 2 ? BEST_EXCLUDED : 0));
        for (size_t b = 0; b < batch[i].query.bonus_count; b++)
          batch[i].bonus[b] = b % 7 == 0   ? 0
                              : i % 3 == 0 ? sizes[s] /* equal: what they are added to decides */
                                           : fmaxf(fminf(batch[i].bonus[b] * sizes[s], FLT_MAX), -FLT_MAX);
      }
      check_batch(&world, batch, BATCH);
      for (int i = 0; i < 200; i++) remove_item(&world, below(world.slots));
      for (int i = 0; i < 200; i++) set_random(&world, below(world.slots), 5);
    }
    close_world(&world);
  }
  free(batch);
}

/* Every score lies beyond the range of float, on the wrong side. */
static void out_of_range(void** state) {
  (void)state;
  EACH_KERNEL(k) {
    struct world world;
    if (!open_world(&world, 20, 2000, kernels[k])) continue;
    for (uint32_t slot = 0; slot < world.slots; slot++) {
      float row[20];
      for (int i = 0; i < 20; i++) row[i] = 1e38f * (2 + uniform());
      set_item(&world, slot, row, 0);
    }
    struct asked asked[2];
    for (int i = 0; i < 2; i++) make_query(&world, &asked[i], 20, BEST_EXCLUDED);
    for (int i = 0; i < 20; i++) asked[0].vector[i] = -1e30f * (2 + uniform());
    for (int i = 0; i < 20; i++) asked[1].vector[i] = 1e30f * (2 + uniform());
    check_batch(&world, asked, 2);
    close_world(&world);
  }
}

static void changes(void** state) {
  (void)state;
  EACH_KERNEL(k) {
    struct world world;
    if (!open_world(&world, 33, 2500, kernels[k])) continue;
    struct asked* batch = calloc(4, sizeof *batch);
    for (int round = 0; round < 60; round++) {
      for (int i = 0; i < 200; i++) {
        uint32_t slot = below(world.slots);
        if (below(3) == 0) {
          remove_item(&world, slot);
        } else {
          set_random(&world, slot, expf(normal()));
        }
      }
      size_t count = 0;
      for (uint32_t slot = 0; slot < world.slots; slot++) count += world.set[slot];
      assert_int_equal(freshet_ranker_count(world.ranker), count);
      for (int i = 0; i < 4; i++) make_query(&world, &batch[i], 20, (int)below(16));
      check_batch(&world, batch, 4);
    }
    for (uint32_t slot = 0; slot < world.slots; slot++) remove_item(&world, slot);
    check_batch(&world, batch, 4);
    free(batch);
    close_world(&world);
  }
}

struct part {
  const struct world* world;
  const freshet_rank_query* queries;
  freshet_ranked* out; /* [THREAD_QUERIES][20] */
  size_t* counts;
};

enum { THREADS = 4, THREAD_QUERIES = 30 };

static void* rank_a_part(void* argument) {
  struct part* part = argument;
  freshet_rank_scratch* scratch = freshet_rank_scratch_create(part->world->ranker);
  freshet_rank(part->world->ranker, part->queries, THREAD_QUERIES, part->out, 20, part->counts, scratch,
               NULL);
  freshet_rank_scratch_destroy(scratch);
  return NULL;
}

/* The same queries at the same time: every thread gets what one gets alone. */
static void threads(void** state) {
  (void)state;
  EACH_KERNEL(k) {
    struct world world;
    if (!open_world(&world, 64, 3000, kernels[k])) continue;
    for (uint32_t slot = 0; slot < world.slots; slot++) set_random(&world, slot, 1);
    struct asked* batch = calloc(THREAD_QUERIES, sizeof *batch);
    freshet_rank_query queries[THREAD_QUERIES];
    for (int i = 0; i < THREAD_QUERIES; i++) {
      make_query(&world, &batch[i], 20, i % 16);
      queries[i] = batch[i].query;
    }
    check_batch(&world, batch, THREAD_QUERIES);
    pthread_t ids[THREADS];
    struct part parts[THREADS];
    for (int t = 0; t < THREADS; t++) {
      parts[t] = (struct part){&world, queries, calloc(THREAD_QUERIES * 20, sizeof(freshet_ranked)),
                               calloc(THREAD_QUERIES, sizeof(size_t))};
      assert_int_equal(pthread_create(&ids[t], NULL, rank_a_part, &parts[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) pthread_join(ids[t], NULL);
    for (int t = 0; t < THREADS; t++) {
      assert_memory_equal(parts[t].counts, parts[0].counts, THREAD_QUERIES * sizeof(size_t));
      assert_memory_equal(parts[t].out, parts[0].out, THREAD_QUERIES * 20 * sizeof(freshet_ranked));
    }
    for (int t = 0; t < THREADS; t++) {
      free(parts[t].out);
      free(parts[t].counts);
    }
    free(batch);
    close_world(&world);
  }
}

static void few_items(void** state) {
  (void)state;
  EACH_KERNEL(k) {
    struct world world;
    if (!open_world(&world, 64, 100, kernels[k])) continue;
    struct asked asked;
    for (uint32_t slot = 0; slot < world.slots; slot++) {
      make_query(&world, &asked, 1 + below(60), (int)below(16));
      check_batch(&world, &asked, 1);
      set_random(&world, slot, 1);
    }
    for (uint32_t i = 0; i < world.slots; i++) asked.excluded[i] = i;
    asked.query.excluded_count = world.slots;
    check_batch(&world, &asked, 1);
    close_world(&world);
  }
}

static void refusals(void** state) {
  (void)state;
  freshet_ranker* ranker;
  freshet_error error = {0};
  freshet_ranker_config config = {.dim = 0};
  assert_int_equal(freshet_ranker_create(&config, &ranker, &error), FRESHET_INVALID);
  config.dim = 4097;
  assert_int_equal(freshet_ranker_create(&config, &ranker, NULL), FRESHET_INVALID);
  config = (freshet_ranker_config){.dim = 20, .lent_dim = 32};
  assert_int_equal(freshet_ranker_create(&config, &ranker, NULL), FRESHET_INVALID);
  config.lent_dim = 10;
  assert_int_equal(freshet_ranker_create(&config, &ranker, NULL), FRESHET_INVALID);
  config = (freshet_ranker_config){.dim = 2};
  assert_int_equal(freshet_ranker_create(&config, &ranker, NULL), FRESHET_OK);
  assert_int_equal(freshet_ranker_set(ranker, 0, (float[]){1, NAN}, 0, NULL), FRESHET_INVALID);
  assert_int_equal(freshet_ranker_set(ranker, 0, (float[]){INFINITY, 0}, 0, NULL), FRESHET_INVALID);
  assert_int_equal(freshet_ranker_set(ranker, 0, (float[]){1, 0}, -INFINITY, NULL), FRESHET_INVALID);
  assert_int_equal(freshet_ranker_count(ranker), 0);
  assert_int_equal(freshet_ranker_set(ranker, 5, (float[]){1, 0}, 0, NULL), FRESHET_OK);
  freshet_rank_scratch* scratch = freshet_rank_scratch_create(ranker);
  freshet_ranked out[2];
  size_t counts[2];
  float good[] = {1, 1}, bad[] = {1, NAN}, infinite = -INFINITY;
  uint32_t five = 5;
  freshet_rank_query queries[2] = {{.vector = good, .k = 1}, {.vector = bad, .k = 1}};
  assert_int_equal(freshet_rank(ranker, queries, 2, out, 1, counts, scratch, NULL), FRESHET_INVALID);
  queries[1] = (freshet_rank_query){.vector = good, .k = 0};
  assert_int_equal(freshet_rank(ranker, queries, 2, out, 1, counts, scratch, NULL), FRESHET_INVALID);
  queries[1].k = FRESHET_RANK_K_MAX + 1;
  assert_int_equal(freshet_rank(ranker, queries, 2, out, 1, counts, scratch, NULL), FRESHET_INVALID);
  queries[1] = (freshet_rank_query){
      .vector = good, .k = 1, .bonus_items = &five, .bonus = &infinite, .bonus_count = 1};
  assert_int_equal(freshet_rank(ranker, queries, 2, out, 1, counts, scratch, NULL), FRESHET_INVALID);
  assert_int_equal(freshet_rank(ranker, queries, 1, out, 1, counts, scratch, NULL), FRESHET_OK);
  assert_int_equal(counts[0], 1);
  assert_int_equal(out[0].item, 5);
  freshet_rank_scratch_destroy(scratch);
  freshet_ranker_destroy(ranker);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_rows),
      cmocka_unit_test(skewed_norms),
      cmocka_unit_test(ties),
      cmocka_unit_test(near_ties),
      cmocka_unit_test(extreme_values),
      cmocka_unit_test(changes),
      cmocka_unit_test(bonuses_of_any_size),
      cmocka_unit_test(out_of_range),
      cmocka_unit_test(few_items),
      cmocka_unit_test(threads),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
