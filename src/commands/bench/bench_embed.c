/*
 * bench_embed.c: `freshet bench embed`: how many texts a second the encoder takes, and how long one takes
 * alone.
 */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/bench/bench.h"
#include "commands/commands.h"
#include "commands/measure.h"
#include "commands/options.h"
#include "freshet/encoder.h"
#include "text/kernels.h"
#include "text/text.h"

enum { TEXTS = 1000, PASSES = 3, SINGLES = 200, BATCH = 64, TEXT_SIZE = 256, TOKENS_MAX = 1024, SEED = 1 };

const char freshet_bench_embed_usage[] =
    "usage: freshet bench embed [OPTION...]\n\n"
    "Encodes 1,000 made-up texts of about 20 tokens in batches of 64, three times over, then 200 of them one "
    "at a\n"
    "time. The vectors of both ways are compared. Prints the best pass; its rate by CPU time says more on a\n"
    "machine that is busy.\n\n"
    "  --encoder NAME   auto (default), bert or hashing\n"
    "  --model FOLDER   of the model, or its name in the cache\n"
    "  --precision P    fp32 (default) or int8\n"
    "  --threads N      that share a batch (default 1)\n"
    "  --kernels K      avx512, avx2 or portable (default: the fastest here)\n"
    "  --texts FILE     lines to encode instead\n"
    "  --print          print the texts and stop: for measuring something else with the same ones\n"
    "  --json           print one JSON object\n\n"
    "exit codes: 0 done, 1 other vectors one at a time, 2 wrong usage, 6 no model\n";

typedef struct bench {
  freshet_text_config config;
  const char *kernels, *file;
  bool print, json;
  freshet_encoder* encoder;
  freshet_slice* texts; /* [count] */
  size_t count;
  float* vectors; /* [count][dim] */
  double texts_per_s, texts_per_cpu_s, p50_ms, p99_ms, worst_cosine, anonymous_mb;
} bench;

/* ---- texts ---- */

static char* make_text(uint64_t* state) {
  static const char* const who[] = {"detective", "teacher", "young queen", "retired boxer", "nurse",
                                    "thief",     "painter", "robot",       "family",        "lost pilot"};
  static const char* const how[] = {"tired", "curious", "fearless", "lonely", "stubborn", "brilliant"};
  static const char* const does[] = {"follows",  "steals",    "searches for",
                                     "protects", "discovers", "inherits"};
  static const char* const what[] = {"an old map",       "a silent child",  "the last train",
                                     "a stolen diamond", "a secret garden", "the missing letters"};
  static const char* const where[] = {"in a frozen city",       "across the desert",  "on a small island",
                                      "during the long war",    "under the old town", "at the edge of space",
                                      "in a village by the sea"};
  static const char* const kind[] = {"Drama, Romance", "Action, Thriller", "Comedy", "Adventure, Children",
                                     "Sci-Fi"};
#define PICK(list) list[freshet_next_random(state) % (sizeof list / sizeof *list)]
  char* text = malloc(TEXT_SIZE);
  FRESHET_ASSERT(text != NULL);
  snprintf(text, TEXT_SIZE, "A %s %s %s %s %s (%d) | %s", PICK(how), PICK(who), PICK(does), PICK(what),
           PICK(where), 1950 + (int)(freshet_next_random(state) % 75), PICK(kind));
#undef PICK
  return text;
}

static void add_text(bench* b, char* text) {
  b->texts = realloc(b->texts, (b->count + 1) * sizeof *b->texts);
  FRESHET_ASSERT(b->texts != NULL);
  b->texts[b->count++] = freshet_slice_of(text);
}

static bool load_texts(bench* b) {
  uint64_t state = SEED;
  for (size_t i = 0; b->file == NULL && i < TEXTS; i++) add_text(b, make_text(&state));
  if (b->file == NULL) return true;
  FILE* file = fopen(b->file, "r");
  if (file == NULL) return false;
  for (;;) {
    char* line = NULL;
    size_t capacity = 0;
    if (getline(&line, &capacity, file) < 0) {
      free(line);
      break;
    }
    line[strcspn(line, "\n")] = '\0';
    add_text(b, line);
  }
  fclose(file);
  return b->count > 0;
}

