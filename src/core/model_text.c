/*
 * model_text.c: what an item's text vector brings: a start for its factors, and its nearest items by text.
 *
 * Vectors are kept quantised to signed bytes. Their inner products are exact integers, so that neighbours are
 * the same on every machine. All of this follows from the catalogue; it is in no delta and no stored state.
 */
#include <stdlib.h>
#include <string.h>

#include "core/model_internal.h"
#include "core/table.h"

enum {
  BYTE_MAX = 127,
  ALIGN_BYTES = 64,
  LINK_TILE = 128, /* vectors of 384 bytes: a tile and a block stay in the second cache */
};

void freshet_model_text_init(freshet_model* model) {
  uint32_t dim = model->config.dim, text_dim = model->config.text_dim;
  if (text_dim == 0) return;
  model->text_padded = (text_dim + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
  /* A random projection (Johnson and Lindenstrauss, 1984) keeps inner products on average. It is fixed, not
   * fitted, so that every worker and every restart has the same. */
  model->projection = freshet_model_floats((size_t)dim * model->text_padded);
  float scale = 1 / sqrtf((float)dim);
  for (uint32_t i = 0; i < dim; i++) {
    for (uint32_t k = 0; k < text_dim; k++) {
      uint64_t random = freshet_random(0x74657874, (uint64_t)i * TEXT_DIM_MAX + k);
      model->projection[(size_t)i * model->text_padded + k] = scale * freshet_gauss(random);
    }
  }
}

void freshet_model_text_free(freshet_model* model) {
  void* tables[] = {model->text_starts, model->text_vectors, model->text_scales,
                    model->text_floors, model->text_lists,   model->text_links};
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) freshet_table_free(tables[i]);
  free(model->projection);
  free(model->unlinked.slots);
  free(model->holed.slots);
}

void freshet_model_text_grow(freshet_model* model, uint32_t capacity) {
  if (model->text_padded == 0) return;
  const size_t start = model->config.dim * sizeof *model->text_starts;
  if (model->text_starts != NULL)
    model->text_starts = freshet_model_table(model->text_starts, capacity, start);
  model->text_vectors = freshet_model_table(model->text_vectors, capacity, model->text_padded);
  model->text_scales = freshet_model_table(model->text_scales, capacity, sizeof *model->text_scales);
  model->text_floors = freshet_model_table(model->text_floors, capacity, sizeof *model->text_floors);
  model->text_lists = freshet_model_table(model->text_lists, capacity, sizeof *model->text_lists);
  model->text_links = freshet_model_table(model->text_links, capacity, sizeof *model->text_links);
}

size_t freshet_model_text_memory(const freshet_model* model) {
  if (model->text_padded == 0) return 0;
  size_t dim = model->config.dim, start = model->text_starts == NULL ? 0 : dim * sizeof *model->text_starts;
  return (size_t)model->count * (start + model->text_padded + 3 * sizeof(float) + sizeof *model->text_lists) +
         dim * model->text_padded * sizeof(float) +
         (model->unlinked.capacity + model->holed.capacity) * sizeof(uint32_t);
}

/* ---- neighbours ---- */

static void update_floor(freshet_model* model, uint32_t slot) {
  const freshet_text_list* near = &model->text_lists[slot];
  uint32_t floor = 0; /* only what is alike at all */
  if (near->count == TEXT_NEIGHBOURS) {
    floor = near->cosines[0];
    for (uint32_t e = 1; e < near->count; e++) floor = near->cosines[e] < floor ? near->cosines[e] : floor;
  }
  model->text_floors[slot] = 0x1p-16F * (float)floor;
}

/* Like texts are often equally like: then the smaller key is nearer, so that a list does not depend on the
 * order in which texts came. */
static bool is_farther(const freshet_model* model, uint16_t cosine, uint32_t slot, uint16_t other_cosine,
                       uint32_t other) {
  if (cosine != other_cosine) return cosine < other_cosine;
  return model->items[slot].key > model->items[other].key;
}

void freshet_model_enter_text_neighbour(freshet_model* model, uint32_t slot, uint32_t other, float cosine) {
  freshet_text_list* near = &model->text_lists[slot];
  const uint16_t code = (uint16_t)(cosine * 0x1p16F); /* it is a multiple: see freshet_model_cosine */
  uint32_t at = near->count;
  if (at == TEXT_NEIGHBOURS) {
    at = 0;
    for (uint32_t e = 1; e < near->count; e++) {
      if (is_farther(model, near->cosines[e], near->items[e], near->cosines[at], near->items[at])) at = e;
    }
    if (is_farther(model, code, other, near->cosines[at], near->items[at])) return;
  } else {
    near->count++;
  }
  near->items[at] = other;
  near->cosines[at] = code;
  update_floor(model, slot);
}

