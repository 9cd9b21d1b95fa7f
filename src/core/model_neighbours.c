/*
 * model_neighbours.c: what is chosen together, as bounded lists that fade.
 *
 * An entry of item i's list says of item j how much it followed i or came with it: cf (order matters, short
 * memory) and cs. When a list is full, a newcomer takes the place of the smallest entry if that weighs no more. It does
 * not inherit the count, as in Space-Saving (Metwally et al., 2005): that overrates newcomers, and costs .007 to .022
 * of recall@10.
 *
 * People change, so a list has a clock of its own: the steps of users to its item and from it, so two in the middle of a
 * session. All counts of the list fade with it, by a twelfth every FADE_STEPS steps, which is by half in 256. When they
 * fade follows from the pairs of this list alone, so learning and folding agree. Beside N a faded count is too small. So
 * readers multiply it by the scale: all steps over those that the counts still hold.
 */
#include <stdlib.h>
#include <string.h>

#include "core/model_internal.h"

enum { FIRST_ENTRIES = 16, LIMIT_FIRST = 64, ENTRIES_PER_STEP = 8, FADE_STEPS = 32 };
static const float kept_share = .917F; /* of a count, by each fading: 2^(-32/256) */

static size_t tags_of(uint32_t capacity) {
  return (capacity + FRESHET_TAGS - 1) / FRESHET_TAGS;
}

static size_t block_bytes(uint32_t capacity) {
  return tags_of(capacity) * sizeof(freshet_tags) +
         ((size_t)capacity * sizeof(freshet_neighbour) + 63) / 64 * 64;
}

void freshet_model_neighbours_reserve(freshet_model* model, neighbours* near, uint32_t count) {
  if (count <= near->capacity) return;
  uint32_t limit = (model->config.neighbours + FRESHET_LANES - 1) / FRESHET_LANES * FRESHET_LANES;
  uint32_t capacity = near->capacity == 0 ? FIRST_ENTRIES : near->capacity;
  while (capacity < count) capacity *= 2;
  if (capacity > limit) capacity = limit;
  FRESHET_ASSERT(count <= capacity);
  neighbours grown = *near;
  grown.tags = aligned_alloc(64, block_bytes(capacity));
  FRESHET_ASSERT(grown.tags != NULL);
  memset(grown.tags, 0, block_bytes(capacity));
  grown.entries = (freshet_neighbour*)(void*)(grown.tags + tags_of(capacity));
  grown.capacity = (uint16_t)capacity;
  if (near->count > 0) {
    memcpy(grown.tags, near->tags, tags_of(near->capacity) * sizeof *near->tags);
    memcpy(grown.entries, near->entries, near->count * sizeof *near->entries);
  }
  model->owned_bytes += block_bytes(capacity) - (near->capacity == 0 ? 0 : block_bytes(near->capacity));
  free(near->tags);
  *near = grown;
}

void freshet_model_neighbours_free(neighbours* near) {
  free(near->tags);
  *near = (neighbours){.smallest = UNKNOWN_SMALLEST};
}

static void set_entry(neighbours* near, size_t at, const freshet_neighbour* entry) {
  near->entries[at] = *entry;
  freshet_tags_set(near->tags, at, entry->item);
}

/* How many entries the list may have. A rare item has had few steps, and what came with it is mostly chance. */
static uint32_t limit_of(const freshet_model* model, const neighbours* near) {
  uint32_t limit = LIMIT_FIRST;
  while (limit < model->config.neighbours && near->steps >= limit / ENTRIES_PER_STEP) limit *= 2;
  return limit < model->config.neighbours ? limit : model->config.neighbours;
}

/* The smallest entry has changed. The other entries only grow, so it is often still the smallest. */
static void judge_smallest(neighbours* near) {
  if (!(freshet_neighbour_weight(&near->entries[near->smallest]) < near->next))
    near->smallest = UNKNOWN_SMALLEST;
}

