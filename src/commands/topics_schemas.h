/*
 * topics_schemas.h: the part of `freshet topics` that asks the schema registry: registers our schemas, and holds what is
 * registered against ours. It must not know Kafka. Thread rule: one thread.
 */
#ifndef FRESHET_COMMANDS_TOPICS_SCHEMAS_H
#define FRESHET_COMMANDS_TOPICS_SCHEMAS_H

#include "service/config.h"

/* Registers every schema of ours and prints a line for each. Returns an exit code. */
int freshet_topics_register(const freshet_config* config);
/* Prints a line for each subject, and its faults to standard error. Returns an exit code, FRESHET_EXIT_OK only when
 * there is no fault. */
int freshet_topics_check_schemas(const freshet_config* config);

#endif
