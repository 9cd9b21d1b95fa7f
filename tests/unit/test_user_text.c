/* The text of a user's history: what it does to rankings, and that learning knows nothing of it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/maths.h"
#include "freshet/model.h"

enum { DIM = 16, TEXT_DIM = 24, ITEMS = 40 };

static const int64_t now_ms = 1700000000000;

static void text_of(uint32_t item, float* vector) {
  for (uint32_t k = 0; k < TEXT_DIM; k++) vector[k] = freshet_gauss(freshet_random(item, k));
}

/* Item ITEMS - 1 has no text. */
static freshet_model* create(freshet_user_text_use use) {
  freshet_model_config config = freshet_model_defaults();
  freshet_model* model;
  config.dim = DIM;
  config.text_dim = TEXT_DIM;
  config.user_texts = use;
  assert_int_equal(freshet_model_create(&config, &model, NULL), FRESHET_OK);
  for (uint32_t i = 0; i < ITEMS; i++) {
    char id[8];
    uint32_t slot;
    float vector[TEXT_DIM];
    snprintf(id, sizeof id, "i%u", i);
    assert_int_equal(freshet_model_intern(model, freshet_slice_of(id), &slot, NULL), FRESHET_OK);
    freshet_model_set_listed(model, slot, true);
    text_of(i, vector);
    if (i < ITEMS - 1) assert_int_equal(freshet_model_set_text(model, slot, vector, NULL, NULL), FRESHET_OK);
  }
  return model;
}

static void choose(freshet_model* model, freshet_user* user, uint32_t item) {
  const freshet_observation seen = {item, true, 0, 1, now_ms, 0, false};
  assert_int_equal(freshet_model_learn(model, user, &seen, NULL), FRESHET_OK);
}

static void score(freshet_model* model, const freshet_user* user, float scores[ITEMS]) {
  freshet_model_scratch* scratch = freshet_model_scratch_create(model);
  freshet_rank_query query = {0};
  assert_int_equal(freshet_model_sync_ranker(model, NULL, NULL), FRESHET_OK);
  freshet_model_query(model, user, now_ms, scratch, &query);
  freshet_model_score_all(model, &query, scores);
  freshet_model_scratch_destroy(scratch);
}

/* The parts of a score sum to it. */
static void check_parts(const freshet_model* model, const freshet_user* user, const float scores[ITEMS]) {
  freshet_model_scratch* scratch = freshet_model_scratch_create(model);
  for (uint32_t i = 0; i < ITEMS; i++) {
    freshet_part parts[FRESHET_PARTS_MAX];
    size_t count = freshet_model_explain(model, user, now_ms, i, scratch, parts);
    float sum = 0;
    for (size_t p = 0; p < count; p++) sum += parts[p].score;
    assert_float_equal(sum, scores[i], 1e-4);
  }
  freshet_model_scratch_destroy(scratch);
}

/* By what the scores of the items differ from those without a text, which is weight * theta6 * (v . z): the
 * weight times theta6. Fails when another vector than z explains them. */
static float weight_of(freshet_model* model, const freshet_user* user, const float z[DIM]) {
  freshet_model* plain = create(FRESHET_USER_TEXT_OFF);
  float with[ITEMS], without[ITEMS];
  freshet_user* same = freshet_user_create(plain);
  for (uint32_t k = user->recent_count; k-- > 0;) choose(plain, same, user->recent[k].item);
  score(model, user, with);
  score(plain, same, without);
  check_parts(model, user, with);
  /* Least squares over the items that have been chosen, whose v is at hand; */
  double above = 0, below = 0, squares = 0;
  for (uint32_t i = 0; i < ITEMS; i++) {
    const float* v = freshet_model_learned_factors(model, i);
    if (v == NULL) continue;
    double dot = 0, gain = (double)with[i] - (double)without[i];
    for (int d = 0; d < DIM; d++) dot += (double)v[d] * (double)z[d];
    above += dot * gain;
    below += dot * dot;
    squares += gain * gain;
  }
  assert_true(squares - above * above / below < 1e-5 * squares + 1e-9);
  freshet_user_destroy(same);
  freshet_model_destroy(plain);
  return (float)(above / below);
}

