/*
 * store.h: the port to what survives on this machine: rows and, in the same atomic batch, how far they reflect the
 * logs. The adapter owns its files (src/rocksdb). It must not know what a row means.
 *
 * Thread rule: the worker's, but for `get`, which any thread may call.
 */
#ifndef FRESHET_STREAM_STORE_H
#define FRESHET_STREAM_STORE_H

#include "stream/source.h"

typedef enum freshet_family {
  FRESHET_FAMILY_USERS =
      0,                /* by partition and user id; ids that start with a NUL byte are ours (dedup window) */
  FRESHET_FAMILY_ITEMS, /* learned item state by item key, partition 0 */
  FRESHET_FAMILY_CATALOGUE, /* the Item records as published, by item id, partition 0 */
  FRESHET_FAMILIES,
} freshet_family;

/* A compacted topic keeps its tombstones for delete.retention.ms, 24 h by default. A store that was away for
 * longer may have missed some, and would bring erased users and withdrawn items back: it starts again from
 * nothing. */
enum { FRESHET_LONGEST_ABSENCE_MS = 20 * 3600 * 1000, FRESHET_CLOCK_ERROR_MS = 3600 * 1000 };

/* Whether a store that was written at stored_ms may have missed none at now_ms. Both are wall clocks, and one of them
 * may have been wrong: a store from the future says nothing about how long it was away. */
static inline bool freshet_store_is_recent(int64_t stored_ms, int64_t now_ms) {
  int64_t absence_ms = now_ms - stored_ms;
  return absence_ms > -FRESHET_CLOCK_ERROR_MS && absence_ms < FRESHET_LONGEST_ABSENCE_MS;
}

typedef struct freshet_store freshet_store;

/* Returns false to stop the iteration. */
typedef bool (*freshet_store_visit)(void* context, freshet_slice key, freshet_slice value);

typedef struct freshet_store_vtable {
  /* Appends the value to *value. Errors: FRESHET_NOT_FOUND, FRESHET_IO; FRESHET_DAMAGED, verdict FRESHET_STOP, when what
   * is stored is damaged, so that the next start makes the store again. */
  freshet_status (*get)(freshet_store* self, freshet_family family, int32_t partition, freshet_slice key,
                        freshet_buffer* value, freshet_error* error);
  /* Rows of a partition whose key starts with prefix, in key order. */
  freshet_status (*scan)(freshet_store* self, freshet_family family, int32_t partition, freshet_slice prefix,
                         freshet_store_visit visit, void* context, freshet_error* error);
  /* Rows of a partition whose key is greater than `after`, in key order: to go on where a scan has
   * stopped. A visit may change what `after` points to. */
  freshet_status (*scan_after)(freshet_store* self, freshet_family family, int32_t partition,
                               freshet_slice after, freshet_store_visit visit, void* context,
                               freshet_error* error);
  /* put, remove, clear and set_position collect; write makes them all durable at once, or none. */
  void (*put)(freshet_store* self, freshet_family family, int32_t partition, freshet_slice key,
              freshet_slice value);
  void (*remove)(freshet_store* self, freshet_family family, int32_t partition, freshet_slice key);
  void (*clear)(freshet_store* self, freshet_family family,
                int32_t partition); /* all rows of the partition */
  void (*set_position)(freshet_store* self, freshet_topic topic, int32_t partition, int64_t offset,
                       int64_t time_ms);
  /* Writes all that was collected, or nothing. After a read has met damage or a write has failed, each write fails:
   * so no caller can go on for good with rows that it could not read. */
  freshet_status (*write)(freshet_store* self, freshet_error* error);
  /* FRESHET_DAMAGED after a read has met damage, FRESHET_IO after a write has failed: then nothing that follows from it
   * may be committed. NULL: always FRESHET_OK. */
  freshet_status (*check)(freshet_store* self, freshet_error* error);
  /* The same in two steps: what has been collected may be written beside the caller. What is collected after
   * start_write belongs to the next write. Until end_write, a read may find the rows or not. `write` waits for a write
   * that has started. Start one at a time. NULL: end_write writes. */
  void (*start_write)(freshet_store* self);
  /* FRESHET_TIMEOUT: the write has not ended within wait_ms (below 0: however long it takes). Any other status is the
   * outcome, as of `write`. */
  freshet_status (*end_write)(freshet_store* self, int wait_ms, freshet_error* error);
  /* Part of the batch too: the row is removed in the same batch, and old copies of its bytes are to leave the disk
   * soon after the write, even if the process is killed in between. NULL: this store keeps no old copies. */
  void (*purge)(freshet_store* self, freshet_family family, int32_t partition, freshet_slice key);
  /* The stored position (and when it was stored), as of the last write. Errors: FRESHET_NOT_FOUND. */
  freshet_status (*position)(freshet_store* self, freshet_topic topic, int32_t partition, int64_t* offset,
                             int64_t* time_ms, freshet_error* error);
  /* Bytes of memory held: block cache, memtables, table readers. */
  size_t (*memory)(freshet_store* self);
  void (*destroy)(freshet_store* self);
} freshet_store_vtable;
struct freshet_store {
  const freshet_store_vtable* vtable;
};

