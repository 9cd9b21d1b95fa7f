/*
 * model_thin.h: which pairs of an event count when a fleet is so large that its workers would spend their time on
 * each other's events. A list of neighbours keeps about as much as 370 steps tell. So a list that has had many steps hears a
 * part of them: 1 of 2, 4, 8 ... And each step that it hears counts as so many on its clock. Then its counts, multiplied by its
 * scale (model_lists.h), say what they said before, and no step of a short list is lost. What was heard is in the trace.
 *
 * An earlier form (freshet_keep_some) is only read: one item of each stratum of the context was drawn, and its pair counted
 * as many times as the stratum has items.
 */
#ifndef FRESHET_CORE_MODEL_THIN_H
#define FRESHET_CORE_MODEL_THIN_H

#include <stdbool.h>
#include <stdint.h>

#include "freshet/model.h"

/* The places of a context that count, 0 is the newest item, and how many times. */
typedef struct freshet_kept {
  uint32_t count;
  uint8_t place[FRESHET_HISTORY], times[FRESHET_HISTORY];
  bool is_sampled;   /* lists hear a part of their steps */
  bool chosen_hears; /* the list of the chosen item counts the pairs */
  uint32_t hear;     /* bit k: the list of the item at place k counts its pair */
} freshet_kept;

/* Every place of a context of that size, once. */
freshet_kept freshet_keep_all(uint32_t context);
/* What lists hear. chosen_hears, hear: as above; a place that no list hears is left out. */
freshet_kept freshet_keep_heard(uint32_t context, bool chosen_hears, uint32_t hear);
enum { FRESHET_STRIDE_MAX = 4 };
/* A list with so many steps hears 1 of 2^stride of them, on average. */
unsigned freshet_list_stride(uint32_t steps);
/* One place of each stratum. picks: any number; equal numbers draw equal places. */
freshet_kept freshet_keep_some(uint32_t context, uint8_t picks);

/* Is a fleet so large and so busy that events are thinned? Own events and those of other workers in a commit. */
bool freshet_fleet_thins(uint64_t own_events, uint64_t others_events);

#endif
