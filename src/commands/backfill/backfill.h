/*
 * backfill.h: what the actions of `freshet backfill` share: the facts about generations, read and written,
 * and how far each of them is. Private to the command.
 */
#ifndef FRESHET_COMMANDS_BACKFILL_H
#define FRESHET_COMMANDS_BACKFILL_H

#include "app/schemas.h"
#include "codec/codec.h"
#include "kafka/kafka.h"
#include "service/config.h"
#include "stream/serving.h"

enum { FRESHET_BACKFILL_RECORDS = 1024 };

typedef struct freshet_backfill {
  const freshet_config* config; /* of the generation that the command is about */
  freshet_kafka_property* properties;
  freshet_kafka_config kafka;
  freshet_schemas* schemas;
  freshet_codec* codec;
  freshet_reader* log;
  int32_t partitions; /* of `events` */
  freshet_serving facts;
  freshet_buffer bytes;
  freshet_record records[FRESHET_BACKFILL_RECORDS];
} freshet_backfill;

/* Connects and reads the facts. Errors: FRESHET_UNAVAILABLE, FRESHET_NOT_FOUND when the topics are not
 * there. */
freshet_status freshet_backfill_open(const freshet_config* config, freshet_backfill** backfill,
                                     freshet_error* error);
void freshet_backfill_close(freshet_backfill* backfill);

bool freshet_backfill_knows(const freshet_backfill* backfill, const char* generation);
/* Reads what was written to <base>.generations since, waiting at most timeout_ms for more. */
freshet_status freshet_backfill_poll(freshet_backfill* backfill, int timeout_ms, freshet_error* error);
/* Reads everything that was written until now. */
freshet_status freshet_backfill_catch_up(freshet_backfill* backfill, freshet_error* error);
/* Writes facts that belong together in one transaction. Another command that writes at the same time is
 * fenced. */
freshet_status freshet_backfill_write(freshet_backfill* backfill, freshet_serving_key kind,
                                      const freshet_app_generation_fact* facts, size_t count, bool remove,
                                      freshet_error* error);

/* How far an app generation is, by what it has committed. */
typedef struct freshet_backfill_place {
  size_t members;
  int64_t learned; /* events, gaps included, summed over the partitions */
  int64_t total;
  int64_t behind;
} freshet_backfill_place;
freshet_status freshet_backfill_find(freshet_backfill* backfill, const char* generation,
                                     freshet_backfill_place* place, freshet_error* error);

/* The actions. They return the exit code of the command. */
freshet_status freshet_backfill_promote(freshet_backfill* backfill, const char* generation, int wait_s,
                                        bool without_live, freshet_error* error);
freshet_status freshet_backfill_diff(freshet_backfill* backfill, const freshet_config* served, size_t sample,
                                     freshet_error* error);

#endif
