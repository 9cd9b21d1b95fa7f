/* Older and newer writers: what they lack keeps our default, what we lack is skipped, and the rest is
 * promoted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/codec.h"
#include "codec/schema_source.h"

/* ---- a writer of Avro data, by hand ---- */

static void put(freshet_buffer* out, const void* bytes, size_t size) {
  freshet_buffer_append(out, bytes, size);
}

static void put_long(freshet_buffer* out, int64_t value) {
  uint64_t raw = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
  for (; raw >= 0x80; raw >>= 7) put(out, &(uint8_t){(uint8_t)(raw | 0x80)}, 1);
  put(out, &(uint8_t){(uint8_t)raw}, 1);
}

static void put_string(freshet_buffer* out, const char* text) {
  put_long(out, (int64_t)strlen(text));
  put(out, text, strlen(text));
}

static void put_float(freshet_buffer* out, float value) {
  put(out, &value, sizeof value);
}

static void put_double(freshet_buffer* out, double value) {
  put(out, &value, sizeof value);
}

/* Single-object head of a schema, which is made known to the codec first. */
static void put_head(freshet_buffer* out, freshet_codec* codec, const char* schema) {
  uint64_t fingerprint;
  freshet_error error = {0};
  if (freshet_codec_add_schema(codec, schema, &fingerprint, &error) != FRESHET_OK)
    fail_msg("%s", error.message);
  out->size = 0;
  put(out, "\xc3\x01", 2);
  for (int i = 0; i < 8; i++) put(out, &(uint8_t){(uint8_t)(fingerprint >> 8 * i)}, 1);
}

typedef struct fixture {
  freshet_codec* codec;
  freshet_buffer bytes;
} fixture;

static int set_up(void** state) {
  fixture* f = calloc(1, sizeof *f);
  freshet_codec_config config = {0};
  freshet_codec_create(&config, &f->codec, NULL);
  *state = f;
  return f->codec == NULL;
}

static int tear_down(void** state) {
  fixture* f = *state;
  freshet_codec_destroy(f->codec);
  freshet_buffer_free(&f->bytes);
  free(f);
  return 0;
}

static freshet_event decode(fixture* f) {
  freshet_event event;
  freshet_error error = {0};
  if (freshet_decode_event(f->codec, freshet_buffer_slice(&f->bytes), &event, &error) != FRESHET_OK) {
    fail_msg("%s", error.message);
  }
  return event;
}

static void check_refused(fixture* f, const char* word) {
  freshet_event event;
  freshet_error error = {0};
  assert_int_equal(freshet_decode_event(f->codec, freshet_buffer_slice(&f->bytes), &event, &error),
                   FRESHET_INVALID);
  assert_int_equal(error.verdict, FRESHET_DEAD_LETTER);
  if (strstr(error.message, word) == NULL) fail_msg("'%s' is not in '%s'", word, error.message);
}

static void assert_slice(freshet_slice slice, const char* text) {
  assert_int_equal(slice.size, strlen(text));
  assert_memory_equal(slice.data, text, slice.size);
}

#define F(name, type) "{\"name\": \"" name "\", \"type\": " type "}"
#define RECORD(name, fields) \
  "{\"type\": \"record\", \"name\": \"" name "\", \"namespace\": \"shop.v2\", \"fields\": [" fields "]}"
#define IDS F("event_id", "\"string\"") "," F("user_id", "\"string\"") "," F("item_id", "\"string\"")

static void put_ids(fixture* f) {
  put_string(&f->bytes, "e");
  put_string(&f->bytes, "u");
  put_string(&f->bytes, "i");
}

/* ---- tests ---- */

static void an_older_writer_gets_our_defaults(void** state) {
  fixture* f = *state;
  put_head(&f->bytes, f->codec, RECORD("Purchase", IDS "," F("occurred_at", "\"long\"")));
  put_ids(f);
  put_long(&f->bytes, 5);
  freshet_event event = decode(f);
  assert_int_equal(event.type, FRESHET_PURCHASE);
  assert_int_equal(event.quantity, 1);
  assert_true(event.price == 0);
  assert_int_equal(event.occurred_at_ms, 5);
  assert_slice(event.item_id, "i");
}

