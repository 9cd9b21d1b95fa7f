/* link_rows.c: see link_rows.h. */
#include "catalogue/link_rows.h"

#include "catalogue/text_generations.h"

enum { BATCH_ROWS = 4096 }; /* between two writes of the store */

static bool load_row(void* context, freshet_slice key, freshet_slice value) {
  freshet_model* model = context;
  uint64_t item_key;
  if (key.size != sizeof item_key) return true; /* damaged; what a row does not tell is found again */
  memcpy(&item_key, key.data, sizeof item_key);
  uint32_t slot = freshet_model_find_key(model, item_key);
  if (slot != FRESHET_NO_ITEM) freshet_model_read_links(model, slot, value);
  return true;
}

freshet_status freshet_link_rows_load(freshet_store* store, freshet_model* model, freshet_error* error) {
  if (freshet_model_get_config(model)->text_dim == 0) return FRESHET_OK;
  freshet_status status = freshet_store_scan(store, FRESHET_FAMILY_ITEMS, FRESHET_ITEMS_LINKS,
                                             (freshet_slice){NULL, 0}, load_row, model, error);
  freshet_model_keep_links(model);
  return status;
}

freshet_status freshet_link_rows_store(freshet_store* store, const freshet_model* model,
                                       freshet_error* error) {
  if (freshet_model_get_config(model)->text_dim == 0) return FRESHET_OK;
  freshet_status status = FRESHET_OK;
  freshet_buffer row = {0};
  freshet_store_clear(store, FRESHET_FAMILY_ITEMS, FRESHET_ITEMS_LINKS);
  for (uint32_t slot = 0; status == FRESHET_OK && slot < freshet_model_item_count(model); slot++) {
    uint64_t key = freshet_model_item_key(model, slot);
    row.size = 0;
    if (slot % BATCH_ROWS == BATCH_ROWS - 1) status = freshet_store_write(store, error);
    if (!freshet_model_write_links(model, slot, &row)) continue;
    freshet_store_put(store, FRESHET_FAMILY_ITEMS, FRESHET_ITEMS_LINKS,
                      (freshet_slice){(const char*)&key, sizeof key}, freshet_buffer_slice(&row));
  }
  freshet_buffer_free(&row);
  if (status == FRESHET_OK) status = freshet_store_write(store, error);
  return status;
}
