/*
 * embedder.c: The thread that embeds texts: a queue in, vectors out, and trouble retried with growing pauses. It owns the
 * encoder while it runs. It must not know what a text belongs to.
 */
#include "text/embedder.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/monotonic.h"
#include "text/cache.h"

enum { PRIORITIES = FRESHET_EMBED_PRIORITIES, LANES_MAX = 2, LEAST_URGENT = 19 };

typedef struct job {
  struct job* next;
  uint64_t id;
  freshet_embed_priority priority;
  freshet_status status;
  float* vector; /* NULL until encoded */
  size_t size;
  char text[];
} job;

typedef struct job_list {
  job *first, **end; /* end: where the next one is linked in */
  size_t count;
} job_list;

/* A thread with its encoder and the priorities that it serves. */
typedef struct lane {
  freshet_embedder* embedder;
  freshet_encoder* encoder;
  bool serves[PRIORITIES];
  bool owns_encoder, started;
  pthread_t thread;
  pthread_cond_t wake;
  int64_t pause_until_ms; /* the pause of all priorities except requests, after a failure of bulk */
  uint32_t pause_ms;
  uint64_t random;
  float* vectors; /* [batch][dim] */
} lane;

struct freshet_embedder {
  freshet_embedder_config config;
  uint32_t dim;
  pthread_mutex_t mutex; /* protects everything below, and what the lanes say about themselves */
  bool stopping;
  job_list waiting[PRIORITIES], finished;
  size_t texts[PRIORITIES], bytes[PRIORITIES]; /* submitted and not yet collected */
  freshet_text_cache* cache;
  freshet_embedder_stats stats;
  lane lanes[LANES_MAX];
  size_t lane_count;
  job* collected; /* whose vector the caller may still read */
};

freshet_embedder_config freshet_embedder_defaults(void) {
  return (freshet_embedder_config){.batch = 32,
                                   .texts_max = 4096,
                                   .bytes_max = 32 << 20,
                                   .cache_bytes = 16 << 20,
                                   .retry_ms = 500,
                                   .retry_max_ms = 60000};
}

/* ---- lists ---- */

static void list_init(job_list* list) {
  *list = (job_list){.end = &list->first};
}

static void list_append(job_list* list, job* j) {
  j->next = NULL;
  *list->end = j;
  list->end = &j->next;
  list->count++;
}

static job* list_take(job_list* list) {
  job* j = list->first;
  if (j == NULL) return NULL;
  list->first = j->next;
  if (list->first == NULL) list->end = &list->first;
  list->count--;
  return j;
}

/* Puts jobs at the front of the list, in their order. */
static void list_put_back(job_list* list, job* const* jobs, size_t count) {
  for (size_t i = count; i-- > 0;) {
    jobs[i]->next = list->first;
    if (list->first == NULL) list->end = &jobs[i]->next;
    list->first = jobs[i];
    list->count++;
  }
}

static void free_job(job* j) {
  if (j == NULL) return;
  free(j->vector);
  free(j);
}

static void list_free(job_list* list) {
  for (job* j; (j = list_take(list)) != NULL;) free_job(j);
}

/* ---- finishing; all with the mutex held ---- */

static void succeed(freshet_embedder* self, job* j, const float* vector) {
  j->status = FRESHET_OK;
  j->vector = malloc(self->dim * sizeof *vector);
  FRESHET_ASSERT(j->vector != NULL);
  memcpy(j->vector, vector, self->dim * sizeof *vector);
  self->stats.done++;
  list_append(&self->finished, j);
}

static void fail(freshet_embedder* self, job* j, freshet_status status) {
  j->status = status;
  self->stats.failed++;
  list_append(&self->finished, j);
}

static void note_failure(freshet_embedder* self, const freshet_error* error) {
  snprintf(self->stats.last_error, sizeof self->stats.last_error, "%s", error->message);
}

