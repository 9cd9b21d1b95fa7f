/*
 * model_blend.h: the features of a score, and the places of the blend weights that weigh them. All weights are one
 * array, so that a step, a delta and a fold are each one loop. It owns nothing; model_score.c has the formulas.
 */
#ifndef FRESHET_CORE_MODEL_BLEND_H
#define FRESHET_CORE_MODEL_BLEND_H

#include "core/model_kernels.h"
#include "freshet/model.h"

/* The features of a score, in the order of the blend weights th and the columns of tb. */
enum feature {
  FOLLOWS,      /* f0: what followed a recent item */
  TOGETHER_NOW, /* f2: chosen together with an item of this session */
  TOGETHER_BEFORE /* f3: ... with an older one */,
  SIMILAR_TEXT,                     /* f4 */
  POPULAR,                          /* f5a, f5b, f5c: FRESHET_SPEEDS columns */
  TASTE = POPULAR + FRESHET_SPEEDS, /* f6 */
  FEATURES,
  BONUS_FEATURES = POPULAR, /* the features that only neighbours have: FRESHET_SUMS */
  AGREED = FEATURES,        /* chosen together with several items of this session: model_sessions.c */
  ALL_FEATURES,
};

/* The blend weights: one array, so that a step, a delta and a fold are each one loop. */
enum {
  GAP_BUCKETS = 7,
  USER_LEVELS = 7,
  COUNT_LEVELS = 10,
  STAGES = 12,                       /* see stage_of in model_score.c */
  AGREED_STAGES = 10,                /* of these, those with items of a session, and more than there are */
  TH = 0,                            /* [FEATURES] */
  TB = TH + FEATURES,                /* [USER_LEVELS][FEATURES] */
  PSI = TB + USER_LEVELS * FEATURES, /* [COUNT_LEVELS] */
  TAU = PSI + COUNT_LEVELS,          /* [COUNT_LEVELS] */
  LP = TAU + COUNT_LEVELS,           /* [FRESHET_HISTORY] */
  LG = LP + FRESHET_HISTORY,         /* [GAP_BUCKETS] */
  TS = LG + GAP_BUCKETS,             /* [STAGES][FEATURES] */
  LIKE = TS + STAGES * FEATURES,     /* [LIKE_WEIGHTS] what is added to the starts of model_liking.c */
  LIKE_ODDS = 0,                     /* w0 */
  LIKE_DISLIKED,                     /* w1 */
  LIKE_START,                        /* w2 */
  LIKE_WEIGHTS,
  AGAIN = LIKE + LIKE_WEIGHTS, /* of habits, by trait: model_habits.c */
  AGAIN_COUNTS = 10,           /* choices */
  AGAIN_GAPS = 28,             /* time since the newest, by factors of two */
  AGAIN_GAP_SOON = 14,         /* ... about five hours */
  AGAIN_RATIOS = 16,           /* ... over the time that is usual */
  AGAIN_SINCES = 12,           /* choices of the user since then */
  AGAIN_SHARES = 10,           /* share of the user's visits */
  AGAIN_AFTERS = 3,            /* whether it came after the same item */
  AGAIN_HOURS = 18,            /* whether it is the hour of the day for it */
  AGAIN_HABIT = AGAIN,         /* the item's own habit */
  AGAIN_COUNT,
  AGAIN_GAP = AGAIN_COUNT + AGAIN_COUNTS,
  AGAIN_RATIO = AGAIN_GAP + AGAIN_GAPS,
  AGAIN_SINCE = AGAIN_RATIO + AGAIN_RATIOS,
  AGAIN_SHARE = AGAIN_SINCE + AGAIN_SINCES,
  AGAIN_AFTER = AGAIN_SHARE + AGAIN_SHARES,
  AGAIN_HOUR = AGAIN_AFTER + AGAIN_AFTERS,
  AGAIN_END = AGAIN_HOUR + AGAIN_HOURS,
  AGAIN_PADDED = (AGAIN_END + 15) / 16 * 16,
  WORTH = AGAIN_PADDED, /* of events, by how the item was chosen: model_worth.c, which steps them itself */
  WORTH_TYPES = 3,
  WORTH_DWELLS = 3,
  WORTH_PIECES = 2,
  WORTH_PRICES = 3,
  WORTH_TYPE = WORTH,
  WORTH_DWELL = WORTH_TYPE + WORTH_TYPES,
  WORTH_PIECE = WORTH_DWELL + WORTH_DWELLS,
  WORTH_PRICE = WORTH_PIECE + WORTH_PIECES,
  WORTH_USUAL_PRICE = WORTH_PRICE + WORTH_PRICES, /* no weight: the mean code of prices; 0: there was none */
  WORTH_END = WORTH_USUAL_PRICE + 1,
  AGREED_STAGE =
      (WORTH_END + 15) / 16 * 16, /* [AGREED_STAGES] of AGREED, by the stage; 0 in state of older versions */
  ORDER = AGREED_STAGE + AGREED_STAGES, /* no weight: how far the order of choices repeats, -.5 to .5 */
  GOES_ON = ORDER + 1,                  /* no weight: the share of choices that go on with a session */
  ORDER_BETWEEN = GOES_ON + 1,          /* ORDER, from one session to the next */
  DOUBT = ORDER_BETWEEN + 1,            /* of small counts of pairs, less 1: model_doubt.c */
  CHANCE = DOUBT + 1,                   /* of what chance brings to these counts */
  PAIR_GAIN = CHANCE + 1, /* no weight: the mean of what a step adds to the counts cs of a list */
  SHOWN = (PAIR_GAIN + 1 + 15) / 16 *
          16,       /* of what was shown without a choice, added to the starts of model_shown.c */
  SHOWN_GAPS = 4,   /* ... by the time since then */
  SHOWN_PLACES = 8, /* how far an item is looked at, by places of a list after the first one */
  SHOWN_PLACE = SHOWN + SHOWN_GAPS,
  SHOWN_SCALE = SHOWN_PLACE + SHOWN_PLACES, /* how far scores tell which item of a list is chosen */
  SHOWN_END = SHOWN_SCALE + 1,
  FAVOUR = SHOWN_END,              /* of what is chosen often, among what goes together: model_favour.c */
  CHOSEN_ROOT = FAVOUR + 1,        /* no weight: the mean of 1 / sqrt(N + 1) of what is chosen */
  BLEND_WEIGHTS = CHOSEN_ROOT + 1, /* new ones come last: state of older versions ends earlier */
  BLEND_PADDED = (BLEND_WEIGHTS + 15) / 16 * 16,
  BLEND_NEW_PADDED = (AGAIN + 15) / 16 * 16, /* without the weights of habits */
};
#define FRESHET_BLEND_SQUARES_START .01

#endif
