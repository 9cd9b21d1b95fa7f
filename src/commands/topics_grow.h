/*
 * topics_grow.h: `freshet topics grow`: more partitions for an app that has state. It moves users, dedup windows and
 * positions while the app is stopped, in one transaction. It must not touch other apps.
 */
#ifndef FRESHET_COMMANDS_TOPICS_GROW_H
#define FRESHET_COMMANDS_TOPICS_GROW_H

#include "kafka/kafka.h"
#include "service/config.h"

/* partitions: that users are to be divided into, at least as many as now. Prints the plan; execute: carries it out.
 * Errors: FRESHET_INVALID (fewer than now), FRESHET_CONFLICT (the app runs, another log, a promotion under way),
 * FRESHET_UNAVAILABLE, FRESHET_ABORTED (nothing has changed but the topics' counts: do it again). */
freshet_status freshet_topics_grow(const freshet_config* config, int32_t partitions, bool execute,
                                   freshet_error* error);

#endif
