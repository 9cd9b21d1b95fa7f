/*
 * inbox.c: see inbox.h. Two linked lists under a lock: questions for the worker, which takes all of them at once, and
 * questions that only read, for the thread of the inbox. It must not hold the lock while an answer is made.
 */
#include "lists/inbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "stream/clock.h"

enum { PASSED_MAX = 4 /* moments of sharing that may be too short before the worker answers itself */ };

typedef struct queue {
  freshet_inbox_entry *first, **end; /* end: where the next one is linked in */
} queue;

struct freshet_inbox {
  size_t capacity;
  int64_t wait_most_us; /* 0: no bound */
  pthread_t thread;
  _Atomic size_t unanswered; /* entries that were put and are not freed yet, here or with the worker */
  _Atomic bool is_busy;
  pthread_mutex_t lock; /* guards the rest */
  bool is_open;
  void (*wake)(void* context);
  void* context;
  queue for_worker, for_readers;
  bool shares; /* the worker is going to share its state before it waits */
  bool is_shared, invites;
  freshet_inbox_reader reader; /* while is_shared */
  void* reader_context;
  size_t most;             /* questions of one call of the reader */
  size_t reading;          /* threads that read the state just now */
  pthread_cond_t unread;   /* reading is 0 again */
  pthread_cond_t may_read; /* is_shared with a question, or is_ending: for the thread of the inbox */
  unsigned passed;         /* times that the worker has passed the first question for readers by */
  bool is_ending;
};

/* ---- answers ---- */

freshet_answer* freshet_answer_create(void) {
  freshet_answer* answer = calloc(1, sizeof *answer);
  FRESHET_ASSERT(answer != NULL);
  answer->partition = -1;
  answer->list.version_partition = -1;
  answer->list.version_offset = -1;
  return answer;
}

void freshet_answer_destroy(freshet_answer* answer) {
  if (answer == NULL) return;
  freshet_arena_free(&answer->arena);
  free(answer);
}

void freshet_answer_refuse(freshet_answer* answer, freshet_answer_status status, const char* message) {
  answer->status = status;
  snprintf(answer->message, sizeof answer->message, "%s", message);
}

freshet_slice freshet_answer_copy(freshet_answer* answer, freshet_slice text) {
  return (freshet_slice){freshet_arena_copy(&answer->arena, text.data, text.size), text.size};
}

/* ---- entries ---- */

/* Bytes of a copied array of texts: the views, then what they point at. */
static size_t texts_size(const freshet_slice* texts, size_t count) {
  size_t size = count * sizeof *texts;
  for (size_t i = 0; i < count; i++) size += texts[i].size;
  return size;
}

static freshet_slice copy_text(char** free_bytes, freshet_slice text) {
  freshet_slice copy = {*free_bytes, text.size};
  if (text.size > 0) memcpy(*free_bytes, text.data, text.size);
  *free_bytes += text.size;
  return copy;
}

static const freshet_slice* copy_texts(freshet_slice** free_views, char** free_bytes,
                                       const freshet_slice* texts, size_t count) {
  freshet_slice* copy = *free_views;
  for (size_t i = 0; i < count; i++) copy[i] = copy_text(free_bytes, texts[i]);
  *free_views += count;
  return copy;
}

freshet_inbox_entry* freshet_inbox_entry_create(const freshet_question* question) {
  const freshet_request* r = &question->request;
  size_t views =
      r->context_item_count + r->include_category_count + r->exclude_category_count + r->exclude_item_count;
  size_t size = r->request_id.size + r->user_id.size + r->context.size +
                texts_size(r->context_items, r->context_item_count) +
                texts_size(r->include_categories, r->include_category_count) +
                texts_size(r->exclude_categories, r->exclude_category_count) +
                texts_size(r->exclude_items, r->exclude_item_count);
  freshet_inbox_entry* entry = malloc(sizeof *entry + size);
  FRESHET_ASSERT(entry != NULL);
  *entry = (freshet_inbox_entry){.question = *question};
  freshet_slice* free_views = (freshet_slice*)(entry + 1);
  char* free_bytes = (char*)(free_views + views);
  freshet_request* copy = &entry->question.request;
  copy->request_id = copy_text(&free_bytes, r->request_id);
  copy->user_id = copy_text(&free_bytes, r->user_id);
  copy->context = copy_text(&free_bytes, r->context);
  copy->context_items = copy_texts(&free_views, &free_bytes, r->context_items, r->context_item_count);
  copy->include_categories =
      copy_texts(&free_views, &free_bytes, r->include_categories, r->include_category_count);
  copy->exclude_categories =
      copy_texts(&free_views, &free_bytes, r->exclude_categories, r->exclude_category_count);
  copy->exclude_items = copy_texts(&free_views, &free_bytes, r->exclude_items, r->exclude_item_count);
  return entry;
}

void freshet_inbox_entry_free(freshet_inbox_entry* entry) {
  if (entry != NULL && entry->inbox != NULL) atomic_fetch_sub(&entry->inbox->unanswered, 1);
  free(entry);
}

