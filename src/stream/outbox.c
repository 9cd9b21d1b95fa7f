/*
 * outbox.c: two batches of records change places at each seal. `kept` is for the next commit; `sent` is what the sealed one
 * writes, or the last one has written, which the store gets when that has ended.
 */
#include "stream/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "core/grow.h"

enum {
  BYTES_KEPT = 8 << 20, /* capacity that stays in any case */
  USED_PART =
      4, /* more stays while a commit needs such a part of it: fresh pages cost as much as what is written to them */
};

typedef struct piece {
  size_t at, size;
} piece;

/* All bytes are in batch.bytes. */
typedef struct entry {
  freshet_topic topic;
  int32_t partition;
  bool has_key, has_value;
  bool is_written; /* into the open transaction */
  piece key, value;
  int64_t timestamp_ms;
  size_t header_at, header_count;
} entry;

typedef struct entry_header {
  const char* name;
  piece value;
} entry_header;

typedef struct batch {
  entry* entries; /* [count] */
  size_t count, capacity;
  entry_header* headers; /* [header_count] */
  size_t header_count, header_capacity;
  freshet_buffer bytes;
  freshet_header* views; /* [view_capacity] scratch: the headers of one entry */
  size_t view_capacity;
} batch;

struct freshet_outbox {
  freshet_sink* sink;
  freshet_delivery delivery;
  batch kept, sent;
  bool is_sealed; /* the transaction of the commit that is being written: `sent` up to `written` is in it */
  size_t written;
  bool is_writing; /* the sink writes the rest beside the worker: `sent` and `written` are its thread's */
  bool is_open;    /* the transaction of the next commit, or of the sealed one */
  bool has[FRESHET_TOPICS]; /* records of the topic are in it */
  bool is_committing;       /* the one before it */
  uint64_t commits_started, commits_ended;
};

freshet_outbox* freshet_outbox_create(freshet_sink* sink, freshet_delivery delivery) {
  freshet_outbox* outbox = calloc(1, sizeof *outbox);
  FRESHET_ASSERT(outbox != NULL);
  outbox->sink = sink;
  outbox->delivery = delivery;
  return outbox;
}

static void empty(batch* b) {
  const bool is_spare = b->bytes.size < b->bytes.capacity / USED_PART;
  b->count = b->header_count = b->bytes.size = 0;
  if (b->bytes.capacity > BYTES_KEPT && is_spare) freshet_buffer_free(&b->bytes);
}

static void free_batch(batch* b) {
  free(b->entries);
  free(b->headers);
  free(b->views);
  freshet_buffer_free(&b->bytes);
}

/* Records that are written beside the worker do not count any more. */
static void stop_writing(freshet_outbox* outbox) {
  if (outbox->is_writing) freshet_sink_end_writing(outbox->sink, -1, NULL);
  outbox->is_writing = false;
}

void freshet_outbox_destroy(freshet_outbox* outbox) {
  if (outbox == NULL) return;
  stop_writing(outbox);
  free_batch(&outbox->kept);
  free_batch(&outbox->sent);
  free(outbox);
}

/* ---- one record ---- */

static piece append(batch* b, freshet_slice bytes) {
  piece p = {b->bytes.size, bytes.size};
  freshet_buffer_append(&b->bytes, bytes.data, bytes.size);
  return p;
}

static void keep(batch* b, const freshet_output* output) {
  b->entries = freshet_grow(b->entries, &b->capacity, b->count + 1, sizeof *b->entries);
  b->headers = freshet_grow(b->headers, &b->header_capacity, b->header_count + output->header_count,
                            sizeof *b->headers);
  entry* e = &b->entries[b->count++];
  *e = (entry){.topic = output->topic,
               .partition = output->partition,
               .has_key = output->key.data != NULL,
               .has_value = output->has_value,
               .timestamp_ms = output->timestamp_ms,
               .header_at = b->header_count,
               .header_count = output->header_count};
  e->key = append(b, output->key);
  e->value = append(b, output->value);
  for (size_t i = 0; i < output->header_count; i++) {
    piece value = append(b, output->headers[i].value);
    b->headers[b->header_count++] = (entry_header){output->headers[i].name, value};
  }
}

static freshet_slice slice_of(const batch* b, piece p) {
  return p.size == 0 ? (freshet_slice){"", 0} : (freshet_slice){(const char*)b->bytes.data + p.at, p.size};
}

