/*
 * rocksdb.c: freshet_store on RocksDB: one database in the state folder, a column family for each kind of row. It knows
 * nothing of what the rows mean. Opening is in rocksdb_open.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/grow.h"
#include "rocksdb/damage.h"
#include "rocksdb/rocksdb_internal.h"

enum {
  PARTITION_BYTES = 4,
  POSITION_KEY_BYTES = 6,  /* 'p', topic, partition */
  POSITION_BYTES = 16,     /* offset, time */
  BESIDE_BYTES = 64 << 10, /* a smaller batch is written sooner than a thread is woken */
};

freshet_status freshet_rocksdb_fail(rocksdb_store* store, char* message, freshet_error* error) {
  const bool is_damaged = freshet_damage_is_meant(message);
  const freshet_status status = is_damaged ? FRESHET_DAMAGED : FRESHET_IO;
  freshet_error_set(error, status, FRESHET_STOP, "state folder %s: %s%s", store->folder, message,
                    is_damaged ? "; the next start moves it aside and restores the state from Kafka" : "");
  if (is_damaged) {
    freshet_damage_mark(store->folder, message);
    store->damaged = true;
  }
  rocksdb_free(message);
  return status;
}

static void put_big_endian(uint8_t* out, uint64_t number, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) out[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
}

uint64_t freshet_big_endian(const char* in, size_t bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < bytes; i++) number = number << 8 | (uint8_t)in[i];
  return number;
}

/* ---- rows ---- */

/* The partition and the key in one piece; short keys, the rule, stay on the stack. */
typedef struct row_key {
  uint8_t* bytes;
  size_t size;
  uint8_t small[256];
} row_key;

static void row_key_make(row_key* out, int32_t partition, freshet_slice key) {
  FRESHET_ASSERT(partition >= 0);
  out->size = PARTITION_BYTES + key.size;
  out->bytes = out->size <= sizeof out->small ? out->small : malloc(out->size);
  FRESHET_ASSERT(out->bytes != NULL);
  put_big_endian(out->bytes, (uint64_t)partition, PARTITION_BYTES);
  if (key.size > 0) memcpy(out->bytes + PARTITION_BYTES, key.data, key.size);
}

static void row_key_free(row_key* key) {
  if (key->bytes != key->small) free(key->bytes);
}

freshet_status freshet_rocksdb_get(rocksdb_store* store, int family, const void* key, size_t key_size,
                                   freshet_buffer* value, freshet_error* error) {
  char* message = NULL;
  rocksdb_pinnableslice_t* found = rocksdb_get_pinned_cf(store->db, store->read, store->families[family],
                                                         (const char*)key, key_size, &message);
  if (message != NULL) return freshet_rocksdb_fail(store, message, error);
  if (found == NULL) return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "no such row");
  size_t size;
  const char* bytes = rocksdb_pinnableslice_value(found, &size);
  freshet_buffer_append(value, bytes, size);
  rocksdb_pinnableslice_destroy(found);
  return FRESHET_OK;
}

static freshet_status store_get(freshet_store* self, freshet_family family, int32_t partition,
                                freshet_slice key, freshet_buffer* value, freshet_error* error) {
  row_key row;
  row_key_make(&row, partition, key);
  freshet_status status =
      freshet_rocksdb_get((rocksdb_store*)self, (int)family, row.bytes, row.size, value, error);
  row_key_free(&row);
  return status;
}

/* Turns the prefix of a range into its end: the first key that is greater than every key with the prefix.
 * Always exists here, since no partition is negative and so the first byte is below 0x80. */
static void row_key_to_end(row_key* key) {
  while (key->bytes[key->size - 1] == 0xff) key->size--;
  key->bytes[key->size - 1]++;
}

