/*
 * awaited_schemas.h: records whose schema the registry has not told yet. Such a record is no dead letter: its partition
 * stops there, the others go on, and it is read again when schemas have come. So a registry that is away delays what
 * needs it, and nothing is lost.
 *
 * It owns which schemas it has seen; the held partitions know which of them wait. It must not know how schemas are asked
 * for (codec.h). Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_AWAITED_SCHEMAS_H
#define FRESHET_WORKER_AWAITED_SCHEMAS_H

#include "stream/held.h"
#include "stream/ports.h"

typedef struct freshet_awaited_schemas {
  const freshet_ports* ports; /* borrowed */
  freshet_held* held;         /* borrowed */
  uint64_t version;           /* of the codec as of the last look; zero at first */
} freshet_awaited_schemas;

/* The record's partition stops at the record. why: for the log. */
void freshet_awaited_schemas_add(freshet_awaited_schemas* awaited, freshet_held_partition* held,
                                 const freshet_record* record, const freshet_error* why);
/* After every turn: when schemas have come, partitions that wait are read again. Errors: those of the source. */
freshet_status freshet_awaited_schemas_turn(freshet_awaited_schemas* awaited, freshet_error* error);
/* After an abort: nothing waits; every partition is read again from its committed offset. */
void freshet_awaited_schemas_forget(freshet_awaited_schemas* awaited);

#endif
