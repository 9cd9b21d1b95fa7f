/* Round trips through our own schemas, both framings, and bytes that must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "codec/codec.h"

static freshet_codec* new_codec(freshet_framing output, const freshet_schema_lookup* lookup) {
  freshet_codec_config config = {.output = output};
  if (lookup != NULL) config.lookup = *lookup;
  freshet_codec* codec = NULL;
  freshet_error error = {0};
  if (freshet_codec_create(&config, &codec, &error) != FRESHET_OK) fail_msg("%s", error.message);
  return codec;
}

static void assert_slice(freshet_slice slice, const char* text) {
  assert_int_equal(slice.size, strlen(text));
  if (slice.size > 0) assert_memory_equal(slice.data, text, slice.size);
}

static freshet_event sample_event(freshet_event_type type) {
  freshet_event event = {
      .type = type,
      .event_id = freshet_slice_of("e-1"),
      .user_id = freshet_slice_of("Zoë"),
      .item_id = freshet_slice_of("i7"),
      .occurred_at_ms = 1700000000123,
      .quantity = 1,
  };
  if (type == FRESHET_CLICK) event.dwell_s = 12.5f;
  if (type == FRESHET_RATING) event.rating = 4.5f;
  if (type == FRESHET_PURCHASE) {
    event.quantity = 3;
    event.price = 19.99;
  }
  if (type == FRESHET_FEEDBACK) {
    event.feedback = FRESHET_SKIP;
    event.after_s = 2.5F;
    event.place = 7;
    event.list_version = 123456789012;
  }
  return event;
}

static void check_event(const freshet_event* got, const freshet_event* want) {
  assert_int_equal(got->type, want->type);
  assert_true(freshet_slice_equal(got->event_id, want->event_id));
  assert_true(freshet_slice_equal(got->user_id, want->user_id));
  assert_true(freshet_slice_equal(got->item_id, want->item_id));
  assert_int_equal(got->occurred_at_ms, want->occurred_at_ms);
  if (want->type == FRESHET_CLICK) assert_true(got->dwell_s == want->dwell_s);
  if (want->type == FRESHET_RATING) assert_true(got->rating == want->rating);
  if (want->type == FRESHET_PURCHASE) {
    assert_int_equal(got->quantity, want->quantity);
    assert_true(got->price == want->price);
  }
  if (want->type == FRESHET_FEEDBACK) {
    assert_int_equal(got->feedback, want->feedback);
    assert_true(got->after_s == want->after_s);
    assert_int_equal(got->place, want->place);
    assert_int_equal(got->list_version, want->list_version);
  }
}

static void events_round_trip_in(freshet_codec* codec) {
  for (int type = 0; type < FRESHET_EVENT_TYPES; type++) {
    freshet_event event = sample_event((freshet_event_type)type), got;
    freshet_buffer bytes = {0};
    assert_int_equal(freshet_encode_event(codec, &event, &bytes, NULL), FRESHET_OK);
    assert_int_equal(freshet_decode_event(codec, freshet_buffer_slice(&bytes), &got, NULL), FRESHET_OK);
    memset(bytes.data, 0xaa, bytes.size); /* the struct must not point into the message */
    check_event(&got, &event);
    freshet_buffer_free(&bytes);
  }
}

static void events_round_trip(void** state) {
  (void)state;
  freshet_codec* codec = new_codec(FRESHET_FRAMING_SINGLE_OBJECT, NULL);
  events_round_trip_in(codec);
  freshet_codec_destroy(codec);
}

