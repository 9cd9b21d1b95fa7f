/* catalogue.c: see catalogue.h. Its rows in the store are those of item_rows.h. */
#include "catalogue/catalogue.h"

#include <stdlib.h>

#include "catalogue/item_rows.h"
#include "catalogue/late_items.h"
#include "stream/mark.h"

enum {
  READMIT_SHARE = 20,
  MARK_PLACE = 1 << 30, /* in the store: plus a partition of `items`, the mark of its position */
};

struct freshet_catalogue {
  freshet_ports ports;
  freshet_model* model;
  freshet_listing* listing;
  freshet_texts* texts;
  int32_t partitions;
  freshet_mark* marks; /* [partitions] of the last record that was applied */
  freshet_buffer row;
  freshet_late_items late;
  bool has_refused;   /* a row of the store is of an item that found no slot */
  int64_t readmit_us; /* not before, rows are looked through for such items */
  uint64_t schemas;   /* version of the codec as of the last retry of the late ones */
  size_t undated,
      unusable; /* while it loads: items that are taken without created_at, and those that are left out */
  freshet_error first_cause; /* of the first of them */
};

freshet_catalogue* freshet_catalogue_create(const freshet_ports* ports, freshet_model* model,
                                            freshet_listing* listing, freshet_texts* texts) {
  freshet_catalogue* catalogue = calloc(1, sizeof *catalogue);
  FRESHET_ASSERT(catalogue != NULL);
  catalogue->ports = *ports;
  catalogue->model = model;
  catalogue->listing = listing;
  catalogue->texts = texts;
  return catalogue;
}

void freshet_catalogue_destroy(freshet_catalogue* catalogue) {
  if (catalogue == NULL) return;
  freshet_buffer_free(&catalogue->row);
  freshet_late_items_free(&catalogue->late);
  free(catalogue->marks);
  free(catalogue);
}

int32_t freshet_catalogue_partitions(const freshet_catalogue* catalogue) {
  return catalogue->partitions;
}

/* ---- records ---- */

static freshet_status withdraw(freshet_catalogue* catalogue, freshet_slice key, int64_t at_ms,
                               freshet_error* error) {
  uint32_t slot = freshet_model_find(catalogue->model, key);
  if (slot == FRESHET_NO_ITEM) return FRESHET_OK;
  freshet_listing_withdraw(catalogue->listing, slot, at_ms);
  return freshet_texts_announced(catalogue->texts, slot, -1, NULL, error);
}

/* Finds the slot of an item that is announced. model.max_items bounds how many are: whatever is announced no more gives
 * way to them. */
static freshet_status admit(freshet_catalogue* catalogue, freshet_slice id, uint32_t* slot,
                            freshet_error* error) {
  const freshet_model* model = catalogue->model;
  const size_t announced = freshet_listing_announced(catalogue->listing);
  const uint32_t most = freshet_model_get_config(model)->max_items;
  *slot = freshet_model_find(model, id);
  if (*slot != FRESHET_NO_ITEM && freshet_listing_is_announced(catalogue->listing, *slot)) return FRESHET_OK;
  if (announced >= most) {
    return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP,
                             "%zu items are announced (model.max_items)", announced);
  }
  return freshet_model_intern_within(catalogue->model, id, UINT32_MAX, slot, error);
}

/* A row was valid when it was stored, so only a rule that came with a new version can refuse it: the item is not lost with
 * its age. */
static bool is_usable(freshet_catalogue* catalogue, freshet_item* item, freshet_slice key, bool is_row) {
  freshet_error cause = {0};
  if (freshet_item_validate(item, key, &cause) == FRESHET_OK) return true;
  if (is_row) item->created_at_ms = 0;
  const bool is_undated = is_row && freshet_item_validate(item, key, NULL) == FRESHET_OK;
  if (catalogue->undated + catalogue->unusable == 0) catalogue->first_cause = cause;
  if (is_undated) {
    catalogue->undated++;
  } else {
    catalogue->unusable++;
  }
  return is_undated;
}

/* Applies the bytes of an Item record, which are those of a row of the store or not. *is_valid: they are one that can be
 * used. */
