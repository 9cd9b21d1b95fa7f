#include "lists/answers.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/maths.h"
#include "lists/filter.h"
#include "lists/questions.h"
#include "lists/replies.h"
#include "stream/partitioner.h"
#include "worker/worker_internal.h"

enum {
  BATCH = 16,             /* questions answered between two looks at the clock, for each ranking thread */
  BATCH_ITEMS = 4096,     /* places in their lists */
  WAITING_MAX = 16384,    /* questions; beyond that the oldest are told so */
  TURN_US = 5000,         /* of answers between two polls, while nothing lags: lists wait no longer */
  LAGGING_PARTS = 4,      /* ... and while events do, a quarter of what learning takes, */
  LAGGING_LEAST_US = 200, /* in a turn at least so much */
  PARKED_MS = 5000,       /* longer than a hand-over between generations takes */
  CONTEXT_ITEMS_MAX = FRESHET_HISTORY / 2,
  NOTE_SIZE = 512,
};

static const float little_known = 5; /* weight of the events of an item that exploration may show */

/* A question on its way to its answer. */
typedef struct draft {
  freshet_asked* asked;
  freshet_answer* answer;
  freshet_user_row* row; /* NULL: of no user */
  freshet_user user;     /* with the context items in its history; its arrays belong to others */
  freshet_wish* wish;    /* NULL: nothing is to be ranked */
  char note[NOTE_SIZE];
} draft;

struct freshet_answers {
  freshet_worker* worker;
  freshet_questions questions;
  uint64_t next_text_id;
  uint64_t draws;    /* of exploration, for requests without an id */
  int64_t credit_us; /* while events lag: what learning has earned for answers, less what they took */
  freshet_user* nobody;
  freshet_wanted_text** texts; /* [batch] */
  draft* drafts;               /* [batch] */
  freshet_wish* wishes;        /* [batch] */
  size_t batch;
  freshet_arena arena; /* of a batch */
  freshet_buffer bytes;
};

static int64_t now_ms(const freshet_answers* answers) {
  return freshet_clock_now_ms(answers->worker->ports.clock);
}

static int64_t now_us(const freshet_answers* answers) {
  return freshet_clock_monotonic_us(answers->worker->ports.clock);
}

freshet_answers* freshet_answers_create(freshet_worker* worker) {
  freshet_answers* answers = calloc(1, sizeof *answers);
  FRESHET_ASSERT(answers != NULL);
  answers->worker = worker;
  return answers;
}

void freshet_answers_load(freshet_answers* answers) {
  const freshet_model* model = freshet_items_model(answers->worker->items);
  answers->batch = BATCH * freshet_ranking_threads(answers->worker->ranking);
  answers->nobody = freshet_user_create(model);
  answers->texts = calloc(answers->batch, sizeof *answers->texts);
  answers->drafts = calloc(answers->batch, sizeof *answers->drafts);
  answers->wishes = calloc(answers->batch, sizeof *answers->wishes);
  FRESHET_ASSERT(answers->nobody != NULL && answers->texts != NULL && answers->drafts != NULL &&
                 answers->wishes != NULL);
  for (size_t i = 0; i < answers->batch; i++) answers->texts[i] = freshet_wanted_text_create(model);
}

void freshet_answers_unload(freshet_answers* answers) {
  for (size_t i = 0; answers->texts != NULL && i < answers->batch; i++)
    freshet_wanted_text_destroy(answers->texts[i]);
  freshet_user_destroy(answers->nobody);
  free(answers->texts);
  free(answers->drafts);
  free(answers->wishes);
  answers->nobody = NULL;
  answers->texts = NULL;
  answers->drafts = NULL;
  answers->wishes = NULL;
}

