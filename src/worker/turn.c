/* turn.c: the stop watch of the loop; see turn.h. It owns nothing but its figures, and must decide nothing. */
#include "worker/turn.h"

#include <stdio.h>

enum {
  SLOW_US = 20000,   /* a reader of lists begins to notice */
  LONG_US = 5000,    /* more than a part of a turn should take */
  LOOK_US = 1000,    /* the processor's clock is read after a part that took so long */
  LOG_US = 1000000,  /* one line at most */
  WORTH_PERCENT = 5, /* parts below this share of the turn are not named */
  FIELDS_SIZE = 512,
};

static const char* const part_names[FRESHET_TURN_PARTS] = {"poll",   "items", "texts",     "events",
                                                           "search", "lists", "answers",   "outcome",
                                                           "commit", "store", "item_rows", "other"};

void freshet_turn_begin(freshet_turn* turn) {
  turn->lap_us = freshet_clock_monotonic_us(turn->ports->clock);
  turn->now = (freshet_turn_figures){0};
  turn->use_before = freshet_clock_use(turn->ports->clock);
  turn->cpu_us = turn->use_before.cpu_us;
  turn->lists_before = freshet_metric(&turn->ports->metrics->lists_published);
}

void freshet_turn_waited(freshet_turn* turn, freshet_turn_part part, int64_t wait_us) {
  int64_t now_us = freshet_clock_monotonic_us(turn->ports->clock);
  int64_t over_us = now_us - turn->lap_us - wait_us;
  if (over_us > 0) turn->now.parts_us[part] += over_us;
  if (over_us > LOOK_US) {
    const int64_t cpu_us = freshet_clock_use(turn->ports->clock).cpu_us;
    turn->now.parts_cpu_us[part] += cpu_us - turn->cpu_us;
    turn->cpu_us = cpu_us;
  }
  turn->lap_us = now_us;
}

void freshet_turn_lap(freshet_turn* turn, freshet_turn_part part) {
  freshet_turn_waited(turn, part, 0);
}

/* "commit 12.1, lists 8.0": the parts worth a word, the longest first, in ms. of_us: what all of them took. */
static void name_parts(const int64_t parts_us[FRESHET_TURN_PARTS], int64_t of_us, char* out, size_t size) {
  bool named[FRESHET_TURN_PARTS] = {0};
  size_t at = 0;
  out[0] = '\0';
  for (;;) {
    int longest = -1;
    for (int i = 0; i < FRESHET_TURN_PARTS; i++) {
      if (!named[i] && (longest < 0 || parts_us[i] > parts_us[longest])) longest = i;
    }
    if (longest < 0 || parts_us[longest] <= 0 || parts_us[longest] * 100 < of_us * WORTH_PERCENT) return;
    named[longest] = true;
    at += (size_t)snprintf(out + at, size - at, "%s%s %.1f", at == 0 ? "" : ", ", part_names[longest],
                           (double)parts_us[longest] / 1e3);
    if (at >= size) return;
  }
}

/* For those who look for what holds up the loop: each long turn, also with what the processor did in it. */
static void log_long(const freshet_turn* turn) {
  const freshet_turn_figures* now = &turn->now;
  char parts[FIELDS_SIZE], cpu_parts[FIELDS_SIZE];
  name_parts(now->parts_us, now->took_us, parts, sizeof parts);
  name_parts(now->parts_cpu_us, now->use.cpu_us, cpu_parts, sizeof cpu_parts);
  freshet_log_fact(turn->ports->logger, FRESHET_DEBUG, "turn.long",
                   "ms=%.1f doing=\"%s\" cpu_ms=%.1f computing=\"%s\" faults=%llu switches=%llu events=%zu "
                   "lists=%llu",
                   (double)now->took_us / 1e3, parts, (double)now->use.cpu_us / 1e3, cpu_parts,
                   (unsigned long long)now->use.faults, (unsigned long long)now->use.switches, now->events,
                   (unsigned long long)now->lists);
}

static void log_slowest(freshet_turn* turn, int64_t now_us) {
  const freshet_turn_figures* slowest = &turn->slowest;
  char parts[FIELDS_SIZE];
  name_parts(slowest->parts_us, slowest->took_us, parts, sizeof parts);
  freshet_log_fact(turn->ports->logger, FRESHET_INFO, "turn.slow",
                   "ms=%.1f doing=\"%s\" cpu_ms=%.1f faults=%llu switches=%llu events=%zu lists=%llu "
                   "ago_ms=%lld slow_turns=%llu",
                   (double)slowest->took_us / 1e3, parts, (double)slowest->use.cpu_us / 1e3,
                   (unsigned long long)slowest->use.faults, (unsigned long long)slowest->use.switches,
                   slowest->events, (unsigned long long)slowest->lists,
                   (long long)(now_us - slowest->ended_us) / 1000, (unsigned long long)turn->slow);
  turn->slowest = (freshet_turn_figures){0};
  turn->slow = 0;
  turn->next_log_us = now_us + LOG_US;
}

int64_t freshet_turn_cpu_us(const freshet_turn* turn, freshet_turn_part part) {
  return turn->now.parts_cpu_us[part];
}

void freshet_turn_flush(freshet_turn* turn) {
  if (turn->slow > 0) log_slowest(turn, freshet_clock_monotonic_us(turn->ports->clock));
}

/* What the machine has given to the turn, and what came out. */
static void complete(freshet_turn* turn, size_t events) {
  freshet_turn_figures* now = &turn->now;
  const freshet_thread_use use = freshet_clock_use(turn->ports->clock), before = turn->use_before;
  now->use = (freshet_thread_use){use.cpu_us - before.cpu_us, use.faults - before.faults,
                                  use.switches - before.switches};
  now->ended_us = turn->lap_us;
  now->events = events;
  now->lists = freshet_metric(&turn->ports->metrics->lists_published) - turn->lists_before;
}

void freshet_turn_end(freshet_turn* turn, size_t events) {
  freshet_turn_figures* now = &turn->now;
  freshet_turn_lap(turn, FRESHET_TURN_OTHER);
  for (int i = 0; i < FRESHET_TURN_PARTS; i++) now->took_us += now->parts_us[i];
  freshet_histogram_observe(&turn->ports->metrics->turn, now->took_us);
  if (now->took_us > LONG_US) {
    complete(turn, events);
    log_long(turn);
  }
  if (now->took_us > SLOW_US) {
    turn->slow++;
    if (now->took_us > turn->slowest.took_us) turn->slowest = *now;
  }
  if (turn->slow > 0 && turn->lap_us >= turn->next_log_us) log_slowest(turn, turn->lap_us);
}
