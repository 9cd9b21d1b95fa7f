/*
 * model_links.c: neighbours by text as rows, so that a restart need not find them again.
 *
 * A row: u64 hash of the item's quantised vector, then the u64 keys of its neighbours, little-endian. Rows
 * that were written at one moment may be read at any later time: who has got a text since, or another one,
 * has no row or the wrong hash. It is left out of everybody's list, which leaves holes in some, and is
 * compared again, as any text that has come.
 */
#include <string.h>

#include "core/model_internal.h"

static uint64_t vector_hash(const freshet_model* model, uint32_t slot) {
  const int8_t* bytes = model->text_vectors + (size_t)slot * model->text_padded;
  return freshet_id_key((freshet_slice){(const char*)bytes, model->text_padded});
}

bool freshet_model_write_links(const freshet_model* model, uint32_t slot, freshet_buffer* out) {
  FRESHET_ASSERT(slot < model->count);
  const freshet_text_list* near = freshet_model_near_text(model, slot);
  if (near == NULL || model->text_scales[slot] == 0 || !freshet_model_is_linked(model, slot)) return false;
  uint64_t hash = vector_hash(model, slot);
  freshet_buffer_append(out, &hash, sizeof hash);
  for (uint32_t e = 0; e < near->count; e++)
    freshet_buffer_append(out, &model->items[near->items[e]].key, sizeof(uint64_t));
  return true;
}

void freshet_model_read_links(freshet_model* model, uint32_t slot, freshet_slice row) {
  FRESHET_ASSERT(slot < model->count);
  uint64_t hash, key;
  size_t count = row.size / sizeof key - 1;
  if (model->text_lists == NULL || model->text_scales[slot] == 0 || model->text_links[slot] != LINK_WAITS)
    return;
  if (row.size < sizeof hash || row.size % sizeof key != 0 || count > TEXT_NEIGHBOURS) return;
  memcpy(&hash, row.data, sizeof hash);
  if (hash != vector_hash(model, slot)) return;
  freshet_text_list* near = &model->text_lists[slot];
  near->count = 0;
  for (size_t e = 1; e <= count; e++) {
    memcpy(&key, row.data + e * sizeof key, sizeof key);
    uint32_t other = freshet_model_find_key(model, key);
    if (other != FRESHET_NO_ITEM && other != slot) near->items[near->count++] = other;
  }
  model->text_links[slot] = LINK_READ;
  if (count == TEXT_NEIGHBOURS && near->count < count) freshet_model_note_hole(model, slot);
}

/* Completes the list that was read: it leaves out items without a row, and computes the cosines, which rows
 * do not hold. */
static void complete_list(freshet_model* model, uint32_t slot) {
  freshet_text_list* near = &model->text_lists[slot];
  size_t padded = model->text_padded;
  const int8_t* vector = model->text_vectors + slot * padded;
  uint32_t count = near->count, others[TEXT_NEIGHBOURS];
  for (uint32_t e = 0; e < count; e++) others[e] = near->items[e];
  near->count = 0;
  for (uint32_t e = 0; e < count; e++) {
    uint32_t other = others[e];
    int32_t dot;
    if (model->text_links[other] != LINK_READ) continue;
    model->kernels->dots_i8(model->text_vectors + other * padded, 1, vector, padded, &dot);
    const float cosine = freshet_model_cosine(dot, model->text_scales[slot] * model->text_scales[other]);
    if (cosine > 0) freshet_model_enter_text_neighbour(model, slot, other, cosine);
  }
  if (count == TEXT_NEIGHBOURS && near->count < count) freshet_model_note_hole(model, slot);
}

void freshet_model_keep_links(freshet_model* model) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < model->unlinked.count; i++) {
    if (model->text_links[model->unlinked.slots[i]] == LINK_READ)
      complete_list(model, model->unlinked.slots[i]);
  }
  for (uint32_t i = 0; i < model->unlinked.count; i++) {
    uint32_t slot = model->unlinked.slots[i];
    if (model->text_links[slot] == LINK_READ) {
      model->text_links[slot] = 0;
    } else {
      model->unlinked.slots[kept++] = slot;
    }
  }
  model->unlinked.count = kept;
}
