/*
 * input_census.c: the counts of input_census.h. Sets of ids are tables of hashes; equal reasons are told by their
 * text without values.
 */
#include "commands/input/input_census.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands/input/input_types.h"

enum {
  IDS = 1 << 20,     /* places for ids of events; a newer id takes an older one's */
  SET_MAX = 1 << 21, /* ids of users, of items; more are not counted */
  REASONS_MAX = 200,
  REASONS_SHOWN = 10,
  WORDS_MAX = 100,
  WORDS_SHOWN = 10,
  TEXT_SIZE = 200,
  EXAMPLE_SIZE = 600,
  WORD_SIZE = 60,
  DAYS = 1 << 20,
};

typedef struct id_seen {
  uint64_t id, pair; /* pair: of user and item */
} id_seen;

/* Open addressing; 0 is free. */
typedef struct id_set {
  uint64_t* keys;
  uint32_t* counts; /* events of an item; NULL: not counted */
  bool* marks;      /* the item has an Item */
  size_t buckets, count;
  bool full;
} id_set;

typedef struct reason {
  char text[TEXT_SIZE];
  char example[EXAMPLE_SIZE];
  uint64_t count;
} reason;

typedef struct word {
  char text[WORD_SIZE];
  uint64_t count;
} word;

struct freshet_census {
  freshet_census_counts counts;
  id_seen* ids; /* [IDS], or NULL before the first */
  id_set users, items;
  reason* reasons;
  size_t reason_count;
  uint64_t other_reasons;
  word words[WORDS_MAX];
  size_t word_count;
  uint64_t other_words;
  char first[EXAMPLE_SIZE]; /* event, in words */
  json_t* mappings;         /* path: text */
};

freshet_census* freshet_census_create(void) {
  freshet_census* census = calloc(1, sizeof *census);
  FRESHET_ASSERT(census != NULL);
  census->reasons = calloc(REASONS_MAX, sizeof *census->reasons);
  census->mappings = json_object();
  FRESHET_ASSERT(census->reasons != NULL && census->mappings != NULL);
  return census;
}

static void free_set(id_set* set) {
  free(set->keys);
  free(set->counts);
  free(set->marks);
}

void freshet_census_destroy(freshet_census* census) {
  if (census == NULL) return;
  free(census->ids);
  free_set(&census->users);
  free_set(&census->items);
  free(census->reasons);
  json_decref(census->mappings);
  free(census);
}

freshet_census_counts* freshet_census_counts_of(freshet_census* census) {
  return &census->counts;
}

/* ---- sets ---- */

static size_t place_of(const id_set* set, uint64_t key) {
  size_t at = (key * 0x9e3779b97f4a7c15u) >> 20 & (set->buckets - 1);
  while (set->keys[at] != 0 && set->keys[at] != key) at = (at + 1) & (set->buckets - 1);
  return at;
}

static void grow(id_set* set, bool counted) {
  id_set larger = {.buckets = set->buckets == 0 ? 1024 : set->buckets * 2, .count = set->count};
  larger.keys = calloc(larger.buckets, sizeof *larger.keys);
  FRESHET_ASSERT(larger.keys != NULL);
  if (counted) {
    larger.counts = calloc(larger.buckets, sizeof *larger.counts);
    larger.marks = calloc(larger.buckets, sizeof *larger.marks);
    FRESHET_ASSERT(larger.counts != NULL && larger.marks != NULL);
  }
  for (size_t i = 0; i < set->buckets; i++) {
    if (set->keys[i] == 0) continue;
    size_t at = place_of(&larger, set->keys[i]);
    larger.keys[at] = set->keys[i];
    if (counted) larger.counts[at] = set->counts[i];
    if (counted) larger.marks[at] = set->marks[i];
  }
  free_set(set);
  *set = larger;
}

/* The place of an id that is in the set now; SIZE_MAX when it is full. */
static size_t add(id_set* set, uint64_t key, bool counted) {
  if (key == 0) key = 1;
  if (2 * (set->count + 1) > set->buckets && set->buckets < 2 * (size_t)SET_MAX) grow(set, counted);
  size_t at = place_of(set, key);
  if (set->keys[at] == key) return at;
  if (set->count == SET_MAX) {
    set->full = true;
    return SIZE_MAX;
  }
  set->keys[at] = key;
  set->count++;
  return at;
}

/* ---- records ---- */

/* Has the id come before? Ids that were made are their own. */
static bool is_repeated(freshet_census* census, const freshet_event* event, uint64_t user, uint64_t item) {
  if (census->ids == NULL) census->ids = calloc(IDS, sizeof *census->ids);
  FRESHET_ASSERT(census->ids != NULL);
  uint64_t id = freshet_id_key(event->event_id), pair = user * 31 + item;
  id_seen* seen = &census->ids[id % IDS];
  bool repeated = seen->id == id;
  if (repeated && seen->pair == pair) census->counts.duplicates++;
  if (repeated && seen->pair != pair) census->counts.conflicts++;
  if (!repeated) *seen = (id_seen){id, pair};
  return repeated;
}

