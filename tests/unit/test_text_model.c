/* A tiny made-up BERT model, written as files, against a forward pass in plain double-precision loops; and
 * what is said about models that cannot be run. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "freshet/encoder.h"
#include "text/bert.h"

enum {
  HIDDEN = 64,
  HEADS = 2,
  HEAD = HIDDEN / HEADS,
  WIDE = 96,
  LAYERS = 2,
  POSITIONS = 40,
  VOCABULARY = 8,
  SEED = 5
};

static const char CONFIG[] =
    "{\"model_type\": \"bert\", \"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 2,"
    " \"intermediate_size\": 96, \"max_position_embeddings\": 40, \"vocab_size\": 8, \"type_vocab_size\": 2,"
    " \"hidden_act\": \"gelu\", \"layer_norm_eps\": 1e-12}";
static const char VOCABULARY_FILE[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n##a\n##b\n";

/* ---- files ---- */

static char folder[] = "model-XXXXXX";

static void write_file(const char* name, const void* bytes, size_t size) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE* file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  fclose(file);
}

static void write_text(const char* name, const char* text) {
  write_file(name, text, strlen(text));
}

static void remove_file(const char* name) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  remove(path);
}

/* ---- the model's tensors, by name ---- */

typedef struct tensor {
  char name[96];
  size_t rows, columns; /* rows 0: one dimension */
  float* values;
} tensor;

static tensor tensors[8 + 16 * LAYERS];
static size_t tensor_count;

static void add_tensor(size_t rows, size_t columns, float spread, float middle, const char* format,
                       unsigned layer) {
  tensor* t = &tensors[tensor_count++];
  size_t count = (rows == 0 ? 1 : rows) * columns;
  snprintf(t->name, sizeof t->name, format, layer);
  t->rows = rows;
  t->columns = columns;
  t->values = malloc(count * sizeof(float));
  for (size_t i = 0; i < count; i++)
    t->values[i] = middle + spread * ((float)rand() / (float)RAND_MAX * 2 - 1);
}

static const float* get(const char* format, unsigned layer) {
  char name[96];
  snprintf(name, sizeof name, format, layer);
  for (size_t i = 0; i < tensor_count; i++) {
    if (strcmp(tensors[i].name, name) == 0) return tensors[i].values;
  }
  fail_msg("no tensor %s", name);
  return NULL;
}

#define LAYER "encoder.layer.%u."

static void make_tensors(void) {
  srand(SEED);
  add_tensor(VOCABULARY, HIDDEN, 1, 0, "embeddings.word_embeddings.weight", 0);
  add_tensor(POSITIONS, HIDDEN, 0.5F, 0, "embeddings.position_embeddings.weight", 0);
  add_tensor(2, HIDDEN, 0.2F, 0, "embeddings.token_type_embeddings.weight", 0);
  add_tensor(0, HIDDEN, 0.3F, 1, "embeddings.LayerNorm.weight", 0);
  add_tensor(0, HIDDEN, 0.3F, 0, "embeddings.LayerNorm.bias", 0);
  for (unsigned i = 0; i < LAYERS; i++) {
    static const struct {
      const char *weight, *bias;
      size_t rows, columns;
    } linears[] = {
        {LAYER "attention.self.query.weight", LAYER "attention.self.query.bias", HIDDEN, HIDDEN},
        {LAYER "attention.self.key.weight", LAYER "attention.self.key.bias", HIDDEN, HIDDEN},
        {LAYER "attention.self.value.weight", LAYER "attention.self.value.bias", HIDDEN, HIDDEN},
        {LAYER "attention.output.dense.weight", LAYER "attention.output.dense.bias", HIDDEN, HIDDEN},
        {LAYER "intermediate.dense.weight", LAYER "intermediate.dense.bias", WIDE, HIDDEN},
        {LAYER "output.dense.weight", LAYER "output.dense.bias", HIDDEN, WIDE}};
    for (size_t j = 0; j < sizeof linears / sizeof *linears; j++) {
      add_tensor(linears[j].rows, linears[j].columns, 0.3F, 0, linears[j].weight, i);
      add_tensor(0, linears[j].rows, 0.3F, 0, linears[j].bias, i);
    }
    add_tensor(0, HIDDEN, 0.3F, 1, LAYER "attention.output.LayerNorm.weight", i);
    add_tensor(0, HIDDEN, 0.3F, 0, LAYER "attention.output.LayerNorm.bias", i);
    add_tensor(0, HIDDEN, 0.3F, 1, LAYER "output.LayerNorm.weight", i);
    add_tensor(0, HIDDEN, 0.3F, 0, LAYER "output.LayerNorm.bias", i);
  }
}

