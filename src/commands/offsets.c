/*
 * offsets.c: `freshet offsets`: shows where the consumer group of an application is, and moves it while
 * nobody is in it. It warns when events would be learned twice or left out. It must not touch state.
 */
#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cluster.h"
#include "commands/commands.h"
#include "commands/input/input_time.h"
#include "commands/offsets_log.h"
#include "commands/options.h"
#include "commands/scan.h"
#include "commands/stopped.h"
#include "kafka/group.h"
#include "stream/clock.h"

static const char usage[] =
    "usage: freshet offsets [-c FILE] [TARGET] [--execute] [--learn-again] [-X SECTION.KEY=VALUE]...\n\n"
    "Shows how far the app has read its events, or moves it while it is stopped. Without --execute it only "
    "says\n"
    "what would happen.\n\n"
    "  --to-earliest         to the oldest event that there is\n"
    "  --to-latest           behind the newest one\n"
    "  --to-datetime T       to the first record that is not older than T (ISO 8601, or a number since "
    "1970)\n"
    "  --by-duration D       the same, D before now, as in PT2H or P1DT30M\n"
    "  --shift-by N          N records forward, or back with -N\n"
    "  --accept-new-log      after a topic was deleted and made again, or truncated: read the new log from "
    "its\n"
    "                        beginning, keep what is known\n"
    "  --start-over          after that: forget the state, learn the log as if for the first time\n"
    "  --execute             do it; waits for the session of a process that has just stopped\n"
    "  --learn-again         go back even to events that would be learned a second "
    "time\n" FRESHET_OPTIONS_USAGE
    "\nWhat it means for the state, which stays as it is:\n"
    "- forward: the events between are never learned.\n"
    "- back: events that are in the dedup window (state.dedup_events, state.dedup_window_s) are recognised "
    "by\n"
    "  their id and skipped, so nothing is learned twice, and what could not be used then, as a dead letter "
    "for\n"
    "  want of its schema, gets another chance. Events from before the window would be learned a second "
    "time, on\n"
    "  top of what is known: that wants --learn-again. To learn from some time on as if for the first time, "
    "start\n"
    "  an app of its own (`freshet backfill`, or another app.id and then --to-datetime).\n"
    "- an app that has no state yet starts wherever it is put.\n\n"
    "exit codes: 0 done or shown, 1 refused (the message says why), 2 usage, 5 the app is running,\n"
    "6 the cluster does not answer or a topic is not there\n";

typedef enum target_kind { NONE = 0, EARLIEST, LATEST, DATETIME, SHIFT, NEW_LOG, START_OVER } target_kind;

typedef struct arguments {
  freshet_options common;
  target_kind kind;
  int64_t time_ms; /* DATETIME */
  int64_t shift;
  bool execute, learn_again;
} arguments;

typedef struct plan {
  const arguments* arguments;
  const freshet_config* config;
  const freshet_kafka_config* kafka;
  freshet_kafka_group* group;
  freshet_reader* log;
  int32_t partitions;
  int64_t* targets; /* [partitions] */
  bool has_state;   /* the app has learned something */
} plan;

/* ---- arguments ---- */

static bool refuse(const char* what, const char* value) {
  fprintf(stderr, "freshet offsets: %s '%s'\n", what, value);
  return false;
}

/* ISO 8601: P, then days, then T and hours, minutes, seconds; each at most once, in this order. */
static bool parse_duration(const char* text, int64_t* ms) {
  static const struct {
    char letter;
    bool timely; /* after the T */
    int64_t ms;
  } units[] = {{'W', false, 604800000},
               {'D', false, 86400000},
               {'H', true, 3600000},
               {'M', true, 60000},
               {'S', true, 1000}};
  enum { UNITS = sizeof units / sizeof units[0], NUMBER_MAX = 1000000000 };
  const char* at = text;
  bool timely = false, any = false;
  size_t unit = 0;
  *ms = 0;
  if (*at++ != 'P') return refuse("not a duration like PT2H:", text);
  while (*at != '\0') {
    if (*at == 'T' && !timely) {
      timely = true;
      at++;
    }
    char* end;
    long long number = isdigit((unsigned char)*at) ? strtoll(at, &end, 10) : -1;
    if (number < 0 || number > NUMBER_MAX) return refuse("not a duration like PT2H:", text);
    while (unit < UNITS && (units[unit].letter != *end || units[unit].timely != timely)) unit++;
    if (unit == UNITS) return refuse("not a duration like PT2H:", text);
    *ms += number * units[unit++].ms;
    any = true;
    at = end + 1;
  }
  return any || refuse("not a duration like PT2H:", text);
}

