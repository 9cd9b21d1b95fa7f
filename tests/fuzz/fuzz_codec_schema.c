/*
 * fuzz_codec_schema.c: a writer's schema comes from a registry or a file. Whatever is accepted must have a
 * canonical form that parses to the same fingerprint; and a datum (what follows the first NUL byte) is then
 * decoded with it.
 */
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/schema.h"

static void check_canonical_form(const char* json) {
  freshet_avro_schema* schema = NULL;
  if (freshet_avro_schema_parse(json, &schema, NULL) != FRESHET_OK) return;
  freshet_buffer form = {0};
  freshet_avro_canonical_form(schema, &form);
  freshet_buffer_append(&form, "", 1);
  uint64_t again = 0;
  FRESHET_ASSERT(freshet_schema_fingerprint((const char*)form.data, &again, NULL) == FRESHET_OK);
  FRESHET_ASSERT(again == freshet_avro_fingerprint(schema));
  freshet_buffer_free(&form);
  freshet_avro_schema_destroy(schema);
}

/* A codec costs milliseconds to make, so inputs share one. A new one follows after some inputs: each schema stays in
 * the codec that took it. */
static freshet_codec* shared_codec(void) {
  enum { INPUTS_MAX = 5000 };
  static freshet_codec* codec;
  static int inputs;
  if (inputs++ % INPUTS_MAX == 0) {
    freshet_codec_config config = {0};
    freshet_codec_destroy(codec);
    FRESHET_ASSERT(freshet_codec_create(&config, &codec, NULL) == FRESHET_OK);
  }
  return codec;
}

static void check_datum(const char* json, freshet_slice datum) {
  freshet_codec* codec = shared_codec();
  uint64_t fingerprint;
  if (freshet_codec_add_schema(codec, json, &fingerprint, NULL) == FRESHET_OK) {
    freshet_buffer message = {0};
    freshet_buffer_append(&message, "\xc3\x01", 2);
    for (int i = 0; i < 8; i++) {
      freshet_buffer_append(&message, &(uint8_t){(uint8_t)(fingerprint >> 8 * i)}, 1);
    }
    freshet_buffer_append(&message, datum.data, datum.size);
    freshet_event event;
    freshet_item item;
    freshet_list list;
    freshet_decode_event(codec, freshet_buffer_slice(&message), &event, NULL);
    freshet_decode_item(codec, freshet_buffer_slice(&message), &item, NULL);
    freshet_decode_list(codec, freshet_buffer_slice(&message), &list, NULL);
    freshet_buffer_free(&message);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  char* json = malloc(size + 1);
  FRESHET_ASSERT(json != NULL);
  if (size > 0) memcpy(json, data, size);
  json[size] = '\0';
  size_t length = strlen(json);
  check_canonical_form(json);
  if (length < size) check_datum(json, (freshet_slice){json + length + 1, size - length - 1});
  free(json);
  return 0;
}
