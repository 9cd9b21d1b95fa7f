/*
 * support_run.c: the course of a run: processes start and die, disks are torn, records expire, and in the end
 * everything is calm.
 */
#include "support_run.h"

#include <stdio.h>
#include <stdlib.h>

#include "stream/words.h"

static const int64_t day_ms = 24LL * 3600 * 1000;
enum {
  CALLS_MAX = 3000000,
  DEATHS_MAX = 20,
  ENCODER_ERA_US = 7000000,
  CUTOVER_MS = 4000,
  MISHAP = 5, /* its chance, in a thousand turns of the storm */
  TEST_CODEC = SIM_PROCESSES_MAX
};

static freshet_codec* codecs[SIM_PROCESSES_MAX + 1];

freshet_codec* run_codecs_create(void) {
  const freshet_codec_config config = {.output = FRESHET_FRAMING_SINGLE_OBJECT};
  for (size_t i = 0; i <= SIM_PROCESSES_MAX; i++) {
    freshet_status status = freshet_codec_create(&config, &codecs[i], NULL);
    FRESHET_ASSERT(status == FRESHET_OK);
  }
  return codecs[TEST_CODEC];
}

void run_codecs_destroy(void) {
  for (size_t i = 0; i <= SIM_PROCESSES_MAX; i++) freshet_codec_destroy(codecs[i]);
}

/* ---- shape ---- */

run_shape run_shape_of(uint64_t seed) {
  sim_random random = {seed ^ 0x5ee};
  run_shape shape = {.workers = sim_chance(&random, 500)   ? 1
                                : sim_chance(&random, 700) ? 2
                                                           : RUN_WORKERS_MAX,
                     .input_partitions = 1 + (int32_t)sim_below(&random, SIM_PARTITIONS_MAX),
                     .item_partitions = 1 + (int32_t)sim_below(&random, 3),
                     .has_faults = true};
  if (shape.workers == 1 && sim_chance(&random, 600)) shape.input_partitions = 1;
  shape.delivery = sim_chance(&random, 450) ? FRESHET_DELIVERY_COMMITTED : FRESHET_DELIVERY_FAST;
  shape.is_tight = sim_chance(&random, 250);
  shape.is_reading_slow = sim_chance(&random, shape.delivery == FRESHET_DELIVERY_COMMITTED ? 700 : 50);
  return shape;
}

run_mishap run_mishap_of(uint64_t seed) {
  sim_random random = {seed ^ 0x105e};
  return sim_chance(&random, 700) ? RUN_NONE : (run_mishap)(1 + sim_below(&random, RUN_MISHAPS - 1));
}

static int apps_of(const run_shape* shape) {
  return shape->apps == 0 ? 1 : shape->apps;
}

int run_slots(const run* r) {
  return apps_of(&r->shape) * r->shape.workers;
}

const char* run_generation_name(int app) {
  static const char* const names[SIM_APPS] = {"shop", "shop.g2"};
  return names[app];
}

/* Where lists have commits of their own, many of them between two commits of the state. */
static int64_t commit_interval_ms(const run_shape* shape, sim_random* random) {
  const bool is_long =
      shape->delivery == FRESHET_DELIVERY_COMMITTED && (shape->is_reading_slow || sim_chance(random, 500));
  return is_long ? 500 + sim_below(random, 3000) : sim_skewed(random, 5, 2000);
}

static void commit_often(freshet_stream_config* config, sim_random* random) {
  config->commit_interval_ms = 2 + sim_below(random, 40);
  config->lists_interval_ms = 1;
  config->items_interval_ms = config->checkpoint_interval_ms = 100000;
  config->overlay_users = 100;
}