/* Everything that Avro has, in front of, between and after the fields that we know. */
static void a_newer_writers_fields_are_skipped(void** state) {
  fixture* f = *state;
  put_head(
      &f->bytes, f->codec,
      RECORD(
          "Click",
          F("a", "\"null\"") "," F("b", "\"boolean\"") "," F("c", "\"int\"") "," F("d", "\"double\"") "," F(
              "e",
              "\"bytes\"") "," IDS
                           "," F(
                               "f",
                               "{\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\", "
                               "\"B\"]}") "," F("g",
                                                "{\"type\": \"fixed\", \"name\": \"X\", \"size\": "
                                                "3}") "," F("h",
                                                            "{\"type\": \"map\", \"values\": "
                                                            "\"long\"}") "," F("occurred_at",
                                                                               "\"long\"") "," F("k",
                                                                                                 "{\"type\": "
                                                                                                 "\"array\", "
                                                                                                 "\"items\": "
                                                                                                 "{\"type\": "
                                                                                                 "\"record\","
                                                                                                 " \"name\": "
                                                                                                 "\"Inner\", "
                                                                                                 "\"fields\":"
                                                                                                 " [" F(
                                                                                                     "x",
                                                                                                     "\"float"
                                                                                                     "\"") "," F("next",
                                                                                                                 "[\"null\", \"Inner\"]") "]}}") "," F("l",
                                                                                                                                                       "[\"string\", \"E\", \"null\"]")));
  put(&f->bytes, "\1", 1);
  put_long(&f->bytes, -7);
  put_double(&f->bytes, 2.5);
  put_string(&f->bytes, "bytes");
  put_ids(f);
  put_long(&f->bytes, 1);   /* B */
  put(&f->bytes, "xyz", 3); /* fixed */
  put_long(&f->bytes, -2);  /* map: a block that tells its size, and one that does not */
  put_long(&f->bytes, 6);
  put_string(&f->bytes, "k1");
  put(&f->bytes, "\2k\4", 3); /* k = 2 would be one byte short without the size: sizes win */
  put_long(&f->bytes, 1);
  put_string(&f->bytes, "k3");
  put_long(&f->bytes, 3);
  put_long(&f->bytes, 0);
  put_long(&f->bytes, 99); /* occurred_at */
  put_long(&f->bytes, 2);  /* array of two, the first nests once */
  put_float(&f->bytes, 1);
  put_long(&f->bytes, 1);
  put_float(&f->bytes, 2);
  put_long(&f->bytes, 0);
  put_float(&f->bytes, 3);
  put_long(&f->bytes, 0);
  put_long(&f->bytes, 0);
  put_long(&f->bytes, 1); /* union: E */
  put_long(&f->bytes, 0);
  freshet_event event = decode(f);
  assert_int_equal(event.type, FRESHET_CLICK);
  assert_slice(event.user_id, "u");
  assert_int_equal(event.occurred_at_ms, 99);
  assert_true(event.dwell_s == 0);
}

static void numbers_and_strings_are_promoted(void** state) {
  fixture* f = *state;
  put_head(&f->bytes, f->codec,
           RECORD("Purchase",
                  F("price", "\"int\"") "," F("occurred_at", "\"int\"") "," F("event_id", "\"bytes\"") "," F(
                      "user_id", "\"bytes\"") "," F("item_id", "\"string\"")));
  put_long(&f->bytes, 20);
  put_long(&f->bytes, 1234);
  put_ids(f);
  freshet_event event = decode(f);
  assert_true(event.price == 20);
  assert_int_equal(event.occurred_at_ms, 1234);
  assert_slice(event.event_id, "e");

  put_head(&f->bytes, f->codec,
           RECORD("Rating", F("rating", "\"long\"") "," IDS "," F("occurred_at", "\"long\"")));
  put_long(&f->bytes, 4);
  put_ids(f);
  put_long(&f->bytes, 1);
  assert_true(decode(f).rating == 4);

  put_head(&f->bytes, f->codec,
           RECORD("Purchase", F("price", "\"float\"") "," IDS "," F("occurred_at", "\"long\"")));
  put_float(&f->bytes, 0.1f);
  put_ids(f);
  put_long(&f->bytes, 1);
  assert_true(decode(f).price == (double)0.1f);
}