void freshet_inbox_entry_refuse(freshet_inbox_entry* entry, freshet_answer_status status,
                                const char* message) {
  freshet_answer* answer = freshet_answer_create();
  freshet_answer_refuse(answer, status, message);
  entry->question.answered(entry->question.context, answer);
  freshet_inbox_entry_free(entry);
}

/* ---- queues; under the lock ---- */

static void clear(queue* q) {
  q->first = NULL;
  q->end = &q->first;
}

static void append(queue* q, freshet_inbox_entry* entry) {
  entry->next = NULL;
  *q->end = entry;
  q->end = &entry->next;
}

/* Moves all of them. */
static void append_all(queue* to, queue* from) {
  if (from->first == NULL) return;
  *to->end = from->first;
  to->end = from->end;
  clear(from);
}

static void give_to_worker(freshet_inbox* inbox, freshet_inbox_entry* entry) {
  const bool is_first = inbox->for_worker.first == NULL;
  append(&inbox->for_worker, entry);
  if (is_first) inbox->wake(inbox->context);
}

static freshet_inbox_entry* take_first(queue* q) {
  freshet_inbox_entry* first = q->first;
  q->first = first->next;
  if (q->first == NULL) clear(q);
  return first;
}

static freshet_inbox_entry* take_all(queue* q) {
  freshet_inbox_entry* first = q->first;
  clear(q);
  return first;
}

/* ---- readers ---- */

/* Enters with the lock, and leaves with it; without it in between. The worker may wait for it meanwhile. */
static void read_state(freshet_inbox* inbox, freshet_question* const* questions, size_t count,
                       freshet_answer** answers) {
  inbox->reading++;
  pthread_mutex_unlock(&inbox->lock);
  inbox->reader(inbox->reader_context, questions, count, answers);
  pthread_mutex_lock(&inbox->lock);
  if (--inbox->reading == 0) pthread_cond_signal(&inbox->unread);
}

void freshet_inbox_answer(freshet_inbox* inbox, freshet_question* const* questions, size_t count,
                          freshet_answer** answers) {
  size_t read = 0;
  pthread_mutex_lock(&inbox->lock);
  while (read < count && inbox->is_shared && inbox->invites) {
    const size_t some = count - read < inbox->most ? count - read : inbox->most;
    read_state(inbox, questions + read, some, answers + read);
    read += some;
  }
  pthread_mutex_unlock(&inbox->lock);
  for (size_t i = 0; i < read; i++) questions[i]->reads = false;
  for (size_t i = read; i < count; i++) {
    questions[i]->reads = questions[i]->kind == FRESHET_ASK_RECOMMEND;
    answers[i] = NULL;
  }
}

void freshet_inbox_share(freshet_inbox* inbox, freshet_inbox_reader reader, void* context, size_t most,
                         bool invites) {
  FRESHET_ASSERT(most >= 1 && most <= FRESHET_READ_MAX);
  pthread_mutex_lock(&inbox->lock);
  inbox->is_shared = true;
  inbox->invites = invites;
  inbox->most = most;
  inbox->reader = reader;
  inbox->reader_context = context;
  if (inbox->for_readers.first != NULL) pthread_cond_signal(&inbox->may_read);
  pthread_mutex_unlock(&inbox->lock);
}

void freshet_inbox_set_busy(freshet_inbox* inbox, bool is_busy) {
  atomic_store_explicit(&inbox->is_busy, is_busy, memory_order_relaxed);
}

bool freshet_inbox_is_busy(const freshet_inbox* inbox) {
  return atomic_load_explicit(&inbox->is_busy, memory_order_relaxed);
}

void freshet_inbox_unshare(freshet_inbox* inbox) {
  pthread_mutex_lock(&inbox->lock);
  inbox->is_shared = false;
  while (inbox->reading > 0) pthread_cond_wait(&inbox->unread, &inbox->lock);
  pthread_mutex_unlock(&inbox->lock);
}

/* The answer was made by a reader, or there is nobody to make one. */
static void hand_over(freshet_inbox_entry* entry, freshet_answer* answer) {
  if (answer == NULL) {
    freshet_inbox_entry_refuse(entry, FRESHET_ANSWER_UNAVAILABLE, "the service is stopping");
  } else {
    entry->question.answered(entry->question.context, answer);
    freshet_inbox_entry_free(entry);
  }
}

/* Answers the first questions for readers; called and left with the lock. */
static void serve_first(freshet_inbox* inbox) {
  freshet_inbox_entry* entries[FRESHET_READ_MAX];
  freshet_question* questions[FRESHET_READ_MAX];
  freshet_answer* answers[FRESHET_READ_MAX];
  size_t count = 0, kept = 0;
  while (count < inbox->most && inbox->for_readers.first != NULL) {
    entries[count] = take_first(&inbox->for_readers);
    questions[count] = &entries[count]->question;
    count++;
  }
  inbox->passed = 0;
  read_state(inbox, questions, count, answers);
  for (size_t i = 0; i < count; i++) {
    if (answers[i] == NULL && inbox->is_open) {
      give_to_worker(inbox, entries[i]);
    } else {
      entries[kept] = entries[i];
      answers[kept++] = answers[i];
    }
  }
  pthread_mutex_unlock(&inbox->lock);
  for (size_t i = 0; i < kept; i++) hand_over(entries[i], answers[i]);
  pthread_mutex_lock(&inbox->lock);
}

