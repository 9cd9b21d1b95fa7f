/*
 * demo_show.h: the story of one customer of `freshet demo` on a terminal: what was bought, what is shown before and
 * after, what moved, and why. It owns the layout (80 columns) and the words. It knows neither topics nor clients.
 */
#ifndef FRESHET_COMMANDS_DEMO_SHOW_H
#define FRESHET_COMMANDS_DEMO_SHOW_H

#include <stdbool.h>
#include <stdio.h>

#include "commands/demo_data.h"
#include "freshet/event.h"

enum { FRESHET_DEMO_SHOWN = 5 /* products of a list on the terminal */, FRESHET_DEMO_REASONS = 4 };

typedef struct freshet_demo_reason {
  freshet_reason_kind kind;
  char item_id[FRESHET_ID_MAX + 1]; /* "": it is about no other product */
} freshet_demo_reason;

/* A product of a list. */
typedef struct freshet_demo_entry {
  char item_id[FRESHET_ID_MAX + 1];
  freshet_demo_reason
      reasons[FRESHET_DEMO_REASONS]; /* [reason_count] what speaks for it, the strongest first */
  size_t reason_count;
} freshet_demo_entry;

/* The first products of a list, and how alike all of them are. */
typedef struct freshet_demo_list {
  freshet_demo_entry entries[FRESHET_DEMO_SHOWN]; /* [count] */
  size_t count;
  size_t pairs, alike; /* of the whole list; alike: their names share a word */
} freshet_demo_list;

/* Takes the first products of a list, with the reasons that speak for them. */
void freshet_demo_list_read(freshet_demo_list* shown, const freshet_list* list,
                            const freshet_demo_data* data);

typedef struct freshet_demo_story {
  const char* customer;
  const char* bought[FRESHET_DEMO_SHOWN]; /* [bought_count] ids, newest first */
  size_t bought_count;
  const char* buys; /* the id of what is bought between the two lists */
  freshet_demo_list before, after;
  freshet_demo_list plain; /* as `after`, without variety; empty: not asked for */
  double took_ms;
} freshet_demo_story;

/* Whether standard output takes colours: it is a terminal, and NO_COLOR is not set. */
bool freshet_demo_has_colours(void);
/* What a purchase changed in the products that are shown. */
typedef struct freshet_demo_change {
  size_t new_count;   /* they were not shown before */
  size_t by_purchase; /* of these: the purchase is among the reasons */
} freshet_demo_change;
freshet_demo_change freshet_demo_change_of(const freshet_demo_story* story);

/* Prints it, at most 80 columns wide. */
void freshet_demo_show(FILE* out, const freshet_demo_story* story, const freshet_demo_data* data,
                       bool colours);

#endif