static void unions_are_resolved_by_branch(void** state) {
  fixture* f = *state;
  put_head(&f->bytes, f->codec,
           RECORD("Click", IDS "," F("occurred_at", "[\"string\", \"long\", \"null\"]") "," F(
                               "dwell_s", "[\"null\", \"int\", \"float\"]")));
  size_t head = f->bytes.size;
  put_ids(f);
  put_long(&f->bytes, 1);
  put_long(&f->bytes, 77);
  size_t before_dwell = f->bytes.size;
  put_long(&f->bytes, 2);
  put_float(&f->bytes, 1.5f);
  freshet_event event = decode(f);
  assert_int_equal(event.occurred_at_ms, 77);
  assert_true(event.dwell_s == 1.5f);
  f->bytes.size = before_dwell;
  put_long(&f->bytes, 0); /* null: our default */
  assert_true(decode(f).dwell_s == 0);
  f->bytes.size = before_dwell;
  put_long(&f->bytes, 3);
  check_refused(f, "dwell_s: the union has no such branch");
  f->bytes.size = head;
  put_ids(f);
  put_long(&f->bytes, 0);
  put_string(&f->bytes, "yesterday");
  check_refused(f, "occurred_at: its type cannot be read as ours");
  f->bytes.size = head;
  put_ids(f);
  put_long(&f->bytes, 2);
  check_refused(f, "occurred_at: null where a value is needed");
}

static void aliases_and_nullable_fields_of_items(void** state) {
  fixture* f = *state;
  put_head(
      &f->bytes, f->codec,
      RECORD(
          "Item",
          F("description", "\"string\"") "," F("expires_at", "\"long\"") "," F("item_id", "\"string\"") "," F(
              "categories", "{\"type\": \"array\", \"items\": [\"null\", \"string\"]}")));
  put_string(&f->bytes, "Warm light");
  put_long(&f->bytes, 12);
  put_string(&f->bytes, "i");
  size_t before_categories = f->bytes.size;
  for (int block = 0; block < 3; block++) { /* in blocks of two: the array is put together */
    put_long(&f->bytes, 2);
    for (int i = 0; i < 2; i++) {
      put_long(&f->bytes, 1);
      put_string(&f->bytes, (char[]){(char)('a' + 2 * block + i), '\0'});
    }
  }
  put_long(&f->bytes, 0);
  freshet_item item;
  assert_int_equal(freshet_decode_item(f->codec, freshet_buffer_slice(&f->bytes), &item, NULL), FRESHET_OK);
  assert_slice(item.text, "Warm light");
  assert_int_equal(item.expires_at_ms, 12);
  assert_true(item.available); /* our default */
  assert_int_equal(item.category_count, 6);
  for (int i = 0; i < 6; i++) assert_slice(item.categories[i], (char[]){(char)('a' + i), '\0'});

  f->bytes.size = before_categories;
  put_long(&f->bytes, 1);
  put_long(&f->bytes, 0); /* a null element has no default */
  put_long(&f->bytes, 0);
  freshet_error error = {0};
  freshet_slice bytes = freshet_buffer_slice(&f->bytes);
  assert_int_equal(freshet_decode_item(f->codec, bytes, &item, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "null where a value is needed"));
}

static void a_name_wins_over_an_alias(void** state) {
  fixture* f = *state;
  put_head(&f->bytes, f->codec,
           RECORD("Item",
                  F("description", "\"string\"") "," F("text", "\"string\"") "," F("item_id", "\"string\"")));
  put_string(&f->bytes, "not this");
  put_string(&f->bytes, "this");
  put_string(&f->bytes, "i");
  freshet_item item;
  assert_int_equal(freshet_decode_item(f->codec, freshet_buffer_slice(&f->bytes), &item, NULL), FRESHET_OK);
  assert_slice(item.text, "this");
}

#define LIST_OF(kind_symbols)                                                                              \
  RECORD(                                                                                                  \
      "RecommendationList",                                                                                \
      F("user_id", "\"string\"") "," F("generated_at", "\"long\"") "," F(                                  \
          "items",                                                                                         \
          "{\"type\": \"array\", \"items\": {\"type\": \"record\", \"name\": \"R\", \"fields\": "          \
          "[" F("item_id", "\"string\"") "," F("score", "\"float\"") "," F(                                \
              "reasons",                                                                                   \
              "{\"type\": \"array\", \"items\": {\"type\": \"record\", \"name\": \"S\", "                  \
              "\"fields\": [" F("kind", "{\"type\": \"enum\", \"name\": \"K\", \"symbols\": " kind_symbols \
                                        "}") "," F("score", "\"float\"") "]}}") "]}}"))

