/*
 * replay_arguments.c: the command line of `freshet replay`, for replay_arguments.h.
 */
#include "commands/replay/replay_arguments.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands/commands.h"
#include "commands/input/input_stages.h"
#include "commands/input/input_types.h"

enum { ALL_TYPES = (1 << FRESHET_EVENT_TYPES) - 1 };

const char freshet_replay_usage[] =
    "usage: freshet replay -c FILE [OPTION]... [--items FILE]... [--events FILE]... [--from FILE...]\n"
    "       freshet replay --formats\n\n"
    "Publishes history to the topics of events and items. Files are CSV (the first row names the columns), "
    "JSON\n"
    "Lines, a JSON array or Avro container files, plain or gzip, zstd, bzip2, xz, zip; - is standard input;\n"
    "kafka://TOPIC is what a topic holds. A row with a user_id is an event, any other an item. Fields: "
    "event_id\n"
    "type user_id item_id value occurred_at dwell_s quantity price; item_id title text categories available\n"
    "expires_at created_at attributes (NAME=VALUE, separated by |; an object in JSON) vector.\n"
    "Times are ISO 8601 or numbers since 1970, in s, ms, us or ns as the first one tells. Events without an "
    "id get\n"
    "one that is the same in every replay, so that what is replayed twice is learned once. Files of --items "
    "go\n"
    "first. Look first with --dry-run.\n\n"
    "  --from FILE...        files or topics of either kind\n"
    "  --events FILE         a file or topic that must hold events; may be repeated\n"
    "  --items FILE          a file or topic that must hold items; may be repeated\n" FRESHET_INPUT_USAGE
    "  --formats             print the table of known data sets\n"
    "  --since T, --until T  of topics: records whose time is not before T, is before T\n"
    "  --source KEY=VALUE    topics are read from another cluster: a setting of its client\n"
    "                        (bootstrap.servers, ...); may be repeated; nothing of [kafka] is used there\n"
    "  --dry-run             publish nothing; check every row and count\n"
    "  --accept-loss         publish though the events topic is compacted, or deletes events that old\n"
    "  --json                print the summary as one JSON object\n"
    "  --rate N              at most N records a second\n"
    "  --speedup N           N times as fast as the events happened, as in 60x\n"
    "  --sort-window N       sort events by time among N rows at a time; a row takes about 600 bytes of "
    "memory\n"
    "  --limit N             stop after N events\n"
    "  --user ID             only events of this user\n"
    "  --type TYPE,...       only events of these types: click, rating, purchase, feedback\n"
    "  --errors FILE         write rejected rows there, as CSV that can be corrected and replayed\n"
    "  --resume FILE         keep the place in FILE, and go on from there when it exists; what a crash had "
    "sent\n"
    "                        is found in the topic and not sent again\n" FRESHET_OPTIONS_USAGE
    "\nexit codes: 0 all published, 1 failed or interrupted, 2 usage, 3 done but rows were rejected,\n"
    "5 the place or the rejected rows cannot be written, or the events topic would lose events, 6 the "
    "cluster or a topic is not there\n";

static bool refuse(const char* what, const char* value) {
  fprintf(stderr, "freshet replay: %s '%s'\n", what, value);
  return false;
}

/* A positive number, followed by one of the given endings or nothing. */
static bool parse_positive(const char* text, const char* ending, double* value) {
  char* end;
  *value = strtod(text, &end);
  bool ended = *end == '\0' || strcmp(end, ending) == 0;
  return (end != text && ended && isfinite(*value) && *value > 0) || refuse("not a positive number:", text);
}

static bool parse_count(const char* text, uint64_t most, uint64_t* count) {
  char* end;
  *count = strtoull(text, &end, 10);
  return (end != text && *end == '\0' && text[0] != '-' && *count <= most) ||
         refuse("not a sensible number:", text);
}

