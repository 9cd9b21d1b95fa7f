/*
 * model_passed.h: items that users were shown and did not choose, for the other files of the model: what it takes from a score,
 * and how it takes part in a step of learning. Private to the model. model_shown.c has the formulas.
 */
#ifndef FRESHET_CORE_MODEL_PASSED_H
#define FRESHET_CORE_MODEL_PASSED_H

#include "freshet/model.h"

typedef struct candidates candidates; /* model_internal.h */

/* Candidates of a step among what the user was shown: so many of the showings that are open, and of the others. */
enum { FRESHET_SHOWN_DRAWS_EACH = 8, FRESHET_SHOWN_DRAWS = 2 * FRESHET_SHOWN_DRAWS_EACH };

/* One item that the user was shown. */
typedef struct met_shown {
  uint32_t item;
  uint32_t candidate;
  bool is_open; /* it may still be chosen from the list in which it was shown */
  uint8_t place;
  uint8_t gap;  /* which of the weights counts */
  float score;  /* without its passes */
  float passes; /* the feature: log(1 + how often it was passed over) */
  float pull;   /* the gradient of its logit, by which the weights learn */
} met_shown;

/* The showings of a step. */
typedef struct shown_set {
  uint32_t count;
  float chances[2]; /* of a draw, by is_open; times the number of items */
  met_shown met[FRESHET_SHOWN_MAX];
} shown_set;

void freshet_model_init_shown(freshet_model* model);
/* The item got an answer: it is no longer passed over. */
void freshet_user_drop_shown(freshet_user* user, uint32_t slot);
/* items, scores [user->shown_count]: what is added to the score of each item that the user was shown, at most 0. */
void freshet_model_shown_scores(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                                uint32_t* items, float* scores);
/* The same for one item; 0 when it was not shown. */
float freshet_model_shown_part(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                               uint32_t slot);
/* How far an item is looked at, compared with the first place: 0 .. 1, by SHOWN_PLACES + 1 groups of places. */
void freshet_model_shown_examined(const freshet_model* model, float* examined);
/* The weight by the time since then. */
float freshet_model_shown_weight(const freshet_model* model, int gap);

/* ---- a step of learning, in this order ---- */

/* Some of the items that the user was shown as candidates. Returns how many. used: candidates beside the negatives. */
uint32_t freshet_model_draw_shown(const freshet_model* model, const freshet_user* user, int64_t time_ms,
                                  uint32_t used, uint32_t slots[FRESHET_SHOWN_DRAWS], candidates* s);
/* Finds them among the candidates, while these are marked. */
void freshet_model_meet_shown(const freshet_model* model, candidates* s);
/* Takes the passes from the logits: call it when the features are set. */
void freshet_model_apply_shown(const freshet_model* model, candidates* s);
/* If the chosen item was shown: compares it with the items that were shown beside it. Call it when s->gradients holds the logits. */
void freshet_model_compare_shown(const freshet_model* model, candidates* s);
void freshet_model_shown_gradient(freshet_model* model, candidates* s);

#endif
