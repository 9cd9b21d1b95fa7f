/*
 * texts_job.c: the job that encodes texts without a vector (texts.h): which of them are due, what the embedder has,
 * and what came of it.
 */
#include <stdlib.h>

#include "catalogue/item_rows.h"
#include "catalogue/item_text.h"
#include "catalogue/texts_internal.h"
#include "core/grow.h"
#include "core/table.h"

enum {
  AT_ONCE_MAX = 1024, /* texts that a round encodes without an embedder */
  RUSH_MS = 50,       /* between two rounds, however many texts wait, unless the last one was cut */
  COLLECT_US = 3000,  /* in one turn */
};

static bool is_mine(const freshet_item_text_state* t, const bool* owned, int32_t partitions) {
  return t->partition >= 0 && t->partition < partitions && owned[t->partition];
}

void freshet_texts_want(freshet_texts* texts, uint32_t slot) {
  freshet_item_text_state* t = freshet_texts_item(texts, slot);
  if (t->wanted) return;
  if (texts->wanted_start > texts->wanted_end / 2) { /* the front is free */
    const size_t count = freshet_texts_wanted(texts);
    memmove(texts->wanted, texts->wanted + texts->wanted_start, count * sizeof *texts->wanted);
    texts->wanted_start = 0;
    texts->wanted_end = count;
  }
  texts->wanted = freshet_table_reach(texts->wanted, &texts->wanted_capacity, texts->wanted_end + 1,
                                      sizeof *texts->wanted);
  t->wanted = true;
  texts->wanted[texts->wanted_end++] = slot;
}

/* The slice of this turn is over. */
static bool is_over(freshet_texts* texts, int64_t until_us) {
  const bool is = freshet_clock_monotonic_us(texts->ports.clock) >= until_us;
  texts->is_cut |= is;
  return is;
}

/* An announced item, from the catalogue in the store. False: it is not there any more. */
static bool read_item(freshet_texts* texts, uint32_t slot, freshet_item* item) {
  return freshet_item_row_find(texts->ports.store, texts->ports.codec,
                               freshet_model_item_id(texts->model, slot), &texts->row, item);
}

/* Encodes at once: for an encoder without an embedder, and for items that have a vector but no text. */
static freshet_status encode_now(freshet_texts* texts, uint32_t slot, const freshet_item* item,
                                 freshet_slice text, freshet_error* error) {
  freshet_error cause = {0};
  memset(texts->vector, 0, texts->dim * sizeof *texts->vector);
  if (text.size > 0 && freshet_encode(texts->ports.encoder, &text, 1, texts->vector, &cause) != FRESHET_OK) {
    freshet_texts_give_up(texts, slot, cause.message);
    return FRESHET_OK;
  }
  freshet_item_complete_vector(item, texts->vector, texts->dim);
  return freshet_texts_publish(texts, slot, freshet_texts_item(texts, slot)->hash, error);
}

static void note_submission(freshet_texts* texts, uint32_t slot) {
  texts->submissions = freshet_grow(texts->submissions, &texts->submission_capacity,
                                    texts->submission_count + 1, sizeof *texts->submissions);
  freshet_item_text_state* t = freshet_texts_item(texts, slot);
  t->submitted = true;
  texts->submissions[texts->submission_count++] = (freshet_text_submission){t->hash, slot};
}

/* The slot that a result is for. False: nobody has asked for it since the tables were loaded. */
static bool end_submission(freshet_texts* texts, uint64_t hash, uint32_t* slot) {
  for (size_t i = 0; i < texts->submission_count; i++) {
    if (texts->submissions[i].hash != hash) continue;
    *slot = texts->submissions[i].slot;
    texts->submissions[i] = texts->submissions[--texts->submission_count];
    freshet_item_text_state* t = freshet_texts_item(texts, *slot);
    if (t->hash == hash) t->submitted = false;
    return true;
  }
  return false;
}

/* Sees to one text. *full: the embedder, or this round, takes no more. */
static freshet_status submit(freshet_texts* texts, uint32_t slot, size_t* encoded, bool* full,
                             freshet_error* error) {
  freshet_item item;
  if (!read_item(texts, slot, &item)) return FRESHET_OK;
  freshet_slice text = freshet_item_text(&item, &texts->text);
  if (texts->ports.embedder == NULL || text.size == 0) {
    *full = ++*encoded >= AT_ONCE_MAX;
    return encode_now(texts, slot, &item, text, error);
  }
  *full = !freshet_embedder_submit(texts->ports.embedder, freshet_texts_item(texts, slot)->hash, text,
                                   FRESHET_EMBED_BULK);
  if (*full) {
    freshet_texts_want(texts, slot);
  } else {
    note_submission(texts, slot);
  }
  return FRESHET_OK;
}

