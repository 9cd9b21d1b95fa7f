/*
 * model_sorter.h: memory that a fold of a delta (model_fold.c) leaves to the next one, so that its pages need not be asked
 * for again. It must not know what is in it.
 */
#ifndef FRESHET_CORE_MODEL_SORTER_H
#define FRESHET_CORE_MODEL_SORTER_H

#include <stddef.h>
#include <stdint.h>

/* All are tables. */
typedef struct freshet_sorter {
  uint32_t* ends;  /* [ends_capacity] by slot; 0 between two folds */
  uint32_t* lists; /* [lists_capacity] */
  void* steps;     /* [steps_capacity] */
  void* pairs;     /* [pairs_capacity] */
  uint32_t* units; /* [units_capacity] */
  size_t ends_capacity, lists_capacity, steps_capacity, pairs_capacity, units_capacity;
} freshet_sorter;

void freshet_sorter_free(freshet_sorter* kept);
size_t freshet_sorter_memory(const freshet_sorter* kept);

#endif
