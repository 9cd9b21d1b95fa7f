/*
 * State folders whose files are damaged while nobody has them open: the store says so, moves them aside and starts again
 * with nothing, and never serves rows that are not those that were written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rocksdb/rocksdb.h"

enum { ROWS = 200, PATH_SIZE = 512 };

static char* parent;
static char folder[PATH_SIZE / 2];
static size_t told; /* log lines about damage */

static int set_up(void** state) {
  static char template[64];
  (void)state;
  strcpy(template, "/tmp/freshet-damage-XXXXXX");
  parent = mkdtemp(template);
  if (parent == NULL) return -1;
  snprintf(folder, sizeof folder, "%s/state", parent);
  told = 0;
  return 0;
}

static int remove_entry(const char* path, const struct stat* about, int type, struct FTW* where) {
  (void)about, (void)type, (void)where;
  return remove(path);
}

static int tear_down(void** state) {
  (void)state;
  return nftw(parent, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void count_damage(void* context, freshet_log_level level, const char* event, const char* fields) {
  (void)context;
  told +=
      strcmp(event, "state.damaged") == 0 && level == FRESHET_ERROR && strstr(fields, "moved_to=") != NULL;
}

static freshet_store* open_store(void) {
  static const freshet_logger logger = {count_damage, NULL};
  const freshet_rocksdb_config config = {.folder = folder,
                                         .app_id = "shop",
                                         .block_cache_bytes = 1 << 20,
                                         .memtable_bytes = 1 << 20,
                                         .writes_beside = true,
                                         .logger = &logger};
  freshet_store* store = NULL;
  freshet_error error = {0};
  if (freshet_rocksdb_create(&config, &store, &error) != FRESHET_OK) fail_msg("%s", error.message);
  return store;
}

static freshet_slice row_key(int i) {
  static char key[16];
  snprintf(key, sizeof key, "user %d", i);
  return freshet_slice_of(key);
}

/* As app/encoder_pin.c does, beside the files of the database. */
static void keep_encoder(void) {
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s/encoder", folder);
  FILE* file = fopen(path, "w");
  assert_non_null(file);
  fputs("hashing\n", file);
  fclose(file);
}

/* The second opening writes what the log holds into tables. */
static void fill(void) {
  freshet_store* store = open_store();
  for (int i = 0; i < ROWS; i++)
    freshet_store_put(store, FRESHET_FAMILY_USERS, 0, row_key(i),
                      freshet_slice_of("what is known of the user"));
  freshet_store_set_position(store, FRESHET_TOPIC_USERS, 0, ROWS, 1);
  assert_int_equal(freshet_store_write(store, NULL), FRESHET_OK);
  freshet_store_destroy(store);
  keep_encoder();
  freshet_store_destroy(open_store());
}

typedef bool (*chooses)(const char* name);

static bool is_table(const char* name) {
  return strstr(name, ".sst") != NULL;
}

static bool is_manifest(const char* name) {
  return strncmp(name, "MANIFEST", strlen("MANIFEST")) == 0;
}

static bool is_current(const char* name) {
  return strcmp(name, "CURRENT") == 0;
}

typedef void (*harms)(const char* path);

/* Harms all files of a kind. */
static void harm_files(chooses choose, harms harm) {
  size_t harmed = 0;
  char path[PATH_SIZE];
  DIR* entries = opendir(folder);
  assert_non_null(entries);
  for (const struct dirent* e = readdir(entries); e != NULL; e = readdir(entries)) {
    if (!choose(e->d_name)) continue;
    snprintf(path, sizeof path, "%s/%.200s", folder, e->d_name);
    harm(path);
    harmed++;
  }
  closedir(entries);
  assert_true(harmed > 0);
}

static void flip_bits(const char* path) {
  FILE* file = fopen(path, "r+b");
  assert_non_null(file);
  for (long at = 8; at < 64; at++) {
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    const int byte = fgetc(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 0x10, file), EOF);
  }
  fclose(file);
}

static void empty(const char* path) {
  assert_int_equal(truncate(path, 0), 0);
}

static void halve(const char* path) {
  struct stat about;
  assert_int_equal(stat(path, &about), 0);
  assert_int_equal(truncate(path, about.st_size / 2), 0);
}

static void delete (const char* path) {
  assert_int_equal(remove(path), 0);
}

static size_t moved_folders(void) {
  size_t found = 0;
  DIR* entries = opendir(parent);
  assert_non_null(entries);
  for (const struct dirent* e = readdir(entries); e != NULL; e = readdir(entries))
    found += strncmp(e->d_name, "state.damaged-", strlen("state.damaged-")) == 0;
  closedir(entries);
  return found;
}

/* Reads every row. False: the damage was found. */
static bool read_all(freshet_store* store, size_t* found) {
  *found = 0;
  for (int i = 0; i < ROWS; i++) {
    freshet_buffer value = {0};
    freshet_error error = {0};
    const freshet_status status =
        freshet_store_get(store, FRESHET_FAMILY_USERS, 0, row_key(i), &value, &error);
    if (status == FRESHET_OK)
      assert_true(
          freshet_slice_equal(freshet_buffer_slice(&value), freshet_slice_of("what is known of the user")));
    freshet_buffer_free(&value);
    *found += status == FRESHET_OK;
    if (status == FRESHET_OK || status == FRESHET_NOT_FOUND) continue;
    assert_int_equal(status, FRESHET_DAMAGED);
    assert_non_null(strstr(error.message, "the next start moves it aside"));
    assert_true(freshet_rocksdb_is_damaged(store));
    return false;
  }
  return true;
}

static void assert_restored(void) {
  size_t found;
  int64_t offset, time_ms;
  freshet_store* store = open_store();
  if (!read_all(store, &found)) { /* a table is read when its rows are asked for */
    freshet_error error = {0};
    freshet_store_put(store, FRESHET_FAMILY_USERS, 0, row_key(ROWS), freshet_slice_of("learned since"));
    assert_int_equal(freshet_store_write(store, &error), FRESHET_DAMAGED);
    assert_non_null(strstr(error.message, "a read has met damage"));
    freshet_store_destroy(store);
    assert_int_equal(told, 0);
    store = open_store();
  }
  assert_int_equal(told, 1);
  assert_int_equal(moved_folders(), 1);
  assert_true(read_all(store, &found));
  assert_int_equal(found, 0);
  assert_int_equal(freshet_store_position(store, FRESHET_TOPIC_USERS, 0, &offset, &time_ms, NULL),
                   FRESHET_NOT_FOUND);
  freshet_store_put(store, FRESHET_FAMILY_USERS, 0, row_key(0),
                    freshet_slice_of("what is known of the user"));
  assert_int_equal(freshet_store_write(store, NULL), FRESHET_OK);
  freshet_store_destroy(store);
  store = open_store(); /* an ordinary folder again */
  assert_true(read_all(store, &found));
  assert_int_equal(found, 1);
  assert_int_equal(moved_folders(), 1);
  freshet_store_destroy(store);
}

#define DAMAGE(name, choose, harm) \
  static void name(void** state) { \
    (void)state;                   \
    fill();                        \
    harm_files(choose, harm);      \
    assert_restored();             \
  }

DAMAGE(flipped_bits_in_a_table, is_table, flip_bits)
DAMAGE(a_truncated_table, is_table, halve)
DAMAGE(a_table_that_is_gone, is_table, delete)
DAMAGE(an_empty_manifest, is_manifest, empty)
DAMAGE(a_truncated_manifest, is_manifest, halve)
DAMAGE(flipped_bits_in_the_manifest, is_manifest, flip_bits)
DAMAGE(a_manifest_that_is_gone, is_manifest, delete)
DAMAGE(an_empty_current, is_current, empty)
DAMAGE(a_current_that_is_gone, is_current, delete)

/* The damage comes while the store is open. After the read that meets it nothing is written: no small batch, and no batch
 * that is so large that a thread beside would write it. */
static void damage_that_a_read_meets_ends_all_writes(void** state) {
  (void)state;
  static char large[1 << 20];
  size_t found;
  freshet_error error = {0};
  fill();
  freshet_store* store = open_store();
  assert_int_equal(freshet_store_check(store, &error), FRESHET_OK);
  harm_files(is_table, flip_bits);
  assert_false(read_all(store, &found));
  assert_int_equal(freshet_store_check(store, &error), FRESHET_DAMAGED);
  assert_non_null(strstr(error.message, "a read has met damage"));
  freshet_store_put(store, FRESHET_FAMILY_USERS, 0, row_key(ROWS), freshet_slice_of("learned since"));
  assert_int_equal(freshet_store_write(store, NULL), FRESHET_DAMAGED);
  freshet_store_put(store, FRESHET_FAMILY_USERS, 0, row_key(ROWS), (freshet_slice){large, sizeof large});
  freshet_store_start_write(store);
  assert_int_equal(freshet_store_end_write(store, -1, NULL), FRESHET_DAMAGED);
  freshet_store_destroy(store);
  assert_restored();
}

static bool is_large_table(const char* name) {
  enum { LARGE_BYTES = 64 << 10 };
  char path[PATH_SIZE];
  struct stat about;
  snprintf(path, sizeof path, "%s/%.200s", folder, name);
  return is_table(name) && stat(path, &about) == 0 && about.st_size > LARGE_BYTES;
}

/* So much that does not compress, and a table of it at the next opening. */
static void fill_with_noise(uint64_t seed) {
  enum { NOISE_BYTES = 1024 };
  static uint64_t noise[NOISE_BYTES / sizeof(uint64_t)];
  freshet_store* store = open_store();
  for (int i = 0; i < ROWS; i++) {
    for (size_t k = 0; k < NOISE_BYTES / sizeof *noise; k++)
      noise[k] = seed = seed * 6364136223846793005U + 1442695040888963407U;
    freshet_store_put(store, FRESHET_FAMILY_USERS, 0, row_key(i),
                      (freshet_slice){(const char*)noise, NOISE_BYTES});
  }
  assert_int_equal(freshet_store_write(store, NULL), FRESHET_OK);
  freshet_store_destroy(store);
}

/* RocksDB tells of it when it is asked to write. The process that has the folder open moves it aside and goes on. */
static void damage_that_a_compaction_meets(void** state) {
  (void)state;
  enum { TABLES = 4, PATIENCE = 2000, PAUSE_US = 5000 }; /* the fourth table starts a compaction */
  freshet_error error = {0};
  freshet_status status = FRESHET_OK;
  for (int table = 0; table < TABLES; table++) fill_with_noise((uint64_t)table + 1);
  harm_files(is_large_table, flip_bits);
  freshet_store* store = open_store();
  for (int i = 0; i < PATIENCE && status == FRESHET_OK; i++) {
    usleep(PAUSE_US);
    freshet_store_put(store, FRESHET_FAMILY_ITEMS, 0, row_key(0), freshet_slice_of("learned since"));
    status = freshet_store_write(store, &error);
  }
  assert_int_equal(status, FRESHET_DAMAGED);
  assert_true(freshet_rocksdb_is_damaged(store));
  assert_int_equal(told, 0);
  freshet_store_destroy(store);
  store = open_store();
  assert_int_equal(told, 1);
  freshet_store_destroy(store);
}

/* A move that was cut short: the mark is there, and CURRENT is not. */
static void a_move_is_continued(void** state) {
  (void)state;
  char mark[PATH_SIZE];
  fill();
  harm_files(is_current, delete);
  snprintf(mark, sizeof mark, "%s/DAMAGED", folder);
  FILE* file = fopen(mark, "w");
  assert_non_null(file);
  fputs("Corruption: of a test\n", file);
  fclose(file);
  assert_restored();
}

/* Where nothing can be made beside the folder, as with a volume of a container. */
static void a_folder_that_cannot_be_renamed(void** state) {
  (void)state;
  if (geteuid() == 0) skip(); /* root may write everywhere */
  fill();
  harm_files(is_current, empty);
  assert_int_equal(chmod(parent, 0500), 0);
  freshet_store_destroy(open_store());
  assert_int_equal(chmod(parent, 0700), 0);
  assert_int_equal(told, 1);
}

/* Somebody else's files are no damage. */
static void files_of_others_stay_where_they_are(void** state) {
  (void)state;
  char path[PATH_SIZE];
  assert_int_equal(mkdir(folder, 0700), 0);
  snprintf(path, sizeof path, "%s/holiday.sst", folder);
  FILE* file = fopen(path, "w");
  assert_non_null(file);
  fclose(file);
  const freshet_rocksdb_config config = {
      .folder = folder, .app_id = "shop", .block_cache_bytes = 1 << 20, .memtable_bytes = 1 << 20};
  freshet_store* store = NULL;
  assert_int_equal(freshet_rocksdb_create(&config, &store, NULL), FRESHET_CONFLICT);
  assert_int_equal(access(path, F_OK), 0);
}

/* A new volume of ext4 has a lost+found, and NFS and snapshots leave hidden names. */
static void a_volume_may_have_names_of_its_system(void** state) {
  (void)state;
  static const char* const names[] = {"lost+found", ".snapshot", ".nfs0001"};
  char path[PATH_SIZE];
  assert_int_equal(mkdir(folder, 0700), 0);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    assert_int_equal(i < 2 ? mkdir(path, 0700) : mknod(path, S_IFREG | 0600, 0), 0);
  }
  fill();
  harm_files(is_current, empty);
  freshet_store_destroy(open_store());
  assert_int_equal(told, 1);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    assert_int_equal(access(path, F_OK), 0);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(damage_that_a_read_meets_ends_all_writes),
      TEST(damage_that_a_compaction_meets),
      TEST(flipped_bits_in_a_table),
      TEST(a_truncated_table),
      TEST(a_table_that_is_gone),
      TEST(an_empty_manifest),
      TEST(a_truncated_manifest),
      TEST(flipped_bits_in_the_manifest),
      TEST(a_manifest_that_is_gone),
      TEST(an_empty_current),
      TEST(a_current_that_is_gone),
      TEST(a_move_is_continued),
      TEST(a_folder_that_cannot_be_renamed),
      TEST(files_of_others_stay_where_they_are),
      TEST(a_volume_may_have_names_of_its_system),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
