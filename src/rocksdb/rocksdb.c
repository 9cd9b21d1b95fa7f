/*
 * rocksdb.c: freshet_store on RocksDB: one database in the state folder, a column family for each kind of row, and
 * the folder's own facts (format, app, instance) in the default family. It knows what a folder may hold and refuses
 * every other one; it knows nothing of what the rows mean.
 */
#include "rocksdb/rocksdb.h"

#include <dirent.h>
#include <errno.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "freshet/freshet.h"
#include "rocksdb/purge.h"

enum {
  META = FRESHET_FAMILIES, /* positions and identity */
  FAMILIES,
  PARTITION_BYTES = 4,
  POSITION_KEY_BYTES = 6, /* 'p', topic, partition */
  POSITION_BYTES = 16,    /* offset, time */
  OPEN_FILES_MAX = 256,
  BLOOM_BITS = 10,  /* per key: 1 % false positives; most users that are asked for and not there are new */
  INFO_LOG_OFF = 6, /* above every level, InfoLogLevel in rocksdb/env.h */
  SYNC_BYTES = 1 << 20, /* written data goes to the device in steps, not in bursts */
};

/* The default family has to exist, so it holds the metadata. */
static const char* const family_names[FAMILIES] = {"users", "items", "catalogue", "default"};
static const char app_key[] = "app";
static const char instance_key[] = "instance";
static const char format_key[] = "format";
static const char format[] = "1";

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
  freshet_purger* purger;
  char* folder;
  bool failed; /* a write has failed: nothing may be written any more, not even by closing */
} rocksdb_store;

/* Takes RocksDB's message, which is ours to free. */
static freshet_status fail_io(const rocksdb_store* store, char* message, freshet_error* error) {
  freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "state folder %s: %s", store->folder, message);
  rocksdb_free(message);
  return FRESHET_IO;
}

static void put_big_endian(uint8_t* out, uint64_t number, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) out[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
}

static uint64_t get_big_endian(const char* in, size_t bytes) {
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

static freshet_status get_bytes(rocksdb_store* store, int family, const void* key, size_t key_size,
                                freshet_buffer* value, freshet_error* error) {
  char* message = NULL;
  rocksdb_pinnableslice_t* found = rocksdb_get_pinned_cf(store->db, store->read, store->families[family],
                                                         (const char*)key, key_size, &message);
  if (message != NULL) return fail_io(store, message, error);
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
  freshet_status status = get_bytes((rocksdb_store*)self, (int)family, row.bytes, row.size, value, error);
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
    value.data = rocksdb_iter_value(at, &value.size);
    key = (freshet_slice){key.data + PARTITION_BYTES, key.size - PARTITION_BYTES};
    if (with_first || !freshet_slice_equal(key, first)) more = visit(context, key, value);
  }
  char* message = NULL;
  rocksdb_iter_get_error(at, &message);
  rocksdb_iter_destroy(at);
  rocksdb_readoptions_destroy(read);
  row_key_free(&start);
  row_key_free(&end);
  return message == NULL ? FRESHET_OK : fail_io(store, message, error);
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

static void store_set_position(freshet_store* self, freshet_topic topic, int32_t partition, int64_t offset,
                               int64_t time_ms) {
  rocksdb_store* store = (rocksdb_store*)self;
  uint8_t key[POSITION_KEY_BYTES];
  uint8_t value[POSITION_BYTES];
  position_key(key, topic, partition);
  put_big_endian(value, (uint64_t)offset, 8);
  put_big_endian(value + 8, (uint64_t)time_ms, 8);
  rocksdb_writebatch_put_cf(store->batch, store->families[META], (const char*)key, sizeof key,
                            (const char*)value, sizeof value);
}

/* One write batch is one record of the write-ahead log, whatever families it touches, so it is there as a
 * whole or not at all. The log is handed to the operating system and not synced: a crash of the process loses
 * nothing; after a crash of the machine RocksDB recovers a prefix of the log (and syncs closed logs before it
 * makes a flushed family visible, so no family runs ahead of another). A prefix is all that is needed: its
 * positions tell where in Kafka to go on reading. */
static freshet_status store_write(freshet_store* self, freshet_error* error) {
  rocksdb_store* store = (rocksdb_store*)self;
  char* message = NULL;
  if (store->failed) {
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "state folder %s: a write has failed before",
                             store->folder);
  }
  rocksdb_write(store->db, store->write, store->batch, &message);
  rocksdb_writebatch_clear(store->batch);
  if (message == NULL) {
    if (store->purger != NULL) freshet_purger_written(store->purger);
    return FRESHET_OK;
  }
  store->failed = true;
  return fail_io(store, message, error);
}