/* Rows from `first` on whose key begins with prefix; the one of the key `first` itself may be left out. */
static freshet_status scan_from(rocksdb_store* store, freshet_family family, int32_t partition,
                                freshet_slice first, bool with_first, freshet_slice prefix,
                                freshet_store_visit visit, void* context, freshet_error* error) {
  row_key start, end;
  row_key_make(&start, partition, first);
  row_key_make(&end, partition, prefix);
  row_key_to_end(&end);
  rocksdb_readoptions_t* read = rocksdb_readoptions_create();
  rocksdb_readoptions_set_fill_cache(read, 0); /* a scan reads all once; the cache is for users that return */
  rocksdb_readoptions_set_iterate_upper_bound(read, (const char*)end.bytes, end.size);
  rocksdb_iterator_t* at = rocksdb_create_iterator_cf(store->db, read, store->families[family]);
  bool more = true;
  for (rocksdb_iter_seek(at, (const char*)start.bytes, start.size); more && rocksdb_iter_valid(at);
       rocksdb_iter_next(at)) {
    freshet_slice key, value;
    key.data = rocksdb_iter_key(at, &key.size);
    const bool is_left_out =
        !with_first && key.size == start.size && memcmp(key.data, start.bytes, start.size) == 0;
    value.data = rocksdb_iter_value(at, &value.size);
    key = (freshet_slice){key.data + PARTITION_BYTES, key.size - PARTITION_BYTES};
    if (!is_left_out) more = visit(context, key, value);
  }
  char* message = NULL;
  rocksdb_iter_get_error(at, &message);
  rocksdb_iter_destroy(at);
  rocksdb_readoptions_destroy(read);
  row_key_free(&start);
  row_key_free(&end);
  return message == NULL ? FRESHET_OK : freshet_rocksdb_fail(store, message, error);
}

static freshet_status store_scan(freshet_store* self, freshet_family family, int32_t partition,
                                 freshet_slice prefix, freshet_store_visit visit, void* context,
                                 freshet_error* error) {
  return scan_from((rocksdb_store*)self, family, partition, prefix, true, prefix, visit, context, error);
}

static freshet_status store_scan_after(freshet_store* self, freshet_family family, int32_t partition,
                                       freshet_slice after, freshet_store_visit visit, void* context,
                                       freshet_error* error) {
  const freshet_slice none = {"", 0};
  return scan_from((rocksdb_store*)self, family, partition, after, false, none, visit, context, error);
}

/* ---- changes ---- */

static void store_put(freshet_store* self, freshet_family family, int32_t partition, freshet_slice key,
                      freshet_slice value) {
  rocksdb_store* store = (rocksdb_store*)self;
  row_key row;
  row_key_make(&row, partition, key);
  rocksdb_writebatch_put_cf(store->batch, store->families[family], (const char*)row.bytes, row.size,
                            value.data, value.size);
  row_key_free(&row);
}

static void store_remove(freshet_store* self, freshet_family family, int32_t partition, freshet_slice key) {
  rocksdb_store* store = (rocksdb_store*)self;
  row_key row;
  row_key_make(&row, partition, key);
  rocksdb_writebatch_delete_cf(store->batch, store->families[family], (const char*)row.bytes, row.size);
  row_key_free(&row);
}

static void store_clear(freshet_store* self, freshet_family family, int32_t partition) {
  rocksdb_store* store = (rocksdb_store*)self;
  row_key start, end;
  row_key_make(&start, partition, (freshet_slice){0});
  row_key_make(&end, partition, (freshet_slice){0});
  row_key_to_end(&end);
  rocksdb_writebatch_delete_range_cf(store->batch, store->families[family], (const char*)start.bytes,
                                     start.size, (const char*)end.bytes, end.size);
}

static void store_purge(freshet_store* self, freshet_family family, int32_t partition, freshet_slice key) {
  rocksdb_store* store = (rocksdb_store*)self;
  row_key row;
  row_key_make(&row, partition, key);
  freshet_purger_add(store->purger, store->batch, (size_t)family,
                     (freshet_slice){(const char*)row.bytes, row.size});
  row_key_free(&row);
}

static void position_key(uint8_t key[POSITION_KEY_BYTES], freshet_topic topic, int32_t partition) {
  key[0] = 'p';
  key[1] = (uint8_t)topic;
  put_big_endian(key + 2, (uint64_t)partition, PARTITION_BYTES);
}

/* How many are before this one in their order. */
static size_t positions_before(const rocksdb_store* store, freshet_topic topic, int32_t partition) {
  size_t from = 0, to = store->position_count;
  while (from < to) {
    const size_t middle = from + (to - from) / 2;
    const rocksdb_position* at = &store->positions[middle];
    const bool is_before = at->topic < topic || (at->topic == topic && at->partition < partition);
    if (is_before) from = middle + 1;
    if (!is_before) to = middle;
  }
  return from;
}

