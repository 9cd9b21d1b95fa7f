/*
 * evaluate_learner.c: the model as a contender in an evaluation: one process, no Kafka, asked as the service
 * asks it. It owns the model, its users and its ranker.
 */
#include <math.h>
#include <stdlib.h>

#include "catalogue/item_text.h"
#include "commands/evaluate/evaluate_metrics.h"
#include "commands/evaluate/evaluate_models.h"
#include "commands/measure.h"
#include "text/unicode.h"

/* Deltas are taken as the service takes them, which also bounds what they hold. */
enum { EVENTS_PER_DELTA = 10000 };

static uint32_t ns_since(double start) {
  return (uint32_t)(1e9 * (freshet_seconds(CLOCK_MONOTONIC) - start));
}

freshet_user* freshet_learner_user(freshet_learner* learner, uint32_t user) {
  if (learner->users[user] == NULL) learner->users[user] = freshet_user_create(learner->model);
  return learner->users[user];
}

void freshet_learner_forget_users(freshet_learner* learner) {
  for (size_t i = 0; learner->users != NULL && i < learner->history->user_count; i++) {
    freshet_user_destroy(learner->users[i]);
    learner->users[i] = NULL;
  }
}

/* What the service asks its encoder for in the background is there at once. */
static void see_to_text(freshet_learner* learner, freshet_user* user) {
  const freshet_history* history = learner->history;
  freshet_buffer *joined = &learner->joined, *one = &learner->text;
  if (history->reader == NULL || !freshet_user_wants_text(learner->model, user)) return;
  joined->size = 0;
  for (uint32_t i = 0; i < user->recent_count && i < FRESHET_HISTORY_TEXT_ITEMS; i++) {
    const freshet_history_item* it = &history->items[user->recent[i].item];
    if (user->recent[i].weight < 0) continue; /* disliked */
    freshet_item item = {.title = freshet_slice_of(it->title), .text = freshet_slice_of(it->text)};
    freshet_history_text_add(freshet_item_text(&item, one), joined);
  }
  freshet_slice text = freshet_buffer_slice(joined);
  if (text.size > 0 && freshet_encode(history->reader, &text, 1, learner->vector, NULL) == FRESHET_OK)
    freshet_user_set_text(user, learner->model, learner->vector, NULL);
}

/* Brings up to date what a query and the ranker read. */
static void prepare(freshet_learner* learner, const freshet_history_event* event) {
  see_to_text(learner, freshet_learner_user(learner, event->user));
  freshet_model_sync_ranker(learner->model, learner->ranker, NULL);
}

static void make_query(freshet_learner* learner, const freshet_history_event* event,
                       freshet_rank_query* query) {
  freshet_model_query(learner->model, freshet_learner_user(learner, event->user), event->time_ms,
                      learner->scratch, query);
}

static void score(freshet_contender* self, const freshet_history_event* event, float* scores) {
  freshet_learner* learner = (freshet_learner*)self;
  freshet_rank_query query = {0};
  prepare(learner, event);
  make_query(learner, event, &query);
  freshet_model_score_all(learner->model, &query, scores);
}

/* One more than are listed: who equals it may have more equals behind it. */
enum { PLACED = FRESHET_LIST_SIZE + 1 };

/* The right item's place in list [count]. False: scores this near to the list's last one do not tell. */
static bool find_place(const freshet_ranked* list, size_t count, const freshet_trial* trial,
                       freshet_placing* placing) {
  static const float margin = 1e-4F; /* more than scores differ by that are summed in another order */
  const freshet_ranked* last = &list[count - 1];
  size_t at = 0, better = 0, equal = 0;
  while (at < count && list[at].item != trial->item) at++;
  placing->rank = INFINITY;
  if (at == count) return placing->right < last->score - margin * (1 + fabsf(last->score));
  for (size_t i = 0; i < count; i++) {
    better += list[i].score > list[at].score;
    equal += list[i].score == list[at].score;
  }
  placing->rank = (double)better + (double)(equal - 1) / 2;
  return count < PLACED || list[at].score > last->score;
}

