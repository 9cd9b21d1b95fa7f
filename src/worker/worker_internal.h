/*
 * worker_internal.h: the state that the files of the worker share. worker.c turns the clocks, batch.c applies
 * events, commit.c is the state clock, partitions.c what is held, handover.c
 * who publishes the lists, texts_first.c what events wait for, links.c which texts are alike.
 */
#ifndef FRESHET_WORKER_WORKER_INTERNAL_H
#define FRESHET_WORKER_WORKER_INTERNAL_H

#include "catalogue/items.h"
#include "catalogue/text_links.h"
#include "lists/answers.h"
#include "lists/ranking.h"
#include "lists/refresh.h"
#include "lists/user_texts.h"
#include "lists/withdrawals.h"
#include "stream/dead_letters.h"
#include "stream/held.h"
#include "users/dedup.h"
#include "users/users.h"
#include "worker/erasures.h"
#include "worker/worker.h"

enum {
  BATCH_RECORDS = 1024,
};

struct freshet_worker {
  freshet_stream_config config;
  freshet_ports ports;
  freshet_inbox* inbox; /* NULL: nobody asks */
  freshet_rules rules;
  freshet_items* items;
  freshet_text_links* links;
  freshet_users* users;
  freshet_ranking* ranking;
  freshet_carriers* carriers;
  freshet_refresh* refresh;
  freshet_withdrawals* withdrawals;
  freshet_answers* answers;
  freshet_user_texts* user_texts;
  freshet_erasures* erasures;
  int32_t user_partitions; /* of `events`, and of all topics that are keyed by user */
  freshet_serving serving;

  freshet_held* held;

  freshet_record records[BATCH_RECORDS];

  uint64_t schemas;  /* version of the codec as of the last look, see awaited_schemas.c */
  bool awaits_texts; /* events are let pass, see texts_first.c */
  int64_t turn_us;   /* how long the last turn of the list clock has taken */
  bool stopping;     /* the next commit is the last: item rows go to the store with it */
  int64_t commit_start_us;
  int64_t next_commit_us;
  int64_t next_memory_us;
  int64_t next_concerned_us;
  unsigned aborts_in_a_row;
  freshet_buffer row_bytes; /* scratch of a commit */
};

/* ---- partitions.c ---- */
freshet_status freshet_worker_assigned(void* context, const freshet_partition* partitions, size_t count,
                                       freshet_error* error);
freshet_status freshet_worker_revoked(void* context, const freshet_partition* partitions, size_t count,
                                      bool lost, freshet_error* error);
/* Dedup window and owed refreshes from the store: on assignment and after an abort. */
freshet_status freshet_worker_load_partition(freshet_worker* worker, freshet_held_partition* held,
                                             freshet_error* error);

/* ---- texts_first.c ---- */
/* After partitions were assigned, or everything was loaded again: waits, if there is something to wait
 * for. */
void freshet_worker_await_texts(freshet_worker* worker);
/* After every turn. Records of the last poll are not valid any more when it has ended the waiting. */
freshet_status freshet_worker_end_await_texts(freshet_worker* worker, freshet_error* error);

/* ---- awaited_schemas.c ---- */

/* The record's schema is being asked for: it and those after it in its partition are let pass, and come again. why: for
 * the log. Returns FRESHET_OK. */
freshet_status freshet_worker_await_schema(freshet_worker* worker, freshet_held_partition* held,
                                           const freshet_record* record, const freshet_error* why);
/* Reads such partitions again, once schemas may have come. */
freshet_status freshet_worker_end_await_schemas(freshet_worker* worker, freshet_error* error);

/* ---- batch.c ---- */
freshet_status freshet_worker_apply(freshet_worker* worker, const freshet_record* record,
                                    freshet_error* error);

/* ---- handover.c ---- */
/* Begins what the facts about generations ask for. After every batch. */
freshet_status freshet_worker_hand_over(freshet_worker* worker, freshet_error* error);
/* Something of it waits for a transaction, and putting it into the open one. */
bool freshet_worker_hands_over(freshet_worker* worker);
freshet_status freshet_worker_write_hand_over(freshet_worker* worker, freshet_error* error);

/* ---- commit.c ---- */
/* The state clock's turn: starts a commit when it is due, ends the one under way when its outcome is
 * there. */
freshet_status freshet_worker_turn_state(freshet_worker* worker, freshet_error* error);
/* Commits everything applied so far and waits for it. */
freshet_status freshet_worker_commit(freshet_worker* worker, freshet_error* error);
/* Waits for the commit under way, if there is one. */
freshet_status freshet_worker_end_commit(freshet_worker* worker, freshet_error* error);
/* Right after freshet_worker_commit: item rows go to the store when it is time. */
freshet_status freshet_worker_store_items(freshet_worker* worker, freshet_error* error);
/* Commits, and loads everything again from store and log. */
freshet_status freshet_worker_reload(freshet_worker* worker, freshet_error* error);
/* After an abort: back to the committed state, by the same path as a restart. */
freshet_status freshet_worker_roll_back(freshet_worker* worker, freshet_error* error);

/* ---- worker.c ---- */
/* Everything that is derived from store and log: item tables, cache of users, refresh queue. */
freshet_status freshet_worker_load(freshet_worker* worker, freshet_error* error);
void freshet_worker_unload(freshet_worker* worker);

#endif
