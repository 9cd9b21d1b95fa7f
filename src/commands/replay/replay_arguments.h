/*
 * replay_arguments.h: what `freshet replay` was asked to do. Owns the inputs; the other texts are those of argv. It
 * must not open anything but a table of data sets.
 */
#ifndef FRESHET_COMMANDS_REPLAY_ARGUMENTS_H
#define FRESHET_COMMANDS_REPLAY_ARGUMENTS_H

#include "commands/input/input_arguments.h"
#include "commands/options.h"
#include "kafka/kafka.h"

/* Whole text of `freshet help replay`. */
extern const char freshet_replay_usage[];

typedef struct freshet_replay_arguments {
  freshet_options common;
  freshet_input_arguments inputs;
  bool formats, json;
  bool dry_run, accepts_loss;
  double rate, speedup;           /* 0: not bounded */
  uint64_t limit;                 /* UINT64_MAX: none */
  uint64_t window;                /* of sorting; 0: as they come */
  int64_t since_ms, until_ms;     /* of topics; INT64_MIN, INT64_MAX: no bound */
  freshet_kafka_property* source; /* [source_count] settings of the cluster that topics are read from */
  size_t source_count;            /* 0: it is the configured one */
  const char* user;
  unsigned types; /* bit set by freshet_event_type */
  const char* errors;
  const char* resume;
} freshet_replay_arguments;

/* False when it has told what is wrong. Free them in any case. */
bool freshet_replay_arguments_parse(int argc, char** argv, freshet_replay_arguments* arguments);
void freshet_replay_arguments_free(freshet_replay_arguments* arguments);

/* Of what decides which records are published, under which ids: a checkpoint holds for these only. */
uint64_t freshet_replay_arguments_hash(const freshet_replay_arguments* arguments);

#endif
