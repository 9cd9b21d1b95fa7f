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
 * So at any time at most one generation publishes for a partition, and who takes over has learned all that
 * the lists before were made of, and goes on with the first request that was not answered. Only the last fact of each key matters, so the topic can be compacted,
 * switches can follow each other before they are carried out, and a worker that starts anywhere in between
 * knows what is left to do.
 *
 * Not thread-safe.
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
  int64_t released;        /* number of the last switch for which its server has let go of it */
  int64_t offset;          /* at that switch: who takes over has to have learned everything before this */
  int64_t learned;         /* at that switch: the one that let go has learned everything before this */
  int64_t taken;           /* number of the last switch that is carried out */
  uint64_t taken_by;       /* freshet_id_key of the app generation that has carried it out */
  int64_t requests_number; /* of the switch that `requests` belongs to; 0: of none */
  int64_t requests;        /* at that switch: everything before this offset of `requests` has been answered */
} freshet_serving_partition;

/* Zero-initialised but for the names: no switch has been made, and `base` serves. */
typedef struct freshet_serving {
  const char* own;  /* borrowed; NULL: there are no generations, and we serve */
  const char* base; /* borrowed; the first generation */
  int64_t number;   /* of the last switch */
  int64_t at_ms;    /* when it was written */
  char generation[FRESHET_APP_GENERATION_NAME_SIZE]; /* who serves since; empty for number 0 */
  char previous[FRESHET_APP_GENERATION_NAME_SIZE];   /* who served before */
  freshet_serving_partition* partitions;             /* [count] by partition of `events` */
  int32_t count;
  /* The generations there are, for `freshet backfill`. */
  char (*known)[FRESHET_APP_GENERATION_NAME_SIZE]; /* [known_count] */
  size_t known_count;
} freshet_serving;

/* Forgets every fact, frees, and keeps the names. */
void freshet_serving_reset(freshet_serving* serving);

/* A record of the topic. Facts under keys of later versions are skipped. Errors: FRESHET_INVALID (verdict
 * FRESHET_STOP) for one that cannot be read. */
freshet_status freshet_serving_apply(freshet_serving* serving, freshet_codec* codec,
                                     const freshet_record* record, freshet_error* error);

/* Who serves now. */
const char* freshet_serving_generation(const freshet_serving* serving);
/* What is known of a partition; zeros when there was no switch yet. */
freshet_serving_partition freshet_serving_of(const freshet_serving* serving, int32_t partition);

/* ---- what follows for the own generation and a partition of `events` ---- */

/* We serve since the last switch, whether it is carried out or not. */
bool freshet_serving_is_own(const freshet_serving* serving);
/* Our lists go to `recommendations`, by what the log says. */
bool freshet_serving_publishes(const freshet_serving* serving, int32_t partition);
/* Another one serves since the last switch, and we have to say that we have let go. */
bool freshet_serving_must_release(const freshet_serving* serving, int32_t partition);
/* We serve since the last switch, and with everything before `next` learned we have what it takes to
 * begin. */
bool freshet_serving_may_take(const freshet_serving* serving, int32_t partition, int64_t next);

/* ---- the facts: fact->at_ms is the caller's ---- */

/* The next switch; slices point into serving and generation. */
freshet_app_generation_fact freshet_serving_switch(const freshet_serving* serving, const char* generation);
/* Of the last switch. `generation` is who lets go: we, or, when nobody of it is alive, whoever finds that
 * out. offset: what it may have published is older. learned: its state ends here. If it never took over in
 * its turn, what the log says of the release before still holds, and goes into the fact instead. */
freshet_app_generation_fact freshet_serving_release(const freshet_serving* serving, const char* generation,
                                                    int32_t partition, int64_t offset, int64_t learned);
/* Goes with a release of the last switch, in the same transaction. answered: `generation` has answered every request of
 * the partition before this offset, and answers no other. That counts if it is the last one that took over and has not
 * let go since; else the fact says again what that one has said. False: that one has said nothing, and no fact is
 * written. Then it has never let go, and of two generations it is the one that takes over now. */
bool freshet_serving_answered(const freshet_serving* serving, const char* generation, int32_t partition,
                              int64_t answered, freshet_app_generation_fact* fact);
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