static double mean_tokens(const bench* b) {
  const freshet_encoder* encoder = b->encoder;
  uint32_t ids[TOKENS_MAX];
  double sum = 0;
  if (encoder->vtable->tokenize == NULL) return 0;
  for (size_t i = 0; i < b->count; i++) {
    sum += (double)encoder->vtable->tokenize(encoder, b->texts[i], ids, TOKENS_MAX);
  }
  return sum / (double)b->count;
}

/* ---- measuring ---- */

/* Memory that no file backs, in MB: packed weights, scratch, the program's own. */
static double anonymous_mb(void) {
  FILE* file = fopen("/proc/self/status", "r");
  char line[256];
  double kb = 0;
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "RssAnon: %lf", &kb) == 1) break;
  }
  if (file != NULL) fclose(file);
  return kb / 1024;
}

static freshet_status run_pass(bench* b, freshet_error* error) {
  double start = freshet_seconds(CLOCK_MONOTONIC), cpu_start = freshet_seconds(CLOCK_PROCESS_CPUTIME_ID);
  for (size_t i = 0; i < b->count; i += BATCH) {
    size_t size = b->count - i < BATCH ? b->count - i : BATCH;
    freshet_status status =
        freshet_encode(b->encoder, b->texts + i, size, b->vectors + i * b->encoder->dim, error);
    if (status != FRESHET_OK) return status;
  }
  double rate = (double)b->count / (freshet_seconds(CLOCK_MONOTONIC) - start);
  double cpu_rate = (double)b->count / (freshet_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_start);
  b->texts_per_s = fmax(b->texts_per_s, rate);
  b->texts_per_cpu_s = fmax(b->texts_per_cpu_s, cpu_rate);
  return FRESHET_OK;
}

static freshet_status run_singles(bench* b, freshet_error* error) {
  uint32_t dim = b->encoder->dim;
  float* alone = malloc(dim * sizeof *alone);
  double times_ms[SINGLES];
  freshet_status status = FRESHET_OK;
  FRESHET_ASSERT(alone != NULL);
  b->worst_cosine = 1;
  for (size_t i = 0; i < SINGLES && status == FRESHET_OK; i++) {
    size_t index = i % b->count;
    double start = freshet_seconds(CLOCK_MONOTONIC), cosine = 0;
    status = freshet_encode(b->encoder, &b->texts[index], 1, alone, error);
    times_ms[i] = (freshet_seconds(CLOCK_MONOTONIC) - start) * 1e3;
    for (uint32_t j = 0; j < dim; j++) cosine += (double)alone[j] * b->vectors[index * dim + j];
    b->worst_cosine = fmin(b->worst_cosine, cosine);
  }
  free(alone);
  if (status != FRESHET_OK) return status;
  freshet_sort_values(times_ms, SINGLES);
  b->p50_ms = freshet_quantile(times_ms, SINGLES, .5);
  b->p99_ms = freshet_quantile(times_ms, SINGLES, .99);
  if (b->worst_cosine > 0.9999) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "one at a time gives other vectors: cosine %.5f", b->worst_cosine);
}

static freshet_status create_encoder(bench* b, freshet_error* error) {
  const freshet_kernels* kernels = b->kernels == NULL ? NULL : freshet_kernels_find(b->kernels);
  if (b->kernels != NULL && kernels == NULL) {
    return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "this CPU does not run \"%s\"",
                             b->kernels);
  }
  return freshet_text_create_with(&b->config, kernels, &b->encoder, error);
}

static freshet_status measure(bench* b, freshet_error* error) {
  double before_mb = anonymous_mb();
  freshet_status status = create_encoder(b, error);
  if (status != FRESHET_OK) return status;
  b->vectors = calloc(b->count * b->encoder->dim, sizeof *b->vectors);
  FRESHET_ASSERT(b->vectors != NULL);
  for (int i = 0; i < PASSES && status == FRESHET_OK; i++) status = run_pass(b, error);
  b->anonymous_mb =
      anonymous_mb() - before_mb - (double)b->count * b->encoder->dim * sizeof(float) / (1 << 20);
  if (status == FRESHET_OK) status = run_singles(b, error);
  return status;
}

