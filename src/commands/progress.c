/*
 * progress.c: draws the progress bar, or writes a plain line now and then when there is no terminal. It owns
 * only the time of the last line.
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
  bool terminal;
  int64_t start_us;
  int64_t next_us;
};

static int64_t now_us(void) {
  return freshet_clock_system()->monotonic_us(freshet_clock_system());
}

freshet_progress* freshet_progress_create(const char* label, uint64_t total) {
  freshet_progress* progress = malloc(sizeof *progress);
  FRESHET_ASSERT(progress != NULL);
  bool terminal = isatty(STDERR_FILENO) == 1;
  *progress = (freshet_progress){.label = label, .total = total, .terminal = terminal, .start_us = now_us()};
  progress->next_us = progress->start_us + (terminal ? DRAW_US : LINE_US);
  return progress;
}

static void draw(const freshet_progress* progress, uint64_t done) {
  double seconds = (double)(now_us() - progress->start_us) / 1e6;
  double rate = seconds > 0 ? (double)done / seconds : 0;
  char bar[WIDTH + 1], left[32] = "";
  size_t filled = progress->total == 0 ? 0 : (size_t)((double)done / (double)progress->total * WIDTH);
  memset(bar, ' ', WIDTH);
  memset(bar, '#', filled > WIDTH ? WIDTH : filled);
  bar[WIDTH] = '\0';
  if (progress->total > done && rate > 0) {
    snprintf(left, sizeof left, ", %.0f s left", (double)(progress->total - done) / rate);
  }
  if (progress->terminal) {
    fprintf(stderr, "\r%s [%s] %llu, %.0f/s%s\033[K", progress->label, bar, (unsigned long long)done, rate,
            left);
  } else {
    fprintf(stderr, "%s %llu, %.0f/s%s\n", progress->label, (unsigned long long)done, rate, left);
  }
}

void freshet_progress_show(freshet_progress* progress, uint64_t done) {
  int64_t now = now_us();
  if (now < progress->next_us) return;
  progress->next_us = now + (progress->terminal ? DRAW_US : LINE_US);
  draw(progress, done);
}

void freshet_progress_end(freshet_progress* progress, uint64_t done) {
  draw(progress, done);
  if (progress->terminal) fputc('\n', stderr);
  free(progress);
}
