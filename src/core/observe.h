/*
 * observe.h: what an event tells the model.
 *
 * Owns the rules by which an event becomes an observation: which rating is a choice, how much a low rating is
 * a dislike, what an event's type weighs. The service and `freshet evaluate` both use it, so both learn the
 * same. Pure; it must not know users, topics or files.
 */
#ifndef FRESHET_CORE_OBSERVE_H
#define FRESHET_CORE_OBSERVE_H

#include "freshet/model.h"

typedef struct freshet_event_values {
  float weights[FRESHET_EVENT_TYPES]; /* by type */
  float positive_rating;              /* a rating from here on is a choice */
  float rating_min;                   /* the lowest rating, which dislikes most */
} freshet_event_values;

/* slot: of the event's item. */
freshet_observation freshet_observe(const freshet_event_values* values, const freshet_event* event,
                                    uint32_t slot);

#endif