void freshet_answers_destroy(freshet_answers* answers) {
  if (answers == NULL) return;
  if (answers->worker->inbox != NULL) freshet_inbox_shut(answers->worker->inbox);
  while (answers->questions.newest != NULL) {
    bool is_record = answers->questions.newest->is_record;
    freshet_letter* letter = freshet_questions_remove(&answers->questions, answers->questions.newest);
    if (is_record) freshet_letter_free(letter);
    if (!is_record) freshet_letter_refuse(letter, FRESHET_ANSWER_UNAVAILABLE, "the service is stopping");
  }
  freshet_answers_unload(answers);
  freshet_arena_free(&answers->arena);
  freshet_buffer_free(&answers->bytes);
  free(answers);
}

static void wake(void* context) {
  freshet_source* source = context;
  freshet_source_wake(source);
}

void freshet_answers_open(freshet_answers* answers) {
  const freshet_ports* ports = &answers->worker->ports;
  if (answers->worker->inbox != NULL) freshet_inbox_open(answers->worker->inbox, wake, ports->source);
}

/* ---- the way in ---- */

/* Sees to the text. It is encoded in the background unless that costs next to nothing. */
static void encode_text(freshet_answers* answers, freshet_asked* asked) {
  const freshet_ports* ports = &answers->worker->ports;
  freshet_slice text = asked->letter->question.request.context;
  if (text.size == 0) return;
  if (ports->encoder == NULL) {
    asked->text_note = "context is not used: text.encoder is none";
  } else if (ports->embedder != NULL) {
    asked->text_id = ++answers->next_text_id;
    bool taken = freshet_embedder_submit(ports->embedder, asked->text_id, text, FRESHET_EMBED_REQUEST);
    asked->text = taken ? FRESHET_TEXT_WAITING : FRESHET_TEXT_UNASKED;
    answers->questions.waiting += taken;
    if (!taken) asked->text_note = "context is not used: too many texts wait to be encoded";
  } else {
    asked->vector = calloc(ports->encoder->dim, sizeof *asked->vector);
    FRESHET_ASSERT(asked->vector != NULL);
    asked->text = FRESHET_TEXT_ENCODED;
    if (freshet_encode(ports->encoder, &text, 1, asked->vector, NULL) == FRESHET_OK) return;
    asked->text = FRESHET_TEXT_UNASKED;
    asked->text_note = "context is not used: it could not be encoded";
  }
}

void freshet_answers_encoded(void* context, const freshet_embedded* embedded) {
  freshet_answers* answers = context;
  freshet_asked* asked = answers->questions.newest;
  while (asked != NULL && !(asked->text == FRESHET_TEXT_WAITING && asked->text_id == embedded->id))
    asked = asked->older;
  if (asked == NULL) return; /* it has been answered without, or forgotten */
  answers->questions.waiting--;
  asked->text = embedded->status == FRESHET_OK ? FRESHET_TEXT_ENCODED : FRESHET_TEXT_UNASKED;
  if (embedded->status != FRESHET_OK) {
    asked->text_note = "context is not used: it could not be encoded";
    return;
  }
  size_t size = answers->worker->ports.encoder->dim * sizeof *asked->vector;
  asked->vector = malloc(size);
  FRESHET_ASSERT(asked->vector != NULL);
  memcpy(asked->vector, embedded->vector, size);
}

static freshet_status take_letters(freshet_answers* answers, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (answers->worker->inbox == NULL) return FRESHET_OK;
  freshet_letter* letter = freshet_inbox_take(answers->worker->inbox);
  for (freshet_letter* next; letter != NULL; letter = next) {
    next = letter->next;
    if (letter->question.kind == FRESHET_ASK_ERASE && status == FRESHET_OK) {
      status = freshet_worker_ask_erase(answers->worker, letter, error);
      continue;
    }
    freshet_asked* asked = freshet_questions_add(&answers->questions, letter);
    asked->asked_ms = now_ms(answers);
    asked->came_us = now_us(answers);
    if (letter->question.kind <= FRESHET_ASK_SIMILAR) encode_text(answers, asked);
  }
  return status;
}

/* Do the lists of its user come from us? */
static bool is_served(const freshet_answers* answers, const freshet_asked* asked) {
  return freshet_held_list_topic(answers->worker->held, asked->partition) == FRESHET_TOPIC_RECOMMENDATIONS;
}

