/*
 * test_migration.c: the change of the encoder on the simulated broker. Workers die, are thrown out and come
 * back, some with one encoder and some with the other, so text vectors are made again and again. Afterwards,
 * in the calm:
 *
 * serving    The vectors of the configured encoder are used, as <app>.items says.
 * vectors    Every item on offer has the vector of its present text by that encoder, in <app>.items and in
 *            the store of a new worker.
 * state      Every event is learned exactly once, through all cutovers.
 *
 * SIM_SEED, SIM_RUNS, SIM_LOG: as in test_worker.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "catalogue/item_text.h"
#include "catalogue/text_generations.h"
#include "support_run.h"

enum { DIM = 24, OTHER_DIM = 40, RUNS = 100 };

static freshet_codec* codec;
static freshet_encoder* encoders[2];
static uint64_t cutovers;

/* The last value under a key of <app>.items; data NULL: none, or a tombstone. */
static freshet_slice last_state(const sim_cluster* cluster, freshet_slice key) {
  freshet_slice value = {NULL, 0};
  for (int32_t p = 0; p < cluster->partitions[FRESHET_TOPIC_ITEM_STATES]; p++) {
    int64_t position = 0;
    const sim_record* record;
    for (; (record = sim_read(cluster, FRESHET_TOPIC_ITEM_STATES, p, &position)) != NULL; position++) {
      if (!freshet_slice_equal(freshet_buffer_slice(&record->key), key)) continue;
      value = record->has_value ? freshet_buffer_slice(&record->value) : (freshet_slice){NULL, 0};
    }
  }
  return value;
}

static void check_serving(run* r) {
  freshet_text_generation_fact fact = {0};
  freshet_slice value = last_state(&r->world.cluster, freshet_text_generation_serving_key());
  if (value.data == NULL || freshet_decode_text_generation_fact(codec, value, &fact, NULL) != FRESHET_OK) {
    sim_fail(&r->world, "nothing says which encoder serves");
  } else if (!freshet_slice_equal(fact.encoder, freshet_slice_of(encoders[0]->name))) {
    sim_fail(&r->world, "%.*s serves", (int)fact.encoder.size, fact.encoder.data);
  }
  cutovers += (uint64_t)fact.switches;
}

/* After the cleaner, a bad record may be the newest of its key. */
static bool may_be_cleaned_away(const run* r, freshet_slice id) {
  for (size_t i = 0; i < r->scenario.written; i++) {
    const sim_action* action = &r->scenario.actions[i];
    bool is_bad_item = action->meaning == SIM_BAD && action->topic == FRESHET_TOPIC_ITEMS;
    if (is_bad_item && freshet_slice_equal(freshet_buffer_slice(&action->key), id)) return r->is_cleaned;
  }
  return false;
}

/* The item as it was last announced. */
static const sim_action* last_announcement(const sim_scenario* scenario, int item) {
  const sim_action* last = NULL;
  for (size_t i = 0; i < scenario->written; i++) {
    const sim_action* action = &scenario->actions[i];
    if (action->meaning == SIM_ITEM && !action->is_aborted && action->item == item) last = action;
  }
  return last;
}

static void check_vector(run* r, const freshet_item* item, freshet_slice row, const char* where) {
  freshet_item_state state = {0};
  float vector[DIM];
  freshet_buffer scratch = {0};
  freshet_slice text = freshet_item_text(item, &scratch);
  freshet_encode(encoders[0], &text, 1, vector, NULL);
  bool is_right = row.data != NULL && freshet_decode_item_state(codec, row, &state, NULL) == FRESHET_OK &&
                  state.embedding_dim == DIM && memcmp(state.embedding, vector, sizeof vector) == 0;
  if (!is_right) {
    sim_fail(&r->world, "%s has no vector of '%.*s' for item %.*s", where, (int)text.size, text.data,
             (int)item->item_id.size, item->item_id.data);
  }
  freshet_buffer_free(&scratch);
}

