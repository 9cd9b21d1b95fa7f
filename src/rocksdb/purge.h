/*
 * purge.h: makes the bytes of removed rows leave the disk.
 *
 * A removal in RocksDB is another record: the old one stays in the write-ahead log until every family has
 * been flushed, in its file until that is compacted down to the last level, and at the border of a file also
 * in the manifest. After an erasure this is not left to chance: a thread of its own flushes, compacts what
 * overlaps the key, and changes to a new manifest. Learning does not wait for it.
 *
 * That there is something to do is noted in the database, in the batch of the removal, and only unnoted when
 * it has been done. The note has no keys: whoever opens a database with one compacts the whole family.
 *
 * Thread rule: one thread for all calls; the purger's own only uses the database.
 */
#ifndef FRESHET_ROCKSDB_PURGE_H
#define FRESHET_ROCKSDB_PURGE_H

#include <rocksdb/c.h>
#include <stdbool.h>

#include "freshet/bytes.h"
#include "freshet/status.h"

typedef struct freshet_purger freshet_purger;

/* The key of the note, in the family `meta`. */
#define FRESHET_PURGE_NOTE "purge"

/* families [count], of which `meta` holds the note. is_overdue: there is a note, and what the last purger has left undone
 * is done first. Nothing is owned. Errors: FRESHET_NO_MEMORY. */
freshet_status freshet_purger_create(rocksdb_t* db, rocksdb_column_family_handle_t* const* families,
                                     size_t count, size_t meta, bool is_overdue, freshet_purger** purger,
                                     freshet_error* error);
/* Before the database is closed; what is under way is broken off. NULL is allowed. */
void freshet_purger_destroy(freshet_purger* purger);

/* The key (as it is in the database) is removed in this batch. */
void freshet_purger_add(freshet_purger* purger, rocksdb_writebatch_t* batch, size_t family,
                        freshet_slice key);
/* The batch is about to be written: keys that are added from now on belong to the next one. */
void freshet_purger_starts(freshet_purger* purger);
/* The batch has been written. */
void freshet_purger_written(freshet_purger* purger);

#endif
