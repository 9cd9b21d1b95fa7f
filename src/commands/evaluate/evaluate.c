/*
 * evaluate.c: `freshet evaluate`: replays a history without Kafka, test then learn, and prints the figures.
 *
 * Owns the options and the order of work. It must not know how events are judged or figures are counted.
 */
#include "commands/evaluate/evaluate.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/text_encoder.h"
#include "commands/commands.h"
#include "commands/evaluate/evaluate_plot.h"
#include "commands/measure.h"
#include "commands/progress.h"

static const char usage[] =
    "usage: freshet evaluate --events FILE.csv[.gz] [--items FILE.csv] [OPTION...]\n"
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
    "  --events FILE         type, user_id, item_id, value, occurred_at (ms); a first row names the columns\n"
    "  --items FILE          item_id, title, text\n"
    "  --protocol P          both (default), new-items or service\n"
    "  --compare A,B         baselines in the same pass: popular, item-knn, seq-knn, vs-knn, personal, "
    "isgd;\n"
    "                        the first fifth of the events chooses the setting of each\n"
    "  --ratings all         new items: low ratings are learned too and leave the lists (default: left out)\n"
    "  --folds N             time-ordered cross-validation: train before, test after, N times\n"
    "  --tune KEY=A,B,C      tries values of a [model] key on the folds (3 unless --folds); may be repeated\n"
    "  --explain USER        print the user's list after the last event, with reasons\n"
    "  --plot FILE.svg       draw recall over time\n"
    "  --learn-only          rank nothing: how fast is learning alone\n"
    "  --example             the worked example: 100 users, 100 items with texts\n"
    "  --seed N              of every random choice (default: model.seed)\n"
    "  --limit N             read only the first N events\n"
    "  --json                print one JSON object\n"
    "  --config FILE         the same as -c\n" FRESHET_OPTIONS_USAGE
    "\nexit codes: 0 done, 1 a file is malformed, 2 wrong usage, 6 a file is missing\n";

/* Of the events that are ranked, this share is not counted at first. */
static const double skipped_share = .2;

/* ---- configuration ---- */

freshet_model_config freshet_evaluation_model(const freshet_config* config) {
  freshet_model_config model = freshet_model_defaults();
  model.dim = (uint32_t)config->model.dim;
  model.neighbours = (uint32_t)config->model.neighbours;
  model.negatives = (uint32_t)config->model.negatives;
  model.max_items = (uint32_t)config->model.max_items;
  model.seen_limit = (uint32_t)config->model.seen_limit;
  model.seed = (uint64_t)config->model.seed;
  model.user_texts = (freshet_user_text_use)config->text.users;
  return model;
}

freshet_history_rules freshet_evaluation_rules(const freshet_evaluation* evaluation,
                                               const freshet_config* config) {
  return (freshet_history_rules){
      .positive_rating = (float)config->model.positive_rating,
      .weights = {[FRESHET_CLICK] = (float)config->model.weight_click,
                  [FRESHET_RATING] = (float)config->model.weight_rating,
                  [FRESHET_PURCHASE] = (float)config->model.weight_purchase},
      .all_ratings = evaluation->all_ratings,
      .seed = (uint64_t)config->model.seed,
      .limit = evaluation->limit,
  };
}

freshet_status freshet_evaluation_load(const freshet_evaluation* evaluation, const char* const* overrides,
                                       size_t override_count, freshet_config** config, freshet_error* error) {
  freshet_options options = evaluation->options;
  char seed[48];
  snprintf(seed, sizeof seed, "model.seed=%llu", (unsigned long long)evaluation->seed);
  if (evaluation->has_seed) freshet_options_take(&options, 'X', seed);
  for (size_t i = 0; i < override_count; i++) freshet_options_take(&options, 'X', overrides[i]);
  return freshet_options_load(&options, config, error);
}

/* ---- one evaluation ---- */

static freshet_status read_history(const freshet_evaluation* evaluation, const freshet_config* config,
                                   freshet_history* history, freshet_encoder** encoder,
                                   freshet_error* error) {
  freshet_history_rules rules = freshet_evaluation_rules(evaluation, config);
  freshet_status status = FRESHET_OK;
  if (evaluation->items != NULL) status = freshet_history_read_items(history, evaluation->items, error);
  if (status == FRESHET_OK) status = freshet_history_read_events(history, evaluation->events, &rules, error);
  if (status != FRESHET_OK || evaluation->items == NULL) return status;
  status = freshet_command_encoder_create(config, encoder, error);
  if (status == FRESHET_OK && *encoder != NULL) status = freshet_history_encode(history, *encoder, error);
  return status;
}