static void confluent_framing_uses_the_id_map(void** state) {
  (void)state;
  freshet_schema_lookup lookup;
  assert_int_equal(freshet_schema_map_create("12=Click,13=Rating, 70000=Purchase,14=Feedback", &lookup, NULL),
                   FRESHET_OK);
  freshet_codec* codec = new_codec(FRESHET_FRAMING_CONFLUENT, &lookup);
  events_round_trip_in(codec);
  freshet_event event = sample_event(FRESHET_PURCHASE);
  freshet_buffer bytes = {0};
  assert_int_equal(freshet_encode_event(codec, &event, &bytes, NULL), FRESHET_OK);
  assert_memory_equal(bytes.data, "\x00\x00\x01\x11\x70", 5);
  /* a list has no id in this map */
  freshet_list list = {.user_id = event.user_id};
  freshet_error error = {0};
  size_t size = bytes.size;
  assert_int_equal(freshet_encode_list(codec, &list, &bytes, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "RecommendationList"));
  assert_int_equal(bytes.size, size);
  freshet_buffer_free(&bytes);
  freshet_codec_destroy(codec);
  freshet_schema_map_destroy(&lookup);
}

static void bad_id_maps_are_refused(void** state) {
  (void)state;
  static const char* const bad[] = {"Click", "x=Click", "-1=Click", "5000000000=Click", "1=Clack", "=Click"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    freshet_schema_lookup lookup;
    freshet_error error = {0};
    assert_int_equal(freshet_schema_map_create(bad[i], &lookup, &error), FRESHET_INVALID);
    assert_int_not_equal(error.message[0], '\0');
  }
}

static void items_round_trip(void** state) {
  (void)state;
  freshet_codec* codec = new_codec(FRESHET_FRAMING_SINGLE_OBJECT, NULL);
  freshet_slice categories[] = {freshet_slice_of("home"), freshet_slice_of(""), freshet_slice_of("gift")};
  freshet_attribute attributes[] = {{freshet_slice_of("brand"), freshet_slice_of("acme")},
                                    {freshet_slice_of("season"), freshet_slice_of("")}};
  float vector[] = {1.5f, -2.25f, 1e-30f};
  freshet_item item = {
      .item_id = freshet_slice_of("i1"),
      .title = freshet_slice_of("A lamp"),
      .text = freshet_slice_of("Warm light"),
      .categories = categories,
      .category_count = 3,
      .available = true,
      .expires_at_ms = 1800000000000,
      .vector = vector,
      .vector_dim = 3,
      .created_at_ms = 1700000000000,
      .attributes = attributes,
      .attribute_count = 2,
  };
  freshet_buffer bytes = {0};
  freshet_item got;
  freshet_item plain = item;
  plain.vector = NULL;
  plain.vector_dim = 0;
  assert_int_equal(freshet_encode_item(codec, &plain, &bytes, NULL), FRESHET_OK);
  assert_int_equal(freshet_decode_item(codec, freshet_buffer_slice(&bytes), &got, NULL), FRESHET_OK);
  assert_null(got.vector); /* null in Avro */
  assert_int_equal(got.vector_dim, 0);
  assert_int_equal(got.created_at_ms, 1700000000000);
  bytes.size = 0;
  assert_int_equal(freshet_encode_item(codec, &item, &bytes, NULL), FRESHET_OK);
  assert_int_equal(freshet_decode_item(codec, freshet_buffer_slice(&bytes), &got, NULL), FRESHET_OK);
  assert_slice(got.item_id, "i1");
  assert_slice(got.title, "A lamp");
  assert_slice(got.text, "Warm light");
  assert_int_equal(got.category_count, 3);
  assert_slice(got.categories[0], "home");
  assert_slice(got.categories[1], "");
  assert_slice(got.categories[2], "gift");
  assert_true(got.available);
  assert_int_equal(got.expires_at_ms, 1800000000000);
  assert_int_equal(got.vector_dim, 3);
  assert_memory_equal(got.vector, vector, sizeof vector);
  assert_int_equal(got.created_at_ms, 1700000000000);
  assert_int_equal(got.attribute_count, 2);
  assert_slice(got.attributes[0].name, "brand");
  assert_slice(got.attributes[0].value, "acme");
  assert_slice(got.attributes[1].name, "season");
  assert_slice(got.attributes[1].value, "");

  freshet_item bare = {.item_id = freshet_slice_of("i2")};
  bytes.size = 0;
  assert_int_equal(freshet_encode_item(codec, &bare, &bytes, NULL), FRESHET_OK);
  assert_int_equal(freshet_decode_item(codec, freshet_buffer_slice(&bytes), &got, NULL), FRESHET_OK);
  assert_slice(got.title, "");
  assert_int_equal(got.category_count, 0);
  assert_false(got.available);
  assert_int_equal(got.expires_at_ms, 0);
  assert_null(got.vector);
  freshet_buffer_free(&bytes);
  freshet_codec_destroy(codec);
}

