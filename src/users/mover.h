/*
 * mover.h: moves the rows of users to their homes after the number of partitions has changed, with the dedup windows.
 *
 * It reads the changelog twice: once to learn which record of a user is the last, once to copy the rows that have to
 * move. It owns that index. What it writes belongs to the transaction that its caller has begun, so that all of it
 * happens or nothing. It must not know topics' settings, nor committed offsets.
 *
 * Thread rule: one thread.
 */
#ifndef FRESHET_USERS_MOVER_H
#define FRESHET_USERS_MOVER_H

#include "codec/codec.h"
#include "stream/partitioner.h"
#include "stream/read_to.h"
#include "stream/sink.h"

typedef struct freshet_mover_config {
  freshet_reader* reader; /* of the changelog; none of its partitions may be open */
  freshet_codec* codec;
  freshet_clock* clock;
  const freshet_logger* logger;
  freshet_stop_request stop;
  freshet_partitioner partitioner;
  int32_t before, after; /* partitions of users; `before` are read */
  int64_t now_ms;        /* since when a list is owed to users whose last one was not published */
} freshet_mover_config;

typedef struct freshet_mover_counts {
  uint64_t users;   /* with a row */
  uint64_t moves;   /* of them, whose row has to move */
  uint64_t doubles; /* further rows of a user who has one in another partition: they are dropped */
} freshet_mover_counts;

typedef struct freshet_mover freshet_mover;

freshet_mover* freshet_mover_create(const freshet_mover_config* config);
void freshet_mover_destroy(freshet_mover* mover); /* NULL is allowed */

/* Reads the changelog and counts. Errors: those of the reader; FRESHET_TIMEOUT. */
freshet_status freshet_mover_look(freshet_mover* mover, freshet_mover_counts* counts, freshet_error* error);
/* Writes what moves into the open transaction. `progress` is told how many rows have moved. Errors: those of reader
 * and sink; FRESHET_INVALID for a row that cannot be read. */
freshet_status freshet_mover_move(freshet_mover* mover, freshet_sink* sink,
                                  void (*progress)(void* context, uint64_t moved), void* context,
                                  freshet_error* error);

#endif
