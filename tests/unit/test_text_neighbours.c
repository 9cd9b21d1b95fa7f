/* Nearest items by text, found for many at once or one by one, against a comparison of all with all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/maths.h"
#include "freshet/model.h"

enum { DIM = 16, TEXT_DIM = 80, ITEMS = 333, K = FRESHET_TEXT_NEIGHBOURS };

static void set_text(freshet_model* model, uint32_t slot, uint64_t seed) {
  float vector[TEXT_DIM];
  for (uint64_t k = 0; k < TEXT_DIM; k++) {
    vector[k] = freshet_gauss(freshet_random(slot / 30, k)) +
                freshet_gauss(freshet_random(seed * ITEMS + slot + 1000, k));
  }
  assert_int_equal(freshet_model_set_text(model, slot, vector, NULL, NULL), FRESHET_OK);
}

static freshet_model* create_with(bool links_apart) {
  freshet_model_config config = freshet_model_defaults();
  freshet_model* model;
  config.dim = DIM;
  config.text_dim = TEXT_DIM;
  config.links_apart = links_apart;
  assert_int_equal(freshet_model_create(&config, &model, NULL), FRESHET_OK);
  for (uint32_t i = 0; i < ITEMS; i++) {
    char id[16];
    uint32_t slot;
    snprintf(id, sizeof id, "i%u", i);
    assert_int_equal(freshet_model_intern(model, freshet_slice_of(id), &slot, NULL), FRESHET_OK);
  }
  return model;
}

static freshet_model* create(void) {
  return create_with(false);
}

/* As many items as the list has room for, none twice, and none left out that is nearer than the farthest: by more than
 * what a list rounds cosines to. */
static void check_list(freshet_model* model, uint32_t slot) {
  uint32_t near[K];
  bool listed[ITEMS] = {false};
  float farthest = 2;
  assert_int_equal(freshet_model_text_neighbours(model, slot, near), K);
  for (int i = 0; i < K; i++) {
    assert_false(listed[near[i]]);
    listed[near[i]] = true;
    float cosine = freshet_model_text_likeness(model, slot, near[i]);
    farthest = cosine < farthest ? cosine : farthest;
  }
  assert_false(listed[slot]);
  for (uint32_t i = 0; i < ITEMS; i++) {
    if (i != slot && !listed[i])
      assert_true(freshet_model_text_likeness(model, slot, i) <= farthest + 0x1p-16F);
  }
}

static void lists_hold_the_nearest(void** state) {
  (void)state;
  for (uint32_t at_once = 1; at_once <= ITEMS; at_once = at_once * 3 + 1) {
    uint32_t near[K];
    freshet_model* model = create();
    for (uint32_t i = 0; i < ITEMS; i++) {
      set_text(model, i * 7 % ITEMS, 0); /* not in the order of slots */
      if ((i + 1) % at_once == 0) freshet_model_text_neighbours(model, 0, near);
    }
    for (uint32_t i = 0; i < ITEMS; i++) check_list(model, i);
    freshet_model_destroy(model);
  }
}

/* Texts that change, or go, before anybody has asked. */
static void what_changes_meanwhile_is_found_as_it_is(void** state) {
  (void)state;
  uint32_t near[K];
  freshet_model* model = create();
  for (uint32_t i = 0; i < ITEMS; i++) set_text(model, i, 1);
  for (uint32_t i = 0; i < ITEMS; i += 2) set_text(model, i, 0);
  assert_int_equal(freshet_model_set_text(model, 5, NULL, NULL, NULL), FRESHET_OK);
  for (uint32_t i = 0; i < ITEMS; i++) {
    if (i != 5) check_list(model, i);
  }
  assert_int_equal(freshet_model_text_neighbours(model, 5, near), 0);
  set_text(model, 5, 0);
  check_list(model, 5);
  freshet_model_destroy(model);
}

/* Nobody looks for neighbours but who is asked to, a piece at a time; texts come, and come again, between the
 * pieces. */
static void pieces_find_the_same(void** state) {
  (void)state;
  uint32_t near[K];
  freshet_model* model = create_with(true);
  for (uint32_t i = 0; i < ITEMS / 2; i++) set_text(model, i, 0);
  assert_int_equal(freshet_model_text_neighbours(model, 0, near), 0);
  assert_int_equal(freshet_model_unlinked(model), ITEMS / 2);
  for (uint32_t i = ITEMS / 2; i < ITEMS; i++) {
    freshet_model_link_texts(model, 1); /* a tile, of three */
    set_text(model, i, 0);
    set_text(model, i - 2, 0); /* of a block that is half compared, and done, as it happens */
  }
  assert_true(freshet_model_unlinked(model) > 0);
  for (uint32_t i = 0; i < ITEMS / 2; i++) {
    set_text(model, i, 0);
    if (i % 7 == 0) freshet_model_link_texts(model, 1);
  }
  size_t left = freshet_model_unlinked(model), pieces = 0;
  while (left > 0) {
    size_t now = freshet_model_link_texts(model, 1);
    assert_true(now <= left);
    left = now;
    pieces++;
  }
  assert_true(pieces > 3);
  for (uint32_t i = 0; i < ITEMS; i++) check_list(model, i);
  freshet_model_destroy(model);
}

