/*
 * erase.c: `freshet erase`: writes the tombstone of a user, waits until the erasure is committed, and tells
 * what is left in which topic. It must not need a running service for the first of these.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands/commands.h"
#include "commands/erase_receipt.h"
#include "commands/options.h"
#include "freshet/event.h"
#include "stream/clock.h"
#include "users/user_id.h"

enum { TIMEOUT_S = 30, TIMEOUT_MAX_S = 86400, TIME_SIZE = 32 };

static const char usage[] =
    "usage: freshet erase --user ID [OPTION...]\n\n"
    "Puts a tombstone for the user on the events topic and waits until the service has come to it: then "
    "state,\n"
    "changelog and lists are erased. The order is durable once it is in the topic, whether a service runs or "
    "not.\n\n"
    "  --user ID             whom to forget\n"
    "  --receipt             tell what was erased, what Kafka still has, and until when; reads the user's\n"
    "                        partitions from their beginnings, which takes a while with a long history\n"
    "  --json                the receipt as one JSON object\n"
    "  --timeout S           wait at most so long for the service (default 30)\n"
    "  --partition P         of the user's events, if their producers do not choose it by "
    "murmur2\n\n" FRESHET_OPTIONS_USAGE
    "\nexit codes: 0 erased, 1 failed, 2 usage, 6 no cluster or topic, or no service has come to it in time "
    "(it\n"
    "will: the tombstone is in the topic)\n";

typedef struct erasure {
  freshet_options options;
  const char* user;
  bool receipt, json;
  int64_t timeout_s;
  int32_t partition; /* -1: by murmur2 */
  int64_t offset;
  bool applied;
  int64_t waited_ms;
  freshet_erase_trace traces[FRESHET_ERASE_TRACES];
  const freshet_config* config;
} erasure;

static bool parse(int argc, char** argv, erasure* e) {
  enum { USER = 256, RECEIPT, JSON, TIMEOUT, PARTITION };
  static const struct option longs[] = {{"user", required_argument, NULL, USER},
                                        {"receipt", no_argument, NULL, RECEIPT},
                                        {"json", no_argument, NULL, JSON},
                                        {"timeout", required_argument, NULL, TIMEOUT},
                                        {"partition", required_argument, NULL, PARTITION},
                                        {NULL, 0, NULL, 0}};
  int option;
  int64_t partition = -1;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    bool is_right = true;
    if (freshet_options_take(&e->options, option, optarg)) continue;
    if (option == '?') return false;
    if (option == USER) e->user = optarg;
    if (option == RECEIPT) e->receipt = true;
    if (option == JSON) e->json = true;
    if (option == TIMEOUT) is_right = freshet_option_number(optarg, 0, TIMEOUT_MAX_S, &e->timeout_s);
    if (option == PARTITION) is_right = freshet_option_number(optarg, 0, INT32_MAX, &partition);
    if (is_right) continue;
    fprintf(stderr, "freshet erase: '%s' is not a sensible number\n", optarg);
    return false;
  }
  e->partition = (int32_t)partition;
  bool is_id = e->user != NULL && freshet_is_user_id(freshet_slice_of(e->user));
  if (is_id && optind == argc) return true;
  fprintf(stderr, "freshet erase: needs --user ID, of 1 to %d bytes, the first no control character\n",
          FRESHET_ID_MAX);
  return false;
}

/* ---- the receipt ---- */

static const char* format_time(int64_t ms, char out[TIME_SIZE]) {
  time_t seconds = (time_t)(ms / 1000);
  struct tm parts;
  strftime(out, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &parts));
  return out;
}

static const char* bound_name(const freshet_erase_trace* trace) {
  return trace->compacted ? "max.compaction.lag.ms" : "retention.ms";
}

static void print_trace(const freshet_erase_trace* trace) {
  char until[TIME_SIZE];
  printf("%-32s ", trace->name);
  if (!trace->exists) {
    printf("no such topic\n");
  } else if (trace->compacted && !trace->erased) {
    printf("NOT erased: the newest record under the id has a value\n");
  } else if (trace->records == 0) {
    printf("%s\n", trace->compacted ? "erased" : "nothing");
  } else {
    printf("%s%zu record%s until ", trace->compacted ? "erased; older bytes: " : "", trace->records,
           trace->records == 1 ? "" : "s");
    if (trace->is_bounded) {
      printf("%s (%s)\n", format_time(trace->until_ms, until), bound_name(trace));
    } else {
      printf("%s\n", trace->policy_known ? "you delete them: the topic's retention has no bound"
                                         : "an unknown time: the cluster does not tell its policy");
    }
  }
}

static void print_text(const erasure* e) {
  printf("user %s, partition %d: tombstone at offset %lld of %s\n", e->user, (int)e->partition,
         (long long)e->offset, e->config->topics.names[FRESHET_TOPIC_EVENTS]);
  if (e->applied)
    printf("applied and committed within %lld ms\n", (long long)e->waited_ms);
  else
    printf("not applied after %lld ms: no service has come to it yet\n", (long long)e->waited_ms);
  if (!e->receipt) return;
  printf("\n");
  for (int i = 0; i < FRESHET_ERASE_TRACES; i++) print_trace(&e->traces[i]);
  if (!e->applied) return;
  printf("%-32s erased with the commit; the row's bytes leave its disk at once after it\n", "state folder");
  printf("%-32s hashes of event ids, no user: gone after %lld s\n", "dedup window",
         (long long)e->config->state.dedup_window_s);
  printf(
      "%-32s row, waiting lists and dead letters: with the commit; vectors of texts are kept without user\n",
      "memory");
}

