/* Every bound of a valid event and item, one step inside and one outside. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "freshet/event.h"

enum { NOW_MS = 1700000000 };
static const freshet_event_limits limits = {.rating_min = 1, .rating_max = 5, .future_tolerance_ms = 1000};

static freshet_event sample(freshet_event_type type) {
  return (freshet_event){
      .type = type,
      .event_id = freshet_slice_of("e"),
      .user_id = freshet_slice_of("u"),
      .item_id = freshet_slice_of("i"),
      .occurred_at_ms = NOW_MS,
      .rating = 3,
      .quantity = 1,
  };
}

static void accept(const freshet_event* event) {
  freshet_error error = {0};
  if (freshet_event_validate(event, freshet_slice_of("u"), NOW_MS, &limits, &error) != FRESHET_OK) {
    fail_msg("%s", error.message);
  }
}

static void refuse(const freshet_event* event, const char* field) {
  freshet_error error = {0};
  assert_int_equal(freshet_event_validate(event, freshet_slice_of("u"), NOW_MS, &limits, &error),
                   FRESHET_INVALID);
  assert_int_equal(error.verdict, FRESHET_DEAD_LETTER);
  if (strncmp(error.message, field, strlen(field)) != 0)
    fail_msg("'%s' does not name %s", error.message, field);
}

static void ids_are_checked(void** state) {
  (void)state;
  static char long_id[FRESHET_ID_MAX + 1];
  memset(long_id, 'a', sizeof long_id);
  freshet_event event = sample(FRESHET_CLICK);
  event.event_id = (freshet_slice){long_id, FRESHET_ID_MAX};
  event.item_id = freshet_slice_of("日本 café 🎁 with words that are longer than eight bytes");
  accept(&event);
  static const char* const bad[] = {"",
                                    "a\nb",
                                    "\x7f",
                                    "\xff",
                                    "caf\xc3",
                                    "\xc0\x80",
                                    "\xed\xa0\x80",
                                    "abcdefgh\xe2\x82",
                                    "\xf4\x90\x80\x80",
                                    "\xe0\x80\x80",
                                    "\xf0\x80\x80\x80",
                                    "\x80"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    event = sample(FRESHET_CLICK);
    event.event_id = freshet_slice_of(bad[i]);
    refuse(&event, "event_id");
    event = sample(FRESHET_CLICK);
    event.item_id = freshet_slice_of(bad[i]);
    refuse(&event, "item_id");
  }
  event = sample(FRESHET_CLICK);
  event.event_id = (freshet_slice){long_id, FRESHET_ID_MAX + 1};
  refuse(&event, "event_id");
  event = sample(FRESHET_CLICK);
  event.user_id = freshet_slice_of("v"); /* the key is u */
  refuse(&event, "user_id 'v' is not the record's key 'u'");
}

/* Files refuse them, too. A user "undefined" would be everybody whose page knew no user. */
static void words_for_no_id_are_refused(void** state) {
  (void)state;
  static const char* const bad[] = {"NULL",      "null",     "None",         "nan",           "NaN",
                                    "undefined", "\\N",      "<NA>",         "N/A",           " ",
                                    "   ",       "\xc2\xa0", "\xe2\x80\x8b", " \xe3\x80\x80", "\xef\xbb\xbf"};
  static const char* const good[] = {"Null", "nano", "0", "-", "undefined1", " a", "\xe2\x80\x94", "NA-7"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    freshet_event event = sample(FRESHET_CLICK);
    event.item_id = freshet_slice_of(bad[i]);
    refuse(&event, "item_id");
    event = sample(FRESHET_CLICK);
    event.event_id = freshet_slice_of(bad[i]);
    refuse(&event, "event_id");
    event = sample(FRESHET_CLICK);
    event.user_id = freshet_slice_of(bad[i]);
    refuse(&event, "user_id");
    const freshet_item item = {.item_id = freshet_slice_of(bad[i])};
    assert_int_equal(freshet_item_validate(&item, item.item_id, NULL),
                     FRESHET_OK); /* as it was: rows hold such */
  }
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    freshet_event event = sample(FRESHET_CLICK);
    event.item_id = freshet_slice_of(good[i]);
    accept(&event);
  }
}

