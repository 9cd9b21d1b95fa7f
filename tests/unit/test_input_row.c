/* Times, maps, and rows of texts that become events and items or are refused with a reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <time.h>

#include "commands/input/input_row.h"

static const int64_t NOW_MS = 1800000000000;
static freshet_input_options options;

static freshet_input_converter* make_converter(void) {
  return freshet_input_converter_create(&options, NULL);
}

static int64_t time_of(const char* text, freshet_time_unit* unit) {
  int64_t time_ms = -1;
  freshet_error error = {0};
  if (freshet_time_parse(freshet_slice_of(text), unit, &time_ms, &error) != FRESHET_OK) {
    fail_msg("%s", error.message);
  }
  return time_ms;
}

static void no_time(const char* text, freshet_time_unit unit, const char* word) {
  int64_t time_ms;
  freshet_error error = {0};
  assert_int_equal(freshet_time_parse(freshet_slice_of(text), &unit, &time_ms, &error), FRESHET_INVALID);
  assert_int_equal(error.verdict, FRESHET_DEAD_LETTER);
  if (strstr(error.message, word) == NULL) fail_msg("'%s' is not in '%s'", word, error.message);
}

static void the_first_number_tells_the_unit(void** state) {
  (void)state;
  static const struct {
    const char* text;
    freshet_time_unit unit;
    int64_t time_ms;
  } known[] = {
      {"1323435000", FRESHET_TIME_S, 1323435000000},        {"1323435000.25", FRESHET_TIME_S, 1323435000250},
      {"874724710000", FRESHET_TIME_MS, 874724710000},      {"1323435000123", FRESHET_TIME_MS, 1323435000123},
      {"1323435000123456", FRESHET_TIME_US, 1323435000123}, {"99999999999", FRESHET_TIME_S, 99999999999000},
      {"100000000000", FRESHET_TIME_MS, 100000000000},
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    freshet_time_unit unit = FRESHET_TIME_UNKNOWN;
    assert_int_equal(time_of(known[i].text, &unit), known[i].time_ms);
    assert_int_equal(unit, known[i].unit);
  }
  /* once known it holds, also where a number alone would be ambiguous */
  freshet_time_unit unit = FRESHET_TIME_MS;
  assert_int_equal(time_of("1000", &unit), 1000);
  unit = FRESHET_TIME_S;
  assert_int_equal(time_of("0", &unit), 0);
  no_time("86400", FRESHET_TIME_UNKNOWN, "--time-unit");
  no_time("-5", FRESHET_TIME_UNKNOWN, "--time-unit");
  no_time("1e30", FRESHET_TIME_UNKNOWN, "--time-unit");
  no_time("1323435000123", FRESHET_TIME_S, "not in seconds");
  no_time("-1", FRESHET_TIME_S, "not in seconds");
}

