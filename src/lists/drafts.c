/* drafts.c: see drafts.h. */
#include "lists/drafts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lists/answer_fill.h"
#include "lists/exploration.h"
#include "lists/filter.h"
#include "users/homes.h"

enum { CONTEXT_ITEMS_MAX = FRESHET_HISTORY / 2 };

struct freshet_drafts {
  freshet_lists lists;
  const freshet_model* model;
  int32_t user_partitions;
  freshet_user* nobody;
  freshet_exploration exploration;
  freshet_arena arena; /* of a batch */
};

freshet_drafts* freshet_drafts_create(const freshet_lists* lists, int32_t user_partitions) {
  freshet_drafts* drafts = calloc(1, sizeof *drafts);
  FRESHET_ASSERT(drafts != NULL);
  drafts->lists = *lists;
  drafts->model = freshet_items_model(lists->items);
  drafts->user_partitions = user_partitions;
  drafts->nobody = freshet_user_create(drafts->model);
  drafts->exploration = (freshet_exploration){.items = lists->items, .clock = lists->ports->clock};
  FRESHET_ASSERT(drafts->nobody != NULL);
  return drafts;
}

void freshet_drafts_destroy(freshet_drafts* drafts) {
  if (drafts == NULL) return;
  freshet_user_destroy(drafts->nobody);
  freshet_arena_free(&drafts->arena);
  free(drafts);
}

void freshet_drafts_reset(freshet_drafts* drafts) {
  freshet_arena_reset(&drafts->arena);
}

static int64_t now_ms(const freshet_drafts* drafts) {
  return freshet_clock_now_ms(drafts->lists.ports->clock);
}

static const freshet_request* request_of(const freshet_draft* draft) {
  return &draft->pending->entry->question.request;
}

static void __attribute__((format(printf, 2, 3))) add_note(freshet_draft* draft, const char* format, ...) {
  size_t used = strlen(draft->note);
  va_list arguments;
  if (used > 0 && used + 2 < sizeof draft->note) {
    memcpy(draft->note + used, "; ", 3);
    used += 2;
  }
  va_start(arguments, format);
  vsnprintf(draft->note + used, sizeof draft->note - used, format, arguments);
  va_end(arguments);
}

/* ---- the user ---- */

static void refuse_row(const freshet_drafts* drafts, freshet_draft* draft) {
  const freshet_pending_request* pending = draft->pending;
  freshet_answer* answer = draft->answer;
  if (freshet_held_count(drafts->lists.held, FRESHET_TOPIC_EVENTS) == 0) {
    freshet_answer_refuse(answer, FRESHET_ANSWER_UNAVAILABLE, "no partitions are held at the moment");
  } else if (pending->is_record) {
    snprintf(answer->message, sizeof answer->message,
             "the request is in partition %d of its topic, but its user lives in partition %d "
             "(events.partitioner = %s), which another instance holds",
             (int)pending->partition, (int)answer->partition,
             freshet_partitioner_name(drafts->lists.config->partitioner));
    answer->status = FRESHET_ANSWER_ELSEWHERE;
  } else {
    freshet_answer_refuse(answer, FRESHET_ANSWER_ELSEWHERE,
                          answer->partition < 0 ? "another instance may know this user"
                                                : "another instance holds this user's partition");
  }
}

/* Finds the user's row, if this worker has it. Else the answer says why not. Without a rule of the producers, an
 * unknown user is taken to live where the request came, or anywhere when all is here. */
static freshet_status find_row(freshet_drafts* drafts, freshet_draft* draft, freshet_error* error) {
  const freshet_lists* lists = &drafts->lists;
  const freshet_homes homes = {lists->config->partitioner, drafts->user_partitions, lists->held,
                               lists->users};
  freshet_slice user = request_of(draft)->user_id;
  int32_t* partition = &draft->answer->partition;
  if (user.size == 0) return FRESHET_OK;
  freshet_status status = freshet_homes_find(&homes, user, partition, error);
  if (status != FRESHET_OK) return status;
  if (*partition < 0 && draft->pending->is_record) *partition = draft->pending->partition;
  if (*partition < 0 && freshet_homes_are_all_held(&homes))
    *partition = freshet_partition_of(user, drafts->user_partitions);
  if (*partition >= 0 && freshet_held_find(lists->held, FRESHET_TOPIC_EVENTS, *partition) != NULL)
    return freshet_users_get(lists->users, *partition, user, &draft->row, error);
  refuse_row(drafts, draft);
  return FRESHET_OK;
}

/* Names the place that was looked at, so that a wrong events.partitioner shows. */
static void refuse_unknown(const freshet_drafts* drafts, freshet_answer* answer) {
  freshet_partitioner partitioner = drafts->lists.config->partitioner;
  answer->status = FRESHET_ANSWER_NOT_FOUND;
  if (partitioner == FRESHET_PARTITIONER_ANY) {
    snprintf(answer->message, sizeof answer->message, "nothing is known about this user in any partition");
  } else {
    snprintf(answer->message, sizeof answer->message,
             "nothing is known about this user in partition %d, the user's by events.partitioner = %s",
             (int)answer->partition, freshet_partitioner_name(partitioner));
  }
}