/* The order of the list is not the order of scores. */
static bool is_made(const freshet_learner* learner) {
  const freshet_list_making* making = &learner->making;
  return making->rules != NULL &&
         (making->diversity > 0 || making->rules->max_per_category > 0 || making->rules->pin_count > 0);
}

/* The place is the item's in the list, which has no ties. */
static void place_in_made_list(freshet_learner* learner, const freshet_rank_query* query,
                               const freshet_trial* trial, freshet_placing* placing) {
  placing->rank = INFINITY;
  placing->listed = freshet_learner_list(learner, query, trial->has, placing->list);
  for (size_t i = 0; i < placing->listed; i++) {
    if (placing->list[i] == trial->item) placing->rank = (double)i;
  }
}

/* Ranks as the service does. */
static bool place(freshet_contender* self, const freshet_history_event* event, const freshet_trial* trial,
                  freshet_placing* placing) {
  freshet_learner* learner = (freshet_learner*)self;
  freshet_ranked list[PLACED];
  freshet_rank_query query = {.k = PLACED};
  size_t count = 0;
  prepare(learner, event);
  const double before = freshet_seconds(CLOCK_MONOTONIC);
  make_query(learner, event, &query);
  query.excluded = trial->own;
  query.excluded_count = trial->own_count;
  if (is_made(learner)) {
    place_in_made_list(learner, &query, trial, placing);
    if (learner->rank_ns != NULL) learner->rank_ns[learner->rank_count++] = ns_since(before);
    return true;
  }
  if (freshet_rank(learner->ranker, &query, 1, list, PLACED, &count, learner->rank_scratch, NULL) !=
          FRESHET_OK ||
      count == 0)
    return false;
  if (learner->rank_ns != NULL) learner->rank_ns[learner->rank_count++] = ns_since(before);
  placing->right = freshet_model_score(learner->model, &query, trial->item);
  placing->wrong = freshet_model_score(learner->model, &query, trial->negative);
  placing->listed = count < FRESHET_LIST_SIZE ? count : FRESHET_LIST_SIZE;
  for (size_t i = 0; i < placing->listed; i++) placing->list[i] = list[i].item;
  return find_place(list, count, trial, placing);
}

static void learn(freshet_contender* self, const freshet_history_event* event) {
  freshet_learner* learner = (freshet_learner*)self;
  freshet_user* user = freshet_learner_user(learner, event->user);
  const freshet_event happened = {.type = event->type,
                                  .rating = event->rating,
                                  .feedback = event->feedback,
                                  .after_s = event->after_s,
                                  .place = event->place,
                                  .dwell_s = event->dwell_s,
                                  .quantity = event->quantity,
                                  .price = event->price,
                                  .occurred_at_ms = event->time_ms};
  if (freshet_is_impression(&happened))
    freshet_model_show(learner->model, user, event->item, event->place, event->time_ms);
  if (!freshet_observes(&happened)) return;
  freshet_observation seen = freshet_observe(&learner->values, &happened, event->item);
  seen.positive = (event->positive || event->hint) && !learner->frozen;
  seen.is_hint = event->hint;
  if (learner->frozen) seen.dislike = 0;
  seen.weight = event->weight;
  if (learner->learn_ns == NULL) {
    freshet_model_learn(learner->model, user, &seen, NULL);
  } else {
    const double before = freshet_seconds(CLOCK_MONOTONIC);
    freshet_model_learn(learner->model, user, &seen, NULL);
    learner->learn_ns[learner->learn_count++] = ns_since(before);
  }
  freshet_user_mark_how(user, event->item, freshet_seen_how(&happened));
  if (++learner->untaken == EVENTS_PER_DELTA) {
    freshet_model_delta delta;
    freshet_model_take_delta(learner->model, &delta);
    learner->untaken = 0;
  }
}