static void read_headers(freshet_answers* answers, const freshet_record* record, freshet_asked* asked) {
  freshet_source* source = answers->worker->ports.source;
  freshet_slice value;
  if (freshet_source_header(source, record, "kafka_replyTopic", &value) && value.size > 0) {
    asked->reply_topic = strndup(value.data, value.size);
    FRESHET_ASSERT(asked->reply_topic != NULL);
  }
  asked->has_correlation = freshet_source_header(source, record, "kafka_correlationId", &value);
  if (asked->has_correlation) freshet_buffer_append(&asked->correlation, value.data, value.size);
}

freshet_status freshet_answers_take(freshet_answers* answers, const freshet_record* record,
                                    freshet_error* error) {
  freshet_question question = {0};
  freshet_error cause = {0};
  (void)error;
  if (!record->has_value) return FRESHET_OK; /* nobody asks anything */
  freshet_slice key = record->has_key ? record->key : (freshet_slice){NULL, 0};
  if (freshet_decode_request(answers->worker->ports.codec, record->value, &question.request, &cause) !=
      FRESHET_OK) {
    freshet_dead_letters_add(answers->worker->ports.outbox, &answers->worker->ports, record,
                             "VALUE_CONVERTER", &cause);
    return FRESHET_OK;
  }
  /* Who can be told gets a reply that says what is wrong; see prepare. */
  freshet_request* request = &question.request;
  bool is_valid = freshet_request_validate(request, key, &cause) == FRESHET_OK;
  bool can_be_told = freshet_request_can_be_told(request);
  if (!can_be_told || !record->has_key) {
    if (is_valid) freshet_error_set(&cause, FRESHET_INVALID, FRESHET_DEAD_LETTER, "request_id is empty");
    freshet_dead_letters_add(answers->worker->ports.outbox, &answers->worker->ports, record, "TRANSFORMATION",
                             &cause);
    return FRESHET_OK;
  }
  if (freshet_held_list_topic(answers->worker->held, record->partition) != FRESHET_TOPIC_RECOMMENDATIONS)
    return FRESHET_OK; /* for the generation that serves to answer */
  freshet_letter* letter = freshet_letter_create(&question);
  freshet_asked* asked = freshet_questions_add(&answers->questions, letter);
  asked->is_record = true;
  asked->partition = record->partition;
  asked->offset = record->offset;
  asked->came_us = now_us(answers);
  asked->asked_ms = record->timestamp_ms;
  if (request->requested_at_ms > 0 && request->requested_at_ms < record->timestamp_ms)
    asked->asked_ms = request->requested_at_ms;
  asked->refusal = is_valid ? NULL : strdup(cause.message);
  read_headers(answers, record, asked);
  asked->is_parked = !is_served(answers, asked);
  if (is_valid && !asked->is_parked) encode_text(answers, asked);
  return FRESHET_OK;
}

/* Another generation publishes for these users: what it does not answer, because it hands over, is ours. What
 * it has answered in its last seconds is answered twice then. */
static void look_at_parked(freshet_answers* answers) {
  for (freshet_asked *asked = answers->questions.oldest, *newer; asked != NULL; asked = newer) {
    newer = asked->newer;
    if (!asked->is_parked) continue;
    if (is_served(answers, asked)) {
      asked->is_parked = false;
      if (asked->refusal == NULL) encode_text(answers, asked);
    } else if (now_us(answers) - asked->came_us > PARKED_MS * 1000) {
      freshet_letter_free(freshet_questions_remove(&answers->questions, asked));
    }
  }
}

int64_t freshet_answers_position(const freshet_answers* answers, int32_t partition, int64_t next) {
  int64_t position = next;
  for (const freshet_asked* asked = answers->questions.oldest; asked != NULL; asked = asked->newer) {
    bool waits = asked->is_record && asked->partition == partition;
    if (waits && asked->offset < position) position = asked->offset;
  }
  return position;
}

