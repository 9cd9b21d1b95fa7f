/*
 * bench_rank.c: `freshet bench rank`: how long the ranking takes, on generated rows or on a model, in
 * batches and threads, with updates beside it; and that its results are right. It owns the data and the
 * ranker.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/bench/bench.h"
#include "commands/bench/bench_rank_data.h"
#include "commands/bench/bench_rank_model.h"
#include "commands/commands.h"
#include "commands/measure.h"
#include "freshet/ranker.h"

const char freshet_bench_rank_usage[] =
    "usage: freshet bench rank [OPTION...]\n\n"
    "Microseconds per user of an exact top-k over random items, each with a bias, without 100 items that "
    "the\n"
    "user has seen, 50 of them the user's best. 32 users' results are checked against a double-precision\n"
    "oracle.\n\n"
    "  --items N           items (10000)\n"
    "  --dim D             dimension of the vectors (64)\n"
    "  --batch B           users per call (32)\n"
    "  --threads T         threads that share a batch (1)\n"
    "  --k K               length of a list (20)\n"
    "  --data KIND         gaussian: no structure, the worst case; factors: skewed norms, decaying "
    "spectrum;\n"
    "                      model: users of a model that has learned, one at a time; p50 and p99 of the "
    "dense\n"
    "                      ranking alone and of the whole: query, dense, bonus and merge\n"
    "  --kernel NAME       auto, portable, avx2 or avx512\n"
    "  --updates N         item vectors changed per second while ranking (0)\n"
    "  --seconds S         time to measure (2); the best pass counts\n"
    "  --seed N            of the random data\n"
    "  --write FOLDER      leave items.f32 and users.f32 there, for another program to rank\n"
    "  --json              print one JSON object\n\n"
    "exit codes: 0 all checked results are right, 1 some are not\n";

enum {
  THREADS_MAX = 64,
  BATCHES = 16,
  USERS_MIN = 512,
  USERS_MAX = 4096,
  CHECKED_USERS = 32,
  BEST_EXCLUDED = 50
};

typedef struct settings {
  size_t items, dim, batch, threads, k;
  bool factors, model, json;
  freshet_rank_kernel kernel;
  double updates_per_second, seconds;
  uint64_t seed;
  const char* folder;
} settings;

struct bench {
  settings settings;
  freshet_rank_data data;
  freshet_ranker* ranker;
  freshet_rank_query* queries; /* [users] */
  freshet_ranked* results;     /* [users][k] */
  size_t* counts;              /* [users] */
  freshet_rank_scratch* scratch[THREADS_MAX];
  /* the threads: each ranks its part of the batch first .. first + batch - 1 between two barriers */
  pthread_t threads[THREADS_MAX];
  pthread_barrier_t start, end;
  size_t first;
  bool stop;
  bool failed;
};

/* ---- ranking ---- */

static void rank_part(struct bench* bench, size_t thread) {
  const settings* s = &bench->settings;
  size_t from = bench->first + s->batch * thread / s->threads;
  size_t to = bench->first + s->batch * (thread + 1) / s->threads;
  if (freshet_rank(bench->ranker, bench->queries + from, to - from, bench->results + from * s->k, s->k,
                   bench->counts + from, bench->scratch[thread], NULL) != FRESHET_OK)
    bench->failed = true;
}

struct member {
  struct bench* bench;
  size_t thread;
};

static void* run_member(void* argument) {
  const struct member* member = argument;
  for (;;) {
    pthread_barrier_wait(&member->bench->start);
    if (member->bench->stop) return NULL;
    rank_part(member->bench, member->thread);
    pthread_barrier_wait(&member->bench->end);
  }
}

static void rank_batch(struct bench* bench, size_t first) {
  bench->first = first;
  if (bench->settings.threads > 1) pthread_barrier_wait(&bench->start);
  rank_part(bench, 0);
  if (bench->settings.threads > 1) pthread_barrier_wait(&bench->end);
}

/* ---- preparing ---- */

/* Items that a user has seen: its best ones, and random ones. */
static void fill_excluded(struct bench* bench, size_t user) {
  freshet_rank_data* data = &bench->data;
  freshet_ranked best[BEST_EXCLUDED];
  size_t count = 0;
  uint32_t* excluded = data->excluded + user * data->excluded_per_user;
  freshet_rank_query query = {.vector = data->user_vectors + user * data->dim, .k = BEST_EXCLUDED};
  if (freshet_rank(bench->ranker, &query, 1, best, BEST_EXCLUDED, &count, bench->scratch[0], NULL) !=
      FRESHET_OK)
    bench->failed = true;
  for (size_t i = 0; i < data->excluded_per_user; i++)
    excluded[i] = i < count && i < data->excluded_per_user / 2 ? best[i].item
                                                               : freshet_rank_data_below(data, data->items);
}

