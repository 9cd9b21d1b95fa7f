/*
 * bert.c: the BERT encoder: tokenizer, weights, and the threads that share the texts of a call.
 *
 * Each thread takes texts from the common list one at a time, tokenizes them straight into its group, and
 * runs the group when it is full. Towards the end of the list groups are cut to an even share of what is
 * left, so that all threads finish together.
 */
#include "text/bert.h"

#include <cblas.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/bert_forward.h"
#include "text/mapping.h"
#include "text/wordpiece.h"

typedef struct bert_encoder bert_encoder;

/* The model that encoders share. It does not change, except for the count of its users. */
typedef struct bert_model {
  atomic_uint users;
  freshet_bert_config config;
  freshet_bert_weights weights;
  freshet_wordpiece* wordpiece;
  const freshet_kernels* kernels;
} bert_model;

typedef struct bert_worker {
  bert_encoder* encoder;
  pthread_t thread;
  bool started;
  freshet_bert_group group;
  float** outs; /* [group texts] */
} bert_worker;

struct bert_encoder {
  freshet_encoder base;
  bert_model* model;
  uint32_t thread_count;
  bert_worker* workers; /* [thread_count]; the first is the caller of encode */

  pthread_mutex_t mutex;
  pthread_cond_t work, idle;
  uint64_t generation; /* number of the call; a worker that sees a new number starts */
  uint32_t busy;       /* helpers that have not finished this call */
  bool stopping;
  const freshet_slice* texts; /* [count] of this call */
  size_t count, next;
  float* out;
};

/* ---- one call ---- */

/* Takes the next text, or returns false. *share becomes this thread's part of the remaining texts, at least
 * 1. */
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
    size_t count = freshet_wordpiece_encode(self->model->wordpiece, self->texts[index], ids,
                                            self->model->config.tokens_max);
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
  const bert_model* model = ((const bert_encoder*)encoder)->model;
  size_t most = max < model->config.tokens_max ? max : model->config.tokens_max;
  return freshet_wordpiece_encode(model->wordpiece, text, ids, most);
}

/* ---- the model ---- */

static void release_model(bert_model* model) {
  if (model == NULL || atomic_fetch_sub(&model->users, 1) > 1) return;
  freshet_wordpiece_destroy(model->wordpiece);
  freshet_bert_weights_free(&model->weights);
  free(model);
}

static freshet_status load_tokenizer(bert_model* model, const char* folder, freshet_error* error) {
  char path[4096];
  freshet_slice bytes;
  snprintf(path, sizeof path, "%s/vocab.txt", folder);
  freshet_status status = freshet_map_file(path, &bytes, error);
  if (status != FRESHET_OK) return status;
  status = freshet_wordpiece_create(bytes, &model->config.tokenizer, &model->wordpiece, error);
  freshet_unmap_file(bytes);
  if (status == FRESHET_OK && freshet_wordpiece_size(model->wordpiece) > model->config.vocabulary) {
    status = freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: %zu tokens, but the model knows %u",
                               path, freshet_wordpiece_size(model->wordpiece), model->config.vocabulary);
  }
  return status;
}

static freshet_status load_model(const freshet_bert_options* options, bert_model** out,
                                 freshet_error* error) {
  bert_model* model = calloc(1, sizeof *model);
  if (model == NULL) return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "bert: out of memory");
  atomic_init(&model->users, 1);
  model->kernels = options->kernels != NULL ? options->kernels : freshet_kernels_best();
  freshet_status status = freshet_bert_config_read(options->folder, &model->config, error);
  if (status == FRESHET_OK) status = load_tokenizer(model, options->folder, error);
  if (status == FRESHET_OK) {
    status = freshet_bert_weights_load(options->folder, &model->config, model->kernels,
                                       options->precision == FRESHET_TEXT_INT8, &model->weights, error);
  }
  if (status == FRESHET_OK) {
    *out = model;
  } else {
    release_model(model);
  }
  return status;
}

/* ---- the encoder ---- */

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
  release_model(self->model);
  pthread_cond_destroy(&self->idle);
  pthread_cond_destroy(&self->work);
  pthread_mutex_destroy(&self->mutex);
  free(self);
}

static freshet_status start_workers(bert_encoder* self, uint32_t threads, freshet_error* error) {
  const bert_model* model = self->model;
  self->workers = calloc(threads, sizeof *self->workers);
  if (self->workers == NULL) goto no_memory;
  self->thread_count = threads;
  for (uint32_t i = 0; i < threads; i++) {
    bert_worker* worker = &self->workers[i];
    worker->encoder = self;
    freshet_status status =
        freshet_bert_group_create(&model->config, &model->weights, model->kernels, &worker->group, error);
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

static freshet_status bert_share(freshet_encoder* encoder, freshet_encoder** other, freshet_error* error);
static const freshet_encoder_vtable bert_vtable = {
    .encode = bert_encode, .destroy = bert_destroy, .tokenize = bert_tokenize, .share = bert_share};

/* Takes over the caller's reference to the model, even when it fails. */
static freshet_status create_encoder(bert_model* model, uint32_t threads, const char* name,
                                     freshet_encoder** encoder, freshet_error* error) {
  bert_encoder* self = calloc(1, sizeof *self);
  if (self == NULL) {
    release_model(model);
    return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "bert: out of memory");
  }
  pthread_mutex_init(&self->mutex, NULL);
  pthread_cond_init(&self->work, NULL);
  pthread_cond_init(&self->idle, NULL);
  self->model = model;
  self->base.vtable = &bert_vtable;
  self->base.dim = model->config.hidden;
  snprintf(self->base.name, sizeof self->base.name, "%s", name);
  freshet_status status = start_workers(self, threads, error);
  if (status == FRESHET_OK) {
    *encoder = &self->base;
  } else {
    bert_destroy(&self->base);
  }
  return status;
}

static freshet_status bert_share(freshet_encoder* encoder, freshet_encoder** other, freshet_error* error) {
  bert_model* model = ((bert_encoder*)encoder)->model;
  atomic_fetch_add(&model->users, 1);
  return create_encoder(model, 1, encoder->name, other, error);
}

static void write_name(const bert_model* model, const freshet_bert_options* options, char* name,
                       size_t name_size) {
  size_t end = strlen(options->folder);
  while (end > 1 && options->folder[end - 1] == '/') end--;
  size_t start = end;
  while (start > 0 && options->folder[start - 1] != '/') start--;
  snprintf(name, name_size, "bert-%.*s-%08" PRIx32 "-%s-v1", (int)(end - start > 64 ? 64 : end - start),
           options->folder + start, (uint32_t)model->weights.hash,
           options->precision == FRESHET_TEXT_INT8 ? "int8" : "fp32");
}

freshet_status freshet_encoder_bert_create(const freshet_bert_options* options, freshet_encoder** encoder,
                                           freshet_error* error) {
  char name[sizeof(*encoder)->name];
  bert_model* model = NULL;
  if (options->threads < 1 || options->threads > FRESHET_BERT_THREADS_MAX) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "bert: %u threads; it takes 1 to %d",
                             options->threads, FRESHET_BERT_THREADS_MAX);
  }
  openblas_set_num_threads(
      1); /* the encoder's own threads run in parallel; OpenBLAS's threads would only spin */
  freshet_status status = load_model(options, &model, error);
  if (status != FRESHET_OK) return status;
  write_name(model, options, name, sizeof name);
  return create_encoder(model, options->threads, name, encoder, error);
}
