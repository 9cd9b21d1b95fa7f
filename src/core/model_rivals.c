/*
 * model_rivals.c: candidates of a step that are neighbours of the user's newest item.
 *
 * A list is decided among such neighbours, but the other draws seldom hit one: a catalogue is large, and a list of
 * neighbours is short. Without rivals, the weights would learn only how neighbours differ from all other items. Like all
 * draws, these are corrected in log q. It owns nothing, and must not know how lists are made.
 */
#include "core/model_internal.h"

static const neighbours* near_newest(const freshet_model* model, const context* c) {
  return &model->items[c->items[0]].near;
}

/* Has the user seen the item of late? The whole set may be long. */
static bool is_seen(const freshet_user* user, uint32_t slot) {
  enum { LATEST = 128 };
  const uint32_t count = user->seen_count < LATEST ? user->seen_count : LATEST;
  uint32_t hits = 0;
  for (uint32_t i = 0; i < count; i++) hits |= user->seen[user->seen_count - 1 - i] == slot;
  return hits != 0;
}

uint32_t freshet_model_draw_rivals(const freshet_model* model, const freshet_user* user, const context* c,
                                   uint32_t slots[FRESHET_RIVALS_MAX]) {
  enum { STREAM = 0x7269 }; /* other numbers than those of the other draws */
  if (c->count == 0 || near_newest(model, c)->count == 0) return 0;
  const neighbours* near = near_newest(model, c);
  const uint64_t seed = freshet_random(model->config.seed ^ STREAM, model->events);
  const uint32_t draws = model->config.negatives / FRESHET_NEGATIVES_PER_RIVAL;
  for (uint32_t i = 0; i < draws; i++) {
    const uint32_t slot = near->entries[freshet_below(freshet_random(seed, i), near->count)].item;
    slots[i] = is_seen(user, slot) ? FRESHET_NO_ITEM : slot;
  }
  return draws;
}

void freshet_model_meet_rivals(const freshet_model* model, const freshet_user* user, const context* c,
                               uint32_t draws, candidates* s) {
  size_t places[CANDIDATES_PADDED];
  if (draws == 0) return;
  const neighbours* near = near_newest(model, c);
  const float chance = (float)model->count * (float)draws / ((float)near->count * (float)s->negatives);
  for (uint32_t mark = 0; mark <= s->count; mark++) places[mark] = NO_PLACE;
  model->kernels->locate(near->tags, near->entries, near->count, &model->marks, places);
  for (uint32_t i = 0; i < s->count && freshet_model_repeats(model); i++) {
    if (places[1 + i] != NO_PLACE && is_seen(user, s->items[i])) places[1 + i] = NO_PLACE;
  }
  for (uint32_t i = 0; i < s->count; i++) s->chances[i] += (float)(places[1 + i] != NO_PLACE) * chance;
}
