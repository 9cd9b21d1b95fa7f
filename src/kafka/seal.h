/*
 * seal.h: the header of records in the state topics (changelog, item deltas, item states, facts about app generations):
 * the app that wrote the record, and a checksum of key and value. It tells a damaged record, and one of another app,
 * before anything believes it.
 *
 * Records without the header are read too: versions before it wrote none, and run beside this one during an upgrade.
 * The rooms above pass over such a record when they cannot read it (freshet_record.is_sealed).
 */
#ifndef FRESHET_KAFKA_SEAL_H
#define FRESHET_KAFKA_SEAL_H

#include <librdkafka/rdkafka.h>

#include "stream/sink.h"

/* Do records of this topic have a seal? */
bool freshet_seal_is_of(freshet_topic topic);

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