/* The safetensors file, its names behind `prefix`, without tensor `left_out` (none: tensor_count). */
static void write_weights(const char* prefix, size_t left_out) {
  freshet_buffer header = {0}, data = {0};
  char line[256];
  freshet_buffer_append(&header, "{", 1);
  for (size_t i = 0; i < tensor_count; i++) {
    const tensor* t = &tensors[i];
    size_t size = (t->rows == 0 ? 1 : t->rows) * t->columns * sizeof(float);
    char shape[48];
    if (i == left_out) continue;
    if (t->rows == 0) {
      snprintf(shape, sizeof shape, "[%zu]", t->columns);
    } else {
      snprintf(shape, sizeof shape, "[%zu,%zu]", t->rows, t->columns);
    }
    int length =
        snprintf(line, sizeof line, "%s\"%s%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                 header.size > 1 ? "," : "", prefix, t->name, shape, data.size, data.size + size);
    freshet_buffer_append(&header, line, (size_t)length);
    freshet_buffer_append(&data, t->values, size);
  }
  freshet_buffer_append(&header, "}", 1);
  uint64_t size = header.size;
  freshet_buffer file = {0};
  freshet_buffer_append(&file, &size, sizeof size);
  freshet_buffer_append(&file, header.data, header.size);
  freshet_buffer_append(&file, data.data, data.size);
  write_file("model.safetensors", file.data, file.size);
  freshet_buffer_free(&file);
  freshet_buffer_free(&header);
  freshet_buffer_free(&data);
}

/* ---- the oracle: one text, double precision, straight from the paper ---- */

typedef double matrix[POSITIONS][WIDE];

static void oracle_linear(matrix in, size_t count, size_t k, size_t n, const float* w, const float* b,
                          matrix out) {
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < n; j++) {
      out[i][j] = b[j];
      for (size_t l = 0; l < k; l++) out[i][j] += in[i][l] * w[j * k + l];
    }
  }
}

static void oracle_norm(matrix x, size_t count, const float* gain, const float* bias) {
  for (size_t i = 0; i < count; i++) {
    double mean = 0, variance = 0;
    for (size_t j = 0; j < HIDDEN; j++) mean += x[i][j] / HIDDEN;
    for (size_t j = 0; j < HIDDEN; j++) variance += (x[i][j] - mean) * (x[i][j] - mean) / HIDDEN;
    for (size_t j = 0; j < HIDDEN; j++)
      x[i][j] = (x[i][j] - mean) / sqrt(variance + 1e-12) * gain[j] + bias[j];
  }
}

static void oracle_attention(matrix q, matrix k, matrix v, size_t count, matrix out) {
  for (size_t h = 0; h < HEADS; h++) {
    for (size_t i = 0; i < count; i++) {
      double weights[POSITIONS], total = 0;
      for (size_t j = 0; j < count; j++) {
        double dot = 0;
        for (size_t d = h * HEAD; d < (h + 1) * HEAD; d++) dot += q[i][d] * k[j][d];
        total += weights[j] = exp(dot / sqrt(HEAD));
      }
      for (size_t d = h * HEAD; d < (h + 1) * HEAD; d++) {
        out[i][d] = 0;
        for (size_t j = 0; j < count; j++) out[i][d] += weights[j] / total * v[j][d];
      }
    }
  }
}