void freshet_answers_forget(freshet_answers* answers, int32_t partition) {
  for (freshet_asked *asked = answers->questions.oldest, *newer; asked != NULL; asked = newer) {
    newer = asked->newer;
    if (!asked->is_record || (partition >= 0 && asked->partition != partition)) continue;
    freshet_letter_free(freshet_questions_remove(&answers->questions, asked));
  }
}

/* ---- the way out ---- */

/* Hands the answer over, and ends the question. */
static freshet_status give(freshet_answers* answers, freshet_asked* asked, freshet_answer* answer,
                           freshet_error* error) {
  freshet_worker_metrics* metrics = answers->worker->ports.metrics;
  freshet_status status = FRESHET_OK;
  bool is_record = asked->is_record;
  freshet_histogram_observe(&metrics->question_to_answer, now_us(answers) - asked->came_us);
  freshet_count(&metrics->answers, 1);
  if (is_record) {
    const freshet_request* request = &asked->letter->question.request;
    answer->list.user_id = request->user_id;
    answer->list.request_id = request->request_id;
    answer->list.generated_at_ms = now_ms(answers);
    if (answer->status != FRESHET_ANSWER_OK) answer->list.note = freshet_slice_of(answer->message);
    status = freshet_reply_send(answers->worker, asked, answer, &answers->bytes, error);
    freshet_answer_destroy(answer);
  }
  freshet_letter* letter = freshet_questions_remove(&answers->questions, asked);
  if (!is_record) letter->question.answered(letter->question.context, answer);
  freshet_letter_free(letter);
  return status;
}

static void refuse(freshet_answer* answer, freshet_answer_status status, const char* message) {
  answer->status = status;
  snprintf(answer->message, sizeof answer->message, "%s", message);
}

static void __attribute__((format(printf, 2, 3))) add_note(draft* d, const char* format, ...) {
  size_t used = strlen(d->note);
  va_list arguments;
  if (used > 0 && used + 2 < sizeof d->note) {
    memcpy(d->note + used, "; ", 3);
    used += 2;
  }
  va_start(arguments, format);
  vsnprintf(d->note + used, sizeof d->note - used, format, arguments);
  va_end(arguments);
}

/* ---- who asks ---- */

static bool holds_events(const freshet_worker* worker) {
  return freshet_held_count(worker->held, FRESHET_TOPIC_EVENTS) > 0;
}

/* The user's row, if this worker has it. Else the answer says why not. */
static freshet_status find_row(freshet_answers* answers, draft* d, freshet_error* error) {
  freshet_worker* worker = answers->worker;
  freshet_slice user = d->asked->letter->question.request.user_id;
  if (user.size == 0) return FRESHET_OK;
  int32_t partition =
      d->asked->is_record ? d->asked->partition : freshet_partition_of(user, worker->user_partitions);
  d->answer->partition = partition;
  if (freshet_held_find(worker->held, FRESHET_TOPIC_EVENTS, partition) != NULL)
    return freshet_users_get(worker->users, partition, user, &d->row, error);
  if (holds_events(worker)) {
    refuse(d->answer, FRESHET_ANSWER_ELSEWHERE, "another instance holds this user's partition");
  } else {
    refuse(d->answer, FRESHET_ANSWER_UNAVAILABLE, "no partitions are held at the moment");
  }
  return FRESHET_OK;
}

static freshet_slice title_of(freshet_worker* worker, freshet_answer* answer, freshet_slice item_id) {
  freshet_item item;
  if (!freshet_items_record(worker->items, item_id, &item)) return (freshet_slice){"", 0};
  return freshet_answer_copy(answer, item.title);
}

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

/* ---- what is asked ---- */

