/*
 * repair.h: what the files of `freshet repair` share: the records that cannot be used, where each is, and what is lost by
 * it. Private to the command.
 */
#ifndef FRESHET_COMMANDS_REPAIR_H
#define FRESHET_COMMANDS_REPAIR_H

#include "codec/codec.h"
#include "freshet/model.h"
#include "kafka/kafka.h"
#include "kafka/seal_facts.h"
#include "service/config.h"
#include "stream/serving.h"

enum { FRESHET_REPAIR_REASON_SIZE = 256, FRESHET_REPAIR_LOST_SIZE = 512 };

/* The last good record of a key, in a topic that is compacted. */
typedef struct freshet_good_row {
  int64_t offset; /* -1: the log has none */
  bool has_value;
  freshet_buffer value;
} freshet_good_row;

typedef struct freshet_bad_record {
  freshet_topic topic;
  int32_t partition;
  int64_t offset, timestamp_ms;
  bool has_key, has_value;
  bool is_sealed;  /* this app has written it */
  bool is_suspect; /* it can be read and has no seal, but comes after records with one */
  bool is_refused; /* readers pass over it by themselves */
  bool puts_back;  /* it hides the good row of its key, or a key that has none: the last one that does */
  freshet_buffer key, value;
  freshet_buffer headers; /* as a JSON object */
  char reason[FRESHET_REPAIR_REASON_SIZE];
  char lost[FRESHET_REPAIR_LOST_SIZE];
  freshet_good_row good;
} freshet_bad_record;

/* Records of a topic that a later version has written. They stay in use. */
typedef struct freshet_later_records {
  size_t count;
  int32_t partition; /* of the first one */
  int64_t offset;
} freshet_later_records;

/* A partition of a topic of state. */
typedef struct freshet_scanned_log {
  freshet_topic topic;
  int32_t partition;
  int64_t end;            /* everything before was looked at */
  freshet_seal_fact fact; /* as it is; a view */
} freshet_scanned_log;

typedef struct freshet_repair {
  const freshet_config* config;
  freshet_kafka_config kafka;
  bool takes_suspects; /* --strangers */
  freshet_seal_facts* facts;
  freshet_reader* reader; /* returns strangers' records too */
  freshet_codec* codec;
  freshet_model* model;    /* to check records with; it learns nothing */
  freshet_serving serving; /* likewise */
  freshet_bad_record* bad; /* [bad_count] */
  size_t bad_count, bad_capacity, bad_bytes;
  freshet_scanned_log* logs; /* [log_count] */
  size_t log_count, log_capacity;
  freshet_later_records later[FRESHET_TOPICS];
  size_t settled;  /* bad records that were dealt with before */
  size_t suspects; /* that were not taken */
  bool is_full;    /* there may be more than fit into memory */
  size_t sealed_good[FRESHET_TOPICS], sealed_bad[FRESHET_TOPICS];
} freshet_repair;

/* ---- repair_scan.c ---- */
/* Looks at every record of the state topics, fills bad and logs, and finds the good row of each key. Errors: those of the
 * reader; FRESHET_CONFLICT when most of what this app has written cannot be read. */
freshet_status freshet_repair_scan(freshet_repair* repair, freshet_error* error);

/* ---- repair_lost.c ---- */
/* Fills `lost` of each record. May read `items`, for ids. */
freshet_status freshet_repair_tell_losses(freshet_repair* repair, freshet_error* error);

/* ---- repair_write.c ---- */
/* Writes all bad records to the file, as JSON lines, and to the disk. Errors: FRESHET_CONFLICT when it is there already,
 * FRESHET_UNAVAILABLE. */
freshet_status freshet_repair_write_file(const freshet_repair* repair, const char* path,
                                         freshet_error* error);
/* In one transaction: dead letters, the good rows again, and the facts. */
freshet_status freshet_repair_write_topics(const freshet_repair* repair, freshet_error* error);

static inline freshet_slice freshet_bad_key(const freshet_bad_record* bad) {
  return freshet_buffer_slice(&bad->key);
}

#endif
