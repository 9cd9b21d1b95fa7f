/*
 * answers.h: answers to questions, from the inbox and from the topic `requests`, made from the same state and
 * by the same ranking as the lists. Private to the worker.
 *
 * Questions wait in one line until they are answered: those with a text until it is encoded, and all of them
 * while events are behind, since answering may then take only a share of the time that learning takes. The
 * newest is answered first: when there are more than can be answered, its asker is the one still there. One
 * that has waited for longer than requests_max_age_ms gets an empty list and a note, which costs next to
 * nothing.
 *
 * A record on `requests` is done with when it has been answered: until then no offset after it is committed,
 * so that after a crash or a rebalance it is answered by whoever holds the partition then.
 */
#ifndef FRESHET_LISTS_ANSWERS_H
#define FRESHET_LISTS_ANSWERS_H

#include "lists/inbox.h"
#include "stream/ports.h"
#include "stream/stream_config.h"

typedef struct freshet_worker freshet_worker;
typedef struct freshet_answers freshet_answers;

freshet_answers* freshet_answers_create(freshet_worker* worker);
void freshet_answers_destroy(freshet_answers* answers);
/* What depends on the item tables: after they are loaded, and before they go. Questions stay. */
void freshet_answers_load(freshet_answers* answers);
void freshet_answers_unload(freshet_answers* answers);

/* A partition is held: the inbox takes questions from now on. */
void freshet_answers_open(freshet_answers* answers);
/* A record of `requests`. */
freshet_status freshet_answers_take(freshet_answers* answers, const freshet_record* record,
                                    freshet_error* error);
/* A request's text has been encoded, or has failed to be. */
void freshet_answers_encoded(void* context, const freshet_embedded* embedded);

/* Answers what waits and may be answered, for some ms. lagging: events wait, and answers take a quarter of
 * what learning takes, learn_us in this turn, over some turns. */
freshet_status freshet_answers_turn(freshet_answers* answers, bool lagging, int64_t learn_us,
                                    freshet_error* error);
/* Something could be answered at once. */
bool freshet_answers_due(const freshet_answers* answers);

/* Offset of the oldest record of the partition that waits; `next` when none does. */
int64_t freshet_answers_position(const freshet_answers* answers, int32_t partition, int64_t next);
/* Forgets the records of a partition (-1: of all), unanswered: they will be read again, here or elsewhere. */
void freshet_answers_forget(freshet_answers* answers, int32_t partition);

#endif
