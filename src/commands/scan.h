/*
 * scan.h: reads a partition from one offset to another, for commands that look through the content of a
 * topic. A topic that stops to answer ends the reading with an error.
 */
#ifndef FRESHET_COMMANDS_SCAN_H
#define FRESHET_COMMANDS_SCAN_H

#include "stream/source.h"

enum { FRESHET_SCAN_TO_END = -1 };

typedef struct freshet_scan {
  freshet_reader* reader;
  freshet_topic topic;
  const char* name; /* of the topic, for messages */
  int32_t partition;
  int64_t from; /* or FRESHET_OFFSET_BEGINNING; below the first offset there is: from that one */
  int64_t to;   /* exclusive; FRESHET_SCAN_TO_END: as far as it reaches now */
  /* Gets what is before `to`, and everything of other partitions that are open in the log. A record holds
   * until it returns. Another status than FRESHET_OK ends the scan with it. */
  freshet_status (*take)(void* context, const freshet_record* record, freshet_error* error);
  void* context;
} freshet_scan;

/* Opens the partition, and shuts it at the end. Errors: those of the log; FRESHET_TIMEOUT when the cluster
 * gives nothing for 30 s. */
freshet_status freshet_scan_partition(const freshet_scan* scan, freshet_error* error);

/* All partitions of the topic, one after another, from beginning to end; partition, from and to
 * of *scan do not count. */
freshet_status freshet_scan_topic(const freshet_scan* scan, freshet_error* error);

#endif
