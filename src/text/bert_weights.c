/*
 * bert_weights.c: finds the tensors of a BERT by name, checks their shapes, and packs them for the kernels.
 * It owns the packed weights. What is computed with them it must not know.
 */
#include "text/bert_weights.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { NAME_SIZE = 160, ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

typedef struct loader {
  const freshet_bert_config* config;
  const freshet_kernels* kernels;
  bool int8;
  freshet_bert_weights* weights;
  const char* prefix; /* of all names: "" or "bert." */
  float* scratch;     /* one matrix before it is packed */
  char* next;         /* of the memory that is reserved */
  size_t left;
  freshet_error* error;
} loader;

static freshet_status no_memory(const loader* l) {
  return freshet_error_set(l->error, FRESHET_NO_MEMORY, FRESHET_STOP, "model weights: out of memory");
}

/* ---- memory: one block for everything, in huge pages: a pass over the weights would otherwise miss the TLB
 * at each of ten thousand pages ---- */

static size_t align(size_t size, size_t alignment) {
  return (size + alignment - 1) / alignment * alignment;
}

static size_t linear_size(size_t k, size_t n, bool int8) {
  size_t row = align(n * sizeof(float), ALIGNMENT);
  return row + (int8 ? align(n * k, ALIGNMENT) + 2 * row : align(n * k * sizeof(float), ALIGNMENT));
}

static size_t weights_size(const freshet_bert_config* c, bool int8) {
  size_t norm = 2 * align(c->hidden * sizeof(float), ALIGNMENT);
  return norm +
         c->layers * (linear_size(c->hidden, 3 * c->hidden, int8) + linear_size(c->hidden, c->hidden, int8) +
                      linear_size(c->hidden, c->intermediate, int8) +
                      linear_size(c->intermediate, c->hidden, int8) + 2 * norm);
}

static bool reserve(loader* l) {
  l->left = align(weights_size(l->config, l->int8), HUGE_PAGE);
  l->next = l->weights->memory = aligned_alloc(HUGE_PAGE, l->left);
  if (l->next != NULL) madvise(l->next, l->left, MADV_HUGEPAGE);
  return l->next != NULL;
}

static void* allocate(loader* l, size_t size) {
  void* memory = l->next;
  size = align(size, ALIGNMENT);
  FRESHET_ASSERT(size <= l->left);
  l->next += size;
  l->left -= size;
  return memory;
}

/* ---- loading ---- */

/* The tensor of that name with the shape [rows][columns], or [columns] where rows is 0. */
static freshet_status find(const loader* l, const freshet_tensor** tensor, uint32_t rows, uint32_t columns,
                           const char* format, va_list arguments) {
  char name[NAME_SIZE];
  int length = snprintf(name, sizeof name, "%s", l->prefix);
  vsnprintf(name + length, sizeof name - (size_t)length, format, arguments);
  return freshet_safetensors_require(l->weights->file, name, rows, columns, tensor, l->error);
}

/* Reads a tensor into out [rows * columns]; a value that is not finite would poison every vector. */
__attribute__((format(printf, 5, 6))) static freshet_status read_floats(const loader* l, float* out,
                                                                        uint32_t rows, uint32_t columns,
                                                                        const char* format, ...) {
  const freshet_tensor* tensor = NULL;
  va_list arguments;
  va_start(arguments, format);
  freshet_status status = find(l, &tensor, rows, columns, format, arguments);
  va_end(arguments);
  if (status != FRESHET_OK) return status;
  size_t count = (rows == 0 ? 1 : rows) * (size_t)columns;
  freshet_tensor_read(tensor, 0, count, out);
  for (size_t i = 0; i < count; i++) {
    if (isfinite(out[i])) continue;
    return freshet_error_set(l->error, FRESHET_INVALID, FRESHET_STOP, "%s: a value is not finite",
                             tensor->name);
  }
  return FRESHET_OK;
}

__attribute__((format(printf, 4, 5))) static freshet_status find_table(const loader* l,
                                                                       const freshet_tensor** table,
                                                                       uint32_t rows, const char* format,
                                                                       ...) {
  va_list arguments;
  va_start(arguments, format);
  freshet_status status = find(l, table, rows, l->config->hidden, format, arguments);
  va_end(arguments);
  return status;
}

static freshet_status load_norm(loader* l, freshet_bert_norm* norm, const char* name) {
  uint32_t n = l->config->hidden;
  norm->gain = allocate(l, n * sizeof(float));
  norm->bias = allocate(l, n * sizeof(float));
  freshet_status status = read_floats(l, norm->gain, 0, n, "%s.weight", name);
  if (status == FRESHET_OK) status = read_floats(l, norm->bias, 0, n, "%s.bias", name);
  return status;
}

