/*
 * evaluate_personal.c: the baseline "personal": how often and how recently this user chose the item.
 *
 * A user's count of an item halves with time. An item that was chosen a moment ago may be left out. Popularity
 * stands behind. It is the rival for people who choose the same things again. Owns the counts; must not know
 * the model.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/evaluate/evaluate_baselines.h"

static const double hour_ms = 3600 * 1000.0;

typedef struct setting {
  double half_life_h; /* of a count; 0: counts do not fade */
  double pause_h;     /* an item that was chosen within this time has no score */
} setting;
static const setting settings[] = {{0, 0},      {0, 6},       {24 * 30, 0}, {24 * 30, 6}, {24 * 7, 0},
                                   {24 * 7, 6}, {24 * 90, 0}, {24 * 90, 6}, {24, 0},      {1, 0}};

typedef struct habit {
  uint32_t item;
  float count; /* as of last_ms */
  int64_t last_ms;
} habit;

typedef struct habits {
  habit* list; /* [count] */
  uint32_t count, capacity;
} habits;

typedef struct personal {
  freshet_contender contender;
  setting setting;
  const freshet_history* history;
  habits* of; /* [user_count] */
  freshet_popular_counts popular;
} personal;

static float faded(const personal* own, const habit* h, int64_t now_ms) {
  double hours = (double)(now_ms - h->last_ms) / hour_ms;
  if (own->setting.half_life_h <= 0 || hours <= 0) return h->count;
  return h->count * (float)exp2(-hours / own->setting.half_life_h);
}

static void personal_score(freshet_contender* self, const freshet_history_event* event, float* scores) {
  personal* own = (personal*)self;
  const habits* of = &own->of[event->user];
  memset(scores, 0, own->history->item_count * sizeof *scores);
  for (uint32_t i = 0; i < of->count; i++) {
    const habit* h = &of->list[i];
    const float least = 1e-6F; /* above what stands in for a score */
    if ((double)(event->time_ms - h->last_ms) < own->setting.pause_h * hour_ms) continue;
    scores[h->item] = faded(own, h, event->time_ms) + least;
  }
  freshet_popular_counts_stand_in(&own->popular, scores);
}

static void personal_learn(freshet_contender* self, const freshet_history_event* event) {
  personal* own = (personal*)self;
  habits* of = &own->of[event->user];
  uint32_t at = 0;
  if (!event->positive) return;
  freshet_popular_counts_add(&own->popular, event->item);
  while (at < of->count && of->list[at].item != event->item) at++;
  if (at == of->capacity) {
    of->capacity = of->capacity == 0 ? 4 : 2 * of->capacity;
    of->list = realloc(of->list, of->capacity * sizeof *of->list);
    FRESHET_ASSERT(of->list != NULL);
  }
  if (at == of->count) of->list[of->count++] = (habit){event->item, 0, event->time_ms};
  habit* h = &of->list[at];
  h->count = faded(own, h, event->time_ms) + 1;
  h->last_ms = event->time_ms;
}

static void personal_destroy(freshet_contender* self) {
  personal* own = (personal*)self;
  for (size_t i = 0; i < own->history->user_count; i++) free(own->of[i].list);
  freshet_popular_counts_free(&own->popular);
  free(own->of);
  free(own);
}

static freshet_contender* personal_create(const freshet_history* history, size_t chosen, uint64_t seed) {
  (void)seed;
  personal* own = freshet_baseline_array(1, sizeof *own);
  own->contender = (freshet_contender){
      .name = "personal", .score = personal_score, .learn = personal_learn, .destroy = personal_destroy};
  own->setting = settings[chosen];
  own->history = history;
  own->popular = freshet_popular_counts_make(history->item_count, 3000);
  own->of = freshet_baseline_array(history->user_count, sizeof *own->of);
  return &own->contender;
}

static void describe(size_t chosen, char text[FRESHET_SETTING_SIZE]) {
  const setting* s = &settings[chosen];
  char fading[FRESHET_SETTING_SIZE / 2] = "counts do not fade";
  if (s->half_life_h > 0) snprintf(fading, sizeof fading, "a count halves in %g h", s->half_life_h);
  snprintf(text, FRESHET_SETTING_SIZE, s->pause_h > 0 ? "%s, without items of the last %g h" : "%s", fading,
           s->pause_h);
}

const freshet_method freshet_method_personal = {"personal", sizeof settings / sizeof *settings,
                                                personal_create, describe};
