/*
 * Text vectors of items: encoded once, published, found again; and the change of the encoder as a migration.
 * The log is what the sink was given: it is read back as a worker would read it.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "catalogue/item_text.h"
#include "catalogue/texts.h"
#include "support/memory_store.h"

enum { DIM = 16, LOG_MAX = 4096, ITEM_PARTITIONS = 2, SLICE_US = 3000 };

/* ---- a log, a clock, an encoder that counts ---- */

typedef struct entry {
  bool has_value;
  freshet_buffer key, value;
} entry;

typedef struct world {
  freshet_sink sink;
  freshet_clock clock;
  entry log[LOG_MAX];
  size_t logged, read; /* read: by the worker of now */
  int64_t now_ms;
  int64_t step_ms; /* that each look at the clock takes */
  freshet_store* store;
  freshet_codec* codec;
  freshet_worker_metrics metrics;
  /* one worker */
  freshet_ports ports;
  freshet_text_generations generations;
  freshet_model* model;
  freshet_texts* texts;
  freshet_outbox* outbox;
  freshet_buffer bytes;
} world;

static world* w; /* of the test that runs */
static size_t encoded;

typedef struct counting_encoder {
  freshet_encoder base;
  freshet_encoder* inner;
} counting_encoder;

static freshet_status count_and_encode(freshet_encoder* self, const freshet_slice* texts, size_t count,
                                       float* out, freshet_error* error) {
  encoded += count;
  return freshet_encode(((counting_encoder*)self)->inner, texts, count, out, error);
}

static void destroy_encoder(freshet_encoder* self) {
  freshet_encoder_destroy(((counting_encoder*)self)->inner);
  free(self);
}

static freshet_encoder* make_encoder(uint32_t dim) {
  static const freshet_encoder_vtable vtable = {.encode = count_and_encode, .destroy = destroy_encoder};
  counting_encoder* encoder = calloc(1, sizeof *encoder);
  assert_int_equal(freshet_encoder_hashing_create(dim, &encoder->inner, NULL), FRESHET_OK);
  encoder->base = *encoder->inner;
  encoder->base.vtable = &vtable;
  return &encoder->base;
}

static freshet_status sink_write(freshet_sink* self, const freshet_output* output, freshet_error* error) {
  (void)self;
  (void)error;
  assert_true(w->logged < LOG_MAX);
  entry* e = &w->log[w->logged++];
  e->has_value = output->has_value;
  freshet_buffer_append(&e->key, output->key.data, output->key.size);
  freshet_buffer_append(&e->value, output->value.data, output->value.size);
  return FRESHET_OK;
}

static freshet_status sink_begin(freshet_sink* self, freshet_error* error) {
  (void)self;
  (void)error;
  return FRESHET_OK;
}

static freshet_status sink_commit(freshet_sink* self, const freshet_partition* offsets, size_t count,
                                  freshet_error* error) {
  (void)self;
  (void)offsets;
  (void)count;
  (void)error;
  return FRESHET_OK;
}

static freshet_status sink_outcome(freshet_sink* self, int wait_ms, freshet_error* error) {
  (void)self;
  (void)wait_ms;
  (void)error;
  return FRESHET_OK;
}

static int64_t now_ms(freshet_clock* self) {
  (void)self;
  return w->now_ms;
}

static int64_t now_us(freshet_clock* self) {
  (void)self;
  w->now_ms += w->step_ms;
  return w->now_ms * 1000;
}

static int set_up(void** state) {
  static const freshet_sink_vtable vtable = {
      .begin = sink_begin, .write = sink_write, .commit = sink_commit, .outcome = sink_outcome};
  (void)state;
  w = calloc(1, sizeof *w);
  w->sink.vtable = &vtable;
  w->clock.now_ms = now_ms;
  w->clock.monotonic_us = now_us;
  w->store = freshet_memory_store_create();
  const freshet_codec_config config = {.output = FRESHET_FRAMING_SINGLE_OBJECT};
  return freshet_codec_create(&config, &w->codec, NULL) == FRESHET_OK ? 0 : -1;
}