static void print_json(const erasure* e) {
  char until[TIME_SIZE];
  json_t* topics = json_array();
  for (int i = 0; e->receipt && i < FRESHET_ERASE_TRACES; i++) {
    const freshet_erase_trace* t = &e->traces[i];
    if (!t->exists) continue;
    json_t* entry = json_pack("{s:s, s:s, s:I}", "topic", t->name, "cleanup",
                              !t->policy_known ? "unknown"
                              : t->compacted   ? "compact"
                                               : "delete",
                              "records", (json_int_t)t->records);
    if (t->compacted) json_object_set_new(entry, "erased", json_boolean(t->erased));
    if (t->records > 0 && t->is_bounded) {
      json_object_set_new(entry, "until", json_string(format_time(t->until_ms, until)));
      json_object_set_new(entry, "bound", json_string(bound_name(t)));
    } else if (t->records > 0) {
      json_object_set_new(entry, "until", json_null());
    }
    json_array_append_new(topics, entry);
  }
  json_t* object = json_pack("{s:s, s:i, s:I, s:b, s:I, s:o}", "user", e->user, "partition",
                             (int)e->partition, "offset", (json_int_t)e->offset, "applied", (int)e->applied,
                             "waited_ms", (json_int_t)e->waited_ms, "topics", topics);
  if (object == NULL) { /* an id that is no UTF-8 */
    json_decref(topics);
    printf("{\"error\": \"the id is no UTF-8; ask without --json\"}\n");
    return;
  }
  json_dumpf(object, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
  printf("\n");
  json_decref(object);
}

/* ---- the erasure ---- */

static freshet_status carry_out(erasure* e, const freshet_kafka_config* kafka, freshet_error* error) {
  freshet_slice user = freshet_slice_of(e->user);
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_clock* clock = freshet_clock_system();
  freshet_status status = freshet_kafka_topics_list(kafka, info, error);
  if (status == FRESHET_OK && info[FRESHET_TOPIC_EVENTS].partitions == 0)
    status = freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "topic %s does not exist",
                               kafka->topics[FRESHET_TOPIC_EVENTS]);
  if (status == FRESHET_OK && e->partition >= info[FRESHET_TOPIC_EVENTS].partitions) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "topic %s has %d partitions",
                             kafka->topics[FRESHET_TOPIC_EVENTS], (int)info[FRESHET_TOPIC_EVENTS].partitions);
  }
  if (status == FRESHET_OK) status = freshet_kafka_erase(kafka, user, &e->partition, &e->offset, error);
  int64_t start_us = freshet_clock_monotonic_us(clock);
  if (status == FRESHET_OK)
    status = freshet_kafka_await_committed(kafka, FRESHET_TOPIC_EVENTS, e->partition, e->offset + 1,
                                           (int)(e->timeout_s * 1000), &e->applied, error);
  e->waited_ms = (freshet_clock_monotonic_us(clock) - start_us) / 1000;
  if (status == FRESHET_OK && e->receipt)
    status = freshet_erase_look(kafka, user, e->partition, e->traces, error);
  return status;
}

static int act(erasure* e) {
  const freshet_config* config = e->config;
  freshet_error error = {0};
  freshet_kafka_property* properties = calloc(config->kafka.count + 1, sizeof *properties);
  FRESHET_ASSERT(properties != NULL);
  for (size_t i = 0; i < config->kafka.count; i++) {
    properties[i] =
        (freshet_kafka_property){config->kafka.properties[i].name, config->kafka.properties[i].value};
  }
  freshet_kafka_config kafka = {
      .properties = properties, .property_count = config->kafka.count, .app_id = config->app.id};
  memcpy(kafka.topics, config->topics.names, sizeof kafka.topics);
  freshet_status status = carry_out(e, &kafka, &error);
  int code = FRESHET_EXIT_OK;
  if (status != FRESHET_OK) {
    code = freshet_command_failed("erase", &error);
  } else {
    if (e->json) print_json(e);
    if (!e->json) print_text(e);
    if (!e->applied) code = FRESHET_EXIT_UNAVAILABLE;
  }
  free(properties);
  return code;
}

static int run(int argc, char** argv) {
  erasure e = {.timeout_s = TIMEOUT_S, .partition = -1};
  freshet_error error = {0};
  freshet_config* config = NULL;
  if (!parse(argc, argv, &e)) return FRESHET_EXIT_USAGE;
  if (freshet_options_load(&e.options, &config, &error) != FRESHET_OK) {
    freshet_command_failed("erase", &error);
    return FRESHET_EXIT_USAGE;
  }
  e.config = config;
  int code = act(&e);
  freshet_config_destroy(config);
  return code;
}

const freshet_command freshet_command_erase = {
    .name = "erase",
    .summary = "forget a user, and tell what is left where",
    .usage = usage,
    .run = run,
};
