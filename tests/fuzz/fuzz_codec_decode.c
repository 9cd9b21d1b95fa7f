/*
 * fuzz_codec_decode.c: any bytes may come from a topic. The first byte picks what the rest is: a whole
 * message for every decoder, or the datum of one of the writers' schemas below, so that the fuzzer need not
 * guess fingerprints. What is accepted must survive a round trip: the struct encodes, and encodes the same
 * again after it was decoded.
 */
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/schema_source.h"

#define OLD_ITEM                                                                                  \
  "{\"type\":\"record\",\"name\":\"Item\",\"fields\":[{\"name\":\"item_id\",\"type\":\"bytes\"}," \
  "{\"name\":\"description\",\"type\":[\"null\",\"string\"]},"                                    \
  "{\"name\":\"categories\",\"type\":{\"type\":\"array\",\"items\":[\"string\",\"null\",\"int\"]}}]}"
#define NEW_CLICK                                                                                    \
  "{\"type\":\"record\",\"name\":\"Click\",\"fields\":[{\"name\":\"event_id\",\"type\":\"string\"}," \
  "{\"name\":\"tree\",\"type\":{\"type\":\"record\",\"name\":\"Tree\",\"fields\":["                  \
  "{\"name\":\"nodes\",\"type\":{\"type\":\"array\",\"items\":\"Tree\"}},"                           \
  "{\"name\":\"names\",\"type\":{\"type\":\"map\",\"values\":[\"null\",\"double\",\"Tree\"]}},"      \
  "{\"name\":\"none\",\"type\":{\"type\":\"array\",\"items\":\"null\"}}]}},"                         \
  "{\"name\":\"user_id\",\"type\":\"string\"},{\"name\":\"item_id\",\"type\":\"string\"},"           \
  "{\"name\":\"hash\",\"type\":{\"type\":\"fixed\",\"name\":\"Hash\",\"size\":4}},"                  \
  "{\"name\":\"occurred_at\",\"type\":\"int\"},{\"name\":\"dwell_s\",\"type\":[\"null\",\"long\"]}]}"

static const char* const names[] = {
    "Click",         "Rating",    "Purchase",  "Item",           "RecommendationList",
    "UserState",     "ItemState", "ItemDelta", "TextGeneration", "RecommendationRequest",
    "GenerationFact"};
enum { OURS = sizeof names / sizeof names[0], WRITERS = OURS + 2 };

static freshet_codec* codec;
static uint64_t fingerprints[WRITERS];

static void set_up(void) {
  freshet_codec_config config = {0};
  FRESHET_ASSERT(freshet_codec_create(&config, &codec, NULL) == FRESHET_OK);
  for (int i = 0; i < WRITERS; i++) {
    const char* json = i < OURS ? freshet_schema_source_of(names[i]) : i == OURS ? OLD_ITEM : NEW_CLICK;
    FRESHET_ASSERT(freshet_codec_add_schema(codec, json, &fingerprints[i], NULL) == FRESHET_OK);
  }
}

/* One decoder with its encoder, told apart by index. Returns whether the bytes were accepted; then *out holds
 * the value encoded again. */
static bool recode(int decoder, freshet_slice bytes, freshet_buffer* out) {
  union {
    freshet_event event;
    freshet_item item;
    freshet_list list;
    freshet_user_state user;
    freshet_item_state state;
    freshet_model_delta delta;
    freshet_text_generation_fact generation;
    freshet_request request;
    freshet_app_generation_fact fact;
  } v;
  freshet_slice worker;
  switch (decoder) {
    case 0:
      return freshet_decode_event(codec, bytes, &v.event, NULL) == FRESHET_OK &&
             freshet_encode_event(codec, &v.event, out, NULL) == FRESHET_OK;
    case 1:
      return freshet_decode_item(codec, bytes, &v.item, NULL) == FRESHET_OK &&
             freshet_encode_item(codec, &v.item, out, NULL) == FRESHET_OK;
    case 2:
      return freshet_decode_list(codec, bytes, &v.list, NULL) == FRESHET_OK &&
             freshet_encode_list(codec, &v.list, out, NULL) == FRESHET_OK;
    case 3:
      return freshet_decode_user_state(codec, bytes, &v.user, NULL) == FRESHET_OK &&
             freshet_encode_user_state(codec, &v.user, out, NULL) == FRESHET_OK;
    case 4:
      return freshet_decode_item_state(codec, bytes, &v.state, NULL) == FRESHET_OK &&
             freshet_encode_item_state(codec, &v.state, out, NULL) == FRESHET_OK;
    case 5:
      return freshet_decode_text_generation_fact(codec, bytes, &v.generation, NULL) == FRESHET_OK &&
             freshet_encode_text_generation_fact(codec, &v.generation, out, NULL) == FRESHET_OK;
    case 6:
      return freshet_decode_request(codec, bytes, &v.request, NULL) == FRESHET_OK &&
             freshet_encode_request(codec, &v.request, out, NULL) == FRESHET_OK;
    case 7:
      return freshet_decode_app_generation_fact(codec, bytes, &v.fact, NULL) == FRESHET_OK &&
             freshet_encode_app_generation_fact(codec, &v.fact, out, NULL) == FRESHET_OK;
    default:
      return freshet_decode_item_delta(codec, bytes, &worker, &v.delta, NULL) == FRESHET_OK &&
             freshet_encode_item_delta(codec, worker, &v.delta, out, NULL) == FRESHET_OK;
  }
}
enum { DECODERS = 9 };

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (codec == NULL) set_up();
  if (size == 0) return 0;
  freshet_buffer message = {0}, once = {0}, twice = {0};
  int pick = data[0] % (WRITERS + 1);
  if (pick < WRITERS) {
    freshet_buffer_append(&message, "\xc3\x01", 2);
    for (int i = 0; i < 8; i++) {
      freshet_buffer_append(&message, &(uint8_t){(uint8_t)(fingerprints[pick] >> 8 * i)}, 1);
    }
  }
  freshet_buffer_append(&message, data + 1, size - 1);
  for (int decoder = 0; decoder < DECODERS; decoder++) {
    once.size = twice.size = 0;
    if (!recode(decoder, freshet_buffer_slice(&message), &once)) continue;
    FRESHET_ASSERT(recode(decoder, freshet_buffer_slice(&once), &twice));
    FRESHET_ASSERT(freshet_slice_equal(freshet_buffer_slice(&once), freshet_buffer_slice(&twice)));
  }
  freshet_buffer_free(&message);
  freshet_buffer_free(&once);
  freshet_buffer_free(&twice);
  return 0;
}
