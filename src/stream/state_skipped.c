/* state_skipped.c: see state_skipped.h. It knows no topic by itself: the caller has asked for the record. */
#include "stream/state_skipped.h"

enum { KEY_SHOWN = 64 };

/* Ids are shown, and the bytes of other keys as dots. */
static void show_key(freshet_slice key, char out[KEY_SHOWN + 1]) {
  const size_t size = key.size < KEY_SHOWN ? key.size : KEY_SHOWN;
  for (size_t i = 0; i < size; i++) {
    const unsigned char c = (unsigned char)key.data[i];
    out[i] = (char)(c < ' ' || c > '~' || c == '"' ? '.' : c);
  }
  out[size] = '\0';
}

void freshet_state_skipped(const freshet_logger* logger, freshet_worker_metrics* metrics, const char* topic,
                           const freshet_record* record, const char* reason) {
  char key[KEY_SHOWN + 1];
  uint64_t count = 1;
  show_key(record->key, key);
  if (metrics != NULL) {
    freshet_count(&metrics->state_skipped, 1);
    count = atomic_fetch_add(&metrics->state_skipped_of[record->topic], 1) + 1;
  }
  if (!freshet_log_tells(count)) return; /* `freshet repair` lists them all */
  freshet_log_fact(logger, FRESHET_ERROR, "state.skipped",
                   "topic=%s partition=%d offset=%lld key=\"%s\" bytes=%zu reason=\"%s\" count=%llu", topic,
                   (int)record->partition, (long long)record->offset, key, record->value.size, reason,
                   (unsigned long long)count);
}

freshet_status freshet_state_judge(const freshet_logger* logger, freshet_worker_metrics* metrics,
                                   const char* topic, const freshet_record* record, freshet_status status,
                                   const freshet_error* cause, freshet_error* error) {
  if (status == FRESHET_OK) return FRESHET_OK;
  const bool cannot_be_read = status == FRESHET_INVALID || cause->verdict == FRESHET_RETRY;
  if (cannot_be_read && !record->is_sealed) {
    freshet_state_skipped(logger, metrics, topic, record, cause->message);
    return FRESHET_OK;
  }
  /* The machine has failed while it applied the record: a disk, a folder, the memory. */
  if (!cannot_be_read && status != FRESHET_CONFLICT && status != FRESHET_NOT_FOUND)
    return freshet_error_set(error, status, cause->verdict, "%s", cause->message);
  return freshet_error_set(error, status, cause->verdict,
                           "%s [%d] at offset %lld: %s; `freshet repair` of the newest version in use shows "
                           "what cannot be read, and takes it out of use",
                           topic, (int)record->partition, (long long)record->offset, cause->message);
}
