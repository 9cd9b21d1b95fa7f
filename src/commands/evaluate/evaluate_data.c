/*
 * evaluate_data.c: A history in memory: events in the order of the protocol, items with their text vectors.
 * It reads the CSV files and judges which events are positive. It owns all ids and texts. It must not know
 * the contenders.
 */
#include "commands/evaluate/evaluate_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "core/grow.h"
#include "core/observe.h"

/* ---- ids to numbers ---- */

enum { FIRST_BUCKETS = 1024, ENCODE_BATCH = 64 };

/* Open addressing over an array of strings that somebody else owns; UINT32_MAX is free. */
typedef struct string_index {
  uint32_t* places;
  size_t buckets; /* a power of two, or 0 */
} string_index;

typedef struct freshet_history_index {
  string_index users, items;
} freshet_history_index;

typedef const char* (*name_at)(const freshet_history* history, uint32_t number);

static const char* user_name(const freshet_history* history, uint32_t number) {
  return history->users[number];
}

static const char* item_name(const freshet_history* history, uint32_t number) {
  return history->items[number].id;
}

static uint32_t* place_of(const string_index* index, const freshet_history* history, name_at name,
                          freshet_slice id) {
  size_t at = XXH3_64bits(id.data, id.size) & (index->buckets - 1);
  while (index->places[at] != UINT32_MAX &&
         !freshet_slice_equal(freshet_slice_of(name(history, index->places[at])), id)) {
    at = (at + 1) & (index->buckets - 1);
  }
  return &index->places[at];
}

static void make_room(string_index* index, const freshet_history* history, name_at name, size_t count) {
  if (index->buckets >= 2 * (count + 1)) return;
  free(index->places);
  index->buckets = index->buckets == 0 ? FIRST_BUCKETS : index->buckets * 2;
  index->places = malloc(index->buckets * sizeof *index->places);
  FRESHET_ASSERT(index->places != NULL);
  memset(index->places, 0xff, index->buckets * sizeof *index->places);
  for (uint32_t i = 0; i < count; i++) {
    *place_of(index, history, name, freshet_slice_of(name(history, i))) = i;
  }
}

static char* copy_text(freshet_slice text) {
  char* copy = malloc(text.size + 1);
  FRESHET_ASSERT(copy != NULL);
  if (text.size > 0) memcpy(copy, text.data, text.size);
  copy[text.size] = '\0';
  for (size_t i = 0; i < text.size; i++) {
    if (copy[i] == '\0') copy[i] = ' '; /* ids and texts are C strings from here on */
  }
  return copy;
}

uint32_t freshet_history_intern_item(freshet_history* history, freshet_slice id) {
  string_index* index = &history->index->items;
  make_room(index, history, item_name, history->item_count);
  uint32_t* place = place_of(index, history, item_name, id);
  if (*place == UINT32_MAX) {
    history->items = freshet_grow(history->items, &history->item_capacity, history->item_count + 1,
                                  sizeof *history->items);
    *place = (uint32_t)history->item_count++;
    history->items[*place] = (freshet_history_item){
        .id = copy_text(id), .title = copy_text((freshet_slice){0}), .text = copy_text((freshet_slice){0})};
  }
  return *place;
}

uint32_t freshet_history_intern_user(freshet_history* history, freshet_slice id) {
  string_index* index = &history->index->users;
  make_room(index, history, user_name, history->user_count);
  uint32_t* place = place_of(index, history, user_name, id);
  if (*place == UINT32_MAX) {
    history->users = freshet_grow(history->users, &history->user_capacity, history->user_count + 1,
                                  sizeof *history->users);
    *place = (uint32_t)history->user_count;
    history->users[history->user_count++] = copy_text(id);
  }
  return *place;
}

uint32_t freshet_history_find_user(const freshet_history* history, freshet_slice id) {
  if (history->user_count == 0) return UINT32_MAX;
  return *place_of(&history->index->users, history, user_name, id);
}

/* ---- creation ---- */

