/*
 * support_disk.c: the simulated disk: a journal of writes over the in-memory store, so that the last writes can be
 * undone.
 */
#include "support_disk.h"

#include <stdlib.h>

#include "support/memory_store.h"

enum { TRIES = 10 }; /* to find a row to damage */

typedef enum operation_kind { PUT, REMOVE, CLEAR, POSITION } operation_kind;

typedef struct operation {
  operation_kind kind;
  freshet_family family;
  freshet_topic topic;
  int32_t partition;
  int64_t offset, time_ms;
  freshet_buffer key, value;
} operation;

/* The journal of all writes. The rows are the result of playing it. */
struct sim_disk {
  freshet_store store;
  freshet_store* rows;
  operation* journal; /* [count]; those before `written` are on the disk */
  size_t count, capacity;
  size_t written;
  size_t* ends; /* [write_count] of the journal, after each write */
  size_t write_count, write_capacity;
  bool is_writing; /* a write has started and not ended */
  size_t started;  /* of the journal: what that write takes */
  bool (*survives)(void* context);
  bool (*goes_on)(void* context, int wait_ms);
  void* context;
  /* A row that can no longer be read, until it is written again. */
  bool is_damaged, is_ruined; /* ruined: somebody has met it */
  freshet_family damaged_family;
  int32_t damaged_partition;
  freshet_buffer damaged_key;
};

static sim_disk* disk_of(freshet_store* self) {
  return (sim_disk*)self;
}

static operation* note(freshet_store* self, operation_kind kind, freshet_family family, int32_t partition) {
  sim_disk* disk = disk_of(self);
  if (disk->count == disk->capacity) {
    disk->capacity = disk->capacity == 0 ? 256 : disk->capacity * 2;
    disk->journal = realloc(disk->journal, disk->capacity * sizeof *disk->journal);
    FRESHET_ASSERT(disk->journal != NULL);
  }
  operation* o = &disk->journal[disk->count++];
  *o = (operation){.kind = kind, .family = family, .partition = partition};
  return o;
}

/* ---- damage ---- */

static bool is_of(const sim_disk* disk, freshet_family family, int32_t partition) {
  return disk->is_damaged && disk->damaged_family == family && disk->damaged_partition == partition;
}

static bool is_damaged_row(const sim_disk* disk, freshet_family family, int32_t partition,
                           freshet_slice key) {
  return is_of(disk, family, partition) && freshet_slice_equal(freshet_buffer_slice(&disk->damaged_key), key);
}

/* As RocksDB when the checksum of a block is wrong. */
static freshet_status fail_to_read(sim_disk* disk, freshet_error* error) {
  disk->is_ruined = true;
  return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "Corruption: block checksum mismatch");
}

/* Writing the row again mends it, and so does clearing its partition. */
static void mend(sim_disk* disk, const operation* o) {
  const bool is_row = o->kind == PUT || o->kind == REMOVE;
  if (o->kind == CLEAR
          ? is_of(disk, o->family, o->partition)
          : is_row && is_damaged_row(disk, o->family, o->partition, freshet_buffer_slice(&o->key)))
    disk->is_damaged = false;
}

void sim_disk_damage(sim_disk* disk, sim_random* random) {
  if (disk->written == 0 || disk->is_damaged) return;
  const bool wants_user = sim_chance(random, 700); /* their rows are read all the time */
  const operation* o = NULL;
  for (int i = 0; o == NULL && i < TRIES; i++) {
    const operation* drawn = &disk->journal[sim_below(random, (uint32_t)disk->written)];
    if (drawn->kind == PUT && (!wants_user || drawn->family == FRESHET_FAMILY_USERS)) o = drawn;
  }
  if (o == NULL) return;
  disk->is_damaged = true;
  disk->damaged_family = o->family;
  disk->damaged_partition = o->partition;
  disk->damaged_key.size = 0;
  freshet_buffer_append(&disk->damaged_key, o->key.data, o->key.size);
}

bool sim_disk_is_ruined(const sim_disk* disk) {
  return disk->is_ruined;
}

void sim_disk_mend(sim_disk* disk) {
  disk->is_damaged = false;
}

