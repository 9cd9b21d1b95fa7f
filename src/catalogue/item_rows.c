/* item_rows.c: see item_rows.h. */
#include "catalogue/item_rows.h"

#include <string.h>

void freshet_item_row_put(freshet_store* store, const freshet_record* record, freshet_buffer* scratch) {
  scratch->size = 0;
  freshet_buffer_append(scratch, &record->partition, sizeof record->partition);
  freshet_buffer_append(scratch, record->value.data, record->value.size);
  freshet_store_put(store, FRESHET_FAMILY_CATALOGUE, 0, record->key, freshet_buffer_slice(scratch));
}

bool freshet_item_row_parse(freshet_slice row, int32_t* partition, freshet_slice* record) {
  if (row.size < sizeof *partition) return false;
  memcpy(partition, row.data, sizeof *partition);
  *record = (freshet_slice){row.data + sizeof *partition, row.size - sizeof *partition};
  return true;
}

freshet_status freshet_damaged_row(freshet_error* error, const char* what) {
  return freshet_error_set(
      error, FRESHET_DAMAGED, FRESHET_STOP,
      "the state folder holds a damaged row of %s: move the folder away and start again, and "
      "everything is restored from Kafka",
      what);
}

bool freshet_item_row_find(freshet_store* store, freshet_codec* codec, freshet_slice item_id,
                           freshet_buffer* scratch, freshet_item* item) {
  int32_t partition;
  freshet_slice record;
  scratch->size = 0;
  return freshet_store_get(store, FRESHET_FAMILY_CATALOGUE, 0, item_id, scratch, NULL) == FRESHET_OK &&
         freshet_item_row_parse(freshet_buffer_slice(scratch), &partition, &record) &&
         freshet_decode_item(codec, record, item, NULL) == FRESHET_OK;
}