static void iso_8601_is_read(void** state) {
  (void)state;
  static const struct {
    const char* text;
    int64_t time_ms;
  } known[] = {
      {"1970-01-01", 0},
      {"2011-12-09T12:50:00Z", 1323435000000},
      {"2011-12-09 12:50", 1323435000000},
      {"2011-12-09T12:50:00.250Z", 1323435000250},
      {"2011-12-09T13:50:00+01:00", 1323435000000},
      {"2011-12-09T13:50:00+0100", 1323435000000},
      {"2011-12-09T05:50:00-07", 1323435000000},
      {"2012-02-29t00:00:00z", 1330473600000},
      {"1969-12-31T23:59:59Z", -1000},
      {"2011-12-09T12:50:00 Z", 1323435000000},
      {"2011/12/09 12:50:00", 1323435000000},
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    freshet_time_unit unit = FRESHET_TIME_UNKNOWN;
    assert_int_equal(time_of(known[i].text, &unit), known[i].time_ms);
    assert_int_equal(unit, FRESHET_TIME_UNKNOWN);
  }
  static const char* const bad[] = {"",
                                    "yesterday",
                                    "2011-13-01",
                                    "2011-02-29",
                                    "2011-12-9x",
                                    "2011-12-09T25:00:00",
                                    "2011-12-09T12:61",
                                    "2011-12-09T12",
                                    "2011/12-09",
                                    "2011-12-09T12:50:00+99:00",
                                    "2011-12-09T12:50:00.Z",
                                    "a very long text that is no time at all, for sure"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    no_time(bad[i], FRESHET_TIME_UNKNOWN, bad[i][0] == '\0' ? "there is none" : "is not a time");
}

static void another_form_is_named(void** state) {
  (void)state;
  static const char* const forms[][2] = {
      {"31/01/2024 10:00", "'%d/%m/%Y %H:%M'"},
      {"01/31/2024", "'%m/%d/%Y'"},
      {"01/02/2024", "'%d/%m/%Y' or '%m/%d/%Y'"},
      {"1/31/2024 1:05:00 PM", "'%m/%d/%Y %I:%M:%S %p'"},
      {"31.01.2024 10:00:05", "'%d.%m.%Y %H:%M:%S'"},
      {"31.01.24", "'%d.%m.%y'"},
      {"Wed, 31 Jan 2024 10:00:00 GMT", "'%a, %d %b %Y %H:%M:%S GMT'"},
      {"31/Jan/2024:10:00:00 +0000", "'%d/%b/%Y:%H:%M:%S %z'"},
      {"Wed Jan 31 10:00:00 +0000 2024", "'%a %b %d %H:%M:%S %z %Y'"},
      {"Wed Jan 31 10:00:00 2024", "'%a %b %d %H:%M:%S %Y'"},
      {"31-JAN-24 10.00.00.000000 AM", "'%d-%b-%y %I.%M.%S.%f %p'"},
  };
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
    no_time(forms[i][0], FRESHET_TIME_UNKNOWN, forms[i][1]);
  no_time("638422992000000000", FRESHET_TIME_UNKNOWN, ".NET"); /* not a moment of 1990 */
  freshet_time_unit unit = FRESHET_TIME_NS;
  assert_int_equal(time_of("638422992000000000", &unit), 638422992000);
}

static void maps_rename_fields(void** state) {
  (void)state;
  freshet_input_map map;
  assert_int_equal(freshet_input_map_parse("user_id=customer_no,value=stars", &map, NULL), FRESHET_OK);
  assert_true(freshet_slice_equal(map.names[FRESHET_FIELD_USER_ID], freshet_slice_of("customer_no")));
  assert_true(freshet_slice_equal(map.names[FRESHET_FIELD_VALUE], freshet_slice_of("stars")));
  assert_true(freshet_slice_equal(map.names[FRESHET_FIELD_ITEM_ID], freshet_slice_of("item_id")));
  assert_int_equal(freshet_input_map_parse(NULL, &map, NULL), FRESHET_OK);
  assert_true(freshet_slice_equal(map.names[FRESHET_FIELD_USER_ID], freshet_slice_of("user_id")));
  static const char* const bad[] = {"user_id", "user=customer", "user_id=", "user_id=a,,item_id=b"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(freshet_input_map_parse(bad[i], &map, NULL), FRESHET_INVALID);
  }
}

/* ---- rows ---- */

typedef freshet_input_record row;

static row event_row(void) {
  row r = {0};
  r.fields[FRESHET_FIELD_USER_ID] = freshet_slice_of("u");
  r.fields[FRESHET_FIELD_ITEM_ID] = freshet_slice_of("i");
  r.fields[FRESHET_FIELD_OCCURRED_AT] = freshet_slice_of("1323435000000");
  return r;
}

static freshet_event event_of(row* r) {
  freshet_input_converter* converter = make_converter();
  freshet_error error = {0};
  if (freshet_input_event_of(converter, r, NOW_MS, &error) != FRESHET_OK) fail_msg("%s", error.message);
  freshet_input_converter_destroy(converter);
  return r->event;
}

static void types_are_read_or_guessed(void** state) {
  (void)state;
  row r = event_row();
  assert_int_equal(event_of(&r).type, FRESHET_CLICK);
  assert_int_equal(event_of(&r).quantity, 1);
  r.fields[FRESHET_FIELD_DWELL_S] = freshet_slice_of("2.5");
  assert_true(event_of(&r).dwell_s == 2.5f);
  r.fields[FRESHET_FIELD_PRICE] = freshet_slice_of("9.99");
  r.fields[FRESHET_FIELD_QUANTITY] = freshet_slice_of("3");
  assert_int_equal(event_of(&r).type, FRESHET_PURCHASE);
  assert_int_equal(event_of(&r).quantity, 3);
  assert_true(event_of(&r).price == 9.99);
  r.fields[FRESHET_FIELD_VALUE] = freshet_slice_of("4.5");
  assert_int_equal(event_of(&r).type, FRESHET_RATING);
  assert_true(event_of(&r).rating == 4.5f);
  static const struct {
    const char* text;
    freshet_event_type type;
  } words[] = {{"click", FRESHET_CLICK},
               {"View", FRESHET_CLICK},
               {"RATING", FRESHET_RATING},
               {"buy", FRESHET_PURCHASE},
               {"purchase", FRESHET_PURCHASE},
               {"hide", FRESHET_FEEDBACK},
               {"Not_Interested", FRESHET_FEEDBACK}};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    r.fields[FRESHET_FIELD_TYPE] = freshet_slice_of(words[i].text);
    assert_int_equal(event_of(&r).type, words[i].type);
  }
  assert_int_equal(event_of(&r).feedback, FRESHET_NOT_INTERESTED);
  assert_int_equal(event_of(&r).place, -1);
  r.fields[FRESHET_FIELD_TYPE] = freshet_slice_of("impression");
  r.fields[FRESHET_FIELD_PLACE] = freshet_slice_of("19");
  r.fields[FRESHET_FIELD_LIST_VERSION] = freshet_slice_of("4000000000");
  assert_int_equal(event_of(&r).feedback, FRESHET_IMPRESSION);
  assert_int_equal(event_of(&r).place, 19);
  assert_int_equal(event_of(&r).list_version, 4000000000);
  r.fields[FRESHET_FIELD_TYPE] = freshet_slice_of("hide"); /* where the user lives */
  r.fields[FRESHET_FIELD_PLACE] = freshet_slice_of("Berlin");
  r.fields[FRESHET_FIELD_LIST_VERSION] = freshet_slice_of("7.5");
  assert_int_equal(event_of(&r).feedback, FRESHET_HIDE);
  assert_int_equal(event_of(&r).place, -1);
  assert_int_equal(event_of(&r).list_version, -1);
}