/* Views into the batch and into headers [e->header_count]. */
static freshet_output view(const batch* b, const entry* e, freshet_header* headers) {
  for (size_t i = 0; i < e->header_count; i++) {
    const entry_header* h = &b->headers[e->header_at + i];
    headers[i] = (freshet_header){h->name, slice_of(b, h->value)};
  }
  return (freshet_output){.topic = e->topic,
                          .partition = e->partition,
                          .key = e->has_key ? slice_of(b, e->key) : (freshet_slice){NULL, 0},
                          .has_value = e->has_value,
                          .value = slice_of(b, e->value),
                          .timestamp_ms = e->timestamp_ms,
                          .headers = headers,
                          .header_count = e->header_count};
}

static freshet_output look_at(batch* b, const entry* e) {
  b->views = freshet_grow(b->views, &b->view_capacity, e->header_count, sizeof *b->views);
  return view(b, e, b->views);
}

/* ---- the way out ---- */

static freshet_status open_transaction(freshet_outbox* outbox, freshet_error* error) {
  if (outbox->is_open) return FRESHET_OK;
  memset(outbox->has, 0, sizeof outbox->has);
  freshet_status status = freshet_sink_begin(outbox->sink, error);
  outbox->is_open = status == FRESHET_OK;
  return status;
}

static bool takes(const freshet_outbox* outbox, freshet_topic topic) {
  return !outbox->is_committing || freshet_sink_may_write(outbox->sink, topic);
}

static freshet_status write_at_once(freshet_outbox* outbox, const freshet_output* output,
                                    freshet_error* error) {
  FRESHET_ASSERT(takes(outbox, output->topic));
  freshet_status status = open_transaction(outbox, error);
  if (status == FRESHET_OK) status = freshet_sink_write(outbox->sink, output, error);
  outbox->has[output->topic] = true;
  return status;
}

freshet_status freshet_outbox_add(freshet_outbox* outbox, const freshet_output* output, freshet_when when,
                                  freshet_error* error) {
  if (when == FRESHET_BY_DELIVERY)
    when = outbox->delivery == FRESHET_DELIVERY_FAST ? FRESHET_NOW : FRESHET_WITH_COMMIT;
  if (when == FRESHET_NOW) return freshet_sink_publish(outbox->sink, output, error);
  if (when == FRESHET_IN_TRANSACTION) return write_at_once(outbox, output, error);
  keep(&outbox->kept, output);
  return FRESHET_OK;
}

bool freshet_outbox_add_foreign(freshet_outbox* outbox, const char* topic, const freshet_output* output) {
  return freshet_sink_publish_to(outbox->sink, topic, output);
}

const char* freshet_outbox_refusal_of(const freshet_outbox* outbox, const char* topic) {
  return freshet_sink_refusal_of(outbox->sink, topic);
}

size_t freshet_outbox_limit(const freshet_outbox* outbox, freshet_topic topic) {
  return freshet_sink_limit(outbox->sink, topic);
}

void freshet_outbox_poll(freshet_outbox* outbox) {
  freshet_sink_poll(outbox->sink);
}

const char* freshet_outbox_topic_name(const freshet_outbox* outbox, freshet_topic topic) {
  return freshet_sink_topic_name(outbox->sink, topic);
}

/* ---- what is kept ---- */

size_t freshet_outbox_kept(const freshet_outbox* outbox) {
  return outbox->kept.count;
}

size_t freshet_outbox_kept_bytes(const freshet_outbox* outbox) {
  return outbox->kept.bytes.size;
}

bool freshet_outbox_has_lists_alone(const freshet_outbox* outbox) {
  const batch* b = &outbox->kept;
  for (int topic = 0; topic < FRESHET_TOPICS; topic++)
    if (outbox->is_open && outbox->has[topic] && !freshet_topic_is_for_readers((freshet_topic)topic))
      return false;
  for (size_t i = 0; i < b->count; i++)
    if (!freshet_topic_is_for_readers(b->entries[i].topic) || !b->entries[i].has_value) return false;
  return true;
}

void freshet_outbox_move_kept(freshet_outbox* outbox, freshet_outbox* from) {
  batch* b = &from->kept;
  for (size_t i = 0; i < b->count; i++) {
    FRESHET_ASSERT(!b->entries[i].is_written);
    const freshet_output output = look_at(b, &b->entries[i]);
    keep(&outbox->kept, &output);
  }
  empty(b);
}

