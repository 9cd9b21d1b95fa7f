/*
 * titles.h: titles of items, remembered for half a minute, so that answers need not read each from the store: a list has
 * dozens of titles, and a read costs as much as writing ten of them.
 * Bounded: FRESHET_TITLES of them; more than FRESHET_TITLES_WAYS items that meet in a place push the oldest out. One
 * thread. Private to the service.
 */
#ifndef FRESHET_SERVICE_TITLES_H
#define FRESHET_SERVICE_TITLES_H

#include <stdbool.h>

#include "freshet/bytes.h"

enum {
  FRESHET_TITLES = 32768,
  FRESHET_TITLES_WAYS = 4,
  FRESHET_TITLES_MS = 30000,
  FRESHET_TITLES_EMPTY_MS = 5000, /* of an item without a title: it may be announced soon */
};

typedef struct freshet_titles freshet_titles;

freshet_titles* freshet_titles_create(void);
void freshet_titles_destroy(freshet_titles* titles);

/* The title as of at most FRESHET_TITLES_MS before now_ms, an empty one FRESHET_TITLES_EMPTY_MS; *known false: it has to be
 * put first. Holds until the next put. */
freshet_slice freshet_titles_get(freshet_titles* titles, freshet_slice item_id, int64_t now_ms, bool* known);
/* Copies both; an empty title is remembered as well. */
void freshet_titles_put(freshet_titles* titles, freshet_slice item_id, freshet_slice title, int64_t now_ms);

#endif
