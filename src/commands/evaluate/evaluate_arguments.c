/*
 * evaluate_arguments.c: the command line of `freshet evaluate`, for evaluate.h. It must not open anything but a table
 * of data sets.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/evaluate/evaluate.h"

const char freshet_evaluation_usage[] =
    "usage: freshet evaluate --events FILE... [--items FILE...] [OPTION...]\n"
    "       freshet evaluate --example\n\n"
    "Replays a history in the order of time: it makes a list before an event, notes the place of the "
    "event's\n"
    "item, then learns. It does so twice.\n"
    "New items: only the first time that a user chooses an item counts, other events are left out. Prints\n"
    "recall, ndcg, mrr and precision at 10, coverage, the same for cold users and cold items (under 5 "
    "earlier\n"
    "positives), accuracy and AUC against sampled negatives, RMSE of ratings, and the time it takes.\n"
    "The service: all events are learned and rules.hide acts, as in `freshet run`. Prints recall, ndcg and "
    "mrr\n"
    "at 10 of items that are new to the user, chosen again, and both, how many disliked items lists hold,\n"
    "figures by segment, and intervals that say whether a difference is one.\n\n"
    "Files are those of `freshet replay`, read in the same way: a row that replay rejects is not learned.\n\n"
    "  --events FILE         a file or topic of events; may be repeated; - is standard input\n"
    "  --items FILE          a file or topic of items, for titles and texts; may be repeated\n"
    "  --from FILE...        files or topics of either kind\n" FRESHET_INPUT_USAGE
    "  --errors FILE         write rejected rows there\n"
    "  --protocol P          both (default), new-items or service\n"
    "  --compare A,B         baselines in the same pass: popular, item-knn, seq-knn, vs-knn, personal, "
    "isgd;\n"
    "                        the first fifth of the events chooses the setting of each\n"
    "  --ratings all         new items: low ratings are learned too and leave the lists (default: left out)\n"
    "  --folds N             time-ordered cross-validation: train before, test after, N times\n"
    "  --tune KEY=A,B,C      tries values of a [model] key on the folds (3 unless --folds); may be repeated\n"
    "  --explain USER        print the user's list after the last event, with reasons: the list that is\n"
    "                        served; with --protocol new-items, the best new items\n"
    "  --plot FILE.svg       draw recall over time\n"
    "  --learn-only          rank nothing: how fast is learning alone\n"
    "  --example             the worked example: 100 users, 100 items with texts\n"
    "  --fleet W             as one of W workers with 100,000 events/s each, which share fewer pairs\n"
    "  --seed N              of every random choice (default: model.seed)\n"
    "  --limit N             read only the first N events\n"
    "  --json                print one JSON object\n"
    "  --config FILE         the same as -c\n" FRESHET_OPTIONS_USAGE
    "\nexit codes: 0 done, 1 a file cannot be read or nothing can be ranked, 2 wrong usage, 3 done but rows "
    "were\n"
    "rejected, 6 a cluster or topic is not there\n";

static bool usage_error(const char* message, const char* detail) {
  fprintf(stderr, "freshet evaluate: %s%s; see `freshet help evaluate`\n", message, detail);
  return false;
}

static bool take_baselines(freshet_evaluation* evaluation, char* list) {
  for (char *save = NULL, *name = strtok_r(list, ",", &save); name != NULL;
       name = strtok_r(NULL, ",", &save)) {
    const char* const* known = freshet_baseline_names;
    while (*known != NULL && strcmp(*known, name) != 0) known++;
    if (*known == NULL) return usage_error("no such baseline: ", name);
    if (evaluation->baseline_count == FRESHET_CONTENDERS_MAX - 1)
      return usage_error("too many baselines", "");
    evaluation->baselines[evaluation->baseline_count++] = *known;
  }
  return true;
}

static bool take_protocol(freshet_evaluation* evaluation, const char* name) {
  static const char* const names[] = {[FRESHET_PROTOCOL_BOTH] = "both",
                                      [FRESHET_PROTOCOL_NEW_ITEMS] = "new-items",
                                      [FRESHET_PROTOCOL_SERVICE] = "service"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    evaluation->protocol = (freshet_protocol)i;
    if (strcmp(name, names[i]) == 0) return true;
  }
  return usage_error("--protocol takes both, new-items or service, not ", name);
}

enum { FLEET_MAX = 1000000 };

static bool take_number(const char* text, unsigned long long high, unsigned long long* value) {
  char* end;
  *value = strtoull(text, &end, 10);
  return (*text >= '0' && *text <= '9' && *end == '\0' && *value <= high) ||
         usage_error("not a number in range: ", text);
}

enum {
  EVENTS = 256,
  ITEMS,
  CONFIG,
  JSON,
  COMPARE,
  PROTOCOL,
  FOLDS,
  TUNE,
  PLOT,
  RATINGS,
  EXPLAIN,
  EXAMPLE,
  SEED,
  LIMIT,
  LEARN_ONLY,
  FLEET,
  FROM,
  ERRORS
};

static bool add_input(freshet_evaluation* e, const char* path, freshet_input_expect expect) {
  freshet_input_arguments_add(&e->inputs, path, expect);
  return true;
}

/* Where the history comes from and how it is read. *known false: it is no such option. */
static bool take_input_option(freshet_evaluation* e, int option, char* argument, bool* known) {
  freshet_error error = {0};
  *known = true;
  switch (option) {
    case EVENTS:
      return add_input(e, argument, FRESHET_INPUT_EVENTS);
    case ITEMS:
      return add_input(e, argument, FRESHET_INPUT_ITEMS);
    case FROM:
      return add_input(e, argument, FRESHET_INPUT_ANY);
    case ERRORS:
      e->errors = argument;
      return true;
    default:
      break;
  }
  *known = option >= FRESHET_INPUT_OPTION_FIRST && option < FRESHET_INPUT_OPTION_END;
  if (!*known || freshet_input_arguments_take(&e->inputs, option, argument, &error) == FRESHET_OK)
    return true;
  return usage_error(error.message, "");
}