/* The user as if the context items had just been chosen: the newest of the history, in their order. */
static void set_history(freshet_answers* answers, draft* d, int64_t time_ms) {
  const freshet_model* model = freshet_items_model(answers->worker->items);
  const freshet_request* request = &d->asked->letter->question.request;
  const freshet_user* known = d->row != NULL ? d->row->user : answers->nobody;
  bool ahead = known->recent_count > 0 && known->recent[0].time_ms > time_ms;
  freshet_user* user = &d->user;
  *user = *known;
  user->recent_count = 0;
  for (size_t i = 0; i < request->context_item_count && user->recent_count < CONTEXT_ITEMS_MAX; i++) {
    uint32_t slot = freshet_model_find(model, request->context_items[i]);
    if (slot == FRESHET_NO_ITEM) {
      freshet_slice id = request->context_items[i];
      add_note(d, "context item '%.*s' is not known", id.size < 64 ? (int)id.size : 64, id.data);
      continue;
    }
    user->recent[user->recent_count++] =
        (freshet_interaction){slot, 1, ahead ? known->recent[0].time_ms : time_ms};
  }
  uint32_t given = user->recent_count;
  if (user->positives < given) user->positives = given;
  for (uint32_t i = 0; i < known->recent_count && user->recent_count < FRESHET_HISTORY; i++) {
    bool is_given = false;
    for (uint32_t g = 0; g < given; g++) is_given = is_given || user->recent[g].item == known->recent[i].item;
    if (!is_given) user->recent[user->recent_count++] = known->recent[i];
  }
}

static size_t add_slots(const freshet_model* model, const freshet_slice* ids, size_t count, uint32_t* slots) {
  size_t found = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t slot = freshet_model_find(model, ids[i]);
    if (slot != FRESHET_NO_ITEM) slots[found++] = slot;
  }
  return found;
}

static void set_excluded(freshet_answers* answers, const freshet_request* request, freshet_wish* wish) {
  const freshet_model* model = freshet_items_model(answers->worker->items);
  size_t most = request->exclude_item_count + request->context_item_count;
  uint32_t* slots = freshet_arena_take(&answers->arena, (most + 1) * sizeof *slots);
  size_t count = add_slots(model, request->exclude_items, request->exclude_item_count, slots);
  count += add_slots(model, request->context_items, request->context_item_count, slots + count);
  wish->excluded = slots;
  wish->excluded_count = count;
}

static void clear_bits(uint64_t* bits, size_t slots, const uint32_t* which, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (which[i] < slots) bits[which[i] / 64] &= ~((uint64_t)1 << which[i] % 64);
  }
}

/* What may be shown by chance: what little is known about, of all that may be shown. */
static void set_pool(freshet_answers* answers, const freshet_request* request, freshet_wish* wish) {
  const freshet_model* model = freshet_items_model(answers->worker->items);
  size_t slots = freshet_model_item_count(model), size = (slots / 64 + 1) * sizeof(uint64_t);
  uint64_t* bits = freshet_arena_take(&answers->arena, size);
  freshet_slice id = request->request_id;
  if (wish->allowed != NULL) memcpy(bits, wish->allowed, size);
  if (wish->allowed == NULL)
    freshet_filter_items(answers->worker->items, &(freshet_request){0}, wish->time_ms, bits);
  clear_bits(bits, slots, wish->excluded, wish->excluded_count);
  clear_bits(bits, slots, wish->user->seen, wish->user->seen_count);
  wish->pool = freshet_arena_take(&answers->arena, (slots + 1) * sizeof *wish->pool);
  for (uint32_t slot = 0; slot < slots; slot++) {
    if ((bits[slot / 64] >> slot % 64 & 1) == 0 || freshet_model_item_weight(model, slot) >= little_known)
      continue;
    wish->pool[wish->pool_count++] = slot;
  }
  wish->exploration = request->exploration;
  wish->seed = id.size > 0 ? freshet_id_key(id) : freshet_random((uint64_t)now_us(answers), answers->draws++);
}

/* The text, where it is to be had. */
static void set_text(freshet_answers* answers, draft* d, freshet_wanted_text* text, freshet_wish* wish) {
  const freshet_worker* worker = answers->worker;
  const freshet_asked* asked = d->asked;
  const float *vector, *start;
  if (asked->text_note != NULL) add_note(d, "%s", asked->text_note);
  if (asked->text != FRESHET_TEXT_ENCODED) return;
  if (!freshet_texts_place(freshet_items_texts(worker->items), asked->vector, &vector, &start)) {
    add_note(d, "context is not used while text.encoder changes");
    return;
  }
  if (freshet_wanted_text_set(text, freshet_items_model(worker->items), vector, start,
                              worker->config.context_weight, wish->allowed, wish->allowed_slots,
                              NULL) == FRESHET_OK) {
    wish->text = text;
  } else {
    add_note(d, "context is not used: its vector is not finite");
  }
}

