/*
 * evaluate.c: `freshet evaluate`: replays a history without Kafka, test then learn, and prints the figures.
 *
 * Owns the order of work; options are in evaluate_arguments.c. It must not know how events are judged or figures are counted.
 */
#include "commands/evaluate/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/text_encoder.h"
#include "commands/commands.h"
#include "commands/evaluate/evaluate_plot.h"
#include "commands/measure.h"
#include "commands/progress.h"

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

freshet_list_making freshet_evaluation_making(const freshet_config* config) {
  return (freshet_list_making){&config->rules.compiled, (float)config->ranking.diversity,
                               (uint32_t)config->ranking.k};
}

freshet_history_rules freshet_evaluation_rules(const freshet_evaluation* evaluation,
                                               const freshet_config* config) {
  return (freshet_history_rules){
      .positive_rating = (float)config->model.positive_rating,
      .goal = (freshet_goal)config->model.goal,
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

/* Without an event that lists are for, there is nothing to measure. */
static freshet_status check_goal(freshet_goal goal, const freshet_history* history, freshet_error* error) {
  const bool is_purchase = goal == FRESHET_GOAL_PURCHASE;
  if (goal == FRESHET_GOAL_ANY) return FRESHET_OK;
  for (size_t i = 0; i < history->event_count; i++) {
    if (history->events[i].positive) return FRESHET_OK;
  }
  return freshet_error_set(
      error, FRESHET_INVALID, FRESHET_STOP,
      "model.goal is %s, and none of the %zu events is a %s: set it to any, or add such events",
      is_purchase ? "purchase" : "rating", history->event_count,
      is_purchase ? "purchase" : "rating of model.positive_rating or more");
}

/* Counts of what is read go into the census. */
static freshet_status read_history(const freshet_evaluation* evaluation, const freshet_config* config,
                                   freshet_census* census, freshet_history* history,
                                   freshet_encoder** encoder, freshet_error* error) {
  freshet_history_rules rules = freshet_evaluation_rules(evaluation, config);
  freshet_intake intake = {.inputs = &evaluation->inputs,
                           .config = config,
                           .limit = evaluation->limit,
                           .errors = evaluation->errors,
                           .census = census};
  freshet_error why = {0};
  freshet_status status = freshet_intake_read(&intake, &rules, history, &why);
  bool is_topic = evaluation->inputs.count > 0 && freshet_input_is_topic(evaluation->inputs.inputs[0].path);
  if (status == FRESHET_NOT_FOUND && !is_topic)
    status = FRESHET_INVALID; /* the same exit code as of replay */
  if (status != FRESHET_OK) return freshet_error_set(error, status, why.verdict, "%s", why.message);
  status = check_goal(rules.goal, history, error);
  if (status != FRESHET_OK) return status;
  if (freshet_census_counts_of(census)->items == 0) return FRESHET_OK;
  status = freshet_command_encoder_create(config, encoder, error);
  if (status == FRESHET_OK && *encoder != NULL) status = freshet_history_encode(history, *encoder, error);
  return status;
}

/* What a worker shares when it is one of a fleet, all equally busy. */
static void join_fleet(const freshet_evaluation* evaluation, freshet_model* model) {
  enum { EVENTS_PER_COMMIT = 100000 };
  if (evaluation->fleet == 0) return;
  freshet_model_expect_fleet(model, EVENTS_PER_COMMIT, (evaluation->fleet - 1) * EVENTS_PER_COMMIT);
}

static freshet_status learn_only(const freshet_evaluation* evaluation, const freshet_config* config,
                                 const freshet_history* history, const freshet_census* census,
                                 freshet_error* error) {
  freshet_model_config model = freshet_evaluation_model(config);
  freshet_learner* learner = NULL;
  size_t events = 0;
  freshet_status status = freshet_learner_create(history, &model, false, &learner, error);
  if (status != FRESHET_OK) return status;
  join_fleet(evaluation, learner->model);
  freshet_model_link_texts(learner->model, SIZE_MAX); /* the service does so between batches */
  double start = freshet_seconds(CLOCK_MONOTONIC), cpu_start = freshet_seconds(CLOCK_THREAD_CPUTIME_ID);
  for (size_t i = 0; i < history->event_count; i++) {
    const freshet_history_event* event = &history->events[i];
    if (event->ranked || event->context || freshet_history_is_impression(event)) {
      learner->contender.learn(&learner->contender, event);
      events++;
    }
  }
  double rate = (double)events / (freshet_seconds(CLOCK_MONOTONIC) - start);
  double cpu_rate = (double)events / (freshet_seconds(CLOCK_THREAD_CPUTIME_ID) - cpu_start);
  unsigned long long hash = (unsigned long long)freshet_model_hash(learner->model);
  if (evaluation->json) {
    json_t* object = json_pack("{s:I, s:f, s:f}", "events_learned", (json_int_t)events, "events_per_second",
                               rate, "events_per_cpu_second", cpu_rate);
    char text[20];
    freshet_census_add_to(census, object);
    snprintf(text, sizeof text, "%016llx", hash);
    json_object_set_new(object, "state_hash", json_string(text));
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    printf("\n");
    json_decref(object);
  } else {
    printf("%zu events learned, %.0f events/s by the clock, %.0f by CPU time, state %016llx\n", events, rate,
           cpu_rate, hash);
    freshet_census_print(census);
    freshet_census_print_more(census);
  }
  learner->contender.destroy(&learner->contender);
  return FRESHET_OK;
}

/* What was read, where there are no figures. */
static void print_intake(const freshet_evaluation* evaluation, const freshet_census* census) {
  if (!evaluation->json) {
    freshet_census_print(census);
    freshet_census_print_more(census);
    return;
  }
  json_t* object = json_object();
  freshet_census_add_to(census, object);
  json_dumpf(object, stdout, JSON_INDENT(2));
  printf("\n");
  json_decref(object);
}

static freshet_status print_all(const freshet_evaluation* evaluation, const freshet_report* report,
                                freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (freshet_report_ranked(report) == 0) {
    print_intake(evaluation, report->census);
    return freshet_error_set(
        error, FRESHET_INVALID, FRESHET_STOP,
        "nothing was ranked: of %zu events none is a choice of a user after the first fifth of "
        "them; give more events (--learn-only only learns)",
        report->history->event_count);
  }
  if (evaluation->json) {
    json_t* object = freshet_report_json(report);
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    printf("\n");
    json_decref(object);
  } else {
    print_intake(evaluation, report->census);
    printf("\n");
    freshet_report_print(report);
  }
  if (evaluation->plot != NULL) {
    status = freshet_evaluation_plot(evaluation->plot, report->names, report->metrics, report->count, error);
  }
  if (status == FRESHET_OK && evaluation->explain != NULL) {
    status = freshet_report_explain(report->explained, evaluation->explain, error);
  }
  return status;
}

/* Takes part in one pass: the model first, then the baselines. */
typedef struct entrants {
  freshet_learner* learner;
  freshet_contender* contenders[FRESHET_CONTENDERS_MAX];
  size_t count;
} entrants;

static freshet_status enter(const freshet_evaluation* evaluation, const freshet_config* config,
                            const freshet_model_config* model, const freshet_history* history, entrants* all,
                            freshet_error* error) {
  freshet_status status = freshet_learner_create(history, model, true, &all->learner, error);
  if (status != FRESHET_OK) return status;
  all->learner->values.positive_rating = (float)config->model.positive_rating;
  all->learner->values.rating_min = (float)config->model.rating_min;
  join_fleet(evaluation, all->learner->model);
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
  const freshet_list_making making = freshet_evaluation_making(config);
  freshet_learner_make_lists(all->learner, &making);
  freshet_service_pass_run(&pass);
}

static freshet_status evaluate(const freshet_evaluation* evaluation, const freshet_config* config,
                               const freshet_history* history, const freshet_census* census,
                               freshet_error* error) {
  freshet_model_config model = freshet_evaluation_model(config);
  freshet_metrics metrics[FRESHET_CONTENDERS_MAX] = {0};
  freshet_service_metrics* service = calloc(FRESHET_CONTENDERS_MAX, sizeof *service);
  entrants new_items = {0}, served = {0};
  freshet_report report = {.history = history, .rmse = NAN, .seed = model.seed, .census = census};
  freshet_status status = FRESHET_OK;
  FRESHET_ASSERT(service != NULL);
  if (evaluation->protocol != FRESHET_PROTOCOL_SERVICE) {
    status = enter(evaluation, config, &model, history, &new_items, error);
    if (status == FRESHET_OK) report.rmse = play_new_items(history, &new_items, model.seed, metrics);
    report.metrics = metrics;
    report.entered[0] = new_items.contenders;
  }
  if (status == FRESHET_OK && evaluation->protocol != FRESHET_PROTOCOL_NEW_ITEMS) {
    status = enter(evaluation, config, &model, history, &served, error);
    if (status == FRESHET_OK) play_service(history, &served, config, service);
    report.service = service;
    report.entered[1] = served.contenders;
  }
  const entrants* shown = new_items.count > 0 ? &new_items : &served;
  report.learner = shown->learner;
  report.explained = served.count > 0 ? served.learner : new_items.learner;
  report.count = shown->count;
  for (size_t c = 0; c < shown->count; c++) report.names[c] = shown->contenders[c]->name;
  if (status == FRESHET_OK) status = print_all(evaluation, &report, error);
  for (size_t c = 0; c < new_items.count; c++) freshet_metrics_free(&metrics[c]);
  free(service);
  leave(&new_items);
  leave(&served);
  return status;
}

/* ---- the command ---- */

static freshet_status run_evaluation(const freshet_evaluation* evaluation, const freshet_config* config,
                                     freshet_census* census, freshet_error* error) {
  if (evaluation->example) return freshet_evaluation_example(evaluation, config, error);
  freshet_history* history = freshet_history_create();
  freshet_encoder* encoder = NULL;
  freshet_status status = read_history(evaluation, config, census, history, &encoder, error);
  if (status != FRESHET_OK && history->event_count == 0) print_intake(evaluation, census);
  if (status == FRESHET_OK) {
    bool search = evaluation->folds > 0 || evaluation->tuned_count > 0;
    status = evaluation->learn_only ? learn_only(evaluation, config, history, census, error)
             : search               ? freshet_evaluation_search(evaluation, history, error)
                                    : evaluate(evaluation, config, history, census, error);
  }
  freshet_history_destroy(history);
  freshet_encoder_destroy(encoder);
  return status;
}

static int run_with(const freshet_evaluation* evaluation) {
  freshet_config* config = NULL;
  freshet_error error = {0};
  if (freshet_evaluation_load(evaluation, NULL, 0, &config, &error) != FRESHET_OK) {
    freshet_command_failed("evaluate", &error);
    return FRESHET_EXIT_USAGE;
  }
  freshet_census* census = freshet_census_create();
  freshet_status status = run_evaluation(evaluation, config, census, &error);
  bool has_rejects = freshet_census_counts_of(census)->rejected > 0;
  freshet_census_destroy(census);
  freshet_config_destroy(config);
  if (status != FRESHET_OK) return freshet_command_failed("evaluate", &error);
  return has_rejects ? FRESHET_EXIT_REJECTS : FRESHET_EXIT_OK;
}

static int run(int argc, char** argv) {
  freshet_evaluation evaluation = {0};
  int code = freshet_evaluation_parse(&evaluation, argc, argv) ? run_with(&evaluation) : FRESHET_EXIT_USAGE;
  freshet_input_arguments_free(&evaluation.inputs);
  return code;
}

const freshet_command freshet_command_evaluate = {
    .name = "evaluate",
    .summary = "replay a history, test then learn, and print the figures",
    .usage = freshet_evaluation_usage,
    .run = run,
    .has_model = true,
};
