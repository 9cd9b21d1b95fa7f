/*
 * learned_checkpoint.c: checkpoints of what has been learned, in <app>.items: writing them from time to time, and
 * reading them when the store is empty (learned.h). Items are cut into as many shares as `items` has partitions,
 * by key and not by partition: the key of an item never changes, and it is known even of items that nobody has
 * announced. `items` may get another number of partitions, and then a share holds other items. So each checkpoint tells
 * how many shares there were.
 */
#include <stdio.h>
#include <stdlib.h>

#include "catalogue/learned_internal.h"
#include "core/grow.h"
#include "core/table.h"
#include "stream/words.h"

enum {
  LOOKED_AT = 2,
  SHARES_TEXT_SIZE = 16,
  TEXT_SIZE = FRESHET_MARK_TEXT_SIZE + SHARES_TEXT_SIZE,
};

/* In front of the number of a share (i32 LE): the key of what belongs to no single item, as of the checkpoint of
 * the share. */
static const freshet_slice globals_prefix = {"\0global", 7};
/* In front of an item key (u64 LE): the key of its learned state. */
static const freshet_slice item_prefix = {"\0item", 5};

/* number in little-endian order, as everything that is stored. */
static freshet_slice make_key(char out[FRESHET_LEARNED_KEY_SIZE], freshet_slice prefix, const void* number,
                              size_t size) {
  memcpy(out, prefix.data, prefix.size);
  memcpy(out + prefix.size, number, size);
  return (freshet_slice){out, prefix.size + size};
}

freshet_slice freshet_learned_item_key(uint64_t item_key, char out[FRESHET_LEARNED_KEY_SIZE]) {
  return make_key(out, item_prefix, &item_key, sizeof item_key);
}

freshet_slice freshet_learned_globals_key(int32_t share, char out[FRESHET_LEARNED_KEY_SIZE]) {
  return make_key(out, globals_prefix, &share, sizeof share);
}

static bool takes_number(freshet_slice key, freshet_slice prefix, void* number, size_t size) {
  bool matches = key.size == prefix.size + size && memcmp(key.data, prefix.data, prefix.size) == 0;
  if (matches) memcpy(number, key.data + prefix.size, size);
  return matches;
}

/* ---- reading ---- */

static freshet_status find_log(freshet_learned* learned, freshet_item_logs* logs, freshet_error* error) {
  int64_t first;
  freshet_status status =
      freshet_item_logs_range(logs, FRESHET_TOPIC_ITEM_DELTAS, 0, &first, &learned->log_end, error);
  /* The marker of a transaction may be left where the first record was. */
  for (int64_t at = first;
       status == FRESHET_OK && learned->log.offset < 0 && at < learned->log_end && at < first + LOOKED_AT;
       at++)
    status = freshet_item_logs_mark_at(logs, FRESHET_TOPIC_ITEM_DELTAS, 0, at, &learned->log, error);
  return status;
}

/* Does a checkpoint count by a log that is gone? Records of a log go from its beginning only, so the first one of today
 * cannot be before one that was the first. If that one has gone, nothing tells: then this is taken for the same log. */
static bool is_other(const freshet_learned* learned, const freshet_mark* counted_by) {
  if (counted_by->offset < 0) return false; /* an older version has written it */
  if (learned->log.offset < 0) return counted_by->offset >= learned->log_end;
  return counted_by->offset > learned->log.offset ||
         (counted_by->offset == learned->log.offset && !freshet_mark_equal(counted_by, &learned->log));
}

/* A row of learned state has no encoder: the field names the log. A version that does not know that reads the rest. */
static freshet_mark log_of(const freshet_item_state* state) {
  return freshet_mark_read(state->encoder.data, state->encoder.size);
}

/* A word in the same field: "s1:" and how many shares there were. 0: an older version has written it. */
static int32_t shares_of(const freshet_item_state* state) {
  char word[SHARES_TEXT_SIZE];
  int shares = 0, used = 0;
  freshet_words_find(state->encoder.data, state->encoder.size, "s1:", word, sizeof word);
  const bool is_number = sscanf(word, "s1:%9d%n", &shares, &used) == 1 && (size_t)used == strlen(word);
  return is_number && shares > 0 ? shares : 0;
}

