/*
 * The facts about app generations, as a compacted topic gives them: of each key only the newest record may be left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stream/serving.h"

static freshet_codec* codec;

static void tell(freshet_serving* serving, freshet_serving_key kind,
                 const freshet_app_generation_fact* fact) {
  char key[FRESHET_SERVING_KEY_SIZE];
  freshet_buffer bytes = {0};
  freshet_output output;
  assert_int_equal(freshet_serving_record(codec, kind, fact, false, key, &bytes, &output, NULL), FRESHET_OK);
  const freshet_record record = {
      .topic = output.topic, .key = output.key, .has_key = true, .value = output.value, .has_value = true};
  assert_int_equal(freshet_serving_apply(serving, codec, &record, NULL), FRESHET_OK);
  freshet_buffer_free(&bytes);
}

static freshet_app_generation_fact fact_of(const char* generation, int64_t number, int64_t offset,
                                           int64_t learned) {
  return (freshet_app_generation_fact){
      .generation = freshet_slice_of(generation), .number = number, .offset = offset, .learned = learned};
}

static void tell_switch(freshet_serving* serving, int64_t number) {
  freshet_app_generation_fact fact = fact_of("shop", number, -1, -1);
  fact.previous = freshet_slice_of("shop.g2");
  fact.partition = -1;
  tell(serving, FRESHET_SERVING_SWITCH, &fact);
}

/* shop.g2 lets go at switch 6. Then a worker of shop that was paused lets go at switch 3. */
static void tell_all(freshet_serving* serving) {
  const freshet_app_generation_fact requests = fact_of("shop.g2", 6, 9, -1);
  const freshet_app_generation_fact release = fact_of("shop.g2", 6, 4, 2);
  const freshet_app_generation_fact late = fact_of("shop", 3, 1, 1);
  tell_switch(serving, 6);
  tell(serving, FRESHET_SERVING_REQUESTS, &requests);
  tell(serving, FRESHET_SERVING_RELEASED, &release);
  assert_false(freshet_serving_is_hidden(serving, 0));
  tell(serving, FRESHET_SERVING_RELEASED, &late);
}

static void a_late_release_hides_the_last_one(void** state) {
  (void)state;
  freshet_serving old = {.own = "shop.g2", .base = "shop"}, next = {.own = "shop", .base = "shop"};
  tell_all(&old);
  tell_all(&next);
  assert_true(freshet_serving_is_hidden(&old, 0));
  assert_false(freshet_serving_is_hidden(&old, 1));
  assert_false(freshet_serving_is_hidden(&next, 0)); /* it is not its release */
  assert_true(freshet_serving_may_take(&next, 0, 4));
  freshet_serving_reset(&old);
  freshet_serving_reset(&next);
}

/* It begins when the cleaner has left only the late one. */
static void a_reader_that_starts_later_knows_the_release_that_is_written_again(void** state) {
  (void)state;
  freshet_serving old = {.own = "shop.g2", .base = "shop"}, fresh = {.own = "shop", .base = "shop"};
  const freshet_app_generation_fact late = fact_of("shop", 3, 1, 1);
  tell_all(&old);
  const freshet_app_generation_fact requests = freshet_serving_answered_again(&old, 0);
  const freshet_app_generation_fact release = freshet_serving_release_again(&old, 0);
  assert_false(freshet_serving_is_hidden(&old, 0));
  tell_switch(&fresh, 6);
  tell(&fresh, FRESHET_SERVING_RELEASED, &late);
  assert_false(freshet_serving_may_take(&fresh, 0, 4));
  tell(&fresh, FRESHET_SERVING_REQUESTS, &requests);
  tell(&fresh, FRESHET_SERVING_RELEASED, &release);
  assert_false(freshet_serving_may_take(&fresh, 0, 3));
  assert_true(freshet_serving_may_take(&fresh, 0, 4));
  assert_int_equal(freshet_serving_of(&fresh, 0).learned, 2);
  assert_int_equal(freshet_serving_next_request(&fresh, 0), 9);
  freshet_serving_reset(&old);
  freshet_serving_reset(&fresh);
}

static int set_up(void** state) {
  (void)state;
  const freshet_codec_config config = {.output = FRESHET_FRAMING_SINGLE_OBJECT};
  return freshet_codec_create(&config, &codec, NULL) == FRESHET_OK ? 0 : -1;
}

static int tear_down(void** state) {
  (void)state;
  freshet_codec_destroy(codec);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_late_release_hides_the_last_one),
      cmocka_unit_test(a_reader_that_starts_later_knows_the_release_that_is_written_again),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
