/* Canonical form and fingerprints against values of other implementations, and schemas that are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "codec/codec.h"
#include "codec/schema.h"
#include "codec/schema_source.h"

/* From the specification's reference implementation (org.apache.avro.SchemaNormalization). */
static void primitives_have_known_fingerprints(void** state) {
  (void)state;
  static const struct {
    const char* json;
    uint64_t fingerprint;
  } known[] = {
      {"\"null\"", 0x63dd24e7cc258f8a},
      {"\"boolean\"", 0x9f42fc78a4d4f764},
      {"\"int\"", 0x7275d51a3f395c8f},
      {"\"long\"", 0xd054e14493f41db7},
      {"\"float\"", 0x4d7c02cb3ea8d790},
      {"\"double\"", 0x8e7535c032ab957e},
      {"\"bytes\"", 0x4fc016dac3201965},
      {"\"string\"", 0x8f014872634503c7},
      {"{\"type\": \"int\"}", 0x7275d51a3f395c8f},
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    uint64_t fingerprint = 0;
    assert_int_equal(freshet_schema_fingerprint(known[i].json, &fingerprint, NULL), FRESHET_OK);
    assert_int_equal(fingerprint, known[i].fingerprint);
  }
}

static const char nested[] =
    "{\"type\": \"record\", \"name\": \"Outer\", \"namespace\": \"a.b\", \"doc\": \"x\", \"aliases\": "
    "[\"Q\"],"
    " \"fields\": ["
    "{\"name\": \"f\", \"type\": [\"null\", \"int\"], \"default\": null, \"doc\": \"d\"},"
    "{\"name\": \"e\", \"type\": {\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\", \"B\"],"
    " \"default\": \"A\"}},"
    "{\"name\": \"e2\", \"type\": \"E\", \"order\": \"ignore\"},"
    "{\"name\": \"x\", \"type\": {\"type\": \"fixed\", \"size\": 16, \"name\": \"c.d.Md5\"}},"
    "{\"name\": \"x2\", \"type\": \"c.d.Md5\"},"
    "{\"name\": \"inner\", \"type\": {\"type\": \"record\", \"name\": \"Inner\", \"namespace\": \"z\","
    " \"fields\": [{\"name\": \"next\", \"type\": [\"null\", \"Inner\"]},"
    "{\"name\": \"m\", \"type\": {\"type\": \"map\", \"values\": {\"type\": \"array\", \"items\":"
    " {\"type\": \"string\", \"avro.java.string\": \"String\"}}}}]}},"
    "{\"name\": \"t\", \"type\": {\"type\": \"long\", \"logicalType\": \"timestamp-millis\"}}]}";

