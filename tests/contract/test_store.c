/*
 * What every store.h has to keep, run on RocksDB and on the in-memory store; then what RocksDB alone has to
 * keep: restarts, kill -9, a full disk, folders that are not its own.
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rocksdb/rocksdb.h"
#include "support/memory_store.h"

enum { U = FRESHET_FAMILY_USERS, I = FRESHET_FAMILY_ITEMS, C = FRESHET_FAMILY_CATALOGUE };

/* ---- folders and stores ---- */

static char* folder;

static int make_folder(void** state) {
  static char template[32];
  (void)state;
  strcpy(template, "/tmp/freshet-store-XXXXXX");
  folder = mkdtemp(template);
  return folder == NULL ? -1 : 0;
}

static int remove_entry(const char* path, const struct stat* about, int type, struct FTW* where) {
  (void)about, (void)type, (void)where;
  return remove(path);
}

static int remove_folder(void** state) {
  (void)state;
  return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static freshet_status open_rocksdb(const char* app_id, freshet_store** store, freshet_error* error) {
  const freshet_rocksdb_config config = {.folder = folder,
                                         .app_id = app_id,
                                         .block_cache_bytes = 1 << 20,
                                         .memtable_bytes = 1 << 20,
                                         .writes_beside = true};
  return freshet_rocksdb_create(&config, store, error);
}

static freshet_store* open_ok(void) {
  freshet_store* store = NULL;
  freshet_error error = {0};
  if (open_rocksdb("shop", &store, &error) != FRESHET_OK) fail_msg("%s", error.message);
  return store;
}

static int setup_rocksdb(void** state) {
  if (make_folder(state) != 0) return -1;
  *state = open_ok();
  return 0;
}

static int teardown_rocksdb(void** state) {
  freshet_store* store = *state;
  freshet_store_destroy(store);
  return remove_folder(state);
}

static int setup_memory(void** state) {
  *state = freshet_memory_store_create();
  return 0;
}

static int teardown_memory(void** state) {
  freshet_store* store = *state;
  freshet_store_destroy(store);
  return 0;
}

/* ---- shorthands ---- */

static void put(freshet_store* s, int family, int32_t partition, const char* key, const char* value) {
  freshet_store_put(s, (freshet_family)family, partition, freshet_slice_of(key), freshet_slice_of(value));
}

static void write_ok(freshet_store* s) {
  freshet_error error = {0};
  if (freshet_store_write(s, &error) != FRESHET_OK) fail_msg("%s", error.message);
}

/* NULL: the row must not exist. */
static void expect(freshet_store* s, int family, int32_t partition, const char* key, const char* value) {
  freshet_buffer found = {0};
  freshet_error error = {0};
  freshet_status status =
      freshet_store_get(s, (freshet_family)family, partition, freshet_slice_of(key), &found, &error);
  if (value == NULL) {
    assert_int_equal(status, FRESHET_NOT_FOUND);
    assert_int_equal(error.status, FRESHET_NOT_FOUND);
  } else {
    assert_int_equal(status, FRESHET_OK);
    assert_true(freshet_slice_equal(freshet_buffer_slice(&found), freshet_slice_of(value)));
  }
  freshet_buffer_free(&found);
}

typedef struct listing {
  freshet_buffer text; /* "key=value " of every row seen */
  size_t stop_after;
  size_t seen;
} listing;

static bool list_row(void* context, freshet_slice key, freshet_slice value) {
  listing* out = context;
  freshet_buffer_append(&out->text, key.data, key.size);
  freshet_buffer_append(&out->text, "=", 1);
  freshet_buffer_append(&out->text, value.data, value.size);
  freshet_buffer_append(&out->text, " ", 1);
  return ++out->seen != out->stop_after;
}

static void expect_scan(freshet_store* s, int family, int32_t partition, const char* prefix,
                        size_t stop_after, const char* rows) {
  listing out = {.stop_after = stop_after};
  freshet_error error = {0};
  assert_int_equal(freshet_store_scan(s, (freshet_family)family, partition, freshet_slice_of(prefix),
                                      list_row, &out, &error),
                   FRESHET_OK);
  freshet_buffer_append(&out.text, "", 1);
  assert_string_equal((const char*)out.text.data, rows);
  freshet_buffer_free(&out.text);
}

static void expect_scan_after(freshet_store* s, int family, int32_t partition, const char* after,
                              size_t stop_after, const char* rows) {
  listing out = {.stop_after = stop_after};
  assert_int_equal(freshet_store_scan_after(s, (freshet_family)family, partition, freshet_slice_of(after),
                                            list_row, &out, NULL),
                   FRESHET_OK);
  freshet_buffer_append(&out.text, "", 1);
  assert_string_equal((const char*)out.text.data, rows);
  freshet_buffer_free(&out.text);
}

/* ---- the contract ---- */

static void test_rows_appear_with_the_write(void** state) {
  freshet_store* s = *state;
  expect(s, U, 0, "ann", NULL);
  put(s, U, 0, "ann", "1");
  expect(s, U, 0, "ann", NULL);
  write_ok(s);
  expect(s, U, 0, "ann", "1");
  put(s, U, 0, "ann", "2");
  freshet_store_remove(s, FRESHET_FAMILY_USERS, 0, freshet_slice_of("nobody"));
  expect(s, U, 0, "ann", "1");
  write_ok(s);
  expect(s, U, 0, "ann", "2");
  freshet_store_remove(s, FRESHET_FAMILY_USERS, 0, freshet_slice_of("ann"));
  write_ok(s);
  expect(s, U, 0, "ann", NULL);
  write_ok(s); /* of nothing */
}

static void test_the_last_change_of_a_batch_wins(void** state) {
  freshet_store* s = *state;
  put(s, U, 0, "a", "1");
  freshet_store_remove(s, FRESHET_FAMILY_USERS, 0, freshet_slice_of("a"));
  put(s, U, 0, "a", "2");
  put(s, U, 0, "b", "1");
  freshet_store_remove(s, FRESHET_FAMILY_USERS, 0, freshet_slice_of("b"));
  put(s, U, 0, "c", "1");
  put(s, U, 0, "d", "1");
  freshet_store_clear(s, FRESHET_FAMILY_USERS, 0);
  put(s, U, 0, "d", "2");
  write_ok(s);
  expect_scan(s, U, 0, "", 0, "d=2 ");
}

static void test_families_and_partitions_are_apart(void** state) {
  freshet_store* s = *state;
  const int32_t partitions[] = {0, 1, 254, 255, 256, 65535, INT32_MAX};
  for (size_t i = 0; i < sizeof partitions / sizeof *partitions; i++) {
    char value[16];
    snprintf(value, sizeof value, "%d", partitions[i]);
    put(s, U, partitions[i], "a", value);
    put(s, U, partitions[i], "\xff\xff", value);
    put(s, C, partitions[i], "a", "catalogue");
  }
  write_ok(s);
  for (size_t i = 0; i < sizeof partitions / sizeof *partitions; i++) {
    char value[16], rows[64];
    snprintf(value, sizeof value, "%d", partitions[i]);
    snprintf(rows, sizeof rows, "a=%s \xff\xff=%s ", value, value);
    expect(s, U, partitions[i], "a", value);
    expect(s, I, partitions[i], "a", NULL);
    expect_scan(s, U, partitions[i], "", 0, rows);
    freshet_store_clear(s, FRESHET_FAMILY_USERS, partitions[i]);
    write_ok(s);
    expect_scan(s, U, partitions[i], "", 0, "");
    expect(s, C, partitions[i], "a", "catalogue");
    if (partitions[i] < INT32_MAX) expect(s, U, INT32_MAX, "a", "2147483647");
  }
}

static void test_scans_are_in_key_order_and_by_prefix(void** state) {
  freshet_store* s = *state;
  const char* const keys[] = {"b", "ab", "a", "abc", "\x7f", "\xff", "\xff\xff", "\xff\xff\x61", "ac", ""};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) put(s, I, 7, keys[i], "v");
  put(s, I, 6, "abx", "v");
  put(s, I, 8, "abx", "v");
  put(s, U, 7, "abx", "v");
  write_ok(s);
  expect_scan(s, I, 7, "", 0, "=v a=v ab=v abc=v ac=v b=v \x7f=v \xff=v \xff\xff=v \xff\xff\x61=v ");
  expect_scan(s, I, 7, "ab", 0, "ab=v abc=v ");
  expect_scan(s, I, 7, "\xff", 0, "\xff=v \xff\xff=v \xff\xff\x61=v ");
  expect_scan(s, I, 7, "\xff\xff", 0, "\xff\xff=v \xff\xff\x61=v ");
  expect_scan(s, I, 7, "x", 0, "");
  expect_scan(s, I, 7, "", 2, "=v a=v ");
  expect_scan_after(s, I, 7, "", 3, "a=v ab=v abc=v ");
  expect_scan_after(s, I, 7, "ab", 2, "abc=v ac=v ");
  expect_scan_after(s, I, 7, "aba", 1, "abc=v ");
  expect_scan_after(s, I, 7, "\xff", 0, "\xff\xff=v \xff\xff\x61=v ");
  expect_scan_after(s, I, 7, "\xff\xff\x61", 0, "");
}

