#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "text/embedder.h"

enum { DIM = 8, PATIENCE_MS = 10000 };

/* An encoder that is slow, fails or refuses on demand. Vector: size of the text, then its first byte. */
typedef struct fake_encoder {
  freshet_encoder base;
  atomic_int* calls; /* of this encoder and those that share with it */
  atomic_int own_calls, failures_left, largest_batch;
  atomic_int delay_ms;
  atomic_bool interrupted;
} fake_encoder;

static freshet_status fake_encode(freshet_encoder* encoder, const freshet_slice* texts, size_t count,
                                  float* out, freshet_error* error) {
  fake_encoder* self = (fake_encoder*)encoder;
  atomic_fetch_add(self->calls, 1);
  if ((int)count > atomic_load(&self->largest_batch)) atomic_store(&self->largest_batch, (int)count);
  for (int waited = 0; waited < atomic_load(&self->delay_ms) && !atomic_load(&self->interrupted); waited++)
    usleep(1000);
  if (atomic_load(&self->interrupted)) {
    return freshet_error_set(error, FRESHET_ABORTED, FRESHET_STOP, "interrupted");
  }
  if (atomic_load(&self->failures_left) > 0) {
    atomic_fetch_sub(&self->failures_left, 1);
    return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_RETRY, "server away");
  }
  for (size_t i = 0; i < count; i++) {
    if (texts[i].size > 0 && texts[i].data[0] == '!') {
      return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "a text is refused");
    }
    for (int j = 0; j < DIM; j++) out[i * DIM + (size_t)j] = 0;
    out[i * DIM] = (float)texts[i].size;
    out[i * DIM + 1] = texts[i].size == 0 ? 0 : (float)texts[i].data[0];
  }
  return FRESHET_OK;
}

static void fake_destroy(freshet_encoder* encoder) {
  free(encoder);
}

static void fake_interrupt(freshet_encoder* encoder) {
  atomic_store(&((fake_encoder*)encoder)->interrupted, true);
}

static freshet_status fake_share(freshet_encoder* encoder, freshet_encoder** other, freshet_error* error);
static const freshet_encoder_vtable lonely_vtable = {
    .encode = fake_encode, .destroy = fake_destroy, .interrupt = fake_interrupt};
static const freshet_encoder_vtable sharing_vtable = {
    .encode = fake_encode, .destroy = fake_destroy, .share = fake_share, .interrupt = fake_interrupt};

static fake_encoder* fake_create(const freshet_encoder_vtable* vtable) {
  fake_encoder* self = calloc(1, sizeof *self);
  self->base.vtable = vtable;
  self->base.dim = DIM;
  self->calls = &self->own_calls;
  snprintf(self->base.name, sizeof self->base.name, "fake-v1");
  return self;
}

/* The second encoder is never slow and never fails. */
static freshet_status fake_share(freshet_encoder* encoder, freshet_encoder** other, freshet_error* error) {
  (void)error;
  fake_encoder* self = fake_create(encoder->vtable);
  self->calls = ((fake_encoder*)encoder)->calls;
  *other = &self->base;
  return FRESHET_OK;
}

static freshet_embedder* start(fake_encoder* encoder, freshet_embedder_config config) {
  freshet_embedder* embedder = NULL;
  freshet_error error = {0};
  config.encoder = &encoder->base;
  if (freshet_embedder_create(&config, &embedder, &error) != FRESHET_OK) fail_msg("%s", error.message);
  return embedder;
}

static bool collect_within(freshet_embedder* embedder, freshet_embedded* embedded, int limit_ms) {
  for (int waited = 0; waited < limit_ms; waited++) {
    if (freshet_embedder_collect(embedder, embedded)) return true;
    usleep(1000);
  }
  return false;
}

