/*
 * backfill.c: `freshet backfill`: a new generation of an app learns the log beside the one that serves.
 *
 * It reads the command line and calls the file of each action. The generation takes the other one's place when
 * it has caught up (stream/serving.h). It must not know how a generation learns.
 */
#include "commands/backfill/backfill.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "commands/commands.h"
#include "commands/options.h"
#include "commands/stopped.h"
#include "kafka/app_generations.h"
#include "kafka/seal_facts.h"

enum { SAMPLE_USERS = 20000, WAIT_S = 60, SECONDS_MAX = 86400, GUESS_PER_S = 20000 };

static const char usage[] =
    "usage: freshet backfill plan|start GENERATION -c FILE\n"
    "       freshet backfill status [-c FILE] [--interval S]\n"
    "       freshet backfill diff|promote|drop GENERATION -c FILE\n"
    "       freshet backfill rollback -c FILE\n\n"
    "A new generation of the app learns all of `events` from the beginning, beside the one that serves, with "
    "a\n"
    "group, state and topics of its own (APP.GENERATION), and takes over without a pause. The first "
    "generation is\n"
    "called by the app's id.\n\n"
    "plan      what start would make and read; changes nothing\n"
    "start     makes the topics and runs the generation until SIGTERM; start it again to go on\n"
    "status    who serves; of each generation how far it is, how fast, and the time left\n"
    "diff      reads the states of it and of the one that serves, and lets both make lists now, for the "
    "same\n"
    "          users: overlap, and recall of each user's newest event as if it had not come\n"
    "promote   makes it serve, once it has caught up, and waits until it does; after an interruption again\n"
    "rollback  makes the one serve that served before\n"
    "drop      deletes its state topics, lists, dead letters and group; with --yes, else it only "
    "tells\n\n" FRESHET_OPTIONS_USAGE
    "  --interval S          status: for how long it measures (default 2)\n"
    "  --sample N            diff: about that many users (default 20000)\n"
    "  --served FILE         diff: the configuration of the generation that serves, if it is another\n"
    "  --wait S              promote, rollback: at most, for the change to be carried out (default 60)\n"
    "  --without-live        promote, rollback: though nobody of the generation that serves is alive; who "
    "is, is\n"
    "                        fenced, and ends with code 4\n"
    "  --yes                 drop: do it\n\n"
    "exit codes: 0 done, 1 refused (not caught up, serves already, ...), 2 usage, 5 still in use,\n"
    "6 no such generation, nobody of it runs, or the cluster does not answer\n";

typedef struct arguments {
  freshet_options common;
  const char* action;
  const char* name; /* NULL: none given */
  char* generation; /* "app.generation=NAME" */
  int64_t interval_s, sample, wait_s;
  const char* served_file; /* NULL: the same as of the other */
  bool without_live, yes;
} arguments;

static bool takes_name(const char* action) {
  static const char* const actions[] = {"plan", "start", "diff", "promote", "drop"};
  for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
    if (strcmp(actions[i], action) == 0) return true;
  }
  return false;
}

