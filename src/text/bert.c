/*
 * bert.c: the BERT encoder: tokenizer, weights, and the threads that share the texts of a call.
 *
 * Each thread takes texts from the common list one at a time, tokenizes them straight into its group, and
 * runs the group when it is full. Towards the end of the list groups are cut to an even share of what is
 * left, so that all threads finish together.
 */
#include "text/bert.h"

#include <cblas.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/bert_forward.h"
#include "text/wordpiece.h"

enum { VOCABULARY_BYTES_MAX = 1 << 28 };

typedef struct bert_encoder bert_encoder;

typedef struct bert_worker {
  bert_encoder* encoder;
  pthread_t thread;
  bool started;
  freshet_bert_group group;
  float** outs; /* [group texts] */
} bert_worker;

struct bert_encoder {
  freshet_encoder base;
  freshet_bert_config config;
  freshet_bert_weights weights;
  freshet_wordpiece* wordpiece;
  const freshet_kernels* kernels;
  uint32_t thread_count;
  bert_worker* workers; /* [thread_count]; the first is the caller of encode */

  pthread_mutex_t mutex;
  pthread_cond_t work, idle;
  uint64_t generation; /* of the call; a worker that sees a new one starts */
  uint32_t busy;       /* helpers that have not finished this call */
  bool stopping;
  const freshet_slice* texts; /* [count] of this call */
  size_t count, next;
  float* out;
};

/* ---- one call ---- */

/* Takes the next text, or returns false. *share becomes this thread's part of what is left, at least 1. */
static bool take_text(bert_encoder* self, size_t* index, size_t* share) {
  pthread_mutex_lock(&self->mutex);
  size_t left = self->count - self->next;
  *index = self->next;
  *share = (left + self->thread_count - 1) / self->thread_count;
  if (left > 0) self->next++;
  pthread_mutex_unlock(&self->mutex);
  return left > 0;
}

static void run_group(bert_worker* worker) {
  if (worker->group.text_count > 0) freshet_bert_forward(&worker->group, worker->outs);
  freshet_bert_group_clear(&worker->group);
}

static void encode_share(bert_worker* worker) {
  bert_encoder* self = worker->encoder;
  uint32_t ids[FRESHET_BERT_TOKENS_MAX];
  size_t index, share;
  while (take_text(self, &index, &share)) {
    size_t count =
        freshet_wordpiece_encode(self->wordpiece, self->texts[index], ids, self->config.tokens_max);
    if (!freshet_bert_group_add(&worker->group, ids, count)) {
      run_group(worker);
      freshet_bert_group_add(&worker->group, ids, count);
    }
    worker->outs[worker->group.text_count - 1] = self->out + index * self->base.dim;
    if (self->thread_count > 1 && worker->group.text_count >= share) run_group(worker);
  }
  run_group(worker);
}

static void* run_helper(void* argument) {
  bert_worker* worker = argument;
  bert_encoder* self = worker->encoder;
  uint64_t seen = 0;
  pthread_mutex_lock(&self->mutex);
  for (;;) {
    while (!self->stopping && self->generation == seen) pthread_cond_wait(&self->work, &self->mutex);
    if (self->stopping) break;
    seen = self->generation;
    pthread_mutex_unlock(&self->mutex);
    encode_share(worker);
    pthread_mutex_lock(&self->mutex);
    if (--self->busy == 0) pthread_cond_signal(&self->idle);
  }
  pthread_mutex_unlock(&self->mutex);
  return NULL;
}

static freshet_status bert_encode(freshet_encoder* encoder, const freshet_slice* texts, size_t count,
                                  float* out, freshet_error* error) {
  bert_encoder* self = (bert_encoder*)encoder;
  bool shared = count > 1 && self->thread_count > 1;
  (void)error;
  pthread_mutex_lock(&self->mutex);
  self->texts = texts;
  self->count = count;
  self->next = 0;
  self->out = out;
  if (shared) {
    self->generation++;
    self->busy = self->thread_count - 1;
    pthread_cond_broadcast(&self->work);
  }
  pthread_mutex_unlock(&self->mutex);
  encode_share(&self->workers[0]);
  pthread_mutex_lock(&self->mutex);
  while (self->busy > 0) pthread_cond_wait(&self->idle, &self->mutex);
  pthread_mutex_unlock(&self->mutex);
  return FRESHET_OK;
}

static size_t bert_tokenize(const freshet_encoder* encoder, freshet_slice text, uint32_t* ids, size_t max) {
  const bert_encoder* self = (const bert_encoder*)encoder;
  return freshet_wordpiece_encode(self->wordpiece, text, ids,
                                  max < self->config.tokens_max ? max : self->config.tokens_max);
}

/* ---- creation ---- */

static void bert_destroy(freshet_encoder* encoder) {
  bert_encoder* self = (bert_encoder*)encoder;
  pthread_mutex_lock(&self->mutex);
  self->stopping = true;
  pthread_cond_broadcast(&self->work);
  pthread_mutex_unlock(&self->mutex);
  for (uint32_t i = 0; self->workers != NULL && i < self->thread_count; i++) {
    bert_worker* worker = &self->workers[i];
    if (worker->started) pthread_join(worker->thread, NULL);
    freshet_bert_group_free(&worker->group);
    free(worker->outs);
  }
  free(self->workers);
  freshet_wordpiece_destroy(self->wordpiece);
  freshet_bert_weights_free(&self->weights);
  pthread_cond_destroy(&self->idle);
  pthread_cond_destroy(&self->work);
  pthread_mutex_destroy(&self->mutex);
  free(self);
}

