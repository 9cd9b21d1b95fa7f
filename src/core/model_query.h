/*
 * model_query.h: what the queries of users (model_score.c) and of nobody (model_similar.c) share: the columns of a row,
 * the scratch of a query, and its last steps. Seen by these files
 * and model_explain.c only.
 */
#ifndef FRESHET_CORE_MODEL_QUERY_H
#define FRESHET_CORE_MODEL_QUERY_H

#include "core/model_bonus.h"
#include "core/model_internal.h"

/* See model.h. */
struct freshet_model_scratch {
  context context;
  float* factor;            /* h [dim] */
  float* opinion;           /* [dim] */
  float* vector;            /* [row_dim] the query: explanations read its columns too */
  const freshet_user* user; /* for whom the query is, NULL: nobody */
  int64_t now_ms;           /* its time */
  bonuses bonuses;
  gathering* gathering; /* `own`, or that of another scratch */
  gathering own;
};

/* Columns of a row behind the factors v. */
enum {
  COLUMN_BIAS,
  COLUMN_POPULAR,
  COLUMN_LEVEL = COLUMN_POPULAR + HALF_LIVES, /* one of COUNT_LEVELS is 1 */
  COLUMN_LIKING = COLUMN_LEVEL + COUNT_LEVELS,
  COLUMNS,
  COLUMNS_PADDED = (COLUMNS + 15) / 16 * 16,
};
/* The context and the dense part of a user's score. */
void freshet_model_set_vector(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                              freshet_model_scratch* scratch);
/* The weight of the context factor of an item chosen just now, times the text's own. */
float freshet_model_wanted_weight(const freshet_model* model, const freshet_wanted_text* text);
/* What the text adds to the score of its match. */
float freshet_model_wanted_bonus(const freshet_model* model, const freshet_wanted_text* text,
                                 const context* c, uint32_t match);
/* Completes a query whose context and vector are in the scratch: adds the text, and makes the bonus. Nothing is
 * excluded. */
void freshet_model_finish_query(const freshet_model* model, const freshet_wanted_text* text,
                                freshet_model_scratch* scratch, freshet_rank_query* query);
/* Weights of features for the level and the stage of the context, which reads items and gaps. */
void freshet_model_set_thetas(const freshet_model* model, uint32_t positives, context* c);

#endif