static void times_are_checked(void** state) {
  (void)state;
  freshet_event event = sample(FRESHET_CLICK);
  event.occurred_at_ms = NOW_MS + 1000;
  accept(&event);
  event.occurred_at_ms = 1;
  accept(&event);
  static const int64_t bad[] = {0, -1, NOW_MS + 1001, INT64_MAX, INT64_MIN};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    event.occurred_at_ms = bad[i];
    refuse(&event, "occurred_at");
  }
}

static void times_in_another_unit_are_named(void** state) {
  (void)state;
  const int64_t now = INT64_C(1790000000000), day = INT64_C(86400) * 1000;
  const freshet_slice key = freshet_slice_of("u");
  const struct {
    int64_t time;
    const char* unit; /* NULL: it is taken */
  } times[] = {{now / 1000, "seconds?"},      {now / 1000 - 300 * 86400, "seconds?"},
               {now * 1000, "microseconds?"}, {now * 1000000, "nanoseconds?"},
               {now * 10, "too far"},         {INT64_C(631152000000), NULL},
               {INT64_C(631151999999), NULL}, {now / 1000 - INT64_C(800) * 86400, NULL},
               {now - 30 * 365 * day, NULL},  {day, NULL}};
  freshet_event event = sample(FRESHET_CLICK);
  for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
    freshet_error error = {0};
    event.occurred_at_ms = times[i].time;
    freshet_status status = freshet_event_validate(&event, key, now, &limits, &error);
    assert_int_equal(status, times[i].unit == NULL ? FRESHET_OK : FRESHET_INVALID);
    if (times[i].unit != NULL && strstr(error.message, times[i].unit) == NULL) fail_msg("%s", error.message);
  }
}

static void old_times_are_refused_where_the_record_is_new(void** state) {
  (void)state;
  const int64_t now = INT64_C(1790000000000), oldest = INT64_C(631152000000);
  const freshet_event_limits strict = {.rating_min = 1, .rating_max = 5, .refuses_old = true};
  static const int64_t bad[] = {1, 20240131, 20240131235959, 86400000, INT64_C(631151999999)};
  freshet_event event = sample(FRESHET_CLICK);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    freshet_error error = {0};
    event.occurred_at_ms = bad[i];
    assert_int_equal(freshet_event_validate(&event, freshet_slice_of("u"), now, &strict, &error),
                     FRESHET_INVALID);
    if (bad[i] < oldest && strstr(error.message, "is before 1990") == NULL) fail_msg("%s", error.message);
  }
  event.occurred_at_ms = oldest;
  assert_int_equal(freshet_event_validate(&event, freshet_slice_of("u"), now, &strict, NULL), FRESHET_OK);
  event.occurred_at_ms = 86400000; /* replayed history: the record has the time of the event */
  assert_int_equal(freshet_event_validate(&event, freshet_slice_of("u"), 86400000, &strict, NULL),
                   FRESHET_OK);
}

/* A record may carry any time of its own; it proves no time of the event that no clock can have. */
static void a_time_after_2200_is_refused_whatever_the_record_says(void** state) {
  (void)state;
  const freshet_slice key = freshet_slice_of("u");
  const int64_t first_refused = INT64_C(7258118400001);
  freshet_event event = sample(FRESHET_CLICK);
  freshet_error error = {0};
  event.occurred_at_ms = first_refused - 1;
  assert_int_equal(freshet_event_validate(&event, key, INT64_MAX, &limits, &error), FRESHET_OK);
  event.occurred_at_ms = first_refused;
  assert_int_equal(freshet_event_validate(&event, key, INT64_MAX, &limits, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "2200"));
}

