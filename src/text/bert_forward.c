/*
 * bert_forward.c: one forward pass over a batch of token sequences. It works in memory that the caller owns,
 * and calls the kernels for all arithmetic. It must not know texts or files.
 */
#include "text/bert_forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static uint32_t larger(uint32_t a, uint32_t b) {
  return a > b ? a : b;
}

static void* allocate(size_t count, size_t size) {
  return aligned_alloc(ALIGNMENT, (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

freshet_status freshet_bert_group_create(const freshet_bert_config* config,
                                         const freshet_bert_weights* weights, const freshet_kernels* kernels,
                                         freshet_bert_group* group, freshet_error* error) {
  size_t tokens = larger(FRESHET_BERT_GROUP_TOKENS, config->tokens_max), hidden = config->hidden;
  size_t widest = larger(3 * config->hidden, config->intermediate);
  size_t stride = (config->tokens_max + FRESHET_KERNEL_ALIGNMENT - 1) / FRESHET_KERNEL_ALIGNMENT *
                  FRESHET_KERNEL_ALIGNMENT;
  *group = (freshet_bert_group){.config = config,
                                .weights = weights,
                                .kernels = kernels,
                                .tokens_max = (uint32_t)tokens,
                                .scores_stride = (uint32_t)stride};
  group->ids = allocate(tokens, sizeof *group->ids);
  group->starts = allocate(tokens + 1, sizeof *group->starts);
  group->hidden = allocate(tokens * hidden, sizeof(float));
  group->mixed = allocate(tokens * hidden, sizeof(float));
  group->wide = allocate(tokens * widest, sizeof(float));
  group->scores = allocate(config->tokens_max * stride, sizeof(float));
  group->panels = allocate(stride * (hidden / config->heads), sizeof(float));
  group->q = allocate(tokens * widest, kernels->input_size);
  group->ranges = allocate(tokens, sizeof *group->ranges);
  if (group->ids == NULL || group->starts == NULL || group->hidden == NULL || group->mixed == NULL ||
      group->wide == NULL || group->scores == NULL || group->panels == NULL || group->q == NULL ||
      group->ranges == NULL) {
    freshet_bert_group_free(group);
    return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "bert: out of memory");
  }
  freshet_bert_group_clear(group);
  return FRESHET_OK;
}

void freshet_bert_group_free(freshet_bert_group* group) {
  free(group->ids);
  free(group->starts);
  free(group->hidden);
  free(group->mixed);
  free(group->wide);
  free(group->scores);
  free(group->panels);
  free(group->q);
  free(group->ranges);
  *group = (freshet_bert_group){0};
}

void freshet_bert_group_clear(freshet_bert_group* group) {
  group->text_count = 0;
  group->starts[0] = 0;
}

bool freshet_bert_group_add(freshet_bert_group* group, const uint32_t* ids, size_t count) {
  uint32_t used = group->starts[group->text_count];
  if (used > 0 && used + count > FRESHET_BERT_GROUP_TOKENS) return false;
  FRESHET_ASSERT(count > 0 && used + count <= group->tokens_max);
  memcpy(group->ids + used, ids, count * sizeof *ids);
  group->starts[++group->text_count] = used + (uint32_t)count;
  return true;
}

/* ---- the layers ---- */

static void add_row(const freshet_tensor* table, size_t row, uint32_t dim, float* scratch, float* to) {
  freshet_tensor_read(table, row * dim, dim, scratch);
  for (uint32_t i = 0; i < dim; i++) to[i] += scratch[i];
}

/* hidden = layer_norm(word + position + type 0) */
static void embed(freshet_bert_group* g) {
  const freshet_bert_weights* w = g->weights;
  uint32_t dim = g->config->hidden, tokens = g->starts[g->text_count];
  for (uint32_t text = 0; text < g->text_count; text++) {
    for (uint32_t i = g->starts[text]; i < g->starts[text + 1]; i++) {
      float* row = g->hidden + (size_t)i * dim;
      freshet_tensor_read(w->words, (size_t)g->ids[i] * dim, dim, row);
      add_row(w->positions, i - g->starts[text], dim, g->mixed, row);
      add_row(w->types, 0, dim, g->mixed, row);
    }
  }
  g->kernels->layer_norm(g->hidden, NULL, tokens, dim, w->embedding_norm.gain, w->embedding_norm.bias,
                         g->config->epsilon);
}

/* out [tokens][n] = activation(in [tokens][k] * W + bias) */
static void linear(freshet_bert_group* g, const freshet_bert_linear* l, const float* in, float* out,
                   freshet_activation activation) {
  uint32_t tokens = g->starts[g->text_count];
  if (l->panels != NULL) {
    g->kernels->multiply(in, l->k, tokens, l->k, l->panels, l->n, l->bias, activation, out, l->n);
    return;
  }
  g->kernels->quantize(in, l->k, tokens, l->k, g->q, g->ranges);
  g->kernels->multiply_int8(g->q, g->ranges, tokens, l->k, l->panels_int8, l->scales, l->sums, l->n, l->bias,
                            activation, out, l->n);
}

/* mixed = softmax(Q K^T / sqrt(d)) V for one head of one text; rows of wide are [query | key | value]. */
static void attend_head(freshet_bert_group* g, uint32_t start, uint32_t count, uint32_t head) {
  const freshet_kernels* k = g->kernels;
  size_t hidden = g->config->hidden, dim = hidden / g->config->heads, stride = 3 * hidden;
  const float* query = g->wide + start * stride + head * dim;
  float* context = g->mixed + start * hidden + head * dim;
  size_t padded =
      (count + FRESHET_KERNEL_ALIGNMENT - 1) / FRESHET_KERNEL_ALIGNMENT * FRESHET_KERNEL_ALIGNMENT;
  k->pack_columns(query + hidden, stride, count, dim, g->panels);
  k->multiply(query, stride, count, dim, g->panels, padded, NULL, FRESHET_ACTIVATION_NONE, g->scores,
              g->scores_stride);
  k->softmax(g->scores, g->scores_stride, count, count, 1 / sqrtf((float)dim));
  k->pack_rows(query + 2 * hidden, stride, dim, count, g->panels);
  k->multiply(g->scores, g->scores_stride, count, count, g->panels, dim, NULL, FRESHET_ACTIVATION_NONE,
              context, hidden);
}

static void attend(freshet_bert_group* g) {
  for (uint32_t text = 0; text < g->text_count; text++) {
    uint32_t start = g->starts[text], count = g->starts[text + 1] - start;
    for (uint32_t head = 0; head < g->config->heads; head++) attend_head(g, start, count, head);
  }
}

/* hidden = layer_norm(hidden + mixed) */
static void add_and_norm(freshet_bert_group* g, const freshet_bert_norm* norm) {
  g->kernels->layer_norm(g->hidden, g->mixed, g->starts[g->text_count], g->config->hidden, norm->gain,
                         norm->bias, g->config->epsilon);
}

static void run_layer(freshet_bert_group* g, const freshet_bert_layer* layer) {
  linear(g, &layer->query_key_value, g->hidden, g->wide, FRESHET_ACTIVATION_NONE);
  attend(g);
  memcpy(g->wide, g->mixed, (size_t)g->starts[g->text_count] * g->config->hidden * sizeof *g->wide);
  linear(g, &layer->output, g->wide, g->mixed, FRESHET_ACTIVATION_NONE);
  add_and_norm(g, &layer->output_norm);
  linear(g, &layer->up, g->hidden, g->wide, FRESHET_ACTIVATION_GELU);
  linear(g, &layer->down, g->wide, g->mixed, FRESHET_ACTIVATION_NONE);
  add_and_norm(g, &layer->down_norm);
}

/* Mean over the tokens, or the first one ([CLS]); then length 1. A zero vector, which only broken weights
 * give, stays zero. */
static void pool(const freshet_bert_group* g, uint32_t text, float* out) {
  uint32_t dim = g->config->hidden, first = g->starts[text], end = g->starts[text + 1];
  double squares = 0;
  if (g->config->pooling == FRESHET_POOLING_CLS) end = first + 1;
  memset(out, 0, dim * sizeof *out);
  for (uint32_t i = first; i < end; i++) {
    for (uint32_t j = 0; j < dim; j++) out[j] += g->hidden[(size_t)i * dim + j];
  }
  for (uint32_t j = 0; j < dim; j++) squares += (double)out[j] * out[j];
  float scale = squares > 0 ? (float)(1 / sqrt(squares)) : 0;
  for (uint32_t j = 0; j < dim; j++) out[j] *= scale;
}

void freshet_bert_forward(freshet_bert_group* group, float* const* outs) {
  embed(group);
  for (uint32_t i = 0; i < group->config->layers; i++) run_layer(group, &group->weights->layers[i]);
  for (uint32_t i = 0; i < group->text_count; i++) pool(group, i, outs[i]);
}
