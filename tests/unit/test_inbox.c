/* Questions of other threads: copied, bounded, each answered exactly once. Runs under TSan too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "lists/inbox.h"
#include "stream/partitioner.h"

static _Atomic size_t answers, unavailable, wakes;

static void count_answer(void* context, freshet_answer* answer) {
  (void)context;
  answers++;
  unavailable += answer->status == FRESHET_ANSWER_UNAVAILABLE;
  freshet_answer_destroy(answer);
}

static void count_wake(void* context) {
  (void)context;
  wakes++;
}

static int reset(void** state) {
  (void)state;
  answers = unavailable = wakes = 0;
  return 0;
}

static freshet_question ask(const char* user) {
  return (freshet_question){.request = {.user_id = freshet_slice_of(user), .k = 10},
                            .answered = count_answer};
}

static void a_shut_inbox_takes_nothing(void** state) {
  (void)state;
  freshet_inbox* inbox = freshet_inbox_create(4);
  freshet_question question = ask("u");
  assert_false(freshet_inbox_put(inbox, &question));
  freshet_inbox_open(inbox, count_wake, NULL);
  assert_true(freshet_inbox_put(inbox, &question));
  freshet_inbox_shut(inbox);
  assert_int_equal(answers, 1);
  assert_int_equal(unavailable, 1);
  assert_false(freshet_inbox_put(inbox, &question));
  freshet_inbox_destroy(inbox);
  assert_int_equal(answers, 1);
}

static void it_is_bounded_and_wakes_once(void** state) {
  (void)state;
  freshet_inbox* inbox = freshet_inbox_create(3);
  freshet_question question = ask("u");
  freshet_inbox_open(inbox, count_wake, NULL);
  for (int i = 0; i < 5; i++) assert_int_equal(freshet_inbox_put(inbox, &question), i < 3);
  assert_int_equal(wakes, 1);
  freshet_inbox_entry* letter = freshet_inbox_take(inbox, false);
  assert_false(freshet_inbox_put(inbox, &question)); /* those that the worker has are not answered yet */
  size_t taken = 0;
  for (freshet_inbox_entry* next; letter != NULL; letter = next, taken++) {
    next = letter->next;
    freshet_inbox_entry_refuse(letter, FRESHET_ANSWER_INVALID, "no");
  }
  assert_int_equal(taken, 3);
  assert_int_equal(answers, 3);
  assert_null(freshet_inbox_take(inbox, false));
  assert_true(freshet_inbox_put(inbox, &question));
  assert_int_equal(wakes, 2);
  freshet_inbox_destroy(inbox);
  assert_int_equal(answers, 4);
}

/* Whoever would wait too long is told so at once. */
static void nobody_is_let_in_after_one_who_waits_too_long(void** state) {
  (void)state;
  enum { MOST_US = 20000 };
  freshet_inbox* inbox = freshet_inbox_create(8);
  freshet_question question = ask("u");
  freshet_inbox_bound_wait(inbox, MOST_US);
  freshet_inbox_open(inbox, count_wake, NULL);
  assert_true(freshet_inbox_put(inbox, &question));
  usleep(2 * MOST_US);
  assert_false(freshet_inbox_put(inbox, &question));
  freshet_inbox_entry* first = freshet_inbox_take(inbox, true);
  assert_true(first != NULL && first->next == NULL);
  question.reads = true;
  assert_true(freshet_inbox_put(inbox, &question)); /* the worker has taken the first: it waits no more */
  usleep(2 * MOST_US);
  assert_false(freshet_inbox_put(inbox, &question));
  freshet_inbox_entry_refuse(first, FRESHET_ANSWER_INVALID, "no");
  freshet_inbox_destroy(inbox);
  assert_int_equal(answers, 2);
}

