/* The same history in every format gives the same records; broken files say where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka needs the four above first */
#include <avro.h>
#include <cmocka.h>
#include <unistd.h>
#include <zlib.h>

#include "codec/schema_source.h"
#include "commands/input/input_reader.h"
#include "commands/input/input_stages.h"

enum { PATH_SIZE = 128 };

/* For the leak sanitizer: Avro C does not free what it has read of a header that turns out to be wrong. */
const char* __lsan_default_suppressions(void);
const char* __lsan_default_suppressions(void) {
  return "leak:libavro";
}

static char folder[] = "replay-reader-XXXXXX";

static int make_folder(void** state) {
  (void)state;
  return mkdtemp(folder) == NULL;
}

static int remove_folder(void** state) {
  (void)state;
  return rmdir(folder);
}

static const char* path_of(const char* name) {
  static char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void write_file(const char* name, const char* text, size_t size) {
  FILE* file = fopen(path_of(name), "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, size, file), size);
  fclose(file);
}

static void write_gzip(const char* name, const char* text, size_t size) {
  gzFile file = gzopen(path_of(name), "wb");
  assert_int_equal(gzwrite(file, text, (unsigned)size), size);
  gzclose(file);
}

static freshet_input_reader* open_file(const char* name, const char* format, freshet_input_expect expect,
                                       const char* map_text) {
  static freshet_input_options options;
  static char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s", path_of(name));
  freshet_input_options_init(&options);
  options.format = format;
  assert_int_equal(freshet_input_map_parse(map_text, &options.map, NULL), FRESHET_OK);
  freshet_input input = {.path = path, .expect = expect, .options = &options, .is_alone = true};
  freshet_input_reader* reader = NULL;
  freshet_error error = {0};
  if (freshet_input_open_raw(&input, &reader, &error) != FRESHET_OK) fail_msg("%s", error.message);
  return reader;
}

static void refuse_file(const char* name, const char* format, freshet_input_expect expect, const char* word) {
  freshet_input_options options;
  freshet_input_options_init(&options);
  options.format = format;
  freshet_input input = {.path = path_of(name), .expect = expect, .options = &options, .is_alone = true};
  freshet_input_reader* reader = NULL;
  freshet_error error = {0};
  assert_int_not_equal(freshet_input_open_raw(&input, &reader, &error), FRESHET_OK);
  assert_int_equal(error.verdict, FRESHET_STOP);
  if (strstr(error.message, word) == NULL) fail_msg("'%s' is not in '%s'", word, error.message);
}

/* Makes events and items of the texts. */
static freshet_input_reader* judged(freshet_input_reader* reader) {
  static freshet_input_options options;
  freshet_input_options_init(&options);
  freshet_input_wish wish = {.limits = {.rating_min = 1, .rating_max = 5}, .types = ~0u};
  return freshet_input_judge(reader, freshet_input_converter_create(&options, &wish.limits), &wish);
}

static bool next(freshet_input_reader* reader, freshet_input_record* record) {
  bool more = false;
  freshet_error error = {0};
  if (reader->vtable->next(reader, record, &more, &error) != FRESHET_OK) fail_msg("%s", error.message);
  return more;
}

static void check_field(const freshet_input_record* record, freshet_field field, const char* text) {
  freshet_slice got = record->fields[field];
  if (!freshet_slice_equal(got, freshet_slice_of(text))) {
    fail_msg("%s is '%.*s', not '%s'", freshet_field_names[field], (int)got.size, got.data, text);
  }
}

/* Two events and their places, from CSV or JSON. */
static void check_texts(const char* name, const char* map, unsigned long first_line,
                        unsigned long second_line) {
  freshet_input_reader* reader = open_file(name, NULL, FRESHET_INPUT_ANY, map);
  freshet_input_record record = {0};
  assert_true(next(reader, &record));
  assert_true(record.is_event && !record.decoded);
  assert_int_equal(record.line, first_line);
  check_field(&record, FRESHET_FIELD_USER_ID, "Zoë, \"Z\"");
  check_field(&record, FRESHET_FIELD_ITEM_ID, "i1");
  check_field(&record, FRESHET_FIELD_VALUE, "4.5");
  check_field(&record, FRESHET_FIELD_OCCURRED_AT, "1323435000000");
  check_field(&record, FRESHET_FIELD_EVENT_ID, "");
  assert_true(next(reader, &record));
  assert_int_equal(record.line, second_line);
  check_field(&record, FRESHET_FIELD_USER_ID, "v");
  check_field(&record, FRESHET_FIELD_VALUE, "");
  assert_false(next(reader, &record));
  assert_true(reader->vtable->progress(reader) > 0.99);
  reader->vtable->close(reader);
  unlink(path_of(name));
}

static void csv_and_json_give_the_same_rows(void** state) {
  (void)state;
  static const char csv[] =
      "item_id,customer_no,occurred_at,value,other\r\n"
      "i1,\"Zoë, \"\"Z\"\"\",1323435000000,4.5,\"two\r\nlines\"\r\n"
      "i2,v,1323435000001,,\r\n";
  static const char json[] =
      "{\"customer_no\": \"Zo\\u00eb, \\\"Z\\\"\", \"item_id\": \"i1\", \"value\": 4.5, "
      "\"occurred_at\": 1323435000000, \"other\": {\"a\": [1]}}\n\n"
      "{\"customer_no\": \"v\", \"item_id\": \"i2\", \"occurred_at\": 1323435000001, "
      "\"value\": null}";
  write_file("a.csv", csv, sizeof csv - 1);
  check_texts("a.csv", "user_id=customer_no", 2, 4);
  write_gzip("a.csv.gz", csv, sizeof csv - 1);
  check_texts("a.csv.gz", "user_id=customer_no", 2, 4);
  write_file("a.jsonl", json, sizeof json - 1);
  check_texts("a.jsonl", "user_id=customer_no", 1, 3);
  write_gzip("a.jsonl.gz", json, sizeof json - 1);
  check_texts("a.jsonl.gz", "user_id=customer_no", 1, 3);
}

/* Kinesis Firehose writes objects without a line end between them, and others write a comma. */
static void objects_of_one_line_are_read_one_by_one(void** state) {
  (void)state;
  static const char* const texts[] = {
      "{\"user_id\":\"u}\\\"{\",\"item_id\":\"i\"}{\"user_id\":\"v\",\"item_id\":\"j\"}",
      "{\"user_id\":\"u}\\\"{\",\"item_id\":\"i\"},\n{\"user_id\":\"v\",\"item_id\":\"j\"}\n"};
  for (size_t i = 0; i < 2; i++) {
    write_file("o.json", texts[i], strlen(texts[i]));
    freshet_input_reader* reader = open_file("o.json", NULL, FRESHET_INPUT_ANY, NULL);
    freshet_input_record record = {0};
    assert_true(next(reader, &record));
    check_field(&record, FRESHET_FIELD_USER_ID, "u}\"{");
    assert_true(next(reader, &record));
    check_field(&record, FRESHET_FIELD_ITEM_ID, "j");
    assert_false(next(reader, &record));
    reader->vtable->close(reader);
  }
  unlink(path_of("o.json"));
}

static void excel_names_its_separator(void** state) {
  (void)state;
  static const char csv[] = "\xEF\xBB\xBFsep=;\r\nuser_id;item_id;occurred_at\r\nu;i;2024-01-01\r\n   \r\n";
  write_file("s.csv", csv, sizeof csv - 1);
  freshet_input_reader* reader = open_file("s.csv", NULL, FRESHET_INPUT_ANY, NULL);
  freshet_input_record record = {0};
  assert_true(next(reader, &record));
  assert_int_equal(record.line, 3);
  check_field(&record, FRESHET_FIELD_ITEM_ID, "i");
  assert_false(next(reader, &record)); /* a row of blanks is empty */
  reader->vtable->close(reader);
  unlink(path_of("s.csv"));
}

static void json_items_and_odd_values(void** state) {
  (void)state;
  static const char json[] =
      "{\"item_id\": \"i\", \"categories\": [\"a\", \"b\"], \"available\": false, \"title\": 7, "
      "\"attributes\": {\"brand\": \"Acme\", \"size\": 12}, \"created_at\": \"2011-12-01\"}\n"
      "not json\n"
      "[1]\n"
      "{\"item_id\": \"a\0b\"}\n"
      "{\"item_id\": \"j\", \"text\": {\"x\": 1}, \"expires_at\": 1.5}\n"
      "{\"item_id\": \"bad\xff\"}\n";
  write_file("b.jsonl", json, sizeof json - 1);
  freshet_input_reader* reader = open_file("b.jsonl", NULL, FRESHET_INPUT_ANY, NULL);
  freshet_input_record record = {0};
  assert_true(next(reader, &record));
  assert_false(record.is_event);
  check_field(&record, FRESHET_FIELD_CATEGORIES,
              "\x1f"
              "a\x1f"
              "b");
  check_field(&record, FRESHET_FIELD_AVAILABLE, "false");
  check_field(&record, FRESHET_FIELD_ATTRIBUTES,
              "\x1f"
              "brand\x1e"
              "Acme\x1f"
              "size\x1e"
              "12");
  check_field(&record, FRESHET_FIELD_CREATED_AT, "2011-12-01");
  check_field(&record, FRESHET_FIELD_TITLE, "7");
  static const bool readable[] = {false, false, false, false, false}; /* a text must not be an object */
  for (size_t i = 0; i < sizeof readable / sizeof readable[0]; i++) {
    bool more = false;
    freshet_error error = {0};
    freshet_status status = reader->vtable->next(reader, &record, &more, &error);
    assert_true(more);
    assert_int_equal(record.line, 2 + i);
    assert_int_equal(status, readable[i] ? FRESHET_OK : FRESHET_INVALID);
    assert_int_equal(error.verdict, FRESHET_DEAD_LETTER);
    check_field(&record, FRESHET_FIELD_ITEM_ID, i == 3 ? "j" : ""); /* nothing of the line before */
    if (i == 3) assert_non_null(strstr(error.message, "text is an object"));
  }
  assert_false(next(reader, &record));
  reader->vtable->close(reader);
  unlink(path_of("b.jsonl"));
}

/* ---- Avro ---- */

static const char shop_schema[] =
    "{\"type\": \"record\", \"name\": \"Purchase\", \"namespace\": \"shop\", \"fields\": ["
    "{\"name\": \"event_id\", \"type\": \"string\"}, {\"name\": \"customer_no\", \"type\": \"string\"},"
    "{\"name\": \"item_id\", \"type\": \"string\"}, {\"name\": \"shelf\", \"type\": [\"null\", \"string\"]},"
    "{\"name\": \"occurred_at\", \"type\": \"long\"}, {\"name\": \"price\", \"type\": \"float\"}]}";

static void set_text(avro_value_t* record, const char* name, const char* text) {
  avro_value_t field;
  assert_int_equal(avro_value_get_by_name(record, name, &field, NULL), 0);
  assert_int_equal(avro_value_set_string(&field, text), 0);
}

/* `count` purchases, with the codec and so in several blocks. */
static void write_avro(const char* name, const char* codec, int count) {
  avro_schema_t schema;
  avro_file_writer_t writer;
  assert_int_equal(avro_schema_from_json_length(shop_schema, sizeof shop_schema - 1, &schema), 0);
  assert_int_equal(avro_file_writer_create_with_codec(path_of(name), schema, &writer, codec, 4096), 0);
  avro_value_iface_t* interface = avro_generic_class_from_schema(schema);
  avro_value_t record, field;
  avro_generic_value_new(interface, &record);
  for (int i = 0; i < count; i++) {
    char text[32];
    snprintf(text, sizeof text, "e%d", i);
    set_text(&record, "event_id", text);
    set_text(&record, "customer_no", "c");
    set_text(&record, "item_id", "i");
    avro_value_get_by_name(&record, "shelf", &field, NULL);
    avro_value_t branch;
    avro_value_set_branch(&field, i % 2, &branch);
    if (i % 2 == 1) avro_value_set_string(&branch, "top");
    avro_value_get_by_name(&record, "occurred_at", &field, NULL);
    avro_value_set_long(&field, 1323435000000 + i);
    avro_value_get_by_name(&record, "price", &field, NULL);
    avro_value_set_float(&field, 0.5f);
    assert_int_equal(avro_file_writer_append_value(writer, &record), 0);
  }
  avro_file_writer_close(writer);
  avro_value_decref(&record);
  avro_value_iface_decref(interface);
  avro_schema_decref(schema);
}

static void check_avro(const char* name, int count) {
  freshet_input_reader* reader = judged(open_file(name, NULL, FRESHET_INPUT_ANY, "user_id=customer_no"));
  freshet_input_record record = {0};
  for (int i = 0; i < count; i++) {
    assert_true(next(reader, &record));
    assert_true(record.is_event && !record.decoded);
    assert_int_equal(record.line, i + 1);
    char text[32];
    snprintf(text, sizeof text, "e%d", i);
    assert_true(freshet_slice_equal(record.event.event_id, freshet_slice_of(text)));
    assert_true(freshet_slice_equal(record.event.user_id, freshet_slice_of("c")));
    assert_int_equal(record.event.type, FRESHET_PURCHASE);
    assert_int_equal(record.event.occurred_at_ms, 1323435000000 + i);
    assert_int_equal(record.event.quantity, 1);
    assert_true(record.event.price == 0.5);
  }
  assert_false(next(reader, &record));
  reader->vtable->close(reader);
}

static void avro_files_of_each_codec(void** state) {
  (void)state;
  static const char* const codecs[] = {"null", "deflate"};
  for (size_t i = 0; i < 2; i++) {
    unlink(path_of("c.avro"));
    write_avro("c.avro", codecs[i], 1000);
    check_avro("c.avro", 1000);
  }
  /* the whole file once more in gzip */
  static char bytes[1 << 20];
  FILE* file = fopen(path_of("c.avro"), "rb");
  size_t size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  write_gzip("c.avro.gz", bytes, size);
  check_avro("c.avro.gz", 1000);
  /* cut in the middle of a block: the records before it come, then it says so */
  write_file("c.avro", bytes, size - 20);
  freshet_input_reader* reader = open_file("c.avro", NULL, FRESHET_INPUT_EVENTS, "user_id=customer_no");
  freshet_input_record record = {0};
  freshet_error error = {0};
  bool more = true;
  int read = 0;
  while (reader->vtable->next(reader, &record, &more, &error) == FRESHET_OK && more) read++;
  assert_int_equal(error.verdict, FRESHET_STOP);
  assert_in_range(read, 1, 999);
  reader->vtable->close(reader);
  refuse_file("c.avro", NULL, FRESHET_INPUT_EVENTS, "user_id"); /* without the map */
  unlink(path_of("c.avro"));
  unlink(path_of("c.avro.gz"));
}

static void wrong_files_are_refused(void** state) {
  (void)state;
  refuse_file("absent.csv", NULL, FRESHET_INPUT_ANY, "absent.csv");
  write_file("d", "user_id,item_id\nu,i\n", 20);
  refuse_file("d", NULL, FRESHET_INPUT_ANY, "no column 'occurred_at'");
  write_file("d", "item,title\ni,t\n", 15);
  refuse_file("d", NULL, FRESHET_INPUT_ANY, "no column 'item_id', which items need");
  refuse_file("d", NULL, FRESHET_INPUT_EVENTS, "no column 'user_id', which events need");
  refuse_file("d", "avro", FRESHET_INPUT_ANY, "not an Avro container file");
  write_file("d", "Obj\1garbage", 11);
  refuse_file("d", NULL, FRESHET_INPUT_ANY, "not an Avro container file");
  static const char* const others[][2] = {{"version https://git-lfs.github.com/spec/v1\n", "Git LFS"},
                                          {"<!DOCTYPE html><html>", "HTML"},
                                          {"--\n-- PostgreSQL database dump\n", "dump of a database"},
                                          {"INSERT INTO ev VALUES (1);", "dump of a database"}};
  for (size_t i = 0; i < 4; i++) {
    write_file("d", others[i][0], strlen(others[i][0]));
    refuse_file("d", NULL, FRESHET_INPUT_ANY, others[i][1]);
  }
  write_file("d", "", 0);
  refuse_file("d", NULL, FRESHET_INPUT_ANY, "empty");
  unlink(path_of("d"));
}

static void long_json_lines_cross_chunks(void** state) {
  (void)state;
  enum { TEXT = 300000 };
  freshet_buffer json = {0};
  for (int i = 0; i < 3; i++) {
    freshet_buffer_append(&json, "{\"item_id\": \"i\", \"text\": \"", 26);
    memset(freshet_buffer_reserve(&json, TEXT), 'a' + i, TEXT);
    json.size += TEXT;
    freshet_buffer_append(&json, "\"}\n", 3);
  }
  write_file("e.jsonl", (const char*)json.data, json.size);
  freshet_input_reader* reader = open_file("e.jsonl", NULL, FRESHET_INPUT_ITEMS, NULL);
  freshet_input_record record = {0};
  for (int i = 0; i < 3; i++) {
    assert_true(next(reader, &record));
    assert_int_equal(record.fields[FRESHET_FIELD_TEXT].size, TEXT);
    assert_int_equal(record.fields[FRESHET_FIELD_TEXT].data[TEXT - 1], 'a' + i);
  }
  assert_false(next(reader, &record));
  reader->vtable->close(reader);
  freshet_buffer_free(&json);
  unlink(path_of("e.jsonl"));
}

/* Random times against a naive window: of the events that wait, the oldest goes first, equal ones in
 * order. */
static void sorting_equals_a_naive_window(void** state) {
  (void)state;
  enum { ROWS = 2000, WINDOW = 50, BAD_EVERY = 97, ITEM_EVERY = 113 };
  uint64_t seed = 77;
  printf("seed %llu\n", (unsigned long long)seed);
  FILE* file = fopen(path_of("f.jsonl"), "w");
  int64_t times[ROWS];
  for (int i = 0; i < ROWS; i++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    times[i] = 1323435000000 + i + (int64_t)(seed >> 33) % 80;
    if (i % BAD_EVERY == 0) {
      times[i] = -1;
      fprintf(file, "{\"user_id\": \"u\", \"occurred_at\": \"never\", \"title\": \"%d\"}\n", i);
    } else if (i % ITEM_EVERY == 0) {
      times[i] = -1;
      fprintf(file, "{\"item_id\": \"i%d\"}\n", i);
    } else {
      fprintf(file,
              "{\"user_id\": \"u%d\", \"item_id\": \"i\", \"occurred_at\": %lld, \"event_id\": \"e%d\"}\n", i,
              (long long)times[i], i);
    }
  }
  fclose(file);
  freshet_input_reader* reader = open_file("f.jsonl", NULL, FRESHET_INPUT_ANY, NULL);
  reader = freshet_input_sort(judged(reader), WINDOW);
  int waiting[WINDOW], waiting_count = 0, read = 0;
  for (int row = 0; row < ROWS; row++) {
    int expected = -1;
    while (expected < 0 && waiting_count < WINDOW && read < ROWS) {
      if (times[read] < 0) {
        expected = read++; /* passes at once */
      } else {
        waiting[waiting_count++] = read++;
      }
    }
    if (expected < 0) {
      int best = 0;
      for (int i = 1; i < waiting_count; i++) {
        int64_t a = times[waiting[i]], b = times[waiting[best]];
        if (a < b || (a == b && waiting[i] < waiting[best])) best = i;
      }
      expected = waiting[best];
      waiting[best] = waiting[--waiting_count];
    }
    freshet_input_record record = {0};
    freshet_error error = {0};
    bool more = false;
    freshet_status status = reader->vtable->next(reader, &record, &more, &error);
    assert_true(more);
    assert_int_equal(status, expected % BAD_EVERY == 0 ? FRESHET_INVALID : FRESHET_OK);
    assert_int_equal(record.line, expected + 1);
    if (times[expected] < 0) continue;
    char text[32];
    snprintf(text, sizeof text, "u%d", expected);
    assert_true(freshet_slice_equal(record.event.user_id, freshet_slice_of(text)));
    check_field(&record, FRESHET_FIELD_USER_ID, text);
    assert_int_equal(record.event.occurred_at_ms, times[expected]);
  }
  freshet_input_record record = {0};
  assert_false(next(reader, &record));
  reader->vtable->close(reader);
  unlink(path_of("f.jsonl"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(csv_and_json_give_the_same_rows),
      cmocka_unit_test(objects_of_one_line_are_read_one_by_one),
      cmocka_unit_test(excel_names_its_separator),
      cmocka_unit_test(json_items_and_odd_values),
      cmocka_unit_test(avro_files_of_each_codec),
      cmocka_unit_test(wrong_files_are_refused),
      cmocka_unit_test(long_json_lines_cross_chunks),
      cmocka_unit_test(sorting_equals_a_naive_window),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
