/*
 * evaluate_service.c: one pass by the service's own protocol.
 *
 * Owns what is remembered about users and items to sort events into groups and segments. The hidden items
 * come from the learner's users, so their bound (model.seen_limit), rules.hide, rules.hide_for_s and rules.exclude_own
 * act as in the service.
 */
#include "commands/evaluate/evaluate_service.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands/evaluate/evaluate_offer.h"
#include "commands/progress.h"
#include "core/maths.h"

const char* const freshet_group_prefixes[FRESHET_GROUPS] = {"service_", "again_", "all_", "disliked_"};
const char* const freshet_segment_names[FRESHET_SEGMENTS] = {"history", "session_place", "item_age"};
const char* const freshet_segment_parts[FRESHET_SEGMENTS][FRESHET_SEGMENT_PARTS] = {
    {"0", "1-4", "5-19", "20+"}, {"1", "2-3", "4-9", "10+"}, {"first", "under_1d", "under_30d", "older"}};

static const int64_t session_gap_ms = 600 * 1000, day_ms = 24 * 3600 * 1000LL;

/* The pairs of user and item that have been: open addressing, 0 is free. */
typedef struct pairs {
  uint64_t* keys; /* [buckets] */
  size_t buckets;
} pairs;

typedef struct visitor {
  uint32_t chosen;     /* events */
  uint32_t in_session; /* events */
  int64_t last_ms;
} visitor;

typedef struct state {
  const freshet_service_pass* pass;
  pairs met;
  visitor* visitors; /* [user_count] */
  int64_t* first_ms; /* [item_count] of the item's first event; INT64_MAX: none */
  freshet_offer* offer;
  const bool* lacks; /* [item_count] by the offer */
  bool* hidden;      /* [item_count] from the event's user, and what is not on offer */
  float* scores;     /* [item_count] */
  size_t chosen, all_chosen;
} state;

/* True when the pair has been before. */
static bool meet(pairs* met, uint32_t user, uint32_t item) {
  uint64_t key = ((uint64_t)user << 32 | item) + 1;
  size_t at = (size_t)freshet_mix64(key) & (met->buckets - 1);
  while (met->keys[at] != 0 && met->keys[at] != key) at = (at + 1) & (met->buckets - 1);
  bool known = met->keys[at] == key;
  met->keys[at] = key;
  return known;
}

static void note_likeness(const freshet_learner* learner, const freshet_placing* placing,
                          freshet_service_metrics* metrics) {
  const double likeness = freshet_learner_list_likeness(learner, placing->list, placing->listed);
  if (isnan(likeness)) return;
  metrics->likeness += likeness;
  metrics->likeness_count++;
}

/* A hidden item cannot be listed: whatever its score, its place is a miss. */
static double place_of(state* s, freshet_contender* contender, const freshet_history_event* event,
                       const freshet_trial* trial, freshet_service_metrics* metrics) {
  freshet_placing placing = {0};
  if (trial->has[event->item]) return INFINITY;
  if (contender->place == NULL || !contender->place(contender, event, trial, &placing)) {
    contender->score(contender, event, s->scores);
    placing = freshet_placing_of(trial, s->scores, s->pass->history->item_count);
  }
  if (contender == &s->pass->learner->contender && trial->counted)
    note_likeness(s->pass->learner, &placing, metrics);
  return placing.rank;
}

static int part_of(freshet_segment segment, const state* s, const freshet_history_event* event) {
  const visitor* who = &s->visitors[event->user];
  const uint32_t chosen = who->chosen, place = who->in_session + 1;
  const int64_t first_ms = s->first_ms[event->item];
  switch (segment) {
    case FRESHET_SEGMENT_HISTORY:
      return (chosen > 0) + (chosen >= 5) + (chosen >= 20);
    case FRESHET_SEGMENT_SESSION:
      return (place > 1) + (place > 3) + (place > 9);
    default:
      if (first_ms == INT64_MAX) return 0;
      return 1 + (event->time_ms - first_ms >= day_ms) + (event->time_ms - first_ms >= 30 * day_ms);
  }
}

static void count_in_segments(const state* s, const freshet_history_event* event,
                              const freshet_boot_weights* weights, double rank,
                              freshet_service_metrics* metrics) {
  for (int g = 0; g < FRESHET_SEGMENTS; g++) {
    freshet_boot_add(&metrics->segments[g][part_of((freshet_segment)g, s, event)], weights, rank);
  }
}

