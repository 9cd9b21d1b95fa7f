/* held.c: the partitions that this process holds, in one small array: there are some dozens at most. */
#include "stream/held.h"

#include <stdlib.h>
#include <string.h>

#include "core/grow.h"

struct freshet_held {
  freshet_source* source;
  const freshet_serving* serving;
  freshet_held_partition* partitions; /* [count] */
  size_t count, capacity;
  bool* items; /* the answer of freshet_held_items */
};

freshet_held* freshet_held_create(freshet_source* source, const freshet_serving* serving) {
  freshet_held* held = calloc(1, sizeof *held);
  FRESHET_ASSERT(held != NULL);
  held->source = source;
  held->serving = serving;
  return held;
}

void freshet_held_destroy(freshet_held* held) {
  if (held == NULL) return;
  free(held->partitions);
  free(held->items);
  free(held);
}

freshet_held_partition* freshet_held_add(freshet_held* held, const freshet_partition* partition) {
  FRESHET_ASSERT(freshet_held_find(held, partition->topic, partition->partition) == NULL);
  held->partitions =
      freshet_grow(held->partitions, &held->capacity, held->count + 1, sizeof *held->partitions);
  freshet_held_partition* added = &held->partitions[held->count++];
  *added = (freshet_held_partition){.topic = partition->topic,
                                    .partition = partition->partition,
                                    .next = partition->offset,
                                    .committing = partition->offset,
                                    .committed = partition->offset,
                                    .apart = partition->offset,
                                    .listed = partition->listed};
  if (added->listed.offset <= 0 || added->listed.offset < added->next) added->listed.offset = added->next;
  added->to_list = added->listed;
  return added;
}

void freshet_held_remove(freshet_held* held, freshet_held_partition* partition) {
  FRESHET_ASSERT(held->count > 0 && partition >= held->partitions &&
                 partition < held->partitions + held->count);
  *partition = held->partitions[--held->count];
}

void freshet_held_rewind(freshet_held_partition* partition, int64_t offset) {
  partition->next = partition->committing = partition->committed = partition->apart = offset;
  partition->listed = partition->to_list = (freshet_listed){.offset = offset};
}

freshet_held_partition* freshet_held_find(const freshet_held* held, freshet_topic topic, int32_t partition) {
  FRESHET_HELD_EACH(p, held, topic) {
    if (p->partition == partition) return p;
  }
  return NULL;
}

freshet_held_partition* freshet_held_next(const freshet_held* held, freshet_topic topic,
                                          const freshet_held_partition* after) {
  for (size_t i = after == NULL ? 0 : (size_t)(after - held->partitions) + 1; i < held->count; i++) {
    if (topic == FRESHET_TOPICS || held->partitions[i].topic == topic) return &held->partitions[i];
  }
  return NULL;
}

size_t freshet_held_count(const freshet_held* held, freshet_topic topic) {
  size_t count = 0;
  FRESHET_HELD_EACH(p, held, topic) count++;
  return count;
}

/* ---- offsets ---- */

static void check(const freshet_held_partition* held) {
  FRESHET_ASSERT(held->committed <= held->committing);
  FRESHET_ASSERT(held->committing <= held->next);
}

void freshet_held_advance(freshet_held_partition* held, int64_t next, int64_t reached_ms) {
  FRESHET_ASSERT(next > held->next);
  held->next = next;
  held->reached_ms = reached_ms;
  check(held);
}

void freshet_held_stop_at(freshet_held_partition* held, int64_t offset) {
  FRESHET_ASSERT(offset >= held->next);
  held->next = offset;
  check(held);
}

void freshet_held_start_commit(freshet_held_partition* held, int64_t done) {
  held->committing = done;
  check(held);
}

void freshet_held_start_listed(freshet_held_partition* held, int64_t offset, uint64_t listing) {
  held->to_list.offset = offset > held->listed.offset ? offset : held->listed.offset;
  held->to_list.listing = listing;
}

void freshet_held_set_apart(freshet_held_partition* held) {
  held->apart = held->next;
}

