/*
 * scan.c: reads a partition, or all partitions of a topic, from an offset to an offset, and calls a function
 * for each record. It owns nothing: the reader is the caller's.
 */
#include "commands/scan.h"

#include <stdlib.h>

#include "stream/clock.h"

enum { POLL_RECORDS = 1024, POLL_WAIT_MS = 50, STALL_S = 30 };

static freshet_status read_on(const freshet_scan* scan, int64_t to, freshet_record* records,
                              freshet_error* error) {
  freshet_reader* reader = scan->reader;
  freshet_clock* clock = freshet_clock_system();
  freshet_status status = FRESHET_OK;
  int64_t at = freshet_reader_position(reader, scan->topic, scan->partition);
  int64_t heard_us = freshet_clock_monotonic_us(clock);
  while (status == FRESHET_OK && at < to) {
    size_t count = 0;
    int64_t before = at;
    status = freshet_reader_poll(reader, POLL_WAIT_MS, records, POLL_RECORDS, &count, error);
    for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
      const freshet_record* r = &records[i];
      bool beyond = r->topic == scan->topic && r->partition == scan->partition && r->offset >= to;
      if (!beyond) status = scan->take(scan->context, r, error);
    }
    at = freshet_reader_position(reader, scan->topic, scan->partition);
    int64_t now_us = freshet_clock_monotonic_us(clock);
    if (count > 0 || at != before) heard_us = now_us;
    if (status == FRESHET_OK && now_us - heard_us > STALL_S * INT64_C(1000000))
      status =
          freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP, "partition %d of %s gave nothing for %d s",
                            (int)scan->partition, scan->name, STALL_S);
  }
  return status;
}

freshet_status freshet_scan_partition(const freshet_scan* scan, freshet_error* error) {
  freshet_reader* reader = scan->reader;
  int64_t first, end, from = scan->from, to = scan->to;
  freshet_status status = freshet_reader_range(reader, scan->topic, scan->partition, &first, &end, error);
  if (status != FRESHET_OK) return status;
  if (from < first) from = first;
  if (to == FRESHET_SCAN_TO_END || to > end) to = end;
  if (from >= to) return FRESHET_OK;
  status = freshet_reader_open(reader, scan->topic, scan->partition, from, error);
  if (status != FRESHET_OK) return status;
  freshet_record* records = calloc(POLL_RECORDS, sizeof *records);
  FRESHET_ASSERT(records != NULL);
  status = read_on(scan, to, records, error);
  free(records);
  freshet_status shut = freshet_reader_shut(reader, scan->topic, scan->partition, NULL);
  if (status == FRESHET_OK) status = shut;
  return status;
}

freshet_status freshet_scan_topic(const freshet_scan* scan, freshet_error* error) {
  int32_t partitions;
  freshet_status status = freshet_reader_partitions(scan->reader, scan->topic, &partitions, error);
  for (int32_t p = 0; status == FRESHET_OK && p < partitions; p++) {
    freshet_scan one = *scan;
    one.partition = p;
    one.from = FRESHET_OFFSET_BEGINNING;
    one.to = FRESHET_SCAN_TO_END;
    status = freshet_scan_partition(&one, error);
  }
  return status;
}
