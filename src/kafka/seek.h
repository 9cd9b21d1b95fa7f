/*
 * seek.h: moves a reader to other offsets of partitions that it has open. Owns nothing; must not be called while
 * records of the last poll are in use, since it ends their life.
 */
#ifndef FRESHET_KAFKA_SEEK_H
#define FRESHET_KAFKA_SEEK_H

#include "kafka/reader.h"

/* partitions [count]: where to read on; a negative offset is the beginning. Partitions that are not open are passed
 * over. On the reader's thread. Errors: as freshet_kafka_wait_again. */
freshet_status freshet_kafka_seek(freshet_kafka_reader* reader, const freshet_partition* partitions,
                                  size_t count, freshet_error* error);

#endif
