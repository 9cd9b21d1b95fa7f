/*
 * ports.h: everything outside that the stream processor works with, in one place: what it reads, writes and
 * stores, the clocks, the codec and the encoder, the log lines and the figures. Each room takes from it what it
 * uses. It must not know any room above.
 */
#ifndef FRESHET_STREAM_PORTS_H
#define FRESHET_STREAM_PORTS_H

#include "codec/codec.h"
#include "freshet/encoder.h"
#include "stream/clock.h"
#include "stream/logger.h"
#include "stream/metrics.h"
#include "stream/outbox.h"
#include "stream/read_to.h"
#include "stream/source.h"
#include "stream/store.h"
#include "text/embedder.h"

/* None is owned; all outlive whoever works with them. encoder may be NULL: items have no text vectors. */
typedef struct freshet_ports {
  freshet_source* source;
  freshet_reader* reader;    /* for the item tables, open all the time */
  freshet_reader* changelog; /* for restoring users, open while it lasts */
  freshet_reader* standby;   /* for following those of other processes; NULL: none are followed */
  freshet_outbox* outbox;
  /* Of another sink: for commits of the state that commits of lists go on beside. NULL: they share a transaction. */
  freshet_outbox* state_outbox;
  freshet_store* store;
  freshet_clock* clock;
  freshet_codec* codec;
  freshet_encoder* encoder;   /* of item texts; with an embedder only its name and dim are used */
  freshet_embedder* embedder; /* NULL: the encoder is so cheap that every worker encodes at once */
  const freshet_logger* logger;
  freshet_worker_metrics* metrics;
  freshet_stop_request stop; /* ends a wait for the cluster */
} freshet_ports;

#endif
