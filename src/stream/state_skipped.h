/*
 * state_skipped.h: what is said of a record in a state topic that nobody can use: a stranger has written it, or it is
 * damaged. It is passed over, so that it ends no process and stops no restore.
 */
#ifndef FRESHET_STREAM_STATE_SKIPPED_H
#define FRESHET_STREAM_STATE_SKIPPED_H

#include "stream/logger.h"
#include "stream/metrics.h"
#include "stream/source.h"

/* Counts the record, and logs state.skipped with its place: of each topic the 1st, 2nd, 4th, 8th and so on of the process,
 * since a restore may meet many. logger and metrics may be NULL; without metrics each one is logged. */
void freshet_state_skipped(const freshet_logger* logger, freshet_worker_metrics* metrics, const char* topic,
                           const freshet_record* record, const char* reason);

/* What follows from a status that a record of a state topic has led to. A record without a seal that cannot be read, for
 * want of its schema too, is skipped, and the result is FRESHET_OK. An error that a record with a seal has led to gets its
 * place in front, and names the command that helps. A store or a machine that fails is told as it is. cause: may be
 * *error. */
freshet_status freshet_state_judge(const freshet_logger* logger, freshet_worker_metrics* metrics,
                                   const char* topic, const freshet_record* record, freshet_status status,
                                   const freshet_error* cause, freshet_error* error);

#endif
