/*
 * input_names.c: fields and maps of input_names.h.
 */
#include "commands/input/input_names.h"

#include <ctype.h>

enum { SHOWN = 40 };

const char* const freshet_field_names[FRESHET_FIELDS] = {
    "event_id",  "type",       "user_id",    "item_id",      "value", "occurred_at", "dwell_s",
    "quantity",  "price",      "place",      "list_version", "title", "text",        "categories",
    "available", "expires_at", "created_at", "attributes",   "vector"};

/* The other usual name, by the schemas of our own topics. */
static const char* const usual_names[FRESHET_FIELDS] = {
    [FRESHET_FIELD_VALUE] = "rating", [FRESHET_FIELD_TEXT] = "description"};

int freshet_field_of(freshet_slice name) {
  for (int f = 0; f < FRESHET_FIELDS; f++) {
    if (freshet_slice_equal(name, freshet_slice_of(freshet_field_names[f]))) return f;
  }
  return -1;
}

bool freshet_field_is_of_events(freshet_field field) {
  return field <= FRESHET_FIELD_LIST_VERSION;
}

bool freshet_field_is_of_items(freshet_field field) {
  return field == FRESHET_FIELD_ITEM_ID || field > FRESHET_FIELD_LIST_VERSION;
}

static freshet_status map_entry(freshet_slice entry, freshet_input_map* map, freshet_error* error) {
  const char* equals = memchr(entry.data, '=', entry.size);
  if (equals != NULL) {
    freshet_slice ours = {entry.data, (size_t)(equals - entry.data)};
    freshet_slice theirs = {equals + 1, entry.size - ours.size - 1};
    int field = theirs.size > 0 ? freshet_field_of(ours) : -1;
    if (field >= 0) {
      map->names[field] = theirs;
      map->given[field] = true;
      return FRESHET_OK;
    }
  }
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "map: '%.*s' is not FIELD=NAME with one of our fields",
                           (int)(entry.size < SHOWN ? entry.size : SHOWN), entry.data);
}

freshet_status freshet_input_map_parse(const char* text, freshet_input_map* map, freshet_error* error) {
  *map = (freshet_input_map){0};
  for (int f = 0; f < FRESHET_FIELDS; f++) map->names[f] = freshet_slice_of(freshet_field_names[f]);
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && text != NULL && *text != '\0') {
    size_t size = strcspn(text, ",");
    status = map_entry((freshet_slice){text, size}, map, error);
    text += size + (text[size] == ',');
  }
  return status;
}

/* The next byte that counts, in lower case; -1 at the end. */
static int next_letter(freshet_slice* name) {
  while (name->size > 0) {
    unsigned char byte = (unsigned char)*name->data;
    name->data++;
    name->size--;
    if (byte == ' ' || byte == '_' || byte == '-' || byte == '.' || byte == '"' || byte == '\r' ||
        byte == '\n')
      continue;
    return tolower(byte);
  }
  return -1;
}

bool freshet_name_is_like(freshet_slice a, freshet_slice b) {
  for (;;) {
    int x = next_letter(&a), y = next_letter(&b);
    if (x != y) return false;
    if (x < 0) return true;
  }
}

int freshet_input_map_match(const freshet_input_map* map, freshet_field field, freshet_slice column) {
  if (freshet_slice_equal(map->names[field], column)) return 3;
  if (freshet_name_is_like(map->names[field], column)) return 2;
  if (field == FRESHET_FIELD_ITEM_ID && map->own_item_id &&
      freshet_name_is_like(freshet_slice_of(freshet_field_names[field]), column))
    return 1;
  bool is_usual = !map->given[field] && usual_names[field] != NULL &&
                  freshet_name_is_like(freshet_slice_of(usual_names[field]), column);
  return is_usual ? 1 : 0;
}

void freshet_input_map_list(const freshet_input_map* map, freshet_buffer* out) {
  for (int f = 0; f < FRESHET_FIELDS; f++) {
    if (f > 0) freshet_buffer_append(out, ",", 1);
    freshet_buffer_append(out, map->names[f].data, map->names[f].size);
  }
  freshet_buffer_append(out, "", 1);
}
