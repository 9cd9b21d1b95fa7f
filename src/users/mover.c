/* mover.c: see mover.h. */
#include "users/mover.h"

#include <stdlib.h>
#include <xxhash.h>

#include "core/grow.h"
#include "users/dedup.h"
#include "users/user_records.h"

enum { POLL_RECORDS = 2048, POLL_WAIT_MS = 100, STALL_MS = 90000, CHUNK_HEADER = 9, FIRST_CAPACITY = 1024 };

/* The last record of a key in a partition. */
typedef struct last_record {
  uint64_t hash[2]; /* XXH3 of 128 bits; both 0: free */
  int64_t offset;   /* -1: a tombstone */
  int32_t partition, home, old_home;
  bool is_dropped; /* the user has a row in another partition that stays */
} last_record;

/* Event ids as they lie in the changelog. */
typedef struct window_chunk {
  int32_t partition;
  uint64_t number;
  int64_t newest_ms;
  bool is_alive;
  freshet_buffer value;
} window_chunk;

struct freshet_mover {
  freshet_mover_config config;
  freshet_record* records; /* [POLL_RECORDS] scratch */
  last_record* rows;       /* [capacity] open addressing by hash and partition */
  size_t capacity, used;
  window_chunk* chunks; /* [chunk_count] */
  size_t chunk_count, chunk_capacity;
  bool* sends;   /* [before][after]: users move from there to there */
  int64_t* ends; /* [before] of the first reading; -1: there was none */
  freshet_buffer bytes;
  /* Of the second reading. */
  freshet_sink* sink;
  void (*progress)(void* context, uint64_t moved);
  void* context;
  uint64_t moved;
};

static void* allocate(size_t count, size_t size) {
  void* memory = calloc(count + 1, size);
  FRESHET_ASSERT(memory != NULL);
  return memory;
}

freshet_mover* freshet_mover_create(const freshet_mover_config* config) {
  freshet_mover* mover = allocate(1, sizeof *mover);
  mover->config = *config;
  mover->records = allocate(POLL_RECORDS, sizeof *mover->records);
  mover->capacity = FIRST_CAPACITY;
  mover->rows = allocate(mover->capacity, sizeof *mover->rows);
  mover->sends = allocate((size_t)config->before * (size_t)config->after, sizeof *mover->sends);
  mover->ends = allocate((size_t)config->before, sizeof *mover->ends);
  for (int32_t p = 0; p < config->before; p++) mover->ends[p] = -1;
  return mover;
}

void freshet_mover_destroy(freshet_mover* mover) {
  if (mover == NULL) return;
  for (size_t i = 0; i < mover->chunk_count; i++) freshet_buffer_free(&mover->chunks[i].value);
  free(mover->chunks);
  free(mover->rows);
  free(mover->records);
  free(mover->sends);
  free(mover->ends);
  freshet_buffer_free(&mover->bytes);
  free(mover);
}

/* ---- the index ---- */

static last_record* place_of(const freshet_mover* mover, const uint64_t hash[2], int32_t partition) {
  size_t i = (size_t)(hash[0] + (uint64_t)partition * 0x9e3779b97f4a7c15u) & (mover->capacity - 1);
  for (;; i = (i + 1) & (mover->capacity - 1)) {
    last_record* r = &mover->rows[i];
    bool is_free = r->hash[0] == 0 && r->hash[1] == 0;
    if (is_free || (r->hash[0] == hash[0] && r->hash[1] == hash[1] && r->partition == partition)) return r;
  }
}

static void grow_index(freshet_mover* mover) {
  last_record* old = mover->rows;
  size_t old_capacity = mover->capacity;
  mover->capacity *= 2;
  mover->rows = allocate(mover->capacity, sizeof *mover->rows);
  for (size_t i = 0; i < old_capacity; i++) {
    if (old[i].hash[0] != 0 || old[i].hash[1] != 0) *place_of(mover, old[i].hash, old[i].partition) = old[i];
  }
  free(old);
}