static bool parse(int argc, char** argv, arguments* parsed) {
  enum { INTERVAL = 256, SAMPLE, WAIT, WITHOUT_LIVE, YES, SERVED };
  static const struct option longs[] = {{"interval", required_argument, NULL, INTERVAL},
                                        {"sample", required_argument, NULL, SAMPLE},
                                        {"wait", required_argument, NULL, WAIT},
                                        {"without-live", no_argument, NULL, WITHOUT_LIVE},
                                        {"yes", no_argument, NULL, YES},
                                        {"served", required_argument, NULL, SERVED},
                                        {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    if (freshet_options_take(&parsed->common, option, optarg)) continue;
    if (option == INTERVAL && freshet_option_number(optarg, 1, SECONDS_MAX, &parsed->interval_s)) continue;
    if (option == SAMPLE && freshet_option_number(optarg, 1, INT32_MAX, &parsed->sample)) continue;
    if (option == WAIT && freshet_option_number(optarg, 1, SECONDS_MAX, &parsed->wait_s)) continue;
    if (option == WITHOUT_LIVE || option == YES) {
      *(option == YES ? &parsed->yes : &parsed->without_live) = true;
      continue;
    }
    if (option == SERVED) {
      parsed->served_file = optarg;
      continue;
    }
    if (option != '?') fprintf(stderr, "freshet backfill: '%s' is not a sensible number\n", optarg);
    return false;
  }
  parsed->action = optind < argc ? argv[optind++] : "";
  parsed->name = optind < argc ? argv[optind++] : NULL;
  bool is_known = takes_name(parsed->action) || strcmp(parsed->action, "status") == 0 ||
                  strcmp(parsed->action, "rollback") == 0;
  if (is_known && optind == argc && takes_name(parsed->action) == (parsed->name != NULL)) return true;
  fprintf(stderr,
          is_known ? "freshet backfill: plan, start, diff, promote and drop need one generation, status "
                     "and rollback none\n"
                   : "freshet backfill: needs one of plan, start, status, diff, promote, rollback, drop\n");
  return false;
}

/* The configuration of the generation: "g2" and "shop.g2" are the same, "shop" is the first. */
static freshet_status load(arguments* parsed, freshet_config** config, freshet_error* error) {
  freshet_status status = freshet_options_load(&parsed->common, config, error);
  if (status != FRESHET_OK || parsed->name == NULL) return status;
  const char* base = (*config)->app.base;
  size_t size = strlen(base);
  const char* generation = parsed->name;
  if (strcmp(generation, base) == 0) generation = "";
  if (strncmp(generation, base, size) == 0 && generation[size] == '.') generation += size + 1;
  FRESHET_ASSERT(asprintf(&parsed->generation, "app.generation=%s", generation) >= 0);
  freshet_config_destroy(*config);
  *config = NULL;
  freshet_options_take(&parsed->common, 'X', parsed->generation);
  return freshet_options_load(&parsed->common, config, error);
}

/* ---- plan and start ---- */

static freshet_status check_later(const freshet_config* config, freshet_error* error) {
  if (config->app.generation[0] != '\0') return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "%s is the first generation: `freshet run` starts it; name a new one",
                           config->app.id);
}

static freshet_status plan(freshet_backfill* backfill, freshet_error* error) {
  const freshet_config* config = backfill->config;
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_status status = check_later(config, error);
  if (status == FRESHET_OK) status = freshet_kafka_topics_list(&backfill->kafka, info, error);
  freshet_backfill_place place;
  if (status == FRESHET_OK) status = freshet_backfill_find(backfill, config->app.id, &place, error);
  if (status != FRESHET_OK) return status;
  printf("generation    %s%s\n", config->app.id,
         freshet_backfill_knows(backfill, config->app.id) ? " (started before: goes on)" : "");
  printf("serves now    %s\n", freshet_serving_generation(&backfill->facts));
  printf("state folder  %s\n", config->state.folder);
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    if (info[topic].partitions == 0) printf("makes topic   %s\n", backfill->kafka.topics[topic]);
  }
  int64_t rate = config->backfill.rate > 0 ? config->backfill.rate : GUESS_PER_S;
  printf("reads         %lld of %lld events of %s in %d partitions\n", (long long)place.behind,
         (long long)place.total, config->topics.names[FRESHET_TOPIC_EVENTS], (int)backfill->partitions);
  printf("takes         about %lld s at %lld events/s (%s)\n", (long long)(place.behind / rate),
         (long long)rate, config->backfill.rate > 0 ? "backfill.rate" : "a guess; `status` measures");
  for (int32_t p = 0; status == FRESHET_OK && p < backfill->partitions; p++) {
    int64_t first, end;
    status = freshet_reader_range(backfill->log, FRESHET_TOPIC_EVENTS, p, &first, &end, error);
    if (status == FRESHET_OK && first > 0)
      printf("missing       events before offset %lld of partition %d have expired\n", (long long)first,
             (int)p);
  }
  return status;
}

static freshet_status prepare(freshet_backfill* backfill, freshet_error* error) {
  bool created[FRESHET_TOPICS];
  freshet_status status = check_later(backfill->config, error);
  if (status != FRESHET_OK) return status;
  status = freshet_kafka_topics_create(&backfill->kafka, backfill->partitions,
                                       (int32_t)backfill->config->topics.replication, created, error);
  if (status == FRESHET_OK) status = freshet_seal_facts_begin(&backfill->kafka, created, error);
  freshet_app_generation_fact fact = {.generation = freshet_slice_of(backfill->config->app.id)};
  if (status == FRESHET_OK && !freshet_backfill_knows(backfill, backfill->config->app.id))
    status = freshet_backfill_write(backfill, FRESHET_SERVING_KNOWN, &fact, 1, false, error);
  return status;
}

