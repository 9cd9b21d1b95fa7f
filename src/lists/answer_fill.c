/* answer_fill.c: see answer_fill.h. */
#include "lists/answer_fill.h"

/* Empty when the item is not announced. Reads the store. */
static freshet_slice title_of(freshet_answer* answer, freshet_items* items, freshet_slice item_id) {
  freshet_item item;
  if (!freshet_items_record(items, item_id, &item)) return (freshet_slice){"", 0};
  return freshet_answer_copy(answer, item.title);
}

static void copy_reasons(const freshet_model* model, const freshet_parts* parts, freshet_answer* answer,
                         freshet_recommendation* entry) {
  freshet_reason* reasons = freshet_arena_take_zero(&answer->arena, (parts->count + 1) * sizeof *reasons);
  for (size_t p = 0; p < parts->count; p++) {
    reasons[p] = (freshet_reason){
        .kind = parts->parts[p].kind, .score = parts->parts[p].score, .every_s = parts->parts[p].every_s};
    if (parts->parts[p].item != FRESHET_NO_ITEM)
      reasons[p].item_id = freshet_answer_copy(answer, freshet_model_item_id(model, parts->parts[p].item));
  }
  entry->reasons = reasons;
  entry->reason_count = parts->count;
}

void freshet_answer_fill_list(freshet_answer* answer, freshet_items* items, const freshet_ranking_task* task,
                              bool with_titles) {
  const freshet_model* model = freshet_items_model(items);
  freshet_recommendation* entries =
      freshet_arena_take_zero(&answer->arena, (task->count + 1) * sizeof *entries);
  freshet_slice* titles =
      with_titles ? freshet_arena_take_zero(&answer->arena, (task->count + 1) * sizeof *titles) : NULL;
  for (size_t r = 0; r < task->count; r++) {
    const freshet_pick* pick = &task->picks[r];
    entries[r] = (freshet_recommendation){
        .item_id = freshet_answer_copy(answer, freshet_model_item_id(model, pick->item)),
        .score = pick->score,
        .propensity = pick->propensity};
    if (task->parts != NULL) copy_reasons(model, &task->parts[r], answer, &entries[r]);
    if (with_titles) titles[r] = title_of(answer, items, entries[r].item_id);
  }
  answer->list.items = entries;
  answer->list.item_count = task->count;
  answer->titles = titles;
}

void freshet_answer_fill_user(freshet_answer* answer, freshet_items* items, const freshet_user_row* row) {
  const freshet_model* model = freshet_items_model(items);
  const freshet_user* user = row->user;
  freshet_known_interaction* recent =
      freshet_arena_take_zero(&answer->arena, (user->recent_count + 1) * sizeof *recent);
  for (uint32_t i = 0; i < user->recent_count; i++) {
    recent[i].item_id = freshet_answer_copy(answer, freshet_model_item_id(model, user->recent[i].item));
    recent[i].title = title_of(answer, items, recent[i].item_id);
    recent[i].weight = user->recent[i].weight;
    recent[i].time_ms = user->recent[i].time_ms;
  }
  answer->user = (freshet_known_user){.events = row->events,
                                      .positives = user->positives,
                                      .seen = user->seen_count,
                                      .newest_offset = row->newest_offset,
                                      .newest_time_ms = row->newest_occurred_at_ms,
                                      .listed_offset = row->listed_offset,
                                      .recent = recent,
                                      .recent_count = user->recent_count};
}

void freshet_answer_fill_weights(freshet_answer* answer, const freshet_model* model) {
  freshet_weight* weights = freshet_arena_take_zero(&answer->arena, FRESHET_WEIGHTS_MAX * sizeof *weights);
  answer->weight_count = freshet_model_weights(model, weights);
  answer->weights = weights;
}

/* All but text and vector, which are large. */
static freshet_item copy_record(freshet_answer* answer, const freshet_item* from) {
  freshet_item to = *from;
  freshet_slice* categories =
      freshet_arena_take_zero(&answer->arena, (from->category_count + 1) * sizeof *categories);
  freshet_attribute* attributes =
      freshet_arena_take_zero(&answer->arena, (from->attribute_count + 1) * sizeof *attributes);
  for (size_t i = 0; i < from->category_count; i++)
    categories[i] = freshet_answer_copy(answer, from->categories[i]);
  for (size_t i = 0; i < from->attribute_count; i++) {
    attributes[i] = (freshet_attribute){freshet_answer_copy(answer, from->attributes[i].name),
                                        freshet_answer_copy(answer, from->attributes[i].value)};
  }
  to.title = freshet_answer_copy(answer, from->title);
  to.text = (freshet_slice){"", 0};
  to.categories = categories;
  to.attributes = attributes;
  to.vector = NULL;
  to.vector_dim = 0;
  return to;
}

bool freshet_answer_fill_item(freshet_answer* answer, freshet_items* items, freshet_slice item_id) {
  freshet_model* model = freshet_items_model(items);
  const freshet_listing* listing = freshet_items_listing(items);
  const uint32_t slot = freshet_model_find(model, item_id);
  freshet_known_item* known = &answer->item;
  freshet_item record;
  if (slot == FRESHET_NO_ITEM) return false;
  known->state = freshet_listing_state_of(listing, slot);
  if (known->state != FRESHET_ITEM_LISTED) known->gone_ms = freshet_listing_gone_ms(listing, slot);
  if (freshet_items_record(items, item_id, &record)) {
    known->record = copy_record(answer, &record);
    known->text_size = record.title.size + record.text.size;
  }
  known->record.item_id = freshet_answer_copy(answer, item_id);
  known->chosen = (double)freshet_model_item_weight(model, slot);
  freshet_model_item_popularity(model, slot, known->popularity);
  known->has_vector = freshet_model_has_text(model, slot);
  return true;
}