/* Stacks `count` linear layers over the same input, [n / count][k] each, into one. */
static freshet_status load_linear(loader* l, freshet_bert_linear* linear, uint32_t k, uint32_t n,
                                  const char* const* names, uint32_t count) {
  uint32_t part = n / count;
  size_t size = (size_t)n * k;
  *linear = (freshet_bert_linear){.k = k, .n = n};
  linear->bias = allocate(l, n * sizeof(float));
  for (uint32_t i = 0; i < count; i++) {
    freshet_status status = read_floats(l, l->scratch + (size_t)i * part * k, part, k, "%s.weight", names[i]);
    if (status == FRESHET_OK) status = read_floats(l, linear->bias + i * part, 0, part, "%s.bias", names[i]);
    if (status != FRESHET_OK) return status;
  }
  if (!l->int8) {
    linear->panels = allocate(l, size * sizeof(float));
    l->kernels->pack_columns(l->scratch, k, n, k, linear->panels);
    return FRESHET_OK;
  }
  linear->panels_int8 = allocate(l, size);
  linear->scales = allocate(l, n * sizeof(float));
  linear->sums = allocate(l, n * sizeof(float));
  l->kernels->pack_int8(l->scratch, n, k, linear->panels_int8, linear->scales, linear->sums);
  return FRESHET_OK;
}

static freshet_status load_layer(loader* l, uint32_t index, freshet_bert_layer* layer) {
  static const char* const names[] = {
      "attention.self.query", "attention.self.key", "attention.self.value",       "attention.output.dense",
      "intermediate.dense",   "output.dense",       "attention.output.LayerNorm", "output.LayerNorm"};
  enum { QUERY = 0, OUTPUT = 3, UP = 4, DOWN = 5, OUTPUT_NORM = 6, DOWN_NORM = 7, NAMES = 8 };
  char full[NAMES][NAME_SIZE];
  const char* at[NAMES];
  uint32_t hidden = l->config->hidden, intermediate = l->config->intermediate;
  freshet_status status;
  for (size_t i = 0; i < NAMES; i++) {
    snprintf(full[i], NAME_SIZE, "encoder.layer.%u.%s", index, names[i]);
    at[i] = full[i];
  }
  if ((status = load_linear(l, &layer->query_key_value, hidden, 3 * hidden, at + QUERY, 3)) != FRESHET_OK ||
      (status = load_linear(l, &layer->output, hidden, hidden, at + OUTPUT, 1)) != FRESHET_OK ||
      (status = load_linear(l, &layer->up, hidden, intermediate, at + UP, 1)) != FRESHET_OK ||
      (status = load_linear(l, &layer->down, intermediate, hidden, at + DOWN, 1)) != FRESHET_OK ||
      (status = load_norm(l, &layer->output_norm, at[OUTPUT_NORM])) != FRESHET_OK) {
    return status;
  }
  return load_norm(l, &layer->down_norm, at[DOWN_NORM]);
}

static freshet_status load_all(loader* l) {
  const freshet_bert_config* c = l->config;
  freshet_bert_weights* w = l->weights;
  freshet_status status;
  l->prefix =
      freshet_safetensors_find(w->file, "bert.embeddings.word_embeddings.weight") == NULL ? "" : "bert.";
  if ((status = find_table(l, &w->words, c->vocabulary, "embeddings.word_embeddings.weight")) != FRESHET_OK ||
      (status = find_table(l, &w->positions, c->positions, "embeddings.position_embeddings.weight")) !=
          FRESHET_OK ||
      (status = find_table(l, &w->types, c->types, "embeddings.token_type_embeddings.weight")) !=
          FRESHET_OK ||
      (status = load_norm(l, &w->embedding_norm, "embeddings.LayerNorm")) != FRESHET_OK) {
    return status;
  }
  for (uint32_t i = 0; i < c->layers; i++) {
    status = load_layer(l, i, &w->layers[i]);
    if (status != FRESHET_OK) return status;
  }
  return FRESHET_OK;
}

freshet_status freshet_bert_weights_load(const char* folder, const freshet_bert_config* config,
                                         const freshet_kernels* kernels, bool int8,
                                         freshet_bert_weights* weights, freshet_error* error) {
  char path[4096];
  freshet_error detail = {0};
  loader l = {
      .config = config, .kernels = kernels, .int8 = int8, .weights = weights, .prefix = "", .error = &detail};
  uint32_t wide = config->intermediate > 3 * config->hidden ? config->intermediate : 3 * config->hidden;
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  *weights = (freshet_bert_weights){0};
  freshet_status status = freshet_safetensors_open(path, &weights->file, error);
  if (status != FRESHET_OK) return status;
  weights->hash = freshet_safetensors_hash(weights->file);
  weights->layers = calloc(config->layers, sizeof *weights->layers);
  l.scratch = malloc((size_t)wide * config->hidden * sizeof(float));
  status = weights->layers == NULL || l.scratch == NULL || !reserve(&l) ? no_memory(&l) : load_all(&l);
  free(l.scratch);
  freshet_safetensors_forget(weights->file);
  if (status == FRESHET_OK) return FRESHET_OK;
  freshet_bert_weights_free(weights);
  return freshet_error_set(error, status, FRESHET_STOP, "%s: %s", path, detail.message);
}

void freshet_bert_weights_free(freshet_bert_weights* weights) {
  free(weights->layers);
  free(weights->memory);
  freshet_safetensors_close(weights->file);
  *weights = (freshet_bert_weights){0};
}