static bool parse_datetime(const char* text, int64_t* time_ms) {
  freshet_time_unit unit = FRESHET_TIME_UNKNOWN;
  freshet_error error = {0};
  return freshet_time_parse(freshet_slice_of(text), &unit, time_ms, &error) == FRESHET_OK ||
         refuse(error.message, text);
}

static bool choose(arguments* a, target_kind kind) {
  if (a->kind != NONE) return refuse("more than one target", "");
  a->kind = kind;
  return true;
}

enum {
  TO_EARLIEST = 256,
  TO_LATEST,
  TO_DATETIME,
  BY_DURATION,
  SHIFT_BY,
  ACCEPT_NEW_LOG,
  FORGET,
  EXECUTE,
  LEARN_AGAIN
};

static bool take_option(arguments* a, int option, const char* value) {
  freshet_clock* clock = freshet_clock_system();
  char* end;
  int64_t ago_ms;
  switch (option) {
    case TO_EARLIEST:
      return choose(a, EARLIEST);
    case TO_LATEST:
      return choose(a, LATEST);
    case TO_DATETIME:
      return choose(a, DATETIME) && parse_datetime(value, &a->time_ms);
    case BY_DURATION:
      if (!choose(a, DATETIME) || !parse_duration(value, &ago_ms)) return false;
      a->time_ms = freshet_clock_now_ms(clock) - ago_ms;
      return true;
    case SHIFT_BY:
      a->shift = strtoll(value, &end, 10);
      return choose(a, SHIFT) &&
             ((end != value && *end == '\0') || refuse("not a number of records:", value));
    case ACCEPT_NEW_LOG:
      return choose(a, NEW_LOG);
    case FORGET:
      return choose(a, START_OVER);
    case EXECUTE:
      return a->execute = true;
    case LEARN_AGAIN:
      return a->learn_again = true;
    default:
      return false;
  }
}

