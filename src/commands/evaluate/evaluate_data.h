/*
 * evaluate_data.h: a history as `freshet evaluate` replays it: events in the order of the protocol, items
 * with their text vectors.
 */
#ifndef FRESHET_COMMANDS_EVALUATE_DATA_H
#define FRESHET_COMMANDS_EVALUATE_DATA_H

#include "catalogue/owners.h"
#include "core/facets.h"
#include "core/observe.h"
#include "freshet/encoder.h"
#include "freshet/event.h"

typedef struct freshet_history_event {
  uint32_t user, item; /* numbers from 0, in order of appearance */
  freshet_event_type type;
  float rating;                   /* FRESHET_RATING only */
  freshet_feedback_kind feedback; /* these three of FRESHET_FEEDBACK only */
  float after_s;
  int32_t place;
  int64_t time_ms;
  float dwell_s;    /* FRESHET_CLICK only */
  int32_t quantity; /* these two of FRESHET_PURCHASE only */
  double price;
  /* What the rules make of it: */
  bool positive; /* a click, a purchase, a rating at or above the bound: those that lists are for */
  bool ranked;   /* positive, and the first of its user and item: ranked, then learned */
  bool hint;     /* a choice that lists are not for */
  bool context;  /* a hint, or a low rating that is learned as context */
  float weight;
} freshet_history_event;

/* Does it say that the user was shown the item, and no more? */
static inline bool freshet_history_is_impression(const freshet_history_event* event) {
  return event->type == FRESHET_FEEDBACK && event->feedback == FRESHET_IMPRESSION;
}

typedef struct freshet_history_item {
  char* id;
  char* title; /* "" when unknown */
  char* text;
  bool is_unavailable;
  int64_t expires_at_ms; /* 0: never */
} freshet_history_item;

/* Owns all that it points at. */
typedef struct freshet_history {
  freshet_history_event* events; /* [event_count] */
  size_t event_count, event_capacity;
  freshet_history_item* items; /* [item_count] */
  size_t item_count, item_capacity;
  freshet_facets* facets; /* of the items, by number: what rules ask about */
  freshet_owners* owners; /* of the items, by number */
  char** users;           /* [user_count] ids */
  size_t user_count, user_capacity;
  float* vectors; /* [item_count][text_dim], or NULL without texts */
  uint32_t text_dim;
  char encoder[128];       /* name, or "none" */
  freshet_encoder* reader; /* that encoder, for more texts; not owned; NULL: there is none */
  struct freshet_history_index* index;
} freshet_history;

typedef struct freshet_history_rules {
  float positive_rating;
  freshet_goal goal;
  float weights[FRESHET_EVENT_TYPES];
  bool all_ratings; /* keep low ratings as context */
  uint64_t seed;    /* order of a user's events of one time */
  size_t limit;     /* events to read; 0: all */
} freshet_history_rules;

/* An empty history; free with freshet_history_destroy. */
freshet_history* freshet_history_create(void);
void freshet_history_destroy(freshet_history* history);

uint32_t freshet_history_intern_item(freshet_history* history, freshet_slice id);
uint32_t freshet_history_intern_user(freshet_history* history, freshet_slice id);
/* UINT32_MAX when unknown. */
uint32_t freshet_history_find_user(const freshet_history* history, freshet_slice id);
void freshet_history_add(freshet_history* history, const freshet_history_event* event);

/* The same for records as they are read (evaluate_intake.h); texts are copied. */
void freshet_history_add_item(freshet_history* history, const freshet_item* item);
void freshet_history_add_event(freshet_history* history, const freshet_event* event);

/* Stable order by time, a user's events of one time shuffled; then judges them. */
void freshet_history_arrange(freshet_history* history, const freshet_history_rules* rules);
/* Sets positive, ranked, context and weight of all events by (new) rules. */
void freshet_history_judge(freshet_history* history, const freshet_history_rules* rules);

/* Turns titles and texts into vectors. The encoder stays the caller's, and has to outlive those that read the
 * history. */
freshet_status freshet_history_encode(freshet_history* history, freshet_encoder* encoder,
                                      freshet_error* error);

#endif
