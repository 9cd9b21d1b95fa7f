/*
 * support_process.h: one process of the simulation: the real worker on the simulated broker, with all faults
 * that may happen: it dies at any call, it is paused at any call while others go on, commits are aborted,
 * records are given up, partitions are taken away. Each process is a fiber: one runs at a time, and the seed
 * decides which one is next: a seed is a run.
 */
#ifndef FRESHET_TESTS_SUPPORT_PROCESS_H
#define FRESHET_TESTS_SUPPORT_PROCESS_H

#include "support_cluster.h"
#include "support_disk.h"
#include "support_fiber.h"
#include "worker/worker.h"

/* The chances of faults, in a thousand calls. All zero: the calm. */
typedef struct sim_faults {
  uint32_t abort;   /* of a commit */
  uint32_t give_up; /* of a published record */
  uint32_t slow;    /* a settle times out, a commit makes no progress */
  uint32_t stuck;   /* the coordinator of a commit dies; seconds pass until there is another */
  uint32_t
      apart; /* of each step of a commit of the state beside lists: one of the faults that may happen then */
  uint32_t kick;      /* the group forgets a member that is alive */
  uint32_t rebalance; /* the group shares out again */
  uint32_t pause;     /* another process runs first */
  uint32_t no_events; /* a poll finds none in a partition: what is learned again takes long */
  uint32_t clock;     /* the wall clock of the machine jumps, back or forward */
  uint32_t damage;    /* a read of the disk meets damage */
} sim_faults;

enum { SIM_PROCESSES_MAX = 8, SIM_LOGS = 3, SIM_SINKS = 2 };

typedef struct sim_process sim_process;

typedef struct sim_world {
  sim_cluster cluster;
  sim_faults faults;
  /* Bytes of key, value and headers that a topic takes; 0: any. A process asks at its start, and now and then. */
  size_t limits[FRESHET_TOPICS];
  bool is_changed[FRESHET_TOPICS];           /* the limit, since the run began */
  sim_process* processes[SIM_PROCESSES_MAX]; /* alive or unwinding; NULL: free */
  bool awaits_choice; /* a topic of input was made again: processes refuse it until an operator accepts it */
  /* Called between any two calls of any process: here the outside world goes on. */
  void (*between)(struct sim_world* world);
  /* Called for each list or tombstone that a process hands over. */
  void (*published)(struct sim_world* world, sim_process* process, const freshet_output* output);
  /* Called for each published record when it reaches the broker; may be NULL. */
  void (*arrived)(struct sim_world* world, sim_process* process, freshet_topic topic,
                  const sim_record* record);
  /* Called when a commit of the state beside lists is decided; may be NULL. */
  void (*state_committed)(struct sim_world* world, const sim_transaction* transaction);
  void* context;
  uint64_t next_id;
  /* Commits of the state through a transaction of its own, and commits of lists while one was being written. */
  uint64_t state_commits, lists_beside;
  char failure[1024]; /* the first; empty: none */
} sim_world;

/* Notes the first failure; the test reads it. */
void sim_fail(sim_world* world, const char* format, ...) __attribute__((format(printf, 2, 3)));

struct sim_process {
  sim_world* world;
  uint64_t id;
  int slot; /* static name in the group and transactional id */
  int app;  /* its generation */
  freshet_stream_config config;
  freshet_codec* codec;     /* not owned */
  freshet_encoder* encoder; /* not owned; NULL: no texts */
  sim_disk* disk;           /* not owned */
  freshet_worker_metrics metrics;
  int64_t clock_ahead_ms; /* its wall clock, of that of the broker */
  int64_t cpu_us;         /* of its thread */

  /* How it ends. */
  int64_t calls_left;    /* until it dies; 0: it does not */
  bool is_asked_to_stop; /* as by SIGTERM */
  bool is_dead;          /* dead: its calls have no effect any more */
  bool is_excused;       /* was told to stop by the cluster */
  bool is_finished;      /* its worker is gone */
  bool is_clean;         /* stopped as asked, and its disk has all that it committed */
  bool has_abandoned;    /* a commit, since it last got partitions: its disk may lack that one */
  uint64_t model_hash;   /* after a clean stop; metrics show the rest */

  /* In the group. */
  freshet_source_handler handler;
  uint64_t member;
  int generation;
  bool holds[FRESHET_TOPICS][SIM_PARTITIONS_MAX];
  int64_t fetch[FRESHET_TOPICS][SIM_PARTITIONS_MAX]; /* next offset to return */
  int64_t after[FRESHET_TOPICS][SIM_PARTITIONS_MAX]; /* after the last record returned */
  uint64_t rewinds;                                  /* part of the writer's name in its records */

  /* As a producer. */
  bool stands_by;                /* for the partitions of others */
  size_t limits[FRESHET_TOPICS]; /* of topics, as it knows them */
  bool has_been_refused;         /* a record was too large, since its last commit that has ended well */
  /* What it had read of items when its last commit began. A list that waits for the next commit is younger. */
  int64_t items_read[SIM_PARTITIONS_MAX];
  int64_t items_read_ms;
  struct sim_letter* queue; /* [queued] published, not yet on the broker */
  size_t queued, queue_capacity;
  size_t given_up; /* since the last settle or commit */

