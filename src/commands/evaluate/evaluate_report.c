/*
 * evaluate_report.c: the figures as a table, as JSON, and lists with reasons in words.
 *
 * Owns the names of the figures of new items. It must not count anything itself.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/evaluate/evaluate.h"

static double mean(double sum, size_t count) {
  return count == 0 ? NAN : sum / (double)count;
}

typedef struct named_value {
  char name[40];
  double value;
} named_value;

static void add(named_value* values, size_t* count, const char* prefix, const char* name, double value) {
  named_value* v = &values[(*count)++];
  snprintf(v->name, sizeof v->name, "%s%s", prefix, name);
  v->value = value;
}

static void add_places(named_value* values, size_t* count, const char* prefix,
                       const freshet_place_sums* sums) {
  add(values, count, prefix, "recall_at_10", mean(sums->recall, sums->count));
  add(values, count, prefix, "ndcg_at_10", mean(sums->ndcg, sums->count));
  add(values, count, prefix, "mrr_at_10", mean(sums->mrr, sums->count));
  add(values, count, prefix, "precision_at_10", mean(sums->recall, sums->count) / FRESHET_LIST_SIZE);
}

enum { VALUES_MAX = 20 };

static size_t list_values(const freshet_metrics* metrics, named_value values[VALUES_MAX]) {
  size_t count = 0;
  add_places(values, &count, "", &metrics->all);
  add(values, &count, "", "coverage_at_10", freshet_metrics_coverage(metrics));
  add_places(values, &count, "cold_user_", &metrics->cold_users);
  add_places(values, &count, "cold_item_", &metrics->cold_items);
  add(values, &count, "", "accuracy", mean(metrics->accuracy, metrics->all.count));
  add(values, &count, "", "auc", mean(metrics->auc, metrics->all.count));
  return count;
}

/* "cold_user_recall_at_10" as people write it. */
static const char* pretty(const char* name, char text[40]) {
  memcpy(text, name, 40);
  char* at = strstr(text, "_at_10");
  if (at != NULL) memcpy(at, "@10", 4);
  for (char* c = text; *c != '\0'; c++) *c = *c == '_' ? ' ' : *c;
  return text;
}

static int by_size(const void* a, const void* b) {
  uint32_t x = *(const uint32_t*)a, y = *(const uint32_t*)b;
  return (x > y) - (x < y);
}

typedef struct times {
  double p50_us, p99_us, seconds;
} times;

/* Sorts in place. */
static times summarise(uint32_t* ns, size_t count) {
  times t = {NAN, NAN, 0};
  if (count == 0) return t;
  qsort(ns, count, sizeof *ns, by_size);
  for (size_t i = 0; i < count; i++) t.seconds += ns[i] * 1e-9;
  t.p50_us = ns[count / 2] * 1e-3;
  t.p99_us = ns[count * 99 / 100] * 1e-3;
  return t;
}

/* "-": nothing was counted. */
static void print_value(double value) {
  if (isnan(value)) {
    printf(" %10s", "-");
  } else {
    printf(" %10.4f", value);
  }
}

static void print_rmse(const freshet_report* report) {
  if (!isnan(report->rmse)) printf("%-24s %10.4f\n", "rmse of ratings", report->rmse);
}

void freshet_report_print_settings(const freshet_report* report, freshet_contender* const* entered) {
  char text[FRESHET_SETTING_SIZE];
  for (size_t c = 1; c < report->count; c++) {
    if (entered[c]->describe == NULL) continue;
    entered[c]->describe(entered[c], text);
    printf("setting of %-13s %s\n", report->names[c], text);
  }
}

void freshet_report_settings_json(const freshet_report* report, freshet_contender* const* entered,
                                  const char* key, json_t* others) {
  char text[FRESHET_SETTING_SIZE];
  for (size_t c = 1; c < report->count; c++) {
    if (entered[c]->describe == NULL) continue;
    entered[c]->describe(entered[c], text);
    json_object_set_new(json_object_get(others, report->names[c]), key, json_string(text));
  }
}

static void print_new_items(const freshet_report* report) {
  named_value values[FRESHET_CONTENDERS_MAX][VALUES_MAX];
  size_t rows = 0;
  char text[40];
  if (report->metrics[0].all.count == 0) {
    printf(
        "no new item was ranked: after the first fifth of the events nobody chooses an item for the first "
        "time "
        "(a rating below model.positive_rating is no choice)\n");
    print_rmse(report);
    return;
  }
  for (size_t c = 0; c < report->count; c++) rows = list_values(&report->metrics[c], values[c]);
  printf("%zu ranked and counted (%zu of cold users, %zu of cold items)\n%-24s", report->metrics[0].all.count,
         report->metrics[0].cold_users.count, report->metrics[0].cold_items.count, "");
  for (size_t c = 0; c < report->count; c++) printf(" %10s", report->names[c]);
  printf("\n");
  for (size_t r = 0; r < rows; r++) {
    printf("%-24s", pretty(values[0][r].name, text));
    for (size_t c = 0; c < report->count; c++) print_value(values[c][r].value);
    printf("\n");
  }
  print_rmse(report);
  freshet_report_print_settings(report, report->entered[0]);
}

