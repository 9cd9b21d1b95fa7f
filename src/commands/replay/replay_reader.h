/*
 * replay_reader.h: history from a file of any format or from a topic, record by record. A reader hides
 * whether it is CSV, JSON Lines, an Avro container file or a well-known data set, plain or gzip, or Kafka,
 * and how far it is.
 */
#ifndef FRESHET_COMMANDS_REPLAY_READER_H
#define FRESHET_COMMANDS_REPLAY_READER_H

#include "commands/replay/replay_input.h"

/* The caller closes *reader. Errors: FRESHET_NOT_FOUND when the file cannot be opened, FRESHET_INVALID when
 * its head is wrong or fields are missing; verdict FRESHET_STOP. */
freshet_status freshet_replay_reader_open(const freshet_replay_input* input, freshet_replay_reader** reader,
                                          freshet_error* error);
/* As `place` of the reader says, also when it has none. */
bool freshet_replay_reader_place(const freshet_replay_reader* reader, freshet_buffer* text);

#endif