static void mean_start(const freshet_model* model, const freshet_user* user, float z[DIM]) {
  uint32_t count = 0;
  memset(z, 0, DIM * sizeof *z);
  for (uint32_t k = 0; k < user->recent_count; k++) {
    const float* start = freshet_model_start(model, user->recent[k].item, (float[DIM]){0});
    if (start == NULL) continue;
    count++;
    for (int d = 0; d < DIM; d++) z[d] += start[d];
  }
  for (int d = 0; d < DIM; d++) z[d] /= (float)count;
}

static void the_mean_of_its_texts_leads_a_cold_user(void** state) {
  (void)state;
  float z[DIM], last = 1.1F;
  freshet_model* model = create(FRESHET_USER_TEXT_POOLED);
  freshet_user* user = freshet_user_create(model);
  choose(model, user, ITEMS - 1); /* has no text, and does not thin out the mean */
  for (uint32_t n = 1; n < FRESHET_USER_TEXT_EVENTS - 1; n++) {
    choose(model, user, n);
    mean_start(model, user, z);
    float weight = weight_of(model, user, z);
    assert_true(weight > .02F && weight < last);
    last = weight;
  }
  choose(model, user, 30);
  mean_start(model, user, z);
  assert_float_equal(weight_of(model, user, z), 0, 1e-5);
  freshet_user_destroy(user);
  freshet_model_destroy(model);
}

static void an_encoded_text_leads_a_cold_user(void** state) {
  (void)state;
  const float unfit[TEXT_DIM] = {NAN};
  float vector[TEXT_DIM], given[DIM];
  freshet_model* model = create(FRESHET_USER_TEXT_ENCODED);
  freshet_user* user = freshet_user_create(model);
  assert_false(freshet_user_wants_text(model, user)); /* of nothing */
  choose(model, user, 1);
  choose(model, user, 2);
  assert_true(freshet_user_wants_text(model, user));
  mean_start(model, user, given);
  assert_float_equal(weight_of(model, user, given), 0, 1e-5); /* not there yet */

  text_of(7, vector);
  freshet_user_set_text(user, model, vector, NULL); /* its place is that of an item with this text */
  float early = weight_of(model, user, freshet_model_start(model, 7, (float[DIM]){0}));
  assert_true(early > .5F);
  freshet_user_set_text(user, model, unfit, NULL);
  assert_float_equal(weight_of(model, user, freshet_model_start(model, 7, (float[DIM]){0})), early, 1e-5);
  for (int d = 0; d < DIM; d++) given[d] = (float)(d + 1) / DIM;
  freshet_user_set_text(user, model, NULL, given);
  assert_float_equal(weight_of(model, user, given), early, .01);

  for (uint32_t n = 3; n <= FRESHET_USER_TEXT_EVENTS; n++) choose(model, user, n);
  assert_false(freshet_user_wants_text(model, user));
  assert_float_equal(weight_of(model, user, given), 0, 1e-5);
  freshet_user_destroy(user);
  freshet_model_destroy(model);
}

static void learning_is_the_same_with_and_without(void** state) {
  (void)state;
  uint64_t hashes[3];
  float vectors[3][DIM], vector[TEXT_DIM];
  for (int use = 0; use < 3; use++) {
    freshet_model* model = create((freshet_user_text_use)use);
    freshet_user* user = freshet_user_create(model);
    for (uint32_t n = 0; n < 20; n++) {
      text_of(n, vector);
      freshet_user_set_text(user, model, vector, NULL);
      choose(model, user, n);
    }
    hashes[use] = freshet_model_hash(model);
    memcpy(vectors[use], user->vector, sizeof vectors[use]);
    freshet_user_destroy(user);
    freshet_model_destroy(model);
  }
  for (int use = 1; use < 3; use++) {
    assert_true(hashes[use] == hashes[0]);
    assert_memory_equal(vectors[use], vectors[0], sizeof vectors[0]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_mean_of_its_texts_leads_a_cold_user),
      cmocka_unit_test(an_encoded_text_leads_a_cold_user),
      cmocka_unit_test(learning_is_the_same_with_and_without),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