/* ---- the journal ---- */

static void play(sim_disk* disk, size_t from, size_t to) {
  freshet_store* rows = disk->rows;
  for (size_t i = from; i < to; i++) {
    const operation* o = &disk->journal[i];
    mend(disk, o);
    freshet_slice key = freshet_buffer_slice(&o->key), value = freshet_buffer_slice(&o->value);
    switch (o->kind) {
      case PUT:
        freshet_store_put(rows, o->family, o->partition, key, value);
        break;
      case REMOVE:
        freshet_store_remove(rows, o->family, o->partition, key);
        break;
      case CLEAR:
        freshet_store_clear(rows, o->family, o->partition);
        break;
      case POSITION:
        freshet_store_set_position(rows, o->topic, o->partition, o->offset, o->time_ms);
        break;
    }
  }
  freshet_store_write(rows, NULL);
}

static void cut(sim_disk* disk, size_t count) {
  while (disk->count > count) {
    operation* o = &disk->journal[--disk->count];
    freshet_buffer_free(&o->key);
    freshet_buffer_free(&o->value);
  }
}

/* ---- store.h ---- */

static freshet_status disk_get(freshet_store* self, freshet_family family, int32_t partition,
                               freshet_slice key, freshet_buffer* value, freshet_error* error) {
  freshet_store* rows = disk_of(self)->rows;
  if (is_damaged_row(disk_of(self), family, partition, key)) return fail_to_read(disk_of(self), error);
  return freshet_store_get(rows, family, partition, key, value, error);
}

static freshet_status disk_scan(freshet_store* self, freshet_family family, int32_t partition,
                                freshet_slice prefix, freshet_store_visit visit, void* context,
                                freshet_error* error) {
  freshet_store* rows = disk_of(self)->rows;
  sim_disk* disk = disk_of(self);
  const freshet_buffer* damaged = &disk->damaged_key;
  if (is_of(disk, family, partition) && damaged->size >= prefix.size &&
      (prefix.size == 0 || memcmp(damaged->data, prefix.data, prefix.size) == 0))
    return fail_to_read(disk, error);
  return freshet_store_scan(rows, family, partition, prefix, visit, context, error);
}

static freshet_status disk_scan_after(freshet_store* self, freshet_family family, int32_t partition,
                                      freshet_slice after, freshet_store_visit visit, void* context,
                                      freshet_error* error) {
  freshet_store* rows = disk_of(self)->rows;
  if (is_of(disk_of(self), family, partition)) return fail_to_read(disk_of(self), error);
  return freshet_store_scan_after(rows, family, partition, after, visit, context, error);
}

static void disk_put(freshet_store* self, freshet_family family, int32_t partition, freshet_slice key,
                     freshet_slice value) {
  operation* o = note(self, PUT, family, partition);
  freshet_buffer_append(&o->key, key.data, key.size);
  freshet_buffer_append(&o->value, value.data, value.size);
}

static void disk_remove(freshet_store* self, freshet_family family, int32_t partition, freshet_slice key) {
  freshet_buffer_append(&note(self, REMOVE, family, partition)->key, key.data, key.size);
}

static void disk_clear(freshet_store* self, freshet_family family, int32_t partition) {
  note(self, CLEAR, family, partition);
}

static void disk_set_position(freshet_store* self, freshet_topic topic, int32_t partition, int64_t offset,
                              int64_t time_ms) {
  operation* o = note(self, POSITION, FRESHET_FAMILY_USERS, partition);
  o->topic = topic;
  o->offset = offset;
  o->time_ms = time_ms;
}

/* Operations of the journal before `end` are on the disk then. */
static freshet_status write_to(sim_disk* disk, size_t end, freshet_error* error) {
  if (disk->is_ruined) return fail_to_read(disk, error); /* as store.h says */
  if (!disk->survives(disk->context)) {
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "the process died before a store write");
  }
  if (disk->write_count == disk->write_capacity) {
    disk->write_capacity = disk->write_capacity == 0 ? 64 : disk->write_capacity * 2;
    disk->ends = realloc(disk->ends, disk->write_capacity * sizeof *disk->ends);
    FRESHET_ASSERT(disk->ends != NULL);
  }
  play(disk, disk->written, end);
  disk->written = disk->ends[disk->write_count++] = end;
  if (!disk->survives(disk->context)) {
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "the process died after a store write");
  }
  return FRESHET_OK;
}

