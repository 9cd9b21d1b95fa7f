/*
 * text_generations.c: see text_generations.h. The fact and the tags that were ever met are rows of the store, in
 * partition FRESHET_ITEMS_FACTS of the family of items.
 */
#include "catalogue/text_generations.h"

#include <stdio.h>

#include "catalogue/item_rows.h"

static const freshet_slice vector_key = {"\0text", 5};
static const freshet_slice serving_key = {"\0serving", 8};
static const freshet_slice tag_key = {"tag", 3}; /* in the store, before the tag */

freshet_text_generation freshet_text_generation_of(freshet_slice name, uint32_t dim) {
  freshet_text_generation generation = {.dim = dim};
  int32_t tag = (int32_t)(freshet_id_key(name) & INT32_MAX);
  generation.tag = tag > FRESHET_ITEMS_LINKS ? tag : tag + FRESHET_ITEMS_LINKS + 1;
  snprintf(generation.name, sizeof generation.name, "%.*s", (int)name.size, name.data);
  return generation;
}

/* ---- keys ---- */

void freshet_text_generation_key(int32_t tag, freshet_slice item_id, freshet_buffer* out) {
  freshet_buffer_append(out, vector_key.data, vector_key.size);
  freshet_buffer_append(out, &tag, sizeof tag);
  freshet_buffer_append(out, item_id.data, item_id.size);
}

bool freshet_text_generation_parse_key(freshet_slice key, int32_t* tag, freshet_slice* item_id) {
  size_t head = vector_key.size + sizeof *tag;
  if (key.size <= head || memcmp(key.data, vector_key.data, vector_key.size) != 0) return false;
  memcpy(tag, key.data + vector_key.size, sizeof *tag);
  *item_id = (freshet_slice){key.data + head, key.size - head};
  return *tag > FRESHET_ITEMS_LINKS;
}

freshet_slice freshet_text_generation_serving_key(void) {
  return serving_key;
}

/* ---- the fact ---- */

static freshet_status take_fact(freshet_text_generations* generations, const freshet_ports* ports,
                                freshet_slice value, freshet_text_generation* serving, freshet_error* error) {
  freshet_text_generation_fact fact;
  freshet_status status = freshet_decode_text_generation_fact(ports->codec, value, &fact, error);
  if (status != FRESHET_OK) return status;
  *serving = freshet_text_generation_of(fact.encoder, fact.dim);
  generations->switches = fact.switches;
  generations->recorded = true;
  return FRESHET_OK;
}

freshet_status freshet_text_generations_load(freshet_text_generations* generations,
                                             const freshet_ports* ports, freshet_error* error) {
  freshet_store* store = ports->store;
  *generations = (freshet_text_generations){0};
  if (ports->encoder == NULL) return FRESHET_OK;
  generations->own = freshet_text_generation_of(freshet_slice_of(ports->encoder->name), ports->encoder->dim);
  generations->serving = generations->own;
  freshet_buffer row = {0};
  freshet_status status =
      freshet_store_get(store, FRESHET_FAMILY_ITEMS, FRESHET_ITEMS_FACTS, serving_key, &row, error);
  if (status == FRESHET_OK) {
    status = take_fact(generations, ports, freshet_buffer_slice(&row), &generations->serving, error);
  } else if (status == FRESHET_NOT_FOUND) {
    freshet_error_clear(error);
    status = FRESHET_OK;
  }
  freshet_buffer_free(&row);
  freshet_text_generations_note(ports, generations->own.tag);
  freshet_text_generations_note(ports, generations->serving.tag);
  return status;
}

freshet_status freshet_text_generations_apply(freshet_text_generations* generations,
                                              const freshet_ports* ports, const freshet_record* record,
                                              freshet_error* error) {
  if (!record->has_value) return FRESHET_OK;
  /* Kept without an encoder too: the store says that it reflects the log up to here. */
  freshet_store_put(ports->store, FRESHET_FAMILY_ITEMS, FRESHET_ITEMS_FACTS, serving_key, record->value);
  if (generations->own.dim == 0) return FRESHET_OK;
  freshet_text_generation said;
  freshet_status status = take_fact(generations, ports, record->value, &said, error);
  if (status != FRESHET_OK) return status;
  generations->outdated = said.tag != generations->serving.tag;
  return FRESHET_OK;
}

/* ---- all there are ---- */

void freshet_text_generations_note(const freshet_ports* ports, int32_t tag) {
  char key[8];
  memcpy(key, tag_key.data, tag_key.size);
  memcpy(key + tag_key.size, &tag, sizeof tag);
  freshet_store_put(ports->store, FRESHET_FAMILY_ITEMS, FRESHET_ITEMS_FACTS,
                    (freshet_slice){key, tag_key.size + sizeof tag}, (freshet_slice){"", 0});
}

typedef struct tag_visit {
  void (*visit)(void* context, int32_t tag);
  void* context;
  freshet_status status;
  freshet_error* error;
} tag_visit;

static bool visit_tag(void* context, freshet_slice key, freshet_slice value) {
  tag_visit* v = context;
  int32_t tag;
  (void)value;
  if (key.size != tag_key.size + sizeof tag) {
    v->status = freshet_damaged_row(v->error, "text generations");
    return false;
  }
  memcpy(&tag, key.data + tag_key.size, sizeof tag);
  v->visit(v->context, tag);
  return true;
}

freshet_status freshet_text_generations_each(const freshet_ports* ports,
                                             void (*visit)(void* context, int32_t tag), void* context,
                                             freshet_error* error) {
  tag_visit v = {visit, context, FRESHET_OK, error};
  freshet_status status = freshet_store_scan(ports->store, FRESHET_FAMILY_ITEMS, FRESHET_ITEMS_FACTS, tag_key,
                                             visit_tag, &v, error);
  if (status == FRESHET_OK) status = v.status;
  return status;
}
