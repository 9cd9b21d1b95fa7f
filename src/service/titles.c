/*
 * titles.c: A small cache of titles, so that an answer need not ask the store for each item again. It owns
 * copies of titles, for a bounded time each.
 */
#include "service/titles.h"

#include <stdlib.h>

#include "freshet/event.h"
#include "freshet/status.h"

typedef struct entry {
  char* bytes; /* id, then title; NULL: the place is free */
  uint32_t id_size, title_size;
  int64_t put_ms;
} entry;

struct freshet_titles {
  entry entries[FRESHET_TITLES];
};

freshet_titles* freshet_titles_create(void) {
  freshet_titles* titles = calloc(1, sizeof *titles);
  FRESHET_ASSERT(titles != NULL);
  return titles;
}

void freshet_titles_destroy(freshet_titles* titles) {
  if (titles == NULL) return;
  for (size_t i = 0; i < FRESHET_TITLES; i++) free(titles->entries[i].bytes);
  free(titles);
}

/* The ways in which this item may be. */
static entry* ways_of(freshet_titles* titles, freshet_slice item_id) {
  return &titles->entries[freshet_id_key(item_id) % (FRESHET_TITLES / FRESHET_TITLES_WAYS) *
                          FRESHET_TITLES_WAYS];
}

static bool is_of(const entry* e, freshet_slice item_id) {
  return e->bytes != NULL && freshet_slice_equal((freshet_slice){e->bytes, e->id_size}, item_id);
}

static int64_t lifetime_ms(const entry* e) {
  return e->title_size == 0 ? FRESHET_TITLES_EMPTY_MS : FRESHET_TITLES_MS;
}

freshet_slice freshet_titles_get(freshet_titles* titles, freshet_slice item_id, int64_t now_ms, bool* known) {
  const entry* ways = ways_of(titles, item_id);
  for (size_t i = 0; i < FRESHET_TITLES_WAYS; i++) {
    const entry* e = &ways[i];
    if (!is_of(e, item_id)) continue;
    *known = now_ms - e->put_ms <= lifetime_ms(e);
    return *known ? (freshet_slice){e->bytes + e->id_size, e->title_size} : (freshet_slice){NULL, 0};
  }
  *known = false;
  return (freshet_slice){NULL, 0};
}

/* Its own place, else a free one, else that of the oldest. */
static entry* place_for(entry* ways, freshet_slice item_id) {
  entry* place = &ways[0];
  for (size_t i = 0; i < FRESHET_TITLES_WAYS; i++) {
    entry* e = &ways[i];
    if (is_of(e, item_id)) return e;
    if (place->bytes != NULL && (e->bytes == NULL || e->put_ms < place->put_ms)) place = e;
  }
  return place;
}

void freshet_titles_put(freshet_titles* titles, freshet_slice item_id, freshet_slice title, int64_t now_ms) {
  entry* e = place_for(ways_of(titles, item_id), item_id);
  char* bytes = malloc(item_id.size + title.size + 1);
  FRESHET_ASSERT(bytes != NULL);
  if (item_id.size > 0) memcpy(bytes, item_id.data, item_id.size);
  if (title.size > 0) memcpy(bytes + item_id.size, title.data, title.size);
  free(e->bytes);
  *e = (entry){bytes, (uint32_t)item_id.size, (uint32_t)title.size, now_ms};
}