static const freshet_encoder_vtable bert_vtable = {bert_encode, bert_destroy, bert_tokenize};

static freshet_status read_vocabulary(const char* path, freshet_buffer* bytes, freshet_error* error) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) {
    freshet_status status = errno == ENOENT ? FRESHET_NOT_FOUND : FRESHET_IO;
    return freshet_error_set(error, status, FRESHET_STOP, "%s: %s", path, strerror(errno));
  }
  for (size_t got = 1; got > 0 && bytes->size <= VOCABULARY_BYTES_MAX; bytes->size += got) {
    got = fread(freshet_buffer_reserve(bytes, 1 << 16), 1, 1 << 16, file);
  }
  bool failed = ferror(file) != 0;
  fclose(file);
  if (failed) return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "%s: cannot be read", path);
  if (bytes->size <= VOCABULARY_BYTES_MAX) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: too long", path);
}

static freshet_status load_tokenizer(bert_encoder* self, const char* folder, freshet_error* error) {
  char path[4096];
  freshet_buffer bytes = {0};
  snprintf(path, sizeof path, "%s/vocab.txt", folder);
  freshet_status status = read_vocabulary(path, &bytes, error);
  if (status == FRESHET_OK) {
    status = freshet_wordpiece_create(freshet_buffer_slice(&bytes), &self->config.tokenizer, &self->wordpiece,
                                      error);
  }
  freshet_buffer_free(&bytes);
  if (status == FRESHET_OK && freshet_wordpiece_size(self->wordpiece) > self->config.vocabulary) {
    status = freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: %zu tokens, but the model knows %u",
                               path, freshet_wordpiece_size(self->wordpiece), self->config.vocabulary);
  }
  return status;
}

static void write_name(bert_encoder* self, const freshet_bert_options* options) {
  size_t size = strlen(options->folder);
  while (size > 1 && options->folder[size - 1] == '/') size--;
  size_t start = size;
  while (start > 0 && options->folder[start - 1] != '/') start--;
  snprintf(self->base.name, sizeof self->base.name, "bert-%.*s-%08" PRIx32 "-%s-v1",
           (int)(size - start > 64 ? 64 : size - start), options->folder + start,
           (uint32_t)self->weights.hash, options->precision == FRESHET_TEXT_INT8 ? "int8" : "fp32");
}

static freshet_status start_workers(bert_encoder* self, uint32_t threads, freshet_error* error) {
  self->workers = calloc(threads, sizeof *self->workers);
  if (self->workers == NULL) goto no_memory;
  self->thread_count = threads;
  for (uint32_t i = 0; i < threads; i++) {
    bert_worker* worker = &self->workers[i];
    worker->encoder = self;
    freshet_status status =
        freshet_bert_group_create(&self->config, &self->weights, self->kernels, &worker->group, error);
    if (status != FRESHET_OK) return status;
    worker->outs = calloc(worker->group.tokens_max, sizeof *worker->outs);
    if (worker->outs == NULL) goto no_memory;
    worker->started = i > 0 && pthread_create(&worker->thread, NULL, run_helper, worker) == 0;
    if (i > 0 && !worker->started) goto no_memory;
  }
  return FRESHET_OK;
no_memory:
  return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "bert: no memory for %u threads", threads);
}

freshet_status freshet_encoder_bert_create(const freshet_bert_options* options, freshet_encoder** encoder,
                                           freshet_error* error) {
  bool int8 = options->precision == FRESHET_TEXT_INT8;
  freshet_status status;
  if (options->threads < 1 || options->threads > FRESHET_BERT_THREADS_MAX) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "bert: %u threads; it takes 1 to %d",
                             options->threads, FRESHET_BERT_THREADS_MAX);
  }
  bert_encoder* self = calloc(1, sizeof *self);
  if (self == NULL) return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "bert: out of memory");
  pthread_mutex_init(&self->mutex, NULL);
  pthread_cond_init(&self->work, NULL);
  pthread_cond_init(&self->idle, NULL);
  self->base.vtable = &bert_vtable;
  self->kernels = options->kernels != NULL ? options->kernels : freshet_kernels_best();
  openblas_set_num_threads(
      1); /* the threads here are the parallel ones; OpenBLAS's own would spin beside them */
  if ((status = freshet_bert_config_read(options->folder, &self->config, error)) != FRESHET_OK) goto failed;
  if ((status = load_tokenizer(self, options->folder, error)) != FRESHET_OK) goto failed;
  status =
      freshet_bert_weights_load(options->folder, &self->config, self->kernels, int8, &self->weights, error);
  if (status != FRESHET_OK) goto failed;
  if ((status = start_workers(self, options->threads, error)) != FRESHET_OK) goto failed;
  self->base.dim = self->config.hidden;
  write_name(self, options);
  *encoder = &self->base;
  return FRESHET_OK;
failed:
  bert_destroy(&self->base);
  return status;
}