static void lists_round_trip(void** state) {
  (void)state;
  freshet_codec* codec = new_codec(FRESHET_FRAMING_SINGLE_OBJECT, NULL);
  freshet_reason reasons[] = {{FRESHET_REASON_TASTE, {0}, 0.5f, 0},
                              {FRESHET_REASON_FOLLOWS, freshet_slice_of("i9"), 0.25f, 0},
                              {FRESHET_REASON_AGAIN, {0}, -0.125f, 777600}};
  freshet_recommendation items[] = {{freshet_slice_of("a"), 0.625f, reasons, 3, 0.25f},
                                    {freshet_slice_of("b"), 0.5f, NULL, 0, 1},
                                    {freshet_slice_of("c"), 0.25f, reasons + 1, 1, 1}};
  freshet_list list = {
      .user_id = freshet_slice_of("u1"),
      .version_partition = 3,
      .version_offset = 1234567890123,
      .event_occurred_at_ms = 1700000000000,
      .generated_at_ms = 1700000000005,
      .items = items,
      .item_count = 3,
  };
  freshet_buffer bytes = {0};
  freshet_list got;
  for (int with_request = 0; with_request < 2; with_request++) {
    list.request_id = with_request ? freshet_slice_of("r-1") : (freshet_slice){0};
    bytes.size = 0;
    assert_int_equal(freshet_encode_list(codec, &list, &bytes, NULL), FRESHET_OK);
    assert_int_equal(freshet_decode_list(codec, freshet_buffer_slice(&bytes), &got, NULL), FRESHET_OK);
    assert_slice(got.user_id, "u1");
    assert_slice(got.request_id, with_request ? "r-1" : "");
    assert_int_equal(got.version_partition, 3);
    assert_int_equal(got.version_offset, 1234567890123);
    assert_int_equal(got.event_occurred_at_ms, 1700000000000);
    assert_int_equal(got.generated_at_ms, 1700000000005);
    assert_int_equal(got.item_count, 3);
    for (int i = 0; i < 3; i++) {
      assert_true(freshet_slice_equal(got.items[i].item_id, items[i].item_id));
      assert_true(got.items[i].propensity == items[i].propensity);
      assert_true(got.items[i].score == items[i].score);
      assert_int_equal(got.items[i].reason_count, items[i].reason_count);
    }
    for (int i = 0; i < 3; i++) {
      assert_int_equal(got.items[0].reasons[i].kind, reasons[i].kind);
      assert_true(freshet_slice_equal(got.items[0].reasons[i].item_id, reasons[i].item_id));
      assert_true(got.items[0].reasons[i].score == reasons[i].score);
      assert_int_equal(got.items[0].reasons[i].every_s, reasons[i].every_s);
    }
    assert_slice(got.items[2].reasons[0].item_id, "i9");
  }
  reasons[0].kind = (freshet_reason_kind)99;
  bytes.size = 0;
  freshet_error error = {0};
  assert_int_equal(freshet_encode_list(codec, &list, &bytes, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "kind"));
  assert_int_equal(bytes.size, 0);
  freshet_buffer_free(&bytes);
  freshet_codec_destroy(codec);
}