static void feedback_is_checked(void** state) {
  (void)state;
  freshet_event event = sample(FRESHET_FEEDBACK);
  event.place = -1;
  event.list_version = -1;
  for (int kind = 0; kind < FRESHET_FEEDBACK_KINDS; kind++) {
    event.feedback = (freshet_feedback_kind)kind;
    accept(&event);
  }
  event.feedback = FRESHET_SKIP;
  event.after_s = 3;
  event.place = 12;
  event.list_version = INT64_MAX; /* a list from the future: the version proves nothing, the opinion counts */
  accept(&event);
  static const float bad[] = {-1, NAN, INFINITY, 1e9F};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    event.after_s = bad[i];
    refuse(&event, "after_s");
  }
  event.after_s = 0;
  event.place = -2;
  refuse(&event, "place");
  event.place = INT32_MAX;
  refuse(&event, "place");
  event.place = 0;
  event.list_version = -2;
  refuse(&event, "list_version");
  event.list_version = 0;
  event.feedback = FRESHET_FEEDBACK_KINDS;
  refuse(&event, "kind");
}

static void ratings_are_checked(void** state) {
  (void)state;
  freshet_event event = sample(FRESHET_RATING);
  event.rating = 1;
  accept(&event);
  event.rating = 5;
  accept(&event);
  static const float bad[] = {0.999f, 5.001f, -1, NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    event.rating = bad[i];
    refuse(&event, "rating");
  }
  event = sample(FRESHET_CLICK);
  event.rating = 99; /* no rating, not looked at */
  accept(&event);
}

static void dwell_quantity_and_price_are_checked(void** state) {
  (void)state;
  freshet_event event = sample(FRESHET_CLICK);
  event.dwell_s = 3600;
  accept(&event);
  static const float bad_dwell[] = {-0.5f, NAN, INFINITY, 1e9f};
  for (size_t i = 0; i < 4; i++) {
    event.dwell_s = bad_dwell[i];
    refuse(&event, "dwell_s");
  }
  static const int32_t bad_quantity[] = {0, -1, 1000001, INT32_MIN};
  for (size_t i = 0; i < 4; i++) {
    event = sample(FRESHET_PURCHASE);
    event.quantity = bad_quantity[i];
    refuse(&event, "quantity");
  }
  static const double bad_price[] = {-0.01, NAN, INFINITY, 1e13};
  for (size_t i = 0; i < 4; i++) {
    event = sample(FRESHET_PURCHASE);
    event.price = bad_price[i];
    refuse(&event, "price");
  }
  event = sample((freshet_event_type)7);
  refuse(&event, "type");
}

static void check_item(const freshet_item* item, const char* field) {
  freshet_error error = {0};
  freshet_status status = freshet_item_validate(item, freshet_slice_of("i"), &error);
  assert_int_equal(status, field == NULL ? FRESHET_OK : FRESHET_INVALID);
  if (field != NULL && strncmp(error.message, field, strlen(field)) != 0) fail_msg("%s", error.message);
}

static void items_are_checked(void** state) {
  (void)state;
  static freshet_slice categories[FRESHET_CATEGORIES_MAX + 1];
  for (size_t i = 0; i <= FRESHET_CATEGORIES_MAX; i++) categories[i] = freshet_slice_of("c");
  float vector[] = {1, 2, NAN};
  freshet_item good = {.item_id = freshet_slice_of("i"),
                       .text = freshet_slice_of("line\nline"),
                       .categories = categories,
                       .category_count = FRESHET_CATEGORIES_MAX,
                       .vector = vector,
                       .vector_dim = 2};
  check_item(&good, NULL);
  freshet_item item = good;
  item.item_id = freshet_slice_of("other");
  check_item(&item, "item_id");
  item = good;
  item.title = freshet_slice_of("\xfe");
  check_item(&item, "title");
  char* large = calloc(1, FRESHET_TEXT_MAX + 1);
  memset(large, 'x', FRESHET_TEXT_MAX + 1);
  item = good;
  item.text = (freshet_slice){large, FRESHET_TEXT_MAX};
  check_item(&item, NULL);
  item.text.size++;
  check_item(&item, "text");
  free(large);
  item = good;
  item.category_count++;
  check_item(&item, "number of categories");
  item = good;
  item.expires_at_ms = 1790000000; /* seconds: nobody would ever see the item */
  check_item(&item, "expires_at 1790000000 is not in milliseconds: seconds?");
  item.expires_at_ms = 20271231;
  check_item(&item, "expires_at 20271231 is before 1990 in milliseconds");
  item.expires_at_ms = -1;
  check_item(&item, "expires_at");
  item = good;
  item.vector_dim = 3;
  check_item(&item, "vector");
}

