/*
 * evaluate_run.c: the protocol: for each event ask all contenders, then let all learn. It owns the pass over
 * the history and the sampled negatives. It must not know what a contender does inside.
 */
#include "commands/evaluate/evaluate_run.h"

#include <math.h>
#include <stdlib.h>

#include <xxhash.h>

#include "commands/evaluate/evaluate_rating.h"
#include "commands/progress.h"
#include "core/grow.h"

/* Items that a user has, so that they can be set and cleared around a ranking. */
typedef struct shelf {
  uint32_t* items;
  size_t count, capacity;
  uint32_t positives;
} shelf;

typedef struct state {
  const freshet_pass* pass;
  shelf* shelves;      /* [user_count] */
  uint32_t* positives; /* [item_count] */
  bool* has;           /* [item_count] false between rankings */
  float* scores;       /* [item_count] */
  size_t ranked, to_rank;
  freshet_rater* rater;
  double squares; /* of the errors of predicted ratings */
  size_t ratings;
} state;

static void put_on_shelf(shelf* own, uint32_t item) {
  own->items = freshet_grow(own->items, &own->capacity, own->count + 1, sizeof *own->items);
  own->items[own->count++] = item;
}

/* An item that the user does not have and that is not the right one; a few tries suffice in practice. */
static uint32_t sample_negative(const state* s, size_t event, uint32_t item) {
  uint32_t drawn = item;
  for (uint64_t turn = 0; turn < 100; turn++) {
    uint64_t key[3] = {s->pass->seed, event, turn};
    drawn = (uint32_t)(XXH3_64bits(key, sizeof key) % s->pass->history->item_count);
    if (drawn != item && !s->has[drawn]) break;
  }
  return drawn;
}

static freshet_placing ask(const state* s, freshet_contender* contender, const freshet_history_event* event,
                           const freshet_trial* trial) {
  freshet_placing placing = {0};
  if (contender->place != NULL && contender->place(contender, event, trial, &placing)) return placing;
  contender->score(contender, event, s->scores);
  return freshet_placing_of(trial, s->scores, s->pass->history->item_count);
}

static void rank(state* s, size_t at) {
  const freshet_pass* pass = s->pass;
  const freshet_history_event* event = &pass->history->events[at];
  const shelf* own = &s->shelves[event->user];
  double share = (double)s->ranked++ / (double)s->to_rank;
  for (uint32_t i = 0; i < own->count; i++) s->has[own->items[i]] = true;
  freshet_trial trial = {.item = event->item,
                         .negative = sample_negative(s, at, event->item),
                         .has = s->has,
                         .own = own->items,
                         .own_count = own->count,
                         .counted = share >= pass->skipped_share,
                         .cold_user = own->positives < FRESHET_COLD,
                         .cold_item = s->positives[event->item] < FRESHET_COLD,
                         .time_share = share};
  for (size_t c = 0; c < pass->contender_count; c++) {
    freshet_placing placing = ask(s, pass->contenders[c], event, &trial);
    freshet_metrics_add(&pass->metrics[c], &trial, &placing);
  }
  for (uint32_t i = 0; i < own->count; i++) s->has[own->items[i]] = false;
}

static void teach(const freshet_pass* pass, const freshet_history_event* event) {
  for (size_t c = 0; c < pass->contender_count; c++) pass->contenders[c]->learn(pass->contenders[c], event);
}

static void learn(state* s, const freshet_history_event* event) {
  teach(s->pass, event);
  if (!event->hint) put_on_shelf(&s->shelves[event->user], event->item);
  s->shelves[event->user].positives += event->positive;
  s->positives[event->item] += event->positive;
}

/* Every rating is predicted, the low ones that are not learned too. */
static void rate(state* s, const freshet_history_event* event) {
  double affinity = (double)freshet_learner_affinity(s->pass->learner, event);
  double error = freshet_rater_step(s->rater, event->user, event->item, affinity, (double)event->rating);
  if (s->ranked == 0 || (double)s->ranked / (double)s->to_rank < s->pass->skipped_share) return;
  s->squares += error * error;
  s->ratings++;
}

static void play(state* s, size_t at) {
  const freshet_pass* pass = s->pass;
  const freshet_history_event* event = &pass->history->events[at];
  if (pass->learner != NULL) pass->learner->frozen = pass->freeze && at >= pass->rank_from;
  if (event->ranked && at >= pass->rank_from) rank(s, at);
  if (event->type == FRESHET_RATING && pass->learner != NULL) rate(s, event);
  if (event->ranked || event->context) learn(s, event);
  if (freshet_history_is_impression(event)) teach(pass, event);
}

freshet_pass_result freshet_pass_run(const freshet_pass* pass) {
  const freshet_history* history = pass->history;
  state s = {.pass = pass,
             .shelves = calloc(history->user_count + 1, sizeof(shelf)),
             .positives = calloc(history->item_count + 1, sizeof(uint32_t)),
             .has = calloc(history->item_count + 1, sizeof(bool)),
             .scores = calloc(history->item_count + 1, sizeof(float)),
             .rater = freshet_rater_create(history->user_count, history->item_count)};
  FRESHET_ASSERT(s.shelves != NULL && s.positives != NULL && s.has != NULL && s.scores != NULL);
  freshet_progress* progress = pass->label == NULL ? NULL : freshet_progress_create(pass->label, pass->to);
  for (size_t i = pass->rank_from; i < pass->to; i++) s.to_rank += history->events[i].ranked;
  for (size_t i = 0; i < pass->to; i++) {
    play(&s, i);
    if (progress != NULL) freshet_progress_show(progress, i);
  }
  if (progress != NULL) freshet_progress_end(progress, pass->to);
  for (size_t i = 0; i < history->user_count; i++) free(s.shelves[i].items);
  free(s.shelves);
  free(s.positives);
  free(s.has);
  free(s.scores);
  freshet_rater_destroy(s.rater);
  return (freshet_pass_result){s.ratings == 0 ? NAN : sqrt(s.squares / (double)s.ratings)};
}