static void describe(char text[EXAMPLE_SIZE], const freshet_event* event) {
  static const char* const verbs[FRESHET_EVENT_TYPES] = {[FRESHET_CLICK] = "clicked",
                                                         [FRESHET_RATING] = "rated",
                                                         [FRESHET_PURCHASE] = "bought",
                                                         [FRESHET_FEEDBACK] = "gave feedback on"};
  char time[FRESHET_TIME_TEXT_SIZE], value[32] = "";
  freshet_time_text(event->occurred_at_ms, time);
  if (event->type == FRESHET_RATING) snprintf(value, sizeof value, " with %g", (double)event->rating);
  snprintf(text, EXAMPLE_SIZE, "user %.*s %s %.*s%s on %.10s at %.8s UTC",
           (int)(event->user_id.size < TEXT_SIZE ? event->user_id.size : TEXT_SIZE), event->user_id.data,
           verbs[event->type], (int)(event->item_id.size < TEXT_SIZE ? event->item_id.size : TEXT_SIZE),
           event->item_id.data, value, time, strlen(time) > 11 ? time + 11 : "");
}

static void take_event(freshet_census* census, const freshet_input_record* record, bool* repeats) {
  freshet_census_counts* counts = &census->counts;
  const freshet_event* event = &record->event;
  int64_t time_ms = event->occurred_at_ms;
  counts->events++;
  counts->by_type[event->type]++;
  counts->lost_prices += record->lost_price;
  counts->lost_quantities += record->lost_quantity;
  if (counts->first_ms == 0 || time_ms < counts->first_ms) counts->first_ms = time_ms;
  counts->late += time_ms < counts->last_ms;
  if (time_ms > counts->last_ms) counts->last_ms = time_ms;
  if (census->first[0] == '\0') describe(census->first, event);
  uint64_t user = freshet_id_key(event->user_id), item = freshet_id_key(event->item_id);
  add(&census->users, user, false);
  size_t at = add(&census->items, item, true);
  if (at != SIZE_MAX) census->items.counts[at] += census->items.counts[at] < UINT32_MAX;
  *repeats = record->has_own_id && is_repeated(census, event, user, item);
}

void freshet_census_take(freshet_census* census, const freshet_input_record* record, bool* repeats) {
  freshet_census_counts* counts = &census->counts;
  *repeats = false;
  if (record->outcome == FRESHET_INPUT_LEFT_OUT) {
    counts->left_out++;
  } else if (record->outcome == FRESHET_INPUT_RETURNED) {
    counts->returns++;
  } else if (record->is_tombstone) {
    counts->erasures++;
  } else if (record->is_event) {
    take_event(census, record, repeats);
  } else {
    counts->items++;
    size_t at = add(&census->items, freshet_id_key(record->item.item_id), true);
    if (at != SIZE_MAX) census->items.marks[at] = true;
  }
}

/* ---- rejections ---- */

/* A reason without its values: what is in quotes and numbers. */
static void strip(const char* from, char to[TEXT_SIZE]) {
  static const char left_out[] = "'...'";
  size_t size = 0;
  bool quoted = false;
  for (; *from != '\0' && size + sizeof left_out < TEXT_SIZE; from++) {
    bool digit = isdigit((unsigned char)*from), again = digit && size > 0 && to[size - 1] == 'N';
    if (*from == '\'') {
      quoted = !quoted;
      if (!quoted) memcpy(to + size, left_out, sizeof left_out - 1), size += sizeof left_out - 1;
    } else if (!quoted && !again) {
      to[size++] = digit ? 'N' : *from;
    }
  }
  to[size] = '\0';
}

static void count_word(freshet_census* census, freshet_slice text) {
  char shown[WORD_SIZE];
  snprintf(shown, sizeof shown, "%.*s", (int)text.size, text.data);
  size_t i = 0;
  while (i < census->word_count && strcmp(census->words[i].text, shown) != 0) i++;
  if (i == WORDS_MAX) {
    census->other_words++;
    return;
  }
  if (i == census->word_count) snprintf(census->words[census->word_count++].text, WORD_SIZE, "%s", shown);
  census->words[i].count++;
}

