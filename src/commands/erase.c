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

#include "app/cluster.h"
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
    "  --receipt             tell what was erased, what Kafka still has, in which partitions, and until "
    "when;\n"
    "                        reads every partition from its beginning, which takes a while with a long "
    "history\n"
    "  --json                the receipt as one JSON object\n"
    "  --timeout S           wait at most so long for the service (default 30)\n"
    "  --partition P         put the tombstone there (default: the user's partition by events.partitioner;\n"
    "                        with any: all of them)\n\n" FRESHET_OPTIONS_USAGE
    "\nexit codes: 0 erased, 1 failed, or the receipt found the user alive in another partition, 2 usage, 6 "
    "no cluster or topic, or no service has come to it in time "
    "(it\n"
    "will: the tombstone is in the topic)\n";

/* Where one was put. */
typedef struct tombstone {
  int32_t partition;
  int64_t offset;
} tombstone;

typedef struct erasure {
  freshet_options options;
  const char* user;
  bool receipt, json;
  int64_t timeout_s;
  int32_t partition; /* -1: by events.partitioner */
  tombstone* tombstones;
  size_t tombstone_count;
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

static void print_places(const freshet_erase_places* places) {
  size_t shown = places->count < FRESHET_ERASE_PARTITIONS_MAX ? places->count : FRESHET_ERASE_PARTITIONS_MAX;
  printf(" in partition%s", places->count == 1 ? "" : "s");
  for (size_t i = 0; i < shown; i++) printf("%s %d", i == 0 ? "" : ",", (int)places->partitions[i]);
  if (shown < places->count) printf(" and %zu more", places->count - shown);
}

static void print_trace(const freshet_erase_trace* trace) {
  char until[TIME_SIZE];
  printf("%-32s ", trace->name);
  if (!trace->exists) {
    printf("no such topic\n");
  } else if (trace->compacted && !trace->erased) {
    printf("NOT erased: the newest record under the id has a value");
    print_places(&trace->alive);
    printf("\n");
  } else if (trace->records == 0) {
    printf("%s\n", trace->compacted ? "erased" : "nothing");
  } else {
    printf("%s%zu record%s", trace->compacted ? "erased; older bytes: " : "", trace->records,
           trace->records == 1 ? "" : "s");
    print_places(&trace->found);
    printf(" until ");
    if (trace->is_bounded) {
      printf("%s (%s)\n", format_time(trace->until_ms, until), bound_name(trace));
    } else {
      printf("%s\n", trace->policy_known ? "you delete them: the topic's retention has no bound"
                                         : "an unknown time: the cluster does not tell its policy");
    }
  }
}

/* Is state or a list left that no tombstone covers? */
static bool is_alive(const erasure* e) {
  for (int i = 0; e->receipt && i < FRESHET_ERASE_TRACES; i++) {
    if (e->traces[i].exists && e->traces[i].compacted && !e->traces[i].erased) return true;
  }
  return false;
}

static void print_text(const erasure* e) {
  for (size_t i = 0; i < e->tombstone_count; i++)
    printf("user %s, partition %d: tombstone at offset %lld of %s\n", e->user,
           (int)e->tombstones[i].partition, (long long)e->tombstones[i].offset,
           e->config->topics.names[FRESHET_TOPIC_EVENTS]);
  if (e->applied)
    printf("applied and committed within %lld ms\n", (long long)e->waited_ms);
  else
    printf("not applied after %lld ms: no service has come to it yet\n", (long long)e->waited_ms);
  if (!e->receipt) return;
  printf("\n");
  for (int i = 0; i < FRESHET_ERASE_TRACES; i++) print_trace(&e->traces[i]);
  if (!e->applied) return;
  if (is_alive(e)) {
    printf(
        "\nThe user is alive in another partition than that of the tombstone: run it again with --partition "
        "P "
        "for each.\n");
    return;
  }
  printf("%-32s erased with the commit; the row's bytes leave its disk at once after it\n", "state folder");
  printf("%-32s hashes of event ids, no user: gone after %lld s\n", "dedup window",
         (long long)e->config->state.dedup_window_s);
  printf(
      "%-32s row, waiting lists and dead letters: with the commit; vectors of texts are kept without user\n",
      "memory");
}

static json_t* json_places(const freshet_erase_places* places) {
  json_t* array = json_array();
  for (size_t i = 0; i < places->count && i < FRESHET_ERASE_PARTITIONS_MAX; i++)
    json_array_append_new(array, json_integer(places->partitions[i]));
  return array;
}

static json_t* json_tombstones(const erasure* e) {
  json_t* array = json_array();
  for (size_t i = 0; i < e->tombstone_count; i++)
    json_array_append_new(array, json_pack("{s:i, s:I}", "partition", (int)e->tombstones[i].partition,
                                           "offset", (json_int_t)e->tombstones[i].offset));
  return array;
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
    json_object_set_new(entry, "partitions", json_places(&t->found));
    if (t->compacted) json_object_set_new(entry, "erased", json_boolean(t->erased));
    if (t->compacted && !t->erased) json_object_set_new(entry, "alive_in", json_places(&t->alive));
    if (t->records > 0 && t->is_bounded) {
      json_object_set_new(entry, "until", json_string(format_time(t->until_ms, until)));
      json_object_set_new(entry, "bound", json_string(bound_name(t)));
    } else if (t->records > 0) {
      json_object_set_new(entry, "until", json_null());
    }
    json_array_append_new(topics, entry);
  }
  json_t* object = json_pack("{s:s, s:i, s:I, s:o, s:b, s:I, s:o}", "user", e->user, "partition",
                             (int)e->tombstones[0].partition, "offset", (json_int_t)e->tombstones[0].offset,
                             "tombstones", json_tombstones(e), "applied", (int)e->applied, "waited_ms",
                             (json_int_t)e->waited_ms, "topics", topics);
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

/* Without a rule of the producers the user may be anywhere, so a tombstone goes everywhere. */
static freshet_status put_tombstones(erasure* e, const freshet_kafka_config* kafka, int32_t partitions,
                                     freshet_error* error) {
  bool everywhere = e->partition < 0 && kafka->partitioner == FRESHET_PARTITIONER_ANY;
  size_t count = everywhere ? (size_t)partitions : 1;
  freshet_status status = FRESHET_OK;
  e->tombstones = calloc(count, sizeof *e->tombstones);
  FRESHET_ASSERT(e->tombstones != NULL);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    tombstone* t = &e->tombstones[i];
    t->partition = everywhere ? (int32_t)i : e->partition;
    status = freshet_kafka_erase(kafka, freshet_slice_of(e->user), &t->partition, &t->offset, error);
    e->tombstone_count++;
  }
  return status;
}

