/*
 * support_empty_reader.c: see support_empty_reader.h.
 */
#include "support_empty_reader.h"

static freshet_status partitions(freshet_reader* self, freshet_topic topic, int32_t* count,
                                 freshet_error* error) {
  (void)self, (void)topic, (void)error;
  *count = 1;
  return FRESHET_OK;
}

static freshet_status range(freshet_reader* self, freshet_topic topic, int32_t partition, int64_t* first,
                            int64_t* end, freshet_error* error) {
  (void)self, (void)topic, (void)partition, (void)error;
  *first = *end = 0;
  return FRESHET_OK;
}

static freshet_status open_at(freshet_reader* self, freshet_topic topic, int32_t partition, int64_t offset,
                              freshet_error* error) {
  (void)self, (void)topic, (void)partition, (void)offset, (void)error;
  return FRESHET_OK;
}

static freshet_status shut(freshet_reader* self, freshet_topic topic, int32_t partition,
                           freshet_error* error) {
  (void)self, (void)topic, (void)partition, (void)error;
  return FRESHET_OK;
}

static freshet_status poll_none(freshet_reader* self, int timeout_ms, freshet_record* out, size_t capacity,
                                size_t* count, freshet_error* error) {
  (void)self, (void)timeout_ms, (void)out, (void)capacity, (void)error;
  *count = 0;
  return FRESHET_OK;
}

static int64_t position(freshet_reader* self, freshet_topic topic, int32_t partition) {
  (void)self, (void)topic, (void)partition;
  return 0;
}

freshet_reader_vtable freshet_empty_reader(void) {
  return (freshet_reader_vtable){.partitions = partitions,
                                 .range = range,
                                 .open = open_at,
                                 .shut = shut,
                                 .poll = poll_none,
                                 .position = position};
}
