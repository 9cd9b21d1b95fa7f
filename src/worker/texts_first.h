/*
 * texts_first.h: texts before events. What is learned from an event depends on the text vectors and the neighbours by
 * text (text_links.h) that are there by then, and both are made at a pace of their own. If nobody waited for them, a
 * worker that starts with nothing would learn its first events with some of them, and a worker that was killed on the
 * way would learn something else.
 *
 * So events are let pass until the vectors are there of all items that were announced when this process got its
 * partitions. Then events are read again from where learning has stopped. Texts that cost next to nothing are always
 * waited for; others only while this app generation serves nobody, since users do not wait for an encoder.
 *
 * So the first lists know these texts as well, and none is made again because of them.
 *
 * It owns whether events wait. It must not know how texts are encoded. Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_TEXTS_FIRST_H
#define FRESHET_WORKER_TEXTS_FIRST_H

#include "worker/derived.h"

typedef struct freshet_texts_first {
  const freshet_ports* ports;     /* borrowed */
  freshet_held* held;             /* borrowed */
  const freshet_serving* serving; /* borrowed */
  const freshet_derived* derived; /* borrowed */
  bool is_waiting;                /* events are let pass */
} freshet_texts_first;

/* After partitions were assigned, or everything was loaded again: begins to wait, if there is something to wait for. */
void freshet_texts_first_begin(freshet_texts_first* first);
/* After every turn: may end the waiting. Then the source is told to start again where learning has stopped, so the
 * records of the last poll are not valid any more. Errors: those of the source. */
freshet_status freshet_texts_first_turn(freshet_texts_first* first, freshet_error* error);

#endif
