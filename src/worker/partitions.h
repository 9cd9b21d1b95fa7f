/*
 * partitions.h: what happens when the consumer group gives partitions to this process or takes them away. Their state is
 * restored before their first record comes; what is open is committed before they go. It owns nothing: held.h has the
 * partitions. It must not know how records are applied.
 *
 * Thread rule: the worker's; the functions are called from inside the source's poll and close.
 */
#ifndef FRESHET_WORKER_PARTITIONS_H
#define FRESHET_WORKER_PARTITIONS_H

#include "worker/commit.h"
#include "worker/standby.h"

/* All is borrowed. */
typedef struct freshet_partitions {
  const freshet_ports* ports;
  freshet_held* held;
  freshet_derived* derived;
  freshet_erasures* erasures;
  freshet_texts_first* texts_first;
  freshet_commit* commit;
  freshet_standby* standby;
} freshet_partitions;

/* For the source; *partitions must outlive it. */
freshet_source_handler freshet_partitions_handler(freshet_partitions* partitions);

#endif