static freshet_status await_tombstones(erasure* e, const freshet_kafka_config* kafka, freshet_error* error) {
  freshet_clock* clock = freshet_clock_system();
  int64_t start_us = freshet_clock_monotonic_us(clock), timeout_ms = e->timeout_s * 1000;
  freshet_status status = FRESHET_OK;
  e->applied = true;
  for (size_t i = 0; status == FRESHET_OK && e->applied && i < e->tombstone_count; i++) {
    int64_t left_ms = timeout_ms - e->waited_ms;
    status = freshet_kafka_await_committed(kafka, FRESHET_TOPIC_EVENTS, e->tombstones[i].partition,
                                           e->tombstones[i].offset + 1, left_ms > 0 ? (int)left_ms : 0,
                                           &e->applied, error);
    e->waited_ms = (freshet_clock_monotonic_us(clock) - start_us) / 1000;
  }
  return status;
}

static freshet_status carry_out(erasure* e, const freshet_kafka_config* kafka, freshet_error* error) {
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_status status = freshet_kafka_topics_list(kafka, info, error);
  int32_t partitions = status == FRESHET_OK ? info[FRESHET_TOPIC_EVENTS].partitions : 0;
  if (status == FRESHET_OK && partitions == 0)
    status = freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "topic %s does not exist",
                               kafka->topics[FRESHET_TOPIC_EVENTS]);
  if (status == FRESHET_OK && e->partition >= partitions) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "topic %s has %d partitions",
                             kafka->topics[FRESHET_TOPIC_EVENTS], (int)partitions);
  }
  if (status == FRESHET_OK) status = put_tombstones(e, kafka, partitions, error);
  if (status == FRESHET_OK) status = await_tombstones(e, kafka, error);
  if (status == FRESHET_OK && e->receipt)
    status = freshet_erase_look(kafka, freshet_slice_of(e->user), e->traces, error);
  return status;
}

static int act(erasure* e) {
  const freshet_config* config = e->config;
  freshet_error error = {0};
  size_t count;
  freshet_kafka_property* properties = freshet_cluster_properties(config, NULL, 0, &count);
  freshet_kafka_config kafka = {.properties = properties,
                                .property_count = count,
                                .app_id = config->app.id,
                                .partitioner = (freshet_partitioner)config->events.partitioner};
  memcpy(kafka.topics, config->topics.names, sizeof kafka.topics);
  freshet_status status = carry_out(e, &kafka, &error);
  int code = FRESHET_EXIT_OK;
  if (status != FRESHET_OK) {
    code = freshet_command_failed("erase", &error);
  } else {
    if (e->json) print_json(e);
    if (!e->json) print_text(e);
    if (is_alive(e)) code = FRESHET_EXIT_FAILED;
    if (!e->applied) code = FRESHET_EXIT_UNAVAILABLE;
  }
  free(e->tombstones);
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
