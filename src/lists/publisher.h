/*
 * publisher.h: makes the lists of a group of users and publishes them: ranks, encodes, hands over to the outbox, and
 * notes in each row what its list carries now. It owns the scratch for that.
 *
 * It does not know why a user gets a list, nor whether one is due: refresh.h decides that.
 *
 * Thread rule: the worker's. Ranking runs on the ranking threads.
 */
#ifndef FRESHET_LISTS_PUBLISHER_H
#define FRESHET_LISTS_PUBLISHER_H

#include "lists/carriers.h"
#include "lists/lists.h"

typedef struct freshet_publisher freshet_publisher;

/* Nothing is owned. */
freshet_publisher* freshet_publisher_create(const freshet_lists* lists, freshet_carriers* carriers);
void freshet_publisher_destroy(freshet_publisher* publisher); /* NULL is allowed */

/* Publishes a list for each row [count]. may_wait: as of freshet_ranking_run. Errors: those of ranking, codec and sink. */
freshet_status freshet_publisher_serve(freshet_publisher* publisher, freshet_user_row** rows, size_t count,
                                       bool may_wait, freshet_error* error);

#endif
