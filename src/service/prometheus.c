/*
 * prometheus.c: writes the metrics of the worker, of HTTP and of the process in Prometheus' text format. It
 * reads atomics and owns nothing.
 */
#include "service/prometheus.h"

#include <dirent.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "freshet/freshet.h"

static void append(freshet_buffer* out, const char* format, ...) __attribute__((format(printf, 2, 3)));
static void append(freshet_buffer* out, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  FRESHET_ASSERT(size >= 0);
  char* target = (char*)freshet_buffer_reserve(out, (size_t)size + 1);
  va_start(arguments, format);
  vsnprintf(target, (size_t)size + 1, format, arguments);
  va_end(arguments);
  out->size += (size_t)size;
}

void freshet_metrics_head(freshet_buffer* out, const char* name, const char* type, const char* help) {
  append(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void freshet_metrics_sample(freshet_buffer* out, const char* name, const char* labels, double value) {
  if (labels == NULL) {
    append(out, "%s %.15g\n", name, value);
  } else {
    append(out, "%s{%s} %.15g\n", name, labels, value);
  }
}

void freshet_metrics_counter(freshet_buffer* out, const char* name, const char* help, uint64_t value) {
  freshet_metrics_head(out, name, "counter", help);
  freshet_metrics_sample(out, name, NULL, (double)value);
}

void freshet_metrics_gauge(freshet_buffer* out, const char* name, const char* help, double value) {
  freshet_metrics_head(out, name, "gauge", help);
  freshet_metrics_sample(out, name, NULL, value);
}

void freshet_metrics_histogram(freshet_buffer* out, const char* name, const char* help,
                               const freshet_histogram* histogram) {
  freshet_metrics_head(out, name, "histogram", help);
  uint64_t count = 0;
  for (int i = 0; i < FRESHET_HISTOGRAM_BUCKETS - 1; i++) {
    count += freshet_metric(&histogram->counts[i]);
    append(out, "%s_bucket{le=\"%g\"} %llu\n", name, (double)freshet_histogram_bounds_us[i] / 1e6,
           (unsigned long long)count);
  }
  count += freshet_metric(&histogram->counts[FRESHET_HISTOGRAM_BUCKETS - 1]);
  append(out, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)count);
  append(out, "%s_sum %.9g\n", name, (double)freshet_metric(&histogram->sum_us) / 1e6);
  append(out, "%s_count %llu\n", name, (unsigned long long)count);
}

/* ---- the worker ---- */

typedef struct family {
  const char* name;
  const char* help;
  size_t offset;
  double divisor; /* from the worker's unit to the base unit */
} family;

#define AT(field) offsetof(freshet_worker_metrics, field)

static const family counters[] = {
    {"freshet_events_duplicate_total", "Events skipped because their id was seen inside the dedup window.",
     AT(events_duplicate), 1},
    {"freshet_events_conflicting_total",
     "Of the skipped events: those whose id came with another user or item, as far as the worker remembers.",
     AT(events_conflicting), 1},
    {"freshet_events_unannounced_total", "Events applied for an item that no Item record has announced.",
     AT(events_unannounced), 1},
    {"freshet_impressions_unknown_total",
     "Impressions of an item that no event and no Item record has named, or that is parked: nothing was "
     "learned from them.",
     AT(impressions_unknown), 1},
    {"freshet_weights_clipped_total",
     "Learned weights, and weights of events, that were cut to their bounds.", AT(weights_clipped), 1},
    {"freshet_learn_refused_total", "Updates refused because they would not have been finite.",
     AT(learn_refused), 1},
    {"freshet_items_refused_total", "Items not listed, and events not learned, because of model.max_items.",
     AT(items_refused), 1},
    {"freshet_events_foreign_total",
     "Events in another partition than that of their user, see events.partitioner; not learned, dead "
     "letters.",
     AT(events_foreign), 1},
    {"freshet_events_forwarded_total",
     "Events that were sent on to the new partition of their user, after freshet topics grow.",
     AT(events_forwarded), 1},
    {"freshet_state_skipped_total",
     "Records of state topics that were passed over: damaged, or of a stranger.", AT(state_skipped), 1},
    {"freshet_users_erased_total", "Users erased on request.", AT(users_erased), 1},
    {"freshet_answers_total", "Answers to requests, of the topic and of HTTP.", AT(answers), 1},
    {"freshet_answers_direct_total",
     "Answers to requests that were made on the thread of HTTP, without the worker.", AT(answers_direct), 1},
    {"freshet_registry_failures_total", "Questions to the schema registry that got no answer.",
     AT(registry_failures), 1},
    {"freshet_lists_shortened_total", "Lists and replies that lost reasons or items to fit their topic.",
     AT(lists_shortened), 1},
    {"freshet_replies_undeliverable_total",
     "Replies that nobody gets: to a topic, named by its request, that is not there or not allowed, or too "
     "large for replies.",
     AT(replies_undeliverable), 1},
    {"freshet_dead_letters_total", "Records that could not be used, now in the dead letter topic.",
     AT(dead_letters), 1},
    {"freshet_lists_published_total", "Lists published.", AT(lists_published), 1},
    {"freshet_lists_coalesced_total", "Events that share a later list of their user.", AT(lists_coalesced),
     1},
    {"freshet_commits_total", "Transactions committed.", AT(commits), 1},
    {"freshet_aborts_total", "Transactions aborted and done again.", AT(aborts), 1},
    {"freshet_item_deltas_folded_total", "Item deltas of other workers taken over.", AT(item_deltas_folded),
     1},
    {"freshet_item_records_total", "Records read from the items topic.", AT(item_records), 1},
    {"freshet_texts_encoded_total", "Item texts encoded by this worker.", AT(texts_encoded), 1},
    {"freshet_texts_failed_total", "Item texts that could not be encoded.", AT(texts_failed), 1},
    {"freshet_restored_records_total", "Changelog records applied on start or assignment.",
     AT(restored_records), 1},
};

static const family gauges[] = {
    {"freshet_partitions", "Partitions of events held.", AT(partitions), 1},
    {"freshet_questions_waiting", "Requests that wait for their answer.", AT(questions_waiting), 1},
    {"freshet_lag_events", "Events not yet applied in the partitions held.", AT(lag), 1},
    {"freshet_lag_seconds",
     "Age of the last event applied in the partition that is furthest behind, 0 when none is.", AT(lag_ms),
     1000},
    {"freshet_events_oldest_unread_seconds",
     "Age of the oldest event that is not read yet, to hold against the retention; 0 when all are read.",
     AT(events_oldest_unread_ms), 1000},
    {"freshet_events_retention_seconds",
     "How long the events topic keeps events; 0 when that is not bounded.", AT(events_retention_ms), 1000},
    {"freshet_partitions_serving", "Partitions of events for which this generation publishes the lists.",
     AT(partitions_serving), 1},
    {"freshet_generation_switches", "Switches between generations so far.", AT(generation_switches), 1},
    {"freshet_refresh_owed_users", "Users that wait for a fresh list.", AT(refresh_owed), 1},
    {"freshet_withdrawals_owed_users", "Users whose list carries an item that was withdrawn.",
     AT(withdrawals_owed), 1},
    {"freshet_survey_partitions",
     "Partitions that have come to this process, and whose users are being looked through for owed lists.",
     AT(surveying), 1},
    {"freshet_users_cached", "Users in memory.", AT(users_cached), 1},
    {"freshet_overlay_users", "Users changed since the last commit.", AT(overlay_users), 1},
    {"freshet_items_known", "Items known.", AT(items_known), 1},
    {"freshet_items_listed", "Items that may be recommended now.", AT(items_listed), 1},
    {"freshet_items_awaiting_schema", "Records of items whose schema the registry has not told yet.",
     AT(items_awaiting_schema), 1},
    {"freshet_partitions_awaiting_schema", "Partitions that wait for a schema of the registry.",
     AT(partitions_awaiting_schema), 1},
    {"freshet_texts_waiting", "Items without the vector of their text.", AT(texts_waiting), 1},
    {"freshet_texts_unlinked", "Items whose nearest items by text are yet to be found.", AT(texts_unlinked),
     1},
    {"freshet_texts_coverage",
     "Share of listed items with a text that have the vector of the filling encoder.", AT(texts_coverage_ppm),
     1000000},
    {"freshet_model_bytes", "Memory of the model.", AT(model_bytes), 1},
    {"freshet_store_bytes", "Memory of RocksDB: block cache, memtables, table readers.", AT(store_bytes), 1},
    {"freshet_restore_seconds", "Time spent restoring users from their changelog, in all.", AT(restore_us),
     1000000},
    {"freshet_last_commit_timestamp_seconds", "When the last transaction committed, since the epoch.",
     AT(last_commit_ms), 1000},
    {"freshet_last_turn_timestamp_seconds", "When the loop last turned, since the epoch.", AT(alive_ms),
     1000},
    {"freshet_standby_partitions", "Partitions of other processes whose changelog is followed.",
     AT(standby_partitions), 1},
    {"freshet_standby_lag_records", "Records of that changelog that are not in the store yet.",
     AT(standby_lag), 1},
    {"freshet_restoring_partitions", "Partitions whose users are being restored.", AT(restoring), 1},
    {"freshet_restored_ratio", "Share of the changelog of those partitions that has been read.",
     AT(restored_ppm), 1000000},
    {"freshet_ready", "1 when partitions are restored and records are read, or when the group gives none.",
     AT(ready), 1},
};

static const family histograms[] = {
    {"freshet_question_to_answer_seconds", "From when a request was read to when its answer was handed over.",
     AT(question_to_answer), 1},
    {"freshet_withdrawal_to_list_seconds",
     "From an item's withdrawal or expiry to a list without it handed to the producer, a list each.",
     AT(withdrawal), 1},
    {"freshet_event_to_list_seconds",
     "From a live event's record timestamp to its list handed to the producer.", AT(event_to_list), 1},
    {"freshet_batch_seconds", "One turn of the list clock that had records.", AT(batch), 1},
    {"freshet_turn_seconds", "One turn of the loop, without waiting for records: so long a list may wait.",
     AT(turn), 1},
    {"freshet_rank_seconds", "Ranking, a user's share.", AT(rank), 1},
    {"freshet_commit_seconds", "Settle, transaction and store.", AT(commit), 1},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static double figure(const freshet_worker_metrics* metrics, const family* f) {
  return (double)freshet_metric((const _Atomic uint64_t*)((const char*)metrics + f->offset)) / f->divisor;
}

/* Copies a name for use as the value of a label. */
static void copy_label(char* out, const _Atomic char* name, size_t size) {
  for (size_t i = 0; i < size; i++) {
    char c = name[i];
    out[i] = c == '"' || c == '\\' || c == '\n' ? '_' : c;
  }
}

static void generations(freshet_buffer* out, const freshet_worker_metrics* metrics) {
  char serving[sizeof metrics->texts_serving], filling[sizeof metrics->texts_filling];
  copy_label(serving, metrics->texts_serving, sizeof serving);
  copy_label(filling, metrics->texts_filling, sizeof filling);
  if (serving[0] == '\0') return;
  freshet_metrics_head(out, "freshet_texts_generation_info", "gauge",
                       "Always 1; the encoders whose vectors serve and are made are the labels.");
  append(out, "freshet_texts_generation_info{serving=\"%s\",filling=\"%s\"} 1\n", serving, filling);
}

void freshet_metrics_worker(freshet_buffer* out, const freshet_worker_metrics* metrics) {
  static const char* const types[] = {"type=\"click\"", "type=\"rating\"", "type=\"purchase\"",
                                      "type=\"feedback\""};
  freshet_metrics_head(out, "freshet_events_total", "counter", "Events applied.");
  for (size_t i = 0; i < COUNT(types); i++) {
    freshet_metrics_sample(out, "freshet_events_total", types[i],
                           (double)freshet_metric(&metrics->events[i]));
  }
  freshet_metrics_head(out, "freshet_events_lost_total", "counter",
                       "Events that Kafka deleted before they were read.");
  freshet_metrics_sample(out, "freshet_events_lost_total", "reason=\"expired\"",
                         (double)freshet_metric(&metrics->events_lost));
  for (size_t i = 0; i < COUNT(counters); i++) {
    freshet_metrics_head(out, counters[i].name, "counter", counters[i].help);
    freshet_metrics_sample(out, counters[i].name, NULL, figure(metrics, &counters[i]));
  }
  for (size_t i = 0; i < COUNT(gauges); i++) {
    freshet_metrics_gauge(out, gauges[i].name, gauges[i].help, figure(metrics, &gauges[i]));
  }
  generations(out, metrics);
  for (size_t i = 0; i < COUNT(histograms); i++) {
    freshet_metrics_histogram(out, histograms[i].name, histograms[i].help,
                              (const freshet_histogram*)((const char*)metrics + histograms[i].offset));
  }
}

/* ---- the process, under the names that Prometheus clients agree on ---- */

static double resident_bytes(void) {
  double pages = 0;
  FILE* file = fopen("/proc/self/statm", "re");
  if (file == NULL) return 0;
  if (fscanf(file, "%*s %lf", &pages) != 1) pages = 0;
  fclose(file);
  return pages * (double)sysconf(_SC_PAGESIZE);
}

static double open_descriptors(void) {
  DIR* entries = opendir("/proc/self/fd");
  if (entries == NULL) return 0;
  int count = 0;
  while (readdir(entries) != NULL) count++;
  closedir(entries);
  return count - 3; /* ".", ".." and the one that was just open */
}

/* /proc/self is made with the process. */
static double start_time(void) {
  struct stat about;
  return stat("/proc/self", &about) == 0 ? (double)about.st_ctim.tv_sec : 0;
}

void freshet_metrics_process(freshet_buffer* out, const char* app_id) {
  struct rusage used = {0};
  getrusage(RUSAGE_SELF, &used);
  double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
               (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  freshet_metrics_head(out, "freshet_build_info", "gauge", "Always 1; app and version are the labels.");
  append(out, "freshet_build_info{app=\"%s\",version=\"%s\"} 1\n", app_id, FRESHET_VERSION);
  freshet_metrics_head(out, "process_cpu_seconds_total", "counter", "CPU time used, user and system.");
  freshet_metrics_sample(out, "process_cpu_seconds_total", NULL, cpu);
  freshet_metrics_gauge(out, "process_resident_memory_bytes", "Resident memory.", resident_bytes());
  freshet_metrics_gauge(out, "process_open_fds", "Open file descriptors.", open_descriptors());
  freshet_metrics_gauge(out, "process_start_time_seconds", "When this process started, since the epoch.",
                        start_time());
}
