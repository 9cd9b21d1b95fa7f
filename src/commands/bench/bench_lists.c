/*
 * bench_lists.c: `freshet bench lists`: what a list takes of the thread that makes it, part by part, as a worker makes
 * it: some events are learned, the ranker's rows follow, and each user of these events gets a list. It calls the core
 * and the codec as src/lists does, and knows no service.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "commands/bench/bench.h"
#include "commands/commands.h"
#include "commands/measure.h"
#include "core/maths.h"
#include "core/select.h"
#include "freshet/encoder.h"
#include "freshet/model.h"
#include "freshet/ranker.h"

const char freshet_bench_lists_usage[] =
    "usage: freshet bench lists [OPTION...]\n\n"
    "Learns events of made-up users and makes a list for each, as a worker does it, some events at a time.\n"
    "Prints the CPU time that a list takes, part by part, and a hash of all lists: equal hashes, equal "
    "lists.\n\n"
    "  --items N    with texts (default 10000)\n"
    "  --users N    to draw from, uniformly (default 50000)\n"
    "  --warm N     events before the first list (default 40000)\n"
    "  --lists N    lists (default 16000)\n"
    "  --turn N     events, and lists, of one turn: 1 to 16 (default 16)\n"
    "  --json       print one JSON object\n\n"
    "exit codes: 0 done, 2 wrong usage\n";

enum { K = 10, GROUP = 16, TEXT_DIM = 256, ID_SIZE = 32, SEED = 1 };

static const float diversity = .3F;

enum part { SYNC, QUERY, RANK, DIVERSE, EXPLAIN, ENCODE, PARTS };
static const char* const part_names[PARTS] = {"sync", "query", "rank", "diversity", "reasons", "encoding"};

typedef struct bench {
  unsigned long items, users, warm, lists, turn;
  bool json;
  freshet_model* model;
  freshet_ranker* ranker;
  freshet_codec* codec;
  freshet_user** known; /* [users] */
  uint64_t random, events, hash;
  freshet_model_scratch* queries[GROUP];
  freshet_rank_scratch* scratch;
  freshet_ranked ranked[GROUP][FRESHET_RANK_K_MAX];
  freshet_variety variety[FRESHET_RANK_K_MAX];
  freshet_part parts[K][FRESHET_PARTS_MAX];
  size_t part_counts[K];
  freshet_reason reasons[K][FRESHET_PARTS_MAX];
  freshet_buffer bytes;
  double part_s[PARTS], bonus_rows;
} bench;

static double cpu_s(void) {
  return freshet_seconds(CLOCK_THREAD_CPUTIME_ID);
}

/* ---- a catalogue, and events ---- */

static const char* const words[] = {"red",   "blue",    "small", "large", "vintage", "paper",
                                    "glass", "lantern", "heart", "bag",   "cake",    "tin",
                                    "clock", "garden",  "bird",  "retro"};

static void add_items(bench* b, freshet_encoder* encoder) {
  for (unsigned long i = 0; i < b->items; i++) {
    char id[ID_SIZE], title[96];
    float vector[TEXT_DIM];
    uint32_t slot;
    const uint64_t r = freshet_next_random(&b->random);
    snprintf(id, sizeof id, "item-%lu", i);
    snprintf(title, sizeof title, "%s %s %s %lu", words[r % 16], words[r / 16 % 16], words[r / 256 % 16], i);
    const freshet_slice text = freshet_slice_of(title);
    FRESHET_ASSERT(freshet_encode(encoder, &text, 1, vector, NULL) == FRESHET_OK);
    FRESHET_ASSERT(freshet_model_intern(b->model, freshet_slice_of(id), &slot, NULL) == FRESHET_OK);
    FRESHET_ASSERT(freshet_model_set_text(b->model, slot, vector, NULL, NULL) == FRESHET_OK);
    freshet_model_set_listed(b->model, slot, true);
  }
}

/* As `freshet bench e2e` draws them. */
static unsigned long learn_event(bench* b) {
  const double u = freshet_next_uniform(&b->random);
  const unsigned long user = freshet_next_random(&b->random) % b->users;
  const freshet_observation seen = {.item = (uint32_t)((double)b->items * u * u * u),
                                    .positive = true,
                                    .weight = 1,
                                    .time_ms = (int64_t)(++b->events / 2)};
  if (b->known[user] == NULL) b->known[user] = freshet_user_create(b->model);
  FRESHET_ASSERT(freshet_model_learn(b->model, b->known[user], &seen, NULL) == FRESHET_OK);
  return user;
}