static void finish_all(lane* l, job* const* jobs, size_t count) {
  freshet_embedder* self = l->embedder;
  for (size_t i = 0; i < count; i++) {
    const float* vector = l->vectors + i * self->dim;
    if (jobs[i]->priority != FRESHET_EMBED_HISTORY)
      freshet_text_cache_put(self->cache, (freshet_slice){jobs[i]->text, jobs[i]->size}, vector);
    succeed(self, jobs[i], vector);
  }
  l->pause_ms = 0;
  self->stats.last_error[0] = '\0';
}

/* Bulk goes back to the front of its queue, and the lane pauses. Half of the pause is fixed and half is
 * random, so that many workers do not come back at the same moment. */
static void postpone(lane* l, job* const* jobs, size_t count) {
  freshet_embedder* self = l->embedder;
  uint32_t most = self->config.retry_max_ms;
  uint32_t doubled = l->pause_ms > most / 2 ? most : 2 * l->pause_ms;
  l->pause_ms = l->pause_ms == 0 ? self->config.retry_ms : doubled;
  l->random = l->random * 6364136223846793005U + 1442695040888963407U; /* Knuth's MMIX generator */
  l->pause_until_ms =
      freshet_monotonic_ms() + l->pause_ms / 2 + (int64_t)((l->random >> 33) % (l->pause_ms / 2 + 1));
  list_put_back(&self->waiting[FRESHET_EMBED_BULK], jobs, count);
  self->stats.retries++;
}

/* ---- the lanes ---- */

/* Takes up to `batch` jobs of one priority, requests first. Returns how many. */
static size_t take_jobs(lane* l, job** jobs) {
  freshet_embedder* self = l->embedder;
  for (int p = 0; p < PRIORITIES; p++) {
    bool paused = p != FRESHET_EMBED_REQUEST && freshet_monotonic_ms() < l->pause_until_ms;
    size_t count = 0;
    if (!l->serves[p] || paused) continue;
    while (count < self->config.batch && self->waiting[p].count > 0)
      jobs[count++] = list_take(&self->waiting[p]);
    if (count > 0) return count;
  }
  return 0;
}

/* Sleeps until there may be work; returns false when the lane should end. */
static bool wait_for_work(lane* l) {
  freshet_embedder* self = l->embedder;
  if (self->stopping) return false;
  if (freshet_monotonic_ms() < l->pause_until_ms) {
    freshet_condition_wait(&l->wake, &self->mutex, l->pause_until_ms);
  } else {
    pthread_cond_wait(&l->wake, &self->mutex);
  }
  return !self->stopping;
}

static freshet_status encode_jobs(lane* l, job* const* jobs, size_t count, freshet_error* error) {
  freshet_slice texts[FRESHET_EMBEDDER_BATCH_MAX];
  for (size_t i = 0; i < count; i++) texts[i] = (freshet_slice){jobs[i]->text, jobs[i]->size};
  return freshet_encode(l->encoder, texts, count, l->vectors, error);
}

/* Without the mutex. */
static void give_notice(lane* l, freshet_status status, const freshet_error* error) {
  char text[FRESHET_ERROR_MESSAGE_SIZE];
  const freshet_embedder_config* config = &l->embedder->config;
  if (config->notice == NULL) return;
  bool cut = l->encoder->vtable->notice != NULL && l->encoder->vtable->notice(l->encoder, text, sizeof text);
  if (cut) config->notice(config->context, text);
  if (status != FRESHET_OK && status != FRESHET_ABORTED) config->notice(config->context, error->message);
}

/* Called with the mutex held; releases it while it encodes. When the encoder refuses a batch, its texts are
 * tried one by one, so that one bad text does not fail the others. */