static void note_log(freshet_learned* learned, uint32_t slot, const freshet_item_state* state) {
  learned->counted_by = freshet_table_reach(learned->counted_by, &learned->counted_capacity, (size_t)slot + 1,
                                            sizeof *learned->counted_by);
  while (learned->counted_count <= slot) learned->counted_by[learned->counted_count++] = FRESHET_NO_MARK;
  learned->counted_by[slot] = log_of(state);
}

/* Only the last of the shares counts, and those of a log that is gone only if there are no others. */
static freshet_status use_globals(freshet_learned* learned, freshet_error* error) {
  const freshet_share_checkpoint *own = NULL, *other = NULL;
  for (int32_t share = 0; share < learned->shares; share++) {
    const freshet_share_checkpoint* c = &learned->checkpoints[share];
    if (c->folded_to < 0) continue;
    const bool counts_other = is_other(learned, &c->counted_by);
    const freshet_share_checkpoint** best = counts_other ? &other : &own;
    if (*best == NULL || c->folded_to >= (*best)->folded_to) *best = c;
    learned->has_other = learned->has_other || counts_other;
  }
  if (own == NULL && other == NULL) return FRESHET_OK;
  freshet_slice globals = freshet_buffer_slice(own != NULL ? &own->globals : &other->globals);
  freshet_status status = freshet_model_read_globals(learned->model, globals, error);
  if (own == NULL) freshet_model_renumber(learned->model, FRESHET_NO_ITEM);
  return status;
}

static int by_key_latest_first(const void* a, const void* b) {
  const freshet_parked_checkpoint *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return (x->nth < y->nth) - (x->nth > y->nth);
}

freshet_status freshet_learned_renumber_parked(freshet_learned* learned, uint64_t item_key,
                                               freshet_error* error) {
  learned->bytes.size = 0;
  freshet_status status = freshet_parked_items_row(learned->parked, item_key, &learned->bytes, error);
  if (status != FRESHET_OK) return status;
  freshet_model_renumber_row(&learned->bytes);
  freshet_store_put(learned->ports.store, FRESHET_FAMILY_ITEMS, 0,
                    (freshet_slice){(const char*)&item_key, sizeof item_key},
                    freshet_buffer_slice(&learned->bytes));
  return FRESHET_OK;
}

void freshet_learned_free_checkpoints(freshet_learned* learned) {
  for (int32_t share = 0; learned->checkpoints != NULL && share < learned->shares; share++)
    freshet_buffer_free(&learned->checkpoints[share].globals);
  free(learned->checkpoints);
  learned->checkpoints = NULL;
}

/* An item may have got a slot since it was parked, with the row as it was, unless a checkpoint came for the slot. */
static void renumber_unparked(freshet_learned* learned, uint64_t key) {
  const uint32_t slot = freshet_model_find_key(learned->model, key);
  const bool has_checkpoint = slot < learned->counted_count && learned->counted_by[slot].offset >= 0;
  if (slot != FRESHET_NO_ITEM && !has_checkpoint) freshet_model_renumber(learned->model, slot);
}

static freshet_status fit_parked(freshet_learned* learned, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (learned->parked_count == 0) return FRESHET_OK;
  qsort(learned->parked_by, learned->parked_count, sizeof *learned->parked_by, by_key_latest_first);
  for (size_t i = 0; i < learned->parked_count && status == FRESHET_OK; i++) {
    const freshet_parked_checkpoint* c = &learned->parked_by[i];
    if ((i > 0 && c[-1].key == c->key) || !is_other(learned, &c->counted_by)) continue;
    learned->has_other = true;
    status = freshet_learned_renumber_parked(learned, c->key, error);
    renumber_unparked(learned, c->key);
  }
  free(learned->parked_by);
  learned->parked_by = NULL;
  learned->parked_count = learned->parked_capacity = 0;
  if (status == FRESHET_OK) status = freshet_store_write(learned->ports.store, error);
  return status;
}

