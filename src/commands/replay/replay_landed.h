/*
 * replay_landed.h: what a replay that was killed had published after its last checkpoint. It is read back
 * from the topic, so that what is there already is not sent a second time.
 *
 * A record is known by the bytes of its key and value. Each one that is found answers for one record that is
 * to be sent, so equal rows of the input stay as many as they are. Thread rule: one thread.
 */
#ifndef FRESHET_COMMANDS_REPLAY_LANDED_H
#define FRESHET_COMMANDS_REPLAY_LANDED_H

#include "stream/source.h"

typedef struct freshet_replay_landed freshet_replay_landed;

/* The records that lie behind a checkpoint are at most as many; a replay must not send more without one. */
enum { FRESHET_REPLAY_LANDED_MAX = 2 * 1000 * 1000 };

/* The ends of all partitions of a topic as a text without spaces, appended. */
freshet_status freshet_replay_landed_mark(freshet_reader* log, freshet_topic topic, freshet_buffer* text,
                                          freshet_error* error);

/* Reads what has been written behind the mark, by anybody: FRESHET_REPLAY_LANDED_MAX records at most; *whole
 * false: there was more. The caller destroys *landed. Errors: those of the log; FRESHET_INVALID for a mark
 * that does not fit the topic. */
freshet_status freshet_replay_landed_read(freshet_reader* log, freshet_topic topic, const char* mark,
                                          freshet_replay_landed** landed, bool* whole, freshet_error* error);
void freshet_replay_landed_destroy(freshet_replay_landed* landed); /* NULL is allowed */

/* Is this record there already? Then it is taken out. */
bool freshet_replay_landed_take(freshet_replay_landed* landed, freshet_slice key, freshet_slice value);
/* How many have not been taken. */
size_t freshet_replay_landed_left(const freshet_replay_landed* landed);

#endif