/* From a question to a wish, or straight to an answer. */
static void make_wish(freshet_answers* answers, draft* d, size_t place) {
  const freshet_worker* worker = answers->worker;
  const freshet_request* request = &d->asked->letter->question.request;
  size_t slots = freshet_model_item_count(freshet_items_model(worker->items));
  size_t listed = freshet_listing_count(freshet_items_listing(worker->items));
  freshet_wish* wish = &answers->wishes[place];
  size_t k = (size_t)request->k < FRESHET_RANK_K_MAX ? (size_t)request->k : FRESHET_RANK_K_MAX;
  *wish = (freshet_wish){.user = &d->user, .time_ms = now_ms(answers), .diversity = request->diversity};
  if (listed == 0) {
    add_note(d, "no item is on offer");
    return;
  }
  wish->k = (uint32_t)(k < listed ? k : listed);
  if (d->row != NULL && d->row->exists) freshet_user_texts_see_to(worker->user_texts, d->row);
  set_history(answers, d, wish->time_ms);
  set_excluded(answers, request, wish);
  if (freshet_filter_asked(request)) {
    uint64_t* allowed = freshet_arena_take(&answers->arena, (slots / 64 + 1) * sizeof *allowed);
    if (freshet_filter_items(worker->items, request, wish->time_ms, allowed) == 0) {
      add_note(d, "no item on offer passes the filters");
      return;
    }
    wish->allowed = allowed;
    wish->allowed_slots = slots;
  }
  set_text(answers, d, answers->texts[place], wish);
  if (request->exploration > 0) set_pool(answers, request, wish);
  wish->picks = freshet_arena_take(&answers->arena, wish->k * sizeof *wish->picks);
  if (request->explain) wish->parts = freshet_arena_take(&answers->arena, wish->k * sizeof *wish->parts);
  d->wish = wish;
}

static bool is_stale(const freshet_answers* answers, const freshet_asked* asked) {
  int64_t most_ms = answers->worker->config.requests_max_age_ms;
  return most_ms > 0 && now_ms(answers) - asked->asked_ms > most_ms;
}

/* Answers at once what needs no ranking; else leaves a wish. */
static freshet_status prepare(freshet_answers* answers, draft* d, size_t place, freshet_error* error) {
  freshet_answer* answer = d->answer;
  const freshet_question* question = &d->asked->letter->question;
  freshet_error cause = {0};
  if (is_stale(answers, d->asked)) {
    snprintf(answer->message, sizeof answer->message, "asked %lld ms ago, more than requests.max_age_ms",
             (long long)(now_ms(answers) - d->asked->asked_ms));
    answer->status = FRESHET_ANSWER_UNAVAILABLE;
    return FRESHET_OK;
  }
  if (d->asked->refusal != NULL) {
    refuse(answer, FRESHET_ANSWER_INVALID, d->asked->refusal);
    return FRESHET_OK;
  }
  bool needs_user = question->kind != FRESHET_ASK_SIMILAR;
  if (needs_user && question->request.user_id.size == 0) {
    refuse(answer, FRESHET_ANSWER_INVALID, "user_id is empty");
    return FRESHET_OK;
  }
  bool is_list = question->kind <= FRESHET_ASK_SIMILAR;
  if (is_list &&
      freshet_request_validate(&question->request, question->request.user_id, &cause) != FRESHET_OK) {
    refuse(answer, FRESHET_ANSWER_INVALID, cause.message);
    return FRESHET_OK;
  }
  freshet_status status = find_row(answers, d, error);
  if (status != FRESHET_OK || answer->status != FRESHET_ANSWER_OK) return status;
  const freshet_model* model = freshet_items_model(answers->worker->items);
  const freshet_request* request = &question->request;
  switch (question->kind) {
    case FRESHET_ASK_SIMILAR:
      if (request->context_item_count == 0 ||
          freshet_model_find(model, request->context_items[0]) == FRESHET_NO_ITEM) {
        refuse(answer, FRESHET_ANSWER_NOT_FOUND, "there is no such item");
        return FRESHET_OK;
      }
      make_wish(answers, d, place);
      return FRESHET_OK;
    case FRESHET_ASK_RECOMMEND:
      make_wish(answers, d, place);
      return FRESHET_OK;
    case FRESHET_ASK_USER:
      if (d->row->exists) describe(answers->worker, d->row, answer);
      if (!d->row->exists) refuse(answer, FRESHET_ANSWER_NOT_FOUND, "nothing is known about this user");
      return FRESHET_OK;
    case FRESHET_ASK_ERASE: /* goes another way, erasures.h; this one was left over by a failure */
      refuse(answer, FRESHET_ANSWER_INVALID, "the service is failing");
      return FRESHET_OK;
  }
  return FRESHET_OK;
}

