/*
 * support_scenario.h: the input of a run: what is written to `events`, `items` and `requests`. A seed decides it
 * before the run begins. And the oracle: what must come of it. The oracle knows nothing of the worker's code.
 */
#ifndef FRESHET_TESTS_SUPPORT_SCENARIO_H
#define FRESHET_TESTS_SUPPORT_SCENARIO_H

#include "codec/codec.h"
#include "support_cluster.h"

enum {
  SIM_USERS_MAX = 16,
  SIM_ITEMS_MAX = 48,     /* the last quarter is never announced */
  SIM_LARGE_BYTES = 6000, /* of some bad records: more than the dead-letter topic takes in some runs */
  SIM_DEDUP_EVENTS = 16,
  SIM_DEDUP_WINDOW_MS = 60000,
};

typedef enum sim_meaning {
  SIM_EVENT,      /* learned once */
  SIM_DUPLICATE,  /* an event id inside the window: skipped */
  SIM_ERASURE,    /* the user is forgotten */
  SIM_BAD,        /* to the dead letters */
  SIM_ITEM,       /* announces or changes an item */
  SIM_WITHDRAWAL, /* tombstone of an item */
  SIM_REQUEST,    /* is answered */
  SIM_GAP,        /* a gap: offsets without a record */
  SIM_BEGIN,      /* the producer of the input writes in a transaction from here on */
  SIM_COMMIT,
  SIM_ABORT,
} sim_meaning;

typedef struct sim_action {
  sim_meaning meaning;
  freshet_topic topic;
  int32_t partition;
  int64_t timestamp_ms;
  bool has_key, has_value;
  freshet_buffer key, value;
  int user; /* SIM_EVENT, SIM_DUPLICATE, SIM_ERASURE */
  uint64_t event_key;
  bool is_impression; /* SIM_EVENT, SIM_DUPLICATE */
  int item;           /* SIM_ITEM, SIM_WITHDRAWAL */
  bool available;
  int64_t expires_at_ms;
  int64_t skipped; /* SIM_GAP */
  int64_t offset;  /* where it was written; -1: not yet */
  bool is_aborted; /* part of an aborted transaction: no reader sees it */
  bool is_gone;    /* its topic was made again: it counts as far as it had been read */
} sim_action;

typedef struct sim_scenario {
  uint64_t seed;
  bool is_comparable;
  /* All items are announced before the first event, and stay listed: no list is ever made again. */
  bool is_still;
  /* Then only events, duplicates, requests and gaps come, many of them. */
  bool is_plain;
  sim_action* actions; /* [count], in the order in which they are written */
  size_t count, capacity;
  size_t written;
  size_t preamble;     /* the first actions, which announce items: there before the workers are */
  int32_t transaction; /* of the producer of the input, -1: none */
  bool
      is_dense; /* each offset of `items` has a record: without one a process cannot tell a log from another */
  int users, items;
} sim_scenario;

/* comparable: runs of the scenario can be compared. What is learned from an event depends on the items that
 * are known by then, and `items` and `events` have no common order. So all items that are ever announced are
 * known before the first event; none is withdrawn for good (but made unavailable) or gets another text; other
 * items come with a click, which is learned and so remembered. */
void sim_scenario_init(sim_scenario* scenario, uint64_t seed, bool is_comparable, bool is_plain,
                       const sim_cluster* cluster, freshet_codec* codec);
void sim_scenario_free(sim_scenario* scenario);

/* How many items are announced at once, at most. */
int sim_scenario_announced(const sim_scenario* scenario);

/* Writes the next actions, at most `most`. A transaction is never left open at the end. */
void sim_scenario_feed(sim_scenario* scenario, sim_cluster* cluster, size_t most);

/* `events` or `items` was made again. Of events, those before `read` [partition] had been learned, and the others never will
 * be: a duplicate of one is an event now. The newest records of items that are announced are written again. */
void sim_scenario_lose_events(sim_scenario* scenario, const int64_t* read);
void sim_scenario_write_items_again(sim_scenario* scenario, sim_cluster* cluster);
/* `items` has one more partition: items that are announced later may go there. */
void sim_scenario_grow_items(sim_scenario* scenario, int32_t partition);

/* ---- the oracle ---- */

typedef struct sim_truth {
  int32_t partition;
  bool exists; /* has events since the last erasure, if any */
  bool is_erased;
  int64_t events;
  uint64_t checksum;
  int64_t newest_offset;
} sim_truth;

/* The oracle of everything that was written so far, or of what comes before an offset of the user's partition. */
sim_truth sim_scenario_truth(const sim_scenario* scenario, int user);
sim_truth sim_scenario_truth_before(const sim_scenario* scenario, int user, int64_t offset);
void sim_user_id(int user, char id[8]);
void sim_item_id(int item, char id[8]);
/* Whether a list may hold the item, for a process that has read `items` up to these positions, at this
 * time. */
bool sim_scenario_is_listed(const sim_scenario* scenario, freshet_slice item, const int64_t* positions,
                            int64_t now_ms);
/* Whether a list may hold the item that a process has made since it had read `items` up to `since`, and before it has
 * read beyond `positions`; now_ms: when it last looked for expired items at `since`. */
bool sim_scenario_was_listed(const sim_scenario* scenario, freshet_slice item, const int64_t* since,
                             const int64_t* positions, int64_t now_ms);

#endif
