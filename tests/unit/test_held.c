/* test_held.c: the partitions that a process holds, arrays that grow, and reading a log to its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/grow.h"
#include "stream/held.h"
#include "stream/read_to.h"

/* ---- arrays ---- */

static void grows_by_doubling_and_keeps_what_is_there(void** state) {
  (void)state;
  size_t capacity = 0, moves = 0;
  int* numbers = NULL;
  for (int i = 0; i < 1000; i++) {
    size_t before = capacity;
    numbers = freshet_grow(numbers, &capacity, (size_t)i + 1, sizeof *numbers);
    moves += capacity != before;
    numbers[i] = i;
  }
  for (int i = 0; i < 1000; i++) assert_int_equal(numbers[i], i);
  assert_true(moves <= 7);
  numbers = freshet_grow(numbers, &capacity, 5000, sizeof *numbers); /* more than the double */
  assert_int_equal(capacity, 5000);
  assert_int_equal(numbers[999], 999);
  free(numbers);
}

/* ---- held partitions ---- */

static int64_t end_of(freshet_source* self, freshet_topic topic, int32_t partition) {
  (void)self;
  (void)topic;
  return partition == 5 ? -1 : 10 + partition; /* the end of 5 is not known yet */
}

static void knows_what_is_held_and_what_follows(void** state) {
  (void)state;
  static const freshet_source_vtable vtable = {.end = end_of};
  freshet_source source = {&vtable};
  freshet_serving serving = {0};
  freshet_held* held = freshet_held_create(&source, &serving);
  assert_null(freshet_held_next(held, FRESHET_TOPICS, NULL));
  freshet_held_add(held, &(freshet_partition){.topic = FRESHET_TOPIC_EVENTS, .partition = 1, .offset = 4});
  freshet_held_add(held, &(freshet_partition){.topic = FRESHET_TOPIC_ITEMS, .partition = 1, .offset = 7});
  freshet_held_add(held, &(freshet_partition){.topic = FRESHET_TOPIC_EVENTS, .partition = 5, .offset = -1});
  freshet_held_add(held, &(freshet_partition){.topic = FRESHET_TOPIC_EVENTS, .partition = 2, .offset = -1});
  assert_int_equal(freshet_held_count(held, FRESHET_TOPIC_EVENTS), 3);
  assert_int_equal(freshet_held_count(held, FRESHET_TOPICS), 4);
  assert_null(freshet_held_find(held, FRESHET_TOPIC_REQUESTS, 1));
  assert_int_equal(freshet_held_find(held, FRESHET_TOPIC_ITEMS, 1)->next, 7);
  assert_int_equal(freshet_held_lag(held), 11 - 4 + 12);

  /* Partition 2 is behind as well, but nothing was applied there yet, so its age is not known. */
  assert_int_equal(freshet_held_lag_ms(held, 50000), 0);
  freshet_held_find(held, FRESHET_TOPIC_EVENTS, 1)->reached_ms = 20000;
  assert_int_equal(freshet_held_lag_ms(held, 50000), 30000);
  freshet_held_find(held, FRESHET_TOPIC_EVENTS, 1)->next = 11; /* at its end */
  assert_int_equal(freshet_held_lag_ms(held, 50000), 0);

  const bool* items = freshet_held_items(held, 3);
  assert_true(!items[0] && items[1] && !items[2]);
  assert_false(*freshet_held_items(held, 1)); /* a partition that `items` does not have (any more) */

  freshet_held_find(held, FRESHET_TOPIC_EVENTS, 1)->next = 6;
  size_t count;
  freshet_partition* list = freshet_held_list(held, FRESHET_TOPIC_EVENTS, FRESHET_HELD_NEXT, &count);
  assert_int_equal(count, 3);
  assert_int_equal(list[0].offset, 6);
  free(list);
  list = freshet_held_list(held, FRESHET_TOPICS, FRESHET_HELD_COMMITTED, &count);
  assert_int_equal(count, 4);
  assert_int_equal(list[0].offset, 4);
  free(list);

  freshet_held_remove(held, freshet_held_find(held, FRESHET_TOPIC_EVENTS, 1));
  assert_null(freshet_held_find(held, FRESHET_TOPIC_EVENTS, 1));
  assert_non_null(freshet_held_find(held, FRESHET_TOPIC_EVENTS, 2));
  assert_int_equal(freshet_held_count(held, FRESHET_TOPICS), 3);
  freshet_held_destroy(held);
}