static bool parse(int argc, char** argv, arguments* a) {
  static const struct option longs[] = {{"to-earliest", no_argument, NULL, TO_EARLIEST},
                                        {"to-latest", no_argument, NULL, TO_LATEST},
                                        {"to-datetime", required_argument, NULL, TO_DATETIME},
                                        {"by-duration", required_argument, NULL, BY_DURATION},
                                        {"shift-by", required_argument, NULL, SHIFT_BY},
                                        {"accept-new-log", no_argument, NULL, ACCEPT_NEW_LOG},
                                        {"start-over", no_argument, NULL, FORGET},
                                        {"execute", no_argument, NULL, EXECUTE},
                                        {"learn-again", no_argument, NULL, LEARN_AGAIN},
                                        {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    if (!freshet_options_take(&a->common, option, optarg) && !take_option(a, option, optarg)) return false;
  }
  if (optind < argc) return refuse("what is", argv[optind]);
  if (a->kind == NONE && a->execute) return refuse("--execute wants a target, as", "--to-datetime T");
  return true;
}

/* ---- the plan ---- */

/* Without a committed offset the worker starts at the beginning. */
static int64_t start_of(const freshet_kafka_group_offset* o) {
  return o->committed < 0 ? o->first : o->committed;
}

static freshet_status find_targets(plan* p, freshet_error* error) {
  const arguments* a = p->arguments;
  if (a->kind == DATETIME) {
    return freshet_kafka_group_offsets_at(p->group, a->time_ms, p->targets, error);
  }
  for (int32_t i = 0; i < p->partitions; i++) {
    freshet_kafka_group_offset o = freshet_kafka_group_offset_of(p->group, i);
    int64_t target = start_of(&o);
    if (a->kind == EARLIEST) target = o.first;
    if (a->kind == LATEST) target = o.end;
    if (a->kind == SHIFT) {
      int64_t room = a->shift < 0 ? o.first - target : o.end - target;
      bool is_beyond = a->shift < 0 ? a->shift < room : a->shift > room;
      target += is_beyond ? room : a->shift;
    }
    p->targets[i] = target;
  }
  return FRESHET_OK;
}

static freshet_status find_state(plan* p, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (int32_t i = 0; status == FRESHET_OK && i < p->partitions; i++) {
    int64_t first, end;
    status = freshet_reader_range(p->log, FRESHET_TOPIC_USERS, i, &first, &end, error);
    p->has_state = p->has_state || (status == FRESHET_OK && end > first);
  }
  if (status != FRESHET_NOT_FOUND) return status;
  freshet_error_clear(error); /* an app that has never run */
  return FRESHET_OK;
}

/* Times of records. */
typedef struct time_span {
  int64_t oldest_ms, newest_ms;
} time_span;

static freshet_status widen(void* context, const freshet_record* record, freshet_error* error) {
  (void)error;
  time_span* span = context;
  if (record->timestamp_ms < span->oldest_ms) span->oldest_ms = record->timestamp_ms;
  if (record->timestamp_ms > span->newest_ms) span->newest_ms = record->timestamp_ms;
  return FRESHET_OK;
}

/* Whether all records from `from` to `to` are in the dedup window. It holds the newest ids of the partition;
 * their number and age are bounded by the configuration, by the times of the records. */
static freshet_status is_covered(plan* p, int32_t partition, int64_t from, int64_t to, bool* covered,
                                 freshet_error* error) {
  *covered = to - from <= p->config->state.dedup_events;
  if (!*covered || from >= to) return FRESHET_OK;
  time_span span = {INT64_MAX, INT64_MIN};
  const freshet_scan scan = {.reader = p->log,
                             .topic = FRESHET_TOPIC_EVENTS,
                             .name = p->config->topics.names[FRESHET_TOPIC_EVENTS],
                             .partition = partition,
                             .from = from,
                             .to = to,
                             .take = widen,
                             .context = &span};
  freshet_status status = freshet_scan_partition(&scan, error);
  *covered = span.newest_ms == INT64_MIN ||
             span.newest_ms - span.oldest_ms <= p->config->state.dedup_window_s * 1000;
  return status;
}

/* Prints what the move means, and returns whether it is allowed. */
static freshet_status weigh(plan* p, bool* allowed, freshet_error* error) {
  int64_t skipped = 0, recognised = 0, again = 0;
  bool unknown = false;
  for (int32_t i = 0; i < p->partitions; i++) {
    freshet_kafka_group_offset o = freshet_kafka_group_offset_of(p->group, i);
    int64_t start = start_of(&o), target = p->targets[i];
    bool is_lost = p->has_state && o.committed < 0; /* it was read, but how far is not known */
    unknown = unknown || (is_lost && target < o.end);
    if (target > start && !is_lost) skipped += target - start;
    if (target >= start || is_lost || !p->has_state) continue;
    bool covered;
    freshet_status status = is_covered(p, i, target, start, &covered, error);
    if (status != FRESHET_OK) return status;
    *(covered ? &recognised : &again) += start - target;
  }
  if (!p->has_state)
    printf("the app has no state yet: it starts there, and knows nothing of what was before\n");
  if (skipped > 0) printf("%" PRId64 " records are passed over: their events are never learned\n", skipped);
  if (recognised > 0) {
    printf("%" PRId64 " records are read again; their events are in the dedup window and not learned twice\n",
           recognised);
  }
  if (again > 0) {
    printf("%" PRId64
           " records are read again in partitions where the dedup window does not reach back that far: "
           "their events would be learned a second time (counts, popularity and factors on top of what is "
           "known). "
           "Lists keep their versions.\n",
           again);
  }
  if (unknown) {
    printf(
        "there is state, but no committed offset (it expires when a group is away for long): what was "
        "learned "
        "already would be learned a second time\n");
  }
  *allowed = (again == 0 && !unknown) || p->arguments->learn_again;
  return FRESHET_OK;
}

static void print_table(const plan* p, size_t members) {
  printf("group %s, topic %s: %s\n", p->kafka->app_id, p->kafka->topics[FRESHET_TOPIC_EVENTS],
         members == 0 ? "no members" : "in use");
  printf("%9s %14s %14s %14s", "partition", "first", "end", "committed");
  printf(" %14s %14s\n", p->arguments->kind == NONE ? "lag" : "target",
         p->arguments->kind == NONE ? "" : "change");
  for (int32_t i = 0; i < p->partitions; i++) {
    freshet_kafka_group_offset o = freshet_kafka_group_offset_of(p->group, i);
    char committed[24] = "none";
    if (o.committed >= 0) snprintf(committed, sizeof committed, "%" PRId64, o.committed);
    printf("%9d %14" PRId64 " %14" PRId64 " %14s", (int)i, o.first, o.end, committed);
    if (p->arguments->kind == NONE) {
      printf(" %14" PRId64 "%s\n", o.is_caught_up ? 0 : o.end - start_of(&o),
             o.is_other_log ? "  another log" : "");
    } else {
      printf(" %14" PRId64 " %+14" PRId64 "\n", p->targets[i], p->targets[i] - start_of(&o));
    }
  }
}

static freshet_status move(plan* p, freshet_error* error) {
  size_t members;
  freshet_status status = freshet_kafka_group_members(p->group, &members, error);
  if (status == FRESHET_OK) status = find_targets(p, error);
  if (status != FRESHET_OK) return status;
  print_table(p, members);
  if (p->arguments->kind == NONE) return FRESHET_OK;
  bool allowed;
  status = find_state(p, error);
  if (status == FRESHET_OK) status = weigh(p, &allowed, error);
  if (status != FRESHET_OK) return status;
  if (!p->arguments->execute) {
    printf("dry run: nothing was changed; --execute does it%s\n", allowed ? "" : ", with --learn-again");
    return FRESHET_OK;
  }
  status = freshet_await_stopped(p->kafka, p->kafka->app_id, error);
  if (status != FRESHET_OK) return status;
  if (!allowed) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "events would be learned a second time; --learn-again does it all the same, and "
                             "`freshet backfill` learns them anew beside this app");
  }
  status = freshet_kafka_group_move(p->group, p->targets, error);
  if (status == FRESHET_OK) printf("moved\n");
  return status;
}

