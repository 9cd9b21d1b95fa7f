/*
 * rocksdb_internal.h: the store as rocksdb.c (rows and batches) and rocksdb_open.c (options, whose folder it is) share it.
 * For nobody else.
 */
#ifndef FRESHET_ROCKSDB_ROCKSDB_INTERNAL_H
#define FRESHET_ROCKSDB_ROCKSDB_INTERNAL_H

#include <rocksdb/c.h>

#include "rocksdb/purge.h"
#include "rocksdb/rocksdb.h"
#include "stream/helper.h"

enum {
  META = FRESHET_FAMILIES, /* positions and identity */
  FAMILIES,
};

/* In every family, behind all rows: the number of the last batch. A family that lacks the end of what was written, for
 * the manifest has lost a file, would make a state that never was. */
#define FRESHET_BATCH_KEY "\xff"

typedef struct rocksdb_position {
  freshet_topic topic;
  int32_t partition;
  int64_t offset, time_ms;
} rocksdb_position;

typedef struct rocksdb_store {
  freshet_store base;
  rocksdb_t* db;
  rocksdb_column_family_handle_t* families[FAMILIES];
  rocksdb_options_t* options;
  rocksdb_block_based_table_options_t* table;
  rocksdb_cache_t* cache;
  rocksdb_readoptions_t* read;
  rocksdb_writeoptions_t* write;
  rocksdb_writebatch_t* batch;
  rocksdb_position* positions; /* [position_count] for the batch, sorted by topic and partition */
  size_t position_count, position_capacity;
  uint64_t batches; /* written to the folder, ever */
  freshet_purger* purger;
  char* folder;
  _Atomic bool damaged;         /* a file cannot be read; the folder has a mark */
  freshet_helper* helper;       /* writes large batches; NULL: the caller does */
  rocksdb_writebatch_t* beside; /* the batch that the helper writes; else an empty one for the next time */
  char* message;                /* why the helper's write has failed; NULL: it has not */
  bool is_writing;              /* the helper has a batch, and nobody has taken the outcome yet */
  bool failed;                  /* a write has failed: nothing may be written any more, not even by closing */
} rocksdb_store;

/* Sets the error for a message of RocksDB, which it frees, and returns its status: FRESHET_IO; FRESHET_DAMAGED for a damaged
 * folder, which gets a mark, because a restart mends it. */
freshet_status freshet_rocksdb_fail(rocksdb_store* store, char* message, freshet_error* error);
/* Appends the bytes of a key of any family. Errors: FRESHET_NOT_FOUND, FRESHET_IO, FRESHET_DAMAGED. */
freshet_status freshet_rocksdb_get(rocksdb_store* store, int family, const void* key, size_t key_size,
                                   freshet_buffer* value, freshet_error* error);
/* The first `bytes` bytes as a number, the most significant first. */
uint64_t freshet_big_endian(const char* in, size_t bytes);

extern const freshet_store_vtable freshet_rocksdb_vtable;

#endif