static void push(slot_stack* stack, uint32_t slot) {
  if (stack->count == stack->capacity) {
    stack->capacity = stack->capacity == 0 ? 256 : 2 * stack->capacity;
    stack->slots = realloc(stack->slots, stack->capacity * sizeof *stack->slots);
    FRESHET_ASSERT(stack->slots != NULL);
  }
  stack->slots[stack->count++] = slot;
}

void freshet_model_note_hole(freshet_model* model, uint32_t slot) {
  freshet_text_list* near = &model->text_lists[slot];
  if (!near->has_hole) push(&model->holed, slot);
  near->has_hole = true;
}

static void leave(freshet_model* model, uint32_t slot, uint32_t other) {
  freshet_text_list* near = &model->text_lists[slot];
  size_t at = model->kernels->find(near->items, near->count, other);
  if (at == near->count) return;
  if (near->count == TEXT_NEIGHBOURS) freshet_model_note_hole(model, slot);
  near->count--;
  near->items[at] = near->items[near->count];
  near->cosines[at] = near->cosines[near->count];
  update_floor(model, slot);
}

static void forget_neighbours(freshet_model* model, uint32_t slot) {
  freshet_text_list* own = &model->text_lists[slot];
  for (uint32_t i = 0; i < model->count; i++) leave(model, i, slot);
  own->count = 0;
  own->has_hole = false; /* it is compared with all texts again */
  update_floor(model, slot);
}

/* Finds which vectors of a tile are near enough to enter a list: their own or the slot's. Returns whether
 * there is one. */
static bool find_alike(const freshet_model* model, uint32_t slot, uint32_t first, uint32_t count,
                       const int32_t* dots, float* cosines, uint8_t* alike) {
  const float *scales = model->text_scales + first, *floors = model->text_floors + first;
  float scale = model->text_scales[slot], floor = model->text_floors[slot];
  uint8_t any = 0;
  for (uint32_t i = 0; i < count; i++) {
    const float cosine = freshet_model_cosine(dots[i], scale * scales[i]);
    cosines[i] = cosine;
    alike[i] = (cosine > 0) & ((cosine >= floors[i]) | (cosine >= floor));
    any |= alike[i];
  }
  return any != 0;
}

/* Each pair is compared once: a text is compared with all texts that are done, and with the earlier ones of
 * its block. */
static void enter_alike(freshet_model* model, uint32_t slot, uint32_t first, uint32_t count,
                        const float* cosines, const uint8_t* alike) {
  uint32_t own_link = model->text_links[slot];
  for (uint32_t i = 0; i < count; i++) {
    uint32_t other = first + i;
    if (!alike[i] || model->text_links[other] >= own_link) continue;
    if (cosines[i] >= model->text_floors[other])
      freshet_model_enter_text_neighbour(model, other, slot, cosines[i]);
    if (cosines[i] >= model->text_floors[slot])
      freshet_model_enter_text_neighbour(model, slot, other, cosines[i]);
  }
}

/* Finds the missing entries of a list with holes. The lists of the other items know the slot already. */
static void refill(freshet_model* model, uint32_t slot, uint32_t first, uint32_t count, const float* cosines,
                   const uint8_t* alike) {
  const freshet_text_list* near = &model->text_lists[slot];
  for (uint32_t i = 0; i < count; i++) {
    uint32_t other = first + i;
    if (!alike[i] || other == slot || model->text_links[other] != 0 || cosines[i] < model->text_floors[slot])
      continue;
    if (model->kernels->find(near->items, near->count, other) == near->count)
      freshet_model_enter_text_neighbour(model, slot, other, cosines[i]);
  }
}

static void link_tile(freshet_model* model, uint32_t first, uint32_t count) {
  const link_block* b = &model->linking;
  size_t padded = model->text_padded;
  const int8_t* tile = model->text_vectors + first * padded;
  int32_t dots[FRESHET_DOTS_TOGETHER * LINK_TILE];
  float cosines[LINK_TILE];
  uint8_t alike[LINK_TILE];
  for (uint32_t q = 0; q < b->count; q += FRESHET_DOTS_TOGETHER) {
    const int8_t* vectors[FRESHET_DOTS_TOGETHER] = {tile, tile, tile, tile}; /* to fill a block */
    uint32_t together = b->count - q < FRESHET_DOTS_TOGETHER ? b->count - q : FRESHET_DOTS_TOGETHER;
    for (uint32_t t = 0; t < together; t++) {
      uint32_t slot = b->slots[q + t];
      if (slot != FRESHET_NO_ITEM) vectors[t] = model->text_vectors + slot * padded;
    }
    if (together == 1) {
      model->kernels->dots_i8(tile, count, vectors[0], padded, dots);
    } else {
      model->kernels->dots_i8_together(tile, count, vectors, padded, dots);
    }
    for (uint32_t t = 0; t < together; t++) {
      uint32_t slot = b->slots[q + t];
      if (slot != FRESHET_NO_ITEM && find_alike(model, slot, first, count, dots + t * count, cosines, alike))
        (b->refills ? refill : enter_alike)(model, slot, first, count, cosines, alike);
    }
  }
}

