/*
 * model_thin.h: which pairs of an event count when a fleet is so large that its workers would spend their time on
 * each other's events. The context of an event is cut into strata: the newest items alone, older ones together.
 * Of each stratum one item is drawn, and its pair counts as many times as the stratum has items. So the expected
 * count of a pair is unchanged. What was drawn is a number in the trace, so all workers count alike.
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
} freshet_kept;

/* Every place of a context of that size, once. */
freshet_kept freshet_keep_all(uint32_t context);
/* One place of each stratum. picks: any number; equal numbers draw equal places. */
freshet_kept freshet_keep_some(uint32_t context, uint8_t picks);

/* Is a fleet so large and so busy that events are thinned? Own events and those of other workers in a commit. */
bool freshet_fleet_thins(uint64_t own_events, uint64_t others_events);

#endif
