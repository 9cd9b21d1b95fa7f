/*
 * bench_fleet.c: `freshet bench fleet`: what a fleet of workers costs, and how many single workers it is worth.
 *
 * Two models in one process take turns. Each learns one commit of events of its own users, and then folds the
 * real record of the other one. CPU time of this thread is measured, so a busy machine changes little. What a
 * worker of a larger fleet does is the sum of these two costs, since each worker folds every other worker's
 * records. This file knows no broker: the network is counted in bytes, not measured.
 */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/codec.h"
#include "commands/bench/bench.h"
#include "commands/commands.h"
#include "commands/measure.h"
#include "commands/options.h"
#include "core/maths.h"
#include "freshet/model.h"

enum {
  EVENTS_PER_COMMIT = 100000, /* a worker's events a second, at one commit a second */
  SESSION = 10,               /* events of a user in a row */
  GROUP = 100,                /* items that go together */
  TASTES = 3,                 /* groups that a user likes */
  TEXT_DIM = 256,
  PAIR = 2,            /* models */
  FLEET_LARGEST = 256, /* workers in the table */
};
#define LINK_BYTES_PER_S 1.25e9 /* what a worker can read: 10 Gbit/s */

const char freshet_bench_fleet_usage[] =
    "usage: freshet bench fleet [OPTION...]\n\n"
    "Learns made-up sessions in two models, which fold each other's real records, as workers do at 100,000\n"
    "events/s each and one commit a second. Prints CPU time an event, bytes, and how many single workers a\n"
    "fleet is worth: W * learn / (learn + (W - 1) * fold). Both models must have counted all events.\n\n"
    "  --items N    in the catalogue, all with text vectors (default 10000)\n"
    "  --users N    of the two workers together (default 20000)\n"
    "  --workers W  of the fleet that is reported (default 16)\n"
    "  --commits N  measured, after the first two (default 3)\n"
    "  --json       print one JSON object instead of a table for 1 to 256 workers\n\n"
    "exit codes: 0 done, 1 a record could not be folded or events are missing, 2 wrong usage\n";

typedef struct worker {
  freshet_model* model;
  freshet_user** users; /* [users] */
  freshet_buffer record;
} worker;

typedef struct bench {
  int64_t items, users, workers, commits;
  bool json;
  uint64_t random;
  int64_t now_ms;
  freshet_codec* codec;
  worker pair[PAIR];
  double learn_s, fold_s, record_bytes; /* of `measured` events */
  double measured;
} bench;

static double cpu_s(void) {
  return freshet_seconds(CLOCK_THREAD_CPUTIME_ID);
}

/* Texts of a group are alike. Neighbours by text are not looked for: that is paid once a text, not once an
 * event, and `freshet bench texts` measures it. */
static freshet_status add_items(bench* b, freshet_model* model, freshet_error* error) {
  float text[TEXT_DIM];
  freshet_status status = FRESHET_OK;
  for (int64_t i = 0; i < b->items && status == FRESHET_OK; i++) {
    char id[32];
    uint32_t slot;
    snprintf(id, sizeof id, "item-%lld", (long long)i);
    for (uint64_t d = 0; d < TEXT_DIM; d++) {
      text[d] = freshet_gauss(freshet_random((uint64_t)i / GROUP, d)) +
                freshet_gauss(freshet_random(~(uint64_t)i, d));
    }
    status = freshet_model_intern(model, freshet_slice_of(id), &slot, error);
    if (status == FRESHET_OK) status = freshet_model_set_text(model, slot, text, NULL, error);
    if (status == FRESHET_OK) freshet_model_set_listed(model, slot, true);
  }
  return status;
}

static freshet_status create_worker(bench* b, worker* w, freshet_error* error) {
  freshet_model_config config = freshet_model_defaults();
  config.text_dim = TEXT_DIM;
  config.max_items = (uint32_t)b->items;
  config.links_apart = true;
  freshet_status status = freshet_model_create(&config, &w->model, error);
  if (status != FRESHET_OK) return status;
  freshet_model_expect_fleet(w->model, EVENTS_PER_COMMIT, (uint64_t)(b->workers - 1) * EVENTS_PER_COMMIT);
  w->users = calloc((size_t)b->users / PAIR, sizeof *w->users);
  FRESHET_ASSERT(w->users != NULL);
  for (int64_t u = 0; u < b->users / PAIR; u++) w->users[u] = freshet_user_create(w->model);
  return add_items(b, w->model, error);
}