static void run_jobs(lane* l, job* const* jobs, size_t count) {
  freshet_embedder* self = l->embedder;
  freshet_error error = {0};
  pthread_mutex_unlock(&self->mutex);
  freshet_status status = encode_jobs(l, jobs, count, &error);
  give_notice(l, status, &error);
  pthread_mutex_lock(&self->mutex);
  if (status == FRESHET_OK) {
    finish_all(l, jobs, count);
    return;
  }
  note_failure(self, &error);
  if (error.verdict == FRESHET_RETRY && jobs[0]->priority == FRESHET_EMBED_BULK && !self->stopping) {
    postpone(l, jobs, count);
  } else if (error.verdict == FRESHET_RETRY || count == 1) {
    for (size_t i = 0; i < count; i++) fail(self, jobs[i], status);
  } else {
    for (size_t i = 0; i < count; i++) run_jobs(l, jobs + i, 1);
  }
}

static void* run_lane(void* argument) {
  lane* l = argument;
  freshet_embedder* self = l->embedder;
  job* jobs[FRESHET_EMBEDDER_BATCH_MAX];
  /* On Linux the nice value belongs to the thread. Filling the catalogue gives way to other work on the
   * machine. */
  if (!l->serves[FRESHET_EMBED_REQUEST]) setpriority(PRIO_PROCESS, (id_t)gettid(), LEAST_URGENT);
  pthread_mutex_lock(&self->mutex);
  for (;;) {
    size_t count = self->stopping ? 0 : take_jobs(l, jobs);
    if (count > 0) {
      run_jobs(l, jobs, count);
      if (self->config.ready == NULL || self->finished.count == 0) continue;
      pthread_mutex_unlock(&self->mutex);
      self->config.ready(self->config.context);
      pthread_mutex_lock(&self->mutex);
    } else if (!wait_for_work(l)) {
      break;
    }
  }
  pthread_mutex_unlock(&self->mutex);
  return NULL;
}

/* ---- creation ---- */

static freshet_status start_lane(freshet_embedder* self, freshet_encoder* encoder, bool owns, bool requests,
                                 bool bulk, freshet_error* error) {
  lane* l = &self->lanes[self->lane_count++];
  *l = (lane){.embedder = self, .encoder = encoder, .serves = {requests, bulk, bulk}, .owns_encoder = owns};
  l->random = (uint64_t)freshet_monotonic_ms() ^ (uintptr_t)self;
  freshet_condition_init(&l->wake);
  l->vectors = malloc(self->config.batch * self->dim * sizeof *l->vectors);
  l->started = l->vectors != NULL && pthread_create(&l->thread, NULL, run_lane, l) == 0;
  if (l->started) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "embedder: no memory for a thread");
}

freshet_status freshet_embedder_create(const freshet_embedder_config* config, freshet_embedder** embedder,
                                       freshet_error* error) {
  freshet_encoder* second = NULL;
  freshet_status status = FRESHET_OK;
  if (config->batch < 1 || config->batch > FRESHET_EMBEDDER_BATCH_MAX) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "embedder: batches of %zu texts; it takes 1 to %d", config->batch,
                             FRESHET_EMBEDDER_BATCH_MAX);
  }
  freshet_embedder* self = calloc(1, sizeof *self);
  if (self == NULL)
    return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "embedder: out of memory");
  self->config = *config;
  self->dim = config->encoder->dim;
  pthread_mutex_init(&self->mutex, NULL);
  for (int p = 0; p < PRIORITIES; p++) list_init(&self->waiting[p]);
  list_init(&self->finished);
  self->cache = freshet_text_cache_create(config->cache_bytes, self->dim);
  if (config->encoder->vtable->share != NULL) {
    status = config->encoder->vtable->share(config->encoder, &second, error);
    if (status == FRESHET_OK) status = start_lane(self, second, true, true, false, error);
  }
  if (status == FRESHET_OK) status = start_lane(self, config->encoder, false, second == NULL, true, error);
  if (status == FRESHET_OK) {
    *embedder = self;
  } else {
    freshet_embedder_destroy(self);
  }
  return status;
}

