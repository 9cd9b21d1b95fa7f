/* drafts.c: see drafts.h. */
#include "lists/drafts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lists/answer_fill.h"
#include "lists/exploration.h"
#include "lists/filter.h"
#include "lists/newest.h"
#include "users/homes.h"

enum { CONTEXT_ITEMS_MAX = FRESHET_SIMILAR_MAX, ID_SHOWN = 64 };

struct freshet_drafts {
  freshet_lists lists;
  const freshet_model* model;
  int32_t user_partitions;
  bool only_reads;
  freshet_user* nobody;
  freshet_exploration exploration;
  freshet_arena arena; /* of a batch */
};

freshet_drafts* freshet_drafts_create(const freshet_lists* lists, int32_t user_partitions, bool only_reads) {
  freshet_drafts* drafts = calloc(1, sizeof *drafts);
  FRESHET_ASSERT(drafts != NULL);
  drafts->lists = *lists;
  drafts->model = freshet_items_model(lists->items);
  drafts->user_partitions = user_partitions;
  drafts->only_reads = only_reads;
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

/* A row that is held. One that only the store has, or that wants its text encoded, is the worker's. */
static freshet_status get_row(const freshet_drafts* drafts, freshet_draft* draft, freshet_error* error) {
  const freshet_lists* lists = &drafts->lists;
  const int32_t partition = draft->answer->partition;
  freshet_slice user = request_of(draft)->user_id;
  if (!drafts->only_reads) return freshet_users_get(lists->users, partition, user, &draft->row, error);
  draft->row = freshet_users_find(lists->users, partition, user);
  draft->needs_worker = draft->row == NULL || freshet_user_wants_text(drafts->model, draft->row->user);
  return FRESHET_OK;
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
  draft->needs_worker =
      drafts->only_reads && homes.partitioner == FRESHET_PARTITIONER_ANY; /* it looks into the store */
  if (draft->needs_worker) return FRESHET_OK;
  freshet_status status = freshet_homes_find(&homes, user, partition, error);
  if (status != FRESHET_OK) return status;
  if (*partition < 0 && draft->pending->is_record) *partition = draft->pending->partition;
  const freshet_held_partition* any = freshet_held_next(lists->held, FRESHET_TOPIC_EVENTS, NULL);
  bool is_nowhere = draft->pending->entry->question.is_last || freshet_homes_are_all_held(&homes);
  if (*partition < 0 && is_nowhere && any != NULL) *partition = any->partition;
  if (*partition >= 0 && freshet_held_find(lists->held, FRESHET_TOPIC_EVENTS, *partition) != NULL)
    return get_row(drafts, draft, error);
  refuse_row(drafts, draft);
  return FRESHET_OK;
}

/* Names the place that was looked at, so that a wrong events.partitioner shows. */
static void refuse_unknown_user(const freshet_drafts* drafts, freshet_draft* draft) {
  freshet_partitioner partitioner = drafts->lists.config->partitioner;
  freshet_answer* answer = draft->answer;
  const freshet_slice id = request_of(draft)->user_id;
  const int shown = id.size < ID_SHOWN ? (int)id.size : ID_SHOWN;
  answer->status = FRESHET_ANSWER_NOT_FOUND;
  if (partitioner == FRESHET_PARTITIONER_ANY) {
    snprintf(answer->message, sizeof answer->message, "nothing is known about user '%.*s' in any partition",
             shown, id.data);
  } else {
    snprintf(answer->message, sizeof answer->message,
             "nothing is known about user '%.*s' in partition %d, the user's by events.partitioner = %s",
             shown, id.data, (int)answer->partition, freshet_partitioner_name(partitioner));
  }
}

/* The slots of the context items that are known. A note names each one that is not. */
static size_t find_context_items(freshet_drafts* drafts, freshet_draft* draft,
                                 uint32_t slots[CONTEXT_ITEMS_MAX]) {
  const freshet_request* request = request_of(draft);
  size_t count = 0;
  for (size_t i = 0; i < request->context_item_count && count < CONTEXT_ITEMS_MAX; i++) {
    freshet_slice id = request->context_items[i];
    uint32_t slot = freshet_model_find(drafts->model, id);
    if (slot != FRESHET_NO_ITEM) slots[count++] = slot;
    if (slot == FRESHET_NO_ITEM)
      add_note(draft, "context item '%.*s' is not known", id.size < ID_SHOWN ? (int)id.size : ID_SHOWN,
               id.data);
  }
  return count;
}

/* The user as if the context items had just been chosen: the newest of the history, in their order. */
static void set_history(freshet_draft* draft, const uint32_t* items, size_t given, int64_t time_ms) {
  freshet_user* user = &draft->user;
  const freshet_user known = *user;
  const bool is_ahead = known.recent_count > 0 && known.recent[0].time_ms > time_ms;
  user->recent_count = (uint32_t)given;
  for (size_t i = 0; i < given; i++)
    user->recent[i] = (freshet_interaction){
        .item = items[i], .weight = 1, .time_ms = is_ahead ? known.recent[0].time_ms : time_ms};
  if (user->positives < given) user->positives = (uint32_t)given;
  for (uint32_t i = 0; i < known.recent_count && user->recent_count < FRESHET_HISTORY; i++) {
    bool is_given = false;
    for (size_t g = 0; g < given; g++) is_given = is_given || user->recent[g].item == known.recent[i].item;
    if (!is_given) user->recent[user->recent_count++] = known.recent[i];
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

static float diversity_of(const freshet_drafts* drafts, const freshet_request* request) {
  if (request->diversity != FRESHET_DIVERSITY_AS_SET) return request->diversity;
  return request->kind == FRESHET_REQUEST_PERSONAL ? drafts->lists.config->diversity : 0;
}

/* What the list starts from, by its kind. */
static void set_origin(freshet_drafts* drafts, freshet_draft* draft, freshet_ranking_task* task) {
  const freshet_request* request = request_of(draft);
  uint32_t* items = freshet_arena_take(&drafts->arena, CONTEXT_ITEMS_MAX * sizeof *items);
  const size_t count = find_context_items(drafts, draft, items);
  draft->user = draft->row != NULL ? *draft->row->user : *drafts->nobody;
  task->kind = request->kind;
  task->user = &draft->user;
  if (request->user_id.size > 0) task->owner = freshet_owner_key(request->user_id);
  if (request->kind == FRESHET_REQUEST_PERSONAL) {
    if (!drafts->only_reads && draft->row != NULL && draft->row->exists)
      freshet_user_texts_see_to(drafts->lists.user_texts, draft->row);
    set_history(draft, items, count, task->time_ms);
  } else {
    task->like = items;
    task->like_count = count;
  }
}

/* Makes the task of a draft that is to be ranked. Without one, a note says why the list is empty. */
static void make_task(freshet_drafts* drafts, freshet_draft* draft, freshet_wanted_text* text,
                      freshet_ranking_task* task) {
  const freshet_lists* lists = &drafts->lists;
  const freshet_request* request = request_of(draft);
  size_t listed = freshet_listing_count(freshet_items_listing(lists->items));
  size_t k = (size_t)request->k < FRESHET_RANK_K_MAX ? (size_t)request->k : FRESHET_RANK_K_MAX;
  *task = (freshet_ranking_task){.time_ms = now_ms(drafts), .diversity = diversity_of(drafts, request)};
  if (listed == 0) {
    add_note(draft, "no item is on offer");
    return;
  }
  task->k = (uint32_t)(k < listed ? k : listed);
  set_origin(drafts, draft, task);
  set_excluded(drafts, request, task);
  if (!set_allowed(drafts, request, task)) {
    add_note(draft, "no item on offer passes the filters");
    return;
  }
  if (request->kind == FRESHET_REQUEST_NEWEST &&
      freshet_newest_prepare(lists->items, &drafts->arena, task) == 0) {
    add_note(draft, "no item on offer that passes the filters has a created_at");
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

static bool is_about_a_user(const freshet_question* question) {
  if (question->kind == FRESHET_ASK_RECOMMEND) return question->request.kind == FRESHET_REQUEST_PERSONAL;
  return question->kind != FRESHET_ASK_ITEM && question->kind != FRESHET_ASK_WEIGHTS;
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
  } else if (is_about_a_user(question) && user.size == 0) {
    freshet_answer_refuse(answer, FRESHET_ANSWER_INVALID, "user_id is empty");
  } else if (question->kind == FRESHET_ASK_RECOMMEND &&
             freshet_request_validate(&question->request, user, &cause) != FRESHET_OK) {
    freshet_answer_refuse(answer, FRESHET_ANSWER_INVALID, cause.message);
  }
}

/* Without one of the items that a SIMILAR list is to be like, there is no list. */
static bool lacks_items(const freshet_drafts* drafts, const freshet_request* request) {
  if (request->kind != FRESHET_REQUEST_SIMILAR) return false;
  for (size_t i = 0; i < request->context_item_count; i++) {
    if (freshet_model_find(drafts->model, request->context_items[i]) != FRESHET_NO_ITEM) return false;
  }
  return true;
}

static void refuse_unknown_item(freshet_answer* answer, freshet_slice id) {
  snprintf(answer->message, sizeof answer->message, "nothing is known about item '%.*s'",
           id.size < ID_SHOWN ? (int)id.size : ID_SHOWN, id.data);
  answer->status = FRESHET_ANSWER_NOT_FOUND;
}

static void prepare_list(freshet_drafts* drafts, freshet_draft* draft, freshet_wanted_text* text,
                         freshet_ranking_task* task) {
  const freshet_request* request = request_of(draft);
  if (lacks_items(drafts, request)) {
    refuse_unknown_item(draft->answer, request->context_items[0]);
  } else {
    make_task(drafts, draft, text, task);
  }
}

freshet_status freshet_draft_prepare(freshet_drafts* drafts, freshet_draft* draft, freshet_wanted_text* text,
                                     freshet_ranking_task* task, freshet_error* error) {
  freshet_answer* answer = draft->answer;
  freshet_status status = FRESHET_OK;
  check(drafts, draft);
  if (answer->status == FRESHET_ANSWER_OK) status = find_row(drafts, draft, error);
  if (status != FRESHET_OK || answer->status != FRESHET_ANSWER_OK || draft->needs_worker) return status;
  switch (draft->pending->entry->question.kind) {
    case FRESHET_ASK_RECOMMEND:
      prepare_list(drafts, draft, text, task);
      break;
    case FRESHET_ASK_USER:
      if (draft->row->exists) {
        freshet_answer_fill_user(answer, drafts->lists.items, draft->row);
      } else {
        refuse_unknown_user(drafts, draft);
      }
      break;
    case FRESHET_ASK_ITEM:
      if (!freshet_answer_fill_item(answer, drafts->lists.items, request_of(draft)->context_items[0]))
        refuse_unknown_item(answer, request_of(draft)->context_items[0]);
      break;
    case FRESHET_ASK_WEIGHTS:
      freshet_answer_fill_weights(answer, drafts->model);
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
