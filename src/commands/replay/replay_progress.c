/*
 * replay_progress.c: draws how far a replay is, at most a few times a second, on standard error. It owns
 * only what it has drawn last.
 */
#include "commands/replay/replay_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
  BAR_WIDTH = 24,
  REDRAW_US = 200 * 1000,
  LINE_US = 5 * 1000 * 1000,
};

const char* freshet_time_text(int64_t time_ms, char text[FRESHET_TIME_TEXT_SIZE]) {
  time_t seconds = (time_t)(time_ms / 1000);
  struct tm t;
  if (gmtime_r(&seconds, &t) == NULL ||
      strftime(text, FRESHET_TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &t) == 0) {
    text[0] = '\0';
  }
  return text;
}

freshet_replay_progress freshet_replay_progress_begin(int64_t now_us, const freshet_replay_place* place) {
  return (freshet_replay_progress){.terminal = isatty(STDERR_FILENO) == 1,
                                   .started_us = now_us,
                                   .shown_us = now_us,
                                   .started_records = place->records,
                                   .started_share = place->share};
}

static void draw(const freshet_replay_progress* progress, double seconds, const freshet_replay_place* place) {
  char bar[BAR_WIDTH + 1], time[FRESHET_TIME_TEXT_SIZE], share[16] = "", left[32] = "";
  memset(bar, '.', BAR_WIDTH);
  memset(bar, '#', (size_t)(place->share * BAR_WIDTH));
  bar[BAR_WIDTH] = '\0';
  if (place->share > 0) snprintf(share, sizeof share, "%3.0f %%  ", 100 * place->share);
  double gained = place->share - progress->started_share;
  if (gained > 0.001) snprintf(left, sizeof left, "  %.0f s left", (1 - place->share) / gained * seconds);
  double rate = (double)(place->records - progress->started_records) / seconds;
  fprintf(stderr, "%sreplay %s%s%s%s%" PRIu64 " records  %.0f/s%s%s%s%s", progress->terminal ? "\r" : "",
          progress->terminal ? "[" : "", progress->terminal ? bar : "", progress->terminal ? "] " : "", share,
          place->records, rate, place->event_time_ms == 0 ? "" : "  at ",
          place->event_time_ms == 0 ? "" : freshet_time_text(place->event_time_ms, time), left,
          progress->terminal ? "\x1b[K" : "\n");
}

void freshet_replay_progress_show(freshet_replay_progress* progress, int64_t now_us,
                                  const freshet_replay_place* place) {
  if (now_us - progress->shown_us < (progress->terminal ? REDRAW_US : LINE_US)) return;
  progress->shown_us = now_us;
  draw(progress, (double)(now_us - progress->started_us) / 1e6, place);
}

void freshet_replay_progress_end(freshet_replay_progress* progress) {
  if (progress->terminal) fputs("\r\x1b[K", stderr);
}