/* A position moves with each record, and only where it is at the end counts: so it joins the batch when that is written. */
static void store_set_position(freshet_store* self, freshet_topic topic, int32_t partition, int64_t offset,
                               int64_t time_ms) {
  rocksdb_store* store = (rocksdb_store*)self;
  const size_t place = positions_before(store, topic, partition);
  rocksdb_position* at = &store->positions[place];
  const bool is_known = place < store->position_count && at->topic == topic && at->partition == partition;
  if (!is_known) {
    store->positions = freshet_grow(store->positions, &store->position_capacity, store->position_count + 1,
                                    sizeof *store->positions);
    at = &store->positions[place];
    memmove(at + 1, at, (store->position_count - place) * sizeof *at);
    store->position_count++;
  }
  *at = (rocksdb_position){topic, partition, offset, time_ms};
}

static void add_positions(rocksdb_store* store) {
  for (size_t i = 0; i < store->position_count; i++) {
    const rocksdb_position* at = &store->positions[i];
    uint8_t key[POSITION_KEY_BYTES], value[POSITION_BYTES];
    position_key(key, at->topic, at->partition);
    put_big_endian(value, (uint64_t)at->offset, 8);
    put_big_endian(value + 8, (uint64_t)at->time_ms, 8);
    rocksdb_writebatch_put_cf(store->batch, store->families[META], (const char*)key, sizeof key,
                              (const char*)value, sizeof value);
  }
  store->position_count = 0;
}

static void number_batch(rocksdb_store* store) {
  uint8_t number[8];
  put_big_endian(number, ++store->batches, sizeof number);
  for (int family = 0; family < FAMILIES; family++)
    rocksdb_writebatch_put_cf(store->batch, store->families[family], FRESHET_BATCH_KEY,
                              strlen(FRESHET_BATCH_KEY), (const char*)number, sizeof number);
}

/* One write batch is one record of the write-ahead log, whatever families it touches, so it is there as a
 * whole or not at all. The log is handed to the operating system and not synced: a crash of the process loses
 * nothing; after a crash of the machine RocksDB recovers a prefix of the log (and syncs closed logs before it
 * makes a flushed family visible, so no family runs ahead of another). A prefix is all that is needed: its
 * positions tell where in Kafka to go on reading. */
static void prepare_write(rocksdb_store* store) {
  add_positions(store);
  if (rocksdb_writebatch_count(store->batch) > 0) number_batch(store);
  if (store->purger != NULL) freshet_purger_starts(store->purger);
}

/* The log file is sound where RocksDB refuses a write because a compaction has met a damaged table. Then the database can be
 * closed, and this process can open the folder again. */
static freshet_status fail_write(rocksdb_store* store, char* message, freshet_error* error) {
  if (!freshet_damage_is_meant(message)) store->failed = true;
  return freshet_rocksdb_fail(store, message, error);
}

static freshet_status end_write(rocksdb_store* store, char* message, freshet_error* error) {
  if (message == NULL) {
    if (store->purger != NULL) freshet_purger_written(store->purger);
    return FRESHET_OK;
  }
  return fail_write(store, message, error);
}

/* On the helper's thread. */
static void write_beside(void* context) {
  rocksdb_store* store = context;
  rocksdb_write(store->db, store->write, store->beside, &store->message);
}

/* The large batch serves again, so that its memory need not be asked for each time. */
static freshet_status take_outcome(rocksdb_store* store, int wait_ms, freshet_error* error) {
  if (!freshet_helper_await(store->helper, wait_ms))
    return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_RETRY, "state folder %s: a write goes on",
                             store->folder);
  char* message = store->message;
  store->message = NULL;
  store->is_writing = false;
  rocksdb_writebatch_clear(store->beside);
  if (rocksdb_writebatch_count(store->batch) == 0) {
    rocksdb_writebatch_t* small = store->batch;
    store->batch = store->beside;
    store->beside = small;
  }
  return end_write(store, message, error);
}

static freshet_status store_check(freshet_store* self, freshet_error* error) {
  const rocksdb_store* store = (const rocksdb_store*)self;
  if (!store->failed && !store->damaged) return FRESHET_OK;
  return freshet_error_set(error, store->damaged ? FRESHET_DAMAGED : FRESHET_IO, FRESHET_STOP,
                           "state folder %s: %s", store->folder,
                           store->damaged
                               ? "a read has met damage; the next start moves it aside and restores the "
                                 "state from Kafka"
                               : "a write has failed before");
}