static void state_round_trips_bit_for_bit(void** state) {
  (void)state;
  freshet_codec* codec = new_codec(FRESHET_FRAMING_CONFLUENT, NULL); /* state is single-object all the same */
  float vector[64];
  for (int i = 0; i < 64; i++) vector[i] = (float)i / 3.0f - 7.0f;
  freshet_stored_interaction recent[] = {{UINT64_MAX, 1.5f, 1700000000000, 0x3ffff}, {1, 0.25f, -5, 0}};
  uint64_t seen[] = {0x8000000000000000u, 7, UINT64_MAX - 1};
  freshet_user_state user = {
      .user_id = freshet_slice_of("u1"),
      .events = INT64_MAX,
      .event_checksum = 0xfedcba9876543210u,
      .newest_offset = INT64_MIN,
      .newest_occurred_at_ms = 4,
      .listed_offset = -1,
      .refresh_since_ms = 9,
      .positives = UINT32_MAX,
      .accumulator = 0.1f,
      .vector = vector,
      .dim = 64,
      .recent = recent,
      .recent_count = 2,
      .seen = seen,
      .seen_count = 3,
      .visits = UINT32_MAX,
      .habits = {"\0habits", 7},
      .shown = {"\0shown", 6},
  };
  freshet_buffer bytes = {0};
  freshet_user_state got;
  assert_int_equal(freshet_encode_user_state(codec, &user, &bytes, NULL), FRESHET_OK);
  assert_int_equal(freshet_decode_user_state(codec, freshet_buffer_slice(&bytes), &got, NULL), FRESHET_OK);
  assert_slice(got.user_id, "u1");
  assert_true(got.events == user.events && got.event_checksum == user.event_checksum);
  assert_true(got.newest_offset == user.newest_offset && got.listed_offset == -1);
  assert_true(got.newest_occurred_at_ms == 4 && got.refresh_since_ms == 9 && got.positives == UINT32_MAX);
  assert_true(got.accumulator == 0.1f);
  assert_int_equal(got.dim, 64);
  assert_memory_equal(got.vector, vector, sizeof vector);
  assert_int_equal(got.recent_count, 2);
  for (int i = 0; i < 2; i++) {
    assert_true(got.recent[i].item_key == recent[i].item_key && got.recent[i].weight == recent[i].weight);
    assert_true(got.recent[i].time_ms == recent[i].time_ms);
    assert_int_equal(got.recent[i].signal, recent[i].signal);
  }
  assert_int_equal(got.seen_count, 3);
  assert_memory_equal(got.seen, seen, sizeof seen);
  assert_int_equal(got.visits, UINT32_MAX);
  assert_true(freshet_slice_equal(got.habits, user.habits));
  assert_true(freshet_slice_equal(got.shown, user.shown));

  user.vector = NULL; /* all zero, of the same dimension */
  bytes.size = 0;
  assert_int_equal(freshet_encode_user_state(codec, &user, &bytes, NULL), FRESHET_OK);
  assert_int_equal(freshet_decode_user_state(codec, freshet_buffer_slice(&bytes), &got, NULL), FRESHET_OK);
  assert_true(got.vector == NULL && got.seen_count == 3);

  freshet_item_state item = {.item_id = freshet_slice_of("i"),
                             .folded_to = 77,
                             .learned = {"\0\1\2", 3},
                             .text_hash = UINT64_MAX,
                             .encoder = freshet_slice_of("hashing-384"),
                             .embedding = vector,
                             .embedding_dim = 5,
                             .start = vector + 5,
                             .start_dim = 3};
  freshet_item_state got_item;
  bytes.size = 0;
  assert_int_equal(freshet_encode_item_state(codec, &item, &bytes, NULL), FRESHET_OK);
  assert_int_equal(freshet_decode_item_state(codec, freshet_buffer_slice(&bytes), &got_item, NULL),
                   FRESHET_OK);
  assert_int_equal(got_item.folded_to, 77);
  assert_true(freshet_slice_equal(got_item.learned, item.learned) && got_item.text_hash == UINT64_MAX);
  assert_slice(got_item.encoder, "hashing-384");
  assert_int_equal(got_item.embedding_dim, 5);
  assert_memory_equal(got_item.embedding, vector, 5 * sizeof(float));
  assert_int_equal(got_item.start_dim, 3);
  assert_memory_equal(got_item.start, vector + 5, 3 * sizeof(float));

  freshet_text_generation_fact generation = {freshet_slice_of("hashing-384"), 384, 7}, got_generation;
  bytes.size = 0;
  assert_int_equal(freshet_encode_text_generation_fact(codec, &generation, &bytes, NULL), FRESHET_OK);
  assert_int_equal(
      freshet_decode_text_generation_fact(codec, freshet_buffer_slice(&bytes), &got_generation, NULL),
      FRESHET_OK);
  assert_slice(got_generation.encoder, "hashing-384");
  assert_true(got_generation.dim == 384 && got_generation.switches == 7);

  freshet_app_generation_fact fact =
                                  {freshet_slice_of("shop"), 3, freshet_slice_of("shop.g2"), 1, 99, 88, 1234},
                              got_fact;
  bytes.size = 0;
  assert_int_equal(freshet_encode_app_generation_fact(codec, &fact, &bytes, NULL), FRESHET_OK);
  assert_int_equal(freshet_decode_app_generation_fact(codec, freshet_buffer_slice(&bytes), &got_fact, NULL),
                   FRESHET_OK);
  assert_slice(got_fact.generation, "shop");
  assert_slice(got_fact.previous, "shop.g2");
  assert_true(got_fact.number == 3 && got_fact.partition == 1 && got_fact.offset == 99 &&
              got_fact.learned == 88 && got_fact.at_ms == 1234);

  freshet_model_delta delta = {3, {"12345678", 8}, {"vv", 2}, {"ttt", 3}, {"g", 1}}, got_delta;
  freshet_slice worker;
  bytes.size = 0;
  assert_int_equal(freshet_encode_item_delta(codec, freshet_slice_of("app-0"), &delta, &bytes, NULL),
                   FRESHET_OK);
  assert_int_equal(freshet_decode_item_delta(codec, freshet_buffer_slice(&bytes), &worker, &got_delta, NULL),
                   FRESHET_OK);
  assert_slice(worker, "app-0");
  assert_int_equal(got_delta.events, 3);
  assert_slice(got_delta.items, "12345678");
  assert_slice(got_delta.values, "vv");
  assert_slice(got_delta.trace, "ttt");
  assert_slice(got_delta.globals, "g");
  /* the structs of other kinds are still whole */
  assert_memory_equal(got.seen, seen, sizeof seen);
  freshet_buffer_free(&bytes);
  freshet_codec_destroy(codec);
}