/* One call for each function of the table above; destroy takes NULL too. */
static inline freshet_status freshet_store_get(freshet_store* self, freshet_family family, int32_t partition,
                                               freshet_slice key, freshet_buffer* value,
                                               freshet_error* error) {
  return self->vtable->get(self, family, partition, key, value, error);
}
static inline freshet_status freshet_store_scan(freshet_store* self, freshet_family family, int32_t partition,
                                                freshet_slice prefix, freshet_store_visit visit,
                                                void* context, freshet_error* error) {
  return self->vtable->scan(self, family, partition, prefix, visit, context, error);
}
static inline freshet_status freshet_store_scan_after(freshet_store* self, freshet_family family,
                                                      int32_t partition, freshet_slice after,
                                                      freshet_store_visit visit, void* context,
                                                      freshet_error* error) {
  return self->vtable->scan_after(self, family, partition, after, visit, context, error);
}
static inline void freshet_store_put(freshet_store* self, freshet_family family, int32_t partition,
                                     freshet_slice key, freshet_slice value) {
  self->vtable->put(self, family, partition, key, value);
}
static inline void freshet_store_remove(freshet_store* self, freshet_family family, int32_t partition,
                                        freshet_slice key) {
  self->vtable->remove(self, family, partition, key);
}
static inline void freshet_store_clear(freshet_store* self, freshet_family family, int32_t partition) {
  self->vtable->clear(self, family, partition);
}
static inline void freshet_store_set_position(freshet_store* self, freshet_topic topic, int32_t partition,
                                              int64_t offset, int64_t time_ms) {
  self->vtable->set_position(self, topic, partition, offset, time_ms);
}
static inline freshet_status freshet_store_write(freshet_store* self, freshet_error* error) {
  return self->vtable->write(self, error);
}
static inline freshet_status freshet_store_check(freshet_store* self, freshet_error* error) {
  return self->vtable->check == NULL ? FRESHET_OK : self->vtable->check(self, error);
}
static inline void freshet_store_start_write(freshet_store* self) {
  if (self->vtable->start_write != NULL) self->vtable->start_write(self);
}
static inline freshet_status freshet_store_end_write(freshet_store* self, int wait_ms, freshet_error* error) {
  return self->vtable->end_write != NULL ? self->vtable->end_write(self, wait_ms, error)
                                         : self->vtable->write(self, error);
}
static inline void freshet_store_purge(freshet_store* self, freshet_family family, int32_t partition,
                                       freshet_slice key) {
  if (self->vtable->purge != NULL) self->vtable->purge(self, family, partition, key);
}
static inline freshet_status freshet_store_position(freshet_store* self, freshet_topic topic,
                                                    int32_t partition, int64_t* offset, int64_t* time_ms,
                                                    freshet_error* error) {
  return self->vtable->position(self, topic, partition, offset, time_ms, error);
}
static inline size_t freshet_store_memory(freshet_store* self) {
  return self->vtable->memory(self);
}
static inline void freshet_store_destroy(freshet_store* self) {
  if (self != NULL) self->vtable->destroy(self);
}

#endif
