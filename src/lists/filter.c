/* filter.c: see filter.h. One pass over all items. */
#include "lists/filter.h"

enum { KEYS_MAX = 2 * FRESHET_REQUEST_IDS_MAX };

typedef struct keys {
  uint64_t keys[KEYS_MAX];
  size_t include_count, count; /* those to include, then those to exclude */
} keys;

bool freshet_filter_asked(const freshet_request* request) {
  return request->include_category_count > 0 || request->exclude_category_count > 0 ||
         request->min_age_s > 0 || request->kind == FRESHET_REQUEST_POPULAR;
}

static bool has_any(const freshet_facets* facets, uint32_t slot, const uint64_t* wanted, size_t count) {
  size_t category_count;
  const uint64_t* categories = freshet_facets_categories(facets, slot, &category_count);
  for (size_t c = 0; c < category_count; c++) {
    for (size_t i = 0; i < count; i++) {
      if (categories[c] == wanted[i]) return true;
    }
  }
  return false;
}

size_t freshet_filter_items(const freshet_items* items, const freshet_request* request, int64_t now_ms,
                            uint64_t* allowed) {
  const freshet_model* model = freshet_items_model(items);
  const freshet_facets* facets = freshet_listing_facets(freshet_items_listing(items));
  size_t slots = freshet_model_item_count(model), passed = 0;
  int64_t youngest_ms = request->min_age_s < now_ms / 1000 ? now_ms - request->min_age_s * 1000 : 0;
  const bool only_chosen = request->kind == FRESHET_REQUEST_POPULAR;
  keys k = {.include_count = request->include_category_count};
  for (size_t i = 0; i < request->include_category_count; i++)
    k.keys[k.count++] = freshet_category_key(request->include_categories[i]);
  for (size_t i = 0; i < request->exclude_category_count; i++)
    k.keys[k.count++] = freshet_category_key(request->exclude_categories[i]);
  memset(allowed, 0, (slots / 64 + 1) * sizeof *allowed);
  for (uint32_t slot = 0; slot < slots; slot++) {
    bool passes = freshet_model_is_listed(model, slot) &&
                  (k.include_count == 0 || has_any(facets, slot, k.keys, k.include_count)) &&
                  !has_any(facets, slot, k.keys + k.include_count, k.count - k.include_count) &&
                  (!only_chosen || freshet_model_item_weight(model, slot) > 0) &&
                  (request->min_age_s == 0 || freshet_facets_created_ms(facets, slot) <= youngest_ms);
    allowed[slot / 64] |= (uint64_t)passes << slot % 64;
    passed += passes;
  }
  return passed;
}
