#include "worker/answers.h"

#include <stdlib.h>

#include "worker/partitioner.h"
#include "worker/worker_internal.h"

struct freshet_answers {
  freshet_model_scratch* query_scratch;
  freshet_rank_scratch* rank_scratch;
  freshet_ranked ranked[FRESHET_RANK_K_MAX];
  freshet_buffer bytes;
};

freshet_answers* freshet_answers_create(freshet_worker* worker, freshet_error* error) {
  freshet_ranker* ranker;
  freshet_answers* answers = calloc(1, sizeof *answers);
  FRESHET_ASSERT(answers != NULL);
  if (freshet_items_ranker(worker->items, &ranker, error) != FRESHET_OK) {
    freshet_answers_destroy(answers);
    return NULL;
  }
  answers->query_scratch = freshet_model_scratch_create(freshet_items_model(worker->items));
  answers->rank_scratch = freshet_rank_scratch_create(ranker);
  return answers;
}

void freshet_answers_destroy(freshet_answers* answers) {
  if (answers == NULL) return;
  freshet_model_scratch_destroy(answers->query_scratch);
  freshet_rank_scratch_destroy(answers->rank_scratch);
  freshet_buffer_free(&answers->bytes);
  free(answers);
}

static void give(freshet_letter* letter, freshet_answer* answer) {
  letter->question.answered(letter->question.context, answer);
  freshet_letter_free(letter);
}

/* ---- lists ---- */

static void fill_reasons(const freshet_worker* worker, const freshet_user_row* row, int64_t now_ms,
                         uint32_t slot, freshet_answer* answer, freshet_recommendation* entry) {
  const freshet_model* model = freshet_items_model(worker->items);
  freshet_part parts[FRESHET_PARTS_MAX];
  size_t count = freshet_model_explain(model, row->user, now_ms, slot, worker->answers->query_scratch, parts);
  freshet_reason* reasons = freshet_arena_take_zero(&answer->arena, (count + 1) * sizeof *reasons);
  for (size_t p = 0; p < count; p++) {
    reasons[p] = (freshet_reason){.kind = parts[p].kind, .score = parts[p].score};
    if (parts[p].item != FRESHET_NO_ITEM)
      reasons[p].item_id = freshet_answer_copy(answer, freshet_model_item_id(model, parts[p].item));
  }
  entry->reasons = reasons;
  entry->reason_count = count;
}

static freshet_slice title_of(freshet_worker* worker, freshet_answer* answer, freshet_slice item_id) {
  freshet_item item;
  if (!freshet_items_record(worker->items, item_id, &item)) return (freshet_slice){"", 0};
  return freshet_answer_copy(answer, item.title);
}

static void fill_list(freshet_worker* worker, const freshet_question* question, const freshet_user_row* row,
                      size_t count, int64_t now_ms, freshet_answer* answer) {
  const freshet_model* model = freshet_items_model(worker->items);
  freshet_recommendation* items = freshet_arena_take_zero(&answer->arena, (count + 1) * sizeof *items);
  freshet_slice* titles = freshet_arena_take_zero(&answer->arena, (count + 1) * sizeof *titles);
  for (size_t r = 0; r < count; r++) {
    const freshet_ranked* ranked = &worker->answers->ranked[r];
    items[r].item_id = freshet_answer_copy(answer, freshet_model_item_id(model, ranked->item));
    items[r].score = ranked->score;
    items[r].propensity = 1;
    if (question->request.explain) fill_reasons(worker, row, now_ms, ranked->item, answer, &items[r]);
    if (question->titles) titles[r] = title_of(worker, answer, items[r].item_id);
  }
  answer->titles = question->titles ? titles : NULL;
  answer->list = (freshet_list){.user_id = freshet_answer_copy(answer, question->request.user_id),
                                .request_id = freshet_answer_copy(answer, question->request.request_id),
                                .version_partition = row->exists ? row->partition : -1,
                                .version_offset = row->newest_offset,
                                .event_occurred_at_ms = row->newest_occurred_at_ms,
                                .generated_at_ms = now_ms,
                                .items = items,
                                .item_count = count};
}

static freshet_status recommend(freshet_worker* worker, const freshet_question* question,
                                const freshet_user_row* row, freshet_answer* answer, freshet_error* error) {
  freshet_answers* answers = worker->answers;
  const freshet_model* model = freshet_items_model(worker->items);
  int64_t now_ms = worker->parts.clock->now_ms(worker->parts.clock);
  freshet_rank_query query = {0};
  freshet_ranker* ranker;
  size_t count;
  freshet_status status = freshet_items_ranker(worker->items, &ranker, error);
  if (status != FRESHET_OK) return status;
  freshet_model_query(model, row->user, now_ms, answers->query_scratch, &query);
  query.k = question->request.k < FRESHET_RANK_K_MAX ? (uint32_t)question->request.k : FRESHET_RANK_K_MAX;
  status = freshet_rank(ranker, &query, 1, answers->ranked, FRESHET_RANK_K_MAX, &count, answers->rank_scratch,
                        error);
  if (status == FRESHET_OK) fill_list(worker, question, row, count, now_ms, answer);
  return status;
}