static void every_text_is_collected_once(void** state) {
  (void)state;
  enum { TEXTS = 3000 };
  fake_encoder* encoder = fake_create(&sharing_vtable);
  freshet_embedder* embedder = start(encoder, freshet_embedder_defaults());
  char text[64], *seen = calloc(TEXTS, 1);
  freshet_embedded embedded;
  memset(text, 'x', sizeof text);
  for (uint64_t i = 0; i < TEXTS; i++) {
    freshet_embed_priority priority = i % 5 == 0 ? FRESHET_EMBED_REQUEST : FRESHET_EMBED_BULK;
    assert_true(freshet_embedder_submit(embedder, i, (freshet_slice){text, i % 64}, priority));
  }
  for (int i = 0; i < TEXTS; i++) {
    assert_true(collect_within(embedder, &embedded, PATIENCE_MS));
    assert_int_equal(embedded.status, FRESHET_OK);
    assert_true(embedded.vector[0] == (float)(embedded.id % 64));
    assert_int_equal(embedded.priority, embedded.id % 5 == 0 ? FRESHET_EMBED_REQUEST : FRESHET_EMBED_BULK);
    assert_int_equal(seen[embedded.id]++, 0);
  }
  assert_false(freshet_embedder_collect(embedder, &embedded));
  freshet_embedder_stats stats;
  freshet_embedder_get_stats(embedder, &stats);
  assert_int_equal(stats.submitted, TEXTS);
  assert_int_equal(stats.done, TEXTS);
  assert_int_equal(stats.failed, 0);
  assert_int_equal(stats.waiting[0] + stats.waiting[1], 0);
  freshet_embedder_destroy(embedder);
  freshet_encoder_destroy(&encoder->base);
  free(seen);
}

static void a_request_does_not_wait_behind_bulk(void** state) {
  (void)state;
  fake_encoder* encoder = fake_create(&sharing_vtable);
  atomic_store(&encoder->delay_ms, 2 * PATIENCE_MS); /* bulk hangs; the shared encoder does not */
  freshet_embedder* embedder = start(encoder, freshet_embedder_defaults());
  freshet_embedded embedded;
  for (uint64_t i = 0; i < 50; i++) {
    assert_true(freshet_embedder_submit(embedder, i, freshet_slice_of("bulk"), FRESHET_EMBED_BULK));
  }
  assert_true(freshet_embedder_submit(embedder, 99, freshet_slice_of("request"), FRESHET_EMBED_REQUEST));
  assert_true(collect_within(embedder, &embedded, PATIENCE_MS));
  assert_int_equal(embedded.id, 99);
  assert_false(freshet_embedder_collect(embedder, &embedded));
  freshet_embedder_destroy(embedder); /* interrupts the call that hangs */
  freshet_encoder_destroy(&encoder->base);
}

static void one_lane_takes_requests_first_and_small_batches(void** state) {
  (void)state;
  fake_encoder* encoder = fake_create(&lonely_vtable);
  freshet_embedder_config config = freshet_embedder_defaults();
  config.batch = 4;
  config.cache_bytes = 0;
  atomic_store(&encoder->delay_ms, 20);
  freshet_embedder* embedder = start(encoder, config);
  freshet_embedded embedded;
  int before_request = 0;
  for (uint64_t i = 0; i < 40; i++) {
    assert_true(freshet_embedder_submit(embedder, i, freshet_slice_of("bulk"), FRESHET_EMBED_BULK));
  }
  assert_true(freshet_embedder_submit(embedder, 99, freshet_slice_of("request"), FRESHET_EMBED_REQUEST));
  while (collect_within(embedder, &embedded, PATIENCE_MS) && embedded.id != 99) before_request++;
  assert_true(before_request <= 2 * 4);
  assert_true(atomic_load(&encoder->largest_batch) <= 4);
  freshet_embedder_destroy(embedder);
  freshet_encoder_destroy(&encoder->base);
}

