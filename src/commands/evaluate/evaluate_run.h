/*
 * evaluate_run.h: test, then learn, over a stretch of a history: the protocol of `freshet evaluate`, for all
 * contenders at once.
 */
#ifndef FRESHET_COMMANDS_EVALUATE_RUN_H
#define FRESHET_COMMANDS_EVALUATE_RUN_H

#include "commands/evaluate/evaluate_metrics.h"
#include "commands/evaluate/evaluate_models.h"

typedef struct freshet_pass {
  const freshet_history* history;
  freshet_contender* const* contenders; /* [contender_count] */
  freshet_metrics* metrics;             /* [contender_count] */
  size_t contender_count;
  freshet_learner* learner; /* whose scores help to predict ratings, and who freezes; or NULL */
  size_t to;                /* events [0, to) are learned */
  size_t rank_from;         /* earlier ones are learned without being ranked */
  bool freeze;              /* from rank_from on the learner only advances its histories */
  double skipped_share;     /* of the ranked ones, this share is not counted at first */
  uint64_t seed;            /* of the sampled negatives */
  const char* label;        /* of the progress bar; NULL: none */
} freshet_pass;

typedef struct freshet_pass_result {
  double rmse; /* of the ratings in the part that counts; NAN when there are none */
} freshet_pass_result;

freshet_pass_result freshet_pass_run(const freshet_pass* pass);

/* An item counts as cold before it has this many positives, a user too. */
enum { FRESHET_COLD = 5 };

#endif
