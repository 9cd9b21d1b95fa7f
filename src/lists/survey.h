/*
 * survey.h: looks through the users of a partition that has come, a slice in each turn, while lists are made already. So
 * the time until lists flow does not depend on the number of users. Each user is looked at once: what its list carries is
 * counted (carriers.h), and a list that is owed since another process had the partition, or that carries something that has
 * gone, is queued (refresh.h, withdrawals.h).
 *
 * It owns nothing: where it is, the carriers know, since lists are replaced meanwhile.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_LISTS_SURVEY_H
#define FRESHET_LISTS_SURVEY_H

#include "lists/carriers.h"
#include "lists/refresh.h"
#include "lists/withdrawals.h"

/* None is owned. */
typedef struct freshet_survey {
  const freshet_stream_config* config;
  const freshet_ports* ports;
  freshet_users* users;
  freshet_carriers* carriers;
  freshet_refresh* refresh;
  freshet_withdrawals* withdrawals;
} freshet_survey;

/* Has the next turn something to do at once? */
bool freshet_survey_is_due(const freshet_survey* survey);
/* Looks at the next users, for slice_us, and at some in any case. It may drop rows from memory: between batches only.
 * Errors: of the store, and FRESHET_INVALID (verdict STOP) for a row that cannot be read. */
freshet_status freshet_survey_turn(const freshet_survey* survey, int64_t slice_us, freshet_error* error);

#endif