/* What was learned by a log that is gone counts. All deltas of this one are to be added to it. After the checkpoints have
 * been read: a log that was empty before may have begun meanwhile. */
static freshet_status fit_to_log(freshet_learned* learned, freshet_error* error) {
  freshet_status status = use_globals(learned, error);
  for (size_t slot = 0; slot < learned->counted_count; slot++) {
    if (!is_other(learned, &learned->counted_by[slot])) continue;
    freshet_model_renumber(learned->model, (uint32_t)slot);
    learned->has_other = true;
  }
  if (status == FRESHET_OK) status = fit_parked(learned, error);
  freshet_table_free(learned->counted_by);
  learned->counted_by = NULL;
  learned->counted_capacity = learned->counted_count = 0;
  freshet_learned_free_checkpoints(learned);
  return status;
}

static freshet_status take_globals(freshet_learned* learned, int32_t share, const freshet_item_state* state,
                                   freshet_error* error) {
  freshet_status status = freshet_model_read_globals(learned->model, state->learned, error);
  if (status != FRESHET_OK) return status; /* such a record says nothing about positions either */
  if (share < 0 || share >= learned->shares) return FRESHET_OK;
  freshet_share_checkpoint* c = &learned->checkpoints[share];
  c->folded_to = state->folded_to;
  c->shares = shares_of(state);
  c->counted_by = log_of(state);
  c->globals.size = 0;
  freshet_buffer_append(&c->globals, state->learned.data, state->learned.size);
  return FRESHET_OK;
}

/* The row is written at once, for the item may come back while the tables are still being read. */
static freshet_status park_state(freshet_learned* learned, uint64_t item_key, const freshet_item_state* state,
                                 freshet_error* error) {
  uint64_t last_chosen;
  freshet_status status = freshet_model_check_item(learned->model, state->learned, &last_chosen, error);
  if (status != FRESHET_OK) return status;
  freshet_store_put(learned->ports.store, FRESHET_FAMILY_ITEMS, 0,
                    (freshet_slice){(const char*)&item_key, sizeof item_key}, state->learned);
  freshet_parked_items_add(learned->parked, item_key);
  learned->parked_by = freshet_grow(learned->parked_by, &learned->parked_capacity, learned->parked_count + 1,
                                    sizeof *learned->parked_by);
  learned->parked_by[learned->parked_count] =
      (freshet_parked_checkpoint){item_key, learned->parked_count, log_of(state)};
  learned->parked_count++;
  return freshet_store_write(learned->ports.store, error);
}

freshet_status freshet_learned_apply_state(freshet_learned* learned, const freshet_record* record,
                                           freshet_error* error) {
  if (!record->has_value || !learned->is_bootstrapping) return FRESHET_OK;
  freshet_item_state state;
  int32_t share;
  uint64_t item_key;
  uint32_t slot;
  freshet_status status = freshet_decode_item_state(learned->ports.codec, record->value, &state, error);
  if (status != FRESHET_OK) return status;
  if (takes_number(record->key, globals_prefix, &share, sizeof share))
    return take_globals(learned, share, &state, error);
  if (!takes_number(record->key, item_prefix, &item_key, sizeof item_key)) return FRESHET_OK;
  if (freshet_learned_lacks_room(learned, item_key)) return park_state(learned, item_key, &state, error);
  status = freshet_model_intern_key(learned->model, item_key, &slot, error);
  if (status != FRESHET_OK) return status;
  note_log(learned, slot, &state);
  return freshet_model_read_item(learned->model, slot, state.learned, error);
}

/* Do the shares together hold all items? An item can be in none of them when some were made before `items` got another
 * number of partitions, and others after it. Older versions did not tell. */