static freshet_status announce(freshet_catalogue* catalogue, int32_t partition, freshet_slice key,
                               freshet_slice value, int64_t at_ms, bool is_row, bool* is_valid, bool* is_late,
                               freshet_error* error) {
  freshet_item item;
  uint32_t slot;
  freshet_status decoded = freshet_decode_item(catalogue->ports.codec, value, &item, NULL);
  *is_late = decoded == FRESHET_UNAVAILABLE;
  *is_valid = decoded == FRESHET_OK && is_usable(catalogue, &item, key, is_row);
  if (!*is_valid) return FRESHET_OK;
  freshet_error refused = {0};
  const freshet_status admitted = admit(catalogue, item.item_id, &slot, &refused);
  if (admitted != FRESHET_OK) {
    catalogue->has_refused |= admitted == FRESHET_NO_MEMORY;
    freshet_count(&catalogue->ports.metrics->items_refused, 1);
    freshet_log_fact(catalogue->ports.logger, FRESHET_WARN, "item.refused", "item=\"%.*s\" reason=\"%s\"",
                     (int)item.item_id.size, item.item_id.data, refused.message);
    return FRESHET_OK;
  }
  freshet_listing_announce(catalogue->listing, slot, &item, at_ms);
  return freshet_texts_announced(catalogue->texts, slot, partition, &item, error);
}

/* A partition without a mark has offset -1: the mark of an earlier log must not stay. */
static void put_mark(freshet_catalogue* catalogue, int32_t partition) {
  const freshet_mark* mark = &catalogue->marks[partition];
  freshet_store_set_position(catalogue->ports.store, FRESHET_TOPIC_ITEMS, MARK_PLACE + partition,
                             mark->offset, mark->offset >= 0 ? freshet_mark_number(mark) : 0);
}

/* Whenever the store is written, it has the mark with the position: without it, a log that is made again and is as long as
 * the position goes unnoticed. */
static void move_mark(freshet_catalogue* catalogue, const freshet_record* record) {
  if (record->partition >= catalogue->partitions ||
      record->offset <= catalogue->marks[record->partition].offset)
    return;
  catalogue->marks[record->partition] =
      freshet_mark_of(record->offset, record->timestamp_ms, record->key, record->value);
  put_mark(catalogue, record->partition);
}

freshet_status freshet_catalogue_apply(freshet_catalogue* catalogue, const freshet_record* record,
                                       freshet_error* error) {
  freshet_store* store = catalogue->ports.store;
  freshet_clock* clock = catalogue->ports.clock;
  freshet_status status;
  freshet_count(&catalogue->ports.metrics->item_records, 1);
  freshet_late_items_supersede(&catalogue->late, record->key);
  if (record->has_value) {
    bool is_valid, is_late;
    status = announce(catalogue, record->partition, record->key, record->value, record->timestamp_ms, false,
                      &is_valid, &is_late, error);
    if (is_late) freshet_late_items_keep(&catalogue->late, record);
    if (is_valid) freshet_item_row_put(store, record, &catalogue->row);
  } else {
    status = withdraw(catalogue, record->key, record->timestamp_ms, error);
    freshet_store_remove(store, FRESHET_FAMILY_CATALOGUE, 0, record->key);
  }
  int64_t position = freshet_late_items_bound(&catalogue->late, record->partition, record->offset + 1);
  freshet_store_set_position(store, FRESHET_TOPIC_ITEMS, record->partition, position,
                             freshet_clock_now_ms(clock));
  move_mark(catalogue, record);
  return status;
}

/* ---- rows of the store ---- */

typedef struct load_context {
  freshet_catalogue* catalogue;
  bool only_refused; /* items that are announced already are passed over */
  freshet_error* error;
  freshet_status status;
} load_context;

static bool load_row(void* context, freshet_slice key, freshet_slice value) {
  load_context* load = context;
  int32_t partition;
  freshet_slice record;
  bool is_valid, is_late; /* a row was read before, so its schema is known */
  const uint32_t slot =
      load->only_refused ? freshet_model_find(load->catalogue->model, key) : FRESHET_NO_ITEM;
  if (slot != FRESHET_NO_ITEM && freshet_listing_is_announced(load->catalogue->listing, slot)) return true;
  if (freshet_item_row_parse(value, &partition, &record)) {
    load->status =
        announce(load->catalogue, partition, key, record, 0, true, &is_valid, &is_late, load->error);
  } else {
    load->status = freshet_damaged_row(load->error, "the catalogue");
  }
  return load->status == FRESHET_OK;
}

static freshet_status load_rows(freshet_catalogue* catalogue, bool only_refused, freshet_error* error) {
  freshet_store* store = catalogue->ports.store;
  load_context load = {catalogue, only_refused, error, FRESHET_OK};
  freshet_status status = freshet_store_scan(store, FRESHET_FAMILY_CATALOGUE, 0, (freshet_slice){NULL, 0},
                                             load_row, &load, error);
  if (status == FRESHET_OK) status = load.status;
  return status;
}