static void set_up(bench* b) {
  freshet_model_config config = freshet_model_defaults();
  freshet_encoder* encoder;
  config.text_dim = TEXT_DIM;
  FRESHET_ASSERT(freshet_model_create(&config, &b->model, NULL) == FRESHET_OK);
  freshet_ranker_config ranker = {.capacity = (uint32_t)b->items};
  freshet_model_lend_rows(b->model, &ranker);
  FRESHET_ASSERT(freshet_ranker_create(&ranker, &b->ranker, NULL) == FRESHET_OK);
  FRESHET_ASSERT(freshet_codec_create(&(freshet_codec_config){0}, &b->codec, NULL) == FRESHET_OK);
  FRESHET_ASSERT(freshet_encoder_hashing_create(TEXT_DIM, &encoder, NULL) == FRESHET_OK);
  b->known = calloc(b->users, sizeof(freshet_user*));
  b->scratch = freshet_rank_scratch_create(b->ranker);
  FRESHET_ASSERT(b->known != NULL && b->scratch != NULL);
  b->queries[0] = freshet_model_scratch_create(b->model);
  for (size_t i = 1; i < GROUP; i++) b->queries[i] = freshet_model_scratch_beside(b->model, b->queries[0]);
  add_items(b, encoder);
  encoder->vtable->destroy(encoder);
  for (unsigned long e = 0; e < b->warm; e++) learn_event(b);
  FRESHET_ASSERT(freshet_model_sync_ranker(b->model, b->ranker, NULL) == FRESHET_OK);
}

static void tear_down(bench* b) {
  for (size_t i = 0; i < GROUP; i++) freshet_model_scratch_destroy(b->queries[i]);
  for (unsigned long u = 0; u < b->users; u++) freshet_user_destroy(b->known[u]);
  free(b->known);
  freshet_rank_scratch_destroy(b->scratch);
  freshet_ranker_destroy(b->ranker);
  freshet_codec_destroy(b->codec);
  freshet_model_destroy(b->model);
  freshet_buffer_free(&b->bytes);
}

/* ---- a turn ---- */

static void add_to_hash(bench* b, const void* data, size_t size) {
  for (size_t i = 0; i < size; i++) b->hash = (b->hash ^ ((const uint8_t*)data)[i]) * 0x100000001b3;
}

static void explain(bench* b, size_t i, size_t count) {
  for (size_t r = 0; r < count; r++)
    b->part_counts[r] =
        freshet_model_explain_query(b->model, NULL, b->ranked[i][r].item, b->queries[i], b->parts[r]);
}

static void encode(bench* b, unsigned long user, size_t i, size_t count) {
  char id[ID_SIZE];
  freshet_recommendation items[K];
  snprintf(id, sizeof id, "user-%lu", user);
  for (size_t r = 0; r < count; r++) {
    const freshet_ranked* ranked = &b->ranked[i][r];
    for (size_t p = 0; p < b->part_counts[r]; p++) {
      const freshet_part* part = &b->parts[r][p];
      b->reasons[r][p] = (freshet_reason){.kind = part->kind, .score = part->score, .every_s = part->every_s};
      if (part->item != FRESHET_NO_ITEM)
        b->reasons[r][p].item_id = freshet_model_item_id(b->model, part->item);
    }
    items[r] = (freshet_recommendation){.item_id = freshet_model_item_id(b->model, ranked->item),
                                        .score = ranked->score,
                                        .reasons = b->reasons[r],
                                        .reason_count = b->part_counts[r],
                                        .propensity = 1};
  }
  const freshet_list list = {.user_id = freshet_slice_of(id),
                             .version_offset = (int64_t)b->events,
                             .generated_at_ms = (int64_t)b->events,
                             .items = items,
                             .item_count = count};
  b->bytes.size = 0;
  FRESHET_ASSERT(freshet_encode_list(b->codec, &list, &b->bytes, NULL) == FRESHET_OK);
}

/* Ends a part that began at *start_s; the next one begins. */
static void end_part(bench* b, enum part part, double* start_s) {
  const double now_s = cpu_s();
  b->part_s[part] += now_s - *start_s;
  *start_s = now_s;
}