static void test_values_may_be_anything(void** state) {
  freshet_store* s = *state;
  enum { LARGE = 1 << 20 };
  char* large = malloc(LARGE);
  for (int i = 0; i < LARGE; i++) large[i] = (char)(i * 31);
  const freshet_slice key = {"k\0ey", 4}, zero = {"\0", 1}, value = {large, LARGE};
  freshet_store_put(s, FRESHET_FAMILY_USERS, 3, key, value);
  freshet_store_put(s, FRESHET_FAMILY_USERS, 3, zero, (freshet_slice){0});
  freshet_store_put(s, FRESHET_FAMILY_USERS, 3, (freshet_slice){large, 1000}, zero);
  write_ok(s);
  freshet_buffer found = {0};
  freshet_buffer_append(&found, "before", 6); /* get appends */
  assert_int_equal(freshet_store_get(s, FRESHET_FAMILY_USERS, 3, key, &found, NULL), FRESHET_OK);
  assert_int_equal(found.size, 6 + LARGE);
  assert_memory_equal(found.data, "before", 6);
  assert_memory_equal(found.data + 6, large, LARGE);
  found.size = 0;
  assert_int_equal(freshet_store_get(s, FRESHET_FAMILY_USERS, 3, zero, &found, NULL), FRESHET_OK);
  assert_int_equal(found.size, 0);
  assert_int_equal(freshet_store_get(s, FRESHET_FAMILY_USERS, 3, (freshet_slice){large, 1000}, &found, NULL),
                   FRESHET_OK);
  assert_int_equal(found.size, 1);
  freshet_buffer_free(&found);
  free(large);
  assert_true(freshet_store_memory(s) > 0);
}

