/*
 * observe.h: what an event tells the model.
 *
 * Owns the rules by which an event becomes an observation: which rating is a choice, how much a low rating or
 * feedback is a dislike, what an event's type weighs, for which events lists are. The service and `freshet evaluate` both use it, so both learn the
 * same. Pure; it must not know users, topics or files.
 */
#ifndef FRESHET_CORE_OBSERVE_H
#define FRESHET_CORE_OBSERVE_H

#include "freshet/model.h"

/* For which choices lists are. The others are context, and nothing else. */
typedef enum freshet_goal { FRESHET_GOAL_ANY, FRESHET_GOAL_PURCHASE, FRESHET_GOAL_RATING } freshet_goal;
/* Is an event of this type, if it is a choice, one that lists are for? */
bool freshet_goal_has(freshet_goal goal, freshet_event_type type);

typedef struct freshet_event_values {
  float weights[FRESHET_EVENT_TYPES]; /* by type */
  float positive_rating;              /* a rating from here on is a choice */
  float rating_min;                   /* the lowest rating, which dislikes most */
  freshet_goal goal;
} freshet_event_values;

/* Does the event say that the user was shown the item, and no more? See freshet_model_show. */
bool freshet_is_impression(const freshet_event* event);
/* Is the event an observation for freshet_model_learn? An impression is none, nor is feedback of a kind from a newer
 * producer. */
bool freshet_observes(const freshet_event* event);
/* How the user has seen the item from now on: FRESHET_FEEDBACK hides it under every rule. */
freshet_event_type freshet_seen_how(const freshet_event* event);
/* slot: of the event's item. */
freshet_observation freshet_observe(const freshet_event_values* values, const freshet_event* event,
                                    uint32_t slot);

#endif
