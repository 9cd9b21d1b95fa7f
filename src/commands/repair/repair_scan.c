/*
 * repair_scan.c: finds records of the state topics that cannot be used. It reads each partition once, and those with bad
 * records of keys a second time, for the last good record of these keys. It changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "catalogue/state_check.h"
#include "commands/repair/base64.h"
#include "commands/repair/repair.h"
#include "commands/scan.h"
#include "core/grow.h"
#include "kafka/record_headers.h"
#include "users/user_records.h"

enum {
  BAD_MAX = 100000,
  BAD_BYTES_MAX = 256 << 20,
  MANY = 10, /* unreadable records of our own: no accident */
};

static const freshet_topic state_topics[] = {FRESHET_TOPIC_APP_GENERATIONS, FRESHET_TOPIC_ITEM_STATES,
                                             FRESHET_TOPIC_ITEM_DELTAS, FRESHET_TOPIC_USERS};
enum { STATE_TOPICS = sizeof state_topics / sizeof state_topics[0] };

typedef struct scanning {
  freshet_repair* repair;
  freshet_scanned_log* log;
  bool has_seen_seal;
  size_t first; /* of repair->bad: those of this partition */
} scanning;

/* ---- judging ---- */

static freshet_status check(freshet_repair* repair, const freshet_record* record, freshet_error* error) {
  switch (record->topic) {
    case FRESHET_TOPIC_USERS:
      return freshet_user_record_check(repair->codec, freshet_model_get_config(repair->model)->dim, record,
                                       error);
    case FRESHET_TOPIC_APP_GENERATIONS:
      return freshet_serving_apply(&repair->serving, repair->codec, record, error);
    default:
      return freshet_state_check(repair->codec, repair->model, record, error);
  }
}

/* It is whole, so nothing has damaged it. Whoever has written it can read it. */
static bool is_of_later_version(freshet_repair* repair, const freshet_record* record) {
  freshet_later_records* later = &repair->later[record->topic];
  if (!record->is_sealed || !freshet_state_is_later(repair->codec, record)) return false;
  if (later->count++ == 0) {
    later->partition = record->partition;
    later->offset = record->offset;
  }
  return true;
}

/* Why the record cannot be used; NULL: it can. `cause` holds the text of some. */
static const char* judge(scanning* s, const freshet_record* record, bool* is_suspect, bool* is_refused,
                         freshet_error* cause) {
  freshet_repair* repair = s->repair;
  const char* refusal = freshet_seal_fact_refusal(&s->log->fact, record);
  *is_suspect = false;
  *is_refused = refusal != NULL;
  if (refusal != NULL) return refusal;
  const bool is_good = check(repair, record, cause) == FRESHET_OK || is_of_later_version(repair, record);
  if (record->is_sealed) *(is_good ? &repair->sealed_good : &repair->sealed_bad)[record->topic] += 1;
  if (record->is_sealed) s->has_seen_seal = true;
  if (!is_good) {
    *is_refused = !record->is_sealed; /* the rooms pass over what has no seal and cannot be read */
    return cause->message;
  }
  *is_suspect = !record->is_sealed && s->has_seen_seal;
  return *is_suspect ? "it has no seal, though earlier records of this partition have one" : NULL;
}

/* ---- keeping ---- */

static void keep_header(void* context, const char* name, freshet_slice value) {
  freshet_json_base64(context, name, value);
}

static void keep(freshet_repair* repair, const freshet_record* record, const char* reason, bool is_suspect,
                 bool is_refused) {
  repair->bad = freshet_grow(repair->bad, &repair->bad_capacity, repair->bad_count + 1, sizeof *repair->bad);
  freshet_bad_record* bad = &repair->bad[repair->bad_count++];
  *bad = (freshet_bad_record){.topic = record->topic,
                              .partition = record->partition,
                              .offset = record->offset,
                              .timestamp_ms = record->timestamp_ms,
                              .has_key = record->has_key,
                              .has_value = record->has_value,
                              .is_sealed = record->is_sealed,
                              .is_suspect = is_suspect,
                              .is_refused = is_refused,
                              .good = {.offset = -1}};
  freshet_buffer_append(&bad->key, record->key.data, record->key.size);
  freshet_buffer_append(&bad->value, record->value.data, record->value.size);
  snprintf(bad->reason, sizeof bad->reason, "%.*s", (int)sizeof bad->reason - 1, reason);
  freshet_json json = {.out = &bad->headers};
  freshet_json_open(&json, NULL, '{');
  freshet_kafka_record_headers(record, keep_header, &json);
  freshet_json_close(&json, '}');
  repair->bad_bytes += record->key.size + record->value.size + bad->headers.size;
}

