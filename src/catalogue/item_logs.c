/*
 * item_logs.c: see item_logs.h. All partitions are read through one freshet_reader, so a poll may bring records of
 * any of them.
 */
#include "catalogue/item_logs.h"

#include <stdlib.h>

#include "core/grow.h"
#include "stream/read_to.h"
#include "stream/state_skipped.h"

enum {
  POLL_RECORDS = 512,
  FEW_RECORDS = 8,        /* between two looks at the clock: a record of an item takes 10 to 20 us */
  LARGE_BYTES = 64 << 10, /* of a delta: it takes as long as many records; one of 1 MB takes 5 ms */
  LOAD_WAIT_MS = 100,
  LOAD_STALL_MS = 90000, /* longer than any transaction may stay open, since an open one holds readers up */
  STORE_RECORDS = 4096,  /* records between two writes of the store while Item records are loaded */
};

typedef struct open_partition {
  freshet_topic topic;
  int32_t partition;
} open_partition;

struct freshet_item_logs {
  freshet_reader* reader;
  freshet_store* store;
  freshet_clock* clock;
  const freshet_logger* logger;
  const freshet_outbox* outbox;    /* for names of topics; NULL: they are not told */
  freshet_worker_metrics* metrics; /* NULL: nothing is counted */
  freshet_stop_request stop;
  freshet_item_logs_apply apply;
  void* context;
  open_partition* open; /* [open_count] */
  size_t open_count, open_capacity;
  bool has_large_deltas; /* the last one was large, so the next ones may be, too: they come one by one */
  freshet_record records[POLL_RECORDS];
};

freshet_item_logs* freshet_item_logs_create(const freshet_ports* ports, freshet_item_logs_apply apply,
                                            void* context) {
  freshet_item_logs* logs = calloc(1, sizeof *logs);
  FRESHET_ASSERT(logs != NULL);
  logs->reader = ports->reader;
  logs->store = ports->store;
  logs->clock = ports->clock;
  logs->logger = ports->logger;
  logs->outbox = ports->outbox;
  logs->metrics = ports->metrics;
  logs->stop = ports->stop;
  logs->apply = apply;
  logs->context = context;
  return logs;
}

void freshet_item_logs_destroy(freshet_item_logs* logs) {
  if (logs == NULL) return;
  for (size_t i = 0; i < logs->open_count; i++)
    freshet_reader_shut(logs->reader, logs->open[i].topic, logs->open[i].partition, NULL);
  free(logs->open);
  free(logs);
}

freshet_status freshet_item_logs_partitions(freshet_item_logs* logs, freshet_topic topic, int32_t* count,
                                            freshet_error* error) {
  return freshet_reader_partitions(logs->reader, topic, count, error);
}

freshet_status freshet_item_logs_range(freshet_item_logs* logs, freshet_topic topic, int32_t partition,
                                       int64_t* first, int64_t* end, freshet_error* error) {
  return freshet_reader_range(logs->reader, topic, partition, first, end, error);
}

freshet_status freshet_item_logs_stored(freshet_item_logs* logs, freshet_topic topic, int32_t partition,
                                        freshet_stored_position* stored, freshet_error* error) {
  freshet_store* store = logs->store;
  int64_t first, end;
  *stored = (freshet_stored_position){0};
  freshet_status status = freshet_reader_range(logs->reader, topic, partition, &first, &end, error);
  if (status != FRESHET_OK) return status;
  const bool is_there =
      freshet_store_position(store, topic, partition, &stored->offset, &stored->time_ms, NULL) == FRESHET_OK;
  stored->is_usable = is_there && first <= stored->offset && stored->offset <= end;
  stored->is_beyond = is_there && stored->offset > end;
  return FRESHET_OK;
}

freshet_status freshet_item_logs_open(freshet_item_logs* logs, freshet_topic topic, int32_t partition,
                                      int64_t offset, freshet_error* error) {
  freshet_status status = freshet_reader_open(logs->reader, topic, partition, offset, error);
  if (status != FRESHET_OK) return status;
  logs->open = freshet_grow(logs->open, &logs->open_capacity, logs->open_count + 1, sizeof *logs->open);
  logs->open[logs->open_count++] = (open_partition){topic, partition};
  return FRESHET_OK;
}

freshet_status freshet_item_logs_open_at_stored(freshet_item_logs* logs, freshet_topic topic,
                                                int32_t partition, freshet_error* error) {
  freshet_stored_position stored;
  freshet_status status = freshet_item_logs_stored(logs, topic, partition, &stored, error);
  if (status != FRESHET_OK) return status;
  int64_t offset = stored.is_usable ? stored.offset : FRESHET_OFFSET_BEGINNING;
  return freshet_item_logs_open(logs, topic, partition, offset, error);
}

int64_t freshet_item_logs_position(const freshet_item_logs* logs, freshet_topic topic, int32_t partition) {
  return freshet_reader_position(logs->reader, topic, partition);
}

/* ---- reading ---- */