/* The user as if the context items had just been chosen: the newest of the history, in their order. */
static void set_history(freshet_drafts* drafts, freshet_draft* draft, int64_t time_ms) {
  const freshet_request* request = request_of(draft);
  const freshet_user* known = draft->row != NULL ? draft->row->user : drafts->nobody;
  bool is_ahead = known->recent_count > 0 && known->recent[0].time_ms > time_ms;
  freshet_user* user = &draft->user;
  *user = *known;
  user->recent_count = 0;
  for (size_t i = 0; i < request->context_item_count && user->recent_count < CONTEXT_ITEMS_MAX; i++) {
    freshet_slice id = request->context_items[i];
    uint32_t slot = freshet_model_find(drafts->model, id);
    if (slot == FRESHET_NO_ITEM) {
      add_note(draft, "context item '%.*s' is not known", id.size < 64 ? (int)id.size : 64, id.data);
      continue;
    }
    user->recent[user->recent_count++] =
        (freshet_interaction){slot, 1, is_ahead ? known->recent[0].time_ms : time_ms};
  }
  uint32_t given = user->recent_count;
  if (user->positives < given) user->positives = given;
  for (uint32_t i = 0; i < known->recent_count && user->recent_count < FRESHET_HISTORY; i++) {
    bool is_given = false;
    for (uint32_t g = 0; g < given; g++) is_given = is_given || user->recent[g].item == known->recent[i].item;
    if (!is_given) user->recent[user->recent_count++] = known->recent[i];
  }
}

/* ---- the ranking task ---- */

static size_t add_slots(const freshet_model* model, const freshet_slice* ids, size_t count, uint32_t* slots) {
  size_t found = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t slot = freshet_model_find(model, ids[i]);
    if (slot != FRESHET_NO_ITEM) slots[found++] = slot;
  }
  return found;
}

static void set_excluded(freshet_drafts* drafts, const freshet_request* request, freshet_ranking_task* task) {
  size_t most = request->exclude_item_count + request->context_item_count;
  uint32_t* slots = freshet_arena_take(&drafts->arena, (most + 1) * sizeof *slots);
  size_t count = add_slots(drafts->model, request->exclude_items, request->exclude_item_count, slots);
  count += add_slots(drafts->model, request->context_items, request->context_item_count, slots + count);
  task->excluded = slots;
  task->excluded_count = count;
}

/* False: no item passes the filters of the request. */
static bool set_allowed(freshet_drafts* drafts, const freshet_request* request, freshet_ranking_task* task) {
  size_t slots = freshet_model_item_count(drafts->model);
  if (!freshet_filter_asked(request)) return true;
  uint64_t* allowed = freshet_arena_take(&drafts->arena, (slots / 64 + 1) * sizeof *allowed);
  task->allowed = allowed;
  task->allowed_slots = slots;
  return freshet_filter_items(drafts->lists.items, request, task->time_ms, allowed) > 0;
}

/* The text of the request, if there is a vector of it. */
static void set_text(freshet_drafts* drafts, freshet_draft* draft, freshet_wanted_text* text,
                     freshet_ranking_task* task) {
  const freshet_pending_request* pending = draft->pending;
  const float *vector, *start;
  if (pending->text_note != NULL) add_note(draft, "%s", pending->text_note);
  if (pending->text != FRESHET_TEXT_ENCODED) return;
  if (!freshet_texts_place(freshet_items_texts(drafts->lists.items), pending->vector, &vector, &start)) {
    add_note(draft, "context is not used while text.encoder changes");
    return;
  }
  if (freshet_wanted_text_set(text, drafts->model, vector, start, drafts->lists.config->context_weight,
                              task->allowed, task->allowed_slots, NULL) == FRESHET_OK) {
    task->text = text;
  } else {
    add_note(draft, "context is not used: its vector is not finite");
  }
}

/* Makes the task of a draft that is to be ranked. Without one, a note says why the list is empty. */
static void make_task(freshet_drafts* drafts, freshet_draft* draft, freshet_wanted_text* text,
                      freshet_ranking_task* task) {
  const freshet_lists* lists = &drafts->lists;
  const freshet_request* request = request_of(draft);
  size_t listed = freshet_listing_count(freshet_items_listing(lists->items));
  size_t k = (size_t)request->k < FRESHET_RANK_K_MAX ? (size_t)request->k : FRESHET_RANK_K_MAX;
  *task = (freshet_ranking_task){
      .user = &draft->user, .time_ms = now_ms(drafts), .diversity = request->diversity};
  if (listed == 0) {
    add_note(draft, "no item is on offer");
    return;
  }
  task->k = (uint32_t)(k < listed ? k : listed);
  if (draft->row != NULL && draft->row->exists) freshet_user_texts_see_to(lists->user_texts, draft->row);
  set_history(drafts, draft, task->time_ms);
  set_excluded(drafts, request, task);
  if (!set_allowed(drafts, request, task)) {
    add_note(draft, "no item on offer passes the filters");
    return;
  }
  set_text(drafts, draft, text, task);
  if (request->exploration > 0)
    freshet_exploration_prepare(&drafts->exploration, request, &drafts->arena, task);
  task->picks = freshet_arena_take(&drafts->arena, task->k * sizeof *task->picks);
  if (request->explain) task->parts = freshet_arena_take(&drafts->arena, task->k * sizeof *task->parts);
  draft->task = task;
}