static freshet_stream_config config_of(const run_shape* shape, sim_random* random) {
  freshet_stream_config config = {
      .base_generation = run_generation_name(0),
      .delivery = shape->delivery,
      .model = freshet_model_defaults(),
      .limits = {.rating_min = 1, .rating_max = 5, .future_tolerance_ms = day_ms},
      .weights = {1, 1, 3},
      .positive_rating = 3,
      .list_size = 3,
      .explain = sim_chance(random, 200),
      .max_delay_ms = 500,
      .far_behind = sim_skewed(random, 1, 4000),
      .ranking_threads = sim_chance(random, 50) ? 2 : 1,
      .lagging_threads = sim_chance(random, 50) ? 3 : 2,
      .ranking_batch = 1 + sim_below(random, 4),
      .commit_interval_ms = commit_interval_ms(shape, random),
      .lists_interval_ms = sim_skewed(random, 1, 100),
      .overlay_users = shape->is_reading_slow ? 100 : sim_skewed(random, 1, 100),
      .cached_users = sim_skewed(random, 0, 30),
      .dedup_events = SIM_DEDUP_EVENTS,
      .dedup_window_ms = SIM_DEDUP_WINDOW_MS,
      .items_interval_ms = sim_skewed(random, 10, 5000),
      .checkpoint_interval_ms = sim_skewed(random, 10, 8000),
      .item_rows_a_turn = 1 + sim_below(random, 8),
      .commit_rows_a_turn = 1 + sim_below(random, 8),
      .survey_rows_a_turn = 1 + sim_below(random, 8),
      .text_interval_ms = 1000,
      .text_batch = 4,
      .text_cutover_coverage = .8,
      .context_weight = 2,
      .requests_max_age_ms = sim_chance(random, 500) ? 0 : sim_skewed(random, 1, 5000),
  };
  if (shape->is_plain) commit_often(&config, random);
  config.model.dim = 16;
  config.model.neighbours = 8;
  config.model.negatives = 5;
  config.model.max_items = 64;
  config.model.seen_limit = 8;
  config.model.seed = 7;
  return config;
}

/* Chosen by the seed alone, because what is learned does not depend on rules. Half of the runs have none. */
static void set_rules(run* r, uint64_t seed) {
  sim_random random = {seed ^ 0x701e5};
  if (sim_chance(&random, 500)) return;
  char item[8];
  sim_item_id((int)sim_below(&random, 8), item);
  r->pin = (freshet_pin){.item_key = freshet_id_key(freshet_slice_of(item)), .place = sim_below(&random, 3)};
  r->rules = (freshet_rules){.hide = (freshet_hide)sim_below(&random, 4),
                             .max_per_category = sim_below(&random, 3),
                             .pins = &r->pin,
                             .pin_count = sim_below(&random, 2)};
  r->config.rules = &r->rules;
}

/* A limit of a topic such that some records have to be shortened. State cannot be: some of its rows are too large. */
static size_t small_limit(freshet_topic topic, sim_random* random) {
  enum { LIST_BYTES = 80, REPLY_BYTES = 250, LETTER_BYTES = 1500, STATE_BYTES = 50 };
  switch (topic) {
    case FRESHET_TOPIC_RECOMMENDATIONS:
    case FRESHET_TOPIC_SHADOW:
      return LIST_BYTES + sim_skewed(random, 0, 400);
    case FRESHET_TOPIC_REPLIES:
      return REPLY_BYTES + sim_skewed(random, 0, 100);
    case FRESHET_TOPIC_DEAD_LETTERS:
      return LETTER_BYTES + sim_skewed(random, 0, 4000);
    default:
      return STATE_BYTES + sim_skewed(random, 0, 2000);
  }
}

/* The limits of topics. That of deltas is always so small that most commits have several of them, and those of what people
 * read are small in half of the runs. */
static void set_limits(run* r, sim_random* random) {
  enum { DELTA_BYTES = (96 << 10) + 1500 };
  r->world.limits[FRESHET_TOPIC_ITEM_DELTAS] = DELTA_BYTES;
  const bool is_small = sim_chance(random, 500);
  for (int topic = FRESHET_TOPIC_RECOMMENDATIONS; topic <= FRESHET_TOPIC_DEAD_LETTERS && is_small; topic++)
    r->world.limits[topic] = small_limit((freshet_topic)topic, random);
  if (is_small) r->world.limits[FRESHET_TOPIC_SHADOW] = small_limit(FRESHET_TOPIC_SHADOW, random);
  memcpy(r->limits, r->world.limits, sizeof r->limits);
}

/* ---- the world outside ---- */