/* Hands over as many as there is room and time for. Others, and those that another worker owns, stay in the queue. */
static freshet_status submit_due(freshet_texts* texts, const bool* owned, int32_t partitions,
                                 int64_t until_us, freshet_error* error) {
  size_t encoded = 0;
  bool full = false, over = false;
  /* What was announced a moment ago is still on its way into the store. */
  freshet_status status = freshet_store_write(texts->ports.store, error);
  if (texts->round == 0) texts->round = freshet_texts_wanted(texts);
  while (texts->round > 0 && !full && !over && status == FRESHET_OK) {
    texts->round--;
    const uint32_t slot = texts->wanted[texts->wanted_start++];
    freshet_item_text_state* t = freshet_texts_item(texts, slot);
    t->wanted = false;
    if (t->filled || t->hash == 0 || t->submitted) continue;
    if (is_mine(t, owned, partitions)) {
      status = submit(texts, slot, &encoded, &full, error);
    } else {
      freshet_texts_want(texts, slot);
    }
    over = texts->round > 0 && is_over(texts, until_us);
  }
  if (full) texts->round = 0;
  return status;
}

static freshet_status take_result(freshet_texts* texts, const freshet_embedded* embedded,
                                  freshet_error* error) {
  uint32_t slot;
  freshet_item item;
  if (!end_submission(texts, embedded->id, &slot)) return FRESHET_OK;
  freshet_item_text_state* t = freshet_texts_item(texts, slot);
  if (embedded->status != FRESHET_OK) {
    freshet_texts_give_up(texts, slot, "the encoder failed");
    t->refused = embedded->status == FRESHET_INVALID && t->hash == embedded->id;
    return FRESHET_OK;
  }
  bool is_current = t->hash == embedded->id && !t->filled; /* else it has changed meanwhile, or is there */
  if (!is_current || !read_item(texts, slot, &item)) return FRESHET_OK;
  memcpy(texts->vector, embedded->vector, texts->dim * sizeof *texts->vector);
  freshet_item_complete_vector(&item, texts->vector, texts->dim);
  return freshet_texts_publish(texts, slot, embedded->id, error);
}

freshet_status freshet_texts_collect(freshet_texts* texts, freshet_error* error) {
  const int64_t until_us = freshet_clock_monotonic_us(texts->ports.clock) + COLLECT_US;
  freshet_status status = FRESHET_OK;
  freshet_embedded embedded;
  if (texts->ports.embedder == NULL) return FRESHET_OK;
  while (status == FRESHET_OK && !is_over(texts, until_us) &&
         freshet_embedder_collect(texts->ports.embedder, &embedded)) {
    if (embedded.priority == FRESHET_EMBED_BULK) {
      status = take_result(texts, &embedded, error);
    } else if (texts->encoded != NULL) {
      texts->encoded(texts->encoded_context, &embedded);
    }
  }
  return status;
}

bool freshet_texts_are_cut(const freshet_texts* texts) {
  return texts->is_cut;
}

size_t freshet_texts_expect(freshet_texts* texts, const bool* owned, int32_t partitions) {
  bool may = texts->dim > 0 && !freshet_texts_is_migrating(texts);
  size_t count = 0;
  for (size_t slot = 0; slot < texts->item_count; slot++) {
    freshet_item_text_state* t = &texts->items[slot];
    t->expected = may && is_mine(t, owned, partitions) && t->hash != 0 && !t->filled;
    count += t->expected;
  }
  texts->expects = count > 0;
  if (texts->expects) texts->next_ms = 0;
  return count;
}

bool freshet_texts_lack(freshet_texts* texts) {
  bool lacks = false;
  for (size_t i = 0; !lacks && texts->expects && i < texts->submission_count; i++)
    lacks = texts->items[texts->submissions[i].slot].expected;
  for (size_t i = texts->wanted_start; !lacks && texts->expects && i < texts->wanted_end; i++) {
    const freshet_item_text_state* t = &texts->items[texts->wanted[i]];
    lacks = t->expected && t->hash != 0 && !t->filled;
  }
  texts->expects = lacks;
  return lacks;
}

freshet_status freshet_texts_turn(freshet_texts* texts, const bool* owned, int32_t partitions,
                                  int64_t slice_us, freshet_error* error) {
  if (texts->dim == 0) return FRESHET_OK;
  const int64_t until_us = freshet_clock_monotonic_us(texts->ports.clock) + slice_us;
  int64_t now_ms = freshet_clock_monotonic_ms(texts->ports.clock);
  texts->is_cut = false;
  freshet_status status = freshet_texts_collect(texts, error);
  if (status == FRESHET_OK)
    status = freshet_texts_look_at_coverage(texts, partitions > 0 && owned[0], now_ms, error);
  const size_t wanted = freshet_texts_wanted(texts);
  freshet_gauge(&texts->ports.metrics->texts_waiting, wanted + texts->submission_count);
  if (status != FRESHET_OK || wanted == 0) return status;
  bool rushes = texts->ports.embedder == NULL || wanted >= texts->batch;
  bool is_awaited = texts->expects && texts->ports.embedder == NULL; /* events wait, and for nothing else */
  bool is_due = is_awaited || texts->round > 0 || now_ms >= texts->next_ms ||
                (rushes && now_ms >= texts->next_ms - texts->interval_ms + RUSH_MS);
  if (!is_due) return FRESHET_OK;
  texts->next_ms = now_ms + texts->interval_ms;
  return submit_due(texts, owned, partitions, until_us, error);
}