static void bad_texts_are_refused_with_the_field(void** state) {
  (void)state;
  static const struct {
    freshet_field field;
    const char* text;
    const char* type;
    const char* word;
  } bad[] = {
      {FRESHET_FIELD_TYPE, "clicked", "clicked", "type 'clicked'"},
      {FRESHET_FIELD_TYPE, "feedback", "feedback", "which feedback"},
      {FRESHET_FIELD_VALUE, "four", "rating", "value 'four'"},
      {FRESHET_FIELD_VALUE, "nan", "rating", "a rating without a value"},
      {FRESHET_FIELD_DWELL_S, "1s", "click", "dwell_s"},
      {FRESHET_FIELD_QUANTITY, "0", "purchase", "nothing was bought"},
      {FRESHET_FIELD_PLACE, "first", "impression", "place 'first'"},
      {FRESHET_FIELD_PLACE, "-2", "impression", "place '-2' is no whole number"},
      {FRESHET_FIELD_PLACE, "1.5", "impression", "place '1.5' is no whole number"},
      {FRESHET_FIELD_PLACE, "3e9", "impression", "place '3e9' is no whole number"},
      {FRESHET_FIELD_LIST_VERSION, "1e300", "impression", "list_version '1e300' is no whole number"},
      {FRESHET_FIELD_OCCURRED_AT, "", "click", "occurred_at: there is none"},
      {FRESHET_FIELD_USER_ID, "NULL", "click", "user_id 'NULL' stands for no value"},
      {FRESHET_FIELD_USER_ID, "\\N", "click", "user_id '\\N' stands for no value"},
      {FRESHET_FIELD_ITEM_ID, "nan", "click", "item_id 'nan' stands for no value"},
      {FRESHET_FIELD_ITEM_ID, "5.90123E+12", "click", "a spreadsheet has shortened"},
      {FRESHET_FIELD_USER_ID, "1e+05", "click", "a spreadsheet has shortened"},
      {FRESHET_FIELD_ITEM_ID, "caf\xe9", "click", "--encoding"},
  };
  freshet_input_converter* converter = make_converter();
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    row r = event_row();
    r.fields[FRESHET_FIELD_TYPE] = freshet_slice_of(bad[i].type);
    r.fields[bad[i].field] = freshet_slice_of(bad[i].text);
    freshet_error error = {0};
    assert_int_equal(freshet_input_event_of(converter, &r, NOW_MS, &error), FRESHET_INVALID);
    assert_int_equal(error.verdict, FRESHET_DEAD_LETTER);
    if (strstr(error.message, bad[i].word) == NULL)
      fail_msg("'%s' is not in '%s'", bad[i].word, error.message);
  }
  freshet_input_converter_destroy(converter);
}

