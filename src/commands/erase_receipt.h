/*
 * erase_receipt.h: what is left of an erased user in Kafka, in which partitions, and until when. It looks at every
 * partition of a topic, since producers may have put the user's records anywhere. It changes nothing.
 */
#ifndef FRESHET_COMMANDS_ERASE_RECEIPT_H
#define FRESHET_COMMANDS_ERASE_RECEIPT_H

#include "kafka/kafka.h"

enum { FRESHET_ERASE_PARTITIONS_MAX = 64 };

/* Partitions in ascending order; those beyond the bound are only counted. */
typedef struct freshet_erase_places {
  int32_t partitions[FRESHET_ERASE_PARTITIONS_MAX];
  size_t count;
} freshet_erase_places;

typedef struct freshet_erase_trace {
  freshet_topic topic;
  const char* name;
  bool exists, compacted, policy_known;
  bool
      erased; /* compacted: in every partition the last record under the key is a tombstone, or there is none */
  freshet_erase_places alive; /* compacted: where the last record has a value */
  freshet_erase_places found; /* where there are records with a value */
  /* records with a value that the topic still has: under the key, or (replies) with the id inside */
  size_t records;
  int64_t newest_ms; /* time of the newest of them */
  bool is_bounded;   /* Kafka removes them by until_ms, on its own */
  int64_t until_ms;
} freshet_erase_trace;

enum { FRESHET_ERASE_TRACES = 7 };

/* Reads all partitions of the topics to their present ends, committed records only. Errors: those of the reader; FRESHET_TIMEOUT. */
freshet_status freshet_erase_look(const freshet_kafka_config* kafka, freshet_slice user,
                                  freshet_erase_trace traces[FRESHET_ERASE_TRACES], freshet_error* error);

#endif
