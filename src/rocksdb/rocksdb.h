/*
 * rocksdb.h: RocksDB behind store.h.
 *
 * A folder belongs to one app and one process. Rows of all partitions share a column family per
 * freshet_family, keyed by 4-byte big-endian partition and then the row's key, so that a partition is one
 * contiguous range. Positions, the app's id and the format version live in the default column family.
 */
#ifndef FRESHET_ROCKSDB_ROCKSDB_H
#define FRESHET_ROCKSDB_ROCKSDB_H

#include "stream/logger.h"
#include "stream/store.h"

typedef struct freshet_rocksdb_config {
  const char* folder;           /* made when missing (its parent has to exist) */
  const char* app_id;           /* of the app whose state this is */
  size_t block_cache_bytes;     /* data blocks, indexes and filters */
  size_t memtable_bytes;        /* of all families together, before they are written out */
  bool writes_beside;           /* large batches are written on a thread of the store's own (start_write) */
  const freshet_logger* logger; /* NULL: damage is not told */
} freshet_rocksdb_config;

/* Opens or makes the store; what config points to is copied. The caller releases it with vtable->destroy.
 * A damaged folder is moved aside (damage.h), and an empty store takes its place.
 * Errors, all with verdict FRESHET_STOP: FRESHET_CONFLICT when the folder is in use, holds something else, or
 * is of another app or a newer format; FRESHET_IO. Every call of the store fails with FRESHET_DAMAGED for files that are
 * damaged: a restart mends that, and does not mend what FRESHET_IO says. */
freshet_status freshet_rocksdb_create(const freshet_rocksdb_config* config, freshet_store** store,
                                      freshet_error* error);

/* Has a read found that files are damaged? Then everything fails until the folder is opened again, which moves them
 * aside. Any thread may ask. */
bool freshet_rocksdb_is_damaged(const freshet_store* store);

enum { FRESHET_ROCKSDB_INSTANCE_SIZE = 17 };
/* A random name that the folder was given when it was made, NUL-terminated: who holds the folder's lock is
 * that instance. */
freshet_status freshet_rocksdb_instance(freshet_store* store, char instance[FRESHET_ROCKSDB_INSTANCE_SIZE],
                                        freshet_error* error);

#endif