static int tear_down(void** state) {
  (void)state;
  for (size_t i = 0; i < w->logged; i++) {
    freshet_buffer_free(&w->log[i].key);
    freshet_buffer_free(&w->log[i].value);
  }
  freshet_store_destroy(w->store);
  freshet_codec_destroy(w->codec);
  freshet_buffer_free(&w->bytes);
  free(w);
  return 0;
}

/* ---- a worker's share in it ---- */

static bool announce_row(void* context, freshet_slice key, freshet_slice value) {
  (void)context;
  (void)key;
  freshet_item item;
  uint32_t slot;
  freshet_slice record = {value.data + sizeof(int32_t), value.size - sizeof(int32_t)};
  assert_int_equal(freshet_decode_item(w->codec, record, &item, NULL), FRESHET_OK);
  assert_int_equal(freshet_model_intern(w->model, item.item_id, &slot, NULL), FRESHET_OK);
  freshet_model_set_listed(w->model, slot, true);
  assert_int_equal(freshet_texts_announced(w->texts, slot, 0, &item, NULL), FRESHET_OK);
  return true;
}

static void read_log(void) {
  freshet_error error = {0};
  for (; w->read < w->logged; w->read++) {
    const entry* e = &w->log[w->read];
    const freshet_record record = {.topic = FRESHET_TOPIC_ITEM_STATES,
                                   .has_key = true,
                                   .key = freshet_buffer_slice(&e->key),
                                   .has_value = e->has_value,
                                   .value = freshet_buffer_slice(&e->value)};
    bool is_ours = false;
    assert_int_equal(freshet_texts_apply(w->texts, &record, &is_ours, &error), FRESHET_OK);
    assert_true(is_ours);
  }
  assert_int_equal(freshet_store_write(w->store, NULL), FRESHET_OK);
}

static void start(freshet_encoder* encoder, freshet_embedder* embedder) {
  const freshet_stream_config config = {
      .model = {.dim = DIM}, .text_interval_ms = 1000, .text_batch = 8, .text_cutover_coverage = .9};
  w->outbox = freshet_outbox_create(&w->sink, FRESHET_DELIVERY_FAST);
  w->ports = (freshet_ports){.outbox = w->outbox,
                             .store = w->store,
                             .clock = &w->clock,
                             .codec = w->codec,
                             .encoder = encoder,
                             .embedder = embedder,
                             .metrics = &w->metrics};
  freshet_error error = {0};
  assert_int_equal(freshet_text_generations_load(&w->generations, &w->ports, &error), FRESHET_OK);
  freshet_model_config model = freshet_model_defaults();
  model.dim = DIM;
  model.text_dim = w->generations.serving.dim;
  assert_int_equal(freshet_model_create(&model, &w->model, &error), FRESHET_OK);
  w->texts = freshet_texts_create(&config, &w->ports, &w->generations, w->model);
  assert_int_equal(freshet_store_scan(w->store, FRESHET_FAMILY_CATALOGUE, 0, (freshet_slice){NULL, 0},
                                      announce_row, NULL, NULL),
                   FRESHET_OK);
  assert_int_equal(freshet_texts_load(w->texts, &error), FRESHET_OK);
  read_log();
}

static void stop(void) {
  freshet_texts_destroy(w->texts);
  freshet_outbox_destroy(w->outbox);
  freshet_model_destroy(w->model);
}

static void turn(void) {
  static const bool owned[ITEM_PARTITIONS] = {true, false};
  freshet_error error = {0};
  w->now_ms += 1000;
  assert_int_equal(freshet_texts_turn(w->texts, owned, ITEM_PARTITIONS, SLICE_US, &error), FRESHET_OK);
}

/* A commit: what waits goes into the log, and comes back from there. */
static void commit(void) {
  assert_int_equal(freshet_outbox_start_commit(w->outbox, NULL, 0, NULL), FRESHET_OK);
  assert_int_equal(freshet_outbox_outcome(w->outbox, 0, NULL), FRESHET_OK);
  assert_int_equal(freshet_outbox_kept(w->outbox), 0);
  read_log();
}