static bool prepare(struct bench* bench, freshet_error* error) {
  const settings* s = &bench->settings;
  size_t users = s->batch * BATCHES;
  users = users < USERS_MIN   ? USERS_MIN
          : users > USERS_MAX ? (USERS_MAX + s->batch - 1) / s->batch * s->batch
                              : users;
  freshet_ranker_config config = {
      .dim = (uint32_t)s->dim, .capacity = (uint32_t)s->items, .kernel = s->kernel};
  if (freshet_ranker_create(&config, &bench->ranker, error) != FRESHET_OK) return false;
  bench->queries = calloc(users, sizeof *bench->queries);
  bench->results = calloc(users * s->k, sizeof *bench->results);
  bench->counts = calloc(users, sizeof *bench->counts);
  if (!freshet_rank_data_create(&bench->data, s->items, users, s->dim, s->factors, s->seed) ||
      bench->queries == NULL || bench->results == NULL || bench->counts == NULL) {
    freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "no memory for the data");
    return false;
  }
  for (size_t t = 0; t < s->threads; t++) {
    bench->scratch[t] = freshet_rank_scratch_create(bench->ranker);
    if (bench->scratch[t] == NULL) bench->failed = true;
  }
  freshet_rank_data* data = &bench->data;
  for (size_t i = 0; i < s->items && !bench->failed; i++) {
    if (freshet_ranker_set(bench->ranker, (uint32_t)i, data->item_vectors + i * s->dim, data->biases[i],
                           error) != FRESHET_OK)
      return false;
  }
  for (size_t u = 0; u < users && !bench->failed; u++) {
    fill_excluded(bench, u);
    bench->queries[u] = (freshet_rank_query){.vector = data->user_vectors + u * s->dim,
                                             .excluded = data->excluded + u * data->excluded_per_user,
                                             .excluded_count = data->excluded_per_user,
                                             .k = (uint32_t)s->k};
  }
  return !bench->failed;
}

static void release(struct bench* bench) {
  for (size_t t = 0; t < bench->settings.threads; t++) freshet_rank_scratch_destroy(bench->scratch[t]);
  freshet_ranker_destroy(bench->ranker);
  freshet_rank_data_free(&bench->data);
  free(bench->queries);
  free(bench->results);
  free(bench->counts);
}

/* ---- measuring ---- */

/* A step of learning on a random item. */
static void update_item(struct bench* bench) {
  freshet_rank_data* data = &bench->data;
  uint32_t item = freshet_rank_data_below(data, data->items);
  float* vector = data->item_vectors + item * data->dim;
  for (size_t d = 0; d < data->dim; d++) vector[d] *= 1 + 0.02f * freshet_rank_data_normal(data);
  data->biases[item] *= 1 + 0.02f * freshet_rank_data_normal(data);
  if (freshet_ranker_set(bench->ranker, item, vector, data->biases[item], NULL) != FRESHET_OK)
    bench->failed = true;
}

static double time_passes(struct bench* bench) {
  const settings* s = &bench->settings;
  size_t batches = bench->data.users / s->batch;
  batches = batches < BATCHES ? batches : BATCHES;
  double best = 1e30, start = freshet_seconds(CLOCK_MONOTONIC), updated = start;
  for (double begin = start; best == 1e30 || begin - start < s->seconds;) {
    for (size_t b = 0; b < batches; b++) {
      if (s->updates_per_second > 0) {
        double now = freshet_seconds(CLOCK_MONOTONIC);
        for (; updated < now; updated += 1 / s->updates_per_second) update_item(bench);
      }
      rank_batch(bench, b * s->batch);
    }
    double end = freshet_seconds(CLOCK_MONOTONIC);
    double each = (end - begin) / (double)(batches * s->batch) * 1e6;
    best = each < best ? each : best;
    begin = end;
  }
  return best;
}

static size_t check_users(struct bench* bench) {
  const settings* s = &bench->settings;
  const size_t users = bench->data.users / s->batch * s->batch;
  size_t right = 0;
  for (size_t i = 0; i < CHECKED_USERS; i++) {
    size_t user = users / CHECKED_USERS * i;
    rank_batch(bench, user / s->batch * s->batch);
    right += freshet_rank_data_correct(&bench->data, user, s->k, bench->results + user * s->k,
                                       bench->counts[user]);
  }
  return right;
}

static int measure(struct bench* bench, freshet_error* error) {
  const settings* s = &bench->settings;
  if (!prepare(bench, error)) {
    fprintf(stderr, "freshet bench rank: %s\n", error->message);
    return FRESHET_EXIT_FAILED;
  }
  if (s->folder != NULL && !freshet_rank_data_write(&bench->data, s->folder)) {
    fprintf(stderr, "freshet bench rank: cannot write into %s: %s\n", s->folder, strerror(errno));
    return FRESHET_EXIT_FAILED;
  }
  pthread_barrier_init(&bench->start, NULL, (unsigned)s->threads);
  pthread_barrier_init(&bench->end, NULL, (unsigned)s->threads);
  struct member members[THREADS_MAX];
  for (size_t t = 1; t < s->threads; t++) {
    members[t] = (struct member){bench, t};
    if (pthread_create(&bench->threads[t], NULL, run_member, &members[t]) != 0) abort();
  }
  double each = time_passes(bench);
  size_t right = check_users(bench);
  bench->stop = true;
  if (s->threads > 1) pthread_barrier_wait(&bench->start);
  for (size_t t = 1; t < s->threads; t++) pthread_join(bench->threads[t], NULL);
  const bool correct = right == CHECKED_USERS && !bench->failed;
  const char* kind = s->factors ? "factors" : "gaussian";
  const char* format =
      s->json
          ? "{\"items\": %zu, \"dim\": %zu, \"k\": %zu, \"batch\": %zu, \"threads\": %zu, \"data\": "
            "\"%s\", \"kernel\": \"%s\", \"updates_per_second\": %.0f, \"us_per_user\": %.2f, "
            "\"correct\": %s}\n"
          : "freshet rank N=%zu d=%zu k=%zu B=%zu threads=%zu %s, kernel %s, %.0f updates/s: %.1f us/user, "
            "correct: %s\n";
  printf(format, s->items, s->dim, s->k, s->batch, s->threads, kind,
         freshet_ranker_kernel_name(bench->ranker), s->updates_per_second, each, correct ? "true" : "false");
  return correct ? FRESHET_EXIT_OK : FRESHET_EXIT_FAILED;
}