static freshet_status look_at(void* context, const freshet_record* record, freshet_error* error) {
  (void)error;
  scanning* s = context;
  freshet_repair* repair = s->repair;
  freshet_error cause = {0};
  bool is_suspect, is_refused;
  if (repair->is_full) return FRESHET_OK;
  const bool is_skipped = freshet_seal_fact_skips(&s->log->fact, record);
  const char* reason = is_skipped ? "" : judge(s, record, &is_suspect, &is_refused, &cause);
  s->log->end = record->offset + 1;
  if (reason == NULL) return FRESHET_OK;
  if (is_skipped || (is_refused && record->offset < s->log->fact.looked)) {
    repair->settled++;
  } else if (is_suspect && !repair->takes_suspects) {
    repair->suspects++;
  } else {
    keep(repair, record, reason, is_suspect, is_refused);
    repair->is_full = repair->bad_count >= BAD_MAX || repair->bad_bytes >= BAD_BYTES_MAX;
  }
  return FRESHET_OK;
}

/* ---- good rows ---- */

static int by_key(const void* a, const void* b) {
  const freshet_bad_record *x = *(freshet_bad_record*const*)a, *y = *(freshet_bad_record*const*)b;
  const size_t both = x->key.size < y->key.size ? x->key.size : y->key.size;
  const int order = both == 0 ? 0 : memcmp(x->key.data, y->key.data, both);
  if (order != 0) return order;
  return (x->key.size > y->key.size) - (x->key.size < y->key.size);
}

typedef struct remembering {
  freshet_repair* repair;
  const freshet_scanned_log* log;
  freshet_bad_record** sorted; /* [count] bad records of this partition that have a key, by key */
  size_t count, next;          /* next: of the bad records of the partition, by offset */
  size_t first, last;          /* of repair->bad */
} remembering;

static void remember(freshet_bad_record* bad, const freshet_record* record) {
  bad->good.offset = record->offset;
  bad->good.has_value = record->has_value;
  bad->good.value.size = 0;
  freshet_buffer_append(&bad->good.value, record->value.data, record->value.size);
}

/* A record that no list of bad ones names is good: it counts, and is the newest of its key so far. */
static freshet_status remember_good(void* context, const freshet_record* record, freshet_error* error) {
  (void)error;
  remembering* r = context;
  while (r->next < r->last && r->repair->bad[r->next].offset < record->offset) r->next++;
  const bool is_bad = r->next < r->last && r->repair->bad[r->next].offset == record->offset;
  if (is_bad || !record->has_key || freshet_seal_fact_skips(&r->log->fact, record) ||
      freshet_seal_fact_refusal(&r->log->fact, record) != NULL)
    return FRESHET_OK;
  freshet_bad_record wanted = {.key = {.data = (uint8_t*)record->key.data, .size = record->key.size}};
  const freshet_bad_record* key = &wanted;
  freshet_bad_record** found = bsearch(&key, r->sorted, r->count, sizeof(freshet_bad_record*), by_key);
  if (found == NULL) return FRESHET_OK;
  while (found > r->sorted && by_key(&found[-1], &key) == 0) found--;
  for (; found < r->sorted + r->count && by_key(found, &key) == 0; found++) remember(*found, record);
  return FRESHET_OK;
}

/* Of the bad records of each key, the last one brings the good row back, if that is older. */
static void choose_put_back(const remembering* r) {
  for (size_t i = 0, next; i < r->count; i = next) {
    freshet_bad_record* last = r->sorted[i];
    for (next = i + 1; next < r->count && by_key(&r->sorted[i], &r->sorted[next]) == 0; next++)
      last = r->sorted[next]->offset > last->offset ? r->sorted[next] : last;
    last->puts_back = last->good.offset < last->offset;
  }
}