static last_record* entry_of(freshet_mover* mover, const freshet_record* record) {
  XXH128_hash_t hash = XXH3_128bits(record->key.data, record->key.size);
  if (mover->used * 2 >= mover->capacity) grow_index(mover);
  last_record* r = place_of(mover, (uint64_t[2]){hash.low64, hash.high64}, record->partition);
  if (r->hash[0] == 0 && r->hash[1] == 0) {
    mover->used++;
    *r = (last_record){.hash = {hash.low64, hash.high64}, .partition = record->partition, .offset = -1};
    r->home = freshet_partition_by(mover->config.partitioner, record->key, mover->config.after);
    if (r->home < 0) r->home = record->partition;
    r->old_home = freshet_partition_by(mover->config.partitioner, record->key, mover->config.before);
  }
  return r;
}

static bool is_chunk(const freshet_record* record) {
  return record->key.size == FRESHET_DEDUP_KEY_SIZE &&
         memcmp(record->key.data, freshet_dedup_key_prefix, 2) == 0;
}

static void note_chunk(freshet_mover* mover, const freshet_record* record) {
  uint64_t number = 0;
  for (int i = 0; i < 8; i++) number = number << 8 | (uint8_t)record->key.data[2 + i];
  window_chunk* c = NULL;
  for (size_t i = mover->chunk_count; i > 0 && c == NULL; i--) {
    window_chunk* known = &mover->chunks[i - 1];
    if (known->partition == record->partition && known->number == number) c = known;
  }
  if (c == NULL) {
    mover->chunks =
        freshet_grow(mover->chunks, &mover->chunk_capacity, mover->chunk_count + 1, sizeof *mover->chunks);
    c = &mover->chunks[mover->chunk_count++];
    *c = (window_chunk){.partition = record->partition, .number = number};
  }
  c->is_alive = record->has_value && record->value.size >= CHUNK_HEADER;
  c->value.size = 0;
  if (!c->is_alive) {
    freshet_buffer_free(&c->value);
    return;
  }
  freshet_buffer_append(&c->value, record->value.data, record->value.size);
  memcpy(&c->newest_ms, record->value.data + 1, sizeof c->newest_ms);
}

static bool is_user(const freshet_record* record) {
  return record->has_key && record->key.size > 0 && !freshet_dedup_is_key(record->key);
}

static freshet_status note_all(void* context, const freshet_record* records, size_t count,
                               freshet_error* error) {
  freshet_mover* mover = context;
  const freshet_user_records reading = {
      .codec = mover->config.codec, .logger = mover->config.logger, .topic = "users"};
  for (size_t i = 0; i < count; i++) {
    bool is_usable;
    freshet_status status = freshet_user_record_judge(&reading, &records[i], &is_usable, error);
    if (status != FRESHET_OK) return status;
    if (!is_usable) continue;
    if (is_user(&records[i])) {
      entry_of(mover, &records[i])->offset = records[i].has_value ? records[i].offset : -1;
    } else if (records[i].has_key && is_chunk(&records[i])) {
      note_chunk(mover, &records[i]);
    }
  }
  return FRESHET_OK;
}

/* ---- which row of a user stays ---- */

static int by_hash(const void* left, const void* right) {
  const last_record *a = *(last_record*const*)left, *b = *(last_record*const*)right;
  for (int i = 0; i < 2; i++) {
    if (a->hash[i] != b->hash[i]) return a->hash[i] < b->hash[i] ? -1 : 1;
  }
  return a->partition - b->partition;
}

/* Of several rows of a user, the one where the user has lived stays, else the one at the new home, else the first. */
static void choose(last_record** rows, size_t count, freshet_mover_counts* counts) {
  size_t kept = 0;
  for (size_t i = 1; i < count; i++) {
    if (rows[i]->partition == rows[i]->home) kept = i;
  }
  for (size_t i = 0; i < count; i++) {
    if (rows[i]->partition == rows[i]->old_home) kept = i;
  }
  for (size_t i = 0; i < count; i++) rows[i]->is_dropped = i != kept;
  counts->users++;
  counts->doubles += count - 1;
  counts->moves += rows[kept]->partition != rows[kept]->home;
}

