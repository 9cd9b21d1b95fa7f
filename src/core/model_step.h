/*
 * model_step.h: what a step of learning or a query works with: the user's recent items, the text that is asked for, the
 * candidates of a step. It owns nothing, and must not know the model.
 */
#ifndef FRESHET_CORE_MODEL_STEP_H
#define FRESHET_CORE_MODEL_STEP_H

#include "core/model_again.h"
#include "core/model_blend.h"
#include "core/model_kernels.h"
#include "core/model_passed.h"
#include "freshet/model.h"

/* A user's recent items as a query or a step sees them. Arrays are padded for the kernels. */
typedef struct context {
  uint32_t user_level; /* L(n) */
  uint32_t stage;      /* S: of the session */
  uint32_t count;
  uint32_t items[FRESHET_HISTORY]; /* newest first */
  uint32_t place[FRESHET_HISTORY]; /* how many chosen items are newer: disliked ones push nothing back */
  uint32_t bucket[FRESHET_HISTORY];
  bool same_session[FRESHET_HISTORY];
  uint32_t session;                /* how many of the newest items are of this session */
  float disliked[FRESHET_HISTORY]; /* 0: chosen; up to 1: how much it was disliked */
  uint32_t signals[FRESHET_HISTORY];
  bool is_weighed;               /* some of the items were chosen in another way than others */
  float worth[FRESHET_HISTORY];  /* if so: what they weigh, by signal, with a mean of 1 */
  float weight[FRESHET_HISTORY]; /* w_k: of the context factor m_k */
  float feature_weight[FRESHET_HISTORY][BONUS_FEATURES]; /* a_k, normalised, over its counts */
  float agreed[FRESHET_HISTORY];                         /* of the root of cs, in AGREED */
  freshet_doubt doubts[FRESHET_HISTORY];                 /* of counts of together */
  float theta[ALL_FEATURES];
  bool rests[FEATURES]; /* the sum of its blend weights is so far below the bound that it falls no further */
  float psi[COUNT_LEVELS];
  float text_theta[COUNT_LEVELS]; /* max(0, theta4 + tau[B]) */
  bool is_similar; /* the items are no history: the list is to be like them (model_similar.c) */
  float audience[FRESHET_HISTORY]; /* if is_similar: of v_k in the query */
} context;

enum { CANDIDATES_PADDED = 256 };

/* See model.h. */
struct freshet_wanted_text {
  uint32_t count; /* of matches */
  _Alignas(64) uint32_t items[FRESHET_TEXT_MATCHES];
  _Alignas(64) float likeness[FRESHET_TEXT_MATCHES]; /* cosines */
  _Alignas(64) float bonus[FRESHET_TEXT_MATCHES];    /* what the feature f4 is for each */
  float weight;
  float* start;      /* z [dim] */
  float* unit;       /* [text_padded] */
  int8_t* bytes;     /* [text_padded] */
  uint32_t capacity; /* slots */
  int32_t* dots;     /* [capacity] */
};

/* Scratch of one learning step; the positive is candidate 0. Rows along the candidates, so that the kernels
 * run along them; behind the last candidate they are 0 up to whole lanes. */
typedef struct candidates {
  uint32_t count;
  uint32_t negatives; /* draws, without those of habits and rivals */
  size_t padded;      /* to whole lanes */
  uint32_t items[CANDIDATES_PADDED];
  uint8_t level[CANDIDATES_PADDED];                              /* B(N) */
  _Alignas(64) float times[CANDIDATES_PADDED];                   /* how often it was drawn */
  _Alignas(64) float sums[1 + CANDIDATES_PADDED][FRESHET_SUMS];  /* by mark: see scan */
  _Alignas(64) float agreed[1 + CANDIDATES_PADDED];              /* the same */
  _Alignas(64) float taken[1 + CANDIDATES_PADDED][FRESHET_SUMS]; /* the same */
  _Alignas(64) float favoured[CANDIDATES_PADDED];                /* slopes of the sum of TOGETHER_BEFORE */
  _Alignas(64) float features[ALL_FEATURES * CANDIDATES_PADDED]; /* [ALL_FEATURES][padded] */
  _Alignas(64) float log_q[CANDIDATES_PADDED];
  _Alignas(64) float chances[CANDIDATES_PADDED];       /* what a draw of habits or rivals adds to q */
  _Alignas(64) float starts[CANDIDATES_PADDED];        /* psi, and what has no feature */
  _Alignas(64) float text_thetas[CANDIDATES_PADDED];   /* of SIMILAR_TEXT */
  _Alignas(64) float gradients[2 * CANDIDATES_PADDED]; /* [2][padded] g of the blend, g' of taste alone */
  _Alignas(64) float steps[CANDIDATES_PADDED];         /* of the factors */
  /* -- from the items -- */
  _Alignas(64) float counts[CANDIDATES_PADDED]; /* N */
  _Alignas(64) float ages[CANDIDATES_PADDED];   /* events since it was chosen */
  _Alignas(64) double bias[CANDIDATES_PADDED];
  _Alignas(64) double factor_squares[CANDIDATES_PADDED];
  _Alignas(64) double bias_squares[CANDIDATES_PADDED];
  /* -- those that the user has chosen before -- */
  uint32_t habit_count;
  met_habit habits[CANDIDATES_PADDED];
  /* -- those that the user was shown: model_shown.c -- */
  shown_set shown;
} candidates;

#endif
