/*
 * seal_facts.h: facts about the logs of state, by topic and partition: since when each record must have a seal, and which
 * records `freshet repair` has dealt with.
 *
 * They are records of <base>.generations, with the key "log/TOPIC/PARTITION" and text like "sealed 0 looked 812 skip
 * 17:0f3a". Versions that do not know them pass over them. A topic without any fact may hold records of versions that
 * wrote no seals. `freshet topics create` writes the fact of a topic that it makes, and `freshet repair` that of an older
 * one. The room's readers follow the facts by themselves. Not thread-safe.
 */
#ifndef FRESHET_KAFKA_SEAL_FACTS_H
#define FRESHET_KAFKA_SEAL_FACTS_H

#include "kafka/kafka.h"

/* A record that no reader may return. The sum is that of seal.h, so another record at this offset, of a topic that was made
 * again, is none of these. */
typedef struct freshet_skipped_record {
  int64_t offset;
  uint64_t sum;
} freshet_skipped_record;

typedef struct freshet_seal_fact {
  int64_t sealed; /* from this offset on, a record without a seal is a stranger's; INT64_MAX: none is */
  int64_t looked; /* everything before has been looked at, and is told no more */
  freshet_skipped_record* skipped; /* [skipped_count] ascending */
  size_t skipped_count;
} freshet_seal_fact;

enum { FRESHET_SKIPPED_MAX = 10000 }; /* of a partition */

typedef struct freshet_seal_facts freshet_seal_facts;

/* Reads all facts. None: the topic is not there, or this process does not use it. Errors: those of a reader. */
freshet_status freshet_seal_facts_read(const freshet_kafka_config* config, freshet_seal_facts** facts,
                                       freshet_error* error);
void freshet_seal_facts_destroy(freshet_seal_facts* facts);

/* Of a partition. Where nothing is known: records without a seal count, and nothing was looked at. In a topic of which
 * another partition is known, all records are sealed: the partition was added later. The view holds as long as `facts`,
 * which may be NULL. */
freshet_seal_fact freshet_seal_facts_of(const freshet_seal_facts* facts, freshet_topic topic,
                                        int32_t partition);

/* Why the record is none of this app's; NULL: it is. Static, for people. */
const char* freshet_seal_fact_refusal(const freshet_seal_fact* fact, const freshet_record* record);
/* Has `freshet repair` taken this record out of use? */
bool freshet_seal_fact_skips(const freshet_seal_fact* fact, const freshet_record* record);

/* Makes the record of a fact. Views of `output` point into key and value. */
void freshet_seal_fact_write(const freshet_seal_fact* fact, const char* topic_name, int32_t partition,
                             freshet_buffer* key, freshet_buffer* value, freshet_output* output);

/* After topics were made: writes that those of state which are new, or empty and without a fact, are sealed from their
 * beginning. Errors: those of reader and sink, for instance when this user may not write facts. */
freshet_status freshet_seal_facts_begin(const freshet_kafka_config* config,
                                        const bool created[FRESHET_TOPICS], freshet_error* error);

#endif