static freshet_status learn_only(const freshet_evaluation* evaluation, const freshet_config* config,
                                 const freshet_history* history, freshet_error* error) {
  freshet_model_config model = freshet_evaluation_model(config);
  freshet_learner* learner = NULL;
  size_t events = 0;
  freshet_status status = freshet_learner_create(history, &model, false, &learner, error);
  if (status != FRESHET_OK) return status;
  freshet_model_link_texts(learner->model, SIZE_MAX); /* the service does so between batches */
  double start = freshet_seconds(CLOCK_MONOTONIC), cpu_start = freshet_seconds(CLOCK_THREAD_CPUTIME_ID);
  for (size_t i = 0; i < history->event_count; i++) {
    const freshet_history_event* event = &history->events[i];
    if (event->ranked || event->context) {
      learner->contender.learn(&learner->contender, event);
      events++;
    }
  }
  double rate = (double)events / (freshet_seconds(CLOCK_MONOTONIC) - start);
  double cpu_rate = (double)events / (freshet_seconds(CLOCK_THREAD_CPUTIME_ID) - cpu_start);
  unsigned long long hash = (unsigned long long)freshet_model_hash(learner->model);
  const char* format =
      evaluation->json ? "{\"events\": %zu, \"events_per_second\": %.0f, \"events_per_cpu_second\": "
                         "%.0f, \"state_hash\": \"%016llx\"}\n"
                       : "%zu events learned, %.0f events/s by the clock, %.0f by CPU time, state %016llx\n";
  printf(format, events, rate, cpu_rate, hash);
  learner->contender.destroy(&learner->contender);
  return FRESHET_OK;
}

static freshet_status print_all(const freshet_evaluation* evaluation, const freshet_report* report,
                                freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (evaluation->json) {
    json_t* object = freshet_report_json(report);
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    printf("\n");
    json_decref(object);
  } else {
    freshet_report_print(report);
  }
  if (evaluation->plot != NULL) {
    status = freshet_evaluation_plot(evaluation->plot, report->names, report->metrics, report->count, error);
  }
  if (status == FRESHET_OK && evaluation->explain != NULL) {
    status = freshet_report_explain(report->learner, evaluation->explain, error);
  }
  return status;
}

/* Takes part in one pass: the model first, then the baselines. */
typedef struct entrants {
  freshet_learner* learner;
  freshet_contender* contenders[FRESHET_CONTENDERS_MAX];
  size_t count;
} entrants;

static freshet_status enter(const freshet_evaluation* evaluation, const freshet_model_config* model,
                            const freshet_history* history, entrants* all, freshet_error* error) {
  freshet_status status = freshet_learner_create(history, model, true, &all->learner, error);
  if (status != FRESHET_OK) return status;
  all->contenders[all->count++] = &all->learner->contender;
  for (size_t b = 0; b < evaluation->baseline_count; b++)
    all->contenders[all->count++] = freshet_baseline_create(evaluation->baselines[b], history, model->seed);
  return FRESHET_OK;
}

static void leave(entrants* all) {
  for (size_t c = 0; c < all->count; c++) all->contenders[c]->destroy(all->contenders[c]);
}

static double play_new_items(const freshet_history* history, const entrants* all, uint64_t seed,
                             freshet_metrics* metrics) {
  for (size_t c = 0; c < all->count; c++) metrics[c] = freshet_metrics_make(history->item_count);
  freshet_pass pass = {.history = history,
                       .contenders = all->contenders,
                       .metrics = metrics,
                       .contender_count = all->count,
                       .learner = all->learner,
                       .to = history->event_count,
                       .skipped_share = skipped_share,
                       .seed = seed,
                       .label = "evaluate"};
  return freshet_pass_run(&pass).rmse;
}

static void play_service(const freshet_history* history, const entrants* all, const freshet_config* config,
                         freshet_service_metrics* metrics) {
  const double scale = config->model.rating_max - config->model.rating_min;
  freshet_service_pass pass = {.history = history,
                               .contenders = all->contenders,
                               .metrics = metrics,
                               .contender_count = all->count,
                               .learner = all->learner,
                               .rules = &config->rules.compiled,
                               .disliked = (float)(config->model.rating_min + scale / 4),
                               .skipped_share = skipped_share,
                               .label = "evaluate as the service"};
  freshet_service_pass_run(&pass);
}