void freshet_embedder_destroy(freshet_embedder* embedder) {
  if (embedder == NULL) return;
  pthread_mutex_lock(&embedder->mutex);
  embedder->stopping = true;
  for (size_t i = 0; i < embedder->lane_count; i++) pthread_cond_signal(&embedder->lanes[i].wake);
  pthread_mutex_unlock(&embedder->mutex);
  for (size_t i = 0; i < embedder->lane_count; i++) {
    lane* l = &embedder->lanes[i];
    if (l->encoder->vtable->interrupt != NULL) l->encoder->vtable->interrupt(l->encoder);
    if (l->started) pthread_join(l->thread, NULL);
    if (l->owns_encoder) freshet_encoder_destroy(l->encoder);
    pthread_cond_destroy(&l->wake);
    free(l->vectors);
  }
  for (int p = 0; p < PRIORITIES; p++) list_free(&embedder->waiting[p]);
  list_free(&embedder->finished);
  free_job(embedder->collected);
  freshet_text_cache_destroy(embedder->cache);
  pthread_mutex_destroy(&embedder->mutex);
  free(embedder);
}

/* ---- submitting and collecting ---- */

static job* make_job(uint64_t id, freshet_slice text, freshet_embed_priority priority) {
  size_t size = text.size < FRESHET_EMBEDDER_TEXT_MAX ? text.size : FRESHET_EMBEDDER_TEXT_MAX;
  /* The cut must not be in the middle of a character: a UTF-8 continuation byte is 10xxxxxx. */
  while (size < text.size && size > 0 && (text.data[size] & 0xc0) == 0x80) size--;
  job* j = malloc(sizeof *j + size);
  FRESHET_ASSERT(j != NULL);
  *j = (job){.id = id, .priority = priority, .size = size};
  if (size > 0) memcpy(j->text, text.data, size);
  return j;
}

bool freshet_embedder_submit(freshet_embedder* embedder, uint64_t id, freshet_slice text,
                             freshet_embed_priority priority) {
  freshet_embedder* self = embedder;
  job* j = make_job(id, text, priority);
  pthread_mutex_lock(&self->mutex);
  bool accepted = self->texts[priority] < self->config.texts_max &&
                  self->bytes[priority] + j->size <= self->config.bytes_max;
  if (accepted) {
    bool may_be_known = priority != FRESHET_EMBED_HISTORY;
    const float* known =
        may_be_known ? freshet_text_cache_get(self->cache, (freshet_slice){j->text, j->size}) : NULL;
    self->texts[priority]++;
    self->bytes[priority] += j->size;
    self->stats.submitted++;
    if (known != NULL) {
      self->stats.cache_hits++;
      succeed(self, j, known);
    } else {
      list_append(&self->waiting[priority], j);
      for (size_t i = 0; i < self->lane_count; i++) {
        if (self->lanes[i].serves[priority]) pthread_cond_signal(&self->lanes[i].wake);
      }
    }
  }
  pthread_mutex_unlock(&self->mutex);
  if (!accepted) free_job(j);
  return accepted;
}

bool freshet_embedder_collect(freshet_embedder* embedder, freshet_embedded* embedded) {
  pthread_mutex_lock(&embedder->mutex);
  free_job(embedder->collected);
  job* j = embedder->collected = list_take(&embedder->finished);
  if (j != NULL) {
    embedder->texts[j->priority]--;
    embedder->bytes[j->priority] -= j->size;
    *embedded = (freshet_embedded){j->id, j->priority, j->status, j->vector};
  }
  pthread_mutex_unlock(&embedder->mutex);
  return j != NULL;
}

void freshet_embedder_get_stats(freshet_embedder* embedder, freshet_embedder_stats* stats) {
  pthread_mutex_lock(&embedder->mutex);
  *stats = embedder->stats;
  for (int p = 0; p < PRIORITIES; p++) stats->waiting[p] = embedder->waiting[p].count;
  pthread_mutex_unlock(&embedder->mutex);
}