static void restart(freshet_encoder* encoder) {
  stop();
  start(encoder, NULL);
}

static uint32_t announce(int number, const char* text, const float* vector, size_t dim) {
  char id[16];
  uint32_t slot;
  int32_t partition = number < 0 ? 1 : 0; /* of another worker */
  snprintf(id, sizeof id, "i%d", number);
  freshet_item item = {
      .item_id = freshet_slice_of(id), .title = freshet_slice_of(text), .vector = vector, .vector_dim = dim};
  w->bytes.size = 0;
  freshet_buffer_append(&w->bytes, &partition, sizeof partition);
  assert_int_equal(freshet_encode_item(w->codec, &item, &w->bytes, NULL), FRESHET_OK);
  freshet_store_put(w->store, FRESHET_FAMILY_CATALOGUE, 0, item.item_id, freshet_buffer_slice(&w->bytes));
  assert_int_equal(freshet_model_intern(w->model, item.item_id, &slot, NULL), FRESHET_OK);
  freshet_model_set_listed(w->model, slot, true);
  assert_int_equal(freshet_texts_announced(w->texts, slot, partition, &item, NULL), FRESHET_OK);
  return slot;
}

static uint32_t slot_of(int number) {
  char id[16];
  snprintf(id, sizeof id, "i%d", number);
  return freshet_model_find(w->model, freshet_slice_of(id));
}

static void assert_serves(const freshet_encoder* encoder, int64_t switches) {
  assert_string_equal(w->generations.serving.name, encoder->name);
  assert_int_equal(w->generations.switches, switches);
  assert_true(w->generations.recorded);
}

static bool has_row(const freshet_encoder* encoder, int number) {
  char id[16];
  snprintf(id, sizeof id, "i%d", number);
  freshet_text_generation generation =
      freshet_text_generation_of(freshet_slice_of(encoder->name), encoder->dim);
  w->bytes.size = 0;
  return freshet_store_get(w->store, FRESHET_FAMILY_ITEMS, generation.tag, freshet_slice_of(id), &w->bytes,
                           NULL) == FRESHET_OK;
}

/* ---- tests ---- */

static const char* const titles[] = {
    "red wooden train", "blue wooden train", "green wooden tram", "tea pot of glass", "tea cup of glass",
    "garden chair",     "garden table",      "garden bench",      "steel ruler",      "steel hammer"};
enum { ITEMS = sizeof titles / sizeof titles[0] };

static void announce_all(void) {
  for (int i = 0; i < ITEMS; i++) announce(i, titles[i], NULL, 0);
}

static void a_text_is_encoded_once_by_its_owner(void** state) {
  (void)state;
  freshet_encoder* encoder = make_encoder(32);
  encoded = 0;
  start(encoder, NULL);
  announce_all();
  uint32_t other = announce(-1, "somebody else's", NULL, 0);
  turn();
  assert_int_equal(encoded, ITEMS);
  assert_non_null(freshet_model_start(w->model, slot_of(0), (float[DIM]){0}));
  assert_null(freshet_model_start(w->model, other, (float[DIM]){0}));
  commit();
  turn();
  assert_serves(encoder, 0);
  assert_int_equal(encoded, ITEMS);
  announce(0, titles[0], NULL, 0); /* the same again */
  restart(encoder);
  turn();
  assert_int_equal(encoded, ITEMS + 1); /* the row of the other one: partition 0 is announced on restart */
  announce(3, "tea pot of china", NULL, 0);
  float before[DIM];
  memcpy(before, freshet_model_start(w->model, slot_of(3), (float[DIM]){0}), sizeof before);
  turn();
  assert_int_equal(encoded, ITEMS + 2);
  assert_memory_not_equal(freshet_model_start(w->model, slot_of(3), (float[DIM]){0}), before, sizeof before);
  stop();
  freshet_encoder_destroy(encoder);
}