/* A table has columns for both kinds of records. */
static void fields_of_the_other_kind_reject_nothing(void** state) {
  (void)state;
  freshet_input_converter* converter = make_converter();
  freshet_error error = {0};
  row r = event_row();
  r.fields[FRESHET_FIELD_TITLE] = freshet_slice_of("caf\xe9");
  assert_int_equal(freshet_input_event_of(converter, &r, NOW_MS, &error), FRESHET_OK);
  r = event_row();
  r.fields[FRESHET_FIELD_USER_ID] = freshet_slice_of("NULL"); /* the author of the item */
  assert_int_equal(freshet_input_item_of(converter, &r, &error), FRESHET_OK);
  freshet_input_converter_destroy(converter);
}

static void quantities_and_prices_reject_no_purchase(void** state) {
  (void)state;
  static const struct {
    const char *quantity, *price;
    int32_t pieces;
    bool lost_quantity, lost_price;
  } known[] = {
      {"3.0", "1", 3, false, false},
      {"0.345", "", 1, false, false},
      {"many", "2", 1, true, false},
      {"2 pcs", "$5", 1, true, true},
      {"1e9", "-1", 1, true, true},
      {"99999999999", "1e400", 1, true, true},
      {"1000000", "0", 1000000, false, false},
      {"nan", "nan", 1, false, false},
      {"inf", "inf", 1, true, true},
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    row r = event_row();
    r.fields[FRESHET_FIELD_TYPE] = freshet_slice_of("purchase");
    r.fields[FRESHET_FIELD_QUANTITY] = freshet_slice_of(known[i].quantity);
    r.fields[FRESHET_FIELD_PRICE] = freshet_slice_of(known[i].price);
    assert_int_equal(event_of(&r).quantity, known[i].pieces);
    assert_int_equal(r.lost_quantity, known[i].lost_quantity);
    assert_int_equal(r.lost_price, known[i].lost_price);
    assert_true(known[i].lost_price == false || r.event.price == 0);
  }
}

/* pandas writes 42.0 for the id 42 when another row has none. */
static void whole_numbers_are_ids_without_a_fraction(void** state) {
  (void)state;
  static const char* const ids[][2] = {{"42.0", "42"},   {"42.50", "42.50"}, {".0", ".0"},
                                       {"v1.0", "v1.0"}, {"1.0.0", "1.0.0"}, {"42.00", "42.00"},
                                       {"1e5", "1e5"}};
  for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
    row r = event_row();
    r.fields[FRESHET_FIELD_USER_ID] = freshet_slice_of(ids[i][0]);
    assert_true(freshet_slice_equal(event_of(&r).user_id, freshet_slice_of(ids[i][1])));
  }
}

static void words_for_no_value_are_none(void** state) {
  (void)state;
  row r = event_row();
  r.fields[FRESHET_FIELD_VALUE] = freshet_slice_of("NaN");
  assert_int_equal(event_of(&r).type, FRESHET_CLICK);
  options.missing = ""; /* --missing '' */
  r = event_row();
  r.fields[FRESHET_FIELD_USER_ID] = freshet_slice_of("null");
  assert_true(freshet_slice_equal(event_of(&r).user_id, freshet_slice_of("null")));
  options.missing = NULL;
}