/* Made with Python's fastavro 1.13: we must read these bytes, and write the same. */
static void bytes_of_another_implementation(void** state) {
  (void)state;
  static const char item_bytes[] =
      "\xc3\x01\x91\x3f\x73\x8b\xdc\xd7\x1d\xbc\x04\x69\x31\x0a\x4c\xc3\xa4\x6d\x70\x08\x57\x61\x72\x6d"
      "\x04\x02\x61\x02\x62\x00\x00\x02\x80\xc0\xe2\x85\xe3\x68\x02\x10\x00\x00\xc0\x3f\x00\x00\x10\xc0"
      "\x02\x80\xa0\xab\xfe\xf9\x62\x02\x0a\x62\x72\x61\x6e\x64\x08\x61\x63\x6d\x65\x00";
  static const char list_bytes[] =
      "\xc3\x01\x27\xa8\xd7\x20\xc9\x78\xf5\xd2\x04\x75\x31\x00\x06\xd8\x04\x80\xa0\xab\xfe\xf9\x62\x8a"
      "\xa0\xab\xfe\xf9\x62\x04\x02\x61\x00\x00\x00\x3f\x04\x12\x02\x62\x00\x00\x80\x3e\x00\x16\x00\x00"
      "\x00\x00\xbe\x80\xf6\x5e\x00\x00\x00\x80\x3e\x02\x62\x00\x00\x80\x3e\x00\x00\x00\x80\x3f\x00\x02"
      "\x6e";
  static const char request_bytes[] =
      "\xc3\x01\x07\x33\x41\x99\x41\xfa\xf1\x0a\x04\x72\x31\x08\x5a\x6f\xc3\xab\x80\xa0\xab\xfe\xf9\x62"
      "\x0e\x0a\x77\xc3\xa4\x72\x6d\x04\x02\x61\x02\x62\x00\x02\x02\x63\x00\x00\x02\x02\x64\x00\x00\x00"
      "\x00\x3f\x00\x00\x80\x3e\x00\x78\x02";
  freshet_codec* codec = new_codec(FRESHET_FRAMING_SINGLE_OBJECT, NULL);
  freshet_buffer again = {0};
  freshet_slice bytes = {item_bytes, sizeof item_bytes - 1};
  freshet_item item;
  freshet_error error = {0};
  if (freshet_decode_item(codec, bytes, &item, &error) != FRESHET_OK) fail_msg("%s", error.message);
  assert_slice(item.title, "Lämp");
  assert_int_equal(item.category_count, 2);
  assert_slice(item.categories[1], "b");
  assert_int_equal(item.expires_at_ms, 1800000000000);
  assert_int_equal(item.vector_dim, 2);
  assert_true(item.vector[0] == 1.5f && item.vector[1] == -2.25f);
  assert_int_equal(item.created_at_ms, 1700000000000);
  assert_int_equal(item.attribute_count, 1);
  assert_slice(item.attributes[0].value, "acme");
  assert_int_equal(freshet_encode_item(codec, &item, &again, NULL), FRESHET_OK);
  assert_true(freshet_slice_equal(freshet_buffer_slice(&again), bytes));

  bytes = (freshet_slice){list_bytes, sizeof list_bytes - 1};
  freshet_list list;
  if (freshet_decode_list(codec, bytes, &list, &error) != FRESHET_OK) fail_msg("%s", error.message);
  assert_int_equal(list.version_partition, 3);
  assert_int_equal(list.version_offset, 300);
  assert_int_equal(list.item_count, 2);
  assert_int_equal(list.items[0].reason_count, 2);
  assert_int_equal(list.items[0].reasons[0].kind, FRESHET_REASON_AUDIENCE);
  assert_int_equal(list.items[0].reasons[1].kind, FRESHET_REASON_AGAIN);
  assert_int_equal(list.items[0].reasons[1].every_s, 777600);
  assert_true(list.items[0].reasons[1].score == -0.125f);
  again.size = 0;
  assert_slice(list.note, "n");
  assert_int_equal(freshet_encode_list(codec, &list, &again, NULL), FRESHET_OK);
  assert_true(freshet_slice_equal(freshet_buffer_slice(&again), bytes));

  bytes = (freshet_slice){request_bytes, sizeof request_bytes - 1};
  freshet_request request;
  if (freshet_decode_request(codec, bytes, &request, &error) != FRESHET_OK) fail_msg("%s", error.message);
  assert_slice(request.request_id, "r1");
  assert_slice(request.user_id, "Zoë");
  assert_int_equal(request.requested_at_ms, 1700000000000);
  assert_int_equal(request.k, 7);
  assert_slice(request.context, "wärm");
  assert_int_equal(request.context_item_count, 2);
  assert_slice(request.context_items[1], "b");
  assert_int_equal(request.include_category_count, 1);
  assert_int_equal(request.exclude_category_count, 0);
  assert_slice(request.exclude_items[0], "d");
  assert_true(request.diversity == .5F && request.exploration == .25F && !request.explain);
  assert_int_equal(request.min_age_s, 60);
  assert_int_equal(request.kind, FRESHET_REQUEST_SIMILAR);
  again.size = 0;
  assert_int_equal(freshet_encode_request(codec, &request, &again, NULL), FRESHET_OK);
  assert_true(freshet_slice_equal(freshet_buffer_slice(&again), bytes));
  freshet_buffer_free(&again);
  freshet_codec_destroy(codec);
}