static void print_result(const bench* b) {
  const char* format =
      b->json ? "{\"encoder\": \"%s\", \"threads\": %u, \"texts\": %zu, \"tokens_per_text\": %.1f, "
                "\"texts_per_s\": %.0f, \"texts_per_cpu_s\": %.0f, "
                "\"single_p50_ms\": %.3f, \"single_p99_ms\": %.3f, \"memory_mb\": %.1f}\n"
              : "%s threads=%u: %zu texts of %.1f tokens, %.0f texts/s (%.0f a CPU second), one alone p50 "
                "%.2f ms "
                "p99 %.2f ms, %.1f MB beyond the mapped file\n";
  printf(format, b->encoder->name, b->config.threads, b->count, mean_tokens(b), b->texts_per_s,
         b->texts_per_cpu_s, b->p50_ms, b->p99_ms, b->anonymous_mb);
}

static bool choose(const char* value, const char* const* names, int count, int* choice) {
  for (*choice = 0; *choice < count; ++*choice) {
    if (strcmp(value, names[*choice]) == 0) return true;
  }
  fprintf(stderr, "freshet bench embed: unknown value '%s'\n", value);
  return false;
}

static bool parse_options(bench* b, int argc, char** argv) {
  enum { ENCODER = 256, MODEL, PRECISION, THREADS, KERNELS, TEXTS_FILE, PRINT, JSON };
  static const struct option longs[] = {{"encoder", required_argument, NULL, ENCODER},
                                        {"model", required_argument, NULL, MODEL},
                                        {"precision", required_argument, NULL, PRECISION},
                                        {"threads", required_argument, NULL, THREADS},
                                        {"kernels", required_argument, NULL, KERNELS},
                                        {"texts", required_argument, NULL, TEXTS_FILE},
                                        {"print", no_argument, NULL, PRINT},
                                        {"json", no_argument, NULL, JSON},
                                        {NULL, 0, NULL, 0}};
  static const char* const encoders[] = {"auto", "bert", "hashing"};
  static const freshet_text_encoder encoder_values[] = {FRESHET_TEXT_AUTO, FRESHET_TEXT_BERT,
                                                        FRESHET_TEXT_HASHING};
  static const char* const precisions[] = {"fp32", "int8"};
  int option, choice;
  while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
    switch (option) {
      case ENCODER:
        if (!choose(optarg, encoders, 3, &choice)) return false;
        b->config.encoder = encoder_values[choice];
        break;
      case PRECISION:
        if (!choose(optarg, precisions, 2, &choice)) return false;
        b->config.precision = choice == 1 ? FRESHET_TEXT_INT8 : FRESHET_TEXT_FP32;
        break;
      case MODEL:
        b->config.model = optarg;
        break;
      case THREADS:
        b->config.threads = (uint32_t)strtoul(optarg, NULL, 10);
        break;
      case KERNELS:
        b->kernels = optarg;
        break;
      case TEXTS_FILE:
        b->file = optarg;
        break;
      case PRINT:
        b->print = true;
        break;
      case JSON:
        b->json = true;
        break;
      default:
        return false;
    }
  }
  return optind == argc;
}

int freshet_bench_embed(int argc, char** argv) {
  bench b = {.config = freshet_text_defaults()};
  freshet_error error = {0};
  int code = FRESHET_EXIT_OK;
  if (!parse_options(&b, argc, argv)) {
    fprintf(stderr, "%s", freshet_bench_embed_usage);
    return FRESHET_EXIT_USAGE;
  }
  if (!load_texts(&b)) {
    freshet_error_set(&error, FRESHET_NOT_FOUND, FRESHET_STOP, "%s: no texts", b.file);
    code = freshet_command_failed("bench embed", &error);
  } else if (b.print) {
    for (size_t i = 0; i < b.count; i++) printf("%s\n", b.texts[i].data);
  } else if (measure(&b, &error) == FRESHET_OK) {
    print_result(&b);
  } else {
    code = freshet_command_failed("bench embed", &error);
  }
  freshet_encoder_destroy(b.encoder);
  for (size_t i = 0; i < b.count; i++) free((char*)b.texts[i].data);
  free(b.texts);
  free(b.vectors);
  return code;
}