static freshet_status store_position(freshet_store* self, freshet_topic topic, int32_t partition,
                                     int64_t* offset, int64_t* time_ms, freshet_error* error) {
  rocksdb_store* store = (rocksdb_store*)self;
  uint8_t key[POSITION_KEY_BYTES];
  position_key(key, topic, partition);
  freshet_buffer value = {0};
  freshet_status status = get_bytes(store, META, key, sizeof key, &value, error);
  if (status == FRESHET_OK && value.size != POSITION_BYTES) {
    status = freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "state folder %s: a position of %zu bytes",
                               store->folder, value.size);
  }
  if (status == FRESHET_OK) {
    *offset = (int64_t)get_big_endian((const char*)value.data, 8);
    *time_ms = (int64_t)get_big_endian((const char*)value.data + 8, 8);
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
  freshet_purger_destroy(store->purger);
  if (store->db != NULL) rocksdb_cancel_all_background_work(store->db, 1);
  if (store->db != NULL && !store->failed) {
    for (int i = 0; i < FAMILIES; i++) rocksdb_column_family_handle_destroy(store->families[i]);
    rocksdb_close(store->db);
  }
  rocksdb_writebatch_destroy(store->batch);
  rocksdb_writeoptions_destroy(store->write);
  rocksdb_readoptions_destroy(store->read);
  rocksdb_options_destroy(store->options);
  rocksdb_block_based_options_destroy(store->table);
  rocksdb_cache_destroy(store->cache);
  free(store->folder);
  free(store);
}

static const freshet_store_vtable vtable = {
    .get = store_get,
    .scan = store_scan,
    .scan_after = store_scan_after,
    .put = store_put,
    .remove = store_remove,
    .clear = store_clear,
    .set_position = store_set_position,
    .purge = store_purge,
    .write = store_write,
    .position = store_position,
    .memory = store_memory,
    .destroy = store_destroy,
};

/* ---- opening ---- */

/* Every part of RocksDB's memory has a bound: one cache for data blocks, indexes and filters; one budget for
 * the memtables of all families; a bounded number of open files; no mmap. */