/* Until the new text is encoded, the old vector serves, across a restart too. */
/* Encoding what waits stops after a few milliseconds. The next turn goes on, although no interval has passed. */
static void many_texts_are_seen_to_in_slices(void** state) {
  (void)state;
  static const bool owned[ITEM_PARTITIONS] = {true, false};
  freshet_encoder* encoder = make_encoder(32);
  int turns = 1;
  encoded = 0;
  start(encoder, NULL);
  announce_all();
  announce(-1, "somebody else's", NULL, 0);
  w->now_ms += 1000;
  w->step_ms = 1;
  assert_int_equal(freshet_texts_turn(w->texts, owned, ITEM_PARTITIONS, SLICE_US, NULL), FRESHET_OK);
  assert_in_range(encoded, 1, ITEMS - 1);
  for (; freshet_texts_are_cut(w->texts) && turns < ITEMS; turns++)
    assert_int_equal(freshet_texts_turn(w->texts, owned, ITEM_PARTITIONS, SLICE_US, NULL), FRESHET_OK);
  assert_int_equal(encoded, ITEMS);
  w->step_ms = 0;
  stop();
  freshet_encoder_destroy(encoder);
}

static void the_vector_of_the_old_text_serves_meanwhile(void** state) {
  (void)state;
  freshet_encoder* encoder = make_encoder(32);
  start(encoder, NULL);
  announce(1, titles[0], NULL, 0);
  turn();
  commit();
  announce(1, "something else", NULL, 0);
  assert_int_equal(freshet_store_write(w->store, NULL), FRESHET_OK);
  restart(encoder);
  assert_non_null(freshet_model_start(w->model, slot_of(1), (float[DIM]){0}));
  encoded = 0;
  turn();
  assert_int_equal(encoded, 1);
  stop();
  freshet_encoder_destroy(encoder);
}

static void a_changed_encoder_takes_over_when_enough_is_encoded(void** state) {
  (void)state;
  freshet_encoder *a = make_encoder(32), *b = make_encoder(48);
  float starts[ITEMS][DIM];
  start(a, NULL);
  announce_all();
  turn();
  commit();
  turn();
  assert_serves(a, 0);
  for (int i = 0; i < ITEMS; i++)
    memcpy(starts[i], freshet_model_start(w->model, slot_of(i), (float[DIM]){0}), sizeof starts[i]);

  restart(b);
  encoded = 0;
  assert_serves(a, 0);
  for (int i = 0; i < ITEMS; i++) /* the old vectors serve */
    assert_memory_equal(freshet_model_start(w->model, slot_of(i), (float[DIM]){0}), starts[i],
                        sizeof starts[i]);
  uint32_t late = announce(99, "a new garden chair", NULL, 0);
  turn(); /* looks at the coverage first, and then encodes */
  assert_int_equal(encoded, ITEMS + 1);
  assert_null(freshet_model_start(w->model, late, (float[DIM]){0}));
  commit();
  assert_false(w->generations.outdated);
  turn();
  commit();
  assert_true(w->generations.outdated);
  restart(b);
  assert_serves(b, 1);
  assert_int_equal(freshet_model_get_config(w->model)->text_dim, 48);
  for (int i = 0; i < ITEMS; i++)
    assert_memory_equal(freshet_model_start(w->model, slot_of(i), (float[DIM]){0}), starts[i],
                        sizeof starts[i]);
  assert_non_null(freshet_model_start(w->model, slot_of(99), (float[DIM]){0}));
  uint32_t near[FRESHET_TEXT_NEIGHBOURS];
  size_t found = freshet_model_text_neighbours(w->model, slot_of(99), near);
  bool has_chair = false;
  for (size_t i = 0; i < found; i++) has_chair |= near[i] == slot_of(5);
  assert_true(has_chair);
  turn();
  assert_int_equal(encoded, ITEMS + 1);

  restart(a); /* and back: what is there is enough, at once */
  turn();
  assert_int_equal(encoded, ITEMS + 2); /* the item that is new since */
  commit();
  assert_true(w->generations.outdated);
  restart(a);
  assert_serves(a, 2);
  for (int i = 0; i < ITEMS; i++)
    assert_memory_equal(freshet_model_start(w->model, slot_of(i), (float[DIM]){0}), starts[i],
                        sizeof starts[i]);
  turn();
  assert_int_equal(encoded, ITEMS + 2);
  stop();

  /* A worker with an empty store reads all that in the log. */
  freshet_store_clear(w->store, FRESHET_FAMILY_ITEMS, 1);
  freshet_store_clear(w->store, FRESHET_FAMILY_ITEMS,
                      freshet_text_generation_of(freshet_slice_of(a->name), 32).tag);
  assert_int_equal(freshet_store_write(w->store, NULL), FRESHET_OK);
  w->read = 0;
  start(b, NULL);
  assert_true(w->generations.outdated);
  restart(b);
  assert_serves(a, 2);
  turn();
  assert_int_equal(encoded, ITEMS + 2);
  stop();
  freshet_encoder_destroy(a);
  freshet_encoder_destroy(b);
}