void freshet_census_reject(freshet_census* census, const char* place, const freshet_input_record* record,
                           const char* why) {
  char text[TEXT_SIZE];
  census->counts.rejected++;
  freshet_slice type = record->fields[FRESHET_FIELD_TYPE];
  if (!record->decoded && type.size > 0 && strncmp(why, "type '", 6) == 0) count_word(census, type);
  strip(why, text);
  size_t i = 0;
  while (i < census->reason_count && strcmp(census->reasons[i].text, text) != 0) i++;
  if (i == REASONS_MAX) {
    census->other_reasons++;
    return;
  }
  reason* r = &census->reasons[i];
  if (i == census->reason_count) {
    census->reason_count++;
    memcpy(r->text, text, sizeof text);
    snprintf(r->example, sizeof r->example, "%s:%lu: %s", place, record->line, why);
  }
  r->count++;
}

void freshet_census_note_mapping(freshet_census* census, const char* path, freshet_slice mapping) {
  if (mapping.size == 0) return;
  json_t* text = json_stringn(mapping.data, mapping.size);
  if (text != NULL) json_object_set_new(census->mappings, path, text);
}

/* ---- results ---- */

void freshet_census_print(const freshet_census* census) {
  const freshet_census_counts* c = &census->counts;
  char first[FRESHET_TIME_TEXT_SIZE], last[FRESHET_TIME_TEXT_SIZE];
  printf("  events    %12" PRIu64, c->events);
  for (int type = 0; type < FRESHET_EVENT_TYPES; type++) {
    if (c->by_type[type] > 0)
      printf("  %s %" PRIu64, freshet_type_name((freshet_event_type)type), c->by_type[type]);
  }
  printf("\n  items     %12" PRIu64 "\n", c->items);
  printf("  rejected  %12" PRIu64 "\n", c->rejected);
  if (c->erasures > 0) printf("  erasures  %12" PRIu64 "\n", c->erasures);
  if (c->left_out > 0) printf("  left out  %12" PRIu64 "\n", c->left_out);
  if (c->returns > 0)
    printf("  returns   %12" PRIu64 "  (purchases of a negative quantity, left out)\n", c->returns);
  if (c->lost_prices > 0)
    printf("  no price  %12" PRIu64 "  (purchases whose price is no number, or negative)\n", c->lost_prices);
  if (c->lost_quantities > 0)
    printf("  no number %12" PRIu64
           "  (purchases whose quantity is no number to a million: it counts as 1)\n",
           c->lost_quantities);
  if (c->late > 0) printf("  late      %12" PRIu64 "  (older than an event before them)\n", c->late);
  if (c->duplicates > 0)
    printf("  repeated  %12" PRIu64 "  (the event_id came before: skipped as duplicates)\n", c->duplicates);
  if (c->first_ms != 0)
    printf("  from %s to %s\n", freshet_time_text(c->first_ms, first), freshet_time_text(c->last_ms, last));
}

static int by_count(const void* a, const void* b) {
  uint64_t x = ((const reason*)a)->count, y = ((const reason*)b)->count;
  return x < y ? 1 : x > y ? -1 : 0;
}

static int by_word_count(const void* a, const void* b) {
  uint64_t x = ((const word*)a)->count, y = ((const word*)b)->count;
  return x < y ? 1 : x > y ? -1 : 0;
}

/* Events of items that no Item describes. */
static uint64_t undescribed(const freshet_census* census) {
  uint64_t events = 0;
  for (size_t i = 0; i < census->items.buckets; i++)
    events += census->items.marks[i] ? 0 : census->items.counts[i];
  return events;
}

static size_t items_of_events(const freshet_census* census) {
  size_t items = 0;
  for (size_t i = 0; i < census->items.buckets; i++) items += census->items.counts[i] > 0;
  return items;
}

static void print_words(const freshet_census* census) {
  if (census->word_count == 0) return;
  word* sorted = malloc(census->word_count * sizeof *sorted);
  FRESHET_ASSERT(sorted != NULL);
  memcpy(sorted, census->words, census->word_count * sizeof *sorted);
  qsort(sorted, census->word_count, sizeof *sorted, by_word_count);
  printf("unknown types:");
  for (size_t i = 0; i < census->word_count && i < WORDS_SHOWN; i++)
    printf("%s %s %" PRIu64, i == 0 ? "" : ",", sorted[i].text, sorted[i].count);
  printf("\n  take them with --types '%s=click%s'; - in place of click leaves a type out\n", sorted[0].text,
         census->word_count > 1 ? ",..." : "");
  free(sorted);
}

static void print_reasons(const freshet_census* census) {
  reason* sorted = malloc((census->reason_count + 1) * sizeof *sorted);
  FRESHET_ASSERT(sorted != NULL);
  memcpy(sorted, census->reasons, census->reason_count * sizeof *sorted);
  qsort(sorted, census->reason_count, sizeof *sorted, by_count);
  if (census->reason_count > 0) printf("reasons, the most frequent first, with an example each:\n");
  for (size_t i = 0; i < census->reason_count && i < REASONS_SHOWN; i++)
    printf("  %10" PRIu64 "  %s\n", sorted[i].count, sorted[i].example);
  if (census->reason_count > REASONS_SHOWN)
    printf("  and %zu more reasons\n", census->reason_count - REASONS_SHOWN);
  free(sorted);
}