/* Items that were refused are listed when there is room. It reads the whole catalogue, so it takes a twentieth of the time
 * at most. */
static freshet_status readmit(freshet_catalogue* catalogue, freshet_error* error) {
  freshet_clock* clock = catalogue->ports.clock;
  const int64_t start_us = freshet_clock_monotonic_us(clock);
  const uint32_t most = freshet_model_get_config(catalogue->model)->max_items;
  if (!catalogue->has_refused || freshet_listing_announced(catalogue->listing) >= most) return FRESHET_OK;
  if (start_us < catalogue->readmit_us) return FRESHET_OK;
  catalogue->has_refused = false;
  freshet_status status = freshet_store_write(catalogue->ports.store, error);
  if (status == FRESHET_OK) status = load_rows(catalogue, true, error);
  catalogue->readmit_us =
      freshet_clock_monotonic_us(clock) + READMIT_SHARE * (freshet_clock_monotonic_us(clock) - start_us);
  return status;
}

static freshet_status apply_late(void* context, const freshet_record* record, freshet_error* error) {
  return freshet_catalogue_apply(context, record, error);
}

freshet_status freshet_catalogue_turn(freshet_catalogue* catalogue, freshet_error* error) {
  freshet_gauge(&catalogue->ports.metrics->items_awaiting_schema, catalogue->late.count);
  freshet_status status = readmit(catalogue, error);
  if (status != FRESHET_OK) return status;
  if (catalogue->late.count == 0) return FRESHET_OK;
  uint64_t schemas = freshet_codec_version(catalogue->ports.codec);
  if (schemas == catalogue->schemas) return FRESHET_OK;
  catalogue->schemas = schemas;
  return freshet_late_items_retry(&catalogue->late, apply_late, catalogue, error);
}

bool freshet_catalogue_find(freshet_catalogue* catalogue, freshet_slice item_id, freshet_item* item) {
  return freshet_item_row_find(catalogue->ports.store, catalogue->ports.codec, item_id, &catalogue->row,
                               item);
}

static void put_marks(freshet_catalogue* catalogue) {
  for (int32_t p = 0; p < catalogue->partitions; p++) put_mark(catalogue, p);
}

void freshet_catalogue_confirm(freshet_catalogue* catalogue, const freshet_item_logs* logs, int64_t now_ms) {
  freshet_store* store = catalogue->ports.store;
  for (int32_t p = 0; p < catalogue->partitions; p++) {
    int64_t position = freshet_item_logs_position(logs, FRESHET_TOPIC_ITEMS, p);
    position = freshet_late_items_bound(&catalogue->late, p, position);
    if (position >= 0) freshet_store_set_position(store, FRESHET_TOPIC_ITEMS, p, position, now_ms);
  }
  put_marks(catalogue);
}

/* ---- loading ---- */

/* Is the record of the stored mark another one now? Then the topic was made again, and is longer than before. A record that
 * has expired or was compacted away says nothing. */
static freshet_status compare_mark(freshet_catalogue* catalogue, freshet_item_logs* logs, int32_t partition,
                                   bool* is_other, freshet_error* error) {
  int64_t offset, number, first, end;
  freshet_mark found;
  freshet_status status = freshet_item_logs_range(logs, FRESHET_TOPIC_ITEMS, partition, &first, &end, error);
  if (status != FRESHET_OK ||
      freshet_store_position(catalogue->ports.store, FRESHET_TOPIC_ITEMS, MARK_PLACE + partition, &offset,
                             &number, NULL) != FRESHET_OK ||
      offset < first || offset >= end)
    return status;
  status = freshet_item_logs_mark_at(logs, FRESHET_TOPIC_ITEMS, partition, offset, &found, error);
  *is_other = status == FRESHET_OK && found.offset == offset && freshet_mark_number(&found) != number;
  if (status == FRESHET_OK && found.offset == offset) catalogue->marks[partition] = found;
  return status;
}

/* `items` is another log than the one that the rows came from. With it items may be lost that only the folder has, and all
 * lists with them, so somebody has to want it: then the group has an offset of the new log, since Kafka forgets those of a
 * topic that is deleted. A process that ran meanwhile may have committed its position in the old log again; the source
 * refuses that one. */
