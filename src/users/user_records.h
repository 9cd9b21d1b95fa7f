/*
 * user_records.h: can a record of the changelog be used? Everybody who reads <app>.users asks this first: a restore, a
 * standby, commands. It must not know where a row goes.
 */
#ifndef FRESHET_USERS_USER_RECORDS_H
#define FRESHET_USERS_USER_RECORDS_H

#include "codec/codec.h"
#include "stream/logger.h"
#include "stream/metrics.h"
#include "stream/source.h"

/* Is it a row of the user that its key names, or a chunk of a dedup window? dim: of user vectors; 0: any. Errors:
 * FRESHET_INVALID, and those of the codec for a schema that is not known. */
freshet_status freshet_user_record_check(freshet_codec* codec, uint32_t dim, const freshet_record* record,
                                         freshet_error* error);

/* Who reads, and what is told about records that are passed over. logger and metrics may be NULL. */
typedef struct freshet_user_records {
  freshet_codec* codec;
  const freshet_logger* logger;
  freshet_worker_metrics* metrics;
  const char* topic; /* its name */
} freshet_user_records;

/* *is_usable: the record counts. One without a seal that cannot be read does not; it is told and counted. Errors: as of
 * freshet_state_judge, for a record with a seal that cannot be read. */
freshet_status freshet_user_record_judge(const freshet_user_records* records, const freshet_record* record,
                                         bool* is_usable, freshet_error* error);

#endif
