/*
 * progress.c: the bar of progress.h.
 */
#include "commands/progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "freshet/status.h"
#include "stream/clock.h"

enum { WIDTH = 32, DRAW_US = 100000, LINE_US = 5000000 };

struct freshet_progress {
  const char* label;
  uint64_t total;
  bool terminal, begun;
  int64_t start_us;
  int64_t next_us;
  uint64_t start_done; /* what an earlier process had done, by the first call */
  double start_share;
};

static int64_t now_us(void) {
  return freshet_clock_monotonic_us(freshet_clock_system());
}

freshet_progress* freshet_progress_create(const char* label, uint64_t total) {
  freshet_progress* progress = malloc(sizeof *progress);
  FRESHET_ASSERT(progress != NULL);
  bool terminal = isatty(STDERR_FILENO) == 1;
  *progress = (freshet_progress){.label = label, .total = total, .terminal = terminal, .start_us = now_us()};
  progress->next_us = progress->start_us + (terminal ? DRAW_US : LINE_US);
  return progress;
}

static void draw(const freshet_progress* progress, uint64_t done, double share, const char* note) {
  double seconds = (double)(now_us() - progress->start_us) / 1e6;
  double rate = seconds > 0 ? (double)(done - progress->start_done) / seconds : 0;
  char bar[WIDTH + 1], left[32] = "", percent[16] = "";
  if (progress->total > 0) share = (double)done / (double)progress->total;
  share = share < 0 ? 0 : share > 1 ? 1 : share;
  memset(bar, ' ', WIDTH);
  memset(bar, '#', (size_t)(share * WIDTH));
  bar[WIDTH] = '\0';
  if (share > 0) snprintf(percent, sizeof percent, "%.0f %%, ", 100 * share);
  double gained = share - progress->start_share;
  if (gained > 0.001 && share < 1)
    snprintf(left, sizeof left, ", %.0f s left", (1 - share) / gained * seconds);
  bool has_note = note != NULL && *note != '\0';
  fprintf(stderr, "%s%s %s%s%s%s%llu, %.0f/s%s%s%s%s", progress->terminal ? "\r" : "", progress->label,
          progress->terminal ? "[" : "", progress->terminal ? bar : "", progress->terminal ? "] " : "",
          percent, (unsigned long long)done, rate, has_note ? ", at " : "", has_note ? note : "", left,
          progress->terminal ? "\033[K" : "\n");
}

void freshet_progress_show(freshet_progress* progress, uint64_t done) {
  freshet_progress_show_share(progress, done, 0, NULL);
}

void freshet_progress_show_share(freshet_progress* progress, uint64_t done, double share, const char* note) {
  if (!progress->begun) {
    progress->begun = true;
    progress->start_done = done;
    progress->start_share = share;
  }
  int64_t now = now_us();
  if (now < progress->next_us) return;
  progress->next_us = now + (progress->terminal ? DRAW_US : LINE_US);
  draw(progress, done, share, note);
}

void freshet_progress_clear(const freshet_progress* progress) {
  if (progress->terminal) fputs("\r\033[K", stderr);
}

void freshet_progress_end(freshet_progress* progress, uint64_t done) {
  draw(progress, done, 0, NULL);
  if (progress->terminal) fputc('\n', stderr);
  free(progress);
}

void freshet_progress_destroy(freshet_progress* progress) {
  if (progress == NULL) return;
  freshet_progress_clear(progress);
  free(progress);
}