static freshet_status find_good_rows(scanning* s, freshet_error* error) {
  freshet_repair* repair = s->repair;
  remembering r = {
      .repair = repair, .log = s->log, .next = s->first, .first = s->first, .last = repair->bad_count};
  if (s->log->topic == FRESHET_TOPIC_ITEM_DELTAS || s->first == repair->bad_count) return FRESHET_OK;
  r.sorted = calloc(r.last - r.first, sizeof(freshet_bad_record*));
  FRESHET_ASSERT(r.sorted != NULL);
  for (size_t i = r.first; i < r.last; i++) {
    if (repair->bad[i].has_key) r.sorted[r.count++] = &repair->bad[i];
  }
  qsort(r.sorted, r.count, sizeof(freshet_bad_record*), by_key);
  const freshet_scan scan = {.reader = repair->reader,
                             .topic = s->log->topic,
                             .name = repair->kafka.topics[s->log->topic],
                             .partition = s->log->partition,
                             .from = FRESHET_OFFSET_BEGINNING,
                             .to = FRESHET_SCAN_TO_END,
                             .take = remember_good,
                             .context = &r};
  freshet_status status = r.count == 0 ? FRESHET_OK : freshet_scan_partition(&scan, error);
  choose_put_back(&r);
  free(r.sorted);
  return status;
}

/* ---- all logs ---- */

static freshet_status scan_log(freshet_repair* repair, freshet_topic topic, int32_t partition,
                               freshet_error* error) {
  repair->logs =
      freshet_grow(repair->logs, &repair->log_capacity, repair->log_count + 1, sizeof *repair->logs);
  freshet_scanned_log* log = &repair->logs[repair->log_count++];
  *log = (freshet_scanned_log){topic, partition, 0, freshet_seal_facts_of(repair->facts, topic, partition)};
  if (repair->is_full) return FRESHET_OK; /* not looked at, and its records go on to count */
  scanning s = {.repair = repair, .log = log, .first = repair->bad_count};
  const freshet_scan scan = {.reader = repair->reader,
                             .topic = topic,
                             .name = repair->kafka.topics[topic],
                             .partition = partition,
                             .from = FRESHET_OFFSET_BEGINNING,
                             .to = FRESHET_SCAN_TO_END,
                             .take = look_at,
                             .context = &s};
  freshet_status status = freshet_scan_partition(&scan, error);
  if (status == FRESHET_OK) status = find_good_rows(&s, error);
  return status;
}

/* Another model.dim: what is unreadable then is the whole state, and nothing is broken. */
static freshet_status judge_setting(const freshet_repair* repair, freshet_error* error) {
  const char* reason = "";
  for (int i = 0; i < STATE_TOPICS; i++) {
    const freshet_topic topic = state_topics[i];
    const size_t bad = repair->sealed_bad[topic], good = repair->sealed_good[topic];
    if (bad < MANY || bad <= good) continue;
    for (size_t b = 0; b < repair->bad_count; b++) {
      if (repair->bad[b].topic == topic && repair->bad[b].is_sealed) reason = repair->bad[b].reason;
    }
    return freshet_error_set(
        error, FRESHET_CONFLICT, FRESHET_STOP,
        "%zu of %zu records of topic %s that this app has written cannot be read, the last: %s; so "
        "many are no damage: model.dim differs from that of the state",
        bad, bad + good, repair->kafka.topics[topic], reason);
  }
  return FRESHET_OK;
}

freshet_status freshet_repair_scan(freshet_repair* repair, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (int i = 0; status == FRESHET_OK && i < STATE_TOPICS; i++) {
    int32_t partitions = 0;
    status = freshet_reader_partitions(repair->reader, state_topics[i], &partitions, error);
    for (int32_t p = 0; status == FRESHET_OK && p < partitions; p++)
      status = scan_log(repair, state_topics[i], p, error);
    if (status == FRESHET_OK) status = judge_setting(repair, error);
  }
  return status;
}