static bool parse_types(const char* text, unsigned* types) {
  *types = 0;
  while (*text != '\0') {
    freshet_event_type type;
    freshet_slice word = {text, strcspn(text, ",")};
    if (!freshet_type_of(word, &type)) return refuse("not a list of types:", text);
    *types |= 1u << type;
    text += word.size + (text[word.size] == ',');
  }
  return *types != 0 || refuse("an empty list of types", "");
}

static bool parse_time(const char* text, int64_t* time_ms) {
  freshet_time_unit unit = FRESHET_TIME_UNKNOWN;
  freshet_error error = {0};
  return freshet_time_parse(freshet_slice_of(text), &unit, time_ms, &error) == FRESHET_OK ||
         refuse(error.message, text);
}

static bool add_source(freshet_replay_arguments* a, char* text) {
  char* equals = strchr(text, '=');
  if (equals == NULL || equals == text) return refuse("--source wants KEY=VALUE, not", text);
  *equals = '\0';
  a->source = realloc(a->source, (a->source_count + 1) * sizeof *a->source);
  FRESHET_ASSERT(a->source != NULL);
  a->source[a->source_count++] = (freshet_kafka_property){text, equals + 1};
  return true;
}

enum {
  EVENTS = 256,
  ITEMS,
  FROM,
  SINCE,
  UNTIL,
  SOURCE,
  DRY_RUN,
  ACCEPT_LOSS,
  RATE,
  SPEEDUP,
  LIMIT,
  SORT_WINDOW,
  USER,
  TYPE,
  ERRORS,
  RESUME,
  JSON,
  FORMATS
};

static bool add_input(freshet_replay_arguments* a, const char* path, freshet_input_expect expect) {
  freshet_input_arguments_add(&a->inputs, path, expect);
  return true;
}

/* Which records, and how they are read. */
static bool take_input_option(freshet_replay_arguments* a, int option, char* value) {
  freshet_error error = {0};
  switch (option) {
    case EVENTS:
      return add_input(a, value, FRESHET_INPUT_EVENTS);
    case ITEMS:
      return add_input(a, value, FRESHET_INPUT_ITEMS);
    case FROM:
      return add_input(a, value, FRESHET_INPUT_ANY);
    case SINCE:
      return parse_time(value, &a->since_ms);
    case UNTIL:
      return parse_time(value, &a->until_ms);
    case SOURCE:
      return add_source(a, value);
    default:
      break;
  }
  if (option < FRESHET_INPUT_OPTION_FIRST || option >= FRESHET_INPUT_OPTION_END) return false;
  if (freshet_input_arguments_take(&a->inputs, option, value, &error) == FRESHET_OK) return true;
  freshet_command_failed("replay", &error);
  return false;
}

static bool take_option(freshet_replay_arguments* a, int option, char* value) {
  switch (option) {
    case ACCEPT_LOSS:
      return a->accepts_loss = true;
    case DRY_RUN:
      return a->dry_run = true;
    case RATE:
      return parse_positive(value, "/s", &a->rate);
    case SPEEDUP:
      return parse_positive(value, "x", &a->speedup);
    case LIMIT:
      return parse_count(value, UINT64_MAX, &a->limit);
    case SORT_WINDOW:
      return parse_count(value, FRESHET_INPUT_WINDOW_MAX, &a->window);
    case USER:
      a->user = value;
      return true;
    case TYPE:
      return parse_types(value, &a->types);
    case ERRORS:
      a->errors = value;
      return true;
    case RESUME:
      a->resume = value;
      return true;
    case JSON:
      return a->json = true;
    case FORMATS:
      return a->formats = true;
    default:
      return take_input_option(a, option, value);
  }
}