void freshet_held_start_apart(freshet_held_partition* held) {
  freshet_held_start_commit(held, held->apart);
  freshet_held_start_listed(held, held->apart, held->listed.listing);
}

void freshet_held_end_commit(freshet_held_partition* held) {
  held->committed = held->committing;
  held->listed = held->to_list;
  check(held);
}

void freshet_held_roll_back(freshet_held_partition* held) {
  held->next = held->committing = held->committed;
  held->to_list = held->listed;
}

void freshet_held_forget_hand_over(freshet_held_partition* held) {
  held->releasing = held->taking = held->taken = 0;
  held->to_take = 0;
}

bool freshet_held_replays(const freshet_held* held, int32_t partition) {
  FRESHET_HELD_EACH(p, held, FRESHET_TOPIC_EVENTS) {
    if ((partition < 0 || p->partition == partition) && freshet_held_is_replaying(p)) return true;
  }
  return false;
}

/* ---- what follows ---- */

freshet_partition* freshet_held_list(const freshet_held* held, freshet_topic topic, freshet_held_offset which,
                                     size_t* count) {
  freshet_partition* list = calloc(held->count + 1, sizeof *list);
  FRESHET_ASSERT(list != NULL);
  *count = 0;
  FRESHET_HELD_EACH(p, held, topic) {
    const int64_t offsets[] = {p->next, p->committing, p->committed};
    list[(*count)++] = (freshet_partition){p->topic, p->partition, offsets[which],
                                           which == FRESHET_HELD_COMMITTING ? p->to_list : p->listed};
  }
  return list;
}

const bool* freshet_held_items(freshet_held* held, int32_t partitions) {
  held->items = realloc(held->items, (size_t)partitions + 1);
  FRESHET_ASSERT(held->items != NULL);
  memset(held->items, 0, (size_t)partitions + 1);
  FRESHET_HELD_EACH(p, held, FRESHET_TOPIC_ITEMS) {
    if (p->partition < partitions) held->items[p->partition] = true;
  }
  return held->items;
}

freshet_topic freshet_held_list_topic(const freshet_held* held, int32_t partition) {
  const freshet_serving* serving = held->serving;
  const freshet_held_partition* p = freshet_held_find(held, FRESHET_TOPIC_EVENTS, partition);
  bool publishes = freshet_serving_publishes(serving, partition);
  if (p != NULL && serving->number > 0) {
    /* The next switch may be read before our word that we have taken over comes back. */
    const bool has_turn =
        freshet_serving_must_release(serving, partition) && p->taking == serving->number - 1;
    publishes = ((publishes || has_turn) && p->releasing < serving->number) || p->taking == serving->number;
  }
  return publishes ? FRESHET_TOPIC_RECOMMENDATIONS : FRESHET_TOPIC_SHADOW;
}

static uint64_t lag_of(const freshet_held* held, const freshet_held_partition* p) {
  int64_t end = freshet_source_end(held->source, p->topic, p->partition);
  int64_t next = p->next < 0 ? 0 : p->next;
  return end > next ? (uint64_t)(end - next) : 0;
}

bool freshet_held_takes_requests(const freshet_held* held, int32_t partition) {
  const freshet_held_partition* events = freshet_held_find(held, FRESHET_TOPIC_EVENTS, partition);
  bool has_released = events != NULL && events->releasing == held->serving->number;
  return freshet_serving_is_own(held->serving) ||
         (freshet_serving_must_release(held->serving, partition) && !has_released);
}

uint64_t freshet_held_lag(const freshet_held* held) {
  uint64_t lag = 0;
  FRESHET_HELD_EACH(p, held, FRESHET_TOPIC_EVENTS) lag += lag_of(held, p);
  return lag;
}

int64_t freshet_held_lag_ms(const freshet_held* held, int64_t now_ms) {
  int64_t most = 0;
  FRESHET_HELD_EACH(p, held, FRESHET_TOPIC_EVENTS) {
    bool is_behind = p->reached_ms > 0 && lag_of(held, p) > 0;
    if (is_behind && now_ms - p->reached_ms > most) most = now_ms - p->reached_ms;
  }
  return most;
}
