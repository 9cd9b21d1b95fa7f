/* changed_rows.c: see changed_rows.h. */
#include "worker/changed_rows.h"

#include "users/dedup.h"

/* A row of the changelog; value NULL: a tombstone. The store gets it too once the commit has ended. */
static void keep_row(freshet_outbox* outbox, int32_t partition, freshet_slice key,
                     const freshet_buffer* value) {
  const freshet_output row = {
      .topic = FRESHET_TOPIC_USERS,
      .partition = partition,
      .key = key,
      .has_value = value != NULL,
      .value = value == NULL ? (freshet_slice){NULL, 0} : freshet_buffer_slice(value)};
  freshet_outbox_add(outbox, &row, FRESHET_WITH_COMMIT, NULL);
}

freshet_status freshet_changed_rows_keep_users(freshet_outbox* outbox, freshet_users* users, size_t first,
                                               size_t most, freshet_buffer* scratch, freshet_error* error) {
  freshet_user_row* const* rows;
  const size_t count = freshet_users_changed(users, &rows);
  const size_t end = first < count && most < count - first ? first + most : count;
  freshet_status status = FRESHET_OK;
  for (size_t i = first; status == FRESHET_OK && i < end; i++) {
    if (rows[i]->is_written) continue;
    rows[i]->is_written = true;
    scratch->size = 0;
    freshet_users_announce_changed(users, i);
    if (rows[i]->exists) status = freshet_users_encode(users, rows[i], scratch, error);
    keep_row(outbox, rows[i]->partition, freshet_user_row_id(rows[i]), rows[i]->exists ? scratch : NULL);
  }
  return status;
}

void freshet_changed_rows_keep_dedup(freshet_outbox* outbox, freshet_held* held, freshet_buffer* scratch) {
  uint8_t key[FRESHET_DEDUP_KEY_SIZE];
  freshet_slice key_slice = {(const char*)key, sizeof key};
  FRESHET_HELD_EACH(partition, held, FRESHET_TOPIC_EVENTS) {
    freshet_dedup* dedup = partition->dedup;
    for (scratch->size = 0; freshet_dedup_take_chunk(dedup, key, scratch); scratch->size = 0)
      keep_row(outbox, partition->partition, key_slice, scratch);
    while (freshet_dedup_take_expired(dedup, key)) keep_row(outbox, partition->partition, key_slice, NULL);
  }
}
