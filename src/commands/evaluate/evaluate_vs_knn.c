/*
 * evaluate_vs_knn.c: the baseline "vs-knn", vector multiplication session kNN (Ludewig and Jannach, 2018).
 *
 * The newest items of the session weigh most; among the latest sessions that share an item, the most similar
 * ones vote for their items. Popularity stands behind. Owns the sessions; must not know the model.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/evaluate/evaluate_baselines.h"

enum { SESSION_ITEMS = 20, LATEST = 100, NEAREST = 100 };

typedef struct setting {
  int64_t gap_ms; /* a session ends after so long without an event; 0: never */
  int voters;     /* how many of the most similar sessions */
} setting;
static const setting settings[] = {{30 * 60 * 1000, NEAREST}, {30 * 60 * 1000, NEAREST / 4}, {0, NEAREST}};

typedef struct session {
  uint32_t items[SESSION_ITEMS]; /* newest first */
  uint32_t count;
} session;

/* The latest sessions with an item: a ring. */
typedef struct latest {
  uint32_t* sessions; /* [LATEST] */
  uint32_t next, count;
} latest;

typedef struct similar {
  uint32_t session;
  float similarity;
} similar;

typedef struct vs_knn {
  freshet_contender contender;
  setting setting;
  const freshet_history* history;
  session* sessions; /* [session_count] */
  size_t session_count, session_capacity;
  uint32_t* current; /* [user_count] session; UINT32_MAX: none */
  int64_t* last_ms;  /* [user_count] */
  latest* of;        /* [item_count] */
  float* similarity; /* [session_capacity] 0 between rankings */
  freshet_popular_counts popular;
} vs_knn;

static int by_similarity(const void* a, const void* b) {
  const similar *x = a, *y = b;
  if (x->similarity != y->similarity) return x->similarity < y->similarity ? 1 : -1;
  return (x->session < y->session) - (x->session > y->session); /* the later one first */
}

static bool has_ended(const vs_knn* own, const freshet_history_event* event) {
  if (own->current[event->user] == UINT32_MAX) return true;
  return own->setting.gap_ms > 0 && event->time_ms - own->last_ms[event->user] > own->setting.gap_ms;
}

/* Sessions that share an item with session `at`, with their similarity. Returns how many. */
static size_t meet_sessions(vs_knn* own, uint32_t at, similar* found) {
  const session* now = &own->sessions[at];
  size_t count = 0;
  for (uint32_t k = 0; k < now->count; k++) {
    const latest* of = &own->of[now->items[k]];
    const float weight = (float)(now->count - k) / (float)now->count;
    for (uint32_t i = 0; i < of->count; i++) {
      const uint32_t other = of->sessions[i];
      if (other == at) continue;
      if (own->similarity[other] == 0) found[count++] = (similar){other, 0};
      own->similarity[other] += weight;
    }
  }
  for (size_t i = 0; i < count; i++) {
    found[i].similarity = own->similarity[found[i].session];
    own->similarity[found[i].session] = 0;
  }
  return count;
}

static void vs_knn_score(freshet_contender* self, const freshet_history_event* event, float* scores) {
  vs_knn* own = (vs_knn*)self;
  similar found[SESSION_ITEMS * LATEST];
  memset(scores, 0, own->history->item_count * sizeof *scores);
  if (!has_ended(own, event)) {
    size_t count = meet_sessions(own, own->current[event->user], found);
    if (count > (size_t)own->setting.voters) {
      qsort(found, count, sizeof *found, by_similarity);
      count = (size_t)own->setting.voters;
    }
    for (size_t i = 0; i < count; i++) {
      const session* voter = &own->sessions[found[i].session];
      for (uint32_t k = 0; k < voter->count; k++) scores[voter->items[k]] += found[i].similarity;
    }
  }
  freshet_popular_counts_stand_in(&own->popular, scores);
}

static uint32_t begin_session(vs_knn* own) {
  if (own->session_count == own->session_capacity) {
    size_t grown = own->session_capacity == 0 ? 1024 : 2 * own->session_capacity;
    own->sessions = realloc(own->sessions, grown * sizeof *own->sessions);
    own->similarity = realloc(own->similarity, grown * sizeof *own->similarity);
    FRESHET_ASSERT(own->sessions != NULL && own->similarity != NULL);
    memset(own->similarity + own->session_capacity, 0,
           (grown - own->session_capacity) * sizeof *own->similarity);
    own->session_capacity = grown;
  }
  own->sessions[own->session_count] = (session){.count = 0};
  return (uint32_t)own->session_count++;
}

static void vs_knn_learn(freshet_contender* self, const freshet_history_event* event) {
  vs_knn* own = (vs_knn*)self;
  if (!event->positive) return;
  freshet_popular_counts_add(&own->popular, event->item);
  if (has_ended(own, event)) own->current[event->user] = begin_session(own);
  own->last_ms[event->user] = event->time_ms;
  const uint32_t at = own->current[event->user];
  session* now = &own->sessions[at];
  uint32_t old = 0;
  while (old < now->count && now->items[old] != event->item) old++;
  bool known = old < now->count;
  if (!known && now->count < SESSION_ITEMS) now->count++;
  if (!known) old = now->count - 1;
  memmove(now->items + 1, now->items, old * sizeof *now->items);
  now->items[0] = event->item;
  if (known) return;
  latest* of = &own->of[event->item];
  if (of->sessions == NULL) of->sessions = freshet_baseline_array(LATEST, sizeof *of->sessions);
  of->sessions[of->next] = at;
  of->next = (of->next + 1) % LATEST;
  if (of->count < LATEST) of->count++;
}

static void vs_knn_destroy(freshet_contender* self) {
  vs_knn* own = (vs_knn*)self;
  for (size_t i = 0; i < own->history->item_count; i++) free(own->of[i].sessions);
  freshet_popular_counts_free(&own->popular);
  free(own->of);
  free(own->sessions);
  free(own->similarity);
  free(own->current);
  free(own->last_ms);
  free(own);
}

static freshet_contender* vs_knn_create(const freshet_history* history, size_t chosen, uint64_t seed) {
  (void)seed;
  vs_knn* own = freshet_baseline_array(1, sizeof *own);
  own->contender = (freshet_contender){
      .name = "vs-knn", .score = vs_knn_score, .learn = vs_knn_learn, .destroy = vs_knn_destroy};
  own->setting = settings[chosen];
  own->history = history;
  own->popular = freshet_popular_counts_make(history->item_count, 3000);
  own->of = freshet_baseline_array(history->item_count, sizeof *own->of);
  own->current = freshet_baseline_array(history->user_count, sizeof *own->current);
  own->last_ms = freshet_baseline_array(history->user_count, sizeof *own->last_ms);
  memset(own->current, 0xff, history->user_count * sizeof *own->current);
  return &own->contender;
}

static void describe(size_t chosen, char text[FRESHET_SETTING_SIZE]) {
  const setting* s = &settings[chosen];
  char end[FRESHET_SETTING_SIZE / 2] = "a session is a whole history";
  if (s->gap_ms > 0) snprintf(end, sizeof end, "a session ends after %d minutes", (int)(s->gap_ms / 60000));
  snprintf(text, FRESHET_SETTING_SIZE, "%s; %d sessions vote", end, s->voters);
}

const freshet_method freshet_method_vs_knn = {"vs-knn", sizeof settings / sizeof *settings, vs_knn_create,
                                              describe};
