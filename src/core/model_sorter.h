/*
 * model_sorter.h: a delta while it is folded (model_trace.h, model_fold.c): its trace, and the choices and pairs in the order of
 * its items. The memory is left to the next fold, so that its pages need not be asked for again.
 */
#ifndef FRESHET_CORE_MODEL_SORTER_H
#define FRESHET_CORE_MODEL_SORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One event of the trace. */
typedef struct trace_step {
  uint32_t chosen; /* index in the delta's items */
  uint16_t weight; /* in 1/WEIGHT_UNITS */
  uint8_t order_code;
  uint8_t span_code; /* of a repeat */
  uint8_t count;     /* items of its context */
  bool is_dislike, is_again;
  bool is_sampled, chosen_hears; /* see model_thin.h */
} trace_step;

/* An item of a context. */
typedef struct trace_item {
  uint32_t item; /* index in the delta's items */
  uint8_t place, times;
  bool hears; /* its list counts the pair */
} trace_item;

/* A choice of an item. */
typedef struct trace_choice {
  uint64_t event;
  uint16_t weight_units;
  bool is_again;     /* the user had chosen the item before ... */
  uint8_t span_code; /* ... that long ago */
} trace_choice;

/* `other` was chosen together with the item to whose list the pair belongs. */
typedef struct sorted_pair {
  uint32_t other;  /* slot */
  uint16_t weight; /* in 1/WEIGHT_UNITS; the event's code of the order, and whether `other` came first */
  uint8_t place, times;
} sorted_pair;

/* All arrays are tables. */
typedef struct freshet_sorter {
  uint64_t start;        /* events that the delta's worker had seen before */
  trace_step* steps;     /* [step_count] */
  trace_item* context;   /* [context_count] of all steps */
  uint32_t* slots;       /* [items of the delta] FRESHET_NO_ITEM: not known here yet */
  uint8_t* rows;         /* [items of the delta] which rows it gives: FRESHET_GIVES_V, FRESHET_GIVES_M */
  uint32_t* pair_ends;   /* [items of the delta] how many pairs, then where the next one goes */
  uint32_t* choice_ends; /* the same of choices */
  sorted_pair* pairs;    /* by item, in the order of events */
  trace_choice* choices; /* the same */
  size_t step_count, context_count;
  size_t step_capacity, context_capacity, slot_capacity, row_capacity, pair_end_capacity, choice_end_capacity,
      pair_capacity, choice_capacity;
} freshet_sorter;

void freshet_sorter_free(freshet_sorter* sorter);
size_t freshet_sorter_memory(const freshet_sorter* sorter);

#endif