static bool are_of_one_cut(const freshet_learned* learned) {
  for (int32_t share = 0; share < learned->shares; share++) {
    const int32_t shares = learned->checkpoints[share].shares;
    if (shares != learned->checkpoints[0].shares || (shares != 0 && shares != learned->shares)) return false;
  }
  return true;
}

/* Where the fold of the deltas begins: at the oldest of the checkpoints. All deltas that there are do no harm, for a row
 * skips those that it reflects. */
static int64_t oldest_checkpoint(const freshet_learned* learned) {
  if (!are_of_one_cut(learned)) return FRESHET_OFFSET_BEGINNING;
  int64_t oldest = learned->shares == 0 ? -1 : INT64_MAX;
  for (int32_t share = 0; share < learned->shares; share++) {
    if (learned->checkpoints[share].folded_to < oldest) oldest = learned->checkpoints[share].folded_to;
  }
  return oldest < 0 ? FRESHET_OFFSET_BEGINNING : oldest;
}

/* Rows and the position of their checkpoint are in several partitions. Another worker may commit a checkpoint
 * while we read. Then we may see its position, but not its rows in partitions that had been read before. So
 * everything is read on once more: by then the rows of all positions seen so far are there, and of a later
 * position we do not want to know. Rows may be newer than the start, since each knows what it includes. */
static freshet_status read_checkpoints(freshet_learned* learned, freshet_item_logs* logs, int32_t partitions,
                                       int64_t* start, freshet_error* error) {
  learned->checkpoints = calloc((size_t)learned->shares + 1, sizeof *learned->checkpoints);
  FRESHET_ASSERT(learned->checkpoints != NULL);
  for (int32_t share = 0; share < learned->shares; share++) learned->checkpoints[share].folded_to = -1;
  learned->is_bootstrapping = true;
  freshet_status status = freshet_item_logs_catch_up(logs, FRESHET_TOPIC_ITEM_STATES, partitions, error);
  *start = oldest_checkpoint(learned);
  if (status == FRESHET_OK)
    status = freshet_item_logs_catch_up(logs, FRESHET_TOPIC_ITEM_STATES, partitions, error);
  learned->is_bootstrapping = false;
  return status;
}

freshet_status freshet_learned_load_states(freshet_learned* learned, freshet_item_logs* logs,
                                           bool from_checkpoints, int64_t* start, freshet_error* error) {
  int32_t partitions;
  freshet_status status = freshet_item_logs_partitions(logs, FRESHET_TOPIC_ITEM_STATES, &partitions, error);
  for (int32_t p = 0; status == FRESHET_OK && p < partitions; p++) {
    status = from_checkpoints
                 ? freshet_item_logs_open(logs, FRESHET_TOPIC_ITEM_STATES, p, FRESHET_OFFSET_BEGINNING, error)
                 : freshet_item_logs_open_at_stored(logs, FRESHET_TOPIC_ITEM_STATES, p, error);
  }
  if (status != FRESHET_OK) return status;
  status = from_checkpoints ? read_checkpoints(learned, logs, partitions, start, error)
                            : freshet_item_logs_catch_up(logs, FRESHET_TOPIC_ITEM_STATES, partitions, error);
  if (status == FRESHET_OK) status = find_log(learned, logs, error);
  if (status == FRESHET_OK && from_checkpoints) status = fit_to_log(learned, error);
  return status;
}

/* ---- writing ---- */

static bool is_owned(const freshet_learned* learned, uint64_t key) {
  return learned->pass.owned[key % (uint64_t)learned->shares];
}

/* words: after the mark of the log. */
static freshet_status write_state(freshet_learned* learned, freshet_slice key, freshet_item_state* state,
                                  const char* words, freshet_error* error) {
  freshet_buffer value = {0};
  char log[FRESHET_MARK_TEXT_SIZE], text[TEXT_SIZE];
  freshet_mark_write(&learned->log, log);
  snprintf(text, sizeof text, "%s%s", log, words);
  state->folded_to = learned->pass.folded_to;
  state->encoder = freshet_slice_of(text);
  freshet_status status = freshet_encode_item_state(learned->ports.codec, state, &value, error);
  if (status == FRESHET_OK) {
    freshet_output output = {.topic = FRESHET_TOPIC_ITEM_STATES,
                             .partition = -1,
                             .key = key,
                             .has_value = true,
                             .value = freshet_buffer_slice(&value)};
    status = freshet_outbox_add(learned->ports.outbox, &output, FRESHET_IN_TRANSACTION, error);
  }
  freshet_buffer_free(&value);
  return status;
}

