/* inbox.c: see inbox.h. A linked list under a lock, taken whole by the worker. */
#include "lists/inbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct freshet_inbox {
  size_t capacity;
  pthread_mutex_t lock; /* guards the rest */
  bool is_open;
  void (*wake)(void* context);
  void* context;
  freshet_inbox_entry *first, **end; /* end: where the next one is linked in */
  _Atomic size_t unanswered; /* entries that were put and are not freed yet, here or with the worker */
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

/* ---- the queue ---- */

freshet_inbox* freshet_inbox_create(size_t capacity) {
  freshet_inbox* inbox = calloc(1, sizeof *inbox);
  FRESHET_ASSERT(inbox != NULL);
  inbox->capacity = capacity;
  inbox->end = &inbox->first;
  pthread_mutex_init(&inbox->lock, NULL);
  return inbox;
}

void freshet_inbox_destroy(freshet_inbox* inbox) {
  if (inbox == NULL) return;
  freshet_inbox_shut(inbox);
  pthread_mutex_destroy(&inbox->lock);
  free(inbox);
}

bool freshet_inbox_put(freshet_inbox* inbox, const freshet_question* question) {
  freshet_inbox_entry* entry = freshet_inbox_entry_create(question);
  pthread_mutex_lock(&inbox->lock);
  bool is_taken = inbox->is_open && atomic_load(&inbox->unanswered) < inbox->capacity;
  if (is_taken) {
    bool is_first = inbox->first == NULL;
    entry->inbox = inbox;
    atomic_fetch_add(&inbox->unanswered, 1);
    *inbox->end = entry;
    inbox->end = &entry->next;
    if (is_first) inbox->wake(inbox->context);
  }
  pthread_mutex_unlock(&inbox->lock);
  if (!is_taken) freshet_inbox_entry_free(entry);
  return is_taken;
}

void freshet_inbox_open(freshet_inbox* inbox, void (*wake)(void* context), void* context) {
  pthread_mutex_lock(&inbox->lock);
  inbox->is_open = true;
  inbox->wake = wake;
  inbox->context = context;
  pthread_mutex_unlock(&inbox->lock);
}

static freshet_inbox_entry* take_all(freshet_inbox* inbox) {
  freshet_inbox_entry* first = inbox->first;
  inbox->first = NULL;
  inbox->end = &inbox->first;
  return first;
}

freshet_inbox_entry* freshet_inbox_take(freshet_inbox* inbox) {
  pthread_mutex_lock(&inbox->lock);
  freshet_inbox_entry* first = take_all(inbox);
  pthread_mutex_unlock(&inbox->lock);
  return first;
}

void freshet_inbox_shut(freshet_inbox* inbox) {
  pthread_mutex_lock(&inbox->lock);
  inbox->is_open = false;
  freshet_inbox_entry* entry = take_all(inbox);
  pthread_mutex_unlock(&inbox->lock);
  for (freshet_inbox_entry* next; entry != NULL; entry = next) {
    next = entry->next;
    freshet_inbox_entry_refuse(entry, FRESHET_ANSWER_UNAVAILABLE, "the service is stopping");
  }
}