static void enum_symbols_go_by_name_and_new_ones_are_other(void** state) {
  fixture* f = *state;
  put_head(&f->bytes, f->codec, LIST_OF("[\"WEATHER\", \"QUALITY\", \"TASTE\"]"));
  put_string(&f->bytes, "u");
  put_long(&f->bytes, 1);
  put_long(&f->bytes, 1);
  put_string(&f->bytes, "i");
  put_float(&f->bytes, 1);
  put_long(&f->bytes, 3);
  size_t before_kinds = f->bytes.size;
  for (int kind = 0; kind < 3; kind++) {
    put_long(&f->bytes, kind);
    put_float(&f->bytes, (float)kind);
  }
  put_long(&f->bytes, 0);
  put_long(&f->bytes, 0);
  freshet_list list;
  assert_int_equal(freshet_decode_list(f->codec, freshet_buffer_slice(&f->bytes), &list, NULL), FRESHET_OK);
  assert_int_equal(list.version_offset, -1);
  assert_int_equal(list.item_count, 1);
  assert_int_equal(list.items[0].reason_count, 3);
  static const freshet_reason_kind kinds[] = {FRESHET_REASON_OTHER, FRESHET_REASON_QUALITY,
                                              FRESHET_REASON_TASTE};
  for (int i = 0; i < 3; i++) {
    assert_int_equal(list.items[0].reasons[i].kind, kinds[i]);
    assert_true(list.items[0].reasons[i].score == (float)i);
    assert_int_equal(list.items[0].reasons[i].item_id.size, 0);
  }
  f->bytes.data[before_kinds] = 6; /* symbol 3 of 3 */
  freshet_error error = {0};
  freshet_slice bytes = freshet_buffer_slice(&f->bytes);
  assert_int_equal(freshet_decode_list(f->codec, bytes, &list, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "Reason.kind: the enum has no such symbol"));
}

static void check_unreadable(fixture* f, const char* schema, const char* word) {
  uint64_t fingerprint;
  freshet_error error = {0};
  assert_int_equal(freshet_codec_add_schema(f->codec, schema, &fingerprint, &error), FRESHET_INVALID);
  assert_int_equal(error.verdict, FRESHET_STOP);
  if (strstr(error.message, word) == NULL) fail_msg("'%s' is not in '%s'", word, error.message);
}

static void schemas_that_cannot_be_read_as_ours_are_refused(void** state) {
  fixture* f = *state;
  check_unreadable(f, RECORD("Rating", IDS "," F("occurred_at", "\"long\"")),
                   "field rating of Rating: it is missing");
  check_unreadable(f, RECORD("Click", IDS "," F("occurred_at", "\"string\"")),
                   "field occurred_at of Click: its type");
  check_unreadable(f, RECORD("Purchase", IDS "," F("occurred_at", "\"long\"") "," F("quantity", "\"long\"")),
                   "field quantity");
  check_unreadable(f, RECORD("Click", IDS "," F("occurred_at", "\"null\"")), "null where");
  check_unreadable(f, RECORD("Click", IDS "," F("occurred_at", "[\"null\", \"string\"]")), "no branch");
  check_unreadable(f,
                   RECORD("Item", F("item_id", "\"string\"") "," F(
                                      "categories", "{\"type\": \"array\", \"items\": \"int\"}")),
                   "elements");
  check_unreadable(f, RECORD("Weather", IDS), "shop.v2.Weather is none");
  check_unreadable(f, "\"string\"", "not of a record");
}