/* What only means something for topics, and what topics need. */
static bool check_topics(const freshet_replay_arguments* a) {
  size_t topics = 0;
  bool has_servers = false;
  for (size_t i = 0; i < a->inputs.count; i++) topics += freshet_input_is_topic(a->inputs.inputs[i].path);
  for (size_t i = 0; i < a->source_count; i++) {
    has_servers = has_servers || strcmp(a->source[i].name, "bootstrap.servers") == 0;
  }
  bool bounded = a->since_ms != INT64_MIN || a->until_ms != INT64_MAX;
  if (topics == 0 && bounded)
    return refuse("--since and --until are for inputs like", FRESHET_INPUT_KAFKA "TOPIC");
  if (topics == 0 && a->source_count > 0)
    return refuse("--source is for inputs like", FRESHET_INPUT_KAFKA "TOPIC");
  if (a->source_count > 0 && !has_servers)
    return refuse("--source must name the cluster, as in", "bootstrap.servers=HOST:PORT");
  if (a->since_ms >= a->until_ms) return refuse("--since is not before", "--until");
  return true;
}

bool freshet_replay_arguments_parse(int argc, char** argv, freshet_replay_arguments* a) {
  static const struct option longs[] = {{"events", required_argument, NULL, EVENTS},
                                        {"items", required_argument, NULL, ITEMS},
                                        {"from", required_argument, NULL, FROM},
                                        {"since", required_argument, NULL, SINCE},
                                        {"until", required_argument, NULL, UNTIL},
                                        {"source", required_argument, NULL, SOURCE},
                                        {"dry-run", no_argument, NULL, DRY_RUN},
                                        {"accept-loss", no_argument, NULL, ACCEPT_LOSS},
                                        {"rate", required_argument, NULL, RATE},
                                        {"speedup", required_argument, NULL, SPEEDUP},
                                        {"limit", required_argument, NULL, LIMIT},
                                        {"sort-window", required_argument, NULL, SORT_WINDOW},
                                        {"user", required_argument, NULL, USER},
                                        {"type", required_argument, NULL, TYPE},
                                        {"errors", required_argument, NULL, ERRORS},
                                        {"resume", required_argument, NULL, RESUME},
                                        {"json", no_argument, NULL, JSON},
                                        {"formats", no_argument, NULL, FORMATS},
                                        FRESHET_INPUT_LONG_OPTIONS,
                                        {NULL, 0, NULL, 0}};
  *a = (freshet_replay_arguments){
      .limit = UINT64_MAX, .types = ALL_TYPES, .since_ms = INT64_MIN, .until_ms = INT64_MAX};
  int option;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    if (!freshet_options_take(&a->common, option, optarg) && !take_option(a, option, optarg)) return false;
  }
  for (; optind < argc; optind++) add_input(a, argv[optind], FRESHET_INPUT_ANY);
  if (a->formats) return true;
  if (a->inputs.given_count == 0) {
    fprintf(stderr, "freshet replay: no files; give --from, --events or --items\n");
    return false;
  }
  freshet_error error = {0};
  if (freshet_input_arguments_finish(&a->inputs, &error) != FRESHET_OK) {
    freshet_command_failed("replay", &error);
    return false;
  }
  return check_topics(a);
}

void freshet_replay_arguments_free(freshet_replay_arguments* a) {
  freshet_input_arguments_free(&a->inputs);
  free(a->source);
}

uint64_t freshet_replay_arguments_hash(const freshet_replay_arguments* a) {
  freshet_buffer text = {0};
  freshet_input_arguments_key(&a->inputs, &text);
  const char* user = a->user == NULL ? "" : a->user;
  freshet_buffer_append(&text, user, strlen(user) + 1);
  unsigned numbers[] = {a->types, (unsigned)a->window};
  freshet_buffer_append(&text, numbers, sizeof numbers);
  freshet_buffer_append(&text, &a->since_ms, sizeof a->since_ms);
  freshet_buffer_append(&text, &a->until_ms, sizeof a->until_ms);
  uint64_t hash = freshet_id_key(freshet_buffer_slice(&text));
  freshet_buffer_free(&text);
  return hash;
}