/* ---- users ---- */

static void describe(freshet_worker* worker, const freshet_user_row* row, freshet_answer* answer) {
  const freshet_model* model = freshet_items_model(worker->items);
  const freshet_user* user = row->user;
  freshet_known_interaction* recent =
      freshet_arena_take_zero(&answer->arena, (user->recent_count + 1) * sizeof *recent);
  for (uint32_t i = 0; i < user->recent_count; i++) {
    recent[i].item_id = freshet_answer_copy(answer, freshet_model_item_id(model, user->recent[i].item));
    recent[i].title = title_of(worker, answer, recent[i].item_id);
    recent[i].weight = user->recent[i].weight;
    recent[i].time_ms = user->recent[i].time_ms;
  }
  answer->user = (freshet_known_user){.events = row->events,
                                      .positives = user->positives,
                                      .seen = user->seen_count,
                                      .newest_offset = row->newest_offset,
                                      .newest_time_ms = row->newest_occurred_at_ms,
                                      .listed_offset = row->listed_offset,
                                      .recent = recent,
                                      .recent_count = user->recent_count};
}

/* ---- questions ---- */

static bool holds_events(const freshet_worker* worker) {
  for (size_t i = 0; i < worker->held_count; i++) {
    if (worker->held[i].topic == FRESHET_TOPIC_EVENTS) return true;
  }
  return false;
}

static void refuse(freshet_answer* answer, freshet_answer_status status, const char* message) {
  answer->status = status;
  memcpy(answer->message, message, strlen(message) + 1);
}

static freshet_status answer_letter(freshet_worker* worker, const freshet_question* question,
                                    freshet_answer* answer, freshet_error* error) {
  const freshet_request* request = &question->request;
  freshet_user_row* row;
  freshet_error cause = {0};
  if (freshet_request_validate(request, request->user_id, &cause) != FRESHET_OK) {
    refuse(answer, FRESHET_ANSWER_INVALID, cause.message);
    return FRESHET_OK;
  }
  answer->partition = freshet_partition_of(request->user_id, worker->user_partitions);
  if (!holds_events(worker)) {
    refuse(answer, FRESHET_ANSWER_UNAVAILABLE, "no partitions are held at the moment");
    return FRESHET_OK;
  }
  if (freshet_worker_find_held(worker, FRESHET_TOPIC_EVENTS, answer->partition) == NULL) {
    refuse(answer, FRESHET_ANSWER_ELSEWHERE, "another instance holds this user's partition");
    return FRESHET_OK;
  }
  freshet_status status = freshet_users_get(worker->users, answer->partition, request->user_id, &row, error);
  if (status != FRESHET_OK) return status;
  switch (question->kind) {
    case FRESHET_ASK_RECOMMEND:
      return recommend(worker, question, row, answer, error);
    case FRESHET_ASK_USER:
      if (row->exists) describe(worker, row, answer);
      if (!row->exists) refuse(answer, FRESHET_ANSWER_NOT_FOUND, "nothing is known about this user");
      return FRESHET_OK;
    case FRESHET_ASK_SIMILAR:
    case FRESHET_ASK_ERASE:
      refuse(answer, FRESHET_ANSWER_INVALID, "this kind of question is not answered yet");
      return FRESHET_OK;
  }
  return FRESHET_OK;
}

freshet_status freshet_worker_answer(freshet_worker* worker, freshet_error* error) {
  if (worker->parts.inbox == NULL) return FRESHET_OK;
  freshet_status status = FRESHET_OK;
  freshet_letter* letter = freshet_inbox_take(worker->parts.inbox);
  for (freshet_letter* next; letter != NULL; letter = next) {
    next = letter->next;
    if (status != FRESHET_OK) { /* the worker ends */
      freshet_letter_refuse(letter, FRESHET_ANSWER_UNAVAILABLE, "the service is stopping");
      continue;
    }
    freshet_answer* answer = freshet_answer_create();
    status = answer_letter(worker, &letter->question, answer, error);
    if (status != FRESHET_OK) refuse(answer, FRESHET_ANSWER_UNAVAILABLE, "the service is failing");
    give(letter, answer);
  }
  freshet_users_trim(worker->users);
  return status;
}

static void wake(void* context) {
  freshet_source* source = context;
  source->vtable->wake(source);
}

void freshet_answers_open(freshet_worker* worker) {
  if (worker->parts.inbox != NULL) freshet_inbox_open(worker->parts.inbox, wake, worker->parts.source);
}

void freshet_answers_shut(freshet_worker* worker) {
  if (worker->parts.inbox != NULL) freshet_inbox_shut(worker->parts.inbox);
}
