/*
 * repair_write.c: takes bad records out of use: their bytes go to a file and to the dead letters, good rows that they hide
 * are written again, and facts tell every reader to pass over them. All records go in one transaction.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands/repair/base64.h"
#include "commands/repair/repair.h"
#include "core/grow.h"
#include "kafka/seal.h"
#include "stream/dead_letters.h"

enum { ID_SIZE = 512, OUTCOME_MS = 1000 };

/* ---- the file ---- */

static void write_line(const freshet_repair* repair, const freshet_bad_record* bad, freshet_buffer* line) {
  freshet_json json = {.out = line};
  line->size = 0;
  freshet_json_open(&json, NULL, '{');
  freshet_json_text(&json, "topic", freshet_slice_of(repair->kafka.topics[bad->topic]));
  freshet_json_integer(&json, "partition", bad->partition);
  freshet_json_integer(&json, "offset", bad->offset);
  freshet_json_time(&json, "time", bad->timestamp_ms);
  freshet_json_text(&json, "reason", freshet_slice_of(bad->reason));
  freshet_json_text(&json, "lost", freshet_slice_of(bad->lost));
  if (bad->has_key) freshet_json_base64(&json, "key", freshet_bad_key(bad));
  if (bad->has_value) freshet_json_base64(&json, "value", freshet_buffer_slice(&bad->value));
  freshet_buffer_append(line, ",\"headers\":", strlen(",\"headers\":"));
  freshet_buffer_append(line, bad->headers.data, bad->headers.size);
  freshet_json_close(&json, '}');
  freshet_buffer_append(line, "\n", 1);
}

freshet_status freshet_repair_write_file(const freshet_repair* repair, const char* path,
                                         freshet_error* error) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  FILE* file = fd < 0 ? NULL : fdopen(fd, "w");
  if (file == NULL)
    return freshet_error_set(error, errno == EEXIST ? FRESHET_CONFLICT : FRESHET_UNAVAILABLE, FRESHET_STOP,
                             "%s: %s; --file names another file for the bytes of the records", path,
                             strerror(errno));
  freshet_buffer line = {0};
  bool is_written = true;
  for (size_t i = 0; is_written && i < repair->bad_count; i++) {
    write_line(repair, &repair->bad[i], &line);
    is_written = fwrite(line.data, 1, line.size, file) == line.size;
  }
  is_written = is_written && fflush(file) == 0 && fsync(fd) == 0;
  is_written = fclose(file) == 0 && is_written;
  freshet_buffer_free(&line);
  if (is_written) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "write %s: %s", path, strerror(errno));
}

/* ---- the topics ---- */

typedef struct writing {
  const freshet_repair* repair;
  freshet_outbox* outbox;
  freshet_ports ports; /* for the letters: metrics and logger */
  freshet_worker_metrics metrics;
} writing;

static void send_letters(writing* w) {
  for (size_t i = 0; i < w->repair->bad_count; i++) {
    const freshet_bad_record* bad = &w->repair->bad[i];
    freshet_error cause = {0};
    const freshet_record record = {.topic = bad->topic,
                                   .partition = bad->partition,
                                   .offset = bad->offset,
                                   .has_key = bad->has_key,
                                   .key = freshet_bad_key(bad),
                                   .has_value = bad->has_value,
                                   .value = freshet_buffer_slice(&bad->value)};
    freshet_error_set(&cause, FRESHET_INVALID, FRESHET_STOP, "%s", bad->reason);
    freshet_dead_letters_add(w->outbox, &w->ports, &record, "VALUE_CONVERTER", &cause);
  }
}

static freshet_status put_back(const writing* w, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < w->repair->bad_count; i++) {
    const freshet_bad_record* bad = &w->repair->bad[i];
    if (!bad->puts_back) continue;
    const freshet_output output = {.topic = bad->topic,
                                   .partition = bad->partition,
                                   .key = freshet_bad_key(bad),
                                   .has_value = bad->good.offset >= 0 && bad->good.has_value,
                                   .value = freshet_buffer_slice(&bad->good.value)};
    status = freshet_outbox_add(w->outbox, &output, FRESHET_WITH_COMMIT, error);
  }
  return status;
}

/* Records that readers do not refuse by themselves are named one by one. *found: bad records of this partition. The caller
 * frees fact->skipped, after an error too. */