static void expect_position(freshet_store* s, freshet_topic topic, int32_t partition, int64_t offset,
                            int64_t time_ms) {
  int64_t o = 0, t = 0;
  assert_int_equal(freshet_store_position(s, topic, partition, &o, &t, NULL), FRESHET_OK);
  assert_int_equal(o, offset);
  assert_int_equal(t, time_ms);
}

static void test_positions_belong_to_the_batch(void** state) {
  freshet_store* s = *state;
  int64_t offset, time_ms;
  freshet_error error = {0};
  freshet_store_set_position(s, FRESHET_TOPIC_USERS, 0, 10, 1000);
  assert_int_equal(freshet_store_position(s, FRESHET_TOPIC_USERS, 0, &offset, &time_ms, &error),
                   FRESHET_NOT_FOUND);
  freshet_store_set_position(s, FRESHET_TOPIC_USERS, 256, 20, 2000);
  freshet_store_set_position(s, FRESHET_TOPIC_ITEM_DELTAS, 0, INT64_MAX, -1);
  write_ok(s);
  freshet_store_set_position(s, FRESHET_TOPIC_USERS, 0, 11, 1001);
  freshet_store_clear(s, FRESHET_FAMILY_USERS, 0); /* rows, not positions */
  expect_position(s, FRESHET_TOPIC_USERS, 0, 10, 1000);
  write_ok(s);
  expect_position(s, FRESHET_TOPIC_USERS, 0, 11, 1001);
  expect_position(s, FRESHET_TOPIC_USERS, 256, 20, 2000);
  expect_position(s, FRESHET_TOPIC_ITEM_DELTAS, 0, INT64_MAX, -1);
  assert_int_equal(freshet_store_position(s, FRESHET_TOPIC_EVENTS, 0, &offset, &time_ms, NULL),
                   FRESHET_NOT_FOUND);
}

