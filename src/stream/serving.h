/*
 * serving.h: which generation of an application publishes the lists, partition by partition of `events`.
 *
 * Generations of one application learn beside each other, each with a group, state and an app id of its own
 * ("shop", "shop.g2"). One of them serves: its lists go to `recommendations`; those of the others go to their
 * shadow topics. Who serves is a fact in <base>.generations (schemas/GenerationFact.avsc), which every worker
 * of every generation follows. It changes by a switch, and a switch is carried out for each partition by
 * itself:
 *
 *   serving     switch 3: shop.g2 instead of shop                  by `freshet backfill`, one transaction
 *   released/P  shop publishes no more; it has learned up to R     by its worker, in the transaction that
 *                                                                  commits R as its offset
 *   requests/P  shop has answered all before offset Q of `requests`  with the release; Q is committed too
 *   taken/P     shop.g2 had learned up to R and has published a    by its worker, in the transaction after
 *               list of every user of the partition                those lists were acknowledged
 *
 * So at any time at most one generation publishes for a partition. A generation that takes over has learned all events
 * that earlier lists were made from, and goes on with the first request that was not answered. Only the last fact of each
 * key matters. Therefore the topic can be compacted, a switch can follow another one that is not carried out yet, and a
 * worker that starts anywhere in between knows what is left to do.
 *
 * It owns the facts. It must not know what a worker does about them (worker/handover.c). Not thread-safe.
 */
#ifndef FRESHET_STREAM_SERVING_H
#define FRESHET_STREAM_SERVING_H

#include "codec/codec.h"
#include "stream/sink.h"
#include "stream/source.h"

enum {
  FRESHET_APP_GENERATION_NAME_SIZE = 256,
  FRESHET_SERVING_KEY_SIZE = FRESHET_APP_GENERATION_NAME_SIZE + 16
};

typedef struct freshet_serving_partition {
  int64_t released; /* number of the last switch for which its server has let go of it */
  int64_t offset;  /* at that switch: a generation may take over once it has learned everything before this */
  int64_t learned; /* at that switch: the generation that has let go has learned everything before this */
  int64_t taken;   /* number of the last switch that is carried out */
  uint64_t taken_by;       /* freshet_id_key of the app generation that has carried it out */
  int64_t requests_number; /* of the switch that `requests` belongs to; 0: of none */
  int64_t requests;        /* at that switch: everything before this offset of `requests` has been answered */
  bool
      is_hidden; /* a release of an earlier switch came after the last one: the cleaner would keep only that */
} freshet_serving_partition;

/* Zero-initialised but for the names: no switch has been made, and `base` serves. */
typedef struct freshet_serving {
  const char* own;  /* borrowed; NULL: there are no generations, and we serve */
  const char* base; /* borrowed; the first generation */
  int64_t number;   /* of the last switch */
  int64_t at_ms;    /* when it was written */
  char generation[FRESHET_APP_GENERATION_NAME_SIZE]; /* the one that serves since then; empty for number 0 */
  char previous[FRESHET_APP_GENERATION_NAME_SIZE];   /* the one that served before */
  freshet_serving_partition* partitions;             /* [count] by partition of `events` */
  int32_t count;
  /* Every generation that has registered, for `freshet backfill`. */
  char (*known)[FRESHET_APP_GENERATION_NAME_SIZE]; /* [known_count] */
  size_t known_count;
} freshet_serving;

/* Forgets every fact, frees, and keeps the names. */
void freshet_serving_reset(freshet_serving* serving);

/* A record of the topic. Facts under keys of later versions are skipped. Errors: FRESHET_INVALID (verdict
 * FRESHET_STOP) for one that cannot be read. */
freshet_status freshet_serving_apply(freshet_serving* serving, freshet_codec* codec,
                                     const freshet_record* record, freshet_error* error);

/* The generation that serves now. */
const char* freshet_serving_generation(const freshet_serving* serving);
/* What is known of a partition; zeros when there was no switch yet. */
freshet_serving_partition freshet_serving_of(const freshet_serving* serving, int32_t partition);

/* ---- what follows for the own generation and a partition of `events` ---- */

/* We serve since the last switch, whether it is carried out or not. */
bool freshet_serving_is_own(const freshet_serving* serving);
/* By the facts in the log, our lists go to `recommendations`. */
bool freshet_serving_publishes(const freshet_serving* serving, int32_t partition);
/* Since the last switch another generation serves, and we have not said yet that we have let go. */
bool freshet_serving_must_release(const freshet_serving* serving, int32_t partition);
/* We have let go since the last switch, and a worker that had not heard of that switch has let go of an earlier one
 * afterwards. The topic keeps the last record of a key, so ours has to be written again. */
bool freshet_serving_is_hidden(const freshet_serving* serving, int32_t partition);
/* Since the last switch we serve, and having learned everything before `next` is enough to begin. */
bool freshet_serving_may_take(const freshet_serving* serving, int32_t partition, int64_t next);

/* ---- the facts: fact->at_ms is the caller's ---- */

/* The next switch; slices point into serving and generation. */
freshet_app_generation_fact freshet_serving_switch(const freshet_serving* serving, const char* generation);
/* Our last release, and where requests go on since then, as they were; then it is not hidden any more. */
freshet_app_generation_fact freshet_serving_release_again(freshet_serving* serving, int32_t partition);
freshet_app_generation_fact freshet_serving_answered_again(const freshet_serving* serving, int32_t partition);
/* The release that belongs to the last switch. `generation` lets go: our own one, or one that no living worker
 * belongs to. offset: everything that it may have published is older. learned: its state ends here. If it had never
 * taken over the partition itself, the release before it still counts, and its offsets go into the fact. */
freshet_app_generation_fact freshet_serving_release(const freshet_serving* serving, const char* generation,
                                                    int32_t partition, int64_t offset, int64_t learned);
/* Goes with a release of the last switch, in the same transaction. answered: `generation` has answered every request of
 * the partition before this offset, and answers no other. That counts if it is the last one that took over and has not
 * let go since; else the fact says again what that one has said. False: that one has said nothing, and no fact is
 * written. Then it has never let go, and of two generations it is the one that takes over now. */
bool freshet_serving_answered(const freshet_serving* serving, const char* generation, int32_t partition,
                              int64_t answered, freshet_app_generation_fact* fact);
/* We have written this fact of freshet_serving_answered. It counts from now on, since the next switch may be read before
 * the fact comes back. If its transaction is aborted, some requests are answered twice, and none is lost. */
void freshet_serving_note_answered(freshet_serving* serving, const freshet_app_generation_fact* fact);
/* Where a worker that takes over goes on with requests; -1: where it is. */
int64_t freshet_serving_next_request(const freshet_serving* serving, int32_t partition);
freshet_app_generation_fact freshet_serving_take(const freshet_serving* serving, int32_t partition);

typedef enum freshet_serving_key {
  FRESHET_SERVING_KNOWN = 0, /* value NULL: it is no more */
  FRESHET_SERVING_SWITCH,
  FRESHET_SERVING_RELEASED,
  FRESHET_SERVING_TAKEN,
  FRESHET_SERVING_REQUESTS,
} freshet_serving_key;

/* The record of a fact. Everything points into key and *bytes, which is overwritten. remove: a tombstone. */
freshet_status freshet_serving_record(freshet_codec* codec, freshet_serving_key kind,
                                      const freshet_app_generation_fact* fact, bool remove,
                                      char key[FRESHET_SERVING_KEY_SIZE], freshet_buffer* bytes,
                                      freshet_output* output, freshet_error* error);

#endif