static run* run_of(sim_world* world) {
  return world->context;
}

static void kill_all(run* r) {
  for (int i = 0; i < SIM_PROCESSES_MAX; i++) {
    if (r->world.processes[i] != NULL) sim_process_kill(r->world.processes[i]);
  }
}

/* The producer of the input does not leave a transaction open for long. */
static bool is_overdue(const run* r) {
  int32_t open = r->scenario.transaction;
  const sim_cluster* cluster = &r->world.cluster;
  return open >= 0 && cluster->now_us - cluster->transactions[open].begun_us > 3000000;
}

static void between(sim_world* world) {
  run* r = run_of(world);
  if (sim_chance(&world->cluster.random, r->feeding) || is_overdue(r)) {
    sim_scenario_feed(&r->scenario, &world->cluster, sim_skewed(&world->cluster.random, 1, 16));
  }
  if (r->meanwhile != NULL) r->meanwhile(r);
  if (++r->calls == CALLS_MAX) {
    sim_fail(world, "%d calls, and it is not done", CALLS_MAX);
    kill_all(r);
  }
}

/* ---- processes ---- */

static bool is_in_use(const run* r, const sim_disk* disk) {
  for (int i = 0; i < SIM_PROCESSES_MAX; i++) {
    if (r->world.processes[i] != NULL && r->world.processes[i]->disk == disk) return true;
  }
  return false;
}

/* A disk of the slot that is not in use, and now and then a new one. */
static sim_disk* pick_disk(run* r, int slot) {
  sim_random* random = &r->world.cluster.random;
  uint32_t first = sim_below(random, RUN_DISKS);
  for (uint32_t i = 0; i < RUN_DISKS; i++) {
    sim_disk** disk = &r->disks[slot][(first + i) % RUN_DISKS];
    if (*disk != NULL && is_in_use(r, *disk)) continue;
    if (*disk == NULL || sim_chance(random, 150)) {
      sim_disk_destroy(*disk);
      *disk = sim_disk_create();
    }
    return *disk;
  }
  return NULL;
}

static sim_process* launch(run* r, int slot, sim_disk* disk) {
  int place = 0;
  while (place < SIM_PROCESSES_MAX && r->world.processes[place] != NULL) place++;
  if (place == SIM_PROCESSES_MAX) return NULL;
  int app = slot / r->shape.workers;
  freshet_stream_config config = r->config;
  if (r->shape.apps > 0) config.generation = run_generation_name(app);
  sim_process* process = sim_process_create(&r->world, app, slot, &config, codecs[place], disk);
  int64_t era = r->is_calm ? 0 : r->world.cluster.now_us / ENCODER_ERA_US;
  process->encoder = r->encoders[era % 2];
  if (!r->is_calm) process->calls_left = sim_skewed(&r->world.cluster.random, 1, 2000);
  process->stands_by = sim_chance(&r->world.cluster.random, 500);
  sim_process_start(process);
  return process;
}

static void start_slot(run* r, int slot) {
  sim_disk* disk = pick_disk(r, slot);
  if (disk != NULL) r->current[slot] = launch(r, slot, disk);
}

/* A process has ended. Its machine may have gone down with it, and it is started again, sooner or later. */
static void reap(run* r, int i) {
  sim_process* process = r->world.processes[i];
  sim_random* random = &r->world.cluster.random;
  if (process->is_clean) {
    r->model_hash[process->slot] = process->model_hash;
    r->items_listed[process->slot] = freshet_metric(&process->metrics.items_listed);
    r->items_listed_ms[process->slot] = process->logs[0].polled_ms;
    r->last_disk[process->slot] = process->disk;
  } else {
    r->deaths++;
    if (sim_chance(random, 300)) sim_disk_tear(process->disk, sim_skewed(random, 1, 30));
  }
  if (sim_disk_is_ruined(process->disk)) sim_disk_wipe(process->disk); /* the next start moves it aside */
  if (r->current[process->slot] == process) {
    r->current[process->slot] = NULL;
    r->restart_us[process->slot] = r->world.cluster.now_us + sim_skewed(random, 1, 8000) * 1000LL;
  }
  sim_process_destroy(process);
}

