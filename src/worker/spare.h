/*
 * spare.h: hands out the time of the loop for work that no event and no list waits for: records of the catalogue, texts,
 * neighbours by text, users of partitions that have come, the changelog of neighbours. While nothing waits, each work
 * gets a slice of a few milliseconds in every turn. While events or lists wait, it gets a share of the time, so that
 * lists keep flowing however much work there is. It owns the account of each work. It must not know what a work does.
 *
 * Every work does one small piece in each turn, also without time to spare, so none waits for ever. What it takes beyond its
 * slice is taken from its later ones.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_SPARE_H
#define FRESHET_WORKER_SPARE_H

#include <stdbool.h>

#include "stream/clock.h"

typedef enum freshet_spare_work {
  FRESHET_SPARE_ITEMS = 0, /* records of items, deltas of other workers */
  FRESHET_SPARE_TEXTS,     /* encoding item texts in the loop */
  FRESHET_SPARE_LINKS,     /* neighbours by text */
  FRESHET_SPARE_SURVEY,    /* users of a partition that has come */
  FRESHET_SPARE_STANDBY,   /* changelog of partitions that others hold */
  FRESHET_SPARE_WORKS,
} freshet_spare_work;

typedef struct freshet_spare {
  freshet_clock* clock;                 /* borrowed */
  int64_t turn_us;                      /* when the last turn began */
  int64_t begun_us;                     /* when the work under way began */
  int64_t left_us[FRESHET_SPARE_WORKS]; /* negative: it took too long */
} freshet_spare;

freshet_spare freshet_spare_make(freshet_clock* clock);
/* Before the works of a turn. is_busy: events or lists wait. */
void freshet_spare_turn(freshet_spare* spare, bool is_busy);
/* The work begins. Returns for how many us, at least 0; it is done at least one piece of it then. */
int64_t freshet_spare_begin(freshet_spare* spare, freshet_spare_work work);
/* It has ended. */
void freshet_spare_end(freshet_spare* spare, freshet_spare_work work);

#endif