static void oracle_layer(matrix x, size_t count, unsigned layer) {
  static matrix q, k, v, mixed, wide, out;
  oracle_linear(x, count, HIDDEN, HIDDEN, get(LAYER "attention.self.query.weight", layer),
                get(LAYER "attention.self.query.bias", layer), q);
  oracle_linear(x, count, HIDDEN, HIDDEN, get(LAYER "attention.self.key.weight", layer),
                get(LAYER "attention.self.key.bias", layer), k);
  oracle_linear(x, count, HIDDEN, HIDDEN, get(LAYER "attention.self.value.weight", layer),
                get(LAYER "attention.self.value.bias", layer), v);
  oracle_attention(q, k, v, count, mixed);
  oracle_linear(mixed, count, HIDDEN, HIDDEN, get(LAYER "attention.output.dense.weight", layer),
                get(LAYER "attention.output.dense.bias", layer), out);
  for (size_t i = 0; i < count * WIDE; i++) x[i / WIDE][i % WIDE] += out[i / WIDE][i % WIDE];
  oracle_norm(x, count, get(LAYER "attention.output.LayerNorm.weight", layer),
              get(LAYER "attention.output.LayerNorm.bias", layer));
  oracle_linear(x, count, HIDDEN, WIDE, get(LAYER "intermediate.dense.weight", layer),
                get(LAYER "intermediate.dense.bias", layer), wide);
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < WIDE; j++) wide[i][j] *= 0.5 * (1 + erf(wide[i][j] / sqrt(2)));
  }
  oracle_linear(wide, count, WIDE, HIDDEN, get(LAYER "output.dense.weight", layer),
                get(LAYER "output.dense.bias", layer), out);
  for (size_t i = 0; i < count * WIDE; i++) x[i / WIDE][i % WIDE] += out[i / WIDE][i % WIDE];
  oracle_norm(x, count, get(LAYER "output.LayerNorm.weight", layer),
              get(LAYER "output.LayerNorm.bias", layer));
}

static void oracle(const uint32_t* ids, size_t count, bool cls, double out[HIDDEN]) {
  static matrix x;
  const float *words = get("embeddings.word_embeddings.weight", 0),
              *types = get("embeddings.token_type_embeddings.weight", 0);
  const float* positions = get("embeddings.position_embeddings.weight", 0);
  memset(x, 0, sizeof x);
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < HIDDEN; j++) {
      x[i][j] = (double)words[ids[i] * HIDDEN + j] + positions[i * HIDDEN + j] + types[j];
    }
  }
  oracle_norm(x, count, get("embeddings.LayerNorm.weight", 0), get("embeddings.LayerNorm.bias", 0));
  for (unsigned layer = 0; layer < LAYERS; layer++) oracle_layer(x, count, layer);
  double squares = 0;
  for (size_t j = 0; j < HIDDEN; j++) {
    out[j] = 0;
    for (size_t i = 0; i < (cls ? 1 : count); i++) out[j] += x[i][j];
    squares += out[j] * out[j];
  }
  for (size_t j = 0; j < HIDDEN; j++) out[j] /= sqrt(squares);
}

/* ---- the tests ---- */

static int set_up(void** state) {
  (void)state;
  if (mkdtemp(folder) == NULL) return -1;
  make_tensors();
  write_text("config.json", CONFIG);
  write_text("vocab.txt", VOCABULARY_FILE);
  write_weights("", tensor_count);
  return 0;
}

static int tear_down(void** state) {
  (void)state;
  for (size_t i = 0; i < tensor_count; i++) free(tensors[i].values);
  remove_file("config.json");
  remove_file("vocab.txt");
  remove_file("model.safetensors");
  return rmdir(folder);
}

static freshet_status create(freshet_text_precision precision, const freshet_kernels* kernels,
                             freshet_encoder** encoder, freshet_error* error) {
  const freshet_bert_options options = {folder, precision, 2, kernels};
  return freshet_encoder_bert_create(&options, encoder, error);
}

static void check_vectors(freshet_text_precision precision, const freshet_kernels* kernels, bool cls,
                          double least) {
  static const char* const texts[] = {"", "a", "b a ab", "aaaa bbbb x",
                                      "ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab"};
  enum { COUNT = sizeof texts / sizeof *texts };
  freshet_encoder* encoder = NULL;
  freshet_error error = {0};
  freshet_slice slices[COUNT];
  float out[COUNT][HIDDEN];
  if (create(precision, kernels, &encoder, &error) != FRESHET_OK) fail_msg("%s", error.message);
  for (int i = 0; i < COUNT; i++) slices[i] = freshet_slice_of(texts[i]);
  assert_int_equal(freshet_encode(encoder, slices, COUNT, out[0], NULL), FRESHET_OK);
  for (int i = 0; i < COUNT; i++) {
    uint32_t ids[POSITIONS];
    double expected[HIDDEN], cosine = 0;
    size_t count = encoder->vtable->tokenize(encoder, slices[i], ids, POSITIONS);
    oracle(ids, count, cls, expected);
    for (int j = 0; j < HIDDEN; j++) cosine += expected[j] * out[i][j];
    if (cosine < least) fail_msg("%s, %s: text %d has cosine %.7f", encoder->name, kernels->name, i, cosine);
  }
  freshet_encoder_destroy(encoder);
}