/* In seconds an item would be too old for every rule, and in microseconds it would be the newest one for ever. */
static void times_of_items_in_another_unit_are_told(void** state) {
  (void)state;
  static const struct {
    int64_t created_at_ms, expires_at_ms;
    const char* why; /* NULL: taken */
  } cases[] = {
      {1790000001, 0, "created_at 1790000001 is not in milliseconds: seconds?"},
      {1790000001000000, 0, "created_at 1790000001000000 is not in milliseconds: microseconds?"},
      {1790000001000000000, 0, "created_at 1790000001000000000 is not in milliseconds: nanoseconds?"},
      {20271231, 0, "created_at 20271231 is before 26 March 1970 in milliseconds"},
      {1998, 0, "created_at 1998 is before 26 March 1970 in milliseconds"},
      {2, 0, "created_at 2 is before 26 March 1970 in milliseconds"},
      {7258118399, 0, "created_at 7258118399 is not in milliseconds: seconds?"},
      {7258118400001, 0, "created_at 7258118400001 is after the year 2200"},
      {20240131123000, 0, "created_at 20240131123000 is after the year 2200"}, /* in milliseconds, 2611 */
      {-1, 0, "created_at"},
      {0, 1790000001000000, "expires_at 1790000001000000 is not in milliseconds: microseconds?"},
      {0, 1790000001000000000, "expires_at 1790000001000000000 is not in milliseconds: nanoseconds?"},
      {FRESHET_BEFORE_1970_MS, 0, NULL},        /* as the converter writes all that is older */
      {7258118400, 0, NULL},                    /* the first time that no seconds of today's clocks reach */
      {486657432123, 0, NULL},                  /* 1985, to the millisecond */
      {7258118400000, 0, NULL},                 /* 2200 */
      {72403200000, 0, NULL},                   /* a film of 17 April 1972 */
      {72403200000 + 5 * 3600000 / 2, 0, NULL}, /* the same day, in a zone with half an hour */
      {820454400000, 0, NULL},                  /* 1996 */
      {820454400001, 253402300799000, NULL},    /* until the year 9999 */
      {1790000001000, INT64_MAX, NULL},         /* for ever */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    freshet_item item = {.item_id = freshet_slice_of("i"),
                         .created_at_ms = cases[i].created_at_ms,
                         .expires_at_ms = cases[i].expires_at_ms};
    check_item(&item, cases[i].why);
  }
}

static void id_keys_are_xxh3_and_never_zero(void** state) {
  (void)state;
  assert_int_equal(freshet_id_key(freshet_slice_of("")), 0x2d06800538d394c2); /* XXH3-64 of nothing, seed 0 */
  assert_int_not_equal(freshet_id_key(freshet_slice_of("a")), freshet_id_key(freshet_slice_of("b")));
  for (uint32_t i = 0; i < 100000; i++) {
    assert_int_not_equal(freshet_id_key((freshet_slice){(const char*)&i, sizeof i}), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ids_are_checked),
      cmocka_unit_test(words_for_no_id_are_refused),
      cmocka_unit_test(times_are_checked),
      cmocka_unit_test(old_times_are_refused_where_the_record_is_new),
      cmocka_unit_test(times_in_another_unit_are_named),
      cmocka_unit_test(a_time_after_2200_is_refused_whatever_the_record_says),
      cmocka_unit_test(ratings_are_checked),
      cmocka_unit_test(feedback_is_checked),
      cmocka_unit_test(dwell_quantity_and_price_are_checked),
      cmocka_unit_test(items_are_checked),
      cmocka_unit_test(times_of_items_in_another_unit_are_told),
      cmocka_unit_test(id_keys_are_xxh3_and_never_zero),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