/* Elements of no bytes: a count of billions must not spin, whether read or skipped. */
static void counts_of_empty_elements_are_bounded(void** state) {
  fixture* f = *state;
  put_head(&f->bytes, f->codec,
           RECORD("Click", F("nothing", "{\"type\": \"array\", \"items\": \"null\"}") "," IDS "," F(
                               "occurred_at", "\"long\"")));
  size_t head = f->bytes.size;
  put_long(&f->bytes, 3);
  put_long(&f->bytes, 0);
  put_ids(f);
  put_long(&f->bytes, 1);
  decode(f);
  static const int64_t counts[] = {1000, INT64_MAX, INT32_MAX};
  for (int i = 0; i < 3; i++) {
    f->bytes.size = head;
    put_long(&f->bytes, counts[i]);
    put_long(&f->bytes, 0);
    put_ids(f);
    put_long(&f->bytes, 1);
    check_refused(f, "more elements");
  }
  f->bytes.size = head; /* many blocks of a few are no way around */
  for (int i = 0; i < 100; i++) put_long(&f->bytes, 20);
  check_refused(f, "more elements");
}

static void endless_nesting_is_refused(void** state) {
  fixture* f = *state;
  put_head(&f->bytes, f->codec,
           RECORD("Click", F("chain", "{\"type\": \"record\", \"name\": \"Chain\", \"fields\": [" F(
                                          "next", "[\"null\", \"Chain\"]") "]}") "," IDS "," F("occurred_at",
                                                                                               "\"long\"")));
  for (int i = 0; i < 100000; i++) put_long(&f->bytes, 1);
  check_refused(f, "nest too deeply");
}

static void confluent_ids_resolve_older_schemas_and_remember_bad_ones(void** state) {
  (void)state;
  char folder[] = "schemas-XXXXXX";
  assert_non_null(mkdtemp(folder));
  char older[64], foreign[64], map_text[160];
  snprintf(older, sizeof older, "%s/older.avsc", folder);
  snprintf(foreign, sizeof foreign, "%s/foreign.avsc", folder);
  FILE* file = fopen(older, "w");
  fputs(RECORD("Click", IDS "," F("occurred_at", "\"long\"")), file);
  fclose(file);

  /* the folder is read by create, and its schema works under both framings */
  snprintf(map_text, sizeof map_text, "12=Click,14=%s", older);
  freshet_codec_config config = {.schema_folder = folder};
  assert_int_equal(freshet_schema_map_create(map_text, &config.lookup, NULL), FRESHET_OK);
  freshet_codec* codec = NULL;
  assert_int_equal(freshet_codec_create(&config, &codec, NULL), FRESHET_OK);
  fixture f = {.codec = codec};
  put_head(&f.bytes, codec, RECORD("Click", IDS "," F("occurred_at", "\"long\"")));
  put_ids(&f);
  put_long(&f.bytes, 8);
  assert_int_equal(decode(&f).occurred_at_ms, 8);
  f.bytes.size = 0;
  put(&f.bytes, "\0\0\0\0\x0e", 5);
  put_ids(&f);
  put_long(&f.bytes, 9);
  assert_int_equal(decode(&f).occurred_at_ms, 9);
  freshet_codec_destroy(codec);
  freshet_schema_map_destroy(&config.lookup);

  /* a file that is no schema of ours: refused by the folder; under an id, when it comes */
  file = fopen(foreign, "w");
  fputs(RECORD("Weather", IDS), file);
  fclose(file);
  freshet_error error = {0};
  assert_int_equal(freshet_codec_create(&config, &codec, &error), FRESHET_INVALID);
  assert_null(codec);
  assert_non_null(strstr(error.message, "foreign.avsc"));
  config.schema_folder = NULL;
  snprintf(map_text, sizeof map_text, "15=%s", foreign);
  assert_int_equal(freshet_schema_map_create(map_text, &config.lookup, NULL), FRESHET_OK);
  assert_int_equal(freshet_codec_create(&config, &codec, NULL), FRESHET_OK);
  f.codec = codec;
  f.bytes.data[4] = 15;
  check_refused(&f, "schema id 15: record shop.v2.Weather");
  check_refused(&f, "schema id 15: record shop.v2.Weather");
  freshet_codec_destroy(codec);
  freshet_schema_map_destroy(&config.lookup);
  freshet_buffer_free(&f.bytes);

  config = (freshet_codec_config){.schema_folder = "no-such-folder"};
  freshet_error_clear(&error);
  assert_int_equal(freshet_codec_create(&config, &codec, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "no-such-folder"));
  unlink(older);
  unlink(foreign);
  rmdir(folder);
}