static void vectors_are_those_of_plain_loops(void** state) {
  (void)state;
  static const char* const names[] = {"portable", "avx2", "avx512"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const freshet_kernels* kernels = freshet_kernels_find(names[i]);
    if (kernels == NULL) continue;
    check_vectors(FRESHET_TEXT_FP32, kernels, false, 0.999999);
    check_vectors(FRESHET_TEXT_INT8, kernels, false, 0.995);
  }
}

static void names_may_have_the_prefix_of_a_larger_model(void** state) {
  (void)state;
  write_weights("bert.", tensor_count);
  check_vectors(FRESHET_TEXT_FP32, freshet_kernels_best(), false, 0.999999);
  write_weights("", tensor_count);
}

static void pooling_follows_the_models_own_files(void** state) {
  (void)state;
  char path[128];
  snprintf(path, sizeof path, "%s/1_Pooling", folder);
  assert_int_equal(mkdir(path, 0700), 0);
  write_text("modules.json",
             "[{\"path\": \"\", \"type\": \"st.models.Transformer\"},"
             " {\"path\": \"1_Pooling\", \"type\": \"st.models.Pooling\"}]");
  write_text("1_Pooling/config.json",
             "{\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": false}");
  check_vectors(FRESHET_TEXT_FP32, freshet_kernels_best(), true, 0.999999);
  freshet_encoder* encoder = NULL;
  freshet_error error = {0};
  write_text("1_Pooling/config.json",
             "{\"pooling_mode_max_tokens\": true, \"pooling_mode_mean_tokens\": false}");
  assert_int_equal(create(FRESHET_TEXT_FP32, NULL, &encoder, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "pooling_mode_max_tokens is not supported"));
  /* As sentence-transformers 5.4 and later write it. */
  write_text("1_Pooling/config.json", "{\"pooling_mode\": \"cls\", \"include_prompt\": true}");
  check_vectors(FRESHET_TEXT_FP32, freshet_kernels_best(), true, 0.999999);
  write_text("1_Pooling/config.json", "{\"pooling_mode\": \"mean\"}");
  check_vectors(FRESHET_TEXT_FP32, freshet_kernels_best(), false, 0.999999);
  write_text("1_Pooling/config.json", "{\"pooling_mode\": \"lasttoken\"}");
  freshet_error_clear(&error);
  assert_int_equal(create(FRESHET_TEXT_FP32, NULL, &encoder, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "\"lasttoken\" is not supported"));
  remove_file("1_Pooling/config.json");
  remove_file("modules.json");
  assert_int_equal(rmdir(path), 0);
}

static void the_length_limit_follows_the_models_own_files(void** state) {
  (void)state;
  freshet_encoder* encoder = NULL;
  uint32_t ids[100];
  const freshet_slice text =
      freshet_slice_of("a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a");
  assert_int_equal(create(FRESHET_TEXT_FP32, NULL, &encoder, NULL), FRESHET_OK);
  assert_int_equal(encoder->vtable->tokenize(encoder, text, ids, 100), POSITIONS);
  freshet_encoder_destroy(encoder);
  write_text("sentence_bert_config.json", "{\"max_seq_length\": 10}");
  assert_int_equal(create(FRESHET_TEXT_FP32, NULL, &encoder, NULL), FRESHET_OK);
  assert_int_equal(encoder->vtable->tokenize(encoder, text, ids, 100), 10);
  freshet_encoder_destroy(encoder);
  remove_file("sentence_bert_config.json");
}

static void encoders_that_share_outlive_each_other(void** state) {
  (void)state;
  freshet_encoder *first = NULL, *second = NULL;
  const freshet_slice text = freshet_slice_of("a b");
  float before[HIDDEN], after[HIDDEN];
  assert_int_equal(create(FRESHET_TEXT_FP32, NULL, &first, NULL), FRESHET_OK);
  assert_int_equal(first->vtable->share(first, &second, NULL), FRESHET_OK);
  assert_string_equal(first->name, second->name);
  assert_int_equal(freshet_encode(first, &text, 1, before, NULL), FRESHET_OK);
  freshet_encoder_destroy(first);
  assert_int_equal(freshet_encode(second, &text, 1, after, NULL), FRESHET_OK);
  assert_memory_equal(before, after, sizeof after);
  freshet_encoder_destroy(second);
}

