/*
 * topics.c: `freshet topics`: creates the topics of an application, checks that they are as the service needs them, or
 * lists them. Only `grow` changes a topic that exists (topics_grow.c).
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "commands/options.h"
#include "commands/topics_grow.h"
#include "commands/topics_schemas.h"
#include "kafka/kafka.h"
#include "kafka/seal_facts.h"

enum { PARTITIONS_MAX = 10000, REPLICATION_MAX = 32767 };

static const char usage[] =
    "usage: freshet topics create|check|grow|list [-c FILE] [-X SECTION.KEY=VALUE]...\n\n"
    "create  makes the topics that are missing, each with its cleanup policy; what exists is left as it is.\n"
    "        --register: registers our schemas at registry.url, too\n"
    "check   prints every fault of the topics: missing ones, partition counts, cleanup policies, retention,\n"
    "        size limits, replicas; with registry.url also every schema there that cannot be read, and "
    "every\n"
    "        one of ours that is missing or not compatible; exit code 0 only when there is none\n"
    "grow    gives the topics that are partitioned by user --partitions N, and moves users, dedup windows "
    "and\n"
    "        positions to their new partitions, while the app is stopped; also when only the state is "
    "behind.\n"
    "        It only says what would happen without --execute. An interrupted run is simply repeated\n"
    "list    prints one line per topic\n\n" FRESHET_OPTIONS_USAGE
    "  --partitions N        of the topics made (default: topics.partitions); item deltas always have one\n"
    "  --replication N       replicas of the topics made (default: topics.replication)\n"
    "  --register            register our schemas under the names of registry.subjects\n"
    "  --execute             grow: do it; waits for the session of a process that has just stopped\n\n"
    "exit codes: 0 done, 1 refused (the message says why), 2 usage, 5 a topic is made wrong, or\n"
    "the app is running,\n"
    "6 the cluster does not answer or a topic is not there\n";

typedef struct arguments {
  freshet_options common;
  int64_t partitions;  /* 0: not given */
  int64_t replication; /* 0: not given */
  bool registers, execute;
  const char* action;
} arguments;

static bool parse(int argc, char** argv, arguments* parsed) {
  enum { PARTITIONS = 256, REPLICATION, REGISTER, EXECUTE };
  static const struct option longs[] = {{"partitions", required_argument, NULL, PARTITIONS},
                                        {"replication", required_argument, NULL, REPLICATION},
                                        {"register", no_argument, NULL, REGISTER},
                                        {"execute", no_argument, NULL, EXECUTE},
                                        {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    if (freshet_options_take(&parsed->common, option, optarg)) continue;
    if (option == PARTITIONS && freshet_option_number(optarg, 1, PARTITIONS_MAX, &parsed->partitions))
      continue;
    if (option == REGISTER) {
      parsed->registers = true;
      continue;
    }
    if (option == REPLICATION && freshet_option_number(optarg, 1, REPLICATION_MAX, &parsed->replication))
      continue;
    if (option == EXECUTE) {
      parsed->execute = true;
      continue;
    }
    if (option != '?') fprintf(stderr, "freshet topics: '%s' is not a sensible count\n", optarg);
    return false;
  }
  if (optind + 1 != argc) {
    fprintf(stderr, "freshet topics: needs one of create, check, grow, list\n");
    return false;
  }
  parsed->action = argv[optind];
  return true;
}

static int create(const freshet_kafka_config* kafka, int32_t partitions, int32_t replication) {
  freshet_error error = {0};
  bool created[FRESHET_TOPICS];
  freshet_status status = freshet_kafka_topics_create(kafka, partitions, replication, created, &error);
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    if (created[topic]) printf("created %s (%s)\n", kafka->topics[topic], freshet_kafka_topic_policy(topic));
  }
  if (status == FRESHET_OK && freshet_seal_facts_begin(kafka, created, &error) != FRESHET_OK) {
    fprintf(
        stderr,
        "freshet topics: the topics are there, but %s does not say that only this app writes its state: %s. "
        "Until `freshet repair --execute` has written it, records of strangers may count\n",
        kafka->topics[FRESHET_TOPIC_APP_GENERATIONS], error.message);
  }
  return status == FRESHET_OK ? FRESHET_EXIT_OK : freshet_command_failed("topics", &error);
}

