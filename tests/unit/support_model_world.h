/*
 * support_model_world.h: a model with listed items "item 0", "item 1", ... and some users, for tests of the model. The test
 * names the sizes, ITEMS and USERS, before it includes this file, after cmocka.h. It owns what free_world frees.
 */
#ifndef FRESHET_TESTS_SUPPORT_MODEL_WORLD_H
#define FRESHET_TESTS_SUPPORT_MODEL_WORLD_H

#include <stdio.h>

#include "freshet/model.h"

typedef struct world {
  freshet_model* model;
  freshet_model_scratch* scratch;
  freshet_user* users[USERS];
} world;

static inline freshet_model* make_model_of(const freshet_model_config* config) {
  freshet_model* model;
  assert_int_equal(freshet_model_create(config, &model, NULL), FRESHET_OK);
  for (uint32_t i = 0; i < ITEMS; i++) {
    char id[16];
    uint32_t slot;
    snprintf(id, sizeof id, "item %u", i);
    assert_int_equal(freshet_model_intern(model, freshet_slice_of(id), &slot, NULL), FRESHET_OK);
    freshet_model_set_listed(model, slot, true);
  }
  return model;
}

static inline freshet_model* make_model(void) {
  const freshet_model_config config = freshet_model_defaults();
  return make_model_of(&config);
}

static inline world make_world_of(const freshet_model_config* config) {
  world w = {.model = make_model_of(config)};
  w.scratch = freshet_model_scratch_create(w.model);
  for (int u = 0; u < USERS; u++) w.users[u] = freshet_user_create(w.model);
  return w;
}

static inline world make_world(void) {
  const freshet_model_config config = freshet_model_defaults();
  return make_world_of(&config);
}

static inline void free_world(world* w) {
  for (int u = 0; u < USERS; u++) freshet_user_destroy(w->users[u]);
  freshet_model_scratch_destroy(w->scratch);
  freshet_model_destroy(w->model);
}

#endif
