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
  /* first offset, or FRESHET_OFFSET_BEGINNING; one below the first that exists means that one */
  int64_t from;
  int64_t to; /* end, exclusive; FRESHET_SCAN_TO_END: the present end */
  /* Called for each record before `to`, and for all records of other partitions that are open in the reader.
   * A record is valid until it returns. A status other than FRESHET_OK ends the scan with it. */
  freshet_status (*take)(void* context, const freshet_record* record, freshet_error* error);
  void* context;
} freshet_scan;

/* Opens the partition, reads it and closes it. Errors: those of the reader; FRESHET_TIMEOUT when the cluster
 * gives nothing for 30 s. */
freshet_status freshet_scan_partition(const freshet_scan* scan, freshet_error* error);

/* Reads all partitions of the topic, one after another, from beginning to end. partition, from and to of
 * *scan are not used. */
freshet_status freshet_scan_topic(const freshet_scan* scan, freshet_error* error);

#endif
