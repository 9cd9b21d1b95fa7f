/*
 * test_awaited_schemas.c: what the codec says about a schema that is being asked for, and the list of items that wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "catalogue/late_items.h"
#include "codec/codec.h"
#include "codec/schema_source.h"

static const char* known;
static bool pending;
static uint64_t answers;

static const char* by_id(void* context, int32_t id) {
  (void)context, (void)id;
  return known;
}
static bool is_pending(void* context, int32_t id) {
  (void)context, (void)id;
  return pending;
}
static uint64_t version(void* context) {
  (void)context;
  return answers;
}

static void a_value_waits_for_its_schema(void** state) {
  (void)state;
  freshet_codec* codec = NULL;
  const freshet_codec_config config = {
      .lookup = {.by_id = by_id, .is_pending = is_pending, .version = version}};
  assert_int_equal(freshet_codec_create(&config, &codec, NULL), FRESHET_OK);
  freshet_event event = {.type = FRESHET_CLICK,
                         .event_id = freshet_slice_of("e"),
                         .user_id = freshet_slice_of("u"),
                         .item_id = freshet_slice_of("i"),
                         .occurred_at_ms = 1};
  freshet_buffer bytes = {0}, framed = {0};
  freshet_error error = {0};
  assert_int_equal(freshet_encode_event(codec, &event, &bytes, NULL), FRESHET_OK);
  freshet_buffer_append(&framed, "\0\0\0\0\7", 5);
  freshet_buffer_append(&framed, bytes.data + 10, bytes.size - 10); /* without its own head */
  freshet_slice value = freshet_buffer_slice(&framed);
  pending = true;
  assert_int_equal(freshet_decode_event(codec, value, &event, &error), FRESHET_UNAVAILABLE);
  assert_int_equal(error.verdict, FRESHET_RETRY);
  assert_non_null(strstr(error.message, "schema id 7"));
  assert_int_equal(freshet_decode_event(codec, value, &event, NULL), FRESHET_UNAVAILABLE);
  assert_int_equal(freshet_decode_event(codec, freshet_buffer_slice(&bytes), &event, NULL), FRESHET_OK);
  pending = false;
  freshet_error_clear(&error);
  assert_int_equal(freshet_decode_event(codec, value, &event, &error), FRESHET_INVALID);
  assert_int_equal(error.verdict, FRESHET_DEAD_LETTER);
  answers = 3;
  assert_int_equal(freshet_codec_version(codec), 3);
  known = freshet_schema_source_of("Click");
  assert_int_equal(freshet_decode_event(codec, value, &event, NULL), FRESHET_OK);
  assert_int_equal(event.user_id.size, 1);
  freshet_buffer_free(&bytes);
  freshet_buffer_free(&framed);
  freshet_codec_destroy(codec);
}

static freshet_record record_of(const char* key, int32_t partition, int64_t offset) {
  return (freshet_record){.topic = FRESHET_TOPIC_ITEMS,
                          .partition = partition,
                          .offset = offset,
                          .has_key = true,
                          .key = freshet_slice_of(key),
                          .has_value = true,
                          .value = freshet_slice_of("value")};
}

static freshet_late_items* again;
static char order[16];

static freshet_status apply(void* context, const freshet_record* record, freshet_error* error) {
  (void)context, (void)error;
  strncat(order, record->key.data, record->key.size);
  if (record->key.data[0] == 'b') freshet_late_items_keep(again, record);
  return FRESHET_OK;
}

static void items_wait_until_they_can_be_read(void** state) {
  (void)state;
  freshet_late_items late = {0};
  again = &late;
  freshet_late_items_keep(&late, &(freshet_record){.partition = 9, .offset = 1, .key = {"x", 1}});
  freshet_record a = record_of("a", 1, 10), b = record_of("b", 1, 12), c = record_of("c", 2, 3);
  freshet_late_items_keep(&late, &a);
  freshet_late_items_keep(&late, &b);
  freshet_late_items_keep(&late, &c);
  assert_int_equal(freshet_late_items_bound(&late, 1, 20), 10);
  assert_int_equal(freshet_late_items_bound(&late, 2, 20), 3);
  assert_int_equal(freshet_late_items_bound(&late, 3, 20), 20);
  freshet_late_items_supersede(&late, freshet_slice_of("a")); /* a newer record of the same item has come */
  freshet_late_items_supersede(&late, freshet_slice_of("none"));
  assert_int_equal(freshet_late_items_bound(&late, 1, 20), 12);
  assert_int_equal(freshet_late_items_retry(&late, apply, NULL, NULL), FRESHET_OK);
  assert_string_equal(order, "xbc");
  assert_int_equal(late.count, 1); /* still cannot be read */
  assert_int_equal(freshet_late_items_bound(&late, 1, 20), 12);
  freshet_late_items_free(&late);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_value_waits_for_its_schema),
      cmocka_unit_test(items_wait_until_they_can_be_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