/* Whose own worker does not own partition 0 never decides. */
static void only_the_owner_of_the_first_partition_decides(void** state) {
  (void)state;
  static const bool owned[ITEM_PARTITIONS] = {false, true};
  freshet_encoder *a = make_encoder(32), *b = make_encoder(48);
  start(a, NULL);
  turn();
  commit();
  restart(b);
  w->now_ms += 5000;
  assert_int_equal(freshet_texts_turn(w->texts, owned, ITEM_PARTITIONS, SLICE_US, NULL), FRESHET_OK);
  assert_false(freshet_outbox_kept(w->outbox));
  turn();
  assert_true(freshet_outbox_kept(w->outbox)); /* nothing to encode: covered */
  stop();
  freshet_encoder_destroy(a);
  freshet_encoder_destroy(b);
}

static void learn(int items) {
  freshet_user* user = freshet_user_create(w->model);
  for (int i = 0; i < items; i++) {
    const freshet_observation seen = {slot_of(i), true, 0, 1, 1000 + i, 0, false};
    assert_int_equal(freshet_model_learn(w->model, user, &seen, NULL), FRESHET_OK);
  }
  freshet_model_delta delta;
  freshet_model_take_delta(w->model, &delta);
  freshet_user_destroy(user);
}

/* After a cutover, an item that never had a text starts where items with such texts have ended up. */
static void new_items_start_where_the_map_says(void** state) {
  (void)state;
  enum { MANY = 400 };
  freshet_encoder *a = make_encoder(32), *b = make_encoder(48);
  char text[32];
  start(a, NULL);
  turn();
  commit();
  restart(b);
  turn();
  commit();
  restart(b);
  assert_serves(b, 1);
  for (int i = 0; i < MANY; i++) {
    snprintf(text, sizeof text, "%s number %d", i % 2 == 0 ? "wooden train" : "glass tea pot", i);
    announce(i, text, NULL, 0);
  }
  turn();
  commit();
  assert_non_null(
      freshet_model_start(w->model, slot_of(0), (float[DIM]){0})); /* too little learned: projected */
  freshet_model* model = w->model;
  learn(MANY);
  encoded = 0;
  /* Factors as learning would have moved them: trains one way, pots the other. */
  for (int i = 0; i < MANY; i++) {
    float moved[DIM] = {[2] = i % 2 == 0 ? 1.0F : -1.0F}, vector[48];
    freshet_slice name;
    snprintf(text, sizeof text, "%s number %d", i % 2 == 0 ? "wooden train" : "glass tea pot", i);
    name = freshet_slice_of(text);
    assert_int_equal(freshet_encode(((counting_encoder*)b)->inner, &name, 1, vector, NULL), FRESHET_OK);
    assert_int_equal(freshet_model_set_text(model, slot_of(i), vector, moved, NULL), FRESHET_OK);
  }
  for (int i = 0; i < 300; i++) announce(1000 + i, "wooden train, new", NULL, 0);
  turn();
  const float* found = freshet_model_start(w->model, slot_of(1299), (float[DIM]){0});
  print_message("start of a new train, along the learned direction: %.3f\n", (double)found[2]);
  assert_true(found[2] > .4F);
  stop();
  freshet_encoder_destroy(a);
  freshet_encoder_destroy(b);
}

