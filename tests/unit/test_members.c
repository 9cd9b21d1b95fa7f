/*
 * What is read from a cluster's answer about a group: names of static members, and the partitions of an assignment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kafka/members.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"

static void assert_name(const char* expected, const char* member_id, const char* client_id) {
  freshet_slice name = freshet_kafka_member_name(member_id, client_id);
  assert_int_equal(name.size, strlen(expected));
  if (name.size > 0) assert_memory_equal(name.data, expected, name.size);
}

static void names_of_static_members(void** state) {
  (void)state;
  assert_name("worker-1", "worker-1-" UUID, "freshet");
  assert_name("", "freshet-" UUID, "freshet");
  assert_name("freshet-2", "freshet-2-" UUID, "freshet");
  assert_name("", "http://a:1-" UUID, "http://a:1");
  assert_name("", "", "freshet");
  assert_name("", "-" UUID, "freshet");
  assert_name("", "another-broker-may-give-other-ids-of-more-characters", "freshet");
}

typedef struct found {
  int32_t partitions[8];
  size_t count;
} found;

static void note(void* context, int32_t partition) {
  found* f = context;
  if (f->count < 8) f->partitions[f->count] = partition;
  f->count++;
}

static found partitions_in(const void* bytes, size_t size, const char* topic) {
  found f = {{0}, 0};
  freshet_kafka_member_partitions((freshet_slice){.data = bytes, .size = size}, topic, note, &f);
  return f;
}

/* Version 0, topic "ev" with partitions 1 and 258, topic "events" with partition 7, no user data. */
static const char assignment[] =
    "\0\0\0\0\0\2"
    "\0\2ev\0\0\0\2\0\0\0\1\0\0\1\2"
    "\0\6events\0\0\0\1\0\0\0\7"
    "\377\377\377\377";

static void partitions_of_an_assignment(void** state) {
  (void)state;
  found f = partitions_in(assignment, sizeof assignment - 1, "ev");
  assert_int_equal(f.count, 2);
  assert_int_equal(f.partitions[0], 1);
  assert_int_equal(f.partitions[1], 258);
  f = partitions_in(assignment, sizeof assignment - 1, "events");
  assert_int_equal(f.count, 1);
  assert_int_equal(f.partitions[0], 7);
  assert_int_equal(partitions_in(assignment, sizeof assignment - 1, "e").count, 0);
  assert_int_equal(partitions_in(NULL, 0, "ev").count, 0);
}

/* A member may send any bytes. Memory of the exact size lets the sanitizer see a read beyond it. */
static void broken_assignments(void** state) {
  (void)state;
  const size_t size = sizeof assignment - 1;
  for (size_t cut = 0; cut < size; cut++) {
    char* bytes = malloc(cut + 1);
    assert_non_null(bytes);
    memcpy(bytes, assignment, cut);
    assert_true(partitions_in(bytes, cut, "events").count <= 1);
    free(bytes);
  }
  for (size_t i = 0; i < size; i++) {
    char* bytes = malloc(size);
    assert_non_null(bytes);
    memcpy(bytes, assignment, size);
    bytes[i] = '\377';
    assert_true(partitions_in(bytes, size, "ev").count <= size / 4);
    free(bytes);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_of_static_members),
      cmocka_unit_test(partitions_of_an_assignment),
      cmocka_unit_test(broken_assignments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
