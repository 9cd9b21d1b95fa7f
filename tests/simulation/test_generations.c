/*
 * test_generations.c: two app generations on the simulated broker. An operator switches between them at any
 * moment, back and forth, caught up or not, while workers of both die, are thrown out, abort and come back.
 * When the last worker of the generation that has to let go is gone, the operator lets go in its place, as
 * `freshet backfill promote` does.
 *
 * turns      A list reaches `recommendations` only from the generation that may publish for its partition, by
 *            what the log says at that moment. Exempt: a process that was thrown out of the group and does not
 *            know it yet.
 * versions   A reader that keeps the larger version ends with the list of each user's newest event, and
 *            without a list of an erased user, whichever generation erased it. Exempt: late records of a
 *            process that was thrown out. With delivery = committed no list goes back in version at all,
 *            across any number of switches.
 * replies    Every request has a reply, whenever the generations change places.
 * lists      After each switch that is carried out, every user has had a list of the generation that serves.
 * state      Both generations have learned every event once.
 *
 * SIM_SEED, SIM_RUNS, SIM_LOG, SIM_STATS: as in test_worker.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stream/serving.h"
#include "support_run.h"

enum { RUNS = 200, SWITCHES_MAX = 8 };

static freshet_codec* codec;

typedef struct operator_state {
  uint32_t switching; /* chance in a thousand calls */
  int64_t switches, forced;
  int64_t read;          /* of <base>.generations */
  freshet_serving facts; /* read up to this offset */
} operator_state;

static operator_state op;
static uint64_t all_switches, all_forced, all_taken;

/* ---- what the log says ---- */

static void read_facts(sim_world* world) {
  const sim_record* record;
  while ((record = sim_read(&world->cluster, FRESHET_TOPIC_APP_GENERATIONS, 0, &op.read)) != NULL) {
    freshet_record shown = {.key = freshet_buffer_slice(&record->key),
                            .has_value = record->has_value,
                            .value = freshet_buffer_slice(&record->value)};
    freshet_error error = {0};
    if (freshet_serving_apply(&op.facts, codec, &shown, &error) != FRESHET_OK)
      sim_fail(world, "%s", error.message);
    op.read = record->offset + 1;
  }
}

/* The app generation that may publish for the partition now: the one that served at the last switch for which
 * its predecessor has let go. Both take turns, so the number of the switch tells which one it is. */
static const char* entitled(int32_t partition) {
  return run_generation_name((int)(freshet_serving_of(&op.facts, partition).released % SIM_APPS));
}

static bool owns(sim_process* process, int32_t partition) {
  sim_cluster* cluster = &process->world->cluster;
  const sim_member* member = sim_group_member(cluster, process->app, process->member);
  return member != NULL && process->generation == cluster->groups[process->app].generation &&
         member->owns[FRESHET_TOPIC_EVENTS][partition];
}

static int32_t partition_of_key(const sim_world* world, freshet_slice key) {
  return (int32_t)(strtol(key.data + 1, NULL, 10) % world->cluster.partitions[FRESHET_TOPIC_EVENTS]);
}

static void check_turn(sim_world* world, sim_process* process, freshet_slice key, const char* what) {
  char id[8] = "";
  memcpy(id, key.data, key.size < sizeof id ? key.size : sizeof id - 1);
  int32_t partition = partition_of_key(world, freshet_slice_of(id));
  if (process->is_dead || !owns(process, partition)) return;
  read_facts(world);
  if (strcmp(entitled(partition), run_generation_name(process->app)) != 0) {
    sim_fail(world, "%s %s a list of user %s while %s has the turn, switch %lld",
             run_generation_name(process->app), what, id, entitled(partition), (long long)op.facts.number);
  }
}

static void check_published(sim_world* world, sim_process* process, const freshet_output* output) {
  if (output->topic == FRESHET_TOPIC_RECOMMENDATIONS) check_turn(world, process, output->key, "publishes");
}

static void check_arrived(sim_world* world, sim_process* process, freshet_topic topic,
                          const sim_record* record) {
  if (topic == FRESHET_TOPIC_RECOMMENDATIONS && !record->is_late)
    check_turn(world, process, freshet_buffer_slice(&record->key), "delivers");
}

/* ---- the operator ---- */

static void write_fact(sim_world* world, freshet_serving_key kind, freshet_app_generation_fact fact,
                       sim_outcome outcome) {
  char key[FRESHET_SERVING_KEY_SIZE];
  freshet_buffer bytes = {0};
  freshet_output output;
  freshet_status status = freshet_serving_record(codec, kind, &fact, false, key, &bytes, &output, NULL);
  FRESHET_ASSERT(status == FRESHET_OK);
  int32_t transaction = sim_begin(&world->cluster, SIM_OPERATOR);
  sim_append(&world->cluster, transaction, &output);
  sim_end(&world->cluster, transaction, outcome);
  freshet_buffer_free(&bytes);
}