static void test_many_positions(void** state) {
  enum { PARTITIONS = 300, MOVES = 3000 };
  freshet_store* s = *state;
  for (int i = 0; i < MOVES; i++) { /* 7 has no factor in common with 300: each partition comes ten times */
    freshet_store_set_position(s, FRESHET_TOPIC_ITEMS, i * 7 % PARTITIONS, i, 1000 + i);
    freshet_store_set_position(s, FRESHET_TOPIC_USERS, i * 7 % PARTITIONS, 2 * i, i);
  }
  write_ok(s);
  for (int i = MOVES - PARTITIONS; i < MOVES; i++) {
    expect_position(s, FRESHET_TOPIC_ITEMS, i * 7 % PARTITIONS, i, 1000 + i);
    expect_position(s, FRESHET_TOPIC_USERS, i * 7 % PARTITIONS, 2 * i, i);
  }
  freshet_store_set_position(s, FRESHET_TOPIC_ITEMS, 8, 5, 6); /* the next batch has only this one */
  freshet_store_set_position(s, FRESHET_TOPIC_USERS, 7, 3, 4);
  write_ok(s);
  expect_position(s, FRESHET_TOPIC_ITEMS, 8, 5, 6);
  expect_position(s, FRESHET_TOPIC_USERS, 7, 3, 4);
}

static off_t bytes_in_folder;

static int add_size(const char* path, const struct stat* about, int type, struct FTW* where) {
  (void)path, (void)where;
  if (type == FTW_F) bytes_in_folder += about->st_size;
  return 0;
}

static off_t size_of_folder(void) {
  bytes_in_folder = 0;
  assert_int_equal(nftw(folder, add_size, 16, FTW_PHYS), 0);
  return bytes_in_folder;
}

/* A record moves its position: a thousand records do not write it a thousand times. */
static void test_a_position_is_written_once(void** state) {
  freshet_store* s = *state;
  freshet_store_set_position(s, FRESHET_TOPIC_ITEMS, 0, 1, 1);
  write_ok(s);
  const off_t before = size_of_folder();
  for (int i = 0; i < 1000; i++) freshet_store_set_position(s, FRESHET_TOPIC_ITEMS, 0, i, i);
  write_ok(s);
  assert_true(size_of_folder() - before < 1000);
  expect_position(s, FRESHET_TOPIC_ITEMS, 0, 999, 999);
}

static void put_large(freshet_store* s, const char* key, char fill) {
  static char value[200000];
  memset(value, fill, sizeof value - 1);
  put(s, U, 0, key, value);
}

static bool has_row(void* context, freshet_slice key, freshet_slice value) {
  (void)key;
  *(char*)context = value.data[0];
  return false;
}

/* What the value of the key begins with; 0: there is no such row. */
static char first_of(freshet_store* s, const char* key) {
  char first = 0;
  assert_int_equal(
      freshet_store_scan(s, FRESHET_FAMILY_USERS, 0, freshet_slice_of(key), has_row, &first, NULL),
      FRESHET_OK);
  return first;
}

static void end_write_ok(freshet_store* s, int wait_ms) {
  freshet_error error = {0};
  freshet_status status = FRESHET_TIMEOUT;
  while (status == FRESHET_TIMEOUT) status = freshet_store_end_write(s, wait_ms, &error);
  if (status != FRESHET_OK) fail_msg("%s", error.message);
}

static void test_a_write_in_two_steps(void** state) {
  freshet_store* s = *state;
  for (char round = 'a'; round <= 'z'; round++) {
    put_large(s, "large", round);
    freshet_store_set_position(s, FRESHET_TOPIC_USERS, 0, round, 0);
    freshet_store_start_write(s);
    put(s, U, 1, "later", (char[]){round, '\0'});
    end_write_ok(s, round % 3 - 1);
    assert_int_equal(first_of(s, "large"), round);
    expect_position(s, FRESHET_TOPIC_USERS, 0, round, 0);
    write_ok(s);
    expect(s, U, 1, "later", (char[]){round, '\0'});
  }
  put(s, U, 0, "small", "1");
  freshet_store_start_write(s);
  end_write_ok(s, 0);
  expect(s, U, 0, "small", "1");
}