static void rank(state* s, const freshet_history_event* event, bool again, bool counted) {
  const freshet_service_pass* pass = s->pass;
  freshet_boot_weights weights;
  const uint32_t* own;
  freshet_offer_advance(s->offer, event->time_ms);
  memcpy(s->hidden, s->lacks, pass->history->item_count * sizeof *s->hidden);
  const size_t hidden = freshet_learner_hidden(pass->learner, pass->rules, event->user, event->time_ms, &own);
  for (size_t i = 0; i < hidden; i++) s->hidden[own[i]] = true;
  freshet_trial trial = {.item = event->item,
                         .negative = event->item,
                         .has = s->hidden,
                         .own = own,
                         .own_count = hidden,
                         .counted = counted};
  if (counted) freshet_boot_draw(event->user, &weights);
  for (size_t c = 0; c < pass->contender_count; c++) {
    freshet_service_metrics* metrics = &pass->metrics[c];
    double place = place_of(s, pass->contenders[c], event, &trial, metrics);
    if (!counted) continue;
    if (!event->positive) {
      freshet_boot_add(&metrics->groups[FRESHET_GROUP_DISLIKED], &weights, place);
      continue;
    }
    freshet_boot_add(&metrics->groups[again ? FRESHET_GROUP_AGAIN : FRESHET_GROUP_NEW], &weights, place);
    freshet_boot_add(&metrics->groups[FRESHET_GROUP_ALL], &weights, place);
    metrics->not_on_offer += s->lacks[event->item];
    count_in_segments(s, event, &weights, place, metrics);
  }
}

/* Feedback and impressions say that an item was shown, not that the user had it. */
static bool is_meeting(const freshet_history_event* event) {
  return !event->hint && event->type != FRESHET_FEEDBACK;
}

static void remember(state* s, const freshet_history_event* event) {
  if (event->type == FRESHET_FEEDBACK) return;
  visitor* who = &s->visitors[event->user];
  if (s->first_ms[event->item] == INT64_MAX) s->first_ms[event->item] = event->time_ms;
  who->chosen += event->positive;
  s->chosen += event->positive;
  who->in_session++;
  who->last_ms = event->time_ms;
}

static void play(state* s, const freshet_history_event* event) {
  const freshet_service_pass* pass = s->pass;
  visitor* who = &s->visitors[event->user];
  bool again = is_meeting(event) && meet(&s->met, event->user, event->item);
  bool disliked = event->type == FRESHET_RATING && !event->positive && event->rating <= pass->disliked;
  bool counted = (double)s->chosen >= pass->skipped_share * (double)s->all_chosen;
  if (event->time_ms - who->last_ms > session_gap_ms) who->in_session = 0;
  if (event->positive || (disliked && !again)) rank(s, event, again, counted);
  for (size_t c = 0; c < pass->contender_count; c++) pass->contenders[c]->learn(pass->contenders[c], event);
  remember(s, event);
}

void freshet_service_pass_run(const freshet_service_pass* pass) {
  const freshet_history* history = pass->history;
  state s = {.pass = pass, .met = {.buckets = 64}};
  while (s.met.buckets < 2 * history->event_count + 2) s.met.buckets *= 2;
  s.met.keys = calloc(s.met.buckets, sizeof *s.met.keys);
  s.visitors = calloc(history->user_count + 1, sizeof *s.visitors);
  s.first_ms = calloc(history->item_count + 1, sizeof *s.first_ms);
  s.hidden = calloc(history->item_count + 1, sizeof *s.hidden);
  s.scores = calloc(history->item_count + 1, sizeof *s.scores);
  FRESHET_ASSERT(s.met.keys != NULL && s.visitors != NULL && s.first_ms != NULL && s.hidden != NULL &&
                 s.scores != NULL);
  for (size_t i = 0; i < history->item_count; i++) s.first_ms[i] = INT64_MAX;
  s.offer = freshet_offer_create(history, pass->rules, pass->learner->model);
  s.lacks = freshet_offer_lacks(s.offer);
  for (size_t i = 0; i < history->event_count; i++) s.all_chosen += history->events[i].positive;
  freshet_progress* progress =
      pass->label == NULL ? NULL : freshet_progress_create(pass->label, history->event_count);
  for (size_t i = 0; i < history->event_count; i++) {
    play(&s, &history->events[i]);
    if (progress != NULL) freshet_progress_show(progress, i);
  }
  if (progress != NULL) freshet_progress_end(progress, history->event_count);
  free(s.met.keys);
  free(s.visitors);
  free(s.first_ms);
  free(s.hidden);
  freshet_offer_destroy(s.offer);
  free(s.scores);
}

double freshet_service_list_similarity(const freshet_service_metrics* metrics) {
  return metrics->likeness_count == 0 ? NAN : metrics->likeness / (double)metrics->likeness_count;
}

double freshet_service_disliked_in_list(const freshet_service_metrics* metrics) {
  const freshet_place_sums* disliked = &metrics->groups[FRESHET_GROUP_DISLIKED].sums;
  size_t lists = metrics->groups[FRESHET_GROUP_ALL].sums.count + disliked->count;
  return lists == 0 ? NAN : disliked->recall / (double)lists;
}