void freshet_outbox_forget(freshet_outbox* outbox, bool (*drop)(void* context, const freshet_output* output),
                           void* context) {
  batch* b = &outbox->kept;
  size_t left = 0;
  for (size_t i = 0; i < b->count; i++) {
    freshet_output output = look_at(b, &b->entries[i]);
    if (!drop(context, &output)) b->entries[left++] = b->entries[i];
  }
  b->count = left;
}

/* ---- the transaction ---- */

bool freshet_outbox_may_write(const freshet_outbox* outbox, freshet_topic topic) {
  return !outbox->is_sealed && takes(outbox, topic);
}

bool freshet_outbox_holds(const freshet_outbox* outbox, freshet_topic topic) {
  return outbox->is_open && outbox->has[topic];
}

bool freshet_outbox_may_write_ahead(const freshet_outbox* outbox, freshet_topic topic) {
  const bool may_follow = freshet_topic_is_for_readers(topic); /* the sink gathers them */
  return freshet_outbox_may_write(outbox, topic) && (may_follow || !freshet_outbox_holds(outbox, topic));
}

static freshet_status write_entry(freshet_outbox* outbox, batch* b, entry* e, freshet_error* error) {
  if (e->is_written) return FRESHET_OK;
  freshet_output output = look_at(b, e);
  e->is_written = true;
  return write_at_once(outbox, &output, error);
}

freshet_status freshet_outbox_write_ahead(freshet_outbox* outbox, freshet_error* error) {
  bool topics[FRESHET_TOPICS]; /* asked once: a topic that may be written later has older records that wait */
  for (int topic = 0; topic < FRESHET_TOPICS; topic++)
    topics[topic] = freshet_outbox_may_write_ahead(outbox, (freshet_topic)topic);
  topics[FRESHET_TOPIC_DEAD_LETTERS] = false; /* they may still be forgotten */
  batch* b = &outbox->kept;
  freshet_status status = FRESHET_OK;
  bool has_written = false;
  for (size_t i = 0; status == FRESHET_OK && i < b->count; i++) {
    if (!topics[b->entries[i].topic]) continue;
    status = write_entry(outbox, b, &b->entries[i], error);
    has_written = true;
  }
  if (status == FRESHET_OK && has_written)
    freshet_sink_poll(outbox->sink); /* they leave now, and not with the next turn */
  return status;
}

bool freshet_outbox_is_open(const freshet_outbox* outbox) {
  return outbox->is_open;
}

bool freshet_outbox_is_committing(const freshet_outbox* outbox) {
  return outbox->is_committing;
}

freshet_status freshet_outbox_seal(freshet_outbox* outbox, freshet_error* error) {
  FRESHET_ASSERT(!outbox->is_committing && !outbox->is_sealed);
  freshet_status status = open_transaction(outbox, error);
  if (status != FRESHET_OK) return status;
  batch sent = outbox->kept;
  outbox->kept = outbox->sent;
  outbox->sent = sent;
  /* Emptied twice, it would look as if nobody needed its memory. */
  if (outbox->kept.count > 0) empty(&outbox->kept);
  outbox->is_sealed = true;
  outbox->written = 0;
  outbox->commits_started++;
  return FRESHET_OK;
}

bool freshet_outbox_is_sealed(const freshet_outbox* outbox) {
  return outbox->is_sealed;
}

static freshet_status write_some(freshet_outbox* outbox, size_t most, freshet_error* error) {
  batch* b = &outbox->sent;
  freshet_status status = FRESHET_OK;
  for (; status == FRESHET_OK && most > 0 && outbox->written < b->count; most--)
    status = write_entry(outbox, b, &b->entries[outbox->written++], error);
  return status;
}

/* On the sink's thread. */
static freshet_status write_rest(void* context, freshet_error* error) {
  return write_some(context, SIZE_MAX, error);
}

void freshet_outbox_start_writing(freshet_outbox* outbox) {
  FRESHET_ASSERT(outbox->is_sealed);
  if (outbox->is_writing || outbox->written == outbox->sent.count) return;
  outbox->is_writing = freshet_sink_start_writing(outbox->sink, write_rest, outbox);
}

bool freshet_outbox_is_writing(const freshet_outbox* outbox) {
  return outbox->is_writing;
}