static void a_question_is_copied(void** state) {
  (void)state;
  char user[] = "user", context[] = "a text", first[] = "i1", second[] = "item two", kind[] = "shoes";
  freshet_slice items[] = {freshet_slice_of(first), freshet_slice_of(second)};
  freshet_slice kinds[] = {freshet_slice_of(kind)};
  freshet_question question = ask(user);
  question.request.context = freshet_slice_of(context);
  question.request.context_items = items;
  question.request.context_item_count = 2;
  question.request.include_categories = kinds;
  question.request.include_category_count = 1;
  question.request.exclude_items = items + 1;
  question.request.exclude_item_count = 1;
  freshet_inbox_entry* letter = freshet_inbox_entry_create(&question);
  memset(user, 'x', 4);
  memset(context, 'x', 6);
  memset(second, 'x', 8);
  memset(kind, 'x', 5);
  memset(items, 0, sizeof items);
  const freshet_request* copy = &letter->question.request;
  assert_true(freshet_slice_equal(copy->user_id, freshet_slice_of("user")));
  assert_true(freshet_slice_equal(copy->context, freshet_slice_of("a text")));
  assert_true(freshet_slice_equal(copy->context_items[0], freshet_slice_of("i1")));
  assert_true(freshet_slice_equal(copy->context_items[1], freshet_slice_of("item two")));
  assert_true(freshet_slice_equal(copy->include_categories[0], freshet_slice_of("shoes")));
  assert_true(freshet_slice_equal(copy->exclude_items[0], freshet_slice_of("item two")));
  assert_int_equal(copy->exclude_category_count, 0);
  freshet_inbox_entry_free(letter);
}

enum { ASKERS = 4, QUESTIONS = 5000 };

static void* ask_much(void* context) {
  freshet_question question = ask("somebody");
  size_t put = 0;
  for (int i = 0; i < QUESTIONS; i++) put += freshet_inbox_put(context, &question);
  return (void*)put;
}

static void every_question_is_answered_once(void** state) {
  (void)state;
  pthread_t threads[ASKERS];
  size_t put = 0;
  freshet_inbox* inbox = freshet_inbox_create(64);
  freshet_inbox_open(inbox, count_wake, NULL);
  for (int i = 0; i < ASKERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, ask_much, inbox), 0);
  for (int turn = 0; turn < 2000; turn++) {
    freshet_inbox_entry* letter = freshet_inbox_take(inbox, false);
    for (freshet_inbox_entry* next; letter != NULL; letter = next) {
      next = letter->next;
      letter->question.answered(letter->question.context, freshet_answer_create());
      freshet_inbox_entry_free(letter);
    }
  }
  for (int i = 0; i < ASKERS; i++) {
    void* result;
    pthread_join(threads[i], &result);
    put += (size_t)result;
  }
  freshet_inbox_shut(inbox);
  assert_true(put > 0);
  assert_int_equal(answers, put);
  freshet_inbox_destroy(inbox);
}

/* ---- readers ---- */

static size_t calls, largest;

/* Answers what is asked with k = 10, and leaves the rest to the worker. */
static void read_them(void* context, freshet_question* const* questions, size_t count, freshet_answer** out) {
  (void)context;
  calls++;
  if (count > largest) largest = count;
  for (size_t i = 0; i < count; i++) out[i] = questions[i]->request.k == 10 ? freshet_answer_create() : NULL;
}