/* In the order in which they were collected. */
static void test_a_write_waits_for_the_one_that_has_started(void** state) {
  freshet_store* s = *state;
  put_large(s, "row", 'a');
  put_large(s, "other", 'a');
  freshet_store_start_write(s);
  put_large(s, "row", 'b');
  write_ok(s);
  assert_int_equal(first_of(s, "row"), 'b');
  assert_int_equal(first_of(s, "other"), 'a');
  end_write_ok(s, 0);
  assert_int_equal(first_of(s, "row"), 'b');
}

/* xorshift64 */
static uint64_t next(uint64_t* random) {
  *random ^= *random << 13, *random ^= *random >> 7, *random ^= *random << 17;
  return *random;
}

/* Random changes against a table that is as naive as can be. */
static void test_random_changes_against_an_oracle(void** state) {
  enum { KEYS = 40, PARTITIONS = 3, STEPS = 4000 };
  freshet_store* s = *state;
  uint64_t seed = (uint64_t)time(NULL) | 1, random = seed;
  print_message("seed %llu\n", (unsigned long long)seed);
  static int written[FRESHET_FAMILIES][PARTITIONS][KEYS], pending[FRESHET_FAMILIES][PARTITIONS][KEYS];
  memset(written, 0, sizeof written); /* 0: no row */
  memset(pending, 0, sizeof pending);
  for (int step = 1; step <= STEPS; step++) {
    int family = (int)(next(&random) % FRESHET_FAMILIES), partition = (int)(next(&random) % PARTITIONS);
    int key = (int)(next(&random) % KEYS), what = (int)(next(&random) % 100);
    char name[8], value[16];
    snprintf(name, sizeof name, "%02d", key);
    snprintf(value, sizeof value, "%d", step);
    if (what < 60) {
      put(s, family, partition, name, value);
      pending[family][partition][key] = step;
    } else if (what < 80) {
      freshet_store_remove(s, (freshet_family)family, partition, freshet_slice_of(name));
      pending[family][partition][key] = 0;
    } else if (what < 82) {
      freshet_store_clear(s, (freshet_family)family, partition);
      memset(pending[family][partition], 0, sizeof pending[family][partition]);
    } else if (what < 92) {
      write_ok(s);
      memcpy(written, pending, sizeof written);
    } else {
      char rows[KEYS * 24] = "";
      for (int k = 0; k < KEYS; k++) {
        if (written[family][partition][k] == 0) continue;
        snprintf(rows + strlen(rows), sizeof rows - strlen(rows), "%02d=%d ", k,
                 written[family][partition][k]);
      }
      expect_scan(s, family, partition, "", 0, rows);
      snprintf(value, sizeof value, "%d", written[family][partition][key]);
      expect(s, family, partition, name, written[family][partition][key] == 0 ? NULL : value);
    }
  }
}

/* ---- RocksDB alone ---- */

static void test_a_restart_finds_everything(void** state) {
  (void)state;
  freshet_store* s = open_ok();
  put(s, U, 1, "ann", "1");
  freshet_store_set_position(s, FRESHET_TOPIC_USERS, 1, 5, 50);
  write_ok(s);
  put(s, U, 1, "ann", "never written");
  freshet_store_destroy(s);
  s = open_ok();
  expect(s, U, 1, "ann", "1");
  expect_position(s, FRESHET_TOPIC_USERS, 1, 5, 50);
  freshet_store_destroy(s);
}

/* ---- other processes: this program again, since the threads of RocksDB do not survive a fork ---- */

/* Runs child_main(mode, argument) on the same folder with standard output into *told. */
static pid_t spawn(const char* mode, int argument, int* told) {
  char number[16];
  snprintf(number, sizeof number, "%d", argument);
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    execl("/proc/self/exe", "test_store", mode, folder, number, (char*)NULL);
    _exit(99);
  }
  close(ends[1]);
  *told = ends[0];
  return child;
}

