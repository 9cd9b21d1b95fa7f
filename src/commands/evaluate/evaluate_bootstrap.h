/*
 * evaluate_bootstrap.h: sums of places, and how far chance may have moved them.
 *
 * Owns the replicates of a Poisson bootstrap over users (Hanley and MacGibbon, 2006): in replicate b each user
 * counts w(user, b) times, w drawn from Poisson(1). A user's events go together, since they are not
 * independent. The weights depend on the user and b only, so two contenders of one pass can be compared
 * replicate by replicate. It must not know what is ranked or why.
 */
#ifndef FRESHET_COMMANDS_EVALUATE_BOOTSTRAP_H
#define FRESHET_COMMANDS_EVALUATE_BOOTSTRAP_H

#include "commands/evaluate/evaluate_metrics.h"

enum { FRESHET_REPLICATES = 200 };

typedef enum freshet_measure { FRESHET_RECALL, FRESHET_NDCG, FRESHET_MRR, FRESHET_MEASURES } freshet_measure;
/* "recall_at_10", ... by measure. */
extern const char* const freshet_measure_names[FRESHET_MEASURES];

typedef struct freshet_boot {
  freshet_place_sums sums;
  float counts[FRESHET_REPLICATES];
  float gains[FRESHET_MEASURES][FRESHET_REPLICATES];
} freshet_boot;

/* How often a user counts in each replicate. */
typedef struct freshet_boot_weights {
  uint8_t times[FRESHET_REPLICATES];
} freshet_boot_weights;

typedef struct freshet_interval {
  double low, high; /* 95 %; NAN without events */
} freshet_interval;

void freshet_boot_draw(uint32_t user, freshet_boot_weights* weights);
/* rank: from 0; 10 or more is a miss. */
void freshet_boot_add(freshet_boot* boot, const freshet_boot_weights* weights, double rank);
/* The mean over all events; NAN without any. */
double freshet_boot_mean(const freshet_boot* boot, freshet_measure measure);
freshet_interval freshet_boot_interval(const freshet_boot* boot, freshet_measure measure);
/* Of a's mean less b's, both over the same events. */
freshet_interval freshet_boot_difference(const freshet_boot* a, const freshet_boot* b,
                                         freshet_measure measure);

#endif
