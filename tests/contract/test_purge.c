/*
 * What is removed with `purge` leaves the disk: no file of the state folder has its bytes any more, after a
 * kill -9 and a restart too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rocksdb/rocksdb.h"

enum { USERS = 4000, ROW_BYTES = 900, PATIENCE_MS = 20000, STEP_MS = 50 };

static const freshet_slice erased = {"erased-user-4711", 16};
static char folder[32];
static size_t files_with_it;

static int make_folder(void** state) {
  (void)state;
  strcpy(folder, "/tmp/freshet-purge-XXXXXX");
  return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_entry(const char* path, const struct stat* about, int type, struct FTW* where) {
  (void)about, (void)type, (void)where;
  return remove(path);
}

static int remove_folder(void** state) {
  (void)state;
  return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static freshet_store* open_store(void) {
  const freshet_rocksdb_config config = {.folder = folder,
                                         .app_id = "shop",
                                         .block_cache_bytes = 1 << 20,
                                         .memtable_bytes = 1 << 20,
                                         .writes_beside = true};
  freshet_store* store = NULL;
  freshet_error error = {0};
  if (freshet_rocksdb_create(&config, &store, &error) != FRESHET_OK) fail_msg("%s", error.message);
  return store;
}

static int look_into(const char* path, const struct stat* about, int type, struct FTW* where) {
  (void)where;
  FILE* file = type == FTW_F ? fopen(path, "rb") : NULL;
  if (file == NULL) return 0; /* files come and go */
  char* bytes = malloc((size_t)about->st_size + 1);
  assert_non_null(bytes);
  size_t size = fread(bytes, 1, (size_t)about->st_size, file);
  files_with_it += memmem(bytes, size, erased.data, erased.size) != NULL;
  free(bytes);
  fclose(file);
  return 0;
}

static size_t count_files_with_it(void) {
  files_with_it = 0;
  assert_int_equal(nftw(folder, look_into, 16, FTW_PHYS), 0);
  return files_with_it;
}

static void put(freshet_store* store, freshet_slice key, unsigned seed) {
  char row[ROW_BYTES];
  for (size_t i = 0; i < sizeof row; i++) {
    seed = seed * 1664525U + 1013904223U;
    row[i] = (char)(seed >> 24);
  }
  memcpy(row + 100, key.data, key.size); /* as UserState has the id */
  freshet_store_put(store, FRESHET_FAMILY_USERS, 2, key, (freshet_slice){row, sizeof row});
}

/* The user's row in several versions, among enough others for several files and levels. */
static void fill(freshet_store* store) {
  for (unsigned i = 0; i < USERS; i++) {
    char id[32];
    snprintf(id, sizeof id, "user-%u", i * 2654435761U);
    put(store, freshet_slice_of(id), i);
    if (i % 500 == 0) put(store, erased, i);
    if (i % 50 == 0) assert_int_equal(freshet_store_write(store, NULL), FRESHET_OK);
  }
  freshet_store_set_position(store, FRESHET_TOPIC_USERS, 2, 99, 1);
  assert_int_equal(freshet_store_write(store, NULL), FRESHET_OK);
}

/* So much that it is written beside the caller. */
static void put_large(freshet_store* store) {
  static char value[200000];
  freshet_store_put(store, FRESHET_FAMILY_USERS, 1, freshet_slice_of("large"),
                    (freshet_slice){value, sizeof value});
}

static void erase(freshet_store* store) {
  freshet_store_remove(store, FRESHET_FAMILY_USERS, 2, erased);
  freshet_store_purge(store, FRESHET_FAMILY_USERS, 2, erased);
  assert_int_equal(freshet_store_write(store, NULL), FRESHET_OK);
}

static void await_gone(void) {
  size_t left = 1;
  for (int waited = 0; waited < PATIENCE_MS && (left = count_files_with_it()) > 0; waited += STEP_MS)
    nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000}, NULL);
  assert_int_equal(left, 0);
}

static bool count_row(void* context, freshet_slice key, freshet_slice value) {
  (void)value;
  assert_false(freshet_slice_equal(key, erased));
  ++*(size_t*)context;
  return true;
}

static void assert_others_are_there(freshet_store* store) {
  size_t count = 0;
  int64_t offset, time_ms;
  assert_int_equal(
      freshet_store_scan(store, FRESHET_FAMILY_USERS, 2, (freshet_slice){0}, count_row, &count, NULL),
      FRESHET_OK);
  assert_int_equal(count, USERS);
  assert_int_equal(freshet_store_position(store, FRESHET_TOPIC_USERS, 2, &offset, &time_ms, NULL),
                   FRESHET_OK);
  assert_int_equal(offset, 99);
}

static void it_leaves_the_disk(void** state) {
  (void)state;
  freshet_store* store = open_store();
  fill(store);
  assert_true(count_files_with_it() > 0);
  erase(store);
  await_gone();
  assert_others_are_there(store);
  freshet_store_destroy(store);
  assert_int_equal(count_files_with_it(), 0);
}

/* The purger must wait for the write with the removal: until then the row is there, and a purge would be for nothing. */
static void it_waits_for_its_own_write(void** state) {
  (void)state;
  freshet_store* store = open_store();
  fill(store);
  put_large(store);
  freshet_store_start_write(store);
  freshet_store_remove(store, FRESHET_FAMILY_USERS, 2, erased);
  freshet_store_purge(store, FRESHET_FAMILY_USERS, 2, erased);
  assert_int_equal(freshet_store_end_write(store, -1, NULL), FRESHET_OK);
  nanosleep(&(struct timespec){.tv_sec = 1}, NULL); /* time for a purge too early */
  assert_int_equal(freshet_store_write(store, NULL), FRESHET_OK);
  await_gone();
  assert_others_are_there(store);
  freshet_store_destroy(store);
}

static void many_at_once_leave_it_too(void** state) {
  (void)state;
  freshet_store* store = open_store();
  fill(store);
  for (int i = 0; i < 200; i++) {
    char id[32];
    snprintf(id, sizeof id, "nobody-%d", i);
    freshet_store_remove(store, FRESHET_FAMILY_USERS, 2, freshet_slice_of(id));
    freshet_store_purge(store, FRESHET_FAMILY_USERS, 2, freshet_slice_of(id));
  }
  erase(store);
  await_gone();
  assert_others_are_there(store);
  freshet_store_destroy(store);
}

/* The process dies right after the write, before the purge has begun. */
static void a_restart_makes_up_for_it(void** state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    freshet_store* store = open_store();
    fill(store);
    erase(store);
    raise(SIGKILL);
  }
  int how;
  assert_int_equal(waitpid(child, &how, 0), child);
  assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
  assert_true(count_files_with_it() > 0);
  freshet_store* store = open_store();
  await_gone();
  assert_others_are_there(store);
  freshet_store_destroy(store);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      /* first: a child has none of the threads that RocksDB has started in this process */
      cmocka_unit_test_setup_teardown(a_restart_makes_up_for_it, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(it_leaves_the_disk, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(it_waits_for_its_own_write, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(many_at_once_leave_it_too, make_folder, remove_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