static freshet_status evaluate(const freshet_evaluation* evaluation, const freshet_config* config,
                               const freshet_history* history, freshet_error* error) {
  freshet_model_config model = freshet_evaluation_model(config);
  freshet_metrics metrics[FRESHET_CONTENDERS_MAX] = {0};
  freshet_service_metrics* service = calloc(FRESHET_CONTENDERS_MAX, sizeof *service);
  entrants new_items = {0}, served = {0};
  freshet_report report = {.history = history, .rmse = NAN, .seed = model.seed};
  freshet_status status = FRESHET_OK;
  FRESHET_ASSERT(service != NULL);
  if (evaluation->protocol != FRESHET_PROTOCOL_SERVICE) {
    status = enter(evaluation, &model, history, &new_items, error);
    if (status == FRESHET_OK) report.rmse = play_new_items(history, &new_items, model.seed, metrics);
    report.metrics = metrics;
  }
  if (status == FRESHET_OK && evaluation->protocol != FRESHET_PROTOCOL_NEW_ITEMS) {
    status = enter(evaluation, &model, history, &served, error);
    if (status == FRESHET_OK) play_service(history, &served, config, service);
    report.service = service;
  }
  const entrants* shown = new_items.count > 0 ? &new_items : &served;
  report.learner = shown->learner;
  report.count = shown->count;
  for (size_t c = 0; c < shown->count; c++) report.names[c] = shown->contenders[c]->name;
  if (status == FRESHET_OK) status = print_all(evaluation, &report, error);
  for (size_t c = 0; c < new_items.count; c++) freshet_metrics_free(&metrics[c]);
  free(service);
  leave(&new_items);
  leave(&served);
  return status;
}

/* ---- options ---- */

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
  LEARN_ONLY
};

static bool take_option(freshet_evaluation* e, int option, char* argument) {
  unsigned long long number = 0;
  switch (option) {
    case EVENTS:
      e->events = argument;
      return true;
    case ITEMS:
      e->items = argument;
      return true;
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
    case LEARN_ONLY:
      e->learn_only = true;
      return true;
    default:
      return option != '?' && freshet_options_take(&e->options, option, argument);
  }
}

static bool parse(freshet_evaluation* evaluation, int argc, char** argv) {
  static const struct option longs[] = {
      {"events", required_argument, NULL, EVENTS},   {"items", required_argument, NULL, ITEMS},
      {"config", required_argument, NULL, CONFIG},   {"json", no_argument, NULL, JSON},
      {"compare", required_argument, NULL, COMPARE}, {"protocol", required_argument, NULL, PROTOCOL},
      {"folds", required_argument, NULL, FOLDS},     {"tune", required_argument, NULL, TUNE},
      {"plot", required_argument, NULL, PLOT},       {"ratings", required_argument, NULL, RATINGS},
      {"explain", required_argument, NULL, EXPLAIN}, {"example", no_argument, NULL, EXAMPLE},
      {"seed", required_argument, NULL, SEED},       {"limit", required_argument, NULL, LIMIT},
      {"learn-only", no_argument, NULL, LEARN_ONLY}, {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    if (!take_option(evaluation, option, optarg)) return false;
  }
  if (optind < argc) return usage_error("takes no argument ", argv[optind]);
  if (evaluation->events == NULL && !evaluation->example) return usage_error("--events is missing", "");
  if (evaluation->plot != NULL && evaluation->protocol == FRESHET_PROTOCOL_SERVICE)
    return usage_error("--plot draws the figures of new items, which --protocol service leaves out", "");
  return true;
}

static freshet_status run_evaluation(const freshet_evaluation* evaluation, const freshet_config* config,
                                     freshet_error* error) {
  if (evaluation->example) return freshet_evaluation_example(evaluation, config, error);
  freshet_history* history = freshet_history_create();
  freshet_encoder* encoder = NULL;
  freshet_status status = read_history(evaluation, config, history, &encoder, error);
  if (status == FRESHET_OK) {
    bool search = evaluation->folds > 0 || evaluation->tuned_count > 0;
    status = evaluation->learn_only ? learn_only(evaluation, config, history, error)
             : search               ? freshet_evaluation_search(evaluation, history, error)
                                    : evaluate(evaluation, config, history, error);
  }
  freshet_history_destroy(history);
  freshet_encoder_destroy(encoder);
  return status;
}

static int run(int argc, char** argv) {
  freshet_evaluation evaluation = {0};
  freshet_config* config = NULL;
  freshet_error error = {0};
  if (!parse(&evaluation, argc, argv)) return FRESHET_EXIT_USAGE;
  if (freshet_evaluation_load(&evaluation, NULL, 0, &config, &error) != FRESHET_OK) {
    freshet_command_failed("evaluate", &error);
    return FRESHET_EXIT_USAGE;
  }
  freshet_status status = run_evaluation(&evaluation, config, &error);
  freshet_config_destroy(config);
  return status == FRESHET_OK ? FRESHET_EXIT_OK : freshet_command_failed("evaluate", &error);
}

const freshet_command freshet_command_evaluate = {
    .name = "evaluate",
    .summary = "replay a history, test then learn, and print the figures",
    .usage = usage,
    .run = run,
};
