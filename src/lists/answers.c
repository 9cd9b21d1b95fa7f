/* answers.c: see answers.h. */
#include "lists/answers.h"

#include <stdlib.h>

#include "lists/direct.h"
#include "lists/drafts.h"
#include "lists/replies.h"

enum {
  BATCH = 16,             /* requests answered between two looks at the clock, for each ranking thread */
  BATCH_ITEMS = 4096,     /* places in their lists */
  WAITING_MAX = 16384,    /* pending requests; beyond that the oldest are refused */
  TURN_US = 5000,         /* of answers between two polls, while no event waits */
  LAGGING_PARTS = 4,      /* while events lag, answers take one part in so many of the time of learning, */
  LAGGING_LEAST_US = 200, /* in a turn at least so much */
  CROWDED_US = 250000,    /* waited by one that may be answered: from then on the newest comes first */
  SHARE_US = 1000000,     /* askers may read so long after the last question */
};

struct freshet_answers {
  const freshet_ports* ports;
  freshet_intake intake;
  freshet_pending_requests requests;
  int64_t credit_us; /* while events lag: what learning has earned for answers, less what they took */
  freshet_buffer bytes;
  /* With the item tables. */
  freshet_lists lists;
  freshet_drafts* drafts;
  freshet_direct* direct;
  bool shares;                 /* askers may read until the next turn, whenever the worker waits */
  freshet_wanted_text** texts; /* [batch] */
  freshet_draft* batch_drafts; /* [batch] */
  freshet_ranking_task* tasks; /* [batch] */
  size_t batch;
};

static int64_t now_us(const freshet_answers* answers) {
  return freshet_clock_monotonic_us(answers->ports->clock);
}

freshet_answers* freshet_answers_create(const freshet_ports* ports, const freshet_held* held,
                                        freshet_inbox* inbox, freshet_intake_erase erase,
                                        void* erase_context) {
  freshet_answers* answers = calloc(1, sizeof *answers);
  FRESHET_ASSERT(answers != NULL);
  answers->ports = ports;
  answers->intake = (freshet_intake){.ports = ports,
                                     .held = held,
                                     .inbox = inbox,
                                     .requests = &answers->requests,
                                     .erase = erase,
                                     .erase_context = erase_context};
  return answers;
}

void freshet_answers_load(freshet_answers* answers, const freshet_lists* lists, int32_t user_partitions) {
  const freshet_model* model = freshet_items_model(lists->items);
  answers->lists = *lists;
  answers->intake.texts = freshet_items_texts(lists->items);
  answers->drafts = freshet_drafts_create(lists, user_partitions, false);
  answers->direct = freshet_direct_create(lists, user_partitions);
  answers->batch = BATCH * freshet_ranking_threads(lists->ranking);
  answers->texts = calloc(answers->batch, sizeof *answers->texts);
  answers->batch_drafts = calloc(answers->batch, sizeof *answers->batch_drafts);
  answers->tasks = calloc(answers->batch, sizeof *answers->tasks);
  FRESHET_ASSERT(answers->texts != NULL && answers->batch_drafts != NULL && answers->tasks != NULL);
  for (size_t i = 0; i < answers->batch; i++) answers->texts[i] = freshet_wanted_text_create(model);
}

void freshet_answers_unload(freshet_answers* answers) {
  freshet_answers_unshare(answers);
  for (size_t i = 0; answers->texts != NULL && i < answers->batch; i++)
    freshet_wanted_text_destroy(answers->texts[i]);
  freshet_drafts_destroy(answers->drafts);
  freshet_direct_destroy(answers->direct);
  free(answers->texts);
  free(answers->batch_drafts);
  free(answers->tasks);
  answers->shares = false;
  answers->intake.texts = NULL;
  answers->drafts = NULL;
  answers->direct = NULL;
  answers->texts = NULL;
  answers->batch_drafts = NULL;
  answers->tasks = NULL;
}

void freshet_answers_destroy(freshet_answers* answers) {
  if (answers == NULL) return;
  if (answers->intake.inbox != NULL) freshet_inbox_shut(answers->intake.inbox);
  while (answers->requests.newest != NULL) {
    bool is_record = answers->requests.newest->is_record;
    freshet_inbox_entry* entry =
        freshet_pending_requests_remove(&answers->requests, answers->requests.newest);
    if (is_record) freshet_inbox_entry_free(entry);
    if (!is_record) freshet_inbox_entry_refuse(entry, FRESHET_ANSWER_UNAVAILABLE, "the service is stopping");
  }
  freshet_answers_unload(answers);
  freshet_buffer_free(&answers->bytes);
  freshet_buffer_free(&answers->intake.known);
  free(answers);
}