static void expect_refusal(freshet_status status, const char* message) {
  freshet_encoder* encoder = NULL;
  freshet_error error = {0};
  assert_int_equal(create(FRESHET_TEXT_FP32, NULL, &encoder, &error), status);
  assert_null(encoder);
  if (strstr(error.message, message) == NULL) fail_msg("said \"%s\", not \"%s\"", error.message, message);
}

static void models_that_cannot_be_run_are_refused(void** state) {
  (void)state;
  static const struct {
    const char *from, *to, *message;
  } changes[] = {
      {"\"bert\"", "\"gpt2\"", "model_type is \"gpt2\""},
      {"\"gelu\"", "\"relu\"", "hidden_act is \"relu\""},
      {"\"hidden_size\": 64", "\"hidden_size\": 60", "multiples of 32"},
      {"\"hidden_size\": 64", "\"hidden_size\": \"x\"", "hidden_size is not between"},
      {"\"num_attention_heads\": 2", "\"num_attention_heads\": 3", "multiples of 32"},
      {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 0", "num_hidden_layers is not between"},
      {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "no tensor encoder.layer.2.attention"},
      {"\"vocab_size\": 8", "\"vocab_size\": 7", "8 tokens, but the model knows 7"},
      {"\"vocab_size\": 8", "\"vocab_size\": 9", "word_embeddings.weight: shape [8][64]"},
      {"1e-12", "-1", "layer_norm_eps"},
      {"{", "[", "config.json"},
  };
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    char config[sizeof CONFIG + 64];
    const char* at = strstr(CONFIG, changes[i].from);
    assert_non_null(at);
    snprintf(config, sizeof config, "%.*s%s%s", (int)(at - CONFIG), CONFIG, changes[i].to,
             at + strlen(changes[i].from));
    write_text("config.json", config);
    expect_refusal(FRESHET_INVALID, changes[i].message);
  }
  write_text("config.json", CONFIG);
  remove_file("vocab.txt");
  expect_refusal(FRESHET_NOT_FOUND, "vocab.txt");
  write_text("vocab.txt", VOCABULARY_FILE);
}

static void every_missing_tensor_is_named(void** state) {
  (void)state;
  for (size_t i = 0; i < tensor_count; i++) {
    write_weights("", i);
    expect_refusal(FRESHET_INVALID, tensors[i].name);
  }
  float kept = tensors[tensor_count - 1].values[0];
  tensors[tensor_count - 1].values[0] = NAN;
  write_weights("", tensor_count);
  expect_refusal(FRESHET_INVALID, "not finite");
  tensors[tensor_count - 1].values[0] = kept;
  write_weights("", tensor_count);
}

static void the_configuration_chooses_the_encoder(void** state) {
  (void)state;
  freshet_text_config config = freshet_text_defaults();
  freshet_encoder* encoder = NULL;
  freshet_error error = {0};
  config.encoder = FRESHET_TEXT_NONE;
  assert_int_equal(freshet_text_create(&config, &encoder, NULL), FRESHET_OK);
  assert_null(encoder);
  config.encoder = FRESHET_TEXT_AUTO;
  setenv("FRESHET_CACHE", "no-such-folder", 1);
  assert_int_equal(freshet_text_create(&config, &encoder, NULL), FRESHET_OK);
  assert_string_equal(encoder->name, "hashing-256-v1");
  freshet_encoder_destroy(encoder);
  config.model = "no-such-model";
  assert_int_equal(freshet_text_create(&config, &encoder, &error), FRESHET_NOT_FOUND);
  assert_non_null(strstr(error.message, "no-such-folder/models/no-such-model"));
  config.model = folder;
  assert_int_equal(freshet_text_create(&config, &encoder, NULL), FRESHET_OK);
  assert_int_equal(strncmp(encoder->name, "bert-model-", 11), 0);
  freshet_encoder_destroy(encoder);
  config = (freshet_text_config){.encoder = FRESHET_TEXT_WORDS};
  assert_int_equal(freshet_text_create(&config, &encoder, NULL), FRESHET_INVALID);
  config = freshet_text_defaults();
  config.encoder = FRESHET_TEXT_HTTP;
  config.url = "http://127.0.0.1:1";
  config.model = "m";
  assert_int_equal(freshet_text_create(&config, &encoder, NULL), FRESHET_OK);
  assert_string_equal(encoder->name, "http-m-256-v1");
  freshet_encoder_destroy(encoder);
}

