/*
 * repair_lost.c: says in words what is lost by each record that cannot be used: of which user, item or fact. It owns the
 * ids of the items meanwhile, since records name items by keys, which are hashes. It changes nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalogue/state_check.h"
#include "catalogue/text_generations.h"
#include "commands/repair/repair.h"
#include "commands/scan.h"
#include "core/grow.h"
#include "users/dedup.h"

enum { NAMES_MAX = 5, NAME_SIZE = 96 };

typedef struct item_name {
  uint64_t key;
  char id[NAME_SIZE]; /* empty: `items` does not have it */
} item_name;

typedef struct item_names {
  item_name* list; /* [count] by key, each once */
  size_t count, capacity;
} item_names;

/* ---- ids of items ---- */

static int by_item_key(const void* a, const void* b) {
  const uint64_t x = ((const item_name*)a)->key, y = ((const item_name*)b)->key;
  return (x > y) - (x < y);
}

static void want(item_names* names, uint64_t key) {
  names->list = freshet_grow(names->list, &names->capacity, names->count + 1, sizeof *names->list);
  names->list[names->count++] = (item_name){.key = key};
}

static bool read_delta(const freshet_repair* repair, const freshet_bad_record* bad,
                       freshet_model_delta* delta) {
  freshet_slice worker;
  return bad->topic == FRESHET_TOPIC_ITEM_DELTAS && bad->has_value &&
         freshet_decode_item_delta(repair->codec, freshet_buffer_slice(&bad->value), &worker, delta, NULL) ==
             FRESHET_OK;
}

static uint64_t key_in(const freshet_model_delta* delta, size_t i) {
  uint64_t key;
  memcpy(&key, delta->items.data + i * sizeof key, sizeof key);
  return key;
}

static void want_those_of(item_names* names, const freshet_repair* repair, const freshet_bad_record* bad) {
  freshet_model_delta delta;
  uint64_t key;
  if (read_delta(repair, bad, &delta)) {
    for (size_t i = 0; i < NAMES_MAX && i < delta.items.size / sizeof key; i++)
      want(names, key_in(&delta, i));
  } else if (bad->topic == FRESHET_TOPIC_ITEM_STATES &&
             freshet_state_check_is_item(freshet_bad_key(bad), &key)) {
    want(names, key);
  }
}

static void tidy(item_names* names) {
  size_t kept = 0;
  qsort(names->list, names->count, sizeof *names->list, by_item_key);
  for (size_t i = 0; i < names->count; i++) {
    if (kept == 0 || names->list[kept - 1].key != names->list[i].key) names->list[kept++] = names->list[i];
  }
  names->count = kept;
}

static item_name* find(const item_names* names, uint64_t key) {
  const item_name wanted = {.key = key};
  return names->count == 0 ? NULL
                           : bsearch(&wanted, names->list, names->count, sizeof *names->list, by_item_key);
}

static void show(freshet_slice id, char out[NAME_SIZE]) {
  size_t size = id.size < NAME_SIZE - 1 ? id.size : NAME_SIZE - 1;
  for (size_t i = 0; i < size; i++) out[i] = (unsigned char)id.data[i] < ' ' ? '.' : id.data[i];
  out[size] = '\0';
}

static freshet_status take_id(void* context, const freshet_record* record, freshet_error* error) {
  (void)error;
  item_name* name = find(context, freshet_id_key(record->key));
  if (name != NULL) show(record->key, name->id);
  return FRESHET_OK;
}

static freshet_status find_names(freshet_repair* repair, item_names* names, freshet_error* error) {
  for (size_t i = 0; i < repair->bad_count; i++) want_those_of(names, repair, &repair->bad[i]);
  if (names->count == 0) return FRESHET_OK;
  tidy(names);
  const freshet_scan scan = {.reader = repair->reader,
                             .topic = FRESHET_TOPIC_ITEMS,
                             .name = repair->kafka.topics[FRESHET_TOPIC_ITEMS],
                             .take = take_id,
                             .context = names};
  return freshet_scan_topic(&scan, error);
}

/* ---- in words ---- */

static int name_item(const item_names* names, uint64_t key, char* out, size_t size) {
  const item_name* name = find(names, key);
  if (name != NULL && name->id[0] != '\0') return snprintf(out, size, "'%s'", name->id);
  return snprintf(out, size, "%016" PRIx64 " (not in the items topic)", key);
}

