/*
 * test_list_replay.c: a worker learns events again whose lists are committed, with delivery = committed, on the simulated broker.
 * Its disk is older than those lists.
 *
 * older    No list is made of the older state, not even for a user whose list there carries an item that was withdrawn.
 * unknown  Nobody knows what the committed lists carry. So when an item is withdrawn later, their users get a list.
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

enum { NO_EVENTS = 998 /* so that the replay takes many turns */, ITEMS_WITHDRAWN = 4 };
static const char user[] = "w-replayed", gone_item[] = "gone-by-then";

static freshet_codec* codec;

static struct {
  int64_t offset; /* of the event that is learned again */
  size_t lists;   /* of the user */
  int64_t oldest; /* the least version of them */
  bool withdraws; /* an item, once the replay is part of the state */
  bool has_withdrawn;
  size_t lists_before; /* it did */
} seen;

static void note_list(sim_world* world, sim_process* process, const freshet_output* output) {
  freshet_list list;
  (void)world, (void)process;
  if (!output->has_value || output->topic != FRESHET_TOPIC_RECOMMENDATIONS ||
      !freshet_slice_equal(output->key, freshet_slice_of(user)))
    return;
  assert_int_equal(freshet_decode_list(codec, output->value, &list, NULL), FRESHET_OK);
  seen.lists++;
  if (list.version_offset < seen.oldest) seen.oldest = list.version_offset;
}

static void withdraw(sim_cluster* cluster, int item) {
  char id[8];
  sim_item_id(item, id);
  sim_append(cluster, -1,
             &(freshet_output){.topic = FRESHET_TOPIC_ITEMS, .partition = 0, .key = freshet_slice_of(id)});
}

static void meanwhile(run* r) {
  sim_cluster* cluster = &r->world.cluster;
  if (!seen.withdraws || seen.has_withdrawn ||
      cluster->groups[0].committed[FRESHET_TOPIC_EVENTS][0] <= seen.offset)
    return;
  seen.has_withdrawn = true;
  seen.lists_before = seen.lists;
  for (int i = 0; i < ITEMS_WITHDRAWN; i++) withdraw(cluster, i);
}

/* The user has the state of a real one. Its list may carry an item that has gone. */
static void put_user(sim_disk* disk, bool carries_gone) {
  freshet_store* store = sim_disk_open(disk, NULL);
  freshet_buffer row = {0}, bytes = {0};
  freshet_user_state state = sim_real_user(store, codec, &row);
  const uint64_t gone = freshet_id_key(freshet_slice_of(gone_item));
  state.listed = &gone;
  state.listed_count = carries_gone ? 1 : 0;
  assert_int_equal(freshet_encode_user_state(codec, &state, &bytes, NULL), FRESHET_OK);
  freshet_store_put(store, FRESHET_FAMILY_USERS, 0, freshet_slice_of(user), freshet_buffer_slice(&bytes));
  assert_int_equal(freshet_store_write(store, NULL), FRESHET_OK);
  freshet_buffer_free(&row);
  freshet_buffer_free(&bytes);
}

/* The last owner committed the list of one event more than its state, and died. */
static void make_replay(run* r, bool carries_gone) {
  const run_shape shape = {
      .workers = 1, .input_partitions = 1, .item_partitions = 1, .delivery = FRESHET_DELIVERY_COMMITTED};
  run_init(r, 1, 0, &shape);
  run_go(r);
  assert_string_equal(r->world.failure, "");
  put_user(r->last_disk[0], carries_gone);
  seen.offset = sim_send_click(&r->world.cluster, codec, "before-the-death", user);
  seen.oldest = INT64_MAX;
  r->world.cluster.groups[0].listed[FRESHET_TOPIC_EVENTS][0].offset = seen.offset + 1;
  r->world.faults.no_events = NO_EVENTS;
  r->world.published = note_list;
  r->meanwhile = meanwhile;
}

static void no_list_is_made_of_the_older_state(void** state) {
  (void)state;
  run r;
  memset(&seen, 0, sizeof seen);
  make_replay(&r, true);
  r.world.cluster.groups[0].listed[FRESHET_TOPIC_EVENTS][0].listing = 1; /* other items were listed */
  run_visit(&r, 0, r.last_disk[0]);
  assert_string_equal(r.world.failure, "");
  assert_int_equal(seen.lists, 1);
  assert_int_equal(seen.oldest, seen.offset);
  run_free(&r);
}

static void an_unknown_list_is_made_again_when_an_item_goes(void** state) {
  (void)state;
  run r;
  memset(&seen, 0, sizeof seen);
  make_replay(&r, false);
  assert_int_not_equal(r.world.cluster.groups[0].listed[FRESHET_TOPIC_EVENTS][0].listing, 0);
  seen.withdraws = true;
  run_visit(&r, 0, r.last_disk[0]);
  assert_string_equal(r.world.failure, "");
  assert_true(seen.has_withdrawn);
  assert_int_equal(seen.lists_before, 0);
  assert_int_equal(seen.lists, 1);
  assert_int_equal(seen.oldest, seen.offset);
  run_free(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(no_list_is_made_of_the_older_state),
                                     cmocka_unit_test(an_unknown_list_is_made_again_when_an_item_goes)};
  codec = run_codecs_create();
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  run_codecs_destroy();
  return failed;
}