static void set_options(rocksdb_store* store, const freshet_rocksdb_config* config) {
  store->cache = rocksdb_cache_create_lru(config->block_cache_bytes);
  store->table = rocksdb_block_based_options_create();
  rocksdb_block_based_options_set_block_cache(store->table, store->cache);
  rocksdb_block_based_options_set_cache_index_and_filter_blocks(store->table, 1);
  rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(store->table, 1);
  rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(store->table, 1);
  rocksdb_block_based_options_set_filter_policy(store->table,
                                                rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));

  rocksdb_options_t* options = store->options = rocksdb_options_create();
  rocksdb_options_set_block_based_table_factory(options, store->table);
  rocksdb_options_set_create_if_missing(options, 1);
  rocksdb_options_set_create_missing_column_families(options, 1);
  rocksdb_options_set_db_write_buffer_size(options, config->memtable_bytes);
  rocksdb_options_set_write_buffer_size(options, config->memtable_bytes / 2);
  rocksdb_options_set_max_total_wal_size(options, 4 * (uint64_t)config->memtable_bytes);
  rocksdb_options_set_max_open_files(options, OPEN_FILES_MAX);
  rocksdb_options_set_max_background_jobs(options, 2);
  rocksdb_options_set_compression(options, rocksdb_lz4_compression);
  rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
  rocksdb_options_set_bytes_per_sync(options, SYNC_BYTES);
  rocksdb_options_set_wal_bytes_per_sync(options, SYNC_BYTES);
  /* On a full disk RocksDB 7.8 asserts in its own log before it reports the error; we report errors
   * ourselves. */
  rocksdb_options_set_info_log_level(options, INFO_LOG_OFF);
  rocksdb_options_set_keep_log_file_num(options, 2);
  /* The manifest names the first and the last key of every file, of files that are gone too. It starts
   * anew with every change, so that erased users do not stay in it (purge.h); changes are flushes and
   * compactions. */
  rocksdb_options_set_max_manifest_file_size(options, 1);
  rocksdb_options_set_stats_dump_period_sec(options, 0);

  store->read = rocksdb_readoptions_create();
  store->write = rocksdb_writeoptions_create();
  store->batch = rocksdb_writebatch_create();
}

/* RocksDB would happily spread its files among somebody else's. */
static freshet_status check_folder(const char* folder, freshet_error* error) {
  struct stat about;
  char current[4096];
  snprintf(current, sizeof current, "%s/CURRENT", folder);
  if (stat(current, &about) == 0) return FRESHET_OK;
  DIR* entries = opendir(folder);
  if (entries == NULL) {
    if (errno == ENOENT) return FRESHET_OK;
    return freshet_error_set(error, errno == ENOTDIR ? FRESHET_CONFLICT : FRESHET_IO, FRESHET_STOP,
                             "state folder %s: %s", folder, strerror(errno));
  }
  freshet_status status = FRESHET_OK;
  for (const struct dirent* e = readdir(entries); e != NULL && status == FRESHET_OK; e = readdir(entries)) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    /* What a first start that died early leaves behind. */
    if (strncmp(e->d_name, "LOG", 3) == 0 || strcmp(e->d_name, "LOCK") == 0 ||
        strcmp(e->d_name, "IDENTITY") == 0 || strncmp(e->d_name, "MANIFEST", 8) == 0 ||
        strstr(e->d_name, ".dbtmp") != NULL) {
      continue;
    }
    status = freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                               "state folder %s holds other files (%s); give Freshet a folder of its own",
                               folder, e->d_name);
  }
  closedir(entries);
  return status;
}

static freshet_status open_database(rocksdb_store* store, freshet_error* error) {
  const rocksdb_options_t* options[FAMILIES];
  for (int i = 0; i < FAMILIES; i++) options[i] = store->options;
  char* message = NULL;
  store->db = rocksdb_open_column_families(store->options, store->folder, FAMILIES, family_names, options,
                                           store->families, &message);
  if (message == NULL) return FRESHET_OK;
  store->db = NULL;
  if (strstr(message, "While lock file") != NULL || strstr(message, "lock hold by") != NULL) {
    freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                      "state folder %s is in use by another process; one folder, one process", store->folder);
  } else if (strncmp(message, "Invalid argument", 16) == 0) {
    freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                      "state folder %s holds a database that this version of Freshet does not know: %s",
                      store->folder, message);
  } else {
    return fail_io(store, message, error);
  }
  rocksdb_free(message);
  return FRESHET_CONFLICT;
}