/* Form and fingerprint made with Python's fastavro 1.13. */
static const char nested_canonical[] =
    "{\"name\":\"a.b.Outer\",\"type\":\"record\",\"fields\":["
    "{\"name\":\"f\",\"type\":[\"null\",\"int\"]},"
    "{\"name\":\"e\",\"type\":{\"name\":\"a.b.E\",\"type\":\"enum\",\"symbols\":[\"A\",\"B\"]}},"
    "{\"name\":\"e2\",\"type\":\"a.b.E\"},"
    "{\"name\":\"x\",\"type\":{\"name\":\"c.d.Md5\",\"type\":\"fixed\",\"size\":16}},"
    "{\"name\":\"x2\",\"type\":\"c.d.Md5\"},"
    "{\"name\":\"inner\",\"type\":{\"name\":\"z.Inner\",\"type\":\"record\",\"fields\":["
    "{\"name\":\"next\",\"type\":[\"null\",\"z.Inner\"]},"
    "{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":{\"type\":\"array\",\"items\":\"string\"}}}]}},"
    "{\"name\":\"t\",\"type\":\"long\"}]}";

static void names_are_resolved_and_the_rest_is_stripped(void** state) {
  (void)state;
  freshet_avro_schema* schema;
  assert_int_equal(freshet_avro_schema_parse(nested, &schema, NULL), FRESHET_OK);
  freshet_buffer form = {0};
  freshet_avro_canonical_form(schema, &form);
  freshet_buffer_append(&form, "", 1);
  assert_string_equal((const char*)form.data, nested_canonical);
  assert_int_equal(freshet_avro_fingerprint(schema), 0x08617555eb3ee034);
  freshet_buffer_free(&form);
  freshet_avro_schema_destroy(schema);
}

/* Producers have these fingerprints compiled in: a change of a schema in place would cut them off. */
static void our_schemas_have_the_published_fingerprints(void** state) {
  (void)state;
  static const struct {
    const char* name;
    uint64_t fingerprint;
  } known[] = {
      {"Click", 0x5b2cce0fad82ecde},
      {"Feedback", 0x7ae34aae9e3801b7},
      {"GenerationFact", 0xe0751a5e9902ff70},
      {"Item", 0xbc1dd7dc8b733f91},
      {"ItemDelta", 0x1bd51dcdee1961ca},
      {"ItemState", 0x99545e6df867da21},
      {"Purchase", 0x0ee241fa61527713},
      {"Rating", 0xdbf9d19fbdb1e6de},
      {"RecommendationList", 0xd2f578c920d7a827},
      {"RecommendationRequest", 0x0af1fa4199413307},
      {"TextGeneration", 0x6eaa43eedb6aaf04},
      {"UserState", 0x8767f6e96be8a0b4},
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    const char* json = freshet_schema_source_of(known[i].name);
    assert_non_null(json);
    uint64_t fingerprint = 0;
    assert_int_equal(freshet_schema_fingerprint(json, &fingerprint, NULL), FRESHET_OK);
    assert_int_equal(fingerprint, known[i].fingerprint);
  }
  assert_null(freshet_schema_source_of("Nothing"));
}

static void least_sizes_bound_what_can_be_encoded(void** state) {
  (void)state;
  freshet_avro_schema* schema;
  assert_int_equal(freshet_avro_schema_parse(nested, &schema, NULL), FRESHET_OK);
  /* union 1 + 0, two enums, two fixed of 16, the recursive record: union and map, long */
  assert_int_equal(schema->root->min_size, 1 + 1 + 1 + 16 + 16 + 2 + 1);
  freshet_avro_schema_destroy(schema);
}

static void what_is_no_schema_is_refused_with_a_reason(void** state) {
  (void)state;
  static const char* const bad[] = {
      "",
      "{",
      "7",
      "\"strin\"",
      "[]",
      "[\"null\", [\"int\"]]",
      "{\"type\": \"record\", \"name\": \"R\"}",
      "{\"type\": \"record\", \"fields\": []}",
      "{\"type\": \"record\", \"name\": \"a b\", \"fields\": []}",
      "{\"type\": \"record\", \"name\": \"a..b\", \"fields\": []}",
      "{\"type\": \"record\", \"name\": \"R\", \"fields\": [{\"name\": \"f\"}]}",
      "{\"type\": \"record\", \"name\": \"R\", \"fields\": [{\"name\": \"f\", \"type\": \"int\"},"
      " {\"name\": \"f\", \"type\": \"int\"}]}",
      "{\"type\": \"record\", \"name\": \"R\", \"fields\": [{\"name\": \"f\", \"type\": {\"type\": \"enum\","
      " \"name\": \"R\", \"symbols\": [\"A\"]}}]}",
      "{\"type\": \"enum\", \"name\": \"E\", \"symbols\": []}",
      "{\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"a-b\"]}",
      "{\"type\": \"fixed\", \"name\": \"F\", \"size\": -1}",
      "{\"type\": \"array\"}",
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    freshet_error error = {0};
    uint64_t fingerprint;
    assert_int_equal(freshet_schema_fingerprint(bad[i], &fingerprint, &error), FRESHET_INVALID);
    assert_int_equal(error.verdict, FRESHET_STOP);
    assert_int_not_equal(error.message[0], '\0');
  }
}

static void deep_nesting_is_refused(void** state) {
  (void)state;
  freshet_buffer json = {0};
  for (int i = 0; i < 1000; i++) {
    static const char open[] = "{\"type\":\"array\",\"items\":";
    freshet_buffer_append(&json, open, sizeof open - 1);
  }
  freshet_buffer_append(&json, "\"int\"", 5);
  for (int i = 0; i < 1000; i++) freshet_buffer_append(&json, "}", 1);
  freshet_buffer_append(&json, "", 1);
  uint64_t fingerprint;
  freshet_error error = {0};
  assert_int_equal(freshet_schema_fingerprint((const char*)json.data, &fingerprint, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "too deeply"));
  freshet_buffer_free(&json);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(primitives_have_known_fingerprints),
      cmocka_unit_test(names_are_resolved_and_the_rest_is_stripped),
      cmocka_unit_test(our_schemas_have_the_published_fingerprints),
      cmocka_unit_test(least_sizes_bound_what_can_be_encoded),
      cmocka_unit_test(what_is_no_schema_is_refused_with_a_reason),
      cmocka_unit_test(deep_nesting_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
