/*
 * test_outbox_thread.c: the outbox with a sink that writes sealed records on a thread of its own, while the worker goes on:
 * it keeps records of the next commit, forgets some, and publishes. ThreadSanitizer looks on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stream/helper.h"
#include "stream/outbox.h"

enum { COMMITS = 50, RECORDS = 400 };

static struct {
  freshet_sink sink;
  freshet_helper* helper;
  freshet_sink_job job;
  void* context;
  freshet_status status; /* the job's */
  int written, commit,
      mistakes; /* the job's while it is under way: records of this commit in their order, and others */
  int published;
} w;

/* "commit.record" in key, value and header. */
static freshet_output record_of(int commit, int record, char text[32], freshet_header* header) {
  snprintf(text, 32, "%d.%d", commit, record);
  *header = (freshet_header){"same", freshet_slice_of(text)};
  return (freshet_output){.topic = FRESHET_TOPIC_USERS,
                          .key = freshet_slice_of(text),
                          .has_value = true,
                          .value = freshet_slice_of(text),
                          .headers = header,
                          .header_count = 1};
}

static freshet_status publish(freshet_sink* self, const freshet_output* output, freshet_error* error) {
  (void)self, (void)output, (void)error;
  w.published++;
  return FRESHET_OK;
}

static freshet_status ok(freshet_sink* self, freshet_error* error) {
  (void)self, (void)error;
  return FRESHET_OK;
}

static freshet_status write_one(freshet_sink* self, const freshet_output* output, freshet_error* error) {
  (void)self, (void)error;
  char text[32];
  freshet_header header;
  const freshet_output expected = record_of(w.commit, w.written, text, &header);
  w.mistakes += !freshet_slice_equal(output->key, expected.key) ||
                !freshet_slice_equal(output->value, expected.value) || output->header_count != 1 ||
                !freshet_slice_equal(output->headers[0].value, header.value);
  w.written++;
  return FRESHET_OK;
}

static void run_job(void* context) {
  (void)context;
  w.status = w.job(w.context, NULL);
}

static bool start_writing(freshet_sink* self, freshet_sink_job job, void* context) {
  (void)self;
  w.job = job;
  w.context = context;
  freshet_helper_start(w.helper, run_job, NULL);
  return true;
}

static freshet_status end_writing(freshet_sink* self, int wait_ms, freshet_error* error) {
  (void)self, (void)error;
  return freshet_helper_await(w.helper, wait_ms) ? w.status : FRESHET_TIMEOUT;
}

static freshet_status commit(freshet_sink* self, const freshet_partition* offsets, size_t count,
                             freshet_error* error) {
  (void)self, (void)offsets, (void)count, (void)error;
  return FRESHET_OK;
}

static freshet_status outcome(freshet_sink* self, int wait_ms, freshet_error* error) {
  (void)self, (void)wait_ms, (void)error;
  return FRESHET_OK;
}

static bool is_odd_one_out(void* context, const freshet_output* output) {
  (void)context;
  return freshet_slice_equal(output->key, freshet_slice_of("x"));
}

static void keep_and_publish(freshet_outbox* outbox, int commit, int record) {
  char text[32];
  freshet_header header;
  const freshet_output output = record_of(commit, record, text, &header), other = {.key = {"x", 1}};
  freshet_outbox_add(outbox, &output, FRESHET_WITH_COMMIT, NULL);
  if (record % 50 != 0) return;
  freshet_outbox_add(outbox, &other, FRESHET_WITH_COMMIT, NULL);
  freshet_outbox_forget(outbox, is_odd_one_out, NULL);
  freshet_outbox_add(outbox, &output, FRESHET_NOW, NULL);
  assert_false(freshet_outbox_may_write(outbox, FRESHET_TOPIC_USERS) && freshet_outbox_is_writing(outbox));
}

static void the_worker_goes_on_while_records_are_written(void** state) {
  static const freshet_sink_vtable vtable = {.publish = publish,
                                             .begin = ok,
                                             .write = write_one,
                                             .start_writing = start_writing,
                                             .end_writing = end_writing,
                                             .commit = commit,
                                             .outcome = outcome,
                                             .abort = ok};
  (void)state;
  w.sink.vtable = &vtable;
  w.helper = freshet_helper_create("writer");
  assert_non_null(w.helper);
  freshet_outbox* outbox = freshet_outbox_create(&w.sink, FRESHET_DELIVERY_FAST);
  for (int record = 0; record < RECORDS; record++) keep_and_publish(outbox, 0, record);
  for (int i = 0; i < COMMITS; i++) {
    bool is_all = false;
    w.commit = i;
    w.written = 0;
    assert_int_equal(freshet_outbox_seal(outbox, NULL), FRESHET_OK);
    freshet_outbox_start_writing(outbox);
    for (int record = 0; record < RECORDS; record++) keep_and_publish(outbox, i + 1, record);
    for (int wait_ms = 0; !is_all; wait_ms++)
      assert_int_equal(freshet_outbox_write_sealed(outbox, 1, wait_ms, &is_all, NULL), FRESHET_OK);
    assert_int_equal(w.written, RECORDS);
    assert_int_equal(freshet_outbox_start_commit(outbox, NULL, 0, NULL), FRESHET_OK);
    assert_int_equal(freshet_outbox_outcome(outbox, 0, NULL), FRESHET_OK);
    freshet_outbox_tidy(outbox);
  }
  assert_int_equal(w.mistakes, 0);
  assert_int_equal(w.published, (COMMITS + 1) * RECORDS / 50);
  w.written = 0;
  w.commit = COMMITS;
  assert_int_equal(freshet_outbox_seal(outbox, NULL), FRESHET_OK);
  freshet_outbox_start_writing(outbox);
  freshet_outbox_destroy(outbox); /* waits for the thread */
  assert_int_equal(w.written, RECORDS);
  freshet_helper_destroy(w.helper);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_worker_goes_on_while_records_are_written)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