static void destroy(freshet_contender* self) {
  freshet_learner* learner = (freshet_learner*)self;
  freshet_learner_forget_users(learner);
  freshet_model_scratch_destroy(learner->scratch);
  freshet_rank_scratch_destroy(learner->rank_scratch);
  freshet_ranker_destroy(learner->ranker);
  freshet_model_destroy(learner->model);
  free(learner->users);
  free(learner->workplace);
  free(learner->hidden);
  free(learner->vector);
  freshet_buffer_free(&learner->joined);
  freshet_buffer_free(&learner->text);
  free(learner->learn_ns);
  free(learner->rank_ns);
  free(learner);
}

static bool has_text(const freshet_history_item* it) {
  return freshet_text_has_word(freshet_slice_of(it->title)) ||
         freshet_text_has_word(freshet_slice_of(it->text));
}

static freshet_status announce(freshet_learner* learner, freshet_error* error) {
  const freshet_history* history = learner->history;
  for (uint32_t i = 0; i < history->item_count; i++) {
    uint32_t slot;
    freshet_status status =
        freshet_model_intern(learner->model, freshet_slice_of(history->items[i].id), &slot, error);
    if (status != FRESHET_OK) return status;
    FRESHET_ASSERT(slot == i);
    freshet_model_set_listed(learner->model, slot, true);
    if (history->vectors == NULL || !has_text(&history->items[i])) continue;
    const float* vector = history->vectors + (size_t)i * history->text_dim;
    status = freshet_model_set_text(learner->model, slot, vector, NULL, error);
    if (status != FRESHET_OK) return status;
  }
  return FRESHET_OK;
}

static freshet_status make_ranker(freshet_learner* learner, freshet_error* error) {
  freshet_ranker_config config = {.capacity = (uint32_t)learner->history->item_count};
  freshet_model_lend_rows(learner->model, &config);
  freshet_status status = freshet_ranker_create(&config, &learner->ranker, error);
  if (status == FRESHET_OK) learner->rank_scratch = freshet_rank_scratch_create(learner->ranker);
  return status;
}

static void make_times(freshet_learner* learner) {
  learner->learn_ns = calloc(learner->history->event_count + 1, sizeof *learner->learn_ns);
  learner->rank_ns = calloc(learner->history->event_count + 1, sizeof *learner->rank_ns);
  FRESHET_ASSERT(learner->learn_ns != NULL && learner->rank_ns != NULL);
}

freshet_status freshet_learner_create(const freshet_history* history, const freshet_model_config* config,
                                      bool measure, freshet_learner** learner, freshet_error* error) {
  freshet_model_config own = *config;
  freshet_learner* made = calloc(1, sizeof *made);
  FRESHET_ASSERT(made != NULL);
  *learner = NULL;
  own.text_dim = history->vectors == NULL ? 0 : history->text_dim;
  made->contender = (freshet_contender){
      .name = "freshet", .score = score, .learn = learn, .destroy = destroy, .place = place};
  made->history = history;
  made->values = (freshet_event_values){.positive_rating = 4, .rating_min = 1};
  made->vector = calloc(own.text_dim + 1, sizeof *made->vector);
  FRESHET_ASSERT(made->vector != NULL);
  freshet_status status = freshet_model_create(&own, &made->model, error);
  if (status == FRESHET_OK) {
    made->users = calloc(history->user_count + 1, sizeof(freshet_user*));
    FRESHET_ASSERT(made->users != NULL);
    made->scratch = freshet_model_scratch_create(made->model);
    status = announce(made, error);
  }
  if (status == FRESHET_OK) status = make_ranker(made, error);
  if (measure) make_times(made);
  if (status != FRESHET_OK) {
    destroy(&made->contender);
    return status;
  }
  *learner = made;
  return FRESHET_OK;
}

float freshet_learner_affinity(freshet_learner* learner, const freshet_history_event* event) {
  freshet_part parts[FRESHET_PARTS_MAX];
  float sum = 0;
  size_t count = freshet_model_explain(learner->model, freshet_learner_user(learner, event->user),
                                       event->time_ms, event->item, learner->scratch, parts);
  for (size_t i = 0; i < count; i++) sum += parts[i].score;
  return sum;
}