static void bulk_is_tried_again_and_requests_fail_at_once(void** state) {
  (void)state;
  fake_encoder* encoder = fake_create(&lonely_vtable);
  freshet_embedder_config config = freshet_embedder_defaults();
  config.retry_ms = 4;
  config.retry_max_ms = 16;
  atomic_store(&encoder->failures_left, 6);
  freshet_embedder* embedder = start(encoder, config);
  freshet_embedded embedded;
  freshet_embedder_stats stats;
  assert_true(freshet_embedder_submit(embedder, 1, freshet_slice_of("request"), FRESHET_EMBED_REQUEST));
  assert_true(collect_within(embedder, &embedded, PATIENCE_MS));
  assert_int_equal(embedded.status, FRESHET_UNAVAILABLE);
  assert_null(embedded.vector);
  for (uint64_t i = 10; i < 13; i++) {
    assert_true(freshet_embedder_submit(embedder, i, freshet_slice_of("bulk"), FRESHET_EMBED_BULK));
  }
  for (uint64_t i = 0; i < 3; i++) {
    assert_true(collect_within(embedder, &embedded, PATIENCE_MS));
    assert_int_equal(embedded.status, FRESHET_OK);
  }
  freshet_embedder_get_stats(embedder, &stats);
  assert_int_equal(stats.failed, 1);
  assert_int_equal(stats.done, 3);
  assert_int_equal(stats.retries, 5);
  assert_string_equal(stats.last_error, "");
  freshet_embedder_destroy(embedder);
  freshet_encoder_destroy(&encoder->base);
}

static void a_refused_text_does_not_take_others_with_it(void** state) {
  (void)state;
  fake_encoder* encoder = fake_create(&lonely_vtable);
  freshet_embedder* embedder = start(encoder, freshet_embedder_defaults());
  freshet_embedder_stats stats;
  freshet_embedded embedded;
  const char* const texts[] = {"fine", "! bad", "also fine", "! bad too"};
  for (uint64_t i = 0; i < 4; i++) {
    assert_true(freshet_embedder_submit(embedder, i, freshet_slice_of(texts[i]), FRESHET_EMBED_BULK));
  }
  for (int i = 0; i < 4; i++) {
    assert_true(collect_within(embedder, &embedded, PATIENCE_MS));
    assert_int_equal(embedded.status, embedded.id % 2 == 1 ? FRESHET_INVALID : FRESHET_OK);
  }
  freshet_embedder_get_stats(embedder, &stats);
  assert_int_equal(stats.failed, 2);
  freshet_embedder_destroy(embedder);
  freshet_encoder_destroy(&encoder->base);
}

static void known_texts_come_from_the_cache(void** state) {
  (void)state;
  fake_encoder* encoder = fake_create(&lonely_vtable);
  freshet_embedder* embedder = start(encoder, freshet_embedder_defaults());
  freshet_embedded embedded;
  freshet_embedder_stats stats;
  for (uint64_t i = 0; i < 5; i++) {
    assert_true(freshet_embedder_submit(embedder, i, freshet_slice_of("same"), FRESHET_EMBED_BULK));
    assert_true(collect_within(embedder, &embedded, PATIENCE_MS));
    assert_true(embedded.vector[0] == 4);
  }
  freshet_embedder_get_stats(embedder, &stats);
  assert_int_equal(stats.cache_hits, 4);
  assert_int_equal(stats.done, 5);
  assert_int_equal(atomic_load(encoder->calls), 1);
  freshet_embedder_destroy(embedder);
  freshet_encoder_destroy(&encoder->base);
}