static void destroy_worker(const bench* b, worker* w) {
  for (int64_t u = 0; w->users != NULL && u < b->users / PAIR; u++) freshet_user_destroy(w->users[u]);
  free(w->users);
  freshet_buffer_free(&w->record);
  freshet_model_destroy(w->model);
}

/* A group has a few items that are chosen often and many that are chosen seldom. */
static uint32_t next_item(bench* b, size_t user) {
  const uint64_t groups = ((uint64_t)b->items + GROUP - 1) / GROUP;
  const uint64_t group = (user * 7919 + freshet_next_random(&b->random) % TASTES * 104729) % groups;
  uint64_t item = group * GROUP + (uint64_t)(GROUP * pow(freshet_next_uniform(&b->random), 2));
  if (freshet_next_uniform(&b->random) < .1)
    item = (uint64_t)((double)b->items * pow(freshet_next_uniform(&b->random), 3));
  return (uint32_t)(item % (uint64_t)b->items);
}

static freshet_status learn_commit(bench* b, worker* w, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (int e = 0; e < EVENTS_PER_COMMIT / SESSION && status == FRESHET_OK; e++) {
    const size_t user = freshet_next_random(&b->random) % (uint64_t)(b->users / PAIR);
    b->now_ms += 60 * 1000;
    for (int i = 0; i < SESSION && status == FRESHET_OK; i++) {
      const freshet_observation seen = {
          .item = next_item(b, user), .positive = true, .weight = 1, .time_ms = b->now_ms + i * 2000};
      status = freshet_model_learn(w->model, w->users[user], &seen, error);
    }
  }
  if (status == FRESHET_OK) status = freshet_model_sync_ranker(w->model, NULL, error);
  return status;
}

/* As a commit does it: what has been learned becomes a record. */
static freshet_status write_record(bench* b, worker* w, freshet_error* error) {
  freshet_model_delta delta;
  freshet_model_take_delta(w->model, &delta);
  w->record.size = 0;
  return freshet_encode_item_delta(b->codec, freshet_slice_of("fleet"), &delta, &w->record, error);
}

static freshet_status fold_record(bench* b, worker* w, const worker* other, int64_t offset,
                                  freshet_error* error) {
  freshet_model_delta delta;
  freshet_slice writer;
  freshet_status status =
      freshet_decode_item_delta(b->codec, freshet_buffer_slice(&other->record), &writer, &delta, error);
  if (status == FRESHET_OK) status = freshet_model_fold(w->model, &delta, offset, error);
  if (status == FRESHET_OK) status = freshet_model_sync_ranker(w->model, NULL, error);
  return status;
}

/* Both learn a commit each and fold the other's. */
static freshet_status turn(bench* b, int64_t number, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  double learn_s = -cpu_s();
  for (int i = 0; i < PAIR && status == FRESHET_OK; i++) {
    status = learn_commit(b, &b->pair[i], error);
    if (status == FRESHET_OK) status = write_record(b, &b->pair[i], error);
  }
  learn_s += cpu_s();
  double fold_s = -cpu_s();
  for (int i = 0; i < PAIR && status == FRESHET_OK; i++)
    status = fold_record(b, &b->pair[i], &b->pair[1 - i], number, error);
  fold_s += cpu_s();
  if (number < 2) return status; /* lists of neighbours are still growing */
  b->learn_s += learn_s;
  b->fold_s += fold_s;
  b->measured += PAIR * EVENTS_PER_COMMIT;
  for (int i = 0; i < PAIR; i++) b->record_bytes += (double)b->pair[i].record.size;
  return status;
}

static double worth(double workers, double learn, double fold) {
  return workers * learn / (learn + (workers - 1) * fold);
}

