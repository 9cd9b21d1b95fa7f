/*
 * snapshot.h: the committed state of an app generation, read from Kafka into a folder of its own, to make lists at any
 * moment without its processes. It owns the folder, and removes it. It writes nothing to Kafka.
 *
 * Thread rule: one thread.
 */
#ifndef FRESHET_APP_SNAPSHOT_H
#define FRESHET_APP_SNAPSHOT_H

#include "service/config.h"
#include "stream/logger.h"

typedef struct freshet_snapshot freshet_snapshot;

enum { FRESHET_SNAPSHOT_K_MAX = 100 };

typedef struct freshet_snapshot_wish {
  freshet_slice user_id;
  int32_t partition;     /* of `events`, where the user lives */
  int64_t time_ms;       /* as of when */
  freshet_slice without; /* as if the user had never met this item; empty: with all */
  uint32_t k;            /* 1 .. FRESHET_SNAPSHOT_K_MAX */
} freshet_snapshot_wish;

typedef struct freshet_snapshot_list {
  bool is_known;                          /* the generation knows the user */
  uint64_t items[FRESHET_SNAPSHOT_K_MAX]; /* [count] freshet_id_key of their ids */
  size_t count;
} freshet_snapshot_list;

/* Reads the whole state, as of now. config: of the generation, with the settings that its processes have. Errors: those
 * of reading; FRESHET_INVALID for a state of other settings. */
freshet_status freshet_snapshot_open(const freshet_config* config, const freshet_logger* logger,
                                     freshet_snapshot** snapshot, freshet_error* error);
void freshet_snapshot_close(freshet_snapshot* snapshot); /* NULL is allowed */

/* Makes a list. Errors: those of the store. */
freshet_status freshet_snapshot_make(freshet_snapshot* snapshot, const freshet_snapshot_wish* wish,
                                     freshet_snapshot_list* list, freshet_error* error);

#endif