/* The row as the store has it. It may be older than the pass: then nothing has been folded into it since. */
static freshet_status write_row(freshet_learned* learned, uint64_t item_key, freshet_slice item_id,
                                freshet_error* error) {
  char key[FRESHET_LEARNED_KEY_SIZE];
  learned->bytes.size = 0;
  freshet_status status = freshet_parked_items_row(learned->parked, item_key, &learned->bytes, error);
  if (status != FRESHET_OK) return status;
  freshet_item_state state = {.item_id = item_id, .learned = freshet_buffer_slice(&learned->bytes)};
  return write_state(learned, freshet_learned_item_key(item_key, key), &state, "", error);
}

/* The next row of a slot. *is_all: there was none. */
static freshet_status write_next(freshet_learned* learned, bool* is_all, freshet_error* error) {
  freshet_learned_pass* pass = &learned->pass;
  for (; pass->next < pass->slots && pass->next < learned->unwritten_capacity; pass->next++) {
    const uint32_t slot = (uint32_t)pass->next;
    const uint64_t key = freshet_model_item_key(learned->model, slot);
    if (!learned->is_unwritten[slot] || !is_owned(learned, key)) continue;
    learned->is_unwritten[slot] = false; /* an abort loads everything again, and it is written once more */
    pass->next++;
    return write_row(learned, key, freshet_model_item_id(learned->model, slot), error);
  }
  *is_all = true;
  return FRESHET_OK;
}

/* Nothing has been folded into a parked item since its row was stored, so the row holds now too. It also holds for one
 * that has got a slot since the pass has begun. */
static freshet_status write_parked_row(void* context, uint64_t item_key, bool* is_written,
                                       freshet_error* error) {
  freshet_learned* learned = context;
  if (!is_owned(learned, item_key)) return FRESHET_OK;
  if (freshet_model_find_key(learned->model, item_key) < learned->pass.slots) return FRESHET_OK;
  *is_written = true;
  return write_row(learned, item_key, (freshet_slice){NULL, 0}, error);
}

static freshet_status write_globals(freshet_learned* learned, freshet_error* error) {
  const freshet_learned_pass* pass = &learned->pass;
  char key[FRESHET_LEARNED_KEY_SIZE], shares[SHARES_TEXT_SIZE];
  freshet_status status = FRESHET_OK;
  snprintf(shares, sizeof shares, " s1:%d", (int)learned->shares);
  for (int32_t share = 0; status == FRESHET_OK && share < learned->shares; share++) {
    if (!pass->owned[share]) continue;
    freshet_item_state state = {.learned = freshet_buffer_slice(&pass->globals)};
    status = write_state(learned, freshet_learned_globals_key(share, key), &state, shares, error);
  }
  return status;
}

freshet_status freshet_learned_checkpoint(freshet_learned* learned, size_t most, bool* is_all,
                                          freshet_error* error) {
  freshet_status status = FRESHET_OK;
  bool has_slots = true;
  *is_all = false;
  for (size_t i = 0; status == FRESHET_OK && has_slots && i < most; i++) {
    bool is_last = false;
    status = write_next(learned, &is_last, error);
    has_slots = !is_last;
  }
  if (status != FRESHET_OK || has_slots) return status;
  status = freshet_parked_items_unwritten(learned->parked, &learned->pass.next_parked, most, write_parked_row,
                                          learned, is_all, error);
  if (status != FRESHET_OK || !*is_all) return status;
  return write_globals(learned, error);
}