/* ---- what is refused ---- */

static void check_refused(freshet_codec* codec, const void* bytes, size_t size, const char* word) {
  freshet_event event;
  freshet_error error = {0};
  assert_int_equal(freshet_decode_event(codec, (freshet_slice){bytes, size}, &event, &error),
                   FRESHET_INVALID);
  assert_int_equal(error.verdict, FRESHET_DEAD_LETTER);
  if (strstr(error.message, word) == NULL) fail_msg("'%s' is not in '%s'", word, error.message);
}

static void every_truncation_is_refused(void** state) {
  (void)state;
  freshet_codec* codec = new_codec(FRESHET_FRAMING_SINGLE_OBJECT, NULL);
  for (int type = 0; type < FRESHET_EVENT_TYPES; type++) {
    freshet_event event = sample_event((freshet_event_type)type);
    freshet_buffer bytes = {0};
    assert_int_equal(freshet_encode_event(codec, &event, &bytes, NULL), FRESHET_OK);
    for (size_t size = 0; size < bytes.size; size++) {
      void* exact = malloc(size + 1); /* so that a sanitizer sees reads beyond the end */
      memcpy((char*)exact + 1, bytes.data, size);
      check_refused(codec, (char*)exact + 1, size, "");
      free(exact);
    }
    freshet_buffer_append(&bytes, "x", 1);
    check_refused(codec, bytes.data, bytes.size, "1 bytes are left");
    freshet_buffer_free(&bytes);
  }
  freshet_codec_destroy(codec);
}