static bool is_empty(const sim_cluster* cluster, int app) {
  for (int i = 0; i < SIM_MEMBERS_MAX; i++) {
    if (cluster->groups[app].members[i].id != 0) return false;
  }
  return true;
}

/* The offset after the last record. */
static int64_t visible_end(const sim_cluster* cluster, int32_t partition, int64_t from) {
  const sim_record* record;
  int64_t end = from;
  for (int64_t position = from;
       (record = sim_read(cluster, FRESHET_TOPIC_EVENTS, partition, &position)) != NULL; position++) {
    end = record->offset + 1;
  }
  return end;
}

static void let_go_for_the_dead(sim_world* world) {
  const sim_cluster* cluster = &world->cluster;
  int app = strcmp(op.facts.previous, run_generation_name(0)) == 0 ? 0 : 1;
  if (op.facts.number == 0 || !is_empty(cluster, app)) return;
  for (int32_t p = 0; p < cluster->partitions[FRESHET_TOPIC_EVENTS]; p++) {
    if (freshet_serving_of(&op.facts, p).released == op.facts.number) continue;
    int64_t committed = cluster->groups[app].committed[FRESHET_TOPIC_EVENTS][p];
    int64_t learned = committed < 0 ? 0 : committed;
    int64_t answered = cluster->groups[app].committed[FRESHET_TOPIC_REQUESTS][p];
    freshet_app_generation_fact fact;
    if (freshet_serving_answered(&op.facts, run_generation_name(app), p, answered < 0 ? 0 : answered, &fact))
      write_fact(world, FRESHET_SERVING_REQUESTS, fact, SIM_COMMITTED);
    write_fact(world, FRESHET_SERVING_RELEASED,
               freshet_serving_release(&op.facts, run_generation_name(app), p,
                                       visible_end(cluster, p, learned), learned),
               SIM_COMMITTED);
    op.forced++;
  }
}

static void operate(run* r) {
  sim_world* world = &r->world;
  sim_random* random = &world->cluster.random;
  read_facts(world);
  if (sim_chance(random, 50)) let_go_for_the_dead(world);
  if (r->is_calm || op.switches == SWITCHES_MAX || !sim_chance(random, op.switching)) return;
  int serves = strcmp(freshet_serving_generation(&op.facts), run_generation_name(0)) == 0 ? 0 : 1;
  bool aborts = sim_chance(random, 100);
  op.switches += !aborts;
  write_fact(world, FRESHET_SERVING_SWITCH,
             freshet_serving_switch(&op.facts, run_generation_name(1 - serves)),
             aborts ? SIM_ABORTED : SIM_COMMITTED);
}

static bool is_settled(run* r) {
  read_facts(&r->world);
  for (int32_t p = 0; p < r->shape.input_partitions; p++) {
    freshet_serving_partition facts = freshet_serving_of(&op.facts, p);
    if (facts.released != op.facts.number || facts.taken != op.facts.number) return false;
  }
  return true;
}

/* ---- afterwards ---- */

/* In the order of the topic: all lists of a user are in one partition. */
static void check_lists(run* r, int user) {
  sim_world* world = &r->world;
  sim_truth truth = sim_scenario_truth(&r->scenario, user);
  char id[8];
  sim_user_id(user, id);
  int64_t kept = -1, newest = -1;
  bool is_tombstone_last = false;
  for (int32_t p = 0; p < world->cluster.partitions[FRESHET_TOPIC_RECOMMENDATIONS]; p++) {
    int64_t position = 0;
    const sim_record* record;
    for (; (record = sim_read(&world->cluster, FRESHET_TOPIC_RECOMMENDATIONS, p, &position)) != NULL;
         position++) {
      freshet_list list = {.version_offset = -1};
      if (!freshet_slice_equal(freshet_buffer_slice(&record->key), freshet_slice_of(id))) continue;
      if (record->is_late) continue; /* published by a process that did not know yet that it was thrown out */
      is_tombstone_last = !record->has_value;
      if (record->has_value &&
          freshet_decode_list(codec, freshet_buffer_slice(&record->value), &list, NULL) != FRESHET_OK)
        sim_fail(world, "a list of user %s cannot be decoded", id);
      bool goes_back = record->has_value && list.version_offset < kept;
      if (goes_back && r->shape.delivery == FRESHET_DELIVERY_COMMITTED)
        sim_fail(world, "user %s: version %lld after %lld", id, (long long)list.version_offset,
                 (long long)kept);
      if (!goes_back) kept = list.version_offset;
      if (list.version_offset > newest) newest = list.version_offset;
    }
  }
  if (truth.exists && (kept != truth.newest_offset || newest != truth.newest_offset)) {
    sim_fail(world, "user %s: the newest event is at %lld, the newest list at %lld, a reader keeps %lld", id,
             (long long)truth.newest_offset, (long long)newest, (long long)kept);
  }
  if (truth.is_erased && !is_tombstone_last) sim_fail(world, "user %s was erased and has a list", id);
}