static void make_turn(bench* b) {
  unsigned long users[GROUP];
  freshet_rank_query queries[GROUP] = {0};
  size_t counts[GROUP];
  for (size_t i = 0; i < b->turn; i++) users[i] = learn_event(b);
  double start_s = cpu_s();
  FRESHET_ASSERT(freshet_model_sync_ranker(b->model, b->ranker, NULL) == FRESHET_OK);
  end_part(b, SYNC, &start_s);
  for (size_t i = 0; i < b->turn; i++) {
    freshet_model_query(b->model, b->known[users[i]], (int64_t)(b->events / 2), b->queries[i], &queries[i]);
    queries[i].k = (uint32_t)freshet_select_candidates(K, diversity);
    b->bonus_rows += (double)queries[i].bonus_count;
  }
  end_part(b, QUERY, &start_s);
  FRESHET_ASSERT(freshet_rank(b->ranker, queries, b->turn, b->ranked[0], FRESHET_RANK_K_MAX, counts,
                              b->scratch, NULL) == FRESHET_OK);
  end_part(b, RANK, &start_s);
  for (size_t i = 0; i < b->turn; i++) {
    freshet_select_diverse(b->model, b->ranked[i], counts[i], K, diversity, b->variety);
    end_part(b, DIVERSE, &start_s);
    const size_t count = counts[i] < K ? counts[i] : K;
    explain(b, i, count);
    end_part(b, EXPLAIN, &start_s);
    encode(b, users[i], i, count);
    end_part(b, ENCODE, &start_s);
    add_to_hash(b, b->bytes.data, b->bytes.size);
    start_s = cpu_s();
  }
}

static void print(const bench* b, unsigned long lists) {
  double total_us = 0;
  for (int p = 0; p < PARTS; p++) total_us += 1e6 * b->part_s[p] / (double)lists;
  if (b->json) {
    printf("{\"items\": %lu, \"turn\": %lu, \"lists\": %lu, ", b->items, b->turn, lists);
    for (int p = 0; p < PARTS; p++)
      printf("\"%s_us\": %.2f, ", part_names[p], 1e6 * b->part_s[p] / (double)lists);
  } else {
    printf("%lu lists, %lu a turn, %lu items, kernel %s, %.0f bonus rows: ", lists, b->turn, b->items,
           freshet_ranker_kernel_name(b->ranker), b->bonus_rows / (double)lists);
    for (int p = 0; p < PARTS; p++) printf("%s %.1f, ", part_names[p], 1e6 * b->part_s[p] / (double)lists);
  }
  printf(b->json ? "\"total_us\": %.2f, \"hash\": \"%016llx\"}\n" : "all %.1f us of CPU time; hash %016llx\n",
         total_us, (unsigned long long)b->hash);
}

static bool parse(bench* b, int argc, char** argv) {
  enum { ITEMS = 256, USERS, WARM, LISTS, TURN, JSON };
  static const struct option longs[] = {{"items", required_argument, NULL, ITEMS},
                                        {"users", required_argument, NULL, USERS},
                                        {"warm", required_argument, NULL, WARM},
                                        {"lists", required_argument, NULL, LISTS},
                                        {"turn", required_argument, NULL, TURN},
                                        {"json", no_argument, NULL, JSON},
                                        {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
    if (option == ITEMS) b->items = strtoul(optarg, NULL, 10);
    if (option == USERS) b->users = strtoul(optarg, NULL, 10);
    if (option == WARM) b->warm = strtoul(optarg, NULL, 10);
    if (option == LISTS) b->lists = strtoul(optarg, NULL, 10);
    if (option == TURN) b->turn = strtoul(optarg, NULL, 10);
    if (option == JSON) b->json = true;
    if (option == '?') return false;
  }
  return optind == argc && b->items >= 100 && b->items <= 1000000 && b->users > 0 && b->turn > 0 &&
         b->turn <= GROUP && b->lists >= b->turn;
}

int freshet_bench_lists(int argc, char** argv) {
  bench* b = calloc(1, sizeof *b);
  FRESHET_ASSERT(b != NULL);
  b->items = 10000, b->users = 50000, b->warm = 40000, b->lists = 16000, b->turn = GROUP;
  b->random = SEED, b->hash = 0xcbf29ce484222325;
  const bool is_right = parse(b, argc, argv);
  if (is_right) {
    unsigned long made = 0;
    set_up(b);
    for (; made < b->lists; made += b->turn) make_turn(b);
    print(b, made);
    tear_down(b);
  } else {
    fprintf(stderr, "%s", freshet_bench_lists_usage);
  }
  free(b);
  return is_right ? FRESHET_EXIT_OK : FRESHET_EXIT_USAGE;
}