static void foreign_bytes_are_refused_with_the_reason(void** state) {
  (void)state;
  freshet_codec* codec = new_codec(FRESHET_FRAMING_SINGLE_OBJECT, NULL);
  check_refused(codec, NULL, 0, "0 bytes that are neither");
  check_refused(codec, "{\"user\": 1}", 11, "neither");
  check_refused(codec, "\xc3\x01", 2, "neither");
  check_refused(codec, "\xc3\x01\1\2\3\4\5\6\7\x8xyz", 13, "unknown schema fingerprint 0807060504030201");
  check_refused(codec, "\0\0\0\0\x2axyz", 8, "unknown schema id 42");
  check_refused(codec, "\0\xff\xff\xff\xff", 5, "unknown schema id -1");

  freshet_item item = {.item_id = freshet_slice_of("i")};
  freshet_buffer bytes = {0};
  assert_int_equal(freshet_encode_item(codec, &item, &bytes, NULL), FRESHET_OK);
  check_refused(codec, bytes.data, bytes.size, "Item where an event is expected");
  freshet_buffer_free(&bytes);
  freshet_codec_destroy(codec);
}

/* A seven-byte datum that claims lengths of gigabytes, negative ones, and numbers that never end. */
static void absurd_lengths_are_refused(void** state) {
  (void)state;
  freshet_codec* codec = new_codec(FRESHET_FRAMING_SINGLE_OBJECT, NULL);
  static const struct {
    const char* datum;
    size_t size;
    const char* word;
  } bad[] = {
      {"\xfe\xff\xff\xff\x0f"
       "ab",
       7, "event_id: a length exceeds"},
      {"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, "event_id: a length exceeds"},
      {"\x01", 1, "event_id: a length is negative"},
      {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, "negative"},
      {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03", 10, "longer than 64 bits"},
      {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 12, "longer than 64 bits"},
      {"\x80", 1, "end inside a number"},
      {"", 0, "end inside a number"},
      {"\2a\2b\4c", 6, "item_id: a length exceeds"},
  };
  freshet_event event = sample_event(FRESHET_CLICK);
  freshet_buffer bytes = {0};
  assert_int_equal(freshet_encode_event(codec, &event, &bytes, NULL), FRESHET_OK);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    bytes.size = 10; /* keep the head */
    freshet_buffer_append(&bytes, bad[i].datum, bad[i].size);
    check_refused(codec, bytes.data, bytes.size, bad[i].word);
  }
  freshet_buffer_free(&bytes);
  freshet_codec_destroy(codec);
}

static void absurd_arrays_are_refused(void** state) {
  (void)state;
  freshet_codec* codec = new_codec(FRESHET_FRAMING_SINGLE_OBJECT, NULL);
  static const struct {
    const char* datum; /* an Item from its third field on */
    size_t size;
    const char* word;
  } bad[] = {
      {"\x80\x80\x80\x80\x20", 5, "more elements"},
      {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02", 11, "block exceeds"}, /* -2^63 elements */
      {"\x03\x80\x80\x80\x80\x20", 6, "block exceeds"},                      /* a block of gigabytes */
      {"\x03\x01", 2, "block exceeds"},                                      /* one of -1 bytes */
      {"\x0a\2a", 3, "exceed the bytes"},
      {"\2\2a", 3, "end inside"},
      {"\0\2", 2, "neither 0 nor 1"}, /* after the categories: available */
      {"\0\1\4", 3, "no such branch"},
  };
  freshet_item item = {.item_id = freshet_slice_of("i")};
  freshet_buffer bytes = {0};
  assert_int_equal(freshet_encode_item(codec, &item, &bytes, NULL), FRESHET_OK);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    bytes.size = 10 + 4; /* head, "i", two empty strings */
    freshet_buffer_append(&bytes, bad[i].datum, bad[i].size);
    freshet_error error = {0};
    freshet_item got;
    freshet_slice slice = freshet_buffer_slice(&bytes);
    assert_int_equal(freshet_decode_item(codec, slice, &got, &error), FRESHET_INVALID);
    assert_int_equal(error.verdict, FRESHET_DEAD_LETTER);
    if (strstr(error.message, bad[i].word) == NULL)
      fail_msg("%zu: '%s' not in '%s'", i, bad[i].word, error.message);
  }
  freshet_buffer_free(&bytes);
  freshet_codec_destroy(codec);
}

/* Random damage: never a crash, and what still decodes stays inside its own memory (under a sanitizer). */
static void damaged_lists_never_crash(void** state) {
  (void)state;
  uint64_t seed = 20260801;
  printf("seed %llu\n", (unsigned long long)seed);
  freshet_codec* codec = new_codec(FRESHET_FRAMING_SINGLE_OBJECT, NULL);
  freshet_reason reasons[] = {{FRESHET_REASON_TEXT, freshet_slice_of("i9"), 0.25f, 0}};
  freshet_recommendation items[20];
  for (int i = 0; i < 20; i++)
    items[i] = (freshet_recommendation){freshet_slice_of("item"), 1.0f, reasons, 1, 1};
  freshet_list list = {.user_id = freshet_slice_of("u"), .items = items, .item_count = 20};
  freshet_buffer bytes = {0}, damaged = {0};
  assert_int_equal(freshet_encode_list(codec, &list, &bytes, NULL), FRESHET_OK);
  size_t accepted = 0;
  for (int round = 0; round < 20000; round++) {
    damaged.size = 0;
    freshet_buffer_append(&damaged, bytes.data, bytes.size);
    for (int i = 0; i < 1 + round % 3; i++) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      damaged.data[10 + (seed >> 33) % (damaged.size - 10)] = (uint8_t)(seed >> 25);
    }
    freshet_list got;
    if (freshet_decode_list(codec, freshet_buffer_slice(&damaged), &got, NULL) != FRESHET_OK) continue;
    accepted++;
    for (size_t i = 0; i < got.item_count; i++) {
      for (size_t j = 0; j < got.items[i].reason_count; j++) {
        assert_in_range(got.items[i].reasons[j].kind, 0, FRESHET_REASON_SHOWN);
        assert_true(got.items[i].reasons[j].item_id.size <= damaged.size);
      }
    }
  }
  assert_true(accepted > 100); /* damage to texts and numbers goes unseen, so this is no vacuous test */
  freshet_buffer_free(&bytes);
  freshet_buffer_free(&damaged);
  freshet_codec_destroy(codec);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(events_round_trip),
      cmocka_unit_test(confluent_framing_uses_the_id_map),
      cmocka_unit_test(bad_id_maps_are_refused),
      cmocka_unit_test(items_round_trip),
      cmocka_unit_test(lists_round_trip),
      cmocka_unit_test(state_round_trips_bit_for_bit),
      cmocka_unit_test(bytes_of_another_implementation),
      cmocka_unit_test(every_truncation_is_refused),
      cmocka_unit_test(foreign_bytes_are_refused_with_the_reason),
      cmocka_unit_test(absurd_lengths_are_refused),
      cmocka_unit_test(absurd_arrays_are_refused),
      cmocka_unit_test(damaged_lists_never_crash),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