/* ---- the list ---- */

static void copy_reasons(const freshet_model* model, const freshet_parts* parts, freshet_answer* answer,
                         freshet_recommendation* entry) {
  freshet_reason* reasons = freshet_arena_take_zero(&answer->arena, (parts->count + 1) * sizeof *reasons);
  for (size_t p = 0; p < parts->count; p++) {
    reasons[p] = (freshet_reason){.kind = parts->parts[p].kind, .score = parts->parts[p].score};
    if (parts->parts[p].item != FRESHET_NO_ITEM)
      reasons[p].item_id = freshet_answer_copy(answer, freshet_model_item_id(model, parts->parts[p].item));
  }
  entry->reasons = reasons;
  entry->reason_count = parts->count;
}

static void fill_items(freshet_worker* worker, const draft* d) {
  const freshet_model* model = freshet_items_model(worker->items);
  const freshet_wish* wish = d->wish;
  freshet_answer* answer = d->answer;
  bool with_titles = d->asked->letter->question.titles;
  freshet_recommendation* items = freshet_arena_take_zero(&answer->arena, (wish->count + 1) * sizeof *items);
  freshet_slice* titles =
      with_titles ? freshet_arena_take_zero(&answer->arena, (wish->count + 1) * sizeof *titles) : NULL;
  for (size_t r = 0; r < wish->count; r++) {
    const freshet_pick* pick = &wish->picks[r];
    items[r] = (freshet_recommendation){
        .item_id = freshet_answer_copy(answer, freshet_model_item_id(model, pick->item)),
        .score = pick->score,
        .propensity = pick->propensity};
    if (wish->parts != NULL) copy_reasons(model, &wish->parts[r], answer, &items[r]);
    if (with_titles) titles[r] = title_of(worker, answer, items[r].item_id);
  }
  answer->list.items = items;
  answer->list.item_count = wish->count;
  answer->titles = titles;
}

static void finish(freshet_answers* answers, draft* d) {
  const freshet_request* request = &d->asked->letter->question.request;
  freshet_answer* answer = d->answer;
  freshet_list* list = &answer->list;
  if (d->wish != NULL) {
    fill_items(answers->worker, d);
    if (d->wish->count == 0)
      add_note(d, "the user has seen, or the request excludes, all that could be shown");
  }
  if (answer->status != FRESHET_ANSWER_OK) return;
  list->user_id = freshet_answer_copy(answer, request->user_id);
  list->request_id = freshet_answer_copy(answer, request->request_id);
  list->note = answer->note = freshet_answer_copy(answer, freshet_slice_of(d->note));
  list->generated_at_ms = now_ms(answers);
  if (d->row == NULL || !d->row->exists) return;
  list->version_partition = d->row->partition;
  list->version_offset = d->row->newest_offset;
  list->event_occurred_at_ms = d->row->newest_occurred_at_ms;
}

/* ---- a turn ---- */

static bool may_be_answered(const freshet_answers* answers, const freshet_asked* asked) {
  return !asked->is_parked && (asked->text != FRESHET_TEXT_WAITING || is_stale(answers, asked));
}

