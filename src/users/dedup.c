/*
 * dedup.c: the window of event ids of a partition: a hash set and a ring of times, bounded in count and
 * time, and its chunks for the changelog. It owns the window. It must not know events beyond their ids.
 */
#include "users/dedup.h"

#include <stdlib.h>

#include "core/prefetch.h"

const char freshet_dedup_key_prefix[2] = {'\0', 'd'};

enum { VERSION = 1, HEADER_SIZE = 9, CHUNK_IDS = 32768 };
_Static_assert(HEADER_SIZE + CHUNK_IDS * 8 < 1 << 20,
               "a chunk is below a broker's default limit of a record");

/* The ids of one commit, or a part of them. */
typedef struct chunk {
  uint64_t number;
  int64_t newest_ms;
  uint32_t count;
} chunk;

struct freshet_dedup {
  uint32_t max_events;
  int64_t window_ms;
  int64_t newest_ms;
  /* Set: open addressing, linear probing, 0 is free (freshet_id_key never returns it). */
  uint64_t* slots; /* [capacity], a power of two */
  size_t capacity;
  size_t used;
  /* Queue of the ids in order of arrival: a ring. */
  uint64_t* ring; /* [ring_capacity], a power of two */
  size_t ring_capacity;
  size_t ring_head;
  size_t ring_size;
  /* Chunks, oldest first: a ring of the same make. The last `unwritten` have not been taken yet. */
  chunk* chunks;
  size_t chunk_capacity;
  size_t chunk_head;
  size_t chunk_count;
  size_t unwritten;
  uint64_t next_number;
};

static void* allocate(size_t count, size_t size) {
  void* memory = calloc(count, size);
  FRESHET_ASSERT(memory != NULL);
  return memory;
}

freshet_dedup* freshet_dedup_create(uint32_t max_events, int64_t window_ms) {
  freshet_dedup* dedup = allocate(1, sizeof *dedup);
  dedup->max_events = max_events;
  dedup->window_ms = window_ms;
  dedup->capacity = 64;
  dedup->slots = allocate(dedup->capacity, sizeof *dedup->slots);
  dedup->ring_capacity = 64;
  dedup->ring = allocate(dedup->ring_capacity, sizeof *dedup->ring);
  dedup->chunk_capacity = 16;
  dedup->chunks = allocate(dedup->chunk_capacity, sizeof *dedup->chunks);
  return dedup;
}

void freshet_dedup_destroy(freshet_dedup* dedup) {
  if (dedup == NULL) return;
  free(dedup->slots);
  free(dedup->ring);
  free(dedup->chunks);
  free(dedup);
}

/* The keys are hashes already. */
static size_t home(const freshet_dedup* dedup, uint64_t key) {
  return (size_t)(key ^ (key >> 32)) & (dedup->capacity - 1);
}

/* The place of key, or the free place where it belongs. */
static size_t locate(const freshet_dedup* dedup, uint64_t key) {
  size_t i = home(dedup, key);
  while (dedup->slots[i] != 0 && dedup->slots[i] != key) i = (i + 1) & (dedup->capacity - 1);
  return i;
}

static void grow_set(freshet_dedup* dedup) {
  uint64_t* old = dedup->slots;
  size_t old_capacity = dedup->capacity;
  dedup->capacity *= 2;
  dedup->slots = allocate(dedup->capacity, sizeof *dedup->slots);
  for (size_t i = 0; i < old_capacity; i++) {
    if (old[i] != 0) dedup->slots[locate(dedup, old[i])] = old[i];
  }
  free(old);
}

/* Knuth, TAOCP 6.4, algorithm R: closes the gap, so that no tombstones are needed. */
static void remove_key(freshet_dedup* dedup, uint64_t key) {
  size_t mask = dedup->capacity - 1;
  size_t gap = locate(dedup, key);
  if (dedup->slots[gap] == 0) return;
  dedup->used--;
  for (size_t i = (gap + 1) & mask; dedup->slots[i] != 0; i = (i + 1) & mask) {
    size_t wanted = home(dedup, dedup->slots[i]);
    if (((i - wanted) & mask) >= ((i - gap) & mask)) {
      dedup->slots[gap] = dedup->slots[i];
      gap = i;
    }
  }
  dedup->slots[gap] = 0;
}

static void push_id(freshet_dedup* dedup, uint64_t key) {
  if (dedup->ring_size == dedup->ring_capacity) {
    uint64_t* ring = allocate(dedup->ring_capacity * 2, sizeof *ring);
    for (size_t i = 0; i < dedup->ring_size; i++) {
      ring[i] = dedup->ring[(dedup->ring_head + i) & (dedup->ring_capacity - 1)];
    }
    free(dedup->ring);
    dedup->ring = ring;
    dedup->ring_capacity *= 2;
    dedup->ring_head = 0;
  }
  dedup->ring[(dedup->ring_head + dedup->ring_size++) & (dedup->ring_capacity - 1)] = key;
}

static chunk* chunk_at(const freshet_dedup* dedup, size_t i) {
  return &dedup->chunks[(dedup->chunk_head + i) & (dedup->chunk_capacity - 1)];
}