static void refused(const char* app_id, freshet_status status, const char* first, const char* second) {
  freshet_store* store = NULL;
  freshet_error error = {0};
  assert_int_equal(open_rocksdb(app_id, &store, &error), status);
  assert_null(store);
  assert_int_equal(error.verdict, FRESHET_STOP);
  if (strstr(error.message, first) == NULL || strstr(error.message, second) == NULL) {
    fail_msg("no '%s' and '%s' in '%s'", first, second, error.message);
  }
}

static void test_a_store_ends_the_write_that_has_started(void** state) {
  (void)state;
  freshet_store* s = open_ok();
  put_large(s, "row", 'a');
  freshet_store_start_write(s);
  freshet_store_destroy(s);
  s = open_ok();
  assert_int_equal(first_of(s, "row"), 'a');
  freshet_store_destroy(s);
}

static void test_a_folder_of_another_app_is_refused(void** state) {
  (void)state;
  freshet_store* s = open_ok();
  freshet_store_destroy(s);
  refused("other", FRESHET_CONFLICT, "'shop'", "'other'");
  s = open_ok(); /* and is unharmed */
  freshet_store_destroy(s);
}

static void test_a_folder_in_use_is_refused(void** state) {
  (void)state;
  freshet_store* s = open_ok();
  refused("shop", FRESHET_CONFLICT, folder, "in use"); /* by the same process */
  int told, status;
  pid_t child = spawn("in-use", 0, &told); /* by another one */
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  close(told);
  freshet_store_destroy(s);
}

static void test_a_folder_with_other_files_is_refused(void** state) {
  (void)state;
  char path[64];
  snprintf(path, sizeof path, "%s/thesis.txt", folder);
  FILE* file = fopen(path, "w");
  assert_non_null(file);
  fclose(file);
  refused("shop", FRESHET_CONFLICT, folder, "thesis.txt");
}

static void test_a_folder_that_cannot_be_made_is_an_error(void** state) {
  (void)state;
  char* real = folder;
  folder = "/nonexistent/state";
  refused("shop", FRESHET_IO, folder, "No such file");
  folder = "/dev/null";
  refused("shop", FRESHET_CONFLICT, folder, "");
  folder = real;
}

enum {
  ROWS = 20
}; /* of one batch, all of which hold the number of the batch; so large that it may be written beside us */

static freshet_status write_batch(freshet_store* s, int number, freshet_error* error) {
  char key[8], value[4096];
  memset(value, 'x', sizeof value - 1);
  value[sizeof value - 1] = '\0';
  value[snprintf(value, sizeof value, "%d", number)] = ' ';
  for (int i = 0; i < ROWS; i++) {
    snprintf(key, sizeof key, "%d", i);
    put(s, i % FRESHET_FAMILIES, i, key, value);
  }
  freshet_store_set_position(s, FRESHET_TOPIC_USERS, 0, number, 0);
  if (number % 2 == 0) return freshet_store_write(s, error);
  freshet_store_start_write(s);
  return freshet_store_end_write(s, -1, error);
}

/* Whatever happened: all rows are of one batch, the position is that batch's. Returns its number, 0 when
 * none. */
static int64_t check_one_batch(void) {
  freshet_store* s = open_ok();
  int64_t offset = 0, time_ms;
  freshet_store_position(s, FRESHET_TOPIC_USERS, 0, &offset, &time_ms, NULL);
  for (int i = 0; i < ROWS; i++) {
    char key[8];
    snprintf(key, sizeof key, "%d", i);
    freshet_buffer value = {0};
    freshet_status status =
        freshet_store_get(s, (freshet_family)(i % FRESHET_FAMILIES), i, freshet_slice_of(key), &value, NULL);
    assert_int_equal(status, offset == 0 ? FRESHET_NOT_FOUND : FRESHET_OK);
    if (offset != 0) assert_int_equal(atoll((const char*)value.data), offset);
    freshet_buffer_free(&value);
  }
  freshet_store_destroy(s);
  return offset;
}