static freshet_status item_of(freshet_input_converter* converter, row* r, freshet_item* item,
                              freshet_error* error) {
  freshet_status status = freshet_input_item_of(converter, r, error);
  *item = r->item;
  return status;
}

static void items_are_read(void** state) {
  (void)state;
  freshet_input_converter* converter = make_converter();
  row r = {0};
  r.fields[FRESHET_FIELD_ITEM_ID] = freshet_slice_of("i");
  freshet_item item;
  assert_int_equal(item_of(converter, &r, &item, NULL), FRESHET_OK);
  assert_true(item.available);
  assert_int_equal(item.category_count, 0);
  r.fields[FRESHET_FIELD_CATEGORIES] = freshet_slice_of("|home||gift|");
  r.fields[FRESHET_FIELD_AVAILABLE] = freshet_slice_of("No");
  r.fields[FRESHET_FIELD_EXPIRES_AT] = freshet_slice_of("2011-12-09T12:50:00Z");
  assert_int_equal(item_of(converter, &r, &item, NULL), FRESHET_OK);
  assert_false(item.available);
  assert_int_equal(item.expires_at_ms, 1323435000000);
  static const char* const long_ago[] = {"1969-12-31", "1900-01-01T00:00:00Z", "1989-12-31"};
  for (size_t i = 0; i < sizeof long_ago / sizeof long_ago[0]; i++) {
    row old = {0};
    old.fields[FRESHET_FIELD_ITEM_ID] = freshet_slice_of("i");
    old.fields[FRESHET_FIELD_EXPIRES_AT] = freshet_slice_of(long_ago[i]);
    freshet_item expired;
    assert_int_equal(item_of(converter, &old, &expired, NULL), FRESHET_OK);
    assert_int_equal(freshet_item_validate(&expired, freshet_slice_of("i"), NULL), FRESHET_OK);
    assert_true(expired.expires_at_ms > 0);
  }
  assert_int_equal(item.category_count, 2);
  assert_true(freshet_slice_equal(item.categories[0], freshet_slice_of("home")));
  assert_true(freshet_slice_equal(item.categories[1], freshet_slice_of("gift")));
  r.fields[FRESHET_FIELD_CREATED_AT] = freshet_slice_of("2011-12-01");
  r.fields[FRESHET_FIELD_ATTRIBUTES] = freshet_slice_of("brand=Acme|equation=a=b|season=");
  assert_int_equal(item_of(converter, &r, &item, NULL), FRESHET_OK);
  assert_int_equal(item.created_at_ms, 1322697600000);
  assert_int_equal(item.attribute_count, 3);
  assert_true(freshet_slice_equal(item.attributes[0].name, freshet_slice_of("brand")));
  assert_true(freshet_slice_equal(item.attributes[0].value, freshet_slice_of("Acme")));
  assert_true(freshet_slice_equal(item.attributes[1].value, freshet_slice_of("a=b")));
  assert_int_equal(item.attributes[2].value.size, 0);
  static const char* const objects[] = {"{\"brand\": \"Acme\", \"n\": {\"size\": 3}}",
                                        "{'brand': 'Acme', 'n': {'size': 3}, 'x': None}"};
  for (size_t i = 0; i < 2; i++) { /* JSON or Python in a text */
    r.fields[FRESHET_FIELD_ATTRIBUTES] = freshet_slice_of(objects[i]);
    assert_int_equal(item_of(converter, &r, &item, NULL), FRESHET_OK);
    assert_int_equal(item.attribute_count, 2);
    assert_true(freshet_slice_equal(item.attributes[0].value, freshet_slice_of("Acme")));
    assert_true(freshet_slice_equal(item.attributes[1].name, freshet_slice_of("n.size")));
  }
  r.fields[FRESHET_FIELD_AVAILABLE] = freshet_slice_of("InStock");
  assert_int_equal(item_of(converter, &r, &item, NULL), FRESHET_OK);
  assert_true(item.available);
  r.fields[FRESHET_FIELD_AVAILABLE] = freshet_slice_of("out_of_stock");
  assert_int_equal(item_of(converter, &r, &item, NULL), FRESHET_OK);
  assert_false(item.available);
  r.fields[FRESHET_FIELD_ATTRIBUTES] = freshet_slice_of("brand=Acme|season");
  freshet_error error = {0};
  assert_int_equal(item_of(converter, &r, &item, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "'season' is not NAME=VALUE"));
  r.fields[FRESHET_FIELD_ATTRIBUTES] = (freshet_slice){0};
  char many[1000];
  for (size_t i = 0; i + 1 < sizeof many; i += 2) memcpy(many + i, "c|", 2);
  r.fields[FRESHET_FIELD_CATEGORIES] = (freshet_slice){many, sizeof many};
  assert_int_equal(item_of(converter, &r, &item, NULL), FRESHET_OK);
  assert_int_equal(item.category_count, FRESHET_CATEGORIES_MAX + 1); /* for validation to refuse */
  r.fields[FRESHET_FIELD_AVAILABLE] = freshet_slice_of("maybe");
  assert_int_equal(item_of(converter, &r, &item, NULL), FRESHET_INVALID);
  freshet_input_converter_destroy(converter);
}