static chunk* push_chunk(freshet_dedup* dedup, uint64_t number) {
  if (dedup->chunk_count == dedup->chunk_capacity) {
    chunk* chunks = allocate(dedup->chunk_capacity * 2, sizeof *chunks);
    for (size_t i = 0; i < dedup->chunk_count; i++) chunks[i] = *chunk_at(dedup, i);
    free(dedup->chunks);
    dedup->chunks = chunks;
    dedup->chunk_capacity *= 2;
    dedup->chunk_head = 0;
  }
  chunk* c = chunk_at(dedup, dedup->chunk_count++);
  *c = (chunk){.number = number};
  return c;
}

/* Adds to the last chunk; false when the key is there already. */
static bool insert(freshet_dedup* dedup, uint64_t key) {
  if (dedup->used * 2 >= dedup->capacity) grow_set(dedup);
  size_t place = locate(dedup, key);
  if (dedup->slots[place] == key) return false;
  dedup->slots[place] = key;
  dedup->used++;
  push_id(dedup, key);
  return true;
}

void freshet_dedup_announce(const freshet_dedup* dedup, uint64_t event_key) {
  freshet_prefetch(&dedup->slots[home(dedup, event_key)], sizeof *dedup->slots);
}

bool freshet_dedup_add(freshet_dedup* dedup, uint64_t event_key, int64_t record_time_ms) {
  if (!insert(dedup, event_key)) return false;
  chunk* c = dedup->unwritten == 0 ? NULL : chunk_at(dedup, dedup->chunk_count - 1);
  if (c == NULL || c->count == CHUNK_IDS) {
    c = push_chunk(dedup, dedup->next_number++);
    dedup->unwritten++;
  }
  c->count++;
  if (record_time_ms > c->newest_ms) c->newest_ms = record_time_ms;
  if (record_time_ms > dedup->newest_ms) dedup->newest_ms = record_time_ms;
  return true;
}

int64_t freshet_dedup_newest_ms(const freshet_dedup* dedup) {
  return dedup->newest_ms;
}

static void put_key(uint8_t* key, uint64_t number) {
  memcpy(key, freshet_dedup_key_prefix, 2);
  for (int i = 0; i < 8; i++) key[2 + i] = (uint8_t)(number >> (56 - 8 * i));
}

bool freshet_dedup_take_chunk(freshet_dedup* dedup, uint8_t* key, freshet_buffer* value) {
  if (dedup->unwritten == 0) return false;
  size_t first = dedup->ring_size; /* of the ids that are not written yet */
  for (size_t i = 1; i <= dedup->unwritten; i++) first -= chunk_at(dedup, dedup->chunk_count - i)->count;
  const chunk* c = chunk_at(dedup, dedup->chunk_count - dedup->unwritten);
  dedup->unwritten--;
  put_key(key, c->number);
  uint8_t header[HEADER_SIZE] = {VERSION};
  memcpy(header + 1, &c->newest_ms, 8);
  freshet_buffer_append(value, header, sizeof header);
  for (size_t i = first; i < first + c->count; i++) {
    freshet_buffer_append(value, &dedup->ring[(dedup->ring_head + i) & (dedup->ring_capacity - 1)], 8);
  }
  return true;
}

bool freshet_dedup_take_expired(freshet_dedup* dedup, uint8_t* key) {
  if (dedup->chunk_count == dedup->unwritten) return false;
  const chunk* oldest = chunk_at(dedup, 0);
  bool too_many = dedup->ring_size - oldest->count >= dedup->max_events;
  bool too_old = dedup->newest_ms - oldest->newest_ms > dedup->window_ms;
  if (!too_many && !too_old) return false;
  put_key(key, oldest->number);
  for (uint32_t i = 0; i < oldest->count; i++) {
    remove_key(dedup, dedup->ring[dedup->ring_head]);
    dedup->ring_head = (dedup->ring_head + 1) & (dedup->ring_capacity - 1);
    dedup->ring_size--;
  }
  dedup->chunk_head = (dedup->chunk_head + 1) & (dedup->chunk_capacity - 1);
  dedup->chunk_count--;
  return true;
}

freshet_status freshet_dedup_check(freshet_slice key, freshet_slice value, freshet_error* error) {
  const bool is_well_formed =
      key.size == FRESHET_DEDUP_KEY_SIZE && memcmp(key.data, freshet_dedup_key_prefix, 2) == 0 &&
      value.size >= HEADER_SIZE && value.data[0] == VERSION && (value.size - HEADER_SIZE) % 8 == 0;
  if (is_well_formed) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "dedup window: malformed chunk of %zu bytes",
                           value.size);
}

freshet_status freshet_dedup_load(freshet_dedup* dedup, freshet_slice key, freshet_slice value,
                                  freshet_error* error) {
  freshet_status status = freshet_dedup_check(key, value, error);
  if (status != FRESHET_OK) return status;
  uint64_t number = 0;
  for (int i = 0; i < 8; i++) number = number << 8 | (uint8_t)key.data[2 + i];
  chunk* c = push_chunk(dedup, number);
  memcpy(&c->newest_ms, value.data + 1, 8);
  if (c->newest_ms > dedup->newest_ms) dedup->newest_ms = c->newest_ms;
  if (number >= dedup->next_number) dedup->next_number = number + 1;
  for (size_t at = HEADER_SIZE; at < value.size; at += 8) {
    uint64_t id;
    memcpy(&id, value.data + at, 8);
    if (insert(dedup, id)) c->count++;
  }
  return FRESHET_OK;
}
