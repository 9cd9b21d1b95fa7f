/*
 * evaluate.h: what the files of `freshet evaluate` share.
 *
 * Owns the parsed command line and the figures on their way to the output. It must not know how a figure is
 * counted (evaluate_metrics.h, evaluate_service.h).
 */
#ifndef FRESHET_COMMANDS_EVALUATE_H
#define FRESHET_COMMANDS_EVALUATE_H

#include <jansson.h>

#include "commands/evaluate/evaluate_intake.h"
#include "commands/evaluate/evaluate_run.h"
#include "commands/evaluate/evaluate_service.h"
#include "commands/options.h"

enum { FRESHET_CONTENDERS_MAX = 8, FRESHET_TUNED_MAX = 8 };

typedef enum freshet_protocol {
  FRESHET_PROTOCOL_BOTH,
  FRESHET_PROTOCOL_NEW_ITEMS, /* the first time that a user chooses an item; no repeats, no low ratings */
  FRESHET_PROTOCOL_SERVICE
} freshet_protocol;

typedef struct freshet_evaluation {
  freshet_options options; /* configuration */
  freshet_input_arguments inputs;
  const char* errors; /* file of rejected rows */
  const char* plot;
  const char* explain; /* a user id */
  const char* baselines[FRESHET_CONTENDERS_MAX];
  size_t baseline_count;
  const char* tuned[FRESHET_TUNED_MAX]; /* "key=a,b,c" */
  size_t tuned_count;
  size_t folds; /* 0: none */
  freshet_protocol protocol;
  bool json, all_ratings, example, learn_only;
  bool has_seed;
  uint64_t seed;
  size_t limit;
  uint64_t fleet; /* workers; 0: one that is alone */
} freshet_evaluation;

/* ---- evaluate_arguments.c ---- */

/* Whole text of `freshet help evaluate`. */
extern const char freshet_evaluation_usage[];
/* False when it has told what is wrong. Free evaluation->inputs in any case. */
bool freshet_evaluation_parse(freshet_evaluation* evaluation, int argc, char** argv);

/* ---- evaluate.c ---- */

/* What the configuration says about the model and the events. */
freshet_model_config freshet_evaluation_model(const freshet_config* config);
freshet_history_rules freshet_evaluation_rules(const freshet_evaluation* evaluation,
                                               const freshet_config* config);
/* How the service makes lists, by the configuration, which must outlive it. */
freshet_list_making freshet_evaluation_making(const freshet_config* config);
/* Loads the configuration with one more override, "model.key=value", or NULL. The caller destroys *config. */
freshet_status freshet_evaluation_load(const freshet_evaluation* evaluation, const char* const* overrides,
                                       size_t override_count, freshet_config** config, freshet_error* error);

/* ---- evaluate_report.c ---- */

typedef struct freshet_report {
  const freshet_history* history;
  freshet_learner* learner;
  freshet_learner* explained; /* whose lists --explain shows */
  const char* names[FRESHET_CONTENDERS_MAX];
  freshet_contender* const* entered[2];   /* [count] for new items and for the service; NULL: not asked for */
  const freshet_metrics* metrics;         /* [count] of new items; NULL: not asked for */
  const freshet_service_metrics* service; /* [count] NULL: not asked for */
  size_t count;
  double rmse;
  uint64_t seed;
  const freshet_census* census; /* of what was read; NULL: nothing */
} freshet_report;
/* How many events the figures are of; 0: there are none. */
size_t freshet_report_ranked(const freshet_report* report);
void freshet_report_print(const freshet_report* report);
/* The caller owns the object. */
json_t* freshet_report_json(const freshet_report* report);
/* The settings that were chosen for the baselines of one protocol: a line for each that has some, and a key of each
 * one's object in `others`. */
void freshet_report_print_settings(const freshet_report* report, freshet_contender* const* entered);
void freshet_report_settings_json(const freshet_report* report, freshet_contender* const* entered,
                                  const char* key, json_t* others);
/* Metrics alone, with the names of the table. */
json_t* freshet_metrics_json(const freshet_metrics* metrics);
/* The list for a user after the last event, with reasons in words: the one that is served, when the learner makes lists
 * as by the service, else the best new items. Errors: FRESHET_NOT_FOUND for an unknown user. */
freshet_status freshet_report_explain(freshet_learner* learner, const char* user, freshet_error* error);

/* ---- evaluate_service_report.c ---- */

/* Both need report->service. The figures are added to the object of the report. */
void freshet_service_report_print(const freshet_report* report);
void freshet_service_report_json(const freshet_report* report, json_t* object);

/* ---- evaluate_search.c ---- */

/* --folds and --tune. */
freshet_status freshet_evaluation_search(const freshet_evaluation* evaluation, freshet_history* history,
                                         freshet_error* error);

/* ---- evaluate_example.c ---- */

freshet_status freshet_evaluation_example(const freshet_evaluation* evaluation, const freshet_config* config,
                                          freshet_error* error);

#endif
