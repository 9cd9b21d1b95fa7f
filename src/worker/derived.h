/*
 * derived.h: everything in memory that follows from the store and the logs: item tables, rows of users, ranking, and
 * the queues of the lists. After an abort all of it is thrown away and made again, by the same path as at a start. It
 * owns these objects. It must not know when that happens (commit.h).
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_DERIVED_H
#define FRESHET_WORKER_DERIVED_H

#include "catalogue/items.h"
#include "catalogue/text_links.h"
#include "lists/answers.h"
#include "lists/ranking.h"
#include "lists/refresh.h"
#include "lists/survey.h"
#include "lists/user_texts.h"
#include "lists/withdrawals.h"
#include "stream/held.h"
#include "stream/ports.h"
#include "stream/stream_config.h"
#include "users/homes.h"
#include "users/users.h"

typedef struct freshet_derived {
  /* Given to freshet_derived_create; borrowed. */
  const freshet_stream_config* config;
  const freshet_ports* ports;
  freshet_held* held;
  freshet_serving* serving;
  int32_t user_partitions; /* of `events`, and of all topics that are keyed by user */
  /* Made by every load; NULL in between. */
  freshet_items* items;
  freshet_text_links* links;
  freshet_users* users;
  freshet_ranking* ranking;
  freshet_carriers* carriers;
  freshet_refresh* refresh;
  freshet_withdrawals* withdrawals;
  freshet_survey survey;
  /* These live through loads, since pending requests and texts on their way do. */
  freshet_answers* answers;
  freshet_user_texts* user_texts;
} freshet_derived;

/* What it is made from: config, ports, held, serving and user_partitions are taken from *given. inbox: see
 * freshet_worker_create. erase: takes questions that ask for an erasure. Nothing is loaded yet. */
freshet_derived* freshet_derived_create(const freshet_derived* given, freshet_inbox* inbox,
                                        freshet_intake_erase erase, void* erase_context);
/* NULL is allowed. */
void freshet_derived_destroy(freshet_derived* derived);

/* Makes everything, from the store and from what the logs have beyond it. This may take a while. On an error, what has
 * been made so far is thrown away by the next unload. */
freshet_status freshet_derived_load(freshet_derived* derived, freshet_error* error);
/* Throws it away. */
void freshet_derived_unload(freshet_derived* derived);

/* Where users live. It holds until the next load. */
freshet_homes freshet_derived_homes(const freshet_derived* derived);

/* Rows of a partition of events that is held now, from the store: the window of event ids. Users are looked through later,
 * a slice in each turn (lists/survey.h). On assignment, and after every load. */
freshet_status freshet_derived_load_partition(freshet_derived* derived, freshet_held_partition* held,
                                              freshet_error* error);
/* The partition is not held any more: forgets its users, and what is owed to them. */
void freshet_derived_release_partition(freshet_derived* derived, freshet_held_partition* held);

#endif