static void judge_rows(freshet_mover* mover, freshet_mover_counts* counts) {
  last_record** alive = allocate(mover->used, sizeof *alive);
  size_t count = 0;
  for (size_t i = 0; i < mover->capacity; i++) {
    last_record* r = &mover->rows[i];
    if ((r->hash[0] != 0 || r->hash[1] != 0) && r->offset >= 0) alive[count++] = r;
  }
  qsort(alive, count, sizeof *alive, by_hash);
  for (size_t i = 0, end; i < count; i = end) {
    for (end = i + 1;
         end < count && alive[end]->hash[0] == alive[i]->hash[0] && alive[end]->hash[1] == alive[i]->hash[1];)
      end++;
    choose(alive + i, end - i, counts);
  }
  for (size_t i = 0; i < count; i++) {
    if (!alive[i]->is_dropped && alive[i]->partition != alive[i]->home)
      mover->sends[alive[i]->partition * mover->config.after + alive[i]->home] = true;
  }
  free(alive);
}

/* ---- reading ----
 * The second reading ends where the first one did: what the open transaction writes behind it is not to be read. */

static freshet_status read_partition(freshet_mover* mover, int32_t partition,
                                     freshet_status (*apply)(void* context, const freshet_record* records,
                                                             size_t count, freshet_error* error),
                                     freshet_error* error) {
  const freshet_mover_config* config = &mover->config;
  int64_t first, end;
  freshet_status status =
      freshet_reader_range(config->reader, FRESHET_TOPIC_USERS, partition, &first, &end, error);
  if (status != FRESHET_OK) return status;
  if (mover->ends[partition] < 0) mover->ends[partition] = end;
  end = mover->ends[partition];
  if (first >= end) return FRESHET_OK;
  const freshet_reading reading = {.reader = config->reader,
                                   .clock = config->clock,
                                   .logger = config->logger,
                                   .stop = config->stop,
                                   .name = "read the changelog of users",
                                   .wait_ms = POLL_WAIT_MS,
                                   .stall_ms = STALL_MS,
                                   .records = mover->records,
                                   .capacity = POLL_RECORDS,
                                   .apply = apply,
                                   .context = mover};
  const freshet_partition target = {.topic = FRESHET_TOPIC_USERS, .partition = partition, .offset = end};
  status =
      freshet_reader_open(config->reader, FRESHET_TOPIC_USERS, partition, FRESHET_OFFSET_BEGINNING, error);
  if (status == FRESHET_OK) status = freshet_read_to(&reading, &target, 1, error);
  freshet_status shut = freshet_reader_shut(config->reader, FRESHET_TOPIC_USERS, partition,
                                            status == FRESHET_OK ? error : NULL);
  if (status == FRESHET_OK) status = shut;
  return status;
}

freshet_status freshet_mover_look(freshet_mover* mover, freshet_mover_counts* counts, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  *counts = (freshet_mover_counts){0};
  for (int32_t p = 0; status == FRESHET_OK && p < mover->config.before; p++)
    status = read_partition(mover, p, note_all, error);
  if (status == FRESHET_OK) judge_rows(mover, counts);
  return status;
}

/* ---- writing ---- */

static freshet_status write_row(freshet_mover* mover, int32_t partition, freshet_slice key,
                                freshet_slice value, freshet_error* error) {
  const freshet_output row = {.topic = FRESHET_TOPIC_USERS,
                              .partition = partition,
                              .key = key,
                              .has_value = value.data != NULL,
                              .value = value};
  return freshet_sink_write(mover->sink, &row, error);
}

/* Offsets of the old partition say nothing in the new one, so the user has no version until the next event. A list
 * that is owed stays owed. */
