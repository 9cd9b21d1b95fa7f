/*
 * support_run.h: a run of the simulation: one or two workers on a scenario, first through a storm of faults,
 * then in the calm until everything is done, and at the end stopped in good order. What comes of it stays in
 * the cluster, for the test to look at.
 */
#ifndef FRESHET_TESTS_SUPPORT_RUN_H
#define FRESHET_TESTS_SUPPORT_RUN_H

#include "support_process.h"
#include "support_scenario.h"

enum { RUN_WORKERS_MAX = 2, RUN_DISKS = 2 };

typedef struct run_shape {
  int workers;
  int32_t input_partitions, item_partitions;
  freshet_delivery delivery;
  bool has_faults;
} run_shape;

typedef struct run {
  sim_world world; /* world.context is the run */
  sim_scenario scenario;
  run_shape shape;
  freshet_worker_config config;
  /* Not owned, NULL: no texts. The configured encoder changes back and forth in the storm; in the calm it is
   * the first. */
  freshet_encoder* encoders[2];
  sim_process* current[RUN_WORKERS_MAX]; /* who is meant to do the work of a slot; NULL: nobody now */
  int64_t restart_us[RUN_WORKERS_MAX];
  sim_disk* disks[RUN_WORKERS_MAX][RUN_DISKS];
  uint32_t feeding; /* chance in a thousand calls that more is written */
  bool is_calm;
  bool is_stopping;
  bool is_cleaned; /* compacted topics have lost records */
  int64_t done_us; /* when everything had been done, INT64_MAX: not yet */
  uint64_t calls, deaths;
  uint64_t model_hash[RUN_WORKERS_MAX]; /* of who stopped in good order, */
  uint64_t items_listed[RUN_WORKERS_MAX];
  sim_disk* last_disk[RUN_WORKERS_MAX]; /* and what it left */
} run;

/* Codecs cost milliseconds to make and are shared by all runs: one for each process that may be alive, one
 * for the test. Returns the test's. */
freshet_codec* run_codecs_create(void);
void run_codecs_destroy(void);

/* What the seed says about the shape of a run. */
run_shape run_shape_of(uint64_t seed);
/* The scenario depends on `seed` and the partitions only, all else on `seed` and `luck`. */
void run_init(run* r, uint64_t seed, uint64_t luck, const run_shape* shape);
/* Runs to the end, or to the first failure (world.failure). */
void run_go(run* r);
/* A calm process on a disk, after the run: it catches up with everything and stops. Returns the hash of its
 * model. */
uint64_t run_visit(run* r, sim_disk* disk);
void run_free(run* r);

#endif
