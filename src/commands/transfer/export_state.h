/*
 * export_state.h: the state of an application, gathered from its topics while it runs: its users in a store of our own,
 * its items in a model. It reads as a worker reads that restores, and never joins the group.
 *
 * The state is that of one moment: a point between two transactions, at which the topics of the state have been read
 * to their ends and the group has committed these positions. Thread rule: one thread.
 */
#ifndef FRESHET_COMMANDS_TRANSFER_EXPORT_STATE_H
#define FRESHET_COMMANDS_TRANSFER_EXPORT_STATE_H

#include "catalogue/items.h"
#include "kafka/kafka.h"
#include "service/config.h"

typedef struct freshet_export_state {
  freshet_store* store;
  freshet_items* items;
  freshet_codec* codec;
  int32_t partitions; /* of `events` */
  /* [position_count] what the group has committed: events, items, requests */
  freshet_partition* positions;
  size_t position_count;
  char cluster[256]; /* id of the cluster; "": it tells none */
} freshet_export_state;

/* Reads everything, and waits for the point. folder: for the store; must not exist. Errors: FRESHET_NOT_FOUND for
 * topics that are missing; FRESHET_TIMEOUT when the application commits all the time; FRESHET_UNAVAILABLE. The caller
 * closes, whatever the status; the configuration outlives the state. */
freshet_status freshet_export_state_open(const freshet_config* config, const char* folder,
                                         freshet_export_state** state, freshet_error* error);
void freshet_export_state_close(freshet_export_state* state); /* NULL is allowed */

#endif
