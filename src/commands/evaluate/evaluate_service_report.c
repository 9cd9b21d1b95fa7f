/*
 * evaluate_service_report.c: the figures of the service's protocol, as a table and as JSON.
 *
 * Owns their names and their layout. It must not count anything itself.
 */
#include <math.h>
#include <stdio.h>

#include "commands/evaluate/evaluate.h"

static const char* const group_titles[FRESHET_GROUPS] = {"new to the user", "chosen again",
                                                         "all that is chosen", "disliked (lower is better)"};

/* ---- for people ---- */

static void print_measure(const freshet_report* report, int group, freshet_measure measure,
                          const char* name) {
  printf("  %-22s", name);
  for (size_t c = 0; c < report->count; c++)
    printf(" %10.4f", freshet_boot_mean(&report->service[c].groups[group], measure));
  printf("\n");
}

/* A difference is one when the interval of the difference leaves out 0. */
static const char* verdict(const freshet_boot* own, const freshet_boot* other) {
  freshet_interval difference = freshet_boot_difference(own, other, FRESHET_RECALL);
  if (isnan(difference.low)) return "-";
  return difference.low > 0 ? "higher" : difference.high < 0 ? "lower" : "same";
}

static void print_group(const freshet_report* report, int group) {
  const freshet_boot* own = &report->service[0].groups[group];
  freshet_interval interval = freshet_boot_interval(own, FRESHET_RECALL);
  if (own->sums.count == 0) return;
  printf("%s: %zu lists\n", group_titles[group], own->sums.count);
  print_measure(report, group, FRESHET_RECALL, "recall@10");
  print_measure(report, group, FRESHET_NDCG, "ndcg@10");
  print_measure(report, group, FRESHET_MRR, "mrr@10");
  printf("  %-22s %.4f to %.4f\n", "recall, 95 % interval", interval.low, interval.high);
  if (report->count == 1) return;
  printf("  %-22s %10s", "freshet's recall is", "");
  for (size_t c = 1; c < report->count; c++) printf(" %10s", verdict(own, &report->service[c].groups[group]));
  printf("\n");
}

/* A part is beside all that is chosen: its users count alike in both. */
static void print_part(const freshet_report* report, int segment, int part) {
  const freshet_boot *own = &report->service[0].segments[segment][part],
                     *all = &report->service[0].groups[FRESHET_GROUP_ALL];
  const freshet_interval interval = freshet_boot_interval(own, FRESHET_RECALL);
  if (own->sums.count == 0) return;
  printf("  %-22s", freshet_segment_parts[segment][part]);
  for (size_t c = 0; c < report->count; c++)
    printf(" %10.4f", freshet_boot_mean(&report->service[c].segments[segment][part], FRESHET_RECALL));
  printf("  %.4f to %.4f, %s; %zu lists\n", interval.low, interval.high, verdict(own, all), own->sums.count);
  if (report->count == 1) return;
  printf("  %-22s %10s", "  freshet's recall is", "");
  for (size_t c = 1; c < report->count; c++)
    printf(" %10s", verdict(own, &report->service[c].segments[segment][part]));
  printf("\n");
}

static void print_segment(const freshet_report* report, int segment) {
  printf("recall@10 by %s, its 95 %% interval, and what it is beside all that is chosen\n",
         freshet_segment_names[segment]);
  for (int p = 0; p < FRESHET_SEGMENT_PARTS; p++) print_part(report, segment, p);
}

void freshet_service_report_print(const freshet_report* report) {
  printf("\nby the service's protocol: all events are learned, rules and ranking.diversity act\n%-24s", "");
  for (size_t c = 0; c < report->count; c++) printf(" %10s", report->names[c]);
  printf("\n");
  for (int g = 0; g < FRESHET_GROUPS; g++) print_group(report, g);
  if (report->service[0].not_on_offer > 0)
    printf("%zu choices are misses: by its record the item was not on offer then\n",
           report->service[0].not_on_offer);
  if (report->service[0].groups[FRESHET_GROUP_DISLIKED].sums.count > 0)
    printf("%-24s %10.4f\n", "disliked in list", freshet_service_disliked_in_list(&report->service[0]));
  if (report->service[0].likeness_count > 0)
    printf("%-24s %10.4f (of two items at random: %.4f)\n", "likeness within a list",
           freshet_service_list_similarity(&report->service[0]), freshet_history_likeness(report->history));
  if (report->service[0].groups[FRESHET_GROUP_ALL].sums.count == 0) {
    printf(
        "no choice was ranked: the events after the first fifth are dislikes, or what is no choice (a rating "
        "below "
        "model.positive_rating)\n");
    return;
  }
  for (int g = 0; g < FRESHET_SEGMENTS; g++) print_segment(report, g);
  freshet_report_print_settings(report, report->entered[1]);
}

/* ---- for programs ---- */

