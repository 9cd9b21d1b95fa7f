/*
 * read_to.h: reads partitions of the log from where they are open to a given end, or says that the log has gone
 * silent before it. The one loop for restoring users, loading item tables, taking over and scanning topics. It
 * owns nothing, opens nothing and must not know what a record means.
 */
#ifndef FRESHET_STREAM_READ_TO_H
#define FRESHET_STREAM_READ_TO_H

#include "stream/clock.h"
#include "stream/logger.h"
#include "stream/source.h"

/* Asked between two polls: true when the process is to stop. check NULL: nobody asks. */
typedef struct freshet_stop_request {
  bool (*check)(void* context);
  void* context;
} freshet_stop_request;

typedef struct freshet_reading {
  freshet_reader* reader;
  freshet_clock* clock;
  const freshet_logger* logger; /* told once per 30 s of silence what is waited for; NULL: nobody is */
  freshet_stop_request stop;
  const char* name;        /* of the activity, for the message: "restore" */
  int wait_ms;             /* of one poll */
  int stall_ms;            /* without a record and without progress for so long: an error */
  freshet_record* records; /* [capacity] scratch */
  size_t capacity;
  /* What one poll has returned, [count]; 0: nothing came within wait_ms. May be records of any partition that
   * is open in the reader, and of offsets beyond the end. */
  freshet_status (*apply)(void* context, const freshet_record* records, size_t count, freshet_error* error);
  void* context;
} freshet_reading;

/* Polls until the position of each target, which is open already, has reached target->offset. Transaction
 * markers and aborted records move positions too. Errors: those of the reader and of apply; FRESHET_TIMEOUT
 * with verdict FRESHET_STOP when nothing comes for stall_ms; FRESHET_UNAVAILABLE when asked to stop. */
freshet_status freshet_read_to(const freshet_reading* reading, const freshet_partition* targets, size_t count,
                               freshet_error* error);

#endif
