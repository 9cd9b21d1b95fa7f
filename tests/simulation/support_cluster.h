/*
 * support_cluster.h: the broker of the simulation: topics, transactions, consumer groups and the time, as
 * Kafka defines them, for one application or two app generations of it, each with a group and topics of its
 * own. Offsets are never used again: a transaction marker takes one, and compaction and aborted records leave
 * gaps. Nothing here fails by itself: the clients (support_process.h) decide when.
 */
#ifndef FRESHET_TESTS_SUPPORT_CLUSTER_H
#define FRESHET_TESTS_SUPPORT_CLUSTER_H

#include "freshet/bytes.h"
#include "stream/sink.h"
#include "stream/source.h"
#include "support_random.h"

enum {
  SIM_PARTITIONS_MAX = 4,
  SIM_MEMBERS_MAX = 4,
  SIM_WORKERS_MAX = 6, /* at a time */
  SIM_TURNS = 3,       /* producers of a worker, which take turns; it has one more for its state */
  SIM_PRODUCERS_MAX =
      (SIM_TURNS + 1) * SIM_WORKERS_MAX + 2, /* transactional ids: those of workers, and these two: */
  SIM_OUTSIDE = SIM_PRODUCERS_MAX - 1,       /* the producer of the input */
  SIM_OPERATOR = SIM_PRODUCERS_MAX - 2,      /* the operator who switches between app generations */
  SIM_APPS = 2,                              /* generations */
  SIM_TOPICS = SIM_APPS * FRESHET_TOPICS,
  SIM_TRANSACTION_TIMEOUT_MS = 10000,
  SIM_SESSION_TIMEOUT_MS = 4000,
  SIM_REBALANCE_TIMEOUT_MS = 8000,
};

typedef struct sim_record {
  int64_t offset;
  int64_t timestamp_ms;
  int64_t written_ms; /* by the broker's clock */
  /* when the cleaner saw it first: from then on a tombstone is kept for its time; 0: not yet */
  int64_t cleaned_ms;
  int32_t transaction; /* index, -1: none */
  bool is_marker;
  bool has_key, has_value;
  freshet_buffer key, value;
  freshet_buffer headers; /* name NUL size (u32) value, one after the other */
  /* the process that wrote it, and the number of its rewinds then: support_process.h */
  uint64_t writer;
  bool is_late; /* published by a process that had lost its partitions and did not know it */
} sim_record;

typedef struct sim_partition {
  sim_record* records; /* [count], by offset */
  size_t count, capacity;
  int64_t first; /* records before it have expired */
  int64_t end;   /* next offset to be written */
} sim_partition;

typedef enum sim_outcome { SIM_OPEN, SIM_COMMITTED, SIM_ABORTED } sim_outcome;

/* A topic of the broker: the one that a worker of this app generation means. Topics of the second generation
 * have numbers from FRESHET_TOPICS on. */
freshet_topic sim_topic(int app, freshet_topic topic);

enum { SIM_OFFSETS_MAX = FRESHET_TOPICS * SIM_PARTITIONS_MAX };

typedef struct sim_transaction {
  int producer;
  int app;             /* the group that these offsets belong to */
  sim_outcome outcome; /* as readers see it: open until the markers are written */
  sim_outcome decided; /* as its producer was told */
  int64_t begun_us;
  int64_t ends_us; /* when the markers of a decided one are written */
  bool wrote[SIM_TOPICS][SIM_PARTITIONS_MAX];
  int64_t ends[SIM_TOPICS][SIM_PARTITIONS_MAX]; /* after its last record, -1: none */
  freshet_partition offsets[SIM_OFFSETS_MAX];   /* [offset_count] of the group, undecided until the end */
  size_t offset_count;
  int64_t offsets_order; /* of the group's log: offsets that came later count */
} sim_transaction;

typedef struct sim_producer {
  uint64_t epoch;  /* raised by every init: a producer with an older epoch is fenced */
  int32_t current; /* its transaction whose markers are not written yet, -1: none */
} sim_producer;

typedef struct sim_member {
  uint64_t id;  /* of the client; 0: nobody */
  int instance; /* its static name */
  bool joined;  /* has answered the rebalance under way */
  bool is_gone; /* died; noticed at the session timeout */
  int64_t gone_us;
  bool owns[FRESHET_TOPICS][SIM_PARTITIONS_MAX];
} sim_member;

typedef struct sim_group {
  sim_member members[SIM_MEMBERS_MAX];
  int generation;
  bool is_rebalancing;
  int64_t rebalancing_us;                                /* since when */
  int64_t committed[FRESHET_TOPICS][SIM_PARTITIONS_MAX]; /* -1: none */
  freshet_listed listed[FRESHET_TOPICS][SIM_PARTITIONS_MAX];
  int64_t committed_by[FRESHET_TOPICS][SIM_PARTITIONS_MAX]; /* offsets_order of the transaction */
} sim_group;