static void ready_made_vectors_stand_alone_or_beside_the_text(void** state) {
  (void)state;
  freshet_encoder* encoder = make_encoder(32);
  float same[32] = {[3] = 5}, longer[100], other[100];
  unsigned seed = 3;
  for (int i = 0; i < 100; i++) longer[i] = (float)rand_r(&seed) / (float)RAND_MAX - .5F;
  for (int i = 0; i < 100; i++) other[i] = (float)rand_r(&seed) / (float)RAND_MAX - .5F;
  start(encoder, NULL);
  encoded = 0;
  announce(0, "", same, 32);
  announce(1, "", longer, 100);
  announce(2, "a text too", longer, 100);
  announce(3, "a text too", other, 100);
  announce(4, "a text too", NULL, 0);
  turn();
  assert_int_equal(encoded, 3);
  commit();
  freshet_item_state rows[5];
  float vectors[5][32];
  for (int i = 0; i < 5; i++) {
    double squares = 0;
    assert_true(has_row(encoder, i));
    assert_int_equal(freshet_decode_item_state(w->codec, freshet_buffer_slice(&w->bytes), &rows[i], NULL),
                     FRESHET_OK);
    memcpy(vectors[i], rows[i].embedding, sizeof vectors[i]);
    for (int k = 0; k < 32; k++) squares += (double)(vectors[i][k] * vectors[i][k]);
    assert_true(squares > .999 && squares < 1.001);
  }
  assert_true(vectors[0][3] == 1);
  double beside = 0, alone = 0, apart = 0;
  for (int k = 0; k < 32; k++) {
    beside += (double)(vectors[1][k] * vectors[2][k]);
    alone += (double)(vectors[4][k] * vectors[2][k]);
    apart += (double)(vectors[1][k] * vectors[3][k]);
  }
  print_message("cosine with its own vector %.3f, its text %.3f; of another's vector %.3f\n", beside, alone,
                apart);
  assert_true(beside > .5 && alone > .5 && apart < beside);
  stop();
  freshet_encoder_destroy(encoder);
}

/* Anybody may write a vector: whatever finite numbers it holds, it is a direction. */
static void vectors_of_any_norm_are_directions(void** state) {
  (void)state;
  static const float sizes[] = {1e-45F, 1e-40F, 1e-30F, 1e-15F, 1, 1e15F, 1e19F, 3e38F};
  static const uint32_t dims[] = {1, 32, 64, 256};
  float own[256];
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
    for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++) {
      for (int with_text = 0; with_text < 2; with_text++) {
        float vector[32] = {[5] = with_text == 1 ? 1.0F : 0.0F};
        double squares = 0;
        for (uint32_t k = 0; k < dims[d]; k++) own[k] = k % 3 == 0 ? sizes[s] : -sizes[s];
        const freshet_item item = {.vector = own, .vector_dim = dims[d]};
        freshet_item_complete_vector(&item, vector, 32);
        for (int k = 0; k < 32; k++) squares += (double)vector[k] * (double)vector[k];
        assert_true(squares > .999 && squares < 1.001);
      }
    }
  }
}

/* The same direction makes the same bits at any scale by a power of two. */
static void a_direction_does_not_depend_on_its_norm(void** state) {
  (void)state;
  float own[64], scaled[64];
  for (int k = 0; k < 64; k++) own[k] = (float)(k * k % 17) - 7;
  for (int power = -100; power <= 100; power += 50) {
    for (uint32_t dim = 32; dim <= 64; dim += 32) {
      float vector[32] = {0}, same[32] = {0};
      for (int k = 0; k < 64; k++) scaled[k] = ldexpf(own[k], power);
      freshet_item_complete_vector(&(freshet_item){.vector = own, .vector_dim = dim}, vector, 32);
      freshet_item_complete_vector(&(freshet_item){.vector = scaled, .vector_dim = dim}, same, 32);
      assert_memory_equal(vector, same, sizeof vector);
    }
  }
}