static void set_real(json_t* object, const char* name, double value) {
  json_object_set_new(object, name, isfinite(value) ? json_real(value) : json_null());
}

static void set_interval(json_t* object, const char* name, freshet_interval interval) {
  json_t* pair = json_array();
  json_array_append_new(pair, isfinite(interval.low) ? json_real(interval.low) : json_null());
  json_array_append_new(pair, isfinite(interval.high) ? json_real(interval.high) : json_null());
  json_object_set_new(object, name, pair);
}

static void set_groups(json_t* object, const freshet_service_metrics* metrics) {
  char name[64];
  for (int g = 0; g < FRESHET_GROUPS; g++) {
    const freshet_boot* boot = &metrics->groups[g];
    const char* prefix = freshet_group_prefixes[g];
    for (int m = 0; m < FRESHET_MEASURES; m++) {
      snprintf(name, sizeof name, "%s%s", prefix, freshet_measure_names[m]);
      set_real(object, name, freshet_boot_mean(boot, (freshet_measure)m));
      snprintf(name, sizeof name, "%s%s_interval", prefix, freshet_measure_names[m]);
      set_interval(object, name, freshet_boot_interval(boot, (freshet_measure)m));
    }
    snprintf(name, sizeof name, "%sevents", prefix);
    json_object_set_new(object, name, json_integer((json_int_t)boot->sums.count));
  }
  set_real(object, "disliked_in_list", freshet_service_disliked_in_list(metrics));
}

/* other: whose figures are compared with; NULL: the learner's own, with those of all that is chosen. */
static json_t* part_json(const freshet_boot* own, const freshet_boot* all, const freshet_boot* other) {
  char name[64];
  json_t* part = json_object();
  const freshet_boot* shown = other == NULL ? own : other;
  for (int m = 0; m < FRESHET_MEASURES; m++) {
    const freshet_measure measure = (freshet_measure)m;
    const char* more = other == NULL ? "more_than_all" : "freshet_more";
    set_real(part, freshet_measure_names[m], freshet_boot_mean(shown, measure));
    snprintf(name, sizeof name, "%s_interval", freshet_measure_names[m]);
    set_interval(part, name, freshet_boot_interval(shown, measure));
    snprintf(name, sizeof name, "%s_%s", freshet_measure_names[m], more);
    set_interval(part, name, freshet_boot_difference(own, other == NULL ? all : other, measure));
  }
  json_object_set_new(part, "events", json_integer((json_int_t)own->sums.count));
  return part;
}

static json_t* segments_json(const freshet_service_metrics* own, const freshet_service_metrics* other) {
  json_t* all = json_object();
  for (int s = 0; s < FRESHET_SEGMENTS; s++) {
    json_t* segment = json_object();
    for (int p = 0; p < FRESHET_SEGMENT_PARTS; p++) {
      json_object_set_new(segment, freshet_segment_parts[s][p],
                          part_json(&own->segments[s][p], &own->groups[FRESHET_GROUP_ALL],
                                    other == NULL ? NULL : &other->segments[s][p]));
    }
    json_object_set_new(all, freshet_segment_names[s], segment);
  }
  return all;
}

/* What the learner's figures are more than the baseline's, as intervals. */
static void set_differences(json_t* object, const freshet_service_metrics* own,
                            const freshet_service_metrics* other) {
  char name[64];
  for (int g = 0; g < FRESHET_GROUPS; g++) {
    for (int m = 0; m < FRESHET_MEASURES; m++) {
      snprintf(name, sizeof name, "%s%s_freshet_more", freshet_group_prefixes[g], freshet_measure_names[m]);
      set_interval(object, name,
                   freshet_boot_difference(&own->groups[g], &other->groups[g], (freshet_measure)m));
    }
  }
}

void freshet_service_report_json(const freshet_report* report, json_t* object) {
  set_groups(object, &report->service[0]);
  json_object_set_new(object, "not_on_offer", json_integer((json_int_t)report->service[0].not_on_offer));
  set_real(object, "list_similarity", freshet_service_list_similarity(&report->service[0]));
  set_real(object, "random_similarity", freshet_history_likeness(report->history));
  json_object_set_new(object, "segments", segments_json(&report->service[0], NULL));
  if (report->count == 1) return;
  json_t* others = json_object_get(object, "baselines");
  if (others == NULL) json_object_set_new(object, "baselines", others = json_object());
  for (size_t c = 1; c < report->count; c++) {
    json_t* other = json_object_get(others, report->names[c]);
    if (other == NULL) json_object_set_new(others, report->names[c], other = json_object());
    set_groups(other, &report->service[c]);
    set_differences(other, &report->service[0], &report->service[c]);
    json_object_set_new(other, "segments", segments_json(&report->service[0], &report->service[c]));
  }
  freshet_report_settings_json(report, report->entered[1], "service_setting", others);
}