static void run_somebody(run* r) {
  sim_cluster* cluster = &r->world.cluster;
  int first = (int)sim_below(&cluster->random, SIM_PROCESSES_MAX);
  for (int n = 0; n < SIM_PROCESSES_MAX; n++) {
    int i = (first + n) % SIM_PROCESSES_MAX;
    if (r->world.processes[i] == NULL) continue;
    sim_process_resume(r->world.processes[i]);
    if (r->world.processes[i]->is_finished) reap(r, i);
    return;
  }
  sim_advance(cluster, 1000); /* no process is alive */
  between(&r->world);
}

/* ---- what happens to machines and topics ---- */

/* More than a day passes without any process, and the cleaner runs. */
static void long_absence(run* r) {
  sim_cluster* cluster = &r->world.cluster;
  kill_all(r);
  sim_advance(cluster, (day_ms + sim_below(&cluster->random, (uint32_t)day_ms)) * 1000);
}

static void clean_topics(run* r) {
  sim_cluster* cluster = &r->world.cluster;
  r->is_cleaned = true;
  const freshet_topic compacted[] = {FRESHET_TOPIC_USERS, FRESHET_TOPIC_ITEM_STATES, FRESHET_TOPIC_ITEMS,
                                     FRESHET_TOPIC_APP_GENERATIONS};
  for (size_t i = 0; i < sizeof compacted / sizeof compacted[0]; i++) {
    if (compacted[i] == FRESHET_TOPIC_ITEMS && r->scenario.is_dense) continue;
    for (int app = 0; app < apps_of(&r->shape); app++)
      sim_compact(cluster, sim_topic(app, compacted[i]), day_ms);
  }
}

/* Into how many shares items were cut for a checkpoint. */
static int32_t shares_of(const freshet_item_state* state) {
  char word[16];
  int shares;
  const bool is_told =
      freshet_words_find(state->encoder.data, state->encoder.size, "s1:", word, sizeof word) &&
      sscanf(word, "s1:%d", &shares) == 1;
  FRESHET_ASSERT(is_told);
  return shares;
}

/* The offset up to which the checkpoints in <app>.items hold what the deltas say; -1: none. Shares of another number do not
 * make a whole. */
static int64_t checkpointed_to(run* r, int app) {
  freshet_topic states = sim_topic(app, FRESHET_TOPIC_ITEM_STATES);
  sim_cluster* cluster = &r->world.cluster;
  int64_t folded_to[SIM_PARTITIONS_MAX] = {-1, -1, -1, -1}, least = INT64_MAX;
  static const char key[] = "\0global";
  for (int32_t p = 0; p < cluster->partitions[states]; p++) {
    int64_t position = 0;
    const sim_record* record;
    for (; (record = sim_read(cluster, states, p, &position)) != NULL; position++) {
      int32_t about;
      freshet_item_state state;
      if (record->key.size != 7 + sizeof about || memcmp(record->key.data, key, 7) != 0) continue;
      memcpy(&about, record->key.data + 7, sizeof about);
      freshet_status status =
          freshet_decode_item_state(codecs[TEST_CODEC], freshet_buffer_slice(&record->value), &state, NULL);
      FRESHET_ASSERT(status == FRESHET_OK && about < SIM_PARTITIONS_MAX);
      folded_to[about] = shares_of(&state) == cluster->partitions[FRESHET_TOPIC_ITEMS] ? state.folded_to : -1;
    }
  }
  for (int32_t p = 0; p < cluster->partitions[FRESHET_TOPIC_ITEMS]; p++) {
    if (folded_to[p] < least) least = folded_to[p];
  }
  return least;
}

/* Old deltas expire: those that are in checkpoints and that every process has read. Checkpoints of a log that was cut do not
 * tell. */