static freshet_status judge_other(freshet_catalogue* catalogue, int32_t partition, freshet_error* error) {
  const char* name = freshet_outbox_topic_name(catalogue->ports.outbox, FRESHET_TOPIC_ITEMS);
  int64_t committed;
  freshet_status status =
      freshet_source_committed(catalogue->ports.source, FRESHET_TOPIC_ITEMS, partition, &committed, error);
  if (status != FRESHET_OK) return status;
  if (committed < 0)
    return freshet_error_set(
        error, FRESHET_CONFLICT, FRESHET_STOP,
        "topic %s [%d] is not the log that was read (deleted and made again): the state folder has items "
        "that "
        "it may not have; publish all items again, then choose: `freshet offsets --accept-new-log` takes the "
        "catalogue from the new log and keeps what is known, `freshet offsets --start-over` forgets the "
        "state",
        name, (int)partition);
  freshet_log_fact(catalogue->ports.logger, FRESHET_WARN, "catalogue.replaced",
                   "topic=%s partition=%d message=\"the topic was made again: all items are read from it\"",
                   name, (int)partition);
  return FRESHET_OK;
}

/* Can every partition be read on from where the store left off? The rows of all partitions are in one table,
 * so if one cannot, all are read again. */
static freshet_status look_at_positions(freshet_catalogue* catalogue, freshet_item_logs* logs,
                                        bool* are_usable, freshet_error* error) {
  int64_t now_ms = freshet_clock_now_ms(catalogue->ports.clock);
  freshet_status status = FRESHET_OK;
  *are_usable = true;
  for (int32_t p = 0; status == FRESHET_OK && p < catalogue->partitions; p++) {
    freshet_stored_position stored;
    status = freshet_item_logs_stored(logs, FRESHET_TOPIC_ITEMS, p, &stored, error);
    bool is_other = stored.is_beyond;
    if (status == FRESHET_OK && stored.is_usable) status = compare_mark(catalogue, logs, p, &is_other, error);
    if (status == FRESHET_OK && is_other) status = judge_other(catalogue, p, error);
    if (is_other) catalogue->marks[p] = FRESHET_NO_MARK;
    if (is_other || !stored.is_usable || !freshet_store_is_recent(stored.time_ms, now_ms))
      *are_usable = false;
  }
  return status;
}

/* They may have become dead letters long ago, or were valid for an older version. */
static void tell_unusable(const freshet_catalogue* catalogue) {
  if (catalogue->undated + catalogue->unusable == 0) return;
  freshet_log_fact(
      catalogue->ports.logger, FRESHET_WARN, "items.invalid",
      "undated=%zu unlisted=%zu first=\"%s\" message=\"items that were stored are not valid: those "
      "without a date are listed, the others are not until they are published again\"",
      catalogue->undated, catalogue->unusable, catalogue->first_cause.message);
}

freshet_status freshet_catalogue_load(freshet_catalogue* catalogue, freshet_item_logs* logs,
                                      freshet_error* error) {
  freshet_store* store = catalogue->ports.store;
  bool are_usable;
  freshet_status status =
      freshet_item_logs_partitions(logs, FRESHET_TOPIC_ITEMS, &catalogue->partitions, error);
  if (status != FRESHET_OK) return status;
  catalogue->marks = malloc(((size_t)catalogue->partitions + 1) * sizeof *catalogue->marks);
  FRESHET_ASSERT(catalogue->marks != NULL);
  for (int32_t p = 0; p < catalogue->partitions; p++) catalogue->marks[p] = FRESHET_NO_MARK;
  status = look_at_positions(catalogue, logs, &are_usable, error);
  if (status != FRESHET_OK) return status;
  if (are_usable) {
    status = load_rows(catalogue, false, error);
  } else {
    freshet_store_clear(store, FRESHET_FAMILY_CATALOGUE, 0);
  }
  for (int32_t p = 0; status == FRESHET_OK && p < catalogue->partitions; p++) {
    status = are_usable
                 ? freshet_item_logs_open_at_stored(logs, FRESHET_TOPIC_ITEMS, p, error)
                 : freshet_item_logs_open(logs, FRESHET_TOPIC_ITEMS, p, FRESHET_OFFSET_BEGINNING, error);
  }
  if (status == FRESHET_OK)
    status = freshet_item_logs_catch_up(logs, FRESHET_TOPIC_ITEMS, catalogue->partitions, error);
  put_marks(catalogue);
  tell_unusable(catalogue);
  if (status == FRESHET_OK) status = freshet_texts_load(catalogue->texts, error);
  return status;
}