/* ---- options ---- */

/* The place of name in names (NULL at the end), or -1. */
static int find_name(const char* name, const char* const* names) {
  for (int i = 0; names[i] != NULL; i++) {
    if (strcmp(names[i], name) == 0) return i;
  }
  return -1;
}

static bool parse_size(const char* text, size_t max, size_t* value) {
  char* end;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  *value = (size_t)number;
  return errno == 0 && end != text && *end == '\0' && number >= 1 && number <= max;
}

static bool parse_real(const char* text, double* value) {
  char* end;
  *value = strtod(text, &end);
  return end != text && *end == '\0' && *value >= 0 && *value < 1e9;
}

static bool take_option(settings* s, int option, const char* argument) {
  static const char* const kinds[] = {"gaussian", "factors", "model", NULL};
  static const char* const kernels[] = {"auto", "portable", "avx2", "avx512", NULL}; /* freshet_rank_kernel */
  size_t size;
  int choice;
  switch (option) {
    case 'n':
      return parse_size(argument, 100000000, &s->items);
    case 'd':
      return parse_size(argument, 4096, &s->dim);
    case 'b':
      return parse_size(argument, USERS_MAX, &s->batch);
    case 't':
      return parse_size(argument, THREADS_MAX, &s->threads);
    case 'k':
      return parse_size(argument, FRESHET_RANK_K_MAX, &s->k);
    case 'D':
      choice = find_name(argument, kinds);
      s->factors = choice == 1;
      s->model = choice == 2;
      return choice >= 0;
    case 'K':
      choice = find_name(argument, kernels);
      s->kernel = (freshet_rank_kernel)choice;
      return choice >= 0;
    case 'u':
      return parse_real(argument, &s->updates_per_second);
    case 's':
      return parse_real(argument, &s->seconds);
    case 'S':
      s->seed = parse_size(argument, SIZE_MAX, &size) ? size : 0;
      return s->seed != 0;
    case 'w':
      s->folder = argument;
      return true;
    case 'j':
      s->json = true;
      return true;
    default:
      return false;
  }
}

int freshet_bench_rank(int argc, char** argv) {
  static const struct option longs[] = {{"items", required_argument, NULL, 'n'},
                                        {"dim", required_argument, NULL, 'd'},
                                        {"batch", required_argument, NULL, 'b'},
                                        {"threads", required_argument, NULL, 't'},
                                        {"k", required_argument, NULL, 'k'},
                                        {"data", required_argument, NULL, 'D'},
                                        {"kernel", required_argument, NULL, 'K'},
                                        {"updates", required_argument, NULL, 'u'},
                                        {"seconds", required_argument, NULL, 's'},
                                        {"seed", required_argument, NULL, 'S'},
                                        {"write", required_argument, NULL, 'w'},
                                        {"json", no_argument, NULL, 'j'},
                                        {NULL, 0, NULL, 0}};
  struct bench* made = calloc(1, sizeof *made);
  if (made == NULL) return FRESHET_EXIT_FAILED;
  made->settings =
      (settings){.items = 10000, .dim = 64, .batch = 32, .threads = 1, .k = 20, .seconds = 2, .seed = 1};
  int option, code = FRESHET_EXIT_OK;
  while (code == FRESHET_EXIT_OK && (option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
    if (take_option(&made->settings, option, optarg)) continue;
    if (option != '?') fprintf(stderr, "freshet bench rank: '%s' is not possible here\n", optarg);
    code = FRESHET_EXIT_USAGE;
  }
  const settings* s = &made->settings;
  if (code == FRESHET_EXIT_OK && s->model) {
    code = freshet_bench_rank_model_run(&(freshet_bench_rank_model){.items = s->items,
                                                                    .dim = s->dim,
                                                                    .k = s->k,
                                                                    .seconds = s->seconds,
                                                                    .seed = s->seed,
                                                                    .json = s->json});
  } else if (code == FRESHET_EXIT_OK) {
    freshet_error error = {0};
    code = measure(made, &error);
  }
  release(made);
  free(made);
  return code;
}