static void expire_deltas(run* r, int app) {
  sim_cluster* cluster = &r->world.cluster;
  if (r->is_over && r->shape.mishap == RUN_DELTAS_CUT) return;
  int64_t first = checkpointed_to(r, app);
  for (int i = 0; i < SIM_PROCESSES_MAX; i++) {
    if (r->world.processes[i] == NULL || r->world.processes[i]->app != app) continue;
    const struct sim_log* log = &r->world.processes[i]->logs[0];
    int64_t position =
        log->started[FRESHET_TOPIC_ITEM_DELTAS][0] ? log->positions[FRESHET_TOPIC_ITEM_DELTAS][0] : -1;
    if (position < first) first = position;
  }
  if (first > 0) sim_expire(cluster, sim_topic(app, FRESHET_TOPIC_ITEM_DELTAS), 0, first);
}

/* A second process with the name of one that is alive, on another machine. */
static void start_double(run* r, int slot) {
  if (r->current[slot] != NULL) start_slot(r, slot);
}

/* A broker dies. Mostly it takes a moment until another one leads, and now and then longer than a transaction may be
 * open. */
static void lose_leader(run* r, int app) {
  enum { MOMENT_MS = 5000, LONG_MS = 30000 };
  sim_cluster* cluster = &r->world.cluster;
  const freshet_topic topic = sim_topic(app, (freshet_topic)sim_below(&cluster->random, FRESHET_TOPICS));
  const int32_t p = (int32_t)sim_below(&cluster->random, (uint32_t)cluster->partitions[topic]);
  const uint32_t most_ms = sim_chance(&cluster->random, 900) ? MOMENT_MS : LONG_MS;
  sim_set_leaderless(cluster, topic, p, (1 + sim_below(&cluster->random, most_ms)) * 1000LL);
}

/* An operator lowers the limit of a topic that is written, or takes that back. Where rows of state are too large, processes
 * end until then. */
static void change_limit(run* r) {
  sim_random* random = &r->world.cluster.random;
  const freshet_topic topic =
      (freshet_topic)(FRESHET_TOPIC_RECOMMENDATIONS +
                      sim_below(random, FRESHET_TOPICS - FRESHET_TOPIC_RECOMMENDATIONS));
  const size_t before = r->limits[topic];
  const bool is_read_by_people = topic <= FRESHET_TOPIC_DEAD_LETTERS || topic == FRESHET_TOPIC_SHADOW;
  const bool stays = (is_read_by_people && before == 0) || sim_chance(random, 500);
  r->world.limits[topic] = stays ? before : small_limit(topic, random);
  r->world.is_changed[topic] = true;
}

/* ---- what happens to topics as a whole ---- While processes run, src/kafka compares logs with its marks and ends them. So
 * here they end at once, and the next ones have only their disks to tell by. */

static void make_events_again(run* r) {
  sim_cluster* cluster = &r->world.cluster;
  int64_t read[SIM_PARTITIONS_MAX];
  for (int p = 0; p < SIM_PARTITIONS_MAX; p++)
    read[p] = cluster->groups[0].committed[FRESHET_TOPIC_EVENTS][p];
  sim_scenario_lose_events(&r->scenario, read);
  sim_make_again(cluster, FRESHET_TOPIC_EVENTS);
  r->world.awaits_choice = true;
}

static void make_items_again(run* r) {
  sim_make_again(&r->world.cluster, FRESHET_TOPIC_ITEMS);
  sim_scenario_write_items_again(&r->scenario, &r->world.cluster);
  r->world.awaits_choice = true;
}

static void cut_deltas(run* r) {
  sim_cluster* cluster = &r->world.cluster;
  const sim_partition* log = &cluster->logs[FRESHET_TOPIC_ITEM_DELTAS][0];
  const int64_t left = log->end - log->first;
  if (left == 0 || sim_chance(&cluster->random, 300)) {
    sim_make_again(cluster, FRESHET_TOPIC_ITEM_DELTAS);
  } else {
    sim_truncate(cluster, FRESHET_TOPIC_ITEM_DELTAS, 0,
                 log->end - sim_skewed(&cluster->random, 1, (uint32_t)left));
  }
}