static bool take_option(freshet_evaluation* e, int option, char* argument) {
  unsigned long long number = 0;
  switch (option) {
    case CONFIG:
      return freshet_options_take(&e->options, 'c', argument);
    case JSON:
      e->json = true;
      return true;
    case COMPARE:
      return take_baselines(e, argument);
    case PROTOCOL:
      return take_protocol(e, argument);
    case FOLDS:
      if (!take_number(argument, 100, &number)) return false;
      e->folds = (size_t)number;
      return true;
    case TUNE:
      if (e->tuned_count == FRESHET_TUNED_MAX) return usage_error("too many times --tune", "");
      e->tuned[e->tuned_count++] = argument;
      return true;
    case PLOT:
      e->plot = argument;
      return true;
    case RATINGS:
      e->all_ratings = strcmp(argument, "all") == 0;
      return e->all_ratings || strcmp(argument, "positive") == 0 ||
             usage_error("--ratings takes all or positive, not ", argument);
    case EXPLAIN:
      e->explain = argument;
      return true;
    case EXAMPLE:
      e->example = true;
      return true;
    case SEED:
      if (!take_number(argument, UINT64_MAX >> 11, &number)) return false;
      e->seed = number;
      return e->has_seed = true;
    case LIMIT:
      if (!take_number(argument, SIZE_MAX, &number)) return false;
      e->limit = (size_t)number;
      return true;
    case FLEET:
      if (!take_number(argument, FLEET_MAX, &number) || number == 0) return false;
      e->fleet = number;
      return true;
    case LEARN_ONLY:
      e->learn_only = true;
      return true;
    default:
      return option != '?' && freshet_options_take(&e->options, option, argument);
  }
}

bool freshet_evaluation_parse(freshet_evaluation* evaluation, int argc, char** argv) {
  static const struct option longs[] = {{"events", required_argument, NULL, EVENTS},
                                        {"items", required_argument, NULL, ITEMS},
                                        {"config", required_argument, NULL, CONFIG},
                                        {"json", no_argument, NULL, JSON},
                                        {"compare", required_argument, NULL, COMPARE},
                                        {"protocol", required_argument, NULL, PROTOCOL},
                                        {"folds", required_argument, NULL, FOLDS},
                                        {"tune", required_argument, NULL, TUNE},
                                        {"plot", required_argument, NULL, PLOT},
                                        {"ratings", required_argument, NULL, RATINGS},
                                        {"explain", required_argument, NULL, EXPLAIN},
                                        {"example", no_argument, NULL, EXAMPLE},
                                        {"seed", required_argument, NULL, SEED},
                                        {"limit", required_argument, NULL, LIMIT},
                                        {"learn-only", no_argument, NULL, LEARN_ONLY},
                                        {"fleet", required_argument, NULL, FLEET},
                                        {"from", required_argument, NULL, FROM},
                                        {"errors", required_argument, NULL, ERRORS},
                                        FRESHET_INPUT_LONG_OPTIONS,
                                        {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    bool known;
    if (!take_input_option(evaluation, option, optarg, &known)) return false;
    if (!known && !take_option(evaluation, option, optarg)) return false;
  }
  for (; optind < argc; optind++) add_input(evaluation, argv[optind], FRESHET_INPUT_ANY);
  if (evaluation->inputs.given_count == 0 && !evaluation->example)
    return usage_error("--events is missing", "");
  freshet_error error = {0};
  if (freshet_input_arguments_finish(&evaluation->inputs, &error) != FRESHET_OK)
    return usage_error(error.message, "");
  if (evaluation->plot != NULL && evaluation->protocol == FRESHET_PROTOCOL_SERVICE)
    return usage_error("--plot draws the figures of new items, which --protocol service leaves out", "");
  return true;
}