static void check_state(run* r, int app, sim_disk* disk) {
  freshet_store* store = sim_disk_open(disk, NULL);
  for (int user = 0; user < r->scenario.users; user++) {
    sim_truth truth = sim_scenario_truth(&r->scenario, user);
    char id[8];
    sim_user_id(user, id);
    freshet_buffer row = {0};
    freshet_user_state state = {.newest_offset = -1};
    freshet_status status =
        freshet_store_get(store, FRESHET_FAMILY_USERS, truth.partition, freshet_slice_of(id), &row, NULL);
    if (status == FRESHET_OK)
      status = freshet_decode_user_state(codec, freshet_buffer_slice(&row), &state, NULL);
    bool is_right = truth.exists ? status == FRESHET_OK && state.events == truth.events &&
                                       state.event_checksum == truth.checksum &&
                                       state.newest_offset == truth.newest_offset &&
                                       state.listed_offset == truth.newest_offset
                                 : status == FRESHET_NOT_FOUND;
    if (!is_right) {
      sim_fail(&r->world, "%s: user %s has %lld events of %lld, newest %lld and listed %lld of %lld",
               run_generation_name(app), id, (long long)state.events, (long long)truth.events,
               (long long)state.newest_offset, (long long)state.listed_offset,
               (long long)truth.newest_offset);
    }
    freshet_buffer_free(&row);
  }
}

/* ---- one seed ---- */

static void run_seed(uint64_t seed) {
  run r;
  run_shape shape = run_shape_of(seed);
  shape.apps = SIM_APPS;
  run_init(&r, seed, 0, &shape);
  op = (operator_state){.switching = 1 + (uint32_t)sim_below(&r.world.cluster.random, 8),
                        .facts = {.own = "", .base = run_generation_name(0)}};
  r.world.published = check_published;
  r.world.arrived = check_arrived;
  r.meanwhile = operate;
  r.is_settled = is_settled;
  run_go(&r);
  for (int user = 0; r.world.failure[0] == '\0' && user < r.scenario.users; user++) check_lists(&r, user);
  if (r.world.failure[0] == '\0') run_check_replies(&r, codec, false);
  for (int app = 0; r.world.failure[0] == '\0' && app < SIM_APPS; app++) {
    sim_disk* fresh = sim_disk_create();
    run_visit(&r, app, fresh);
    if (r.world.failure[0] == '\0') check_state(&r, app, fresh);
    sim_disk_destroy(fresh);
  }
  all_switches += (uint64_t)op.switches;
  all_forced += (uint64_t)op.forced;
  for (int32_t p = 0; p < op.facts.count; p++) all_taken += op.facts.partitions[p].taken > 0;
  if (getenv("SIM_STATS"))
    fprintf(stderr,
            "seed %llu workers=%d parts=%d actions=%zu calls=%llu deaths=%llu switches=%lld forced=%lld\n",
            (unsigned long long)seed, shape.workers, shape.input_partitions, r.scenario.count,
            (unsigned long long)r.calls, (unsigned long long)r.deaths, (long long)op.switches,
            (long long)op.forced);
  char failure[sizeof r.world.failure];
  memcpy(failure, r.world.failure, sizeof failure);
  freshet_serving_reset(&op.facts);
  run_free(&r);
  if (failure[0] != '\0')
    fail_msg("SIM_SEED=%llu (%d workers each, %d partitions, %s): %s", (unsigned long long)seed,
             shape.workers, shape.input_partitions,
             shape.delivery == FRESHET_DELIVERY_FAST ? "fast" : "committed", failure);
}

static void test_seeds(void** state) {
  (void)state;
  const char* seed = getenv("SIM_SEED");
  const char* runs = getenv("SIM_RUNS");
  uint64_t first = seed == NULL ? 1 : strtoull(seed, NULL, 10);
  uint64_t count = runs != NULL ? strtoull(runs, NULL, 10) : seed != NULL ? 1 : RUNS;
  for (uint64_t i = 0; i < count; i++) run_seed(first + i);
  print_message(
      "%llu switches, %llu partitions taken over at the end, %llu released for the dead, in %llu runs\n",
      (unsigned long long)all_switches, (unsigned long long)all_taken, (unsigned long long)all_forced,
      (unsigned long long)count);
  if (seed == NULL) assert_true(all_switches > count && all_forced > 0 && all_taken > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeds)};
  codec = run_codecs_create();
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  run_codecs_destroy();
  return failed;
}
