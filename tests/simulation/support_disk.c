/*
 * support_disk.c: the simulated disk: a journal of writes over the in-memory store, so that the last writes can be
 * undone.
 */
#include "support_disk.h"

#include <stdlib.h>

#include "support/memory_store.h"

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
  sim_disk_faults faults;
  bool is_ruined; /* a read has met damage */
  uint64_t users_visited;
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

bool sim_disk_is_ruined(const sim_disk* disk) {
  return disk->is_ruined;
}

/* As RocksDB when the checksum of a block is wrong. */
static freshet_status fail_to_read(freshet_error* error) {
  return freshet_error_set(error, FRESHET_DAMAGED, FRESHET_STOP, "Corruption: block checksum mismatch");
}

/* Whether the row is there or not, its block has to be read. */
static freshet_status read_block(sim_disk* disk, freshet_error* error) {
  const sim_disk_faults* faults = &disk->faults;
  if (faults->is_damaged == NULL || !faults->is_damaged(faults->context)) return FRESHET_OK;
  disk->is_ruined = true;
  return fail_to_read(error);
}

/* ---- the journal ---- */

static void play(sim_disk* disk, size_t from, size_t to) {
  freshet_store* rows = disk->rows;
  for (size_t i = from; i < to; i++) {
    const operation* o = &disk->journal[i];
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
  freshet_status status = read_block(disk_of(self), error);
  if (status != FRESHET_OK) return status;
  return freshet_store_get(disk_of(self)->rows, family, partition, key, value, error);
}

uint64_t sim_disk_users_visited(const sim_disk* disk) {
  return disk->users_visited;
}

typedef struct counted {
  sim_disk* disk;
  freshet_family family;
  freshet_store_visit visit;
  void* context;
} counted;

static bool count_visit(void* context, freshet_slice key, freshet_slice value) {
  counted* c = context;
  c->disk->users_visited += c->family == FRESHET_FAMILY_USERS && key.size > 0 && key.data[0] != '\0';
  return c->visit(c->context, key, value);
}

static freshet_status disk_scan(freshet_store* self, freshet_family family, int32_t partition,
                                freshet_slice prefix, freshet_store_visit visit, void* context,
                                freshet_error* error) {
  freshet_status status = read_block(disk_of(self), error);
  if (status != FRESHET_OK) return status;
  counted c = {disk_of(self), family, visit, context};
  return freshet_store_scan(disk_of(self)->rows, family, partition, prefix, count_visit, &c, error);
}

static freshet_status disk_scan_after(freshet_store* self, freshet_family family, int32_t partition,
                                      freshet_slice after, freshet_store_visit visit, void* context,
                                      freshet_error* error) {
  freshet_status status = read_block(disk_of(self), error);
  if (status != FRESHET_OK) return status;
  counted c = {disk_of(self), family, visit, context};
  return freshet_store_scan_after(disk_of(self)->rows, family, partition, after, count_visit, &c, error);
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

static bool survives(const sim_disk* disk) {
  return disk->faults.survives == NULL || disk->faults.survives(disk->faults.context);
}

static freshet_status disk_check(freshet_store* self, freshet_error* error) {
  return disk_of(self)->is_ruined ? fail_to_read(error) : FRESHET_OK;
}

/* Operations of the journal before `end` are on the disk then. */
static freshet_status write_to(sim_disk* disk, size_t end, freshet_error* error) {
  if (disk->is_ruined) return fail_to_read(error); /* as store.h says */
  if (!survives(disk)) {
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "the process died before a store write");
  }
  if (disk->write_count == disk->write_capacity) {
    disk->write_capacity = disk->write_capacity == 0 ? 64 : disk->write_capacity * 2;
    disk->ends = realloc(disk->ends, disk->write_capacity * sizeof *disk->ends);
    FRESHET_ASSERT(disk->ends != NULL);
  }
  play(disk, disk->written, end);
  disk->written = disk->ends[disk->write_count++] = end;
  if (!survives(disk)) {
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "the process died after a store write");
  }
  return FRESHET_OK;
}

static bool is_late(sim_disk* disk, int wait_ms) {
  return disk->faults.goes_on != NULL && disk->faults.goes_on(disk->faults.context, wait_ms);
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
                                            .check = disk_check,
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
  disk->is_ruined = false;
  sim_disk_tear(disk, disk->write_count);
}

freshet_store* sim_disk_open(sim_disk* disk, const sim_disk_faults* faults) {
  cut(disk, disk->written);
  disk->faults = faults == NULL ? (sim_disk_faults){0} : *faults;
  disk->is_writing = false;
  return &disk->store;
}