static freshet_status judge(const freshet_item_logs* logs, const freshet_record* record,
                            freshet_status status, const freshet_error* cause, freshet_error* error) {
  const char* topic =
      logs->outbox == NULL ? "item tables" : freshet_outbox_topic_name(logs->outbox, record->topic);
  if (record->topic ==
      FRESHET_TOPIC_ITEMS) /* its bad records are dead letters; this error is none of theirs */
    return freshet_error_set(error, status, cause->verdict, "%s", cause->message);
  return freshet_state_judge(logs->logger, logs->metrics, topic, record, status, cause, error);
}

static freshet_status apply_all(freshet_item_logs* logs, const freshet_record* records, size_t count,
                                freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    freshet_error cause = {0};
    status = logs->apply(logs->context, &records[i], &cause);
    if (status != FRESHET_OK) status = judge(logs, &records[i], status, &cause, error);
  }
  return status;
}

static void note_sizes(freshet_item_logs* logs, const freshet_record* records, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (records[i].topic == FRESHET_TOPIC_ITEM_DELTAS)
      logs->has_large_deltas = records[i].value.size >= LARGE_BYTES;
  }
}

freshet_status freshet_item_logs_poll(freshet_item_logs* logs, int timeout_ms, bool* is_all,
                                      freshet_error* error) {
  const size_t most = logs->has_large_deltas ? 1 : FEW_RECORDS;
  size_t count = 0;
  freshet_status status = freshet_reader_poll(logs->reader, timeout_ms, logs->records, most, &count, error);
  if (status == FRESHET_OK) status = apply_all(logs, logs->records, count, error);
  note_sizes(logs, logs->records, count);
  *is_all = count < most;
  return status;
}

typedef struct looking {
  freshet_item_logs* logs;
  freshet_topic topic;
  int32_t partition;
  freshet_mark* mark;
} looking;

/* Records of other partitions come through the same reader, and come once. */
static freshet_status take_mark(void* context, const freshet_record* records, size_t count,
                                freshet_error* error) {
  const looking* l = context;
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; i < count && status == FRESHET_OK; i++) {
    const freshet_record* r = &records[i];
    if (r->topic != l->topic || r->partition != l->partition) {
      status = apply_all(l->logs, r, 1, error);
    } else if (l->mark->offset < 0) {
      *l->mark = freshet_mark_of(r->offset, r->timestamp_ms, r->key, r->value);
    }
  }
  return status;
}

/* Reads through `records` from the open partitions to the targets. */
static freshet_reading reading_of(freshet_item_logs* logs) {
  return (freshet_reading){.reader = logs->reader,
                           .clock = logs->clock,
                           .logger = logs->logger,
                           .stop = logs->stop,
                           .name = "item tables",
                           .wait_ms = LOAD_WAIT_MS,
                           .stall_ms = LOAD_STALL_MS,
                           .records = logs->records,
                           .capacity = POLL_RECORDS};
}

freshet_status freshet_item_logs_mark_at(freshet_item_logs* logs, freshet_topic topic, int32_t partition,
                                         int64_t offset, freshet_mark* mark, freshet_error* error) {
  freshet_reading reading = reading_of(logs);
  looking context = {logs, topic, partition, mark};
  reading.apply = take_mark;
  reading.context = &context;
  *mark = FRESHET_NO_MARK;
  const freshet_partition target = {.topic = topic, .partition = partition, .offset = offset + 1};
  freshet_status status = freshet_reader_open(logs->reader, topic, partition, offset, error);
  if (status != FRESHET_OK) return status;
  status = freshet_read_to(&reading, &target, 1, error);
  freshet_status shut =
      freshet_reader_shut(logs->reader, topic, partition, status == FRESHET_OK ? error : NULL);
  if (status == FRESHET_OK) status = shut;
  return status;
}

typedef struct catching_up {
  freshet_item_logs* logs;
  bool stores;      /* each record of this topic puts a row into the store's batch */
  size_t unwritten; /* records since the last write of the store */
} catching_up;

static freshet_status take_records(void* context, const freshet_record* records, size_t count,
                                   freshet_error* error) {
  catching_up* c = context;
  freshet_status status = apply_all(c->logs, records, count, error);
  c->unwritten += count;
  if (status != FRESHET_OK || !c->stores || c->unwritten < STORE_RECORDS) return status;
  c->unwritten = 0;
  return freshet_store_write(c->logs->store, error);
}

freshet_status freshet_item_logs_catch_up(freshet_item_logs* logs, freshet_topic topic, int32_t partitions,
                                          freshet_error* error) {
  catching_up context = {.logs = logs, .stores = topic == FRESHET_TOPIC_ITEMS};
  freshet_partition* ends = calloc((size_t)partitions + 1, sizeof *ends);
  FRESHET_ASSERT(ends != NULL);
  freshet_status status = FRESHET_OK;
  for (int32_t p = 0; status == FRESHET_OK && p < partitions; p++) {
    int64_t first;
    ends[p] = (freshet_partition){.topic = topic, .partition = p};
    status = freshet_reader_range(logs->reader, topic, p, &first, &ends[p].offset, error);
  }
  freshet_reading reading = reading_of(logs);
  reading.apply = take_records;
  reading.context = &context;
  if (status == FRESHET_OK) status = freshet_read_to(&reading, ends, (size_t)partitions, error);
  free(ends);
  if (status == FRESHET_OK) status = freshet_store_write(logs->store, error);
  return status;
}