/* A vector in <app>.items that cannot be used leaves the item without one, and everybody running. */
static void a_foreign_vector_that_is_not_finite_is_skipped(void** state) {
  (void)state;
  freshet_encoder* encoder = make_encoder(32);
  start(encoder, NULL);
  announce(0, titles[0], NULL, 0);
  turn();
  commit();
  turn(); /* publishes which generation serves */
  commit();
  assert_true(has_row(encoder, 0));
  freshet_item_state row;
  assert_int_equal(freshet_decode_item_state(w->codec, freshet_buffer_slice(&w->bytes), &row, NULL),
                   FRESHET_OK);
  float bad[32] = {[7] = NAN};
  freshet_buffer value = {0};
  freshet_item_state forged = row;
  forged.embedding = bad;
  assert_int_equal(freshet_encode_item_state(w->codec, &forged, &value, NULL), FRESHET_OK);
  freshet_buffer_append(&w->log[w->logged].key, w->log[w->logged - 1].key.data,
                        w->log[w->logged - 1].key.size);
  w->log[w->logged].has_value = true;
  w->log[w->logged++].value = value;
  read_log(); /* the good vector stays */
  assert_non_null(freshet_model_start(w->model, slot_of(0), (float[DIM]){0}));
  restart(encoder); /* the store has the bad one */
  assert_null(freshet_model_start(w->model, slot_of(0), (float[DIM]){0}));
  assert_true(freshet_metric(&w->metrics.texts_failed) > 0);
  turn(); /* the owner encodes the text again */
  commit();
  assert_non_null(freshet_model_start(w->model, slot_of(0), (float[DIM]){0}));
  stop();
  freshet_encoder_destroy(encoder);
}

static void a_withdrawn_item_takes_its_vectors_of_all_generations_along(void** state) {
  (void)state;
  freshet_encoder *a = make_encoder(32), *b = make_encoder(48);
  start(a, NULL);
  announce_all();
  turn();
  commit();
  restart(b);
  turn();
  commit();
  assert_true(has_row(a, 4) && has_row(b, 4));
  assert_int_equal(freshet_texts_forget(w->texts, freshet_slice_of("i4"), NULL), FRESHET_OK);
  assert_int_equal(freshet_texts_announced(w->texts, slot_of(4), -1, NULL, NULL), FRESHET_OK);
  assert_null(freshet_model_start(w->model, slot_of(4), (float[DIM]){0}));
  announce(4, titles[4], NULL, 0); /* again, before the tombstones are read */
  encoded = 0;
  commit();
  assert_false(has_row(a, 4) || has_row(b, 4));
  turn();
  assert_int_equal(encoded, 1);
  commit();
  assert_true(has_row(b, 4));
  stop();
  freshet_encoder_destroy(a);
  freshet_encoder_destroy(b);
}

/* The store still has the vector of a text that is back, but another one is already on its way. */
static void the_last_word_is_the_logs(void** state) {
  (void)state;
  freshet_encoder* encoder = make_encoder(32);
  start(encoder, NULL);
  announce(0, titles[0], NULL, 0);
  turn();
  commit();
  assert_true(has_row(encoder, 0));
  freshet_buffer first = {0};
  freshet_buffer_append(&first, w->bytes.data, w->bytes.size);
  announce(0, titles[1], NULL, 0);
  turn();
  announce(0, titles[0], NULL, 0);
  commit();
  turn();
  commit();
  assert_true(has_row(encoder, 0));
  assert_true(freshet_slice_equal(freshet_buffer_slice(&first), freshet_buffer_slice(&w->bytes)));
  freshet_buffer_free(&first);
  stop();
  freshet_encoder_destroy(encoder);
}

static void wait_until_idle(freshet_embedder* embedder) {
  freshet_embedder_stats stats;
  for (int i = 0; i < 2000; i++) {
    freshet_embedder_get_stats(embedder, &stats);
    if (stats.done == stats.submitted) return;
    usleep(1000);
  }
  fail_msg("the embedder does not come to an end");
}