/* Not all at once: first the mishap, and later somebody notices. */
static void have_mishap(run* r) {
  enum { NOTICED_MS = 8000 };
  sim_cluster* cluster = &r->world.cluster;
  const run_mishap what = r->shape.mishap;
  const bool can_grow = cluster->partitions[FRESHET_TOPIC_ITEMS] < SIM_PARTITIONS_MAX;
  if (r->scenario.transaction >= 0 || (what == RUN_ITEMS_GROW && !can_grow)) return;
  r->is_over = true;
  r->noticed_us = cluster->now_us + sim_skewed(&cluster->random, 1, NOTICED_MS) * 1000LL;
  if (what == RUN_ITEMS_GROW) {
    sim_scenario_grow_items(&r->scenario, cluster->partitions[FRESHET_TOPIC_ITEMS]);
    sim_grow(cluster, FRESHET_TOPIC_ITEMS);
    return;
  }
  kill_all(r);
  sim_end_decided(cluster);
  if (what == RUN_EVENTS_MADE_AGAIN) make_events_again(r);
  if (what == RUN_ITEMS_MADE_AGAIN) make_items_again(r);
  if (what == RUN_DELTAS_CUT) cut_deltas(r);
  if (what == RUN_CHECKPOINTS_MADE_AGAIN) sim_make_again(cluster, FRESHET_TOPIC_ITEM_STATES);
}

/* `freshet offsets --accept-new-log`, for which the app has to be stopped. */
static void accept_new_logs(run* r) {
  sim_group* group = &r->world.cluster.groups[0];
  r->world.awaits_choice = false;
  for (int p = 0; p < SIM_PARTITIONS_MAX; p++) {
    int64_t* events = &group->committed[FRESHET_TOPIC_EVENTS][p];
    int64_t* items = &group->committed[FRESHET_TOPIC_ITEMS][p];
    if (*events < 0) *events = 0;
    if (*items < 0) *items = 0;
  }
}

static void notice_mishap(run* r) {
  r->noticed_us = 0;
  if (r->shape.mishap == RUN_ITEMS_GROW) sim_group_rebalance(&r->world.cluster, 0);
  if (!r->world.awaits_choice) return;
  kill_all(r);
  sim_end_decided(&r->world.cluster);
  accept_new_logs(r);
}

static void storm(run* r) {
  sim_random* random = &r->world.cluster.random;
  int slot = (int)sim_below(random, (uint32_t)run_slots(r));
  uint32_t what = sim_below(random, 1000);
  if (what < 2) {
    long_absence(r);
  } else if (what < 8) {
    clean_topics(r);
  } else if (what < 20) {
    expire_deltas(r, slot / r->shape.workers);
  } else if (what < 26) {
    start_double(r, slot);
  } else if (what < 34 && r->current[slot] != NULL) {
    r->current[slot]->is_asked_to_stop = true;
  } else if (what < 38 && r->current[slot] != NULL) {
    sim_process_kill(r->current[slot]);
  } else if (what < 38 + r->outages) {
    lose_leader(r, slot / r->shape.workers);
  } else if (what < 38 + r->outages + r->limiting) {
    change_limit(r);
  } else if (what >= 1000 - MISHAP && r->shape.mishap != RUN_NONE && !r->is_over) {
    have_mishap(r);
  }
}

/* ---- the course of a run ---- */

static void become_calm(run* r) {
  r->is_calm = true;
  r->world.faults = (sim_faults){.pause = r->world.faults.pause, .no_events = r->world.faults.no_events};
  memcpy(r->world.limits, r->limits, sizeof r->limits);
  for (int i = 0; i < SIM_PROCESSES_MAX; i++) {
    if (r->world.processes[i] == NULL) continue;
    r->world.processes[i]->calls_left = 0;
    sim_process_set_clock(r->world.processes[i], 0);
    for (int s = 0; s < SIM_SINKS; s++) r->world.processes[i]->sinks[s].commit.stuck_until_us = 0;
  }
  for (int i = 0; i < SIM_TOPICS * SIM_PARTITIONS_MAX; i++)
    sim_set_leaderless(&r->world.cluster, (freshet_topic)(i / SIM_PARTITIONS_MAX), i % SIM_PARTITIONS_MAX, 0);
}

static bool is_read(const sim_cluster* cluster, int app, freshet_topic topic) {
  for (int32_t p = 0; p < cluster->partitions[topic]; p++) {
    int64_t committed = cluster->groups[app].committed[topic][p];
    int64_t position = committed < 0 ? 0 : committed;
    if (sim_read(cluster, topic, p, &position) != NULL || position < cluster->logs[topic][p].end)
      return false;
  }
  return true;
}

