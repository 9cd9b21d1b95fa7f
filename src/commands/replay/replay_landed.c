/*
 * replay_landed.c: reads back what a killed replay published after its last checkpoint, and keeps a table of
 * how often each record is there already. It owns that table. It must not send anything.
 */
#include "commands/replay/replay_landed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum { POLL_RECORDS = 1024, POLL_MS = 100, STALL_POLLS = 900, NUMBER_SIZE = 24, FIRST_CAPACITY = 1024 };

/* Sorted; of equal hashes the first ones are taken. */
struct freshet_replay_landed {
  uint64_t* hashes; /* [count] */
  bool* taken;      /* [count] */
  size_t count, capacity;
  size_t left; /* not taken */
};

static uint64_t hash_record(freshet_slice key, freshet_slice value) {
  return XXH3_64bits_withSeed(value.data, value.size, XXH3_64bits(key.data, key.size));
}

freshet_status freshet_replay_landed_mark(freshet_reader* log, freshet_topic topic, freshet_buffer* text,
                                          freshet_error* error) {
  int32_t partitions = 0;
  freshet_status status = freshet_reader_partitions(log, topic, &partitions, error);
  for (int32_t p = 0; status == FRESHET_OK && p < partitions; p++) {
    int64_t first, end;
    char number[NUMBER_SIZE];
    status = freshet_reader_range(log, topic, p, &first, &end, error);
    if (status != FRESHET_OK) break;
    int size = snprintf(number, sizeof number, "%s%" PRId64, p == 0 ? "" : ",", end);
    freshet_buffer_append(text, number, (size_t)size);
  }
  return status;
}

typedef struct span {
  int64_t from, end;
} span;

/* Where each partition is read from and to. */
static freshet_status find_spans(freshet_reader* log, freshet_topic topic, const char* mark, span* spans,
                                 int32_t partitions, freshet_error* error) {
  for (int32_t p = 0; p < partitions; p++) {
    int64_t first;
    int used = 0;
    if (sscanf(mark, "%" SCNd64 "%n", &spans[p].from, &used) != 1) break;
    mark += used + (mark[used] == ',');
    freshet_status status = freshet_reader_range(log, topic, p, &first, &spans[p].end, error);
    if (status != FRESHET_OK) return status;
    if (spans[p].from > spans[p].end) break; /* made anew since */
    if (spans[p].from < first) spans[p].from = first;
    if (p + 1 == partitions && *mark == '\0') return FRESHET_OK;
  }
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "the checkpoint does not fit the topic of events, which has been made anew or has "
                           "another number of partitions");
}

static void add(freshet_replay_landed* landed, const freshet_record* record) {
  if (landed->count == landed->capacity) {
    landed->capacity = landed->capacity == 0 ? FIRST_CAPACITY : 2 * landed->capacity;
    landed->hashes = realloc(landed->hashes, landed->capacity * sizeof *landed->hashes);
    FRESHET_ASSERT(landed->hashes != NULL);
  }
  landed->hashes[landed->count++] = hash_record(record->key, record->value);
}

static bool has_reached(freshet_reader* log, freshet_topic topic, const span* spans, int32_t partitions) {
  for (int32_t p = 0; p < partitions; p++) {
    if (spans[p].from < spans[p].end && freshet_reader_position(log, topic, p) < spans[p].end) return false;
  }
  return true;
}

static freshet_status read_spans(freshet_reader* log, freshet_topic topic, const span* spans,
                                 int32_t partitions, freshet_replay_landed* landed, bool* whole,
                                 freshet_error* error) {
  freshet_record* records = calloc(POLL_RECORDS, sizeof *records);
  FRESHET_ASSERT(records != NULL);
  freshet_status status = FRESHET_OK;
  for (int32_t p = 0; status == FRESHET_OK && p < partitions; p++) {
    if (spans[p].from < spans[p].end) status = freshet_reader_open(log, topic, p, spans[p].from, error);
  }
  int silent = 0;
  *whole = true;
  while (status == FRESHET_OK && *whole && !has_reached(log, topic, spans, partitions)) {
    size_t count;
    status = freshet_reader_poll(log, POLL_MS, records, POLL_RECORDS, &count, error);
    for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
      if (records[i].has_value) add(landed, &records[i]);
    }
    *whole = landed->count < FRESHET_REPLAY_LANDED_MAX;
    silent = count == 0 ? silent + 1 : 0;
    if (silent == STALL_POLLS && status == FRESHET_OK) {
      status = freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP,
                                 "reading back what was published: the cluster gave nothing for %d s",
                                 STALL_POLLS * POLL_MS / 1000);
    }
  }
  for (int32_t p = 0; p < partitions; p++) freshet_reader_shut(log, topic, p, NULL);
  free(records);
  return status;
}

static int compare(const void* a, const void* b) {
  uint64_t x = *(const uint64_t*)a, y = *(const uint64_t*)b;
  return (x > y) - (x < y);
}

freshet_status freshet_replay_landed_read(freshet_reader* log, freshet_topic topic, const char* mark,
                                          freshet_replay_landed** out, bool* whole, freshet_error* error) {
  int32_t partitions = 0;
  freshet_replay_landed* landed = calloc(1, sizeof *landed);
  FRESHET_ASSERT(landed != NULL);
  freshet_status status = freshet_reader_partitions(log, topic, &partitions, error);
  span* spans = calloc((size_t)partitions + 1, sizeof *spans);
  FRESHET_ASSERT(spans != NULL);
  if (status == FRESHET_OK) status = find_spans(log, topic, mark, spans, partitions, error);
  if (status == FRESHET_OK) status = read_spans(log, topic, spans, partitions, landed, whole, error);
  free(spans);
  if (status != FRESHET_OK) {
    freshet_replay_landed_destroy(landed);
    return status;
  }
  landed->taken = calloc(landed->count + 1, sizeof *landed->taken);
  FRESHET_ASSERT(landed->taken != NULL);
  if (landed->count > 0) qsort(landed->hashes, landed->count, sizeof *landed->hashes, compare);
  landed->left = landed->count;
  *out = landed;
  return FRESHET_OK;
}

void freshet_replay_landed_destroy(freshet_replay_landed* landed) {
  if (landed == NULL) return;
  free(landed->hashes);
  free(landed->taken);
  free(landed);
}

bool freshet_replay_landed_take(freshet_replay_landed* landed, freshet_slice key, freshet_slice value) {
  uint64_t hash = hash_record(key, value);
  size_t low = 0, high = landed->count;
  while (low < high) { /* the first one that is not smaller */
    size_t middle = low + (high - low) / 2;
    if (landed->hashes[middle] < hash) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  for (; low < landed->count && landed->hashes[low] == hash; low++) {
    if (landed->taken[low]) continue;
    landed->left--;
    return landed->taken[low] = true;
  }
  return false;
}

size_t freshet_replay_landed_left(const freshet_replay_landed* landed) {
  return landed->left;
}