/* A result that was asked for before a reload, or before the text changed, is never taken for another's. */
static void late_results_are_taken_for_what_they_are(void** state) {
  (void)state;
  freshet_encoder* encoder = make_encoder(32);
  freshet_embedder* embedder;
  freshet_embedder_config config = freshet_embedder_defaults();
  config.encoder = encoder;
  assert_int_equal(freshet_embedder_create(&config, &embedder, NULL), FRESHET_OK);
  start(encoder, embedder);
  announce(0, titles[0], NULL, 0);
  announce(1, titles[0], NULL, 0);
  turn();
  announce(0, titles[1], NULL, 0); /* changed while it is encoded */
  freshet_store_write(w->store, NULL);
  stop();
  wait_until_idle(embedder);
  start(encoder, embedder);
  turn();
  wait_until_idle(embedder);
  turn();
  wait_until_idle(embedder);
  turn();
  commit();
  for (int i = 0; i < 2; i++) {
    freshet_item_state row;
    float vector[32];
    freshet_slice text = freshet_slice_of(titles[1 - i]);
    assert_true(has_row(encoder, i));
    assert_int_equal(freshet_decode_item_state(w->codec, freshet_buffer_slice(&w->bytes), &row, NULL),
                     FRESHET_OK);
    assert_int_equal(freshet_encode(((counting_encoder*)encoder)->inner, &text, 1, vector, NULL), FRESHET_OK);
    assert_memory_equal(row.embedding, vector, sizeof vector);
  }
  freshet_embedder_destroy(embedder);
  stop();
  freshet_encoder_destroy(encoder);
}

/* What events wait for: the texts of one's own items that were there at that moment, in whatever way they are
 * encoded, and none that come later. */
static void texts_of_the_first_moment_are_expected(void** state) {
  (void)state;
  static const bool owned[ITEM_PARTITIONS] = {true, false};
  freshet_encoder* encoder = make_encoder(32);
  freshet_embedder* embedder;
  freshet_embedder_config config = freshet_embedder_defaults();
  config.encoder = encoder;
  assert_int_equal(freshet_embedder_create(&config, &embedder, NULL), FRESHET_OK);
  start(encoder, embedder);
  announce(-1, "somebody else's", NULL, 0);
  assert_int_equal(freshet_texts_expect(w->texts, owned, ITEM_PARTITIONS), 0);
  assert_false(freshet_texts_lack(w->texts));
  announce_all();
  assert_int_equal(freshet_texts_expect(w->texts, owned, ITEM_PARTITIONS), ITEMS);
  assert_true(freshet_texts_lack(w->texts));
  turn(); /* they are on their way */
  assert_true(freshet_texts_lack(w->texts));
  wait_until_idle(embedder);
  announce(99, "a late garden chair", NULL, 0);
  turn();
  assert_false(freshet_texts_lack(w->texts));
  assert_int_equal(freshet_texts_expect(w->texts, owned, ITEM_PARTITIONS), 1);
  freshet_embedder_destroy(embedder);
  w->ports.embedder = NULL;
  stop();
  freshet_encoder_destroy(encoder);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(a_text_is_encoded_once_by_its_owner),
      TEST(many_texts_are_seen_to_in_slices),
      TEST(the_vector_of_the_old_text_serves_meanwhile),
      TEST(a_changed_encoder_takes_over_when_enough_is_encoded),
      TEST(only_the_owner_of_the_first_partition_decides),
      TEST(new_items_start_where_the_map_says),
      TEST(ready_made_vectors_stand_alone_or_beside_the_text),
      TEST(vectors_of_any_norm_are_directions),
      TEST(a_direction_does_not_depend_on_its_norm),
      TEST(a_foreign_vector_that_is_not_finite_is_skipped),
      TEST(a_withdrawn_item_takes_its_vectors_of_all_generations_along),
      TEST(the_last_word_is_the_logs),
      TEST(late_results_are_taken_for_what_they_are),
      TEST(texts_of_the_first_moment_are_expected),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