static void askers_answer_some_at_a_time(void** state) {
  (void)state;
  enum { COUNT = 7 };
  freshet_question questions[COUNT], *asked[COUNT];
  freshet_answer* made[COUNT];
  freshet_inbox* inbox = freshet_inbox_create(64);
  for (int i = 0; i < COUNT; i++) {
    questions[i] = ask("u");
    asked[i] = &questions[i];
  }
  questions[4].request.k = 11;
  calls = largest = 0;
  freshet_inbox_answer(inbox, asked, COUNT, made); /* nothing is shared yet */
  for (int i = 0; i < COUNT; i++) assert_true(made[i] == NULL && questions[i].reads);
  freshet_inbox_share(inbox, read_them, NULL, 3, false); /* but not with askers */
  freshet_inbox_answer(inbox, asked, COUNT, made);
  freshet_inbox_unshare(inbox);
  for (int i = 0; i < COUNT; i++) assert_true(made[i] == NULL && questions[i].reads);
  assert_int_equal(calls, 0);
  freshet_inbox_share(inbox, read_them, NULL, 3, true);
  freshet_inbox_answer(inbox, asked, COUNT, made);
  freshet_inbox_unshare(inbox);
  assert_true(calls == 3 && largest == 3);
  for (int i = 0; i < COUNT; i++) {
    assert_true((made[i] == NULL) == (i == 4) && !questions[i].reads);
    freshet_answer_destroy(made[i]);
  }
  freshet_inbox_destroy(inbox);
}

static void it_says_whether_records_come(void** state) {
  (void)state;
  freshet_inbox* inbox = freshet_inbox_create(4);
  assert_false(freshet_inbox_is_busy(inbox));
  freshet_inbox_set_busy(inbox, true);
  assert_true(freshet_inbox_is_busy(inbox));
  freshet_inbox_set_busy(inbox, false);
  assert_false(freshet_inbox_is_busy(inbox));
  freshet_inbox_destroy(inbox);
}

/* What has come while the worker worked is answered by the inbox's own thread, once the worker waits. */
static void what_waits_is_read_some_at_a_time(void** state) {
  (void)state;
  enum { COUNT = 40 };
  freshet_inbox* inbox = freshet_inbox_create(64);
  freshet_inbox_open(inbox, count_wake, NULL);
  assert_null(freshet_inbox_take(inbox, true)); /* the worker is going to share */
  calls = largest = 0;
  for (int i = 0; i < COUNT; i++) {
    freshet_question question = ask("u");
    question.reads = true;
    question.request.k = i == 20 ? 11 : 10;
    assert_true(freshet_inbox_put(inbox, &question));
  }
  freshet_inbox_share(inbox, read_them, NULL, FRESHET_READ_MAX, false);
  while (answers < COUNT - 1) sched_yield();
  freshet_inbox_unshare(inbox);
  assert_true(calls == (COUNT + FRESHET_READ_MAX - 1) / FRESHET_READ_MAX && largest == FRESHET_READ_MAX);
  freshet_inbox_entry* left = freshet_inbox_take(inbox, true);
  assert_true(left != NULL && left->next == NULL && left->question.request.k == 11);
  freshet_inbox_entry_refuse(left, FRESHET_ANSWER_INVALID, "no");
  assert_int_equal(answers, COUNT);
  freshet_inbox_destroy(inbox);
}

/* From UtilsTest of Apache Kafka. */
static void partitions_are_those_of_java_clients(void** state) {
  (void)state;
  static const struct {
    const char* key;
    int32_t murmur2;
  } known[] = {{"21", -973932308},
               {"foobar", -790332482},
               {"a-little-bit-long-string", -985981536},
               {"a-little-bit-longer-string", -1486304829},
               {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
               {"abc", 479470107}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    for (int32_t partitions = 1; partitions < 100; partitions++) {
      assert_int_equal(freshet_partition_of(freshet_slice_of(known[i].key), partitions),
                       (known[i].murmur2 & 0x7fffffff) % partitions);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_shut_inbox_takes_nothing, reset),
      cmocka_unit_test_setup(it_is_bounded_and_wakes_once, reset),
      cmocka_unit_test_setup(nobody_is_let_in_after_one_who_waits_too_long, reset),
      cmocka_unit_test_setup(a_question_is_copied, reset),
      cmocka_unit_test_setup(every_question_is_answered_once, reset),
      cmocka_unit_test_setup(it_says_whether_records_come, reset),
      cmocka_unit_test_setup(askers_answer_some_at_a_time, reset),
      cmocka_unit_test_setup(what_waits_is_read_some_at_a_time, reset),
      cmocka_unit_test(partitions_are_those_of_java_clients),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