static bool is_held(const run* r, int app, freshet_topic topic, int32_t partition) {
  for (int i = 0; i < SIM_PROCESSES_MAX; i++) {
    const sim_process* process = r->world.processes[i];
    if (process != NULL && process->app == app && !process->is_dead && process->holds[topic][partition])
      return true;
  }
  return false;
}

/* All input is read and committed, and each partition has somebody who would make a list that is owed. A debt can be
 * older than its owner: an item that went while nobody was there is found by the next one. */
static bool is_quiet(run* r, int app) {
  const sim_cluster* cluster = &r->world.cluster;
  for (int topic = 0; topic <= FRESHET_TOPIC_REQUESTS; topic++) {
    if (!is_read(cluster, app, (freshet_topic)topic)) return false;
    for (int32_t p = 0; p < cluster->partitions[topic]; p++) {
      if (!is_held(r, app, (freshet_topic)topic, p)) return false;
    }
  }
  return true;
}

/* It has been quiet for as long as the settings allow an owed list to take. */
static bool is_done(run* r) {
  const sim_cluster* cluster = &r->world.cluster;
  bool all_quiet = r->scenario.written == r->scenario.count && (r->is_settled == NULL || r->is_settled(r));
  for (int app = 0; app < apps_of(&r->shape); app++) {
    bool is_absent = r->visited >= 0 && app != r->visited;
    if (!is_absent && !is_quiet(r, app)) all_quiet = false;
  }
  if (!all_quiet) {
    r->done_us = INT64_MAX;
  } else if (r->done_us == INT64_MAX) {
    r->done_us = cluster->now_us;
  }
  int64_t patience_ms = 2 * r->config.max_delay_ms + 3 * r->config.commit_interval_ms;
  if (r->encoders[0] != NULL) patience_ms += CUTOVER_MS;
  return all_quiet && cluster->now_us - r->done_us > patience_ms * 1000;
}

static bool is_anybody_alive(const run* r) {
  for (int i = 0; i < SIM_PROCESSES_MAX; i++) {
    if (r->world.processes[i] != NULL) return true;
  }
  return false;
}

static void tend(run* r) {
  for (int slot = 0; slot < run_slots(r); slot++) {
    bool due = r->is_calm || r->world.cluster.now_us >= r->restart_us[slot];
    if (!r->is_stopping && due && r->current[slot] == NULL) start_slot(r, slot);
  }
}

static void stop_all(run* r) {
  r->is_stopping = true;
  for (int i = 0; i < SIM_PROCESSES_MAX; i++) {
    if (r->world.processes[i] != NULL) r->world.processes[i]->is_asked_to_stop = true;
  }
}

void run_go(run* r) {
  while (r->world.failure[0] == '\0') {
    if (r->noticed_us != 0 && (r->is_calm || r->world.cluster.now_us >= r->noticed_us)) notice_mishap(r);
    tend(r);
    run_somebody(r);
    if (r->is_stopping) {
      if (!is_anybody_alive(r)) {
        sim_end_decided(&r->world.cluster);
        return;
      }
    } else if (!r->is_calm) {
      storm(r);
      bool is_written = r->scenario.written == r->scenario.count;
      if (r->deaths >= DEATHS_MAX || (is_written && sim_chance(&r->world.cluster.random, 10))) become_calm(r);
    } else if (is_done(r)) {
      stop_all(r);
    }
  }
  kill_all(r);
}