/* What the version before wrote: the bytes of these are on topics and disks. */
static void former_schemas_need_not_be_made_known(void** state) {
  fixture* f = *state;
  freshet_item item;
  put(&f->bytes, "\xc3\x01\x6e\x28\xe9\xb5\xcf\x9a\x4e\x3e", 10);
  put_string(&f->bytes, "i1");
  put_string(&f->bytes, "A lamp");
  put_string(&f->bytes, "");
  put_long(&f->bytes, 0);            /* categories */
  put(&f->bytes, "\x01\x00\x00", 3); /* available; never expires; no vector */
  assert_int_equal(freshet_decode_item(f->codec, freshet_buffer_slice(&f->bytes), &item, NULL), FRESHET_OK);
  assert_slice(item.title, "A lamp");
  assert_true(item.available);
  assert_int_equal(item.created_at_ms, 0);
  assert_int_equal(item.attribute_count, 0);

  /* the version after it, whose vector was never null */
  static const float vector[2] = {0.25f, -1};
  f->bytes.size = 0;
  put(&f->bytes, "\xc3\x01\xc2\x97\x53\x6b\xda\x83\xca\x5b", 10);
  put_string(&f->bytes, "i2");
  put_string(&f->bytes, "A lamp");
  put_string(&f->bytes, "");
  put_long(&f->bytes, 0);        /* categories */
  put(&f->bytes, "\x01\x00", 2); /* available; never expires */
  put_long(&f->bytes, sizeof vector);
  put(&f->bytes, vector, sizeof vector);
  put_long(&f->bytes, 0); /* on offer since: unknown */
  put_long(&f->bytes, 0); /* attributes */
  assert_int_equal(freshet_decode_item(f->codec, freshet_buffer_slice(&f->bytes), &item, NULL), FRESHET_OK);
  assert_int_equal(item.vector_dim, 2);
  assert_memory_equal(item.vector, vector, sizeof vector);

  freshet_user_state user;
  f->bytes.size = 0;
  put(&f->bytes, "\xc3\x01\x26\x54\x96\x7b\xf2\x5f\x02\x88", 10);
  put_string(&f->bytes, "u1");
  for (int i = 0; i < 7; i++) put_long(&f->bytes, i); /* events .. positives */
  put_float(&f->bytes, 0.5f);
  put_long(&f->bytes, 0);                    /* vector */
  put_long(&f->bytes, 0);                    /* recent */
  put_string(&f->bytes, "ABCDEFGHabcdefgh"); /* seen */
  assert_int_equal(freshet_decode_user_state(f->codec, freshet_buffer_slice(&f->bytes), &user, NULL),
                   FRESHET_OK);
  assert_int_equal(user.seen_count, 2);
  assert_int_equal(user.seen_how.size, 0);
  assert_int_equal(user.listed_count, 0);

  /* the version before what was shown was kept */
  f->bytes.size = 0;
  put(&f->bytes, "\xc3\x01\x11\x9b\x0d\x82\x93\x17\x14\x09", 10);
  put_string(&f->bytes, "u1");
  for (int i = 0; i < 7; i++) put_long(&f->bytes, i); /* events .. positives */
  put_float(&f->bytes, 0.5f);
  for (int i = 0; i < 2; i++) put_long(&f->bytes, 0); /* vector, recent */
  put_string(&f->bytes, "ABCDEFGH");                  /* seen */
  put_string(&f->bytes, "\x02");                      /* seen how */
  put_long(&f->bytes, 3);                             /* visits */
  put_string(&f->bytes, "habits");
  put_string(&f->bytes, "abcdefgh"); /* listed */
  assert_int_equal(freshet_decode_user_state(f->codec, freshet_buffer_slice(&f->bytes), &user, NULL),
                   FRESHET_OK);
  assert_int_equal(user.visits, 3);
  assert_int_equal(user.habits.size, 6);
  assert_int_equal(user.shown.size, 0);
  assert_int_equal(user.listed_count, 1);
}