/* The folder has another format. Formats are counted up, so the message can say which program is the newer. */
static freshet_status refuse_format(const rocksdb_store* store, const freshet_buffer* version,
                                    freshet_error* error) {
  char found[16];
  snprintf(found, sizeof found, "%.*s", (int)version->size, (const char*)version->data);
  if (strtol(found, NULL, 10) > strtol(format, NULL, 10)) {
    return freshet_error_set(
        error, FRESHET_CONFLICT, FRESHET_STOP,
        "state folder %s was written by a newer version of Freshet (format %s; version %s "
        "reads format %s); install the newer version again, or set state.folder to an empty "
        "folder, which is filled from Kafka",
        store->folder, found, FRESHET_VERSION, format);
  }
  return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                           "state folder %s has format %s, this version of Freshet reads format %s; an empty "
                           "folder is filled from Kafka",
                           store->folder, found, format);
}

/* Whose folder is this? A fresh one becomes ours. */
static freshet_status claim(rocksdb_store* store, const char* app_id, freshet_error* error) {
  freshet_buffer app = {0}, version = {0};
  freshet_error ignored = {0};
  freshet_status status = get_bytes(store, META, format_key, strlen(format_key), &version, &ignored);
  if (status == FRESHET_NOT_FOUND) {
    rocksdb_writebatch_put_cf(store->batch, store->families[META], app_key, strlen(app_key), app_id,
                              strlen(app_id));
    char instance[FRESHET_ROCKSDB_INSTANCE_SIZE];
    uint64_t random;
    FRESHET_ASSERT(getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random);
    snprintf(instance, sizeof instance, "%016llx", (unsigned long long)random);
    rocksdb_writebatch_put_cf(store->batch, store->families[META], instance_key, strlen(instance_key),
                              instance, strlen(instance));
    rocksdb_writebatch_put_cf(store->batch, store->families[META], format_key, strlen(format_key), format,
                              strlen(format));
    status = store_write(&store->base, error);
  } else if (status == FRESHET_OK &&
             !freshet_slice_equal(freshet_buffer_slice(&version), freshet_slice_of(format))) {
    status = refuse_format(store, &version, error);
  } else if (status == FRESHET_OK) {
    status = get_bytes(store, META, app_key, strlen(app_key), &app, error);
    if (status == FRESHET_OK && !freshet_slice_equal(freshet_buffer_slice(&app), freshet_slice_of(app_id))) {
      status = freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                                 "state folder %s belongs to app '%.*s', this app is '%s'", store->folder,
                                 (int)app.size, (const char*)app.data, app_id);
    }
  } else {
    freshet_error_set(error, ignored.status, ignored.verdict, "%s", ignored.message);
  }
  freshet_buffer_free(&app);
  freshet_buffer_free(&version);
  return status;
}

freshet_status freshet_rocksdb_instance(freshet_store* self, char instance[FRESHET_ROCKSDB_INSTANCE_SIZE],
                                        freshet_error* error) {
  freshet_buffer value = {0};
  freshet_status status =
      get_bytes((rocksdb_store*)self, META, instance_key, strlen(instance_key), &value, error);
  if (status == FRESHET_OK) {
    snprintf(instance, FRESHET_ROCKSDB_INSTANCE_SIZE, "%.*s", (int)value.size, (const char*)value.data);
  }
  freshet_buffer_free(&value);
  return status;
}

freshet_status freshet_rocksdb_create(const freshet_rocksdb_config* config, freshet_store** store,
                                      freshet_error* error) {
  *store = NULL;
  freshet_status status = check_folder(config->folder, error);
  if (status != FRESHET_OK) return status;
  rocksdb_store* made = calloc(1, sizeof *made);
  FRESHET_ASSERT(made != NULL);
  made->base.vtable = &vtable;
  made->folder = strdup(config->folder);
  FRESHET_ASSERT(made->folder != NULL);
  set_options(made, config);
  status = open_database(made, error);
  if (status == FRESHET_OK) status = claim(made, config->app_id, error);
  if (status == FRESHET_OK)
    status = freshet_purger_create(made->db, made->families, FAMILIES, META, &made->purger, error);
  if (status != FRESHET_OK) {
    store_destroy(&made->base);
    return status;
  }
  *store = &made->base;
  return FRESHET_OK;
}