freshet_status freshet_outbox_write_sealed(freshet_outbox* outbox, size_t most, int wait_ms, bool* is_all,
                                           freshet_error* error) {
  FRESHET_ASSERT(outbox->is_sealed);
  freshet_error cause = {0};
  freshet_status status =
      outbox->is_writing ? freshet_sink_end_writing(outbox->sink, wait_ms, &cause) : FRESHET_OK;
  *is_all = false;
  if (status == FRESHET_TIMEOUT) return FRESHET_OK;
  outbox->is_writing = false;
  if (status != FRESHET_OK) return freshet_error_set(error, status, cause.verdict, "%s", cause.message);
  status = write_some(outbox, most, error);
  *is_all = outbox->written == outbox->sent.count;
  return status;
}

freshet_status freshet_outbox_start_commit(freshet_outbox* outbox, const freshet_partition* offsets,
                                           size_t count, freshet_error* error) {
  bool is_all;
  freshet_status status = outbox->is_sealed ? FRESHET_OK : freshet_outbox_seal(outbox, error);
  if (status == FRESHET_OK) status = freshet_outbox_write_sealed(outbox, SIZE_MAX, -1, &is_all, error);
  if (status == FRESHET_OK) status = freshet_sink_commit(outbox->sink, offsets, count, error);
  if (status != FRESHET_OK) return status;
  outbox->is_committing = true;
  outbox->is_sealed = outbox->is_open = false;
  return FRESHET_OK;
}

freshet_status freshet_outbox_outcome(freshet_outbox* outbox, int wait_ms, freshet_error* error) {
  FRESHET_ASSERT(outbox->is_committing);
  freshet_status status = freshet_sink_outcome(outbox->sink, wait_ms, error);
  if (status == FRESHET_TIMEOUT) return status;
  outbox->is_committing = false;
  if (status == FRESHET_OK) outbox->commits_ended = outbox->commits_started;
  if (status != FRESHET_OK) empty(&outbox->sent);
  return status;
}

freshet_status freshet_outbox_abort(freshet_outbox* outbox, freshet_error* error) {
  FRESHET_ASSERT(!outbox->is_committing);
  stop_writing(outbox);
  empty(&outbox->kept);
  empty(&outbox->sent);
  outbox->is_sealed = false;
  if (!outbox->is_open) return FRESHET_OK;
  outbox->is_open = false;
  return freshet_sink_abort(outbox->sink, error);
}

bool freshet_outbox_is_at_rest(const freshet_outbox* outbox, int wait_ms) {
  return !outbox->is_open || freshet_sink_is_at_rest(outbox->sink, wait_ms);
}

bool freshet_outbox_is_written(const freshet_outbox* outbox) {
  return freshet_sink_is_written(outbox->sink);
}

void freshet_outbox_abandon(freshet_outbox* outbox) {
  const bool has_transaction = outbox->is_committing || outbox->is_open;
  stop_writing(outbox);
  empty(&outbox->kept);
  empty(&outbox->sent);
  outbox->is_committing = outbox->is_sealed = outbox->is_open = false;
  if (!has_transaction) return;
  freshet_sink_abandon(outbox->sink);
}

bool freshet_outbox_is_ready(const freshet_outbox* outbox) {
  return freshet_sink_is_ready(outbox->sink);
}

void freshet_outbox_each_committed(const freshet_outbox* outbox, freshet_topic topic,
                                   void (*visit)(void* context, const freshet_output* output),
                                   void* context) {
  const batch* b = &outbox->sent;
  FRESHET_ASSERT(!outbox->is_committing);
  for (size_t i = 0; i < b->count; i++) {
    const entry* e = &b->entries[i];
    if (e->topic != topic) continue;
    freshet_output output = {.topic = e->topic,
                             .partition = e->partition,
                             .key = slice_of(b, e->key),
                             .has_value = e->has_value,
                             .value = slice_of(b, e->value),
                             .timestamp_ms = e->timestamp_ms};
    visit(context, &output);
  }
}

void freshet_outbox_tidy(freshet_outbox* outbox) {
  empty(&outbox->sent);
}

int64_t freshet_outbox_written_end(const freshet_outbox* outbox, freshet_topic topic, int32_t partition) {
  return freshet_sink_written_end(outbox->sink, topic, partition);
}

uint64_t freshet_outbox_commits_started(const freshet_outbox* outbox) {
  return outbox->commits_started;
}

uint64_t freshet_outbox_commits_ended(const freshet_outbox* outbox) {
  return outbox->commits_ended;
}
