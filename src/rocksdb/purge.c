/*
 * purge.c: A thread that makes the bytes of removed rows leave the disk: it flushes, compacts and starts a
 * new manifest, and remembers in the database that it still has to. It owns its queue and its thread. It
 * must not know whose rows they were.
 */
#include "rocksdb/purge.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
  GATHER_MS = 300,     /* erasures often come in rows: one flush for all */
  KEYS_MAX = 64,       /* more than these and the whole family is compacted once instead */
  FORCE_OPTIMIZED = 3, /* BottommostLevelCompaction, rocksdb/options.h: rewrites the last level, once */
};

static const char note_key[] = FRESHET_PURGE_NOTE;

typedef struct doomed {
  struct doomed* next;
  size_t family;
  size_t size;
  char key[];
} doomed;

struct freshet_purger {
  rocksdb_t* db;
  rocksdb_column_family_handle_t* const* families;
  size_t family_count, meta;
  pthread_t thread;
  bool started;
  pthread_mutex_t mutex; /* guards the rest */
  pthread_cond_t wake;
  bool stopping;
  bool overdue;      /* the last one has left something undone: all families */
  doomed* collected; /* in the batch that is filled */
  doomed* writing;   /* in the batch that is written */
  doomed* queued;
};

static void free_list(doomed* list) {
  for (doomed* next; list != NULL; list = next) {
    next = list->next;
    free(list);
  }
}

/* ---- the thread ---- */

/* Failures are not ours to report: a database that cannot flush refuses the next write. */
static void flush_all(freshet_purger* purger) {
  rocksdb_flushoptions_t* options = rocksdb_flushoptions_create();
  for (size_t f = 0; f < purger->family_count; f++) {
    char* message = NULL;
    rocksdb_flush_cf(purger->db, options, purger->families[f], &message);
    if (message != NULL) rocksdb_free(message);
  }
  rocksdb_flushoptions_destroy(options);
}

static void compact(freshet_purger* purger, const doomed* list, bool everything) {
  rocksdb_compactoptions_t* options = rocksdb_compactoptions_create();
  size_t count = 0;
  rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0);
  rocksdb_compactoptions_set_bottommost_level_compaction(options, FORCE_OPTIMIZED);
  for (const doomed* d = list; d != NULL; d = d->next) count++;
  if (everything || count > KEYS_MAX) {
    for (size_t f = 0; f < purger->family_count; f++) {
      rocksdb_compact_range_cf_opt(purger->db, purger->families[f], options, NULL, 0, NULL, 0);
    }
  } else {
    for (const doomed* d = list; d != NULL; d = d->next) {
      rocksdb_compact_range_cf_opt(purger->db, purger->families[d->family], options, d->key, d->size, d->key,
                                   d->size);
    }
  }
  rocksdb_compactoptions_destroy(options);
}

/* Unless more has come meanwhile. A key that is not queued yet has put the note into a batch that has not been written:
 * the batch must not be overtaken. */
static void remove_note(freshet_purger* purger) {
  char* message = NULL;
  pthread_mutex_lock(&purger->mutex);
  bool done =
      !purger->stopping && purger->queued == NULL && purger->writing == NULL && purger->collected == NULL;
  if (done) {
    rocksdb_writeoptions_t* options = rocksdb_writeoptions_create();
    rocksdb_delete_cf(purger->db, options, purger->families[purger->meta], note_key, sizeof note_key - 1,
                      &message);
    if (message != NULL) rocksdb_free(message);
    rocksdb_writeoptions_destroy(options);
  }
  pthread_mutex_unlock(&purger->mutex);
  if (done) flush_all(purger); /* a change of the database after the compaction: it starts a new manifest */
}

static void* run(void* argument) {
  freshet_purger* purger = argument;
  pthread_mutex_lock(&purger->mutex);
  for (;;) {
    while (!purger->stopping && purger->queued == NULL && !purger->overdue)
      pthread_cond_wait(&purger->wake, &purger->mutex);
    if (purger->stopping) break;
    pthread_mutex_unlock(&purger->mutex);
    nanosleep(&(struct timespec){.tv_nsec = GATHER_MS * 1000000}, NULL);
    pthread_mutex_lock(&purger->mutex);
    doomed* list = purger->queued;
    bool everything = purger->overdue;
    purger->queued = NULL;
    purger->overdue = false;
    pthread_mutex_unlock(&purger->mutex);
    flush_all(purger);
    compact(purger, list, everything);
    free_list(list);
    remove_note(purger);
    pthread_mutex_lock(&purger->mutex);
  }
  pthread_mutex_unlock(&purger->mutex);
  return NULL;
}

/* ---- the owner's ---- */

freshet_status freshet_purger_create(rocksdb_t* db, rocksdb_column_family_handle_t* const* families,
                                     size_t count, size_t meta, bool is_overdue, freshet_purger** purger,
                                     freshet_error* error) {
  freshet_purger* made = calloc(1, sizeof *made);
  FRESHET_ASSERT(made != NULL);
  made->db = db;
  made->families = families;
  made->family_count = count;
  made->meta = meta;
  made->overdue = is_overdue;
  pthread_mutex_init(&made->mutex, NULL);
  pthread_cond_init(&made->wake, NULL);
  made->started = pthread_create(&made->thread, NULL, run, made) == 0;
  if (made->started) {
    *purger = made;
    return FRESHET_OK;
  }
  freshet_purger_destroy(made);
  return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "state folder: no memory for a thread");
}

void freshet_purger_destroy(freshet_purger* purger) {
  if (purger == NULL) return;
  pthread_mutex_lock(&purger->mutex);
  purger->stopping = true;
  pthread_cond_signal(&purger->wake);
  pthread_mutex_unlock(&purger->mutex);
  if (purger->started) {
    rocksdb_disable_manual_compaction(purger->db);
    pthread_join(purger->thread, NULL);
  }
  free_list(purger->collected);
  free_list(purger->writing);
  free_list(purger->queued);
  pthread_cond_destroy(&purger->wake);
  pthread_mutex_destroy(&purger->mutex);
  free(purger);
}

void freshet_purger_add(freshet_purger* purger, rocksdb_writebatch_t* batch, size_t family,
                        freshet_slice key) {
  doomed* d = malloc(sizeof *d + key.size);
  FRESHET_ASSERT(d != NULL);
  *d = (doomed){.family = family, .size = key.size};
  memcpy(d->key, key.data, key.size);
  rocksdb_writebatch_put_cf(batch, purger->families[purger->meta], note_key, sizeof note_key - 1, "", 0);
  pthread_mutex_lock(&purger->mutex);
  d->next = purger->collected;
  purger->collected = d;
  pthread_mutex_unlock(&purger->mutex);
}

/* Moves all of `from` to the front of `to`. */
static void move_list(doomed** from, doomed** to) {
  for (doomed* d; (d = *from) != NULL;) {
    *from = d->next;
    d->next = *to;
    *to = d;
  }
}

void freshet_purger_starts(freshet_purger* purger) {
  pthread_mutex_lock(&purger->mutex);
  move_list(&purger->collected, &purger->writing);
  pthread_mutex_unlock(&purger->mutex);
}

void freshet_purger_written(freshet_purger* purger) {
  pthread_mutex_lock(&purger->mutex);
  move_list(&purger->writing, &purger->queued);
  if (purger->queued != NULL) pthread_cond_signal(&purger->wake);
  pthread_mutex_unlock(&purger->mutex);
}