freshet_history* freshet_history_create(void) {
  freshet_history* history = calloc(1, sizeof *history);
  FRESHET_ASSERT(history != NULL);
  history->index = calloc(1, sizeof *history->index);
  FRESHET_ASSERT(history->index != NULL);
  history->facets = freshet_facets_create();
  history->owners = freshet_owners_create();
  snprintf(history->encoder, sizeof history->encoder, "none");
  return history;
}

void freshet_history_destroy(freshet_history* history) {
  if (history == NULL) return;
  for (size_t i = 0; i < history->item_count; i++) {
    free(history->items[i].id);
    free(history->items[i].title);
    free(history->items[i].text);
  }
  for (size_t i = 0; i < history->user_count; i++) free(history->users[i]);
  freshet_facets_destroy(history->facets);
  freshet_owners_destroy(history->owners);
  free(history->index->users.places);
  free(history->index->items.places);
  free(history->index);
  free(history->events);
  free(history->items);
  free(history->users);
  free(history->vectors);
  free(history);
}

void freshet_history_add(freshet_history* history, const freshet_history_event* event) {
  history->events = freshet_grow(history->events, &history->event_capacity, history->event_count + 1,
                                 sizeof *history->events);
  history->events[history->event_count++] = *event;
}

/* ---- records ---- */

void freshet_history_add_item(freshet_history* history, const freshet_item* item) {
  uint32_t number = freshet_history_intern_item(history, item->item_id); /* may move history->items */
  freshet_history_item* it = &history->items[number];
  free(it->title);
  free(it->text);
  it->title = copy_text(item->title);
  it->text = copy_text(item->text);
  it->is_unavailable = !item->available;
  it->expires_at_ms = item->expires_at_ms;
  freshet_facets_set(history->facets, number, item);
  freshet_owners_set(history->owners, number, freshet_owner_of(item));
}

void freshet_history_add_event(freshet_history* history, const freshet_event* event) {
  freshet_history_event added = {
      .type = event->type, .rating = event->rating, .time_ms = event->occurred_at_ms};
  added.feedback = event->feedback;
  added.after_s = event->after_s;
  added.place = event->place;
  added.dwell_s = event->dwell_s;
  added.quantity = event->quantity;
  added.price = event->price;
  added.user = freshet_history_intern_user(history, event->user_id);
  added.item = freshet_history_intern_item(history, event->item_id);
  freshet_history_add(history, &added);
}

/* ---- arranging ---- */

typedef struct ordered {
  int64_t time_ms;
  uint32_t user;
  uint64_t order; /* the file's, or the shuffle's */
  size_t place;
} ordered;

static int by_time_then_file(const void* a, const void* b) {
  const ordered *x = a, *y = b;
  if (x->time_ms != y->time_ms) return x->time_ms < y->time_ms ? -1 : 1;
  return (x->order > y->order) - (x->order < y->order);
}

static int by_user_then_order(const void* a, const void* b) {
  const ordered *x = a, *y = b;
  if (x->user != y->user) return x->user < y->user ? -1 : 1;
  if (x->order != y->order) return x->order < y->order ? -1 : 1;
  return (x->place > y->place) - (x->place < y->place);
}

static uint64_t scramble(uint64_t seed, uint64_t i) {
  uint64_t pair[2] = {seed, i};
  return XXH3_64bits(pair, sizeof pair);
}

/* The events of one moment: each user's places are dealt out anew among its own events. Impressions come before choices. */
static void shuffle_moment(const freshet_history_event* events, ordered* run, ordered* dealt, size_t count,
                           uint64_t seed) {
  const uint64_t after = UINT64_C(1) << 63;
  for (size_t i = 0; i < count; i++) run[i].order = i; /* the place within the moment */
  memcpy(dealt, run, count * sizeof *run);
  for (size_t i = 0; i < count; i++) {
    const size_t place = dealt[i].place;
    dealt[i].order =
        freshet_history_is_impression(&events[place]) ? place : scramble(seed, place) >> 1 | after;
  }
  qsort(run, count, sizeof *run, by_user_then_order);
  qsort(dealt, count, sizeof *dealt, by_user_then_order);
  for (size_t i = 0; i < count; i++) dealt[i].order = run[i].order; /* a place of the same user */
  for (size_t i = 0; i < count; i++) run[dealt[i].order] = dealt[i];
}

