/*
 * input_census.h: what an intake has read, for a person to check: counts by type, reasons of rejection, the range of
 * time, users and items, ids that come again, the first event in words. `freshet replay` and `freshet evaluate` both
 * print it. Memory is bounded: beyond its bounds counts say "more than". It must not know where records go.
 *
 * Thread rule: one thread.
 */
#ifndef FRESHET_COMMANDS_INPUT_CENSUS_H
#define FRESHET_COMMANDS_INPUT_CENSUS_H

#include <jansson.h>

#include "commands/input/input_reader.h"

typedef struct freshet_census freshet_census;

/* What is counted; all are 0 at first. events, items and rejected may be set, by a replay that goes on. */
typedef struct freshet_census_counts {
  uint64_t events, items, rejected;
  uint64_t by_type[FRESHET_EVENT_TYPES];
  uint64_t erasures, left_out, returns, lost_prices, lost_quantities;
  uint64_t late;             /* events that are older than one before them */
  uint64_t duplicates;       /* events whose id came before, with the same user and item */
  uint64_t conflicts;        /* events whose id came before, with another user or item */
  int64_t first_ms, last_ms; /* event times; 0: none yet */
} freshet_census_counts;

freshet_census* freshet_census_create(void);
void freshet_census_destroy(freshet_census* census); /* NULL is allowed */
freshet_census_counts* freshet_census_counts_of(freshet_census* census);

/* A record that was read well, whatever its outcome. *repeats: an event whose id came before, which the service
 * skips as a duplicate. */
void freshet_census_take(freshet_census* census, const freshet_input_record* record, bool* repeats);
/* A record that was rejected. */
void freshet_census_reject(freshet_census* census, const char* place, const freshet_input_record* record,
                           const char* reason);
/* Which column each field came from, at the end of an input. */
void freshet_census_note_mapping(freshet_census* census, const char* path, freshet_slice mapping);

/* The lines "events", "items", "rejected" and so on to "from T to T". */
void freshet_census_print(const freshet_census* census);
/* What a person should check: mapping, first event, reasons, users and items. */
void freshet_census_print_more(const freshet_census* census);
/* All of it. The caller owns the object. */
json_t* freshet_census_json(const freshet_census* census);
/* The counts of events, items and rejected rows under their own names, and all of it as "input". */
void freshet_census_add_to(const freshet_census* census, json_t* object);

#endif