static freshet_status store_write(freshet_store* self, freshet_error* error) {
  rocksdb_store* store = (rocksdb_store*)self;
  char* message = NULL;
  if (store->is_writing) {
    freshet_status status = take_outcome(store, -1, error);
    if (status != FRESHET_OK) return status;
  }
  freshet_status sound = store_check(self, error);
  if (sound != FRESHET_OK) return sound;
  prepare_write(store);
  rocksdb_write(store->db, store->write, store->batch, &message);
  rocksdb_writebatch_clear(store->batch);
  return end_write(store, message, error);
}

static void store_start_write(freshet_store* self) {
  rocksdb_store* store = (rocksdb_store*)self;
  size_t size;
  rocksdb_writebatch_data(store->batch, &size);
  FRESHET_ASSERT(!store->is_writing);
  if (store->helper == NULL || store->failed || store->damaged || size < BESIDE_BYTES) return;
  prepare_write(store);
  rocksdb_writebatch_t* batch = store->batch;
  store->batch = store->beside;
  store->beside = batch;
  store->is_writing = true;
  freshet_helper_start(store->helper, write_beside, store);
}

static freshet_status store_end_write(freshet_store* self, int wait_ms, freshet_error* error) {
  rocksdb_store* store = (rocksdb_store*)self;
  return store->is_writing ? take_outcome(store, wait_ms, error) : store_write(self, error);
}

static freshet_status store_position(freshet_store* self, freshet_topic topic, int32_t partition,
                                     int64_t* offset, int64_t* time_ms, freshet_error* error) {
  rocksdb_store* store = (rocksdb_store*)self;
  uint8_t key[POSITION_KEY_BYTES];
  position_key(key, topic, partition);
  freshet_buffer value = {0};
  freshet_status status = freshet_rocksdb_get(store, META, key, sizeof key, &value, error);
  if (status == FRESHET_OK && value.size != POSITION_BYTES) {
    status = freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "state folder %s: a position of %zu bytes",
                               store->folder, value.size);
  }
  if (status == FRESHET_OK) {
    *offset = (int64_t)freshet_big_endian((const char*)value.data, 8);
    *time_ms = (int64_t)freshet_big_endian((const char*)value.data + 8, 8);
  }
  freshet_buffer_free(&value);
  return status;
}

static size_t store_memory(freshet_store* self) {
  rocksdb_store* store = (rocksdb_store*)self;
  size_t bytes = rocksdb_cache_get_usage(store->cache);
  for (int i = 0; i < FAMILIES; i++) {
    static const char* const properties[] = {"rocksdb.cur-size-all-mem-tables",
                                             "rocksdb.estimate-table-readers-mem"};
    for (size_t p = 0; p < sizeof properties / sizeof *properties; p++) {
      uint64_t size = 0;
      if (rocksdb_property_int_cf(store->db, store->families[i], properties[p], &size) == 0) bytes += size;
    }
  }
  return bytes;
}

/* Also of a store that was only half made. A database with a broken log file is not closed: closing
 * writes to the log, and RocksDB asserts that nobody does. The end of the process closes it, the next
 * open repairs it. */
static void store_destroy(freshet_store* self) {
  rocksdb_store* store = (rocksdb_store*)self;
  freshet_helper_destroy(store->helper);
  if (store->message != NULL) fail_write(store, store->message, NULL);
  freshet_purger_destroy(store->purger);
  if (store->db != NULL) rocksdb_cancel_all_background_work(store->db, 1);
  if (store->db != NULL && !store->failed) {
    for (int i = 0; i < FAMILIES; i++) rocksdb_column_family_handle_destroy(store->families[i]);
    rocksdb_close(store->db);
  }
  rocksdb_writebatch_destroy(store->batch);
  rocksdb_writebatch_destroy(store->beside);
  rocksdb_writeoptions_destroy(store->write);
  rocksdb_readoptions_destroy(store->read);
  rocksdb_options_destroy(store->options);
  rocksdb_block_based_options_destroy(store->table);
  rocksdb_cache_destroy(store->cache);
  free(store->positions);
  free(store->folder);
  free(store);
}

const freshet_store_vtable freshet_rocksdb_vtable = {
    .get = store_get,
    .scan = store_scan,
    .scan_after = store_scan_after,
    .put = store_put,
    .remove = store_remove,
    .clear = store_clear,
    .set_position = store_set_position,
    .purge = store_purge,
    .write = store_write,
    .check = store_check,
    .start_write = store_start_write,
    .end_write = store_end_write,
    .position = store_position,
    .memory = store_memory,
    .destroy = store_destroy,
};