static int list(const freshet_kafka_config* kafka) {
  freshet_error error = {0};
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  if (freshet_kafka_topics_list(kafka, info, &error) != FRESHET_OK)
    return freshet_command_failed("topics", &error);
  printf("%-32s %10s %11s  %s\n", "topic", "partitions", "replication", "cleanup");
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    const freshet_kafka_topic_info* t = &info[topic];
    if (t->partitions == 0) {
      printf("%-32s %10s %11s  %s\n", kafka->topics[topic], "-", "-", "missing");
      continue;
    }
    printf("%-32s %10d %11d  %s\n", kafka->topics[topic], (int)t->partitions, (int)t->replication,
           !t->policy_known ? "unknown"
           : t->compacted   ? "compact"
                            : "delete");
  }
  return FRESHET_EXIT_OK;
}

/* A topic that is made wrong outweighs one that is not there. */
static int worst_code(const freshet_kafka_faults* faults) {
  for (size_t i = 0; i < faults->count; i++) {
    freshet_status status = faults->list[i].status;
    if (status != FRESHET_NOT_FOUND && status != FRESHET_UNAVAILABLE) return FRESHET_EXIT_STATE;
  }
  return FRESHET_EXIT_UNAVAILABLE;
}

static int check(const freshet_kafka_config* kafka) {
  freshet_error error = {0};
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_kafka_faults* faults = calloc(1, sizeof *faults);
  FRESHET_ASSERT(faults != NULL);
  freshet_status status = freshet_kafka_topics_faults(kafka, info, faults, &error);
  for (size_t i = 0; i < faults->count; i++) fprintf(stderr, "freshet topics: %s\n", faults->list[i].text);
  int code = status == FRESHET_OK ? FRESHET_EXIT_OK : freshet_command_failed("topics", &error);
  if (status == FRESHET_OK && faults->count == 0) {
    printf("ok: %d partitions by user\n", (int)info[FRESHET_TOPIC_EVENTS].partitions);
  } else if (status == FRESHET_OK) {
    code = worst_code(faults);
  }
  free(faults);
  return code;
}

static int grow(const arguments* parsed, const freshet_config* config) {
  freshet_error error = {0};
  if (parsed->partitions == 0) {
    fprintf(stderr, "freshet topics: grow needs --partitions N, the number that there shall be\n");
    return FRESHET_EXIT_USAGE;
  }
  if (freshet_topics_grow(config, (int32_t)parsed->partitions, parsed->execute, &error) == FRESHET_OK)
    return FRESHET_EXIT_OK;
  return freshet_command_failed("topics grow", &error);
}

static int act(const arguments* parsed, const freshet_config* config) {
  freshet_kafka_property* properties = calloc(config->kafka.count + 1, sizeof *properties);
  FRESHET_ASSERT(properties != NULL);
  freshet_kafka_config kafka = {
      .properties = properties, .property_count = config->kafka.count, .app_id = config->app.id};
  for (size_t i = 0; i < config->kafka.count; i++) {
    properties[i] =
        (freshet_kafka_property){config->kafka.properties[i].name, config->kafka.properties[i].value};
  }
  memcpy(kafka.topics, config->topics.names, sizeof kafka.topics);
  int code = FRESHET_EXIT_USAGE;
  if (strcmp(parsed->action, "create") == 0) {
    int64_t partitions = parsed->partitions > 0 ? parsed->partitions : config->topics.partitions;
    int64_t replication = parsed->replication > 0 ? parsed->replication : config->topics.replication;
    code = create(&kafka, (int32_t)partitions, (int32_t)replication);
    if (code == FRESHET_EXIT_OK && parsed->registers) code = freshet_topics_register(config);
  } else if (strcmp(parsed->action, "check") == 0) {
    code = check(&kafka);
    const int registry =
        config->registry.url[0] == '\0' ? FRESHET_EXIT_OK : freshet_topics_check_schemas(config);
    if (code == FRESHET_EXIT_OK) code = registry;
  } else if (strcmp(parsed->action, "grow") == 0) {
    code = grow(parsed, config);
  } else if (strcmp(parsed->action, "list") == 0) {
    code = list(&kafka);
  } else {
    fprintf(stderr, "freshet topics: no action '%s'; create, check, grow or list\n", parsed->action);
  }
  free(properties);
  return code;
}

static int run(int argc, char** argv) {
  arguments parsed = {0};
  if (!parse(argc, argv, &parsed)) return FRESHET_EXIT_USAGE;
  freshet_error error = {0};
  freshet_config* config = NULL;
  if (freshet_options_load(&parsed.common, &config, &error) != FRESHET_OK) {
    freshet_command_failed("topics", &error);
    return FRESHET_EXIT_USAGE;
  }
  int code = act(&parsed, config);
  freshet_config_destroy(config);
  return code;
}

const freshet_command freshet_command_topics = {
    .name = "topics",
    .summary = "create, check, grow or list the topics that Freshet works with",
    .usage = usage,
    .run = run,
};