/* From here on it works as `freshet run`, with the same settings. */
static int run_service(const arguments* parsed) {
  char* argv[2 * FRESHET_OVERRIDES_MAX + 4];
  int argc = 0;
  argv[argc++] = "run";
  if (parsed->common.file != NULL) {
    argv[argc++] = "-c";
    argv[argc++] = (char*)parsed->common.file;
  }
  for (size_t i = 0; i < parsed->common.override_count; i++) {
    argv[argc++] = "-X";
    argv[argc++] = (char*)parsed->common.overrides[i];
  }
  argv[argc] = NULL;
  optind = 1;
  return freshet_command_run.run(argc, argv);
}

/* ---- status ---- */

static void print_left(double seconds) {
  if (seconds < 120) {
    printf("%8.0f s", seconds);
  } else if (seconds < 7200) {
    printf("%6.0f min", seconds / 60);
  } else {
    printf("%8.1f h", seconds / 3600);
  }
}

static void print_place(const freshet_backfill* backfill, const char* name,
                        const freshet_backfill_place* before, const freshet_backfill_place* now,
                        int64_t interval_s) {
  double learns = (double)(now->learned - before->learned) / (double)interval_s;
  double gains = (double)(before->behind - now->behind) / (double)interval_s;
  double share = now->total == 0 ? 1 : (double)now->learned / (double)now->total;
  bool serves = strcmp(name, freshet_serving_generation(&backfill->facts)) == 0;
  printf("%-24s %-7s %7zu %7.2f %% %10lld %9.0f ", name, serves ? "serves" : "-", now->members, 100 * share,
         (long long)now->behind, learns);
  /* A lag of what comes in during a little more than a commit interval is not counted as being behind. */
  if (now->behind == 0 || now->learned >= before->total) {
    printf("%10s\n", "caught up");
  } else if (gains > 0) {
    print_left((double)now->behind / gains);
    printf("\n");
  } else {
    printf("%10s\n", now->members == 0 ? "stopped" : "no end");
  }
}

static freshet_status print_status(freshet_backfill* backfill, int64_t interval_s, freshet_error* error) {
  size_t count = backfill->facts.known_count + 1;
  freshet_backfill_place* before = calloc(count, sizeof *before);
  FRESHET_ASSERT(before != NULL);
  const freshet_serving* facts = &backfill->facts;
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < count; i++)
    status = freshet_backfill_find(backfill, i == 0 ? facts->base : facts->known[i - 1], &before[i], error);
  if (status == FRESHET_OK) nanosleep(&(struct timespec){.tv_sec = interval_s}, NULL);
  if (status == FRESHET_OK)
    printf("%-24s %-7s %7s %9s %10s %9s %10s\n", "generation", "role", "members", "learned", "behind",
           "events/s", "time left");
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    freshet_backfill_place now;
    const char* name = i == 0 ? facts->base : facts->known[i - 1];
    status = freshet_backfill_find(backfill, name, &now, error);
    if (status == FRESHET_OK) print_place(backfill, name, &before[i], &now, interval_s);
  }
  int32_t taken = 0;
  for (int32_t p = 0; p < backfill->partitions; p++)
    taken += freshet_serving_of(facts, p).taken == facts->number;
  if (status == FRESHET_OK)
    printf("switches so far: %lld%s\n", (long long)facts->number,
           taken == backfill->partitions ? "" : "; the last one is not carried out yet");
  free(before);
  return status;
}

/* ---- drop ---- */

static freshet_status drop(freshet_backfill* backfill, bool yes, freshet_error* error) {
  freshet_topic own[FRESHET_TOPICS];
  size_t count = 0;
  const freshet_config* config = backfill->config;
  const char* name = config->app.id;
  if (!freshet_backfill_knows(backfill, name))
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "there is no generation %s of %s", name,
                             config->app.base);
  if (strcmp(freshet_serving_generation(&backfill->facts), name) == 0)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "generation %s serves: it cannot be dropped", name);
  freshet_status status = yes ? freshet_await_stopped(&backfill->kafka, name, error) : FRESHET_OK;
  if (status != FRESHET_OK) return status;
  static const freshet_topic state[] = {FRESHET_TOPIC_USERS, FRESHET_TOPIC_ITEM_STATES,
                                        FRESHET_TOPIC_ITEM_DELTAS, FRESHET_TOPIC_SHADOW};
  for (size_t i = 0; i < sizeof state / sizeof state[0]; i++) own[count++] = state[i];
  if (config->app.generation[0] != '\0') own[count++] = FRESHET_TOPIC_DEAD_LETTERS;
  for (size_t i = 0; i < count; i++)
    printf("%s topic %s\n", yes ? "drops" : "would drop", backfill->kafka.topics[own[i]]);
  printf("%s group %s; its state folder, %s, is yours to delete\n", yes ? "drops" : "would drop", name,
         config->state.folder);
  if (!yes) return FRESHET_OK;
  status = freshet_kafka_generation_drop(&backfill->kafka, own, count, error);
  freshet_app_generation_fact fact = {.generation = freshet_slice_of(name)};
  if (status == FRESHET_OK)
    status = freshet_backfill_write(backfill, FRESHET_SERVING_KNOWN, &fact, 1, true, error);
  return status;
}