/* ---- the way in ---- */

static void wake(void* context) {
  freshet_source_wake(context);
}

void freshet_answers_open(freshet_answers* answers) {
  if (answers->intake.inbox != NULL) freshet_inbox_open(answers->intake.inbox, wake, answers->ports->source);
}

freshet_status freshet_answers_take(freshet_answers* answers, const freshet_record* record,
                                    freshet_error* error) {
  return freshet_intake_record(&answers->intake, record, error);
}

void freshet_answers_encoded(freshet_answers* answers, const freshet_embedded* embedded) {
  freshet_intake_encoded(&answers->intake, embedded);
}

int64_t freshet_answers_position(const freshet_answers* answers, int32_t partition, int64_t next) {
  return freshet_pending_requests_position(&answers->requests, partition, next);
}

void freshet_answers_forget(freshet_answers* answers, int32_t partition) {
  freshet_pending_requests_forget(&answers->requests, partition);
}

/* ---- the way out ---- */

/* Hands the answer over, and ends the pending request. */
static freshet_status give(freshet_answers* answers, freshet_pending_request* pending, freshet_answer* answer,
                           freshet_error* error) {
  freshet_worker_metrics* metrics = answers->ports->metrics;
  freshet_status status = FRESHET_OK;
  bool is_record = pending->is_record;
  freshet_histogram_observe(&metrics->question_to_answer, now_us(answers) - pending->came_us);
  freshet_count(&metrics->answers, 1);
  if (is_record) {
    const freshet_request* request = &pending->entry->question.request;
    answer->list.user_id = request->user_id;
    answer->list.request_id = request->request_id;
    answer->list.generated_at_ms = freshet_clock_now_ms(answers->ports->clock);
    if (answer->status != FRESHET_ANSWER_OK) answer->list.note = freshet_slice_of(answer->message);
    status = freshet_reply_send(answers->ports, pending, answer, &answers->bytes, error);
    freshet_answer_destroy(answer);
  }
  freshet_inbox_entry* entry = freshet_pending_requests_remove(&answers->requests, pending);
  if (!is_record) entry->question.answered(entry->question.context, answer);
  freshet_inbox_entry_free(entry);
  return status;
}

/* ---- a turn ---- */

static bool may_be_answered(const freshet_answers* answers, const freshet_pending_request* pending) {
  bool is_ours = !pending->is_record || freshet_held_list_topic(answers->intake.held, pending->partition) ==
                                            FRESHET_TOPIC_RECOMMENDATIONS;
  if (!is_ours) return false; /* not yet: another app generation lets go first */
  return pending->text != FRESHET_TEXT_WAITING || freshet_pending_request_is_late(&answers->lists, pending);
}

/* The oldest that may be answered; NULL: none may. */
static freshet_pending_request* first_in_line(const freshet_answers* answers) {
  freshet_pending_request* pending = answers->requests.oldest;
  while (pending != NULL && !may_be_answered(answers, pending)) pending = pending->newer;
  return pending;
}

/* Those that may be answered, in the order in which they came. When there are more than can be answered, the newest:
 * its asker is the one still there. Returns how many drafts of them there are. */
static size_t pick_requests(freshet_answers* answers) {
  size_t count = 0, items = 0;
  freshet_pending_request* first = first_in_line(answers);
  bool is_crowded = first != NULL && now_us(answers) - first->came_us > CROWDED_US;
  freshet_pending_request* next;
  for (freshet_pending_request* pending = is_crowded ? answers->requests.newest : first;
       pending != NULL && count < answers->batch; pending = next) {
    next = is_crowded ? pending->older : pending->newer;
    int32_t k = pending->entry->question.request.k;
    if (!may_be_answered(answers, pending)) continue;
    items += k > 0 && k < FRESHET_RANK_K_MAX ? (size_t)k : FRESHET_RANK_K_MAX;
    if (count > 0 && items > BATCH_ITEMS) break;
    answers->batch_drafts[count++] = (freshet_draft){.pending = pending, .answer = freshet_answer_create()};
  }
  return count;
}

