/*
 * replay_progress.h: how far a replay is: a bar on a terminal, else a plain line now and then. On standard
 * error, so that results stay clean. Thread rule: one thread.
 */
#ifndef FRESHET_COMMANDS_REPLAY_PROGRESS_H
#define FRESHET_COMMANDS_REPLAY_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct freshet_replay_progress {
  bool terminal;
  int64_t started_us, shown_us; /* monotonic */
  uint64_t started_records;     /* done before this process began */
  double started_share;
} freshet_replay_progress;

typedef struct freshet_replay_place {
  double share;          /* of all input, 0 to 1; 0 when not known */
  uint64_t records;      /* done */
  int64_t event_time_ms; /* of the newest event; 0: none yet */
} freshet_replay_place;

enum { FRESHET_TIME_TEXT_SIZE = 32 };
/* "2011-12-09T12:50:00Z"; returns text. */
const char* freshet_time_text(int64_t time_ms, char text[FRESHET_TIME_TEXT_SIZE]);

freshet_replay_progress freshet_replay_progress_begin(int64_t now_us, const freshet_replay_place* place);
/* Draws when it is time to; call it often. */
void freshet_replay_progress_show(freshet_replay_progress* progress, int64_t now_us,
                                  const freshet_replay_place* place);
/* Clears the bar. */
void freshet_replay_progress_end(freshet_replay_progress* progress);

#endif
