/*
 * bench_e2e.c: `freshet bench e2e`: a load generator and a reader that measure a running service, or a peer, from
 * outside, on a real broker. It owns its clients. It must not look into the service.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "codec/codec.h"
#include "commands/bench/bench.h"
#include "commands/commands.h"
#include "commands/measure.h"
#include "commands/options.h"
#include "commands/progress.h"
#include "kafka/kafka.h"
#include "stream/clock.h"
#include "users/dedup.h"

enum { SAMPLES_MAX = 4 << 20, POLL_RECORDS = 4096, SETTLE_MS = 120000, DRAIN_MS = 3000, ID_SIZE = 32 };

const char freshet_bench_e2e_usage[] =
    "usage: freshet bench e2e -c FILE items   [--items N]\n"
    "       freshet bench e2e -c FILE backlog --events N [--users N] [--items N]\n"
    "       freshet bench e2e -c FILE latency --rate N --seconds S [--users N] [--items N] [--peer TOPIC] "
    "[--json]\n"
    "       freshet bench e2e -c FILE requests --rate N --seconds S [--users N] [--context none|known|new] "
    "[--json]\n\n"
    "items announces a catalogue, backlog publishes events as fast as it can, latency publishes events at a "
    "rate and\n"
    "reads the lists (read_committed), and prints how long after an event its list arrived. --peer reads "
    "that topic instead,\n"
    "whose records begin with the event's time (ms, 8 bytes little-endian). The first quarter is a warm-up "
    "and is not counted. requests does the same with requests and replies; --context known: each with one of "
    "16 texts, new: with\n"
    "a text that nobody has asked for yet.\n\n"
    "  --users N    users to draw from, uniformly (default 50000)\n"
    "  --items N    items to draw from, skewed (default 10000)\n";

typedef enum asked_text { TEXT_NONE = 0, TEXT_KNOWN, TEXT_NEW } asked_text;

typedef struct load {
  freshet_config* config;
  freshet_kafka_property* properties;
  freshet_kafka_config kafka;
  freshet_codec* codec;
  freshet_sink* sink;
  freshet_clock* clock;
  uint64_t users, items, events, rate, seconds;
  uint64_t random;
  uint64_t run; /* makes event ids unique */
  const char* peer;
  bool asks; /* requests instead of events */
  asked_text text;
  _Atomic bool done;
  freshet_dedup* answered; /* versions whose list has come */
  double* samples_ms;      /* [sample_count] */
  size_t sample_count;
  freshet_buffer bytes;
} load;

static freshet_status send(load* l, freshet_topic topic, const char* key, freshet_error* error) {
  freshet_output output = {.topic = topic,
                           .partition = -1,
                           .key = freshet_slice_of(key),
                           .has_value = true,
                           .value = freshet_buffer_slice(&l->bytes)};
  return freshet_sink_publish(l->sink, &output, error);
}

static freshet_status send_event(load* l, uint64_t i, freshet_error* error) {
  char event_id[ID_SIZE * 2], user_id[ID_SIZE], item_id[ID_SIZE];
  double u = freshet_next_uniform(&l->random);
  snprintf(event_id, sizeof event_id, "%llx-%llx", (unsigned long long)l->run, (unsigned long long)i);
  snprintf(user_id, sizeof user_id, "user-%llu",
           (unsigned long long)(freshet_next_random(&l->random) % l->users));
  snprintf(item_id, sizeof item_id, "item-%llu", (unsigned long long)((double)l->items * u * u * u));
  freshet_event event = {.type = i % 10 == 0 ? FRESHET_PURCHASE : FRESHET_CLICK,
                         .event_id = freshet_slice_of(event_id),
                         .user_id = freshet_slice_of(user_id),
                         .item_id = freshet_slice_of(item_id),
                         .occurred_at_ms = freshet_clock_now_ms(l->clock),
                         .quantity = 1};
  l->bytes.size = 0;
  freshet_status status = freshet_encode_event(l->codec, &event, &l->bytes, error);
  if (status == FRESHET_OK) status = send(l, FRESHET_TOPIC_EVENTS, user_id, error);
  return status;
}

static const char* const words[] = {"red",   "blue",    "small", "large", "vintage", "paper",
                                    "glass", "lantern", "heart", "bag",   "cake",    "tin",
                                    "clock", "garden",  "bird",  "retro"};