static bool is_late(sim_disk* disk, int wait_ms) {
  return disk->goes_on != NULL && disk->goes_on(disk->context, wait_ms);
}

static freshet_status disk_write(freshet_store* self, freshet_error* error) {
  sim_disk* disk = disk_of(self);
  freshet_status status = disk->is_writing ? write_to(disk, disk->started, error) : FRESHET_OK;
  disk->is_writing = false;
  return status == FRESHET_OK ? write_to(disk, disk->count, error) : status;
}

/* A thread beside the caller may have written all of it before the caller takes its next step. */
static void disk_start_write(freshet_store* self) {
  sim_disk* disk = disk_of(self);
  FRESHET_ASSERT(!disk->is_writing);
  disk->is_writing = true;
  disk->started = disk->count;
  if (!is_late(disk, 0)) write_to(disk, disk->started, NULL); /* end_write tells how it went */
}

static freshet_status disk_end_write(freshet_store* self, int wait_ms, freshet_error* error) {
  sim_disk* disk = disk_of(self);
  if (wait_ms >= 0 && disk->is_writing && is_late(disk, wait_ms))
    return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_RETRY, "the write goes on");
  if (!disk->is_writing) return disk_write(self, error);
  disk->is_writing = false;
  return write_to(disk, disk->started, error);
}

static freshet_status disk_position(freshet_store* self, freshet_topic topic, int32_t partition,
                                    int64_t* offset, int64_t* time_ms, freshet_error* error) {
  freshet_store* rows = disk_of(self)->rows;
  return freshet_store_position(rows, topic, partition, offset, time_ms, error);
}

static size_t disk_memory(freshet_store* self) {
  return disk_of(self)->count;
}

static void disk_no_destroy(freshet_store* self) {
  (void)self;
}

static const freshet_store_vtable vtable = {.get = disk_get,
                                            .scan = disk_scan,
                                            .scan_after = disk_scan_after,
                                            .put = disk_put,
                                            .remove = disk_remove,
                                            .clear = disk_clear,
                                            .set_position = disk_set_position,
                                            .write = disk_write,
                                            .start_write = disk_start_write,
                                            .end_write = disk_end_write,
                                            .position = disk_position,
                                            .memory = disk_memory,
                                            .destroy = disk_no_destroy};

sim_disk* sim_disk_create(void) {
  sim_disk* disk = calloc(1, sizeof *disk);
  FRESHET_ASSERT(disk != NULL);
  disk->store.vtable = &vtable;
  disk->rows = freshet_memory_store_create();
  return disk;
}

void sim_disk_destroy(sim_disk* disk) {
  if (disk == NULL) return;
  cut(disk, 0);
  freshet_store_destroy(disk->rows);
  freshet_buffer_free(&disk->damaged_key);
  free(disk->journal);
  free(disk->ends);
  free(disk);
}

void sim_disk_tear(sim_disk* disk, size_t writes) {
  disk->write_count = writes < disk->write_count ? disk->write_count - writes : 0;
  disk->written = disk->write_count == 0 ? 0 : disk->ends[disk->write_count - 1];
  cut(disk, disk->written);
  freshet_store_destroy(disk->rows);
  disk->rows = freshet_memory_store_create();
  play(disk, 0, disk->written);
}

void sim_disk_wipe(sim_disk* disk) {
  disk->is_damaged = disk->is_ruined = false;
  sim_disk_tear(disk, disk->write_count);
}

freshet_store* sim_disk_open(sim_disk* disk, bool (*survives)(void* context), void* context) {
  cut(disk, disk->written);
  disk->survives = survives;
  disk->goes_on = NULL;
  disk->is_writing = false;
  disk->context = context;
  return &disk->store;
}

void sim_disk_delay(sim_disk* disk, bool (*goes_on)(void* context, int wait_ms)) {
  disk->goes_on = goes_on;
}