void freshet_history_judge(freshet_history* history, const freshet_history_rules* rules) {
  size_t buckets = 64;
  while (buckets < 2 * history->event_count + 2) buckets *= 2;
  uint64_t* pairs = calloc(buckets, sizeof *pairs); /* open addressing: the (user, item) that have been */
  FRESHET_ASSERT(pairs != NULL);
  for (size_t i = 0; i < history->event_count; i++) {
    freshet_history_event* e = &history->events[i];
    e->weight = rules->weights[e->type];
    const bool is_choice =
        e->type != FRESHET_FEEDBACK && (e->type != FRESHET_RATING || e->rating >= rules->positive_rating);
    e->positive = is_choice && freshet_goal_has(rules->goal, e->type);
    e->hint = e->context = is_choice && !e->positive;
    e->ranked = false;
    if (e->hint) continue;
    if (!e->positive && (e->type == FRESHET_FEEDBACK || !rules->all_ratings)) continue;
    uint64_t pair = ((uint64_t)e->user << 32 | e->item) + 1;
    size_t at = scramble(0, pair) & (buckets - 1);
    while (pairs[at] != 0 && pairs[at] != pair) at = (at + 1) & (buckets - 1);
    e->ranked = e->positive && pairs[at] == 0;
    e->context = !e->positive && pairs[at] == 0;
    pairs[at] = pair;
  }
  free(pairs);
}

void freshet_history_arrange(freshet_history* history, const freshet_history_rules* rules) {
  size_t count = history->event_count;
  ordered* order = malloc((count + 1) * sizeof *order);
  ordered* dealt = malloc((count + 1) * sizeof *dealt);
  freshet_history_event* sorted = malloc((count + 1) * sizeof *sorted);
  FRESHET_ASSERT(order != NULL && dealt != NULL && sorted != NULL);
  for (size_t i = 0; i < count; i++) {
    order[i] = (ordered){history->events[i].time_ms, history->events[i].user, i, i};
  }
  qsort(order, count, sizeof *order, by_time_then_file);
  for (size_t from = 0, to; from < count; from = to) {
    to = from + 1;
    while (to < count && order[to].time_ms == order[from].time_ms) to++;
    if (to - from > 1) shuffle_moment(history->events, order + from, dealt, to - from, rules->seed);
  }
  for (size_t i = 0; i < count; i++) sorted[i] = history->events[order[i].place];
  free(history->events);
  free(order);
  free(dealt);
  history->events = sorted;
  history->event_capacity = count + 1;
  freshet_history_judge(history, rules);
}

/* ---- texts ---- */

freshet_status freshet_history_encode(freshet_history* history, freshet_encoder* encoder,
                                      freshet_error* error) {
  freshet_status status = FRESHET_OK;
  freshet_buffer texts[ENCODE_BATCH] = {{0}};
  free(history->vectors);
  history->text_dim = encoder->dim;
  history->reader = encoder;
  history->vectors = calloc(history->item_count * encoder->dim + 1, sizeof *history->vectors);
  FRESHET_ASSERT(history->vectors != NULL);
  snprintf(history->encoder, sizeof history->encoder, "%s", encoder->name);
  for (size_t at = 0; at < history->item_count && status == FRESHET_OK; at += ENCODE_BATCH) {
    freshet_slice slices[ENCODE_BATCH];
    size_t count = history->item_count - at < ENCODE_BATCH ? history->item_count - at : ENCODE_BATCH;
    for (size_t i = 0; i < count; i++) {
      const freshet_history_item* it = &history->items[at + i];
      texts[i].size = 0;
      freshet_buffer_append(&texts[i], it->title, strlen(it->title));
      freshet_buffer_append(&texts[i], "\n", 1);
      freshet_buffer_append(&texts[i], it->text, strlen(it->text));
      slices[i] = freshet_buffer_slice(&texts[i]);
    }
    status = freshet_encode(encoder, slices, count, history->vectors + at * encoder->dim, error);
  }
  for (int i = 0; i < ENCODE_BATCH; i++) freshet_buffer_free(&texts[i]);
  return status;
}
