#include "lists/inbox.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct freshet_inbox {
  size_t capacity;
  pthread_mutex_t lock; /* guards the rest */
  bool is_open;
  void (*wake)(void* context);
  void* context;
  freshet_letter *first, **end; /* end: where the next one is linked in */
  size_t count;
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

freshet_slice freshet_answer_copy(freshet_answer* answer, freshet_slice text) {
  return (freshet_slice){freshet_arena_copy(&answer->arena, text.data, text.size), text.size};
}

/* ---- letters ---- */

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

freshet_letter* freshet_letter_create(const freshet_question* question) {
  const freshet_request* r = &question->request;
  size_t views =
      r->context_item_count + r->include_category_count + r->exclude_category_count + r->exclude_item_count;
  size_t size = r->request_id.size + r->user_id.size + r->context.size +
                texts_size(r->context_items, r->context_item_count) +
                texts_size(r->include_categories, r->include_category_count) +
                texts_size(r->exclude_categories, r->exclude_category_count) +
                texts_size(r->exclude_items, r->exclude_item_count);
  freshet_letter* letter = malloc(sizeof *letter + size);
  FRESHET_ASSERT(letter != NULL);
  *letter = (freshet_letter){.question = *question};
  freshet_slice* free_views = (freshet_slice*)(letter + 1);
  char* free_bytes = (char*)(free_views + views);
  freshet_request* copy = &letter->question.request;
  copy->request_id = copy_text(&free_bytes, r->request_id);
  copy->user_id = copy_text(&free_bytes, r->user_id);
  copy->context = copy_text(&free_bytes, r->context);
  copy->context_items = copy_texts(&free_views, &free_bytes, r->context_items, r->context_item_count);
  copy->include_categories =
      copy_texts(&free_views, &free_bytes, r->include_categories, r->include_category_count);
  copy->exclude_categories =
      copy_texts(&free_views, &free_bytes, r->exclude_categories, r->exclude_category_count);
  copy->exclude_items = copy_texts(&free_views, &free_bytes, r->exclude_items, r->exclude_item_count);
  return letter;
}

void freshet_letter_free(freshet_letter* letter) {
  free(letter);
}

void freshet_letter_refuse(freshet_letter* letter, freshet_answer_status status, const char* message) {
  freshet_answer* answer = freshet_answer_create();
  answer->status = status;
  snprintf(answer->message, sizeof answer->message, "%s", message);
  letter->question.answered(letter->question.context, answer);
  freshet_letter_free(letter);
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
  freshet_letter* letter = freshet_letter_create(question);
  pthread_mutex_lock(&inbox->lock);
  bool is_taken = inbox->is_open && inbox->count < inbox->capacity;
  if (is_taken) {
    *inbox->end = letter;
    inbox->end = &letter->next;
    if (inbox->count++ == 0) inbox->wake(inbox->context);
  }
  pthread_mutex_unlock(&inbox->lock);
  if (!is_taken) freshet_letter_free(letter);
  return is_taken;
}

void freshet_inbox_open(freshet_inbox* inbox, void (*wake)(void* context), void* context) {
  pthread_mutex_lock(&inbox->lock);
  inbox->is_open = true;
  inbox->wake = wake;
  inbox->context = context;
  pthread_mutex_unlock(&inbox->lock);
}

static freshet_letter* take_all(freshet_inbox* inbox) {
  freshet_letter* first = inbox->first;
  inbox->first = NULL;
  inbox->end = &inbox->first;
  inbox->count = 0;
  return first;
}

freshet_letter* freshet_inbox_take(freshet_inbox* inbox) {
  pthread_mutex_lock(&inbox->lock);
  freshet_letter* first = take_all(inbox);
  pthread_mutex_unlock(&inbox->lock);
  return first;
}

void freshet_inbox_shut(freshet_inbox* inbox) {
  pthread_mutex_lock(&inbox->lock);
  inbox->is_open = false;
  freshet_letter* letter = take_all(inbox);
  pthread_mutex_unlock(&inbox->lock);
  for (freshet_letter* next; letter != NULL; letter = next) {
    next = letter->next;
    freshet_letter_refuse(letter, FRESHET_ANSWER_UNAVAILABLE, "the service is stopping");
  }
}
