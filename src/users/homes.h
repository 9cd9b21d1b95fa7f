/*
 * homes.h: in which partition of `events` a user lives. A user lives in one: the partition that events.partitioner
 * computes from the id, or with `any` the one where this process knows the user. It owns nothing and must not know
 * who asks.
 */
#ifndef FRESHET_USERS_HOMES_H
#define FRESHET_USERS_HOMES_H

#include "stream/held.h"
#include "stream/partitioner.h"
#include "users/users.h"

/* Where to look. `held` and `users` are used for FRESHET_PARTITIONER_ANY only. */
typedef struct freshet_homes {
  freshet_partitioner partitioner;
  int32_t partitions; /* of `events` */
  const freshet_held* held;
  freshet_users* users;
} freshet_homes;

/* *partition: the user's home; -1: with `any`, the user is in no partition that this process holds. Errors: those of
 * the store. */
freshet_status freshet_homes_find(const freshet_homes* homes, freshet_slice user_id, int32_t* partition,
                                  freshet_error* error);

/* Does this process hold all partitions, so that a user whom it does not know is nowhere? */
bool freshet_homes_are_all_held(const freshet_homes* homes);

#endif