  /* The objects behind the interfaces. */
  struct sim_source {
    freshet_source base;
    sim_process* process;
    freshet_buffer* views; /* [view_count] what the records of the last poll point into */
    size_t view_count;
  } source;
  struct sim_log {
    freshet_reader base;
    sim_process* process;
    int64_t positions[FRESHET_TOPICS][SIM_PARTITIONS_MAX]; /* SIM_SHUT: not open */
    bool started[FRESHET_TOPICS][SIM_PARTITIONS_MAX];      /* has been polled: the position is known */
    int64_t polled_ms;                                     /* when last */
    freshet_buffer* views;
    size_t view_count;
  } logs[SIM_LOGS]; /* of the item tables, for restores, of the standby */
  struct sim_sink {
    freshet_sink base;
    sim_process* process;
    bool is_second;                 /* for commits of the state beside those of lists */
    uint64_t epochs[SIM_TURNS];     /* [turns] of its producers, which take turns */
    int turns;                      /* 1: the next transaction begins when the last one is over */
    int turn;                       /* whose transaction is the next one to be committed */
    int32_t transaction;            /* of that producer, -1: none */
    int32_t committed;              /* last committed transaction, -1: none */
    bool may_write[FRESHET_TOPICS]; /* into the next one, while the commit of the last one is under way */
    struct sim_writing {
      freshet_sink_job job; /* that the worker has started and not ended; NULL: none */
      void* context;
      bool is_over; /* it has run, and ended so */
      freshet_status status;
      freshet_error error;
    } writing;
    bool is_refused; /* a record of the open transaction was too large */
    struct sim_commit {
      enum { SIM_IDLE, SIM_ASKED, SIM_SENT, SIM_ENDED } phase;
      int32_t transaction;
      int producer;    /* index of epochs */
      uint64_t member; /* as of the call, with the generation */
      int generation;
      freshet_partition offsets[SIM_OFFSETS_MAX]; /* [offset_count] */
      size_t offset_count;
      size_t letters; /* at the front of the queue, to be acknowledged first */
      freshet_status status;
      bool is_refused;        /* a record of it was too large */
      bool is_abandoned;      /* nobody will ask for the outcome */
      int64_t stuck_until_us; /* without a coordinator until then */
    } commit;
  } sinks[SIM_SINKS]; /* the second with delivery = committed only */
  struct sim_clock {
    freshet_clock base;
    sim_process* process;
  } clock;

  sim_fiber* fiber; /* NULL: it has not been started */
};

enum { SIM_SHUT = -3 };

/* Makes the process and its objects; it does not run yet. config, codec and disk are used until it is
 * destroyed. NULL: there are too many. */
sim_process* sim_process_create(sim_world* world, int app, int slot, const freshet_stream_config* config,
                                freshet_codec* codec, sim_disk* disk);
/* Starts its life: a fiber that creates a worker and turns its loop until it stops or dies. */
void sim_process_start(sim_process* process);
/* The wall clock of its machine, in ms. */
int64_t sim_process_now_ms(const sim_process* process);
/* Sets its wall clock to that of the broker plus so much. */
void sim_process_set_clock(sim_process* process, int64_t ahead_ms);
/* Lets it run until it pauses or has finished. */
void sim_process_resume(sim_process* process);
/* Kills it at its present call. It still has to unwind: resume it until it has finished. */
void sim_process_kill(sim_process* process);
/* Kills it, lets it unwind, and frees. */
void sim_process_destroy(sim_process* process);

/* Does what its first calls do: joins the group and takes over the transactional id. For tests without a
 * worker. */
void sim_process_connect(sim_process* process);

/* ---- for the objects behind the interfaces ---- */

/* The point between two calls: here the process may be paused or die, and the world goes on. False: it is
 * dead. */
bool sim_boundary(sim_process* process);
/* A call that waits: at most timeout_ms pass. */
void sim_wait(sim_process* process, int timeout_ms);
freshet_status sim_death(freshet_error* error);
/* Another process has taken over its name. */
freshet_status sim_fenced(sim_process* process, freshet_error* error);
bool sim_is_fenced_member(sim_process* process);
uint64_t sim_writer(const sim_process* process);

void sim_stream_init(sim_process* process); /* source and logs */
void sim_stream_free(sim_process* process);
void sim_producer_open(sim_process* process); /* sink */
void sim_producer_free(sim_process* process);
/* It asks the cluster how large a record each topic takes. */
void sim_producer_ask(sim_process* process);
/* The transactional id of its producer of that turn. */
int sim_producer_of(const struct sim_sink* sink, int turn);
/* What happens beside the loop of the process: letters arrive, a commit makes progress. */
void sim_producer_work(sim_process* process);
/* At death: some of the records that are on their way still arrive. */
void sim_producer_die(sim_process* process);

#endif