/* The list is full, and the newcomer is not in it. */
static void challenge(const freshet_model* model, neighbours* near, const freshet_neighbour* newcomer) {
  if (near->smallest == UNKNOWN_SMALLEST) {
    near->smallest = (uint16_t)model->kernels->smallest(near->entries, near->count, &near->next);
  }
  if (freshet_neighbour_weight(&near->entries[near->smallest]) > freshet_neighbour_weight(newcomer)) return;
  set_entry(near, near->smallest, newcomer);
  judge_smallest(near);
}

static void append(freshet_model* model, neighbours* near, const freshet_neighbour* newcomer) {
  freshet_model_neighbours_reserve(model, near, near->count + 1U);
  set_entry(near, near->count++, newcomer);
  near->smallest = UNKNOWN_SMALLEST;
}

void freshet_model_neighbours_add(freshet_model* model, uint32_t slot, uint32_t other, size_t at,
                                  float follows, float together, uint32_t times) {
  neighbours* near = &model->items[slot].near;
  if (at == UNKNOWN_PLACE) at = model->kernels->find_entry(near->tags, near->entries, near->count, other);
  if (at < near->count) {
    freshet_neighbour* entry = &near->entries[at];
    entry->follows = freshet_count_add(entry->follows, follows * (float)times, near->steps);
    entry->together = freshet_count_add(entry->together, together * (float)times, near->steps);
    if (at == near->smallest) judge_smallest(near);
    return;
  }
  const freshet_neighbour newcomer = {other, freshet_count_pack(follows), freshet_count_pack(together)};
  if (near->count < limit_of(model, near)) {
    append(model, near, &newcomer);
  } else {
    challenge(model, near, &newcomer);
  }
}

void freshet_model_neighbours_put(freshet_model* model, uint32_t slot, const freshet_neighbour* entry) {
  neighbours* near = &model->items[slot].near;
  if (near->count < model->config.neighbours) {
    append(model, near, entry);
  } else {
    challenge(model, near, entry); /* model.neighbours was larger when the list was stored */
  }
}

float freshet_model_neighbours_scale(const neighbours* near) {
  return near->steps < FADE_STEPS ? 1 : (float)near->steps / near->held;
}

static void fade(neighbours* near, float share) {
  for (uint32_t e = 0; e < near->count; e++) {
    freshet_neighbour* entry = &near->entries[e];
    entry->follows = freshet_count_pack(freshet_count_value(entry->follows) * share);
    entry->together = freshet_count_pack(freshet_count_value(entry->together) * share);
  }
  near->smallest = UNKNOWN_SMALLEST;
}

void freshet_model_neighbours_tick(neighbours* near, unsigned stride) {
  const uint32_t turn = near->steps / FADE_STEPS >> stride;
  near->steps += 1U << stride;
  near->held++;
  if (near->steps / FADE_STEPS >> stride == turn) return;
  near->held *= kept_share;
  fade(near, kept_share);
  if (near->steps >= PAIR_STEPS_MAX) near->steps -= FADE_STEPS << stride;
}

void freshet_model_neighbours_age(neighbours* near, uint32_t steps) {
  enum { FADINGS_MAX = 1000 }; /* nothing is left of what is older */
  float together = 0;
  for (uint32_t e = 0; e < near->count; e++) together += freshet_count_value(near->entries[e].together);
  const uint32_t most = together < 1                       ? 1
                        : together < (float)PAIR_STEPS_MAX ? (uint32_t)together
                                                           : PAIR_STEPS_MAX;
  if (steps > most) steps = most;
  const uint32_t fadings = steps / FADE_STEPS < FADINGS_MAX ? steps / FADE_STEPS : FADINGS_MAX;
  near->steps = steps < PAIR_STEPS_MAX ? steps : PAIR_STEPS_MAX - 1;
  near->held = 0;
  for (uint32_t i = 0; i < fadings; i++) near->held = (near->held + FADE_STEPS) * kept_share;
  near->held += (float)(steps % FADE_STEPS);
  fade(near, 1 / freshet_model_neighbours_scale(near));
}
