/*
 * record_headers.h: the headers of a record that a reader of this room has returned. It must not know what a header means.
 */
#ifndef FRESHET_KAFKA_RECORD_HEADERS_H
#define FRESHET_KAFKA_RECORD_HEADERS_H

#include "stream/source.h"

/* Visits each header, in order, with views that hold as long as the record. */
void freshet_kafka_record_headers(const freshet_record* record,
                                  void (*visit)(void* context, const char* name, freshet_slice value),
                                  void* context);

#endif