void run_init(run* r, uint64_t seed, uint64_t luck, const run_shape* shape) {
  *r = (run){.shape = *shape, .done_us = INT64_MAX, .visited = -1};
  sim_world* world = &r->world;
  sim_cluster_init(&world->cluster, seed * 1000003 + luck, shape->input_partitions, shape->item_partitions);
  bool is_comparable = apps_of(shape) == 1 && shape->workers == 1 && shape->input_partitions == 1;
  sim_scenario_init(&r->scenario, seed, is_comparable, shape->is_plain, &world->cluster, codecs[TEST_CODEC]);
  sim_scenario_feed(&r->scenario, &world->cluster, r->scenario.preamble);
  r->config = config_of(shape, &world->cluster.random);
  if (shape->is_tight) r->config.model.max_items = (uint32_t)sim_scenario_announced(&r->scenario);
  set_rules(r, seed);
  world->context = r;
  world->between = between;
  sim_random* random = &world->cluster.random;
  set_limits(r, random);
  world->faults.pause = shape->workers == 1 ? 0 : sim_skewed(random, 1, 200);
  r->feeding = sim_skewed(random, 4, 80);
  r->is_calm = !shape->has_faults;
  if (r->is_calm) return;
  world->faults.abort = sim_below(random, 150);
  world->faults.give_up = sim_below(random, 40);
  world->faults.slow = sim_below(random, 100);
  world->faults.stuck = sim_below(random, 150);
  if (shape->is_plain) world->faults.slow = 300 + sim_below(random, 500); /* commits take some turns */
  world->faults.apart = shape->is_plain ? 100 : 0;
  world->faults.kick = sim_skewed(random, 0, 40);
  world->faults.rebalance = sim_skewed(random, 0, 40);
  r->limiting = sim_chance(random, 300) ? sim_skewed(random, 1, 30) : 0;
  r->outages = sim_chance(random, 400) ? sim_skewed(random, 1, 200) : 0;
  world->faults.damage = sim_chance(random, 300) ? sim_skewed(random, 1, 100) : 0;
  world->faults.clock = sim_chance(random, 300) ? sim_skewed(random, 1, 20) : 0;
  world->faults.no_events = shape->is_reading_slow ? 700 + sim_below(random, 250) : 0;
}

uint64_t run_visit(run* r, int app, sim_disk* disk) {
  r->visited = app;
  r->is_calm = true;
  r->done_us = INT64_MAX;
  sim_process* visitor = launch(r, app * r->shape.workers, disk);
  while (r->world.failure[0] == '\0' && !visitor->is_finished) {
    sim_process_resume(visitor);
    if (is_done(r)) visitor->is_asked_to_stop = true;
  }
  sim_end_decided(&r->world.cluster);
  uint64_t hash = visitor->model_hash;
  if (r->world.failure[0] == '\0' && !visitor->is_clean)
    sim_fail(&r->world, "the visitor did not stop in good order");
  sim_process_destroy(visitor);
  return hash;
}

void run_free(run* r) {
  for (int i = 0; i < SIM_PROCESSES_MAX; i++) sim_process_destroy(r->world.processes[i]);
  for (int slot = 0; slot < RUN_SLOTS_MAX; slot++) {
    for (int d = 0; d < RUN_DISKS; d++) sim_disk_destroy(r->disks[slot][d]);
  }
  sim_scenario_free(&r->scenario);
  sim_cluster_free(&r->world.cluster);
}

/* ---- afterwards ---- */

void run_check_replies(run* r, freshet_codec* codec, bool at_most_one) {
  sim_cluster* cluster = &r->world.cluster;
  for (size_t i = 0; i < r->scenario.written; i++) {
    const sim_action* action = &r->scenario.actions[i];
    freshet_request request;
    if (action->meaning != SIM_REQUEST || action->is_aborted) continue;
    freshet_status status =
        freshet_decode_request(codec, freshet_buffer_slice(&action->value), &request, NULL);
    FRESHET_ASSERT(status == FRESHET_OK);
    size_t found = 0;
    for (int32_t p = 0; p < cluster->partitions[FRESHET_TOPIC_REPLIES]; p++) {
      int64_t position = 0;
      const sim_record* record;
      for (; (record = sim_read(cluster, FRESHET_TOPIC_REPLIES, p, &position)) != NULL; position++)
        found += (size_t)freshet_slice_equal(freshet_buffer_slice(&record->key), request.request_id);
    }
    if (found == 0 || (found > 1 && at_most_one))
      sim_fail(&r->world, "request %.*s, partition %d offset %lld, has %zu replies",
               (int)request.request_id.size, request.request_id.data, action->partition,
               (long long)action->offset, found);
  }
}