static freshet_status gather_skipped(const freshet_repair* repair, const freshet_scanned_log* log,
                                     freshet_seal_fact* fact, size_t* found, freshet_error* error) {
  size_t capacity = 0;
  fact->skipped = NULL;
  fact->skipped_count = 0;
  *found = 0;
  for (size_t i = 0; i < log->fact.skipped_count; i++) {
    fact->skipped = freshet_grow(fact->skipped, &capacity, fact->skipped_count + 1, sizeof *fact->skipped);
    fact->skipped[fact->skipped_count++] = log->fact.skipped[i];
  }
  for (size_t i = 0; i < repair->bad_count; i++) {
    const freshet_bad_record* bad = &repair->bad[i];
    if (bad->topic != log->topic || bad->partition != log->partition) continue;
    ++*found;
    if (bad->is_refused) continue;
    fact->skipped = freshet_grow(fact->skipped, &capacity, fact->skipped_count + 1, sizeof *fact->skipped);
    fact->skipped[fact->skipped_count++] = (freshet_skipped_record){
        bad->offset,
        freshet_seal_sum(freshet_bad_key(bad), bad->has_value, freshet_buffer_slice(&bad->value))};
  }
  if (fact->skipped_count <= FRESHET_SKIPPED_MAX) return FRESHET_OK;
  return freshet_error_set(
      error, FRESHET_CONFLICT, FRESHET_STOP,
      "topic %s [%d] has %zu records that would have to be passed over one by one, and %d is the "
      "most: this state is lost; `freshet offsets --start-over` learns it again",
      repair->kafka.topics[log->topic], (int)log->partition, fact->skipped_count, FRESHET_SKIPPED_MAX);
}

static freshet_status tell_fact(const writing* w, const freshet_scanned_log* log, freshet_error* error) {
  freshet_seal_fact fact = log->fact;
  freshet_buffer key = {0}, value = {0};
  freshet_output output;
  size_t found;
  freshet_status status = gather_skipped(w->repair, log, &fact, &found, error);
  const bool is_new = fact.sealed == INT64_MAX;
  /* Once one partition has a fact, one without a fact has no unsealed records. So what has not been read to its end
   * gets a fact, too. */
  if (is_new && !w->repair->is_full) fact.sealed = log->end;
  if (log->end > fact.looked) fact.looked = log->end;
  freshet_seal_fact_write(&fact, w->repair->kafka.topics[log->topic], log->partition, &key, &value, &output);
  if (status == FRESHET_OK && (is_new || found > 0))
    status = freshet_outbox_add(w->outbox, &output, FRESHET_WITH_COMMIT, error);
  freshet_buffer_free(&key);
  freshet_buffer_free(&value);
  free(fact.skipped);
  return status;
}

static freshet_status write_all(writing* w, freshet_error* error) {
  send_letters(w);
  freshet_status status = put_back(w, error);
  for (size_t i = 0; status == FRESHET_OK && i < w->repair->log_count; i++)
    status = tell_fact(w, &w->repair->logs[i], error);
  if (status == FRESHET_OK) status = freshet_outbox_start_commit(w->outbox, NULL, 0, error);
  if (status != FRESHET_OK) return status;
  do {
    freshet_error_clear(error);
    status = freshet_outbox_outcome(w->outbox, OUTCOME_MS, error);
  } while (status == FRESHET_TIMEOUT);
  return status;
}

freshet_status freshet_repair_write_topics(const freshet_repair* repair, freshet_error* error) {
  char transactional_id[ID_SIZE];
  freshet_kafka_config kafka = repair->kafka;
  freshet_sink* sink = NULL;
  writing w = {.repair = repair};
  w.ports.metrics = &w.metrics;
  snprintf(transactional_id, sizeof transactional_id, "%s.repair", repair->config->app.id);
  kafka.transactional_id = transactional_id;
  freshet_status status = freshet_kafka_sink_create(&kafka, NULL, &sink, error);
  if (status == FRESHET_OK) {
    w.outbox = freshet_outbox_create(sink, FRESHET_DELIVERY_FAST);
    status = write_all(&w, error);
    freshet_outbox_destroy(w.outbox);
  }
  freshet_sink_destroy(sink);
  return status;
}