/* Whether a text of the block has to be compared with a vector of the tile. */
static bool is_worth_reading(const freshet_model* model, uint32_t first, uint32_t count) {
  bool is = false;
  for (uint32_t i = 0; i < count; i++) is |= model->text_links[first + i] < model->linking.count;
  return is;
}

static void start_block(freshet_model* model) {
  slot_stack *unlinked = &model->unlinked, *holed = &model->holed;
  link_block* b = &model->linking;
  *b = (link_block){.refills = unlinked->count == 0};
  while (b->count < LINK_BLOCK && unlinked->count > 0 && !b->refills) {
    b->slots[b->count++] = unlinked->slots[--unlinked->count];
    model->text_links[b->slots[b->count - 1]] = b->count;
  }
  while (b->count < LINK_BLOCK && holed->count > 0 && b->refills) {
    freshet_text_list* near = &model->text_lists[holed->slots[--holed->count]];
    if (near->has_hole) b->slots[b->count++] = holed->slots[holed->count];
    near->has_hole = false; /* an entry that leaves from now on makes a new hole */
  }
}

static void end_block(freshet_model* model) {
  link_block* b = &model->linking;
  for (uint32_t q = 0; q < b->count; q++) {
    if (b->slots[q] != FRESHET_NO_ITEM) model->text_links[b->slots[q]] = 0;
  }
  b->count = 0;
}

size_t freshet_model_link_texts(freshet_model* model, size_t pairs) {
  link_block* b = &model->linking;
  for (size_t done = 0; done < pairs && freshet_model_unlinked(model) > 0; done += LINK_BLOCK * LINK_TILE) {
    if (b->count == 0) start_block(model);
    if (b->count == 0) break; /* there was no hole any more */
    uint32_t left = model->count - b->next, count = left < LINK_TILE ? left : LINK_TILE;
    if (is_worth_reading(model, b->next, count)) link_tile(model, b->next, count);
    b->next += count;
    if (b->next == model->count) end_block(model);
  }
  return freshet_model_unlinked(model);
}

size_t freshet_model_unlinked(const freshet_model* model) {
  return (size_t)model->unlinked.count + model->holed.count + model->linking.count;
}

bool freshet_model_is_linked(const freshet_model* model, uint32_t slot) {
  const link_block* b = &model->linking;
  bool is_refilled = false;
  for (uint32_t q = 0; q < b->count; q++) is_refilled |= b->slots[q] == slot;
  return model->text_links[slot] == 0 && !is_refilled && !model->text_lists[slot].has_hole;
}

void freshet_model_settle_links(freshet_model* model) {
  if (!model->config.links_apart) freshet_model_link_texts(model, SIZE_MAX);
}

/* The slot's text has come, or has changed. */
static void unlink_text(freshet_model* model, uint32_t slot) {
  link_block* b = &model->linking;
  if (model->text_links[slot] == LINK_WAITS) return;
  for (uint32_t q = 0; q < b->count; q++) {
    if (b->slots[q] == slot) b->slots[q] = FRESHET_NO_ITEM;
  }
  push(&model->unlinked, slot);
  model->text_links[slot] = LINK_WAITS;
}

/* ---- vectors ---- */

float freshet_model_text_quantise(const float* vector, uint32_t dim, float top, int8_t* bytes) {
  int64_t squares = 0;
  for (uint32_t k = 0; k < dim; k++) {
    int rounded = (int)((vector[k] / top * BYTE_MAX + 0x1.8p23F) - 0x1.8p23F);
    bytes[k] = (int8_t)rounded;
    squares += rounded * rounded;
  }
  return squares > 0 ? 1 / sqrtf((float)squares) : 0;
}

static void quantise(freshet_model* model, uint32_t slot, const float* vector, float top) {
  int8_t* bytes = model->text_vectors + (size_t)slot * model->text_padded;
  model->text_scales[slot] = freshet_model_text_quantise(vector, model->config.text_dim, top, bytes);
}

/* In units of 2^-13: no small step is ever added to it, because nobody learns it. */
static int16_t text_code(float value) {
  const float scaled = value * 0x1p13F;
  const float bounded = scaled > INT16_MAX ? INT16_MAX : scaled < -INT16_MAX ? -INT16_MAX : scaled;
  return (int16_t)((bounded + 0x1.8p23F) - 0x1.8p23F);
}

static bool has_start(const freshet_model* model, uint32_t slot) {
  return model->text_lists != NULL && model->text_lists[slot].has_start;
}

