/*
 * seal.h: the header of records in the state topics (changelog, item deltas, item states, facts about app generations):
 * the app that wrote the record, and a checksum of key and value. It tells a damaged record, and one of another app,
 * before anything believes it.
 *
 * Versions before the header wrote none, and run beside this one during an upgrade. So whether a record may lack it is a
 * fact about its log (seal_facts.h). Where it may, the rooms above pass over such a record when they cannot read it
 * (freshet_record.is_sealed).
 */
#ifndef FRESHET_KAFKA_SEAL_H
#define FRESHET_KAFKA_SEAL_H

#include <librdkafka/rdkafka.h>

#include "stream/sink.h"

/* Do records of this topic have a seal? */
bool freshet_seal_is_of(freshet_topic topic);

/* The checksum of a record; a tombstone is told from an empty value. */
uint64_t freshet_seal_sum(freshet_slice key, bool has_value, freshet_slice value);

/* Adds the header; makes *headers when it is NULL. */
void freshet_seal_add(const char* app_id, const freshet_output* output, rd_kafka_headers_t** headers);

typedef enum freshet_seal {
  FRESHET_SEAL_NONE = 0, /* the record has no header of this name */
  FRESHET_SEAL_RIGHT,
  FRESHET_SEAL_BROKEN, /* key or value are not those that were written, or the header is none of ours */
  FRESHET_SEAL_FOREIGN /* another app has written the record */
} freshet_seal;

/* Generations of an app, and the app itself, trust each other: their ids differ behind a dot. */
freshet_seal freshet_seal_check(const char* app_id, const rd_kafka_message_t* message);

#endif