/* The text of an item that is half compared with the others: with some by its old vector. */
static void what_changes_between_pieces_is_found_as_it_is(void** state) {
  (void)state;
  freshet_model* model = create_with(true);
  for (uint32_t i = 0; i < ITEMS; i++) set_text(model, i, 0);
  freshet_model_link_texts(model, SIZE_MAX);
  for (uint64_t seed = 1; seed < 4; seed++) {
    for (uint32_t slot = 7; slot < 10; slot++) set_text(model, slot, seed);
    if (seed < 3)
      freshet_model_link_texts(model, 1); /* then the three are a block, a third of which is done */
  }
  assert_true(freshet_model_unlinked(model) >
              3 + 3); /* the block that nobody is in any more, they, and holes */
  freshet_model_link_texts(model, SIZE_MAX);
  for (uint32_t i = 0; i < ITEMS; i++) check_list(model, i); /* they are in others' lists no more */
  for (uint32_t slot = 7; slot < 10; slot++) {
    for (uint32_t i = 0, found = 0; i < ITEMS; i++, found = 0) {
      uint32_t near[K];
      size_t count = freshet_model_text_neighbours(model, i, near);
      for (size_t n = 0; n < count; n++) found += near[n] == slot;
      assert_true(found <= 1);
    }
  }
  freshet_model_destroy(model);
}

/* Texts change while a list that they left is being filled up again, and so does the text of that list. */
static void holes_are_filled_up(void** state) {
  (void)state;
  for (uint32_t pieces = 1; pieces < 5; pieces++) {
    freshet_model* model = create_with(true);
    freshet_buffer row = {0};
    for (uint32_t i = 0; i < ITEMS; i++) set_text(model, i, 0);
    freshet_model_link_texts(model, SIZE_MAX);
    for (uint64_t seed = 1; seed < 20; seed++) {
      set_text(model, (uint32_t)(seed * 31 % ITEMS), seed);
      set_text(model, (uint32_t)(seed % 30), seed);
      for (uint32_t p = 0; p < pieces; p++) freshet_model_link_texts(model, 1);
    }
    uint32_t holed = 0;
    for (uint32_t i = 0; i < ITEMS; i++) holed += !freshet_model_write_links(model, i, &row);
    assert_in_range(holed, 1, freshet_model_unlinked(model));
    assert_int_equal(freshet_model_link_texts(model, SIZE_MAX), 0);
    for (uint32_t i = 0; i < ITEMS; i++) check_list(model, i);
    freshet_buffer_free(&row);
    freshet_model_destroy(model);
  }
}

/* Rows of a model of before, whose slots lie otherwise: one text has changed since, one has come, one has
 * gone. */
static void rows_spare_a_restart_the_comparison(void** state) {
  (void)state;
  enum { GONE = 30, CHANGED = 40, NEW = 50 };
  freshet_model *before = create_with(true), *after = create_with(true);
  freshet_buffer rows[ITEMS] = {{0}};
  for (uint32_t i = 0; i < ITEMS; i++) {
    if (i != NEW) set_text(before, i, 0);
    if (i != GONE) set_text(after, i, i == CHANGED ? 3 : 0);
  }
  assert_false(freshet_model_write_links(before, 0, &rows[0]));
  freshet_model_link_texts(before, SIZE_MAX);
  for (uint32_t i = 0; i < ITEMS; i++) {
    assert_true(freshet_model_write_links(before, i, &rows[i]) == (i != NEW));
    freshet_model_read_links(after, i, freshet_buffer_slice(&rows[i]));
  }
  for (size_t size = 0; size < rows[0].size; size++) /* broken ones, of another */
    freshet_model_read_links(after, NEW, (freshet_slice){(const char*)rows[0].data, size});
  freshet_model_keep_links(after);
  assert_true(freshet_model_unlinked(after) > 2);         /* NEW, CHANGED and the holes they and GONE leave */
  assert_true(freshet_model_unlinked(after) < ITEMS / 2); /* but no others */
  for (uint32_t i = 0; i < ITEMS; i++) {
    uint32_t old[K], now[K];
    size_t old_count = freshet_model_text_neighbours(before, i, old), kept = 0;
    size_t count = freshet_model_text_neighbours(after, i, now);
    if (i == NEW || i == CHANGED || i == GONE) old_count = 0;
    for (size_t n = 0; n < old_count; n++) {
      if (old[n] == CHANGED || old[n] == GONE) continue;
      assert_true(kept < count && now[kept] == old[n]); /* in the same order */
      kept++;
    }
    assert_int_equal(kept, count);
  }
  freshet_model_link_texts(after, SIZE_MAX);
  for (uint32_t i = 0; i < ITEMS; i++) {
    if (i != GONE) check_list(after, i);
  }
  for (uint32_t i = 0; i < ITEMS; i++) freshet_buffer_free(&rows[i]);
  freshet_model_destroy(before);
  freshet_model_destroy(after);
}

/* What is done is served before all is: lists hold the nearest among those that are done, the newest
 * first. */
static void the_newest_text_comes_first(void** state) {
  (void)state;
  uint32_t near[K];
  freshet_model* model = create_with(true);
  for (uint32_t i = 0; i < ITEMS - 1; i++) set_text(model, i, 0);
  while (freshet_model_unlinked(model) > ITEMS / 2) freshet_model_link_texts(model, 1);
  set_text(model, ITEMS - 1, 0);
  size_t left = freshet_model_unlinked(model);
  while (freshet_model_unlinked(model) > left - 40) freshet_model_link_texts(model, 1);
  assert_true(freshet_model_text_neighbours(model, ITEMS - 1, near) > 0);
  assert_int_equal(freshet_model_text_neighbours(model, 0, near), 0);
  freshet_model_destroy(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_hold_the_nearest),
      cmocka_unit_test(what_changes_meanwhile_is_found_as_it_is),
      cmocka_unit_test(pieces_find_the_same),
      cmocka_unit_test(what_changes_between_pieces_is_found_as_it_is),
      cmocka_unit_test(holes_are_filled_up),
      cmocka_unit_test(the_newest_text_comes_first),
      cmocka_unit_test(rows_spare_a_restart_the_comparison),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