size_t freshet_report_ranked(const freshet_report* report) {
  size_t ranked = report->metrics == NULL ? 0 : report->metrics[0].all.count;
  for (int g = 0; report->service != NULL && g < FRESHET_GROUPS; g++)
    ranked += report->service[0].groups[g].sums.count;
  return ranked;
}

static void print_rate(const char* name, const char* unit, uint32_t* ns, size_t count) {
  const times t = summarise(ns, count);
  if (count == 0) {
    printf("%-6s         - %s nothing to time\n", name, unit);
    return;
  }
  printf("%-6s %9.0f %s p50 %.1f us, p99 %.1f us\n", name, (double)count / t.seconds, unit, t.p50_us,
         t.p99_us);
}

void freshet_report_print(const freshet_report* report) {
  const freshet_history* history = report->history;
  freshet_learner* learner = report->learner;
  printf("%zu users, %zu items, %zu events; texts: %s\n", history->user_count, history->item_count,
         history->event_count, history->encoder);
  if (report->metrics != NULL) print_new_items(report);
  if (report->service != NULL) freshet_service_report_print(report);
  printf("\n");
  print_rate("learn", "events/s,", learner->learn_ns, learner->learn_count);
  print_rate("rank", "users/s, ", learner->rank_ns, learner->rank_count);
  printf("state  %016llx, %.1f MB\n", (unsigned long long)freshet_model_hash(learner->model),
         (double)freshet_model_memory(learner->model) / 1e6);
}

static void set_real(json_t* object, const char* name, double value) {
  json_object_set_new(object, name, isfinite(value) ? json_real(value) : json_null());
}

json_t* freshet_metrics_json(const freshet_metrics* metrics) {
  named_value values[VALUES_MAX];
  json_t* object = json_object();
  size_t count = list_values(metrics, values);
  for (size_t i = 0; i < count; i++) set_real(object, values[i].name, values[i].value);
  json_object_set_new(object, "ranked_events", json_integer((json_int_t)metrics->all.count));
  json_object_set_new(object, "cold_user_events", json_integer((json_int_t)metrics->cold_users.count));
  json_object_set_new(object, "cold_item_events", json_integer((json_int_t)metrics->cold_items.count));
  return object;
}

json_t* freshet_report_json(const freshet_report* report) {
  json_t* object = report->metrics == NULL ? json_object() : freshet_metrics_json(&report->metrics[0]);
  times learned = summarise(report->learner->learn_ns, report->learner->learn_count);
  times ranked = summarise(report->learner->rank_ns, report->learner->rank_count);
  char hash[20];
  snprintf(hash, sizeof hash, "%016llx", (unsigned long long)freshet_model_hash(report->learner->model));
  set_real(object, "rmse", report->rmse);
  set_real(object, "events_per_second", (double)report->learner->learn_count / learned.seconds);
  set_real(object, "learn_p50_us", learned.p50_us);
  set_real(object, "learn_p99_us", learned.p99_us);
  set_real(object, "rank_p50_us", ranked.p50_us);
  set_real(object, "rank_p99_us", ranked.p99_us);
  json_object_set_new(object, "state_hash", json_string(hash));
  json_object_set_new(object, "encoder", json_string(report->history->encoder));
  json_object_set_new(object, "seed", json_integer((json_int_t)report->seed));
  json_object_set_new(object, "users", json_integer((json_int_t)report->history->user_count));
  json_object_set_new(object, "known_items", json_integer((json_int_t)report->history->item_count));
  if (report->census != NULL) freshet_census_add_to(report->census, object);
  json_object_set_new(object, "memory_bytes",
                      json_integer((json_int_t)freshet_model_memory(report->learner->model)));
  if (report->metrics != NULL && report->count > 1) {
    json_t* others = json_object();
    for (size_t c = 1; c < report->count; c++) {
      json_object_set_new(others, report->names[c], freshet_metrics_json(&report->metrics[c]));
    }
    freshet_report_settings_json(report, report->entered[0], "setting", others);
    json_object_set_new(object, "baselines", others);
  }
  if (report->service != NULL) freshet_service_report_json(report, object);
  return object;
}

/* ---- explanations ---- */

static const char* title_of(const freshet_history* history, uint32_t slot) {
  const freshet_history_item* it = &history->items[slot];
  return it->title[0] != '\0' ? it->title : it->id;
}