/* Answers a batch. *count 0: there was nothing to answer. */
static freshet_status answer_batch(freshet_answers* answers, size_t* count, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  size_t tasks = 0;
  *count = pick_requests(answers);
  freshet_drafts_reset(answers->drafts);
  for (size_t i = 0; i < *count && status == FRESHET_OK; i++) {
    freshet_draft* draft = &answers->batch_drafts[i];
    status =
        freshet_draft_prepare(answers->drafts, draft, answers->texts[tasks], &answers->tasks[tasks], error);
    tasks += draft->task != NULL;
  }
  if (status == FRESHET_OK && tasks > 0)
    status = freshet_ranking_run(answers->lists.ranking, answers->tasks, tasks, false, error);
  for (size_t i = 0; i < *count; i++) {
    freshet_draft* draft = &answers->batch_drafts[i];
    if (status == FRESHET_OK) {
      freshet_draft_finish(answers->drafts, draft);
      status = give(answers, draft->pending, draft->answer, error);
    } else {
      freshet_answer_destroy(draft->answer); /* the request is refused when the worker ends, which is now */
    }
  }
  return status;
}

/* Keeps the number of pending requests bounded: those that have waited longest are refused. */
static freshet_status shorten(freshet_answers* answers, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && answers->requests.count > WAITING_MAX) {
    freshet_answer* answer = freshet_answer_create();
    freshet_answer_refuse(answer, FRESHET_ANSWER_UNAVAILABLE, "too many requests wait");
    status = give(answers, answers->requests.oldest, answer, error);
  }
  return status;
}

/* ---- askers who answer themselves ---- */

/* Not while events lag: the ranker does not follow learning then. */
static bool may_share(const freshet_answers* answers, bool lagging) {
  const int64_t direct_us = freshet_direct_asked_us(answers->direct);
  const int64_t asked_us = direct_us > answers->intake.asked_us ? direct_us : answers->intake.asked_us;
  return !lagging && asked_us != 0 && now_us(answers) - asked_us <= SHARE_US &&
         freshet_direct_can_serve(answers->direct);
}

freshet_status freshet_answers_share(freshet_answers* answers, bool is_quiet, freshet_error* error) {
  if (answers->intake.inbox != NULL) freshet_inbox_set_busy(answers->intake.inbox, !is_quiet);
  if (!answers->shares) return FRESHET_OK;
  freshet_status status = freshet_ranking_sync(answers->lists.ranking, error);
  if (status == FRESHET_OK)
    freshet_inbox_share(answers->intake.inbox, freshet_direct_answer, answers->direct,
                        freshet_direct_most(answers->direct), is_quiet);
  return status;
}

void freshet_answers_unshare(freshet_answers* answers) {
  if (answers->intake.inbox != NULL) freshet_inbox_unshare(answers->intake.inbox);
}

/* ---- a turn of answers ---- */

/* An event that waits ends the turn after one batch: lists come first, and answers get the time that is left.
 * The first answer of a turn costs most: rows that learning has changed have to be taken over by the ranker.
 * So while events lag a turn may go by without answers, until they have earned enough. */
freshet_status freshet_answers_turn(freshet_answers* answers, bool lagging, int64_t learn_us,
                                    freshet_error* error) {
  int64_t start_us = now_us(answers), earned_us = learn_us / LAGGING_PARTS;
  if (earned_us < LAGGING_LEAST_US) earned_us = LAGGING_LEAST_US;
  answers->shares = may_share(answers, lagging);
  answers->credit_us = lagging && answers->credit_us < TURN_US ? answers->credit_us + earned_us : TURN_US;
  if (answers->credit_us <= 0) return FRESHET_OK;
  int64_t until_us = start_us + answers->credit_us;
  size_t count = 0;
  freshet_status status = freshet_intake_questions(&answers->intake, answers->shares, error);
  if (status != FRESHET_OK || answers->requests.count == 0) return status;
  status = freshet_texts_collect(freshet_items_texts(answers->lists.items), error);
  if (status == FRESHET_OK) status = shorten(answers, error);
  do {
    if (status == FRESHET_OK) status = answer_batch(answers, &count, error);
  } while (status == FRESHET_OK && count > 0 && now_us(answers) < until_us &&
           freshet_held_lag(answers->intake.held) == 0);
  /* Rows that were read only for a request are not part of a commit, so trim the cache here. */
  freshet_users_trim(answers->lists.users);
  freshet_gauge(&answers->ports->metrics->questions_waiting, answers->requests.count);
  answers->credit_us -= now_us(answers) - start_us;
  return status;
}

bool freshet_answers_due(const freshet_answers* answers) {
  return first_in_line(answers) != NULL;
}
