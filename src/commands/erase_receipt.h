/*
 * erase_receipt.h: what is left of an erased user in Kafka, and until when. It reads topics and their
 * settings, and changes nothing.
 */
#ifndef FRESHET_COMMANDS_ERASE_RECEIPT_H
#define FRESHET_COMMANDS_ERASE_RECEIPT_H

#include "kafka/kafka.h"

typedef struct freshet_erase_trace {
  freshet_topic topic;
  const char* name;
  bool exists, compacted, policy_known;
  bool erased; /* compacted: the last record under the key is a tombstone, or there is none */
  /* records with a value that the topic still has: under the key, or (replies) with the id inside */
  size_t records;
  int64_t newest_ms; /* time of the newest of them */
  bool is_bounded;   /* Kafka removes them by until_ms, on its own */
  int64_t until_ms;
} freshet_erase_trace;

enum { FRESHET_ERASE_TRACES = 7 };

/* Reads the partitions that may hold records of the user, to their present ends, committed records only.
 * partition: of `events`. Errors: those of the reader; FRESHET_TIMEOUT. */
freshet_status freshet_erase_look(const freshet_kafka_config* kafka, freshet_slice user, int32_t partition,
                                  freshet_erase_trace traces[FRESHET_ERASE_TRACES], freshet_error* error);

#endif
