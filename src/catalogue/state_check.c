/* state_check.c: see state_check.h. Each case is that of learned.c, learned_checkpoint.c or texts.c. */
#include "catalogue/state_check.h"

#include "catalogue/learned_internal.h"
#include "catalogue/text_generations.h"

bool freshet_state_check_is_item(freshet_slice key, uint64_t* item_key) {
  char made[FRESHET_LEARNED_KEY_SIZE];
  if (key.size < sizeof *item_key) return false;
  memcpy(item_key, key.data + key.size - sizeof *item_key, sizeof *item_key);
  return freshet_slice_equal(freshet_learned_item_key(*item_key, made), key);
}

static bool is_globals(freshet_slice key) {
  char made[FRESHET_LEARNED_KEY_SIZE];
  int32_t share;
  if (key.size < sizeof share) return false;
  memcpy(&share, key.data + key.size - sizeof share, sizeof share);
  return freshet_slice_equal(freshet_learned_globals_key(share, made), key);
}

static freshet_status check_state(freshet_codec* codec, freshet_model* model, const freshet_record* record,
                                  freshet_error* error) {
  freshet_text_generation_fact fact;
  freshet_item_state state;
  uint64_t item_key, last_chosen;
  if (freshet_slice_equal(record->key, freshet_text_generation_serving_key()))
    return freshet_decode_text_generation_fact(codec, record->value, &fact, error);
  freshet_status status = freshet_decode_item_state(codec, record->value, &state, error);
  if (status != FRESHET_OK) return status;
  if (is_globals(record->key)) return freshet_model_read_globals(model, state.learned, error);
  if (!freshet_state_check_is_item(record->key, &item_key)) return FRESHET_OK;
  return freshet_model_check_item(model, state.learned, &last_chosen, error);
}

static freshet_status check_delta(freshet_codec* codec, freshet_model* model, const freshet_record* record,
                                  freshet_error* error) {
  freshet_model_delta delta;
  freshet_slice worker;
  freshet_status status = freshet_decode_item_delta(codec, record->value, &worker, &delta, error);
  if (status == FRESHET_OK) status = freshet_model_check_delta(model, &delta, error);
  return status;
}

freshet_status freshet_state_check(freshet_codec* codec, freshet_model* model, const freshet_record* record,
                                   freshet_error* error) {
  if (!record->has_value) return FRESHET_OK;
  return record->topic == FRESHET_TOPIC_ITEM_DELTAS ? check_delta(codec, model, record, error)
                                                    : check_state(codec, model, record, error);
}

bool freshet_state_is_later(freshet_codec* codec, const freshet_record* record) {
  freshet_item_state state;
  freshet_model_delta delta;
  freshet_slice worker;
  if (freshet_codec_is_unknown(codec, record->value)) return true;
  if (record->topic == FRESHET_TOPIC_ITEM_DELTAS)
    return freshet_decode_item_delta(codec, record->value, &worker, &delta, NULL) == FRESHET_OK &&
           freshet_model_delta_is_later(&delta);
  return record->topic == FRESHET_TOPIC_ITEM_STATES &&
         freshet_decode_item_state(codec, record->value, &state, NULL) == FRESHET_OK &&
         freshet_model_row_is_later(state.learned);
}
