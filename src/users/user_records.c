/* user_records.c: see user_records.h. It changes nothing. */
#include "users/user_records.h"

#include "stream/state_skipped.h"
#include "users/dedup.h"

freshet_status freshet_user_record_check(freshet_codec* codec, uint32_t dim, const freshet_record* record,
                                         freshet_error* error) {
  freshet_user_state state;
  if (!record->has_value) return FRESHET_OK;
  if (record->key.size > 0 && record->key.data[0] == '\0')
    return freshet_dedup_check(record->key, record->value, error);
  freshet_status status = freshet_decode_user_state(codec, record->value, &state, error);
  if (status != FRESHET_OK) return status;
  if (!freshet_slice_equal(state.user_id, record->key))
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "the row is of another user than its key");
  if (dim == 0 || state.vector == NULL || state.dim == dim) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "the user's vector has %zu dimensions, and model.dim is %u", state.dim, dim);
}

freshet_status freshet_user_record_judge(const freshet_user_records* records, const freshet_record* record,
                                         bool* is_usable, freshet_error* error) {
  freshet_error cause = {0};
  freshet_status status = freshet_user_record_check(records->codec, 0, record, &cause);
  *is_usable = status == FRESHET_OK;
  return freshet_state_judge(records->logger, records->metrics, records->topic, record, status, &cause,
                             error);
}
