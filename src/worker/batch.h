/*
 * batch.h: applies one record after the other: an event is validated, checked against the window of event ids and
 * learned; a tombstone erases a user; an Item record is checked; a request is taken in. It owns nothing. It must not
 * know when what has changed is committed (commit.h), nor when lists are made (lists/refresh.h).
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_BATCH_H
#define FRESHET_WORKER_BATCH_H

#include "worker/awaited_schemas.h"
#include "worker/conflicting_ids.h"
#include "worker/derived.h"
#include "worker/erasures.h"
#include "worker/foreign_events.h"
#include "worker/texts_first.h"

/* All is borrowed. */
typedef struct freshet_batch {
  const freshet_stream_config* config;
  const freshet_ports* ports;
  freshet_held* held;
  const freshet_derived* derived;
  freshet_erasures* erasures;
  freshet_foreign_events* foreign;
  freshet_conflicting_ids* ids;
  const freshet_texts_first* texts_first;
  freshet_awaited_schemas* awaited_schemas;
} freshet_batch;

/* The record's partition must be held. A record that cannot be used becomes a dead letter, and is no error. While
 * events wait for texts they are let pass, and come again; so are records after one that waits for its schema. Errors, verdict FRESHET_STOP: those of the store and the
 * outbox. */
freshet_status freshet_batch_apply(const freshet_batch* batch, const freshet_record* record,
                                   freshet_error* error);

enum { FRESHET_BATCH_MOST = 1024, FRESHET_BATCH_LEAST = 32 };
/* How many records the next poll may return. most: what the last one might, count: what it did. cpu_us: how long the records
 * took on a core. There are fewer records in a turn if they take more than 8 ms, and more again if they take less than half
 * of it. is_urgent: fewer in any case, since lists need the time. */
size_t freshet_batch_fit(size_t most, size_t count, int64_t cpu_us, bool is_urgent);

#endif