/* The newest that may be answered, [count] drafts of them. */
static size_t pick_questions(freshet_answers* answers) {
  size_t count = 0, items = 0;
  for (freshet_asked* asked = answers->questions.newest; asked != NULL && count < answers->batch;
       asked = asked->older) {
    int32_t k = asked->letter->question.request.k;
    if (!may_be_answered(answers, asked)) continue;
    items += k > 0 && k < FRESHET_RANK_K_MAX ? (size_t)k : FRESHET_RANK_K_MAX;
    if (count > 0 && items > BATCH_ITEMS) break;
    answers->drafts[count++] = (draft){.asked = asked, .answer = freshet_answer_create()};
  }
  return count;
}

/* Answers a batch; *count 0: there was nothing to answer. */
static freshet_status answer_batch(freshet_answers* answers, size_t* count, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  size_t wishes = 0;
  *count = pick_questions(answers);
  freshet_arena_reset(&answers->arena);
  for (size_t i = 0; i < *count && status == FRESHET_OK; i++) {
    draft* d = &answers->drafts[i];
    status = prepare(answers, d, wishes, error);
    wishes += d->wish != NULL;
  }
  if (status == FRESHET_OK && wishes > 0)
    status = freshet_ranking_run(answers->worker->ranking, answers->wishes, wishes, error);
  for (size_t i = 0; i < *count; i++) {
    draft* d = &answers->drafts[i];
    if (status == FRESHET_OK) {
      finish(answers, d);
      status = give(answers, d->asked, d->answer, error);
    } else {
      freshet_answer_destroy(d->answer); /* the question is refused when the worker ends, which is now */
    }
  }
  return status;
}

/* Keeps the line bounded: who waits longest is told so. */
static freshet_status shorten(freshet_answers* answers, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && answers->questions.count > WAITING_MAX) {
    if (answers->questions.oldest->is_parked) {
      freshet_letter_free(freshet_questions_remove(&answers->questions, answers->questions.oldest));
      continue;
    }
    freshet_answer* answer = freshet_answer_create();
    refuse(answer, FRESHET_ANSWER_UNAVAILABLE, "too many requests wait");
    status = give(answers, answers->questions.oldest, answer, error);
  }
  return status;
}

/* The first answer of a turn costs most: rows that learning has changed have to be taken over by the ranker.
 * So while events lag a turn may go by without answers, until they have earned enough. */
freshet_status freshet_answers_turn(freshet_answers* answers, bool lagging, int64_t learn_us,
                                    freshet_error* error) {
  int64_t start_us = now_us(answers), earned_us = learn_us / LAGGING_PARTS;
  if (earned_us < LAGGING_LEAST_US) earned_us = LAGGING_LEAST_US;
  answers->credit_us = lagging && answers->credit_us < TURN_US ? answers->credit_us + earned_us : TURN_US;
  if (answers->credit_us <= 0) return FRESHET_OK;
  int64_t until_us = start_us + answers->credit_us;
  size_t count = 0;
  freshet_status status = take_letters(answers, error);
  if (status != FRESHET_OK || answers->questions.count == 0) return status;
  look_at_parked(answers);
  status = freshet_texts_collect(freshet_items_texts(answers->worker->items), error);
  if (status == FRESHET_OK) status = shorten(answers, error);
  do {
    if (status == FRESHET_OK) status = answer_batch(answers, &count, error);
  } while (status == FRESHET_OK && count > 0 && now_us(answers) < until_us);
  freshet_users_trim(
      answers->worker->users); /* who only asks is not committed, where rows are trimmed else */
  freshet_gauge(&answers->worker->ports.metrics->questions_waiting, answers->questions.count);
  answers->credit_us -= now_us(answers) - start_us;
  return status;
}

bool freshet_answers_due(const freshet_answers* answers) {
  for (const freshet_asked* asked = answers->questions.newest; asked != NULL; asked = asked->older) {
    if (may_be_answered(answers, asked)) return true;
  }
  return false;
}