static freshet_status roll_back(freshet_backfill* backfill, const arguments* parsed, freshet_error* error) {
  if (backfill->facts.number == 0)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s has served from the beginning: there is nothing to go back to",
                             backfill->facts.base);
  char previous[FRESHET_APP_GENERATION_NAME_SIZE];
  snprintf(previous, sizeof previous, "%s", backfill->facts.previous);
  return freshet_backfill_promote(backfill, previous, (int)parsed->wait_s, parsed->without_live, error);
}

/* With the settings of the generation that serves: those of the other, or of a file of its own. */
static freshet_status compare(freshet_backfill* backfill, const arguments* parsed, freshet_error* error) {
  const char* served = freshet_serving_generation(&backfill->facts);
  const char* base = backfill->config->app.base;
  const char* generation = strcmp(served, base) == 0 ? "" : served + strlen(base) + 1;
  freshet_options options = parsed->common;
  freshet_config* config = NULL;
  char* setting = NULL;
  FRESHET_ASSERT(asprintf(&setting, "app.generation=%s", generation) >= 0);
  freshet_options_take(&options, 'X', setting);
  if (parsed->served_file != NULL) freshet_options_take(&options, 'c', parsed->served_file);
  freshet_status status = freshet_options_load(&options, &config, error);
  if (status == FRESHET_OK) status = freshet_backfill_diff(backfill, config, (size_t)parsed->sample, error);
  freshet_config_destroy(config);
  free(setting);
  return status;
}

static freshet_status act(freshet_backfill* backfill, const arguments* parsed, freshet_error* error) {
  const char* action = parsed->action;
  if (strcmp(action, "plan") == 0) return plan(backfill, error);
  if (strcmp(action, "start") == 0) return prepare(backfill, error);
  if (strcmp(action, "status") == 0) return print_status(backfill, parsed->interval_s, error);
  if (strcmp(action, "diff") == 0) return compare(backfill, parsed, error);
  if (strcmp(action, "drop") == 0) return drop(backfill, parsed->yes, error);
  if (strcmp(action, "rollback") == 0) return roll_back(backfill, parsed, error);
  return freshet_backfill_promote(backfill, backfill->config->app.id, (int)parsed->wait_s,
                                  parsed->without_live, error);
}

static int run(int argc, char** argv) {
  arguments parsed = {.interval_s = 2, .sample = SAMPLE_USERS, .wait_s = WAIT_S};
  if (!parse(argc, argv, &parsed)) return FRESHET_EXIT_USAGE;
  freshet_error error = {0};
  freshet_config* config = NULL;
  freshet_backfill* backfill = NULL;
  int code = FRESHET_EXIT_USAGE;
  if (load(&parsed, &config, &error) != FRESHET_OK) {
    freshet_command_failed("backfill", &error);
    goto done;
  }
  freshet_status status = freshet_backfill_open(config, &backfill, &error);
  if (status == FRESHET_OK) status = act(backfill, &parsed, &error);
  freshet_backfill_close(backfill);
  code = status == FRESHET_OK ? FRESHET_EXIT_OK : freshet_command_failed("backfill", &error);
  if (status == FRESHET_OK && strcmp(parsed.action, "start") == 0) code = run_service(&parsed);
done:
  freshet_config_destroy(config);
  free(parsed.generation);
  return code;
}

const freshet_command freshet_command_backfill = {
    .name = "backfill",
    .summary = "a new generation learns the whole log beside the live one, and takes over",
    .usage = usage,
    .run = run,
    .has_model = true,
};