/* A commit of lists alone says how far they go, and leaves the place from which events are read after a crash. */
static void lists_may_be_committed_beyond_the_state(void** state) {
  (void)state;
  freshet_source source = {NULL};
  freshet_serving serving = {0};
  freshet_held* held = freshet_held_create(&source, &serving);
  const freshet_partition came = {
      .topic = FRESHET_TOPIC_EVENTS, .partition = 0, .offset = 4, .listed = {.offset = 6, .listing = 77}};
  const freshet_partition first = {.topic = FRESHET_TOPIC_EVENTS, .partition = 1, .offset = -1};
  freshet_held_partition* p = freshet_held_add(held, &came);
  assert_int_equal(p->listed.listing, 77);
  assert_true(freshet_held_is_replaying(p));
  freshet_held_advance(p, 5, 1);
  assert_true(freshet_held_is_replaying(p));
  freshet_held_start_listed(p, p->next, 88); /* less than what is said already */
  freshet_held_end_commit(p);
  assert_int_equal(p->listed.offset, 6);
  assert_int_equal(p->listed.listing, 88);
  freshet_held_advance(p, 8, 1);
  assert_false(freshet_held_is_replaying(p));
  freshet_held_start_listed(p, p->next, 99);
  size_t count;
  freshet_partition* list = freshet_held_list(held, FRESHET_TOPICS, FRESHET_HELD_COMMITTING, &count);
  assert_int_equal(list[0].offset, 4);
  assert_int_equal(list[0].listed.offset, 8);
  assert_int_equal(list[0].listed.listing, 99);
  free(list);
  freshet_held_roll_back(p); /* that commit was aborted */
  assert_int_equal(p->next, 4);
  assert_int_equal(p->listed.offset, 6);
  freshet_held_start_listed(p, 9, 99);
  freshet_held_end_commit(p);
  assert_int_equal(p->committed, 4);
  assert_int_equal(p->listed.offset, 9);
  freshet_held_rewind(p, 2); /* all of it is done again */
  assert_false(freshet_held_is_replaying(p));
  assert_false(freshet_held_is_replaying(freshet_held_add(held, &first)));
  freshet_held_destroy(held);
}

/* The state is set apart, and committed after commits of lists that go further. */
static void a_state_that_is_set_apart_is_committed_later(void** state) {
  (void)state;
  freshet_source source = {NULL};
  freshet_serving serving = {0};
  freshet_held* held = freshet_held_create(&source, &serving);
  const freshet_partition came = {.topic = FRESHET_TOPIC_EVENTS, .partition = 0, .offset = 4};
  freshet_held_partition* p = freshet_held_add(held, &came);
  freshet_held_advance(p, 7, 1);
  freshet_held_set_apart(p);
  freshet_held_advance(p, 9, 1);
  freshet_held_start_listed(p, p->next, 77);
  freshet_held_end_commit(p); /* of lists */
  assert_int_equal(p->committed, 4);
  freshet_held_advance(p, 12, 1);
  freshet_held_start_apart(p);
  assert_int_equal(p->committed, 4);
  size_t count;
  freshet_partition* list = freshet_held_list(held, FRESHET_TOPICS, FRESHET_HELD_COMMITTING, &count);
  assert_int_equal(list[0].offset, 7);
  assert_int_equal(list[0].listed.offset, 9);
  assert_int_equal(list[0].listed.listing, 77);
  free(list);
  freshet_held_end_commit(p);
  assert_int_equal(p->committed, 7);
  assert_int_equal(p->listed.offset, 9);
  assert_int_equal(p->next, 12);
  freshet_held_destroy(held);
}

static void lists_go_to_the_shadow_until_the_hand_over(void** state) {
  (void)state;
  freshet_source source = {NULL};
  freshet_serving serving = {.own = "shop.g2", .base = "shop"};
  freshet_held* held = freshet_held_create(&source, &serving);
  freshet_held_partition* p = freshet_held_add(
      held, &(freshet_partition){.topic = FRESHET_TOPIC_EVENTS, .partition = 0, .offset = 0});
  assert_int_equal(freshet_held_list_topic(held, 0), FRESHET_TOPIC_SHADOW);
  serving.number = 1;
  snprintf(serving.generation, sizeof serving.generation, "shop.g2");
  snprintf(serving.previous, sizeof serving.previous, "shop");
  assert_int_equal(freshet_held_list_topic(held, 0), FRESHET_TOPIC_SHADOW); /* the other has not let go */
  p->taking = 1;
  assert_int_equal(freshet_held_list_topic(held, 0), FRESHET_TOPIC_RECOMMENDATIONS);
  serving.number = 2; /* it is known before the log says that the first switch is carried out */
  snprintf(serving.generation, sizeof serving.generation, "shop");
  snprintf(serving.previous, sizeof serving.previous, "shop.g2");
  assert_int_equal(freshet_held_list_topic(held, 0), FRESHET_TOPIC_RECOMMENDATIONS);
  p->releasing = 2;
  assert_int_equal(freshet_held_list_topic(held, 0), FRESHET_TOPIC_SHADOW);
  freshet_held_destroy(held);
}

