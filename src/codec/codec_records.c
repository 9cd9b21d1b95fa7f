/*
 * codec_records.c: the layout of each record: which field of the schema lies where in its struct, in the
 * order of the schema. Tables only; how bytes become fields is the work of plan.h.
 */
#include "codec/codec_records.h"

#include <stddef.h>

#define FIELD(type, member, shape_) \
  { .name = #member, .shape = FRESHET_SHAPE_##shape_, .offset = offsetof(type, member) }
#define FIELD_AS(type, name_, member, shape_) \
  { .name = name_, .shape = FRESHET_SHAPE_##shape_, .offset = offsetof(type, member) }
#define ARRAY_AS(type, name_, member, count_member, shape_, element_)                 \
  {                                                                                   \
    .name = name_, .shape = FRESHET_SHAPE_##shape_, .offset = offsetof(type, member), \
    .count_offset = offsetof(type, count_member), .element = element_                 \
  }
#define LAYOUT(type, fields_) \
  { .size = sizeof(type), .field_count = sizeof(fields_) / sizeof((fields_)[0]), .fields = fields_ }

#define EVENT_FIELDS                                                           \
  FIELD(freshet_event, event_id, SLICE), FIELD(freshet_event, user_id, SLICE), \
      FIELD(freshet_event, item_id, SLICE), FIELD_AS(freshet_event, "occurred_at", occurred_at_ms, I64)

static const freshet_layout_field click_fields[] = {EVENT_FIELDS, FIELD(freshet_event, dwell_s, F32)};
static const freshet_layout_field rating_fields[] = {EVENT_FIELDS, FIELD(freshet_event, rating, F32)};
static const freshet_layout_field purchase_fields[] = {EVENT_FIELDS, FIELD(freshet_event, quantity, I32),
                                                       FIELD(freshet_event, price, F64)};

static const freshet_layout_field feedback_fields[] = {
    EVENT_FIELDS, FIELD_AS(freshet_event, "kind", feedback, SYMBOL), FIELD(freshet_event, after_s, F32),
    FIELD(freshet_event, place, I32), FIELD(freshet_event, list_version, I64)};

static const freshet_layout_field text_fields[] = {{.name = NULL, .shape = FRESHET_SHAPE_SLICE}};
static const freshet_layout text_layout = LAYOUT(freshet_slice, text_fields);

static const freshet_layout_field attribute_fields[] = {FIELD(freshet_attribute, name, SLICE),
                                                        FIELD(freshet_attribute, value, SLICE)};
static const freshet_layout attribute_layout = LAYOUT(freshet_attribute, attribute_fields);

static const freshet_layout_field item_fields[] = {
    FIELD(freshet_item, item_id, SLICE),
    FIELD(freshet_item, title, SLICE),
    FIELD(freshet_item, text, SLICE),
    ARRAY_AS(freshet_item, "categories", categories, category_count, LIST, &text_layout),
    FIELD(freshet_item, available, BOOL),
    FIELD_AS(freshet_item, "expires_at", expires_at_ms, I64),
    ARRAY_AS(freshet_item, "vector", vector, vector_dim, FLOATS, NULL),
    FIELD_AS(freshet_item, "created_at", created_at_ms, I64),
    ARRAY_AS(freshet_item, "attributes", attributes, attribute_count, LIST, &attribute_layout),
};

static const freshet_layout_field reason_fields[] = {
    FIELD(freshet_reason, kind, SYMBOL),
    FIELD(freshet_reason, item_id, SLICE),
    FIELD(freshet_reason, score, F32),
    FIELD(freshet_reason, every_s, I64),
};
static const freshet_layout reason_layout = LAYOUT(freshet_reason, reason_fields);

static const freshet_layout_field recommendation_fields[] = {
    FIELD(freshet_recommendation, item_id, SLICE),
    FIELD(freshet_recommendation, score, F32),
    ARRAY_AS(freshet_recommendation, "reasons", reasons, reason_count, LIST, &reason_layout),
    FIELD(freshet_recommendation, propensity, F32),
};
static const freshet_layout recommendation_layout = LAYOUT(freshet_recommendation, recommendation_fields);

static const freshet_layout_field list_fields[] = {
    FIELD(freshet_list, user_id, SLICE),
    FIELD(freshet_list, request_id, SLICE),
    FIELD(freshet_list, version_partition, I32),
    FIELD(freshet_list, version_offset, I64),
    FIELD_AS(freshet_list, "event_occurred_at", event_occurred_at_ms, I64),
    FIELD_AS(freshet_list, "generated_at", generated_at_ms, I64),
    ARRAY_AS(freshet_list, "items", items, item_count, LIST, &recommendation_layout),
    FIELD(freshet_list, note, SLICE),
};

#define TEXTS(name, count) ARRAY_AS(freshet_request, #name, name, count, LIST, &text_layout)
static const freshet_layout_field request_fields[] = {
    FIELD(freshet_request, request_id, SLICE),
    FIELD(freshet_request, user_id, SLICE),
    FIELD_AS(freshet_request, "requested_at", requested_at_ms, I64),
    FIELD(freshet_request, k, I32),
    FIELD(freshet_request, context, SLICE),
    TEXTS(context_items, context_item_count),
    TEXTS(include_categories, include_category_count),
    TEXTS(exclude_categories, exclude_category_count),
    TEXTS(exclude_items, exclude_item_count),
    FIELD(freshet_request, diversity, F32),
    FIELD(freshet_request, exploration, F32),
    FIELD(freshet_request, explain, BOOL),
    FIELD(freshet_request, min_age_s, I64),
    FIELD(freshet_request, kind, SYMBOL),
};

static const freshet_layout_field interaction_fields[] = {
    FIELD(freshet_stored_interaction, item_key, U64),
    FIELD(freshet_stored_interaction, weight, F32),
    FIELD_AS(freshet_stored_interaction, "time", time_ms, I64),
    FIELD(freshet_stored_interaction, signal, U32),
};
static const freshet_layout interaction_layout = LAYOUT(freshet_stored_interaction, interaction_fields);

static const freshet_layout_field user_state_fields[] = {
    FIELD(freshet_user_state, user_id, SLICE),
    FIELD(freshet_user_state, events, I64),
    FIELD(freshet_user_state, event_checksum, U64),
    FIELD(freshet_user_state, newest_offset, I64),
    FIELD_AS(freshet_user_state, "newest_occurred_at", newest_occurred_at_ms, I64),
    FIELD(freshet_user_state, listed_offset, I64),
    FIELD_AS(freshet_user_state, "refresh_since", refresh_since_ms, I64),
    FIELD(freshet_user_state, positives, U32),
    FIELD(freshet_user_state, accumulator, F32),
    ARRAY_AS(freshet_user_state, "vector", vector, dim, FLOATS, NULL),
    ARRAY_AS(freshet_user_state, "recent", recent, recent_count, LIST, &interaction_layout),
    ARRAY_AS(freshet_user_state, "seen", seen, seen_count, KEYS, NULL),
    FIELD(freshet_user_state, seen_how, SLICE),
    FIELD(freshet_user_state, visits, U32),
    FIELD(freshet_user_state, habits, SLICE),
    FIELD(freshet_user_state, shown, SLICE),
    ARRAY_AS(freshet_user_state, "listed", listed, listed_count, KEYS, NULL),
};

static const freshet_layout_field item_state_fields[] = {
    FIELD(freshet_item_state, item_id, SLICE),
    FIELD(freshet_item_state, folded_to, I64),
    FIELD(freshet_item_state, learned, SLICE),
    FIELD(freshet_item_state, text_hash, U64),
    FIELD(freshet_item_state, encoder, SLICE),
    ARRAY_AS(freshet_item_state, "embedding", embedding, embedding_dim, FLOATS, NULL),
    ARRAY_AS(freshet_item_state, "start", start, start_dim, FLOATS, NULL),
};

static const freshet_layout_field text_generation_fields[] = {
    FIELD(freshet_text_generation_fact, encoder, SLICE),
    FIELD(freshet_text_generation_fact, dim, U32),
    FIELD(freshet_text_generation_fact, switches, I64),
};

static const freshet_layout_field generation_fact_fields[] = {
    FIELD(freshet_app_generation_fact, generation, SLICE),
    FIELD(freshet_app_generation_fact, number, I64),
    FIELD(freshet_app_generation_fact, previous, SLICE),
    FIELD(freshet_app_generation_fact, partition, I64),
    FIELD(freshet_app_generation_fact, offset, I64),
    FIELD(freshet_app_generation_fact, learned, I64),
    FIELD_AS(freshet_app_generation_fact, "at", at_ms, I64),
};

static const freshet_layout_field item_delta_fields[] = {
    FIELD(freshet_stored_delta, worker, SLICE),
    FIELD_AS(freshet_stored_delta, "events", delta.events, U64),
    FIELD_AS(freshet_stored_delta, "items", delta.items, SLICE),
    FIELD_AS(freshet_stored_delta, "values", delta.values, SLICE),
    FIELD_AS(freshet_stored_delta, "trace", delta.trace, SLICE),
    FIELD_AS(freshet_stored_delta, "globals", delta.globals, SLICE),
};

const char* const freshet_record_kind_names[FRESHET_KINDS] = {
    "an event",          "an item",       "a list",
    "a user state",      "an item state", "an item delta",
    "a text generation", "a request",     "a fact about generations"};

const freshet_record_entry freshet_records[FRESHET_RECORDS] = {
    [FRESHET_RECORD_CLICK] = {"Click", FRESHET_KIND_EVENT, LAYOUT(freshet_event, click_fields)},
    [FRESHET_RECORD_RATING] = {"Rating", FRESHET_KIND_EVENT, LAYOUT(freshet_event, rating_fields)},
    [FRESHET_RECORD_PURCHASE] = {"Purchase", FRESHET_KIND_EVENT, LAYOUT(freshet_event, purchase_fields)},
    [FRESHET_RECORD_FEEDBACK] = {"Feedback", FRESHET_KIND_EVENT, LAYOUT(freshet_event, feedback_fields)},
    [FRESHET_RECORD_ITEM] = {"Item", FRESHET_KIND_ITEM, LAYOUT(freshet_item, item_fields)},
    [FRESHET_RECORD_LIST] = {"RecommendationList", FRESHET_KIND_LIST, LAYOUT(freshet_list, list_fields)},
    [FRESHET_RECORD_USER_STATE] = {"UserState", FRESHET_KIND_USER_STATE,
                                   LAYOUT(freshet_user_state, user_state_fields)},
    [FRESHET_RECORD_ITEM_STATE] = {"ItemState", FRESHET_KIND_ITEM_STATE,
                                   LAYOUT(freshet_item_state, item_state_fields)},
    [FRESHET_RECORD_ITEM_DELTA] = {"ItemDelta", FRESHET_KIND_ITEM_DELTA,
                                   LAYOUT(freshet_stored_delta, item_delta_fields)},
    [FRESHET_RECORD_TEXT_GENERATION] = {"TextGeneration", FRESHET_KIND_TEXT_GENERATION,
                                        LAYOUT(freshet_text_generation_fact, text_generation_fields)},
    [FRESHET_RECORD_REQUEST] = {"RecommendationRequest", FRESHET_KIND_REQUEST,
                                LAYOUT(freshet_request, request_fields)},
    [FRESHET_RECORD_GENERATION_FACT] = {"GenerationFact", FRESHET_KIND_GENERATION_FACT,
                                        LAYOUT(freshet_app_generation_fact, generation_fact_fields)},
};