/* The id ends with the time, in microseconds: it comes back with the reply. */
static freshet_status send_request(load* l, uint64_t i, freshet_error* error) {
  char request_id[ID_SIZE * 2], user_id[ID_SIZE], text[160];
  struct timespec now;
  uint64_t r = freshet_next_random(&l->random);
  const char *first = words[r % 16], *second = words[r / 16 % 16], *third = words[r / 256 % 16];
  snprintf(user_id, sizeof user_id, "user-%llu", (unsigned long long)(r / 4096 % l->users));
  snprintf(text, sizeof text, "a %s %s for the %s number %llu", first, second, third, (unsigned long long)i);
  if (l->text == TEXT_KNOWN) snprintf(text, sizeof text, "a gift with a %s on it", first);
  clock_gettime(CLOCK_REALTIME, &now);
  snprintf(request_id, sizeof request_id, "%llx-%llx-%lld", (unsigned long long)l->run, (unsigned long long)i,
           (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
  freshet_request request = {.request_id = freshet_slice_of(request_id),
                             .user_id = freshet_slice_of(user_id),
                             .k = 10,
                             .context = freshet_slice_of(l->text == TEXT_NONE ? "" : text),
                             .explain = true};
  l->bytes.size = 0;
  freshet_status status = freshet_encode_request(l->codec, &request, &l->bytes, error);
  if (status == FRESHET_OK) status = send(l, FRESHET_TOPIC_REQUESTS, user_id, error);
  return status;
}

static freshet_status announce_items(load* l, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (uint64_t i = 0; status == FRESHET_OK && i < l->items; i++) {
    char item_id[ID_SIZE], title[96];
    uint64_t r = freshet_next_random(&l->random);
    snprintf(item_id, sizeof item_id, "item-%llu", (unsigned long long)i);
    snprintf(title, sizeof title, "%s %s %s %llu", words[r % 16], words[r / 16 % 16], words[r / 256 % 16],
             (unsigned long long)i);
    freshet_item item = {
        .item_id = freshet_slice_of(item_id), .title = freshet_slice_of(title), .available = true};
    l->bytes.size = 0;
    status = freshet_encode_item(l->codec, &item, &l->bytes, error);
    if (status == FRESHET_OK) status = send(l, FRESHET_TOPIC_ITEMS, item_id, error);
  }
  if (status == FRESHET_OK) status = freshet_sink_settle(l->sink, SETTLE_MS, error);
  return status;
}

static freshet_status send_backlog(load* l, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  freshet_progress* progress = freshet_progress_create("publishing", l->events);
  for (uint64_t i = 0; status == FRESHET_OK && i < l->events; i++) {
    status = send_event(l, i, error);
    if (i % 1024 == 0) freshet_progress_show(progress, i);
  }
  if (status == FRESHET_OK) status = freshet_sink_settle(l->sink, SETTLE_MS, error);
  freshet_progress_end(progress, l->events);
  return status;
}

/* ---- latency ---- */

/* When the request of a reply was sent, in ms; 0: the request is not from this run. */
static double request_time_of(const load* l, const freshet_record* record) {
  char key[ID_SIZE * 2];
  unsigned long long run, i;
  long long time_us;
  snprintf(key, sizeof key, "%.*s", (int)record->key.size, record->key.data);
  bool is_ours = sscanf(key, "%llx-%llx-%lld", &run, &i, &time_us) == 3 && run == l->run;
  return is_ours ? (double)time_us / 1e3 : 0;
}

/* When the event or request that a record answers happened, in ms; 0: the record answers none. */
static double event_time_of(load* l, freshet_codec* codec, const freshet_record* record) {
  if (!record->has_value) return 0;
  if (l->asks) return request_time_of(l, record);
  if (l->peer != NULL) {
    int64_t time_ms = 0;
    if (record->value.size >= sizeof time_ms) memcpy(&time_ms, record->value.data, sizeof time_ms);
    return (double)time_ms;
  }
  freshet_list list;
  if (freshet_decode_list(codec, record->value, &list, NULL) != FRESHET_OK) return 0;
  /* A list that is refreshed without a new event has the version of the list before: it answers no event. */
  return freshet_dedup_add(l->answered, freshet_id_key(record->key) ^ (uint64_t)list.version_offset,
                           list.generated_at_ms)
             ? (double)list.event_occurred_at_ms
             : 0;
}

typedef struct reading {
  load* load;
  freshet_reader* log;
  freshet_codec* codec;
  int64_t count_from_ms;
  freshet_error error;
} reading;

static void* read_lists(void* context) {
  reading* r = context;
  load* l = r->load;
  freshet_record* records = calloc(POLL_RECORDS, sizeof *records);
  FRESHET_ASSERT(records != NULL);
  while (!atomic_load(&l->done)) {
    size_t count = 0;
    if (freshet_reader_poll(r->log, 50, records, POLL_RECORDS, &count, &r->error) != FRESHET_OK) break;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double now_ms = (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
    for (size_t i = 0; i < count; i++) {
      double time_ms = event_time_of(l, r->codec, &records[i]);
      if (time_ms < (double)r->count_from_ms || l->sample_count == SAMPLES_MAX) continue;
      l->samples_ms[l->sample_count++] = now_ms - time_ms;
    }
  }
  free(records);
  return NULL;
}

static freshet_status open_at_end(load* l, reading* r, freshet_error* error) {
  freshet_topic topic = l->asks ? FRESHET_TOPIC_REPLIES : FRESHET_TOPIC_RECOMMENDATIONS;
  int32_t partitions = 0;
  freshet_codec_config codec = {0};
  freshet_status status = freshet_kafka_reader_create(&l->kafka, &r->log, error);
  if (status == FRESHET_OK) status = freshet_codec_create(&codec, &r->codec, error);
  if (status == FRESHET_OK) {
    status = freshet_reader_partitions(r->log, topic, &partitions, error);
  }
  for (int32_t p = 0; status == FRESHET_OK && p < partitions; p++) {
    int64_t first, end;
    status = freshet_reader_range(r->log, topic, p, &first, &end, error);
    if (status == FRESHET_OK) status = freshet_reader_open(r->log, topic, p, end, error);
  }
  return status;
}

static void sleep_until_us(load* l, int64_t target_us) {
  int64_t left_us = target_us - freshet_clock_monotonic_us(l->clock);
  if (left_us <= 0) return;
  struct timespec pause = {left_us / 1000000, left_us % 1000000 * 1000};
  nanosleep(&pause, NULL);
}

/* Open loop: the schedule does not wait for answers, so a stall shows in full. */
static freshet_status send_at_rate(load* l, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  uint64_t events = l->rate * l->seconds;
  int64_t start_us = freshet_clock_monotonic_us(l->clock);
  for (uint64_t i = 0; status == FRESHET_OK && i < events; i++) {
    sleep_until_us(l, start_us + (int64_t)(i * 1000000 / l->rate));
    status = l->asks ? send_request(l, i, error) : send_event(l, i, error);
    freshet_sink_poll(l->sink);
  }
  if (status == FRESHET_OK) status = freshet_sink_settle(l->sink, SETTLE_MS, error);
  return status;
}

static void print_latency(load* l, bool json) {
  const char *got = l->asks ? "replies" : "lists", *of = l->asks ? "requests" : "events";
  const double* sorted = l->samples_ms;
  freshet_sort_values(l->samples_ms, l->sample_count);
  const char* format =
      json ? "{\"%s\": %zu, \"%s\": %llu, \"p50_ms\": %.2f, \"p90_ms\": %.2f, \"p99_ms\": %.2f, "
             "\"max_ms\": %.2f}\n"
           : "%s: %zu counted, %s: %llu; p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms\n";
  printf(format, got, l->sample_count, of, (unsigned long long)(l->rate * l->seconds),
         freshet_quantile(sorted, l->sample_count, .5), freshet_quantile(sorted, l->sample_count, .9),
         freshet_quantile(sorted, l->sample_count, .99), freshet_quantile(sorted, l->sample_count, 1));
}

static freshet_status measure_latency(load* l, bool json, freshet_error* error) {
  reading r = {.load = l, .count_from_ms = freshet_clock_now_ms(l->clock) + (int64_t)l->seconds * 250};
  pthread_t reader;
  l->samples_ms = malloc(SAMPLES_MAX * sizeof *l->samples_ms);
  l->answered = freshet_dedup_create(SAMPLES_MAX, INT64_MAX);
  FRESHET_ASSERT(l->samples_ms != NULL);
  freshet_status status = open_at_end(l, &r, error);
  if (status == FRESHET_OK) {
    FRESHET_ASSERT(pthread_create(&reader, NULL, read_lists, &r) == 0);
    status = send_at_rate(l, error);
    sleep_until_us(l, freshet_clock_monotonic_us(l->clock) + DRAIN_MS * 1000);
    atomic_store(&l->done, true);
    pthread_join(reader, NULL);
    if (status == FRESHET_OK && r.error.status != FRESHET_OK) {
      status = freshet_error_set(error, r.error.status, r.error.verdict, "%s", r.error.message);
    }
  }
  if (status == FRESHET_OK) print_latency(l, json);
  freshet_reader_destroy(r.log);
  freshet_codec_destroy(r.codec);
  return status;
}

/* ---- the command ---- */

static freshet_status open_load(load* l, freshet_error* error) {
  freshet_codec_config codec = {0};
  l->properties = calloc(l->config->kafka.count + 1, sizeof *l->properties);
  FRESHET_ASSERT(l->properties != NULL);
  for (size_t i = 0; i < l->config->kafka.count; i++) {
    l->properties[i] =
        (freshet_kafka_property){l->config->kafka.properties[i].name, l->config->kafka.properties[i].value};
  }
  l->kafka = (freshet_kafka_config){.properties = l->properties,
                                    .property_count = l->config->kafka.count,
                                    .app_id = "freshet-bench",
                                    .partitioner = (freshet_partitioner)l->config->events.partitioner,
                                    .client_id = "freshet-bench"};
  memcpy(l->kafka.topics, l->config->topics.names, sizeof l->kafka.topics);
  if (l->peer != NULL) l->kafka.topics[FRESHET_TOPIC_RECOMMENDATIONS] = l->peer;
  freshet_status status = freshet_codec_create(&codec, &l->codec, error);
  if (status == FRESHET_OK) status = freshet_kafka_sink_create(&l->kafka, NULL, &l->sink, error);
  return status;
}

static int finish(load* l, freshet_status status, const freshet_error* error) {
  freshet_sink_destroy(l->sink);
  freshet_codec_destroy(l->codec);
  freshet_config_destroy(l->config);
  freshet_buffer_free(&l->bytes);
  free(l->properties);
  free(l->samples_ms);
  freshet_dedup_destroy(l->answered);
  free(l);
  return status == FRESHET_OK ? FRESHET_EXIT_OK : freshet_command_failed("bench e2e", error);
}

int freshet_bench_e2e(int argc, char** argv) {
  enum { USERS = 256, ITEMS, EVENTS, RATE, SECONDS, PEER, TEXT, JSON };
  static const struct option longs[] = {{"users", required_argument, NULL, USERS},
                                        {"items", required_argument, NULL, ITEMS},
                                        {"events", required_argument, NULL, EVENTS},
                                        {"rate", required_argument, NULL, RATE},
                                        {"seconds", required_argument, NULL, SECONDS},
                                        {"peer", required_argument, NULL, PEER},
                                        {"context", required_argument, NULL, TEXT},
                                        {"json", no_argument, NULL, JSON},
                                        {NULL, 0, NULL, 0}};
  freshet_options options = {0};
  bool json = false;
  load* l = calloc(1, sizeof *l);
  FRESHET_ASSERT(l != NULL);
  l->clock = freshet_clock_system();
  l->users = 50000, l->items = 10000, l->events = 1000000, l->rate = 2000, l->seconds = 20;
  l->run = (uint64_t)freshet_clock_monotonic_us(l->clock) ^ (uint64_t)freshet_clock_now_ms(l->clock) << 20;
  l->random = l->run;
  int option;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    if (freshet_options_take(&options, option, optarg)) continue;
    if (option == '?') return free(l), FRESHET_EXIT_USAGE;
    if (option == USERS) l->users = strtoull(optarg, NULL, 10);
    if (option == ITEMS) l->items = strtoull(optarg, NULL, 10);
    if (option == EVENTS) l->events = strtoull(optarg, NULL, 10);
    if (option == RATE) l->rate = strtoull(optarg, NULL, 10);
    if (option == SECONDS) l->seconds = strtoull(optarg, NULL, 10);
    if (option == PEER) l->peer = optarg;
    if (option == JSON) json = true;
    if (option == TEXT)
      l->text = strcmp(optarg, "new") == 0 ? TEXT_NEW : strcmp(optarg, "known") == 0 ? TEXT_KNOWN : TEXT_NONE;
  }
  const char* what = optind < argc ? argv[optind] : "";
  if (l->users == 0 || l->items == 0 || l->rate == 0) what = "";
  freshet_error error = {0};
  freshet_status status = freshet_options_load(&options, &l->config, &error);
  if (status == FRESHET_OK) status = open_load(l, &error);
  if (status != FRESHET_OK) return finish(l, status, &error);
  if (strcmp(what, "items") == 0) return finish(l, announce_items(l, &error), &error);
  if (strcmp(what, "backlog") == 0) return finish(l, send_backlog(l, &error), &error);
  if (strcmp(what, "latency") == 0) return finish(l, measure_latency(l, json, &error), &error);
  l->asks = strcmp(what, "requests") == 0;
  if (l->asks) return finish(l, measure_latency(l, json, &error), &error);
  fprintf(stderr, "%s", freshet_bench_e2e_usage);
  finish(l, FRESHET_OK, &error);
  return FRESHET_EXIT_USAGE;
}
