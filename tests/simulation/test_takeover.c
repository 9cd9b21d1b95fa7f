/*
 * test_takeover.c: the next owner of a partition with many users, on the simulated broker. Its disk has them already, as
 * that of a standby has.
 *
 * soon     Its first list does not wait until all users have been looked through.
 * owed     A list that the owner before still owed comes, though it is owed to the last of all users.
 * gone     So does that of a user whose list carries an item that was withdrawn while the partition had no owner.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support_real_user.h"
#include "support_run.h"

enum { USERS = 5000, SOON = USERS / 4, ASKING = USERS / 2, CARRYING = USERS - 2, OWED = USERS - 1 };
static const char gone_item[] = "gone-by-then";

static freshet_codec* codec;

typedef struct seen {
  sim_disk* disk;
  uint64_t before_first; /* users visited until the first list; 0: none yet */
  bool has[USERS];       /* a list was published */
} seen;

static seen lists;

static void user_name(int user, char name[16]) {
  snprintf(name, 16, "w%05d", user); /* after those of the scenario */
}

static void note_list(sim_world* world, sim_process* process, const freshet_output* output) {
  int user;
  (void)world, (void)process;
  if (!output->has_value || output->topic != FRESHET_TOPIC_RECOMMENDATIONS) return;
  if (lists.before_first == 0) lists.before_first = sim_disk_users_visited(lists.disk) + 1;
  if (output->key.size == 6 && sscanf(output->key.data, "w%05d", &user) == 1) lists.has[user] = true;
}

static void put_user(freshet_store* store, int user, const freshet_user_state* state) {
  char name[16];
  freshet_buffer bytes = {0};
  user_name(user, name);
  assert_int_equal(freshet_encode_user_state(codec, state, &bytes, NULL), FRESHET_OK);
  freshet_store_put(store, FRESHET_FAMILY_USERS, 0, freshet_slice_of(name), freshet_buffer_slice(&bytes));
  freshet_buffer_free(&bytes);
}

/* Many users, each with the state of a real one. */
static void fill(sim_disk* disk) {
  freshet_store* store = sim_disk_open(disk, NULL);
  freshet_buffer row = {0};
  freshet_user_state state = sim_real_user(store, codec, &row);
  for (int user = 0; user < USERS; user++) put_user(store, user, &state);
  state.listed_offset = state.newest_offset - 1;
  put_user(store, OWED, &state);
  const uint64_t gone = freshet_id_key(freshet_slice_of(gone_item));
  state.listed_offset = state.newest_offset;
  state.listed = &gone;
  state.listed_count = 1;
  put_user(store, CARRYING, &state);
  assert_int_equal(freshet_store_write(store, NULL), FRESHET_OK);
  freshet_buffer_free(&row);
}

static void the_first_list_does_not_wait_for_all_users(void** state) {
  (void)state;
  const run_shape shape = {
      .workers = 1, .input_partitions = 1, .item_partitions = 1, .delivery = FRESHET_DELIVERY_FAST};
  run r;
  run_init(&r, 1, 0, &shape);
  run_go(&r);
  assert_string_equal(r.world.failure, "");
  r.config.survey_rows_a_turn = 100;
  lists.disk = r.last_disk[0];
  fill(lists.disk);
  char name[16];
  user_name(ASKING, name);
  sim_send_click(&r.world.cluster, codec, "after-the-death", name);
  const uint64_t before = sim_disk_users_visited(lists.disk);
  r.world.published = note_list;
  run_visit(&r, 0, lists.disk);
  assert_string_equal(r.world.failure, "");
  assert_true(lists.before_first > 0);
  assert_true(lists.before_first - before < SOON);
  assert_true(lists.has[ASKING] && lists.has[OWED] && lists.has[CARRYING]);
  assert_true(sim_disk_users_visited(lists.disk) - before >= USERS);
  run_free(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_first_list_does_not_wait_for_all_users)};
  codec = run_codecs_create();
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  run_codecs_destroy();
  return failed;
}
