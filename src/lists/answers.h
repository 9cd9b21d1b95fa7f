/*
 * answers.h: when requests are answered. They come from the inbox and from the topic `requests`, and are answered
 * from the same state and by the same ranking as the lists.
 *
 * A pending request waits until its text is encoded, and while events are behind, since answering may then take only
 * a share of the time that learning takes. Requests are answered in their order, and the newest first once one of them
 * has waited long: then there are more than can be answered, and the asker of the newest is the one still there. One that has waited longer than requests.max_age_ms gets an empty list and a
 * note, which costs next to nothing.
 *
 * A record on `requests` is done when it has been answered. Until then no offset behind it is committed, so after a
 * crash or a rebalance the next instance that holds the partition answers it.
 *
 * While the worker waits, askers of the inbox may answer themselves: direct.h.
 *
 * It owns the pending requests. Its stages are intake.h, drafts.h and replies.h.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_LISTS_ANSWERS_H
#define FRESHET_LISTS_ANSWERS_H

#include "lists/intake.h"
#include "lists/lists.h"

typedef struct freshet_answers freshet_answers;

/* Nothing is owned. inbox NULL: no other thread asks. erase: for questions that ask for an erasure. */
freshet_answers* freshet_answers_create(const freshet_ports* ports, const freshet_held* held,
                                        freshet_inbox* inbox, freshet_intake_erase erase,
                                        void* erase_context);
/* Refuses what waits in the inbox. NULL is allowed. */
void freshet_answers_destroy(freshet_answers* answers);
/* What depends on the item tables: after they are loaded, and before they go. Pending requests stay.
 * user_partitions: of `events`. */
void freshet_answers_load(freshet_answers* answers, const freshet_lists* lists, int32_t user_partitions);
void freshet_answers_unload(freshet_answers* answers);

/* A partition is held: the inbox takes questions from now on. */
void freshet_answers_open(freshet_answers* answers);
/* A record of `requests`. */
freshet_status freshet_answers_take(freshet_answers* answers, const freshet_record* record,
                                    freshet_error* error);
/* A request's text has been encoded, or has failed to be. */
void freshet_answers_encoded(freshet_answers* answers, const freshet_embedded* embedded);

/* Answers what waits and may be answered, for some ms. lagging: events wait, and answers take a quarter of
 * what learning takes (learn_us in this turn), over some turns. Errors: those of store, ranking and sink. */
freshet_status freshet_answers_turn(freshet_answers* answers, bool lagging, int64_t learn_us,
                                    freshet_error* error);
/* Readers of the inbox may read everything from now on, if the last turn has found that this helps: the worker changes
 * nothing until freshet_answers_unshare. is_quiet: no list is expected to be due soon, so askers may read, whatever their
 * priority; else only the inbox's thread. Errors: those of ranking. */
freshet_status freshet_answers_share(freshet_answers* answers, bool is_quiet, freshet_error* error);
/* Nobody reads any more when it returns. Nothing happens if nobody may anyway. */
void freshet_answers_unshare(freshet_answers* answers);
/* Something could be answered at once. */
bool freshet_answers_due(const freshet_answers* answers);

/* Offset of the oldest record of the partition that waits; `next` when none does. */
int64_t freshet_answers_position(const freshet_answers* answers, int32_t partition, int64_t next);
/* Forgets the records of a partition (-1: of all), unanswered: they will be read again, here or elsewhere. */
void freshet_answers_forget(freshet_answers* answers, int32_t partition);

#endif
