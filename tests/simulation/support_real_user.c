/* support_real_user.c: see support_real_user.h. */
#include "support_real_user.h"

static bool take_row(void* context, freshet_slice key, freshet_slice value) {
  freshet_buffer* row = context;
  if (key.data[0] == '\0') return true;
  freshet_buffer_append(row, value.data, value.size);
  return false;
}

freshet_user_state sim_real_user(freshet_store* store, freshet_codec* codec, freshet_buffer* row) {
  const freshet_slice all = {NULL, 0};
  freshet_user_state state;
  FRESHET_ASSERT(freshet_store_scan(store, FRESHET_FAMILY_USERS, 0, all, take_row, row, NULL) == FRESHET_OK);
  FRESHET_ASSERT(row->size > 0);
  FRESHET_ASSERT(freshet_decode_user_state(codec, freshet_buffer_slice(row), &state, NULL) == FRESHET_OK);
  state.listed_offset = state.newest_offset;
  state.refresh_since_ms = 0;
  state.listed_count = 0;
  return state;
}

int64_t sim_send_click(sim_cluster* cluster, freshet_codec* codec, const char* event_id,
                       const char* user_id) {
  const freshet_event event = {.type = FRESHET_CLICK,
                               .event_id = freshet_slice_of(event_id),
                               .user_id = freshet_slice_of(user_id),
                               .item_id = freshet_slice_of("i1"),
                               .occurred_at_ms = sim_now_ms(cluster),
                               .dwell_s = 10};
  freshet_buffer value = {0};
  FRESHET_ASSERT(freshet_encode_event(codec, &event, &value, NULL) == FRESHET_OK);
  const sim_record* record = sim_append(cluster, -1,
                                        &(freshet_output){.topic = FRESHET_TOPIC_EVENTS,
                                                          .partition = 0,
                                                          .key = event.user_id,
                                                          .has_value = true,
                                                          .value = freshet_buffer_slice(&value)});
  freshet_buffer_free(&value);
  return record->offset;
}
