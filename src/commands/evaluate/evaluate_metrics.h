/*
 * evaluate_metrics.h: what is counted about one contender.
 *
 * rank = number of better items + half of the equal ones, from 0, among all items that the user does not
 * have; a score that is not a number is a miss. With one right item per ranking: recall@10 = [rank < 10],
 * precision = recall / 10, ndcg = 1 / log2(rank + 2), mrr = 1 / (rank + 1), both 0 from rank 10 on.
 */
#ifndef FRESHET_COMMANDS_EVALUATE_METRICS_H
#define FRESHET_COMMANDS_EVALUATE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRESHET_LIST_SIZE = 10, FRESHET_WINDOWS = 50 };

typedef struct freshet_place_sums {
  size_t count;
  double recall, ndcg, mrr; /* sums */
} freshet_place_sums;

/* rank: from 0; FRESHET_LIST_SIZE or more, or NAN, is a miss. */
void freshet_place_sums_add(freshet_place_sums* sums, double rank);

typedef struct freshet_metrics {
  freshet_place_sums all, cold_users, cold_items;
  double auc, accuracy; /* sums over `all` */
  double threshold;     /* of accuracy: a running mean of the midpoints between the two scores */
  size_t threshold_count;
  uint64_t* covered; /* bitmap of the items that stood in a list */
  size_t items;
  freshet_place_sums windows[FRESHET_WINDOWS]; /* over time, all events */
} freshet_metrics;

freshet_metrics freshet_metrics_make(size_t items);
void freshet_metrics_free(freshet_metrics* metrics);

/* One ranking: who is asked for what. */
typedef struct freshet_trial {
  uint32_t item;       /* the right one */
  uint32_t negative;   /* a sampled one */
  const bool* has;     /* [items] what the user has already */
  const uint32_t* own; /* [own_count] the same as a list */
  size_t own_count;
  bool counted; /* within the last part of the events */
  bool cold_user, cold_item;
  double time_share; /* 0 to 1: where in the events it stands */
} freshet_trial;

/* What a contender makes of it. */
typedef struct freshet_placing {
  double rank;                      /* of the right item; INFINITY: not among the first FRESHET_LIST_SIZE */
  float right, wrong;               /* scores of the right item and of the sampled one */
  uint32_t list[FRESHET_LIST_SIZE]; /* [listed] the best items, which the user would have been shown */
  size_t listed;
} freshet_placing;

/* From scores [items] of all items. */
freshet_placing freshet_placing_of(const freshet_trial* trial, const float* scores, size_t items);
void freshet_metrics_add(freshet_metrics* metrics, const freshet_trial* trial,
                         const freshet_placing* placing);

double freshet_metrics_coverage(const freshet_metrics* metrics);

#endif