/* "4 events about 7 items: 'a', 'b', 'c', 'd', 'e', ..." */
static void describe_delta(const item_names* names, const freshet_model_delta* delta, char* out,
                           size_t size) {
  const size_t items = delta->items.size / sizeof(uint64_t);
  int at = snprintf(out, size, "%" PRIu64 " events about %zu items", (uint64_t)delta->events, items);
  for (size_t i = 0; i < items && i < NAMES_MAX && at > 0 && (size_t)at < size; i++) {
    at += snprintf(out + at, size - (size_t)at, i == 0 ? ": " : ", ");
    if ((size_t)at < size) at += name_item(names, key_in(delta, i), out + at, size - (size_t)at);
  }
  if (items > NAMES_MAX && at > 0 && (size_t)at < size) snprintf(out + at, size - (size_t)at, ", ...");
}

static void tell_delta(const freshet_repair* repair, const item_names* names, freshet_bad_record* bad) {
  char about[FRESHET_REPAIR_LOST_SIZE / 2] = "events and items that cannot be told";
  freshet_model_delta delta;
  if (read_delta(repair, bad, &delta)) describe_delta(names, &delta, about, sizeof about);
  const char* format = bad->is_suspect  ? "nothing more; what it says of %s may be part of the items already"
                       : bad->is_sealed ? "what was learned from %s"
                                        : "nothing of this app's; it speaks of %s";
  snprintf(bad->lost, sizeof bad->lost, format, about);
}

/* "user 'u1'", "the dedup window of partition 3", ... */
static void name_subject(const item_names* names, const freshet_bad_record* bad, char* out, size_t size) {
  const freshet_slice key = freshet_bad_key(bad);
  char shown[NAME_SIZE];
  uint64_t item_key;
  int32_t tag;
  freshet_slice id;
  show(key, shown);
  if (bad->topic == FRESHET_TOPIC_APP_GENERATIONS) {
    snprintf(out, size, "the fact '%s'", shown);
  } else if (bad->topic == FRESHET_TOPIC_USERS) {
    bool is_window = key.size > 0 && key.data[0] == '\0';
    if (is_window) snprintf(out, size, "a part of the dedup window of partition %d", (int)bad->partition);
    if (!is_window) snprintf(out, size, "user '%s'", shown);
  } else if (freshet_state_check_is_item(key, &item_key)) {
    int at = snprintf(out, size, "item ");
    name_item(names, item_key, out + at, size - (size_t)at);
  } else if (freshet_text_generation_parse_key(key, &tag, &id)) {
    show(id, shown);
    snprintf(out, size, "the text vector of item '%s'", shown);
  } else {
    snprintf(out, size, "what belongs to no single item (key '%s')", shown);
  }
}

static void tell_row(const item_names* names, freshet_bad_record* bad) {
  char subject[2 * NAME_SIZE];
  const long long good = bad->good.offset;
  name_subject(names, bad, subject, sizeof subject);
  if (!bad->has_key) {
    snprintf(bad->lost, sizeof bad->lost, "nothing: it has no key");
  } else if (good > bad->offset) {
    snprintf(bad->lost, sizeof bad->lost, "nothing: of %s the record at offset %lld counts", subject, good);
  } else if (good >= 0) {
    snprintf(bad->lost, sizeof bad->lost, "%s: of %s the record at offset %lld counts",
             bad->is_sealed ? "the newest state" : "nothing", subject, good);
  } else {
    snprintf(
        bad->lost, sizeof bad->lost, "%s%s: the log has no other record of it",
        bad->is_sealed ? "all that is known of " : "nothing of this app's, unless it was compacted away; ",
        subject);
  }
}

freshet_status freshet_repair_tell_losses(freshet_repair* repair, freshet_error* error) {
  item_names names = {0};
  freshet_status status = find_names(repair, &names, error);
  for (size_t i = 0; status == FRESHET_OK && i < repair->bad_count; i++) {
    if (repair->bad[i].topic == FRESHET_TOPIC_ITEM_DELTAS)
      tell_delta(repair, &names, &repair->bad[i]);
    else
      tell_row(&names, &repair->bad[i]);
  }
  free(names.list);
  return status;
}