static void print_part(const freshet_history* history, const freshet_part* part) {
  static const char* const words[] = {
      [FRESHET_REASON_TASTE] = "your taste",    [FRESHET_REASON_FOLLOWS] = "often comes after",
      [FRESHET_REASON_TOGETHER] = "goes with",  [FRESHET_REASON_TEXT] = "reads like",
      [FRESHET_REASON_POPULAR] = "popular now", [FRESHET_REASON_QUALITY] = "liked in general",
      [FRESHET_REASON_OTHER] = "other",         [FRESHET_REASON_RULE] = "a rule",
      [FRESHET_REASON_CONTEXT] = "the request", [FRESHET_REASON_AGAIN] = "chosen before",
      [FRESHET_REASON_SHOWN] = "shown before",
  };
  printf("      %+6.3f  %s", (double)part->score, words[part->kind]);
  if (part->item != FRESHET_NO_ITEM) printf(" \"%s\"", title_of(history, part->item));
  printf("\n");
}

/* The list that is served: rules, variety and hidden items as freshet_learner_make_lists has set them. */
static size_t list_served(freshet_learner* learner, uint32_t user, int64_t now_ms, freshet_rank_query* query,
                          uint32_t list[FRESHET_LIST_SIZE]) {
  bool* has = calloc(learner->history->item_count + 1, sizeof *has);
  FRESHET_ASSERT(has != NULL);
  query->excluded_count =
      freshet_learner_hidden(learner, learner->making.rules, user, now_ms, &query->excluded);
  for (size_t i = 0; i < query->excluded_count; i++) has[query->excluded[i]] = true;
  const size_t count = freshet_learner_list(learner, query, has, list);
  free(has);
  return count;
}

/* The best new items, by score alone. */
static size_t list_new_items(freshet_learner* learner, const freshet_user* known, freshet_rank_query* query,
                             uint32_t list[FRESHET_LIST_SIZE]) {
  freshet_ranked ranked[FRESHET_LIST_SIZE];
  size_t count = 0;
  query->k = FRESHET_LIST_SIZE;
  query->excluded = known->seen;
  query->excluded_count = known->seen_count;
  if (freshet_rank(learner->ranker, query, 1, ranked, FRESHET_LIST_SIZE, &count, learner->rank_scratch,
                   NULL) != FRESHET_OK)
    return 0;
  for (size_t i = 0; i < count; i++) list[i] = ranked[i].item;
  return count;
}

static void print_place(freshet_learner* learner, const freshet_user* known, int64_t now_ms,
                        const freshet_rank_query* query, size_t place, uint32_t item) {
  enum { PARTS_SHOWN = 6 };
  freshet_part parts[FRESHET_PARTS_MAX];
  const size_t count = freshet_model_explain(learner->model, known, now_ms, item, learner->scratch, parts);
  double rest = 0;
  printf("  %2zu. %-50s %7.3f\n", place, title_of(learner->history, item),
         (double)freshet_model_score(learner->model, query, item));
  for (size_t p = 0; p < count && p < PARTS_SHOWN; p++) print_part(learner->history, &parts[p]);
  for (size_t p = PARTS_SHOWN; p < count; p++) rest += (double)parts[p].score;
  if (count > PARTS_SHOWN) printf("      %+6.3f  %zu smaller parts\n", rest, count - PARTS_SHOWN);
}

freshet_status freshet_report_explain(freshet_learner* learner, const char* user, freshet_error* error) {
  const freshet_history* history = learner->history;
  const bool is_served = learner->making.rules != NULL;
  uint32_t list[FRESHET_LIST_SIZE], number = freshet_history_find_user(history, freshet_slice_of(user));
  if (number == UINT32_MAX) {
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "there is no user '%s' in the events",
                             user);
  }
  const freshet_user* known = freshet_learner_user(learner, number);
  const int64_t now_ms = known->recent_count > 0 ? known->recent[0].time_ms : 0;
  freshet_rank_query query = {0};
  freshet_model_sync_ranker(learner->model, learner->ranker, NULL);
  freshet_model_query(learner->model, known, now_ms, learner->scratch, &query);
  printf("\nfor user %s, who last chose", user);
  for (uint32_t k = 0; k < known->recent_count && k < 3; k++) {
    printf("%s \"%s\"", k == 0 ? "" : ",", title_of(history, known->recent[k].item));
  }
  if (is_served) {
    printf(", the list that is served (rules act, ranking.diversity = %g):\n",
           (double)learner->making.diversity);
  } else {
    printf(", the best new items by score (--protocol new-items: no rules, no variety):\n");
  }
  const size_t count = is_served ? list_served(learner, number, now_ms, &query, list)
                                 : list_new_items(learner, known, &query, list);
  for (size_t i = 0; i < count; i++) print_place(learner, known, now_ms, &query, i + 1, list[i]);
  return FRESHET_OK;
}
