/*
 * evaluate_search.c: --folds and --tune.
 *
 * Fold i of N cuts the events into N + 1 stretches of time, learns stretches 0 .. i, and ranks the positives
 * of stretch i + 1 with what was learned before; in that stretch users' histories advance and nothing is
 * learned. Tuning tries all combinations of the values given and takes the best mean of recall@10 over the
 * folds.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/evaluate/evaluate.h"

enum { DEFAULT_FOLDS = 3, OVERRIDE_BYTES = 128, COMBINATIONS_MAX = 1000 };

typedef struct fold_sums {
  double recall, ndcg, mrr, square; /* of recall */
  size_t folds;
} fold_sums;

static freshet_status run_fold(const freshet_history* history, const freshet_model_config* model, size_t fold,
                               size_t folds, freshet_metrics* metrics, freshet_error* error) {
  freshet_learner* learner = NULL;
  freshet_status status = freshet_learner_create(history, model, false, &learner, error);
  if (status != FRESHET_OK) return status;
  freshet_contender* contender = &learner->contender;
  freshet_pass pass = {.history = history,
                       .contenders = &contender,
                       .metrics = metrics,
                       .contender_count = 1,
                       .learner = learner,
                       .to = history->event_count * (fold + 2) / (folds + 1),
                       .rank_from = history->event_count * (fold + 1) / (folds + 1),
                       .freeze = true,
                       .seed = model->seed,
                       .label = "fold"};
  freshet_pass_run(&pass);
  contender->destroy(contender);
  return FRESHET_OK;
}

static double mean(double sum, size_t count) {
  return count == 0 ? NAN : sum / (double)count;
}

static freshet_status run_folds(const freshet_history* history, const freshet_model_config* model,
                                size_t folds, bool print, fold_sums* sums, json_t* list,
                                freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (size_t fold = 0; fold < folds && status == FRESHET_OK; fold++) {
    freshet_metrics metrics = freshet_metrics_make(history->item_count);
    status = run_fold(history, model, fold, folds, &metrics, error);
    double recall = mean(metrics.all.recall, metrics.all.count);
    if (status == FRESHET_OK && metrics.all.count > 0) {
      sums->recall += recall;
      sums->square += recall * recall;
      sums->ndcg += mean(metrics.all.ndcg, metrics.all.count);
      sums->mrr += mean(metrics.all.mrr, metrics.all.count);
      sums->folds++;
      json_array_append_new(list, freshet_metrics_json(&metrics));
      if (print) {
        printf("fold %zu: %6zu ranked, recall@10 %.4f, ndcg@10 %.4f, mrr@10 %.4f\n", fold + 1,
               metrics.all.count, recall, mean(metrics.all.ndcg, metrics.all.count),
               mean(metrics.all.mrr, metrics.all.count));
      }
    }
    freshet_metrics_free(&metrics);
  }
  return status;
}

static json_t* sums_json(const fold_sums* sums) {
  double recall = mean(sums->recall, sums->folds);
  double variance = mean(sums->square, sums->folds) - recall * recall;
  return json_pack("{s:f, s:f, s:f, s:f}", "recall_at_10", sums->folds == 0 ? 0 : recall, "recall_deviation",
                   variance > 0 ? sqrt(variance) : 0, "ndcg_at_10",
                   sums->folds == 0 ? 0 : sums->ndcg / (double)sums->folds, "mrr_at_10",
                   sums->folds == 0 ? 0 : sums->mrr / (double)sums->folds);
}

/* ---- combinations ---- */

typedef struct axis {
  char key[OVERRIDE_BYTES];
  char values[OVERRIDE_BYTES]; /* separated by commas */
  size_t count;
} axis;

static freshet_status read_axis(const char* text, axis* out, freshet_error* error) {
  const char* equals = strchr(text, '=');
  if (equals == NULL || equals == text || strlen(text) >= OVERRIDE_BYTES - 8) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "--tune takes KEY=A,B,C, not '%s'", text);
  }
  size_t size = (size_t)(equals - text);
  if (strncmp(text, "model.", 6) == 0) {
    snprintf(out->key, sizeof out->key, "%.*s", (int)size, text);
  } else {
    snprintf(out->key, sizeof out->key, "model.%.*s", (int)size, text);
  }
  snprintf(out->values, sizeof out->values, "%s", equals + 1);
  out->count = 1;
  for (const char* c = out->values; *c != '\0'; c++) out->count += *c == ',';
  return FRESHET_OK;
}

