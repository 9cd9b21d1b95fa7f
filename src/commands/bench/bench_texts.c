/*
 * bench_texts.c: `freshet bench texts`: how long it takes to find which texts of a catalogue are alike, and
 * that the result is right. It makes its own vectors and needs no encoder.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/bench/bench.h"
#include "commands/commands.h"
#include "commands/measure.h"
#include "core/maths.h"
#include "freshet/model.h"

enum { ALIKE = 50, CHECKED = 20, SEED = 1 }; /* ALIKE: items of one topic */

const char freshet_bench_texts_usage[] =
    "usage: freshet bench texts [OPTION...]\n\n"
    "Gives made-up text vectors (topics of 50 items, noise around them) to a catalogue, as a start does it, "
    "and\n"
    "then to more items one at a time: new ones, and ones whose text changes. Prints the CPU time on the "
    "worker's\n"
    "thread. Lists of neighbours of some items are checked against a comparison with all others.\n\n"
    "  --items N    in the catalogue (default 100000)\n"
    "  --dim D      of the vectors (default 384, as MiniLM)\n"
    "  --changes N  new items, and changed ones (default 100)\n"
    "  --json       print one JSON object\n\n"
    "exit codes: 0 done, 1 a wrong list of neighbours, 2 wrong usage\n";

typedef struct bench {
  unsigned long items, dim, changes;
  bool json;
  freshet_model* model;
  float* vector; /* [dim] */
} bench;

static double cpu_s(void) {
  return freshet_seconds(CLOCK_THREAD_CPUTIME_ID);
}

static void make_vector(bench* b, uint64_t number, uint64_t version) {
  for (uint64_t k = 0; k < b->dim; k++) {
    float topic = freshet_gauss(freshet_random(SEED + number / ALIKE, k));
    float own = freshet_gauss(freshet_random(~(number * 8 + version), k));
    b->vector[k] = topic + own;
  }
}

static void set_text(bench* b, uint32_t slot, uint64_t version) {
  make_vector(b, slot, version);
  FRESHET_ASSERT(freshet_model_set_text(b->model, slot, b->vector, NULL, NULL) == FRESHET_OK);
}

static uint32_t intern(bench* b, unsigned long number) {
  char id[24];
  uint32_t slot;
  snprintf(id, sizeof id, "i%lu", number);
  FRESHET_ASSERT(freshet_model_intern(b->model, freshet_slice_of(id), &slot, NULL) == FRESHET_OK);
  freshet_model_set_listed(b->model, slot, true);
  return slot;
}

/* Waits until lists of neighbours and rows are up to date. */
static void settle(bench* b) {
  FRESHET_ASSERT(freshet_model_sync_ranker(b->model, NULL, NULL) == FRESHET_OK);
}

/* Before the first event every row is brought up to date at every turn. That is not to be measured here. */
static void learn_one(bench* b) {
  const freshet_observation seen = {.item = 0, .positive = true, .weight = 1};
  freshet_user* user = freshet_user_create(b->model);
  FRESHET_ASSERT(freshet_model_learn(b->model, user, &seen, NULL) == FRESHET_OK);
  freshet_user_destroy(user);
  settle(b);
}

/* Checks a list: no text outside it is nearer than its farthest entry. */
static bool is_right(bench* b, uint32_t slot) {
  uint32_t near[FRESHET_TEXT_NEIGHBOURS], items = (uint32_t)freshet_model_item_count(b->model), nearer = 0;
  size_t count = freshet_model_text_neighbours(b->model, slot, near);
  float floor = 1;
  for (size_t i = 0; i < count; i++) {
    float cosine = freshet_model_text_likeness(b->model, slot, near[i]);
    floor = cosine < floor ? cosine : floor;
  }
  for (uint32_t i = 0; i < items; i++)
    nearer += i != slot && freshet_model_text_likeness(b->model, slot, i) > floor;
  return count == FRESHET_TEXT_NEIGHBOURS && nearer < FRESHET_TEXT_NEIGHBOURS;
}

static int measure(bench* b) {
  double vectors_s = -cpu_s();
  for (unsigned long i = 0; i < b->items; i++) make_vector(b, i, 0);
  vectors_s += cpu_s();
  double fill_s = -cpu_s();
  for (unsigned long i = 0; i < b->items; i++) set_text(b, intern(b, i), 0);
  settle(b);
  fill_s += cpu_s() - vectors_s;
  learn_one(b);
  double new_s = -cpu_s();
  for (unsigned long i = 0; i < b->changes; i++) {
    set_text(b, intern(b, b->items + i), 0);
    settle(b);
  }
  new_s += cpu_s();
  double changed_s = -cpu_s();
  for (unsigned long i = 0; i < b->changes; i++) {
    set_text(b, (uint32_t)(i * (b->items / b->changes)), 1);
    settle(b);
  }
  changed_s += cpu_s();
  int wrong = 0;
  for (unsigned long i = 0; i < CHECKED; i++) wrong += !is_right(b, (uint32_t)(i * (b->items / CHECKED)));
  const char* format =
      b->json ? "{\"items\": %lu, \"dim\": %lu, \"fill_cpu_s\": %.2f, \"new_item_cpu_ms\": %.3f, "
                "\"changed_item_cpu_ms\": %.3f, \"lists_checked\": %d, \"wrong\": %d}\n"
              : "%lu items, %lu dimensions: the first fill takes %.2f s of CPU time, a new item "
                "%.3f ms, a changed one %.3f ms; %d lists of neighbours checked, %d wrong\n";
  printf(format, b->items, b->dim, fill_s, 1000 * new_s / (double)b->changes,
         1000 * changed_s / (double)b->changes, CHECKED, wrong);
  return wrong == 0 ? FRESHET_EXIT_OK : FRESHET_EXIT_FAILED;
}

static bool parse(bench* b, int argc, char** argv) {
  enum { ITEMS = 256, DIM, CHANGES, JSON };
  static const struct option longs[] = {{"items", required_argument, NULL, ITEMS},
                                        {"dim", required_argument, NULL, DIM},
                                        {"changes", required_argument, NULL, CHANGES},
                                        {"json", no_argument, NULL, JSON},
                                        {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
    if (option == JSON) b->json = true;
    if (option == ITEMS) b->items = strtoul(optarg, NULL, 10);
    if (option == DIM) b->dim = strtoul(optarg, NULL, 10);
    if (option == CHANGES) b->changes = strtoul(optarg, NULL, 10);
    if (option == '?') return false;
  }
  return optind == argc && b->items >= 100 && b->items <= 10000000 && b->dim >= 16 && b->dim <= 4096 &&
         b->changes > 0 && b->changes <= b->items;
}

int freshet_bench_texts(int argc, char** argv) {
  bench b = {.items = 100000, .dim = 384, .changes = 100};
  if (!parse(&b, argc, argv)) {
    fprintf(stderr, "%s", freshet_bench_texts_usage);
    return FRESHET_EXIT_USAGE;
  }
  freshet_model_config config = freshet_model_defaults();
  config.text_dim = (uint32_t)b.dim;
  FRESHET_ASSERT(freshet_model_create(&config, &b.model, NULL) == FRESHET_OK);
  b.vector = calloc(b.dim, sizeof *b.vector);
  FRESHET_ASSERT(b.vector != NULL);
  int code = measure(&b);
  free(b.vector);
  freshet_model_destroy(b.model);
  return code;
}