/* ---- ids ---- */

static void name(freshet_input_converter* converter, const char* user, const char* item, int64_t time_ms,
                 char id[40]) {
  freshet_event event = {.type = FRESHET_CLICK,
                         .user_id = freshet_slice_of(user),
                         .item_id = freshet_slice_of(item),
                         .occurred_at_ms = time_ms};
  freshet_input_name_event(converter, &event);
  snprintf(id, 40, "%.*s", (int)event.event_id.size, event.event_id.data);
}

static void ids_are_the_same_in_every_replay_and_differ_between_events(void** state) {
  (void)state;
  char once[6][40], again[6][40];
  for (int round = 0; round < 2; round++) {
    char(*ids)[40] = round == 0 ? once : again;
    freshet_input_converter* converter = make_converter();
    name(converter, "u", "i", 1, ids[0]);
    name(converter, "u", "i", 1, ids[1]); /* the same again is another event */
    name(converter, "u", "i", 2, ids[2]);
    name(converter, "u", "j", 1, ids[3]);
    name(converter, "ui", "", 1, ids[4]);
    name(converter, "u", "i", 1, ids[5]);
    freshet_input_converter_destroy(converter);
  }
  for (int i = 0; i < 6; i++) {
    assert_string_equal(once[i], again[i]);
    for (int j = 0; j < i; j++) assert_string_not_equal(once[i], once[j]);
  }
}

static void given_ids_are_kept(void** state) {
  (void)state;
  freshet_input_converter* converter = make_converter();
  freshet_event event = {.event_id = freshet_slice_of("mine")};
  freshet_input_name_event(converter, &event);
  assert_true(freshet_slice_equal(event.event_id, freshet_slice_of("mine")));
  freshet_input_converter_destroy(converter);
}

int main(void) {
  freshet_input_options_init(&options);
  setenv("TZ", "America/New_York", 1); /* times must not depend on it */
  tzset();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_first_number_tells_the_unit),
      cmocka_unit_test(iso_8601_is_read),
      cmocka_unit_test(maps_rename_fields),
      cmocka_unit_test(types_are_read_or_guessed),
      cmocka_unit_test(bad_texts_are_refused_with_the_field),
      cmocka_unit_test(fields_of_the_other_kind_reject_nothing),
      cmocka_unit_test(another_form_is_named),
      cmocka_unit_test(quantities_and_prices_reject_no_purchase),
      cmocka_unit_test(whole_numbers_are_ids_without_a_fraction),
      cmocka_unit_test(words_for_no_value_are_none),
      cmocka_unit_test(items_are_read),
      cmocka_unit_test(ids_are_the_same_in_every_replay_and_differ_between_events),
      cmocka_unit_test(given_ids_are_kept),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