static void write_override(const axis* a, size_t index, char out[2 * OVERRIDE_BYTES]) {
  const char* value = a->values;
  for (; index > 0; index--) value = strchr(value, ',') + 1;
  snprintf(out, 2 * OVERRIDE_BYTES, "%s=%.*s", a->key, (int)strcspn(value, ","), value);
}

typedef struct search {
  const freshet_evaluation* evaluation;
  freshet_history* history;
  size_t folds;
  axis axes[FRESHET_TUNED_MAX];
  size_t axis_count, combinations;
  json_t* tried; /* array */
  double best;
  char best_name[2 * OVERRIDE_BYTES * FRESHET_TUNED_MAX];
} search;

/* Combination number `index` of the values. */
static freshet_status try_one(search* s, size_t index, freshet_error* error) {
  char overrides[FRESHET_TUNED_MAX][2 * OVERRIDE_BYTES];
  const char* pointers[FRESHET_TUNED_MAX];
  char name[sizeof s->best_name] = "";
  for (size_t a = 0; a < s->axis_count; a++) {
    write_override(&s->axes[a], index % s->axes[a].count, overrides[a]);
    index /= s->axes[a].count;
    pointers[a] = overrides[a];
    snprintf(name + strlen(name), sizeof name - strlen(name), "%s%s", a == 0 ? "" : " ", overrides[a]);
  }
  freshet_config* config = NULL;
  fold_sums sums = {0};
  json_t* folds = json_array();
  freshet_status status = freshet_evaluation_load(s->evaluation, pointers, s->axis_count, &config, error);
  if (status == FRESHET_OK) {
    freshet_model_config model = freshet_evaluation_model(config);
    freshet_history_rules rules = freshet_evaluation_rules(s->evaluation, config);
    freshet_history_judge(s->history, &rules);
    bool print = !s->evaluation->json && s->axis_count == 0;
    status = run_folds(s->history, &model, s->folds, print, &sums, folds, error);
  }
  if (status == FRESHET_OK) {
    double recall = sums.folds == 0 ? 0 : sums.recall / (double)sums.folds;
    json_t* entry = sums_json(&sums);
    json_object_set_new(entry, "settings", json_string(name));
    json_object_set(entry, "folds", folds);
    json_array_append_new(s->tried, entry);
    if (!s->evaluation->json) printf("%-40s recall@10 %.4f\n", name[0] == '\0' ? "mean" : name, recall);
    if (recall > s->best) {
      s->best = recall;
      memcpy(s->best_name, name, sizeof name);
    }
  }
  json_decref(folds);
  freshet_config_destroy(config);
  return status;
}

freshet_status freshet_evaluation_search(const freshet_evaluation* evaluation, freshet_history* history,
                                         freshet_error* error) {
  search s = {.evaluation = evaluation,
              .history = history,
              .folds = evaluation->folds == 0 ? DEFAULT_FOLDS : evaluation->folds,
              .combinations = 1,
              .best = -1};
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; i < evaluation->tuned_count && status == FRESHET_OK; i++) {
    status = read_axis(evaluation->tuned[i], &s.axes[i], error);
    if (status != FRESHET_OK) break;
    s.axis_count++;
    s.combinations *= s.axes[i].count;
    if (s.combinations > COMBINATIONS_MAX) {
      status = freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "--tune: more than %d combinations",
                                 COMBINATIONS_MAX);
    }
  }
  s.tried = json_array();
  for (size_t i = 0; i < s.combinations && status == FRESHET_OK; i++) status = try_one(&s, i, error);
  if (status == FRESHET_OK && evaluation->json) {
    json_t* object =
        json_pack("{s:O, s:s, s:s}", "tried", s.tried, "best", s.best_name, "encoder", history->encoder);
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    printf("\n");
    json_decref(object);
  } else if (status == FRESHET_OK && s.axis_count > 0) {
    printf("best: %s\n", s.best_name);
  }
  json_decref(s.tried);
  return status;
}
