/*
 * answers.h: answers to questions, from the inbox and from the topic `requests`, made from the same state as
 * the lists. Private to the worker.
 */
#ifndef FRESHET_WORKER_ANSWERS_H
#define FRESHET_WORKER_ANSWERS_H

#include "worker/worker.h"

typedef struct freshet_answers freshet_answers;

freshet_answers* freshet_answers_create(freshet_worker* worker, freshet_error* error);
void freshet_answers_destroy(freshet_answers* answers);

/* From now on the inbox takes questions; until shut. */
void freshet_answers_open(freshet_worker* worker);
void freshet_answers_shut(freshet_worker* worker);

/* After a batch: answers what waits. */
freshet_status freshet_worker_answer(freshet_worker* worker, freshet_error* error);

#endif