static void what_waits_is_bounded_in_texts_and_bytes(void** state) {
  (void)state;
  fake_encoder* encoder = fake_create(&lonely_vtable);
  freshet_embedder_config config = freshet_embedder_defaults();
  config.texts_max = 3;
  config.bytes_max = 100;
  freshet_embedder* embedder = start(encoder, config);
  freshet_embedded embedded;
  char text[90] = {'x'};
  for (uint64_t i = 0; i < 3; i++) {
    assert_true(freshet_embedder_submit(embedder, i, freshet_slice_of("x"), FRESHET_EMBED_BULK));
  }
  assert_false(freshet_embedder_submit(embedder, 3, freshet_slice_of("x"), FRESHET_EMBED_BULK));
  assert_true(freshet_embedder_submit(embedder, 4, freshet_slice_of("x"), FRESHET_EMBED_REQUEST));
  for (int i = 0; i < 4; i++) assert_true(collect_within(embedder, &embedded, PATIENCE_MS));
  assert_true(freshet_embedder_submit(embedder, 5, (freshet_slice){text, sizeof text}, FRESHET_EMBED_BULK));
  assert_false(freshet_embedder_submit(embedder, 6, (freshet_slice){text, sizeof text}, FRESHET_EMBED_BULK));
  assert_true(collect_within(embedder, &embedded, PATIENCE_MS));
  assert_true(freshet_embedder_submit(embedder, 7, (freshet_slice){text, sizeof text}, FRESHET_EMBED_BULK));
  freshet_embedder_destroy(embedder);
  freshet_encoder_destroy(&encoder->base);
}

static void long_texts_are_cut_between_characters(void** state) {
  (void)state;
  fake_encoder* encoder = fake_create(&lonely_vtable);
  freshet_embedder* embedder = start(encoder, freshet_embedder_defaults());
  freshet_embedded embedded;
  size_t size = 3 * FRESHET_EMBEDDER_TEXT_MAX;
  char* text = malloc(size);
  for (size_t i = 0; i < size; i++) text[i] = "\xe5\x8d\xa7"[i % 3]; /* three bytes a character */
  assert_true(freshet_embedder_submit(embedder, 1, (freshet_slice){text, size}, FRESHET_EMBED_BULK));
  assert_true(collect_within(embedder, &embedded, PATIENCE_MS));
  assert_true(embedded.vector[0] == (float)(FRESHET_EMBEDDER_TEXT_MAX / 3 * 3));
  freshet_embedder_destroy(embedder);
  freshet_encoder_destroy(&encoder->base);
  free(text);
}

static void count_wakes(void* context) {
  atomic_fetch_add((atomic_int*)context, 1);
}

static void the_caller_is_told_when_something_is_ready(void** state) {
  (void)state;
  atomic_int wakes = 0;
  fake_encoder* encoder = fake_create(&sharing_vtable);
  freshet_embedder_config config = freshet_embedder_defaults();
  config.ready = count_wakes;
  config.context = &wakes;
  freshet_embedder* embedder = start(encoder, config);
  freshet_embedded embedded;
  assert_true(freshet_embedder_submit(embedder, 1, freshet_slice_of("x"), FRESHET_EMBED_REQUEST));
  for (int i = 0; i < PATIENCE_MS && atomic_load(&wakes) == 0; i++) usleep(1000);
  assert_int_equal(atomic_load(&wakes), 1);
  assert_true(freshet_embedder_collect(embedder, &embedded));
  freshet_embedder_destroy(embedder);
  config.batch = 0;
  config.encoder = &encoder->base;
  assert_int_equal(freshet_embedder_create(&config, &embedder, NULL), FRESHET_INVALID);
  freshet_encoder_destroy(&encoder->base);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_text_is_collected_once),
      cmocka_unit_test(a_request_does_not_wait_behind_bulk),
      cmocka_unit_test(one_lane_takes_requests_first_and_small_batches),
      cmocka_unit_test(bulk_is_tried_again_and_requests_fail_at_once),
      cmocka_unit_test(a_refused_text_does_not_take_others_with_it),
      cmocka_unit_test(known_texts_come_from_the_cache),
      cmocka_unit_test(what_waits_is_bounded_in_texts_and_bytes),
      cmocka_unit_test(long_texts_are_cut_between_characters),
      cmocka_unit_test(the_caller_is_told_when_something_is_ready),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