/* [own ; .5 hashed], of length 1, for each text of a batch; by weight 0 and beside hashing there is none. */
static void hashed_words_stand_behind_the_vectors(void** state) {
  (void)state;
  enum { TEXTS = 3, LEXICAL = 256 };
  const freshet_slice texts[TEXTS] = {freshet_slice_of("red mug"), freshet_slice_of(""),
                                      freshet_slice_of("blue mug")};
  freshet_text_config config = freshet_text_defaults();
  freshet_encoder *own, *joined, *shared, *hashing;
  config.model = folder;
  assert_int_equal(freshet_text_create(&config, &own, NULL), FRESHET_OK);
  config.lexical_weight = .5F;
  assert_int_equal(freshet_text_create(&config, &joined, NULL), FRESHET_OK);
  assert_int_equal(joined->vtable->share(joined, &shared, NULL), FRESHET_OK);
  assert_int_equal(freshet_encoder_hashing_create(LEXICAL, &hashing, NULL), FRESHET_OK);
  assert_int_equal(joined->dim, own->dim + LEXICAL);
  assert_non_null(strstr(joined->name, own->name));
  assert_string_equal(strchr(joined->name, '+'), "+0.5*hashing-256-v1");
  assert_string_equal(joined->name, shared->name);
  freshet_encoder_destroy(joined);
  float* rows = calloc((size_t)TEXTS * shared->dim, sizeof *rows);
  float* expected = calloc(shared->dim, sizeof *expected);
  assert_int_equal(freshet_encode(shared, texts, TEXTS, rows, NULL), FRESHET_OK);
  for (size_t i = 0; i < TEXTS; i++) {
    assert_int_equal(freshet_encode(own, texts + i, 1, expected, NULL), FRESHET_OK);
    assert_int_equal(freshet_encode(hashing, texts + i, 1, expected + own->dim, NULL), FRESHET_OK);
    for (uint32_t k = 0; k < shared->dim; k++) {
      double weight = (k < own->dim ? 1 : .5) / sqrt(1.25);
      assert_true(fabs((double)rows[i * shared->dim + k] - weight * (double)expected[k]) < 1e-5);
    }
  }
  free(rows);
  free(expected);
  freshet_encoder_destroy(own);
  freshet_encoder_destroy(shared);
  freshet_encoder_destroy(hashing);
  config.encoder = FRESHET_TEXT_HASHING;
  assert_int_equal(freshet_text_create(&config, &hashing, NULL), FRESHET_OK);
  assert_string_equal(hashing->name, "hashing-256-v1");
  freshet_encoder_destroy(hashing);
}

/* Vectors longer than a model takes are refused, with the way out. */
static void vectors_that_would_be_too_long_are_refused(void** state) {
  (void)state;
  freshet_text_config config = freshet_text_defaults();
  freshet_encoder* encoder = NULL;
  freshet_error error = {0};
  config.encoder = FRESHET_TEXT_HTTP;
  config.url = "http://127.0.0.1:1";
  config.model = "m";
  config.dim = 4096;
  config.lexical_weight = .7F;
  assert_int_equal(freshet_text_create(&config, &encoder, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "set it to 0"));
  assert_null(encoder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(vectors_are_those_of_plain_loops),
      cmocka_unit_test(names_may_have_the_prefix_of_a_larger_model),
      cmocka_unit_test(pooling_follows_the_models_own_files),
      cmocka_unit_test(the_length_limit_follows_the_models_own_files),
      cmocka_unit_test(encoders_that_share_outlive_each_other),
      cmocka_unit_test(models_that_cannot_be_run_are_refused),
      cmocka_unit_test(every_missing_tensor_is_named),
      cmocka_unit_test(the_configuration_chooses_the_encoder),
      cmocka_unit_test(hashed_words_stand_behind_the_vectors),
      cmocka_unit_test(vectors_that_would_be_too_long_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
