/*
 * rocksdb_open.c: opens the state folder: the options of the database, and the folder's own facts (format, app, instance)
 * in the default family. It knows what a folder may hold and refuses every other one. A damaged one is moved aside.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "freshet/freshet.h"
#include "rocksdb/damage.h"
#include "rocksdb/rocksdb_internal.h"

enum {
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

  /* An index or a filter in one piece is larger than the cache's share for its key: each read would load it again. */
  rocksdb_block_based_options_set_index_type(store->table,
                                             rocksdb_block_based_table_index_type_two_level_index_search);
  rocksdb_block_based_options_set_partition_filters(store->table, 1);
  rocksdb_block_based_options_set_pin_top_level_index_and_filter(store->table, 1);

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
  store->beside = rocksdb_writebatch_create();
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
    if (freshet_damage_is_of_system(e->d_name)) continue;
    /* What a first start that died early leaves behind, and damaged files that were moved aside (damage.h). */
    if (freshet_damage_is_kept(e->d_name) || strncmp(e->d_name, "damaged-", 8) == 0 ||
        strncmp(e->d_name, "LOG", 3) == 0 || strcmp(e->d_name, "LOCK") == 0 ||
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
    return freshet_rocksdb_fail(store, message, error);
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

static freshet_status fail_damaged(rocksdb_store* store, const char* what, freshet_error* error) {
  char* message = strdup(what); /* RocksDB frees with free */
  FRESHET_ASSERT(message != NULL);
  return freshet_rocksdb_fail(store, message, error);
}

/* Do all families end with the same batch? Folders of older versions have no numbers. */
static freshet_status check_batches(rocksdb_store* store, freshet_error* error) {
  freshet_buffer value = {0};
  freshet_status status = FRESHET_OK;
  for (int family = 0; family < FAMILIES && status == FRESHET_OK; family++) {
    freshet_error cause = {0};
    value.size = 0;
    status = freshet_rocksdb_get(store, family, FRESHET_BATCH_KEY, strlen(FRESHET_BATCH_KEY), &value, &cause);
    if (status != FRESHET_OK && status != FRESHET_NOT_FOUND) {
      freshet_error_set(error, status, cause.verdict, "%s", cause.message);
      break;
    }
    const uint64_t number =
        value.size == sizeof number ? freshet_big_endian((const char*)value.data, sizeof number) : 0;
    status = FRESHET_OK;
    if (family == 0) store->batches = number;
    if (number != store->batches)
      status = fail_damaged(store, "Corruption: the manifest has lost a file of a column family", error);
  }
  freshet_buffer_free(&value);
  return status;
}

/* Whose folder is this? A fresh one becomes ours. */
static freshet_status claim(rocksdb_store* store, const char* app_id, bool has_tables, freshet_error* error) {
  freshet_buffer app = {0}, version = {0};
  freshet_error ignored = {0};
  freshet_status status = check_batches(store, error);
  if (status != FRESHET_OK) return status;
  status = freshet_rocksdb_get(store, META, format_key, strlen(format_key), &version, &ignored);
  if (status == FRESHET_NOT_FOUND && has_tables)
    return fail_damaged(store, "Corruption: the manifest has lost all files", error);
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
    status = freshet_store_write(&store->base, error);
  } else if (status == FRESHET_OK &&
             !freshet_slice_equal(freshet_buffer_slice(&version), freshet_slice_of(format))) {
    status = refuse_format(store, &version, error);
  } else if (status == FRESHET_OK) {
    status = freshet_rocksdb_get(store, META, app_key, strlen(app_key), &app, error);
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
      freshet_rocksdb_get((rocksdb_store*)self, META, instance_key, strlen(instance_key), &value, error);
  if (status == FRESHET_OK) {
    snprintf(instance, FRESHET_ROCKSDB_INSTANCE_SIZE, "%.*s", (int)value.size, (const char*)value.data);
  }
  freshet_buffer_free(&value);
  return status;
}

bool freshet_rocksdb_is_damaged(const freshet_store* self) {
  return ((const rocksdb_store*)self)->damaged;
}

static freshet_status open_purger(rocksdb_store* store, freshet_error* error) {
  freshet_buffer note = {0};
  freshet_error cause = {0};
  const freshet_status status =
      freshet_rocksdb_get(store, META, FRESHET_PURGE_NOTE, strlen(FRESHET_PURGE_NOTE), &note, &cause);
  freshet_buffer_free(&note);
  if (status != FRESHET_OK && status != FRESHET_NOT_FOUND)
    return freshet_error_set(error, status, cause.verdict, "%s", cause.message);
  return freshet_purger_create(store->db, store->families, FAMILIES, META, status == FRESHET_OK,
                               &store->purger, error);
}

/* *is_damaged: the folder has a mark now. */
static freshet_status open_store(const freshet_rocksdb_config* config, freshet_store** store,
                                 bool* is_damaged, freshet_error* error) {
  freshet_status status = check_folder(config->folder, error);
  if (status != FRESHET_OK) return status;
  rocksdb_store* made = calloc(1, sizeof *made);
  FRESHET_ASSERT(made != NULL);
  made->base.vtable = &freshet_rocksdb_vtable;
  made->folder = strdup(config->folder);
  FRESHET_ASSERT(made->folder != NULL);
  set_options(made, config);
  const bool has_tables = freshet_damage_has_tables(config->folder);
  status = open_database(made, error);
  if (status == FRESHET_OK) status = claim(made, config->app_id, has_tables, error);
  if (status == FRESHET_OK) status = open_purger(made, error);
  if (status == FRESHET_OK && config->writes_beside) {
    made->helper = freshet_helper_create("freshet-store");
    if (made->helper == NULL)
      status =
          freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "state folder: no memory for a thread");
  }
  if (status == FRESHET_OK) {
    *store = &made->base;
    return FRESHET_OK;
  }
  *is_damaged = made->damaged;
  freshet_store_destroy(&made->base);
  return status;
}

freshet_status freshet_rocksdb_create(const freshet_rocksdb_config* config, freshet_store** store,
                                      freshet_error* error) {
  freshet_error cause = {0};
  bool is_damaged = freshet_damage_is_marked(config->folder);
  freshet_status status = FRESHET_OK;
  *store = NULL;
  for (int attempt = 0; attempt < 2; attempt++) {
    if (is_damaged) status = freshet_damage_move_aside(config->folder, NULL, config->logger, error);
    if (status != FRESHET_OK) return status;
    is_damaged = false;
    freshet_error_clear(&cause);
    status = open_store(config, store, &is_damaged, &cause);
    if (!is_damaged) break;
    status = FRESHET_OK;
  }
  if (cause.status != FRESHET_OK) freshet_error_set(error, cause.status, cause.verdict, "%s", cause.message);
  return cause.status;
}