static freshet_status write_moved(freshet_mover* mover, const freshet_record* record, int32_t home,
                                  freshet_error* error) {
  freshet_user_state state;
  freshet_error cause = {0};
  freshet_status status = freshet_decode_user_state(mover->config.codec, record->value, &state, &cause);
  if (status != FRESHET_OK)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "the row at offset %lld of partition %d of the changelog cannot be read: %s",
                             (long long)record->offset, (int)record->partition, cause.message);
  if (state.listed_offset < state.newest_offset && state.refresh_since_ms == 0)
    state.refresh_since_ms = mover->config.now_ms;
  state.newest_offset = state.listed_offset = -1;
  mover->bytes.size = 0;
  status = freshet_encode_user_state(mover->config.codec, &state, &mover->bytes, error);
  if (status == FRESHET_OK)
    status = write_row(mover, home, record->key, freshet_buffer_slice(&mover->bytes), error);
  if (status != FRESHET_OK) return status;
  mover->moved++;
  if (mover->progress != NULL) mover->progress(mover->context, mover->moved);
  return FRESHET_OK;
}

/* A dropped row at the user's home is overwritten by the row that comes there, wherever it stands in the log. */
static freshet_status move_all(void* context, const freshet_record* records, size_t count,
                               freshet_error* error) {
  freshet_mover* mover = context;
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    const freshet_record* record = &records[i];
    if (!is_user(record) || !record->has_value) continue;
    const last_record* last = entry_of(mover, record);
    if (last->offset != record->offset || last->partition == last->home) continue;
    if (!last->is_dropped) status = write_moved(mover, record, last->home, error);
    if (status == FRESHET_OK)
      status = write_row(mover, record->partition, record->key, (freshet_slice){NULL, 0}, error);
  }
  return status;
}

/* ---- dedup windows ---- */

static int by_time(const void* left, const void* right) {
  const window_chunk *a = *(window_chunk*const*)left, *b = *(window_chunk*const*)right;
  if (a->newest_ms != b->newest_ms) return a->newest_ms < b->newest_ms ? -1 : 1;
  if (a->partition != b->partition) return a->partition - b->partition;
  return a->number < b->number ? -1 : a->number > b->number;
}

static bool gets_users(const freshet_mover* mover, int32_t home) {
  for (int32_t p = 0; p < mover->config.before; p++) {
    if (mover->sends[p * mover->config.after + home]) return true;
  }
  return false;
}

static freshet_status write_chunk(freshet_mover* mover, int32_t partition, uint64_t number,
                                  freshet_slice value, freshet_error* error) {
  char key[FRESHET_DEDUP_KEY_SIZE];
  memcpy(key, freshet_dedup_key_prefix, 2);
  for (int i = 0; i < 8; i++) key[2 + i] = (char)(number >> (56 - 8 * i));
  return write_row(mover, partition, (freshet_slice){key, sizeof key}, value, error);
}

/* A hash of an event id does not tell whose event it was. So the window of a partition that gets users is made of its
 * own and of all windows from which they come, in order of time. */
static freshet_status write_window(freshet_mover* mover, int32_t home, freshet_error* error) {
  window_chunk** from = allocate(mover->chunk_count, sizeof *from);
  freshet_status status = FRESHET_OK;
  size_t count = 0;
  uint64_t next = 0;
  for (size_t i = 0; status == FRESHET_OK && i < mover->chunk_count; i++) {
    window_chunk* c = &mover->chunks[i];
    bool is_own = c->partition == home;
    if (is_own && c->number >= next) next = c->number + 1;
    if (!c->is_alive || (!is_own && !mover->sends[c->partition * mover->config.after + home])) continue;
    from[count++] = c;
    if (is_own) status = write_chunk(mover, home, c->number, (freshet_slice){NULL, 0}, error);
  }
  qsort(from, count, sizeof *from, by_time);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++)
    status = write_chunk(mover, home, next + i, freshet_buffer_slice(&from[i]->value), error);
  free(from);
  return status;
}

freshet_status freshet_mover_move(freshet_mover* mover, freshet_sink* sink,
                                  void (*progress)(void* context, uint64_t moved), void* context,
                                  freshet_error* error) {
  freshet_status status = FRESHET_OK;
  mover->sink = sink;
  mover->progress = progress;
  mover->context = context;
  for (int32_t p = 0; status == FRESHET_OK && p < mover->config.before; p++)
    status = read_partition(mover, p, move_all, error);
  for (int32_t home = 0; status == FRESHET_OK && home < mover->config.after; home++) {
    if (gets_users(mover, home)) status = write_window(mover, home, error);
  }
  return status;
}
