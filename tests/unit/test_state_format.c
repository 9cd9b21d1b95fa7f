/*
 * test_state_format.c: a state folder that another version of the program has written is refused, and the message
 * says which of the two versions is the newer one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rocksdb/c.h>

#include "rocksdb/rocksdb.h"

static char folder[64];

static freshet_status open_folder(freshet_store** store, freshet_error* error) {
  const freshet_rocksdb_config config = {
      .folder = folder, .app_id = "shop", .block_cache_bytes = 1 << 20, .memtable_bytes = 1 << 20};
  return freshet_rocksdb_create(&config, store, error);
}

/* Writes the format into the folder as another version would have. */
static void write_format(const char* format) {
  const char* const names[] = {"users", "items", "catalogue", "default"};
  rocksdb_options_t* options = rocksdb_options_create();
  const rocksdb_options_t* each[4] = {options, options, options, options};
  rocksdb_column_family_handle_t* families[4];
  char* message = NULL;
  rocksdb_t* db = rocksdb_open_column_families(options, folder, 4, names, each, families, &message);
  assert_null(message);
  rocksdb_writeoptions_t* write = rocksdb_writeoptions_create();
  rocksdb_put_cf(db, write, families[3], "format", 6, format, strlen(format), &message);
  assert_null(message);
  for (int i = 0; i < 4; i++) rocksdb_column_family_handle_destroy(families[i]);
  rocksdb_close(db);
  rocksdb_writeoptions_destroy(write);
  rocksdb_options_destroy(options);
}

static int make_folder(void** state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/freshet-format-XXXXXX");
  return mkdtemp(folder) == NULL;
}

static int remove_folder(void** state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

static void refused(const char* format, const char* first, const char* second) {
  freshet_store* store = NULL;
  freshet_error error = {0};
  write_format(format);
  assert_int_equal(open_folder(&store, &error), FRESHET_CONFLICT);
  assert_null(store);
  assert_int_equal(error.verdict, FRESHET_STOP);
  if (strstr(error.message, first) == NULL || strstr(error.message, second) == NULL) {
    fail_msg("no '%s' and '%s' in '%s'", first, second, error.message);
  }
}

static void test_another_format_is_refused_with_what_to_do(void** state) {
  (void)state;
  freshet_store* store = NULL;
  freshet_error error = {0};
  assert_int_equal(open_folder(&store, &error), FRESHET_OK);
  store->vtable->destroy(store);
  refused("10", "written by a newer version", "install the newer version again");
  refused("0", "has format 0", "an empty folder is filled from Kafka");
  write_format("1"); /* the right one opens: the folder was not harmed */
  assert_int_equal(open_folder(&store, &error), FRESHET_OK);
  store->vtable->destroy(store);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_another_format_is_refused_with_what_to_do, make_folder,
                                      remove_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