static const char* beyond(const id_set* set) {
  return set->full ? "more than " : "";
}

void freshet_census_print_more(const freshet_census* census) {
  const freshet_census_counts* c = &census->counts;
  const char* path;
  json_t* mapping;
  json_object_foreach(census->mappings, path, mapping)
      printf("fields of %s: %s\n", path, json_string_value(mapping));
  if (c->events > 0) {
    printf("first event: %s\n", census->first);
    printf("users %s%zu, items %s%zu", beyond(&census->users), census->users.count, beyond(&census->items),
           items_of_events(census));
    if (c->items > 0) printf("; %" PRIu64 " events are of items without an Item", undescribed(census));
    printf("\n");
  }
  if (c->conflicts > 0) {
    printf(
        "%" PRIu64 " of %" PRIu64
        " events repeat an event_id with another item or user: they will be skipped as duplicates; is it the "
        "number of an order or session? --derive-ids makes ids of their own\n",
        c->conflicts, c->events);
  }
  print_words(census);
  print_reasons(census);
}

/* ---- JSON ---- */

static void set_count(json_t* object, const char* name, uint64_t count) {
  json_object_set_new(object, name, json_integer((json_int_t)count));
}

static json_t* text_value(const char* text) {
  json_t* value = json_string(text);
  return value == NULL ? json_string("?") : value; /* not UTF-8 */
}

static json_t* reasons_json(const freshet_census* census) {
  reason* sorted = malloc((census->reason_count + 1) * sizeof *sorted);
  json_t* list = json_array();
  FRESHET_ASSERT(sorted != NULL && list != NULL);
  memcpy(sorted, census->reasons, census->reason_count * sizeof *sorted);
  qsort(sorted, census->reason_count, sizeof *sorted, by_count);
  for (size_t i = 0; i < census->reason_count && i < REASONS_SHOWN; i++) {
    json_t* r = json_object();
    set_count(r, "count", sorted[i].count);
    json_object_set_new(r, "example", text_value(sorted[i].example));
    json_array_append_new(list, r);
  }
  free(sorted);
  return list;
}

json_t* freshet_census_json(const freshet_census* census) {
  const freshet_census_counts* c = &census->counts;
  char time[FRESHET_TIME_TEXT_SIZE];
  json_t *object = json_object(), *types = json_object(), *words = json_object();
  FRESHET_ASSERT(object != NULL && types != NULL && words != NULL);
  set_count(object, "events", c->events);
  set_count(object, "items", c->items);
  set_count(object, "rejected", c->rejected);
  for (int type = 0; type < FRESHET_EVENT_TYPES; type++)
    set_count(types, freshet_type_name((freshet_event_type)type), c->by_type[type]);
  json_object_set_new(object, "types", types);
  set_count(object, "erasures", c->erasures);
  set_count(object, "left_out", c->left_out);
  set_count(object, "returns", c->returns);
  set_count(object, "lost_prices", c->lost_prices);
  set_count(object, "lost_quantities", c->lost_quantities);
  set_count(object, "late", c->late);
  set_count(object, "duplicates", c->duplicates);
  set_count(object, "conflicting_ids", c->conflicts);
  json_object_set_new(object, "from",
                      c->first_ms == 0 ? json_null() : json_string(freshet_time_text(c->first_ms, time)));
  json_object_set_new(object, "to",
                      c->first_ms == 0 ? json_null() : json_string(freshet_time_text(c->last_ms, time)));
  json_object_set(object, "mappings", census->mappings);
  json_object_set_new(object, "first_event", c->events == 0 ? json_null() : text_value(census->first));
  set_count(object, "users", census->users.count);
  set_count(object, "items_of_events", items_of_events(census));
  set_count(object, "events_without_item", undescribed(census));
  for (size_t i = 0; i < census->word_count; i++) {
    json_t* count = json_integer((json_int_t)census->words[i].count);
    if (json_object_set_new(words, census->words[i].text, count) != 0) continue; /* not UTF-8 */
  }
  json_object_set_new(object, "unknown_types", words);
  json_object_set_new(object, "reasons", reasons_json(census));
  return object;
}

void freshet_census_add_to(const freshet_census* census, json_t* object) {
  set_count(object, "events", census->counts.events);
  set_count(object, "items", census->counts.items);
  set_count(object, "rejected", census->counts.rejected);
  json_object_set_new(object, "input", freshet_census_json(census));
}