static void check_vectors(run* r, sim_disk* disk) {
  const sim_cluster* cluster = &r->world.cluster;
  freshet_store* store = sim_disk_open(disk, NULL);
  freshet_text_generation own = freshet_text_generation_of(freshet_slice_of(encoders[0]->name), DIM);
  int64_t ends[SIM_PARTITIONS_MAX];
  for (int p = 0; p < SIM_PARTITIONS_MAX; p++) ends[p] = cluster->logs[FRESHET_TOPIC_ITEMS][p].end;
  for (int i = 0; i < r->scenario.items; i++) {
    char id[8];
    freshet_item item;
    sim_item_id(i, id);
    if (!sim_scenario_is_listed(&r->scenario, freshet_slice_of(id), ends, sim_now_ms(cluster))) continue;
    if (may_be_cleaned_away(r, freshet_slice_of(id))) continue;
    const sim_action* action = last_announcement(&r->scenario, i);
    assert_int_equal(freshet_decode_item(codec, freshet_buffer_slice(&action->value), &item, NULL),
                     FRESHET_OK);
    freshet_buffer key = {0}, row = {0};
    freshet_text_generation_key(own.tag, freshet_slice_of(id), &key);
    check_vector(r, &item, last_state(cluster, freshet_buffer_slice(&key)), "<app>.items");
    freshet_store_get(store, FRESHET_FAMILY_ITEMS, own.tag, freshet_slice_of(id), &row, NULL);
    check_vector(r, &item, freshet_buffer_slice(&row), "the store");
    freshet_buffer_free(&key);
    freshet_buffer_free(&row);
  }
}

static void check_users(run* r, sim_disk* disk) {
  freshet_store* store = sim_disk_open(disk, NULL);
  for (int user = 0; user < r->scenario.users; user++) {
    sim_truth truth = sim_scenario_truth(&r->scenario, user);
    if (!truth.exists) continue;
    char id[8];
    sim_user_id(user, id);
    freshet_buffer row = {0};
    freshet_user_state state = {0};
    freshet_store_get(store, FRESHET_FAMILY_USERS, truth.partition, freshet_slice_of(id), &row, NULL);
    if (freshet_decode_user_state(codec, freshet_buffer_slice(&row), &state, NULL) != FRESHET_OK ||
        state.events != truth.events || state.event_checksum != truth.checksum) {
      sim_fail(&r->world, "user %s has %lld events of %lld", id, (long long)state.events,
               (long long)truth.events);
    }
    freshet_buffer_free(&row);
  }
}

static void run_seed(uint64_t seed) {
  run r;
  run_shape shape = run_shape_of(seed);
  run_init(&r, seed, 0, &shape);
  r.config.model.user_texts = (freshet_user_text_use)(seed % 3); /* not state: nothing may depend on it */
  r.encoders[0] = encoders[0];
  r.encoders[1] = encoders[1];
  run_go(&r);
  sim_disk* disk = sim_disk_create();
  if (r.world.failure[0] == '\0') run_visit(&r, 0, disk);
  if (r.world.failure[0] == '\0') check_serving(&r);
  if (r.world.failure[0] == '\0') check_vectors(&r, disk);
  if (r.world.failure[0] == '\0') check_users(&r, disk);
  char failure[sizeof r.world.failure];
  memcpy(failure, r.world.failure, sizeof failure);
  run_free(&r);
  sim_disk_destroy(disk);
  if (failure[0] != '\0') fail_msg("SIM_SEED=%llu: %s", (unsigned long long)seed, failure);
}

static void test_seeds(void** state) {
  (void)state;
  const char* seed = getenv("SIM_SEED");
  const char* runs = getenv("SIM_RUNS");
  uint64_t first = seed == NULL ? 1 : strtoull(seed, NULL, 10);
  uint64_t count = runs != NULL ? strtoull(runs, NULL, 10) : seed != NULL ? 1 : RUNS;
  for (uint64_t i = 0; i < count; i++) run_seed(first + i);
  print_message("%llu cutovers in %llu runs\n", (unsigned long long)cutovers, (unsigned long long)count);
}

static int setup(void** state) {
  (void)state;
  codec = run_codecs_create();
  return freshet_encoder_hashing_create(DIM, &encoders[0], NULL) == FRESHET_OK &&
                 freshet_encoder_hashing_create(OTHER_DIM, &encoders[1], NULL) == FRESHET_OK
             ? 0
             : -1;
}

static int teardown(void** state) {
  (void)state;
  for (int i = 0; i < 2; i++) freshet_encoder_destroy(encoders[i]);
  run_codecs_destroy();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeds)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