/* A generation lets go with requests that wait for their answers. Two more switches are read before what it has said
 * comes back from the log: these requests are still not answered. */
static void what_was_said_of_requests_counts_at_once(void** state) {
  (void)state;
  freshet_serving serving = {.own = "shop", .base = "shop", .number = 1};
  freshet_app_generation_fact fact;
  assert_int_equal(freshet_serving_next_request(&serving, 0), -1);
  assert_true(freshet_serving_answered(&serving, "shop", 0, 5, &fact));
  assert_int_equal(fact.offset, 5);
  freshet_serving_note_answered(&serving, &fact);
  assert_int_equal(freshet_serving_next_request(&serving, 0), 5); /* it may be our turn again */
  serving.number = 3;
  assert_true(freshet_serving_answered(&serving, "shop", 0, 9, &fact));
  assert_int_equal(fact.number, 3);
  assert_int_equal(fact.offset, 5);
  freshet_serving_reset(&serving);
}

/* ---- reading to an end ---- */

static struct {
  int64_t position[2];
  int64_t end[2];
  int64_t now_us;
  size_t applied;
  bool silent;
} log_of;

static freshet_status log_poll(freshet_reader* self, int timeout_ms, freshet_record* out, size_t capacity,
                               size_t* count, freshet_error* error) {
  (void)self;
  (void)error;
  assert_true(capacity > 0);
  log_of.now_us += (int64_t)timeout_ms * 1000;
  *count = 0;
  for (int32_t p = 0; p < 2 && *count == 0 && !log_of.silent; p++) {
    if (log_of.position[p] == log_of.end[p]) continue;
    int64_t offset = log_of.position[p]++;
    if (offset == 2) continue; /* the marker of a transaction: moves the position, and is no record */
    out[(*count)++] = (freshet_record){.partition = p, .offset = offset};
  }
  return FRESHET_OK;
}

static int64_t log_position(freshet_reader* self, freshet_topic topic, int32_t partition) {
  (void)self;
  (void)topic;
  return log_of.position[partition];
}

static int64_t log_now_us(freshet_clock* self) {
  (void)self;
  return log_of.now_us;
}

static freshet_status apply(void* context, const freshet_record* records, size_t count,
                            freshet_error* error) {
  (void)records;
  (void)error;
  assert_ptr_equal(context, &log_of);
  log_of.applied += count;
  return FRESHET_OK;
}

static freshet_status read_both(freshet_error* error) {
  static const freshet_reader_vtable vtable = {.poll = log_poll, .position = log_position};
  freshet_reader reader = {&vtable};
  freshet_clock clock = {.monotonic_us = log_now_us};
  freshet_record records[4];
  const freshet_reading reading = {.reader = &reader,
                                   .clock = &clock,
                                   .name = "test",
                                   .wait_ms = 100,
                                   .stall_ms = 2000,
                                   .records = records,
                                   .capacity = 4,
                                   .apply = apply,
                                   .context = &log_of};
  const freshet_partition targets[] = {{.topic = FRESHET_TOPIC_USERS, .partition = 0, .offset = 3},
                                       {.topic = FRESHET_TOPIC_USERS, .partition = 1, .offset = 40}};
  return freshet_read_to(&reading, targets, 2, error);
}

static void reads_every_partition_to_its_end(void** state) {
  (void)state;
  freshet_error error = {0};
  memset(&log_of, 0, sizeof log_of);
  log_of.end[0] = 3;
  log_of.end[1] = 50;
  assert_int_equal(read_both(&error), FRESHET_OK);
  assert_int_equal(log_of.applied, 3 + 40 - 2);
  assert_int_equal(read_both(&error), FRESHET_OK); /* it is there already: nothing is polled */
  assert_int_equal(log_of.applied, 3 + 40 - 2);
}

static void says_that_a_log_is_silent(void** state) {
  (void)state;
  freshet_error error = {0};
  memset(&log_of, 0, sizeof log_of);
  log_of.end[0] = 3;
  log_of.end[1] = 20; /* ends before the target */
  assert_int_equal(read_both(&error), FRESHET_TIMEOUT);
  assert_int_equal(error.verdict, FRESHET_STOP);
  assert_non_null(strstr(error.message, "test"));
  assert_non_null(strstr(error.message, "23 of 43"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(grows_by_doubling_and_keeps_what_is_there),
      cmocka_unit_test(knows_what_is_held_and_what_follows),
      cmocka_unit_test(lists_may_be_committed_beyond_the_state),
      cmocka_unit_test(a_state_that_is_set_apart_is_committed_later),
      cmocka_unit_test(lists_go_to_the_shadow_until_the_hand_over),
      cmocka_unit_test(what_was_said_of_requests_counts_at_once),
      cmocka_unit_test(reads_every_partition_to_its_end),
      cmocka_unit_test(says_that_a_log_is_silent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