static void test_kill_9_leaves_whole_batches(void** state) {
  (void)state;
  uint64_t seed = (uint64_t)time(NULL) | 1, random = seed;
  print_message("seed %llu\n", (unsigned long long)seed);
  int before = 0;
  for (int round = 0; round < 8; round++) {
    int told, number = 0, written = 0;
    pid_t child = spawn("write-on", before + 1, &told);
    for (uint64_t batches = 1 + next(&random) % 150; batches > 0; batches--) {
      assert_int_equal(read(told, &number, sizeof number), sizeof number);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (read(told, &written, sizeof written) == (ssize_t)sizeof written) number = written;
    close(told);
    before = (int)check_one_batch();
    assert_true(before == number || before == number + 1); /* what write has confirmed is there */
  }
}

/* A limit on the size of files stands for the full disk: the write-ahead log cannot grow any further. */
static void test_a_full_disk_stops_and_loses_nothing(void** state) {
  (void)state;
  int told, status, number = 0;
  pid_t child = spawn("fill", 0, &told);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_int_equal(read(told, &number, sizeof number), sizeof number);
  close(told);
  assert_true(number > 0);
  assert_int_equal(check_one_batch(), number);
}

static bool tell(int number) {
  return write(STDOUT_FILENO, &number, sizeof number) == (ssize_t)sizeof number;
}

static int child_main(const char* mode, int number) {
  freshet_store* s = NULL;
  freshet_error error = {0};
  freshet_status status = open_rocksdb("shop", &s, &error);
  if (strcmp(mode, "in-use") == 0) {
    return status == FRESHET_CONFLICT && strstr(error.message, "in use") != NULL ? 0 : 1;
  }
  if (status != FRESHET_OK) return 2;
  if (strcmp(mode, "write-on") == 0) { /* until killed */
    while (write_batch(s, number, NULL) == FRESHET_OK && tell(number)) number++;
    return 3;
  }
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &(struct rlimit){600000, 600000});
  while (write_batch(s, number + 1, &error) == FRESHET_OK) number++;
  if (error.status != FRESHET_IO || error.verdict != FRESHET_STOP || !tell(number)) return 4;
  freshet_store_destroy(s); /* has to end well on a disk that is still full */
  _exit(0);
}

#define ON_BOTH(test)                                                 \
  {"rocksdb: " #test, test, setup_rocksdb, teardown_rocksdb, NULL}, { \
    "memory: " #test, test, setup_memory, teardown_memory, NULL       \
  }
#define ON_ROCKSDB_ROWS(test) \
  { "rocksdb: " #test, test, setup_rocksdb, teardown_rocksdb, NULL }
#define ON_ROCKSDB(test) \
  { "rocksdb: " #test, test, make_folder, remove_folder, NULL }

int main(int argc, char** argv) {
  if (argc == 4) {
    folder = argv[2];
    return child_main(argv[1], atoi(argv[3]));
  }
  const struct CMUnitTest tests[] = {
      ON_ROCKSDB(test_a_restart_finds_everything),
      ON_ROCKSDB(test_a_store_ends_the_write_that_has_started),
      ON_ROCKSDB(test_a_folder_of_another_app_is_refused),
      ON_ROCKSDB(test_a_folder_in_use_is_refused),
      ON_ROCKSDB(test_a_folder_with_other_files_is_refused),
      ON_ROCKSDB(test_a_folder_that_cannot_be_made_is_an_error),
      ON_ROCKSDB_ROWS(test_a_write_waits_for_the_one_that_has_started),
      ON_ROCKSDB_ROWS(test_a_position_is_written_once),
      ON_ROCKSDB(test_kill_9_leaves_whole_batches),
      ON_ROCKSDB(test_a_full_disk_stops_and_loses_nothing),
      ON_BOTH(test_rows_appear_with_the_write),
      ON_BOTH(test_the_last_change_of_a_batch_wins),
      ON_BOTH(test_families_and_partitions_are_apart),
      ON_BOTH(test_scans_are_in_key_order_and_by_prefix),
      ON_BOTH(test_values_may_be_anything),
      ON_BOTH(test_positions_belong_to_the_batch),
      ON_BOTH(test_many_positions),
      ON_BOTH(test_a_write_in_two_steps),
      ON_BOTH(test_random_changes_against_an_oracle),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
