/* user_texts.c: see user_texts.h. A text on its way knows its user by id, and the history that it is the text of. */
#include "lists/user_texts.h"

#include <stdlib.h>

#include "catalogue/item_text.h"
#include "core/maths.h"

/* A text that the embedder has. Holds the user's id, not the row: rows may leave memory. */
typedef struct waiting_text {
  struct waiting_text* next;
  uint64_t id;      /* in the embedder */
  uint64_t history; /* what it is the text of */
  int32_t partition;
  uint32_t user_size;
  char user[];
} waiting_text;

struct freshet_user_texts {
  freshet_ports ports;
  freshet_items* items;
  freshet_users* users;
  waiting_text* waiting; /* [waiting_count] */
  size_t waiting_count;
  uint64_t last_id; /* never used again, so that a text of tables that are gone is nobody's */
  float* vector;    /* [encoder dim] */
  freshet_buffer text, joined;
};

freshet_user_texts* freshet_user_texts_create(const freshet_ports* ports) {
  freshet_user_texts* texts = calloc(1, sizeof *texts);
  FRESHET_ASSERT(texts != NULL);
  texts->ports = *ports;
  texts->vector = calloc(ports->encoder == NULL ? 1 : ports->encoder->dim, sizeof *texts->vector);
  FRESHET_ASSERT(texts->vector != NULL);
  return texts;
}

void freshet_user_texts_load(freshet_user_texts* texts, freshet_items* items, freshet_users* users) {
  for (waiting_text *w = texts->waiting, *next; w != NULL; w = next) {
    next = w->next;
    free(w);
  }
  texts->waiting = NULL;
  texts->waiting_count = 0;
  texts->items = items;
  texts->users = users;
}

void freshet_user_texts_destroy(freshet_user_texts* texts) {
  if (texts == NULL) return;
  freshet_user_texts_load(texts, NULL, NULL);
  free(texts->vector);
  freshet_buffer_free(&texts->text);
  freshet_buffer_free(&texts->joined);
  free(texts);
}

static uint32_t items_of(const freshet_user* user) {
  return user->recent_count < FRESHET_HISTORY_TEXT_ITEMS ? user->recent_count : FRESHET_HISTORY_TEXT_ITEMS;
}

/* Names the items that the text is made of; never 0. */
static uint64_t history_of(const freshet_user_texts* texts, const freshet_user* user) {
  uint64_t hash = 1;
  for (uint32_t i = 0; i < items_of(user); i++)
    hash =
        freshet_random(hash, freshet_model_item_key(freshet_items_model(texts->items), user->recent[i].item));
  return hash | 1;
}

/* The texts of the last items as the catalogue in the store has them; empty: they have none. */
static freshet_slice join(freshet_user_texts* texts, const freshet_user* user) {
  const freshet_model* model = freshet_items_model(texts->items);
  texts->joined.size = 0;
  for (uint32_t i = 0; i < items_of(user); i++) {
    freshet_item item;
    if (user->recent[i].weight < 0) continue; /* disliked */
    if (freshet_items_record(texts->items, freshet_model_item_id(model, user->recent[i].item), &item))
      freshet_history_text_add(freshet_item_text(&item, &texts->text), &texts->joined);
  }
  return freshet_buffer_slice(&texts->joined);
}

/* Maps it like the text of a request. */
static void set_text(freshet_user_texts* texts, freshet_user_row* row, const float* own) {
  const float *vector, *start;
  if (freshet_texts_place(freshet_items_texts(texts->items), own, &vector, &start))
    freshet_user_set_text(row->user, freshet_items_model(texts->items), vector, start);
}

static void submit(freshet_user_texts* texts, freshet_user_row* row, freshet_slice text, uint64_t history) {
  freshet_slice user = freshet_user_row_id(row);
  uint64_t id = ++texts->last_id;
  if (!freshet_embedder_submit(texts->ports.embedder, id, text, FRESHET_EMBED_HISTORY)) return;
  waiting_text* w = malloc(sizeof *w + user.size);
  FRESHET_ASSERT(w != NULL);
  *w = (waiting_text){texts->waiting, id, history, row->partition, (uint32_t)user.size};
  memcpy(w->user, user.data, user.size);
  texts->waiting = w;
  texts->waiting_count++;
  row->text_of = history;
}

void freshet_user_texts_see_to(freshet_user_texts* texts, freshet_user_row* row) {
  if (!freshet_user_wants_text(freshet_items_model(texts->items), row->user) || texts->ports.encoder == NULL)
    return;
  uint64_t history = history_of(texts, row->user);
  if (row->text_of == history || texts->waiting_count == FRESHET_USER_TEXTS_MAX) return;
  freshet_slice text = join(texts, row->user);
  if (text.size == 0) return;
  if (texts->ports.embedder != NULL) {
    submit(texts, row, text, history);
  } else if (freshet_encode(texts->ports.encoder, &text, 1, texts->vector, NULL) == FRESHET_OK) {
    row->text_of = history;
    set_text(texts, row, texts->vector);
  }
}

static waiting_text* take_waiting(freshet_user_texts* texts, uint64_t id) {
  waiting_text** link = &texts->waiting;
  while (*link != NULL && (*link)->id != id) link = &(*link)->next;
  waiting_text* w = *link;
  if (w == NULL) return NULL;
  *link = w->next;
  texts->waiting_count--;
  return w;
}

freshet_user_row* freshet_user_texts_encoded(freshet_user_texts* texts, const freshet_embedded* embedded) {
  waiting_text* w = take_waiting(texts, embedded->id);
  if (w == NULL) return NULL;
  freshet_user_row* row =
      freshet_users_find(texts->users, w->partition, (freshet_slice){w->user, w->user_size});
  bool is_theirs = row != NULL && row->exists && row->text_of == w->history;
  free(w);
  if (!is_theirs) return NULL;
  if (embedded->status != FRESHET_OK) {
    row->text_of = 0;
    return NULL;
  }
  set_text(texts, row, embedded->vector);
  return row;
}