static void maps_are_lists_of_entries(void** state) {
  fixture* f = *state;
  freshet_item item;
  put_head(&f->bytes, f->codec,
           "{\"type\":\"record\",\"name\":\"Item\",\"fields\":["
           "{\"name\":\"attributes\",\"type\":[\"null\",{\"type\":\"map\",\"values\":\"bytes\"}]},"
           "{\"name\":\"item_id\",\"type\":\"string\"}]}");
  size_t head = f->bytes.size;
  put_long(&f->bytes, 1); /* not null */
  put_long(&f->bytes, 1); /* a block of one */
  put_string(&f->bytes, "brand");
  put_string(&f->bytes, "acme");
  put_long(&f->bytes, -2); /* a block of two, with its size */
  put_long(&f->bytes, 10);
  put_string(&f->bytes, "size");
  put_string(&f->bytes, "L");
  put_string(&f->bytes, "");
  put_string(&f->bytes, "x");
  put_long(&f->bytes, 0);
  put_string(&f->bytes, "i1");
  assert_int_equal(freshet_decode_item(f->codec, freshet_buffer_slice(&f->bytes), &item, NULL), FRESHET_OK);
  assert_int_equal(item.attribute_count, 3);
  assert_slice(item.attributes[0].name, "brand");
  assert_slice(item.attributes[1].value, "L");
  assert_slice(item.attributes[2].name, "");
  assert_slice(item.item_id, "i1");

  f->bytes.size = head;
  put_long(&f->bytes, 1);
  put_long(&f->bytes, 1000000); /* entries that are not there */
  put_string(&f->bytes, "i1");
  freshet_error error = {0};
  assert_int_equal(freshet_decode_item(f->codec, freshet_buffer_slice(&f->bytes), &item, &error),
                   FRESHET_INVALID);
  assert_non_null(strstr(error.message, "Item.attributes"));
  check_unreadable(f,
                   "{\"type\":\"record\",\"name\":\"Item\",\"fields\":["
                   "{\"name\":\"attributes\",\"type\":{\"type\":\"map\",\"values\":\"int\"}},"
                   "{\"name\":\"item_id\",\"type\":\"string\"}]}",
                   "values cannot be read");
}

static void a_union_of_records_is_read_by_branch(void** state) {
  fixture* f = *state;
  static const char click[] = RECORD("Click", IDS "," F("occurred_at", "\"long\""));
  freshet_buffer schema = {0};
  const char* const parts[] = {"[\"null\",", click, ",", RECORD("Weather", IDS), "]"};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) put(&schema, parts[i], strlen(parts[i]));
  put(&schema, "", 1);
  uint64_t fingerprint;
  assert_int_equal(freshet_codec_add_schema(f->codec, (const char*)schema.data, &fingerprint, NULL),
                   FRESHET_OK);
  put_head(&f->bytes, f->codec, (const char*)schema.data);
  const size_t head = f->bytes.size;
  put_long(&f->bytes, 1);
  put_ids(f);
  put_long(&f->bytes, 9);
  assert_int_equal(decode(f).occurred_at_ms, 9);
  static const struct {
    int64_t branch;
    const char* says;
  } bad[] = {{0, "branch 0 of the union: the schema is not of a record"},
             {2, "branch 2 of the union: record shop.v2.Weather"},
             {3, "no such branch"},
             {-1, "no such branch"},
             {1 << 20, "no such branch"}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    f->bytes.size = head;
    put_long(&f->bytes, bad[i].branch);
    put_ids(f);
    check_refused(f, bad[i].says);
  }
  f->bytes.size = head; /* nothing follows */
  check_refused(f, "no such branch");
  freshet_error error = {0};
  assert_int_equal(freshet_codec_add_schema(f->codec, "[\"null\",\"long\"]", &fingerprint, &error),
                   FRESHET_INVALID);
  freshet_buffer_free(&schema);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(an_older_writer_gets_our_defaults),
      TEST(a_newer_writers_fields_are_skipped),
      TEST(numbers_and_strings_are_promoted),
      TEST(unions_are_resolved_by_branch),
      TEST(aliases_and_nullable_fields_of_items),
      TEST(a_name_wins_over_an_alias),
      TEST(enum_symbols_go_by_name_and_new_ones_are_other),
      TEST(schemas_that_cannot_be_read_as_ours_are_refused),
      TEST(counts_of_empty_elements_are_bounded),
      TEST(endless_nesting_is_refused),
      TEST(former_schemas_need_not_be_made_known),
      TEST(maps_are_lists_of_entries),
      TEST(a_union_of_records_is_read_by_branch),
      cmocka_unit_test(confluent_ids_resolve_older_schemas_and_remember_bad_ones),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
