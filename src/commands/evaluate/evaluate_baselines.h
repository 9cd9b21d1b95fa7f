/*
 * evaluate_baselines.h: what the files of the baselines share.
 *
 * Owns the popularity that stands behind neighbour methods, and how each method is made with one setting. A
 * setting is a number from 0; freshet_baseline_create tries them all on the first part of the events. It must
 * not know the model.
 */
#ifndef FRESHET_COMMANDS_EVALUATE_BASELINES_H
#define FRESHET_COMMANDS_EVALUATE_BASELINES_H

#include "commands/evaluate/evaluate_models.h"

/* zeroed [count]; never NULL; free() */
void* freshet_baseline_array(size_t count, size_t size);

/* Counts of items that halve every `half_life` events. */
typedef struct freshet_popular_counts {
  size_t items;
  double* counts; /* [items] */
  double weight;  /* of the next event: it grows, instead of all counts shrinking */
  double growth;
} freshet_popular_counts;

freshet_popular_counts freshet_popular_counts_make(size_t items, double half_life);
void freshet_popular_counts_add(freshet_popular_counts* popular, uint32_t item);
void freshet_popular_counts_free(freshet_popular_counts* popular);
/* Gives items that have no score one by popularity, below every positive score. */
void freshet_popular_counts_stand_in(const freshet_popular_counts* popular, float* scores);

/* How many settings a method has, and one of them. The history must outlive it. */
typedef struct freshet_method {
  const char* name;
  size_t settings;
  freshet_contender* (*create)(const freshet_history* history, size_t setting, uint64_t seed);
  void (*describe)(size_t setting, char text[FRESHET_SETTING_SIZE]); /* in words */
} freshet_method;

extern const freshet_method freshet_method_item_knn, freshet_method_seq_knn, freshet_method_vs_knn,
    freshet_method_personal;

/* A contender that asks all settings of a method until trials count, and then only the best by ndcg. */
freshet_contender* freshet_tuned_create(const freshet_method* method, const freshet_history* history,
                                        uint64_t seed);

#endif
