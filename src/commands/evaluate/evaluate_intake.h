/*
 * evaluate_intake.h: a history out of the inputs of a command line, through the reader that `freshet replay` uses, so
 * that replay would publish the rows that are learned, and no others. Counts what it read. It must not know how events
 * are judged.
 */
#ifndef FRESHET_COMMANDS_EVALUATE_INTAKE_H
#define FRESHET_COMMANDS_EVALUATE_INTAKE_H

#include "commands/evaluate/evaluate_data.h"
#include "commands/input/input_arguments.h"
#include "commands/input/input_census.h"
#include "service/config.h"

typedef struct freshet_intake {
  const freshet_input_arguments* inputs;
  const freshet_config* config; /* limits of events; the cluster of topics */
  size_t limit;                 /* events to read; 0: all */
  const char* errors;           /* file of rejected rows; NULL: none */
  freshet_census* census;       /* counts what is read; owned by the caller */
} freshet_intake;

/* Reads items and events and arranges them by the rules. An event whose id came before is not learned again. Errors:
 * those of the readers; FRESHET_NOT_FOUND when a file is not there; FRESHET_INVALID when there is no event. */
freshet_status freshet_intake_read(const freshet_intake* intake, const freshet_history_rules* rules,
                                   freshet_history* history, freshet_error* error);

#endif
