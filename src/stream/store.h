/*
 * store.h: what survives on this machine: rows and, in the same atomic batch, how far the logs are reflected
 * in them. Driven by the worker thread only, but for `get`, which other threads may call.
 */
#ifndef FRESHET_WORKER_STORE_H
#define FRESHET_WORKER_STORE_H

#include "stream/source.h"

typedef enum freshet_family {
  FRESHET_FAMILY_USERS =
      0,                /* by partition and user id; ids that start with a NUL byte are ours (dedup window) */
  FRESHET_FAMILY_ITEMS, /* learned item state by item key, partition 0 */
  FRESHET_FAMILY_CATALOGUE, /* the Item records as published, by item id, partition 0 */
  FRESHET_FAMILIES,
} freshet_family;

typedef struct freshet_store freshet_store;

/* Returns false to stop the iteration. */
typedef bool (*freshet_store_visit)(void* context, freshet_slice key, freshet_slice value);

typedef struct freshet_store_vtable {
  /* Appends the value to *value. Errors: FRESHET_NOT_FOUND, FRESHET_IO. */
  freshet_status (*get)(freshet_store* self, freshet_family family, int32_t partition, freshet_slice key,
                        freshet_buffer* value, freshet_error* error);
  /* Rows of a partition whose key starts with prefix, in key order. */
  freshet_status (*scan)(freshet_store* self, freshet_family family, int32_t partition, freshet_slice prefix,
                         freshet_store_visit visit, void* context, freshet_error* error);
  /* Rows of a partition whose key is greater than `after`, in key order: to go on where a scan has stopped.
   */
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
  freshet_status (*write)(freshet_store* self, freshet_error* error);
  /* In the batch too: the bytes that this row, removed in the same batch, has left behind are to leave the
   * disk soon after the write, whatever happens in between. NULL: nothing is left behind. */
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

#endif