static freshet_status plan_move(plan* p, freshet_error* error) {
  freshet_status status = freshet_kafka_group_open(p->kafka, FRESHET_TOPIC_EVENTS, &p->group, error);
  if (status == FRESHET_OK) status = freshet_kafka_reader_create(p->kafka, &p->log, error);
  if (status != FRESHET_OK) return status;
  p->partitions = freshet_kafka_group_partitions(p->group);
  p->targets = calloc((size_t)p->partitions + 1, sizeof *p->targets);
  FRESHET_ASSERT(p->targets != NULL);
  return move(p, error);
}

static int run_with(const arguments* a, const freshet_config* config) {
  size_t count;
  freshet_logger logger = freshet_cluster_logger("offsets");
  freshet_kafka_property* properties = freshet_cluster_properties(config, NULL, 0, &count);
  freshet_kafka_config kafka = {
      .properties = properties, .property_count = count, .app_id = config->app.id, .logger = &logger};
  memcpy(kafka.topics, config->topics.names, sizeof kafka.topics);
  plan p = {.arguments = a, .config = config, .kafka = &kafka};
  freshet_error error = {0};
  freshet_status status = FRESHET_OK;
  if (a->kind == NEW_LOG) {
    status = freshet_offsets_accept_new_log(&kafka, a->execute, &error);
  } else if (a->kind == START_OVER) {
    status = freshet_offsets_start_over(&kafka, a->execute, &error);
  } else {
    status = plan_move(&p, &error);
  }
  freshet_reader_destroy(p.log);
  freshet_kafka_group_close(p.group);
  free(p.targets);
  free(properties);
  return status == FRESHET_OK ? FRESHET_EXIT_OK : freshet_command_failed("offsets", &error);
}
static int run(int argc, char** argv) {
  arguments a = {0};
  freshet_error error = {0};
  freshet_config* config = NULL;
  int code = FRESHET_EXIT_USAGE;
  if (parse(argc, argv, &a)) {
    if (freshet_options_load(&a.common, &config, &error) == FRESHET_OK) {
      code = run_with(&a, config);
    } else {
      freshet_command_failed("offsets", &error);
    }
  }
  freshet_config_destroy(config);
  return code;
}

const freshet_command freshet_command_offsets = {
    .name = "offsets",
    .summary = "show how far the app has read its events, or move it while it is stopped",
    .usage = usage,
    .run = run,
};