static void print_table(const bench* b, double learn_us, double fold_us, double event_bytes,
                        double item_bytes) {
  printf(
      "%lld items with text, %lld users: an own event %.2f us, another worker's %.3f us; %.1f bytes an "
      "event to every worker, %.0f bytes an item in memory\n\n",
      (long long)b->items, (long long)b->users, learn_us, fold_us, event_bytes, item_bytes);
  printf("workers  worth  events/s of the fleet  read by each worker\n");
  for (int w = 1; w <= FLEET_LARGEST; w *= 2) {
    double events = worth(w, learn_us, fold_us) * 1e6 / learn_us;
    double read = events * (w - 1) / w * event_bytes;
    printf("%7d  %5.1f  %21.0f  %10.1f MB/s%s\n", w, worth(w, learn_us, fold_us), events, read / 1e6,
           read > LINK_BYTES_PER_S ? "  more than 10 Gbit/s carry" : "");
  }
  printf(
      "\nNo number of workers is worth more than %.1f: then all their time goes into folding.\n"
      "Each worker holds all items: %.1f MB.\n",
      learn_us / fold_us, item_bytes * (double)b->items / 1e6);
}

static void report(const bench* b) {
  double learn_us = 1e6 * b->learn_s / b->measured, fold_us = 1e6 * b->fold_s / b->measured;
  double event_bytes = b->record_bytes / b->measured;
  double item_bytes = (double)freshet_model_memory(b->pair[0].model) / (double)b->items;
  if (!b->json) {
    print_table(b, learn_us, fold_us, event_bytes, item_bytes);
    return;
  }
  printf(
      "{\"items\": %lld, \"users\": %lld, \"workers\": %lld, \"learn_us\": %.3f, \"fold_us\": %.3f, "
      "\"bytes_per_event\": %.1f, \"bytes_per_item\": %.0f, \"worth\": %.2f}\n",
      (long long)b->items, (long long)b->users, (long long)b->workers, learn_us, fold_us, event_bytes,
      item_bytes, worth((double)b->workers, learn_us, fold_us));
}

static freshet_status measure(bench* b, freshet_error* error) {
  freshet_status status = freshet_codec_create(&(freshet_codec_config){0}, &b->codec, error);
  for (int i = 0; i < PAIR && status == FRESHET_OK; i++) status = create_worker(b, &b->pair[i], error);
  for (int64_t number = 0; number < 2 + b->commits && status == FRESHET_OK; number++)
    status = turn(b, number, error);
  if (status != FRESHET_OK) return status;
  const uint64_t events = (uint64_t)(2 + b->commits) * PAIR * EVENTS_PER_COMMIT;
  for (int i = 0; i < PAIR; i++) {
    uint64_t counted = freshet_model_events(b->pair[i].model);
    if (counted == events) continue;
    return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                             "model %d has counted %llu events, but %llu were learned and folded", i,
                             (unsigned long long)counted, (unsigned long long)events);
  }
  return FRESHET_OK;
}

static bool parse(bench* b, int argc, char** argv) {
  enum { ITEMS = 256, USERS, WORKERS, COMMITS, JSON };
  static const struct option longs[] = {{"items", required_argument, NULL, ITEMS},
                                        {"users", required_argument, NULL, USERS},
                                        {"workers", required_argument, NULL, WORKERS},
                                        {"commits", required_argument, NULL, COMMITS},
                                        {"json", no_argument, NULL, JSON},
                                        {NULL, 0, NULL, 0}};
  int option;
  bool is_valid = true;
  while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
    if (option == JSON) {
      b->json = true;
    } else if (option == ITEMS) {
      is_valid = is_valid && freshet_option_number(optarg, GROUP, 10000000, &b->items);
    } else if (option == USERS) {
      is_valid = is_valid && freshet_option_number(optarg, PAIR, 100000000, &b->users);
    } else if (option == WORKERS) {
      is_valid = is_valid && freshet_option_number(optarg, 1, 100000, &b->workers);
    } else if (option == COMMITS) {
      is_valid = is_valid && freshet_option_number(optarg, 1, 1000, &b->commits);
    } else {
      is_valid = false;
    }
  }
  return is_valid && optind == argc;
}

int freshet_bench_fleet(int argc, char** argv) {
  bench b = {.items = 10000, .users = 20000, .workers = 16, .commits = 3, .random = 1};
  if (!parse(&b, argc, argv)) {
    fprintf(stderr, "%s", freshet_bench_fleet_usage);
    return FRESHET_EXIT_USAGE;
  }
  freshet_error error = {0};
  int code = FRESHET_EXIT_OK;
  if (measure(&b, &error) != FRESHET_OK) {
    code = freshet_command_failed("bench fleet", &error);
  } else {
    report(&b);
  }
  for (int i = 0; i < PAIR; i++) destroy_worker(&b, &b.pair[i]);
  freshet_codec_destroy(b.codec);
  return code;
}