static void* serve_readers(void* context) {
  freshet_inbox* inbox = context;
  pthread_mutex_lock(&inbox->lock);
  while (!inbox->is_ending) {
    if (inbox->is_shared && inbox->for_readers.first != NULL) {
      serve_first(inbox);
    } else {
      pthread_cond_wait(&inbox->may_read, &inbox->lock);
    }
  }
  pthread_mutex_unlock(&inbox->lock);
  return NULL;
}

/* ---- the inbox ---- */

freshet_inbox* freshet_inbox_create(size_t capacity) {
  freshet_inbox* inbox = calloc(1, sizeof *inbox);
  FRESHET_ASSERT(inbox != NULL);
  inbox->capacity = capacity;
  clear(&inbox->for_worker);
  clear(&inbox->for_readers);
  pthread_mutex_init(&inbox->lock, NULL);
  pthread_cond_init(&inbox->unread, NULL);
  pthread_cond_init(&inbox->may_read, NULL);
  FRESHET_ASSERT(pthread_create(&inbox->thread, NULL, serve_readers, inbox) == 0);
  return inbox;
}

void freshet_inbox_bound_wait(freshet_inbox* inbox, int64_t most_us) {
  inbox->wait_most_us = most_us;
}

void freshet_inbox_destroy(freshet_inbox* inbox) {
  if (inbox == NULL) return;
  freshet_inbox_shut(inbox);
  pthread_mutex_lock(&inbox->lock);
  inbox->is_ending = true;
  pthread_cond_signal(&inbox->may_read);
  pthread_mutex_unlock(&inbox->lock);
  pthread_join(inbox->thread, NULL);
  pthread_cond_destroy(&inbox->may_read);
  pthread_cond_destroy(&inbox->unread);
  pthread_mutex_destroy(&inbox->lock);
  free(inbox);
}

static bool has_waited_long(const freshet_inbox* inbox, const queue* q, int64_t now_us) {
  return q->first != NULL && inbox->wait_most_us > 0 && now_us - q->first->put_us > inbox->wait_most_us;
}

bool freshet_inbox_put(freshet_inbox* inbox, const freshet_question* question) {
  freshet_inbox_entry* entry = freshet_inbox_entry_create(question);
  const bool is_taken = freshet_inbox_put_entry(inbox, entry);
  if (!is_taken) freshet_inbox_entry_free(entry);
  return is_taken;
}

bool freshet_inbox_put_entry(freshet_inbox* inbox, freshet_inbox_entry* entry) {
  freshet_clock* clock = freshet_clock_system();
  const int64_t now_us = freshet_clock_monotonic_us(clock);
  pthread_mutex_lock(&inbox->lock);
  const bool is_taken = inbox->is_open && atomic_load(&inbox->unanswered) < inbox->capacity &&
                        !has_waited_long(inbox, &inbox->for_worker, now_us) &&
                        !has_waited_long(inbox, &inbox->for_readers, now_us);
  if (is_taken) {
    entry->inbox = inbox;
    entry->put_us = now_us;
    atomic_fetch_add(&inbox->unanswered, 1);
  }
  if (is_taken && entry->question.reads && inbox->shares) {
    append(&inbox->for_readers, entry);
    if (inbox->is_shared) pthread_cond_signal(&inbox->may_read);
  } else if (is_taken) {
    give_to_worker(inbox, entry);
  }
  pthread_mutex_unlock(&inbox->lock);
  return is_taken;
}

void freshet_inbox_open(freshet_inbox* inbox, void (*wake)(void* context), void* context) {
  pthread_mutex_lock(&inbox->lock);
  inbox->is_open = true;
  inbox->wake = wake;
  inbox->context = context;
  pthread_mutex_unlock(&inbox->lock);
}

freshet_inbox_entry* freshet_inbox_take(freshet_inbox* inbox, bool shares) {
  pthread_mutex_lock(&inbox->lock);
  inbox->shares = shares;
  const bool has_waited = inbox->for_readers.first != NULL && ++inbox->passed > PASSED_MAX;
  if (!shares || has_waited) {
    append_all(&inbox->for_worker, &inbox->for_readers);
    inbox->passed = 0;
  }
  freshet_inbox_entry* first = take_all(&inbox->for_worker);
  pthread_mutex_unlock(&inbox->lock);
  return first;
}

void freshet_inbox_shut(freshet_inbox* inbox) {
  freshet_inbox_unshare(inbox);
  pthread_mutex_lock(&inbox->lock);
  inbox->is_open = inbox->shares = false;
  append_all(&inbox->for_worker, &inbox->for_readers);
  freshet_inbox_entry* entry = take_all(&inbox->for_worker);
  pthread_mutex_unlock(&inbox->lock);
  for (freshet_inbox_entry* next; entry != NULL; entry = next) {
    next = entry->next;
    freshet_inbox_entry_refuse(entry, FRESHET_ANSWER_UNAVAILABLE, "the service is stopping");
  }
}