void freshet_model_text_part(const freshet_model* model, uint32_t slot, float* part) {
  const uint32_t dim = model->config.dim, padded = model->text_padded;
  if (!freshet_model_has_text(model, slot) && !has_start(model, slot)) {
    memset(part, 0, dim * sizeof *part);
  } else if (has_start(model, slot)) {
    const int16_t* start = model->text_starts + (size_t)slot * dim;
    for (uint32_t i = 0; i < dim; i++) part[i] = 0x1p-13F * start[i];
  } else {
    float unit[TEXT_DIM_MAX] __attribute__((aligned(ALIGN_BYTES)));
    const int8_t* bytes = model->text_vectors + (size_t)slot * padded;
    for (uint32_t k = 0; k < padded; k++) unit[k] = (float)bytes[k] * model->text_scales[slot];
    freshet_model_project_text(model, unit, part);
    for (uint32_t i = 0; i < dim; i++) part[i] = 0x1p-13F * text_code(part[i]);
  }
}

/* Keeps where the factors start; NULL: where the vector says. */
static void keep_start(freshet_model* model, uint32_t slot, const float* start) {
  const size_t dim = model->config.dim, row = dim * sizeof *model->text_starts;
  model->text_lists[slot].has_start = start != NULL;
  if (start == NULL) return;
  if (model->text_starts == NULL) model->text_starts = freshet_model_table(NULL, model->capacity, row);
  for (size_t i = 0; i < dim; i++) model->text_starts[slot * dim + i] = text_code(start[i]);
}

/* Exchanges the part of v and m that comes from text; former [dim] is what it was. The change is not learned by any
 * worker, so it is added to the values before the change too. */
static void exchange_factors(freshet_model* model, uint32_t slot, const float* former) {
  uint32_t dim = model->config.dim;
  float now[DIM_MAX];
  float* v = freshet_model_factor(model, slot);
  float* m = freshet_model_context_factor(model, slot);
  float* before = freshet_model_rows_before(model, slot);
  freshet_model_text_part(model, slot, now);
  for (uint32_t i = 0; i < dim; i++) {
    const float gain = now[i] - former[i];
    v[i] += gain;
    if (m != NULL) m[i] += gain;
    if (before != NULL) before[i] += gain;
    if (before != NULL && m != NULL) before[dim + i] += gain;
  }
}

float freshet_model_text_top(const float* values, uint32_t count) {
  float top = 0;
  for (uint32_t k = 0; values != NULL && k < count; k++) {
    if (!isfinite(values[k])) return INFINITY;
    top = fabsf(values[k]) > top ? fabsf(values[k]) : top;
  }
  return top;
}

freshet_status freshet_model_set_text(freshet_model* model, uint32_t slot, const float* vector,
                                      const float* start, freshet_error* error) {
  FRESHET_ASSERT(slot < model->count && model->text_padded > 0 && (vector != NULL || start == NULL));
  float top = freshet_model_text_top(vector, model->config.text_dim);
  if (!isfinite(top) || freshet_model_text_top(start, model->config.dim) > FRESHET_START_MAX) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                             "the text vector of an item is not finite, or its start is out of bounds");
  }
  float former[DIM_MAX];
  freshet_model_text_part(model, slot, former);
  /* a text that waits is in no list */
  if (model->text_lists[slot].is_known && model->text_links[slot] != LINK_WAITS)
    forget_neighbours(model, slot);
  model->text_lists[slot].is_known = true;
  if (top > 0) {
    quantise(model, slot, vector, top);
  } else {
    memset(model->text_vectors + (size_t)slot * model->text_padded, 0, model->text_padded);
    model->text_scales[slot] = 0;
  }
  keep_start(model, slot, start);
  exchange_factors(model, slot, former);
  unlink_text(model, slot);
  freshet_model_note_stale(model, slot);
  return FRESHET_OK;
}

bool freshet_model_has_text(const freshet_model* model, uint32_t slot) {
  FRESHET_ASSERT(slot < model->count);
  return model->text_padded > 0 && model->text_scales[slot] != 0;
}

const float* freshet_model_start(const freshet_model* model, uint32_t slot, float* start) {
  if (!freshet_model_has_text(model, slot)) return NULL;
  freshet_model_text_part(model, slot, start);
  return start;
}

const float* freshet_model_learned_factors(const freshet_model* model, uint32_t slot) {
  FRESHET_ASSERT(slot < model->count);
  return model->counts[slot] == 0 ? NULL : freshet_model_factor(model, slot);
}

size_t freshet_model_text_neighbours(freshet_model* model, uint32_t slot,
                                     uint32_t near[FRESHET_TEXT_NEIGHBOURS]) {
  freshet_model_settle_links(model);
  const freshet_text_list* known = freshet_model_near_text(model, slot);
  if (known == NULL) return 0;
  memcpy(near, known->items, known->count * sizeof *near);
  return known->count;
}
