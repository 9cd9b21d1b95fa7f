/*
 * support_run.h: a run of the simulation: up to three workers of one or two app generations on a scenario, first
 * through a storm of faults, then in the calm until everything is done, and at the end stopped in good order.
 * The results stay in the cluster, where the test reads them.
 */
#ifndef FRESHET_TESTS_SUPPORT_RUN_H
#define FRESHET_TESTS_SUPPORT_RUN_H

#include "support_process.h"
#include "support_scenario.h"

enum { RUN_WORKERS_MAX = 3, RUN_SLOTS_MAX = RUN_WORKERS_MAX * SIM_APPS, RUN_DISKS = 2 };

/* What happens to a topic, once in a run. */
typedef enum run_mishap {
  RUN_NONE,
  RUN_EVENTS_MADE_AGAIN,
  RUN_ITEMS_MADE_AGAIN,
  RUN_ITEMS_GROW, /* one more partition */
  RUN_DELTAS_CUT, /* made again, or only their end is gone */
  RUN_CHECKPOINTS_MADE_AGAIN,
  RUN_MISHAPS,
} run_mishap;

typedef struct run_shape {
  int apps;    /* app generations; 0: one, which does not know that others may exist */
  int workers; /* of each */
  int32_t input_partitions, item_partitions;
  freshet_delivery delivery;
  bool has_faults;
  run_mishap mishap;
  bool is_reading_slow; /* in the storm: events come seldom, so a replay takes long */
  bool is_plain; /* the scenario; the state is committed again and again, and nothing else goes with it */
  bool is_tight; /* there are as many slots as items that may be announced at once: the others are parked */
} run_shape;

/* A slot is the place of a worker; those of the first generation come first. */
typedef struct run {
  sim_world world; /* world.context is the run */
  sim_scenario scenario;
  run_shape shape;
  freshet_stream_config config;
  freshet_rules rules; /* config.rules */
  freshet_pin pin;
  /* Not owned, NULL: no texts. The configured encoder changes back and forth in the storm; in the calm it is
   * the first. */
  freshet_encoder* encoders[2];
  sim_process* current[RUN_SLOTS_MAX]; /* the process that should do the work of a slot; NULL: none now */
  int64_t restart_us[RUN_SLOTS_MAX];
  sim_disk* disks[RUN_SLOTS_MAX][RUN_DISKS];
  /* Called between any two calls; may be NULL. is_settled: the run is over when everything is read. */
  void (*meanwhile)(struct run* r);
  bool (*is_settled)(struct run* r);
  int visited;      /* the only app generation that runs: run_visit; -1: all run */
  uint32_t outages; /* chance, in a thousand turns of the storm, that a partition loses its leader */
  size_t limits[FRESHET_TOPICS]; /* of the world, at first and in the calm */
  uint32_t limiting;             /* that an operator changes the limit of a topic */
  uint32_t feeding;              /* chance, in a thousand calls, that more input is written */
  bool is_calm;
  bool is_stopping;
  bool is_cleaned;    /* compacted topics have lost records */
  bool is_over;       /* the mishap has happened */
  int64_t noticed_us; /* when the group, or the operator, comes to know of the mishap; 0: never */
  int64_t done_us;    /* when everything was done; INT64_MAX: not yet */
  uint64_t calls, deaths;
  uint64_t model_hash[RUN_SLOTS_MAX]; /* of the process that stopped in good order, */
  uint64_t items_listed[RUN_SLOTS_MAX];
  int64_t items_listed_ms[RUN_SLOTS_MAX]; /* the time when it last looked */
  sim_disk* last_disk[RUN_SLOTS_MAX];     /* and the disk that it left */
} run;

/* Codecs cost milliseconds to make and are shared by all runs: one for each process that may be alive, one
 * for the test. Returns the test's. */
freshet_codec* run_codecs_create(void);
void run_codecs_destroy(void);

/* Chooses the shape of a run by the seed. */
run_shape run_shape_of(uint64_t seed);
/* And whether something happens to a topic, for a program whose checks know what that means. */
run_mishap run_mishap_of(uint64_t seed);
/* Makes a run. The scenario depends on `seed` and the partitions only; everything else depends on `seed` and
 * `luck`. */
void run_init(run* r, uint64_t seed, uint64_t luck, const run_shape* shape);
/* Runs to the end, or to the first failure (world.failure). */
void run_go(run* r);
int run_slots(const run* r);
/* "shop" and "shop.g2". */
const char* run_generation_name(int app);
/* Runs a process of an app generation on a disk, without faults, after the run: it reads everything and
 * stops. Returns the hash of its model. */
uint64_t run_visit(run* r, int app, sim_disk* disk);
void run_free(run* r);

/* Fails when a request has no reply, or more than one if at_most_one. */
void run_check_replies(run* r, freshet_codec* codec, bool at_most_one);

#endif