/* ---- answers without a list ---- */

bool freshet_pending_request_is_late(const freshet_lists* lists, const freshet_pending_request* pending) {
  int64_t most_ms = lists->config->requests_max_age_ms;
  return most_ms > 0 && freshet_clock_now_ms(lists->ports->clock) - pending->asked_ms > most_ms;
}

/* Refuses what cannot be answered, whatever is known about the user. */
static void check(freshet_drafts* drafts, freshet_draft* draft) {
  const freshet_question* question = &draft->pending->entry->question;
  freshet_answer* answer = draft->answer;
  freshet_slice user = question->request.user_id;
  freshet_error cause = {0};
  if (freshet_pending_request_is_late(&drafts->lists, draft->pending)) {
    snprintf(answer->message, sizeof answer->message, "asked %lld ms ago, more than requests.max_age_ms",
             (long long)(now_ms(drafts) - draft->pending->asked_ms));
    answer->status = FRESHET_ANSWER_UNAVAILABLE;
  } else if (draft->pending->refusal != NULL) {
    freshet_answer_refuse(answer, FRESHET_ANSWER_INVALID, draft->pending->refusal);
  } else if (question->kind != FRESHET_ASK_SIMILAR && user.size == 0) {
    freshet_answer_refuse(answer, FRESHET_ANSWER_INVALID, "user_id is empty");
  } else if (question->kind <= FRESHET_ASK_SIMILAR &&
             freshet_request_validate(&question->request, user, &cause) != FRESHET_OK) {
    freshet_answer_refuse(answer, FRESHET_ANSWER_INVALID, cause.message);
  }
}

static bool names_an_item(const freshet_drafts* drafts, const freshet_request* request) {
  return request->context_item_count > 0 &&
         freshet_model_find(drafts->model, request->context_items[0]) != FRESHET_NO_ITEM;
}

freshet_status freshet_draft_prepare(freshet_drafts* drafts, freshet_draft* draft, freshet_wanted_text* text,
                                     freshet_ranking_task* task, freshet_error* error) {
  freshet_answer* answer = draft->answer;
  freshet_status status = FRESHET_OK;
  check(drafts, draft);
  if (answer->status == FRESHET_ANSWER_OK) status = find_row(drafts, draft, error);
  if (status != FRESHET_OK || answer->status != FRESHET_ANSWER_OK) return status;
  switch (draft->pending->entry->question.kind) {
    case FRESHET_ASK_SIMILAR:
      if (names_an_item(drafts, request_of(draft))) {
        make_task(drafts, draft, text, task);
      } else {
        freshet_answer_refuse(answer, FRESHET_ANSWER_NOT_FOUND, "there is no such item");
      }
      break;
    case FRESHET_ASK_RECOMMEND:
      make_task(drafts, draft, text, task);
      break;
    case FRESHET_ASK_USER:
      if (draft->row->exists) {
        freshet_answer_fill_user(answer, drafts->lists.items, draft->row);
      } else {
        refuse_unknown(drafts, answer);
      }
      break;
    case FRESHET_ASK_ERASE: /* goes another way; this one was left over by a failure */
      freshet_answer_refuse(answer, FRESHET_ANSWER_INVALID, "the service is failing");
      break;
  }
  return FRESHET_OK;
}

/* ---- after the ranking ---- */

void freshet_draft_finish(freshet_drafts* drafts, freshet_draft* draft) {
  const freshet_request* request = request_of(draft);
  freshet_answer* answer = draft->answer;
  freshet_list* list = &answer->list;
  if (draft->task != NULL) {
    bool with_titles = draft->pending->entry->question.titles;
    freshet_answer_fill_list(answer, drafts->lists.items, draft->task, with_titles);
    if (draft->task->count == 0)
      add_note(draft, "the user has seen, or the request excludes, all that could be shown");
  }
  if (answer->status != FRESHET_ANSWER_OK) return;
  list->user_id = freshet_answer_copy(answer, request->user_id);
  list->request_id = freshet_answer_copy(answer, request->request_id);
  list->note = answer->note = freshet_answer_copy(answer, freshet_slice_of(draft->note));
  list->generated_at_ms = now_ms(drafts);
  if (draft->row == NULL || !draft->row->exists) return;
  list->version_partition = draft->row->partition;
  list->version_offset = draft->row->newest_offset;
  list->event_occurred_at_ms = draft->row->newest_occurred_at_ms;
}