typedef struct sim_cluster {
  sim_random random;
  int64_t now_us;
  int32_t partitions[SIM_TOPICS];
  sim_partition logs[SIM_TOPICS][SIM_PARTITIONS_MAX];
  int64_t leaderless_until_us[SIM_TOPICS][SIM_PARTITIONS_MAX];
  sim_transaction* transactions; /* [transaction_count] */
  size_t transaction_count, transaction_capacity;
  sim_producer producers[SIM_PRODUCERS_MAX];
  int64_t offsets_sent; /* how often */
  sim_group groups[SIM_APPS];
} sim_cluster;

void sim_cluster_init(sim_cluster* cluster, uint64_t seed, int32_t input_partitions, int32_t item_partitions);
void sim_cluster_free(sim_cluster* cluster);

/* ---- time ---- */

int64_t sim_now_ms(const sim_cluster* cluster);
/* Time passes: transactions and sessions run out. */
void sim_advance(sim_cluster* cluster, int64_t us);

/* ---- leaders ---- */

/* The broker that leads the partition dies, and for so long there is no other: clients wait. 0: there is one. */
void sim_set_leaderless(sim_cluster* cluster, freshet_topic topic, int32_t partition, int64_t us);
bool sim_has_leader(const sim_cluster* cluster, freshet_topic topic, int32_t partition);
/* Whether all partitions that the transaction has written to have leaders. */
bool sim_can_write(const sim_cluster* cluster, int32_t transaction);

/* ---- records ---- */

/* The partition that a record goes to. */
int32_t sim_partition_of(const sim_cluster* cluster, const freshet_output* output);
/* Appends a record. transaction -1: it is visible at once. output->partition -1: by key. Returns the record,
 * valid until the next append. */
sim_record* sim_append(sim_cluster* cluster, int32_t transaction, const freshet_output* output);
/* Leaves a gap, as compaction or deletion would. */
void sim_skip(sim_cluster* cluster, freshet_topic topic, int32_t partition, int64_t offsets);
/* The first record at or after *position that a read_committed reader sees, or NULL. *position moves past
 * records that are decided and invisible. */
const sim_record* sim_read(const sim_cluster* cluster, freshet_topic topic, int32_t partition,
                           int64_t* position);
/* The value of a header; data NULL when there is none. */
freshet_slice sim_header(const sim_record* record, const char* name);
/* Cleans a compacted topic as Kafka may: removes records whose key has a later record, and tombstones that
 * are older than their retention. It changes nothing at or after the last stable offset, nor records that the
 * group still has to read. */
void sim_compact(sim_cluster* cluster, freshet_topic topic, int64_t tombstone_retention_ms);
/* Retention: records before `first` are gone. */
void sim_expire(sim_cluster* cluster, freshet_topic topic, int32_t partition, int64_t first);

/* The last record that a read_committed reader sees, or NULL. */
sim_record* sim_last(sim_cluster* cluster, freshet_topic topic, int32_t partition);
/* The log is cut: it ends at `end`. */
void sim_truncate(sim_cluster* cluster, freshet_topic topic, int32_t partition, int64_t end);
/* The topic is deleted and made again: its logs are empty, and the groups have forgotten their offsets in it. No process
 * may be alive. */
void sim_make_again(sim_cluster* cluster, freshet_topic topic);
/* The topic gets one more partition. The groups share out again when somebody notices. */
void sim_grow(sim_cluster* cluster, freshet_topic topic);

/* ---- transactions ---- */

/* Fences the producer that had the transactional id and aborts its open transaction. Returns the epoch. */
uint64_t sim_producer_init(sim_cluster* cluster, int producer);
int32_t sim_begin(sim_cluster* cluster, int producer);
/* The coordinator answers: it is decided. The markers come that much later, or when their partitions have leaders: until
 * then readers wait, the group does not tell its offsets, and the producer cannot begin another one. */
void sim_decide(sim_cluster* cluster, int32_t transaction, sim_outcome outcome, int64_t later_us);
/* The last transaction of the producer is decided, but its markers are not written. */
bool sim_is_ending(const sim_cluster* cluster, int producer);
/* Ends it at once. */
void sim_end(sim_cluster* cluster, int32_t transaction, sim_outcome outcome);
/* Writes the markers of all decided transactions. */
void sim_end_decided(sim_cluster* cluster);

/* ---- the group of a generation ---- */

/* A client joins. One with the name of a member takes its place, without a rebalance when none is under
 * way. */
void sim_group_join(sim_cluster* cluster, int app, uint64_t id, int instance);
/* The member of a client; NULL: it is no member. */
sim_member* sim_group_member(sim_cluster* cluster, int app, uint64_t id);
/* The member has let go of everything and waits for its share. */
void sim_group_answer(sim_cluster* cluster, int app, sim_member* member);
void sim_group_rebalance(sim_cluster* cluster, int app);
/* Removes a member: it left, or its session timed out. */
void sim_group_remove(sim_cluster* cluster, int app, sim_member* member);
/* True when a transaction whose markers are not written holds an offset of the partition: the place to start from is not
 * known yet. */
bool sim_group_is_unstable(const sim_cluster* cluster, int app, freshet_topic topic, int32_t partition);

#endif
